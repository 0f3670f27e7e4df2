/* mech/login/refresh: when a ticket is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/login/refresh.h"

#define NOW 1000000
#define LIFE 36000

/* Between three quarters and 85 % of a life, and not always the same. */
static void within_bounds(const struct kb_credential *ticket, int64_t min_life, int64_t now,
                          int64_t from, int64_t life)
{
    int64_t first = kb_refresh_at(ticket, min_life, now);
    bool differs = false;

    for (int i = 0; i < 100; i++) {
        int64_t at = kb_refresh_at(ticket, min_life, now);

        assert_true(at >= from + life * 750 / 1000 && at <= from + life * 850 / 1000);
        differs = differs || at != first;
    }
    assert_true(differs);
}

static void beyond_four_fifths_of_its_life(void **state)
{
    const struct kb_credential ticket = {.starttime = NOW, .endtime = NOW + LIFE};

    (void)state;
    within_bounds(&ticket, 0, NOW, NOW, LIFE);
    within_bounds(&ticket, 0, INT64_MIN, NOW, LIFE);
    /* What cannot be used of it is no life. */
    within_bounds(&ticket, LIFE / 2, NOW, NOW, LIFE / 2);
    /* A KDC that leaves out the start: its life begins when it comes. */
    within_bounds(&ticket, 0, NOW + LIFE / 2, NOW + LIFE / 2, LIFE / 2);
    /* One whose clock is a little ahead. */
    within_bounds(&ticket, 0, NOW - 3, NOW, LIFE);
}

static void without_a_life_never(void **state)
{
    const struct kb_credential ticket = {.starttime = NOW, .endtime = NOW + 60};

    (void)state;
    assert_true(kb_refresh_at(&ticket, 60, NOW) == KB_NEVER);
    assert_true(kb_refresh_at(&ticket, 0, NOW + 100) == KB_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_four_fifths_of_its_life),
        cmocka_unit_test(without_a_life_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
