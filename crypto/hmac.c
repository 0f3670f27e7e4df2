#include "crypto/hmac.h"

#include <endian.h>

#include "crypto/provided.h"

static const struct {
    uint8_t digest_len, block_len;
} shapes[] = {
    [KB_SHA1] = {20, 64},
    [KB_SHA256] = {32, 64},
    [KB_SHA384] = {48, 128},
    [KB_MD5] = {16, 64},
};

size_t kb_digest_len(enum kb_hash hash)
{
    return shapes[hash].digest_len;
}

size_t kb_hash_block_len(enum kb_hash hash)
{
    return shapes[hash].block_len;
}

/* --- the four hashes under one set of names; the only place that tells them apart --- */

static void hash_begin(enum kb_hash hash, union kb_hash_state *state)
{
    switch (hash) {
    case KB_SHA1:
        kb_ssl()->SHA1_Init(&state->sha1);
        break;
    case KB_SHA256:
        kb_ssl()->SHA256_Init(&state->sha256);
        break;
    case KB_MD5:
        kb_ssl()->MD5_Init(&state->md5);
        break;
    default: /* KB_SHA384 */
        kb_ssl()->SHA384_Init(&state->sha512);
        break;
    }
}

static inline void hash_add(enum kb_hash hash, union kb_hash_state *state, const void *data,
                            size_t len)
{
    switch (hash) {
    case KB_SHA1:
        kb_ssl()->SHA1_Update(&state->sha1, data, len);
        break;
    case KB_SHA256:
        kb_ssl()->SHA256_Update(&state->sha256, data, len);
        break;
    case KB_MD5:
        kb_ssl()->MD5_Update(&state->md5, data, len);
        break;
    default: /* KB_SHA384 */
        kb_ssl()->SHA384_Update(&state->sha512, data, len);
        break;
    }
}

static inline void hash_end(enum kb_hash hash, union kb_hash_state *state, uint8_t *out)
{
    switch (hash) {
    case KB_SHA1:
        kb_ssl()->SHA1_Final(out, &state->sha1);
        break;
    case KB_SHA256:
        kb_ssl()->SHA256_Final(out, &state->sha256);
        break;
    case KB_MD5:
        kb_ssl()->MD5_Final(out, &state->md5);
        break;
    default: /* KB_SHA384 */
        kb_ssl()->SHA384_Final(out, &state->sha512);
        break;
    }
}

static void chaining_of(enum kb_hash hash, const union kb_hash_state *state, union kb_chaining *out)
{
    switch (hash) {
    case KB_SHA1:
        *out = (union kb_chaining){.sha1 = {state->sha1.h0, state->sha1.h1, state->sha1.h2,
                                            state->sha1.h3, state->sha1.h4}};
        break;
    case KB_SHA256:
        memcpy(out->sha256, state->sha256.h, sizeof(out->sha256));
        break;
    case KB_MD5:
        *out = (union kb_chaining){.md5 = {state->md5.A, state->md5.B, state->md5.C, state->md5.D}};
        break;
    default: /* KB_SHA384 */
        memcpy(out->sha512, state->sha512.h, sizeof(out->sha512));
        break;
    }
}

/* The state after one block with this chaining value. The data buffer is left as it is: `num` says
 * that nothing in it counts. */
static inline void hash_resume(enum kb_hash hash, union kb_hash_state *state,
                               const union kb_chaining *from)
{
    switch (hash) {
    case KB_SHA1:
        state->sha1.h0 = from->sha1[0];
        state->sha1.h1 = from->sha1[1];
        state->sha1.h2 = from->sha1[2];
        state->sha1.h3 = from->sha1[3];
        state->sha1.h4 = from->sha1[4];
        state->sha1.Nl = 64 * 8;
        state->sha1.Nh = 0;
        state->sha1.num = 0;
        break;
    case KB_SHA256:
        memcpy(state->sha256.h, from->sha256, sizeof(from->sha256));
        state->sha256.Nl = 64 * 8;
        state->sha256.Nh = 0;
        state->sha256.num = 0;
        state->sha256.md_len = SHA256_DIGEST_LENGTH;
        break;
    case KB_MD5:
        state->md5.A = from->md5[0];
        state->md5.B = from->md5[1];
        state->md5.C = from->md5[2];
        state->md5.D = from->md5[3];
        state->md5.Nl = 64 * 8;
        state->md5.Nh = 0;
        state->md5.num = 0;
        break;
    default: /* KB_SHA384 */
        memcpy(state->sha512.h, from->sha512, sizeof(from->sha512));
        state->sha512.Nl = 128 * 8;
        state->sha512.Nh = 0;
        state->sha512.num = 0;
        state->sha512.md_len = SHA384_DIGEST_LENGTH;
        break;
    }
}

/* Compresses one block from `from` on and writes the digest's words over the block's start. */
static inline void hash_block(enum kb_hash hash, union kb_hash_state *state,
                              const union kb_chaining *from, uint8_t *block)
{
    union kb_chaining end;

    hash_resume(hash, state, from);
    switch (hash) {
    case KB_SHA1:
        kb_ssl()->SHA1_Transform(&state->sha1, block);
        end.sha1[0] = htobe32(state->sha1.h0);
        end.sha1[1] = htobe32(state->sha1.h1);
        end.sha1[2] = htobe32(state->sha1.h2);
        end.sha1[3] = htobe32(state->sha1.h3);
        end.sha1[4] = htobe32(state->sha1.h4);
        memcpy(block, end.sha1, SHA_DIGEST_LENGTH);
        break;
    case KB_SHA256:
        kb_ssl()->SHA256_Transform(&state->sha256, block);
        for (int i = 0; i < 8; i++) {
            end.sha256[i] = htobe32(state->sha256.h[i]);
        }
        memcpy(block, end.sha256, SHA256_DIGEST_LENGTH);
        break;
    default: /* KB_SHA384 */
        kb_ssl()->SHA512_Transform(&state->sha512, block);
        for (int i = 0; i < 6; i++) {
            end.sha512[i] = htobe64(state->sha512.h[i]);
        }
        memcpy(block, end.sha512, SHA384_DIGEST_LENGTH);
        break;
    }
}

/* --- what is made of them --- */

enum kb_status kb_hash(enum kb_hash hash, const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    union kb_hash_state state;

    if (kb_ssl()->provided) {
        return kb_provided_hash(hash, parts, num_parts, out);
    }
    hash_begin(hash, &state);
    for (size_t i = 0; i < num_parts; i++) {
        hash_add(hash, &state, parts[i].ptr, parts[i].len);
    }
    hash_end(hash, &state, out);
    kb_wipe(&state, sizeof(state));
    return KB_OK;
}

static void keyed_block(enum kb_hash hash, const uint8_t *secret, uint8_t pad,
                        union kb_chaining *out)
{
    uint8_t block[KB_MAX_HASH_BLOCK];
    union kb_hash_state state;

    for (size_t i = 0; i < shapes[hash].block_len; i++) {
        block[i] = secret[i] ^ pad;
    }
    hash_begin(hash, &state);
    hash_add(hash, &state, block, shapes[hash].block_len);
    chaining_of(hash, &state, out);
    kb_wipe(&state, sizeof(state));
    kb_wipe(block, sizeof(block));
}

void kb_hmac_key_init(struct kb_hmac_key *key, enum kb_hash hash, kb_bytes secret)
{
    uint8_t padded[KB_MAX_HASH_BLOCK] = {0};

    key->hash = hash;
    if (kb_ssl()->provided) {
        kb_provided_hmac_key(key, secret);
        return;
    }
    if (secret.len > shapes[hash].block_len) {
        (void)!kb_hash(hash, &secret, 1, padded); /* cannot fail here */
    } else if (secret.len > 0) {
        memcpy(padded, secret.ptr, secret.len);
    }
    keyed_block(hash, padded, 0x36, &key->inner);
    keyed_block(hash, padded, 0x5c, &key->outer);
    kb_wipe(padded, sizeof(padded));
}

void kb_hmac_begin(struct kb_hmac *mac, const struct kb_hmac_key *key)
{
    mac->key = key;
    if (kb_ssl()->provided) {
        kb_provided_hmac_begin(mac);
        return;
    }
    hash_resume(key->hash, &mac->state, &key->inner);
}

void kb_hmac_add(struct kb_hmac *mac, const void *data, size_t len)
{
    if (kb_ssl()->provided) {
        kb_provided_hmac_add(mac, data, len);
        return;
    }
    hash_add(mac->key->hash, &mac->state, data, len);
}

enum kb_status kb_hmac_end(struct kb_hmac *mac, uint8_t out[KB_MAX_DIGEST_LEN])
{
    enum kb_hash hash = mac->key->hash;

    if (kb_ssl()->provided) {
        return kb_provided_hmac_end(mac, out);
    }
    hash_end(hash, &mac->state, out);
    hash_resume(hash, &mac->state, &mac->key->outer);
    hash_add(hash, &mac->state, out, shapes[hash].digest_len);
    hash_end(hash, &mac->state, out);
    kb_wipe(mac, sizeof(*mac));
    return KB_OK;
}

enum kb_status kb_hmac_parts(const struct kb_hmac_key *key, const kb_bytes *parts, size_t num_parts,
                             uint8_t out[KB_MAX_DIGEST_LEN])
{
    struct kb_hmac mac;

    kb_hmac_begin(&mac, key);
    for (size_t i = 0; i < num_parts; i++) {
        kb_hmac_add(&mac, parts[i].ptr, parts[i].len);
    }
    return kb_hmac_end(&mac, out);
}

/* U_2 .. U_c: each is an HMAC over one digest, that is two compressions of a block which differs in
 * the digest only, its padding staying (both messages have a block and a digest). */
static void pbkdf2_iterate(const struct kb_hmac_key *key, uint64_t count,
                           uint8_t block[KB_MAX_HASH_BLOCK], uint8_t *sum)
{
    size_t digest_len = shapes[key->hash].digest_len, block_len = shapes[key->hash].block_len;
    uint16_t bits = htobe16((uint16_t)((block_len + digest_len) * 8));
    union kb_hash_state state = {0};

    memset(block + digest_len, 0, block_len - digest_len);
    block[digest_len] = 0x80;
    memcpy(block + block_len - sizeof(bits), &bits, sizeof(bits));
    while (count-- > 0) {
        hash_block(key->hash, &state, &key->inner, block);
        hash_block(key->hash, &state, &key->outer, block);
        for (size_t i = 0; i < digest_len; i++) {
            sum[i] ^= block[i];
        }
    }
    kb_wipe(&state, sizeof(state));
}

static void pbkdf2_block(const struct kb_hmac_key *key, const kb_bytes *salt_parts,
                         size_t num_parts, uint32_t index, uint64_t iterations,
                         uint8_t sum[KB_MAX_DIGEST_LEN])
{
    uint8_t block[KB_MAX_HASH_BLOCK];
    struct kb_hmac mac;

    index = htobe32(index);
    kb_hmac_begin(&mac, key);
    for (size_t i = 0; i < num_parts; i++) {
        kb_hmac_add(&mac, salt_parts[i].ptr, salt_parts[i].len);
    }
    kb_hmac_add(&mac, &index, sizeof(index));
    (void)!kb_hmac_end(&mac, sum); /* cannot fail here */
    memcpy(block, sum, shapes[key->hash].digest_len);
    pbkdf2_iterate(key, iterations - 1, block, sum);
    kb_wipe(block, sizeof(block));
}

enum kb_status kb_pbkdf2(enum kb_hash hash, kb_bytes password, const kb_bytes *salt_parts,
                         size_t num_parts, uint64_t iterations, uint8_t *out, size_t out_len)
{
    uint8_t sum[KB_MAX_DIGEST_LEN];
    struct kb_hmac_key key;

    if (kb_ssl()->provided) {
        return kb_provided_pbkdf2(hash, password, salt_parts, num_parts, iterations, out, out_len);
    }
    kb_hmac_key_init(&key, hash, password);
    for (uint32_t index = 1; out_len > 0; index++) {
        size_t n = out_len < shapes[hash].digest_len ? out_len : shapes[hash].digest_len;

        pbkdf2_block(&key, salt_parts, num_parts, index, iterations, sum);
        memcpy(out, sum, n);
        out += n;
        out_len -= n;
    }
    kb_wipe(sum, sizeof(sum));
    kb_wipe(&key, sizeof(key));
    return KB_OK;
}
