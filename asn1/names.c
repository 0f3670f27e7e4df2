#include "asn1/names.h"

/* Names are arrays, not pointers: the table needs no relocation when the library is loaded. */
struct number {
    int32_t value;
    char name[48];
};

/* clang-format off */
#define KB_NUMBERS(field)      static const struct number numbers_##field[] = {
#define KB_BITS(field)         static const struct number numbers_##field[] = {
#define KB_NUMBER(value, name) {value, name},
#define KB_END                 };
#include "asn1/names.def"
#undef KB_NUMBERS
#undef KB_BITS
#undef KB_NUMBER
#undef KB_END

#define ROW(field) {#field, numbers_##field, sizeof(numbers_##field) / sizeof(numbers_##field[0])},
#define KB_NUMBERS(field)      ROW(field)
#define KB_BITS(field)         ROW(field)
#define KB_NUMBER(value, name)
#define KB_END

static const struct field_numbers {
    char field[16];
    const struct number *numbers;
    size_t num;
} fields[] = {
#include "asn1/names.def"
    {"keytype", numbers_etype, sizeof(numbers_etype) / sizeof(numbers_etype[0])},
};
/* clang-format on */

const char *kb_number_name(const char *field, int64_t value)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].field, field) == 0) {
            for (size_t j = 0; j < fields[i].num; j++) {
                if (fields[i].numbers[j].value == value) {
                    return fields[i].numbers[j].name;
                }
            }
        }
    }
    return NULL;
}

void kb_flags_print(const char *field, uint32_t flags, struct kb_buf *out)
{
    const char *comma = "";

    for (int bit = 0; bit < 32; bit++) {
        if ((flags & 0x80000000u >> bit) != 0) {
            const char *name = kb_number_name(field, bit);

            if (name != NULL) {
                kb_buf_printf(out, "%s%s", comma, name);
            } else {
                kb_buf_printf(out, "%sbit %d", comma, bit);
            }
            comma = ", ";
        }
    }
}

/* Mechanisms that stand in tokens: RFC 4121, 4178, 2478, MS-SPNG, MS-NEGOEX,
 * draft-ietf-kitten-iakerb. */
static const struct {
    uint8_t len;
    char oid[12];
    char name[24];
} oids[] = {
    {9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02", "krb5"},
    {9, "\x2a\x86\x48\x82\xf7\x12\x01\x02\x02", "krb5, Microsoft's"},
    {5, "\x2b\x05\x01\x05\x02", "krb5, of RFC 1510"},
    {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x03", "krb5, user to user"},
    {6, "\x2b\x06\x01\x05\x02\x05", "IAKERB"},
    {6, "\x2b\x06\x01\x05\x05\x02", "SPNEGO"},
    {10, "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a", "NTLMSSP"},
    {10, "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x1e", "NEGOEX"},
};

const char *kb_oid_name(kb_bytes oid)
{
    for (size_t i = 0; i < sizeof(oids) / sizeof(oids[0]); i++) {
        if (kb_equal(oid, kb_bytes_of(oids[i].oid, oids[i].len))) {
            return oids[i].name;
        }
    }
    return NULL;
}

void kb_oid_print(kb_bytes oid, struct kb_buf *out)
{
    uint64_t arc = 0;
    bool first = true;

    for (size_t i = 0; i < oid.len; i++) {
        arc = (arc & UINT32_MAX) << 7 | (oid.ptr[i] & 0x7f);
        if ((oid.ptr[i] & 0x80) != 0) {
            continue;
        }
        if (first) {
            unsigned root = arc >= 80 ? 2 : (unsigned)(arc / 40);

            kb_buf_printf(out, "%u.", root);
            arc -= 40 * root;
        }
        kb_buf_printf(out, "%s%llu", first ? "" : ".", (unsigned long long)arc);
        first = false;
        arc = 0;
    }
}
