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
typedef int64_t kb_time; /* seconds of UTC since 1970 */

#define KB_HAS_REQUIRED(field)
#define KB_HAS_SECRET(field)
#define KB_HAS_OPTIONAL(field) bool has_##field;
#define KB_MEMBER(S, type, field, tag, presence) \
    KB_HAS_##presence(field) kb_##type field;

#define KB_CODER(name) \
    extern const struct kb_type kb_type_##name; \
    KB_MUST_USE static inline enum kb_status kb_decode_##name( \
        kb_bytes in, struct kb_arena *arena, kb_##name *out, struct kb_why *why) \
    { \
        return kb_decode(&kb_type_##name, in, arena, out, why); \
    } \
    KB_MUST_USE static inline enum kb_status kb_encode_##name( \
        struct kb_arena *arena, const kb_##name *value, kb_bytes *out) \
    { \
        return kb_encode(&kb_type_##name, arena, value, out); \
    }

#define KB_SEQUENCE(name, rfc_name, FIELDS) \
    typedef struct kb_##name { \
        FIELDS(KB_MEMBER, kb_##name) \
    } kb_##name; \
    KB_CODER(name)
#define KB_LIST(name, rfc_name, element) \
    typedef struct kb_##name { \
        kb_##element *items; \
        size_t num; \
    } kb_##name; \
    KB_CODER(name)
#define KB_APPLICATION(name, rfc_name, t1, t2, of) \
    typedef kb_##of kb_##name; \
    KB_CODER(name)
#define KB_RAW(name, rfc_name, of) \
    typedef kb_bytes kb_##name; \
    KB_CODER(name)

#include "asn1/types.def"

#undef KB_SEQUENCE
#undef KB_LIST
#undef KB_APPLICATION
#undef KB_RAW

#endif
