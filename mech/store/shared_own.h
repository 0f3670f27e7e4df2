/* shared_own.h - between the files of the shared store: shared_table.c has the entries and who of
 * them goes, shared_flight.c who fetches and who waits, shared.c tickets and their refresh.
 *
 * kb_shared_lock guards every member of every struct here. All functions want it held. */
#ifndef KB_SHARED_OWN_H
#define KB_SHARED_OWN_H

#include "mech/store/shared.h"

#include <pthread.h>

#define KB_SHARED_BUCKETS 1024

/* What is known under one asked-for name: a ticket, that there is none, or a flight under way. */
struct kb_shared_entry {
    struct kb_shared_entry *next;          /* in its bucket */
    struct kb_shared_entry *newer, *older; /* in its queue */
    uint64_t turn;                         /* the larger, the later it was asked for */
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
    struct kb_shared_flight *flights; /* the newest first; more than one if one is held up */
    size_t asked_len;
    uint8_t asked[];
};

/* An exchange under way. The leader and each waiter hold a reference. */
struct kb_shared_flight {
    struct kb_shared_flight *next; /* of its entry */
    unsigned refs;
    bool done;
    int fd; /* eventfd, readable for good when done; -1: nobody waited yet, or none could be had */
    pthread_t leader;
    const struct kb_wait *progress; /* the leader's, until done */
    int64_t start_ms;
    struct kb_credential *credential;
    struct kb_error error;
};

/* By when they were asked for. */
struct kb_shared_queue {
    struct kb_shared_entry *newest, *oldest;
    size_t num;
};

struct kb_shared {
    struct kb_shared *next, *prev; /* in `tables` */
    struct kb_shared_entry *buckets[KB_SHARED_BUCKETS];
    struct kb_shared_queue tickets, empty; /* entries that have one, and that have none */
    uint64_t turns;
};

extern pthread_mutex_t kb_shared_lock;

/* --- shared_table.c --- */

/* The entry of a name, which is now the one asked for last; NULL: none. */
struct kb_shared_entry *kb_shared_entry(struct kb_shared *shared, kb_bytes asked);

/* The same, but not as one who asks for it. */
struct kb_shared_entry *kb_shared_entry_quietly(struct kb_shared *shared, kb_bytes asked);

/* The same, made where there is none, in another's place if there are many. NULL: no memory. */
struct kb_shared_entry *kb_shared_entry_make(struct kb_shared *shared, kb_bytes asked);

/* Gives an entry another ticket (NULL: none), of which it takes over a reference. */
void kb_shared_entry_set(struct kb_shared *shared, struct kb_shared_entry *entry,
                         struct kb_credential *credential);

/* --- shared.c --- */

/* A reference to the entry's ticket, if it is good for longer; else NULL. */
struct kb_credential *kb_shared_usable(const struct kb_shared_entry *entry, int64_t now,
                                       int64_t min_life);

/* Is it known that there is none? */
bool kb_shared_is_unknown(const struct kb_shared_entry *entry);

/* Puts a ticket in the place of what the entry has. */
void kb_shared_keep(struct kb_shared *shared, struct kb_shared_entry *entry,
                    struct kb_credential *credential, int64_t refresh_at);

#endif
