/* camellia128/256-cts-cmac: RFC 6803. */
#include "crypto/family.h"

static enum kb_status need(const struct kb_enctype *enctype)
{
    return kb_primitive_need(enctype->key_len == 16 ? KB_CAMELLIA128_CBC : KB_CAMELLIA256_CBC);
}

/* A key with what CMAC keeps of it. */
struct cmac {
    struct kb_cipher *cipher;
    struct kb_cmac_key key;
};

static enum kb_status cmac_open(const struct kb_enctype *enctype, const uint8_t *key,
                                struct cmac *out)
{
    enum kb_status st = need(enctype);

    out->cipher = NULL;
    if (st != KB_OK) {
        return st;
    }
    out->cipher = kb_cipher_new(KB_CAMELLIA, kb_bytes_of(key, enctype->key_len), true);
    return out->cipher != NULL ? kb_cmac_key_init(&out->key, out->cipher) : KB_NO_MEMORY;
}

static void cmac_wipe(struct cmac *cmac)
{
    kb_cipher_free(cmac->cipher);
    kb_wipe(cmac, sizeof(*cmac));
}

static kb_bytes number(uint32_t n, uint8_t buf[4])
{
    for (int i = 0; i < 4; i++) {
        buf[i] = (uint8_t)(n >> (24 - 8 * i));
    }
    return kb_bytes_of(buf, 4);
}

/* RFC 6803 3, KDF-FEEDBACK-CMAC: K(i) = CMAC(key, K(i-1) | i | constant | 0 | k). */
static enum kb_status kdf(const struct cmac *cmac, kb_bytes constant, uint8_t *out, size_t out_len)
{
    uint8_t previous[KB_BLOCK] = {0}, index[4], bits[4];
    enum kb_status st = KB_OK;

    for (size_t done = 0; st == KB_OK && done < out_len; done += KB_BLOCK) { /* whole blocks */
        kb_bytes parts[] = {
            kb_bytes_of(previous, KB_BLOCK), number((uint32_t)(done / KB_BLOCK) + 1, index),
            constant, kb_bytes_of((const uint8_t *)"", 1), number((uint32_t)out_len * 8, bits)};

        st = kb_cmac_parts(&cmac->key, cmac->cipher, parts, 5, previous);
        memcpy(out + done, previous, KB_BLOCK);
    }
    kb_wipe(previous, sizeof(previous));
    return st;
}

enum kb_status kb_camellia_kdf(const struct kb_enctype *enctype, const uint8_t *key,
                               kb_bytes constant, uint8_t *out)
{
    struct cmac cmac;
    enum kb_status st = cmac_open(enctype, key, &cmac);

    if (st == KB_OK) {
        st = kdf(&cmac, constant, out, enctype->key_len);
    }
    cmac_wipe(&cmac);
    return st;
}

static enum kb_status derive_for(const struct cmac *cmac, uint32_t usage, uint8_t which,
                                 uint8_t *out, size_t out_len)
{
    uint8_t constant[5];

    number(usage, constant);
    constant[4] = which;
    return kdf(cmac, kb_bytes_of(constant, sizeof(constant)), out, out_len);
}

/* Of Ki or Kc the context is kept right away: the subkeys need one. */
static enum kb_status derive(const struct kb_enctype *enctype, const uint8_t *key,
                             struct kb_derived *out)
{
    bool seal = out->purpose == KB_TO_SEAL;
    struct cmac base, mac = {0};
    enum kb_status st = cmac_open(enctype, key, &base);

    if (st == KB_OK) {
        st = derive_for(&base, out->usage, seal ? 0x55 : 0x99, out->cmac.raw, enctype->key_len);
    }
    if (st == KB_OK && seal) {
        st = derive_for(&base, out->usage, 0xaa, out->ke, enctype->key_len);
    }
    if (st == KB_OK) {
        st = cmac_open(enctype, out->cmac.raw, &mac);
    }
    if (st == KB_OK) {
        out->cmac.key = mac.key;
        kb_ciphers_keep(&out->cmac.ciphers, mac.cipher);
        mac.cipher = NULL;
    }
    cmac_wipe(&mac);
    cmac_wipe(&base);
    return st;
}

/* RFC 6803 6: CMAC(Kp, input). */
static enum kb_status prf(const struct kb_enctype *enctype, const uint8_t *key,
                          const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    uint8_t kp[KB_MAX_KEY_LEN];
    struct cmac cmac = {0};
    enum kb_status st = kb_camellia_kdf(enctype, key, KB_LIT("prf"), kp);

    if (st == KB_OK) {
        st = cmac_open(enctype, kp, &cmac);
    }
    if (st == KB_OK) {
        st = kb_cmac_parts(&cmac.key, cmac.cipher, parts, num_parts, out);
    }
    cmac_wipe(&cmac);
    kb_wipe(kp, sizeof(kp));
    return st;
}

/* RFC 6803 4: the salt starts with the enctype's name and a NUL. */
static enum kb_status string_to_key(const struct kb_enctype *enctype, kb_bytes password,
                                    kb_bytes salt, uint64_t iterations, uint8_t *out)
{
    kb_bytes saltp[] = {kb_bytes_of(enctype->name, strlen(enctype->name) + 1), salt};
    uint8_t tkey[KB_MAX_KEY_LEN];
    enum kb_status st = need(enctype); /* before the rounds are spent */

    if (st == KB_OK) {
        st = kb_pbkdf2(KB_SHA1, password, saltp, 2, iterations, tkey, enctype->key_len);
    }
    if (st == KB_OK) {
        st = kb_camellia_kdf(enctype, tkey, KB_LIT("kerberos"), out);
    }
    kb_wipe(tkey, sizeof(tkey));
    return st;
}

const struct kb_enctype_ops kb_camellia = {
    .cipher = KB_CAMELLIA,
    .cmac = true,
    .prf_len = KB_BLOCK,
    .derive = derive,
    .prf = prf,
    .string_to_key = string_to_key,
};
