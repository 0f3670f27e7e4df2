/* rc4-hmac: RFC 4757, where it and what is deployed differ as the latter does it.
 *
 * A message is HMAC-MD5 | RC4(confounder | plaintext). Its RC4 key is made of its MAC, so each
 * message has its own. */
#include "crypto/family.h"

#include <stdlib.h>

#include "crypto/md5.h"
#include "crypto/primitive.h"
#include "crypto/streams.h"

#define MAC_LEN KB_MD5_LEN
#define CONFOUNDER_LEN 8
#define HEADER_LEN (MAC_LEN + CONFOUNDER_LEN)

#define MAX_PIECES 7 /* of what a checksum is made over */

/* RFC 4757 3 numbers usages in its own way. Of its list only these are what is done: MIT, Heimdal,
 * Samba and Windows use 9 for a TGS-REP under the subkey, not 8. */
static void put_usage(uint32_t usage, uint8_t out[4])
{
    usage = usage == KB_USAGE_AS_REP ? 8 : usage == KB_USAGE_ACCEPTOR_SIGN ? 13 : usage;
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(usage >> 8 * i);
    }
}

/* To seal: the MAC key of a usage, which gives the ciphers' keys too (RFC 4757 4: K1 and K2 are the
 * same but for export). To sum: Ksign, the same for every usage. */
static enum kb_status derive(const struct kb_enctype *enctype, const uint8_t *key,
                             struct kb_derived *out)
{
    static const char signature_key[] = "signaturekey"; /* with its NUL */
    uint8_t usage[4], digest[KB_MAX_DIGEST_LEN];
    kb_bytes part = kb_bytes_of(signature_key, sizeof(signature_key));
    struct kb_hmac_key base;
    enum kb_status st;

    st = kb_primitive_need(KB_RC4); /* so that it is RC4 whose lack is told */
    if (st != KB_OK) {
        return st;
    }
    if (out->purpose == KB_TO_SEAL) {
        put_usage(out->usage, usage);
        part = kb_bytes_of(usage, sizeof(usage));
    }
    kb_hmac_key_init(&base, KB_MD5, kb_bytes_of(key, enctype->key_len));
    st = kb_hmac_parts(&base, &part, 1, digest);
    kb_hmac_key_init(&out->mac, KB_MD5, kb_bytes_of(digest, KB_MD5_LEN));
    kb_wipe(&base, sizeof(base));
    kb_wipe(digest, sizeof(digest));
    return st;
}

/* Ciphers in place what lies behind the MAC, under the key that comes of it. */
static enum kb_status cipher(struct kb_key *key, const struct kb_derived *derived,
                             const uint8_t mac[MAC_LEN], uint8_t *data, size_t len)
{
    kb_bytes part = kb_bytes_of(mac, MAC_LEN);
    uint8_t message_key[KB_MAX_DIGEST_LEN];
    struct kb_streams *streams;
    struct kb_stream *stream;
    enum kb_status st;

    st = kb_key_streams(key, &streams);
    if (st == KB_OK) {
        st = kb_hmac_parts(&derived->mac, &part, 1, message_key);
    }
    if (st == KB_OK) {
        st = kb_streams_take(streams, KB_RC4, kb_bytes_of(message_key, KB_MD5_LEN), KB_NONE, true,
                             &stream);
    }
    if (st == KB_OK) {
        st = kb_stream_cipher(stream, data, data, len);
        kb_streams_put(streams, true, stream, st);
    }
    kb_wipe(message_key, sizeof(message_key));
    return st;
}

static enum kb_status seal(struct kb_key *key, uint32_t usage, const struct kb_rng *rng,
                           kb_bytes plain, uint8_t *out)
{
    size_t len = CONFOUNDER_LEN + plain.len;
    kb_bytes part = kb_bytes_of(out + MAC_LEN, len);
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_derived *derived;
    enum kb_status st;

    if (plain.len > 0) {
        memmove(out + HEADER_LEN, plain.ptr, plain.len);
    }
    st = kb_key_derived(key, usage, KB_TO_SEAL, &derived);
    if (st == KB_OK) {
        st = kb_random(rng, out + MAC_LEN, CONFOUNDER_LEN);
    }
    if (st == KB_OK) {
        st = kb_hmac_parts(&derived->mac, &part, 1, digest);
    }
    if (st == KB_OK) {
        memcpy(out, digest, MAC_LEN);
        st = cipher(key, derived, out, out + MAC_LEN, len);
    }
    if (st != KB_OK) {
        kb_wipe(out, MAC_LEN + len);
    }
    return st;
}

/* Deciphers in place; where the MAC does not hold, `out` is as it was. */
static enum kb_status open_as(struct kb_key *key, uint32_t usage, uint8_t *out, size_t len)
{
    kb_bytes part = kb_bytes_of(out + MAC_LEN, len - MAC_LEN);
    uint8_t want[KB_MAX_DIGEST_LEN];
    struct kb_derived *derived;
    enum kb_status st;

    st = kb_key_derived(key, usage, KB_TO_SEAL, &derived);
    if (st == KB_OK) {
        st = cipher(key, derived, out, out + MAC_LEN, len - MAC_LEN);
    }
    if (st == KB_OK) {
        st = kb_hmac_parts(&derived->mac, &part, 1, want);
    }
    if (st == KB_OK && !kb_equal_secret(kb_bytes_of(out, MAC_LEN), kb_bytes_of(want, MAC_LEN))) {
        st = cipher(key, derived, out, out + MAC_LEN, len - MAC_LEN);
        st = st == KB_OK ? KB_BAD_INTEGRITY : st;
    }
    kb_wipe(want, sizeof(want));
    return st;
}

static enum kb_status open(struct kb_key *key, uint32_t usage, kb_bytes cipher_text, uint8_t *out,
                           size_t *out_len)
{
    enum kb_status st = KB_BAD_INTEGRITY;

    if (cipher_text.len > 0) {
        memmove(out, cipher_text.ptr, cipher_text.len);
    }
    if (cipher_text.len >= HEADER_LEN) {
        st = open_as(key, usage, out, cipher_text.len);
    }
    if (st == KB_BAD_INTEGRITY && cipher_text.len >= HEADER_LEN &&
        usage == KB_USAGE_TGS_REP_SUBKEY) {
        /* KDCs by the letter of RFC 4757: MIT's before 1.7; its clients try both too. */
        st = open_as(key, KB_USAGE_TGS_REP_SESSION, out, cipher_text.len);
    }
    if (st != KB_OK) {
        kb_wipe(out, cipher_text.len);
        return st;
    }
    *out_len = cipher_text.len - HEADER_LEN;
    memmove(out, out + HEADER_LEN, *out_len);
    kb_wipe(out + *out_len, HEADER_LEN);
    return KB_OK;
}

enum kb_status kb_rc4_sum(const struct kb_hmac_key *sign, uint32_t usage,
                          const struct kb_piece *pieces, size_t num, uint8_t *out)
{
    uint8_t number[4], digest[KB_MD5_LEN], mac[KB_MAX_DIGEST_LEN];
    kb_bytes parts[1 + MAX_PIECES] = {kb_bytes_of(number, sizeof(number))};
    kb_bytes part = kb_bytes_of(digest, sizeof(digest));
    enum kb_status st;

    if (num > MAX_PIECES) {
        return KB_TOO_BIG;
    }
    put_usage(usage, number);
    for (size_t i = 0; i < num; i++) {
        parts[1 + i] = kb_bytes_of(kb_piece_source(&pieces[i]), pieces[i].len);
    }
    st = kb_md5(parts, 1 + num, digest);
    if (st == KB_OK) {
        st = kb_hmac_parts(sign, &part, 1, mac);
    }
    if (st == KB_OK) {
        memcpy(out, mac, KB_MD5_LEN);
    }
    kb_wipe(mac, sizeof(mac));
    return st;
}

/* RFC 4757 4. */
static enum kb_status sum(struct kb_key *key, uint32_t usage, const struct kb_piece *pieces,
                          size_t num, uint8_t *out)
{
    struct kb_derived *derived;
    enum kb_status st = kb_key_derived(key, 0, KB_TO_SUM, &derived);

    return st == KB_OK ? kb_rc4_sum(&derived->mac, usage, pieces, num, out) : st;
}

/* In no RFC; MIT's and Heimdal's: HMAC-SHA1. */
static enum kb_status prf(const struct kb_enctype *enctype, const uint8_t *key,
                          const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_hmac_key hmac_key;
    enum kb_status st = kb_primitive_need(KB_RC4);

    if (st != KB_OK) {
        return st;
    }
    kb_hmac_key_init(&hmac_key, KB_SHA1, kb_bytes_of(key, enctype->key_len));
    st = kb_hmac_parts(&hmac_key, parts, num_parts, digest);
    if (st == KB_OK) {
        memcpy(out, digest, enctype->ops->prf_len);
    }
    kb_wipe(digest, sizeof(digest));
    kb_wipe(&hmac_key, sizeof(hmac_key));
    return st;
}

/* --- string-to-key: MD4 of the password in UTF-16, little-endian; no salt --- */

/* One character off the front of `text`; false: it is not UTF-8 (RFC 3629). */
static bool take_char(kb_bytes *text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}; /* else it is an overlong form */
    uint8_t first = text->ptr[0];
    size_t more = first < 0x80   ? 0
                  : first < 0xc0 ? 4
                  : first < 0xe0 ? 1
                  : first < 0xf0 ? 2
                  : first < 0xf8 ? 3
                                 : 4;
    uint32_t c = more == 0 ? first : first & (0x3fu >> more);

    if (more > 3 || more >= text->len) {
        return false;
    }
    for (size_t i = 1; i <= more; i++) {
        if ((text->ptr[i] & 0xc0) != 0x80) {
            return false;
        }
        c = c << 6 | (text->ptr[i] & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return false;
    }
    *text = kb_bytes_of(text->ptr + 1 + more, text->len - 1 - more);
    *out = c;
    return true;
}

static uint8_t *put_unit(uint8_t *at, uint32_t unit)
{
    at[0] = (uint8_t)unit;
    at[1] = (uint8_t)(unit >> 8);
    return at + 2;
}

/* Two bytes at most for each of UTF-8. */
static enum kb_status to_utf16(kb_bytes text, uint8_t *out, size_t *out_len)
{
    uint8_t *at = out;
    uint32_t c;

    while (text.len > 0) {
        if (!take_char(&text, &c)) {
            return KB_BAD_TEXT;
        }
        if (c >= 0x10000) {
            at = put_unit(at, 0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        at = put_unit(at, c);
    }
    *out_len = (size_t)(at - out);
    return KB_OK;
}

static enum kb_status string_to_key(const struct kb_enctype *enctype, kb_bytes password,
                                    kb_bytes salt, uint64_t iterations, uint8_t *out)
{
    size_t room = 2 * password.len + 1, len;
    uint8_t *utf16 = malloc(room);
    enum kb_status st;
    kb_bytes part;

    (void)enctype;
    (void)salt;
    (void)iterations;
    if (utf16 == NULL) {
        return KB_NO_MEMORY;
    }
    st = to_utf16(password, utf16, &len);
    if (st == KB_OK) {
        part = kb_bytes_of(utf16, len);
        st = kb_primitive_hash(KB_MD4, &part, 1, out);
    }
    kb_free_secret(utf16, room);
    return st;
}

const struct kb_enctype_ops kb_rc4 = {
    .hash = KB_MD5,
    .prf_len = 20,
    .derive = derive,
    .prf = prf,
    .string_to_key = string_to_key,
    .seal = seal,
    .open = open,
    .sum = sum,
};
