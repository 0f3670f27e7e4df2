#include "mech/login/clock.h"

#include <stdatomic.h>
#include <time.h>

/* The last time handed out, in microseconds since 1970. */
static _Atomic int64_t last;

static struct kb_timestamp unique_now(void *ctx)
{
    struct timespec ts;
    int64_t now, before = atomic_load_explicit(&last, memory_order_relaxed);

    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &ts);
    do {
        now = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
        /* A clock that was set back a little goes on from where it was. If it was set back far, the
         * right time matters more than one that a replay cache may know. */
        if (now <= before && before - now < 1000000) {
            now = before + 1;
        }
    } while (!atomic_compare_exchange_weak_explicit(&last, &before, now, memory_order_relaxed,
                                                    memory_order_relaxed));
    return (struct kb_timestamp){.sec = now / 1000000, .usec = (int32_t)(now % 1000000)};
}

void kb_clock_env(struct kb_env *env, struct kb_events *events)
{
    *env = (struct kb_env){.rng = kb_rng_system, .now = unique_now, .events = events};
}

int64_t kb_clock_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec;
}
