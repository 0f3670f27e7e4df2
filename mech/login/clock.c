#include "mech/login/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define MAX_IDLE 64 /* realms that are remembered though nobody is logged in there */

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

/* --- the clocks of realms --- */

enum known { UNKNOWN, TOLD, MEASURED };

struct kb_realm_clock {
    struct kb_realm_clock *next;
    unsigned refs;
    _Atomic int64_t ahead_us;
    _Atomic enum known known;
    size_t realm_len;
    uint8_t realm[];
};

/* Guards the list, newest first, and the counts. Nothing else is locked under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_realm_clock *clocks;

/* Makes room: of those that nobody has, the oldest of too many. */
static void forget_one(void)
{
    struct kb_realm_clock **oldest = NULL, *gone;
    unsigned idle = 0;

    for (struct kb_realm_clock **slot = &clocks; *slot != NULL; slot = &(*slot)->next) {
        if ((*slot)->refs == 0) {
            oldest = slot;
            idle++;
        }
    }
    if (idle > MAX_IDLE) {
        gone = *oldest;
        *oldest = gone->next;
        free(gone);
    }
}

static struct kb_realm_clock *find(kb_bytes realm)
{
    struct kb_realm_clock *clock = clocks;

    while (clock != NULL && !kb_equal(kb_bytes_of(clock->realm, clock->realm_len), realm)) {
        clock = clock->next;
    }
    return clock;
}

static struct kb_realm_clock *add(kb_bytes realm)
{
    struct kb_realm_clock *clock = calloc(1, sizeof(*clock) + realm.len);

    if (clock != NULL) {
        if (realm.len > 0) {
            memcpy(clock->realm, realm.ptr, realm.len);
        }
        clock->realm_len = realm.len;
        clock->next = clocks;
        clocks = clock;
    }
    return clock;
}

struct kb_realm_clock *kb_realm_clock_get(kb_bytes realm)
{
    struct kb_realm_clock *clock;

    pthread_mutex_lock(&lock);
    clock = find(realm);
    clock = clock != NULL ? clock : add(realm);
    if (clock != NULL) {
        clock->refs++;
    }
    pthread_mutex_unlock(&lock);
    return clock;
}

void kb_realm_clock_put(struct kb_realm_clock *clock)
{
    if (clock != NULL) {
        pthread_mutex_lock(&lock);
        clock->refs--;
        forget_one();
        pthread_mutex_unlock(&lock);
    }
}

void kb_realm_clock_set(struct kb_realm_clock *clock, int64_t ahead_us, bool measured)
{
    enum known none = UNKNOWN;

    if (measured) {
        atomic_store(&clock->known, MEASURED);
        atomic_store(&clock->ahead_us, ahead_us);
    } else if (atomic_compare_exchange_strong(&clock->known, &none, TOLD)) {
        atomic_store(&clock->ahead_us, ahead_us);
    }
}

int64_t kb_realm_clock_ahead(const struct kb_realm_clock *clock)
{
    return atomic_load_explicit(&clock->ahead_us, memory_order_relaxed);
}

void kb_clock_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_clock_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}
