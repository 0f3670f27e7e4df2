/* The TGS exchanges of a login: the service ticket. */
#include <stdlib.h>

#include "mech/login/cache.h"
#include "mech/login/work.h"
#include "mech/options/krb5conf.h"

static enum kb_status run(struct kb_work *work, const struct kb_principal *service,
                          struct kb_credential *tgt, bool primary, struct kb_credential **out,
                          bool *out_refused, struct kb_error *err)
{
    struct kb_fetch_request request = {
        .client = kb_identity_principal(work->identity),
        .service = service,
        .tgt = tgt,
        .policy = &work->policy,
        .primary = primary,
    };
    struct kb_fetch *fetch = kb_work_fetch(work, &request, err);
    enum kb_status st = KB_ERROR;

    *out_refused = false;
    if (fetch != NULL) {
        st = kb_work_drive(work, fetch, err);
        if (st == KB_OK) {
            *out = kb_credential_ref(kb_fetch_ticket(fetch));
        } else {
            *out_refused = kb_fetch_tgt_refused(fetch);
        }
        kb_fetch_free(fetch);
    }
    return st;
}

/* Asks a KDC, and once more the primary one: another may not know of a new service yet. */
static enum kb_status ask_tgs(struct kb_work *work, const struct kb_principal *service,
                              struct kb_credential *tgt, struct kb_credential **out,
                              bool *out_refused, struct kb_error *err)
{
    struct kb_error first;
    enum kb_status st = run(work, service, tgt, work->primary, out, out_refused, err);

    if (st != KB_OK && err->code == KB_E_SERVICE_UNKNOWN &&
        kb_work_ask_primary(work, &first, err)) {
        st = run(work, service, tgt, true, out, out_refused, err);
        kb_work_asked_primary(&first, err);
    }
    return st;
}

/* Asks for one candidate. A TGT that the KDC does not take (a clock was set, a KDC's key was
 * changed, it was altered on the way to us, where nothing protects it) is kept no longer; one that
 * was kept from before is replaced, once. */
static enum kb_status ask_for(struct kb_work *work, const struct kb_principal *service,
                              struct kb_credential **out, struct kb_error *err)
{
    for (bool again = false;; again = true) {
        struct kb_credential *tgt;
        bool refused, kept;
        enum kb_status st;

        if (kb_work_tgt(work, &tgt, err) != KB_OK) {
            return KB_ERROR;
        }
        /* The KDC's own name asks for the TGT, as the platform's library has it in its cache. */
        if (kb_principal_equal(service, tgt->server)) {
            *out = tgt;
            return KB_OK;
        }
        st = ask_tgs(work, service, tgt, out, &refused, err);
        kept = tgt != work->tgt;
        if (refused) {
            kb_shared_drop(kb_identity_shared(work->identity), KB_SHARED_TGT, tgt);
            kb_cache_refuse(work->identity, tgt);
        }
        kb_credential_free(tgt);
        if (!refused || !kept || again || !kb_identity_has_secret(work->identity)) {
            return st;
        }
        *err = (struct kb_error){0};
    }
}

/* The realm that a host is in, as far as krb5.conf says; else the client's own, whose KDC may
 * refer. Which that is, the TGT tells where the KDC may have sent us to another. */
static kb_bytes realm_of(const struct kb_work *work, kb_bytes host, bool *out_guessed)
{
    kb_bytes realm = kb_krb5conf_realm_of_host(work->login->options->krb5conf, host);

    *out_guessed = realm.len == 0;
    if (realm.len > 0 || work->policy.canonicalize) {
        return realm;
    }
    return kb_identity_principal(work->identity)->realm;
}

/* In the cache, or from the KDC. One whose realm was a guess is filed without one, as MIT does. */
static enum kb_status find_or_ask(struct kb_work *work, const struct kb_principal *service,
                                  bool guessed, struct kb_credential **out, struct kb_error *err)
{
    enum kb_status st = kb_cache_ticket(work, service, guessed, out);

    if (st == KB_OK && (*out)->endtime > work->later_than) {
        return KB_OK;
    }
    kb_credential_free(*out);
    *out = NULL;
    st = ask_for(work, service, out, err);
    if (st == KB_OK) {
        kb_principal_free(work->file_as);
        work->file_as =
            guessed ? kb_principal_new(KB_NONE, &service->name) : kb_principal_ref(service);
    }
    return st;
}

static enum kb_status ask_for_host(struct kb_work *work, const struct kb_target *target,
                                   kb_bytes host, struct kb_credential **out, struct kb_error *err)
{
    const struct kb_principal *service;
    char buf[256];
    bool guessed = false;
    enum kb_status st = kb_target_principal(
        target, host, realm_of(work, host.len > 0 ? host : target->host, &guessed), &service);

    if (st != KB_OK) {
        return kb_error_status(err, KB_E_TARGET, st, "The target \"%.*s\"", (int)target->asked.len,
                               (const char *)target->asked.ptr);
    }
    st = find_or_ask(work, service, guessed && target->host_based, out, err);
    kb_principal_free(service);
    if (st != KB_OK && target->by_option && err->code == KB_E_SERVICE_UNKNOWN) {
        kb_error_context(err, "%s: SPN",
                         kb_origin_text(&work->login->options->spn_from, buf, sizeof(buf)));
    }
    return st;
}

/* Finds the canonical name of the target's host. KB_NOT_FOUND: none that differs from what was
 * given. KB_ERROR: the search was given up, and the call with it. */
static enum kb_status canonical_name(struct kb_work *work, const struct kb_target *target,
                                     char out[256], struct kb_error *err)
{
    bool reverse = kb_krb5conf_bool(work->login->options->krb5conf, KB_NONE, "rdns", false);
    char *given = kb_strdup(target->host);
    int64_t start_ms = kb_now_ms();
    enum kb_status st =
        given != NULL ? kb_net_canonical_name(work->wait, given, reverse, out) : KB_NO_MEMORY;

    free(given);
    if (st == KB_OK && kb_equal_nocase(kb_str(out), target->host)) {
        st = KB_NOT_FOUND;
    }
    if (st != KB_OK && st != KB_NOT_FOUND) {
        st = kb_work_gave_up(work->wait, st, start_ms,
                             "for the resolver to find the target's canonical name", err);
    }
    return st;
}

/* The KDC does not know the host as it was given: then by its canonical name, if it has one. */
static enum kb_status ask_for_canonical(struct kb_work *work, const struct kb_target *target,
                                        struct kb_credential **out, struct kb_error *err)
{
    struct kb_error first = *err, later = {0};
    char canonical[256];
    enum kb_status st = canonical_name(work, target, canonical, &later);

    if (st == KB_NOT_FOUND) {
        return KB_ERROR;
    }
    if (st == KB_OK) {
        kb_event_canonical_host(work->env.events, first.text, canonical);
        st = ask_for_host(work, target, kb_str(canonical), out, &later);
    }
    if (later.code == KB_E_SERVICE_UNKNOWN || later.code == KB_E_TIMEOUT) {
        kb_error_context(&later, "%s", first.text);
    }
    *err = later;
    return st;
}

enum kb_status kb_work_ticket(struct kb_work *work, const struct kb_target *target,
                              struct kb_credential **out, struct kb_error *err)
{
    int64_t how = work->login->options->dns_canonicalize;
    char canonical[256];
    enum kb_status st;

    if (!target->host_based || target->host.len == 0 || how == KB_CANONICALIZE_NEVER) {
        return ask_for_host(work, target, KB_NONE, out, err);
    }
    if (how == KB_CANONICALIZE_ALWAYS) {
        st = canonical_name(work, target, canonical, err);
        if (st == KB_ERROR) {
            return st;
        }
        return ask_for_host(work, target, st == KB_OK ? kb_str(canonical) : KB_NONE, out, err);
    }
    st = ask_for_host(work, target, KB_NONE, out, err);
    if (st != KB_OK && err->code == KB_E_SERVICE_UNKNOWN) {
        st = ask_for_canonical(work, target, out, err);
    }
    return st;
}
