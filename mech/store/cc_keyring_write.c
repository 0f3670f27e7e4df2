/* What is written to KEYRING: caches, and taken out of them. */
#include <errno.h>
#include <sys/random.h>

#include "mech/store/cc_keyring.h"

#define MAX_TRIES 20 /* to write to what others begin anew or remove meanwhile */
#define NAME_MAX_LEN 4096
#define QUOTA_TRIES 2 /* keys that were removed are still counted for a moment */
#define QUOTA_MS 10
#define TOO_LARGE 32767 /* bytes that keys of type user hold */

/* Is it the one that programs older than collections see? They know no offsets and no other types
 * of keys. */
static bool is_for_old_programs(const struct kb_keyring_name *name, const char *subsidiary)
{
    return name->anchor == KB_KEYRING_LEGACY && kb_equal(kb_str(subsidiary), name->collection);
}

/* --- keys --- */

/* A key in the making: where, and how long it is good. */
struct made {
    kb_key_serial key;
    const char *type;
};

static enum kb_status failed_adding(const struct kb_ccache *cache, size_t len, struct kb_error *err)
{
    if (errno == EINVAL && len > TOO_LARGE) {
        return kb_error_set(
            err, KB_E_CCACHE,
            "credentials cache %s: the ticket has %zu bytes, and a key here holds "
            "%d (larger ones need a kernel with CONFIG_BIG_KEYS, and another anchor "
            "than legacy); use CredentialsCacheFile=auto, FILE: or DIR:",
            cache->shown, len, TOO_LARGE);
    }
    return kb_keyring_failed(cache, err);
}

/* Tickets are large and the quota is small: big_key pages count for little in it. */
static enum kb_status add_ticket(const struct kb_keyring *at, const char *name, kb_bytes record,
                                 kb_key_serial scratch, struct made *out, struct kb_error *err)
{
    out->key = -1;
    if (at->name.anchor != KB_KEYRING_LEGACY) {
        out->type = "big_key";
        out->key = kb_key_add(out->type, name, record, scratch);
    } else {
        errno = EINVAL;
    }
    if (out->key < 0 && (errno == EINVAL || errno == ENODEV)) {
        out->type = "user";
        out->key = kb_key_add(out->type, name, record, scratch);
    }
    return out->key > 0 ? KB_OK : failed_adding(at->cache, record.len, err);
}

static void end_with(kb_key_serial key, int64_t endtime, int64_t now)
{
    if (endtime > now) {
        (void)kb_key_set_timeout(key, endtime - now < UINT32_MAX ? (uint32_t)(endtime - now)
                                                                 : UINT32_MAX);
    }
}

/* By the KDC's clock. */
static int64_t now_of(const struct kb_cc_store *what, const struct kb_cc_contents *contents)
{
    int64_t offset =
        contents != NULL && !what->fresh ? contents->offset : what->credential->clock_offset;

    return what->now + offset / 1000000;
}

static void name_ticket(const struct kb_principal *server, struct kb_buf *out)
{
    kb_principal_unparse(server, out);
    if (server->realm.len == 0) {
        kb_buf_add_str(out, "@"); /* as krb5_unparse_name writes it */
    }
}

static enum kb_status make_ticket(const struct kb_keyring *at, const struct kb_cc_store *what,
                                  int64_t now, kb_key_serial scratch, struct kb_buf *out_name,
                                  struct made *out, struct kb_error *err)
{
    struct kb_buf record;
    enum kb_status st;

    kb_buf_init(out_name, NAME_MAX_LEN);
    kb_buf_init(&record, KB_CC_MAX);
    name_ticket(what->server, out_name);
    kb_cc_put_entry(&record, what);
    st = out_name->status != KB_OK ? out_name->status : record.status;
    if (st == KB_OK) {
        st = add_ticket(at, kb_buf_str(out_name), kb_buf_bytes(&record), scratch, out, err);
    } else {
        st = kb_cc_explain(at->cache, st, err);
    }
    if (st == KB_OK) {
        end_with(out->key, what->credential->endtime, now);
    }
    kb_buf_wipe(&record);
    return st;
}

static enum kb_status make_offsets(const struct kb_keyring *at, int64_t offset,
                                   kb_key_serial scratch, kb_key_serial *out, struct kb_error *err)
{
    int64_t seconds = offset / 1000000, rest = offset % 1000000;
    uint8_t payload[8];

    kb_put_u32be(payload, (uint32_t)(int32_t)(rest < 0 ? seconds - 1 : seconds));
    kb_put_u32be(payload + 4, (uint32_t)(rest < 0 ? rest + 1000000 : rest));
    *out = kb_key_add("user", KB_KEYRING_OFFSETS, kb_bytes_of(payload, sizeof(payload)), scratch);
    return *out > 0 ? KB_OK : kb_keyring_failed(at->cache, err);
}

static enum kb_status make_owner(const struct kb_keyring *at, const struct kb_principal *owner,
                                 kb_key_serial ring, struct kb_error *err)
{
    enum kb_status st;
    struct kb_buf buf;

    kb_buf_init(&buf, KB_CC_MAX);
    kb_cc_put_principal(&buf, owner);
    st = buf.status != KB_OK ? kb_cc_explain(at->cache, buf.status, err) : KB_OK;
    if (st == KB_OK && kb_key_add("user", KB_KEYRING_OWNER, kb_buf_bytes(&buf), ring) < 0) {
        st = kb_keyring_failed(at->cache, err);
    }
    kb_buf_wipe(&buf);
    return st;
}

/* --- a ticket more --- */

static int64_t last_endtime(const struct kb_cc_contents *contents)
{
    int64_t last = 0;

    for (size_t i = 0; i < contents->num; i++) {
        const struct kb_cc_record *record = kb_cc_record_at(contents, i);

        if (record->kind == KB_CC_TICKET && record->endtime > last) {
            last = record->endtime;
        }
    }
    return last;
}

/* What the cache holds: as it is known, if nobody wrote to it. */
static enum kb_status contents_of(const struct kb_keyring *at, const struct kb_cc_store *what,
                                  struct kb_cc_contents **out, struct kb_cc_stamp *out_stamp,
                                  struct kb_error *err)
{
    enum kb_status st;

    if (what->known != NULL && kb_keyring_stamp(at, out_stamp) &&
        kb_cc_same_stamp(out_stamp, &what->known_stamp)) {
        *out = kb_cc_contents_ref(what->known);
        return KB_OK;
    }
    st = kb_keyring_contents(at, out, err);
    if (st == KB_OK) {
        *out_stamp = *kb_cc_stamp_of(*out);
    }
    return st;
}

/* Did it stay his while the ticket was put in? Else it is taken out again. */
static bool stayed_his(const struct kb_keyring *at, const struct kb_cc_store *what,
                       kb_key_serial key)
{
    struct kb_principal *owner;
    enum kb_status st = kb_keyring_owner(at->ring, &owner);
    bool his = st == KB_NO_MEMORY || /* as it was a moment ago */
               (st == KB_OK && kb_principal_equal(owner, what->owner));

    kb_principal_free(owner);
    if (!his) {
        (void)kb_key_unlink(key, at->ring);
    }
    return his;
}

/* What was removed can still be there for a moment, out of reach. */
static bool is_gone(const struct kb_keyring *at)
{
    return errno == ENOKEY || errno == EKEYREVOKED || errno == EKEYEXPIRED ||
           (errno == EACCES && kb_key_read(at->ring, NULL, 0) < 0);
}

/* KB_NOT_FOUND: the cache is not there any more. */
static enum kb_status put(const struct kb_keyring *at, kb_key_serial key, struct kb_error *err)
{
    if (kb_key_link(key, at->ring) == 0) {
        return KB_OK;
    }
    return is_gone(at) ? KB_NOT_FOUND : kb_keyring_failed(at->cache, err);
}

static bool has_offsets(const struct kb_keyring *at)
{
    return at->name.anchor != KB_KEYRING_LEGACY ||
           kb_key_search(at->ring, "user", KB_KEYRING_OFFSETS, 0) > 0;
}

static enum kb_status put_ticket(const struct kb_keyring *at, const struct kb_cc_contents *contents,
                                 const struct kb_cc_store *what, kb_key_serial scratch,
                                 struct kb_cc_stamp *stamp, struct kb_error *err)
{
    int64_t now = now_of(what, contents), last = last_endtime(contents);
    kb_key_serial offsets = 0, old;
    struct kb_buf name;
    struct made made;
    enum kb_status st = make_ticket(at, what, now, scratch, &name, &made, err);

    if (st == KB_OK && what->fresh && has_offsets(at)) {
        st = make_offsets(at, what->credential->clock_offset, scratch, &offsets, err);
    }
    if (st == KB_OK && offsets > 0) {
        st = put(at, offsets, err);
    }
    if (st == KB_OK) {
        old = kb_key_search(at->ring, made.type, kb_buf_str(&name), 0);
        *stamp = kb_keyring_stamp_with(stamp, old, made.key);
        st = put(at, made.key, err);
    }
    if (st == KB_OK) {
        end_with(at->ring, what->credential->endtime > last ? what->credential->endtime : last,
                 now);
        st = stayed_his(at, what, made.key) ? KB_OK : KB_NOT_FOUND;
    }
    kb_buf_wipe(&name);
    return st;
}

/* KB_NOT_FOUND: look for the cache again. */
static enum kb_status store_into(const struct kb_keyring *at, const struct kb_cc_store *what,
                                 struct kb_cc_stamp *out_stamp, struct kb_error *err)
{
    struct kb_cc_contents *contents = NULL;
    struct kb_cc_stamp expected, now;
    kb_key_serial scratch = 0;
    enum kb_status st = contents_of(at, what, &contents, &expected, err);

    if (st == KB_OK) {
        st = kb_cc_check_owner(at->cache, contents->owner, what->owner, err);
    }
    if (st == KB_OK) {
        st = kb_keyring_scratch(at->cache, &scratch, err);
    }
    if (st == KB_OK) {
        st = put_ticket(at, contents, what, scratch, &expected, err);
    }
    if (st == KB_OK && contents == what->known && !what->fresh && kb_keyring_stamp(at, &now) &&
        kb_cc_same_stamp(&expected, &now)) {
        *out_stamp = now;
    }
    kb_keyring_scratch_close(scratch);
    kb_cc_contents_put(contents);
    return st;
}

/* --- a new cache --- */

static enum kb_status random_name(const struct kb_ccache *cache, struct kb_buf *out,
                                  struct kb_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint8_t bytes[7]; /* as many as MIT has */

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        return kb_keyring_failed(cache, err);
    }
    kb_buf_add_str(out, "krb_ccache_");
    for (size_t i = 0; i < sizeof(bytes); i++) {
        kb_buf_add(out, kb_bytes_of(&letters[bytes[i] % (sizeof(letters) - 1)], 1));
    }
    return out->status == KB_OK ? KB_OK : kb_cc_explain(cache, out->status, err);
}

/* Where a new cache goes: by its name; in a collection to where the primary one is meant to be, if
 * nobody's is there, as MIT's kinit does; else beside it. *out_over: something dead is there.
 * KB_NOT_FOUND: another process has put his there meanwhile. */
static enum kb_status new_name(struct kb_keyring *at, const struct kb_principal *owner,
                               struct kb_buf *out, bool *out_over, struct kb_error *err)
{
    enum kb_status st = KB_OK;
    kb_key_serial there = 0;

    if (at->name.is_one) {
        kb_buf_add(out, at->name.subsidiary);
        st = out->status == KB_OK ? KB_OK : kb_cc_explain(at->cache, out->status, err);
    } else {
        st = kb_keyring_primary(at, out, err);
    }
    if (st == KB_OK) {
        st = kb_keyring_named(at, kb_buf_str(out), &there, err);
    }
    *out_over = there < 0;
    if (st == KB_NOT_FOUND) {
        return KB_OK;
    }
    if (st == KB_OK && !at->name.is_one) {
        st = kb_keyring_check_his(at, there, owner, err);
        if (st == KB_NOT_FOUND) {
            kb_buf_wipe(out);
            kb_buf_init(out, NAME_MAX_LEN);
            return random_name(at->cache, out, err);
        }
    }
    return st == KB_OK ? KB_NOT_FOUND : st;
}

static enum kb_status fill(const struct kb_keyring *at, const struct kb_cc_store *what,
                           bool for_old_programs, kb_key_serial ring, struct kb_error *err)
{
    int64_t now = now_of(what, NULL);
    kb_key_serial offsets;
    struct kb_buf name = {0};
    struct made made;
    enum kb_status st = make_owner(at, what->owner, ring, err);

    if (st == KB_OK && !for_old_programs) {
        st = make_offsets(at, what->credential->clock_offset, ring, &offsets, err);
    }
    if (st == KB_OK) {
        st = make_ticket(at, what, now, ring, &name, &made, err);
    }
    if (st == KB_OK) {
        end_with(ring, what->credential->endtime, now);
    }
    kb_buf_wipe(&name);
    return st;
}

/* KB_NOT_FOUND: another process has put one there meanwhile. */
static enum kb_status begin_in(struct kb_keyring *at, const struct kb_cc_store *what,
                               const char *name, bool over, kb_key_serial scratch,
                               struct kb_error *err)
{
    bool for_old_programs = is_for_old_programs(&at->name, name);
    kb_key_serial ring = kb_key_add("keyring", name, KB_NONE, scratch);
    enum kb_status st =
        ring > 0 ? fill(at, what, for_old_programs, ring, err) : kb_keyring_failed(at->cache, err);

    if (st == KB_OK && over) {
        st = kb_key_link(ring, at->collection) == 0 ? KB_OK : kb_keyring_failed(at->cache, err);
    } else if (st == KB_OK) {
        st = kb_keyring_put_new(at->cache, ring, scratch, at->collection, err);
    }
    if (st == KB_OK && for_old_programs) {
        (void)kb_key_link(ring, kb_keyring_session()); /* else only newer programs see it */
    }
    return st;
}

static enum kb_status begin(struct kb_keyring *at, const struct kb_cc_store *what,
                            struct kb_error *err)
{
    enum kb_status st = kb_keyring_make_collection(at, err);
    kb_key_serial scratch = 0;
    struct kb_buf name;
    bool over = false;

    kb_buf_init(&name, NAME_MAX_LEN);
    if (st == KB_OK) {
        st = new_name(at, what->owner, &name, &over, err);
    }
    if (st == KB_OK) {
        st = kb_keyring_scratch(at->cache, &scratch, err);
    }
    if (st == KB_OK) {
        st = begin_in(at, what, kb_buf_str(&name), over, scratch, err);
    }
    kb_keyring_scratch_close(scratch);
    kb_buf_wipe(&name);
    return st;
}

/* False: do not try again. */
static bool wait_for_quota(struct kb_wait *wait, struct kb_error *err, unsigned *tries)
{
    struct pollfd fds[KB_WAIT_FDS];
    int ready;

    if (err->sys_errno != EDQUOT || (*tries)++ >= QUOTA_TRIES ||
        kb_wait_poll(wait, fds, 0, kb_now_ms() + QUOTA_MS, &ready) != KB_OK) {
        return false;
    }
    *err = (struct kb_error){0};
    return true;
}

enum kb_status kb_keyring_store(const struct kb_ccache *cache, const struct kb_cc_store *what,
                                struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                                struct kb_error *err)
{
    unsigned quota_tries = 0;

    for (unsigned i = 0; i < MAX_TRIES; i++) {
        struct kb_keyring at;
        enum kb_status st = kb_keyring_find(cache, what->owner, &at, err);

        if (st == KB_OK) {
            st = store_into(&at, what, out_stamp, err);
        } else if (st == KB_NOT_FOUND && what->fresh) {
            st = begin(&at, what, err);
        } else {
            return st;
        }
        if (st != KB_NOT_FOUND && !(st == KB_ERROR && wait_for_quota(wait, err, &quota_tries))) {
            return st;
        }
    }
    return kb_error_set(err, KB_E_CCACHE, "credentials cache %s: others replace it all the time",
                        cache->shown);
}

/* --- removing --- */

static enum kb_status destroy(const struct kb_keyring *at, const struct kb_cc_contents *old,
                              size_t *out_num, struct kb_error *err)
{
    size_t num = 0;

    for (size_t i = 0; i < old->num; i++) {
        num += kb_cc_record_at(old, i)->kind == KB_CC_TICKET;
    }
    if (kb_key_clear(at->ring) != 0 && !is_gone(at)) {
        return kb_keyring_failed(at->cache, err);
    }
    if (at->collection > 0) {
        (void)kb_key_unlink(at->ring, at->collection); /* an empty one is nobody's cache */
    }
    if (at->name.anchor == KB_KEYRING_LEGACY) {
        (void)kb_key_unlink(at->ring, kb_keyring_session()); /* ENOENT: it was not there too */
    }
    *out_num = num;
    return KB_OK;
}

static enum kb_status remove_from(const struct kb_keyring *at, const struct kb_cc_contents *old,
                                  const struct kb_principal *server, size_t *out_num,
                                  struct kb_error *err)
{
    struct kb_key_payload list = {0}, payload = {0};
    enum kb_status st = kb_key_payload_read(at->ring, &list);
    kb_key_serial key;

    for (size_t i = 0; st == KB_OK && (key = kb_key_payload_serial(&list, i)) != 0; i++) {
        struct kb_cc_record record;

        st = kb_keyring_record(key, &payload, &record);
        if (st == KB_OK && kb_cc_is_for(old, &record, server)) {
            if (kb_key_unlink(key, at->ring) == 0) {
                *out_num += 1;
            } else if (errno != ENOENT && errno != ENOKEY) {
                st = kb_keyring_failed(at->cache, err);
            }
        }
        st = st == KB_NOT_FOUND ? KB_OK : st;
    }
    kb_key_payload_wipe(&list);
    kb_key_payload_wipe(&payload);
    return st;
}

enum kb_status kb_keyring_remove(const struct kb_ccache *cache, const struct kb_principal *owner,
                                 const struct kb_principal *server, struct kb_wait *wait,
                                 size_t *out_num, struct kb_error *err)
{
    struct kb_cc_contents *old = NULL;
    struct kb_keyring at;
    enum kb_status st = kb_keyring_find(cache, owner, &at, err);

    (void)wait;
    if (st == KB_OK) {
        st = kb_keyring_contents(&at, &old, err);
    }
    if (st == KB_OK) {
        st = kb_cc_check_owner(cache, old->owner, owner, err);
    }
    if (st == KB_OK) {
        st = server != NULL ? remove_from(&at, old, server, out_num, err)
                            : destroy(&at, old, out_num, err);
    }
    kb_cc_contents_put(old);
    if (st != KB_OK && st != KB_NOT_FOUND && st != KB_ERROR) {
        st = kb_cc_explain(cache, st, err);
    }
    return st == KB_NOT_FOUND ? KB_OK : st;
}
