#include <stdlib.h>
#include <sys/mman.h>

#include "mech/login/cache.h"
#include "mech/login/identity_own.h"
#include "mech/net/wait.h"
#include "mech/options/layers.h"
#include "mech/options/password.h"

#define CCACHE_LOCK_MS 2000 /* for which reading a cache's principal waits */

/* A password has pages of its own, which stay out of core dumps where the system can. */
static kb_bytes secret_new(kb_bytes from)
{
    void *pages =
        mmap(NULL, from.len + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED) {
        return KB_NONE;
    }
    (void)madvise(pages, from.len + 1, MADV_DONTDUMP);
    if (from.len > 0) {
        memcpy(pages, from.ptr, from.len);
    }
    return kb_bytes_of(pages, from.len);
}

static void secret_free(kb_bytes secret)
{
    if (secret.ptr != NULL) {
        void *pages = (void *)(uintptr_t)secret.ptr;

        kb_wipe(pages, secret.len);
        munmap(pages, secret.len + 1);
    }
}

static void identity_free(struct kb_identity *identity)
{
    kb_realm_clock_put(identity->clock);
    kb_principal_free(identity->client);
    secret_free(identity->password);
    kb_keytab_free(identity->keytab);
    free(identity->where);
    free(identity->source_path);
    kb_shared_free(identity->shared);
    kb_cache_wipe(identity);
    kb_options_put(identity->options);
    kb_identity_derived_free(identity->derived);
    free(identity->facts);
    kb_free_secret(identity, sizeof(*identity));
}

struct kb_identity *kb_identity_ref(struct kb_identity *identity)
{
    atomic_fetch_add_explicit(&identity->refs, 1, memory_order_relaxed);
    return identity;
}

void kb_identity_put(struct kb_identity *identity)
{
    if (identity != NULL &&
        atomic_fetch_sub_explicit(&identity->refs, 1, memory_order_acq_rel) == 1) {
        identity_free(identity);
    }
}

const struct kb_principal *kb_identity_principal(const struct kb_identity *identity)
{
    return identity->client;
}

bool kb_identity_has_secret(const struct kb_identity *identity)
{
    return identity->keytab != NULL || identity->password.ptr != NULL;
}

const char *kb_identity_keytab(const struct kb_identity *identity)
{
    return identity->keytab != NULL ? identity->source_path : NULL;
}

struct kb_shared *kb_identity_shared(const struct kb_identity *identity)
{
    return identity->shared;
}

void kb_identity_ccache_principal(const char *name, const char *kcm_socket,
                                  struct kb_principal **out)
{
    struct kb_error ignored = {0};
    struct kb_ccache *cache;
    struct kb_wait wait;

    *out = NULL;
    if (kb_ccache_new(name, &cache, &ignored) != KB_OK) {
        return;
    }
    kb_wait_start(&wait, CCACHE_LOCK_MS, true);
    if (!kb_ccache_set_kcm_socket(cache, kcm_socket) ||
        kb_ccache_owner(cache, &wait, out, &ignored) != KB_OK) {
        *out = NULL;
    }
    kb_wait_stop(&wait);
    kb_ccache_put(cache);
}

/* The file that the secret is in: NULL if it is in none. */
static const char *source_path(const struct kb_options *options)
{
    return options->keytab_file != NULL ? options->keytab_file
           : options->password != NULL && options->password->kind == KB_SECRET_FILE
               ? options->password->where
               : NULL;
}

struct stat kb_identity_source_now(const struct kb_identity *identity)
{
    const char *path = identity->source_path;
    struct stat now;

    if (path == NULL || stat(path, &now) != 0) {
        memset(&now, 0, sizeof(now));
    }
    return now;
}

static enum kb_status read_password(struct kb_identity *identity, const struct kb_options *options,
                                    struct kb_error *err)
{
    kb_bytes password;

    if (kb_options_password(options, &password, err) != KB_OK) {
        return KB_ERROR;
    }
    identity->password = secret_new(password);
    kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
    return identity->password.ptr != NULL ? KB_OK : KB_NO_MEMORY;
}

/* Which password was refused: where the option stands, and to what it points. */
static void name_password(const struct kb_options *options, struct kb_buf *out)
{
    static const char *const kinds[] = {
        [KB_SECRET_FILE] = "file:", [KB_SECRET_ENV] = "env:", [KB_SECRET_FD] = "fd:"};
    const struct kb_secret_source *source = options->password;
    char buf[256];

    if (options->password_from.layer >= KB_LAYER_CREDENTIAL) {
        kb_buf_add_str(out, "the password that the program gave");
        return;
    }
    kb_buf_printf(out, "the password of %s",
                  kb_origin_text(&options->password_from, buf, sizeof(buf)));
    if (source->kind != KB_SECRET_INLINE) {
        kb_buf_printf(out, " (%s", kinds[source->kind]);
        kb_buf_add_escaped(out, kb_str(source->where));
        kb_buf_add_str(out, ")");
    }
}

static bool name_source(struct kb_identity *identity, const struct kb_options *options)
{
    struct kb_buf buf;

    kb_buf_init(&buf, 4200);
    if (identity->keytab != NULL) {
        kb_buf_printf(&buf, "%skeytab %s", options->keytab_file == NULL ? "client " : "",
                      identity->source_path);
    } else if (identity->password.ptr == NULL) {
        kb_buf_printf(&buf, "credentials cache %s", kb_ccache_name(identity->cache));
    } else {
        name_password(options, &buf);
    }
    identity->where = kb_buf_take(&buf, NULL);
    return identity->where != NULL;
}

/* Before it is read: a change in between is then seen by the next check. */
static enum kb_status read_secret(struct kb_identity *identity, const struct kb_options *options,
                                  struct kb_error *err)
{
    const char *path = source_path(options);

    if (path != NULL && (identity->source_path = kb_strdup(kb_str(path))) == NULL) {
        return KB_NO_MEMORY;
    }
    identity->source = kb_identity_source_now(identity);
    return options->keytab_file != NULL ? kb_identity_read_keytab(identity, options, err)
           : options->password != NULL  ? read_password(identity, options, err)
                                        : KB_OK;
}

static enum kb_status find_clock(struct kb_identity *identity)
{
    if (identity->clock == NULL) {
        identity->clock = kb_realm_clock_get(identity->client->realm);
    }
    return identity->clock != NULL ? KB_OK : KB_NO_MEMORY;
}

/* `User` alone, with no tickets of his in the platform's cache, or none that last: the platform's
 * client keytab. `st` is what came of the cache. */
static enum kb_status try_client_keytab(struct kb_identity *identity,
                                        const struct kb_options *options, enum kb_status st,
                                        struct kb_error *err)
{
    struct kb_error why = {0};
    enum kb_status found = kb_identity_client_keytab(identity, options, &why);

    if (found == KB_NO_MEMORY || why.code == KB_E_NO_MEMORY) {
        return KB_NO_MEMORY;
    }
    if (found != KB_OK) {
        if (found == KB_ERROR && st != KB_OK) {
            kb_error_context(&why, "the platform's client keytab");
            *err = why;
        }
        return st;
    }
    *err = (struct kb_error){0};
    kb_cache_close(identity);
    return kb_cache_open(identity, options, err);
}

static enum kb_status open_cache(struct kb_identity *identity, const struct kb_options *options,
                                 struct kb_error *err)
{
    enum kb_status st = kb_cache_open(identity, options, err);

    if ((st == KB_NOT_FOUND || (st == KB_OK && identity->cache_is_default)) &&
        identity->client != NULL && !kb_identity_has_secret(identity) &&
        find_clock(identity) == KB_OK) {
        st = try_client_keytab(identity, options, st, err);
    }
    return st;
}

enum kb_status kb_identity_new(const struct kb_options *options, struct kb_identity **out,
                               struct kb_error *err)
{
    struct kb_identity *identity = calloc(1, sizeof(*identity));
    enum kb_status st = KB_NO_MEMORY;

    if (identity == NULL) {
        goto out;
    }
    atomic_init(&identity->refs, 1);
    identity->euid = options->euid;
    identity->options = kb_options_ref(options);
    identity->own_clock = options->own_clock;
    identity->checked_ms = kb_now_ms();
    identity->shared = kb_shared_new();
    if (identity->shared == NULL) {
        goto out;
    }
    st = read_secret(identity, options, err);
    if (st == KB_OK && identity->client == NULL && options->user != NULL) {
        identity->client = kb_principal_ref(options->user);
    }
    if (st == KB_OK) {
        st = open_cache(identity, options, err);
    }
    if (st == KB_OK) {
        st = find_clock(identity) == KB_OK && name_source(identity, options) ? KB_OK : KB_NO_MEMORY;
    }
out:
    if (st != KB_OK) {
        if (identity != NULL) {
            identity_free(identity);
        }
        identity = NULL;
        if (st == KB_NO_MEMORY) {
            st = kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
        }
    }
    *out = identity;
    return st;
}
