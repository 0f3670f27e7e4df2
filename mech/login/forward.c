/* The TGT that a service is given, to act for the user elsewhere: RFC 4120 2.6. */
#include "mech/login/clock.h"
#include "mech/login/flight.h"
#include "mech/login/realms.h"
#include "mech/login/refresh.h"
#include "mech/login/tell.h"
#include "mech/login/work.h"

/* Each service gets a TGT of its own: the session keys of two of them would open what the one asks
 * a KDC for to the other. */
struct service_key {
    uint8_t bytes[2 * KB_TARGET_MAX];
};

/* KB_NONE: a name that is too long to be kept under. */
static kb_bytes key_of(const struct kb_principal *service, struct service_key *key)
{
    const kb_string_list *parts = &service->name.name_string;
    size_t len = 0;

    for (size_t i = 0; i <= parts->num; i++) {
        kb_bytes part = i < parts->num ? parts->items[i] : service->realm;

        if (len + 1 + part.len > sizeof(key->bytes)) {
            return KB_NONE;
        }
        key->bytes[len] = i == 0 ? 'f' : 0;
        len++;
        if (part.len > 0) {
            memcpy(key->bytes + len, part.ptr, part.len);
            len += part.len;
        }
    }
    return kb_bytes_of(key->bytes, len);
}

static enum kb_status check_forwardable(const struct kb_work *work, const struct kb_credential *tgt,
                                        struct kb_error *err)
{
    const char *reason = !work->login->options->forwardable ? "Forwardable is False"
                         : kb_identity_has_secret(work->identity)
                             ? "the KDC's policy forbids it"
                             : "whoever filled the credentials cache did not ask for it (kinit -f)";

    if ((tgt->flags & KB_TKT_FORWARDABLE) != 0) {
        return KB_OK;
    }
    return kb_error_set(err, KB_E_POLICY, "the TGT is not forwardable: %s", reason);
}

static enum kb_status ask(struct kb_work *work, struct kb_credential *tgt,
                          struct kb_credential **out, struct kb_error *err)
{
    struct kb_fetch_request request = {
        .client = tgt->client,
        .service = tgt->server,
        .tgt = tgt,
        .policy = &work->policy,
        .primary = work->primary,
        .forwarded = true,
    };
    struct kb_fetch *fetch = kb_work_fetch(work, &request, err);
    enum kb_status st = KB_ERROR;

    if (fetch != NULL) {
        st = kb_work_drive(work, fetch, err);
        if (st == KB_OK) {
            *out = kb_credential_ref(kb_fetch_ticket(fetch));
        } else if (kb_fetch_tgt_refused(fetch)) {
            kb_realms_refused(work, fetch, &(struct kb_realm_tgt){tgt, tgt != work->tgt});
        }
        kb_fetch_free(fetch);
    }
    return st;
}

static enum kb_status try_once(struct kb_work *work, struct kb_credential **out,
                               struct kb_error *err)
{
    struct kb_credential *tgt;
    enum kb_status st = kb_work_tgt(work, &tgt, err);

    if (st == KB_OK) {
        st = check_forwardable(work, tgt, err);
        if (st == KB_OK) {
            st = ask(work, tgt, out, err);
        }
        kb_credential_free(tgt);
    }
    return st;
}

/* A TGT that the KDC does not take is replaced, as for a ticket. */
enum kb_status kb_work_forwarded(struct kb_work *work, struct kb_credential **out,
                                 struct kb_error *err)
{
    enum kb_status st = try_once(work, out, err);

    if (st != KB_OK && kb_realms_drop(work)) {
        *err = (struct kb_error){0};
        st = try_once(work, out, err);
        (void)kb_realms_drop(work);
    }
    return st;
}

static bool is_callers_own(const struct kb_error *err)
{
    return err->code == KB_E_INTERRUPTED || err->code == KB_E_NO_MEMORY;
}

/* As the leader among threads. That there is none is remembered for a while, whatever the reason:
 * a program that logs in again and again would ask the KDC, or wait for it, each time. */
static enum kb_status lead(const struct kb_login *login, struct kb_wait *wait, kb_bytes key,
                           struct kb_credential **out, struct kb_error *err)
{
    struct kb_work *work = kb_work_new(login, wait, err);
    enum kb_status st = work != NULL ? kb_work_forwarded(work, out, err) : KB_ERROR;

    if (key.len > 0) {
        kb_flight_leave(login, key, st == KB_OK ? *out : NULL, KB_FLIGHT_FETCHED, err);
        if (st != KB_OK && !is_callers_own(err)) {
            kb_shared_remember(kb_identity_shared(login->identity), key, err);
        }
    }
    kb_work_free(work);
    return st;
}

/* What a call that began at `since_ms` has left. */
static void start_waiting(const struct kb_login *login, int64_t since_ms, struct kb_wait *wait)
{
    const struct kb_options *options = login->options;
    int64_t left_ms = options->timeout * 1000 - (kb_now_ms() - since_ms);

    if (options->absolute_timeout && options->timeout > 0) {
        kb_login_start_waiting_for(login, left_ms > 1 ? left_ms : 1, wait);
    } else {
        kb_login_start_waiting(login, wait);
    }
}

static enum kb_status fetch(const struct kb_login *login, int64_t since_ms, kb_bytes key,
                            struct kb_credential **out, struct kb_error *err)
{
    struct kb_wait wait;
    enum kb_status st = KB_NOT_FOUND;

    start_waiting(login, since_ms, &wait);
    if (key.len > 0) {
        st = kb_flight_enter(login, &wait, key, out, err);
    }
    if (st == KB_NOT_FOUND) {
        st = lead(login, &wait, key, out, err);
    }
    kb_wait_stop(&wait);
    return st;
}

static enum kb_status find_or_fetch(const struct kb_login *login, int64_t since_ms, kb_bytes key,
                                    struct kb_credential **out, struct kb_error *err)
{
    enum kb_status st = KB_NOT_FOUND;
    bool due = false;

    if (key.len > 0) {
        st = kb_shared_look(kb_identity_shared(login->identity), key,
                            kb_identity_now(login->identity), login->options->min_lifetime, out,
                            &due, err);
    }
    if (due) {
        kb_refresh_forwarded(login, key, out);
    }
    return st == KB_NOT_FOUND ? fetch(login, since_ms, key, out, err) : st;
}

/* Who got it is worth a line each time. */
static void tell(const struct kb_login *login, const struct kb_credential *ticket,
                 const struct kb_credential *forwarded, const struct kb_error *err)
{
    struct kb_events *events = kb_tell_events(login->options, login->listener);
    struct kb_buf client, service;

    kb_buf_init(&client, 600);
    kb_buf_init(&service, 600);
    kb_name_print(&ticket->client->name, ticket->client->realm, &client);
    kb_name_print(&ticket->server->name, ticket->server->realm, &service);
    if (forwarded != NULL) {
        kb_event_forwarded(events, kb_buf_str(&client), kb_buf_str(&service));
    } else {
        kb_event_not_forwarded(events, kb_buf_str(&service), err->text);
    }
    kb_buf_wipe(&client);
    kb_buf_wipe(&service);
    kb_events_free(events);
}

enum kb_status kb_login_forwarded(const struct kb_login *login, const struct kb_credential *ticket,
                                  int64_t since_ms, struct kb_credential **out,
                                  struct kb_error *err)
{
    struct service_key key_bytes;
    struct kb_error why = {0};

    *out = NULL;
    if (find_or_fetch(login, since_ms, key_of(ticket->server, &key_bytes), out, &why) != KB_OK) {
        *out = NULL;
    }
    if (is_callers_own(&why)) {
        return kb_error_copy(err, &why);
    }
    tell(login, ticket, *out, &why);
    return KB_OK;
}
