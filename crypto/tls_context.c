#include "config.h"

#include "crypto/tls_context.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

/* What a context was made of, all of it. */
#define MADE_OF_MAX 8192

struct kept {
    SSL_CTX *ctx; /* NULL: nothing */
    kb_bytes made_of;
    int64_t made_ms;
    unsigned generation; /* of processes: another's is left alone */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct kept contexts[KB_TLS_CONTEXTS];
static unsigned next; /* to make room */
static unsigned generation;

/* --- whom we trust --- */

static const char *value_of(const char *name)
{
    return strncmp(name, "ENV:", 4) == 0 ? secure_getenv(name + 4) : name;
}

static enum kb_status load_anchor(const struct kb_libssl *f, SSL_CTX *ctx, const char *name,
                                  char fault[KB_TLS_FAULT])
{
    const char *value = value_of(name);

    if (value == NULL) {
        snprintf(fault, KB_TLS_FAULT, "http_anchors: %.60s is not set", name);
        return KB_NOT_FOUND;
    }
    if (strncmp(value, "FILE:", 5) != 0 && strncmp(value, "DIR:", 4) != 0) {
        snprintf(fault, KB_TLS_FAULT, "http_anchors: `%.100s` is neither FILE: nor DIR:", value);
        return KB_NOT_FOUND;
    }
    if (value[0] == 'F' ? f->SSL_CTX_load_verify_file(ctx, value + 5) != 1
                        : f->SSL_CTX_load_verify_dir(ctx, value + 4) != 1) {
        snprintf(fault, KB_TLS_FAULT, "http_anchors: %.100s has no certificate that can be read",
                 value);
        return KB_NOT_FOUND;
    }
    return KB_OK;
}

static enum kb_status trust(const struct kb_libssl *f, SSL_CTX *ctx,
                            const struct kb_tls_anchors *anchors, char fault[KB_TLS_FAULT])
{
    enum kb_status st = KB_OK;

    for (size_t i = 0; i < anchors->num && st == KB_OK; i++) {
        st = load_anchor(f, ctx, anchors->names[i], fault);
    }
    if (anchors->num == 0 && f->SSL_CTX_set_default_verify_paths(ctx) != 1) {
        st = KB_NO_MEMORY;
    }
    return st;
}

/* --- what it is made of --- */

static void add_stat(struct kb_buf *out, const char *path, size_t len)
{
    char *copy = kb_strdup(kb_bytes_of(path, len));
    struct stat st = {0};
    int64_t words[8] = {0};

    if (copy == NULL) {
        out->status = KB_NO_MEMORY;
        return;
    }
    if (stat(copy, &st) == 0) {
        words[0] = (int64_t)st.st_dev;
        words[1] = (int64_t)st.st_ino;
        words[2] = (int64_t)st.st_size;
        words[3] = st.st_mtim.tv_sec;
        words[4] = st.st_mtim.tv_nsec;
        words[5] = st.st_ctim.tv_sec;
        words[6] = st.st_ctim.tv_nsec;
    } else {
        words[7] = errno;
    }
    free(copy);
    kb_buf_add(out, kb_bytes_of(words, sizeof(words)));
}

/* A list of directories is divided by colons, X509_LOOKUP_hash_dir(3). */
static void add_paths(struct kb_buf *out, const char *paths, bool list)
{
    kb_buf_add(out, kb_bytes_of(paths, strlen(paths) + 1));
    for (;;) {
        size_t len = list ? strcspn(paths, ":") : strlen(paths);

        add_stat(out, paths, len);
        if (paths[len] == '\0') {
            break;
        }
        paths += len + 1;
    }
}

static void add_anchor(struct kb_buf *out, const char *name)
{
    const char *value = value_of(name);

    kb_buf_add(out, kb_bytes_of(name, strlen(name) + 1));
    if (value != NULL && strncmp(value, "FILE:", 5) == 0) {
        add_paths(out, value + 5, false);
    } else if (value != NULL && strncmp(value, "DIR:", 4) == 0) {
        add_paths(out, value + 4, true);
    } else {
        out->status = KB_NOT_FOUND; /* no context will be made of it */
    }
}

static const char *or_else(const char *from_environment, const char *otherwise)
{
    return from_environment != NULL ? from_environment : otherwise;
}

static void describe(const struct kb_libssl *f, const struct kb_tls_anchors *anchors,
                     struct kb_buf *out)
{
    for (size_t i = 0; i < anchors->num; i++) {
        add_anchor(out, anchors->names[i]);
    }
    if (anchors->num == 0) {
        add_paths(out,
                  or_else(secure_getenv(f->X509_get_default_cert_file_env()),
                          f->X509_get_default_cert_file()),
                  false);
        add_paths(out,
                  or_else(secure_getenv(f->X509_get_default_cert_dir_env()),
                          f->X509_get_default_cert_dir()),
                  true);
    }
}

/* --- making one --- */

/* SSL_CTX_new has taken protocols and ciphers from openssl.cnf (its system_default section). The
 * internal kind puts back what OpenSSL itself thinks right. */
static bool settle(const struct kb_libssl *f, SSL_CTX *ctx, SSL_verify_cb on_certificate)
{
    long least = f->SSL_CTX_ctrl(ctx, SSL_CTRL_GET_MIN_PROTO_VERSION, 0, NULL);
    bool done = true;

    if (kb_provider_mode() == KB_CRYPTO_INTERNAL) {
        f->SSL_CTX_set_security_level(ctx, 2); /* keys of 2,048 bits (RSA), 224 (ECC), no SHA-1 */
        done = f->SSL_CTX_set_cipher_list(ctx, f->OSSL_default_cipher_list()) == 1 &&
               f->SSL_CTX_set_ciphersuites(ctx, f->OSSL_default_ciphersuites()) == 1 &&
               f->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MAX_PROTO_VERSION, 0, NULL) == 1;
        least = 0;
    }
    if (least < TLS1_2_VERSION) {
        done =
            done && f->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) == 1;
    }
    f->SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                    SSL_OP_CLEANSE_PLAINTEXT);
    (void)f->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    f->SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_certificate);
    return done;
}

static SSL_CTX *make(const struct kb_libssl *f, const struct kb_tls_anchors *anchors,
                     SSL_verify_cb on_certificate, enum kb_status *st, char fault[KB_TLS_FAULT])
{
    const char *properties = kb_provider_mode() == KB_CRYPTO_FIPS ? "fips=yes" : NULL;
    SSL_CTX *ctx = f->SSL_CTX_new_ex(kb_ssl()->lib_ctx, properties, f->TLS_client_method());

    if (ctx == NULL) {
        snprintf(fault, KB_TLS_FAULT, "OpenSSL, as it is configured here, can do no TLS");
        *st = KB_NO_CRYPTO;
        return NULL;
    }
    *st = settle(f, ctx, on_certificate) ? trust(f, ctx, anchors, fault) : KB_NO_CRYPTO;
    if (*st == KB_OK) {
        return ctx;
    }
    if (*st == KB_NO_CRYPTO) {
        snprintf(fault, KB_TLS_FAULT, "OpenSSL, as it is configured here, can do no TLS 1.2");
    }
    f->SSL_CTX_free(ctx);
    return NULL;
}

/* --- keeping them --- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static SSL_CTX *find(const struct kb_libssl *f, kb_bytes made_of)
{
    int64_t now = now_ms();
    SSL_CTX *found = NULL;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < KB_TLS_CONTEXTS && found == NULL; i++) {
        const struct kept *kept = &contexts[i];

        if (kept->ctx != NULL && kept->generation == generation &&
            now - kept->made_ms < KB_TLS_CONTEXT_MS && kb_equal(kept->made_of, made_of) &&
            f->SSL_CTX_up_ref(kept->ctx) == 1) {
            found = kept->ctx;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* In the place of one of the same description, or of the one that was made first. */
static void keep(const struct kb_libssl *f, SSL_CTX *ctx, kb_bytes made_of, int64_t made_ms)
{
    struct kept made = {.made_of = {malloc(made_of.len), made_of.len}, .made_ms = made_ms}, old;
    size_t place;

    if (made.made_of.ptr == NULL || f->SSL_CTX_up_ref(ctx) != 1) {
        free((void *)(uintptr_t)made.made_of.ptr);
        return;
    }
    memcpy((void *)(uintptr_t)made.made_of.ptr, made_of.ptr, made_of.len);
    made.ctx = ctx;
    pthread_mutex_lock(&lock);
    made.generation = generation;
    place = next;
    for (size_t i = 0; i < KB_TLS_CONTEXTS; i++) {
        if (kb_equal(contexts[i].made_of, made_of)) {
            place = i;
        }
    }
    next = place == next ? (next + 1) % KB_TLS_CONTEXTS : next;
    old = contexts[place];
    contexts[place] = made;
    pthread_mutex_unlock(&lock);
    free((void *)(uintptr_t)old.made_of.ptr);
    if (old.ctx != NULL && old.generation == made.generation) {
        f->SSL_CTX_free(old.ctx);
    }
}

SSL_CTX *kb_tls_context(const struct kb_libssl *f, const struct kb_tls_anchors *anchors,
                        SSL_verify_cb on_certificate, enum kb_status *st, char fault[KB_TLS_FAULT])
{
    struct kb_buf made_of;
    int64_t made_ms = now_ms();
    SSL_CTX *ctx = NULL;

    *st = KB_OK;
    kb_buf_init(&made_of, MADE_OF_MAX);
    describe(f, anchors, &made_of);
    if (made_of.status == KB_OK) {
        ctx = find(f, kb_buf_bytes(&made_of));
    }
    if (ctx == NULL) {
        ctx = make(f, anchors, on_certificate, st, fault);
        if (ctx != NULL && made_of.status == KB_OK) {
            keep(f, ctx, kb_buf_bytes(&made_of), made_ms);
        }
    }
    kb_buf_wipe(&made_of);
    return ctx;
}

/* --- fork --- */

void kb_tls_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_tls_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_tls_fork_child(void)
{
    generation++;
    pthread_mutex_unlock(&lock);
}
