/* asn1/show: values as lines for a person and as JSON for a program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "asn1/print.h"
#include "asn1/show.h"
#include "asn1/table.h"
#include "asn1/types.h"
#include "tests/support/wire.h"

static void some_values(struct kb_show *show, const char *title)
{
    kb_show_open(show, title, KB_SHOW_FIELDS);
    kb_show_number(show, "msg_type", 14, "AP-REQ");
    kb_show_number(show, "kvno", -3, NULL);
    kb_show_bool(show, "mutual", true);
    kb_show_null(show, "from");
    kb_show_text(show, "realm", KB_LIT("A\"\\\n\x1b\xc3\xa9\xff"));
    kb_show_name(show, "client", KB_LIT("alice@R"));
    kb_show_octets(show, "salt", KB_LIT("\x01\xab"), false);
    kb_show_hidden(show, "key", 32);
    kb_show_flags(show, "flags", 0x40800000);
    kb_show_time(show, "endtime", 0);
    kb_show_oid(show, "mech", KB_LIT("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"));
    kb_show_open(show, "empty", KB_SHOW_ITEMS);
    kb_show_close(show);
    kb_show_open(show, "names", KB_SHOW_PLAIN);
    kb_show_word(show, NULL, "one");
    kb_show_word(show, NULL, "two");
    kb_show_close(show);
    kb_show_open(show, "items", KB_SHOW_ITEMS);
    for (int i = 0; i < 2; i++) {
        kb_show_open(show, NULL, KB_SHOW_FIELDS);
        kb_show_number(show, "n", i, NULL);
        kb_show_close(show);
    }
    kb_show_close(show);
    kb_show_close(show);
}

static void as_text(void **state)
{
    struct kb_show show;
    struct kb_buf out;

    (void)state;
    kb_buf_init(&out, 10000);
    kb_show_init(&show, &out, false);
    some_values(&show, "Title");
    assert_string_equal(kb_buf_str(&out), "Title:\n"
                                          "  msg-type: 14 (AP-REQ)\n"
                                          "  kvno: -3\n"
                                          "  mutual: yes\n"
                                          "  from: -\n"
                                          "  realm: \"A\"\\x5c\\x0a\\x1b\xc3\xa9\\xff\"\n"
                                          "  client: alice@R\n"
                                          "  salt: (2 bytes) 01ab\n"
                                          "  key: (32 bytes, not shown)\n"
                                          "  flags: 40800000 (forwardable, renewable)\n"
                                          "  endtime: 1970-01-01 00:00:00 UTC\n"
                                          "  mech: 1.2.840.113554.1.2.2 (krb5)\n"
                                          "  empty: (none)\n"
                                          "  names: one, two\n"
                                          "  items:\n"
                                          "    [0]\n"
                                          "      n: 0\n"
                                          "    [1]\n"
                                          "      n: 1\n");
    kb_buf_wipe(&out);
    kb_show_init(&show, &out, false);
    kb_show_open(&show, NULL, KB_SHOW_FIELDS);
    kb_show_number(&show, "n", 1, NULL);
    kb_show_open(&show, "inner", KB_SHOW_FIELDS);
    kb_show_number(&show, "n", 2, NULL);
    kb_show_close(&show);
    kb_show_close(&show);
    assert_string_equal(kb_buf_str(&out), "n: 1\ninner:\n  n: 2\n");
    kb_buf_wipe(&out);
}

static void as_json(void **state)
{
    struct kb_show show;
    struct kb_buf out;
    json_t *root;
    char *compact;

    (void)state;
    kb_buf_init(&out, 10000);
    kb_show_init(&show, &out, true);
    some_values(&show, "Title");
    root = json_loads(kb_buf_str(&out), 0, NULL);
    assert_non_null(root);
    compact = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
    assert_string_equal(compact,
                        "{\"msg-type\":14,\"msg-type-name\":\"AP-REQ\",\"kvno\":-3,\"mutual\":true,"
                        "\"from\":null,\"realm\":\"A\\\"\\\\\\n\\u001B\xc3\xa9\\\\xff\","
                        "\"client\":\"alice@R\",\"salt\":\"01ab\",\"key-length\":32,"
                        "\"flags\":1082130432,\"flags-names\":[\"forwardable\",\"renewable\"],"
                        "\"endtime\":\"1970-01-01T00:00:00Z\",\"mech\":\"1.2.840.113554.1.2.2\","
                        "\"mech-name\":\"krb5\",\"empty\":[],\"names\":[\"one\",\"two\"],"
                        "\"items\":[{\"n\":0},{\"n\":1}]}");
    free(compact);
    json_decref(root);
    kb_buf_wipe(&out);
}

/* Groups within groups without end: neither stack nor buffer gives way, and JSON stays JSON. */
static void too_deep(void **state)
{
    struct kb_show show;
    struct kb_buf out;
    json_t *root;

    (void)state;
    for (int json = 0; json < 2; json++) {
        kb_buf_init(&out, 1 << 20);
        kb_show_init(&show, &out, json == 1);
        for (int i = 0; i < 1000; i++) {
            kb_show_open(&show, "a", KB_SHOW_FIELDS);
        }
        for (int i = 0; i < 1000; i++) {
            kb_show_close(&show);
        }
        assert_non_null(strstr(kb_buf_str(&out), "…"));
        assert_int_equal(show.depth, 0);
        root = json_loads(kb_buf_str(&out), 0, NULL);
        assert_int_equal(root != NULL, json == 1);
        json_decref(root);
        kb_buf_wipe(&out);
    }
}

/* Every recorded message is the same JSON to another parser. */
static void recorded(struct wire *wire, void *ctx)
{
    size_t *num = ctx;

    for (size_t i = 0; i < wire_num(wire, "messages"); i++) {
        const struct kb_print_how how = {.show_secrets = false};
        kb_bytes message = wire_hex(wire, "messages[%zu].hex", i);
        const struct kb_type *type = kb_message_type(message);
        struct kb_arena arena;
        struct kb_show show;
        struct kb_buf out;
        json_t *root;
        void *value;

        if (type == NULL) {
            continue;
        }
        kb_arena_init(&arena, NULL, 0, 1 << 20);
        kb_buf_init(&out, 1 << 20);
        kb_show_init(&show, &out, true);
        value = kb_arena_alloc(&arena, type->size);
        if (kb_decode(type, message, &arena, value, NULL) == KB_OK) {
            kb_print_value(&show, type->name, type, value, &how);
            root = json_loads(kb_buf_str(&out), JSON_REJECT_DUPLICATES, NULL);
            assert_non_null(root);
            assert_true(json_is_integer(json_object_get(root, "pvno")));
            json_decref(root);
            ++*num;
        }
        kb_buf_wipe(&out);
        kb_arena_wipe(&arena);
    }
}

static void recorded_messages_as_json(void **state)
{
    size_t num = 0;

    (void)state;
    wire_each("exchanges", recorded, &num);
    assert_true(num > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_text),
        cmocka_unit_test(as_json),
        cmocka_unit_test(too_deep),
        cmocka_unit_test(recorded_messages_as_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
