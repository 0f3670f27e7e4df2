/* KEYRING: caches: which one is meant, and what it looks like from outside. */
#include <stdatomic.h>

#include "mech/store/cc_keyring.h"

#define FOUND_MS 1000 /* for which a serial stands for what a name led to */

static bool is_collection(const char *rest)
{
    struct kb_keyring_name name;

    return kb_keyring_name_parse(rest, &name, NULL) == KB_OK && !name.is_one;
}

/* --- which one it was --- */

static void remember(const struct kb_keyring *at)
{
    struct kb_cc_memo *memo = at->cache->memo;
    bool known = at->ring != 0 && (!at->by_index || at->index != 0);

    atomic_store_explicit(&memo->index, at->index, memory_order_relaxed);
    atomic_store_explicit(&memo->found_ms, known ? kb_now_ms() : INT64_MIN / 2,
                          memory_order_relaxed);
    atomic_store_explicit(&memo->ring, known ? at->ring : 0, memory_order_release);
}

/* The name may lead elsewhere by now, while something else still holds the keyring: so not for
 * long. */
static bool recall(const struct kb_ccache *cache, struct kb_keyring *out)
{
    struct kb_cc_memo *memo = cache->memo;

    *out = (struct kb_keyring){
        .cache = cache,
        .by_index = cache->owner == NULL && is_collection(cache->rest),
        .ring = atomic_load_explicit(&memo->ring, memory_order_acquire),
        .index = atomic_load_explicit(&memo->index, memory_order_relaxed),
    };
    return out->ring != 0 &&
           kb_now_ms() - atomic_load_explicit(&memo->found_ms, memory_order_relaxed) < FOUND_MS;
}

static enum kb_status find(const struct kb_ccache *cache, struct kb_keyring *out,
                           struct kb_error *err)
{
    enum kb_status st = kb_keyring_find(cache, cache->owner, out, err);

    if (st == KB_OK) {
        remember(out);
    }
    return st;
}

/* One system call, or two where the primary one is meant; once a second what finding it costs. */
static struct kb_cc_stamp look(const struct kb_ccache *cache)
{
    struct kb_error ignored = {0};
    struct kb_cc_stamp stamp = {{0}};
    struct kb_keyring at;

    if (recall(cache, &at) && kb_keyring_stamp(&at, &stamp)) {
        return stamp;
    }
    if (find(cache, &at, &ignored) != KB_OK || !kb_keyring_stamp(&at, &stamp)) {
        stamp = (struct kb_cc_stamp){{0}};
    }
    return stamp;
}

static enum kb_status load(const struct kb_ccache *cache, struct kb_wait *wait,
                           struct kb_cc_contents **out, struct kb_error *err)
{
    (void)wait;
    for (bool again = false;; again = true) {
        struct kb_keyring at;
        enum kb_status st = find(cache, &at, err);

        if (st == KB_OK) {
            st = kb_keyring_contents(&at, out, err);
        }
        if (st != KB_OK || cache->owner == NULL || again ||
            kb_principal_equal((*out)->owner, cache->owner)) {
            return st;
        }
        /* Somebody else's by now, begun anew in the same place. */
        kb_cc_contents_put(*out);
        *out = NULL;
    }
}

static enum kb_status owner(const struct kb_ccache *cache, struct kb_wait *wait,
                            struct kb_principal **out, struct kb_error *err)
{
    struct kb_keyring at;
    enum kb_status st = find(cache, &at, err);

    (void)wait;
    if (st == KB_OK) {
        st = kb_keyring_owner(at.ring, out);
    }
    return st == KB_OK || st == KB_NOT_FOUND || st == KB_ERROR ? st : kb_cc_explain(cache, st, err);
}

const struct kb_ccache_ops kb_cc_keyring_ops = {.type = "KEYRING",
                                                .look = look,
                                                .load = load,
                                                .store = kb_keyring_store,
                                                .remove = kb_keyring_remove,
                                                .owner = owner,
                                                .is_collection = is_collection};
