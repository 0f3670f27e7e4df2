/* cli/input: the same bytes in every form that people paste. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/input.h"

/* "AP-REQ-like": 20 bytes, so that two lines of columns are needed. */
#define BYTES "\x6e\x12\x30\x10\x00\xff\x7f\x0a\x20\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b"

static const struct {
    const char *text;
    enum kb_input_form asked, form;
} forms[] = {
    {"6e12301000ff7f0a204142434445464748494a4b", KB_INPUT_AUTO, KB_INPUT_HEX},
    {"6E12 3010 00FF 7F0A\n2041 4243 4445 4647\n4849 4a4b\n", KB_INPUT_AUTO, KB_INPUT_HEX},
    {"6e:12:30:10:00:ff:7f:0a:20:41:42:43:44:45:46:47:48:49:4a:4b", KB_INPUT_AUTO, KB_INPUT_HEX},
    {"0x6e, 0x12, 0x30, 0x10, 0x00, 0xff, 0x7f, 0x0a, 0x20, 0x41,\n"
     "0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b",
     KB_INPUT_AUTO, KB_INPUT_HEX},
    /* xxd */
    {"00000000: 6e12 3010 00ff 7f0a 2041 4243 4445 4647  n.0..... ABCDEFG\n"
     "00000010: 4849 4a4b                                HIJK\n",
     KB_INPUT_AUTO, KB_INPUT_HEX},
    /* hexdump -C */
    {"00000000  6e 12 30 10 00 ff 7f 0a  20 41 42 43 44 45 46 47  |n.0..... ABCDEFG|\n"
     "00000010  48 49 4a 4b                                       |HIJK|\n"
     "00000014\n",
     KB_INPUT_AUTO, KB_INPUT_HEX},
    /* tcpdump -X */
    {"\t0x0000:  6e12 3010 00ff 7f0a 2041 4243 4445 4647  n.0......ABCDEFG\n"
     "\t0x0010:  4849 4a4b                                HIJK\n",
     KB_INPUT_AUTO, KB_INPUT_HEX},
    {"bhIwEAD/fwogQUJDREVGR0hJSks=", KB_INPUT_AUTO, KB_INPUT_BASE64},
    {"bhIwEAD_fwogQUJDREVGR0hJSks", KB_INPUT_AUTO, KB_INPUT_BASE64},
    {"  bhIwEAD/fwog\r\nQUJDREVGR0hJSks=\r\n", KB_INPUT_AUTO, KB_INPUT_BASE64},
    {"Negotiate bhIwEAD/fwogQUJDREVGR0hJSks=\n", KB_INPUT_AUTO, KB_INPUT_BASE64},
    {"> authorization: negotiate bhIwEAD/fwogQUJDREVGR0hJSks=\r\n> Accept: */*\r\n", KB_INPUT_AUTO,
     KB_INPUT_BASE64},
    {BYTES, KB_INPUT_RAW, KB_INPUT_RAW},
};

static kb_bytes text_of(size_t i)
{
    return forms[i].form == KB_INPUT_RAW ? KB_LIT(BYTES) : kb_str(forms[i].text);
}

static void every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        enum kb_input_form form;
        struct kb_buf out;

        kb_buf_init(&out, 1000);
        assert_int_equal(kb_input_bytes(text_of(i), forms[i].asked, &out, &form), KB_OK);
        assert_int_equal(form, forms[i].form);
        assert_int_equal(out.len, 20);
        assert_memory_equal(out.data, BYTES, 20);
        kb_buf_wipe(&out);
    }
}

static void what_is_none_is_raw(void **state)
{
    static const char *const texts[] = {"", "hello, world", "6e1", "6g!", "====", "a", "\xff"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        enum kb_input_form form;
        struct kb_buf out;

        kb_buf_init(&out, 1000);
        assert_int_equal(kb_input_bytes(kb_str(texts[i]), KB_INPUT_AUTO, &out, &form), KB_OK);
        assert_int_equal(form, KB_INPUT_RAW);
        assert_int_equal(out.len, strlen(texts[i]));
        kb_buf_wipe(&out);
        assert_int_equal(kb_input_bytes(kb_str(texts[i]), KB_INPUT_HEX, &out, &form), KB_MALFORMED);
        kb_buf_wipe(&out);
    }
}

static void base64_vectors(void **state)
{
    /* RFC 4648 10 */
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum kb_input_form form;
        struct kb_buf out;

        kb_buf_init(&out, 1000);
        kb_base64(kb_str(rows[i][0]), &out);
        assert_string_equal(kb_buf_str(&out), rows[i][1]);
        kb_buf_wipe(&out);
        if (i > 0) {
            assert_int_equal(kb_input_bytes(kb_str(rows[i][1]), KB_INPUT_BASE64, &out, &form),
                             KB_OK);
            assert_string_equal(kb_buf_str(&out), rows[i][0]);
        }
        kb_buf_wipe(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form),
        cmocka_unit_test(what_is_none_is_raw),
        cmocka_unit_test(base64_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
