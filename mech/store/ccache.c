#include "mech/store/ccache.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "mech/store/ccache_ops.h"

#define TICKET_CEILING (1u << 20) /* what decoding a ticket may take from the heap */
#define START_SKEW 300 /* seconds that a ticket may seem to begin later: clocks are not exact */
#define KB_TKT_INVALID 0x01000000u

static const struct kb_ccache_ops *const types[] = {
    &kb_cc_file_ops, &kb_cc_dir_ops, &kb_cc_keyring_ops, &kb_cc_kcm_ops, &kb_cc_memory_ops};

/* --- names of caches --- */

/* How many characters are the type: 0 for a path. */
static size_t type_len(const char *name)
{
    size_t len = 0;

    while (isalpha((unsigned char)name[len])) {
        len++;
    }
    return len > 1 && name[len] == ':' ? len : 0;
}

static const struct kb_ccache_ops *find_type(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (kb_equal_nocase(kb_bytes_of(name, len), kb_str(types[i]->type))) {
            return types[i];
        }
    }
    return NULL;
}

struct kb_ccache *kb_ccache_make(const struct kb_ccache_ops *ops, const char *rest,
                                 const char *shown)
{
    size_t type = strlen(ops->type), len = strlen(rest);
    struct kb_ccache *cache = calloc(1, sizeof(*cache) + type + 1 + len + 1);
    struct kb_buf buf;

    if (cache == NULL) {
        return NULL;
    }
    cache->ops = ops;
    atomic_init(&cache->refs, 1);
    memcpy(cache->name, ops->type, type);
    cache->name[type] = ':';
    memcpy(cache->name + type + 1, rest, len + 1);
    cache->rest = cache->name + type + 1;
    kb_buf_init(&buf, 65536);
    kb_buf_add_escaped(&buf, kb_str(shown != NULL ? shown : cache->name));
    cache->shown = kb_buf_take(&buf, NULL);
    cache->memo = calloc(1, sizeof(*cache->memo));
    if (cache->shown == NULL || cache->memo == NULL || !kb_ccache_set_kcm_socket(cache, NULL)) {
        kb_ccache_put(cache);
        cache = NULL;
    }
    return cache;
}

bool kb_ccache_set_kcm_socket(struct kb_ccache *cache, const char *path)
{
    if (cache->ops != &kb_cc_kcm_ops) {
        return true;
    }
    free(cache->socket);
    cache->socket = kb_strdup(kb_str(path != NULL ? path : KB_KCM_SOCKET));
    return cache->socket != NULL;
}

enum kb_status kb_ccache_new(const char *name, struct kb_ccache **out, struct kb_error *err)
{
    size_t len = type_len(name), rest_len = strlen(name) - (len > 0 ? len + 1 : 0);
    const struct kb_ccache_ops *ops = len > 0 ? find_type(name, len) : &kb_cc_file_ops;

    *out = NULL;
    if (ops == NULL) {
        return kb_error_set(
            err, KB_E_CCACHE,
            "credentials cache %.*s: caches of this type cannot be used, only FILE:, DIR:, "
            "KEYRING:, KCM: and MEMORY:",
            (int)len, name);
    }
    if (rest_len == 0 && ops != &kb_cc_keyring_ops && ops != &kb_cc_kcm_ops) {
        return kb_error_set(err, KB_E_CCACHE, "credentials cache %s: there is no name behind it",
                            ops->type);
    }
    *out = kb_ccache_make(ops, name + strlen(name) - rest_len, NULL);
    return *out != NULL ? KB_OK
                        : kb_error_set(err, KB_E_NO_MEMORY, "No memory for a credentials cache");
}

bool kb_ccache_is_shared(const char *name)
{
    size_t len = type_len(name);
    const struct kb_ccache_ops *ops = len > 0 ? find_type(name, len) : &kb_cc_file_ops;

    return ops != NULL && ops != &kb_cc_memory_ops;
}

struct kb_ccache *kb_ccache_for(struct kb_ccache *cache, const struct kb_principal *owner)
{
    struct kb_ccache *made;

    if (cache->ops->is_collection == NULL || !cache->ops->is_collection(cache->rest)) {
        return kb_ccache_ref(cache);
    }
    made = kb_ccache_make(cache->ops, cache->rest, NULL);
    if (made != NULL && !kb_ccache_set_kcm_socket(made, cache->socket)) {
        kb_ccache_put(made);
        made = NULL;
    }
    if (made != NULL) {
        made->owner = kb_principal_ref(owner);
    }
    return made;
}

struct kb_ccache *kb_ccache_ref(struct kb_ccache *cache)
{
    atomic_fetch_add_explicit(&cache->refs, 1, memory_order_relaxed);
    return cache;
}

void kb_ccache_put(struct kb_ccache *cache)
{
    if (cache != NULL && atomic_fetch_sub_explicit(&cache->refs, 1, memory_order_acq_rel) == 1) {
        kb_principal_free(cache->owner);
        if (cache->memo != NULL) {
            kb_ccache_put(cache->memo->chosen);
            kb_kcm_memo_free(cache->memo->kcm);
        }
        free(cache->memo);
        free(cache->socket);
        free(cache->shown);
        free(cache);
    }
}

const char *kb_ccache_name(const struct kb_ccache *cache)
{
    return cache->shown;
}

bool kb_ccache_beside(const struct kb_ccache *cache, struct kb_buf *out)
{
    const char *slash = strrchr(cache->rest, '/');

    if (cache->ops == &kb_cc_file_ops) {
        kb_buf_printf(out, "%s%s", cache->rest, KB_BESIDE_SUFFIX);
    } else if (cache->ops == &kb_cc_dir_ops && cache->rest[0] != ':') {
        kb_buf_printf(out, "%s/kerbside", cache->rest);
    } else if (cache->ops == &kb_cc_dir_ops && slash != NULL) {
        kb_buf_printf(out, "%.*s/kerbside", (int)(slash - cache->rest - 1), cache->rest + 1);
    }
    return out->len > 0 && out->status == KB_OK;
}

bool kb_ccache_same(const struct kb_ccache *a, const struct kb_ccache *b)
{
    return strcmp(a->name, b->name) == 0 &&
           (a->socket == NULL || b->socket == NULL || strcmp(a->socket, b->socket) == 0) &&
           (a->owner == b->owner ||
            (a->owner != NULL && b->owner != NULL && kb_principal_equal(a->owner, b->owner)));
}

bool kb_ccache_is_named(const struct kb_ccache *cache, const char *name)
{
    return strcmp(cache->name, name) == 0;
}

/* --- through the type --- */

struct kb_cc_stamp kb_ccache_look(const struct kb_ccache *cache)
{
    return cache->ops->look(cache);
}

struct kb_cc_stamp kb_ccache_look_closely(const struct kb_ccache *cache)
{
    return cache->ops->look_closely != NULL ? cache->ops->look_closely(cache)
                                            : cache->ops->look(cache);
}

struct kb_cc_stamp kb_ccache_stamp_without(const struct kb_ccache *cache, enum kb_status st,
                                           const struct kb_cc_stamp *before)
{
    struct kb_cc_stamp stamp = {{0}};

    if (!cache->ops->asked) {
        return *before;
    }
    stamp.words[0] = st == KB_NOT_FOUND ? 0 : KB_CC_STAMP_LOST;
    return stamp;
}

bool kb_cc_same_stamp(const struct kb_cc_stamp *a, const struct kb_cc_stamp *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

enum kb_status kb_ccache_load(const struct kb_ccache *cache, struct kb_wait *wait,
                              struct kb_cc_contents **out, struct kb_error *err)
{
    *out = NULL;
    return cache->ops->load(cache, wait, out, err);
}

enum kb_status kb_ccache_reload(const struct kb_ccache *cache, struct kb_cc_contents *known,
                                struct kb_wait *wait, struct kb_cc_contents **out,
                                struct kb_error *err)
{
    *out = NULL;
    return cache->ops->reload != NULL && known != NULL
               ? cache->ops->reload(cache, known, wait, out, err)
               : cache->ops->load(cache, wait, out, err);
}

enum kb_status kb_ccache_owner(const struct kb_ccache *cache, struct kb_wait *wait,
                               struct kb_principal **out, struct kb_error *err)
{
    struct kb_cc_contents *contents = NULL;
    enum kb_status st;

    *out = NULL;
    if (cache->ops->owner != NULL) {
        return cache->ops->owner(cache, wait, out, err);
    }
    st = cache->ops->load(cache, wait, &contents, err);
    if (st == KB_OK) {
        *out = kb_principal_ref(contents->owner);
        kb_cc_contents_put(contents);
    }
    return st;
}

enum kb_status kb_ccache_store(const struct kb_ccache *cache, const struct kb_cc_store *what,
                               struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                               struct kb_error *err)
{
    memset(out_stamp, 0, sizeof(*out_stamp));
    return cache->ops->store(cache, what, wait, out_stamp, err);
}

enum kb_status kb_ccache_remove(const struct kb_ccache *cache, const struct kb_principal *owner,
                                const struct kb_principal *server, struct kb_wait *wait,
                                size_t *out_num, struct kb_error *err)
{
    *out_num = 0;
    return cache->ops->remove(cache, owner, server, wait, out_num, err);
}

enum kb_status kb_cc_check_owner(const struct kb_ccache *cache, const struct kb_principal *is,
                                 const struct kb_principal *owner, struct kb_error *err)
{
    struct kb_buf theirs, ours;
    enum kb_status st;

    if (kb_principal_equal(is, owner)) {
        return KB_OK;
    }
    kb_buf_init(&theirs, 300);
    kb_buf_init(&ours, 300);
    kb_name_print(&is->name, is->realm, &theirs);
    kb_name_print(&owner->name, owner->realm, &ours);
    st = kb_error_set(err, KB_E_CCACHE_OWNER, "credentials cache %s: it belongs to %s, not to %s",
                      cache->shown, kb_buf_str(&theirs), kb_buf_str(&ours));
    kb_buf_wipe(&theirs);
    kb_buf_wipe(&ours);
    return st;
}

enum kb_status kb_cc_explain(const struct kb_ccache *cache, enum kb_status st, struct kb_error *err)
{
    if (st == KB_WRONG_TYPE) {
        return kb_error_set(err, KB_E_CCACHE, "credentials cache %s: this is no credentials cache",
                            cache->shown);
    }
    return kb_error_status(err, KB_E_CCACHE, st, "credentials cache %s", cache->shown);
}

/* --- what a cache held --- */

const struct kb_principal *kb_cc_owner(const struct kb_cc_contents *contents)
{
    return contents->owner;
}

const struct kb_cc_stamp *kb_cc_stamp_of(const struct kb_cc_contents *contents)
{
    return &contents->stamp;
}

bool kb_cc_clock_offset(const struct kb_cc_contents *contents, int64_t *out)
{
    *out = contents->offset;
    return contents->has_offset;
}

static int32_t etype_of_ticket(kb_bytes der)
{
    struct kb_arena arena;
    kb_ticket ticket;
    int32_t etype = 0;

    kb_arena_init(&arena, NULL, 0, TICKET_CEILING);
    if (kb_decode_ticket(der, &arena, &ticket, NULL) == KB_OK) {
        etype = ticket.enc_part.etype;
    }
    kb_arena_wipe(&arena);
    return etype;
}

static enum kb_status show_record(const struct kb_cc_contents *contents,
                                  const struct kb_cc_record *record, struct kb_cc_ticket *out)
{
    struct kb_principal *client = NULL, *server = NULL;
    enum kb_status st = kb_cc_name_principal(contents, &record->client, &client);

    if (st == KB_OK) {
        st = kb_cc_name_principal(contents, &record->server, &server);
    }
    *out = (struct kb_cc_ticket){
        .client = client,
        .server = server,
        .etype = record->etype,
        .ticket_etype = etype_of_ticket(record->ticket),
        .flags = record->flags,
        .authtime = record->authtime,
        .starttime = record->starttime != 0 ? record->starttime : record->authtime,
        .endtime = record->endtime,
        .renew_till = record->renew_till,
        .user_to_user = record->is_skey != 0,
        .ticket_len = record->ticket.len,
    };
    if (st != KB_OK) {
        kb_cc_ticket_wipe(out);
    }
    return st;
}

enum kb_status kb_cc_next(const struct kb_cc_contents *contents, size_t *position,
                          struct kb_cc_ticket *out)
{
    while (*position < contents->num) {
        const struct kb_cc_record *record = kb_cc_record_at(contents, (*position)++);

        if (record->kind == KB_CC_TICKET) {
            return show_record(contents, record, out);
        }
    }
    return KB_NOT_FOUND;
}

void kb_cc_ticket_wipe(struct kb_cc_ticket *ticket)
{
    kb_principal_free(ticket->client);
    kb_principal_free(ticket->server);
    *ticket = (struct kb_cc_ticket){0};
}

/* --- finding --- */

int64_t kb_cc_endtime(const struct kb_cc_contents *contents, const struct kb_principal *server)
{
    struct kb_cc_walk walk = kb_cc_walk_to(contents, server);
    const struct kb_cc_record *record;
    int64_t end = 0;

    while ((record = kb_cc_walk_on(&walk)) != NULL) {
        if (record->kind == KB_CC_TICKET && record->endtime > end &&
            kb_cc_name_is(contents, &record->server, server)) {
            end = record->endtime;
        }
    }
    return end;
}

static bool is_allowed(const struct kb_cc_wanted *wanted, int32_t etype)
{
    for (size_t i = 0; i < wanted->num_etypes; i++) {
        if (wanted->etypes[i] == etype) {
            return true;
        }
    }
    return false;
}

/* 0: not what is wanted; else the higher the better. */
static int fit(const struct kb_cc_contents *contents, const struct kb_cc_record *record,
               const struct kb_cc_wanted *wanted)
{
    kb_bytes realm = record->server.realm;

    if (record->kind != KB_CC_TICKET || record->is_skey != 0 ||
        (record->flags & KB_TKT_INVALID) != 0 || record->ticket.len == 0 ||
        !is_allowed(wanted, record->etype) ||
        !kb_cc_name_is(contents, &record->server, wanted->server) ||
        !kb_equal(record->client.realm, contents->owner->realm) ||
        !kb_cc_name_is(contents, &record->client, contents->owner)) {
        return 0;
    }
    if (kb_equal(realm, wanted->server->realm)) {
        return 3;
    }
    return realm.len == 0 ? 2 : wanted->any_realm ? 1 : 0;
}

static const struct kb_cc_record *best(const struct kb_cc_contents *contents,
                                       const struct kb_cc_wanted *wanted, int64_t *out_expired)
{
    int64_t now = wanted->now + contents->offset / 1000000;
    struct kb_cc_walk walk = kb_cc_walk_to(contents, wanted->server);
    const struct kb_cc_record *found = NULL, *record;
    int found_fit = 0;

    while ((record = kb_cc_walk_on(&walk)) != NULL) {
        int fits = fit(contents, record, wanted);

        if (fits == 0 || record->starttime > now + START_SKEW) {
            continue;
        }
        if (record->endtime - now <= wanted->min_life) {
            *out_expired = record->endtime > *out_expired ? record->endtime : *out_expired;
        } else if (fits >= found_fit) { /* the newer one stands behind the older */
            found = record;
            found_fit = fits;
        }
    }
    return found;
}

static enum kb_status make_credential(const struct kb_cc_contents *contents,
                                      const struct kb_cc_record *record, const kb_ticket *ticket,
                                      struct kb_arena *arena, struct kb_credential **out)
{
    struct kb_credential parts = {
        .client = contents->owner,
        .ticket = record->ticket,
        .flags = record->flags,
        .authtime = record->authtime,
        .starttime = record->starttime != 0 ? record->starttime : record->authtime,
        .endtime = record->endtime,
        .renew_till = record->renew_till,
        .clock_offset = contents->offset,
    };
    struct kb_principal *server = kb_principal_new(ticket->realm, &ticket->sname);
    struct kb_key *key = NULL;
    enum kb_status st = KB_NO_MEMORY;

    if (server != NULL) {
        st = kb_key_new(record->etype, record->key, &key);
    }
    if (st == KB_OK) {
        st = kb_cc_addresses(contents, record, arena, &parts.addresses);
    }
    if (st == KB_OK) {
        parts.server = server;
        parts.session_key = key;
        *out = kb_credential_new(&parts);
        st = *out != NULL ? KB_OK : KB_NO_MEMORY;
    }
    kb_key_free(key);
    kb_principal_free(server);
    return st;
}

enum kb_status kb_cc_find(const struct kb_cc_contents *contents, const struct kb_cc_wanted *wanted,
                          struct kb_credential **out, int64_t *out_expired)
{
    int64_t expired = 0;
    const struct kb_cc_record *record = best(contents, wanted, &expired);
    struct kb_arena arena;
    kb_ticket ticket;
    enum kb_status st;

    *out = NULL;
    if (out_expired != NULL) {
        *out_expired = expired;
    }
    if (record == NULL) {
        return KB_NOT_FOUND;
    }
    kb_arena_init(&arena, NULL, 0, TICKET_CEILING);
    st = kb_decode_ticket(record->ticket, &arena, &ticket, NULL);
    if (st == KB_OK) {
        st = make_credential(contents, record, &ticket, &arena, out);
    }
    kb_arena_wipe(&arena);
    return st == KB_NO_MEMORY || st == KB_OK ? st : KB_NOT_FOUND;
}
