#include "mech/store/shared_own.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "mech/net/fds.h"
#include "mech/report/callback.h"

#define PATIENCE_MS 100 /* with a leader that is in a callback */
#define SLICE_MS 50
#define LONG_SLICE_MS 1000

static void flight_put(struct kb_shared_flight *flight)
{
    if (--flight->refs == 0) {
        kb_credential_free(flight->credential);
        kb_fds_close(flight->fd);
        free(flight);
    }
}

/* Begins a flight that this thread leads. */
static bool lead(struct kb_shared_entry *entry, const struct kb_wait *wait)
{
    struct kb_shared_flight *flight = calloc(1, sizeof(*flight));

    if (flight == NULL) {
        return false;
    }
    flight->refs = 1;
    flight->fd = -1;
    flight->leader = pthread_self();
    flight->progress = wait;
    flight->start_ms = kb_now_ms();
    flight->next = entry->flights;
    entry->flights = flight;
    return true;
}

/* Is its leader away in a callback of the program's, which it began since it leads? */
static bool held_up(const struct kb_shared_flight *flight)
{
    int64_t since_ms = kb_callback_since(flight->leader, flight->start_ms);

    return since_ms >= 0 && kb_now_ms() - since_ms >= PATIENCE_MS;
}

/* The flight that is worth waiting for; NULL: none, the caller leads. */
static struct kb_shared_flight *to_wait_for(const struct kb_shared_entry *entry)
{
    struct kb_shared_flight *flight = entry->flights;

    while (flight != NULL && (pthread_equal(flight->leader, pthread_self()) || held_up(flight))) {
        flight = flight->next;
    }
    return flight;
}

/* How long to sleep before the leader is looked at again: is it held up (without a listener it
 * cannot be), has it come further? The end of the flight wakes us anyway. */
static int64_t slice_ms(const struct kb_shared_flight *flight, const struct kb_wait *wait)
{
    if (flight->fd < 0 || kb_listener_any()) {
        return SLICE_MS;
    }
    return wait->timeout_ms > 0 && wait->timeout_ms / 4 < LONG_SLICE_MS ? wait->timeout_ms / 4 + 1
                                                                        : LONG_SLICE_MS;
}

/* Waits for the end of a flight; comes and goes with the lock. */
static enum kb_status await(struct kb_shared_flight *flight, struct kb_wait *wait)
{
    enum kb_status st = KB_OK;

    if (flight->fd < 0) {
        flight->fd = kb_fds_add(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
    while (st == KB_OK && !flight->done && !held_up(flight)) {
        struct pollfd fds[1 + KB_WAIT_FDS] = {{.fd = flight->fd, .events = POLLIN}};
        int64_t until_ms = kb_now_ms() + slice_ms(flight, wait);
        int ready;

        pthread_mutex_unlock(&kb_shared_lock);
        st = kb_wait_poll(wait, fds, 1, until_ms, &ready);
        pthread_mutex_lock(&kb_shared_lock);
        if (!flight->done) {
            kb_wait_follow(wait, flight->progress);
        }
        if (st == KB_TIMED_OUT && (flight->done || kb_now_ms() < wait->deadline_ms)) {
            st = KB_OK;
        }
    }
    return st;
}

/* Whether what ended the leader says nothing about us: then one of those who waited leads. */
static bool leader_only(const struct kb_error *err)
{
    return err->code == KB_E_INTERRUPTED || err->code == KB_E_TIMEOUT || err->code == KB_E_BUSY;
}

/* What came of a flight for one who waited. KB_NOT_FOUND: nothing, look again. */
static enum kb_status outcome(const struct kb_shared_flight *flight, const struct kb_wait *wait,
                              struct kb_credential **out, struct kb_error *err)
{
    if (!flight->done) {
        return KB_NOT_FOUND; /* its leader is held up */
    }
    if (flight->credential != NULL) {
        *out = kb_credential_ref(flight->credential);
        return KB_OK;
    }
    /* Who has no time left either hears what kept the leader waiting. */
    if (leader_only(&flight->error) &&
        !(flight->error.code == KB_E_TIMEOUT && kb_wait_is_over(wait))) {
        return KB_NOT_FOUND;
    }
    *err = flight->error;
    return KB_ERROR;
}

static enum kb_status enter_locked(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                   int64_t min_life, struct kb_wait *wait,
                                   struct kb_credential **out, struct kb_error *err)
{
    for (;;) {
        struct kb_shared_entry *entry = kb_shared_entry_make(shared, asked);
        struct kb_shared_flight *flight;
        enum kb_status st;

        if (entry == NULL) {
            return KB_NO_MEMORY;
        }
        *out = kb_shared_usable(entry, now, min_life);
        if (*out != NULL) {
            return KB_OK;
        }
        if (kb_shared_is_unknown(entry)) {
            *err = *entry->unknown;
            return KB_ERROR;
        }
        flight = to_wait_for(entry);
        if (flight == NULL) {
            return lead(entry, wait) ? KB_NOT_FOUND : KB_NO_MEMORY;
        }
        flight->refs++;
        st = await(flight, wait);
        if (st == KB_OK) {
            st = outcome(flight, wait, out, err);
        }
        flight_put(flight);
        if (st != KB_NOT_FOUND) {
            return st;
        }
    }
}

enum kb_status kb_shared_enter(struct kb_shared *shared, kb_bytes asked, int64_t now,
                               int64_t min_life, struct kb_wait *wait, struct kb_credential **out,
                               struct kb_error *err)
{
    enum kb_status st;

    *out = NULL;
    pthread_mutex_lock(&kb_shared_lock);
    st = enter_locked(shared, asked, now, min_life, wait, out, err);
    pthread_mutex_unlock(&kb_shared_lock);
    return st;
}

static void remember_unknown(struct kb_shared_entry *entry, const struct kb_error *err)
{
    if (entry->unknown == NULL) {
        entry->unknown = malloc(sizeof(*entry->unknown));
    }
    if (entry->unknown != NULL) {
        *entry->unknown = *err;
        entry->unknown_until_ms = kb_now_ms() + KB_UNKNOWN_SERVICE_SECONDS * 1000;
    }
}

/* Takes the flight that this thread leads out of its entry: of several, one in the callback of
 * another, the last. */
static struct kb_shared_flight *take_own(struct kb_shared_entry *entry)
{
    struct kb_shared_flight **slot = &entry->flights, *flight;

    while (*slot != NULL && !pthread_equal((*slot)->leader, pthread_self())) {
        slot = &(*slot)->next;
    }
    flight = *slot;
    if (flight != NULL) {
        *slot = flight->next;
    }
    return flight;
}

void kb_shared_leave(struct kb_shared *shared, kb_bytes asked, struct kb_credential *credential,
                     int64_t refresh_at, const struct kb_error *err)
{
    struct kb_shared_entry *entry;
    struct kb_shared_flight *flight;

    pthread_mutex_lock(&kb_shared_lock);
    /* The entry is there: one with a flight is never evicted. */
    entry = kb_shared_entry_quietly(shared, asked);
    flight = entry != NULL ? take_own(entry) : NULL;
    if (flight != NULL) {
        flight->done = true;
        if (credential != NULL) {
            kb_shared_keep(shared, entry, credential, refresh_at);
            flight->credential = kb_credential_ref(credential);
        } else {
            flight->error = *err;
            if (err->code == KB_E_SERVICE_UNKNOWN || err->code == KB_E_NO_WAY) {
                remember_unknown(entry, err);
            }
        }
        if (flight->fd >= 0) {
            (void)eventfd_write(flight->fd, 1); /* cannot block */
        }
        flight_put(flight);
    }
    pthread_mutex_unlock(&kb_shared_lock);
}

void kb_shared_remember(struct kb_shared *shared, kb_bytes asked, const struct kb_error *err)
{
    struct kb_shared_entry *entry;

    pthread_mutex_lock(&kb_shared_lock);
    entry = kb_shared_entry_make(shared, asked);
    if (entry != NULL) {
        remember_unknown(entry, err);
    }
    pthread_mutex_unlock(&kb_shared_lock);
}
