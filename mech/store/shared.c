#include "mech/store/shared_own.h"

#include <stdlib.h>

struct kb_credential *kb_shared_usable(const struct kb_shared_entry *entry, int64_t now,
                                       int64_t min_life)
{
    if (entry == NULL || entry->credential == NULL ||
        entry->credential->endtime - now <= min_life ||
        (now > 0 && entry->credential->starttime > now + KB_EARLY_SECONDS)) {
        return NULL;
    }
    return kb_credential_ref(entry->credential);
}

struct kb_credential *kb_shared_find(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                     int64_t min_life)
{
    struct kb_credential *found;

    pthread_mutex_lock(&kb_shared_lock);
    found = kb_shared_usable(kb_shared_entry(shared, asked), now, min_life);
    pthread_mutex_unlock(&kb_shared_lock);
    return found;
}

static bool claim(struct kb_shared_entry *entry, int64_t now, bool early)
{
    if ((!early && now < entry->refresh_at) || entry->refresh_at == KB_NEVER || entry->refreshing ||
        kb_now_ms() < entry->retry_ms) {
        return false;
    }
    entry->refreshing = true;
    return true;
}

bool kb_shared_is_unknown(const struct kb_shared_entry *entry)
{
    return entry->unknown != NULL && kb_now_ms() < entry->unknown_until_ms;
}

enum kb_status kb_shared_look(struct kb_shared *shared, kb_bytes asked, int64_t now,
                              int64_t min_life, struct kb_credential **out, bool *out_due,
                              struct kb_error *err)
{
    enum kb_status st = KB_NOT_FOUND;
    struct kb_shared_entry *entry;

    *out_due = false;
    pthread_mutex_lock(&kb_shared_lock);
    entry = kb_shared_entry(shared, asked);
    *out = kb_shared_usable(entry, now, min_life);
    if (*out != NULL) {
        *out_due = claim(entry, now, false);
        st = KB_OK;
    } else if (entry != NULL && kb_shared_is_unknown(entry)) {
        *err = *entry->unknown;
        st = KB_ERROR;
    }
    pthread_mutex_unlock(&kb_shared_lock);
    return st;
}

void kb_shared_keep(struct kb_shared *shared, struct kb_shared_entry *entry,
                    struct kb_credential *credential, int64_t refresh_at)
{
    kb_shared_entry_set(shared, entry, kb_credential_ref(credential));
    entry->refresh_at = refresh_at;
    entry->retry_ms = 0;
    entry->failures = 0;
    entry->refreshing = false; /* whoever is at it finds another in its place */
    free(entry->unknown);
    entry->unknown = NULL;
}

void kb_shared_put(struct kb_shared *shared, kb_bytes asked, struct kb_credential *credential,
                   int64_t refresh_at)
{
    struct kb_shared_entry *entry;

    pthread_mutex_lock(&kb_shared_lock);
    entry = kb_shared_entry_make(shared, asked);
    if (entry != NULL) {
        kb_shared_keep(shared, entry, credential, refresh_at);
    }
    pthread_mutex_unlock(&kb_shared_lock);
}

/* --- refreshing --- */

/* The entry of a ticket, while it is still that one. Under the lock. */
static struct kb_shared_entry *holder_of(struct kb_shared *shared, kb_bytes asked,
                                         const struct kb_credential *credential)
{
    struct kb_shared_entry *entry = kb_shared_entry_quietly(shared, asked);

    return entry != NULL && entry->credential == credential ? entry : NULL;
}

bool kb_shared_claim(struct kb_shared *shared, kb_bytes asked,
                     const struct kb_credential *credential, int64_t now, bool early)
{
    struct kb_shared_entry *entry;
    bool claimed;

    pthread_mutex_lock(&kb_shared_lock);
    entry = holder_of(shared, asked, credential);
    claimed = entry != NULL && claim(entry, now, early);
    pthread_mutex_unlock(&kb_shared_lock);
    return claimed;
}

/* Notes a failure; the seconds until the next try. */
static int64_t put_off(struct kb_shared_entry *entry)
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
    struct kb_shared_entry *entry;
    int64_t seconds = 0;

    pthread_mutex_lock(&kb_shared_lock);
    entry = holder_of(shared, asked, old);
    if (entry != NULL) {
        entry->refreshing = false;
        if (new_one != NULL) {
            kb_shared_keep(shared, entry, new_one, refresh_at);
        } else {
            seconds = put_off(entry);
        }
    }
    pthread_mutex_unlock(&kb_shared_lock);
    return seconds;
}

void kb_shared_stays(struct kb_shared *shared, kb_bytes asked, const struct kb_credential *old)
{
    struct kb_shared_entry *entry;

    pthread_mutex_lock(&kb_shared_lock);
    entry = holder_of(shared, asked, old);
    if (entry != NULL) {
        entry->refreshing = false;
        entry->refresh_at = KB_NEVER;
    }
    pthread_mutex_unlock(&kb_shared_lock);
}

/* --- forgetting --- */

static void drop(struct kb_shared *shared, struct kb_shared_entry *entry)
{
    kb_shared_entry_set(shared, entry, NULL);
    entry->refreshing = false;
}

void kb_shared_drop(struct kb_shared *shared, kb_bytes asked,
                    const struct kb_credential *credential)
{
    struct kb_shared_entry *entry;

    pthread_mutex_lock(&kb_shared_lock);
    entry = holder_of(shared, asked, credential);
    if (entry != NULL) {
        drop(shared, entry);
    }
    pthread_mutex_unlock(&kb_shared_lock);
}

bool kb_shared_distrust(struct kb_shared *shared, kb_bytes asked,
                        const struct kb_credential *credential)
{
    int64_t now_ms = kb_now_ms();
    struct kb_shared_entry *entry;
    bool dropped = false;

    pthread_mutex_lock(&kb_shared_lock);
    entry = holder_of(shared, asked, credential);
    if (entry != NULL &&
        (!entry->distrusted || now_ms - entry->distrusted_ms >= KB_DISTRUST_SECONDS * 1000)) {
        drop(shared, entry);
        entry->distrusted = dropped = true;
        entry->distrusted_ms = now_ms;
    }
    pthread_mutex_unlock(&kb_shared_lock);
    return dropped;
}

void kb_shared_clear(struct kb_shared *shared)
{
    pthread_mutex_lock(&kb_shared_lock);
    for (size_t i = 0; i < KB_SHARED_BUCKETS; i++) {
        for (struct kb_shared_entry *entry = shared->buckets[i]; entry != NULL;
             entry = entry->next) {
            drop(shared, entry);
        }
    }
    pthread_mutex_unlock(&kb_shared_lock);
}
