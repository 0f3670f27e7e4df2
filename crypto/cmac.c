#include "crypto/cmac.h"

/* SP 800-38B 6.1: a shift by one bit, which is a doubling in GF(2^128). */
static void double_block(const uint8_t in[KB_BLOCK], uint8_t out[KB_BLOCK])
{
    uint8_t carry = in[0] >> 7;

    for (size_t i = 0; i < KB_BLOCK; i++) {
        out[i] = (uint8_t)(in[i] << 1 | (i + 1 < KB_BLOCK ? in[i + 1] >> 7 : 0));
    }
    out[KB_BLOCK - 1] ^= (uint8_t)(0x87 & -carry); /* no branch on a key's bit */
}

enum kb_status kb_cmac_key_init(struct kb_cmac_key *key, struct kb_cipher *cipher)
{
    static const uint8_t zero[KB_BLOCK];
    uint8_t block[KB_BLOCK];
    enum kb_status st = kb_cipher_block(cipher, zero, block);

    double_block(block, key->whole);
    double_block(key->whole, key->filled);
    kb_wipe(block, sizeof(block));
    return st;
}

void kb_cmac_begin(struct kb_cmac *mac, const struct kb_cmac_key *key, struct kb_cipher *cipher)
{
    mac->key = key;
    mac->cipher = cipher;
    mac->last_len = 0;
    mac->begun = false;
    mac->status = KB_OK;
}

static void absorb(struct kb_cmac *mac, const uint8_t *data, size_t len)
{
    if (mac->status == KB_OK) {
        mac->status = kb_cipher_absorb(mac->cipher, data, len, !mac->begun);
    }
    mac->begun = true;
}

static void hold(struct kb_cmac *mac, const uint8_t *data, size_t len)
{
    memcpy(mac->last + mac->last_len, data, len);
    mac->last_len += len;
}

/* All but the last block, which is 1 to 16 bytes. */
void kb_cmac_add(struct kb_cmac *mac, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t room = KB_BLOCK - mac->last_len, bulk;

    if (len == 0) {
        return;
    }
    if (len <= room) {
        hold(mac, p, len);
        return;
    }
    if (mac->last_len > 0) {
        hold(mac, p, room);
        p += room;
        len -= room;
        absorb(mac, mac->last, KB_BLOCK);
        mac->last_len = 0;
    }
    bulk = (len - 1) / KB_BLOCK * KB_BLOCK;
    if (bulk > 0) {
        absorb(mac, p, bulk);
    }
    hold(mac, p + bulk, len - bulk);
}

enum kb_status kb_cmac_end(struct kb_cmac *mac, uint8_t out[KB_BLOCK])
{
    bool whole = mac->last_len == KB_BLOCK;
    const uint8_t *subkey = whole ? mac->key->whole : mac->key->filled;
    enum kb_status st;

    if (!whole) {
        memset(mac->last + mac->last_len, 0, KB_BLOCK - mac->last_len);
        mac->last[mac->last_len] = 0x80;
    }
    for (size_t i = 0; i < KB_BLOCK; i++) {
        mac->last[i] ^= subkey[i];
    }
    absorb(mac, mac->last, KB_BLOCK);
    st = mac->status;
    if (st == KB_OK) {
        memcpy(out, mac->cipher->chain, KB_BLOCK);
    } else {
        memset(out, 0, KB_BLOCK);
    }
    kb_wipe(mac, sizeof(*mac));
    return st;
}

enum kb_status kb_cmac_parts(const struct kb_cmac_key *key, struct kb_cipher *cipher,
                             const kb_bytes *parts, size_t num_parts, uint8_t out[KB_BLOCK])
{
    struct kb_cmac mac;

    kb_cmac_begin(&mac, key, cipher);
    for (size_t i = 0; i < num_parts; i++) {
        kb_cmac_add(&mac, parts[i].ptr, parts[i].len);
    }
    return kb_cmac_end(&mac, out);
}
