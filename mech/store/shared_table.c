#include "mech/store/shared_own.h"

#include <stdlib.h>

static struct kb_shared *tables; /* all there are, for the child of a fork */

pthread_mutex_t kb_shared_lock = PTHREAD_MUTEX_INITIALIZER;

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
        pthread_mutex_lock(&kb_shared_lock);
        shared->next = tables;
        if (tables != NULL) {
            tables->prev = shared;
        }
        tables = shared;
        pthread_mutex_unlock(&kb_shared_lock);
    }
    return shared;
}

static void entry_free(struct kb_shared_entry *entry)
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
    pthread_mutex_lock(&kb_shared_lock);
    *(shared->prev != NULL ? &shared->prev->next : &tables) = shared->next;
    if (shared->next != NULL) {
        shared->next->prev = shared->prev;
    }
    pthread_mutex_unlock(&kb_shared_lock);
    for (size_t i = 0; i < KB_SHARED_BUCKETS; i++) {
        for (struct kb_shared_entry *entry = shared->buckets[i], *next; entry != NULL;
             entry = next) {
            next = entry->next;
            entry_free(entry);
        }
    }
    free(shared);
}

static struct kb_shared_entry **find_slot(struct kb_shared *shared, kb_bytes asked, uint32_t hash)
{
    struct kb_shared_entry **slot = &shared->buckets[hash % KB_SHARED_BUCKETS];

    while (*slot != NULL && !((*slot)->hash == hash && (*slot)->asked_len == asked.len &&
                              memcmp((*slot)->asked, asked.ptr, asked.len) == 0)) {
        slot = &(*slot)->next;
    }
    return slot;
}

static struct kb_shared_queue *queue_of(struct kb_shared *shared,
                                        const struct kb_shared_entry *entry)
{
    return entry->credential != NULL ? &shared->tickets : &shared->empty;
}

static void leave_queue(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    struct kb_shared_queue *queue = queue_of(shared, entry);

    *(entry->newer != NULL ? &entry->newer->older : &queue->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &queue->oldest) = entry->newer;
    queue->num--;
}

static void join_queue(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    struct kb_shared_queue *queue = queue_of(shared, entry);

    entry->turn = ++shared->turns;
    entry->newer = NULL;
    entry->older = queue->newest;
    *(queue->newest != NULL ? &queue->newest->newer : &queue->oldest) = entry;
    queue->newest = entry;
    queue->num++;
}

static struct kb_shared_entry *used(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    if (entry != NULL && entry->turn != shared->turns) {
        leave_queue(shared, entry);
        join_queue(shared, entry);
    }
    return entry;
}

void kb_shared_entry_set(struct kb_shared *shared, struct kb_shared_entry *entry,
                         struct kb_credential *credential)
{
    struct kb_credential *old = entry->credential;

    leave_queue(shared, entry);
    entry->credential = credential;
    join_queue(shared, entry);
    kb_credential_free(old);
}

struct kb_shared_entry *kb_shared_entry(struct kb_shared *shared, kb_bytes asked)
{
    return used(shared, *find_slot(shared, asked, hash_of(asked)));
}

struct kb_shared_entry *kb_shared_entry_quietly(struct kb_shared *shared, kb_bytes asked)
{
    return *find_slot(shared, asked, hash_of(asked));
}

/* Whom to do without: the TGT is needed for any other, and one with a flight is in use. */
static bool can_go(const struct kb_shared_entry *entry)
{
    return entry->flights == NULL &&
           !kb_equal(kb_bytes_of(entry->asked, entry->asked_len), KB_SHARED_TGT);
}

static void evict(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    *find_slot(shared, kb_bytes_of(entry->asked, entry->asked_len), entry->hash) = entry->next;
    leave_queue(shared, entry);
    entry_free(entry);
}

static struct kb_shared_entry *oldest_that_can_go(const struct kb_shared_queue *queue)
{
    struct kb_shared_entry *entry = queue->oldest;

    while (entry != NULL && !can_go(entry)) {
        entry = entry->newer;
    }
    return entry;
}

/* Makes room. Names that there are no tickets for, however many a program tries, do not push out
 * the tickets. */
static void evict_one(struct kb_shared *shared)
{
    struct kb_shared_entry *ticket = oldest_that_can_go(&shared->tickets);
    struct kb_shared_entry *empty = oldest_that_can_go(&shared->empty);
    bool many_empty = shared->empty.num > KB_SHARED_MAX_EMPTY;

    if (empty != NULL && (ticket == NULL || many_empty || empty->turn < ticket->turn)) {
        evict(shared, empty);
    } else if (ticket != NULL) {
        evict(shared, ticket);
    }
}

struct kb_shared_entry *kb_shared_entry_make(struct kb_shared *shared, kb_bytes asked)
{
    uint32_t hash = hash_of(asked);
    struct kb_shared_entry **slot = find_slot(shared, asked, hash), *entry;

    if (*slot != NULL) {
        return used(shared, *slot);
    }
    entry = calloc(1, sizeof(*entry) + asked.len);
    if (entry == NULL) {
        return NULL;
    }
    if (shared->tickets.num + shared->empty.num >= KB_SHARED_MAX) {
        evict_one(shared);
    }
    entry->hash = hash;
    entry->asked_len = asked.len;
    memcpy(entry->asked, asked.ptr, asked.len);
    entry->next = shared->buckets[hash % KB_SHARED_BUCKETS];
    shared->buckets[hash % KB_SHARED_BUCKETS] = entry;
    join_queue(shared, entry);
    return entry;
}

void kb_shared_fork_prepare(void)
{
    pthread_mutex_lock(&kb_shared_lock);
}

void kb_shared_fork_parent(void)
{
    pthread_mutex_unlock(&kb_shared_lock);
}

void kb_shared_fork_child(void)
{
    for (struct kb_shared *shared = tables; shared != NULL; shared = shared->next) {
        for (size_t i = 0; i < KB_SHARED_BUCKETS; i++) {
            for (struct kb_shared_entry *entry = shared->buckets[i]; entry != NULL;
                 entry = entry->next) {
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
    pthread_mutex_unlock(&kb_shared_lock);
}
