/* asn1/buf and asn1/arena: ceilings, first error, escaping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/arena.h"
#include "asn1/buf.h"

static void ceiling_is_kept(void **state)
{
    struct kb_buf buf;

    (void)state;
    kb_buf_init(&buf, 10);
    kb_buf_add_str(&buf, "0123456789");
    assert_int_equal(buf.status, KB_OK);
    kb_buf_add_str(&buf, "x");
    assert_int_equal(buf.status, KB_TOO_BIG);
    kb_buf_add_str(&buf, "");
    assert_int_equal(buf.len, 10);
    assert_string_equal(kb_buf_str(&buf), "");
    kb_buf_wipe(&buf);
}

static void foreign_text_is_escaped(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {"plain", 5, "plain"},
        {"a\nb\x1b[0m", 7, "a\\x0ab\\x1b[0m"},
        {"back\\slash", 10, "back\\x5cslash"},
        {"m\xc3\xbcller", 7, "m\xc3\xbcller"},
        {"\xc0\xaf", 2, "\\xc0\\xaf"},          /* overlong */
        {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"}, /* surrogate */
        {"\xc2\x9b", 2, "\\xc2\\x9b"},          /* C1: the 8-bit CSI */
        {"\xe2\x82", 2, "\\xe2\\x82"},          /* cut */
        {"nul\0", 4, "nul\\x00"},
        {"\xe2\x80\xae", 3, "\\xe2\\x80\\xae"},          /* U+202E: turns the line round */
        {"\xe2\x81\xa6", 3, "\\xe2\\x81\\xa6"},          /* U+2066 */
        {"\xe2\x80\xa8", 3, "\\xe2\\x80\\xa8"},          /* U+2028: a new line */
        {"\xef\xbb\xbf", 3, "\\xef\\xbb\\xbf"},          /* U+FEFF */
        {"\xf3\xa0\x81\x81", 4, "\\xf3\\xa0\\x81\\x81"}, /* U+E0041: a tag */
        {"\xe2\x82\xac\xf0\x9f\x90\xa7", 7, "\xe2\x82\xac\xf0\x9f\x90\xa7"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kb_buf buf;

        kb_buf_init(&buf, 100);
        kb_buf_add_escaped(&buf, kb_bytes_of(rows[i].in, rows[i].len));
        assert_string_equal(kb_buf_str(&buf), rows[i].out);
        kb_buf_wipe(&buf);
    }
}

static void taken_text_is_terminated(void **state)
{
    struct kb_buf buf;
    size_t len;
    char *text;

    (void)state;
    kb_buf_init(&buf, 4096);
    for (int i = 0; i < 100; i++) {
        kb_buf_printf(&buf, "%d,", i);
    }
    text = kb_buf_take(&buf, &len);
    assert_non_null(text);
    assert_int_equal(strlen(text), len);
    assert_memory_equal(text, "0,1,2,", 6);
    free(text);
    text = kb_buf_take(&buf, &len);
    assert_string_equal(text, "");
    free(text);
}

static void arena_keeps_its_ceiling(void **state)
{
    uint64_t first[8];
    struct kb_arena arena;

    (void)state;
    kb_arena_init(&arena, first, sizeof(first), 5000);
    assert_ptr_equal(kb_arena_alloc(&arena, 16), first);
    assert_non_null(kb_arena_alloc(&arena, 4000));
    assert_non_null(kb_arena_alloc(&arena, 0));
    assert_null(kb_arena_alloc(&arena, 4096));
    assert_null(kb_arena_alloc(&arena, SIZE_MAX));
    assert_non_null(kb_arena_copy(&arena, KB_NONE).ptr);
    first[0] = 42;
    kb_arena_wipe(&arena);
    assert_int_equal(first[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceiling_is_kept),
        cmocka_unit_test(foreign_text_is_escaped),
        cmocka_unit_test(taken_text_is_terminated),
        cmocka_unit_test(arena_keeps_its_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
