/* token_v1.h - the per-message tokens of RFC 1964 1.2 and RFC 4757 7, for keys of DES, DES3 and
 * RC4: what token_v1.c (whole tokens), token_v1_iov.c (lists of buffers) and token_v1_cipher.c (the
 * three algorithms) share. Nobody else looks in here.
 *
 * Behind the frame, whose length counts all that follows (in DCE style only the confounder and what
 * is before it):
 *     TOK_ID 2 | SGN_ALG 2 | SEAL_ALG 2 | filler 2    the head, which the checksum covers
 *     SND_SEQ 8                                       encrypted: sequence number, direction
 *     SGN_CKSUM 8 or 20
 *     confounder 8 | data | padding                   Wrap only; encrypted unless SEAL_ALG is ffff
 * The last octet of the padding says how much of it there is. The checksum is over head,
 * confounder, data and padding, in clear. */
#ifndef KB_TOKEN_V1_H
#define KB_TOKEN_V1_H

#include "mech/protocol/token_format.h"

#define KB_V1_HEAD_LEN 8
#define KB_V1_SEQ_LEN 8
#define KB_V1_CONFOUNDER_LEN 8
#define KB_V1_MAX_SUM_LEN 20

#define KB_V1_TOK_MIC 0x0101u
#define KB_V1_TOK_WRAP 0x0201u
#define KB_V1_TOK_DELETE 0x0102u

/* The algorithms that go with an enctype: one of each kind, so a token with others is defective. */
struct kb_v1_algorithm {
    int32_t etype;
    uint16_t sgn_alg, seal_alg; /* as their two octets are read, the first being the higher */
    uint8_t sum_len;
    uint8_t block; /* data is padded by 1 .. block octets to a multiple of it */
    const struct kb_v1_ops *ops;
};

/* kb_v1_algorithm_of returns NULL for enctypes whose tokens are RFC 4121's. */
const struct kb_v1_algorithm *kb_v1_algorithm_of(const struct kb_key *key);

/* Octets from TOK_ID to the end of SGN_CKSUM. */
static inline size_t kb_v1_signed_len(const struct kb_v1_algorithm *algorithm)
{
    return KB_V1_HEAD_LEN + KB_V1_SEQ_LEN + (size_t)algorithm->sum_len;
}

/* Octets from TOK_ID to the end of the confounder. */
static inline size_t kb_v1_wrap_head_len(const struct kb_v1_algorithm *algorithm)
{
    return kb_v1_signed_len(algorithm) + KB_V1_CONFOUNDER_LEN;
}

/* kb_v1_pad_len is never 0. */
static inline size_t kb_v1_pad_len(const struct kb_v1_algorithm *algorithm, size_t data_len)
{
    return algorithm->block - data_len % algorithm->block;
}

/* kb_v1_begin writes the frame of `framed_len` octets from TOK_ID on, and the head, whose place it
 * returns. */
uint8_t *kb_v1_begin(const struct kb_ap *ap, uint16_t token_id, bool conf, size_t framed_len,
                     uint8_t *out);

/* kb_v1_frame_len is the length of frame and framed together. */
size_t kb_v1_frame_len(const struct kb_ap *ap, size_t framed_len);

/* kb_v1_check_head looks at all that is in clear, from TOK_ID on, of which at least `min_len`
 * octets are needed. KB_CUT_SHORT, KB_MALFORMED. */
KB_MUST_USE enum kb_status kb_v1_check_head(const struct kb_v1_algorithm *algorithm,
                                            uint16_t token_id, kb_bytes rest, size_t min_len,
                                            bool *out_conf);

/* A token as the cipher sees it. `pieces` is what the checksum covers: the head (SIGN); for a Wrap
 * the confounder (DATA); then the data, in DATA, and what is only signed, the end of the last DATA
 * being the padding. */
struct kb_v1_message {
    bool conf; /* DATA is ciphered; else it is where it is to be */
    struct kb_piece *pieces;
    size_t num;
};

/* kb_v1_seal writes SND_SEQ and SGN_CKSUM to `out`. DATA of a sealed message has whole blocks. */
KB_MUST_USE enum kb_status kb_v1_seal(struct kb_ap *ap, const struct kb_v1_message *message,
                                      uint64_t seq, uint8_t *out);

/* kb_v1_open: SND_SEQ and SGN_CKSUM are at `sealed`. KB_BAD_INTEGRITY; KB_MALFORMED: no whole
 * blocks. After a failure DATA of a sealed message holds what the caller has to wipe. */
KB_MUST_USE enum kb_status kb_v1_open(struct kb_ap *ap, const struct kb_v1_message *message,
                                      const uint8_t *sealed, uint64_t *out_seq);

/* A whole Wrap token, of which nothing is verified yet. */
struct kb_v1_parts {
    bool conf;
    const uint8_t *head; /* what follows it up to the data is there */
    kb_bytes data;       /* with the padding */
};

/* kb_v1_split looks at what is in clear. KB_CUT_SHORT, KB_MALFORMED. */
KB_MUST_USE enum kb_status kb_v1_split(const struct kb_ap *ap, kb_bytes token,
                                       struct kb_v1_parts *out);

/* kb_v1_open_wrap is kb_v1_open of a Wrap token whose head, with what follows it up to the
 * confounder, is at `head` and is not written to. `pieces` has room for two more. */
KB_MUST_USE enum kb_status kb_v1_open_wrap(struct kb_ap *ap, bool conf, const uint8_t *head,
                                           struct kb_piece *pieces, size_t num, uint64_t *out_seq);

/* kb_v1_unpad gives the length of verified data without its padding. As with MIT, only the last
 * octet counts, and KB_BAD_INTEGRITY is said of more padding than there is data. */
KB_MUST_USE enum kb_status kb_v1_unpad(kb_bytes padded, size_t *out_len);

/* kb_v1_release frees what a context's tokens have kept. */
void kb_v1_release(struct kb_ap *ap);

/* token_v1_iov.c: rows of kb_token_v1. A delete token is a MIC of nothing, with a token id of its
 * own. */
enum kb_status kb_v1_take_delete(struct kb_ap *ap, kb_bytes token);
enum kb_status kb_v1_wrap_iov_len(const struct kb_ap *ap, bool conf, struct kb_iov *iov);
enum kb_status kb_v1_wrap_iov(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                              struct kb_iov *iov, uint64_t seq);
enum kb_status kb_v1_unwrap_iov(struct kb_ap *ap, struct kb_iov *iov, bool *out_conf,
                                uint64_t *out_seq);
enum kb_status kb_v1_unwrap_stream(struct kb_ap *ap, uint8_t *token, size_t len, struct kb_iov *iov,
                                   struct kb_piece *data, bool *out_conf, uint64_t *out_seq);
enum kb_status kb_v1_get_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                 uint64_t seq, uint8_t *out);
enum kb_status kb_v1_verify_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                    kb_bytes token, uint64_t *out_seq);

#endif
