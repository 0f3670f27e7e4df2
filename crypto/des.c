/* des-cbc-crc, des-cbc-md4, des-cbc-md5: RFC 3961 6.2.
 *
 * A message is DES-CBC of confounder | checksum | plaintext | padding, the checksum being an
 * unkeyed one over all of it with zeros in its own place. Keys are used as they are: nothing is
 * derived for a usage. */
#include "crypto/des.h"

#include "crypto/crc.h"
#include "crypto/family.h"
#include "crypto/md5.h"
#include "crypto/streams.h"

#define BLOCK KB_DES_BLOCK
#define MAX_PIECES 7    /* of what a checksum is made over */
#define MAX_HASH_LEN 16 /* of MD4 and MD5 */

static const uint8_t zeros[BLOCK];

/* --- keys --- */

static void fix_parity(uint8_t *key)
{
    for (size_t i = 0; i < BLOCK; i++) {
        key[i] = (uint8_t)((key[i] & 0xfe) | (~__builtin_parity(key[i] & 0xfe) & 1));
    }
}

/* The four weak keys and the twelve semi-weak ones: FIPS 74, 3.6. */
bool kb_des_is_weak(const uint8_t *key)
{
    static const uint8_t weak[][BLOCK] = {
        {0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01},
        {0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe},
        {0x1f, 0x1f, 0x1f, 0x1f, 0x0e, 0x0e, 0x0e, 0x0e},
        {0xe0, 0xe0, 0xe0, 0xe0, 0xf1, 0xf1, 0xf1, 0xf1},
        {0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe},
        {0xfe, 0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe, 0x01},
        {0x1f, 0xe0, 0x1f, 0xe0, 0x0e, 0xf1, 0x0e, 0xf1},
        {0xe0, 0x1f, 0xe0, 0x1f, 0xf1, 0x0e, 0xf1, 0x0e},
        {0x01, 0xe0, 0x01, 0xe0, 0x01, 0xf1, 0x01, 0xf1},
        {0xe0, 0x01, 0xe0, 0x01, 0xf1, 0x01, 0xf1, 0x01},
        {0x1f, 0xfe, 0x1f, 0xfe, 0x0e, 0xfe, 0x0e, 0xfe},
        {0xfe, 0x1f, 0xfe, 0x1f, 0xfe, 0x0e, 0xfe, 0x0e},
        {0x01, 0x1f, 0x01, 0x1f, 0x01, 0x0e, 0x01, 0x0e},
        {0x1f, 0x01, 0x1f, 0x01, 0x0e, 0x01, 0x0e, 0x01},
        {0xe0, 0xfe, 0xe0, 0xfe, 0xf1, 0xfe, 0xf1, 0xfe},
        {0xfe, 0xe0, 0xfe, 0xe0, 0xfe, 0xf1, 0xfe, 0xf1},
    };
    uint8_t fixed[BLOCK];
    bool found = false;

    memcpy(fixed, key, BLOCK);
    fix_parity(fixed);
    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
        found |= kb_equal_secret(kb_bytes_of(fixed, BLOCK), kb_bytes_of(weak[i], BLOCK));
    }
    kb_wipe(fixed, sizeof(fixed));
    return found;
}

/* RFC 3961 6.2: key_correction. */
void kb_des_fix(uint8_t *key)
{
    fix_parity(key);
    if (kb_des_is_weak(key)) {
        key[BLOCK - 1] ^= 0xf0;
    }
}

/* --- the hashes --- */

static size_t hash_len(enum kb_des_hash hash)
{
    return hash == KB_DES_CRC ? KB_CRC_LEN : MAX_HASH_LEN;
}

static enum kb_status make_hash(enum kb_des_hash hash, const kb_bytes *parts, size_t num,
                                uint8_t *out)
{
    switch (hash) {
    case KB_DES_CRC:
        kb_crc(parts, num, out);
        return KB_OK;
    case KB_DES_MD4:
        return kb_primitive_hash(KB_MD4, parts, num, out);
    default: /* KB_DES_MD5 */
        return kb_md5(parts, num, out);
    }
}

static enum kb_des_hash hash_of(const struct kb_enctype *enctype)
{
    return enctype->etype == KB_ENCTYPE_DES_CBC_CRC   ? KB_DES_CRC
           : enctype->etype == KB_ENCTYPE_DES_CBC_MD4 ? KB_DES_MD4
                                                      : KB_DES_MD5;
}

/* --- messages --- */

/* One CBC in place, with a context of the key's. */
static enum kb_status cbc(struct kb_key *key, kb_bytes raw, kb_bytes iv, bool encrypts,
                          uint8_t *data, size_t len)
{
    struct kb_streams *streams;
    struct kb_stream *stream;
    enum kb_status st = kb_key_streams(key, &streams);

    if (st == KB_OK) {
        st = kb_streams_take(streams, KB_DES_CBC, raw, iv, encrypts, &stream);
    }
    if (st == KB_OK) {
        st = kb_stream_cipher(stream, data, data, len);
        kb_streams_put(streams, encrypts, stream, st);
    }
    return st;
}

/* RFC 3961 6.2.3: des-cbc-crc starts with its key as the IV. */
static enum kb_status message_cbc(struct kb_key *key, bool encrypts, uint8_t *data, size_t len)
{
    kb_bytes raw = kb_key_bytes(key), zero = kb_bytes_of(zeros, sizeof(zeros));
    bool crc = hash_of(kb_key_enctype(key)) == KB_DES_CRC;

    return cbc(key, raw, crc ? raw : zero, encrypts, data, len);
}

static enum kb_status seal(struct kb_key *key, uint32_t usage, const struct kb_rng *rng,
                           kb_bytes plain, uint8_t *out)
{
    enum kb_des_hash hash = hash_of(kb_key_enctype(key));
    size_t len = kb_encrypted_len(key, plain.len), before = BLOCK + hash_len(hash);
    kb_bytes part = kb_bytes_of(out, len);
    uint8_t sum[MAX_HASH_LEN];
    enum kb_status st;

    (void)usage;
    if (plain.len > 0) {
        memmove(out + before, plain.ptr, plain.len);
    }
    memset(out + BLOCK, 0, hash_len(hash));
    memset(out + before + plain.len, 0, len - before - plain.len);
    st = kb_random(rng, out, BLOCK);
    if (st == KB_OK) {
        st = make_hash(hash, &part, 1, sum);
    }
    if (st == KB_OK) {
        memcpy(out + BLOCK, sum, hash_len(hash));
        st = message_cbc(key, true, out, len);
    }
    if (st != KB_OK) {
        kb_wipe(out, len);
    }
    kb_wipe(sum, sizeof(sum));
    return st;
}

static enum kb_status check(enum kb_des_hash hash, uint8_t *out, size_t len)
{
    uint8_t sum[MAX_HASH_LEN], want[MAX_HASH_LEN];
    kb_bytes part = kb_bytes_of(out, len);
    size_t sum_len = hash_len(hash);
    enum kb_status st;

    memcpy(sum, out + BLOCK, sum_len);
    memset(out + BLOCK, 0, sum_len);
    st = make_hash(hash, &part, 1, want);
    if (st == KB_OK && !kb_equal_secret(kb_bytes_of(sum, sum_len), kb_bytes_of(want, sum_len))) {
        st = KB_BAD_INTEGRITY;
    }
    kb_wipe(sum, sizeof(sum));
    kb_wipe(want, sizeof(want));
    return st;
}

/* What comes out ends with the padding, at most seven bytes of zero. */
static enum kb_status open(struct kb_key *key, uint32_t usage, kb_bytes cipher, uint8_t *out,
                           size_t *out_len)
{
    enum kb_des_hash hash = hash_of(kb_key_enctype(key));
    size_t before = BLOCK + hash_len(hash);
    enum kb_status st = KB_BAD_INTEGRITY;

    (void)usage;
    if (cipher.len > 0) {
        memmove(out, cipher.ptr, cipher.len);
    }
    if (cipher.len >= before && cipher.len % BLOCK == 0) {
        st = message_cbc(key, false, out, cipher.len);
        st = st == KB_OK ? check(hash, out, cipher.len) : st;
    }
    if (st != KB_OK) {
        kb_wipe(out, cipher.len);
        return st;
    }
    *out_len = cipher.len - before;
    memmove(out, out + before, *out_len);
    kb_wipe(out + *out_len, before);
    return KB_OK;
}

/* --- checksums: RFC 3961 6.2.4, 6.2.5 --- */

/* Hashes the confounder at the start of `sum` and the data. */
static enum kb_status confounded(enum kb_des_hash hash, const uint8_t *sum,
                                 const struct kb_piece *pieces, size_t num, uint8_t *out)
{
    kb_bytes parts[1 + MAX_PIECES] = {kb_bytes_of(sum, BLOCK)};

    if (num > MAX_PIECES) {
        return KB_TOO_BIG;
    }
    for (size_t i = 0; i < num; i++) {
        parts[1 + i] = kb_bytes_of(kb_piece_source(&pieces[i]), pieces[i].len);
    }
    return make_hash(hash, parts, 1 + num, out);
}

/* Under a variant of the key, so that a checksum is no message. */
static enum kb_status sum_cbc(struct kb_key *key, bool encrypts, uint8_t sum[KB_DES_SUM_LEN])
{
    uint8_t variant[BLOCK];
    enum kb_status st;

    for (size_t i = 0; i < BLOCK; i++) {
        variant[i] = kb_key_bytes(key).ptr[i] ^ 0xf0;
    }
    st = cbc(key, kb_bytes_of(variant, BLOCK), kb_bytes_of(zeros, BLOCK), encrypts, sum,
             KB_DES_SUM_LEN);
    kb_wipe(variant, sizeof(variant));
    return st;
}

enum kb_status kb_des_sum(struct kb_key *key, enum kb_des_hash hash, const struct kb_piece *pieces,
                          size_t num, uint8_t out[KB_DES_SUM_LEN])
{
    enum kb_status st = kb_random(&kb_rng_system, out, BLOCK);

    if (st == KB_OK) {
        st = confounded(hash, out, pieces, num, out + BLOCK);
    }
    if (st == KB_OK) {
        st = sum_cbc(key, true, out);
    }
    if (st != KB_OK) {
        kb_wipe(out, KB_DES_SUM_LEN);
    }
    return st;
}

enum kb_status kb_des_verify(struct kb_key *key, enum kb_des_hash hash, kb_bytes data, kb_bytes sum)
{
    struct kb_piece piece = kb_piece_sign(data);
    uint8_t plain[KB_DES_SUM_LEN], want[MAX_HASH_LEN];
    enum kb_status st;

    if (sum.len != KB_DES_SUM_LEN) {
        return KB_BAD_INTEGRITY;
    }
    memcpy(plain, sum.ptr, sizeof(plain));
    st = sum_cbc(key, false, plain);
    if (st == KB_OK) {
        st = confounded(hash, plain, &piece, 1, want);
    }
    if (st == KB_OK && !kb_equal_secret(kb_bytes_of(plain + BLOCK, sizeof(want)),
                                        kb_bytes_of(want, sizeof(want)))) {
        st = KB_BAD_INTEGRITY;
    }
    kb_wipe(plain, sizeof(plain));
    kb_wipe(want, sizeof(want));
    return st;
}

/* The required one: rsa-md4-des of des-cbc-md4, rsa-md5-des of the others. */
static enum kb_status sum(struct kb_key *key, uint32_t usage, const struct kb_piece *pieces,
                          size_t num, uint8_t *out)
{
    bool md4 = hash_of(kb_key_enctype(key)) == KB_DES_MD4;

    (void)usage;
    return kb_des_sum(key, md4 ? KB_DES_MD4 : KB_DES_MD5, pieces, num, out);
}

/* --- the rest --- */

/* RFC 3961 6.2.1: E(key, MD5(input)), with all three. */
static enum kb_status prf(const struct kb_enctype *enctype, const uint8_t *key,
                          const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    struct kb_stream *stream = NULL;
    enum kb_status st;

    st = kb_stream_new(KB_DES_CBC, kb_bytes_of(key, enctype->key_len), kb_bytes_of(zeros, BLOCK),
                       true, &stream);
    if (st == KB_OK) {
        st = kb_md5(parts, num_parts, out);
    }
    if (st == KB_OK) {
        st = kb_stream_cipher(stream, out, out, KB_MD5_LEN);
    }
    kb_stream_free(stream);
    return st;
}

static uint8_t reversed(uint8_t byte)
{
    byte = (uint8_t)(byte << 4 | byte >> 4);
    byte = (uint8_t)((byte & 0x33) << 2 | (byte & 0xcc) >> 2);
    return (uint8_t)((byte & 0x55) << 1 | (byte & 0xaa) >> 1);
}

/* A walk over password and salt, one after the other, in blocks filled up with zeros. */
static bool next_block(const kb_bytes *password, const kb_bytes *salt, size_t at,
                       uint8_t block[BLOCK])
{
    size_t total = password->len + salt->len;

    for (size_t i = 0; i < BLOCK; i++, at++) {
        block[i] = at < password->len ? password->ptr[at]
                   : at < total       ? salt->ptr[at - password->len]
                                      : 0;
    }
    return at - BLOCK < total;
}

/* Folds the seven low bits of each byte, every second block backwards, into a key. */
static void fan_fold(const kb_bytes *password, const kb_bytes *salt, uint8_t key[BLOCK])
{
    uint8_t block[BLOCK];
    bool backwards = false;

    memset(key, 0, BLOCK);
    for (size_t at = 0; next_block(password, salt, at, block); at += BLOCK) {
        for (size_t i = 0; i < BLOCK; i++) {
            if (backwards) {
                key[BLOCK - 1 - i] ^= reversed(block[i]);
            } else {
                key[i] ^= (uint8_t)(block[i] << 1);
            }
        }
        backwards = !backwards;
    }
    kb_wipe(block, sizeof(block));
}

/* mit_des_string_to_key; AFS's is refused by kb_s2k_iterations. */
static enum kb_status string_to_key(const struct kb_enctype *enctype, kb_bytes password,
                                    kb_bytes salt, uint64_t iterations, uint8_t *out)
{
    uint8_t folded[BLOCK], block[BLOCK];
    struct kb_stream *stream = NULL;
    enum kb_status st;

    (void)enctype;
    (void)iterations;
    fan_fold(&password, &salt, folded);
    kb_des_fix(folded);
    st = kb_stream_new(KB_DES_CBC, kb_bytes_of(folded, BLOCK), kb_bytes_of(folded, BLOCK), true,
                       &stream);
    memcpy(out, folded, BLOCK); /* of no bytes at all the last block is the IV */
    for (size_t at = 0; st == KB_OK && next_block(&password, &salt, at, block); at += BLOCK) {
        st = kb_stream_cipher(stream, block, out, BLOCK);
    }
    kb_des_fix(out);
    kb_stream_free(stream);
    kb_wipe(folded, sizeof(folded));
    kb_wipe(block, sizeof(block));
    return st;
}

const struct kb_enctype_ops kb_des = {
    .hash = KB_MD5,
    .mac_inside = true,
    .prf_len = KB_MD5_LEN,
    .prf = prf,
    .string_to_key = string_to_key,
    .seal = seal,
    .open = open,
    .sum = sum,
    .fix_key = kb_des_fix,
    .is_weak = kb_des_is_weak,
};
