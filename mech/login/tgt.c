/* The TGT of a login: the AS exchange, renewal. */
#include <stdio.h>

#include "mech/login/addresses.h"
#include "mech/login/cache.h"
#include "mech/login/clock.h"
#include "mech/login/flight.h"
#include "mech/login/identity_own.h"
#include "mech/login/pause.h"
#include "mech/login/refresh.h"
#include "mech/login/work.h"
#include "mech/options/krb5conf.h"
#include "mech/options/text.h"
#include "mech/protocol/as.h"
#include "mech/protocol/text.h"

static void learn(struct kb_work *work, const struct kb_fetch *fetch)
{
    struct kb_key_hint hint;
    int64_t offset;

    if (kb_fetch_learned(fetch, &hint)) {
        kb_identity_learn(work->identity, &hint);
    }
    if (kb_fetch_clock_offset(fetch, &offset)) {
        kb_realm_clock_set(work->identity->clock, offset, true);
        work->policy.clock_offset = kb_identity_clock_offset(work->identity);
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

/* krb5.conf's extra_addresses: those that a NAT has for this host. */
static bool add_extra_addresses(struct kb_work *work, kb_host_addresses *list)
{
    const struct kb_krb5conf *conf = work->login->options->krb5conf;
    enum kb_status st = KB_OK;
    struct kb_text text;
    const char *value;
    kb_bytes word;

    for (size_t i = 0; st != KB_NO_MEMORY && list->items != NULL &&
                       (value = kb_krb5conf_value(conf, "libdefaults", KB_NONE,
                                                  KB_LIT("extra_addresses"), i)) != NULL;
         i++) {
        kb_bytes rest = kb_str(value);

        while (st != KB_NO_MEMORY && kb_take_word(&rest, &word)) {
            st = kb_addresses_add(&work->arena, word, list);
            if (st == KB_BAD_TEXT) {
                kb_event_no_extra_address(work->env.events, kb_text_escaped(&text, word));
            }
        }
    }
    return st != KB_NO_MEMORY;
}

/* NoAddresses=False. A host that has none to tell gets a ticket without. */
static enum kb_status bind_to_addresses(struct kb_work *work, struct kb_policy *policy,
                                        struct kb_error *err)
{
    if (work->login->options->no_addresses) {
        return KB_OK;
    }
    if (kb_addresses_of_host(&work->arena, &policy->addresses) == KB_NO_MEMORY ||
        !add_extra_addresses(work, &policy->addresses)) {
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

/* --- the login --- */

#define KEYTAB_PATIENCE_MS 1000 /* for which a refused keytab's new keys are waited for */

/* One login: its request, with the policy and the proofs that it has cost so far. */
struct attempt {
    struct kb_policy policy;
    struct kb_fetch_request request;
    unsigned proofs;
    bool looked; /* at the secret again, and found no other one */
    bool over;   /* another one is there, but is not to be tried */
};

/* Room in an error's text: `text` goes to its end, as far as it fits. */
static void append(struct kb_error *err, const char *text)
{
    size_t len = strlen(err->text);

    snprintf(err->text + len, sizeof(err->text) - len, "%s", text);
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

/* The primary KDC is asked once more. */
static enum kb_status ask_primary(struct kb_work *work, struct attempt *attempt,
                                  struct kb_credential **out, struct kb_error *err)
{
    struct kb_error first;
    enum kb_status st;

    if (attempt->over || !may_lag(err, attempt->proofs) ||
        !kb_work_ask_primary(work, &first, err)) {
        return KB_ERROR;
    }
    attempt->request.primary = true;
    attempt->request.first_proof = false;
    attempt->request.proofs_made = attempt->proofs;
    st = run(work, &attempt->request, out, &attempt->proofs, err);
    work->primary = st == KB_OK;
    kb_work_asked_primary(&first, err);
    return st;
}

/* What a KDC may say of a secret that was changed meanwhile; a keytab's keys may be of other
 * enctypes by now. */
static bool may_be_changed(const struct kb_work *work, const struct kb_error *err)
{
    switch (err->code) {
    case KB_E_WRONG_PASSWORD:
    case KB_E_KEY_REFUSED:
        return true;
    case KB_E_KEYTAB_NO_KEY:
    case KB_E_NO_ENCTYPE:
        return kb_identity_keytab(work->identity) != NULL;
    default:
        return false;
    }
}

/* Goes on as the same client with the secret that is in its place by now. False: it is the same; or
 * it may not be used or was refused before, which *err then says. */
static bool take_new_secret(struct kb_work *work, struct attempt *attempt, int64_t patience_ms,
                            struct kb_error *err)
{
    const struct kb_options *options = work->login->options;
    const kb_opt_ETYPES *types = &options->encryption_types;
    size_t num = types->num < KB_WORK_MAX_ETYPES ? types->num : KB_WORK_MAX_ETYPES;
    struct kb_identity *now = kb_identity_rekeyed(work->identity, options, work->wait, patience_ms);
    struct kb_error why = {0};

    attempt->looked = now == NULL;
    if (now == NULL) {
        return false;
    }
    if (kb_identity_etypes(now, types->items, num, work->as_etypes, &work->num_as_etypes, &why) !=
            KB_OK ||
        kb_pause_check(now, options->bad_secret_pause, kb_now_ms(), &why) != KB_OK) {
        *err = why;
        attempt->over = true;
        kb_identity_put(now);
        return false;
    }
    kb_pause_after(work->identity, options->bad_secret_pause, kb_now_ms(), err);
    kb_event_secret_changed(work->env.events, kb_identity_keys(now).what);
    work->rekeyed = now;
    work->identity = now;
    return true;
}

/* A KDC refused the secret, and one proof is left: it is looked at once, and another one in its
 * place tried. Which enctype the KDC wants is asked first: there is no third proof. */
static enum kb_status try_new_secret(struct kb_work *work, struct attempt *attempt,
                                     int64_t patience_ms, struct kb_credential **out,
                                     struct kb_error *err)
{
    if (!may_be_changed(work, err) || attempt->proofs >= KB_AS_MAX_PROOFS ||
        work->rekeyed != NULL || attempt->over ||
        !take_new_secret(work, attempt, patience_ms, err)) {
        return KB_ERROR;
    }
    *err = (struct kb_error){0};
    attempt->request.keys = kb_identity_keys(work->identity);
    attempt->request.first_proof = false;
    attempt->request.proofs_made = attempt->proofs;
    attempt->policy.num_etypes = work->num_as_etypes;
    return run(work, &attempt->request, out, &attempt->proofs, err);
}

/* Who else is in the keytab: the KDC may know one of those. */
static void name_others(const struct kb_identity *identity, struct kb_error *err)
{
    struct kb_buf others;

    kb_buf_init(&others, 400);
    if (err->code == KB_E_CLIENT_UNKNOWN) {
        kb_identity_add_others(identity, &others);
    }
    if (others.len > 0) {
        append(err, "; the keytab also holds keys of ");
        append(err, kb_buf_str(&others));
        append(err, ", of whom User chooses one");
    }
    kb_buf_wipe(&others);
}

static void say_more(const struct kb_work *work, const struct attempt *attempt,
                     struct kb_error *err)
{
    if (may_be_changed(work, err) && work->rekeyed != NULL) {
        append(err, "; it changed during the login, and the KDC refuses the new one too");
    } else if (err->code == KB_E_KEY_REFUSED && attempt->looked) {
        append(err, "; it was looked at again, and has no other key");
    }
    name_others(work->identity, err);
}

/* Asks a KDC; then, within the two proofs of a login, looks for another secret, and asks the
 * primary KDC. Where there is none to ask, a keytab's new keys are waited for. */
static enum kb_status ask(struct kb_work *work, struct attempt *attempt, struct kb_credential **out,
                          struct kb_error *err)
{
    enum kb_status st = run(work, &attempt->request, out, &attempt->proofs, err);

    if (st != KB_OK) {
        st = try_new_secret(work, attempt, 0, out, err);
    }
    if (st != KB_OK) {
        st = ask_primary(work, attempt, out, err);
    }
    if (st != KB_OK && err->code == KB_E_KEY_REFUSED) {
        st = try_new_secret(work, attempt, KEYTAB_PATIENCE_MS, out, err);
    }
    if (st != KB_OK) {
        say_more(work, attempt, err);
    }
    return st;
}

static enum kb_status fetch_tgt(struct kb_work *work, struct kb_credential **out,
                                struct kb_error *err)
{
    const struct kb_principal *client = kb_identity_principal(work->identity);
    struct attempt attempt = {.policy = work->policy};
    struct kb_key_hint hint = kb_identity_hint(work->identity, &work->hint_bytes);

    attempt.request = (struct kb_fetch_request){
        .client = client,
        .keys = kb_identity_keys(work->identity),
        .policy = &attempt.policy,
        .hint = hint,
        .first_proof = kb_net_alive(work->net, hint.realm.len > 0 ? hint.realm : client->realm),
    };
    tell_of_identity(work);
    attempt.policy.etypes = work->as_etypes;
    attempt.policy.num_etypes = work->num_as_etypes;
    if (bind_to_addresses(work, &attempt.policy, err) != KB_OK) {
        return KB_ERROR;
    }
    return ask(work, &attempt, out, err);
}

/* The secret may have been refused to another thread, which has found a new one in its place since
 * this call has looked. False: there is none, or it may not be used either, which *err then says.
 */
static bool take_unpaused(struct kb_work *work, struct kb_error *err)
{
    const struct kb_options *options = work->login->options;
    const kb_opt_ETYPES *types = &options->encryption_types;
    size_t num = types->num < KB_WORK_MAX_ETYPES ? types->num : KB_WORK_MAX_ETYPES;
    struct kb_identity *now = kb_identity_rekeyed(work->identity, options, work->wait, 0);
    struct kb_error why = {0};

    if (now == NULL) {
        return false;
    }
    if (kb_identity_etypes(now, types->items, num, work->as_etypes, &work->num_as_etypes, &why) !=
            KB_OK ||
        kb_pause_check(now, options->bad_secret_pause, kb_now_ms(), &why) != KB_OK) {
        *err = why;
        kb_identity_put(now);
        return false;
    }
    kb_event_secret_changed(work->env.events, kb_identity_keys(now).what);
    work->rekeyed = now;
    work->identity = now;
    *err = (struct kb_error){0};
    return true;
}

/* A secret that was refused is not sent again for a while. */
static enum kb_status fetch_unless_paused(struct kb_work *work, struct kb_credential **out,
                                          struct kb_error *err)
{
    int64_t seconds = work->login->options->bad_secret_pause;

    if (kb_pause_check(work->identity, seconds, kb_now_ms(), err) != KB_OK &&
        (work->rekeyed != NULL || !take_unpaused(work, err))) {
        return KB_ERROR;
    }
    if (fetch_tgt(work, out, err) != KB_OK) {
        kb_pause_after(work->identity, seconds, kb_now_ms(), err);
        return KB_ERROR;
    }
    kb_pause_end(work->identity);
    return KB_OK;
}

void kb_work_hand_over(struct kb_work *work, kb_bytes key, struct kb_credential *ticket)
{
    if (work->rekeyed != NULL) {
        kb_shared_put(kb_identity_shared(work->rekeyed), key, ticket,
                      kb_refresh_at(ticket, work->login->options->min_lifetime,
                                    kb_identity_now(work->rekeyed)));
    }
}

/* Once in a call. */
static enum kb_status note_log_in(struct kb_work *work, struct kb_error *err)
{
    struct kb_text client;

    if (work->log_in_tried) {
        err->no_hint = true;
        return kb_error_set(err, KB_E_BUSY,
                            "%s: this call has logged in before and has no TGT; the next call may "
                            "log in again",
                            kb_text_principal(&client, kb_identity_principal(work->identity)));
    }
    work->log_in_tried = true;
    if (work->login->call != NULL) {
        work->login->call->log_in_tried = true;
    }
    return KB_OK;
}

enum kb_status kb_work_log_in(struct kb_work *work, struct kb_credential **out,
                              struct kb_error *err)
{
    enum kb_status st = note_log_in(work, err);

    if (st == KB_OK) {
        st = fetch_unless_paused(work, out, err);
    }
    if (st == KB_OK) {
        /* Before anybody can have it: the tickets obtained with it are filed behind it. */
        kb_cache_keep(work, (*out)->server, *out, true);
        kb_work_hand_over(work, KB_SHARED_TGT, *out);
        work->tgt = kb_credential_ref(*out);
        if (work->login->call != NULL) {
            work->login->call->tgt = kb_credential_ref(*out);
        }
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
