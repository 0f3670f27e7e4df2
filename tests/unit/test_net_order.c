/* mech/net: which of several KDCs is asked first, and how long the others wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mech/net/memory.h"
#include "tests/support/mockkdc.h"

#define REALM KB_LIT("EXAMPLE.COM")

struct pair {
    struct mock a, b;
    struct asker asker;
};

/* Two KDCs, of one priority or not. */
static void start(struct pair *pair, mock_udp_fn udp_a, mock_udp_fn udp_b, bool ordered)
{
    mock_start(&pair->a, udp_a, NULL);
    mock_start(&pair->b, udp_b, NULL);
    asker_start(&pair->asker, 5000);
    asker_add(&pair->asker, "127.0.0.1", pair->a.port, KB_UDP);
    asker_add(&pair->asker, "127.0.0.1", pair->b.port, KB_UDP);
    pair->asker.kdcs[1].priority = ordered ? 1 : 0;
    asker_calm(&pair->asker);
}

static void stop(struct pair *pair, unsigned num_a, unsigned num_b)
{
    asker_stop(&pair->asker);
    mock_stop(&pair->a);
    mock_stop(&pair->b);
    assert_int_equal(pair->a.num_udp, num_a);
    assert_int_equal(pair->b.num_udp, num_b);
}

/* As if KDC `i` had answered after that time. */
static void learn(const struct pair *pair, size_t i, int64_t took_ms)
{
    struct kb_address address;

    assert_true(kb_address_numeric(&address, "127.0.0.1"));
    kb_address_set_port(&address, pair->asker.kdcs[i].port);
    kb_memory_answered(REALM, &pair->asker.kdcs[i], &address, KB_UDP, took_ms);
}

static void new_login(struct pair *pair)
{
    kb_net_free(pair->asker.net);
    asker_session(&pair->asker);
    asker_calm(&pair->asker);
}

static void the_fastest_of_one_priority(void **state)
{
    struct pair pair;

    (void)state;
    start(&pair, mock_udp_final, mock_udp_final, false);
    learn(&pair, 0, 30);
    learn(&pair, 1, 2);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    new_login(&pair);
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    stop(&pair, 0, 2);
}

static void the_configured_order_counts(void **state)
{
    struct pair pair;

    (void)state;
    start(&pair, mock_udp_final, mock_udp_final, true);
    learn(&pair, 0, 30);
    learn(&pair, 1, 2);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    new_login(&pair);
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    stop(&pair, 2, 0);
}

static void but_who_failed_is_last(void **state)
{
    struct pair pair;

    (void)state;
    start(&pair, mock_udp_final, mock_udp_final, true);
    kb_memory_failed(REALM, &pair.asker.kdcs[0], kb_now_ms());
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    new_login(&pair);
    /* A proof too: the other one is alive. */
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    stop(&pair, 0, 2);
}

static void and_who_was_overtaken(void **state)
{
    struct pair pair;

    (void)state;
    start(&pair, mock_udp_silent, mock_udp_final, true);
    kb_net_tune(pair.asker.net, &asker_tuning); /* a short hedge */
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    new_login(&pair);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_quick(&pair.asker);
    stop(&pair, 1, 2);
}

static void where_all_fail_that_is_forgotten(void **state)
{
    struct pair pair;
    struct kb_known known;

    (void)state;
    start(&pair, mock_udp_silent, mock_udp_silent, true);
    pair.asker.kdcs[0].port = pair.asker.kdcs[1].port = 1;
    pair.asker.kdcs[1].host = "127.0.0.2";
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_ERROR);
    for (size_t i = 0; i < 2; i++) {
        kb_memory_get(REALM, &pair.asker.kdcs[i], &known);
        assert_int_equal(known.late_until_ms, 0);
        assert_false(known.alive);
    }
    stop(&pair, 0, 0);
}

static void a_fast_one_has_less_time(void **state)
{
    struct pair pair;
    struct kb_net_tuning tuning = asker_tuning;

    (void)state;
    start(&pair, mock_udp_silent, mock_udp_final, true);
    tuning.hedge_ms = tuning.repeat_ms = tuning.max_gap_ms = tuning.defer_ms = 3000;
    tuning.hedge_min_ms = 50;
    kb_net_tune(pair.asker.net, &tuning);
    learn(&pair, 0, 1);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_quick(&pair.asker);
    assert_true(pair.asker.took_ms >= 49);
    stop(&pair, 1, 1);
}

static void one_login_keeps_to_one_kdc(void **state)
{
    struct pair pair;

    (void)state;
    start(&pair, mock_udp_final, mock_udp_final, false);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    learn(&pair, 0, 500); /* what other threads find out */
    learn(&pair, 1, 1);
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    stop(&pair, 3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_of_one_priority),
        cmocka_unit_test(the_configured_order_counts),
        cmocka_unit_test(but_who_failed_is_last),
        cmocka_unit_test(and_who_was_overtaken),
        cmocka_unit_test(where_all_fail_that_is_forgotten),
        cmocka_unit_test(a_fast_one_has_less_time),
        cmocka_unit_test(one_login_keeps_to_one_kdc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
