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
#include <sys/wait.h>
#include <unistd.h>

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
    kb_shared_put(shared, KB_LIT("hHTTP@h"), c);
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
                        crowd->fail == KB_E_NONE ? crowd->credential : NULL, &err);
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

static void waiting_has_a_deadline(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_wait wait = no_wait(50);
    struct kb_credential *out;
    struct kb_error err = {0};

    (void)state;
    assert_int_equal(kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err),
                     KB_NOT_FOUND);
    assert_int_equal(kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err),
                     KB_TIMED_OUT);
    (void)kb_error_set(&err, KB_E_TIMEOUT, "It timed out");
    kb_shared_leave(shared, KB_LIT("t"), NULL, &err);
    kb_shared_free(shared);
}

static void waiting_is_interrupted(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *out;
    struct kb_error err = {0};
    struct kb_interrupt *interrupt = kb_interrupt_new();
    struct kb_wait wait = no_wait(60000);

    (void)state;
    assert_non_null(interrupt);
    kb_wait_attach(&wait, interrupt);
    assert_int_equal(kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err),
                     KB_NOT_FOUND);
    kb_interrupt_fire(interrupt);
    assert_int_equal(kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err),
                     KB_INTERRUPTED);
    (void)kb_error_set(&err, KB_E_INTERRUPTED, "It was interrupted");
    kb_shared_leave(shared, KB_LIT("t"), NULL, &err);
    kb_wait_stop(&wait);
    kb_interrupt_put(interrupt);
    kb_shared_free(shared);
}

static void memory_is_bounded(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_credential *soon = credential(NOW + 100), *late = credential(NOW + 1000), *found;
    char name[32];

    (void)state;
    kb_shared_put(shared, KB_LIT("soon"), soon);
    for (int i = 0; i < KB_SHARED_MAX; i++) {
        snprintf(name, sizeof(name), "late%d", i);
        kb_shared_put(shared, kb_str(name), late);
    }
    assert_null(kb_shared_find(shared, KB_LIT("soon"), NOW, 0));
    found = kb_shared_find(shared, KB_LIT("late0"), NOW, 0);
    assert_ptr_equal(found, late);
    kb_credential_free(found);
    kb_credential_free(soon);
    kb_credential_free(late);
    kb_shared_free(shared);
}

static void a_child_waits_for_nobody(void **state)
{
    struct kb_shared *shared = kb_shared_new();
    struct kb_wait wait = no_wait(1000);
    struct kb_credential *out;
    struct kb_error err = {0};
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err),
                     KB_NOT_FOUND);
    kb_shared_fork_prepare();
    pid = fork();
    if (pid == 0) {
        kb_shared_fork_child();
        _exit(kb_shared_enter(shared, KB_LIT("t"), NOW, 60, &wait, &out, &err) == KB_NOT_FOUND ? 0
                                                                                               : 1);
    }
    kb_shared_fork_parent();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)kb_error_set(&err, KB_E_TIMEOUT, "It timed out");
    kb_shared_leave(shared, KB_LIT("t"), NULL, &err);
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
        cmocka_unit_test(waiting_is_interrupted),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(a_child_waits_for_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
