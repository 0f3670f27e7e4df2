#include "mech/report/callback.h"

#include <stdatomic.h>
#include <time.h>

/* More callbacks at one moment are not noted: who waits for their threads waits. */
#define NUM_PLACES 64

static struct place {
    atomic_uintptr_t thread; /* 0: vacant */
    _Atomic int64_t since_ms;
} places[NUM_PLACES];

static atomic_uint num_inside; /* so that who asks while nobody is there pays a load */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int kb_callback_enter(void)
{
    int64_t since_ms = now_ms();

    for (int i = 0; i < NUM_PLACES; i++) {
        uintptr_t vacant = 0;

        if (atomic_load_explicit(&places[i].thread, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&places[i].thread, &vacant, (uintptr_t)pthread_self())) {
            atomic_store(&places[i].since_ms, since_ms);
            atomic_fetch_add(&num_inside, 1);
            return i;
        }
    }
    return -1;
}

void kb_callback_leave(int place)
{
    if (place >= 0) {
        atomic_fetch_sub(&num_inside, 1);
        atomic_store(&places[place].since_ms, 0);
        atomic_store(&places[place].thread, 0);
    }
}

int64_t kb_callback_since(pthread_t thread, int64_t after_ms)
{
    int64_t first_ms = -1;

    for (int i = 0; atomic_load(&num_inside) > 0 && i < NUM_PLACES; i++) {
        int64_t since_ms = atomic_load(&places[i].since_ms);

        /* 0: it comes or goes at this moment. */
        if (atomic_load(&places[i].thread) == (uintptr_t)thread && since_ms != 0 &&
            since_ms >= after_ms && (first_ms < 0 || since_ms < first_ms)) {
            first_ms = since_ms;
        }
    }
    return first_ms;
}

unsigned kb_callback_depth(void)
{
    unsigned depth = 0;

    for (int i = 0; atomic_load(&num_inside) > 0 && i < NUM_PLACES; i++) {
        depth += atomic_load(&places[i].thread) == (uintptr_t)pthread_self();
    }
    return depth;
}

void kb_callback_fork_child(void)
{
    for (int i = 0; i < NUM_PLACES; i++) {
        uintptr_t thread = atomic_load(&places[i].thread);

        if (thread != 0 && thread != (uintptr_t)pthread_self()) {
            kb_callback_leave(i);
        }
    }
}
