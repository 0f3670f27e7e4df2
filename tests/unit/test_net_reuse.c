/* mech/net: a connection that carries more than one message of a login, and one that its KDC closed
 * meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "tests/support/mockkdc.h"

/* Reads one more request; false: the connection was closed. */
static bool read_more(int fd)
{
    uint8_t bytes[64];
    ssize_t len = recv(fd, bytes, sizeof(bytes), 0);

    return len > 0;
}

static void answers_all(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    do {
        mock_frame(fd, "Final by tcp");
    } while (read_more(fd));
}

/* The first connection brings one answer, and takes a second request without a word. */
static void forsakes(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    if (nth > 0) {
        answers_all(mock, nth, fd, request);
    } else {
        mock_frame(fd, "Final by tcp");
        (void)read_more(fd);
    }
}

static void says_too_much(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    (void)send(fd, "\0\0\0\5Fine.and more", 17, MSG_NOSIGNAL);
    (void)read_more(fd);
}

static void start(struct mock *kdc, struct asker *asker, mock_tcp_fn on_tcp)
{
    mock_start(kdc, NULL, on_tcp);
    asker_start(asker, 5000);
    asker_calm(asker);
    asker_add(asker, "127.0.0.1", kdc->port, KB_TCP);
    assert_int_equal(asker_ask(asker, "hello", false), KB_OK);
    mock_pause(20); /* what the KDC does then is done */
}

static void stop(struct mock *kdc, struct asker *asker, unsigned connections)
{
    asker_stop(asker);
    mock_stop(kdc);
    assert_int_equal(kdc->num_tcp, connections);
}

static void one_connection_for_a_login(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, answers_all);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by tcp");
    stop(&kdc, &asker, 1);
}

/* On one that the KDC closes just then it would be lost, and count as judged. */
static void a_proof_begins_its_own(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, answers_all);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by tcp");
    stop(&kdc, &asker, 2);
}

static void the_next_login_makes_its_own(void **state)
{
    struct mock kdc;
    struct asker asker;
    struct kb_net_session *first;

    (void)state;
    start(&kdc, &asker, answers_all);
    first = asker.net;
    kb_net_free(first);
    asker_session(&asker);
    asker_calm(&asker);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    stop(&kdc, &asker, 2);
}

/* As MIT's KDC does after each answer. */
static void a_closed_one_is_made_again(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, mock_tcp_final);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_quick(&asker);
    stop(&kdc, &asker, 2);
}

static void one_that_closes_too_late_is_made_again(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, forsakes);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_quick(&asker);
    assert_true(kb_net_alive(asker.net, KB_LIT("EXAMPLE.COM")));
    stop(&kdc, &asker, 2);
}

static void a_proof_is_not_lost_on_one_that_closes_too_late(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, forsakes);
    assert_int_equal(asker_ask(&asker, "proof", true), KB_OK);
    assert_reply(&asker, "Final by tcp");
    assert_quick(&asker);
    stop(&kdc, &asker, 2);
}

static void one_with_more_than_an_answer_is_not_kept(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, says_too_much);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    stop(&kdc, &asker, 2);
}

/* A message that would have gone over UDP goes there too. */
static void udp_waits_while_there_is_one(void **state)
{
    struct mock kdc;
    struct asker asker;
    struct kb_send large = {
        .realm = KB_LIT("EXAMPLE.COM"), .message = KB_LIT("hello"), .tcp_only = true};

    (void)state;
    mock_start(&kdc, mock_udp_final, answers_all);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_send(&asker, &large), KB_OK);
    mock_pause(20);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by tcp");
    /* Which says nothing of UDP at that KDC. */
    kb_net_free(asker.net);
    asker_session(&asker);
    asker_calm(&asker);
    mock_pause(20);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by udp");
    stop(&kdc, &asker, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_for_a_login),
        cmocka_unit_test(a_proof_begins_its_own),
        cmocka_unit_test(the_next_login_makes_its_own),
        cmocka_unit_test(a_closed_one_is_made_again),
        cmocka_unit_test(one_that_closes_too_late_is_made_again),
        cmocka_unit_test(a_proof_is_not_lost_on_one_that_closes_too_late),
        cmocka_unit_test(one_with_more_than_an_answer_is_not_kept),
        cmocka_unit_test(udp_waits_while_there_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
