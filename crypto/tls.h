/* tls.h - the client's side of one TLS connection (1.2 or 1.3; RFC 5246, RFC 8446), over bytes.
 *
 * No socket here: what the peer sent is put in, what is to be sent is taken out, and nothing waits.
 * The peer's certificate is always checked: its chain, its dates, and that it is for the host's
 * name (RFC 6125) or address; there is no way around that. Trusted are the authorities that are
 * named, or where none is, those that the system's OpenSSL trusts (SSL_CERT_FILE and SSL_CERT_DIR,
 * not in a set-uid program); never both. Which OpenSSL does it, and which of its settings count, is
 * provider.h's: the internal kind takes no protocol and cipher settings from openssl.cnf, the
 * system's does, FIPS has its own. No session is kept for a later connection; the authorities are,
 * for ten minutes at most and while their files look the same (tls_context.h).
 * A connection belongs to one thread. */
#ifndef KB_TLS_H
#define KB_TLS_H

#include "asn1/buf.h"

#define KB_TLS_FAULT 224

struct kb_tls;

/* Whose certificates are trusted, as MIT's http_anchors: FILE:PATH (PEM), DIR:PATH (of hashed
 * names), ENV:NAME (a variable that holds one of these two). */
struct kb_tls_anchors {
    const char *const *names;
    size_t num; /* 0: the system's */
};

/* kb_tls_new begins a connection to `host`, a name or an address. KB_NO_MEMORY; KB_NO_CRYPTO and
 * KB_NOT_FOUND (an anchor that cannot be used) with a sentence in `fault`. */
KB_MUST_USE enum kb_status kb_tls_new(const char *host, const struct kb_tls_anchors *anchors,
                                      struct kb_tls **out, char fault[KB_TLS_FAULT]);
void kb_tls_free(struct kb_tls *tls); /* NULL is accepted; sends nothing */

enum kb_tls_result {
    KB_TLS_DONE,
    KB_TLS_AGAIN,  /* put in more of what the peer sends */
    KB_TLS_CLOSED, /* the peer says that nothing more comes */
    KB_TLS_FAILED, /* kb_tls_fault says why; the connection is of no use */
    KB_TLS_NO_MEMORY,
};

/* kb_tls_handshake goes on with the handshake, after which (DONE) the peer is who it should be. */
enum kb_tls_result kb_tls_handshake(struct kb_tls *tls);

/* kb_tls_write encrypts all of `data`: DONE, or it failed. */
enum kb_tls_result kb_tls_write(struct kb_tls *tls, kb_bytes data);

/* kb_tls_read decrypts up to `size` bytes. */
enum kb_tls_result kb_tls_read(struct kb_tls *tls, uint8_t *out, size_t size, size_t *out_len);

/* kb_tls_put takes what the peer sent; kb_tls_take appends what is to be sent to it, after each of
 * the three above, also when they failed (an alert). KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_tls_put(struct kb_tls *tls, kb_bytes data);
KB_MUST_USE enum kb_status kb_tls_take(struct kb_tls *tls, struct kb_buf *out);

/* kb_tls_fault is a sentence that goes on behind "HOST: ": "its certificate expired on 2026-11-30",
 * without control characters; "" while nothing failed. */
const char *kb_tls_fault(const struct kb_tls *tls);

/* The fork handlers, for pthread_atfork (mech/process.c). */
void kb_tls_fork_prepare(void);
void kb_tls_fork_parent(void);
void kb_tls_fork_child(void);

#endif
