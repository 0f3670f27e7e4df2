#include "crypto/family.h"

#include <stdio.h>

/* clang-format off */
static const struct kb_enctype enctypes[] = {
    /* number               name                          aliases                        cksumtype key conf mac pad old iterations */
    {KB_ENCTYPE_AES256_SHA1,   "aes256-cts-hmac-sha1-96",    "aes256-cts aes256-sha1",       16, 32, 16, 12, 1, false,  4096, &kb_aes_sha1},
    {KB_ENCTYPE_AES128_SHA1,   "aes128-cts-hmac-sha1-96",    "aes128-cts aes128-sha1",       15, 16, 16, 12, 1, false,  4096, &kb_aes_sha1},
    {KB_ENCTYPE_AES256_SHA384, "aes256-cts-hmac-sha384-192", "aes256-sha2",                  20, 32, 16, 24, 1, false, 32768, &kb_aes256_sha2},
    {KB_ENCTYPE_AES128_SHA256, "aes128-cts-hmac-sha256-128", "aes128-sha2",                  19, 16, 16, 16, 1, false, 32768, &kb_aes128_sha2},
    {KB_ENCTYPE_CAMELLIA256,   "camellia256-cts-cmac",       "camellia256-cts",              18, 32, 16, 16, 1, false, 32768, &kb_camellia},
    {KB_ENCTYPE_CAMELLIA128,   "camellia128-cts-cmac",       "camellia128-cts",              17, 16, 16, 16, 1, false, 32768, &kb_camellia},
    {KB_ENCTYPE_DES3_CBC_SHA1, "des3-cbc-sha1",              "des3-hmac-sha1 des3-cbc-sha1-kd", 12, 24, 8, 20, 8, true,       0, &kb_des3},
    {KB_ENCTYPE_RC4_HMAC,      "rc4-hmac",                   "arcfour-hmac arcfour-hmac-md5", -138, 16, 8, 16, 1, true,      0, &kb_rc4},
    {KB_ENCTYPE_DES_CBC_MD5,   "des-cbc-md5",                "",                             8,  8,  8, 16, 8, true,      0, &kb_des},
    {KB_ENCTYPE_DES_CBC_MD4,   "des-cbc-md4",                "",                             3,  8,  8, 16, 8, true,      0, &kb_des},
    {KB_ENCTYPE_DES_CBC_CRC,   "des-cbc-crc",                "",                             8,  8,  8,  4, 8, true,      0, &kb_des},
};

/* Names for messages only: IANA's registry, and what Windows names below zero ([MS-KILE] 3.1.5.2). */
static const struct {
    int32_t etype;
    const char *name;
} other_names[] = {
    {  1, "des-cbc-crc"},
    {  2, "des-cbc-md4"},
    {  3, "des-cbc-md5"},
    {  5, "des3-cbc-md5"},
    {  7, "des3-cbc-sha1-old"},
    {  9, "dsaWithSHA1-CmsOID"},
    { 10, "md5WithRSAEncryption-CmsOID"},
    { 11, "sha1WithRSAEncryption-CmsOID"},
    { 12, "rc2CBC-EnvOID"},
    { 13, "rsaEncryption-EnvOID"},
    { 14, "rsaES-OAEP-ENV-OID"},
    { 15, "des-ede3-cbc-Env-OID"},
    { 23, "rc4-hmac"},
    { 24, "rc4-hmac-exp"},
    { 65, "subkey-keymaterial"},
    {-128, "rc4-md4"},
    {-133, "rc4-hmac-old"},
    {-135, "rc4-hmac-old-exp"},
};
/* clang-format on */

#define NUM(array) (sizeof(array) / sizeof((array)[0]))

const struct kb_enctype *kb_enctype_at(size_t index)
{
    return index < NUM(enctypes) ? &enctypes[index] : NULL;
}

const struct kb_enctype *kb_enctype_find(int32_t etype)
{
    for (size_t i = 0; i < NUM(enctypes); i++) {
        if (enctypes[i].etype == etype) {
            return &enctypes[i];
        }
    }
    return NULL;
}

static bool has_word(const char *words, kb_bytes word)
{
    while (*words != '\0') {
        size_t len = strcspn(words, " ");

        if (kb_equal_nocase(kb_bytes_of(words, len), word)) {
            return true;
        }
        words += len;
        words += strspn(words, " ");
    }
    return false;
}

const struct kb_enctype *kb_enctype_by_name(kb_bytes name)
{
    for (size_t i = 0; i < NUM(enctypes); i++) {
        if (kb_equal_nocase(kb_str(enctypes[i].name), name) ||
            has_word(enctypes[i].aliases, name)) {
            return &enctypes[i];
        }
    }
    return NULL;
}

const char *kb_enctype_name(int32_t etype, char buf[24])
{
    const struct kb_enctype *known = kb_enctype_find(etype);

    if (known != NULL) {
        return known->name;
    }
    for (size_t i = 0; i < NUM(other_names); i++) {
        if (other_names[i].etype == etype) {
            return other_names[i].name;
        }
    }
    snprintf(buf, 24, "etype %d", etype);
    return buf;
}
