/* What a login reads from a cache. */
#include "mech/login/cache.h"

#include <time.h>

#include "mech/login/auto.h"
#include "mech/login/clock.h"
#include "mech/login/identity_own.h"
#include "mech/protocol/kdcrep.h"
#include "mech/report/old.h"

#define UNSUPPORTED_ENCRYPTION_TYPE 954 /* component-reference.txt */

#define READER_TURN_MS 2
#define READER_PATIENCE_MS 100 /* with another thread: its program's callback may hold it up */

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- is it as we know it? --- */

enum look { GLANCE /* not in a tight loop */, LOOK, LOOK_CLOSELY /* before a KDC is asked */ };

static bool looks_as_known(struct kb_identity *identity, bool *out_known, enum look how)
{
    struct kb_cc_stamp stamp, now;
    int64_t us = now_us();
    bool look;

    kb_identity_lock();
    *out_known = identity->cache_known;
    stamp = identity->cache_stamp;
    look = how != GLANCE || us - identity->cache_looked_us >= KB_LOOK_US;
    identity->cache_looked_us = look ? us : identity->cache_looked_us;
    kb_identity_unlock();
    if (!*out_known || !look) {
        return *out_known;
    }
    now = how == LOOK_CLOSELY ? kb_ccache_look_closely(identity->cache)
                              : kb_ccache_look(identity->cache);
    return kb_cc_same_stamp(&stamp, &now);
}

bool kb_cache_looks_same(struct kb_identity *identity, const struct kb_options *options)
{
    bool known;

    return (!identity->cache_is_default || kb_cache_is_still_default(identity, options)) &&
           looks_as_known(identity, &known, LOOK);
}

bool kb_cache_is_current(struct kb_identity *identity)
{
    bool known;

    return identity->cache == NULL || identity->cache_write_only ||
           looks_as_known(identity, &known, GLANCE);
}

/* --- reading --- */

struct kb_cc_contents *kb_cache_known(struct kb_identity *identity, struct kb_cc_stamp *out_stamp)
{
    struct kb_cc_contents *contents;

    kb_identity_lock();
    contents = identity->cached != NULL ? kb_cc_contents_ref(identity->cached) : NULL;
    *out_stamp = identity->cache_stamp;
    kb_identity_unlock();
    return contents;
}

/* What may be taken from it. */
static struct kb_cc_contents *contents_of(struct kb_identity *identity)
{
    struct kb_cc_stamp stamp;

    return identity->cache_write_only ? NULL : kb_cache_known(identity, &stamp);
}

static struct kb_cc_wanted wanted(const struct kb_work *work, const struct kb_principal *server)
{
    const struct kb_options *options = work->login->options;

    return (struct kb_cc_wanted){.server = server,
                                 .etypes = options->ticket_types.items,
                                 .num_etypes = options->ticket_types.num,
                                 .now = kb_clock_now(),
                                 .min_life = options->min_lifetime};
}

/* KB_NOT_FOUND too for one that was refused. */
static enum kb_status find(struct kb_work *work, const struct kb_cc_wanted *what,
                           struct kb_credential **out, int64_t *out_expired)
{
    struct kb_identity *identity = work->identity;
    struct kb_cc_contents *contents = contents_of(identity);
    enum kb_status st = KB_NOT_FOUND;

    *out = NULL;
    *out_expired = 0;
    if (contents != NULL) {
        st = kb_cc_find(contents, what, out, out_expired);
        kb_cc_contents_put(contents);
    }
    kb_identity_lock();
    for (size_t i = 0; st == KB_OK && i < KB_CACHE_REFUSED; i++) {
        if (identity->refused[i] != NULL &&
            kb_equal(identity->refused[i]->ticket, (*out)->ticket)) {
            st = KB_NOT_FOUND;
        }
    }
    kb_identity_unlock();
    if (st != KB_OK) {
        kb_credential_free(*out);
        *out = NULL;
    }
    return st;
}

/* Which TGT a cache is begun with: that of its owner's realm. */
static struct kb_principal *tgs_of(struct kb_identity *identity)
{
    struct kb_cc_contents *contents = contents_of(identity);
    const struct kb_principal *owner =
        contents != NULL ? kb_cc_owner(contents) : kb_identity_principal(identity);
    struct kb_principal *tgs = kb_principal_tgs(owner->realm, owner->realm);

    kb_cc_contents_put(contents);
    return tgs;
}

/* The TGT in the cache, if it has `min_life` seconds left. */
static enum kb_status find_tgt(struct kb_work *work, int64_t min_life, struct kb_credential **out,
                               int64_t *out_expired)
{
    struct kb_principal *server = tgs_of(work->identity);
    struct kb_cc_wanted what = wanted(work, server);
    const struct kb_options *options = work->login->options;
    enum kb_status st;

    *out = NULL;
    if (server == NULL) {
        return KB_NO_MEMORY;
    }
    what.min_life = min_life;
    what.etypes = options->encryption_types.items; /* those of the AS exchange */
    what.num_etypes = options->encryption_types.num;
    st = find(work, &what, out, out_expired);
    kb_principal_free(server);
    return st;
}

/* Somebody logged in or out: what was obtained with another TGT is not for whoever comes now. */
static void drop_what_differs(struct kb_work *work)
{
    struct kb_shared *shared = kb_identity_shared(work->identity);
    struct kb_credential *ours = kb_shared_find(shared, KB_SHARED_TGT, 0, INT64_MIN / 2), *theirs;
    int64_t expired;
    bool same;

    (void)!find_tgt(work, INT64_MIN / 2, &theirs, &expired);
    same = ours != NULL && theirs != NULL ? kb_equal(ours->ticket, theirs->ticket) : ours == theirs;
    if (!same) {
        kb_shared_clear(shared);
    }
    kb_credential_free(ours);
    kb_credential_free(theirs);
}

/* Takes over `contents`, unless another thread has read or written the cache since `changes`: what
 * it saw is newer. */
static void take_contents(struct kb_work *work, unsigned changes, struct kb_cc_contents *contents,
                          const struct kb_cc_stamp *stamp)
{
    struct kb_identity *identity = work->identity;
    struct kb_cc_contents *old = contents;
    int64_t offset = 0;
    /* Before it is the identity's: from then on another thread may replace it. */
    bool has_offset = contents != NULL && kb_cc_clock_offset(contents, &offset);
    bool newest, same;

    kb_identity_lock();
    newest = identity->cache_changes == changes;
    same = identity->cache_known && kb_cc_same_stamp(&identity->cache_stamp, stamp);
    if (newest) {
        old = identity->cached;
        identity->cached = contents;
        identity->cache_stamp = *stamp;
        identity->cache_known = true;
        identity->cache_looked_us = now_us();
        identity->cache_changes++;
    }
    kb_identity_unlock();
    kb_cc_contents_put(old);
    if (!newest || same || (contents != NULL && identity->cache_write_only)) {
        return;
    }
    if (has_offset) {
        kb_realm_clock_set(identity->clock, offset, false);
        work->policy.clock_offset = kb_identity_clock_offset(identity);
    }
    if (contents != NULL || stamp->words[0] == 0) { /* else it cannot be read, or is not to be */
        drop_what_differs(work);
    }
}

/* Where the KDC may call the user by another name, only its reply tells whose the cache is. */
static bool may_be_renamed(const struct kb_options *options)
{
    return options->canonicalize || options->name_type == KB_NAME_ENTERPRISE;
}

static bool is_known_as(const struct kb_identity *identity, const struct kb_principal *owner)
{
    const struct kb_principal *client = kb_login_client(identity);
    bool same = client != NULL && kb_principal_equal(client, owner);

    kb_principal_free(client);
    return same;
}

/* *out_stamp is what belongs to what it finds, also if that is nothing. */
static enum kb_status load(struct kb_work *work, struct kb_cc_contents **out,
                           struct kb_cc_stamp *out_stamp, struct kb_error *err)
{
    struct kb_identity *identity = work->identity;
    struct kb_cc_stamp stamp, before = kb_ccache_look(identity->cache);
    struct kb_cc_contents *known = kb_cache_known(identity, &stamp);
    enum kb_status st = kb_ccache_reload(identity->cache, known, work->wait, out, err);

    kb_cc_contents_put(known);
    *out_stamp =
        st == KB_OK ? *kb_cc_stamp_of(*out) : kb_ccache_stamp_without(identity->cache, st, &before);
    if (st == KB_OK &&
        kb_cc_check_owner(identity->cache, kb_cc_owner(*out), identity->client, err) != KB_OK) {
        if (is_known_as(identity, kb_cc_owner(*out))) {
            *err = (struct kb_error){0};
            return KB_OK;
        }
        kb_cc_contents_put(*out);
        *out = NULL;
        st = KB_ERROR;
        if (may_be_renamed(work->login->options) && kb_identity_has_secret(identity)) {
            *err = (struct kb_error){0};
            st = KB_NOT_FOUND;
        }
    }
    return st;
}

/* What cannot be read is gone without, if there is a secret; somebody else's is an error. `told`:
 * this is nothing new. */
static enum kb_status cannot_read(struct kb_work *work, bool told, struct kb_error *err)
{
    const struct kb_options *options = work->login->options;
    char buf[256];

    if (kb_identity_has_secret(work->identity) && err->code == KB_E_CCACHE) {
        if (!told) {
            kb_event_cache_not_read(work->env.events, err->text);
        }
        *err = (struct kb_error){0};
        return KB_NOT_FOUND;
    }
    if (err->code == KB_E_CCACHE || err->code == KB_E_CCACHE_OWNER) {
        kb_error_context(err, "%s", kb_origin_text(&options->ccache_from, buf, sizeof(buf)));
    }
    return KB_ERROR;
}

/* --- one thread reads, the others take what it brings --- */

static bool begin_reading(struct kb_identity *identity)
{
    int64_t now_ms = kb_now_ms();
    bool mine;

    kb_identity_lock();
    mine = identity->cache_reading_ms == 0 ||
           now_ms - identity->cache_reading_ms >= READER_PATIENCE_MS;
    if (mine) {
        identity->cache_reading_ms = now_ms;
    }
    kb_identity_unlock();
    return mine;
}

static void end_reading(struct kb_identity *identity)
{
    kb_identity_lock();
    identity->cache_reading_ms = 0;
    kb_identity_unlock();
}

/* KB_NOT_FOUND: this thread reads. */
static enum kb_status await_reader(struct kb_work *work, struct kb_error *err)
{
    int64_t start_ms = kb_now_ms();
    bool known;

    while (!begin_reading(work->identity)) {
        struct pollfd fds[KB_WAIT_FDS];
        int ready;
        enum kb_status st = kb_wait_poll(work->wait, fds, 0, kb_now_ms() + READER_TURN_MS, &ready);

        if (st != KB_OK) {
            return kb_work_gave_up(work->wait, st, start_ms,
                                   "for another thread that reads the credentials cache", err);
        }
        if (looks_as_known(work->identity, &known, LOOK_CLOSELY)) {
            return KB_OK;
        }
    }
    return KB_NOT_FOUND;
}

static enum kb_status read_again(struct kb_work *work, struct kb_error *err)
{
    struct kb_identity *identity = work->identity;
    struct kb_cc_contents *contents = NULL;
    struct kb_cc_stamp stamp, known;
    enum kb_status st;
    unsigned changes;
    bool any_known;

    kb_identity_lock();
    changes = identity->cache_changes;
    known = identity->cache_stamp;
    any_known = identity->cache_known;
    kb_identity_unlock();
    st = load(work, &contents, &stamp, err);
    if (st == KB_ERROR) {
        st = cannot_read(work, any_known && kb_cc_same_stamp(&known, &stamp), err);
    }
    if (st == KB_ERROR) {
        return st;
    }
    if (contents != NULL && identity->cache_is_auto && !kb_auto_is_bound(identity)) {
        kb_cc_contents_put(contents);
        contents = NULL;
    }
    take_contents(work, changes, contents, &stamp);
    return KB_OK;
}

enum kb_status kb_cache_refresh(struct kb_work *work, struct kb_error *err)
{
    struct kb_identity *identity = work->identity;
    enum kb_status st;
    bool known;

    if (identity->cache == NULL || looks_as_known(identity, &known, LOOK_CLOSELY)) {
        return KB_OK;
    }
    st = await_reader(work, err);
    if (st == KB_NOT_FOUND) {
        st = read_again(work, err);
        end_reading(identity);
    }
    return st;
}

static const char *time_text(int64_t seconds, char buf[40])
{
    time_t time = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&time, &tm) == NULL || strftime(buf, 40, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        buf[0] = '\0';
    }
    return buf;
}

static void name_owner(const struct kb_identity *identity, struct kb_buf *out)
{
    kb_buf_init(out, 600);
    kb_name_print(&identity->client->name, identity->client->realm, out);
}

/* The enctype of a TGT's session key that is in the cache and may not be used; 0: there is none. */
static int32_t refused_etype(struct kb_identity *identity, const kb_opt_ETYPES *allowed)
{
    struct kb_cc_contents *contents = contents_of(identity);
    struct kb_cc_ticket ticket;
    size_t position = 0;
    int32_t etype = 0;
    kb_bytes realm;

    while (contents != NULL && kb_cc_next(contents, &position, &ticket) == KB_OK) {
        if (kb_name_is_tgs(&ticket.server->name, &realm) &&
            kb_equal(realm, identity->client->realm) &&
            !kb_etype_allowed(allowed->items, allowed->num, ticket.etype)) {
            etype = ticket.etype;
        }
        kb_cc_ticket_wipe(&ticket);
    }
    kb_cc_contents_put(contents);
    return etype;
}

static enum kb_status wrong_etype(const struct kb_identity *identity, int32_t etype,
                                  struct kb_error *err)
{
    char buf[24];

    (void)kb_error_set(err, KB_E_CCACHE,
                       "credentials cache %s: the session key of its TGT is of %s, which "
                       "EncryptionTypes does not allow, and there is no password or keytab to "
                       "obtain another",
                       kb_ccache_name(identity->cache), kb_enctype_name(etype, buf));
    err->number = UNSUPPORTED_ENCRYPTION_TYPE;
    return KB_ERROR;
}

static enum kb_status no_tgt(const struct kb_identity *identity, int64_t expired,
                             struct kb_error *err)
{
    const char *name = kb_ccache_name(identity->cache);
    int64_t now = kb_identity_now(identity);
    struct kb_buf owner;
    enum kb_status st;
    char at[40];

    name_owner(identity, &owner);
    st =
        expired != 0
            ? kb_error_set(err, KB_E_CCACHE_EXPIRED,
                           "The tickets in %s for %s %s at %s, and there is no password or keytab "
                           "to renew them",
                           name, kb_buf_str(&owner), expired > now ? "end" : "expired",
                           time_text(expired, at))
            : kb_error_set(err, KB_E_CCACHE,
                           "credentials cache %s: it holds no TGT of %s with an allowed encryption "
                           "type, and there is no password or keytab to obtain one",
                           name, kb_buf_str(&owner));
    kb_buf_wipe(&owner);
    return st;
}

static void tell_found(struct kb_work *work, const struct kb_credential *credential)
{
    int32_t etype = kb_key_enctype(credential->session_key)->etype;
    struct kb_buf server;

    if (!kb_events_wanted(work->env.events, kb_old_is(etype) ? KB_LOG_INFO : KB_LOG_VERBOSE)) {
        return;
    }
    kb_buf_init(&server, 600);
    kb_name_print(&credential->server->name, credential->server->realm, &server);
    kb_event_cached_ticket(work->env.events, kb_buf_str(&server),
                           kb_ccache_name(work->identity->cache));
    if (!kb_name_is_tgs(&credential->server->name,
                        &(kb_bytes){0})) { /* else the TGS exchange does */
        kb_old_used(work->env.events, KB_OLD_TICKET, kb_buf_str(&server), etype);
    }
    kb_buf_wipe(&server);
}

enum kb_status kb_cache_tgt(struct kb_work *work, struct kb_credential **out, struct kb_error *err)
{
    int64_t expired;
    int32_t etype;
    enum kb_status st;

    *out = NULL;
    if (work->identity->cache == NULL) {
        return KB_NOT_FOUND;
    }
    st = find_tgt(work, work->login->options->min_lifetime, out, &expired);
    if (st == KB_OK) {
        tell_found(work, *out);
    } else if (st == KB_NO_MEMORY) {
        st = kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    } else if (!kb_identity_has_secret(work->identity)) {
        etype = expired == 0
                    ? refused_etype(work->identity, &work->login->options->encryption_types)
                    : 0;
        st = etype != 0 ? wrong_etype(work->identity, etype, err)
                        : no_tgt(work->identity, expired, err);
    }
    return st;
}

enum kb_status kb_cache_ticket(struct kb_work *work, const struct kb_principal *service,
                               bool any_realm, struct kb_credential **out)
{
    struct kb_cc_wanted what = wanted(work, service);
    int64_t expired;

    *out = NULL;
    if (work->identity->cache == NULL) {
        return KB_NOT_FOUND;
    }
    what.any_realm = any_realm;
    if (find(work, &what, out, &expired) != KB_OK) {
        return KB_NOT_FOUND;
    }
    tell_found(work, *out);
    return KB_OK;
}

/* --- how long --- */

int64_t kb_cache_lifetime(struct kb_identity *identity)
{
    struct kb_cc_contents *contents;
    struct kb_principal *tgs;
    int64_t left = 0, offset = 0;

    if (identity->cache == NULL || kb_identity_has_secret(identity)) {
        return -1;
    }
    kb_cache_read_first(identity);
    contents = contents_of(identity);
    tgs = contents != NULL ? kb_principal_tgs(identity->client->realm, identity->client->realm)
                           : NULL;
    if (tgs != NULL) {
        (void)kb_cc_clock_offset(contents, &offset);
        left = kb_cc_endtime(contents, tgs) - kb_clock_now() - offset / 1000000;
    }
    kb_principal_free(tgs);
    kb_cc_contents_put(contents);
    return left > 0 ? left : 0;
}
