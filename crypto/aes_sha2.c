/* aes128-cts-hmac-sha256-128 and aes256-cts-hmac-sha384-192: RFC 8009. */
#include "crypto/family.h"

/* RFC 8009 3: HMAC(key, 00000001 | label | 00 | context | length in bits), cut; NIST SP 800-108's
 * counter mode with one round. */
static enum kb_status kdf(enum kb_hash hash, kb_bytes key, kb_bytes label, const kb_bytes *context,
                          size_t num_context, uint8_t *out, size_t out_len)
{
    static const uint8_t first[4] = {0, 0, 0, 1}, zero;
    uint8_t bits[4] = {0, 0, (uint8_t)(out_len * 8 >> 8), (uint8_t)(out_len * 8)};
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_hmac_key hmac_key;
    struct kb_hmac mac;
    enum kb_status st;

    kb_hmac_key_init(&hmac_key, hash, key);
    kb_hmac_begin(&mac, &hmac_key);
    kb_hmac_add(&mac, first, sizeof(first));
    kb_hmac_add(&mac, label.ptr, label.len);
    kb_hmac_add(&mac, &zero, 1);
    for (size_t i = 0; i < num_context; i++) {
        kb_hmac_add(&mac, context[i].ptr, context[i].len);
    }
    kb_hmac_add(&mac, bits, sizeof(bits));
    st = kb_hmac_end(&mac, digest);
    memcpy(out, digest, out_len);
    kb_wipe(digest, sizeof(digest));
    kb_wipe(&hmac_key, sizeof(hmac_key));
    return st;
}

enum kb_status kb_aes_sha2_kdf(enum kb_hash hash, kb_bytes key, kb_bytes label, uint8_t *out,
                               size_t out_len)
{
    return kdf(hash, key, label, NULL, 0, out, out_len);
}

static enum kb_status derive_for(const struct kb_enctype *enctype, const uint8_t *key,
                                 uint32_t usage, uint8_t which, uint8_t *out, size_t out_len)
{
    uint8_t label[5] = {(uint8_t)(usage >> 24), (uint8_t)(usage >> 16), (uint8_t)(usage >> 8),
                        (uint8_t)usage, which};

    return kb_aes_sha2_kdf(enctype->ops->hash, kb_bytes_of(key, enctype->key_len),
                           kb_bytes_of(label, sizeof(label)), out, out_len);
}

/* RFC 8009 5: Ki and Kc are as long as the tag (128 or 192 bits), Ke as the key. */
static enum kb_status derive(const struct kb_enctype *enctype, const uint8_t *key,
                             struct kb_derived *out)
{
    bool seal = out->purpose == KB_TO_SEAL;
    uint8_t mac_key[KB_MAX_DIGEST_LEN];
    enum kb_status st;

    st = derive_for(enctype, key, out->usage, seal ? 0x55 : 0x99, mac_key, enctype->mac_len);
    if (st == KB_OK && seal) {
        st = derive_for(enctype, key, out->usage, 0xaa, out->ke, enctype->key_len);
    }
    kb_hmac_key_init(&out->mac, enctype->ops->hash, kb_bytes_of(mac_key, enctype->mac_len));
    kb_wipe(mac_key, sizeof(mac_key));
    return st;
}

/* RFC 8009 5: KDF-HMAC-SHA2(key, "prf", input), a whole digest. */
static enum kb_status prf(const struct kb_enctype *enctype, const uint8_t *key,
                          const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    return kdf(enctype->ops->hash, kb_bytes_of(key, enctype->key_len), KB_LIT("prf"), parts,
               num_parts, out, enctype->ops->prf_len);
}

/* RFC 8009 4: the salt starts with the enctype's name and a NUL. */
static enum kb_status string_to_key(const struct kb_enctype *enctype, kb_bytes password,
                                    kb_bytes salt, uint64_t iterations, uint8_t *out)
{
    kb_bytes saltp[] = {kb_bytes_of(enctype->name, strlen(enctype->name) + 1), salt};
    uint8_t tkey[KB_MAX_KEY_LEN];
    enum kb_status st;

    st = kb_pbkdf2(enctype->ops->hash, password, saltp, 2, iterations, tkey, enctype->key_len);
    if (st == KB_OK) {
        st = kb_aes_sha2_kdf(enctype->ops->hash, kb_bytes_of(tkey, enctype->key_len),
                             KB_LIT("kerberos"), out, enctype->key_len);
    }
    kb_wipe(tkey, sizeof(tkey));
    return st;
}

const struct kb_enctype_ops kb_aes128_sha2 = {
    .hash = KB_SHA256,
    .mac_of_cipher = true,
    .prf_len = 32,
    .derive = derive,
    .prf = prf,
    .string_to_key = string_to_key,
};

const struct kb_enctype_ops kb_aes256_sha2 = {
    .hash = KB_SHA384,
    .mac_of_cipher = true,
    .prf_len = 48,
    .derive = derive,
    .prf = prf,
    .string_to_key = string_to_key,
};
