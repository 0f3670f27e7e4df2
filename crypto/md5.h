/* md5.h - MD5: the hash of channel bindings (RFC 4121 4.1.1.2) and of the per-message tokens of RFC
 * 1964 and RFC 4757, which are signed over it.
 *
 * By OpenSSL's low-level functions, whatever its configuration. A kb_md5 is one computation, plain
 * memory; nothing is taken from the heap. Any thread. */
#ifndef KB_MD5_H
#define KB_MD5_H

#include "asn1/bytes.h"
#include "asn1/status.h"
#include "crypto/openssl.h"

#define KB_MD5_LEN 16

struct kb_md5 {
    MD5_CTX state; /* private */
};

/* kb_md5_begin loads OpenSSL. KB_NO_CRYPTO: there is none. */
KB_MUST_USE enum kb_status kb_md5_begin(struct kb_md5 *md5);
void kb_md5_add(struct kb_md5 *md5, const void *data, size_t len);
void kb_md5_end(struct kb_md5 *md5, uint8_t out[KB_MD5_LEN]); /* wipes `md5` */

/* kb_md5 hashes the pieces one after the other. */
KB_MUST_USE enum kb_status kb_md5(const kb_bytes *pieces, size_t num, uint8_t out[KB_MD5_LEN]);

#endif
