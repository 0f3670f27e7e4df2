/* mech/login/pause: which refusals begin a pause, for whom it holds, and when it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/login/pause.h"
#include "mech/process.h"
#include "mech/protocol/krberror.h"
#include "tests/support/identity.h"
#include "tests/support/place.h"

#define PAUSE 900
#define SECOND INT64_C(1000)

static int open_place(void **state)
{
    (void)state;
    kb_process_start();
    place_open();
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    place_close();
    return 0;
}

static struct kb_error refusal(enum kb_error_code code, int32_t kdc_code)
{
    struct kb_error err = {0};

    kb_error_set(&err, code, "alice@TEST: KDC 192.0.2.1 refused");
    err.kdc_code = kdc_code;
    return err;
}

static bool is_paused(const char *user, const char *password, int64_t now_ms)
{
    struct kb_identity *identity = identity_of(user, password, "");
    struct kb_error err = {0};
    enum kb_status st = kb_pause_check(identity, PAUSE, now_ms, &err);

    kb_identity_put(identity);
    assert_int_equal(err.code != KB_E_NONE, st != KB_OK);
    return st != KB_OK;
}

static void refuse(const char *user, const char *password, enum kb_error_code code,
                   int32_t kdc_code, int64_t now_ms)
{
    struct kb_identity *identity = identity_of(user, password, "");
    struct kb_error err = refusal(code, kdc_code);

    kb_pause_after(identity, PAUSE, now_ms, &err);
    kb_identity_put(identity);
}

static void accept_secret(const char *user, const char *password)
{
    struct kb_identity *identity = identity_of(user, password, "");

    kb_pause_end(identity);
    kb_identity_put(identity);
}

static void a_pair_is_paused(void **state)
{
    (void)state;
    assert_false(is_paused("alice", "bad", 0));
    refuse("alice", "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED, 0);
    assert_true(is_paused("alice", "bad", 1));
    assert_false(is_paused("alice", "good", 1));
    assert_false(is_paused("bob", "bad", 1));
    assert_true(is_paused("alice", "bad", PAUSE * SECOND - 1));
    assert_false(is_paused("alice", "bad", PAUSE * SECOND));
    refuse("alice", "bad", KB_E_WRONG_PASSWORD, KB_KDC_BAD_INTEGRITY, PAUSE * SECOND);
    assert_true(is_paused("alice", "bad", PAUSE * SECOND + 1));
    accept_secret("alice", "bad");
    assert_false(is_paused("alice", "bad", PAUSE * SECOND + 1));
}

static void the_error_says_when(void **state)
{
    struct kb_identity *identity = identity_of("carol", "bad", "");
    struct kb_error err = refusal(KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED);

    (void)state;
    kb_pause_after(identity, PAUSE, 0, &err);
    memset(&err, 0, sizeof(err));
    assert_int_equal(kb_pause_check(identity, PAUSE, 200 * SECOND, &err), KB_ERROR);
    assert_string_equal(err.text,
                        "alice@TEST: KDC 192.0.2.1 refused. That was 3 minutes ago; the KDC is "
                        "asked again in 12 minutes, or at once with another password "
                        "(BadSecretPause)");
    assert_int_equal(err.code, KB_E_WRONG_PASSWORD);
    assert_int_equal(err.kdc_code, KB_KDC_PREAUTH_FAILED);
    memset(&err, 0, sizeof(err));
    assert_int_equal(kb_pause_check(identity, PAUSE, 899 * SECOND, &err), KB_ERROR);
    assert_non_null(strstr(err.text, " in less than a minute,"));
    memset(&err, 0, sizeof(err));
    assert_int_equal(kb_pause_check(identity, 0, 1, &err), KB_OK);
    kb_identity_put(identity);
}

static void other_failures_are_none(void **state)
{
    static const struct {
        enum kb_error_code code;
        int32_t kdc_code;
    } rows[] = {
        {KB_E_WRONG_PASSWORD, 0}, /* an AS-REP that does not decrypt */
        {KB_E_CLIENT_UNKNOWN, KB_KDC_C_PRINCIPAL_UNKNOWN},
        {KB_E_CLOCK, KB_KDC_SKEW},
        {KB_E_KDC_UNREACHABLE, 0},
        {KB_E_PREAUTH, KB_KDC_PREAUTH_REQUIRED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        refuse("dave", "bad", rows[i].code, rows[i].kdc_code, 0);
        assert_false(is_paused("dave", "bad", 1));
    }
}

static void locked_accounts_wait_longer_each_time(void **state)
{
    static const int64_t lengths[] = {30, 60, 120, 240, 480, 900, 900};
    int64_t now = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        refuse("erin", "good", KB_E_CLIENT_REVOKED, 18, now);
        assert_true(is_paused("erin", "good", now + lengths[i] * SECOND - 1));
        now += lengths[i] * SECOND;
        assert_false(is_paused("erin", "good", now));
    }
    /* Much later it begins anew. */
    now += 2 * PAUSE * SECOND;
    refuse("erin", "good", KB_E_PASSWORD_EXPIRED, 23, now);
    assert_true(is_paused("erin", "good", now + 29 * SECOND));
    assert_false(is_paused("erin", "good", now + 30 * SECOND));
}

static void they_are_bounded(void **state)
{
    char user[16];

    (void)state;
    refuse("first", "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED, 0);
    for (unsigned i = 0; i < 63; i++) {
        snprintf(user, sizeof(user), "user%u", i);
        refuse(user, "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED, 0);
    }
    assert_true(is_paused("first", "bad", 1));
    refuse("last", "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED, 0);
    assert_false(is_paused("first", "bad", 1));
    assert_true(is_paused("user0", "bad", 1));
    assert_true(is_paused("last", "bad", 1));
}

static void a_child_goes_on_with_it(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    refuse("frank", "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED, 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(is_paused("frank", "bad", 1) && !is_paused("frank", "good", 1) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_paused),
        cmocka_unit_test(the_error_says_when),
        cmocka_unit_test(other_failures_are_none),
        cmocka_unit_test(locked_accounts_wait_longer_each_time),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(a_child_goes_on_with_it),
    };

    return cmocka_run_group_tests(tests, open_place, close_place);
}
