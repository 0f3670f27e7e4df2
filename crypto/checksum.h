/* checksum.h - checksums by their assigned number, keyed and unkeyed: RFC 3961 8, RFC 4757 4.
 *
 * What a message must carry is a matter of its protocol: who verifies one says which types it
 * takes. kb_checksum_verify (crypto/key.h) is for where the checksum is what tells that a message
 * is genuine: it takes keyed ones only. Any thread; loads OpenSSL. */
#ifndef KB_CHECKSUM_H
#define KB_CHECKSUM_H

#include "crypto/key.h"

enum {
    KB_CKSUM_CRC32 = 1,
    KB_CKSUM_RSA_MD4 = 2,
    KB_CKSUM_RSA_MD4_DES = 3,
    KB_CKSUM_RSA_MD5 = 7,
    KB_CKSUM_RSA_MD5_DES = 8,
    KB_CKSUM_SHA1_OF_MIT = 9, /* RFC 3961: rsa-md5-des3, which nobody has */
    KB_CKSUM_SHA1_OLD = 10,
    KB_CKSUM_HMAC_SHA1_DES3 = 12,
    KB_CKSUM_SHA1 = 14,
    KB_CKSUM_HMAC_SHA1_AES128 = 15,
    KB_CKSUM_HMAC_SHA1_AES256 = 16,
    KB_CKSUM_CMAC_CAMELLIA128 = 17,
    KB_CKSUM_CMAC_CAMELLIA256 = 18,
    KB_CKSUM_HMAC_SHA256_AES128 = 19,
    KB_CKSUM_HMAC_SHA384_AES256 = 20,
    KB_CKSUM_HMAC_MD5 = -138,
    KB_CKSUM_MD5_HMAC = -137,
};

/* kb_checksum_len is the length of a checksum of this type, at most KB_MAX_CHECKSUM_LEN; 0: it is
 * not one that we have. */
size_t kb_checksum_len(int32_t cksumtype);

/* kb_checksum_is_keyed: false too for one that we do not have. */
bool kb_checksum_is_keyed(int32_t cksumtype);

/* kb_checksum_by_type writes kb_checksum_len bytes. `key` and `usage` mean nothing for an unkeyed
 * one; -138 takes a key of any enctype ([MS-SFU] signs PA-FOR-USER so under whatever session key
 * there is), other keyed ones only those that they are made for. KB_NO_ENCTYPE: we do not have the
 * type, or the key (which may be NULL) is not of it. KB_NO_CRYPTO, KB_NO_MEMORY, KB_NO_RANDOM. */
KB_MUST_USE enum kb_status kb_checksum_by_type(int32_t cksumtype, struct kb_key *key,
                                               uint32_t usage, kb_bytes data, uint8_t *out);

/* kb_checksum_verify_by_type takes exactly this type, and compares in constant time.
 * KB_BAD_INTEGRITY, and the above. */
KB_MUST_USE enum kb_status kb_checksum_verify_by_type(int32_t cksumtype, struct kb_key *key,
                                                      uint32_t usage, kb_bytes data,
                                                      kb_bytes checksum);

#endif
