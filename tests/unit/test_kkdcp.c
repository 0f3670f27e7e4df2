/* mech/net/kkdcp: KDC-PROXY-MESSAGE as MIT's and Heimdal's clients and kdcproxy write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/net/kkdcp.h"
#include "tests/support/wire.h"

#define CEILING ((size_t)65536)

/* Requests come out as they were recorded, answers yield the recorded message. */
static void one(struct wire *wire, void *ctx)
{
    size_t *num = ctx;

    for (size_t m = 0; m < wire_num(wire, "messages"); m++) {
        kb_bytes body = wire_hex(wire, "messages[%zu].kdc_proxy_message", m);
        kb_bytes framed = wire_hex(wire, "messages[%zu].kerb_message_hex", m), out;
        kb_bytes message = kb_bytes_of(framed.ptr + 4, framed.len - 4);
        struct kb_arena arena;

        kb_arena_init(&arena, NULL, 0, CEILING);
        assert_int_equal(kb_kkdcp_unwrap(body, &arena, &out), KB_OK);
        assert_true(kb_equal(out, message));
        if (wire_has(wire, "messages[%zu].target_domain", m)) {
            kb_bytes realm = kb_str(wire_text(wire, "messages[%zu].target_domain", m));

            assert_int_equal(kb_kkdcp_wrap(message, realm, &arena, &out), KB_OK);
            assert_true(kb_equal(out, body));
        }
        kb_arena_wipe(&arena);
        ++*num;
    }
}

static void recorded(void **state)
{
    size_t num = 0;

    (void)state;
    wire_each("kkdcp", one, &num);
    assert_true(num >= 12);
}

/* Each byte changed: nothing but a message within the body ever comes out. */
static void changed(void **state)
{
    struct wire *wire = wire_load("kkdcp/mit-aes256-sha1.json");
    kb_bytes body = wire_hex(wire, "messages[1].kdc_proxy_message"), out;

    (void)state;
    for (size_t at = 0; at < body.len; at += at < 16 ? 1 : wire_stride()) {
        for (unsigned mask = 1; mask < 256; mask <<= 1) {
            uint8_t *copy = malloc(body.len);
            struct kb_arena arena;

            assert_non_null(copy);
            memcpy(copy, body.ptr, body.len);
            copy[at] ^= (uint8_t)mask;
            kb_arena_init(&arena, NULL, 0, CEILING);
            if (kb_kkdcp_unwrap(kb_bytes_of(copy, body.len), &arena, &out) == KB_OK) {
                assert_true(out.ptr > copy && out.ptr + out.len <= copy + body.len);
                assert_true(at >= 13); /* lengths and tags are before that */
            }
            kb_arena_wipe(&arena);
            free(copy);
        }
    }
    wire_free(wire);
}

static void refused(void **state)
{
    static const struct {
        kb_bytes body;
        bool good;
    } rows[] = {
        {{NULL, 0}, false},
        {KB_LIT("<html>"), false},
        {KB_LIT("\x30\x00"), false},                           /* no message */
        {KB_LIT("\x30\x06\xa0\x04\x04\x02\0\0"), false},       /* no length */
        {KB_LIT("\x30\x08\xa0\x06\x04\x04\0\0\0\0"), false},   /* an empty one */
        {KB_LIT("\x30\x09\xa0\x07\x04\x05\0\0\0\2x"), false},  /* too short */
        {KB_LIT("\x30\x0a\xa0\x08\x04\x06\0\0\0\1xy"), false}, /* too long */
        {KB_LIT("\x30\x09\xa0\x07\x04\x05\xff\xff\xff\xffx"), false},
        {KB_LIT("\x30\x09\xa0\x07\x04\x05\0\0\0\1x"), true},
        {KB_LIT("\x30\x09\xa0\x07\x04\x05\0\0\0\1x!"), false}, /* something behind it */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kb_arena arena;
        kb_bytes out;

        kb_arena_init(&arena, NULL, 0, CEILING);
        assert_int_equal(kb_kkdcp_unwrap(rows[i].body, &arena, &out) == KB_OK, rows[i].good);
        assert_true(out.len == (rows[i].good ? 1 : 0));
        kb_arena_wipe(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded),
        cmocka_unit_test(changed),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
