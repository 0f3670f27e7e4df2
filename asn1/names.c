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
