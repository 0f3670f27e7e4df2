/* token.h - the per-message tokens of a context, Wrap and MIC, with the sequence and replay window.
 * RFC 4121 4.2. (The framing of context tokens is frame.h.)
 *
 * Wrap and MIC of one context may run in several threads at once. Sizes in bytes. */
#ifndef KB_TOKEN_H
#define KB_TOKEN_H

#include "mech/protocol/ap.h"
#include "mech/protocol/frame.h"
#include "mech/protocol/seqstate.h" /* KB_SUPPL_* */

/* kb_wrap_len is the length of a Wrap token over `len` bytes (SIZE_MAX: too many); kb_wrap writes one.
 * Whatever makes or takes a message answers KB_NOT_FOUND on a context that is not established. */
size_t kb_wrap_len(const struct kb_ap *ap, bool conf, size_t len);
KB_MUST_USE enum kb_status kb_wrap(struct kb_ap *ap, const struct kb_rng *rng, bool conf, kb_bytes message,
                                   uint8_t *out);

/* kb_wrap_max is the largest message whose Wrap token has at most `token_len` bytes; 0 also where not
 * even an empty one fits. */
size_t kb_wrap_max(const struct kb_ap *ap, bool conf, size_t token_len);

/* kb_unwrap verifies; the message (at most token.len bytes) goes to `out`, which does not overlap
 * the token: the caller's input is never written to. *out_suppl: KB_SUPPL_*. KB_BAD_INTEGRITY:
 * GSS_S_BAD_SIG; KB_MALFORMED and KB_CUT_SHORT: GSS_S_DEFECTIVE_TOKEN; nothing is released before it
 * is verified: on failure *out_len is 0 and `out` holds nothing of use. */
KB_MUST_USE enum kb_status kb_unwrap(struct kb_ap *ap, kb_bytes token, uint8_t *out, size_t *out_len,
                                     bool *out_conf, uint32_t *out_suppl);

size_t kb_mic_len(const struct kb_ap *ap);
KB_MUST_USE enum kb_status kb_get_mic(struct kb_ap *ap, kb_bytes message, uint8_t *out);
KB_MUST_USE enum kb_status kb_verify_mic(struct kb_ap *ap, kb_bytes message, kb_bytes token,
                                         uint32_t *out_suppl);

#endif
