/* The three algorithms under the tokens of RFC 1964 and RFC 4757:
 *
 * - DES: the checksum is the DES-CBC MAC of the MD5; data is encrypted under the key, each octet
 *   XORed by F0.
 * - DES3: the checksum is HMAC-SHA1 under the key derived for usage 23; data and SND_SEQ are
 *   encrypted under the key as it is (no RFC has it; MIT and Heimdal).
 * - RC4: the checksum is the first half of HMAC-MD5 with the usage 13 (Wrap) or 15 (MIC); data is
 *   encrypted under a key of the sequence number, SND_SEQ under one of the checksum, big-endian:
 *   RFC 4757 7.
 *
 * DES and DES3 encrypt data with an IV of zero, SND_SEQ with the checksum's first block as its IV.
 *
 * What is derived of the context's key, and OpenSSL's contexts, are made at the first token that
 * needs them and kept with the context. */
#include "mech/protocol/token_v1.h"

#include <stdatomic.h>

#include "asn1/reader.h"
#include "crypto/hmac.h"
#include "crypto/md5.h"
#include "crypto/secret.h"
#include "crypto/streams.h"

#define BLOCK 8
#define RC4_KEY_LEN 16
#define CHUNK ((size_t)16384) /* walks through hash and cipher while it is in the first cache */

/* RFC 1964 1.2.2.3, RFC 4757 7.3: so the key of data is not SND_SEQ's. */
#define DATA_KEY_XOR 0xf0

#define USAGE_SIGN 23 /* DES3, as MIT and Heimdal number it */
#define USAGE_RC4_WRAP 13
#define USAGE_RC4_MIC 15

static const uint8_t zeros[BLOCK];
static const kb_bytes zero_iv = {zeros, BLOCK};

struct kb_v1_keys {
    /* Constant. */
    struct kb_key *key; /* the context's, which holds it longer than us */
    union {
        struct {
            struct kb_hmac_key sign, seq, data;
        } rc4;
        uint8_t des_data[BLOCK];
    };
    /* What changes. */
    struct kb_streams streams;
};

_Static_assert(sizeof(struct kb_v1_keys) <= 512, "they are one KB_SECRET_512");

struct kb_v1_ops {
    enum kb_primitive primitive;
    enum kb_status (*derive)(struct kb_v1_keys *keys);
    /* Ciphers SND_SEQ in place. */
    enum kb_status (*seq)(struct kb_v1_keys *keys, bool encrypts, const uint8_t *sum,
                          uint8_t bytes[KB_V1_SEQ_LEN]);
    /* Makes the checksum over what is in clear: before it is encrypted, after it is deciphered. */
    enum kb_status (*pass)(struct kb_v1_keys *keys, bool encrypts, uint32_t seq,
                           const struct kb_v1_message *message, uint8_t *sum);
};

/* --- CBC over pieces --- */

/* A block that lies across pieces is put together, ciphered and put where it belongs. */
static enum kb_status cbc_pieces(struct kb_stream *stream, const struct kb_piece *pieces,
                                 size_t num)
{
    uint8_t block[BLOCK], *home[BLOCK];
    size_t have = 0;
    enum kb_status st = KB_OK;

    for (size_t i = 0; i < num && st == KB_OK; i++) {
        const uint8_t *in = kb_piece_source(&pieces[i]);
        uint8_t *out = pieces[i].ptr;
        size_t left = pieces[i].kind == KB_PIECE_DATA ? pieces[i].len : 0;

        while (left > 0 && st == KB_OK) {
            size_t whole = have == 0 ? left - left % BLOCK : 0;

            if (whole > 0) {
                st = kb_stream_cipher(stream, in, out, whole);
                in += whole;
                out += whole;
                left -= whole;
                continue;
            }
            block[have] = *in++;
            home[have++] = out++;
            left--;
            if (have == BLOCK) {
                st = kb_stream_cipher(stream, block, block, BLOCK);
                for (; have > 0; have--) {
                    *home[have - 1] = block[have - 1];
                }
            }
        }
    }
    kb_wipe(block, sizeof(block));
    return st == KB_OK && have > 0 ? KB_MALFORMED : st;
}

static enum kb_status cbc(struct kb_v1_keys *keys, enum kb_primitive primitive, bool encrypts,
                          kb_bytes key, kb_bytes iv, const struct kb_piece *pieces, size_t num)
{
    struct kb_stream *stream;
    enum kb_status st = kb_streams_take(&keys->streams, primitive, key, iv, encrypts, &stream);

    if (st == KB_OK) {
        st = cbc_pieces(stream, pieces, num);
        kb_streams_put(&keys->streams, encrypts, stream, st);
    }
    return st;
}

/* The DATA of a sealed message; once deciphered it is where it went to. */
static enum kb_status cbc_data(struct kb_v1_keys *keys, enum kb_primitive primitive, bool encrypts,
                               kb_bytes key, const struct kb_v1_message *message)
{
    enum kb_status st;

    if (!message->conf) {
        return KB_OK;
    }
    st = cbc(keys, primitive, encrypts, key, zero_iv, message->pieces, message->num);
    for (size_t i = 0; i < message->num && !encrypts; i++) {
        if (message->pieces[i].kind == KB_PIECE_DATA) {
            message->pieces[i].from = NULL;
        }
    }
    return st;
}

static enum kb_status cbc_seq(struct kb_v1_keys *keys, enum kb_primitive primitive, bool encrypts,
                              const uint8_t *sum, uint8_t bytes[KB_V1_SEQ_LEN])
{
    const struct kb_piece piece = kb_piece_data(bytes, KB_V1_SEQ_LEN);

    return cbc(keys, primitive, encrypts, kb_key_bytes(keys->key), kb_bytes_of(sum, BLOCK), &piece,
               1);
}

/* --- DES --- */

static enum kb_status des_derive(struct kb_v1_keys *keys)
{
    const uint8_t *raw = kb_key_bytes(keys->key).ptr;

    for (size_t i = 0; i < BLOCK; i++) {
        keys->des_data[i] = raw[i] ^ DATA_KEY_XOR;
    }
    return KB_OK;
}

static enum kb_status des_seq(struct kb_v1_keys *keys, bool encrypts, const uint8_t *sum,
                              uint8_t bytes[KB_V1_SEQ_LEN])
{
    return cbc_seq(keys, KB_DES_CBC, encrypts, sum, bytes);
}

/* RFC 1964 1.2.1.1 DES MAC MD5: "computing an MD5 hash over the plaintext data, and then computing
 * a DES-CBC MAC on the 16-byte MD5 result", with an IV of zero. */
static enum kb_status des_mac_md5(struct kb_v1_keys *keys, const struct kb_v1_message *message,
                                  uint8_t *sum)
{
    uint8_t digest[KB_MD5_LEN];
    const struct kb_piece piece = kb_piece_data(digest, sizeof(digest));
    struct kb_md5 md5;
    enum kb_status st = kb_md5_begin(&md5);

    if (st != KB_OK) {
        return st;
    }
    for (size_t i = 0; i < message->num; i++) {
        kb_md5_add(&md5, kb_piece_source(&message->pieces[i]), message->pieces[i].len);
    }
    kb_md5_end(&md5, digest);
    st = cbc(keys, KB_DES_CBC, true, kb_key_bytes(keys->key), zero_iv, &piece, 1);
    memcpy(sum, digest + KB_MD5_LEN - BLOCK, BLOCK);
    kb_wipe(digest, sizeof(digest));
    return st;
}

static enum kb_status des_pass(struct kb_v1_keys *keys, bool encrypts, uint32_t seq,
                               const struct kb_v1_message *message, uint8_t *sum)
{
    kb_bytes key = {keys->des_data, BLOCK};
    enum kb_status st = encrypts ? KB_OK : cbc_data(keys, KB_DES_CBC, false, key, message);

    (void)seq;
    if (st == KB_OK) {
        st = des_mac_md5(keys, message, sum);
    }
    return st == KB_OK && encrypts ? cbc_data(keys, KB_DES_CBC, true, key, message) : st;
}

/* --- DES3 --- */

static enum kb_status des3_derive(struct kb_v1_keys *keys)
{
    keys->streams.one_key = true; /* data's and SND_SEQ's; kb_key keeps the checksum's */
    return KB_OK;
}

static enum kb_status des3_seq(struct kb_v1_keys *keys, bool encrypts, const uint8_t *sum,
                               uint8_t bytes[KB_V1_SEQ_LEN])
{
    return cbc_seq(keys, KB_DES3_CBC, encrypts, sum, bytes);
}

static enum kb_status des3_pass(struct kb_v1_keys *keys, bool encrypts, uint32_t seq,
                                const struct kb_v1_message *message, uint8_t *sum)
{
    kb_bytes key = kb_key_bytes(keys->key);
    enum kb_status st = encrypts ? KB_OK : cbc_data(keys, KB_DES3_CBC, false, key, message);

    (void)seq;
    if (st == KB_OK) {
        st = kb_checksum_pieces(keys->key, USAGE_SIGN, message->pieces, message->num, sum);
    }
    return st == KB_OK && encrypts ? cbc_data(keys, KB_DES3_CBC, true, key, message) : st;
}

/* --- RC4 --- */

/* HMAC(HMAC(key, text), ·), made ready. */
static enum kb_status rc4_derived(const uint8_t key[RC4_KEY_LEN], kb_bytes text,
                                  struct kb_hmac_key *out)
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_hmac_key base;
    enum kb_status st;

    kb_hmac_key_init(&base, KB_MD5, kb_bytes_of(key, RC4_KEY_LEN));
    st = kb_hmac_parts(&base, &text, 1, digest);
    kb_hmac_key_init(out, KB_MD5, kb_bytes_of(digest, KB_MD5_LEN));
    kb_wipe(&base, sizeof(base));
    kb_wipe(digest, sizeof(digest));
    return st;
}

/* The salt of SND_SEQ's key and of the data's is the usage 0, in four octets. */
static enum kb_status rc4_derive(struct kb_v1_keys *keys)
{
    static const char signature[] = "signaturekey"; /* with its terminator */
    const kb_bytes salt = {zeros, 4};
    const uint8_t *raw = kb_key_bytes(keys->key).ptr;
    uint8_t local[RC4_KEY_LEN];
    enum kb_status st =
        rc4_derived(raw, kb_bytes_of(signature, sizeof(signature)), &keys->rc4.sign);

    for (size_t i = 0; i < RC4_KEY_LEN; i++) {
        local[i] = raw[i] ^ DATA_KEY_XOR;
    }
    if (st == KB_OK) {
        st = rc4_derived(raw, salt, &keys->rc4.seq);
    }
    if (st == KB_OK) {
        st = rc4_derived(local, salt, &keys->rc4.data);
    }
    kb_wipe(local, sizeof(local));
    return st;
}

/* The key stream under HMAC(base, text). */
static enum kb_status rc4_take(struct kb_v1_keys *keys, const struct kb_hmac_key *base,
                               kb_bytes text, struct kb_stream **out)
{
    uint8_t key[KB_MAX_DIGEST_LEN];
    enum kb_status st = kb_hmac_parts(base, &text, 1, key);

    if (st == KB_OK) {
        st = kb_streams_take(&keys->streams, KB_RC4, kb_bytes_of(key, RC4_KEY_LEN), KB_NONE, true,
                             out);
    }
    kb_wipe(key, sizeof(key));
    return st;
}

static enum kb_status rc4_seq(struct kb_v1_keys *keys, bool encrypts, const uint8_t *sum,
                              uint8_t bytes[KB_V1_SEQ_LEN])
{
    struct kb_stream *stream;
    enum kb_status st = rc4_take(keys, &keys->rc4.seq, kb_bytes_of(sum, BLOCK), &stream);

    (void)encrypts;
    if (st == KB_OK) {
        st = kb_stream_cipher(stream, bytes, bytes, KB_V1_SEQ_LEN);
        kb_streams_put(&keys->streams, true, stream, st);
    }
    return st;
}

/* Hashes a piece; deciphers it before or encrypts it after, where there is a stream for it. */
static enum kb_status rc4_piece(struct kb_stream *stream, bool encrypts, struct kb_md5 *md5,
                                const struct kb_piece *piece)
{
    const uint8_t *in = kb_piece_source(piece);
    bool ciphers = stream != NULL && piece->kind == KB_PIECE_DATA;
    enum kb_status st = KB_OK;

    for (size_t done = 0; done < piece->len && st == KB_OK;) {
        size_t len = piece->len - done < CHUNK ? piece->len - done : CHUNK;

        if (!ciphers) {
            kb_md5_add(md5, in + done, len);
        } else if (encrypts) {
            kb_md5_add(md5, in + done, len);
            st = kb_stream_cipher(stream, in + done, piece->ptr + done, len);
        } else {
            st = kb_stream_cipher(stream, in + done, piece->ptr + done, len);
            kb_md5_add(md5, piece->ptr + done, len);
        }
        done += len;
    }
    return st;
}

/* RFC 4757 4: HMAC(Ksign, MD5(usage | text)), of which tokens have the first 8 octets. */
static enum kb_status rc4_walk(struct kb_v1_keys *keys, struct kb_stream *stream, bool encrypts,
                               const struct kb_v1_message *message, uint8_t *sum)
{
    bool mic = *kb_piece_source(&message->pieces[0]) == KB_V1_TOK_MIC >> 8;
    uint8_t digest[KB_MAX_DIGEST_LEN], usage[4];
    kb_bytes text = {digest, KB_MD5_LEN};
    struct kb_md5 md5;
    enum kb_status st = kb_md5_begin(&md5);

    if (st != KB_OK) {
        return st;
    }
    kb_put_u32le(usage, mic ? USAGE_RC4_MIC : USAGE_RC4_WRAP);
    kb_md5_add(&md5, usage, sizeof(usage));
    for (size_t i = 0; i < message->num && st == KB_OK; i++) {
        st = rc4_piece(stream, encrypts, &md5, &message->pieces[i]);
    }
    kb_md5_end(&md5, digest);
    if (st == KB_OK) {
        st = kb_hmac_parts(&keys->rc4.sign, &text, 1, digest);
    }
    memcpy(sum, digest, BLOCK);
    kb_wipe(digest, sizeof(digest));
    return st;
}

static enum kb_status rc4_pass(struct kb_v1_keys *keys, bool encrypts, uint32_t seq,
                               const struct kb_v1_message *message, uint8_t *sum)
{
    struct kb_stream *stream = NULL;
    uint8_t number[4];
    enum kb_status st = KB_OK;

    if (message->conf) {
        kb_put_u32be(number, seq);
        st = rc4_take(keys, &keys->rc4.data, kb_bytes_of(number, sizeof(number)), &stream);
    }
    if (st != KB_OK) {
        return st;
    }
    st = rc4_walk(keys, stream, encrypts, message, sum);
    if (stream != NULL) {
        kb_streams_put(&keys->streams, true, stream, st);
    }
    return st;
}

/* --- the algorithms --- */

static const struct kb_v1_ops des = {KB_DES_CBC, des_derive, des_seq, des_pass};
static const struct kb_v1_ops des3 = {KB_DES3_CBC, des3_derive, des3_seq, des3_pass};
static const struct kb_v1_ops rc4 = {KB_RC4, rc4_derive, rc4_seq, rc4_pass};

static const struct kb_v1_algorithm algorithms[] = {
    /* clang-format off */
    /* etype                    SGN_   SEAL_ sum block */
    {KB_ENCTYPE_DES_CBC_CRC,   0x0000, 0x0000,   8, 8, &des},
    {KB_ENCTYPE_DES_CBC_MD4,   0x0000, 0x0000,   8, 8, &des},
    {KB_ENCTYPE_DES_CBC_MD5,   0x0000, 0x0000,   8, 8, &des},
    {KB_ENCTYPE_DES3_CBC_SHA1, 0x0400, 0x0200,  20, 8, &des3},
    {KB_ENCTYPE_RC4_HMAC,      0x1100, 0x1000,   8, 1, &rc4},
    /* clang-format on */
};

const struct kb_v1_algorithm *kb_v1_algorithm_of(const struct kb_key *key)
{
    int32_t etype = kb_key_enctype(key)->etype;

    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        if (algorithms[i].etype == etype) {
            return &algorithms[i];
        }
    }
    return NULL;
}

/* --- what is kept with a context --- */

static void keys_free(struct kb_v1_keys *keys)
{
    if (keys != NULL) {
        kb_streams_wipe(&keys->streams);
    }
    kb_secret_free(KB_SECRET_512, keys);
}

void kb_v1_release(struct kb_ap *ap)
{
    keys_free(atomic_load(&ap->v1));
}

static enum kb_status make_keys(struct kb_ap *ap, const struct kb_v1_ops *ops,
                                struct kb_v1_keys **out)
{
    struct kb_v1_keys *other = NULL;
    enum kb_status st = kb_primitive_need(ops->primitive);

    if (st != KB_OK) {
        return st;
    }
    *out = kb_secret_new(KB_SECRET_512);
    if (*out == NULL) {
        return KB_NO_MEMORY;
    }
    (*out)->key = ap->message_key;
    st = ops->derive(*out);
    if (st != KB_OK) {
        keys_free(*out);
        return st;
    }
    /* Unless another thread was quicker. */
    if (!atomic_compare_exchange_strong_explicit(&ap->v1, &other, *out, memory_order_release,
                                                 memory_order_acquire)) {
        keys_free(*out);
        *out = other;
    }
    return KB_OK;
}

static enum kb_status keys_of(struct kb_ap *ap, const struct kb_v1_ops *ops,
                              struct kb_v1_keys **out)
{
    *out = atomic_load_explicit(&ap->v1, memory_order_acquire);
    return *out != NULL ? KB_OK : make_keys(ap, ops, out);
}

/* --- tokens --- */

/* SND_SEQ in clear: RFC 1964 1.2.1.2, RFC 4757 7.2 (whose direction octets are the wrong way round:
 * nobody does as it says). */
#define FROM_INITIATOR 0x00
#define FROM_ACCEPTOR 0xff

static void put_seq(const struct kb_v1_algorithm *algorithm, uint32_t seq, bool from_acceptor,
                    uint8_t out[KB_V1_SEQ_LEN])
{
    if (algorithm->ops == &rc4) {
        kb_put_u32be(out, seq);
    } else {
        kb_put_u32le(out, seq);
    }
    memset(out + 4, from_acceptor ? FROM_ACCEPTOR : FROM_INITIATOR, 4);
}

static bool get_seq(const struct kb_v1_algorithm *algorithm, const uint8_t in[KB_V1_SEQ_LEN],
                    bool from_acceptor, uint32_t *out)
{
    struct kb_reader r = kb_reader(kb_bytes_of(in, KB_V1_SEQ_LEN));
    uint8_t want[KB_V1_SEQ_LEN];

    *out = (uint32_t)(algorithm->ops == &rc4 ? kb_get_be(&r, 4) : kb_get_le(&r, 4));
    put_seq(algorithm, *out, from_acceptor, want);
    return kb_equal_secret(kb_bytes_of(in, KB_V1_SEQ_LEN), kb_bytes_of(want, KB_V1_SEQ_LEN));
}

enum kb_status kb_v1_seal(struct kb_ap *ap, const struct kb_v1_message *message, uint64_t seq,
                          uint8_t *out)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    uint8_t *sum = out + KB_V1_SEQ_LEN;
    struct kb_v1_keys *keys;
    enum kb_status st = keys_of(ap, algorithm->ops, &keys);

    if (st == KB_OK) {
        st = algorithm->ops->pass(keys, true, (uint32_t)seq, message, sum);
    }
    if (st != KB_OK) {
        return st;
    }
    put_seq(algorithm, (uint32_t)seq, ap->acceptor, out);
    return algorithm->ops->seq(keys, true, sum, out);
}

enum kb_status kb_v1_open(struct kb_ap *ap, const struct kb_v1_message *message,
                          const uint8_t *sealed, uint64_t *out_seq)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    kb_bytes sum = {sealed + KB_V1_SEQ_LEN, algorithm->sum_len};
    uint8_t plain[KB_V1_SEQ_LEN], want[KB_V1_MAX_SUM_LEN];
    struct kb_v1_keys *keys;
    uint32_t seq = 0;
    enum kb_status st = keys_of(ap, algorithm->ops, &keys);

    if (st != KB_OK) {
        return st;
    }
    memcpy(plain, sealed, KB_V1_SEQ_LEN);
    st = algorithm->ops->seq(keys, false, sum.ptr, plain);
    if (st == KB_OK && !get_seq(algorithm, plain, !ap->acceptor, &seq)) {
        st = KB_BAD_INTEGRITY;
    }
    if (st == KB_OK) {
        st = algorithm->ops->pass(keys, false, seq, message, want);
    }
    if (st == KB_OK && !kb_equal_secret(kb_bytes_of(want, sum.len), sum)) {
        st = KB_BAD_INTEGRITY;
    }
    kb_wipe(want, sizeof(want)); /* a good one for whoever forged the message */
    *out_seq = st == KB_OK ? seq : 0;
    return st;
}
