/* The input is read as every type of types.def. What decodes is printed, encoded, and decoded to
 * the same again. */
#include <stdlib.h>

#include "asn1/table.h"
#include "tests/fuzz/fuzz.h"

#define CEILING (1u << 22)

static void try_type(const struct kb_type *type, kb_bytes in)
{
    struct kb_arena arena;
    struct kb_buf text;
    struct kb_why why;
    kb_bytes once, twice;
    void *value;

    kb_arena_init(&arena, NULL, 0, CEILING);
    kb_buf_init(&text, CEILING);
    value = kb_arena_alloc(&arena, type->size);
    if (value != NULL && kb_decode(type, in, &arena, value, &why) == KB_OK) {
        kb_print(type, value, false, &text);
        FUZZ_MUST(kb_encode(type, &arena, value, &once) == KB_OK);
        FUZZ_MUST(kb_decode(type, once, &arena, value, &why) == KB_OK);
        FUZZ_MUST(kb_encode(type, &arena, value, &twice) == KB_OK);
        FUZZ_MUST(kb_equal(once, twice));
    }
    kb_buf_wipe(&text);
    kb_arena_wipe(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    for (size_t i = 0; kb_types[i] != NULL; i++) {
        try_type(kb_types[i], kb_bytes_of(data, len));
    }
    return 0;
}
