/* mech/login/clock: when it is in doubt how far a realm's clock is from ours. The two clocks of the
 * system are this test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "mech/login/clock.h"

static int64_t set_by, passed; /* seconds */

int __wrap_clock_gettime(clockid_t id, struct timespec *out);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    *out = (struct timespec){.tv_sec = 1000 + passed};
    if (id == CLOCK_REALTIME) {
        out->tv_sec += 1700000000 + set_by;
    }
    return 0;
}

static bool claim(struct kb_realm_clock *clock)
{
    kb_realm_clock_notice(clock);
    return kb_realm_clock_claim(clock);
}

static int make(void **state)
{
    static uint8_t name[] = "A.TEST"; /* another each time: one is not forgotten at once */

    set_by = passed = 0;
    *state = kb_realm_clock_get(kb_bytes_of(name, 6));
    name[0]++;
    return *state != NULL ? 0 : -1;
}

static int drop(void **state)
{
    kb_realm_clock_put(*state);
    return 0;
}

static void a_clock_that_is_set_shows(void **state)
{
    struct kb_realm_clock *clock = *state;

    kb_realm_clock_set(clock, 5000000, true);
    passed = 86400;
    assert_false(claim(clock));
    set_by = KB_CLOCK_STEP_SECONDS;
    assert_false(claim(clock));
    set_by++;
    assert_true(claim(clock));
    assert_false(claim(clock)); /* somebody is at it */
    assert_int_equal(kb_realm_clock_ahead(clock), 5000000);
    passed += KB_CLOCK_MEASURE_SECONDS - 1; /* and failed */
    assert_false(claim(clock));
    set_by = -7200; /* set again */
    assert_true(claim(clock));
    passed += KB_CLOCK_MEASURE_SECONDS;
    assert_true(claim(clock));
    kb_realm_clock_set(clock, 7205000000, true);
    passed += 10 * KB_CLOCK_MEASURE_SECONDS;
    assert_false(claim(clock));
}

/* Somebody puts the system's clock right: then it goes as the realm's does. */
static void a_clock_that_is_put_right(void **state)
{
    struct kb_realm_clock *clock = *state;

    kb_realm_clock_set(clock, 600000000, true);
    set_by = 600;
    assert_true(claim(clock));
    assert_int_equal(kb_realm_clock_ahead(clock), 0);
    assert_false(claim(clock));
    passed = KB_CLOCK_MEASURE_SECONDS; /* it was not measured */
    assert_true(claim(clock));
    assert_int_equal(kb_realm_clock_ahead(clock), 0);
    set_by = 0; /* and wrong again, or what was wrong before: nobody knows */
    assert_true(claim(clock));
    assert_int_equal(kb_realm_clock_ahead(clock), 0);
}

static void a_services_word(void **state)
{
    struct kb_realm_clock *clock = *state;

    kb_realm_clock_set(clock, 0, true);
    passed = KB_CLOCK_MEASURE_SECONDS - 1;
    kb_realm_clock_doubt(clock, false);
    assert_false(claim(clock)); /* it was measured just now */
    passed++;
    assert_true(claim(clock));
    passed += KB_CLOCK_MEASURE_SECONDS - 1;
    assert_false(claim(clock));
    passed++;
    assert_true(claim(clock));
    kb_realm_clock_set(clock, 0, true);
    passed += 10 * KB_CLOCK_MEASURE_SECONDS;
    assert_false(claim(clock));
}

static void a_kdcs_word(void **state)
{
    struct kb_realm_clock *clock = *state;

    passed = 10 * KB_CLOCK_MEASURE_SECONDS;
    kb_realm_clock_set(clock, 0, true);
    kb_realm_clock_doubt(clock, true);
    kb_realm_clock_doubt(clock, false);
    assert_true(claim(clock));
    assert_false(claim(clock));
}

/* What a cache says counts where nothing is known, and in doubt. */
static void what_a_cache_says(void **state)
{
    struct kb_realm_clock *clock = *state;

    kb_realm_clock_set(clock, 1, true);
    kb_realm_clock_set(clock, 2, false);
    assert_int_equal(kb_realm_clock_ahead(clock), 1);
    set_by = 3600;
    kb_realm_clock_set(clock, 3, false);
    assert_int_equal(kb_realm_clock_ahead(clock), 3);
    assert_true(claim(clock)); /* it may be from before */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_clock_that_is_set_shows, make, drop),
        cmocka_unit_test_setup_teardown(a_clock_that_is_put_right, make, drop),
        cmocka_unit_test_setup_teardown(a_services_word, make, drop),
        cmocka_unit_test_setup_teardown(a_kdcs_word, make, drop),
        cmocka_unit_test_setup_teardown(what_a_cache_says, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
