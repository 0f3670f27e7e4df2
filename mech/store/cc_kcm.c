/* KCM: caches: which of the daemon's is meant, and what is known of it. */
#include "mech/store/cc_kcm.h"

#include <pthread.h>
#include <stdlib.h>

#define MAX_CACHES 4096 /* of a collection, that are looked through */
#define STAMP_THERE 1

struct kb_kcm_memo {
    uint64_t word;       /* the first of the stamp: 0: absent */
    uint64_t generation; /* the second, if it is there; never the same twice in a process */
    int64_t asked_ms;    /* when that was so */
    char *name;          /* of the cache that was found to be meant; NULL: none yet */
    struct kb_kcm_set set;
};

/* Guards all memos. Held for looking at them and copying alone. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_generation;

void kb_cc_kcm_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
    kb_kcm_fork_prepare();
}

void kb_cc_kcm_fork_done(void)
{
    kb_kcm_fork_done();
    pthread_mutex_unlock(&lock);
}

/* --- what is known of it --- */

void kb_kcm_memo_free(struct kb_kcm_memo *memo)
{
    if (memo != NULL) {
        kb_kcm_set_free(&memo->set);
        free(memo->name);
        free(memo);
    }
}

/* With the lock; NULL: no memory. */
static struct kb_kcm_memo *memo_of(const struct kb_ccache *cache)
{
    if (cache->memo->kcm == NULL) {
        cache->memo->kcm = calloc(1, sizeof(*cache->memo->kcm));
        if (cache->memo->kcm != NULL) {
            cache->memo->kcm->asked_ms = INT64_MIN / 2;
        }
    }
    return cache->memo->kcm;
}

static struct kb_cc_stamp stamp_of(const struct kb_kcm_memo *memo)
{
    return (struct kb_cc_stamp){
        {memo->word, memo->word == STAMP_THERE ? memo->generation : UINT64_C(0)}};
}

static struct kb_cc_stamp look_within(const struct kb_ccache *cache, int64_t trusted_ms)
{
    int64_t now_ms = kb_now_ms();
    struct kb_cc_stamp stamp = {{KB_CC_STAMP_STALE}};
    struct kb_kcm_memo *memo;

    pthread_mutex_lock(&lock);
    memo = memo_of(cache);
    if (memo != NULL && now_ms - memo->asked_ms < trusted_ms) {
        stamp = stamp_of(memo);
    }
    pthread_mutex_unlock(&lock);
    return stamp;
}

static struct kb_cc_stamp look(const struct kb_ccache *cache)
{
    return look_within(cache, KB_KCM_TRUSTED_MS);
}

static struct kb_cc_stamp look_closely(const struct kb_ccache *cache)
{
    return look_within(cache, KB_KCM_FRESH_MS);
}

struct kb_cc_stamp kb_kcm_remember(const struct kb_ccache *cache, const char *name,
                                   struct kb_kcm_set *set, const struct kb_cc_stamp *same)
{
    struct kb_cc_stamp stamp = {{KB_CC_STAMP_STALE}};
    char *copy = kb_strdup(kb_str(name));
    int64_t now_ms = kb_now_ms();
    struct kb_kcm_memo *memo;

    pthread_mutex_lock(&lock);
    memo = memo_of(cache);
    if (memo != NULL && same != NULL && same->words[1] != memo->generation) {
        stamp = stamp_of(memo);
    } else if (memo != NULL && copy != NULL) {
        struct kb_kcm_set old = memo->set;
        char *old_name = memo->name;

        memo->generation = same != NULL ? memo->generation : ++last_generation;
        memo->word = STAMP_THERE;
        memo->asked_ms = now_ms;
        memo->name = copy;
        memo->set = *set;
        stamp = stamp_of(memo);
        *set = old;
        copy = old_name;
    }
    pthread_mutex_unlock(&lock);
    kb_kcm_set_free(set);
    free(copy);
    return stamp;
}

/* `word`: 0, or KB_CC_STAMP_LOST. */
static void remember_without(const struct kb_ccache *cache, uint64_t word)
{
    struct kb_kcm_memo *memo;

    pthread_mutex_lock(&lock);
    memo = memo_of(cache);
    if (memo != NULL) {
        memo->word = word;
        memo->asked_ms = kb_now_ms();
    }
    pthread_mutex_unlock(&lock);
}

void kb_kcm_forget(const struct kb_ccache *cache)
{
    pthread_mutex_lock(&lock);
    if (cache->memo->kcm != NULL) {
        cache->memo->kcm->asked_ms = INT64_MIN / 2;
    }
    pthread_mutex_unlock(&lock);
}

static bool copy_set(const struct kb_kcm_set *from, struct kb_kcm_set *out)
{
    *out = (struct kb_kcm_set){.uuids = malloc(from->num * KB_KCM_UUID + 1)};
    if (out->uuids != NULL) {
        if (from->num > 0) {
            memcpy(out->uuids, from->uuids, from->num * KB_KCM_UUID);
        }
        out->num = from->num;
        out->known = true;
    }
    return out->known;
}

bool kb_kcm_known(const struct kb_ccache *cache, const struct kb_cc_stamp *stamp,
                  struct kb_kcm_set *out)
{
    struct kb_kcm_memo *memo;
    bool known;

    *out = (struct kb_kcm_set){.num = 0};
    pthread_mutex_lock(&lock);
    memo = cache->memo->kcm;
    known = memo != NULL && stamp->words[0] == STAMP_THERE && stamp->words[1] == memo->generation &&
            memo->set.known && copy_set(&memo->set, out);
    pthread_mutex_unlock(&lock);
    return known;
}

/* The name that was meant when it was last asked; false: none. */
static bool name_before(const struct kb_ccache *cache, char name[KB_KCM_NAME_MAX])
{
    bool any;

    pthread_mutex_lock(&lock);
    any = cache->memo->kcm != NULL && cache->memo->kcm->name != NULL;
    if (any) {
        memcpy(name, cache->memo->kcm->name, strlen(cache->memo->kcm->name) + 1);
    }
    pthread_mutex_unlock(&lock);
    return any;
}

/* --- which is meant --- */

static bool is_collection(const char *rest)
{
    return rest[0] == '\0';
}

/* KB_NOT_FOUND: there is no such cache, or nobody logged in yet. */
static enum kb_status owner_of(struct kb_kcm *kcm, const char *name, struct kb_principal **out)
{
    enum kb_status st;

    *out = NULL;
    kb_kcm_ask(kcm, KB_KCM_GET_PRINCIPAL, name);
    st = kb_kcm_call(kcm);
    if (st == KB_NOT_FOUND) {
        return kb_kcm_is_absent(kcm->answer.code) ? st : kb_kcm_refused(kcm, "tell whose it is");
    }
    if (st == KB_OK && kcm->answer.body.len == 0) {
        return KB_NOT_FOUND;
    }
    if (st == KB_OK) {
        st = kb_kcm_get_principal(kcm->answer.body, out);
        st = st == KB_OK ? st : kb_kcm_broken(kcm, st, "a principal");
    }
    return st;
}

static enum kb_status ask_name(struct kb_kcm *kcm, char name[KB_KCM_NAME_MAX], const char *what)
{
    enum kb_status st = kb_kcm_call(kcm);

    if (st == KB_NOT_FOUND) {
        return kb_kcm_is_absent(kcm->answer.code) ? st : kb_kcm_refused(kcm, what);
    }
    if (st == KB_OK) {
        st = kb_kcm_get_name(kcm->answer.body, name);
        st = st == KB_OK ? st : kb_kcm_broken(kcm, st, "a cache's name");
    }
    return st;
}

static enum kb_status default_name(struct kb_kcm *kcm, char name[KB_KCM_NAME_MAX])
{
    kb_kcm_ask(kcm, KB_KCM_GET_DEFAULT_CACHE, NULL);
    return ask_name(kcm, name, "name the default cache");
}

/* Is it `owner`'s? KB_NOT_FOUND: it is not. */
static enum kb_status try_name(struct kb_kcm *kcm, const char *name,
                               const struct kb_principal *owner, struct kb_principal **out)
{
    enum kb_status st = owner_of(kcm, name, out);

    if (st == KB_OK && !kb_principal_equal(*out, owner)) {
        kb_principal_free(*out);
        *out = NULL;
        st = KB_NOT_FOUND;
    }
    return st;
}

static enum kb_status try_all(struct kb_kcm *kcm, const struct kb_principal *owner,
                              char name[KB_KCM_NAME_MAX], struct kb_principal **out)
{
    enum kb_status st = KB_NOT_FOUND;
    struct kb_kcm_set listed, caches;
    size_t num;

    kb_kcm_ask(kcm, KB_KCM_GET_CACHE_UUID_LIST, NULL);
    st = kb_kcm_call(kcm);
    if (st == KB_NOT_FOUND) {
        return kb_kcm_is_absent(kcm->answer.code) ? st : kb_kcm_refused(kcm, "list its caches");
    }
    if (st != KB_OK) {
        return st;
    }
    st = kb_kcm_get_uuids(kcm->answer.body, &num);
    if (st != KB_OK) {
        return kb_kcm_broken(kcm, st, "a list of caches");
    }
    listed = (struct kb_kcm_set){.uuids = (uint8_t *)(uintptr_t)kcm->answer.body.ptr, .num = num};
    if (!copy_set(&listed, &caches)) {
        return kb_kcm_broken(kcm, KB_NO_MEMORY, NULL);
    }
    st = KB_NOT_FOUND;
    for (size_t i = 0; i < caches.num && i < MAX_CACHES && st == KB_NOT_FOUND; i++) {
        kb_kcm_ask(kcm, KB_KCM_GET_CACHE_BY_UUID, NULL);
        kb_buf_add(&kcm->request, kb_bytes_of(caches.uuids + i * KB_KCM_UUID, KB_KCM_UUID));
        st = ask_name(kcm, name, "name one of its caches");
        if (st == KB_OK) {
            st = try_name(kcm, name, owner, out);
        }
    }
    kb_kcm_set_free(&caches);
    return st;
}

/* The one that was his before; the default one, if it is his; else the first that is. */
static enum kb_status find_owners(struct kb_kcm *kcm, const struct kb_principal *owner,
                                  char name[KB_KCM_NAME_MAX], struct kb_principal **out)
{
    enum kb_status st = KB_NOT_FOUND;

    if (name_before(kcm->cache, name)) {
        st = try_name(kcm, name, owner, out);
    }
    if (st == KB_NOT_FOUND) {
        st = default_name(kcm, name);
        if (st == KB_OK) {
            st = try_name(kcm, name, owner, out);
        }
    }
    return st == KB_NOT_FOUND ? try_all(kcm, owner, name, out) : st;
}

enum kb_status kb_kcm_find(struct kb_kcm *kcm, const struct kb_principal *owner,
                           char name[KB_KCM_NAME_MAX], struct kb_principal **out_owner)
{
    const char *rest = kcm->cache->rest;
    enum kb_status st;

    *out_owner = NULL;
    if (!is_collection(rest)) {
        if (strlen(rest) >= KB_KCM_NAME_MAX) {
            return kb_error_set(kcm->err, KB_E_CCACHE,
                                "credentials cache %.40s...: its name is too long",
                                kcm->cache->shown);
        }
        memcpy(name, rest, strlen(rest) + 1);
        return owner_of(kcm, name, out_owner);
    }
    if (owner != NULL) {
        return find_owners(kcm, owner, name, out_owner);
    }
    st = default_name(kcm, name);
    return st == KB_OK ? owner_of(kcm, name, out_owner) : st;
}

enum kb_status kb_kcm_new_name(struct kb_kcm *kcm, char name[KB_KCM_NAME_MAX])
{
    struct kb_principal *there = NULL;
    enum kb_status st;

    if (!is_collection(kcm->cache->rest)) {
        return KB_OK;
    }
    st = default_name(kcm, name);
    if (st == KB_OK) {
        st = owner_of(kcm, name, &there);
        kb_principal_free(there);
        if (st != KB_OK) {
            return st == KB_NOT_FOUND ? KB_OK : st;
        }
    }
    if (st == KB_ERROR) {
        return st;
    }
    kb_kcm_ask(kcm, KB_KCM_GEN_NEW, NULL);
    st = ask_name(kcm, name, "name a new cache");
    return st == KB_NOT_FOUND ? kb_kcm_refused(kcm, "name a new cache") : st;
}

/* --- reading --- */

/* What `name` holds now: `known`, with more in it, or all anew. */
static enum kb_status take(struct kb_kcm *kcm, const char *name, const struct kb_principal *owner,
                           struct kb_cc_contents *known, struct kb_cc_contents **out)
{
    struct kb_kcm_set now = {.num = 0}, before = {.num = 0}, more = {.num = 0};
    enum kb_status st = kb_kcm_list(kcm, name, &now);
    bool same = false;

    if (st == KB_OK && known != NULL && kb_principal_equal(known->owner, owner) &&
        kb_kcm_known(kcm->cache, &known->stamp, &before)) {
        same = kb_kcm_set_equal(&before, &now);
        st = same ? KB_OK : kb_kcm_set_more(&before, &now, &more);
        if (same) {
            *out = kb_cc_contents_ref(known);
        } else if (st == KB_OK) {
            st = kb_kcm_read_more(kcm, name, &more, known, out);
        } else if (st == KB_NO_MEMORY) {
            st = kb_kcm_broken(kcm, st, NULL);
        } else {
            st = KB_OK; /* something is gone */
        }
    }
    if (st == KB_OK && *out == NULL) {
        st = kb_kcm_read(kcm, name, owner, &now, out);
    }
    if (st == KB_OK) {
        struct kb_cc_stamp stamp =
            kb_kcm_remember(kcm->cache, name, &now, same ? &known->stamp : NULL);

        if (!same) {
            (*out)->stamp = stamp;
        }
    }
    kb_kcm_set_free(&now);
    kb_kcm_set_free(&before);
    kb_kcm_set_free(&more);
    return st;
}

static enum kb_status reload(const struct kb_ccache *cache, struct kb_cc_contents *known,
                             struct kb_wait *wait, struct kb_cc_contents **out,
                             struct kb_error *err)
{
    struct kb_principal *owner = NULL;
    char name[KB_KCM_NAME_MAX];
    struct kb_kcm kcm;
    enum kb_status st;

    kb_kcm_begin(&kcm, cache, wait, err);
    st = kb_kcm_find(&kcm, cache->owner, name, &owner);
    if (st == KB_OK) {
        st = take(&kcm, name, owner, known, out);
    }
    kb_kcm_end(&kcm);
    kb_principal_free(owner);
    if (st == KB_NOT_FOUND) {
        remember_without(cache, 0);
    } else if (st == KB_ERROR && err->code == KB_E_CCACHE) { /* not a deadline of the caller's */
        remember_without(cache, KB_CC_STAMP_LOST);
    }
    return st;
}

static enum kb_status load(const struct kb_ccache *cache, struct kb_wait *wait,
                           struct kb_cc_contents **out, struct kb_error *err)
{
    return reload(cache, NULL, wait, out, err);
}

static enum kb_status owner(const struct kb_ccache *cache, struct kb_wait *wait,
                            struct kb_principal **out, struct kb_error *err)
{
    char name[KB_KCM_NAME_MAX];
    struct kb_kcm kcm;
    enum kb_status st;

    kb_kcm_begin(&kcm, cache, wait, err);
    st = kb_kcm_find(&kcm, cache->owner, name, out);
    kb_kcm_end(&kcm);
    return st;
}

const struct kb_ccache_ops kb_cc_kcm_ops = {.type = "KCM",
                                            .look = look,
                                            .load = load,
                                            .store = kb_kcm_store,
                                            .remove = kb_kcm_remove,
                                            .reload = reload,
                                            .owner = owner,
                                            .is_collection = is_collection,
                                            .look_closely = look_closely,
                                            .asked = true};
