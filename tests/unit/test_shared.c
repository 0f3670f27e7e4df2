/* mech/store/shared: one exchange for many threads, errors for all, what is remembered and evicted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/report/callback.h"
#include "mech/store/shared.h"

#define NOW 1000000
#define NUM_THREADS 16

static struct kb_credential *credential(int64_t endtime)
{
    struct kb_principal *client = kb_principal_service(KB_LIT("alice"), KB_NONE, KB_LIT("R"));
    struct kb_principal *server = kb_principal_service(KB_LIT("HTTP"), KB_LIT("h"), KB_LIT("R"));
    struct kb_credential parts = {
        .client = client, .server = server, .ticket = KB_LIT("t"), .endtime = endtime};
    struct kb_credential *made;

    assert_int_equal(kb_key_new(KB_ENCTYPE_AES256_SHA1, KB_LIT("0123456789abcdef0123456789abcdef"),
                                &parts.session_key),
                     KB_OK);
    made = kb_credential_new(&parts);
    assert_non_null(made);
    kb_key_free(parts.session_key);
    kb_principal_free(client);
    kb_principal_free(server);
    return made;
}

static struct kb_wait no_wait(int64_t timeout_ms)
{
    struct kb_wait wait;

    kb_wait_start(&wait, timeout_ms, false);
    return wait;
}

static void expired_is_not_found(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *c = credential(NOW + 100), *found;

    (void)state;
    assert_null(kb_shared_find(shared, KB_LIT("hHTTP@h"), NOW, 60));
    kb_shared_put(shared, KB_LIT("hHTTP@h"), c, KB_NEVER);
    found = kb_shared_find(shared, KB_LIT("hHTTP@h"), NOW, 60);
    assert_ptr_equal(found, c);
    kb_credential_free(found);
    assert_null(kb_shared_find(shared, KB_LIT("hHTTP@h"), NOW + 40, 60));
    assert_null(kb_shared_find(shared, KB_LIT("pHTTP@h"), NOW, 60));
    kb_shared_drop(shared, KB_LIT("hHTTP@h"), c);
    assert_null(kb_shared_find(shared, KB_LIT("hHTTP@h"), NOW, 60));
    kb_credential_free(c);
    kb_shared_free(shared);
}

struct crowd {
    struct kb_shared *shared;
    struct kb_credential *credential;
    enum kb_error_code fail;
    atomic_int led, got, failed;
};

static void *member(void *arg)
{
    struct crowd *crowd = arg;
    struct kb_credential *out;
    struct kb_error err = {0};
    struct kb_wait wait = no_wait(10000);
    enum kb_status st =
        kb_shared_enter(crowd->shared, KB_LIT("hHTTP@h"), NOW, 60, &wait, &out, &err);

    if (st == KB_NOT_FOUND) {
        atomic_fetch_add(&crowd->led, 1);
        usleep(50000);
        if (crowd->fail != KB_E_NONE) {
            (void)kb_error_set(&err, crowd->fail, "It failed");
        }
        kb_shared_leave(crowd->shared, KB_LIT("hHTTP@h"),
                        crowd->fail == KB_E_NONE ? crowd->credential : NULL, KB_NEVER, &err);
    } else if (st == KB_OK) {
        atomic_fetch_add(&crowd->got, 1);
        kb_credential_free(out);
    } else if (st == KB_ERROR && err.code == crowd->fail) {
        atomic_fetch_add(&crowd->failed, 1);
    }
    return NULL;
}

static void gather(struct crowd *crowd)
{
    pthread_t threads[NUM_THREADS];

    for (int i = 0; i < NUM_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, member, crowd), 0);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void many_threads_one_exchange(void **state)
{
    struct crowd crowd = {.shared = kb_shared_new(), .credential = credential(NOW + 1000)};

    (void)state;
    gather(&crowd);
    assert_int_equal(crowd.led, 1);
    assert_int_equal(crowd.got, NUM_THREADS - 1);
    kb_credential_free(crowd.credential);
    kb_shared_free(crowd.shared);
}

static void a_failure_is_everybodys(void **state)
{
    struct crowd crowd = {.shared = kb_shared_new(), .fail = KB_E_SERVICE_UNKNOWN};

    (void)state;
    gather(&crowd);
    /* Also those who came late: that a service is unknown is remembered. */
    assert_int_equal(crowd.led, 1);
    assert_int_equal(crowd.failed, NUM_THREADS - 1);
    kb_shared_free(crowd.shared);
}

static void a_leaders_own_end_is_not_shared(void **state)
{
    struct crowd crowd = {.shared = kb_shared_new(), .fail = KB_E_INTERRUPTED};

    (void)state;
    gather(&crowd);
    assert_int_equal(crowd.led, NUM_THREADS);
    assert_int_equal(crowd.failed, 0);
    kb_shared_free(crowd.shared);
}

/* --- one thread leads, this one waits --- */

struct leader {
    struct kb_shared *shared;
    struct kb_credential *credential; /* that it brings; NULL: `fail` */
    enum kb_error_code fail;
    bool in_callback;    /* of the program's, for as long as it leads */
    bool steps;          /* it comes further all the time */
    unsigned goes_on_ms; /* until stop_later stops it */
    atomic_bool leads, go;
    pthread_t thread;
};

static void *lead(void *arg)
{
    struct leader *leader = arg;
    struct kb_wait wait = no_wait(60000);
    struct kb_credential *out;
    struct kb_error err = {0};
    int place;

    if (kb_shared_enter(leader->shared, KB_LIT("t"), NOW, 60, &wait, &out, &err) != KB_NOT_FOUND) {
        abort();
    }
    place = leader->in_callback ? kb_callback_enter() : -1;
    atomic_store(&leader->leads, true);
    while (!atomic_load(&leader->go)) {
        if (leader->steps) {
            kb_wait_progress(&wait);
        }
        usleep(1000);
    }
    kb_callback_leave(place);
    (void)kb_error_set(&err, leader->fail, "It failed");
    kb_shared_leave(leader->shared, KB_LIT("t"), leader->credential, KB_NEVER, &err);
    return NULL;
}

static void leader_start(struct leader *leader, struct kb_shared *shared)
{
    leader->shared = shared;
    assert_int_equal(pthread_create(&leader->thread, NULL, lead, leader), 0);
    while (!atomic_load(&leader->leads)) {
        usleep(100);
    }
}

static void leader_stop(struct leader *leader)
{
    atomic_store(&leader->go, true);
    pthread_join(leader->thread, NULL);
}

static enum kb_status enter(struct kb_shared *shared, struct kb_wait *wait)
{
    struct kb_credential *out;
    struct kb_error err = {0};
    enum kb_status st = kb_shared_enter(shared, KB_LIT("t"), NOW, 60, wait, &out, &err);

    kb_credential_free(out);
    return st;
}

static void leave(struct kb_shared *shared, enum kb_error_code fail)
{
    struct kb_error err = {0};

    (void)kb_error_set(&err, fail, "It failed");
    kb_shared_leave(shared, KB_LIT("t"), NULL, KB_NEVER, &err);
}

static void waiting_has_a_deadline(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct leader leader = {.fail = KB_E_TIMEOUT};
    struct kb_wait wait = no_wait(50);
    int64_t start_ms = kb_now_ms();

    (void)state;
    leader_start(&leader, shared);
    assert_int_equal(enter(shared, &wait), KB_TIMED_OUT);
    assert_true(kb_now_ms() - start_ms >= 50);
    leader_stop(&leader);
    kb_shared_free(shared);
}

static void *stop_later(void *arg)
{
    struct leader *leader = arg;

    usleep(leader->goes_on_ms * 1000);
    leader_stop(leader);
    return NULL;
}

/* An inactivity timeout: where the leader goes on, nobody is inactive. */
static void the_leaders_steps_count(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct leader leader = {
        .steps = true, .goes_on_ms = 2000, .credential = credential(NOW + 1000)};
    struct kb_wait wait = no_wait(1500);
    pthread_t thread;

    (void)state;
    leader_start(&leader, shared);
    assert_int_equal(pthread_create(&thread, NULL, stop_later, &leader), 0);
    assert_int_equal(enter(shared, &wait), KB_OK);
    pthread_join(thread, NULL);
    kb_credential_free(leader.credential);
    kb_shared_free(shared);
}

/* An absolute one is not extended. */
static void an_absolute_deadline_is_ones_own(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct leader leader = {.steps = true, .fail = KB_E_TIMEOUT};
    struct kb_wait wait;
    int64_t start_ms = kb_now_ms();

    (void)state;
    kb_wait_start(&wait, 100, true);
    leader_start(&leader, shared);
    assert_int_equal(enter(shared, &wait), KB_TIMED_OUT);
    assert_true(kb_now_ms() - start_ms < 5000);
    leader_stop(&leader);
    kb_shared_free(shared);
}

/* A new exchange would be over at once: what the leader has found out says more. */
static void who_has_no_time_left_hears_why(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct leader leader = {.goes_on_ms = 400, .fail = KB_E_TIMEOUT};
    struct kb_wait wait = no_wait(490);
    struct kb_credential *out;
    struct kb_error err = {0};
    pthread_t thread;
    enum kb_status st;

    (void)state;
    leader_start(&leader, shared);
    assert_int_equal(pthread_create(&thread, NULL, stop_later, &leader), 0);
    st = kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err);
    assert_true(st == KB_ERROR || st == KB_TIMED_OUT); /* the second on a busy machine */
    assert_string_equal(err.text, st == KB_ERROR ? "It failed" : "");
    pthread_join(thread, NULL);
    kb_shared_free(shared);
}

static void *fire_soon(void *interrupt)
{
    usleep(30000);
    kb_interrupt_fire(interrupt);
    return NULL;
}

static void waiting_is_interrupted(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct leader leader = {.fail = KB_E_TIMEOUT};
    struct kb_wait wait = no_wait(0);
    int64_t start_ms = kb_now_ms();
    pthread_t thread;

    (void)state;
    kb_wait_attach(&wait, interrupt);
    leader_start(&leader, shared);
    assert_int_equal(pthread_create(&thread, NULL, fire_soon, interrupt), 0);
    assert_int_equal(enter(shared, &wait), KB_INTERRUPTED);
    assert_true(kb_now_ms() - start_ms < 5000);
    pthread_join(thread, NULL);
    leader_stop(&leader);
    kb_wait_stop(&wait);
    kb_interrupt_put(interrupt);
    kb_shared_free(shared);
}

static void *stop_soon(void *leader)
{
    usleep(100000);
    leader_stop(leader);
    return NULL;
}

/* An interrupt of the leader's credential is not ours: who waits goes on in its place. */
static void an_interrupted_leader_is_followed(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct leader leader = {.fail = KB_E_INTERRUPTED};
    struct kb_wait wait = no_wait(0);
    pthread_t thread;

    (void)state;
    leader_start(&leader, shared);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &leader), 0);
    assert_int_equal(enter(shared, &wait), KB_NOT_FOUND);
    leave(shared, KB_E_TIMEOUT);
    pthread_join(thread, NULL);
    kb_shared_free(shared);
}

/* --- callbacks of the program's --- */

static int cancel(void *arg)
{
    atomic_store((atomic_int *)arg, 1);
    return 1;
}

static void waiting_runs_the_callback(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct leader leader = {.fail = KB_E_TIMEOUT};
    struct kb_wait wait = no_wait(0);
    atomic_int called = 0;
    struct kb_callbacks callbacks = {.wait = cancel, .arg = &called};
    struct kb_listener *listener = kb_listener_new(&callbacks);

    (void)state;
    kb_wait_listen(&wait, listener);
    leader_start(&leader, shared);
    assert_int_equal(enter(shared, &wait), KB_INTERRUPTED);
    assert_int_equal(called, 1);
    leader_stop(&leader);
    kb_wait_stop(&wait);
    kb_listener_put(listener);
    kb_shared_free(shared);
}

struct again {
    struct kb_shared *shared;
    struct kb_credential *credential;
    atomic_int brought;
};

/* Asks for the very ticket that its own thread is fetching: it must not wait for itself. */
static int ask_again(void *arg)
{
    struct again *again = arg;
    struct kb_wait wait = no_wait(0);
    struct kb_error err = {0};

    if (enter(again->shared, &wait) == KB_NOT_FOUND) {
        kb_shared_leave(again->shared, KB_LIT("t"), again->credential, KB_NEVER, &err);
        atomic_fetch_add(&again->brought, 1);
    }
    return 1;
}

static void a_callback_does_not_wait_for_its_own_call(void **state)
{
    struct again again = {.shared = kb_shared_new(), .credential = credential(NOW + 1000)};
    struct kb_callbacks callbacks = {.wait = ask_again, .arg = &again};
    struct kb_listener *listener = kb_listener_new(&callbacks);
    struct kb_wait wait = no_wait(0);
    struct pollfd fds[KB_WAIT_FDS];
    int ready;

    (void)state;
    kb_wait_listen(&wait, listener);
    assert_int_equal(enter(again.shared, &wait), KB_NOT_FOUND);
    assert_int_equal(kb_wait_poll(&wait, fds, 0, INT64_MAX, &ready), KB_INTERRUPTED);
    assert_int_equal(again.brought, 1);
    /* The outer one ends what it began, in vain; the ticket stays. */
    leave(again.shared, KB_E_INTERRUPTED);
    assert_int_equal(enter(again.shared, &wait), KB_OK);
    kb_wait_stop(&wait);
    kb_listener_put(listener);
    kb_credential_free(again.credential);
    kb_shared_free(again.shared);
}

/* Its own call is all that a slow callback may harm. */
static void a_leader_in_a_callback_is_not_waited_for(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_callbacks callbacks = {.log = NULL};
    struct kb_listener *listener = kb_listener_new(&callbacks);
    struct leader leader = {.in_callback = true, .credential = credential(NOW + 1000)};
    struct leader second = {.fail = KB_E_TIMEOUT};
    struct kb_wait wait = no_wait(60000);
    int64_t start_ms = kb_now_ms();

    (void)state;
    leader_start(&leader, shared);
    leader_start(&second, shared); /* beside it */
    assert_true(kb_now_ms() - start_ms < 5000);
    /* What the first brings in the end is everybody's. */
    leader_stop(&leader);
    assert_int_equal(enter(shared, &wait), KB_OK);
    leader_stop(&second);
    assert_int_equal(enter(shared, &wait), KB_OK);
    kb_credential_free(leader.credential);
    kb_listener_put(listener);
    kb_shared_free(shared);
}

/* --- what stays in memory --- */

static bool is_there(struct kb_shared *shared, const char *name)
{
    struct kb_credential *found = kb_shared_find(shared, kb_str(name), NOW, 0);

    kb_credential_free(found);
    return found != NULL;
}

static void fill(struct kb_shared *shared, const char *kind, int num,
                 struct kb_credential *credential)
{
    char name[32];

    for (int i = 0; i < num; i++) {
        snprintf(name, sizeof(name), "%s%d", kind, i);
        kb_shared_put(shared, kb_str(name), credential, KB_NEVER);
    }
}

static void who_was_not_asked_for_longest_goes(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *soon = credential(NOW + 100), *late = credential(NOW + 1000);

    (void)state;
    kb_shared_put(shared, KB_SHARED_TGT, late, KB_NEVER);
    kb_shared_put(shared, KB_LIT("soon"), soon, KB_NEVER);
    kb_shared_put(shared, KB_LIT("idle"), late, KB_NEVER);
    fill(shared, "a", KB_SHARED_MAX - 3, late);
    assert_true(is_there(shared, "soon")); /* it is the TGT, then "idle", that nobody asked for */
    fill(shared, "b", 1, late);
    assert_true(is_there(shared, "soon"));
    assert_true(is_there(shared, "t"));
    assert_false(is_there(shared, "idle"));
    assert_true(is_there(shared, "a0"));
    fill(shared, "b", 2, late);
    assert_true(is_there(shared, "a0"));
    assert_false(is_there(shared, "a1"));
    fill(shared, "c", 2 * KB_SHARED_MAX, late);
    assert_true(is_there(shared, "t"));
    kb_credential_free(soon);
    kb_credential_free(late);
    kb_shared_free(shared);
}

static enum kb_status look(struct kb_shared *shared, const char *name)
{
    struct kb_credential *out;
    struct kb_error err = {0};
    bool due;
    enum kb_status st = kb_shared_look(shared, kb_str(name), NOW, 60, &out, &due, &err);

    assert_false(due);
    kb_credential_free(out);
    assert_int_equal(err.code, st == KB_ERROR ? KB_E_SERVICE_UNKNOWN : KB_E_NONE);
    return st;
}

static void miss(struct kb_shared *shared, const char *name, enum kb_error_code code)
{
    struct kb_wait wait = no_wait(0);
    struct kb_credential *out;
    struct kb_error err = {0};

    assert_int_equal(kb_shared_enter(shared, kb_str(name), NOW, 60, &wait, &out, &err),
                     KB_NOT_FOUND);
    (void)kb_error_set(&err, code, "It failed");
    kb_shared_leave(shared, kb_str(name), NULL, KB_NEVER, &err);
}

static void an_unknown_service_is_remembered(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *c = credential(NOW + 1000);

    (void)state;
    assert_int_equal(look(shared, "hHTTP@h"), KB_NOT_FOUND);
    miss(shared, "hHTTP@h", KB_E_SERVICE_UNKNOWN);
    assert_int_equal(look(shared, "hHTTP@h"), KB_ERROR);
    kb_shared_put(shared, KB_LIT("hHTTP@h"), c, KB_NEVER);
    assert_int_equal(look(shared, "hHTTP@h"), KB_OK);
    miss(shared, "hHTTP@i", KB_E_TIMEOUT);
    assert_int_equal(look(shared, "hHTTP@i"), KB_NOT_FOUND);
    kb_credential_free(c);
    kb_shared_free(shared);
}

/* And another failure where whoever asks wants it so; a ticket ends that. */
static void a_failure_is_remembered(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *c = credential(NOW + 1000);
    struct kb_error err = {0}, kept = {0};
    struct kb_credential *out;
    bool due;

    (void)state;
    (void)kb_error_set(&err, KB_E_TIMEOUT, "Timed out");
    kb_shared_remember(shared, KB_LIT("fHTTP"), &err);
    assert_int_equal(kb_shared_look(shared, KB_LIT("fHTTP"), NOW, 60, &out, &due, &kept), KB_ERROR);
    assert_int_equal(kept.code, KB_E_TIMEOUT);
    kb_shared_put(shared, KB_LIT("fHTTP"), c, KB_NEVER);
    assert_int_equal(look(shared, "fHTTP"), KB_OK);
    kb_credential_free(c);
    kb_shared_free(shared);
}

/* Many names that there is nothing for take no ticket's place. */
static void unknown_services_push_out_no_tickets(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *c = credential(NOW + 1000);
    char name[32];

    (void)state;
    fill(shared, "a", KB_SHARED_MAX - KB_SHARED_MAX_EMPTY - 1, c);
    for (int i = 0; i < 2 * KB_SHARED_MAX; i++) {
        snprintf(name, sizeof(name), "no%d", i);
        miss(shared, name, KB_E_SERVICE_UNKNOWN);
    }
    assert_true(is_there(shared, "a0"));
    assert_int_equal(look(shared, "no0"), KB_NOT_FOUND);
    assert_int_equal(look(shared, name), KB_ERROR);
    kb_credential_free(c);
    kb_shared_free(shared);
}

static void a_services_word_counts_once_a_minute(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *first = credential(NOW + 1000), *second = credential(NOW + 1000);

    (void)state;
    kb_shared_put(shared, KB_LIT("x"), first, KB_NEVER);
    kb_shared_put(shared, KB_LIT("y"), first, KB_NEVER);
    assert_false(kb_shared_distrust(shared, KB_LIT("x"), second)); /* another one by now */
    assert_true(is_there(shared, "x"));
    assert_true(kb_shared_distrust(shared, KB_LIT("x"), first));
    assert_false(is_there(shared, "x"));
    assert_true(is_there(shared, "y"));
    kb_shared_put(shared, KB_LIT("x"), second, KB_NEVER);
    assert_false(kb_shared_distrust(shared, KB_LIT("x"), second));
    assert_true(is_there(shared, "x"));
    assert_true(kb_shared_distrust(shared, KB_LIT("y"), first));
    kb_credential_free(first);
    kb_credential_free(second);
    kb_shared_free(shared);
}

/* --- refreshing --- */

/* Found and due to this thread. */
static bool is_due(struct kb_shared *shared, int64_t now)
{
    struct kb_credential *out;
    struct kb_error err = {0};
    bool due;

    assert_int_equal(kb_shared_look(shared, KB_LIT("x"), now, 60, &out, &due, &err), KB_OK);
    kb_credential_free(out);
    return due;
}

static void one_thread_is_told_that_a_ticket_is_due(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *old = credential(NOW + 1000), *fresh = credential(NOW + 2000);

    (void)state;
    kb_shared_put(shared, KB_LIT("x"), old, NOW + 800);
    assert_false(is_due(shared, NOW + 799));
    assert_true(is_due(shared, NOW + 800));
    assert_false(is_due(shared, NOW + 801)); /* the first is at it */
    assert_false(kb_shared_claim(shared, KB_LIT("x"), old, NOW + 801, false));
    assert_int_equal(kb_shared_refreshed(shared, KB_LIT("x"), old, fresh, NOW + 1800), 0);
    assert_false(is_due(shared, NOW + 1799));
    assert_true(kb_shared_claim(shared, KB_LIT("x"), fresh, NOW + 1800, false));
    /* Dropped by somebody meanwhile (a logout): it does not come back. */
    kb_shared_drop(shared, KB_LIT("x"), fresh);
    (void)kb_shared_refreshed(shared, KB_LIT("x"), fresh, old, NOW);
    assert_false(is_there(shared, "x"));
    kb_credential_free(old);
    kb_credential_free(fresh);
    kb_shared_free(shared);
}

static void after_a_failure_the_next_try_comes_later(void **state)
{
    static const int64_t delays[] = {30, 60, 120, 240, 480, 600, 600};
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *c = credential(NOW + 1000);

    (void)state;
    kb_shared_put(shared, KB_LIT("x"), c, NOW);
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        assert_int_equal(kb_shared_refreshed(shared, KB_LIT("x"), c, NULL, KB_NEVER), delays[i]);
    }
    assert_false(is_due(shared, NOW + 900)); /* not yet, but it serves */
    kb_shared_put(shared, KB_LIT("x"), c, NOW);
    assert_true(is_due(shared, NOW));
    kb_shared_stays(shared, KB_LIT("x"), c);
    assert_false(is_due(shared, NOW + 900));
    assert_false(kb_shared_claim(shared, KB_LIT("x"), c, NOW, true));
    kb_credential_free(c);
    kb_shared_free(shared);
}

static void a_child_waits_for_nobody(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *c = credential(NOW + 1000);
    struct kb_wait wait = no_wait(1000);
    struct kb_credential *out;
    struct kb_error err = {0};
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err),
                     KB_NOT_FOUND);
    kb_shared_put(shared, KB_LIT("x"), c, NOW);
    assert_true(kb_shared_claim(shared, KB_LIT("x"), c, NOW, false));
    kb_shared_fork_prepare();
    pid = fork();
    if (pid == 0) {
        kb_shared_fork_child();
        if (kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err) == KB_NOT_FOUND &&
            kb_shared_claim(shared, KB_LIT("x"), c, NOW, false)) {
            kill(getpid(), SIGKILL); /* it went well; valgrind looks for leaks in what exits */
        }
        _exit(1);
    }
    kb_shared_fork_parent();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)kb_error_set(&err, KB_E_TIMEOUT, "It timed out");
    kb_shared_leave(shared, KB_LIT("t"), NULL, KB_NEVER, &err);
    kb_credential_free(c);
    kb_shared_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expired_is_not_found),
        cmocka_unit_test(many_threads_one_exchange),
        cmocka_unit_test(a_failure_is_everybodys),
        cmocka_unit_test(a_leaders_own_end_is_not_shared),
        cmocka_unit_test(waiting_has_a_deadline),
        cmocka_unit_test(the_leaders_steps_count),
        cmocka_unit_test(an_absolute_deadline_is_ones_own),
        cmocka_unit_test(who_has_no_time_left_hears_why),
        cmocka_unit_test(waiting_is_interrupted),
        cmocka_unit_test(an_interrupted_leader_is_followed),
        cmocka_unit_test(waiting_runs_the_callback),
        cmocka_unit_test(a_callback_does_not_wait_for_its_own_call),
        cmocka_unit_test(a_leader_in_a_callback_is_not_waited_for),
        cmocka_unit_test(who_was_not_asked_for_longest_goes),
        cmocka_unit_test(an_unknown_service_is_remembered),
        cmocka_unit_test(a_failure_is_remembered),
        cmocka_unit_test(unknown_services_push_out_no_tickets),
        cmocka_unit_test(a_services_word_counts_once_a_minute),
        cmocka_unit_test(one_thread_is_told_that_a_ticket_is_due),
        cmocka_unit_test(after_a_failure_the_next_try_comes_later),
        cmocka_unit_test(a_child_waits_for_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
