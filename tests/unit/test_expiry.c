/* mech/protocol/expiry: passwords and accounts that end soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mech/protocol/expiry.h"

#define NOW 1796040000 /* 2026-11-30 12:00:00 UTC */
#define DAY 86400

static char said[2000];

static void on_log(void *arg, int level, const char *message, const char *type)
{
    size_t len = strlen(said);

    (void)arg;
    (void)type;
    snprintf(said + len, sizeof(said) - len, "%d %s\n", level, message);
}

/* What is logged of these times; 0: the KDC does not say it. */
static const char *tell(bool password, int64_t lr_password, int64_t lr_account, int64_t key)
{
    const struct kb_callbacks callbacks = {.log = on_log};
    struct kb_listener *listener = kb_listener_new(&callbacks);
    const struct kb_events_config config = {.log_level = KB_LOG_VERBOSE,
                                            .listener = {listener, NULL}};
    struct kb_events *events = kb_events_new(&config);
    const struct kb_key_source keys = {.salted = password, .what = "it"};
    kb_last_req_entry entries[] = {{0, NOW}, {6, lr_password}, {-7, lr_account}};
    const kb_enc_kdc_rep_part part = {.last_req = {entries, 3},
                                      .authtime = NOW,
                                      .has_key_expiration = key != 0,
                                      .key_expiration = key};

    said[0] = '\0';
    kb_expiry_tell(events, "alice@R", &keys, &part);
    kb_events_free(events);
    kb_listener_put(listener);
    return said;
}

static void nothing_ends(void **state)
{
    (void)state;
    assert_string_equal(tell(true, 0, 0, 0), "");
    assert_string_equal(tell(true, NOW + 8 * DAY, NOW + 8 * DAY, 0), "");
    assert_string_equal(tell(true, NOW - DAY, NOW, 0), "");
    assert_string_equal(tell(true, 0, 0, NOW - 1), "");
    assert_string_equal(tell(true, 0, 0, NOW + 30 * DAY),
                        "2 The key of alice@R expires in 30 days\n");
}

/* Heimdal's way. */
static void both_are_told_apart(void **state)
{
    (void)state;
    assert_string_equal(tell(true, NOW + 2 * DAY + 1, 0, NOW + 2 * DAY + 1),
                        "1 Warning: The password of alice@R expires on 2026-12-02 12:00 UTC, in 2 "
                        "days. Change the password (kpasswd), and put the new one where Password "
                        "points\n");
    assert_string_equal(tell(true, NOW + 30 * DAY, NOW + 7 * DAY, NOW + 7 * DAY),
                        "1 Warning: The account of alice@R expires on 2026-12-07 12:00 UTC, in 7 "
                        "days. Ask the realm's administrator to extend it\n");
    assert_non_null(strstr(tell(false, NOW + DAY, NOW + DAY, 0), "The key of alice@R"));
    assert_non_null(strstr(said, "The account of alice@R"));
}

/* MIT's: the earlier of both. */
static void one_time_for_both(void **state)
{
    (void)state;
    assert_non_null(strstr(tell(true, 0, 0, NOW + DAY), "The password or the account of alice@R "
                                                        "expires on 2026-12-01 12:00 UTC"));
    assert_non_null(strstr(tell(false, 0, 0, NOW + DAY), "export the keytab again"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_ends),
        cmocka_unit_test(both_are_told_apart),
        cmocka_unit_test(one_time_for_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
