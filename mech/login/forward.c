/* The TGT that a service is given, to act for the user elsewhere: RFC 4120 2.6. */
#include "mech/login/clock.h"
#include "mech/login/flight.h"
#include "mech/login/tell.h"
#include "mech/login/work.h"

/* A forwarded TGT is kept for each realm that services are in. */
struct realm_key {
    uint8_t bytes[1 + KB_TARGET_MAX];
};

static kb_bytes key_of(kb_bytes realm, struct realm_key *key)
{
    size_t len = realm.len < KB_TARGET_MAX ? realm.len : KB_TARGET_MAX;

    key->bytes[0] = 'f';
    if (len > 0) {
        memcpy(key->bytes + 1, realm.ptr, len);
    }
    return kb_bytes_of(key->bytes, 1 + len);
}

static enum kb_status check_forwardable(const struct kb_work *work, const struct kb_credential *tgt,
                                        struct kb_error *err)
{
    if ((tgt->flags & KB_TKT_FORWARDABLE) != 0) {
        return KB_OK;
    }
    return kb_error_set(err, KB_E_POLICY, "the TGT is not forwardable: %s",
                        work->login->options->forwardable ? "the KDC's policy forbids it"
                                                          : "Forwardable is False");
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
        }
        kb_fetch_free(fetch);
    }
    return st;
}

static enum kb_status obtain(struct kb_work *work, struct kb_credential **out, struct kb_error *err)
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

static enum kb_status fetch_forwarded(const struct kb_login *login, kb_bytes key,
                                      struct kb_credential **out, struct kb_error *err)
{
    struct kb_work *work;
    struct kb_wait wait;
    enum kb_status st;

    kb_login_start_waiting(login, &wait);
    st = kb_flight_enter(login, &wait, key, out, err);
    if (st == KB_NOT_FOUND) {
        work = kb_work_new(login, &wait, err);
        st = work != NULL ? obtain(work, out, err) : KB_ERROR;
        kb_flight_leave(login, key, st == KB_OK ? *out : NULL, KB_FLIGHT_AS_IS, err);
        kb_work_free(work);
    }
    kb_wait_stop(&wait);
    return st;
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
                                  struct kb_credential **out, struct kb_error *err)
{
    struct realm_key key_bytes;
    kb_bytes key = key_of(ticket->server->realm, &key_bytes);
    struct kb_error why = {0};

    *out = kb_shared_find(kb_identity_shared(login->identity), key, kb_identity_now(login->identity),
                          login->options->min_lifetime);
    if (*out == NULL && fetch_forwarded(login, key, out, &why) != KB_OK) {
        *out = NULL;
    }
    if (why.code == KB_E_INTERRUPTED || why.code == KB_E_NO_MEMORY) {
        return kb_error_copy(err, &why);
    }
    tell(login, ticket, *out, &why);
    return KB_OK;
}
