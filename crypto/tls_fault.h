/* tls_fault.h - private to crypto/tls: what is wrong with a certificate, as a person understands
 * it. What stands in a certificate is foreign text: it comes out as printable ASCII. */
#ifndef KB_TLS_FAULT_H
#define KB_TLS_FAULT_H

#include "crypto/libssl.h"
#include "crypto/tls.h"

/* kb_tls_blame describes the error that a chain's verification stopped at, of a peer that should be
 * `host`. */
void kb_tls_blame(const struct kb_libssl *f, X509_STORE_CTX *store, const char *host,
                  char fault[KB_TLS_FAULT]);

#endif
