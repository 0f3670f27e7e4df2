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

static void unlink_used(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &shared->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &shared->oldest) = entry->newer;
}

static void link_newest(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    entry->newer = NULL;
    entry->older = shared->newest;
    *(shared->newest != NULL ? &shared->newest->newer : &shared->oldest) = entry;
    shared->newest = entry;
}

static struct kb_shared_entry *used(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    if (entry != NULL && shared->newest != entry) {
        unlink_used(shared, entry);
        link_newest(shared, entry);
    }
    return entry;
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

/* Makes room. Names that there are no tickets for, however many a program tries, do not push out
 * the tickets. */
static void evict_one(struct kb_shared *shared)
{
    struct kb_shared_entry *victim = NULL, *empty = NULL;
    size_t num_empty = 0;

    for (struct kb_shared_entry *entry = shared->oldest; entry != NULL; entry = entry->newer) {
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
    if (shared->num >= KB_SHARED_MAX) {
        evict_one(shared);
    }
    entry->hash = hash;
    entry->asked_len = asked.len;
    memcpy(entry->asked, asked.ptr, asked.len);
    entry->next = shared->buckets[hash % KB_SHARED_BUCKETS];
    shared->buckets[hash % KB_SHARED_BUCKETS] = entry;
    link_newest(shared, entry);
    shared->num++;
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
