#include "mech/login/realms.h"

#include "mech/login/beside.h"
#include "mech/login/cache.h"
#include "mech/login/flight.h"
#include "mech/login/refresh.h"
#include "mech/protocol/krberror.h"
#include "mech/protocol/text.h"
#include "mech/report/events.h"

/* --- what is kept --- */

struct realm_key {
    uint8_t bytes[1 + 2 * KB_TARGET_MAX];
};

/* "r" and a realm: its TGT, whatever way it came. "x", a realm, NUL and another: the flight of who
 * asks the first one's KDC for the way to the second, and for ten seconds that it knows none; the
 * TGT that comes stays under the realm that it is for. KB_NONE: a name that is too long. */
static kb_bytes key_of(struct realm_key *key, char kind, kb_bytes realm, kb_bytes other)
{
    size_t len = 1;

    if (realm.len >= KB_TARGET_MAX || other.len >= KB_TARGET_MAX || realm.len == 0) {
        return KB_NONE;
    }
    key->bytes[0] = (uint8_t)kind;
    memcpy(key->bytes + len, realm.ptr, realm.len);
    len += realm.len;
    if (other.len > 0) {
        key->bytes[len++] = 0;
        memcpy(key->bytes + len, other.ptr, other.len);
        len += other.len;
    }
    return kb_bytes_of(key->bytes, len);
}

static kb_bytes realm_of_tgt(const struct kb_credential *tgt)
{
    kb_bytes realm = KB_NONE;

    (void)kb_name_is_tgs(&tgt->server->name, &realm);
    return realm;
}

static void keep(struct kb_work *work, struct kb_credential *tgt, enum kb_flight_from from)
{
    struct realm_key bytes;
    kb_bytes key = key_of(&bytes, 'r', realm_of_tgt(tgt), KB_NONE);
    int64_t now = from == KB_FLIGHT_FETCHED ? kb_identity_now(work->identity) : INT64_MIN;

    if (key.len > 0) {
        kb_shared_put(kb_identity_shared(work->identity), key, tgt,
                      kb_refresh_at(tgt, work->login->options->min_lifetime, now));
    }
}

/* A TGT of `realm` from whatever realm, as MIT's client takes it. */
static struct kb_credential *in_cache(struct kb_work *work, kb_bytes realm)
{
    struct kb_principal *server = kb_principal_tgs(realm, realm);
    struct kb_credential *found = NULL;

    if (server != NULL && kb_cache_ticket(work, server, true, &found) == KB_OK) {
        keep(work, found, KB_FLIGHT_CACHED);
    }
    kb_principal_free(server);
    return found;
}

static struct kb_credential *find(struct kb_work *work, kb_bytes realm)
{
    struct realm_key bytes;
    kb_bytes key = key_of(&bytes, 'r', realm, KB_NONE);
    struct kb_credential *found = NULL;

    if (key.len > 0) {
        found = kb_shared_find(kb_identity_shared(work->identity), key,
                               kb_identity_now(work->identity), work->login->options->min_lifetime);
    }
    if (found == NULL) {
        found = in_cache(work, realm);
    }
    /* A ticket that is to last longer than another needs a TGT that does. */
    if (found != NULL && found->endtime <= work->later_than) {
        kb_credential_free(found);
        found = NULL;
    }
    return found;
}

void kb_realms_keep_referrals(struct kb_work *work, const struct kb_fetch *fetch)
{
    struct kb_credential *tgt;

    for (size_t i = 0; (tgt = kb_fetch_referral(fetch, i)) != NULL; i++) {
        struct kb_credential *known = in_cache(work, realm_of_tgt(tgt));

        if (known == NULL) {
            kb_cache_keep(work, tgt->server, tgt, false);
        }
        kb_credential_free(known);
        keep(work, tgt, KB_FLIGHT_FETCHED);
    }
}

void kb_realms_refused(struct kb_work *work, const struct kb_fetch *fetch,
                       const struct kb_realm_tgt *tgt)
{
    kb_credential_free(work->refused);
    work->refused = kb_credential_ref(tgt->credential);
    work->refused_kept = tgt->kept;
    work->refused_early = kb_fetch_error(fetch)->kdc_code == KB_KDC_NYV;
    work->to_drop = true;
}

bool kb_realms_drop(struct kb_work *work)
{
    struct kb_shared *shared = kb_identity_shared(work->identity);
    struct kb_credential *tgt = work->refused;
    struct realm_key bytes;
    kb_bytes realm, key;
    bool home;

    if (!work->to_drop) {
        return false;
    }
    work->to_drop = false;
    realm = realm_of_tgt(tgt);
    home = kb_equal(realm, tgt->server->realm);
    key = home ? KB_SHARED_TGT : key_of(&bytes, 'r', realm, KB_NONE);
    /* KDCs whose clocks differ would say it of each TGT that comes. */
    if (work->refused_early && !kb_shared_distrust(shared, key, tgt)) {
        return false;
    }
    kb_cache_refuse(work->identity, tgt);
    kb_shared_drop(shared, key, tgt);
    return work->refused_kept &&
           (!home || (kb_identity_has_secret(work->identity) && !work->log_in_tried));
}

/* --- one step --- */

static enum kb_status ask(struct kb_work *work, const struct kb_realm_tgt *tgt,
                          const struct kb_principal *wanted, struct kb_credential **out,
                          struct kb_error *err)
{
    struct kb_fetch_request request = {
        .client = kb_identity_principal(work->identity),
        .service = wanted,
        .tgt = tgt->credential,
        .policy = &work->policy,
    };
    struct kb_fetch *fetch = kb_work_fetch(work, &request, err);
    enum kb_status st = KB_ERROR;

    if (fetch != NULL) {
        st = kb_work_drive(work, fetch, err);
        if (st == KB_OK) {
            *out = kb_credential_ref(kb_fetch_ticket(fetch));
        } else if (kb_fetch_tgt_refused(fetch)) {
            kb_realms_refused(work, fetch, tgt);
        }
        kb_fetch_free(fetch);
    }
    return st;
}

/* As the leader among threads, and, with a cache, among processes: one of which may have brought it
 * meanwhile. */
static enum kb_status lead(struct kb_work *work, kb_bytes key, const struct kb_realm_tgt *tgt,
                           kb_bytes realm, const struct kb_principal *wanted,
                           const struct kb_credential *not_this, struct kb_credential **out,
                           struct kb_error *err)
{
    enum kb_status st = kb_beside_lead(work, key, err);

    *out = NULL;
    if (st == KB_OK) {
        *out = find(work, realm);
        if (*out != NULL && not_this != NULL && kb_equal((*out)->ticket, not_this->ticket)) {
            kb_credential_free(*out);
            *out = NULL;
        }
    }
    if (st == KB_OK && *out == NULL) {
        st = ask(work, tgt, wanted, out, err);
        if (st == KB_OK) {
            keep(work, *out, KB_FLIGHT_FETCHED);
            kb_cache_keep(work, (*out)->server, *out, false);
        }
    }
    kb_flight_leave(work->login, key, st == KB_OK ? *out : NULL, KB_FLIGHT_AS_IS, err);
    kb_shared_drop(kb_identity_shared(work->identity), key, *out);
    kb_beside_leave(work, key);
    return st;
}

/* Asks the KDC of the realm that `tgt` is for to give the TGT of `realm`, or of a nearer one.
 * `not_this`: the one that is kept and is not to be used; NULL: none. */
static enum kb_status step(struct kb_work *work, const struct kb_realm_tgt *tgt, kb_bytes realm,
                           const struct kb_credential *not_this, struct kb_realm_tgt *out,
                           struct kb_error *err)
{
    kb_bytes from = realm_of_tgt(tgt->credential);
    struct kb_principal *wanted = kb_principal_tgs(realm, from);
    struct realm_key bytes;
    kb_bytes key = key_of(&bytes, 'x', from, realm);
    enum kb_status st;

    *out = (struct kb_realm_tgt){.kept = true};
    if (key.len == 0 || wanted == NULL) {
        kb_principal_free(wanted);
        return kb_error_status(err, KB_E_TARGET, wanted == NULL ? KB_NO_MEMORY : KB_TOO_BIG,
                               "The service's realm");
    }
    st = kb_flight_enter(work->login, work->wait, key, &out->credential, err);
    if (st == KB_NOT_FOUND) {
        out->kept = false;
        st = lead(work, key, tgt, realm, wanted, not_this, &out->credential, err);
    }
    kb_principal_free(wanted);
    return st;
}

/* --- the way --- */

struct walk {
    struct kb_work *work;
    kb_bytes to;
    bool hierarchy;
    struct kb_path path;
    size_t at; /* the realm of `tgt` on it */
    struct kb_realm_tgt tgt;
    struct kb_credential *passed[KB_REALMS_MAX]; /* TGTs that were asked with before */
    size_t num_passed;
};

static bool has_passed(const struct walk *walk, kb_bytes realm)
{
    bool passed = kb_equal(realm_of_tgt(walk->tgt.credential), realm);

    for (size_t i = 0; i < walk->num_passed && !passed; i++) {
        passed = kb_equal(realm_of_tgt(walk->passed[i]), realm);
    }
    return passed;
}

static enum kb_status refuse(const struct walk *walk, enum kb_error_code code, kb_bytes realm,
                             const char *why, struct kb_error *err)
{
    struct kb_text from, to;

    return kb_error_set(err, code, "The KDC of realm %s leads to realm %s, %s",
                        kb_text_escaped(&from, realm_of_tgt(walk->tgt.credential)),
                        kb_text_escaped(&to, realm), why);
}

static enum kb_status outside(const struct walk *walk, kb_bytes realm, struct kb_error *err)
{
    return refuse(walk, KB_E_REALM_PATH, realm,
                  "which [capaths] does not have between the user's realm and the service's", err);
}

/* Goes on with `next`, a reference to which is taken over. */
static enum kb_status advance(struct walk *walk, struct kb_realm_tgt *next, struct kb_error *err)
{
    const struct kb_krb5conf *conf = walk->work->login->options->krb5conf;
    kb_bytes realm = realm_of_tgt(next->credential);
    size_t position = kb_path_position(&walk->path, walk->at, realm);
    enum kb_status st = KB_OK;

    if (position == 0 && walk->path.configured) {
        st = outside(walk, realm, err);
    } else if (has_passed(walk, realm)) {
        st = refuse(walk, KB_E_KDC_REPLY, realm, "which sent us there", err);
    } else if (walk->num_passed + 1 == KB_REALMS_MAX) {
        st = refuse(walk, KB_E_KDC_REPLY, realm, "and is the tenth already", err);
    }
    if (st != KB_OK) {
        kb_credential_free(next->credential);
        return st;
    }
    walk->passed[walk->num_passed++] = walk->tgt.credential;
    walk->tgt = *next;
    walk->at = position;
    if (position == 0) { /* it knows a way that we do not: from here, then */
        kb_path_find(&walk->path, conf, realm, walk->to, true);
        walk->path.configured = false;
    }
    return KB_OK;
}

/* What a KDC says that does not lead to the realm that it was asked for, and may lead to a nearer
 * one. */
static bool leads_nowhere(const struct kb_error *err)
{
    switch (err->code) {
    case KB_E_SERVICE_UNKNOWN:
    case KB_E_NO_ENCTYPE: /* a key that is too old for us */
    case KB_E_POLICY:
        return true;
    default:
        return false;
    }
}

static enum kb_status no_way(const struct walk *walk, const struct kb_error *first,
                             struct kb_error *err)
{
    struct kb_text from, to;

    *err = (struct kb_error){.kdc_code = first->kdc_code, .ntstatus = first->ntstatus};
    return kb_error_set(err, first->code == KB_E_SERVICE_UNKNOWN ? KB_E_NO_WAY : first->code,
                        "The KDC of realm %s knows no way to realm %s (%s)",
                        kb_text_escaped(&from, realm_of_tgt(walk->tgt.credential)),
                        kb_text_escaped(&to, walk->to), first->text);
}

/* Did it come by realms that [capaths] allows? Each TGT on the way names the realm before; one that
 * is not there (MIT's client does not keep all) tells nothing. */
static bool came_by_the_path(const struct walk *walk, struct kb_credential *tgt)
{
    kb_bytes home = walk->path.realms[0];
    struct kb_credential *at = kb_credential_ref(tgt), *before;
    bool good = true;

    for (int i = 0; good && at != NULL && i < KB_REALMS_MAX; i++) {
        kb_bytes from = at->server->realm;

        good = kb_equal(from, home) || kb_path_position(&walk->path, 0, from) != 0;
        before = good && !kb_equal(from, home) ? find(walk->work, from) : NULL;
        kb_credential_free(at);
        at = before;
    }
    kb_credential_free(at);
    return good;
}

/* One that is kept, and may be used on this way; refreshed where it is due. *out_other: one that is
 * kept and may not. */
static struct kb_credential *find_on_the_way(const struct walk *walk, kb_bytes realm,
                                             struct kb_credential **out_other)
{
    struct kb_work *work = walk->work;
    struct kb_credential *found = find(work, realm);
    struct realm_key bytes;
    kb_bytes key = key_of(&bytes, 'r', realm, KB_NONE);

    if (found != NULL && key.len > 0) {
        kb_refresh_realm(work, key, realm, walk->hierarchy, &found);
    }
    if (found != NULL && walk->path.configured && !came_by_the_path(walk, found)) {
        *out_other = found;
        found = NULL;
    }
    return found;
}

/* From the realm that we are in as far as its KDC leads: to the service's, else to the one on the
 * path that is nearest to that. */
static enum kb_status go_on(struct walk *walk, struct kb_error *err)
{
    struct kb_error first = {0};

    for (size_t next = walk->path.num - 1; next > walk->at; next--) {
        struct kb_credential *other = NULL;
        struct kb_realm_tgt found = {find_on_the_way(walk, walk->path.realms[next], &other), true};
        enum kb_status st = KB_OK;

        *err = (struct kb_error){0};
        if (found.credential == NULL) {
            st = step(walk->work, &walk->tgt, walk->path.realms[next], other, &found, err);
        }
        kb_credential_free(other);
        if (st == KB_OK) {
            return advance(walk, &found, err);
        }
        if (!leads_nowhere(err)) {
            return st;
        }
        (void)kb_error_copy(&first, err);
    }
    return no_way(walk, &first, err);
}

static enum kb_status walk_to(struct kb_work *work, const struct kb_realm_tgt *home, kb_bytes realm,
                              bool hierarchy, struct kb_realm_tgt *out, struct kb_error *err)
{
    struct walk walk = {.work = work, .to = realm, .hierarchy = hierarchy, .tgt = *home};
    enum kb_status st = KB_OK;

    (void)kb_credential_ref(home->credential);
    kb_path_find(&walk.path, work->login->options->krb5conf, realm_of_tgt(home->credential), realm,
                 hierarchy);
    while (st == KB_OK && !kb_equal(realm_of_tgt(walk.tgt.credential), realm)) {
        st = go_on(&walk, err);
    }
    for (size_t i = 0; i < walk.num_passed; i++) {
        kb_credential_free(walk.passed[i]);
    }
    if (st == KB_OK) {
        *out = walk.tgt;
    } else {
        kb_credential_free(walk.tgt.credential);
    }
    return st;
}

enum kb_status kb_realms_tgt(struct kb_work *work, kb_bytes realm, bool hierarchy,
                             struct kb_realm_tgt *out, struct kb_error *err)
{
    struct kb_realm_tgt home = {0};
    enum kb_status st = kb_work_tgt(work, &home.credential, err);

    *out = (struct kb_realm_tgt){0};
    if (st != KB_OK) {
        return st;
    }
    home.kept = home.credential != work->tgt;
    if (realm.len == 0 || kb_equal(realm, realm_of_tgt(home.credential))) {
        *out = home;
        return KB_OK;
    }
    st = walk_to(work, &home, realm, hierarchy, out, err);
    kb_credential_free(home.credential);
    return st;
}

/* --- the way that was walked --- */

/* Of the realms before the one that we began in, its TGT names the last. */
enum kb_status kb_realms_check(struct kb_work *work, const struct kb_fetch *fetch,
                               const struct kb_credential *tgt, const struct kb_credential *ticket,
                               struct kb_error *err)
{
    kb_bytes home = ticket->client->realm, to = ticket->server->realm, realm;
    const struct kb_credential *next = tgt;
    struct kb_text name, through;
    struct kb_path path;

    if (kb_equal(home, to)) {
        return KB_OK;
    }
    kb_path_find(&path, work->login->options->krb5conf, home, to, false);
    for (size_t i = 0; path.configured && next != NULL; i++) {
        realm = next->server->realm;
        if (!kb_equal(realm, home) && kb_path_position(&path, 0, realm) == 0) {
            return kb_error_set(
                err, KB_E_REALM_PATH,
                "%s: the KDCs led to it through realm %s, which [capaths] does not have between "
                "the user's realm and the service's",
                kb_text_principal(&name, ticket->server), kb_text_escaped(&through, realm));
        }
        next = kb_fetch_referral(fetch, i);
    }
    return KB_OK;
}
