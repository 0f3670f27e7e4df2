/* The TGS exchanges of a login: the service ticket. */
#include <stdio.h>
#include <stdlib.h>

#include "mech/login/cache.h"
#include "mech/login/realms.h"
#include "mech/options/krb5conf.h"
#include "mech/protocol/text.h"

/* What is asked for, and how sure its realm is. */
struct wanted {
    const struct kb_principal *service;
    bool guessed;     /* the realm is not known: the user's own KDC may refer */
    kb_bytes learned; /* then: where it was found before; empty: not known */
    bool hierarchy;   /* the realm's name may tell the way to it */
};

/* A KDC that was asked for krbtgt/X may have given that of a nearer realm. */
static enum kb_status check_name(const struct kb_principal *service,
                                 const struct kb_credential *ticket, struct kb_error *err)
{
    struct kb_text asked, got;
    kb_bytes ignored;

    if (!kb_name_is_tgs(&service->name, &ignored) ||
        kb_name_equal(&service->name, &ticket->server->name)) {
        return KB_OK;
    }
    return kb_error_set(err, KB_E_SERVICE_UNKNOWN, "%s: its KDC only knows the way to %s",
                        kb_text_principal(&asked, service),
                        kb_text_principal(&got, ticket->server));
}

/* Where another realm's KDC is silent, it must be told what it was asked for. */
static void say_on_the_way_to(const struct kb_work *work, const struct kb_fetch *fetch,
                              const struct kb_principal *service, struct kb_error *err)
{
    struct kb_text name;

    if (err->kdc_code == 0 && err->code != KB_E_KDC_REPLY &&
        !kb_equal(kb_fetch_realm(fetch), kb_identity_principal(work->identity)->realm)) {
        kb_error_context(err, "On the way to %s", kb_text_principal(&name, service));
    }
}

static enum kb_status run(struct kb_work *work, const struct kb_principal *service,
                          const struct kb_realm_tgt *tgt, bool primary, struct kb_credential **out,
                          struct kb_error *err)
{
    struct kb_fetch_request request = {
        .client = kb_identity_principal(work->identity),
        .service = service,
        .tgt = tgt->credential,
        .policy = &work->policy,
        .primary = primary,
    };
    struct kb_fetch *fetch = kb_work_fetch(work, &request, err);
    enum kb_status st = KB_ERROR;

    if (fetch == NULL) {
        return st;
    }
    st = kb_work_drive(work, fetch, err);
    work->referred = kb_fetch_referral(fetch, 0) != NULL;
    kb_realms_keep_referrals(work, fetch);
    if (st == KB_OK) {
        st = kb_realms_check(work, fetch, tgt->credential, kb_fetch_ticket(fetch), err);
    } else if (kb_fetch_tgt_refused(fetch)) {
        kb_realms_refused(work, fetch, tgt);
    } else {
        say_on_the_way_to(work, fetch, service, err);
    }
    if (st == KB_OK) {
        st = check_name(service, kb_fetch_ticket(fetch), err);
    }
    if (st == KB_OK) {
        *out = kb_credential_ref(kb_fetch_ticket(fetch));
    }
    kb_fetch_free(fetch);
    return st;
}

/* Asks a KDC, and once more the primary one: another may not know of a new service yet. */
static enum kb_status ask_tgs(struct kb_work *work, const struct kb_principal *service,
                              const struct kb_realm_tgt *tgt, struct kb_credential **out,
                              struct kb_error *err)
{
    struct kb_error first;
    enum kb_status st = run(work, service, tgt, work->primary, out, err);

    if (st != KB_OK && err->code == KB_E_SERVICE_UNKNOWN && !work->referred &&
        kb_work_ask_primary(work, &first, err)) {
        st = run(work, service, tgt, true, out, err);
        kb_work_asked_primary(&first, err);
    }
    return st;
}

/* The realm of krbtgt/REALM where that itself is asked for, at the user's KDC or at none by name:
 * then the TGT is what is wanted. */
static bool is_a_realms_tgt(struct kb_work *work, const struct kb_principal *service,
                            kb_bytes *out_realm)
{
    return kb_name_is_tgs(&service->name, out_realm) &&
           (service->realm.len == 0 ||
            kb_equal(service->realm, kb_identity_principal(work->identity)->realm));
}

static enum kb_status try_once(struct kb_work *work, const struct wanted *wanted,
                               struct kb_credential **out, struct kb_error *err)
{
    const struct kb_principal *service = wanted->service;
    kb_bytes realm = service->realm;
    bool is_tgt = is_a_realms_tgt(work, service, &realm);
    struct kb_realm_tgt tgt;
    struct kb_text name;
    enum kb_status st;

    if (!is_tgt) {
        realm = service->realm;
    }
    st = kb_realms_tgt(work, realm, wanted->hierarchy, &tgt, err);
    if (st != KB_OK) {
        if (realm.len > 0 && !kb_equal(realm, kb_identity_principal(work->identity)->realm)) {
            kb_error_context(err, "On the way to %s", kb_text_principal(&name, service));
        }
        return st;
    }
    if (is_tgt) {
        *out = tgt.credential;
        return KB_OK;
    }
    st = ask_tgs(work, service, &tgt, out, err);
    kb_credential_free(tgt.credential);
    return st;
}

/* Asks for one candidate. A TGT that a KDC does not take (a clock was set, a KDC's key was
 * changed, it was altered on the way to us, where nothing protects it) is kept no longer; one that
 * was kept from before is replaced, once. */
static enum kb_status ask_for(struct kb_work *work, const struct wanted *wanted,
                              struct kb_credential **out, struct kb_error *err)
{
    enum kb_status st = try_once(work, wanted, out, err);

    if (st != KB_OK && kb_realms_drop(work)) {
        *err = (struct kb_error){0};
        st = try_once(work, wanted, out, err);
        (void)kb_realms_drop(work);
    }
    return st;
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

/* Asks at once where the service was found before. KB_NOT_FOUND: it is there no more. */
static enum kb_status ask_learned(struct kb_work *work, const struct wanted *wanted,
                                  struct kb_credential **out, struct kb_error *err)
{
    struct wanted there = {.service = kb_principal_new(wanted->learned, &wanted->service->name)};
    enum kb_status st;

    if (there.service == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    st = ask_for(work, &there, out, err);
    kb_principal_free(there.service);
    if (st != KB_OK && kb_realms_is_no_way(err)) {
        *err = (struct kb_error){0};
        st = KB_NOT_FOUND;
    }
    return st;
}

static enum kb_status ask_wanted(struct kb_work *work, const struct wanted *wanted,
                                 struct kb_credential **out, struct kb_error *err)
{
    enum kb_status st =
        wanted->learned.len > 0 ? ask_learned(work, wanted, out, err) : KB_NOT_FOUND;

    return st == KB_NOT_FOUND ? ask_for(work, wanted, out, err) : st;
}

/* In the cache, or from the KDC. One whose realm was a guess is filed without one, as MIT does; a
 * realm's TGT was filed by whoever brought it. */
static enum kb_status find_or_ask(struct kb_work *work, const struct wanted *wanted,
                                  struct kb_credential **out, struct kb_error *err)
{
    const struct kb_principal *service = wanted->service;
    enum kb_status st = kb_cache_ticket(work, service, wanted->guessed, out);
    kb_bytes realm;

    if (st == KB_OK && (*out)->endtime > work->later_than) {
        return KB_OK;
    }
    kb_credential_free(*out);
    *out = NULL;
    st = ask_wanted(work, wanted, out, err);
    if (st == KB_OK && !is_a_realms_tgt(work, service, &realm)) {
        kb_principal_free(work->file_as);
        work->file_as =
            wanted->guessed ? kb_principal_new(KB_NONE, &service->name) : kb_principal_ref(service);
    }
    return st;
}

/* Nobody says which realm the host is in, and the user's own does not know it: then the one that
 * its domain suggests, as MIT's client does, if a key leads there. */
static enum kb_status ask_suggested(struct kb_work *work, const struct wanted *wanted,
                                    kb_bytes host, struct kb_credential **out, struct kb_error *err)
{
    struct kb_error first = *err, later = {0};
    struct wanted there = {.guessed = true};
    struct kb_text from, to;
    char buf[256];
    kb_bytes realm = kb_realms_suggested(work, host, buf);
    enum kb_status st = KB_ERROR;

    if (realm.len == 0 || kb_equal(realm, kb_identity_principal(work->identity)->realm)) {
        return st;
    }
    there.service = kb_principal_new(realm, &wanted->service->name);
    if (there.service == NULL) {
        return st;
    }
    kb_event_realm_suggested(work->env.events, kb_text_escaped(&from, host),
                             kb_text_escaped(&to, realm));
    st = ask_for(work, &there, out, &later);
    kb_principal_free(there.service);
    if (st == KB_OK) {
        kb_principal_free(work->file_as);
        work->file_as = kb_principal_new(KB_NONE, &wanted->service->name);
        *err = later;
    } else if (!kb_realms_is_no_way(&later)) {
        kb_error_context(&later, "%s", first.text);
        *err = later;
    }
    return st;
}

/* The host of a name that is none of a host-based service: of HTTP/www.example.org the second
 * part, if no realm stands behind. */
static enum kb_status host_of(const struct kb_target *target, kb_bytes *out_host,
                              const struct kb_principal **out_principal)
{
    enum kb_status st = kb_target_principal(target, KB_NONE, KB_NONE, out_principal);
    const struct kb_principal *principal = *out_principal;

    if (st == KB_OK && principal->realm.len == 0 && principal->name.name_string.num == 2 &&
        !kb_name_is_tgs(&principal->name, &(kb_bytes){0})) {
        *out_host = principal->name.name_string.items[1];
    }
    return st;
}

static enum kb_status make_wanted(struct kb_work *work, const struct kb_target *target,
                                  kb_bytes host, struct wanted *out)
{
    const struct kb_principal *principal = NULL;
    enum kb_status st;
    kb_bytes realm;

    if (!target->host_based) {
        st = host_of(target, &host, &principal);
        if (st != KB_OK) {
            return st;
        }
    }
    realm = realm_of(work, host, &out->guessed);
    st = kb_target_principal(target, target->host_based ? host : KB_NONE, realm, &out->service);
    out->hierarchy = !out->guessed;
    if (principal != NULL) {
        out->hierarchy = out->hierarchy || principal->realm.len > 0;
        out->guessed = false; /* filed as it is */
        kb_principal_free(principal);
    }
    return st;
}

static enum kb_status ask_for_host(struct kb_work *work, const struct kb_target *target,
                                   kb_bytes host, struct kb_credential **out, struct kb_error *err)
{
    struct wanted wanted = {0};
    char buf[256], learned[256];
    bool as_given = host.len == 0;
    enum kb_status st;

    host = host.len > 0 ? host : target->host;
    st = make_wanted(work, target, host, &wanted);
    if (st != KB_OK) {
        return kb_error_status(err, KB_E_TARGET, st, "The target \"%.*s\"", (int)target->asked.len,
                               (const char *)target->asked.ptr);
    }
    if (wanted.guessed && as_given) {
        wanted.learned = kb_realms_learned(work, target, learned);
    }
    st = find_or_ask(work, &wanted, out, err);
    if (st == KB_OK && wanted.guessed && as_given) {
        kb_realms_learn(work, target, *out, wanted.learned.len > 0);
    }
    if (st != KB_OK && wanted.guessed && !work->referred && err->code == KB_E_SERVICE_UNKNOWN) {
        st = ask_suggested(work, &wanted, host, out, err);
    }
    kb_principal_free(wanted.service);
    if (st != KB_OK && target->by_option && kb_realms_is_no_way(err)) {
        kb_error_context(err, "%s: SPN",
                         kb_origin_text(&work->login->options->spn_from, buf, sizeof(buf)));
    }
    return st;
}

/* A canonical name that comes first is not looked for. */
enum kb_status kb_work_cached(struct kb_work *work, const struct kb_target *target,
                              struct kb_credential **out)
{
    struct wanted wanted = {0};
    enum kb_status st = KB_NOT_FOUND;

    *out = NULL;
    if ((!target->host_based || work->login->options->dns_canonicalize != KB_CANONICALIZE_ALWAYS) &&
        make_wanted(work, target, target->host, &wanted) == KB_OK) {
        st = kb_cache_ticket(work, wanted.service, wanted.guessed, out);
        kb_principal_free(wanted.service);
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
    if (kb_realms_is_no_way(&later) || later.code == KB_E_TIMEOUT) {
        kb_error_context(&later, "%s", first.text);
    }
    *err = later;
    return st;
}

/* A host without a domain where krb5.conf's qualify_shortname says which one is meant; KB_NONE: as
 * it was given. (MIT's default, the first search domain of resolv.conf, is the resolver's business
 * here: it gives the canonical name.) */
static kb_bytes qualified(const struct kb_work *work, const struct kb_target *target, char buf[256])
{
    const char *domain = work->login->options->qualify;
    kb_bytes host = target->host;
    int len;

    if (domain == NULL || memchr(host.ptr, '.', host.len) != NULL ||
        memchr(host.ptr, ':', host.len) != NULL) {
        return KB_NONE;
    }
    len = snprintf(buf, 256, "%.*s.%s", (int)host.len, (const char *)host.ptr, domain);
    return len < 256 ? kb_bytes_of(buf, (size_t)len) : KB_NONE;
}

enum kb_status kb_work_ticket(struct kb_work *work, const struct kb_target *target,
                              struct kb_credential **out, struct kb_error *err)
{
    int64_t how = work->login->options->dns_canonicalize;
    char canonical[256], buf[256];
    kb_bytes given;
    enum kb_status st;

    if (!target->host_based || target->host.len == 0) {
        return ask_for_host(work, target, KB_NONE, out, err);
    }
    given = qualified(work, target, buf);
    if (how == KB_CANONICALIZE_NEVER) {
        return ask_for_host(work, target, given, out, err);
    }
    if (how == KB_CANONICALIZE_ALWAYS) {
        st = canonical_name(work, target, canonical, err);
        if (st == KB_ERROR) {
            return st;
        }
        return ask_for_host(work, target, st == KB_OK ? kb_str(canonical) : given, out, err);
    }
    st = ask_for_host(work, target, given, out, err);
    if (st != KB_OK && kb_realms_is_no_way(err)) {
        st = ask_for_canonical(work, target, out, err);
    }
    return st;
}
