/* mech/net: several KDCs, what is hedged and what is not, and what counts as an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "mech/report/events.h"
#include "tests/support/mockkdc.h"

/* Two KDCs and somebody who asks them. */
struct pair {
    struct mock a, b;
    struct asker asker;
};

static void pair_start(struct pair *pair, mock_udp_fn udp_a, mock_tcp_fn tcp_a, mock_udp_fn udp_b,
                       mock_tcp_fn tcp_b)
{
    mock_start(&pair->a, udp_a, tcp_a);
    mock_start(&pair->b, udp_b, tcp_b);
    asker_start(&pair->asker, 5000);
    asker_add(&pair->asker, "127.0.0.1", pair->a.port, KB_ANY_TRANSPORT);
    asker_add(&pair->asker, "127.0.0.1", pair->b.port, KB_ANY_TRANSPORT);
}

static void pair_stop(struct pair *pair)
{
    asker_stop(&pair->asker);
    mock_stop(&pair->a);
    mock_stop(&pair->b);
}

static void assert_peer(const struct asker *asker, const struct mock *kdc, const char *transport)
{
    char peer[64];

    snprintf(peer, sizeof(peer), "127.0.0.1:%u (%s)", (unsigned)kdc->port, transport);
    assert_string_equal(kb_net_peer(asker->net), peer);
}

static void a_silent_kdc_is_hedged(void **state)
{
    struct pair pair;

    (void)state;
    pair_start(&pair, mock_udp_silent, NULL, mock_udp_final, NULL);
    asker_calm_but_hedge(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_peer(&pair.asker, &pair.b, "udp");
    assert_true(pair.asker.took_ms >= 49);
    /* The next message goes to the one that answered, alone. */
    asker_calm(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_peer(&pair.asker, &pair.b, "udp");
    pair_stop(&pair);
    assert_int_equal(pair.a.num_udp, 1);
    assert_int_equal(pair.b.num_udp, 2);
}

static void a_refused_port_moves_on_at_once(void **state)
{
    struct pair pair;

    (void)state;
    pair_start(&pair, NULL, NULL, mock_udp_final, NULL);
    asker_calm(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_quick(&pair.asker);
    assert_peer(&pair.asker, &pair.b, "udp");
    pair_stop(&pair);
}

static void udp_not_now(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                        socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    mock_send(mock, from, from_len, "Not now");
}

static void not_now_asks_the_next(void **state)
{
    struct pair pair;

    (void)state;
    pair_start(&pair, udp_not_now, NULL, mock_udp_final, NULL);
    asker_calm(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_reply(&pair.asker, "Final by udp");
    assert_quick(&pair.asker);
    pair_stop(&pair);
}

static void not_now_is_the_answer_where_nobody_else_is(void **state)
{
    struct pair pair;

    (void)state;
    pair_start(&pair, udp_not_now, NULL, NULL, NULL);
    asker_calm(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_reply(&pair.asker, "Not now");
    assert_peer(&pair.asker, &pair.a, "udp");
    assert_quick(&pair.asker);
    pair_stop(&pair);
}

static void a_proof_that_was_not_served_is_not_judged(void **state)
{
    struct pair pair;

    (void)state;
    pair_start(&pair, mock_udp_final, NULL, mock_udp_final, NULL);
    asker_calm(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    atomic_store(&pair.a.on_udp, udp_not_now);
    assert_true(kb_net_alive(pair.asker.net, KB_LIT("EXAMPLE.COM")));
    pair.asker.judged = true;
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_TIMED_OUT);
    assert_false(pair.asker.judged);
    assert_quick(&pair.asker);
    /* Who lives is found out without a proof, and that one gets it. */
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    assert_peer(&pair.asker, &pair.b, "udp");
    pair_stop(&pair);
    assert_int_equal(pair.a.num_udp, 2);
    assert_int_equal(pair.b.num_udp, 2);
}

static void a_proof_is_not_hedged(void **state)
{
    struct pair pair;

    (void)state;
    pair_start(&pair, mock_udp_silent, NULL, mock_udp_final, NULL);
    pair.asker.judged = false;
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_TIMED_OUT);
    assert_true(pair.asker.judged);
    assert_true(pair.asker.took_ms >= 299);
    assert_quick(&pair.asker);
    pair_stop(&pair);
    assert_in_range(pair.a.num_udp, 1, 2); /* repeated after 100 ms; the next would be at 300 */
    assert_int_equal(pair.b.num_udp, 0);
    assert_int_equal(pair.b.num_tcp, 0);
}

static void a_proof_goes_to_the_kdc_that_answered(void **state)
{
    struct pair pair;

    (void)state;
    pair_start(&pair, mock_udp_silent, NULL, mock_udp_final, NULL);
    assert_false(kb_net_alive(pair.asker.net, KB_LIT("EXAMPLE.COM")));
    asker_calm_but_hedge(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    asker_calm(&pair.asker);
    assert_true(kb_net_alive(pair.asker.net, KB_LIT("EXAMPLE.COM")));
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    assert_peer(&pair.asker, &pair.b, "udp");
    pair_stop(&pair);
    assert_int_equal(pair.a.num_udp, 1);
}

/* The second session of a process knows what the first one learned. */
static void the_process_remembers_who_answered(void **state)
{
    struct pair pair;
    struct kb_net_session *first;
    struct kb_known known;

    (void)state;
    pair_start(&pair, mock_udp_silent, NULL, mock_udp_final, NULL);
    asker_calm_but_hedge(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    kb_memory_get(KB_LIT("EXAMPLE.COM"), &pair.asker.kdcs[1], &known);
    assert_true(known.alive);
    first = pair.asker.net;
    asker_session(&pair.asker);
    kb_net_free(first);
    asker_calm(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    assert_peer(&pair.asker, &pair.b, "udp");
    pair_stop(&pair);
    assert_int_equal(pair.a.num_udp, 1);
}

/* The KDC that answered is gone: the other one must be asked without a proof first. */
static void a_refused_proof_is_not_judged(void **state)
{
    struct pair pair;
    struct kb_known known;

    (void)state;
    pair_start(&pair, mock_udp_final, mock_tcp_silent, mock_udp_final, NULL);
    asker_calm(&pair.asker);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    mock_stop(&pair.a);
    pair.asker.judged = true;
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_TIMED_OUT);
    assert_false(pair.asker.judged);
    assert_quick(&pair.asker);
    kb_memory_get(KB_LIT("EXAMPLE.COM"), &pair.asker.kdcs[0], &known);
    assert_false(known.alive);
    assert_false(kb_net_alive(pair.asker.net, KB_LIT("EXAMPLE.COM")));
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    assert_int_equal(asker_ask(&pair.asker, "proof", true), KB_OK);
    assert_peer(&pair.asker, &pair.b, "udp");
    asker_stop(&pair.asker);
    mock_stop(&pair.b);
}

static void tcp_hang_up(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)fd;
    (void)request;
}

static void a_proof_that_was_read_is_judged(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, NULL, tcp_hang_up);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_TCP);
    asker.judged = false;
    assert_int_equal(asker_ask(&asker, "proof", true), KB_TIMED_OUT);
    assert_true(asker.judged);
    assert_quick(&asker);
    asker_stop(&asker);
    mock_stop(&kdc);
}

/* One KDC that serves only TCP: the refused datagram has not been judged, so the proof goes on. */
static void a_proof_moves_from_udp_to_tcp_of_one_kdc(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, NULL, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_reply(&asker, "Final by tcp");
    /* And UDP is not tried again. */
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_tcp, 2);
}

/* While nobody has a byte of it, a proof may choose among the KDCs by who accepts a connection. */
static void a_proof_goes_to_the_first_that_accepts(void **state)
{
    struct deaf deaf;
    struct mock kdc;
    struct asker asker;

    (void)state;
    deaf_start(&deaf);
    mock_start(&kdc, NULL, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", deaf.port, KB_TCP);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_TCP);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_peer(&asker, &kdc, "tcp");
    assert_true(asker.took_ms >= 49);
    asker_stop(&asker);
    mock_stop(&kdc);
    deaf_stop(&deaf);
}

/* A connection that is not made cannot have carried a proof. */
static void a_proof_without_a_connection_is_not_judged(void **state)
{
    struct deaf deaf;
    struct asker asker;

    (void)state;
    deaf_start(&deaf);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", deaf.port, KB_TCP);
    asker.judged = true;
    assert_int_equal(asker_ask(&asker, "proof", true), KB_ERROR);
    assert_non_null(strstr(asker.err.text, " tcp: no connection in "));
    assert_true(asker.took_ms >= 299);
    asker_stop(&asker);
    deaf_stop(&deaf);
}

static void silent_udp_falls_back_to_tcp(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, mock_udp_silent, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by tcp");
    assert_true(asker.took_ms >= 149);
    asker_stop(&asker);
    mock_stop(&kdc);
}

static void a_named_transport_is_the_only_one(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, NULL, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_UDP);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_tcp, 0);
}

/* A wrong answer, and shortly after it the right one. */
static void udp_weak_then_final(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                                socklen_t from_len, kb_bytes request)
{
    mock_send(mock, from, from_len, "Weak");
    mock_pause(10);
    mock_udp_final(mock, nth, from, from_len, request);
}

static void udp_weak(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                     socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    mock_send(mock, from, from_len, "Weak");
}

static void a_weak_answer_gives_way_to_a_better_one(void **state)
{
    struct kb_net_tuning tuning = asker_tuning;
    struct mock kdc;
    struct asker asker;

    (void)state;
    tuning.weak_min_ms = tuning.weak_max_ms = 3000; /* for a busy machine's second answer */
    tuning.repeat_ms = tuning.max_gap_ms = tuning.defer_ms = tuning.proof_ms = 4000;
    mock_start(&kdc, udp_weak_then_final, mock_tcp_final);
    asker_start(&asker, 5000);
    kb_net_tune(asker.net, &tuning);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_reply(&asker, "Final by udp");
    asker_stop(&asker);
    mock_stop(&kdc);
}

static void a_weak_answer_counts_after_a_round_trip(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, udp_weak, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_reply(&asker, "Weak");
    assert_true(asker.took_ms >= 29);
    assert_quick(&asker);
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_udp, 1);
    assert_int_equal(kdc.num_tcp, 0);
}

static void udp_late_then_final(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                                socklen_t from_len, kb_bytes request)
{
    mock_send(mock, from, from_len, "Late");
    mock_pause(150); /* longer than any round trip */
    mock_udp_final(mock, nth, from, from_len, request);
}

static void udp_late(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                     socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    mock_send(mock, from, from_len, "Late");
}

static void a_late_answer_waits_to_the_end_of_the_proof(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, udp_late_then_final, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_reply(&asker, "Final by udp");
    atomic_store(&kdc.on_udp, udp_late);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_reply(&asker, "Late");
    assert_true(asker.took_ms >= 299);
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_udp, 2);
    assert_int_equal(kdc.num_tcp, 0);
}

static void udp_not_now_then_final(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                                   socklen_t from_len, kb_bytes request)
{
    mock_send(mock, from, from_len, "Not now");
    mock_pause(5);
    mock_udp_final(mock, nth, from, from_len, request);
}

static void a_forged_not_now_does_not_cost_the_answer(void **state)
{
    struct mock kdc;
    struct asker asker;
    struct kb_net_tuning tuning = asker_tuning;

    (void)state;
    tuning.weak_min_ms = tuning.weak_max_ms = 1000;
    mock_start(&kdc, udp_not_now_then_final, NULL);
    asker_start(&asker, 5000);
    kb_net_tune(asker.net, &tuning);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_reply(&asker, "Final by udp");
    asker_stop(&asker);
    mock_stop(&kdc);
}

static void a_forged_too_big_does_not_cost_the_answer(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    /* TCP is closed; the second datagram is answered. */
    mock_start(&kdc, mock_udp_too_big, NULL);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_non_null(strstr(asker.err.text, "udp: its answer is too big for UDP; "));
    assert_non_null(strstr(asker.err.text, "tcp: Connection refused"));
    atomic_store(&kdc.on_udp, mock_udp_final);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    asker_stop(&asker);
    mock_stop(&kdc);
}

static void many_kdcs_are_all_named(void **state)
{
    struct asker asker;
    uint16_t port = mock_free_port();

    (void)state;
    asker_start(&asker, 0);
    for (int i = 0; i < KB_MAX_KDCS; i++) {
        asker_add(&asker, "127.0.0.1", (uint16_t)(port + i), KB_TCP);
    }
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_non_null(strstr(asker.err.text, " tcp: Connection refused; and "));
    assert_true(strlen(asker.err.text) < 800);
    asker_stop(&asker);
}

/* Which way a message went can be read in the log. */
static void the_log_tells_the_way(void **state)
{
    struct pair pair;
    char path[] = "test_net_race.XXXXXX", log[2000], line[100];
    int fd = mkstemp(path);
    struct kb_events_config config = {.log_level = KB_LOG_DEBUG, .log_file = path};
    struct kb_net_session *quiet;
    ssize_t len;

    (void)state;
    assert_true(fd >= 0);
    pair_start(&pair, NULL, NULL, mock_udp_too_big, mock_tcp_final);
    quiet = pair.asker.net;
    pair.asker.events = kb_events_new(&config);
    assert_non_null(pair.asker.events);
    asker_session(&pair.asker);
    asker_calm(&pair.asker);
    kb_net_free(quiet);
    assert_int_equal(asker_ask(&pair.asker, "hello", false), KB_OK);
    pair_stop(&pair);
    kb_events_free(pair.asker.events);
    len = read(fd, log, sizeof(log) - 1);
    assert_true(len > 0);
    log[len] = '\0';
    snprintf(line, sizeof(line), "127.0.0.1:%u udp: Connection refused", (unsigned)pair.a.port);
    assert_non_null(strstr(log, line));
    snprintf(line, sizeof(line), "127.0.0.1:%u udp: its answer is too big for UDP, asking over TCP",
             (unsigned)pair.b.port);
    assert_non_null(strstr(log, line));
    snprintf(line, sizeof(line), "127.0.0.1:%u tcp: answered by a message of ",
             (unsigned)pair.b.port);
    assert_non_null(strstr(log, line));
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_kdc_is_hedged),
        cmocka_unit_test(a_refused_port_moves_on_at_once),
        cmocka_unit_test(not_now_asks_the_next),
        cmocka_unit_test(not_now_is_the_answer_where_nobody_else_is),
        cmocka_unit_test(a_proof_that_was_not_served_is_not_judged),
        cmocka_unit_test(a_proof_is_not_hedged),
        cmocka_unit_test(a_proof_goes_to_the_kdc_that_answered),
        cmocka_unit_test(the_process_remembers_who_answered),
        cmocka_unit_test(a_refused_proof_is_not_judged),
        cmocka_unit_test(a_proof_that_was_read_is_judged),
        cmocka_unit_test(a_proof_moves_from_udp_to_tcp_of_one_kdc),
        cmocka_unit_test(a_proof_goes_to_the_first_that_accepts),
        cmocka_unit_test(a_proof_without_a_connection_is_not_judged),
        cmocka_unit_test(silent_udp_falls_back_to_tcp),
        cmocka_unit_test(a_named_transport_is_the_only_one),
        cmocka_unit_test(a_weak_answer_gives_way_to_a_better_one),
        cmocka_unit_test(a_weak_answer_counts_after_a_round_trip),
        cmocka_unit_test(a_late_answer_waits_to_the_end_of_the_proof),
        cmocka_unit_test(a_forged_not_now_does_not_cost_the_answer),
        cmocka_unit_test(a_forged_too_big_does_not_cost_the_answer),
        cmocka_unit_test(the_log_tells_the_way),
        cmocka_unit_test(many_kdcs_are_all_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
