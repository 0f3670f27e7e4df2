/* table.h - what types.c makes of types.def, for the engine and the printer. Private to asn1.
 *
 * Constant data; any thread. */
#ifndef KB_ASN1_TABLE_H
#define KB_ASN1_TABLE_H

#include "asn1/date.h"
#include "asn1/engine.h"

enum kb_kind {
    /* primitives, in the order of the universal tags in types.c */
    KB_KIND_INT32,
    KB_KIND_UINT32,
    KB_KIND_KVNO,
    KB_KIND_USEC,
    KB_KIND_FLAGS,
    KB_KIND_OCTETS,
    KB_KIND_STRING,
    KB_KIND_TIME,
    KB_KIND_OID,
    KB_KIND_ENUMERATED,
    /* composed */
    KB_KIND_SEQUENCE,
    KB_KIND_LIST,
    KB_KIND_APPLICATION,
    KB_KIND_RAW,
};

#define KB_ALWAYS UINT16_MAX /* kb_field.has_offset of a field that is not OPTIONAL */

struct kb_field {
    const char *name; /* as in the C struct */
    const struct kb_type *type;
    uint16_t offset;     /* of the value in the struct */
    uint16_t has_offset; /* of its has_… */
    uint8_t tag;         /* the identifier octet of its explicit tag */
    bool secret;
};

struct kb_type {
    const char *name; /* as in the RFC */
    enum kb_kind kind;
    uint8_t tag, other_tag; /* identifier octets taken; `tag` is the one written */
    uint16_t size;          /* of the C type */
    uint16_t num_fields;    /* of a SEQUENCE */
    const struct kb_field *fields;
    const struct kb_type *of; /* of LIST, APPLICATION, RAW */
};

/* What every KB_LIST is in memory; copied, since its `items` has another type there. */
struct kb_any_list {
    void *items;
    size_t num;
};

extern const struct kb_type kb_type_int32, kb_type_uint32, kb_type_kvno, kb_type_usec,
    kb_type_flags, kb_type_octets, kb_type_string, kb_type_time, kb_type_oid, kb_type_enumerated;

/* kb_types is every type of types.def, and NULL: for tests, fuzzers and the trail. */
extern const struct kb_type *const kb_types[];

#endif
