/* types.h - the C structs of types.def, and for each type its coder.
 *
 * A row F(S, type, field, tag, OPTIONAL) of KB_SEQUENCE(name, …) becomes the members `field` and
 * `bool has_field` of kb_name. For every kb_name there are
 *
 *   kb_decode_name(in, arena, &value, why)   the whole of `in` must be one kb_name
 *   kb_encode_name(arena, &value, &out)
 *
 * as the generic functions of asn1/engine.h describe them. Slices of a decoded value point into
 * the input, lists into the arena. */
#ifndef KB_TYPES_H
#define KB_TYPES_H

#include "asn1/engine.h"

typedef int32_t kb_int32;
typedef uint32_t kb_uint32;
typedef uint32_t kb_kvno;
typedef int32_t kb_usec;
typedef uint32_t kb_flags;
typedef kb_bytes kb_octets;
typedef kb_bytes kb_string;
typedef kb_bytes kb_oid; /* contents octets */
typedef int32_t kb_enumerated;
typedef int64_t kb_time; /* seconds of UTC since 1970 */

#include "asn1/declare.h"
#include "asn1/types.def"
#include "asn1/undefine.h"

#endif
