/* tls_context.h - OpenSSL's SSL_CTX for connections to KDC proxies: settings, and whom we trust.
 * Private to crypto/.
 *
 * To read the system's authorities takes some 50 ms. So the last contexts (KB_TLS_CONTEXTS, a
 * megabyte each where they hold a whole bundle) are kept for KB_TLS_CONTEXT_MS, as long as what
 * they were made of looks the same: the anchors, the environment, and by stat(2) the files and
 * directories. What is written over in place inside a directory is noticed at the end of that time.
 *
 * A context that is kept is changed no more, and SSLs of any thread are made of it. The child of a
 * fork makes its own: OpenSSL's locks in it may have been held by a thread that is gone. */
#ifndef KB_TLS_CONTEXT_H
#define KB_TLS_CONTEXT_H

#include "crypto/libssl.h"
#include "crypto/tls.h"

#define KB_TLS_CONTEXTS 2
#define KB_TLS_CONTEXT_MS 600000

/* kb_tls_context gives a reference; NULL with *st and a sentence in `fault`, as kb_tls_new. Always
 * the same `on_certificate`. The caller has set a mark in the thread's error queue. */
SSL_CTX *kb_tls_context(const struct kb_libssl *f, const struct kb_tls_anchors *anchors,
                        SSL_verify_cb on_certificate, enum kb_status *st, char fault[KB_TLS_FAULT]);

#endif
