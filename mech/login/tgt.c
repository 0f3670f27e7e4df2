/* The TGT of a login: the AS exchange, renewal. */
#include "mech/login/addresses.h"
#include "mech/login/cache.h"
#include "mech/login/clock.h"
#include "mech/login/flight.h"
#include "mech/login/identity_own.h"
#include "mech/login/pause.h"
#include "mech/login/refresh.h"
#include "mech/login/work.h"
#include "mech/protocol/as.h"

static void learn(struct kb_work *work, const struct kb_fetch *fetch)
{
    struct kb_key_hint hint;
    int64_t offset;

    if (kb_fetch_learned(fetch, &hint)) {
        kb_identity_learn(work->identity, &hint);
    }
    if (kb_fetch_clock_offset(fetch, &offset)) {
        kb_realm_clock_set(work->identity->clock, offset, true);
        work->policy.clock_offset = offset;
    }
}

/* One line for every new TGT: who logged in, where, for how long. */
static void tell_tgt(struct kb_work *work, const struct kb_credential *tgt)
{
    struct kb_buf name;

    kb_buf_init(&name, 600);
    kb_name_print(&tgt->client->name, tgt->client->realm, &name);
    kb_event_new_tgt(work->env.events, kb_buf_str(&name), kb_net_peer(work->net),
                     kb_identity_keys(work->identity).what, (tgt->endtime - tgt->starttime) / 60);
    kb_buf_wipe(&name);
}

/* NoAddresses=False. A host that has none to tell gets a ticket without. */
static enum kb_status bind_to_addresses(struct kb_work *work, struct kb_policy *policy,
                                        struct kb_error *err)
{
    if (work->login->options->no_addresses) {
        return KB_OK;
    }
    if (kb_addresses_of_host(&work->arena, &policy->addresses) == KB_NO_MEMORY) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    if (policy->addresses.num == 0) {
        kb_event_no_addresses(work->env.events);
    }
    return KB_OK;
}

static void tell_of_identity(struct kb_work *work)
{
    const struct kb_options *options = work->login->options;

    if (options->user_note != NULL) {
        kb_event_user_read(work->env.events, options->user_note);
    }
    if (options->keytab_file != NULL && options->password != NULL) {
        kb_event_keytab_and_password(work->env.events);
    }
    if (kb_options_password_exposed(options)) {
        kb_event_password_exposed(work->env.events);
    }
}

static enum kb_status run(struct kb_work *work, const struct kb_fetch_request *request,
                          struct kb_credential **out, unsigned *out_proofs, struct kb_error *err)
{
    struct kb_fetch *fetch = kb_work_fetch(work, request, err);
    enum kb_status st;

    if (fetch == NULL) {
        return KB_ERROR;
    }
    st = kb_work_drive(work, fetch, err);
    if (st == KB_OK) {
        learn(work, fetch);
        *out = kb_credential_ref(kb_fetch_tgt(fetch));
        tell_tgt(work, *out);
    }
    *out_proofs = kb_fetch_proofs(fetch);
    kb_fetch_free(fetch);
    return st;
}

/* What a KDC may say because it does not know yet of a new principal or a changed password. */
static bool may_lag(const struct kb_error *err, unsigned proofs)
{
    switch (err->code) {
    case KB_E_CLIENT_UNKNOWN:
        return true;
    case KB_E_WRONG_PASSWORD:
    case KB_E_KEY_REFUSED:
        return proofs < KB_AS_MAX_PROOFS;
    default:
        return false;
    }
}

/* Asks a KDC, and once more the primary one. */
static enum kb_status ask(struct kb_work *work, struct kb_fetch_request *request,
                          struct kb_credential **out, struct kb_error *err)
{
    struct kb_error first;
    unsigned proofs;
    enum kb_status st = run(work, request, out, &proofs, err);

    if (st != KB_OK && may_lag(err, proofs) && kb_work_ask_primary(work, &first, err)) {
        request->primary = true;
        request->first_proof = false;
        request->proofs_made = proofs;
        st = run(work, request, out, &proofs, err);
        work->primary = st == KB_OK;
        kb_work_asked_primary(&first, err);
    }
    return st;
}

static enum kb_status fetch_tgt(struct kb_work *work, struct kb_credential **out,
                                struct kb_error *err)
{
    const struct kb_principal *client = kb_identity_principal(work->identity);
    struct kb_policy policy = work->policy;
    struct kb_fetch_request request = {
        .client = client,
        .keys = kb_identity_keys(work->identity),
        .policy = &policy,
        .hint = kb_identity_hint(work->identity, &work->hint_bytes),
    };

    request.first_proof =
        kb_net_alive(work->net, request.hint.realm.len > 0 ? request.hint.realm : client->realm);
    tell_of_identity(work);
    policy.etypes = work->as_etypes;
    policy.num_etypes = work->num_as_etypes;
    if (bind_to_addresses(work, &policy, err) != KB_OK) {
        return KB_ERROR;
    }
    return ask(work, &request, out, err);
}

/* A secret that was refused is not sent again for a while. */
static enum kb_status fetch_unless_paused(struct kb_work *work, struct kb_credential **out,
                                          struct kb_error *err)
{
    int64_t seconds = work->login->options->bad_secret_pause;

    if (kb_pause_check(work->identity, seconds, kb_now_ms(), err) != KB_OK) {
        return KB_ERROR;
    }
    if (fetch_tgt(work, out, err) != KB_OK) {
        kb_pause_after(work->identity, seconds, kb_now_ms(), err);
        return KB_ERROR;
    }
    kb_pause_end(work->identity);
    return KB_OK;
}

enum kb_status kb_work_log_in(struct kb_work *work, struct kb_credential **out,
                              struct kb_error *err)
{
    enum kb_status st = fetch_unless_paused(work, out, err);

    if (st == KB_OK) {
        /* Before anybody can have it: the tickets obtained with it are filed behind it. */
        kb_cache_keep(work, (*out)->server, *out, true);
        work->tgt = kb_credential_ref(*out);
    }
    return st;
}

/* --- renewing --- */

static void tell_renewed(struct kb_work *work, const struct kb_credential *tgt)
{
    int64_t now = kb_identity_now(work->identity);
    struct kb_buf name;

    kb_buf_init(&name, 600);
    kb_name_print(&tgt->client->name, tgt->client->realm, &name);
    kb_event_renewed_tgt(work->env.events, kb_buf_str(&name), kb_net_peer(work->net),
                         (tgt->endtime - now) / 60, (tgt->renew_till - now) / 60);
    kb_buf_wipe(&name);
}

enum kb_status kb_work_renew(struct kb_work *work, struct kb_credential *tgt,
                             struct kb_credential **out, struct kb_error *err)
{
    struct kb_policy policy = work->policy;
    struct kb_fetch_request request = {.client = tgt->client,
                                       .service = tgt->server,
                                       .tgt = tgt,
                                       .policy = &policy,
                                       .primary = work->primary,
                                       .renew = true};
    struct kb_fetch *fetch = kb_work_fetch(work, &request, err);
    enum kb_status st;

    if (fetch == NULL) {
        return KB_ERROR;
    }
    policy.etypes = work->login->options->encryption_types.items; /* those of the AS exchange */
    policy.num_etypes = work->login->options->encryption_types.num;
    st = kb_work_drive(work, fetch, err);
    if (st == KB_OK) {
        *out = kb_credential_ref(kb_fetch_ticket(fetch));
        tell_renewed(work, *out);
        kb_cache_keep(work, (*out)->server, *out, true);
    }
    kb_fetch_free(fetch);
    return st;
}

/* --- the one that is kept --- */

static enum kb_status lead(struct kb_work *work, struct kb_credential **out, struct kb_error *err)
{
    enum kb_flight_from from = KB_FLIGHT_CACHED;
    enum kb_status st = kb_beside_lead(work, KB_SHARED_TGT, err);

    if (st == KB_OK) {
        st = kb_cache_tgt(work, out, err);
    }
    if (st == KB_NOT_FOUND) {
        st = kb_work_log_in(work, out, err);
        from = KB_FLIGHT_FETCHED;
    }
    kb_flight_leave(work->login, KB_SHARED_TGT, st == KB_OK ? *out : NULL, from, err);
    kb_beside_leave(work, KB_SHARED_TGT);
    return st;
}

enum kb_status kb_work_tgt(struct kb_work *work, struct kb_credential **out, struct kb_error *err)
{
    enum kb_status st;

    if (work->tgt != NULL) {
        *out = kb_credential_ref(work->tgt);
        return KB_OK;
    }
    st = kb_flight_enter(work->login, work->wait, KB_SHARED_TGT, out, err);
    if (st == KB_NOT_FOUND) {
        st = lead(work, out, err);
    }
    if (st == KB_OK && work->tgt == NULL) {
        kb_refresh_tgt(work, out);
    }
    return st;
}
