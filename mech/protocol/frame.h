/* frame.h - the frame around context tokens: mechanism, token id, message. RFC 2743 3.1, RFC
 * 4121 4.1.
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

/* kb_unframe checks the framing and gives OID, id and message; KB_MALFORMED, KB_CUT_SHORT. */
KB_MUST_USE enum kb_status kb_unframe(kb_bytes token, kb_bytes *out_mech, uint16_t *out_token_id,
                                      kb_bytes *out_message);

#endif
