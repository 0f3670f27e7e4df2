/* mech/net: one KDC, by UDP and by TCP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/mockkdc.h"

static void udp_answers(void **state)
{
    struct mock kdc;
    struct asker asker;
    char peer[64];

    (void)state;
    mock_start(&kdc, mock_udp_final, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_string_equal(kb_net_peer(asker.net), "");
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by udp");
    snprintf(peer, sizeof(peer), "127.0.0.1:%u (udp)", (unsigned)kdc.port);
    assert_string_equal(kb_net_peer(asker.net), peer);
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_udp, 1);
    assert_int_equal(kdc.num_tcp, 0);
}

static void udp_answers_over_ipv6(void **state)
{
    struct mock kdc;
    struct asker asker;
    char peer[64];

    (void)state;
    if (!mock_have_ipv6()) {
        skip();
    }
    mock_start6(&kdc, mock_udp_final, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "::1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by udp");
    snprintf(peer, sizeof(peer), "[::1]:%u (udp)", (unsigned)kdc.port);
    assert_string_equal(kb_net_peer(asker.net), peer);
    asker_stop(&asker);
    mock_stop(&kdc);
}

static void tcp_answers(void **state)
{
    struct mock kdc;
    struct asker asker;
    struct kb_send send = {
        .message = KB_LIT("hello"), .realm = KB_LIT("EXAMPLE.COM"), .tcp_only = true};

    (void)state;
    mock_start(&kdc, mock_udp_final, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_send(&asker, &send), KB_OK);
    assert_reply(&asker, "Final by tcp");
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_udp, 0);
    assert_int_equal(kdc.num_tcp, 1);
}

static void large_requests_go_by_tcp(void **state)
{
    struct mock kdc;
    struct asker asker;
    char text[1467];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    mock_start(&kdc, mock_udp_final, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, text, false), KB_OK);
    assert_reply(&asker, "Final by tcp");
    mock_pause(20); /* it closes the connection, which would be used again */
    assert_int_equal(asker_ask(&asker, text + 1, false), KB_OK);
    assert_reply(&asker, "Final by udp");
    asker_stop(&asker);
    mock_stop(&kdc);
}

static void too_big_moves_to_tcp_and_is_remembered(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, mock_udp_too_big, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "hello", true), KB_OK);
    assert_reply(&asker, "Final by tcp");
    assert_quick(&asker);
    assert_int_equal(asker_ask(&asker, "hello", true), KB_OK);
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_udp, 1);
    assert_int_equal(kdc.num_tcp, 2);
}

/* Loses the first two datagrams. */
static void udp_third(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                      socklen_t from_len, kb_bytes request)
{
    if (nth >= 2) {
        mock_udp_final(mock, nth, from, from_len, request);
    }
}

static void lost_datagrams_are_repeated(void **state)
{
    struct mock kdc;
    struct asker asker;
    int64_t start_ms;

    (void)state;
    mock_start(&kdc, udp_third, NULL);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_UDP);
    start_ms = kb_now_ms();
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_int_equal(asker_ask(&asker, "hello again", false), KB_OK);
    asker_stop(&asker);
    mock_stop(&kdc);
    assert_int_equal(kdc.num_udp, 4);
    /* One source port for a message and its repetitions, another one for the next. */
    assert_int_equal(kdc.seen[0].port, kdc.seen[1].port);
    assert_int_equal(kdc.seen[0].port, kdc.seen[2].port);
    assert_int_not_equal(kdc.seen[0].port, kdc.seen[3].port);
    /* After 100 and 200 ms; the KDC may look at each one late. */
    assert_true(kdc.seen[1].at_ms - start_ms >= 100);
    assert_true(kdc.seen[2].at_ms - start_ms >= 300);
}

static void refused_ports_end_at_once(void **state)
{
    struct asker asker;
    char text[200];
    uint16_t port = mock_free_port();

    (void)state;
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_quick(&asker);
    assert_int_equal(asker.err.code, KB_E_KDC_UNREACHABLE);
    snprintf(text, sizeof(text),
             ": 127.0.0.1:%u udp: Connection refused; "
             "127.0.0.1:%u tcp: Connection refused",
             (unsigned)port, (unsigned)port);
    assert_memory_equal(asker.err.text, "No KDC of EXAMPLE.COM answered in ", 34);
    assert_non_null(strstr(asker.err.text, text));
    asker_stop(&asker);
}

static void the_default_rhythm_is_the_rfcs(void **state)
{
    (void)state;
    /* RFC 4120 7.2.1 leaves it open; DESIGN (net) says a second. */
    assert_true(kb_net_default_tuning.repeat_ms >= 1000);
    assert_int_equal(kb_net_default_tuning.proof_ms, 3000);
    assert_int_equal(kb_net_default_tuning.hedge_ms, 250);
}

static unsigned idle_runs;

static void idle(void *ctx)
{
    (void)ctx;
    idle_runs++;
}

static void idle_runs_once(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, mock_udp_final, mock_tcp_final);
    asker_start(&asker, 5000);
    asker_add(&asker, "127.0.0.1", mock_free_port(), KB_ANY_TRANSPORT);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    kb_net_idle(asker.net, idle, NULL);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_int_equal(idle_runs, 1);
    asker_stop(&asker);
    mock_stop(&kdc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(udp_answers),
        cmocka_unit_test(udp_answers_over_ipv6),
        cmocka_unit_test(tcp_answers),
        cmocka_unit_test(large_requests_go_by_tcp),
        cmocka_unit_test(too_big_moves_to_tcp_and_is_remembered),
        cmocka_unit_test(lost_datagrams_are_repeated),
        cmocka_unit_test(refused_ports_end_at_once),
        cmocka_unit_test(the_default_rhythm_is_the_rfcs),
        cmocka_unit_test(idle_runs_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
