/* define.h - macros by which a list of types becomes the field tables of the engine; table.h says what
 * is in them. No include guard: includers read their list between this and undefine.h. */

/* clang-format off */

/* DER identifier octets */
#define KB_TAG_APPLICATION(number) (0x60 | (number))
#define KB_TAG_CONTEXT(number) (0xa0 | (number))

#define KB_HAS_OFFSET_REQUIRED(S, field) KB_ALWAYS
#define KB_HAS_OFFSET_SECRET(S, field)   KB_ALWAYS
#define KB_HAS_OFFSET_OPTIONAL(S, field) offsetof(S, has_##field)
#define KB_IS_REQUIRED false
#define KB_IS_OPTIONAL false
#define KB_IS_SECRET   true
#define KB_ROW(S, type_, field, tag_, presence) { \
    .name = #field, .type = &kb_type_##type_, .offset = offsetof(S, field), \
    .has_offset = KB_HAS_OFFSET_##presence(S, field), .tag = KB_TAG_CONTEXT(tag_), .secret = KB_IS_##presence},

#define KB_SEQUENCE(type, rfc_name, FIELDS) \
    static const struct kb_field fields_of_##type[] = {FIELDS(KB_ROW, kb_##type)}; \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_SEQUENCE, .tag = 0x30, .other_tag = 0x30, \
        .size = sizeof(kb_##type), .fields = fields_of_##type, \
        .num_fields = sizeof(fields_of_##type) / sizeof(fields_of_##type[0])};
#define KB_LIST(type, rfc_name, element) \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_LIST, .tag = 0x30, .other_tag = 0x30, \
        .size = sizeof(kb_##type), .of = &kb_type_##element};
#define KB_APPLICATION(type, rfc_name, t1, t2, inner) \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_APPLICATION, .tag = KB_TAG_APPLICATION(t1), \
        .other_tag = KB_TAG_APPLICATION(t2), .size = sizeof(kb_##type), .of = &kb_type_##inner};
#define KB_CONTEXT(type, rfc_name, t, inner) \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_APPLICATION, .tag = KB_TAG_CONTEXT(t), \
        .other_tag = KB_TAG_CONTEXT(t), .size = sizeof(kb_##type), .of = &kb_type_##inner};
/* The tag of a KB_RAW is its `of`'s. */
#define KB_RAW(type, rfc_name, inner) \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_RAW, .size = sizeof(kb_##type), .of = &kb_type_##inner};
/* clang-format on */
