/* mech/net: peers and hosts that do everything to disturb: forged, cut, endless and slow answers,
 * interrupts, signals, many descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/mockkdc.h"

/* One KDC, and somebody who asks it. */
static void start(struct mock *kdc, struct asker *asker, int64_t timeout_ms, mock_udp_fn on_udp,
                  mock_tcp_fn on_tcp)
{
    mock_start(kdc, on_udp, on_tcp);
    asker_start(asker, timeout_ms);
    asker_calm(asker);
    asker_add(asker, "127.0.0.1", kdc->port, on_udp == NULL ? KB_TCP : KB_ANY_TRANSPORT);
}

static void stop(struct mock *kdc, struct asker *asker)
{
    asker_stop(asker);
    mock_stop(kdc);
}

/* --- datagrams --- */

static void udp_surrounded(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                           socklen_t from_len, kb_bytes request)
{
    (void)sendto(mock->other, "Forged", 6, 0, (const struct sockaddr *)from, from_len);
    mock_send(mock, from, from_len, "");
    mock_send(mock, from, from_len, "garbled");
    mock_send(mock, from, from_len, "\x30\x82");
    mock_udp_final(mock, nth, from, from_len, request);
}

static void strays_are_ignored(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 5000, udp_surrounded, NULL);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by udp");
    assert_quick(&asker);
    stop(&kdc, &asker);
}

static void udp_only_forged(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                            socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    (void)sendto(mock->other, "Forged", 6, 0, (const struct sockaddr *)from, from_len);
    mock_send(mock, from, from_len, "");
    mock_send(mock, from, from_len, "garbled");
}

static void strays_alone_are_no_answer(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 200, udp_only_forged, NULL);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_TIMEOUT);
    assert_non_null(strstr(asker.err.text, " udp: 2 unusable answers in "));
    assert_true(asker.took_ms >= 199);
    assert_quick(&asker);
    stop(&kdc, &asker);
}

static void udp_flood(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                      socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    for (int i = 0; i < 20000; i++) {
        mock_send(mock, from, from_len, "garbled");
    }
}

static void a_flood_ends(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 0, udp_flood, NULL);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_non_null(strstr(asker.err.text, " udp: it sends nothing but unusable datagrams"));
    stop(&kdc, &asker);
}

static void udp_large(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                      socklen_t from_len, kb_bytes request)
{
    char text[5001];

    (void)nth;
    (void)request;
    memset(text, 'F', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    mock_send(mock, from, from_len, text);
}

static void a_datagram_over_max_packet_size_moves_to_tcp(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 5000, udp_large, mock_tcp_final);
    assert_int_equal(asker_ask(&asker, "hello", true), KB_OK);
    assert_reply(&asker, "Final by tcp");
    assert_quick(&asker);
    stop(&kdc, &asker);
}

static void a_datagram_over_max_packet_size_is_not_cut(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 5000, udp_large, NULL);
    asker.kdcs[0].transport = KB_UDP;
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_non_null(strstr(asker.err.text, " udp: its answer is larger than MaxPacketSize"));
    assert_quick(&asker);
    stop(&kdc, &asker);
}

/* --- streams --- */

static void tcp_bytes(int fd, const void *bytes, size_t len)
{
    (void)send(fd, bytes, len, MSG_NOSIGNAL);
}

static void tcp_half(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    tcp_bytes(fd,
              "\0\0\0\x0c"
              "Final",
              9);
}

static void tcp_huge(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    tcp_bytes(fd,
              "\x7f\xff\xff\xff"
              "Final",
              9);
    mock_tcp_silent(mock, nth, fd, request);
}

static void tcp_high_bit(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    tcp_bytes(fd,
              "\xff\xff\xff\xff"
              "Final",
              9);
    mock_tcp_silent(mock, nth, fd, request);
}

static void tcp_nothing(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    tcp_bytes(fd, "\0\0\0\0", 4);
    mock_tcp_silent(mock, nth, fd, request);
}

static void tcp_garbled(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    mock_frame(fd, "garbled");
    mock_tcp_silent(mock, nth, fd, request);
}

static void tcp_reset(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    struct linger linger = {.l_onoff = 1};

    (void)mock;
    (void)nth;
    (void)request;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* The largest frame allowed, then whatever the socket takes. */
static void tcp_endless(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    char bytes[4096];

    (void)mock;
    (void)nth;
    (void)request;
    memset(bytes, 'x', sizeof(bytes));
    tcp_bytes(fd, "\0\x10\0\0", 4);
    while (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0) {
    }
}

static void streams_that_are_no_answer_end_at_once(void **state)
{
    static const struct {
        mock_tcp_fn on_tcp;
        const char *text;
    } rows[] = {
        {tcp_half, "the connection was closed within the answer"},
        {tcp_huge, "it announces an answer of more than a mebibyte"},
        {tcp_high_bit, "the answer is not framed as Kerberos over TCP is"},
        {tcp_nothing, "the answer is not framed as Kerberos over TCP is"},
        {tcp_garbled, "what it sent is no answer to the request"},
        {tcp_reset, "Connection reset by peer"},
        {tcp_endless, "what it sent is no answer to the request"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mock kdc;
        struct asker asker;

        start(&kdc, &asker, 5000, NULL, rows[i].on_tcp);
        assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
        assert_int_equal(asker.err.code, KB_E_KDC_UNREACHABLE);
        if (strstr(asker.err.text, rows[i].text) == NULL) {
            fail_msg("row %zu: %s", i, asker.err.text);
        }
        assert_quick(&asker);
        stop(&kdc, &asker);
    }
}

static void tcp_byte_by_byte(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    for (const char *at = "\0\0\0\x0c"
                          "Final by tcp",
                    *end = at + 16;
         at < end; at++) {
        tcp_bytes(fd, at, 1);
        mock_pause(1);
    }
}

static void frames_may_come_in_pieces(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 5000, NULL, tcp_byte_by_byte);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by tcp");
    stop(&kdc, &asker);
}

/* A frame of a kilobyte, a byte every 20 ms. */
static void tcp_slow(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    tcp_bytes(fd, "\0\0\x04\0", 4);
    while (send(fd, "x", 1, MSG_NOSIGNAL) > 0) {
        mock_pause(20);
    }
}

static void a_slow_peer_is_bounded_by_the_deadline(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 200, NULL, tcp_slow);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_TIMEOUT);
    assert_non_null(strstr(asker.err.text, " bytes of an unfinished answer in "));
    /* A timeout since the connection, one more for the bytes, and no third one. */
    assert_true(asker.wait.deadline_ms > asker.wait.stepped_ms + 200);
    assert_true(asker.wait.deadline_ms <= asker.wait.stepped_ms + 400);
    assert_true(asker.took_ms < 15000);
    stop(&kdc, &asker);
}

/* --- the host --- */

static void a_deadline_ends_it(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 150, mock_udp_silent, mock_tcp_silent);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_TIMEOUT);
    assert_non_null(strstr(asker.err.text, " udp: no answer in "));
    assert_true(asker.took_ms >= 149);
    assert_quick(&asker);
    stop(&kdc, &asker);
}

static void without_a_deadline_the_repetitions_end_it(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 0, mock_udp_silent, mock_tcp_silent);
    kb_net_tune(asker.net, &asker_tuning);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_KDC_UNREACHABLE);
    /* 100 + 200 + 400 ms of datagrams; TCP from 150 to 650 ms. */
    assert_true(asker.took_ms >= 699);
    assert_quick(&asker);
    stop(&kdc, &asker);
    assert_int_equal(kdc.num_udp, 3);
    assert_int_equal(kdc.num_tcp, 1);
}

static void *interrupt_soon(void *arg)
{
    mock_pause(50);
    kb_interrupt_fire(arg);
    return NULL;
}

static void an_interrupt_wakes_at_once(void **state)
{
    struct mock kdc;
    struct asker asker;
    pthread_t thread;
    struct kb_interrupt *interrupt = kb_interrupt_new();

    (void)state;
    start(&kdc, &asker, 0, mock_udp_silent, mock_tcp_silent);
    kb_wait_attach(&asker.wait, interrupt);
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, interrupt), 0);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_INTERRUPTED);
    assert_quick(&asker);
    pthread_join(thread, NULL);
    stop(&kdc, &asker);
    kb_interrupt_put(interrupt);
}

static void udp_late(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                     socklen_t from_len, kb_bytes request)
{
    mock_pause(100);
    mock_udp_final(mock, nth, from, from_len, request);
}

static atomic_uint num_alarms;

static void on_alarm(int number)
{
    (void)number;
    atomic_fetch_add(&num_alarms, 1);
}

static void signals_do_not_disturb(void **state)
{
    struct mock kdc;
    struct asker asker;
    struct sigaction action = {.sa_handler = on_alarm}, old;
    struct itimerval storm = {.it_interval.tv_usec = 500, .it_value.tv_usec = 500}, none = {0};

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    start(&kdc, &asker, 5000, udp_late, NULL);
    setitimer(ITIMER_REAL, &storm, NULL);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    setitimer(ITIMER_REAL, &none, NULL);
    assert_true(num_alarms > 0);
    stop(&kdc, &asker);
    sigaction(SIGALRM, &old, NULL);
}

static void descriptors_over_1024_work(void **state)
{
    struct mock kdc;
    struct asker asker;
    struct rlimit limit;
    int fds[1100];

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 1200) {
        skip();
    }
    start(&kdc, &asker, 5000, mock_udp_too_big, mock_tcp_final);
    for (size_t i = 0; i < 1100; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    assert_true(fds[1099] > 1024);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by tcp");
    for (size_t i = 0; i < 1100; i++) {
        close(fds[i]);
    }
    stop(&kdc, &asker);
}

/* The lowest descriptor that is free. */
static int lowest(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void no_descriptor_stays_open(void **state)
{
    struct mock kdc;
    struct asker asker;
    int before;

    (void)state;
    start(&kdc, &asker, 200, mock_udp_too_big, tcp_half);
    before = lowest();
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(lowest(), before);
    stop(&kdc, &asker);
}

static void no_descriptors_is_said(void **state)
{
    struct mock kdc;
    struct asker asker;
    struct rlimit limit, none;

    (void)state;
    start(&kdc, &asker, 5000, mock_udp_final, mock_tcp_final);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)lowest();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_non_null(strstr(asker.err.text, " udp: Too many open files"));
    stop(&kdc, &asker);
}

static void *ask_on_a_small_stack(void *arg)
{
    struct asker *asker = arg;

    return asker_ask(asker, "hello", false) == KB_OK ? asker : NULL;
}

static void small_stacks_are_enough(void **state)
{
    struct mock kdc;
    struct asker asker;
    pthread_attr_t attr;
    pthread_t thread;
    void *result;

    (void)state;
    start(&kdc, &asker, 5000, udp_large, mock_tcp_final);
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, 64 * 1024), 0);
    assert_int_equal(pthread_create(&thread, &attr, ask_on_a_small_stack, &asker), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &asker);
    pthread_attr_destroy(&attr);
    stop(&kdc, &asker);
}

static void *ask_slowly(void *arg)
{
    (void)asker_ask(arg, "hello", false);
    return NULL;
}

static bool is_socket(int fd)
{
    int type;
    socklen_t len = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

/* A child has no use for the sockets of its parent's other threads. */
static void a_fork_leaves_no_sockets(void **state)
{
    struct mock kdc;
    struct asker asker;
    pthread_t thread;
    int fd, exit_status;
    pid_t child;

    (void)state;
    start(&kdc, &asker, 5000, udp_late, NULL);
    fd = lowest();
    assert_int_equal(pthread_create(&thread, NULL, ask_slowly, &asker), 0);
    while (!is_socket(fd)) {
        mock_pause(1);
    }
    kb_net_fork_prepare();
    child = fork();
    if (child == 0) {
        kb_net_fork_child();
        /* Not _exit: what the other thread allocated is lost here, which valgrind would tell. */
        execlp(is_socket(fd) ? "false" : "true", "answer", NULL);
        _exit(2);
    }
    kb_net_fork_parent();
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);
    pthread_join(thread, NULL);
    assert_reply(&asker, "Final by udp");
    stop(&kdc, &asker);
}

static void a_reply_over_the_arena_is_an_error(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    start(&kdc, &asker, 5000, mock_udp_final, NULL);
    kb_arena_wipe(&asker.arena);
    kb_arena_init(&asker.arena, NULL, 0, 8);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_not_equal(asker.err.code, KB_E_NONE);
    stop(&kdc, &asker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strays_are_ignored),
        cmocka_unit_test(strays_alone_are_no_answer),
        cmocka_unit_test(a_flood_ends),
        cmocka_unit_test(a_datagram_over_max_packet_size_moves_to_tcp),
        cmocka_unit_test(a_datagram_over_max_packet_size_is_not_cut),
        cmocka_unit_test(streams_that_are_no_answer_end_at_once),
        cmocka_unit_test(frames_may_come_in_pieces),
        cmocka_unit_test(a_slow_peer_is_bounded_by_the_deadline),
        cmocka_unit_test(a_deadline_ends_it),
        cmocka_unit_test(without_a_deadline_the_repetitions_end_it),
        cmocka_unit_test(an_interrupt_wakes_at_once),
        cmocka_unit_test(signals_do_not_disturb),
        cmocka_unit_test(descriptors_over_1024_work),
        cmocka_unit_test(no_descriptor_stays_open),
        cmocka_unit_test(no_descriptors_is_said),
        cmocka_unit_test(small_stacks_are_enough),
        cmocka_unit_test(a_fork_leaves_no_sockets),
        cmocka_unit_test(a_reply_over_the_arena_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
