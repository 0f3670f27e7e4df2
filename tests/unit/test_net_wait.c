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

#define FORGIVEN_MS 5000 /* to a busy machine; what nothing ends would take longer */
#define FIRE_MS 150      /* after which the KDC has done what it does */

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
static atomic_bool hangs;

static int hang(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)host;
    (void)service;
    (void)hints;
    (void)out;
    atomic_store(&hangs, true);
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

/* On the heap, and torn down by the fixture: an assertion that fails must not leave threads behind
 * that use the stack of a test which is over. */
struct scene {
    const struct stall_row *row; /* NULL: none is under way */
    struct mock kdc, more[12];
    size_t num_more;
    struct deaf deaf;
    struct asker asker;
    struct kb_interrupt *interrupt;
    struct kb_listener *listener;
    int64_t fired_ms;
};

static bool has_kdc(const struct stall_row *row)
{
    return row != &stalls[NAMELESS] && row != &stalls[TCP_DEAF];
}

static void scene_start(struct scene *scene, const struct stall_row *row, int64_t timeout_ms,
                        bool absolute)
{
    const char *host = "127.0.0.1";
    uint16_t port = 88;

    scene->row = row;
    if (has_kdc(row)) {
        mock_start(&scene->kdc, row->on_udp, row->on_tcp);
        port = scene->kdc.port;
    } else if (row == &stalls[TCP_DEAF]) {
        deaf_start(&scene->deaf);
        port = scene->deaf.port;
    } else {
        host = "kdc.example.com";
        atomic_store(&hangs, false);
        kb_resolve_use(&hanging);
    }
    asker_start(&scene->asker, timeout_ms);
    scene->asker.wait.absolute = absolute;
    asker_add(&scene->asker, host, port, row->on_udp != NULL ? KB_UDP : KB_TCP);
}

static void scene_stop(struct scene *scene)
{
    asker_stop(&scene->asker);
    if (has_kdc(scene->row)) {
        mock_stop(&scene->kdc);
    } else if (scene->row == &stalls[TCP_DEAF]) {
        deaf_stop(&scene->deaf);
    } else {
        set_gate(true);
        for (int i = 0; i < 5000 && kb_resolve_helpers() > 0; i++) {
            mock_pause(1);
        }
        set_gate(false);
        kb_resolve_use(NULL);
    }
    for (; scene->num_more > 0; scene->num_more--) {
        mock_stop(&scene->more[scene->num_more - 1]);
    }
    scene->row = NULL;
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct scene));
    return *state != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    if (scene->row != NULL) {
        scene_stop(scene);
    }
    kb_interrupt_put(scene->interrupt);
    kb_listener_put(scene->listener);
    free(scene);
    return 0;
}

static void assert_text(const struct scene *scene, const char *text)
{
    if (strstr(scene->asker.err.text, text) == NULL) {
        fail_msg("%s: not \"%s\" but: %s", scene->row->name, text, scene->asker.err.text);
    }
}

/* The deadline counts from there, which is before asker_ask. */
static int64_t since_start(const struct scene *scene)
{
    return kb_now_ms() - scene->asker.wait.start_ms;
}

/* No step was completed: how long it took tells that on an idle machine only. */
static void assert_deadline(const struct scene *scene, int64_t timeout_ms)
{
    assert_int_equal(scene->asker.wait.deadline_ms, scene->asker.wait.start_ms + timeout_ms);
}

/* --- timeouts --- */

static void a_timeout_ends_everything(void **state)
{
    struct scene *scene = *state;

    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        int64_t most_ms = (int64_t)stalls[stall].max_times * 150;

        scene_start(scene, &stalls[stall], 150, false);
        assert_int_equal(asker_ask(&scene->asker, "hello", false), KB_ERROR);
        assert_true(since_start(scene) >= 150);
        print_message("measured: %s: Timeout of 150 ms ends after %lld ms (promised: %lld)\n",
                      stalls[stall].name, (long long)scene->asker.took_ms, (long long)most_ms);
        assert_int_equal(scene->asker.err.code, KB_E_TIMEOUT);
        assert_text(scene, "No KDC of EXAMPLE.COM answered in ");
        assert_text(scene, stalls[stall].text);
        assert_true(scene->asker.took_ms < most_ms + FORGIVEN_MS);
        if (stalls[stall].max_times == 1) {
            assert_deadline(scene, 150);
        }
        scene_stop(scene);
    }
}

static void an_absolute_one_is_extended_by_nothing(void **state)
{
    struct scene *scene = *state;

    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        scene_start(scene, &stalls[stall], 400, true);
        assert_int_equal(asker_ask(&scene->asker, "hello", false), KB_ERROR);
        assert_true(since_start(scene) >= 400);
        assert_int_equal(scene->asker.err.code, KB_E_TIMEOUT);
        assert_text(scene, "for the whole login are over; no KDC of EXAMPLE.COM answered in ");
        assert_true(scene->asker.took_ms < 400 + FORGIVEN_MS);
        assert_deadline(scene, 400);
        scene_stop(scene);
    }
}

/* 0: each has had its repetitions, its connection, its search for a name. */
static void without_one_it_ends_by_itself(void **state)
{
    struct scene *scene = *state;

    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        scene_start(scene, &stalls[stall], 0, false);
        assert_int_equal(asker_ask(&scene->asker, "hello", false), KB_ERROR);
        assert_int_equal(scene->asker.err.code, KB_E_KDC_UNREACHABLE);
        assert_text(scene, stalls[stall].text);
        /* 100 + 200 + 400 ms of datagrams; 500 of a connection, twice with bytes; 500 of a name. */
        assert_true(scene->asker.took_ms >= 499);
        assert_true(scene->asker.took_ms < 1000 + FORGIVEN_MS);
        scene_stop(scene);
        if (stall == SILENT) {
            assert_int_equal(scene->kdc.num_udp, 3);
        }
    }
}

/* A first datagram to another KDC is no step that was completed. */
static void asking_others_extends_nothing(void **state)
{
    struct scene *scene = *state;

    scene_start(scene, &stalls[SILENT], 600, false);
    for (size_t i = 0; i < 12; i++) {
        mock_start(&scene->more[i], mock_udp_silent, NULL);
        scene->num_more++;
        asker_add(&scene->asker, "127.0.0.1", scene->more[i].port, KB_UDP);
    }
    assert_int_equal(asker_ask(&scene->asker, "hello", false), KB_ERROR);
    assert_int_equal(scene->asker.err.code, KB_E_TIMEOUT);
    assert_deadline(scene, 600);
}

/* --- interrupts --- */

/* Has the KDC been asked? A black hole cannot tell. */
static bool is_asked(struct scene *scene)
{
    return has_kdc(scene->row)
               ? atomic_load(&scene->kdc.num_udp) + atomic_load(&scene->kdc.num_tcp) > 0
               : scene->row == &stalls[TCP_DEAF] || atomic_load(&hangs);
}

static void *fire_soon(void *arg)
{
    struct scene *scene = arg;

    for (int i = 0; i < FORGIVEN_MS && !is_asked(scene); i++) {
        mock_pause(1);
    }
    mock_pause(FIRE_MS);
    scene->fired_ms = kb_now_ms();
    kb_interrupt_fire(scene->interrupt);
    return NULL;
}

static void an_interrupt_ends_everything(void **state)
{
    struct scene *scene = *state;

    scene->interrupt = kb_interrupt_new();
    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        pthread_t thread;
        enum kb_status st;
        int64_t late_ms;

        scene_start(scene, &stalls[stall], 0, false);
        asker_calm(&scene->asker);
        kb_wait_attach(&scene->asker.wait, scene->interrupt);
        assert_int_equal(pthread_create(&thread, NULL, fire_soon, scene), 0);
        st = asker_ask(&scene->asker, "hello", false);
        late_ms = kb_now_ms();
        pthread_join(thread, NULL);
        late_ms -= scene->fired_ms;
        print_message("measured: %s: interrupted after %lld ms (promised: 100)\n",
                      stalls[stall].name, (long long)late_ms);
        assert_int_equal(st, KB_ERROR);
        assert_int_equal(scene->asker.err.code, KB_E_INTERRUPTED);
        assert_text(scene, "Interrupted after ");
        assert_text(scene, " s of waiting for a KDC of EXAMPLE.COM: ");
        assert_text(scene, stalls[stall].text);
        assert_true(late_ms >= 0 && late_ms < FORGIVEN_MS);
        /* The same call goes on to nothing else. */
        assert_int_equal(asker_ask(&scene->asker, "hello", false), KB_ERROR);
        assert_int_equal(scene->asker.err.code, KB_E_INTERRUPTED);
        assert_true(scene->asker.took_ms < FORGIVEN_MS);
        scene_stop(scene);
    }
}

static void a_canonical_name_is_not_waited_for_either(void **state)
{
    struct scene *scene = *state;
    pthread_t thread;
    enum kb_status st;
    char name[256];

    scene->interrupt = kb_interrupt_new();
    scene_start(scene, &stalls[NAMELESS], 0, false);
    kb_wait_attach(&scene->asker.wait, scene->interrupt);
    assert_int_equal(pthread_create(&thread, NULL, fire_soon, scene), 0);
    st = kb_net_canonical_name(&scene->asker.wait, "www", false, name);
    pthread_join(thread, NULL);
    assert_int_equal(st, KB_INTERRUPTED);
}

static int third(void *arg)
{
    return ++*(unsigned *)arg == 3;
}

static void a_callback_ends_everything(void **state)
{
    struct scene *scene = *state;
    unsigned turns;
    struct kb_callbacks callbacks = {.wait = third, .arg = &turns};

    scene->listener = kb_listener_new(&callbacks);
    for (enum stall stall = 0; stall < NUM_STALLS; stall++) {
        turns = 0;
        scene_start(scene, &stalls[stall], 0, false);
        asker_calm(&scene->asker);
        kb_wait_listen(&scene->asker.wait, scene->listener);
        assert_int_equal(asker_ask(&scene->asker, "hello", false), KB_ERROR);
        assert_int_equal(scene->asker.err.code, KB_E_INTERRUPTED);
        assert_text(scene, "Cancelled by the program's wait callback after ");
        assert_int_equal(turns, 3);
        assert_true(scene->asker.took_ms < FORGIVEN_MS);
        scene_stop(scene);
    }
}

/* --- a callback that takes its time --- */

static atomic_bool busy, answered;

static void wait_until(atomic_bool *what)
{
    for (int i = 0; i < FORGIVEN_MS && !atomic_load(what); i++) {
        mock_pause(1);
    }
}

static int slow(void *arg)
{
    (void)arg;
    atomic_store(&busy, true);
    wait_until(&answered);
    mock_pause(250);
    return 0;
}

static void udp_meanwhile(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                          socklen_t from_len, kb_bytes request)
{
    wait_until(&busy);
    mock_udp_final(mock, nth, from, from_len, request);
    atomic_store(&answered, true);
}

/* An answer that comes while the program is busy is taken afterwards. */
static void a_slow_callback_loses_no_answer(void **state)
{
    static const struct stall_row row = {"a KDC that answers meanwhile", udp_meanwhile, NULL, "",
                                         1};
    struct kb_callbacks callbacks = {.wait = slow};
    struct scene *scene = *state;

    scene->listener = kb_listener_new(&callbacks);
    scene_start(scene, &row, 200, false);
    asker_calm(&scene->asker);
    kb_wait_listen(&scene->asker.wait, scene->listener);
    assert_int_equal(asker_ask(&scene->asker, "hello", false), KB_OK);
    assert_true(since_start(scene) >= 250);
    assert_reply(&scene->asker, "Final by udp");
}

int main(void)
{
#define ON_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_SCENE(a_timeout_ends_everything),
        ON_SCENE(an_absolute_one_is_extended_by_nothing),
        ON_SCENE(without_one_it_ends_by_itself),
        ON_SCENE(asking_others_extends_nothing),
        ON_SCENE(an_interrupt_ends_everything),
        ON_SCENE(a_canonical_name_is_not_waited_for_either),
        ON_SCENE(a_callback_ends_everything),
        ON_SCENE(a_slow_callback_loses_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
