#include "mech/login/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "mech/net/wait.h"

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
enum doubt { NONE, A_SERVICES, A_KDCS };

struct kb_realm_clock {
    struct kb_realm_clock *next;
    unsigned refs;
    _Atomic int64_t ahead_us;
    _Atomic enum known known;
    _Atomic int64_t basis_us; /* boot_basis_us() when ahead_us was found out */
    _Atomic enum doubt doubt;
    _Atomic int64_t measured_ms;
    _Atomic int64_t next_ms; /* it is not to be measured again before */
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

/* By how much the system's clock is ahead of one that nobody sets, and that goes on while the
 * machine sleeps. */
static int64_t boot_basis_us(void)
{
    struct timespec real, boot;

    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (int64_t)(real.tv_sec - boot.tv_sec) * 1000000 + (real.tv_nsec - boot.tv_nsec) / 1000;
}

static struct kb_realm_clock *add(kb_bytes realm)
{
    struct kb_realm_clock *clock = calloc(1, sizeof(*clock) + realm.len);

    if (clock != NULL) {
        if (realm.len > 0) {
            memcpy(clock->realm, realm.ptr, realm.len);
        }
        clock->realm_len = realm.len;
        atomic_init(&clock->basis_us, boot_basis_us());
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

/* Was the system's clock set since it was ahead of the other by `basis_us`? */
static bool was_set(int64_t basis_us)
{
    int64_t moved_us = boot_basis_us() - basis_us;

    return moved_us > KB_CLOCK_STEP_SECONDS * 1000000LL ||
           moved_us < -KB_CLOCK_STEP_SECONDS * 1000000LL;
}

static bool in_doubt(const struct kb_realm_clock *clock)
{
    return atomic_load_explicit(&clock->doubt, memory_order_relaxed) != NONE ||
           was_set(atomic_load_explicit(&clock->basis_us, memory_order_relaxed));
}

void kb_realm_clock_set(struct kb_realm_clock *clock, int64_t ahead_us, bool measured)
{
    enum known none = UNKNOWN;

    if (measured) {
        atomic_store(&clock->known, MEASURED);
        atomic_store(&clock->ahead_us, ahead_us);
        atomic_store(&clock->basis_us, boot_basis_us());
        atomic_store(&clock->doubt, NONE);
        atomic_store(&clock->measured_ms, kb_now_ms());
    } else if (atomic_compare_exchange_strong(&clock->known, &none, TOLD) || in_doubt(clock)) {
        atomic_store(&clock->ahead_us, ahead_us);
    }
}

void kb_realm_clock_doubt(struct kb_realm_clock *clock, bool by_kdc)
{
    enum doubt none = NONE;

    if (by_kdc) {
        atomic_store(&clock->doubt, A_KDCS);
    } else {
        (void)!atomic_compare_exchange_strong(&clock->doubt, &none, A_SERVICES);
    }
}

/* Measured just now: then it is the service whose clock is wrong. */
static bool is_fresh(const struct kb_realm_clock *clock, int64_t now_ms)
{
    return atomic_load(&clock->known) == MEASURED &&
           now_ms - atomic_load(&clock->measured_ms) < KB_CLOCK_MEASURE_SECONDS * 1000;
}

void kb_realm_clock_notice(struct kb_realm_clock *clock)
{
    int64_t basis_us = atomic_load_explicit(&clock->basis_us, memory_order_relaxed);
    int64_t now_us, ahead_us, guess_us;

    if (!was_set(basis_us)) {
        return;
    }
    now_us = boot_basis_us();
    ahead_us = atomic_load(&clock->ahead_us);
    guess_us = ahead_us - (now_us - basis_us);
    if (!atomic_compare_exchange_strong(&clock->basis_us, &basis_us, now_us)) {
        return; /* another thread has noticed */
    }
    /* Mostly a clock is set to put it right. Where by that it would go as the realm's does, or
     * nearer to it, that is what happened. Else it may have been put right after it had stood still
     * with the machine. */
    if (llabs(guess_us) < llabs(ahead_us)) {
        atomic_store(&clock->ahead_us, guess_us);
    }
    atomic_store(&clock->next_ms, 0); /* nobody can forge that */
    atomic_store(&clock->doubt, A_KDCS);
}

bool kb_realm_clock_claim(struct kb_realm_clock *clock)
{
    enum doubt doubt = atomic_load_explicit(&clock->doubt, memory_order_relaxed);
    int64_t now_ms, next_ms;

    if (doubt == NONE) {
        return false;
    }
    now_ms = kb_now_ms();
    next_ms = atomic_load(&clock->next_ms);
    return now_ms >= next_ms && (doubt == A_KDCS || !is_fresh(clock, now_ms)) &&
           atomic_compare_exchange_strong(&clock->next_ms, &next_ms,
                                          now_ms + KB_CLOCK_MEASURE_SECONDS * 1000);
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
