/* mech/net: whatever a KDC or a resolver keeps us waiting with, the timeout ends it, an interrupt
 * ends it, a wait callback ends it, and nothing that is no progress extends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "tests/support/mockkdc.h"

#define FORGIVEN_MS 500 /* to a busy machine, where 100 are promised */
#define FIRE_MS 150     /* by then the KDC has done what it does */

/* --- what keeps us waiting --- */

/* A frame of a kilobyte, a byte every 20 ms. */
static void tcp_slow(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    (void)!send(fd, "\0\0\x04\0", 4, MSG_NOSIGNAL);
    while (send(fd, "x", 1, MSG_NOSIGNAL) > 0) {
        mock_pause(20);
    }
}

/* Datagrams that mean nothing, for as long as there are requests. */
static void udp_noise(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                      socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    for (int i = 0; i < 20; i++) {
        mock_send(mock, from, from_len, "x");
        mock_pause(5);
    }
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static bool gate_open;

static int hang(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)host;
    (void)service;
    (void)hints;
    (void)out;
    pthread_mutex_lock(&gate);
    while (!gate_open) {
        pthread_cond_wait(&gate_opens, &gate);
    }
    pthread_mutex_unlock(&gate);
    return EAI_AGAIN;
}

static void set_gate(bool open)
{
    pthread_mutex_lock(&gate);
    gate_open = open;
    pthread_cond_broadcast(&gate_opens);
    pthread_mutex_unlock(&gate);
}

static const struct kb_resolver hanging = {.getaddrinfo = hang, .freeaddrinfo = freeaddrinfo};

enum stall { SILENT, NOISY, TCP_SILENT, TCP_SLOW, TCP_DEAF, NAMELESS, NUM_STALLS };

static const struct stall_row {
    const char *name;
    mock_udp_fn on_udp;
    mock_tcp_fn on_tcp;
    const char *text;   /* in the error */
    unsigned max_times; /* of an inactivity timeout */
} stalls[NUM_STALLS] = {
    [SILENT] = {"a KDC that never answers", mock_udp_silent, NULL, " udp: no answer in ", 1},
    [NOISY] = {"a KDC that sends noise", udp_noise, NULL, " unusable answer", 1},
    /* Two: a connection was made. Three: and bytes came. */
    [TCP_SILENT] = {"a KDC that accepts and stays silent", NULL, mock_tcp_silent,
                    " tcp: no answer in ", 2},
    [TCP_SLOW] = {"a KDC that answers byte by byte", NULL, tcp_slow,
                  " bytes of an unfinished answer in ", 3},
    [TCP_DEAF] = {"a black hole", NULL, NULL, " tcp: no connection in ", 1},
    [NAMELESS] = {"a resolver that hangs", NULL, NULL, "kdc.example.com: its name was not resolved",
                  1},
};

struct scene {
    enum stall stall;
    struct mock kdc;
    struct deaf deaf;
    struct asker asker;
};

static void scene_start(struct scene *scene, enum stall stall, int64_t timeout_ms, bool absolute)
{
    const struct stall_row *row = &stalls[stall];
    const char *host = "127.0.0.1";
    uint16_t port = 88;

    *scene = (struct scene){.stall = stall};
    if (stall == NAMELESS) {
        host = "kdc.example.com";
        kb_resolve_use(&hanging);
    } else if (stall == TCP_DEAF) {
        deaf_start(&scene->deaf);
        port = scene->deaf.port;
    } else {
        mock_start(&scene->kdc, row->on_udp, row->on_tcp);
        port = scene->kdc.port;
    }
    asker_start(&scene->asker, timeout_ms);
    scene->asker.wait.absolute = absolute;
    asker_add(&scene->asker, host, port, row->on_udp != NULL ? KB_UDP : KB_TCP);
}

static void scene_stop(struct scene *scene)
{
    asker_stop(&scene->asker);
    if (scene->stall == NAMELESS) {
        set_gate(true);
        for (int i = 0; i < 5000 && kb_resolve_helpers() > 0; i++) {
            mock_pause(1);
        }
        set_gate(false);
        kb_resolve_use(NULL);
    } else if (scene->stall == TCP_DEAF) {
        deaf_stop(&scene->deaf);
    } else {
        mock_stop(&scene->kdc);
    }
}

static void assert_text(const struct scene *scene, const char *text)
{
    if (strstr(scene->asker.err.text, text) == NULL) {
        fail_msg("%s: not \"%s\" but: %s", stalls[scene->stall].name, text, scene->asker.err.text);
    }
}

/* --- timeouts --- */

static void a_timeout_ends_everything(void **state)
{
    (void)state;
    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        struct scene scene;
        int64_t most_ms = (int64_t)stalls[stall].max_times * 150;

        scene_start(&scene, stall, 150, false);
        assert_int_equal(asker_ask(&scene.asker, "hello", false), KB_ERROR);
        print_message("measured: %s: Timeout of 150 ms ends after %lld ms\n", stalls[stall].name,
                      (long long)scene.asker.took_ms);
        assert_int_equal(scene.asker.err.code, KB_E_TIMEOUT);
        assert_text(&scene, "No KDC of EXAMPLE.COM answered in 0.");
        assert_text(&scene, stalls[stall].text);
        assert_true(scene.asker.took_ms >= 149);
        assert_true(scene.asker.took_ms < most_ms + FORGIVEN_MS);
        scene_stop(&scene);
    }
}

static void an_absolute_one_is_extended_by_nothing(void **state)
{
    (void)state;
    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        struct scene scene;

        scene_start(&scene, stall, 400, true);
        assert_int_equal(asker_ask(&scene.asker, "hello", false), KB_ERROR);
        assert_int_equal(scene.asker.err.code, KB_E_TIMEOUT);
        assert_text(&scene, "for the whole login are over; no KDC of EXAMPLE.COM answered in 0.");
        assert_true(scene.asker.took_ms >= 399);
        assert_true(scene.asker.took_ms < 400 + 390);
        scene_stop(&scene);
    }
}

/* 0: each has had its repetitions, its connection, its search for a name. */
static void without_one_it_ends_by_itself(void **state)
{
    (void)state;
    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        struct scene scene;

        scene_start(&scene, stall, 0, false);
        assert_int_equal(asker_ask(&scene.asker, "hello", false), KB_ERROR);
        assert_int_equal(scene.asker.err.code, KB_E_KDC_UNREACHABLE);
        assert_text(&scene, stalls[stall].text);
        /* 100 + 200 + 400 ms of datagrams; 500 of a connection, twice with bytes; 500 of a name. */
        assert_true(scene.asker.took_ms >= 499);
        assert_true(scene.asker.took_ms < 1000 + FORGIVEN_MS);
        if (stall == SILENT) {
            assert_int_equal(scene.kdc.num_udp, 3);
        }
        scene_stop(&scene);
    }
}

/* A first datagram to another KDC is no step that was completed. */
static void asking_others_extends_nothing(void **state)
{
    struct scene scene;
    struct mock more[12];

    (void)state;
    scene_start(&scene, SILENT, 600, false);
    for (size_t i = 0; i < 12; i++) {
        mock_start(&more[i], mock_udp_silent, NULL);
        asker_add(&scene.asker, "127.0.0.1", more[i].port, KB_UDP);
    }
    assert_int_equal(asker_ask(&scene.asker, "hello", false), KB_ERROR);
    assert_int_equal(scene.asker.err.code, KB_E_TIMEOUT);
    assert_true(scene.asker.took_ms < 600 + 400);
    scene_stop(&scene);
    for (size_t i = 0; i < 12; i++) {
        mock_stop(&more[i]);
    }
}

/* --- interrupts --- */

static void *fire_soon(void *interrupt)
{
    mock_pause(FIRE_MS);
    kb_interrupt_fire(interrupt);
    return NULL;
}

static void an_interrupt_ends_everything(void **state)
{
    struct kb_interrupt *interrupt = kb_interrupt_new();

    (void)state;
    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        struct scene scene;
        pthread_t thread;

        scene_start(&scene, stall, 0, false);
        asker_calm(&scene.asker);
        kb_wait_attach(&scene.asker.wait, interrupt);
        assert_int_equal(pthread_create(&thread, NULL, fire_soon, interrupt), 0);
        assert_int_equal(asker_ask(&scene.asker, "hello", false), KB_ERROR);
        pthread_join(thread, NULL);
        print_message("measured: %s: interrupted after %lld ms (promised: 100)\n",
                      stalls[stall].name, (long long)scene.asker.took_ms - FIRE_MS);
        assert_int_equal(scene.asker.err.code, KB_E_INTERRUPTED);
        assert_text(&scene, "Interrupted after 0.");
        assert_text(&scene, " s of waiting for a KDC of EXAMPLE.COM: ");
        assert_text(&scene, stalls[stall].text);
        assert_true(scene.asker.took_ms >= FIRE_MS - 1);
        assert_true(scene.asker.took_ms < FIRE_MS + FORGIVEN_MS);
        /* The same call goes on to nothing else. */
        assert_int_equal(asker_ask(&scene.asker, "hello", false), KB_ERROR);
        assert_int_equal(scene.asker.err.code, KB_E_INTERRUPTED);
        assert_true(scene.asker.took_ms < FORGIVEN_MS);
        scene_stop(&scene);
    }
    kb_interrupt_put(interrupt);
}

static void a_canonical_name_is_not_waited_for_either(void **state)
{
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct scene scene;
    pthread_t thread;
    char name[256];

    (void)state;
    scene_start(&scene, NAMELESS, 0, false);
    kb_wait_attach(&scene.asker.wait, interrupt);
    assert_int_equal(pthread_create(&thread, NULL, fire_soon, interrupt), 0);
    assert_int_equal(kb_net_canonical_name(&scene.asker.wait, "www", false, name), KB_INTERRUPTED);
    pthread_join(thread, NULL);
    scene_stop(&scene);
    kb_interrupt_put(interrupt);
}

static int third(void *arg)
{
    return ++*(unsigned *)arg == 3;
}

static void a_callback_ends_everything(void **state)
{
    (void)state;
    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        unsigned turns = 0;
        struct kb_callbacks callbacks = {.wait = third, .arg = &turns};
        struct kb_listener *listener = kb_listener_new(&callbacks);
        struct scene scene;

        scene_start(&scene, stall, 0, false);
        asker_calm(&scene.asker);
        kb_wait_listen(&scene.asker.wait, listener);
        assert_int_equal(asker_ask(&scene.asker, "hello", false), KB_ERROR);
        assert_int_equal(scene.asker.err.code, KB_E_INTERRUPTED);
        assert_text(&scene, "Cancelled by the program's wait callback after 0.");
        assert_int_equal(turns, 3);
        assert_true(scene.asker.took_ms < 300 + FORGIVEN_MS);
        scene_stop(&scene);
        kb_listener_put(listener);
    }
}

/* --- a callback that takes its time --- */

static int slow(void *arg)
{
    (void)arg;
    mock_pause(250);
    return 0;
}

static void udp_soon(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                     socklen_t from_len, kb_bytes request)
{
    mock_pause(80);
    mock_udp_final(mock, nth, from, from_len, request);
}

/* An answer that comes while the program is busy is taken afterwards. */
static void a_slow_callback_loses_no_answer(void **state)
{
    struct kb_callbacks callbacks = {.wait = slow};
    struct kb_listener *listener = kb_listener_new(&callbacks);
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, udp_soon, NULL);
    asker_start(&asker, 200);
    asker_calm(&asker);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_UDP);
    kb_wait_listen(&asker.wait, listener);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by udp");
    asker_stop(&asker);
    mock_stop(&kdc);
    kb_listener_put(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_ends_everything),
        cmocka_unit_test(an_absolute_one_is_extended_by_nothing),
        cmocka_unit_test(without_one_it_ends_by_itself),
        cmocka_unit_test(asking_others_extends_nothing),
        cmocka_unit_test(an_interrupt_ends_everything),
        cmocka_unit_test(a_canonical_name_is_not_waited_for_either),
        cmocka_unit_test(a_callback_ends_everything),
        cmocka_unit_test(a_slow_callback_loses_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
