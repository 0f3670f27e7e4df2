/* aes128/256-cts-hmac-sha1-96: RFC 3962, in the simplified profile of RFC 3961 5.3. */
#include "crypto/family.h"

#include "crypto/nfold.h"

#include <endian.h>

/* DR: the constant is encrypted again and again under the key; for AES random-to-key is the
 * identity, so DK = DR. */
static enum kb_status derive_random(struct kb_cipher *cipher, kb_bytes constant, uint8_t *out,
                                    size_t out_len)
{
    uint8_t block[KB_BLOCK];
    enum kb_status st = KB_OK;

    kb_nfold(constant, block, sizeof(block));
    for (size_t done = 0; st == KB_OK && done < out_len; done += KB_BLOCK) {
        st = kb_cipher_block(cipher, block, block);
        memcpy(out + done, block, KB_BLOCK); /* key lengths are whole blocks */
    }
    kb_wipe(block, sizeof(block));
    return st;
}

enum kb_status kb_aes_sha1_dk(kb_bytes key, kb_bytes constant, uint8_t *out)
{
    struct kb_cipher *cipher = kb_cipher_new(KB_AES, key, true);
    enum kb_status st;

    if (cipher == NULL) {
        return KB_NO_MEMORY;
    }
    st = derive_random(cipher, constant, out, key.len);
    kb_cipher_free(cipher);
    return st;
}

/* The constant is the usage and a byte that tells the keys of a usage apart (RFC 3961 5.3). */
static enum kb_status derive_for(struct kb_cipher *cipher, uint32_t usage, uint8_t which,
                                 uint8_t *out, size_t out_len)
{
    uint8_t constant[5] = {(uint8_t)(usage >> 24), (uint8_t)(usage >> 16), (uint8_t)(usage >> 8),
                           (uint8_t)usage, which};

    return derive_random(cipher, kb_bytes_of(constant, sizeof(constant)), out, out_len);
}

static enum kb_status derive(const struct kb_enctype *enctype, const uint8_t *key,
                             struct kb_derived *out)
{
    struct kb_cipher *cipher = kb_cipher_new(KB_AES, kb_bytes_of(key, enctype->key_len), true);
    bool seal = out->purpose == KB_TO_SEAL;
    uint8_t mac_key[KB_MAX_KEY_LEN];
    enum kb_status st;

    if (cipher == NULL) {
        return KB_NO_MEMORY;
    }
    st = derive_for(cipher, out->usage, seal ? 0x55 : 0x99, mac_key, enctype->key_len);
    if (st == KB_OK && seal) {
        st = derive_for(cipher, out->usage, 0xaa, out->ke, enctype->key_len);
    }
    if (st == KB_OK) {
        kb_hmac_key_init(&out->mac, KB_SHA1, kb_bytes_of(mac_key, enctype->key_len));
    }
    kb_cipher_free(cipher);
    kb_wipe(mac_key, sizeof(mac_key));
    return st;
}

/* RFC 3961 5.3: E(DK(key, "prf"), H(input)), the digest cut to whole blocks: to one. */
static enum kb_status prf(const struct kb_enctype *enctype, const uint8_t *key,
                          const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    uint8_t digest[KB_MAX_DIGEST_LEN], derived[KB_MAX_KEY_LEN];
    struct kb_cipher *cipher = NULL;
    enum kb_status st;

    st = kb_aes_sha1_dk(kb_bytes_of(key, enctype->key_len), KB_LIT("prf"), derived);
    if (st == KB_OK) {
        cipher = kb_cipher_new(KB_AES, kb_bytes_of(derived, enctype->key_len), true);
        st = cipher != NULL ? KB_OK : KB_NO_MEMORY;
    }
    if (st == KB_OK) {
        st = kb_hash(KB_SHA1, parts, num_parts, digest);
    }
    if (st == KB_OK) {
        st = kb_cipher_block(cipher, digest, out);
    }
    kb_cipher_free(cipher);
    kb_wipe(derived, sizeof(derived));
    return st;
}

/* RFC 3962 4. */
static enum kb_status string_to_key(const struct kb_enctype *enctype, kb_bytes password,
                                    kb_bytes salt, uint64_t iterations, uint8_t *out)
{
    uint8_t tkey[KB_MAX_KEY_LEN];
    enum kb_status st;

    st = kb_pbkdf2(KB_SHA1, password, &salt, 1, iterations, tkey, enctype->key_len);
    if (st == KB_OK) {
        st = kb_aes_sha1_dk(kb_bytes_of(tkey, enctype->key_len), KB_LIT("kerberos"), out);
    }
    kb_wipe(tkey, sizeof(tkey));
    return st;
}

const struct kb_enctype_ops kb_aes_sha1 = {
    .hash = KB_SHA1,
    .mac_of_cipher = false,
    .prf_len = KB_BLOCK,
    .derive = derive,
    .prf = prf,
    .string_to_key = string_to_key,
};
