/* Where a KEYRING: cache is: from the anchor to the collection to the cache; and the places where
 * new ones go. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "mech/store/cc_keyring.h"

#define NAME_MAX_LEN 4096 /* of a key, as the kernel has it */
#define DESCRIPTION_MAX (NAME_MAX_LEN + 64)
#define MAX_TRIES 5 /* to make what another process makes meanwhile */

/* --- what failed --- */

/* clang-format off */
static const struct { int code; char text[176]; } reasons[] = {
    {ENOSYS, "this kernel has no keyrings (or a filter of system calls hides them); use "
             "CredentialsCacheFile=auto, FILE: or DIR:"},
    {EPERM, "the system refuses keyrings, as containers do (a filter of system calls); permit keyctl "
            "and add_key, or use CredentialsCacheFile=auto, FILE: or DIR:"},
    {EACCES, "no permission: the keyring is another session's or another user's"},
    {EDQUOT, "the user's quota of keys is used up (/proc/key-users); remove caches (kdestroy -A), or "
             "raise /proc/sys/kernel/keys/maxkeys and maxbytes"},
    {ENFILE, "the keyring is full; remove caches (kdestroy -A)"},
    {EKEYREVOKED, "its keyring was revoked, as at the end of a session; log in again, or use "
                  "KEYRING:persistent:%{uid} or KEYRING:user:NAME, which outlive sessions"},
    {EKEYEXPIRED, "its keyring has expired; log in again, or make the cache anew (kinit)"},
};
/* clang-format on */

enum kb_status kb_keyring_failed(const struct kb_ccache *cache, struct kb_error *err)
{
    int code = errno;

    if (code == ENOMEM) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a credentials cache");
    }
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].code == code && err->code == KB_E_NONE) {
            (void)kb_error_set(err, KB_E_CCACHE, "credentials cache %s: %s", cache->shown,
                               reasons[i].text);
            kb_error_cause(err, code);
            err->no_hint = true;
            return KB_ERROR;
        }
    }
    return kb_error_errno(err, KB_E_CCACHE, code, "credentials cache %s", cache->shown);
}

/* There is no such key, or none that is alive. */
static bool is_gone(int code)
{
    return code == ENOKEY || code == EKEYREVOKED || code == EKEYEXPIRED;
}

/* --- the anchor --- */

/* Writing to the session keyring of a process that has none of its own would make one that nobody
 * else sees, so that is not asked for: user-session keyrings stand in for it. */
kb_key_serial kb_keyring_session(void)
{
    kb_key_serial session = kb_key_id(KEY_SPEC_SESSION_KEYRING);

    return session > 0 && session == kb_key_id(KEY_SPEC_USER_SESSION_KEYRING)
               ? KEY_SPEC_USER_SESSION_KEYRING
               : KEY_SPEC_SESSION_KEYRING;
}

/* Linux without CONFIG_PERSISTENT_KEYRINGS: the user's own keyring, as MIT has it. */
static enum kb_status persistent(const struct kb_keyring *at, kb_key_serial *out,
                                 struct kb_error *err)
{
    uid_t uid = kb_keyring_name_uid(&at->name);

    *out = kb_key_persistent(uid, KEY_SPEC_PROCESS_KEYRING);
    if (*out > 0) {
        return KB_OK;
    }
    if (errno == EOPNOTSUPP && uid == geteuid()) {
        *out = KEY_SPEC_USER_KEYRING;
        return KB_OK;
    }
    if (uid != geteuid()) {
        return kb_error_set(err, KB_E_CCACHE,
                            "credentials cache %s: the persistent keyring of user id %u cannot be "
                            "used by a process of user id %u",
                            at->cache->shown, (unsigned)uid, (unsigned)geteuid());
    }
    return kb_keyring_failed(at->cache, err);
}

struct anchor {
    kb_key_serial ring;
    kb_key_serial into; /* where what is in it must be linked, for us to possess it; 0 */
};

static enum kb_status find_anchor(const struct kb_keyring *at, struct anchor *out,
                                  struct kb_error *err)
{
    static const kb_key_serial specials[] = {
        [KB_KEYRING_PROCESS] = KEY_SPEC_PROCESS_KEYRING,
        [KB_KEYRING_THREAD] = KEY_SPEC_THREAD_KEYRING,
        [KB_KEYRING_USER] = KEY_SPEC_USER_KEYRING,
    };

    switch (at->name.anchor) {
    case KB_KEYRING_PERSISTENT:
        out->into = KEY_SPEC_PROCESS_KEYRING;
        return persistent(at, &out->ring, err);
    case KB_KEYRING_SESSION:
    case KB_KEYRING_LEGACY:
        *out = (struct anchor){kb_keyring_session(), 0};
        return KB_OK;
    case KB_KEYRING_PROCESS:
    case KB_KEYRING_THREAD:
    case KB_KEYRING_USER:
        break;
    }
    out->ring = specials[at->name.anchor];
    out->into = at->name.anchor == KB_KEYRING_USER ? KEY_SPEC_PROCESS_KEYRING : 0;
    return KB_OK;
}

/* --- the collection --- */

static enum kb_status collection_name(const struct kb_keyring *at, struct kb_buf *out,
                                      struct kb_error *err)
{
    kb_buf_init(out, NAME_MAX_LEN);
    kb_buf_add_str(out, "_krb");
    if (at->name.anchor != KB_KEYRING_PERSISTENT) {
        kb_buf_add_str(out, "_");
        kb_buf_add(out, at->name.collection);
    }
    return out->status == KB_OK ? KB_OK : kb_cc_explain(at->cache, out->status, err);
}

/* at->collection is 0 where there is none. */
static enum kb_status find_collection(struct kb_keyring *at, struct anchor *out_anchor,
                                      struct kb_error *err)
{
    enum kb_status st = find_anchor(at, out_anchor, err);
    struct kb_buf name = {0};

    at->collection = 0;
    if (st == KB_OK) {
        st = collection_name(at, &name, err);
    }
    if (st == KB_OK) {
        at->collection =
            kb_key_search(out_anchor->ring, "keyring", kb_buf_str(&name), out_anchor->into);
    }
    if (st == KB_OK && at->collection < 0) {
        at->collection = 0;
        /* The collection may have ended, or that in which it was. */
        if (!is_gone(errno) || (errno != ENOKEY && kb_key_id(out_anchor->ring) < 0)) {
            st = kb_keyring_failed(at->cache, err);
        }
    }
    kb_buf_wipe(&name);
    return st;
}

static enum kb_status no_index(const struct kb_keyring *at, struct kb_error *err)
{
    return kb_error_set(
        err, KB_E_CCACHE,
        "credentials cache %s: the key \"%s\" in it does not say which cache is the "
        "primary one; kswitch sets it anew",
        at->cache->shown, KB_KEYRING_INDEX);
}

enum kb_status kb_keyring_primary(struct kb_keyring *at, struct kb_buf *out, struct kb_error *err)
{
    struct kb_key_payload payload = {0};
    kb_bytes name = KB_NONE;
    enum kb_status st = KB_NOT_FOUND;

    at->index =
        at->collection > 0 ? kb_key_search(at->collection, "user", KB_KEYRING_INDEX, 0) : -1;
    if (at->index > 0) {
        st = kb_key_payload_read(at->index, &payload);
    }
    if (st == KB_OK) {
        st = kb_keyring_index_get(kb_bytes_of(payload.bytes, payload.len), &name);
        st = st == KB_OK ? st : no_index(at, err);
    } else if (st == KB_NOT_FOUND) {
        at->index = 0;
        name = kb_keyring_name_first(&at->name);
        st = KB_OK;
    }
    kb_buf_add(out, name);
    st = st == KB_OK ? out->status : st;
    kb_key_payload_wipe(&payload);
    return st == KB_OK || st == KB_ERROR ? st : kb_cc_explain(at->cache, st, err);
}

/* --- a cache in it --- */

/* What cannot be read is somebody's. KB_NOT_FOUND: nobody's. */
static enum kb_status check_somebodys(const struct kb_keyring *at, kb_key_serial ring,
                                      struct kb_error *err)
{
    struct kb_principal *owner;
    enum kb_status st = kb_keyring_owner(ring, &owner);

    kb_principal_free(owner);
    return st == KB_NO_MEMORY ? kb_cc_explain(at->cache, st, err) : st == KB_NOT_FOUND ? st : KB_OK;
}

enum kb_status kb_keyring_named(const struct kb_keyring *at, const char *name, kb_key_serial *out,
                                struct kb_error *err)
{
    enum kb_status st;

    *out = 0;
    if (at->collection <= 0) {
        return KB_NOT_FOUND;
    }
    *out = kb_key_search(at->collection, "keyring", name, 0);
    if (*out < 0) {
        *out = errno == ENOKEY ? 0 : -1;
        return KB_NOT_FOUND;
    }
    st = check_somebodys(at, *out, err);
    *out = st == KB_OK ? *out : -1;
    return st;
}

/* What programs left that are older than collections. */
static enum kb_status old_one(const struct kb_keyring *at, const char *name, kb_key_serial *out,
                              struct kb_error *err)
{
    if (at->name.anchor != KB_KEYRING_LEGACY || at->name.is_one || at->index != 0) {
        return KB_NOT_FOUND;
    }
    *out = kb_key_search(KEY_SPEC_SESSION_KEYRING, "keyring", name, 0);
    return *out > 0 ? check_somebodys(at, *out, err) : KB_NOT_FOUND;
}

/* One by its name, of a collection the primary one. */
static enum kb_status find_named(struct kb_keyring *at, struct kb_error *err)
{
    enum kb_status st = KB_OK;
    struct kb_buf name;

    kb_buf_init(&name, NAME_MAX_LEN);
    if (at->name.is_one) {
        kb_buf_add(&name, at->name.subsidiary);
        st = name.status == KB_OK ? KB_OK : kb_cc_explain(at->cache, name.status, err);
    } else {
        st = kb_keyring_primary(at, &name, err);
    }
    if (st == KB_OK) {
        st = kb_keyring_named(at, kb_buf_str(&name), &at->ring, err);
    }
    if (st == KB_NOT_FOUND) {
        st = old_one(at, kb_buf_str(&name), &at->ring, err);
    }
    kb_buf_wipe(&name);
    return st;
}

/* What cannot be read is somebody else's. */
enum kb_status kb_keyring_check_his(const struct kb_keyring *at, kb_key_serial ring,
                                    const struct kb_principal *owner, struct kb_error *err)
{
    struct kb_principal *is;
    enum kb_status st = kb_keyring_owner(ring, &is);
    bool his = st == KB_OK && kb_principal_equal(is, owner);

    kb_principal_free(is);
    return st == KB_NO_MEMORY ? kb_cc_explain(at->cache, st, err) : his ? KB_OK : KB_NOT_FOUND;
}

static bool is_keyring(kb_key_serial key, char *buf, size_t len)
{
    ssize_t got = kb_key_describe(key, buf, len);

    return got > 0 && (size_t)got <= len && strncmp(buf, "keyring;", 8) == 0;
}

/* The first that is his. */
static enum kb_status search_for(struct kb_keyring *at, const struct kb_principal *owner,
                                 const struct kb_key_payload *list, struct kb_error *err)
{
    char *buf = malloc(DESCRIPTION_MAX);
    enum kb_status st = buf != NULL ? KB_NOT_FOUND : kb_cc_explain(at->cache, KB_NO_MEMORY, err);
    kb_key_serial key;

    for (size_t i = 0; st == KB_NOT_FOUND && (key = kb_key_payload_serial(list, i)) != 0; i++) {
        if (is_keyring(key, buf, DESCRIPTION_MAX)) {
            st = kb_keyring_check_his(at, key, owner, err);
            at->ring = st == KB_OK ? key : 0;
        }
    }
    free(buf);
    return st;
}

/* The primary one, if it is his; else the first that is, as krb5_cc_cache_match finds it. Which one
 * the primary is need not be readable for that. */
static enum kb_status find_owners(struct kb_keyring *at, const struct kb_principal *owner,
                                  struct kb_error *err)
{
    struct kb_key_payload list = {0};
    struct kb_error why = {0};
    enum kb_status st = find_named(at, &why);

    if (st == KB_OK) {
        st = kb_keyring_check_his(at, at->ring, owner, &why);
    }
    if (st == KB_OK) {
        return st;
    }
    at->ring = 0;
    if (st == KB_ERROR && why.code == KB_E_NO_MEMORY) {
        return kb_error_copy(err, &why);
    }
    if (at->collection == 0) {
        return KB_NOT_FOUND;
    }
    st = kb_key_payload_read(at->collection, &list);
    st = st == KB_OK          ? search_for(at, owner, &list, err)
         : st == KB_NOT_FOUND ? st
                              : kb_cc_explain(at->cache, st, err);
    kb_key_payload_wipe(&list);
    return st;
}

enum kb_status kb_keyring_find(const struct kb_ccache *cache, const struct kb_principal *owner,
                               struct kb_keyring *out, struct kb_error *err)
{
    struct anchor anchor;
    const char *why;
    enum kb_status st;

    *out = (struct kb_keyring){.cache = cache};
    if (kb_keyring_name_parse(cache->rest, &out->name, &why) != KB_OK) {
        return kb_error_set(err, KB_E_CCACHE, "credentials cache %s: %s", cache->shown, why);
    }
    out->by_index = !out->name.is_one && cache->owner == NULL;
    st = find_collection(out, &anchor, err);
    if (st != KB_OK) {
        return st;
    }
    return owner != NULL && !out->name.is_one ? find_owners(out, owner, err) : find_named(out, err);
}

/* --- making --- */

enum kb_status kb_keyring_scratch(const struct kb_ccache *cache, kb_key_serial *out,
                                  struct kb_error *err)
{
    static _Atomic unsigned last; /* a process keyring is had by threads together */
    struct kb_buf name;

    kb_buf_init(&name, 64);
    kb_buf_printf(&name, "_kerbside_%u", atomic_fetch_add_explicit(&last, 1, memory_order_relaxed));
    *out = name.status == KB_OK
               ? kb_key_add("keyring", kb_buf_str(&name), KB_NONE, KEY_SPEC_PROCESS_KEYRING)
               : -1;
    if (*out < 0) {
        errno = name.status == KB_OK ? errno : ENOMEM;
    }
    kb_buf_wipe(&name);
    return *out > 0 ? KB_OK : kb_keyring_failed(cache, err);
}

void kb_keyring_scratch_close(kb_key_serial scratch)
{
    if (scratch > 0) {
        (void)kb_key_unlink(scratch, KEY_SPEC_PROCESS_KEYRING);
    }
}

enum kb_status kb_keyring_put_new(const struct kb_ccache *cache, kb_key_serial key,
                                  kb_key_serial scratch, kb_key_serial ring, struct kb_error *err)
{
    int failed = kb_key_move_new(key, scratch, ring);

    if (failed != 0 && errno == EEXIST) {
        return KB_NOT_FOUND;
    }
    if (failed != 0 && errno == EOPNOTSUPP) {
        failed = kb_key_link(key, ring);
    }
    return failed == 0 ? KB_OK : kb_keyring_failed(cache, err);
}

/* KB_NOT_FOUND: another process made it meanwhile. */
static enum kb_status make_collection(struct kb_keyring *at, const struct anchor *anchor,
                                      struct kb_error *err)
{
    kb_key_serial scratch, made = -1;
    enum kb_status st = kb_keyring_scratch(at->cache, &scratch, err);
    struct kb_buf name = {0};

    if (st == KB_OK) {
        st = collection_name(at, &name, err);
    }
    if (st == KB_OK) {
        made = kb_key_add("keyring", kb_buf_str(&name), KB_NONE, scratch);
        st = made > 0 ? KB_OK : kb_keyring_failed(at->cache, err);
    }
    if (st == KB_OK && anchor->into != 0 && kb_key_link(made, anchor->into) != 0) {
        st = kb_keyring_failed(at->cache, err);
    }
    if (st == KB_OK) {
        st = kb_keyring_put_new(at->cache, made, scratch, anchor->ring, err);
    }
    at->collection = st == KB_OK ? made : 0;
    kb_buf_wipe(&name);
    kb_keyring_scratch_close(scratch);
    return st;
}

/* MIT's does as soon as the name is read. */
static enum kb_status make_index(struct kb_keyring *at, struct kb_error *err)
{
    kb_key_serial old = 0;
    struct kb_buf name, index;
    enum kb_status st;

    kb_buf_init(&name, NAME_MAX_LEN);
    kb_buf_init(&index, NAME_MAX_LEN + 8);
    st = kb_keyring_primary(at, &name, err);
    if (st == KB_OK && at->index == 0) {
        st = old_one(at, kb_buf_str(&name), &old, err);
        old = st == KB_OK ? old : 0;
        st = st == KB_NOT_FOUND ? KB_OK : st;
    }
    if (st == KB_OK && at->index == 0) {
        kb_keyring_index_put(&index, kb_buf_bytes(&name));
        at->index = index.status == KB_OK
                        ? kb_key_add("user", KB_KEYRING_INDEX, kb_buf_bytes(&index), at->collection)
                        : (errno = ENOMEM, -1);
        if (at->index < 0 || (old > 0 && kb_key_link(old, at->collection) != 0)) {
            st = kb_keyring_failed(at->cache, err);
        }
    }
    kb_buf_wipe(&name);
    kb_buf_wipe(&index);
    return st;
}

enum kb_status kb_keyring_make_collection(struct kb_keyring *at, struct kb_error *err)
{
    enum kb_status st = KB_NOT_FOUND;
    struct anchor anchor;

    for (unsigned i = 0; i < MAX_TRIES && st == KB_NOT_FOUND; i++) {
        st = find_collection(at, &anchor, err);
        if (st == KB_OK && at->collection == 0) {
            st = make_collection(at, &anchor, err);
        }
    }
    if (st == KB_NOT_FOUND) {
        errno = EKEYEXPIRED; /* what has ended still hangs there */
        st = kb_keyring_failed(at->cache, err);
    }
    return st == KB_OK ? make_index(at, err) : st;
}
