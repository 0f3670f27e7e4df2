#include "asn1/types.h"

#include "asn1/table.h"

/* DER identifier octets */
#define TAG_INTEGER 0x02
#define TAG_BIT_STRING 0x03
#define TAG_OCTET_STRING 0x04
#define TAG_GENERALIZED_TIME 0x18
#define TAG_GENERAL_STRING 0x1b
#define TAG_SEQUENCE 0x30
#define TAG_APPLICATION(number) (0x60 | (number))
#define TAG_CONTEXT(number) (0xa0 | (number))

/* clang-format off */
#define PRIMITIVE(type, kind_, tag_) \
    const struct kb_type kb_type_##type = { \
        .name = #type, .kind = kind_, .tag = tag_, .other_tag = tag_, .size = sizeof(kb_##type)};

PRIMITIVE(int32,  KB_KIND_INT32,  TAG_INTEGER)
PRIMITIVE(uint32, KB_KIND_UINT32, TAG_INTEGER)
PRIMITIVE(kvno,   KB_KIND_KVNO,   TAG_INTEGER)
PRIMITIVE(usec,   KB_KIND_USEC,   TAG_INTEGER)
PRIMITIVE(flags,  KB_KIND_FLAGS,  TAG_BIT_STRING)
PRIMITIVE(octets, KB_KIND_OCTETS, TAG_OCTET_STRING)
PRIMITIVE(string, KB_KIND_STRING, TAG_GENERAL_STRING)
PRIMITIVE(time,   KB_KIND_TIME,   TAG_GENERALIZED_TIME)

#define HAS_REQUIRED(S, field) KB_ALWAYS
#define HAS_SECRET(S, field)   KB_ALWAYS
#define HAS_OPTIONAL(S, field) offsetof(S, has_##field)
#define IS_REQUIRED false
#define IS_OPTIONAL false
#define IS_SECRET   true
#define ROW(S, type_, field, tag_, presence) { \
    .name = #field, .type = &kb_type_##type_, .offset = offsetof(S, field), \
    .has_offset = HAS_##presence(S, field), .tag = TAG_CONTEXT(tag_), .secret = IS_##presence},

#define KB_SEQUENCE(type, rfc_name, FIELDS) \
    static const struct kb_field fields_of_##type[] = {FIELDS(ROW, kb_##type)}; \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_SEQUENCE, .tag = TAG_SEQUENCE, .other_tag = TAG_SEQUENCE, \
        .size = sizeof(kb_##type), .fields = fields_of_##type, \
        .num_fields = sizeof(fields_of_##type) / sizeof(fields_of_##type[0])};
#define KB_LIST(type, rfc_name, element) \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_LIST, .tag = TAG_SEQUENCE, .other_tag = TAG_SEQUENCE, \
        .size = sizeof(kb_##type), .of = &kb_type_##element};
#define KB_APPLICATION(type, rfc_name, t1, t2, inner) \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_APPLICATION, .tag = TAG_APPLICATION(t1), \
        .other_tag = TAG_APPLICATION(t2), .size = sizeof(kb_##type), .of = &kb_type_##inner};
/* The tag of a KB_RAW is its `of`'s. */
#define KB_RAW(type, rfc_name, inner) \
    const struct kb_type kb_type_##type = { \
        .name = rfc_name, .kind = KB_KIND_RAW, .size = sizeof(kb_##type), .of = &kb_type_##inner};

#include "asn1/types.def"

#undef KB_SEQUENCE
#undef KB_LIST
#undef KB_APPLICATION
#undef KB_RAW
#define KB_SEQUENCE(type, rfc_name, FIELDS)           &kb_type_##type,
#define KB_LIST(type, rfc_name, element)              &kb_type_##type,
#define KB_APPLICATION(type, rfc_name, t1, t2, inner) &kb_type_##type,
#define KB_RAW(type, rfc_name, inner)                 &kb_type_##type,

const struct kb_type *const kb_types[] = {
#include "asn1/types.def"
    NULL};
/* clang-format on */
