#include "mech/store/shared.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "mech/net/fds.h"
#include "mech/report/callback.h"

#define NUM_BUCKETS 64
#define PATIENCE_MS 100 /* with a leader that is in a callback */
#define SLICE_MS 50
#define LONG_SLICE_MS 1000

/* What is known under one asked-for name: a ticket, that there is none, or a flight under way. */
struct entry {
    struct entry *next;          /* in its bucket */
    struct entry *newer, *older; /* by when they were asked for */
    uint32_t hash;
    struct kb_credential *credential; /* NULL: none */
    int64_t refresh_at;               /* by the KDC's clock; KB_NEVER */
    int64_t retry_ms;                 /* not before then */
    unsigned failures;                /* to refresh it */
    bool refreshing;                  /* by one thread */
    bool distrusted;                  /* one was dropped on a service's word, */
    int64_t distrusted_ms;            /* then */
    struct kb_error *unknown;         /* the KDC does not know it, */
    int64_t unknown_until_ms;         /* until then */
    struct flight *flights; /* under way, the newest first; more than one if one is held up */
    size_t asked_len;
    uint8_t asked[];
};

/* An exchange under way. The leader and each waiter hold a reference. */
struct flight {
    struct flight *next; /* of its entry */
    unsigned refs;
    bool done;
    int fd; /* eventfd, readable for good when done; -1: nobody waited yet, or none could be had */
    pthread_t leader;
    const struct kb_wait *progress; /* the leader's, until done */
    int64_t start_ms;
    struct kb_credential *credential;
    struct kb_error error;
};

struct kb_shared {
    struct kb_shared *next, *prev; /* in `tables` */
    struct entry *buckets[NUM_BUCKETS];
    struct entry *newest, *oldest;
    size_t num;
};

/* Guards every member of every struct above. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_shared *tables; /* all there are, for the child of a fork */

static uint32_t hash_of(kb_bytes text)
{
    uint32_t hash = 2166136261u; /* FNV-1a: a spread over buckets, no protection */

    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ text.ptr[i]) * 16777619u;
    }
    return hash;
}

struct kb_shared *kb_shared_new(void)
{
    struct kb_shared *shared = calloc(1, sizeof(*shared));

    if (shared != NULL) {
        pthread_mutex_lock(&lock);
        shared->next = tables;
        if (tables != NULL) {
            tables->prev = shared;
        }
        tables = shared;
        pthread_mutex_unlock(&lock);
    }
    return shared;
}

static void flight_put(struct flight *flight)
{
    if (--flight->refs == 0) {
        kb_credential_free(flight->credential);
        kb_fds_close(flight->fd);
        free(flight);
    }
}

static void entry_free(struct entry *entry)
{
    kb_credential_free(entry->credential);
    free(entry->unknown);
    free(entry);
}

void kb_shared_free(struct kb_shared *shared)
{
    if (shared == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    *(shared->prev != NULL ? &shared->prev->next : &tables) = shared->next;
    if (shared->next != NULL) {
        shared->next->prev = shared->prev;
    }
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < NUM_BUCKETS; i++) {
        for (struct entry *entry = shared->buckets[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            entry_free(entry);
        }
    }
    free(shared);
}

static struct entry **find_slot(struct kb_shared *shared, kb_bytes asked, uint32_t hash)
{
    struct entry **slot = &shared->buckets[hash % NUM_BUCKETS];

    while (*slot != NULL && !((*slot)->hash == hash && (*slot)->asked_len == asked.len &&
                              memcmp((*slot)->asked, asked.ptr, asked.len) == 0)) {
        slot = &(*slot)->next;
    }
    return slot;
}

/* --- who was asked for when --- */

static void unlink_used(struct kb_shared *shared, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &shared->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &shared->oldest) = entry->newer;
}

static void link_newest(struct kb_shared *shared, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = shared->newest;
    *(shared->newest != NULL ? &shared->newest->newer : &shared->oldest) = entry;
    shared->newest = entry;
}

static struct entry *used(struct kb_shared *shared, struct entry *entry)
{
    if (entry != NULL && shared->newest != entry) {
        unlink_used(shared, entry);
        link_newest(shared, entry);
    }
    return entry;
}

/* --- tickets --- */

static struct kb_credential *usable(const struct entry *entry, int64_t now, int64_t min_life)
{
    if (entry == NULL || entry->credential == NULL ||
        entry->credential->endtime - now <= min_life) {
        return NULL;
    }
    return kb_credential_ref(entry->credential);
}

struct kb_credential *kb_shared_find(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                     int64_t min_life)
{
    uint32_t hash = hash_of(asked);
    struct kb_credential *found;

    pthread_mutex_lock(&lock);
    found = usable(used(shared, *find_slot(shared, asked, hash)), now, min_life);
    pthread_mutex_unlock(&lock);
    return found;
}

static bool claim(struct entry *entry, int64_t now, bool early)
{
    if ((!early && now < entry->refresh_at) || entry->refresh_at == KB_NEVER || entry->refreshing ||
        kb_now_ms() < entry->retry_ms) {
        return false;
    }
    entry->refreshing = true;
    return true;
}

static bool is_unknown(const struct entry *entry)
{
    return entry->unknown != NULL && kb_now_ms() < entry->unknown_until_ms;
}

enum kb_status kb_shared_look(struct kb_shared *shared, kb_bytes asked, int64_t now,
                              int64_t min_life, struct kb_credential **out, bool *out_due,
                              struct kb_error *err)
{
    uint32_t hash = hash_of(asked);
    enum kb_status st = KB_NOT_FOUND;
    struct entry *entry;

    *out_due = false;
    pthread_mutex_lock(&lock);
    entry = used(shared, *find_slot(shared, asked, hash));
    *out = usable(entry, now, min_life);
    if (*out != NULL) {
        *out_due = claim(entry, now, false);
        st = KB_OK;
    } else if (entry != NULL && is_unknown(entry)) {
        *err = *entry->unknown;
        st = KB_ERROR;
    }
    pthread_mutex_unlock(&lock);
    return st;
}

/* Whom to do without: the TGT is needed for any other, and one with a flight is in use. */
static bool can_go(const struct entry *entry)
{
    return entry->flights == NULL &&
           !kb_equal(kb_bytes_of(entry->asked, entry->asked_len), KB_SHARED_TGT);
}

/* Makes room. Names that there are no tickets for, however many a program tries, do not push out
 * the tickets. */
static void evict_one(struct kb_shared *shared)
{
    struct entry *victim = NULL, *empty = NULL;
    size_t num_empty = 0;

    for (struct entry *entry = shared->oldest; entry != NULL; entry = entry->newer) {
        if (can_go(entry)) {
            victim = victim != NULL ? victim : entry;
            empty = empty != NULL || entry->credential != NULL ? empty : entry;
            num_empty += entry->credential == NULL;
        }
    }
    if (num_empty > KB_SHARED_MAX_EMPTY) {
        victim = empty;
    }
    if (victim != NULL) {
        *find_slot(shared, kb_bytes_of(victim->asked, victim->asked_len), victim->hash) =
            victim->next;
        unlink_used(shared, victim);
        entry_free(victim);
        shared->num--;
    }
}

static struct entry *find_or_add(struct kb_shared *shared, kb_bytes asked)
{
    uint32_t hash = hash_of(asked);
    struct entry **slot = find_slot(shared, asked, hash), *entry;

    if (*slot != NULL) {
        return used(shared, *slot);
    }
    entry = calloc(1, sizeof(*entry) + asked.len);
    if (entry == NULL) {
        return NULL;
    }
    if (shared->num >= KB_SHARED_MAX) {
        evict_one(shared);
    }
    entry->hash = hash;
    entry->asked_len = asked.len;
    memcpy(entry->asked, asked.ptr, asked.len);
    entry->next = shared->buckets[hash % NUM_BUCKETS];
    shared->buckets[hash % NUM_BUCKETS] = entry;
    link_newest(shared, entry);
    shared->num++;
    return entry;
}

/* Begins a flight that this thread leads. */
static bool lead(struct entry *entry, const struct kb_wait *wait)
{
    struct flight *flight = calloc(1, sizeof(*flight));

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
static bool held_up(const struct flight *flight)
{
    int64_t since_ms = kb_callback_since(flight->leader, flight->start_ms);

    return since_ms >= 0 && kb_now_ms() - since_ms >= PATIENCE_MS;
}

/* The flight that is worth waiting for; NULL: none, the caller leads. */
static struct flight *to_wait_for(const struct entry *entry)
{
    struct flight *flight = entry->flights;

    while (flight != NULL && (pthread_equal(flight->leader, pthread_self()) || held_up(flight))) {
        flight = flight->next;
    }
    return flight;
}

/* How long to sleep before the leader is looked at again: is it held up (without a listener it
 * cannot be), has it come further? The end of the flight wakes us anyway. */
static int64_t slice_ms(const struct flight *flight, const struct kb_wait *wait)
{
    if (flight->fd < 0 || kb_listener_any()) {
        return SLICE_MS;
    }
    return wait->timeout_ms > 0 && wait->timeout_ms / 4 < LONG_SLICE_MS ? wait->timeout_ms / 4 + 1
                                                                        : LONG_SLICE_MS;
}

/* Waits for the end of a flight; comes and goes with the lock. */
static enum kb_status await(struct flight *flight, struct kb_wait *wait)
{
    enum kb_status st = KB_OK;

    if (flight->fd < 0) {
        flight->fd = kb_fds_add(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
    while (st == KB_OK && !flight->done && !held_up(flight)) {
        struct pollfd fds[1 + KB_WAIT_FDS] = {{.fd = flight->fd, .events = POLLIN}};
        int64_t until_ms = kb_now_ms() + slice_ms(flight, wait);
        int ready;

        pthread_mutex_unlock(&lock);
        st = kb_wait_poll(wait, fds, 1, until_ms, &ready);
        pthread_mutex_lock(&lock);
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
    return err->code == KB_E_INTERRUPTED || err->code == KB_E_TIMEOUT;
}

/* What came of a flight for one who waited. KB_NOT_FOUND: nothing, look again. */
static enum kb_status outcome(const struct flight *flight, const struct kb_wait *wait,
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
        struct entry *entry = find_or_add(shared, asked);
        struct flight *flight;
        enum kb_status st;

        if (entry == NULL) {
            return KB_NO_MEMORY;
        }
        *out = usable(entry, now, min_life);
        if (*out != NULL) {
            return KB_OK;
        }
        if (is_unknown(entry)) {
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
    pthread_mutex_lock(&lock);
    st = enter_locked(shared, asked, now, min_life, wait, out, err);
    pthread_mutex_unlock(&lock);
    return st;
}

static void keep(struct entry *entry, struct kb_credential *credential, int64_t refresh_at)
{
    kb_credential_free(entry->credential);
    entry->credential = kb_credential_ref(credential);
    entry->refresh_at = refresh_at;
    entry->retry_ms = 0;
    entry->failures = 0;
    entry->refreshing = false; /* whoever is at it finds another in its place */
    free(entry->unknown);
    entry->unknown = NULL;
}

static void remember_unknown(struct entry *entry, const struct kb_error *err)
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
static struct flight *take_own(struct entry *entry)
{
    struct flight **slot = &entry->flights, *flight;

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
    struct entry *entry;
    struct flight *flight;

    pthread_mutex_lock(&lock);
    /* The entry is there: one with a flight is never evicted. */
    entry = *find_slot(shared, asked, hash_of(asked));
    flight = entry != NULL ? take_own(entry) : NULL;
    if (flight != NULL) {
        flight->done = true;
        if (credential != NULL) {
            keep(entry, credential, refresh_at);
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
    pthread_mutex_unlock(&lock);
}

void kb_shared_put(struct kb_shared *shared, kb_bytes asked, struct kb_credential *credential,
                   int64_t refresh_at)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = find_or_add(shared, asked);
    if (entry != NULL) {
        keep(entry, credential, refresh_at);
    }
    pthread_mutex_unlock(&lock);
}

/* --- refreshing --- */

/* The entry of a ticket, while it is still that one. Under the lock. */
static struct entry *holder_of(struct kb_shared *shared, kb_bytes asked,
                               const struct kb_credential *credential)
{
    struct entry *entry = *find_slot(shared, asked, hash_of(asked));

    return entry != NULL && entry->credential == credential ? entry : NULL;
}

bool kb_shared_claim(struct kb_shared *shared, kb_bytes asked,
                     const struct kb_credential *credential, int64_t now, bool early)
{
    struct entry *entry;
    bool claimed;

    pthread_mutex_lock(&lock);
    entry = holder_of(shared, asked, credential);
    claimed = entry != NULL && claim(entry, now, early);
    pthread_mutex_unlock(&lock);
    return claimed;
}

/* Notes a failure; the seconds until the next try. */
static int64_t put_off(struct entry *entry)
{
    int64_t seconds = KB_FIRST_RETRY_SECONDS;

    for (unsigned i = 0; i < entry->failures && seconds < KB_LAST_RETRY_SECONDS; i++) {
        seconds *= 2;
    }
    seconds = seconds < KB_LAST_RETRY_SECONDS ? seconds : KB_LAST_RETRY_SECONDS;
    entry->failures++;
    entry->retry_ms = kb_now_ms() + seconds * 1000;
    return seconds;
}

int64_t kb_shared_refreshed(struct kb_shared *shared, kb_bytes asked,
                            const struct kb_credential *old, struct kb_credential *new_one,
                            int64_t refresh_at)
{
    struct entry *entry;
    int64_t seconds = 0;

    pthread_mutex_lock(&lock);
    entry = holder_of(shared, asked, old);
    if (entry != NULL) {
        entry->refreshing = false;
        if (new_one != NULL) {
            keep(entry, new_one, refresh_at);
        } else {
            seconds = put_off(entry);
        }
    }
    pthread_mutex_unlock(&lock);
    return seconds;
}

void kb_shared_stays(struct kb_shared *shared, kb_bytes asked, const struct kb_credential *old)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = holder_of(shared, asked, old);
    if (entry != NULL) {
        entry->refreshing = false;
        entry->refresh_at = KB_NEVER;
    }
    pthread_mutex_unlock(&lock);
}

/* --- forgetting --- */

static void drop(struct entry *entry)
{
    kb_credential_free(entry->credential);
    entry->credential = NULL;
    entry->refreshing = false;
}

void kb_shared_drop(struct kb_shared *shared, kb_bytes asked,
                    const struct kb_credential *credential)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = holder_of(shared, asked, credential);
    if (entry != NULL) {
        drop(entry);
    }
    pthread_mutex_unlock(&lock);
}

bool kb_shared_distrust(struct kb_shared *shared, kb_bytes asked,
                        const struct kb_credential *credential)
{
    int64_t now_ms = kb_now_ms();
    struct entry *entry;
    bool dropped = false;

    pthread_mutex_lock(&lock);
    entry = holder_of(shared, asked, credential);
    if (entry != NULL &&
        (!entry->distrusted || now_ms - entry->distrusted_ms >= KB_DISTRUST_SECONDS * 1000)) {
        drop(entry);
        entry->distrusted = dropped = true;
        entry->distrusted_ms = now_ms;
    }
    pthread_mutex_unlock(&lock);
    return dropped;
}

void kb_shared_clear(struct kb_shared *shared)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < NUM_BUCKETS; i++) {
        for (struct entry *entry = shared->buckets[i]; entry != NULL; entry = entry->next) {
            drop(entry);
        }
    }
    pthread_mutex_unlock(&lock);
}

void kb_shared_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_shared_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_shared_fork_child(void)
{
    for (struct kb_shared *shared = tables; shared != NULL; shared = shared->next) {
        for (size_t i = 0; i < NUM_BUCKETS; i++) {
            for (struct entry *entry = shared->buckets[i]; entry != NULL; entry = entry->next) {
                entry->refreshing = false;
                /* Nobody is left to wait for them. They are not freed: where a callback forked, its
                 * own call comes back here and may hold one. */
                for (; entry->flights != NULL; entry->flights = entry->flights->next) {
                    entry->flights->done = true;
                    (void)kb_error_set(&entry->flights->error, KB_E_INTERRUPTED,
                                       "The process was forked");
                }
            }
        }
    }
    pthread_mutex_unlock(&lock);
}
