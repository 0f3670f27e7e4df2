/* asn1 types and engine: other implementations' messages, decoded and encoded to the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/table.h"
#include "asn1/types.h"
#include "tests/support/wire.h"

/* Decodes `in` as `type` and encodes it again. */
static void round_trip(struct wire *wire, const struct kb_type *type, kb_bytes in)
{
    struct kb_arena arena;
    uint64_t value[64];
    struct kb_why why = {""};
    kb_bytes out;
    enum kb_status status;

    assert_true(type->size <= sizeof(value));
    kb_arena_init(&arena, NULL, 0, 1 << 20);
    status = kb_decode(type, in, &arena, value, &why);
    if (status != KB_OK) {
        fail_msg("%s: %s", wire_name(wire), why.text);
    }
    assert_int_equal(kb_encode(type, &arena, value, &out), KB_OK);
    if (!kb_equal(in, out)) {
        fail_msg("%s: %s is encoded to other bytes", wire_name(wire), type->name);
    }
    kb_arena_wipe(&arena);
}

static const struct kb_type *message_type(kb_bytes message)
{
    for (size_t i = 0; kb_types[i] != NULL; i++) {
        if (kb_types[i]->kind == KB_KIND_APPLICATION && kb_types[i]->tag == message.ptr[0]) {
            return kb_types[i];
        }
    }
    return NULL;
}

static void exchange_round_trips(struct wire *wire, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < wire_num(wire, "messages"); i++) {
        kb_bytes message = wire_hex(wire, "messages[%zu].hex", i);

        assert_non_null(message_type(message));
        round_trip(wire, message_type(message), message);
    }
}

static void recorded_messages(void **state)
{
    (void)state;
    wire_each("exchanges", exchange_round_trips, NULL);
    wire_each("errors", exchange_round_trips, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
