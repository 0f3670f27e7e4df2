#include "mech/net/memory.h"

#include <pthread.h>
#include <stdlib.h>

#define NUM_REALMS 16
#define REALM_MAX 128 /* realms with longer names are not remembered */

struct entry {
    size_t realm_len; /* 0: free */
    uint8_t realm[REALM_MAX];
    uint64_t used; /* of `uses`, to find the oldest */
    struct kb_remembered known;
};

/* Guards all below. Held for a copy. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries; /* NUM_REALMS; NULL: none so far. Not static: see bench/README.md */
static uint64_t uses;

static struct entry *find(kb_bytes realm)
{
    for (size_t i = 0; entries != NULL && i < NUM_REALMS; i++) {
        if (entries[i].realm_len > 0 &&
            kb_equal(kb_bytes_of(entries[i].realm, entries[i].realm_len), realm)) {
            entries[i].used = ++uses;
            return &entries[i];
        }
    }
    return NULL;
}

/* The entry of a realm, a new one if need be; NULL for a realm that is not remembered, or where
 * memory is short: what is known here only saves time. */
static struct entry *claim(kb_bytes realm)
{
    struct entry *entry = find(realm);

    if (entry != NULL || realm.len == 0 || realm.len > REALM_MAX) {
        return entry;
    }
    if (entries == NULL && (entries = calloc(NUM_REALMS, sizeof(*entries))) == NULL) {
        return NULL;
    }
    entry = &entries[0];
    for (size_t i = 1; i < NUM_REALMS; i++) {
        if (entries[i].used < entry->used) {
            entry = &entries[i];
        }
    }
    *entry = (struct entry){.realm_len = realm.len, .used = ++uses};
    memcpy(entry->realm, realm.ptr, realm.len);
    return entry;
}

void kb_memory_get(kb_bytes realm, struct kb_remembered *out)
{
    const struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = find(realm);
    *out = entry != NULL ? entry->known : (struct kb_remembered){0};
    pthread_mutex_unlock(&lock);
}

bool kb_memory_names(const struct kb_remembered *known, const struct kb_kdc *kdc)
{
    return known->alive && known->port == kdc->port &&
           kb_equal_nocase(kb_str(known->host), kb_str(kdc->host)) &&
           (kdc->transport == KB_ANY_TRANSPORT || kdc->transport == known->transport);
}

void kb_memory_answered(kb_bytes realm, const struct kb_kdc *kdc, const struct kb_address *address,
                        enum kb_transport transport)
{
    size_t len = strlen(kdc->host);
    struct entry *entry;

    if (len >= sizeof(entry->known.host)) {
        return;
    }
    pthread_mutex_lock(&lock);
    entry = claim(realm);
    if (entry != NULL) {
        entry->known.alive = true;
        memcpy(entry->known.host, kdc->host, len + 1);
        entry->known.port = kdc->port;
        entry->known.address = *address;
        entry->known.transport = transport;
    }
    pthread_mutex_unlock(&lock);
}

void kb_memory_failed(kb_bytes realm, const struct kb_kdc *kdc)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = find(realm);
    if (entry != NULL && kb_memory_names(&entry->known, kdc)) {
        entry->known.alive = false;
    }
    pthread_mutex_unlock(&lock);
}

void kb_memory_set_tcp(kb_bytes realm, bool tcp)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = tcp ? claim(realm) : find(realm);
    if (entry != NULL) {
        entry->known.tcp = tcp;
    }
    pthread_mutex_unlock(&lock);
}

void kb_memory_clear(void)
{
    pthread_mutex_lock(&lock);
    free(entries);
    entries = NULL;
    pthread_mutex_unlock(&lock);
}

void kb_memory_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_memory_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}
