/* mech/options when memory is short: every allocation fails once; the call says so, nothing leaks
 * (seen in sanitizer builds), and the next call works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/check.h"
#include "mech/options/context.h"
#include "mech/options/options.h"
#include "mech/options/process.h"
#include "mech/options/settings.h"
#include "mech/options/show.h"
#include "tests/support/oom.h"
#include "tests/support/place.h"

static void configure(void)
{
    place_open();
    place_file(
        "krb5.conf",
        "[libdefaults]\n default_realm = R\n permitted_enctypes = aes\n[realms]\n CORP = {\n }\n"
        " R = {\n  kdc = a b\n  kdc = c\n }\n");
    place_file("config", "KDCHost = a, b\n[target HTTP@*]\nUser = CORP/bob\nPassword = \"x\\\"y\"\n"
                         "include more\n[client *@R, user *]\nTimeout = 5\n");
    place_file("more", "EncryptionTypes = aes128-cts\nLogFile = ~/log\n");
    place_line("User=alice Password=file:~/p Config=~/config");
}

/* One round of all calls; true: none of them lacked memory. */
static bool one_round(void)
{
    struct kb_options_query query = {.target = KB_LIT("HTTP@www")};
    struct kb_settings *own = kb_settings_new(), *copy = NULL;
    const struct kb_options *options = NULL;
    struct kb_error err = {0}, own_err = {0};
    enum kb_status st = kb_options_get(&query, &options, &err);
    bool whole = own != NULL, user_is_bob;

    user_is_bob = options != NULL && options->user != NULL &&
                  kb_equal(options->user->name.name_string.items[0], KB_LIT("bob"));
    kb_options_put(options);
    if (own != NULL) {
        whole = kb_settings_set_text(own, KB_LIT("User=carol@R"), &own_err) == KB_OK &&
                kb_settings_set_password(own, KB_LIT("x"), &own_err) == KB_OK;
        copy = kb_settings_copy(own);
        query.own = own;
        options = NULL;
        if (whole && kb_options_get(&query, &options, &own_err) == KB_OK) {
            assert_non_null(options->user);
        } else {
            whole = false;
        }
        kb_options_put(options);
    }
    if (st == KB_OK) {
        /* never another identity, or none, because something could not be looked up */
        assert_true(user_is_bob);
    } else {
        assert_int_equal(err.code, KB_E_NO_MEMORY);
    }
    if (own_err.code != KB_E_NONE) {
        assert_int_equal(own_err.code, KB_E_NO_MEMORY);
    }
    kb_settings_free(own);
    kb_settings_free(copy);
    return st == KB_OK && whole && copy != NULL;
}

static void every_failure_is_told_and_harmless(void **state)
{
    unsigned long total;

    (void)state;
    configure();
    oom_fail_after(-1);
    total = oom_count();
    assert_true(one_round());
    total = oom_count() - total;
    assert_true(total > 20);
    for (unsigned long num = 0; num < total; num++) {
        place_renew();
        oom_fail_after((long)num);
        one_round();
        oom_fail_after(-1);
        assert_true(one_round());
    }
    place_close();
}

static void fake_cache(const char *name, const char *kcm_socket, struct kb_principal **out)
{
    (void)kcm_socket;
    assert_string_equal(name, "FILE:/cc");
    if (kb_principal_parse(KB_LIT("HTTP/www@R"), KB_NT_PRINCIPAL, KB_NONE, out) != KB_OK) {
        *out = NULL;
    }
}

static void count(void *context, const struct kb_problem *problem)
{
    assert_true(problem->code != KB_E_NO_MEMORY);
    ++*(unsigned *)context;
}

/* What a process sets for itself, what is said of it, and the judgement of a file. */
static bool other_round(void)
{
    struct kb_options_query query = {.target = KB_LIT("HTTP@www")};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};
    unsigned problems = 0;
    struct kb_buf text;
    bool whole;

    kb_buf_init(&text, 65536);
    whole = kb_options_process_set(KB_LIT("User=HTTP/www"), &err) == KB_OK &&
            kb_options_process_set(KB_LIT("CredentialsCacheFile=/cc"), &err) == KB_OK &&
            kb_options_get(&query, &options, &err) == KB_OK &&
            kb_options_default_ccache(options, &text, &err) == KB_OK;
    for (size_t i = 0; whole && i < KB_OPT_NUM; i++) {
        kb_options_show(options, (enum kb_option_id)i, &text);
    }
    whole = whole && text.status == KB_OK &&
            kb_options_check(place_path("check"), count, &problems, &err) == KB_OK;
    if (whole) {
        assert_true(problems == 6);
        assert_string_equal(options->ccache, "FILE:/cc");
        assert_non_null(options->user_note);
    } else if (text.status == KB_OK) {
        assert_int_equal(err.code, KB_E_NO_MEMORY);
    }
    kb_options_put(options);
    kb_options_process_reset();
    kb_buf_wipe(&text);
    return whole;
}

static void the_rest_of_it_bears_failures_too(void **state)
{
    static const struct kb_options_hooks hooks = {.ccache_principal = fake_cache}, none = {0};
    unsigned long total;

    (void)state;
    configure();
    place_file("check", "Usr = x\nUser = a@R\n[target x@y]\nKeytabFile = /none\nFirewallPort = 5\n"
                        "[tarket x]\nPassword = x\n[client a]\nTimeout = 5\nTimeout = 6\n");
    kb_options_set_hooks(&hooks);
    total = oom_count();
    assert_true(other_round());
    total = oom_count() - total;
    for (unsigned long num = 0; num < total; num++) {
        oom_fail_after((long)num);
        other_round();
        oom_fail_after(-1);
    }
    assert_true(other_round());
    kb_options_set_hooks(&none);
    place_close();
}

static void a_repeated_call_takes_no_memory(void **state)
{
    struct kb_options_query query = {.target = KB_LIT("HTTP@www")}, own_query = query;
    const struct kb_options *options;
    struct kb_standing standing;
    struct kb_error err = {0};
    unsigned long before;

    (void)state;
    configure();
    own_query.own = kb_settings_new();
    assert_int_equal(kb_settings_set_text(own_query.own, KB_LIT("Timeout=5"), &err), KB_OK);
    for (int i = 0; i < 2; i++) {
        before = oom_count();
        assert_int_equal(kb_options_get(&query, &options, &err), KB_OK);
        kb_options_put(options);
        assert_int_equal(kb_options_get(&own_query, &options, &err), KB_OK);
        kb_options_put(options);
        assert_int_equal(kb_options_standing(&standing), KB_OK);
    }
    assert_int_equal(oom_count(), before);
    kb_settings_free(own_query.own);
    place_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_is_told_and_harmless),
        cmocka_unit_test(the_rest_of_it_bears_failures_too),
        cmocka_unit_test(a_repeated_call_takes_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
