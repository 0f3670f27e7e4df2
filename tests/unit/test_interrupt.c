/* mech/net/interrupt, mech/net/wait: calls are ended by threads, signal handlers and callbacks, and
 * only those that were meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/net/fds.h"
#include "mech/net/wait.h"
#include "mech/report/callback.h"

/* What is promised, and what a busy machine is forgiven; what nothing ends would take for ever. */
#define PROMISED_MS 100
#define FORGIVEN_MS 5000

static void report(const char *what, int64_t ms)
{
    print_message("measured: %s: %lld ms (promised: %d)\n", what, (long long)ms, PROMISED_MS);
}

static enum kb_status wait_until(struct kb_wait *wait, int64_t until_ms)
{
    struct pollfd fds[KB_WAIT_FDS];
    int ready;

    return kb_wait_poll(wait, fds, 0, until_ms, &ready);
}

static bool readable(const struct kb_interrupt *interrupt)
{
    struct pollfd fd = {.fd = kb_interrupt_fd(interrupt), .events = POLLIN};

    return poll(&fd, 1, 0) > 0;
}

static struct kb_wait begin(struct kb_interrupt *interrupt)
{
    struct kb_wait wait;

    kb_wait_start(&wait, 0, false);
    kb_wait_attach(&wait, interrupt);
    return wait;
}

/* --- one call --- */

static void with_no_call_in_progress_it_does_nothing(void **state)
{
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct kb_wait wait;

    (void)state;
    kb_interrupt_fire(NULL);
    kb_interrupt_fire(interrupt);
    assert_false(readable(interrupt));
    wait = begin(interrupt);
    assert_false(kb_wait_interrupted(&wait));
    assert_int_equal(wait_until(&wait, kb_now_ms() + 60), KB_OK);
    kb_wait_stop(&wait);
    kb_interrupt_fire(interrupt);
    wait = begin(interrupt);
    assert_int_equal(wait_until(&wait, kb_now_ms() + 60), KB_OK);
    kb_wait_stop(&wait);
    kb_wait_stop(&wait);
    kb_interrupt_put(interrupt);
}

static void it_stays_and_ends_with_its_call(void **state)
{
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct kb_wait wait = begin(interrupt), later;

    (void)state;
    errno = ENOTTY;
    kb_interrupt_fire(interrupt);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    /* Another one that begins meanwhile is not meant, and does not run in circles. */
    later = begin(interrupt);
    assert_int_equal(wait_until(&later, kb_now_ms() + 60), KB_OK);
    assert_false(readable(interrupt));
    kb_wait_stop(&wait);
    kb_interrupt_fire(interrupt);
    assert_int_equal(wait_until(&later, INT64_MAX), KB_INTERRUPTED);
    kb_wait_stop(&later);
    assert_false(readable(interrupt));
    kb_interrupt_put(interrupt);
}

/* The number wraps within the first few. */
static void its_number_may_wrap(void **state)
{
    struct kb_interrupt *interrupt = kb_interrupt_new();

    (void)state;
    for (int i = 0; i < 8; i++) {
        struct kb_wait wait = begin(interrupt);

        assert_false(kb_wait_interrupted(&wait));
        for (int fires = 0; fires <= i; fires++) {
            kb_interrupt_fire(interrupt);
            assert_true(kb_wait_interrupted(&wait));
        }
        kb_wait_stop(&wait);
    }
    kb_interrupt_put(interrupt);
}

static void either_of_two_ends_it(void **state)
{
    struct kb_interrupt *process = kb_interrupt_process(true), *own = kb_interrupt_new();

    (void)state;
    assert_non_null(process);
    assert_ptr_equal(kb_interrupt_process(false), process);
    for (int i = 0; i < 2; i++) {
        struct kb_wait wait = begin(process), other = begin(process);

        kb_wait_attach(&wait, own);
        kb_interrupt_fire(i == 0 ? process : own);
        assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
        assert_int_equal(wait_until(&other, kb_now_ms() + 20), i == 0 ? KB_INTERRUPTED : KB_OK);
        kb_wait_stop(&wait);
        kb_wait_stop(&other);
    }
    kb_interrupt_put(own);
}

/* --- threads and signals --- */

static void *fire_soon(void *interrupt)
{
    usleep(30000);
    kb_interrupt_fire(interrupt);
    return NULL;
}

static void another_thread_wakes_a_sleeper(void **state)
{
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct kb_wait wait = begin(interrupt);
    int64_t start_ms = kb_now_ms(), took_ms;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, fire_soon, interrupt), 0);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    took_ms = kb_now_ms() - start_ms - 30;
    report("interrupted by a thread", took_ms);
    assert_true(took_ms < FORGIVEN_MS);
    pthread_join(thread, NULL);
    kb_wait_stop(&wait);
    kb_interrupt_put(interrupt);
}

/* Then the slices do alone. */
static void it_works_without_a_descriptor(void **state)
{
    struct rlimit old, none = {0};
    struct kb_interrupt *interrupt;
    struct kb_wait wait;
    int64_t start_ms, took_ms;
    pthread_t thread;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    interrupt = kb_interrupt_new();
    setrlimit(RLIMIT_NOFILE, &old);
    assert_non_null(interrupt);
    assert_int_equal(kb_interrupt_fd(interrupt), -1);
    wait = begin(interrupt);
    start_ms = kb_now_ms();
    assert_int_equal(pthread_create(&thread, NULL, fire_soon, interrupt), 0);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    took_ms = kb_now_ms() - start_ms - 30;
    report("interrupted without a descriptor", took_ms);
    assert_true(took_ms < FORGIVEN_MS);
    pthread_join(thread, NULL);
    kb_wait_stop(&wait);
    kb_interrupt_put(interrupt);
}

static struct kb_interrupt *of_handler;
static atomic_int num_handled;

static void on_signal(int number)
{
    (void)number;
    kb_interrupt_fire(of_handler);
    atomic_fetch_add(&num_handled, 1);
}

static void a_signal_handler_ends_it(void **state)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
    struct itimerval soon = {.it_value.tv_usec = 30000};
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct kb_wait wait = begin(interrupt);
    int64_t start_ms = kb_now_ms(), took_ms;

    (void)state;
    of_handler = interrupt;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    setitimer(ITIMER_REAL, &soon, NULL);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    took_ms = kb_now_ms() - start_ms - 30;
    report("interrupted by a signal handler", took_ms);
    assert_true(took_ms < FORGIVEN_MS);
    sigaction(SIGALRM, &old, NULL);
    kb_wait_stop(&wait);
    kb_interrupt_put(interrupt);
}

#define NUM_CALLS 4
#define NUM_ROUNDS 24

/* Threads in calls that only an interrupt ends. */
struct crowd {
    struct kb_interrupt *interrupt;
    atomic_int inside, ended, wrong, turns;
    atomic_bool stop;
};

static void *call_again_and_again(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < NUM_ROUNDS; i++) {
        struct kb_wait wait = begin(crowd->interrupt);

        atomic_fetch_add(&crowd->inside, 1);
        if (wait_until(&wait, INT64_MAX) != KB_INTERRUPTED) {
            atomic_fetch_add(&crowd->wrong, 1);
        }
        kb_wait_stop(&wait);
        atomic_fetch_add(&crowd->ended, 1);
    }
    return NULL;
}

/* Comes and goes, so that it empties the descriptor where others are to be woken by it. */
static void *come_and_go(void *arg)
{
    struct crowd *crowd = arg;

    while (!atomic_load(&crowd->stop)) {
        struct kb_wait wait = begin(crowd->interrupt);

        (void)!wait_until(&wait, kb_now_ms() + 1);
        kb_wait_stop(&wait);
        atomic_fetch_add(&crowd->turns, 1);
    }
    return NULL;
}

/* Until the handler has run: ThreadSanitizer may lose a signal. */
static void fire_by_signal(pthread_t thread)
{
    int before = atomic_load(&num_handled);

    while (atomic_load(&num_handled) == before) {
        int64_t until_ms = kb_now_ms() + 100;

        pthread_kill(thread, SIGUSR1);
        while (atomic_load(&num_handled) == before && kb_now_ms() < until_ms) {
            usleep(100);
        }
    }
}

static void nobody_is_left_asleep(void **state)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
    struct crowd crowd = {.interrupt = kb_interrupt_new()};
    pthread_t calls[NUM_CALLS], other;
    int64_t worst_ms = 0;

    (void)state;
    of_handler = crowd.interrupt;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    for (int i = 0; i < NUM_CALLS; i++) {
        assert_int_equal(pthread_create(&calls[i], NULL, call_again_and_again, &crowd), 0);
    }
    assert_int_equal(pthread_create(&other, NULL, come_and_go, &crowd), 0);
    while (atomic_load(&crowd.turns) == 0) {
        usleep(100); /* a thread that is just starting may lose a signal under a sanitizer */
    }
    for (int round = 1; round <= NUM_ROUNDS; round++) {
        int64_t start_ms;

        while (atomic_load(&crowd.inside) < round * NUM_CALLS) {
            usleep(100);
        }
        start_ms = kb_now_ms();
        if (round % 2 == 0) {
            kb_interrupt_fire(crowd.interrupt);
        } else {
            fire_by_signal(other);
        }
        while (atomic_load(&crowd.ended) < round * NUM_CALLS) {
            usleep(100);
        }
        if (kb_now_ms() - start_ms > worst_ms) {
            worst_ms = kb_now_ms() - start_ms;
        }
    }
    atomic_store(&crowd.stop, true);
    pthread_join(other, NULL);
    for (int i = 0; i < NUM_CALLS; i++) {
        pthread_join(calls[i], NULL);
    }
    report("the slowest of a crowd", worst_ms);
    assert_true(worst_ms < FORGIVEN_MS);
    assert_int_equal(crowd.wrong, 0);
    assert_false(readable(crowd.interrupt));
    sigaction(SIGUSR1, &old, NULL);
    kb_interrupt_put(crowd.interrupt);
}

/* --- fork --- */

static int as_child(struct kb_interrupt *interrupt, struct kb_wait *wait)
{
    struct kb_wait own = begin(interrupt);
    uint64_t count;

    /* The parent has fired: nothing of that comes here, and nothing of ours goes there. */
    if (kb_wait_interrupted(&own) || wait_until(&own, kb_now_ms() + 60) != KB_OK ||
        read(kb_interrupt_fd(interrupt), &count, sizeof(count)) > 0) {
        return 1;
    }
    kb_interrupt_fire(interrupt);
    if (wait_until(&own, INT64_MAX) != KB_INTERRUPTED) {
        return 2;
    }
    /* The call that was in progress when we were made. */
    return kb_wait_interrupted(wait) ? 0 : 3;
}

static void a_child_has_its_own(void **state)
{
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct kb_wait wait = begin(interrupt);
    int status, go[2];
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(go), 0);
    kb_interrupt_fork_prepare();
    pid = fork();
    if (pid == 0) {
        kb_wait_fork_child();
        kb_interrupt_fork_child();
        (void)!read(go[0], &byte, 1);
        _exit(as_child(interrupt, &wait));
    }
    kb_interrupt_fork_parent();
    kb_interrupt_fire(interrupt);
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    kb_wait_stop(&wait);
    kb_interrupt_put(interrupt);
    close(go[0]);
    close(go[1]);
}

/* --- wait callbacks --- */

struct program {
    int num, cancel_at; /* 0: never */
    int sleep_ms;
    int64_t last_ms, worst_ms;
    struct kb_interrupt *fires;
    unsigned depth;
    bool released;
};

static int on_wait(void *arg)
{
    struct program *program = arg;
    int64_t now_ms = kb_now_ms();

    if (now_ms - program->last_ms > program->worst_ms) {
        program->worst_ms = now_ms - program->last_ms;
    }
    program->depth = kb_callback_depth();
    usleep((useconds_t)program->sleep_ms * 1000);
    kb_interrupt_fire(program->fires);
    program->last_ms = kb_now_ms();
    return ++program->num == program->cancel_at;
}

static void on_release(void *arg)
{
    ((struct program *)arg)->released = true;
}

static struct kb_listener *listen_as(struct program *program)
{
    struct kb_callbacks callbacks = {.wait = on_wait, .release = on_release, .arg = program};
    struct kb_listener *listener = kb_listener_new(&callbacks);

    assert_non_null(listener);
    program->last_ms = kb_now_ms();
    return listener;
}

static void a_callback_runs_every_100_ms(void **state)
{
    struct program program = {0}, second = {0};
    struct kb_listener *listener = listen_as(&program), *other = listen_as(&second);
    struct kb_wait wait;

    (void)state;
    kb_wait_start(&wait, 5000, false);
    kb_wait_listen(&wait, listener);
    kb_wait_listen(&wait, other);
    kb_listener_put(listener);
    kb_listener_put(other);
    assert_int_equal(wait_until(&wait, kb_now_ms() + 620), KB_OK);
    report("the longest time without a callback", program.worst_ms);
    assert_true(program.worst_ms < FORGIVEN_MS);
    assert_in_range(program.num, 2, 13);
    assert_int_equal(second.num, program.num);
    assert_int_equal(program.depth, 1);
    assert_int_equal(kb_callback_depth(), 0);
    assert_false(program.released);
    kb_wait_stop(&wait);
    assert_true(program.released);
}

static void a_callback_may_cancel(void **state)
{
    struct program program = {.cancel_at = 2};
    struct kb_listener *listener = listen_as(&program);
    int64_t start_ms = kb_now_ms();
    struct kb_wait wait;

    (void)state;
    kb_wait_start(&wait, 0, false);
    kb_wait_listen(&wait, listener);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    assert_int_equal(program.num, 2);
    assert_true(kb_now_ms() - start_ms < FORGIVEN_MS);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    assert_int_equal(program.num, 2);
    assert_non_null(strstr(kb_wait_cause(&wait), "wait callback"));
    kb_wait_stop(&wait);
    kb_listener_put(listener);
}

static void a_callback_may_interrupt(void **state)
{
    struct program program = {.fires = kb_interrupt_new()};
    struct kb_listener *listener = listen_as(&program);
    struct kb_wait wait = begin(program.fires);

    (void)state;
    kb_wait_listen(&wait, listener);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_INTERRUPTED);
    assert_int_equal(program.num, 1);
    assert_string_equal(kb_wait_cause(&wait), "Interrupted");
    kb_wait_stop(&wait);
    kb_listener_put(listener);
    kb_interrupt_put(program.fires);
}

static void a_slow_callback_extends_no_timeout(void **state)
{
    struct program program = {.sleep_ms = 150};
    struct kb_listener *listener = listen_as(&program);
    int64_t start_ms = kb_now_ms();
    struct kb_wait wait;

    (void)state;
    kb_wait_start(&wait, 300, false);
    kb_wait_listen(&wait, listener);
    assert_int_equal(wait_until(&wait, INT64_MAX), KB_TIMED_OUT);
    assert_true(kb_now_ms() - start_ms >= 300);
    assert_true(kb_now_ms() - start_ms < 300 + 150 + FORGIVEN_MS);
    kb_wait_stop(&wait);
    kb_listener_put(listener);
}

/* What arrived while the program was busy is not lost to its own slowness. */
static void what_came_during_a_callback_counts(void **state)
{
    struct program program = {.sleep_ms = 200};
    struct kb_listener *listener = listen_as(&program);
    struct kb_wait wait;
    struct pollfd fds[1 + KB_WAIT_FDS] = {{.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN}};
    int ready;

    (void)state;
    kb_wait_start(&wait, 100, true);
    kb_wait_listen(&wait, listener);
    wait.turn_ms = kb_now_ms();
    (void)eventfd_write(fds[0].fd, 1);
    assert_int_equal(kb_wait_poll(&wait, fds, 1, INT64_MAX, &ready), KB_OK);
    assert_int_equal(ready, 1);
    /* Once. */
    assert_int_equal(kb_wait_poll(&wait, fds, 1, INT64_MAX, &ready), KB_TIMED_OUT);
    kb_wait_stop(&wait);
    kb_listener_put(listener);
    close(fds[0].fd);
}

/* As datagrams that mean nothing would be. */
static void what_is_always_ready_extends_no_timeout(void **state)
{
    struct program program = {0};
    struct kb_listener *listener = listen_as(&program);
    struct pollfd fds[1 + KB_WAIT_FDS] = {{.fd = eventfd(1, EFD_CLOEXEC), .events = POLLIN}};
    int64_t start_ms = kb_now_ms();
    enum kb_status st = KB_OK;
    struct kb_wait wait;
    int ready;

    (void)state;
    kb_wait_start(&wait, 250, false);
    kb_wait_listen(&wait, listener);
    while (st == KB_OK && kb_now_ms() - start_ms < 2 * FORGIVEN_MS) {
        st = kb_wait_poll(&wait, fds, 1, INT64_MAX, &ready);
    }
    assert_int_equal(st, KB_TIMED_OUT);
    assert_true(kb_now_ms() - start_ms < 250 + FORGIVEN_MS);
    assert_true(program.num >= 1);
    kb_wait_stop(&wait);
    kb_listener_put(listener);
    close(fds[0].fd);
}

/* --- descriptors of a child --- */

/* In a child a call's own descriptors are closed already; their numbers may be somebody's by then.
 */
static void a_childs_numbers_are_left_alone(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        int ours = kb_fds_add(eventfd(0, EFD_CLOEXEC)), theirs;

        kb_fds_drop();
        theirs = eventfd(0, EFD_CLOEXEC);
        kb_fds_close(ours);
        _exit(theirs == ours && eventfd_write(theirs, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_no_call_in_progress_it_does_nothing),
        cmocka_unit_test(it_stays_and_ends_with_its_call),
        cmocka_unit_test(its_number_may_wrap),
        cmocka_unit_test(either_of_two_ends_it),
        cmocka_unit_test(another_thread_wakes_a_sleeper),
        cmocka_unit_test(it_works_without_a_descriptor),
        cmocka_unit_test(a_signal_handler_ends_it),
        cmocka_unit_test(nobody_is_left_asleep),
        cmocka_unit_test(a_child_has_its_own),
        cmocka_unit_test(a_callback_runs_every_100_ms),
        cmocka_unit_test(a_callback_may_cancel),
        cmocka_unit_test(a_callback_may_interrupt),
        cmocka_unit_test(a_slow_callback_extends_no_timeout),
        cmocka_unit_test(what_came_during_a_callback_counts),
        cmocka_unit_test(what_is_always_ready_extends_no_timeout),
        cmocka_unit_test(a_childs_numbers_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
