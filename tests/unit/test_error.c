/* mech/report error and last_error: the table is complete, the first cause stays, the sentence is
 * found again by its minor code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "mech/report/last_error.h"

static bool is_reference(int number)
{
    return (number >= 104 && number <= 119) || number == 434 || (number >= 950 && number <= 954) ||
           (number >= 10004 && number <= 10071) || (number >= 11001 && number <= 11004);
}

/* GSS routine errors that exist: 1 to 18, RFC 2744 3.9.1. */
static void every_row_is_whole(void **state)
{
    (void)state;
    for (int code = KB_E_NONE + 1; code < KB_E_NUM; code++) {
        const char *text = kb_error_text(code), *hint = kb_error_hint(code);
        uint32_t minor = kb_error_minor(code);

        assert_true(strlen(text) > 5);
        assert_null(strchr(".!?", text[strlen(text) - 1]));
        assert_true(strlen(hint) > 5);
        assert_int_equal(hint[strlen(hint) - 1], '.');
        assert_true(kb_error_major(code) >> 16 >= 1 && kb_error_major(code) >> 16 <= 18);
        assert_int_equal(kb_error_major(code) & 0xffff, 0);
        assert_true(is_reference(kb_error_reference(code)));
        assert_int_equal(kb_error_of_minor(minor), code);
    }
    assert_int_equal(kb_error_of_minor(0), KB_E_NONE);
    assert_int_equal(kb_error_of_minor(KB_MINOR_BASE), KB_E_NONE);
    assert_int_equal(kb_error_of_minor(KB_MINOR_BASE + KB_E_NUM), KB_E_NONE);
    assert_int_equal(kb_error_of_minor(ENOMEM), KB_E_NONE);
}

static void assert_line(const struct kb_error *err, const char *line)
{
    struct kb_buf buf;

    kb_buf_init(&buf, 4096);
    kb_error_line(err, &buf);
    assert_string_equal(kb_buf_str(&buf), line);
    kb_buf_wipe(&buf);
}

static void the_first_cause_stays(void **state)
{
    struct kb_error err = {0};

    (void)state;
    assert_int_equal(kb_error_set(&err, KB_E_POLICY, "no luck for %s", "alice"), KB_ERROR);
    assert_int_equal(kb_error_set(&err, KB_E_TIMEOUT, "later"), KB_ERROR);
    kb_error_context(&err, "HTTP/%s", "www");
    assert_int_equal(err.code, KB_E_POLICY);
    assert_line(&err, "HTTP/www: no luck for alice. Ask the realm's administrator.");
    err.no_hint = true;
    assert_line(&err, "HTTP/www: no luck for alice");
    assert_int_equal(kb_error_set(NULL, KB_E_POLICY, "nobody asks"), KB_ERROR);
}

static void causes_below_are_named(void **state)
{
    struct kb_error err = {0}, memory = {0};

    (void)state;
    kb_error_errno(&err, KB_E_KEYTAB, EACCES, "keytab %s", "/x");
    assert_int_equal(err.sys_errno, EACCES);
    assert_string_equal(err.text, "keytab /x: Permission denied");
    kb_error_status(&memory, KB_E_KEYTAB, KB_NO_MEMORY, "keytab");
    assert_int_equal(memory.code, KB_E_NO_MEMORY);
    assert_string_equal(memory.text, "keytab: out of memory");
}

/* A long chain of contexts is cut, never written over. */
static void long_texts_are_cut(void **state)
{
    struct kb_error err = {0};

    (void)state;
    kb_error_set(&err, KB_E_POLICY, "cause");
    for (int i = 0; i < 300; i++) {
        kb_error_context(&err, "context %d", i);
    }
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

/* --- last_error --- */

static char *last_line(uint32_t minor)
{
    struct kb_buf buf;

    kb_buf_init(&buf, 8192);
    assert_true(kb_last_error_line(minor, &buf));
    return kb_buf_take(&buf, NULL);
}

static void assert_last(uint32_t minor, const char *start)
{
    char *line = last_line(minor);

    if (strncmp(line, start, strlen(start)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", line, start);
    }
    free(line);
}

static void *other_thread(void *arg)
{
    struct kb_error err = {0};

    (void)arg;
    assert_last(kb_error_minor(KB_E_POLICY), "of the main thread"); /* the process's last */
    kb_error_set(&err, KB_E_POLICY, "of the other thread");
    kb_last_error_put(&err);
    assert_last(kb_error_minor(KB_E_POLICY), "of the other thread");
    return NULL;
}

static void a_sentence_belongs_to_its_thread(void **state)
{
    struct kb_error err = {0}, second = {0};
    struct kb_buf buf;
    pthread_t thread;
    uint32_t minor;

    (void)state;
    kb_buf_init(&buf, 100);
    assert_false(kb_last_error_line(ENOENT, &buf));
    assert_int_equal(buf.len, 0);
    assert_last(kb_error_minor(KB_E_CLOCK), kb_error_text(KB_E_CLOCK)); /* generic */
    kb_error_set(&err, KB_E_POLICY, "of the main thread");
    errno = 42;
    minor = kb_last_error_put(&err);
    assert_int_equal(errno, 42);
    assert_int_equal(minor, kb_error_minor(KB_E_POLICY));
    kb_error_set(&second, KB_E_CLOCK, "another kind");
    assert_int_equal(kb_last_error_put(&second), kb_error_minor(KB_E_CLOCK));
    assert_last(minor, "of the main thread. Ask the realm's administrator.");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_last(minor, "of the main thread");
    assert_last(kb_error_minor(KB_E_CLOCK), "another kind");
}

static void an_empty_error_is_an_internal_one(void **state)
{
    struct kb_error err = {0};

    (void)state;
    assert_int_equal(kb_last_error_put(&err), kb_error_minor(KB_E_INTERNAL));
    assert_last(kb_error_minor(KB_E_INTERNAL), "internal error");
}

static void *hammer(void *arg)
{
    for (int i = 0; i < 500; i++) {
        struct kb_error err = {0};

        kb_error_set(&err, i % 2 == 0 ? KB_E_POLICY : KB_E_TIMEOUT, "turn %d", i);
        free(last_line(kb_last_error_put(&err)));
        free(last_line(kb_error_minor(KB_E_CLOCK)));
    }
    return arg;
}

static void threads_do_not_meet(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(the_first_cause_stays),
        cmocka_unit_test(causes_below_are_named),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(a_sentence_belongs_to_its_thread),
        cmocka_unit_test(an_empty_error_is_an_internal_one),
        cmocka_unit_test(threads_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
