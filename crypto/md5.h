/* md5.h - MD5, for the one place of RFC 4121 that has it: the hash of channel bindings (4.1.1.2).
 *
 * Not a matter of keys, and rare: nothing is kept between calls. Loads OpenSSL. Any thread. */
#ifndef KB_MD5_H
#define KB_MD5_H

#include "asn1/bytes.h"
#include "asn1/status.h"

#define KB_MD5_LEN 16

/* kb_md5 hashes the pieces one after the other. KB_NO_CRYPTO: OpenSSL does not have it (FIPS). */
KB_MUST_USE enum kb_status kb_md5(const kb_bytes *pieces, size_t num, uint8_t out[KB_MD5_LEN]);

#endif
