#include "crypto/checksum.h"

#include "crypto/crc.h"
#include "crypto/des.h"
#include "crypto/family.h"
#include "crypto/md5.h"
#include "crypto/primitive.h"

/* How a checksum is made; the unkeyed ones first. */
enum way { BY_CRC, BY_MD4, BY_MD5, BY_SHA1, BY_ENCTYPE, BY_DES_MD4, BY_DES_MD5, BY_HMAC, BY_KEY };

/* des-mac (4), des-mac-k (5) and rsa-md4-des-k (6) are met with nobody any more: for 4 MIT and the
 * RFC never agreed, the others RFC 1510 called old. */
static const struct row {
    int32_t cksumtype;
    uint8_t len;
    enum way way;
} rows[] = {
    /* clang-format off */
    {KB_CKSUM_CRC32,               4, BY_CRC},
    {KB_CKSUM_RSA_MD4,            16, BY_MD4},
    {KB_CKSUM_RSA_MD4_DES,        24, BY_DES_MD4},
    {KB_CKSUM_RSA_MD5,            16, BY_MD5},
    {KB_CKSUM_RSA_MD5_DES,        24, BY_DES_MD5},
    {KB_CKSUM_SHA1_OF_MIT,        20, BY_SHA1},
    {KB_CKSUM_SHA1_OLD,           20, BY_SHA1},
    {KB_CKSUM_HMAC_SHA1_DES3,     20, BY_ENCTYPE},
    {KB_CKSUM_SHA1,               20, BY_SHA1},
    {KB_CKSUM_HMAC_SHA1_AES128,   12, BY_ENCTYPE},
    {KB_CKSUM_HMAC_SHA1_AES256,   12, BY_ENCTYPE},
    {KB_CKSUM_CMAC_CAMELLIA128,   16, BY_ENCTYPE},
    {KB_CKSUM_CMAC_CAMELLIA256,   16, BY_ENCTYPE},
    {KB_CKSUM_HMAC_SHA256_AES128, 16, BY_ENCTYPE},
    {KB_CKSUM_HMAC_SHA384_AES256, 24, BY_ENCTYPE},
    {KB_CKSUM_HMAC_MD5,           16, BY_HMAC},
    {KB_CKSUM_MD5_HMAC,           16, BY_KEY},
    /* clang-format on */
};

static const struct row *find(int32_t cksumtype)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].cksumtype == cksumtype) {
            return &rows[i];
        }
    }
    return NULL;
}

size_t kb_checksum_len(int32_t cksumtype)
{
    const struct row *row = find(cksumtype);

    return row != NULL ? row->len : 0;
}

bool kb_checksum_is_keyed(int32_t cksumtype)
{
    const struct row *row = find(cksumtype);

    return row != NULL && row->way >= BY_ENCTYPE;
}

static bool is_des(const struct kb_key *key)
{
    return kb_key_enctype(key)->ops == &kb_des;
}

/* The keys that a checksum is made for; kb_checksum_by_type takes more for one of them. */
static bool is_for(const struct row *row, const struct kb_key *key)
{
    switch (row->way) {
    case BY_ENCTYPE:
    case BY_HMAC:
        return kb_key_enctype(key)->cksumtype == row->cksumtype;
    case BY_DES_MD4:
    case BY_DES_MD5:
        return is_des(key);
    case BY_KEY:
        return kb_key_enctype(key)->etype == KB_ENCTYPE_RC4_HMAC;
    default: /* unkeyed */
        return false;
    }
}

static enum kb_status make_unkeyed(enum way way, kb_bytes data, uint8_t *out)
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    enum kb_status st;

    switch (way) {
    case BY_CRC:
        kb_crc(&data, 1, out);
        return KB_OK;
    case BY_MD4:
        return kb_primitive_hash(KB_MD4, &data, 1, out);
    case BY_MD5:
        return kb_md5(&data, 1, out);
    default: /* BY_SHA1 */
        st = kb_hash(KB_SHA1, &data, 1, digest);
        if (st == KB_OK) {
            memcpy(out, digest, kb_digest_len(KB_SHA1));
        }
        return st;
    }
}

/* RFC 4757 4, with the key itself or what it makes of "signaturekey". */
static enum kb_status make_hmac_md5(enum way way, struct kb_key *key, uint32_t usage, kb_bytes data,
                                    uint8_t *out)
{
    struct kb_piece piece = kb_piece_sign(data);
    static const char signature_key[] = "signaturekey"; /* with its NUL */
    kb_bytes part = kb_bytes_of(signature_key, sizeof(signature_key));
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_hmac_key sign;
    enum kb_status st = KB_OK;

    kb_hmac_key_init(&sign, KB_MD5, kb_key_bytes(key));
    if (way == BY_HMAC) {
        st = kb_hmac_parts(&sign, &part, 1, digest);
        kb_hmac_key_init(&sign, KB_MD5, kb_bytes_of(digest, KB_MD5_LEN));
    }
    if (st == KB_OK) {
        st = kb_rc4_sum(&sign, usage, &piece, 1, out);
    }
    kb_wipe(&sign, sizeof(sign));
    kb_wipe(digest, sizeof(digest));
    return st;
}

static enum kb_status make(const struct row *row, struct kb_key *key, uint32_t usage, kb_bytes data,
                           uint8_t *out)
{
    struct kb_piece piece = kb_piece_sign(data);

    switch (row->way) {
    case BY_ENCTYPE:
        return kb_checksum_make(key, usage, data, out);
    case BY_DES_MD4:
        return kb_des_sum(key, KB_DES_MD4, &piece, 1, out);
    case BY_DES_MD5:
        return kb_des_sum(key, KB_DES_MD5, &piece, 1, out);
    case BY_HMAC:
        return is_for(row, key) ? kb_checksum_make(key, usage, data, out)
                                : make_hmac_md5(row->way, key, usage, data, out);
    case BY_KEY:
        return make_hmac_md5(row->way, key, usage, data, out);
    default:
        return make_unkeyed(row->way, data, out);
    }
}

/* The row, where the type can be made or verified with this key; OpenSSL is loaded. */
static enum kb_status prepare(int32_t cksumtype, const struct kb_key *key, const struct row **out)
{
    *out = find(cksumtype);
    if (*out == NULL || (kb_checksum_is_keyed(cksumtype) &&
                         (key == NULL || ((*out)->way != BY_HMAC && !is_for(*out, key))))) {
        return KB_NO_ENCTYPE;
    }
    return kb_provider_load();
}

enum kb_status kb_checksum_by_type(int32_t cksumtype, struct kb_key *key, uint32_t usage,
                                   kb_bytes data, uint8_t *out)
{
    const struct row *row;
    enum kb_status st = prepare(cksumtype, key, &row);

    return st == KB_OK ? make(row, key, usage, data, out) : st;
}

/* What it should have been is, keyed, a valid checksum of somebody else's data: wiped. */
static enum kb_status verify(const struct row *row, struct kb_key *key, uint32_t usage,
                             kb_bytes data, kb_bytes sum)
{
    uint8_t want[KB_MAX_CHECKSUM_LEN];
    enum kb_status st;

    if (row->way == BY_DES_MD4 || row->way == BY_DES_MD5) {
        return kb_des_verify(key, row->way == BY_DES_MD4 ? KB_DES_MD4 : KB_DES_MD5, data, sum);
    }
    st = make(row, key, usage, data, want);
    if (st == KB_OK && !kb_equal_secret(kb_bytes_of(want, row->len), sum)) {
        st = KB_BAD_INTEGRITY;
    }
    kb_wipe(want, sizeof(want));
    return st;
}

enum kb_status kb_checksum_verify_by_type(int32_t cksumtype, struct kb_key *key, uint32_t usage,
                                          kb_bytes data, kb_bytes checksum)
{
    const struct row *row;
    enum kb_status st = prepare(cksumtype, key, &row);

    return st == KB_OK ? verify(row, key, usage, data, checksum) : st;
}

enum kb_status kb_checksum_verify(struct kb_key *key, uint32_t usage, int32_t cksumtype,
                                  kb_bytes data, kb_bytes checksum)
{
    const struct row *row = find(cksumtype);
    enum kb_status st;

    if (row == NULL || row->way == BY_KEY || !is_for(row, key)) {
        return KB_NO_ENCTYPE;
    }
    st = kb_provider_load();
    return st == KB_OK ? verify(row, key, usage, data, checksum) : st;
}
