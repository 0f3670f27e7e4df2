/* des3-cbc-sha1 (des3-cbc-hmac-sha1-kd): RFC 3961 6.3, in the simplified profile of 5.3.
 *
 * CBC without ciphertext stealing: what is not whole blocks is filled up with zeros, which the MAC
 * covers, and which come out again behind the plaintext. */
#include "crypto/des.h"
#include "crypto/family.h"
#include "crypto/nfold.h"
#include "crypto/streams.h"

#include <stdlib.h>

#define BLOCK KB_DES_BLOCK
#define KEY_LEN ((size_t)24)
#define MAC_LEN ((size_t)20)
#define PRF_LEN ((size_t)16) /* of SHA-1's 20 bytes, whole blocks */

static const uint8_t zeros[BLOCK];

/* --- keys --- */

static void fix_key(uint8_t *key)
{
    for (size_t i = 0; i < KEY_LEN; i += BLOCK) {
        kb_des_fix(key + i);
    }
}

/* RFC 3961 6.3.1: of each seven bytes the lowest bits go to an eighth, and make room for parity. */
void kb_des3_random_to_key(const uint8_t seed[KB_DES3_SEED_LEN], uint8_t *key)
{
    for (size_t i = 0; i < KEY_LEN; i += BLOCK) {
        uint8_t last = 0;

        for (size_t j = 0; j < BLOCK - 1; j++) {
            key[i + j] = seed[j];
            last |= (uint8_t)((seed[j] & 1) << (j + 1));
        }
        key[i + BLOCK - 1] = last;
        seed += BLOCK - 1;
    }
    fix_key(key);
}

/* --- derivation --- */

/* RFC 3961 5.1, DR: the constant is encrypted again and again, which is a CBC of zeros behind it;
 * 168 bits of that are taken. DK makes a key of them. */
static enum kb_status derive_key(struct kb_stream *stream, kb_bytes constant, uint8_t *out)
{
    uint8_t random[KEY_LEN] = {0};
    enum kb_status st;

    kb_nfold(constant, random, BLOCK);
    st = kb_stream_rekey(stream, KB_NONE, kb_bytes_of(zeros, BLOCK));
    if (st == KB_OK) {
        st = kb_stream_cipher(stream, random, random, KEY_LEN);
    }
    if (st == KB_OK) {
        kb_des3_random_to_key(random, out);
    }
    kb_wipe(random, sizeof(random));
    return st;
}

static enum kb_status stream_of(const uint8_t *key, struct kb_stream **out)
{
    return kb_stream_new(KB_DES3_CBC, kb_bytes_of(key, KEY_LEN), kb_bytes_of(zeros, BLOCK), true,
                         out);
}

enum kb_status kb_des3_dk(const uint8_t *key, kb_bytes constant, uint8_t *out)
{
    struct kb_stream *stream;
    enum kb_status st = stream_of(key, &stream);

    if (st == KB_OK) {
        st = derive_key(stream, constant, out);
        kb_stream_free(stream);
    }
    return st;
}

static enum kb_status derive_for(struct kb_stream *stream, uint32_t usage, uint8_t which,
                                 uint8_t *out)
{
    uint8_t constant[5] = {(uint8_t)(usage >> 24), (uint8_t)(usage >> 16), (uint8_t)(usage >> 8),
                           (uint8_t)usage, which};

    return derive_key(stream, kb_bytes_of(constant, sizeof(constant)), out);
}

static enum kb_status derive(const struct kb_enctype *enctype, const uint8_t *key,
                             struct kb_derived *out)
{
    bool seal = out->purpose == KB_TO_SEAL;
    uint8_t mac_key[KEY_LEN];
    struct kb_stream *stream;
    enum kb_status st = stream_of(key, &stream);

    (void)enctype;
    if (st != KB_OK) {
        return st;
    }
    st = derive_for(stream, out->usage, seal ? 0x55 : 0x99, mac_key);
    if (st == KB_OK && seal) {
        st = derive_for(stream, out->usage, 0xaa, out->ke);
    }
    if (st == KB_OK) {
        kb_hmac_key_init(&out->mac, KB_SHA1, kb_bytes_of(mac_key, KEY_LEN));
    }
    kb_stream_free(stream);
    kb_wipe(mac_key, sizeof(mac_key));
    return st;
}

/* --- messages --- */

/* One CBC in place under Ke, with a context of the key's. */
static enum kb_status cbc(struct kb_key *key, const struct kb_derived *derived, bool encrypts,
                          uint8_t *data, size_t len)
{
    struct kb_streams *streams;
    struct kb_stream *stream;
    enum kb_status st = kb_key_streams(key, &streams);

    if (st == KB_OK) {
        st = kb_streams_take(streams, KB_DES3_CBC, kb_bytes_of(derived->ke, KEY_LEN),
                             kb_bytes_of(zeros, BLOCK), encrypts, &stream);
    }
    if (st == KB_OK) {
        st = kb_stream_cipher(stream, data, data, len);
        kb_streams_put(streams, encrypts, stream, st);
    }
    return st;
}

static enum kb_status seal(struct kb_key *key, uint32_t usage, const struct kb_rng *rng,
                           kb_bytes plain, uint8_t *out)
{
    size_t total = kb_encrypted_len(key, plain.len), len = total - MAC_LEN;
    uint8_t digest[KB_MAX_DIGEST_LEN];
    kb_bytes part = kb_bytes_of(out, len);
    struct kb_derived *derived;
    enum kb_status st;

    if (plain.len > 0) {
        memmove(out + BLOCK, plain.ptr, plain.len);
    }
    memset(out + BLOCK + plain.len, 0, len - BLOCK - plain.len);
    st = kb_key_derived(key, usage, KB_TO_SEAL, &derived);
    if (st == KB_OK) {
        st = kb_random(rng, out, BLOCK);
    }
    if (st == KB_OK) {
        st = kb_hmac_parts(&derived->mac, &part, 1, digest);
    }
    if (st == KB_OK) {
        memcpy(out + len, digest, MAC_LEN);
        st = cbc(key, derived, true, out, len);
    }
    if (st != KB_OK) {
        kb_wipe(out, total);
    }
    return st;
}

static enum kb_status check(const struct kb_derived *derived, const uint8_t *out, size_t len)
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    kb_bytes part = kb_bytes_of(out, len);
    enum kb_status st = kb_hmac_parts(&derived->mac, &part, 1, digest);

    if (st == KB_OK &&
        !kb_equal_secret(kb_bytes_of(digest, MAC_LEN), kb_bytes_of(out + len, MAC_LEN))) {
        st = KB_BAD_INTEGRITY;
    }
    kb_wipe(digest, sizeof(digest)); /* what it should have been: a MAC for the attacker's data */
    return st;
}

static enum kb_status open(struct kb_key *key, uint32_t usage, kb_bytes cipher, uint8_t *out,
                           size_t *out_len)
{
    size_t len = cipher.len >= MAC_LEN ? cipher.len - MAC_LEN : 0;
    struct kb_derived *derived;
    enum kb_status st = KB_BAD_INTEGRITY;

    if (cipher.len > 0) {
        memmove(out, cipher.ptr, cipher.len);
    }
    if (len >= BLOCK && len % BLOCK == 0) {
        st = kb_key_derived(key, usage, KB_TO_SEAL, &derived);
        if (st == KB_OK) {
            st = cbc(key, derived, false, out, len);
        }
        if (st == KB_OK) {
            st = check(derived, out, len);
        }
    }
    if (st != KB_OK) {
        kb_wipe(out, cipher.len);
        return st;
    }
    *out_len = len - BLOCK;
    memmove(out, out + BLOCK, *out_len);
    kb_wipe(out + *out_len, cipher.len - *out_len);
    return KB_OK;
}

/* hmac-sha1-des3-kd: HMAC under Kc. */
static enum kb_status sum(struct kb_key *key, uint32_t usage, const struct kb_piece *pieces,
                          size_t num, uint8_t *out)
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_derived *derived;
    struct kb_hmac mac;
    enum kb_status st = kb_key_derived(key, usage, KB_TO_SUM, &derived);

    if (st != KB_OK) {
        return st;
    }
    kb_hmac_begin(&mac, &derived->mac);
    for (size_t i = 0; i < num; i++) {
        if (pieces[i].len > 0) {
            kb_hmac_add(&mac, kb_piece_source(&pieces[i]), pieces[i].len);
        }
    }
    st = kb_hmac_end(&mac, digest);
    if (st == KB_OK) {
        memcpy(out, digest, MAC_LEN);
    }
    kb_wipe(digest, sizeof(digest));
    return st;
}

/* --- the rest --- */

/* RFC 3961 5.3: E(DK(key, "prf"), H(input)), the digest cut to whole blocks. */
static enum kb_status prf(const struct kb_enctype *enctype, const uint8_t *key,
                          const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    uint8_t digest[KB_MAX_DIGEST_LEN], derived[KEY_LEN];
    struct kb_stream *stream = NULL;
    enum kb_status st = kb_des3_dk(key, KB_LIT("prf"), derived);

    (void)enctype;
    if (st == KB_OK) {
        st = stream_of(derived, &stream);
    }
    if (st == KB_OK) {
        st = kb_hash(KB_SHA1, parts, num_parts, digest);
    }
    if (st == KB_OK) {
        st = kb_stream_cipher(stream, digest, out, PRF_LEN);
    }
    kb_stream_free(stream);
    kb_wipe(digest, sizeof(digest));
    kb_wipe(derived, sizeof(derived));
    return st;
}

/* RFC 3961 6.3.1. Of an empty password and salt MIT folds zeros. */
static enum kb_status string_to_key(const struct kb_enctype *enctype, kb_bytes password,
                                    kb_bytes salt, uint64_t iterations, uint8_t *out)
{
    size_t len = password.len + salt.len;
    uint8_t *text = malloc(len + 1);
    uint8_t seed[KB_DES3_SEED_LEN] = {0}, key[KEY_LEN];
    enum kb_status st;

    (void)enctype;
    (void)iterations;
    if (text == NULL) {
        return KB_NO_MEMORY;
    }
    if (password.len > 0) {
        memcpy(text, password.ptr, password.len);
    }
    if (salt.len > 0) {
        memcpy(text + password.len, salt.ptr, salt.len);
    }
    if (len > 0) {
        kb_nfold(kb_bytes_of(text, len), seed, sizeof(seed));
    }
    kb_des3_random_to_key(seed, key);
    st = kb_des3_dk(key, KB_LIT("kerberos"), out);
    kb_free_secret(text, len);
    kb_wipe(seed, sizeof(seed));
    kb_wipe(key, sizeof(key));
    return st;
}

const struct kb_enctype_ops kb_des3 = {
    .hash = KB_SHA1,
    .prf_len = PRF_LEN,
    .derive = derive,
    .prf = prf,
    .string_to_key = string_to_key,
    .seal = seal,
    .open = open,
    .sum = sum,
    .fix_key = fix_key,
};
