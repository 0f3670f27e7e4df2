/* token.h - the per-message tokens of a context, Wrap and MIC, with the sequence and replay window.
 * RFC 4121 4.2. (The framing of context tokens is frame.h.)
 *
 * Wrap and MIC of one context may run in several threads at once. Sizes in bytes. */
#ifndef KB_TOKEN_H
#define KB_TOKEN_H

#include "mech/protocol/ap.h"
#include "mech/protocol/frame.h"
#include "mech/protocol/seqstate.h" /* KB_SUPPL_* */

/* kb_wrap_len is the length of a Wrap token over `len` bytes (SIZE_MAX: too many); kb_wrap writes
 * one. Whatever makes or takes a message answers KB_NOT_FOUND on a context that is not established.
 */
size_t kb_wrap_len(const struct kb_ap *ap, bool conf, size_t len);
KB_MUST_USE enum kb_status kb_wrap(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                                   kb_bytes message, uint8_t *out);

/* kb_wrap_max is the largest message whose Wrap token has at most `token_len` bytes; 0 also where
 * not even an empty one fits. */
size_t kb_wrap_max(const struct kb_ap *ap, bool conf, size_t token_len);

/* kb_unwrap verifies; the message (at most token.len bytes) goes to `out`, which does not overlap
 * the token: the caller's input is never written to. *out_suppl: KB_SUPPL_*. KB_BAD_INTEGRITY:
 * GSS_S_BAD_SIG; KB_MALFORMED and KB_CUT_SHORT: GSS_S_DEFECTIVE_TOKEN; nothing is released before
 * it is verified: on failure *out_len is 0 and `out` holds nothing of use. */
KB_MUST_USE enum kb_status kb_unwrap(struct kb_ap *ap, kb_bytes token, uint8_t *out,
                                     size_t *out_len, bool *out_conf, uint32_t *out_suppl);

size_t kb_mic_len(const struct kb_ap *ap);
KB_MUST_USE enum kb_status kb_get_mic(struct kb_ap *ap, kb_bytes message, uint8_t *out);
KB_MUST_USE enum kb_status kb_verify_mic(struct kb_ap *ap, kb_bytes message, kb_bytes token,
                                         uint32_t *out_suppl);

/* kb_take_delete takes the peer's word that it has deleted the context (RFC 1964 1.2.3), after
 * which there are no messages any more. RFC 4121 has no such token: KB_MALFORMED. */
KB_MUST_USE enum kb_status kb_take_delete(struct kb_ap *ap, kb_bytes token);

/* kb_old_algorithms gives SGN_ALG and SEAL_ALG of RFC 1964, read as little-endian numbers; false
 * where messages are RFC 4121's. */
bool kb_old_algorithms(const struct kb_ap *ap, uint16_t *out_sgn_alg, uint16_t *out_seal_alg);

/* --- messages as lists of buffers: gss_wrap_iov and its kin --- */

#define KB_SPARE_PIECES 4 /* behind the caller's: room for what a format adds */

struct kb_room {
    uint8_t *ptr;
    size_t len;
};

/* A Wrap token in parts. What is ciphered stands in `pieces` as KB_PIECE_DATA, what is only covered
 * by the MAC as KB_PIECE_SIGN, in the MAC's order and with `ptr` set. The array has KB_SPARE_PIECES
 * more than `num`, in which a format works; of the caller's it changes only lengths. Without a
 * trailer all that would stand there is rotated into the header (RRC). Old tokens have their
 * padding in a DATA piece, to which `padding` points (NULL: there is none); RFC 4121 has none, it
 * gets the length 0. */
struct kb_iov {
    struct kb_room header, trailer;
    bool has_trailer;
    struct kb_piece *pieces;
    size_t num;
    struct kb_piece *padding;
};

/* kb_wrap_iov_len sets the lengths of header, trailer and padding for the DATA that is there.
 * KB_WRONG_TYPE: the list is not one for this format (token_v1 wants padding, or data that is
 * padded). */
KB_MUST_USE enum kb_status kb_wrap_iov_len(const struct kb_ap *ap, bool conf, struct kb_iov *iov);

/* kb_wrap_iov ciphers the DATA, where it lies or out of its `from`, and writes the other parts,
 * whose lengths say how much room there is and then how much of it was used. KB_TOO_BIG: one of
 * them is too short; nothing has been written. */
KB_MUST_USE enum kb_status kb_wrap_iov(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                                       struct kb_iov *iov);

/* kb_unwrap_iov deciphers where it lies; only the lengths of DATA and padding may change. Statuses
 * are kb_unwrap's; whatever it is, on failure the DATA is wiped. */
KB_MUST_USE enum kb_status kb_unwrap_iov(struct kb_ap *ap, struct kb_iov *iov, bool *out_conf,
                                         uint32_t *out_suppl);

/* kb_unwrap_stream takes a whole token of `len` bytes, rotated as it may be; header, trailer and
 * padding of `iov` are not used. `data` is one of its pieces and the only one of DATA: where the
 * message goes. With a NULL address that is within the token, which is un-rotated and deciphered in
 * place; else `data` has room for `len` bytes elsewhere and the token is not written to. On success
 * it has the message's address and length; on failure the length 0, and nothing can be read.
 * KB_WRONG_TYPE: not with this format in DCE style. */
KB_MUST_USE enum kb_status kb_unwrap_stream(struct kb_ap *ap, uint8_t *token, size_t len,
                                            struct kb_iov *iov, struct kb_piece *data,
                                            bool *out_conf, uint32_t *out_suppl);

/* kb_get_mic and kb_verify_mic over the pieces, of either kind, one after the other; the array has
 * KB_SPARE_PIECES more than `num`. kb_mic_len holds here too. */
KB_MUST_USE enum kb_status kb_get_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                          uint8_t *out);
KB_MUST_USE enum kb_status kb_verify_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                             kb_bytes token, uint32_t *out_suppl);

#endif
