/* primitive.h - primitives beyond AES and SHA, found in OpenSSL's providers at first need.
 *
 * Not at kb_provider_load: loading must not get dearer for the many who never need them, and an
 * OpenSSL without RC4 is still good for everything else. A primitive that was found stays found;
 * the check that it was is a load of an atomic. One that was not is looked for again at each need.
 *
 * Where from: in the internal mode OpenSSL's default provider, and for the old ones (RC4, DES, MD4)
 * its legacy provider. That one is a module: legacy.so of the directory that libcrypto was built
 * with, whatever OPENSSL_MODULES says, opened with RTLD_DEEPBIND before OpenSSL opens it without,
 * so that it cannot bind to a host's own OpenSSL. In the system mode, what openssl.cnf activates
 * and its default properties allow. In the FIPS mode, what the FIPS provider has, which is DES3 at
 * most.
 *
 * Any thread at any time, but under no lock that a fork handler takes (as provider.h). */
#ifndef KB_PRIMITIVE_H
#define KB_PRIMITIVE_H

#include "asn1/bytes.h"
#include "asn1/status.h"

enum kb_primitive {
    KB_CAMELLIA128_CBC,
    KB_CAMELLIA256_CBC,
    KB_DES3_CBC, /* three keys, 24 bytes */
    KB_DES_CBC,
    KB_RC4,
    KB_MD4,
    KB_NUM_PRIMITIVES,
};

/* kb_primitive_need loads OpenSSL and finds the primitive. KB_NO_CRYPTO: kb_provider_error() says
 * which primitive is missing and why ("OpenSSL has no RC4: its legacy provider cannot be loaded
 * (…)"); nothing else stops working. */
KB_MUST_USE enum kb_status kb_primitive_need(enum kb_primitive which);

/* kb_primitive_hash writes the digest of the concatenated parts; of MD4, 16 bytes. KB_NO_CRYPTO. */
KB_MUST_USE enum kb_status kb_primitive_hash(enum kb_primitive which, const kb_bytes *parts,
                                             size_t num_parts, uint8_t *out);

#endif
