#include "mech/net/remember.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What tells whether a file is the one that was seen. */
struct stamp {
    bool exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct entry {
    struct kb_resolved answer;
    int64_t until_ms;
    uint64_t used; /* of `uses`, to find the oldest */
    unsigned flags;
    int type;
    uint32_t hash;
    char host[];
};

static const char *const system_files[KB_REMEMBER_FILES] = {"/etc/resolv.conf", "/etc/hosts",
                                                            "/etc/nsswitch.conf"};
static const char *const *files = system_files; /* changed by tests, while idle */

/* Guards all below. Held for moments: no file is looked at meanwhile. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry **entries; /* KB_REMEMBERED; NULL: none so far */
static uint64_t uses;
static unsigned generation;
static int64_t looked_s = -1; /* when the files were looked at; -1: never */
static struct stamp stamps[KB_REMEMBER_FILES];

static uint32_t hash_of(const struct kb_asked *asked)
{
    uint32_t hash = 2166136261u ^ (uint32_t)asked->type ^ asked->flags << 16; /* FNV-1a */

    for (const char *c = asked->host; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    return hash;
}

static void free_entry(struct entry *entry)
{
    if (entry != NULL) {
        kb_resolved_wipe(&entry->answer);
        free(entry);
    }
}

static void clear(void)
{
    for (size_t i = 0; entries != NULL && i < KB_REMEMBERED; i++) {
        free_entry(entries[i]);
        entries[i] = NULL;
    }
    generation++;
}

static size_t place_of(const struct kb_asked *asked, uint32_t hash)
{
    size_t i = 0;

    while (i < KB_REMEMBERED &&
           (entries[i] == NULL || entries[i]->hash != hash || entries[i]->type != asked->type ||
            entries[i]->flags != asked->flags || strcmp(entries[i]->host, asked->host) != 0)) {
        i++;
    }
    return i;
}

/* A free place, or that of the entry which was not used for the longest time. */
static size_t any_place(void)
{
    size_t oldest = 0;

    for (size_t i = 0; i < KB_REMEMBERED; i++) {
        if (entries[i] == NULL) {
            return i;
        }
        if (entries[i]->used < entries[oldest]->used) {
            oldest = i;
        }
    }
    return oldest;
}

/* --- the files that say what names mean --- */

static struct stamp stamp_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return (struct stamp){0};
    }
    return (struct stamp){.exists = true,
                          .dev = st.st_dev,
                          .ino = st.st_ino,
                          .size = st.st_size,
                          .mtime = st.st_mtim,
                          .ctime = st.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime);
}

/* At most once a second, and by one thread. */
static void look_at_files(int64_t now_ms)
{
    struct stamp now[KB_REMEMBER_FILES];
    bool due, first, same = true;

    pthread_mutex_lock(&lock);
    due = looked_s != now_ms / 1000;
    first = looked_s < 0;
    looked_s = now_ms / 1000;
    pthread_mutex_unlock(&lock);
    if (!due) {
        return;
    }
    for (size_t i = 0; i < KB_REMEMBER_FILES; i++) {
        now[i] = stamp_of(files[i]);
    }
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < KB_REMEMBER_FILES; i++) {
        same = same && same_stamp(&now[i], &stamps[i]);
        stamps[i] = now[i];
    }
    if (!same && !first) {
        clear();
    }
    pthread_mutex_unlock(&lock);
}

/* --- the calls --- */

bool kb_remember_worth(const struct kb_asked *asked)
{
    return asked->type != 0 || (asked->flags & (KB_RESOLVE_CANONICAL | KB_RESOLVE_REVERSE)) != 0;
}

static int64_t life_of_records(const struct kb_dns_records *records)
{
    int64_t life_ms = (int64_t)records->ttl * 1000;

    return records->num == 0              ? KB_NEGATIVE_LIFE_MS
           : life_ms < KB_DNS_MIN_LIFE_MS ? KB_DNS_MIN_LIFE_MS
           : life_ms > KB_DNS_MAX_LIFE_MS ? KB_DNS_MAX_LIFE_MS
                                          : life_ms;
}

static int64_t life_of(const struct kb_asked *asked, const struct kb_resolved *answer)
{
    if (asked->type != 0) {
        return answer->records != NULL ? life_of_records(answer->records)
               : answer->error == HOST_NOT_FOUND || answer->error == NO_DATA ? KB_NEGATIVE_LIFE_MS
                                                                             : KB_FAILED_LIFE_MS;
    }
    return answer->error == 0                                           ? KB_NAME_LIFE_MS
           : answer->error == EAI_NONAME || answer->error == EAI_NODATA ? KB_NEGATIVE_LIFE_MS
                                                                        : KB_FAILED_LIFE_MS;
}

bool kb_remember_find(const struct kb_asked *asked, int64_t now_ms, struct kb_resolved *out)
{
    uint32_t hash = hash_of(asked);
    bool found = false;

    look_at_files(now_ms);
    pthread_mutex_lock(&lock);
    if (entries != NULL) {
        size_t place = place_of(asked, hash);

        if (place < KB_REMEMBERED && now_ms < entries[place]->until_ms) {
            entries[place]->used = ++uses;
            kb_resolved_copy(out, &entries[place]->answer);
            found = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

unsigned kb_remember_generation(void)
{
    unsigned now;

    pthread_mutex_lock(&lock);
    now = generation;
    pthread_mutex_unlock(&lock);
    return now;
}

static struct entry *make_entry(const struct kb_asked *asked, const struct kb_resolved *answer,
                                int64_t now_ms)
{
    size_t size = strlen(asked->host) + 1;
    struct entry *entry = malloc(sizeof(*entry) + size);

    if (entry != NULL) {
        *entry = (struct entry){.until_ms = now_ms + life_of(asked, answer),
                                .flags = asked->flags,
                                .type = asked->type,
                                .hash = hash_of(asked)};
        kb_resolved_copy(&entry->answer, answer);
        memcpy(entry->host, asked->host, size);
    }
    return entry;
}

/* What cannot be kept for lack of memory is asked again. */
void kb_remember_keep(const struct kb_asked *asked, const struct kb_resolved *answer,
                      unsigned since, int64_t now_ms)
{
    struct entry *entry = make_entry(asked, answer, now_ms), *old = entry;

    if (entry == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (entries == NULL) {
        entries = calloc(KB_REMEMBERED, sizeof(struct entry *));
    }
    if (entries != NULL && generation == since) {
        size_t place = place_of(asked, entry->hash);

        place = place < KB_REMEMBERED ? place : any_place();
        old = entries[place];
        entry->used = ++uses;
        entries[place] = entry;
    }
    pthread_mutex_unlock(&lock);
    free_entry(old);
}

static bool is_within(const struct entry *entry, kb_bytes domain)
{
    kb_bytes host = kb_str(entry->host);

    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    return entry->type != 0 && host.len > domain.len &&
           host.ptr[host.len - domain.len - 1] == '.' &&
           kb_equal_nocase(kb_bytes_of(host.ptr + host.len - domain.len, domain.len), domain);
}

bool kb_remember_drop(const char *domain)
{
    bool found = false;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; entries != NULL && i < KB_REMEMBERED; i++) {
        if (entries[i] != NULL && (domain == NULL || is_within(entries[i], kb_str(domain)))) {
            found = true;
            free_entry(entries[i]);
            entries[i] = NULL;
        }
    }
    generation += domain == NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

void kb_remember_files(const char *const paths[KB_REMEMBER_FILES])
{
    pthread_mutex_lock(&lock);
    files = paths != NULL ? paths : system_files;
    looked_s = -1;
    clear();
    pthread_mutex_unlock(&lock);
}

void kb_remember_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_remember_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}
