/* mech/names/target: what programs ask for, and what the KDC is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/names/target.h"

static void check(enum kb_status st, const struct kb_target *target, const char *expected)
{
    const struct kb_principal *principal = NULL;
    struct kb_buf text;

    if (st == KB_OK) {
        st = kb_target_principal(target, KB_NONE, KB_LIT("R.TEST"), &principal);
    }
    if (expected == NULL) {
        assert_int_not_equal(st, KB_OK);
        return;
    }
    assert_int_equal(st, KB_OK);
    kb_buf_init(&text, 1000);
    kb_principal_unparse(principal, &text);
    assert_string_equal(kb_buf_str(&text), expected);
    kb_buf_wipe(&text);
    kb_principal_free(principal);
}

static void host_based_names(void **state)
{
    static const struct {
        const char *in, *principal;
    } rows[] = {
        {"HTTP@www.example.org", "HTTP/www.example.org@R.TEST"},
        {"HTTP@WWW.Example.ORG.", "HTTP/www.example.org@R.TEST"},
        {"HTTP@127.0.0.1", "HTTP/127.0.0.1@R.TEST"},
        {"host@db1", "host/db1@R.TEST"},
        {"@www", NULL},
        {"", NULL},
        {"a/b@www", NULL},
    };
    struct kb_target target;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check(kb_target_init(&target, kb_str(rows[i].in), true), &target, rows[i].principal);
    }
}

static void spns(void **state)
{
    static const struct {
        const char *in, *principal;
    } rows[] = {
        {"HTTP/www", "HTTP/www@R.TEST"},
        {"HTTP/www@OTHER", "HTTP/www@OTHER"},
        {"HTTP@www", "HTTP/www@R.TEST"},
        {"plain", "plain@R.TEST"},
        {"", NULL},
    };
    struct kb_target target;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check(kb_target_of_spn(&target, rows[i].in), &target, rows[i].principal);
    }
}

static void own_host_where_none_is_named(void **state)
{
    const struct kb_principal *principal;
    struct kb_target target;

    (void)state;
    assert_int_equal(kb_target_init(&target, KB_LIT("host"), true), KB_OK);
    assert_int_equal(kb_target_principal(&target, KB_NONE, KB_LIT("R"), &principal), KB_OK);
    assert_int_equal(principal->name.name_string.num, 2);
    assert_true(principal->name.name_string.items[1].len > 0);
    kb_principal_free(principal);
}

static void canonical_host_replaces_the_given(void **state)
{
    const struct kb_principal *principal;
    struct kb_target target;

    (void)state;
    assert_int_equal(kb_target_init(&target, KB_LIT("HTTP@www"), true), KB_OK);
    assert_int_equal(
        kb_target_principal(&target, KB_LIT("www1.example.org"), KB_LIT("R"), &principal), KB_OK);
    assert_true(kb_equal(principal->name.name_string.items[1], KB_LIT("www1.example.org")));
    kb_principal_free(principal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_based_names),
        cmocka_unit_test(spns),
        cmocka_unit_test(own_host_where_none_is_named),
        cmocka_unit_test(canonical_host_replaces_the_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
