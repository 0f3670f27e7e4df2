/* engine.h - encodes, decodes and prints DER by the field tables that types.def makes.
 *
 * DER (X.690): definite minimal lengths, minimal integers, canonical times; an encoding that is
 * not DER is refused, and so is a field that the table does not have: no SEQUENCE of RFC 4120 has
 * an extension marker. KerberosFlags of fewer than 32 bits are taken, as 5.2.8 allows. Nesting is
 * the tables', never the input's, so a hostile message costs no stack. Decoding copies nothing but
 * the item arrays of lists, which live in the arena. A table is constant: any number of threads may
 * use it at once. */
#ifndef KB_ENGINE_H
#define KB_ENGINE_H

#include "asn1/arena.h"
#include "asn1/buf.h"
#include "asn1/bytes.h"
#include "asn1/status.h"

struct kb_type; /* one type of types.def: kb_type_NAME */

/* kb_why names the place that stopped a decoder: "KDC-REP.ticket.enc-part: cut short". */
struct kb_why {
    char text[120];
};

/* kb_decode reads one value of `type` from `in`, all of it, into *out (the C type that types.h
 * gives it). On failure *out is zeroed, the status says what is wrong and `why` (may be NULL) says
 * where. KB_WRONG_TYPE: the outermost tag is another one; then nothing else was looked at. */
KB_MUST_USE enum kb_status kb_decode(const struct kb_type *type, kb_bytes in,
                                     struct kb_arena *arena, void *out, struct kb_why *why);

/* kb_encode writes *value into the arena. KB_NO_MEMORY, or KB_OUT_OF_RANGE for a value that its
 * type cannot carry (a time before year 0 or after 9999, a microsecond over 999999, an empty
 * KB_RAW). */
KB_MUST_USE enum kb_status kb_encode(const struct kb_type *type, struct kb_arena *arena,
                                     const void *value, kb_bytes *out);

/* kb_print appends a readable dump of a decoded value to `out`, one field a line, indented, foreign
 * text escaped, SECRET fields as their length only unless `show_secrets`. */
void kb_print(const struct kb_type *type, const void *value, bool show_secrets, struct kb_buf *out);

/* kb_print_message does so for a whole message, whose type its outermost tag tells. KB_WRONG_TYPE
 * for a tag that no message has; what does not decode gives its status and `why`, and prints
 * nothing. */
KB_MUST_USE enum kb_status kb_print_message(kb_bytes message, bool show_secrets, struct kb_buf *out,
                                            struct kb_why *why);

/* kb_message_name is what the outermost tag says that a message is: "AS-REQ"; NULL for none. */
const char *kb_message_name(kb_bytes message);

#endif
