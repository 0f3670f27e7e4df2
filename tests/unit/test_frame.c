/* mech/protocol/frame: recorded context tokens, and lengths that are not DER. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/frame.h"
#include "tests/support/wire.h"

static const uint8_t krb5_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};
static const kb_bytes krb5 = {krb5_oid, sizeof(krb5_oid)};

static void *copy_of(kb_bytes bytes)
{
    uint8_t *copy = malloc(bytes.len + 1); /* of its own, so that a sanitizer sees an overrun */

    assert_non_null(copy);
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    return copy;
}

static void check_framing(struct wire *wire, void *ctx)
{
    size_t *count = ctx;
    size_t num = wire_num(wire, "context_tokens");

    for (size_t n = 0; n < num; n++) {
        kb_bytes token = wire_hex(wire, "context_tokens[%zu].hex", n), mech, message;
        size_t offset;
        uint16_t id;
        uint8_t *again;

        if (!wire_has(wire, "context_tokens[%zu].krb5_token_id", n) ||
            strcmp(wire_text(wire, "context_tokens[%zu].krb5_token_id", n), "raw") == 0 ||
            strcmp(wire_text(wire, "mech"), "krb5") != 0) {
            continue;
        }
        offset = (size_t)wire_int(wire, "context_tokens[%zu].krb5_message_hex_offset", n);
        assert_int_equal(kb_unframe(token, &mech, &id, &message), KB_OK);
        assert_true(kb_equal(mech, krb5));
        assert_ptr_equal(message.ptr, token.ptr + offset);
        assert_int_equal(message.len, wire_int(wire, "context_tokens[%zu].krb5_message_len", n));
        assert_int_equal(kb_frame_len(mech, message.len), token.len);
        again = malloc(token.len);
        kb_frame(mech, id, message, again);
        assert_true(kb_equal(kb_bytes_of(again, token.len), token));
        free(again);
        for (size_t cut = 0; cut < token.len; cut++) {
            uint8_t *copy = copy_of(kb_bytes_of(token.ptr, cut));

            assert_int_not_equal(kb_unframe(kb_bytes_of(copy, cut), &mech, &id, &message), KB_OK);
            assert_null(message.ptr);
            free(copy);
        }
        ++*count;
    }
}

static void recorded_frames_are_taken_and_remade(void **state)
{
    size_t count = 0;

    (void)state;
    wire_each("gss", check_framing, &count);
    assert_true(count > 30);
}

static kb_bytes unhex(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char octet[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(octet, NULL, 16);
    }
    return kb_bytes_of(out, len);
}

static void lengths_are_der(void **state)
{
    static uint8_t message[70000], token[70100];
    static const size_t lens[] = {0,   1,   113, 114, 115,   116,   128,
                                  241, 242, 243, 244, 65520, 65523, 70000};
    static const struct {
        const char *hex;
        enum kb_status want;
    } bad[] = {
        {"", KB_CUT_SHORT},
        {"60", KB_MALFORMED},
        {"6084", KB_MALFORMED},
        {"604006", KB_CUT_SHORT},
        {"60400609", KB_CUT_SHORT},
        {"600606012a010041", KB_OK},
        {"610606012a010041", KB_MALFORMED},
        {"60810606012a010041", KB_MALFORMED},   /* not minimal */
        {"6082000606012a010041", KB_MALFORMED}, /* not minimal */
        {"608006012a0100410000", KB_MALFORMED}, /* indefinite */
        {"600506012a010041", KB_MALFORMED},     /* something behind it */
        {"600706012a010041", KB_CUT_SHORT},
        {"600506002a0100", KB_MALFORMED},   /* an empty OID */
        {"600605012a010041", KB_MALFORMED}, /* no OID */
        {"600406022a01", KB_MALFORMED},     /* no token id */
        {"6006067f2a010041", KB_MALFORMED}, /* an OID beyond the end */
        {"6089ffffffffffffffffff06012a0100", KB_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        size_t len = kb_frame_len(krb5, lens[i]);
        kb_bytes mech, got;
        uint16_t id;

        kb_frame(krb5, KB_TOK_AP_REP, kb_bytes_of(message, lens[i]), token);
        assert_int_equal(kb_unframe(kb_bytes_of(token, len), &mech, &id, &got), KB_OK);
        assert_int_equal(id, KB_TOK_AP_REP);
        assert_int_equal(got.len, lens[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        kb_bytes in = unhex(bad[i].hex, token), mech, got;
        uint8_t *copy = copy_of(in);
        uint16_t id;

        if (kb_unframe(kb_bytes_of(copy, in.len), &mech, &id, &got) != bad[i].want) {
            fail_msg("%s", bad[i].hex);
        }
        free(copy);
    }
}

/* As MIT reads the frames of per-message tokens; the rest begins with the token id. */
static void old_frames_are_read_loosely(void **state)
{
    static const uint8_t oid[] = {0x2a, 0x01};
    static const struct {
        const char *hex;
        size_t elsewhere;
        enum kb_status want;
        size_t rest_len;
    } rows[] = {
        {"", 0, KB_CUT_SHORT, 0},
        {"020141", 0, KB_OK, 3}, /* no frame */
        {"020141", 9, KB_OK, 3},
        {"600706022a01020141", 0, KB_OK, 3},
        {"60810706022a01020141", 0, KB_OK, 3},
        {"608400000007 06022a01020141", 0, KB_OK, 3},
        {"60880000000000000007 06022a01020141", 0, KB_OK, 3},
        {"6089000000000000000007 06022a01020141", 0, KB_MALFORMED, 0},
        {"608006022a01020141", 0, KB_MALFORMED, 0}, /* indefinite */
        {"600606022a01020141", 0, KB_MALFORMED, 0},
        {"600806022a01020141", 0, KB_CUT_SHORT, 0},
        {"600806022a01020141", 1, KB_OK, 3},
        {"600706022a01020141", 1, KB_MALFORMED, 0},
        {"600706022a01020141", 8, KB_MALFORMED, 0},
        {"6082010706022a01020141", 256, KB_OK, 3},
        {"6082010606022a01020141", 256, KB_MALFORMED, 0},
        {"6082010806022a01020141", 256, KB_CUT_SHORT, 0},
        {"600706022a02020141", 0, KB_MALFORMED, 0}, /* another mechanism's */
        {"600706012a01020141", 0, KB_MALFORMED, 0},
        {"600705022a01020141", 0, KB_MALFORMED, 0},
        {"600406022a01", 0, KB_OK, 0}, /* the token id is the caller's to look for */
        {"600306022a", 0, KB_MALFORMED, 0},
        {"60", 0, KB_MALFORMED, 0},
        {"6088ffffffffffffffff06022a01020141", 0, KB_CUT_SHORT, 0},
    };
    uint8_t bytes[64];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char hex[128];
        size_t len = 0;
        kb_bytes in, rest;
        uint8_t *copy;

        for (const char *p = rows[i].hex; *p != '\0'; p++) {
            if (*p != ' ') {
                hex[len++] = *p;
            }
        }
        hex[len] = '\0';
        in = unhex(hex, bytes);
        copy = copy_of(in);
        if (kb_unframe_old(kb_bytes_of(copy, in.len), rows[i].elsewhere,
                           kb_bytes_of(oid, sizeof(oid)), &rest) != rows[i].want) {
            fail_msg("%s", rows[i].hex);
        }
        if (rows[i].want == KB_OK) {
            assert_int_equal(rest.len, rows[i].rest_len);
            assert_ptr_equal(rest.ptr + rest.len, copy + in.len);
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_frames_are_taken_and_remade),
        cmocka_unit_test(lengths_are_der),
        cmocka_unit_test(old_frames_are_read_loosely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
