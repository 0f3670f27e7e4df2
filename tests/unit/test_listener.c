/* mech/report/listener: references, the process's own, and that `release` comes once and last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "mech/report/listener.h"

static atomic_int num_released;

static void count_release(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static struct kb_listener *listener_new(void)
{
    const struct kb_callbacks callbacks = {.release = count_release, .arg = &num_released};
    struct kb_listener *listener = kb_listener_new(&callbacks);

    assert_non_null(listener);
    return listener;
}

static void release_comes_once_and_last(void **state)
{
    struct kb_listener *listener = listener_new();

    (void)state;
    atomic_store(&num_released, 0);
    assert_null(kb_listener_ref(NULL));
    kb_listener_put(NULL);
    assert_ptr_equal(kb_listener_ref(listener), listener);
    assert_ptr_equal(kb_listener_callbacks(listener)->arg, &num_released);
    kb_listener_put(listener);
    assert_int_equal(num_released, 0);
    kb_listener_put(listener);
    assert_int_equal(num_released, 1);
}

static void the_process_has_one(void **state)
{
    struct kb_listener *first = listener_new(), *second = listener_new(), *held;

    (void)state;
    atomic_store(&num_released, 0);
    assert_null(kb_listener_process());
    kb_listener_set_process(first);
    held = kb_listener_process();
    assert_ptr_equal(held, first);
    kb_listener_set_process(second);
    assert_int_equal(num_released, 0); /* a call still uses it */
    kb_listener_put(held);
    assert_int_equal(num_released, 1);
    kb_listener_set_process(NULL);
    assert_int_equal(num_released, 2);
    assert_null(kb_listener_process());
}

static void *take_often(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        struct kb_listener *listener = kb_listener_process();

        if (listener != NULL && kb_listener_callbacks(listener)->arg != &num_released) {
            return listener;
        }
        kb_listener_put(listener);
    }
    return unused;
}

static void threads_take_while_it_changes(void **state)
{
    pthread_t threads[3];
    void *result;

    (void)state;
    atomic_store(&num_released, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_often, NULL), 0);
    }
    for (int i = 0; i < 500; i++) {
        kb_listener_set_process(listener_new());
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    kb_listener_set_process(NULL);
    assert_int_equal(num_released, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_comes_once_and_last),
        cmocka_unit_test(the_process_has_one),
        cmocka_unit_test(threads_take_while_it_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
