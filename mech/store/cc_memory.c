/* MEMORY:NAME - caches that live as long as the process. Not libkrb5's of the same name, which
 * nobody else can see; ours, for what is to be shared between the credentials of one program. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "mech/store/ccache_ops.h"

#define MAX_CACHES 1024

struct memory {
    struct memory *next;
    uint64_t generation;             /* never the same twice in a process */
    struct kb_cc_contents *contents; /* NULL: destroyed */
    char name[];
};

/* Guards the list and its members. Nothing is done under it but copying bytes in memory. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct memory *memories;
static size_t num_memories;
static uint64_t last_generation;

static struct memory *find(const char *name)
{
    struct memory *memory = memories;

    while (memory != NULL && strcmp(memory->name, name) != 0) {
        memory = memory->next;
    }
    return memory;
}

static struct memory *find_or_add(const char *name)
{
    struct memory *memory = find(name);

    if (memory != NULL || num_memories >= MAX_CACHES) {
        return memory;
    }
    memory = calloc(1, sizeof(*memory) + strlen(name) + 1);
    if (memory != NULL) {
        memcpy(memory->name, name, strlen(name) + 1);
        memory->next = memories;
        memories = memory;
        num_memories++;
    }
    return memory;
}

static struct kb_cc_stamp stamp_of(const struct memory *memory)
{
    struct kb_cc_stamp stamp = {{0}};

    if (memory != NULL && memory->contents != NULL) {
        stamp.words[0] = memory->generation;
    }
    return stamp;
}

static struct kb_cc_stamp look(const struct kb_ccache *cache)
{
    struct kb_cc_stamp stamp;

    pthread_mutex_lock(&lock);
    stamp = stamp_of(find(cache->rest));
    pthread_mutex_unlock(&lock);
    return stamp;
}

static enum kb_status load(const struct kb_ccache *cache, struct kb_wait *wait,
                           struct kb_cc_contents **out, struct kb_error *err)
{
    struct memory *memory;

    (void)wait;
    (void)err;
    pthread_mutex_lock(&lock);
    memory = find(cache->rest);
    if (memory != NULL && memory->contents != NULL) {
        *out = kb_cc_contents_ref(memory->contents);
    }
    pthread_mutex_unlock(&lock);
    return *out != NULL ? KB_OK : KB_NOT_FOUND;
}

/* Puts what `buf` holds in the place of what is there. */
static enum kb_status replace(struct memory *memory, const struct kb_buf *buf)
{
    struct kb_cc_contents *made = kb_cc_contents_new(buf->len);
    enum kb_status st = KB_NO_MEMORY;

    if (made != NULL) {
        memcpy(made->image, buf->data, buf->len);
        st = kb_cc_parse(made);
    }
    if (st != KB_OK) {
        kb_cc_contents_put(made);
        return st;
    }
    kb_cc_contents_put(memory->contents);
    memory->contents = made;
    memory->generation = ++last_generation;
    made->stamp = stamp_of(memory);
    return KB_OK;
}

static enum kb_status store_locked(const struct kb_ccache *cache, const struct kb_cc_store *what,
                                   struct kb_cc_stamp *out_stamp, struct kb_error *err)
{
    struct memory *memory = find_or_add(cache->rest);
    struct kb_cc_contents *old = memory != NULL ? memory->contents : NULL;
    bool as_known = old != NULL && !what->fresh && what->known != NULL &&
                    what->known_stamp.words[0] == memory->generation;
    struct kb_buf buf;
    enum kb_status st;

    if (memory == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a credentials cache");
    }
    if (old == NULL && !what->fresh) {
        return KB_NOT_FOUND;
    }
    if (old != NULL && kb_cc_check_owner(cache, old->owner, what->owner, err) != KB_OK) {
        return KB_ERROR;
    }
    kb_buf_init(&buf, KB_CC_MAX);
    st = kb_cc_put_all(&buf, old, what, NULL, NULL);
    if (st == KB_OK) {
        st = replace(memory, &buf);
    }
    if (st == KB_OK && as_known) {
        *out_stamp = stamp_of(memory);
    }
    kb_buf_wipe(&buf);
    return st == KB_OK ? KB_OK : kb_cc_explain(cache, st, err);
}

static enum kb_status store(const struct kb_ccache *cache, const struct kb_cc_store *what,
                            struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                            struct kb_error *err)
{
    enum kb_status st;

    (void)wait;
    pthread_mutex_lock(&lock);
    st = store_locked(cache, what, out_stamp, err);
    pthread_mutex_unlock(&lock);
    return st;
}

static size_t count(const struct kb_cc_contents *contents)
{
    size_t num = 0;

    for (size_t i = 0; i < contents->num; i++) {
        num += kb_cc_record_at(contents, i)->kind == KB_CC_TICKET;
    }
    return num;
}

static enum kb_status remove_locked(const struct kb_ccache *cache, const struct kb_principal *owner,
                                    const struct kb_principal *server, size_t *out_num,
                                    struct kb_error *err)
{
    struct memory *memory = find(cache->rest);
    struct kb_buf buf;
    enum kb_status st;

    if (memory == NULL || memory->contents == NULL) {
        return KB_OK;
    }
    if (kb_cc_check_owner(cache, memory->contents->owner, owner, err) != KB_OK) {
        return KB_ERROR;
    }
    if (server == NULL) {
        *out_num = count(memory->contents);
        kb_cc_contents_put(memory->contents);
        memory->contents = NULL;
        return KB_OK;
    }
    kb_buf_init(&buf, KB_CC_MAX);
    st = kb_cc_put_all(&buf, memory->contents, NULL, server, out_num);
    if (st == KB_OK) {
        st = replace(memory, &buf);
    }
    kb_buf_wipe(&buf);
    return st == KB_OK ? KB_OK : kb_cc_explain(cache, st, err);
}

static enum kb_status remove_tickets(const struct kb_ccache *cache,
                                     const struct kb_principal *owner,
                                     const struct kb_principal *server, struct kb_wait *wait,
                                     size_t *out_num, struct kb_error *err)
{
    enum kb_status st;

    (void)wait;
    pthread_mutex_lock(&lock);
    st = remove_locked(cache, owner, server, out_num, err);
    pthread_mutex_unlock(&lock);
    return st;
}

const struct kb_ccache_ops kb_cc_memory_ops = {
    .type = "MEMORY", .look = look, .load = load, .store = store, .remove = remove_tickets};

void kb_ccache_fork_prepare(void)
{
    kb_cc_dir_fork_prepare();
    kb_cc_kcm_fork_prepare();
    pthread_mutex_lock(&lock);
}

void kb_ccache_fork_done(void)
{
    pthread_mutex_unlock(&lock);
    kb_cc_kcm_fork_done();
    kb_cc_dir_fork_done();
}
