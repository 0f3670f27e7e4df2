/* frame.h - the frame around context tokens, and around the per-message tokens of RFC 1964:
 * mechanism, token id, message. RFC 2743 3.1, RFC 4121 4.1.
 *
 * Lengths are DER: definite and minimal. Slices that come out point into the token. Any thread. */
#ifndef KB_FRAME_H
#define KB_FRAME_H

#include "asn1/bytes.h"
#include "asn1/status.h"

/* Token IDs, RFC 4121 4.1: two bytes in front of a framed context token's message. */
#define KB_TOK_AP_REQ 0x0100u
#define KB_TOK_AP_REP 0x0200u
#define KB_TOK_ERROR 0x0300u

/* kb_frame_len and kb_frame: [APPLICATION 0] { mech OID, token id, message }. `mech` is the OID's
 * DER contents octets (without tag and length). kb_frame writes kb_frame_len bytes. */
size_t kb_frame_len(kb_bytes mech, size_t message_len);
void kb_frame(kb_bytes mech, uint16_t token_id, kb_bytes message, uint8_t *out);

/* kb_frame_begin writes the frame of a message of `message_len` bytes, which is written later or
 * lies elsewhere, and returns where it would begin. */
uint8_t *kb_frame_begin(kb_bytes mech, uint16_t token_id, size_t message_len, uint8_t *out);

/* kb_unframe checks the framing and gives OID, id and message; KB_MALFORMED, KB_CUT_SHORT. */
KB_MUST_USE enum kb_status kb_unframe(kb_bytes token, kb_bytes *out_mech, uint16_t *out_token_id,
                                      kb_bytes *out_message);

/* kb_unframe_old takes the frame off a per-message token of RFC 1964 and gives the rest, which
 * begins with the token id. `token` may be only the start of what is framed, of which `elsewhere`
 * bytes more lie in other buffers. As MIT takes it: with a length that is not minimal, or without a
 * frame; but not of another mechanism. KB_MALFORMED, KB_CUT_SHORT. */
KB_MUST_USE enum kb_status kb_unframe_old(kb_bytes token, size_t elsewhere, kb_bytes mech,
                                          kb_bytes *out_rest);

#endif
