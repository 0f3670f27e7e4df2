#include "asn1/types.h"

#include "asn1/table.h"

/* DER identifier octets */
#define TAG_INTEGER 0x02
#define TAG_BIT_STRING 0x03
#define TAG_OCTET_STRING 0x04
#define TAG_OID 0x06
#define TAG_ENUMERATED 0x0a
#define TAG_GENERALIZED_TIME 0x18
#define TAG_GENERAL_STRING 0x1b

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
PRIMITIVE(oid,    KB_KIND_OID,    TAG_OID)
PRIMITIVE(enumerated, KB_KIND_ENUMERATED, TAG_ENUMERATED)
/* clang-format on */

#include "asn1/define.h"
#include "asn1/types.def"
#include "asn1/undefine.h"

#include "asn1/enlist.h"
const struct kb_type *const kb_types[] = {
#include "asn1/types.def"
    NULL};
#include "asn1/undefine.h"
