/* enctype.h - the table of encryption types: one row each. RFC 3961, 3962, 6803, 8009.
 *
 * A row is constant and lives for ever. Nothing here loads OpenSSL, so lists of enctypes can be
 * parsed and offered before the first key is needed. */
#ifndef KB_ENCTYPE_H
#define KB_ENCTYPE_H

#include "asn1/bytes.h"

/* Assigned numbers (RFC 3961 8, RFC 8009 8). */
enum {
    KB_ENCTYPE_DES_CBC_CRC = 1,
    KB_ENCTYPE_DES_CBC_MD4 = 2,
    KB_ENCTYPE_DES_CBC_MD5 = 3,
    KB_ENCTYPE_DES3_CBC_SHA1 = 16,
    KB_ENCTYPE_AES128_SHA1 = 17,
    KB_ENCTYPE_AES256_SHA1 = 18,
    KB_ENCTYPE_AES128_SHA256 = 19,
    KB_ENCTYPE_AES256_SHA384 = 20,
    KB_ENCTYPE_RC4_HMAC = 23,
    KB_ENCTYPE_CAMELLIA128 = 25,
    KB_ENCTYPE_CAMELLIA256 = 26,
};

#define KB_MAX_KEY_LEN 32
#define KB_MAX_CHECKSUM_LEN 64 /* bytes of any checksum we make or verify */
#define KB_MAX_OVERHEAD 64     /* bytes that encryption adds to a plaintext, at most */

struct kb_enctype {
    int32_t etype;
    const char *name;    /* as MIT and the RFCs spell it: aes256-cts-hmac-sha1-96 */
    const char *aliases; /* blank-separated, MIT's: "aes256-cts aes256-sha1" */
    int32_t cksumtype;   /* the required checksum, RFC 3961 3 */
    uint16_t key_len;    /* bytes of a protocol key */
    uint16_t confounder_len;
    uint16_t mac_len; /* of the integrity tag in a ciphertext; but for DES of the checksum */
    uint16_t pad;     /* plaintexts are filled up to a multiple of it; 1: they are not */
    bool old;         /* RFC 6649, RFC 8429: used only where it is named */
    uint32_t default_iterations;      /* PBKDF2 rounds where no s2kparams are given */
    const struct kb_enctype_ops *ops; /* private to crypto/ */
};

/* kb_enctype_find returns the row of an assigned number, NULL for one that we do not have. */
const struct kb_enctype *kb_enctype_find(int32_t etype);

/* kb_enctype_by_name finds a row by its name or an alias, without regard to case; NULL if none. */
const struct kb_enctype *kb_enctype_by_name(kb_bytes name);

/* kb_enctype_at walks the table: NULL past its end. */
const struct kb_enctype *kb_enctype_at(size_t index);

/* kb_enctype_name is the name of any assigned number, also of those that we do not have, for
 * messages; "etype N" in `buf` (of 24 bytes) otherwise. */
const char *kb_enctype_name(int32_t etype, char buf[24]);

#endif
