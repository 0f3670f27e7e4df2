/* declare.h - macros by which a list of types (types.def) becomes C structs. No include guard: includers
 * read their list between this and undefine.h. */

/* clang-format off */
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
#define KB_CONTEXT(name, rfc_name, t, of) KB_APPLICATION(name, rfc_name, t, t, of)
#define KB_RAW(name, rfc_name, of) \
    typedef kb_bytes kb_##name; \
    KB_CODER(name)
/* clang-format on */
