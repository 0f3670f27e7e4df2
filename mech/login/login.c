#include "mech/login/login.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/provider.h"
#include "mech/login/cache.h"
#include "mech/login/clock.h"
#include "mech/login/facts.h"
#include "mech/login/flight.h"
#include "mech/login/hostname.h"
#include "mech/login/identity_own.h"
#include "mech/login/refresh.h"
#include "mech/login/security.h"
#include "mech/login/tell.h"
#include "mech/login/work.h"
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

/* Who may disturb a call: the process's interrupt and the credential's, and the wait callbacks of
 * both. */
static void attach(const struct kb_login *login, struct kb_wait *wait)
{
    const struct kb_options *options = login->options;
    struct kb_listener *process = options->gui_available ? kb_listener_process() : NULL;

    kb_wait_attach(wait, kb_interrupt_process(false));
    kb_wait_attach(wait, login->interrupt);
    if (options->gui_available) {
        kb_wait_listen(wait, process);
        kb_wait_listen(wait, login->listener);
    }
    kb_listener_put(process);
}

void kb_login_start_waiting(const struct kb_login *login, struct kb_wait *wait)
{
    kb_wait_start(wait, login->options->timeout * 1000, login->options->absolute_timeout);
    attach(login, wait);
}

void kb_login_start_waiting_for(const struct kb_login *login, int64_t ms, struct kb_wait *wait)
{
    kb_wait_start(wait, ms, true);
    attach(login, wait);
}

struct kb_socket_options kb_login_socket_options(const struct kb_options *options)
{
    static const enum kb_family families[] = {[KB_IPV6_AUTO] = KB_FAMILY_ANY,
                                              [KB_IPV6_NEVER] = KB_FAMILY_IPV4,
                                              [KB_IPV6_ONLY] = KB_FAMILY_IPV6};

    return (struct kb_socket_options){
        .local_host = options->local_host,
        .local_port = (uint16_t)options->local_port,
        .share_local_port = options->share_local_port,
        .family = families[options->use_ipv6],
        .use_connection = options->use_connection,
        .dont_fragment = options->dont_fragment,
        .dscp = (unsigned)options->qos_dscp_value,
        .traffic_type = (unsigned)options->qos_traffic_type,
        .capture_packet_info = options->capture_ip_packet_info,
        .in_buffer = (int)options->in_buffer_size,
        .out_buffer = (int)options->out_buffer_size,
        .firewall_host = options->firewall_host,
        .firewall_port = (uint16_t)options->firewall_port,
        .firewall_data = options->firewall_data,
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

/* --- the calls --- */

/* As the leader: from the KDCs, for all who want it. What the cache holds already is no reason to
 * take turns with other processes. */
static enum kb_status lead(struct kb_work *work, const struct kb_target *target, kb_bytes key,
                           struct kb_credential **out, struct kb_error *err)
{
    enum kb_status st = kb_work_cached(work, target, out);

    if (st != KB_OK) {
        st = kb_beside_lead(work, key, err);
        if (st == KB_OK) {
            st = kb_work_ticket(work, target, out, err);
        }
    }
    kb_flight_leave(work->login, key, st == KB_OK ? *out : NULL, KB_FLIGHT_FETCHED, err);
    if (st == KB_OK && work->file_as != NULL) {
        kb_cache_keep(work, work->file_as, *out, false);
        kb_work_hand_over(work, key, *out);
    }
    return st;
}

/* Makes a call's work, with the cache as it is now. */
static enum kb_status begin(const struct kb_login *login, struct kb_wait *wait,
                            struct kb_work **out, struct kb_error *err)
{
    *out = kb_work_new(login, wait, err);
    return *out != NULL ? kb_cache_refresh(*out, err) : KB_ERROR;
}

/* *logged_in: the call has logged in, or tried to. */
static enum kb_status obtain(const struct kb_login *login, struct kb_wait *wait,
                             const struct kb_target *target, kb_bytes key, bool cache_is_current,
                             bool *logged_in, struct kb_credential **out, struct kb_error *err)
{
    struct kb_work *work = NULL;
    enum kb_status st = KB_OK;

    if (!cache_is_current) {
        st = begin(login, wait, &work, err);
    }
    if (st == KB_OK) {
        st = kb_flight_enter(login, wait, key, out, err);
    }
    if (st == KB_NOT_FOUND && work == NULL && begin(login, wait, &work, err) != KB_OK) {
        kb_flight_leave(login, key, NULL, KB_FLIGHT_FETCHED, err);
        st = KB_ERROR;
    }
    if (st == KB_NOT_FOUND) {
        st = lead(work, target, key, out, err);
        *logged_in = work->log_in_tried;
    }
    kb_work_free(work);
    return st;
}

/* A ticket that has still more than half of its life would not become much longer, and who always
 * asks for more than the KDC gives would ask it always. */
static bool is_too_short(const struct kb_login *login, kb_bytes key,
                         const struct kb_credential *ticket)
{
    int64_t left = ticket->endtime - kb_identity_now(login->identity);

    return login->wanted_life > left && left * 2 < ticket->endtime - ticket->starttime &&
           kb_shared_claim(kb_identity_shared(login->identity), key, ticket,
                           kb_identity_now(login->identity), true);
}

enum kb_status kb_login_ticket(const struct kb_login *login, const struct kb_target *target,
                               struct kb_credential **out, struct kb_error *err)
{
    struct kb_work_key key_bytes;
    enum kb_status st = KB_NOT_FOUND;
    bool cache_is_current, due = false, logged_in = false;
    char canonical[256];
    struct kb_wait wait;
    kb_bytes key;

    *out = NULL;
    if (kb_security_choose(login->options, err) != KB_OK ||
        kb_hostname_now(login, target, canonical, err) != KB_OK) {
        return KB_ERROR;
    }
    kb_realm_clock_notice(login->identity->clock);
    key = kb_work_key(target, canonical, &key_bytes);
    cache_is_current = kb_cache_is_current(login->identity);
    if (cache_is_current) {
        st = kb_shared_look(kb_identity_shared(login->identity), key,
                            kb_identity_now(login->identity), login->options->min_lifetime, out,
                            &due, err);
    }
    if (st == KB_OK && (due || is_too_short(login, key, *out))) {
        kb_refresh_ticket(login, target, key, out);
        logged_in = true; /* it may have */
    }
    if (st == KB_NOT_FOUND) {
        kb_login_start_waiting(login, &wait);
        st = obtain(login, &wait, target, key, cache_is_current, &logged_in, out, err);
        kb_wait_stop(&wait);
    }
    /* Before the service says that the clocks differ. A call logs in once, for whatever reason. */
    if (!logged_in) {
        kb_refresh_clock(login);
    }
    return st;
}

void kb_login_clock_differs(const struct kb_login *login)
{
    kb_realm_clock_doubt(login->identity->clock, false);
    kb_refresh_clock(login);
}

enum kb_status kb_login_tgt(const struct kb_login *login, struct kb_credential **out,
                            struct kb_error *err)
{
    struct kb_work *work;
    struct kb_wait wait;
    enum kb_status st;

    *out = NULL;
    if (kb_security_choose(login->options, err) != KB_OK) {
        return KB_ERROR;
    }
    kb_login_start_waiting(login, &wait);
    st = begin(login, &wait, &work, err);
    if (st == KB_OK) {
        st = kb_work_tgt(work, out, err);
    }
    if (st == KB_OK && kb_wait_interrupted(&wait)) {
        /* In string-to-key, which is not cut short. The TGT is kept for who asks next. */
        kb_credential_free(*out);
        *out = NULL;
        st = kb_error_set(err, KB_E_INTERRUPTED, "%s while the KDC's answer was decrypted",
                          kb_wait_cause(&wait));
    }
    kb_work_free(work);
    kb_wait_stop(&wait);
    return st;
}

const struct kb_principal *kb_login_client(const struct kb_identity *identity)
{
    struct kb_credential *tgt =
        kb_shared_find(kb_identity_shared(identity), KB_SHARED_TGT, kb_identity_now(identity), 0);
    const struct kb_principal *client = NULL;

    if (tgt != NULL) {
        client = kb_principal_ref(tgt->client);
        kb_credential_free(tgt);
    }
    return client;
}

int64_t kb_login_lifetime(struct kb_identity *identity)
{
    int64_t now = kb_identity_now(identity), left;
    struct kb_credential *tgt = kb_shared_find(kb_identity_shared(identity), KB_SHARED_TGT, now, 0);

    if (tgt == NULL) {
        return kb_cache_lifetime(identity);
    }
    left = tgt->endtime - now;
    kb_credential_free(tgt);
    return left;
}

/* Under which name it is kept depends on what its host's name stood for. */
void kb_login_drop(const struct kb_login *login, const struct kb_target *target,
                   struct kb_credential *credential)
{
    struct kb_shared *shared = kb_identity_shared(login->identity);
    struct kb_work_key key;
    char known[256];
    bool dropped = kb_shared_distrust(shared, kb_work_key(target, "", &key), credential);

    for (int reverse = 0; reverse < 2 && !dropped; reverse++) {
        kb_hostname_known(target, reverse == 1, known);
        dropped = known[0] != '\0' &&
                  kb_shared_distrust(shared, kb_work_key(target, known, &key), credential);
    }
    if (dropped) {
        kb_cache_refuse(login->identity, credential);
        kb_cache_remove(login, credential);
    }
}
