/* What a call asks KDCs with: setting up, driving a machine. */
#include "mech/login/work.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/provider.h"
#include "mech/login/clock.h"
#include "mech/login/facts.h"
#include "mech/login/flight.h"
#include "mech/login/identity_own.h"
#include "mech/login/security.h"
#include "mech/login/tell.h"
#include "mech/options/krb5conf.h"
#include "mech/options/show.h"
#include "mech/report/old.h"

#define MAX_REPLY (2u << 20) /* what one exchange may take from the heap */

kb_bytes kb_work_key(const struct kb_target *target, const char *canonical, struct kb_work_key *key)
{
    size_t len = 1 + target->asked.len, more = strlen(canonical);

    key->bytes[0] = target->host_based ? 'h' : 'p';
    memcpy(key->bytes + 1, target->asked.ptr, target->asked.len);
    if (more > 0) {
        key->bytes[len++] = '\0';
        memcpy(key->bytes + len, canonical, more);
        len += more;
    }
    return kb_bytes_of(key->bytes, len);
}

static void load_crypto(void *ctx)
{
    (void)ctx;
    /* Whoever needs a key next finds out, and says so, if it failed. */
    (void)!kb_provider_load();
}

static void set_policy(struct kb_work *work)
{
    const struct kb_options *options = work->login->options;
    const struct kb_principal *client = kb_identity_principal(work->identity);

    work->policy = (struct kb_policy){
        .etypes = options->ticket_types.items,
        .num_etypes = options->ticket_types.num,
        .min_iterations_sha1 = (uint32_t)options->min_iterations_sha1,
        .min_iterations_sha2 = (uint32_t)options->min_iterations_sha2,
        .max_iterations = (uint32_t)options->max_iterations,
        .clock_skew = (uint32_t)options->clock_skew,
        .ticket_life = (uint32_t)options->ticket_life,
        .renew_life = (uint32_t)options->renew_life,
        .forwardable = options->forwardable,
        .proxiable = options->proxiable,
        .no_enc_timestamp = options->no_enc_timestamp,
        .own_clock = options->own_clock,
        .canonicalize = options->canonicalize || client->name.name_type == KB_NT_ENTERPRISE,
        .clock_offset = kb_identity_clock_offset(work->identity),
    };
}

static void tell_old(const struct kb_work *work)
{
    const struct kb_options *options = work->login->options;
    const kb_opt_ETYPES *lists[] = {&options->encryption_types, &options->ticket_types};
    char buf[256];

    for (size_t i = 0; i < 2; i++) {
        kb_old_named(work->env.events,
                     kb_origin_text(&options->encryption_types_from, buf, sizeof(buf)),
                     lists[i]->items, lists[i]->num);
    }
}

/* MIT's library lets that answer in place of the files. */
static void tell_module(const struct kb_work *work)
{
    const char *module = kb_krb5conf_module(work->login->options->krb5conf);
    struct kb_buf text;

    if (module != NULL) {
        kb_buf_init(&text, 600);
        kb_buf_add_escaped(&text, kb_str(module));
        kb_event_module(work->env.events, kb_buf_str(&text));
        kb_buf_wipe(&text);
    }
}

static enum kb_status work_init(struct kb_work *work, const struct kb_login *login,
                                struct kb_wait *wait, struct kb_error *err)
{
    const struct kb_options *options = login->options;
    struct kb_net_config config = {.use_tcp = options->use_tcp,
                                   .udp_limit = (size_t)options->udp_limit,
                                   .max_packet_size = (size_t)options->max_packet_size,
                                   .sockets = kb_login_socket_options(options),
                                   .relocate = kb_locate_again};
    size_t num = options->encryption_types.num;

    memset(work, 0, sizeof(*work));
    kb_arena_init(&work->arena, NULL, 0, 65536);
    if (kb_flight_check_depth(err) != KB_OK) {
        return KB_ERROR;
    }
    work->login = login;
    work->identity = login->identity;
    work->wait = wait;
    if (login->call != NULL) {
        work->log_in_tried = login->call->log_in_tried;
        work->tgt = login->call->tgt != NULL ? kb_credential_ref(login->call->tgt) : NULL;
    }
    if (kb_identity_etypes(work->identity, options->encryption_types.items,
                           num < KB_WORK_MAX_ETYPES ? num : KB_WORK_MAX_ETYPES, work->as_etypes,
                           &work->num_as_etypes, err) != KB_OK) {
        return KB_ERROR;
    }
    kb_clock_env(&work->env, kb_tell_events(options, login->listener));
    kb_locate_init(&work->locate, options, kb_identity_principal(work->identity)->realm, wait,
                   work->env.events);
    config.events = work->env.events;
    work->net = kb_net_new(&config, kb_locate_kdcs, &work->locate, wait);
    if (work->net == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    if (!kb_provider_loaded()) {
        kb_net_idle(work->net, load_crypto, NULL);
    }
    set_policy(work);
    tell_old(work);
    tell_module(work);
    return KB_OK;
}

struct kb_work *kb_work_new(const struct kb_login *login, struct kb_wait *wait,
                            struct kb_error *err)
{
    struct kb_work *work = malloc(sizeof(*work));

    if (work == NULL) {
        (void)kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    } else if (work_init(work, login, wait, err) != KB_OK) {
        kb_work_free(work);
        work = NULL;
    }
    return work;
}

void kb_work_free(struct kb_work *work)
{
    if (work == NULL) {
        return;
    }
    kb_beside_end(work);
    kb_net_free(work->net);
    kb_locate_wipe(&work->locate);
    kb_events_free(work->env.events);
    kb_credential_free(work->tgt);
    kb_credential_free(work->refused);
    kb_principal_free(work->file_as);
    kb_arena_wipe(&work->arena);
    kb_identity_put(work->rekeyed);
    kb_free_secret(work, sizeof(*work));
}

/* --- driving a machine --- */

/* Which KDC it goes to is net's business, and may be several. */
static void trail_request(struct kb_work *work, const struct kb_send *send)
{
    struct kb_buf to;

    if (!kb_trail_wanted(work->env.events)) {
        return;
    }
    kb_buf_init(&to, 1000);
    kb_buf_add_str(&to, "a KDC of ");
    kb_buf_add_escaped(&to, send->realm);
    kb_trail(work->env.events, KB_CLIENT, kb_buf_str(&to), send->message);
    kb_buf_wipe(&to);
}

/* Where a socket could not be made as an option wants it: in which file and line that stands. */
static void say_where_the_option_stands(const struct kb_work *work, struct kb_error *err)
{
    const char *name = kb_net_wrong_option(work->net);
    const struct kb_option_row *row = name != NULL ? kb_option_find(kb_str(name)) : NULL;
    char buf[256];

    if (row != NULL) {
        kb_error_context(err, "%s",
                         kb_origin_text(kb_options_origin(work->login->options, kb_option_id(row)),
                                        buf, sizeof(buf)));
    }
}

/* One message out and its answer in. */
static enum kb_step exchange(struct kb_work *work, struct kb_fetch *fetch, struct kb_send *send,
                             struct kb_error *err)
{
    struct kb_arena arena;
    enum kb_step step = KB_STEP_ERROR;
    bool judged = true;
    kb_bytes reply;

    kb_arena_init(&arena, NULL, 0, MAX_REPLY);
    trail_request(work, send);
    switch (
        kb_net_exchange(work->net, send, kb_fetch_verdict, fetch, &arena, &reply, &judged, err)) {
    case KB_OK:
        kb_facts_keep(work->identity, kb_net_facts(work->net));
        kb_trail(work->env.events, KB_SERVER, kb_net_peer(work->net), reply);
        step = kb_fetch_step(fetch, reply, kb_net_peer(work->net), send);
        kb_wait_progress(work->wait); /* string-to-key is no silence of the KDC's */
        break;
    case KB_TIMED_OUT:
        step = kb_fetch_silent(fetch, judged, send);
        break;
    default:
        say_where_the_option_stands(work, err);
        break;
    }
    kb_arena_wipe(&arena);
    return step;
}

enum kb_status kb_work_drive(struct kb_work *work, struct kb_fetch *fetch, struct kb_error *err)
{
    struct kb_send send;
    enum kb_step step = kb_fetch_step(fetch, KB_NONE, "", &send);

    while (step == KB_SEND) {
        step = exchange(work, fetch, &send, err);
    }
    if (kb_fetch_clock_differs(fetch) && !work->log_in_tried) { /* else it was measured just now */
        kb_realm_clock_doubt(work->identity->clock, true);
    }
    if (step == KB_DONE) {
        return KB_OK;
    }
    if (err->code == KB_E_NONE) {
        *err = *kb_fetch_error(fetch);
    }
    kb_security_explain(err);
    return KB_ERROR;
}

struct kb_fetch *kb_work_fetch(struct kb_work *work, const struct kb_fetch_request *request,
                               struct kb_error *err)
{
    struct kb_fetch *fetch = kb_fetch_new(&work->env, request);

    if (fetch == NULL) {
        (void)kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    return fetch;
}

bool kb_work_ask_primary(struct kb_work *work, struct kb_error *first, struct kb_error *err)
{
    struct kb_error why = {0};

    if (work->primary) {
        return false;
    }
    switch (kb_net_primary(work->net, &why)) {
    case KB_OK:
        kb_event_primary(work->env.events, err->text);
        *first = *err;
        *err = (struct kb_error){0};
        return true;
    case KB_NOT_FOUND:
        return false;
    default:
        *err = why;
        return false;
    }
}

void kb_work_asked_primary(const struct kb_error *first, struct kb_error *err)
{
    switch (err->code) {
    case KB_E_KDC_UNREACHABLE:
    case KB_E_TIMEOUT:
        *err = *first;
        break;
    default:
        break;
    }
}

enum kb_status kb_work_gave_up(const struct kb_wait *wait, enum kb_status st, int64_t start_ms,
                               const char *what, struct kb_error *err)
{
    int64_t took_ms = kb_now_ms() - start_ms;
    char took[32];

    snprintf(took, sizeof(took), "%lld.%lld s", (long long)took_ms / 1000,
             (long long)took_ms % 1000 / 100);
    switch (st) {
    case KB_ERROR:
        return st;
    case KB_INTERRUPTED:
        return kb_error_set(err, KB_E_INTERRUPTED, "%s after %s of waiting %s", kb_wait_cause(wait),
                            took, what);
    case KB_TIMED_OUT:
        return kb_error_set(err, KB_E_TIMEOUT, "Timed out after %s of waiting %s", took, what);
    default:
        return kb_error_status(err, KB_E_INTERNAL, st, "Waiting %s", what);
    }
}
