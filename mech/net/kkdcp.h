/* kkdcp.h - the message that a KDC proxy takes and gives: KDC-PROXY-MESSAGE of [MS-KKDCP] 2.2.2.
 *
 * A Kerberos message stands in it behind its length, as over TCP. Bytes in, bytes out; any thread.
 */
#ifndef KB_KKDCP_H
#define KB_KKDCP_H

#include "asn1/engine.h"

#define KB_KKDCP_OVERHEAD 1024 /* more than what is around a message */

/* kb_kkdcp_wrap makes the body of a request to a KDC of `realm`, in `arena`. KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_kkdcp_wrap(kb_bytes message, kb_bytes realm, struct kb_arena *arena,
                                         kb_bytes *out);

/* kb_kkdcp_unwrap finds the message in the body of an answer: *out points into it. KB_MALFORMED or
 * another of kb_decode's statuses; KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_kkdcp_unwrap(kb_bytes body, struct kb_arena *arena, kb_bytes *out);

#endif
