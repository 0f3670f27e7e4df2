#include "mech/net/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define NUM_REALMS 16
#define REALM_MAX 128 /* realms with longer names are not remembered */

#define LATE_MS ((int64_t)5 * 60 * 1000)

/* What a KDC is called: "any kdc.example.com 88", "https proxy.example.com/KdcProxy 443". */
struct record {
    char *name; /* heap; NULL: free */
    uint64_t used;
    struct kb_known known;
};

struct entry {
    size_t realm_len; /* 0: free */
    uint8_t realm[REALM_MAX];
    uint64_t used; /* of `uses`, to find the oldest */
    bool tcp;
    struct record kdcs[KB_MEMORY_KDCS];
};

/* Guards all below. Held for a copy. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries; /* NUM_REALMS; NULL: none so far. Not static: see bench/README.md */
static uint64_t uses;

const char *const kb_transport_words[KB_NUM_TRANSPORTS] = {[KB_ANY_TRANSPORT] = "any",
                                                           [KB_UDP] = "udp",
                                                           [KB_TCP] = "tcp",
                                                           [KB_UNIX] = "unix",
                                                           [KB_HTTPS] = "https"};

/* --- finding --- */

static bool put_name(const struct kb_kdc *kdc, char out[KB_MEMORY_NAME])
{
    int len = snprintf(out, KB_MEMORY_NAME, "%s %s%s %u", kb_transport_words[kdc->transport],
                       kdc->host, kdc->path != NULL ? kdc->path : "", (unsigned)kdc->port);

    for (char *c = out; *c != '\0' && kdc->transport != KB_UNIX && *c != '/'; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    return len > 0 && len < KB_MEMORY_NAME;
}

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

static void drop(struct entry *entry)
{
    for (size_t i = 0; i < KB_MEMORY_KDCS; i++) {
        free(entry->kdcs[i].name);
    }
    *entry = (struct entry){0};
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
    drop(entry);
    entry->realm_len = realm.len;
    entry->used = ++uses;
    memcpy(entry->realm, realm.ptr, realm.len);
    return entry;
}

static struct record *find_name(struct entry *entry, const char *name)
{
    for (size_t i = 0; entry != NULL && i < KB_MEMORY_KDCS; i++) {
        if (entry->kdcs[i].name != NULL && strcmp(entry->kdcs[i].name, name) == 0) {
            entry->kdcs[i].used = ++uses;
            return &entry->kdcs[i];
        }
    }
    return NULL;
}

static struct record *claim_name(kb_bytes realm, const char *name)
{
    struct entry *entry = claim(realm);
    struct record *record = find_name(entry, name);

    if (record != NULL || entry == NULL) {
        return record;
    }
    record = &entry->kdcs[0];
    for (size_t i = 1; i < KB_MEMORY_KDCS; i++) {
        if (entry->kdcs[i].used < record->used) {
            record = &entry->kdcs[i];
        }
    }
    free(record->name);
    *record = (struct record){.name = strdup(name), .used = ++uses};
    return record->name != NULL ? record : NULL;
}

static struct record *claim_kdc(kb_bytes realm, const struct kb_kdc *kdc)
{
    char name[KB_MEMORY_NAME];

    return put_name(kdc, name) ? claim_name(realm, name) : NULL;
}

/* --- learning --- */

void kb_memory_get(kb_bytes realm, const struct kb_kdc *kdc, struct kb_known *out)
{
    const struct record *record = NULL;
    char name[KB_MEMORY_NAME];

    pthread_mutex_lock(&lock);
    if (entries != NULL && put_name(kdc, name)) {
        record = find_name(find(realm), name);
    }
    *out = record != NULL ? record->known : (struct kb_known){0};
    pthread_mutex_unlock(&lock);
}

/* RFC 6298 2.2 and 2.3. */
static void measure(struct kb_known *known, int64_t took_ms)
{
    unsigned us = took_ms < 60000 ? (unsigned)took_ms * 1000 + 1 : 60000000;

    if (known->srtt_us == 0) {
        known->srtt_us = us;
        known->rttvar_us = us / 2;
    } else {
        unsigned off = us > known->srtt_us ? us - known->srtt_us : known->srtt_us - us;

        known->rttvar_us = known->rttvar_us / 4 * 3 + off / 4;
        known->srtt_us = known->srtt_us / 8 * 7 + us / 8;
    }
}

void kb_memory_answered(kb_bytes realm, const struct kb_kdc *kdc, const struct kb_address *address,
                        enum kb_transport transport, int64_t took_ms)
{
    struct record *record;

    pthread_mutex_lock(&lock);
    record = claim_kdc(realm, kdc);
    if (record != NULL) {
        record->known.alive = true;
        record->known.address = *address;
        record->known.transport = transport;
        record->known.failures = 0;
        record->known.late_until_ms = 0;
        if (took_ms >= 0) {
            measure(&record->known, took_ms);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void set_back(struct kb_known *known, int64_t now_ms)
{
    int64_t late_ms = LATE_MS;

    if (now_ms < known->late_until_ms) {
        return; /* it was asked all the same, since the others failed */
    }
    for (unsigned i = 0; i < known->failures && late_ms < KB_MEMORY_MAX_LATE_MS; i++) {
        late_ms *= 2;
    }
    known->failures++;
    known->late_until_ms =
        now_ms + (late_ms < KB_MEMORY_MAX_LATE_MS ? late_ms : KB_MEMORY_MAX_LATE_MS);
}

void kb_memory_failed(kb_bytes realm, const struct kb_kdc *kdc, int64_t now_ms)
{
    struct record *record;

    pthread_mutex_lock(&lock);
    record = claim_kdc(realm, kdc);
    if (record != NULL) {
        record->known.alive = false;
        set_back(&record->known, now_ms);
    }
    pthread_mutex_unlock(&lock);
}

void kb_memory_overtaken(kb_bytes realm, const struct kb_kdc *kdc, int64_t silent_ms,
                         int64_t now_ms)
{
    struct record *record;

    pthread_mutex_lock(&lock);
    record = claim_kdc(realm, kdc);
    if (record != NULL) {
        /* It takes that long at least. */
        if (silent_ms * 1000 > (int64_t)record->known.srtt_us) {
            measure(&record->known, silent_ms);
        }
        set_back(&record->known, now_ms);
    }
    pthread_mutex_unlock(&lock);
}

void kb_memory_forgive(kb_bytes realm)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = find(realm);
    for (size_t i = 0; entry != NULL && i < KB_MEMORY_KDCS; i++) {
        entry->kdcs[i].known.failures = 0;
        entry->kdcs[i].known.late_until_ms = 0;
    }
    pthread_mutex_unlock(&lock);
}

bool kb_memory_wants_tcp(kb_bytes realm)
{
    const struct entry *entry;
    bool tcp;

    pthread_mutex_lock(&lock);
    entry = find(realm);
    tcp = entry != NULL && entry->tcp;
    pthread_mutex_unlock(&lock);
    return tcp;
}

void kb_memory_set_tcp(kb_bytes realm, bool tcp)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = tcp ? claim(realm) : find(realm);
    if (entry != NULL) {
        entry->tcp = tcp;
    }
    pthread_mutex_unlock(&lock);
}

void kb_memory_clear(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; entries != NULL && i < NUM_REALMS; i++) {
        drop(&entries[i]);
    }
    free(entries);
    entries = NULL;
    pthread_mutex_unlock(&lock);
}

/* --- for learned.c --- */

void kb_memory_each(kb_bytes realm, kb_memory_fn each, void *ctx)
{
    struct entry *entry;

    pthread_mutex_lock(&lock);
    entry = find(realm);
    for (size_t i = 0; entry != NULL && i < KB_MEMORY_KDCS; i++) {
        if (entry->kdcs[i].name != NULL) {
            each(ctx, entry->kdcs[i].name, &entry->kdcs[i].known);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void take_quickest(void *ctx, const char *name, const struct kb_known *known)
{
    int64_t *quickest_us = ctx, us = kb_memory_rto_us(known);

    (void)name;
    if (known->alive && us > 0 && (*quickest_us == 0 || us < *quickest_us)) {
        *quickest_us = us;
    }
}

int64_t kb_net_round_trip_ms(kb_bytes realm)
{
    int64_t quickest_us = 0;

    kb_memory_each(realm, take_quickest, &quickest_us);
    return (quickest_us + 999) / 1000;
}

void kb_memory_put(kb_bytes realm, const char *name, const struct kb_known *known)
{
    struct record *record;

    pthread_mutex_lock(&lock);
    if (find_name(find(realm), name) == NULL) {
        record = claim_name(realm, name);
        if (record != NULL) {
            record->known = *known;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* --- fork --- */

void kb_memory_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_memory_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}
