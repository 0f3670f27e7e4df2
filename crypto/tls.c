#include "config.h"

#include "crypto/tls.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/libssl.h"
#include "crypto/tls_context.h"
#include "crypto/tls_fault.h"

struct kb_tls {
    const struct kb_libssl *f;
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    char host[256];
    char fault[KB_TLS_FAULT];
};

static int on_certificate(int ok, X509_STORE_CTX *store)
{
    const struct kb_libssl *f;
    struct kb_tls *tls;
    SSL *ssl;

    if (ok == 1 || kb_libssl_load(&f) != KB_OK) { /* it is loaded */
        return ok;
    }
    ssl = f->X509_STORE_CTX_get_ex_data(store, f->SSL_get_ex_data_X509_STORE_CTX_idx());
    tls = ssl != NULL ? f->SSL_get_ex_data(ssl, 0) : NULL;
    if (tls != NULL) {
        kb_tls_blame(f, store, tls->host, tls->fault);
    }
    return 0;
}

/* --- a connection's beginning and end --- */

/* Both BIOs say "not yet" where they are empty, so that it is not taken for the end. */
static bool set_bios(struct kb_tls *tls)
{
    const struct kb_libssl *f = tls->f;

    tls->in = f->BIO_new(f->BIO_s_mem());
    tls->out = f->BIO_new(f->BIO_s_mem());
    if (tls->in == NULL || tls->out == NULL) {
        f->BIO_free(tls->in);
        f->BIO_free(tls->out);
        return false;
    }
    (void)f->BIO_ctrl(tls->in, BIO_C_SET_BUF_MEM_EOF_RETURN, -1, NULL);
    (void)f->BIO_ctrl(tls->out, BIO_C_SET_BUF_MEM_EOF_RETURN, -1, NULL);
    f->SSL_set_bio(tls->ssl, tls->in, tls->out);
    return true;
}

/* An IPv6 address's zone is this host's business; a name's final dot the resolver's. */
static bool keep_host(struct kb_tls *tls, const char *host)
{
    size_t len = strchr(host, ':') != NULL ? strcspn(host, "%") : strlen(host);

    if (len > 0 && host[len - 1] == '.') {
        len--;
    }
    if (len == 0 || len >= sizeof(tls->host)) {
        return false;
    }
    memcpy(tls->host, host, len);
    tls->host[len] = '\0';
    return true;
}

static bool is_address(const char *host)
{
    return strchr(host, ':') != NULL || host[strspn(host, "0123456789.")] == '\0';
}

/* RFC 6066 3: no address is a server_name. */
static bool set_host(struct kb_tls *tls)
{
    const struct kb_libssl *f = tls->f;

    f->SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return f->SSL_set1_host(tls->ssl, tls->host) == 1 &&
           (is_address(tls->host) || f->SSL_ctrl(tls->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
                                                 TLSEXT_NAMETYPE_host_name, tls->host) == 1);
}

static enum kb_status begin(struct kb_tls *tls, const struct kb_tls_anchors *anchors,
                            char fault[KB_TLS_FAULT])
{
    const struct kb_libssl *f = tls->f;
    enum kb_status st;
    SSL_CTX *ctx = kb_tls_context(f, anchors, on_certificate, &st, fault);

    if (ctx == NULL) {
        return st;
    }
    tls->ssl = f->SSL_new(ctx);
    f->SSL_CTX_free(ctx); /* the SSL has it */
    if (tls->ssl == NULL || !set_bios(tls) || f->SSL_set_ex_data(tls->ssl, 0, tls) != 1 ||
        !set_host(tls)) {
        return KB_NO_MEMORY;
    }
    f->SSL_set_connect_state(tls->ssl);
    return KB_OK;
}

enum kb_status kb_tls_new(const char *host, const struct kb_tls_anchors *anchors,
                          struct kb_tls **out, char fault[KB_TLS_FAULT])
{
    struct kb_tls *tls = calloc(1, sizeof(*tls));
    enum kb_status st;

    *out = NULL;
    fault[0] = '\0';
    if (tls == NULL) {
        return KB_NO_MEMORY;
    }
    st = kb_libssl_load(&tls->f);
    if (st == KB_NO_CRYPTO) {
        snprintf(fault, KB_TLS_FAULT, "%.200s", kb_provider_error());
    } else if (st == KB_OK && !keep_host(tls, host)) {
        snprintf(fault, KB_TLS_FAULT, "no certificate can be for a host of that name");
        st = KB_NOT_FOUND;
    }
    if (st == KB_OK) {
        kb_ssl()->ERR_set_mark(); /* the thread's error queue is the host's */
        st = begin(tls, anchors, fault);
        kb_ssl()->ERR_pop_to_mark();
    }
    if (st != KB_OK) {
        kb_tls_free(tls);
        return st;
    }
    *out = tls;
    return KB_OK;
}

void kb_tls_free(struct kb_tls *tls)
{
    if (tls != NULL) {
        if (tls->ssl != NULL) {
            tls->f->SSL_free(tls->ssl); /* and the BIOs */
        }
        kb_wipe(tls, sizeof(*tls));
        free(tls);
    }
}

/* --- what goes on --- */

/* The thread's error queue is the host's, and what lies in it may be old: so SSL_get_error would
 * not tell. (SSL_want does not either: it may say READING after a failure.) A mark is set in the
 * queue and an error of our own behind it; what is behind that afterwards is OpenSSL's answer. (A
 * handshake begins by emptying the queue, whoever's errors are in it.) */
#define SENTINEL_LIB ERR_LIB_USER
#define SENTINEL_REASON 1

static void enter(const struct kb_tls *tls)
{
    kb_ssl()->ERR_set_mark();
    tls->f->ERR_new();
    tls->f->ERR_set_error(SENTINEL_LIB, SENTINEL_REASON, NULL);
}

static void explain(struct kb_tls *tls, unsigned long code)
{
    const char *reason = tls->f->ERR_reason_error_string(code);

    if (tls->fault[0] != '\0') {
        return; /* it is of the certificate */
    }
    switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        snprintf(tls->fault, sizeof(tls->fault), "what it answers is not TLS 1.2 or 1.3");
        break;
    default:
        snprintf(tls->fault, sizeof(tls->fault), "TLS failed: %s",
                 reason != NULL ? reason : "for no reason that is told");
        break;
    }
}

/* What came of an SSL_* function. */
static enum kb_tls_result leave(struct kb_tls *tls, int result)
{
    unsigned long code = tls->f->ERR_peek_last_error();
    bool failed = code != 0 && code != ERR_PACK(SENTINEL_LIB, 0, SENTINEL_REASON);
    enum kb_tls_result outcome = KB_TLS_AGAIN;

    if (result == 1) {
        outcome = KB_TLS_DONE;
    } else if (failed && ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
        outcome = KB_TLS_NO_MEMORY;
    } else if (failed) {
        explain(tls, code);
        outcome = KB_TLS_FAILED;
    } else if ((tls->f->SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) != 0) {
        outcome = KB_TLS_CLOSED;
    }
    kb_ssl()->ERR_pop_to_mark();
    return outcome;
}

enum kb_tls_result kb_tls_handshake(struct kb_tls *tls)
{
    enter(tls);
    return leave(tls, tls->f->SSL_do_handshake(tls->ssl));
}

/* There is always room, so it never has to be called again. */
enum kb_tls_result kb_tls_write(struct kb_tls *tls, kb_bytes data)
{
    enum kb_tls_result result;
    size_t written;

    enter(tls);
    result = leave(tls, tls->f->SSL_write_ex(tls->ssl, data.ptr, data.len, &written));
    if (result == KB_TLS_AGAIN || result == KB_TLS_CLOSED) {
        snprintf(tls->fault, sizeof(tls->fault), "TLS takes no more");
        result = KB_TLS_FAILED;
    }
    return result;
}

enum kb_tls_result kb_tls_read(struct kb_tls *tls, uint8_t *out, size_t size, size_t *out_len)
{
    enum kb_tls_result result;

    *out_len = 0;
    enter(tls);
    result = leave(tls, tls->f->SSL_read_ex(tls->ssl, out, size, out_len));
    *out_len = result == KB_TLS_DONE ? *out_len : 0;
    return result;
}

/* --- bytes --- */

enum kb_status kb_tls_put(struct kb_tls *tls, kb_bytes data)
{
    int len = 0;

    kb_ssl()->ERR_set_mark();
    if (data.len > 0) {
        len = tls->f->BIO_write(tls->in, data.ptr, (int)data.len);
    }
    kb_ssl()->ERR_pop_to_mark();
    return (size_t)(len > 0 ? len : 0) == data.len ? KB_OK : KB_NO_MEMORY;
}

enum kb_status kb_tls_take(struct kb_tls *tls, struct kb_buf *out)
{
    uint8_t block[4096];
    int len;

    kb_ssl()->ERR_set_mark();
    while ((len = tls->f->BIO_read(tls->out, block, sizeof(block))) > 0) {
        kb_buf_add(out, kb_bytes_of(block, (size_t)len));
    }
    kb_ssl()->ERR_pop_to_mark();
    return out->status;
}

const char *kb_tls_fault(const struct kb_tls *tls)
{
    return tls->fault;
}
