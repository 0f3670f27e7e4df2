#include "mech/login/login.h"

#include <stdlib.h>

#include "crypto/provider.h"
#include "mech/login/addresses.h"
#include "mech/login/clock.h"
#include "mech/login/facts.h"
#include "mech/login/locate.h"
#include "mech/login/tell.h"
#include "mech/net/exchange.h"
#include "mech/options/krb5conf.h"

#define MAX_ETYPES 32
#define MAX_REPLY (2u << 20) /* what one exchange may take from the heap */

/* Under which name a ticket is kept: the kind of name, then what was asked for. */
#define TGT_KEY KB_LIT("t")

struct asked_key {
    uint8_t bytes[1 + KB_TARGET_MAX];
};

static kb_bytes key_of(const struct kb_target *target, struct asked_key *key)
{
    key->bytes[0] = target->host_based ? 'h' : 'p';
    memcpy(key->bytes + 1, target->asked.ptr, target->asked.len);
    return kb_bytes_of(key->bytes, 1 + target->asked.len);
}

/* One call that could not be answered from the store. */
struct work {
    const struct kb_login *login;
    struct kb_identity *identity;
    struct kb_wait wait;
    struct kb_locate locate;
    struct kb_net_session *net;
    struct kb_env env;
    struct kb_policy policy;
    int32_t as_etypes[MAX_ETYPES]; /* those that the identity has keys for */
    size_t num_as_etypes;
    struct kb_hint_buf hint_bytes;
    struct kb_arena arena;     /* what the policy points to */
    struct kb_credential *tgt; /* what this call logged in for; NULL: it did not */
};

static void load_crypto(void *ctx)
{
    (void)ctx;
    /* Whoever needs a key next finds out, and says so, if it failed. */
    (void)!kb_provider_load();
}

static void set_policy(struct work *work)
{
    const struct kb_options *options = work->login->options;

    work->policy = (struct kb_policy){
        .etypes = options->encryption_types.items,
        .num_etypes = options->encryption_types.num,
        .min_iterations_sha1 = (uint32_t)options->min_iterations_sha1,
        .min_iterations_sha2 = (uint32_t)options->min_iterations_sha2,
        .max_iterations = (uint32_t)options->max_iterations,
        .clock_skew = (uint32_t)options->clock_skew,
        .ticket_life = (uint32_t)options->ticket_life,
        .renew_life = (uint32_t)options->renew_life,
        .forwardable = options->forwardable,
        .proxiable = options->proxiable,
        .canonicalize = options->canonicalize,
        .clock_offset = kb_identity_clock_offset(work->identity),
    };
}

/* Who may disturb a call: the process's interrupt and the credential's, and the wait callbacks of
 * both. */
void kb_login_start_waiting(const struct kb_login *login, struct kb_wait *wait)
{
    const struct kb_options *options = login->options;
    struct kb_listener *process = options->gui_available ? kb_listener_process() : NULL;

    kb_wait_start(wait, options->timeout * 1000, options->absolute_timeout);
    kb_wait_attach(wait, kb_interrupt_process(false));
    kb_wait_attach(wait, login->interrupt);
    if (options->gui_available) {
        kb_wait_listen(wait, process);
        kb_wait_listen(wait, login->listener);
    }
    kb_listener_put(process);
}

static struct kb_socket_options socket_options(const struct kb_options *options)
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

static enum kb_status work_init(struct work *work, const struct kb_login *login,
                                struct kb_error *err)
{
    const struct kb_options *options = login->options;
    struct kb_net_config config = {.use_tcp = options->use_tcp,
                                   .udp_limit = (size_t)options->udp_limit,
                                   .max_packet_size = (size_t)options->max_packet_size,
                                   .sockets = socket_options(options)};
    size_t num = options->encryption_types.num;

    memset(work, 0, sizeof(*work));
    kb_arena_init(&work->arena, NULL, 0, 65536);
    work->login = login;
    work->identity = login->identity;
    kb_login_start_waiting(login, &work->wait);
    if (kb_identity_etypes(work->identity, options->encryption_types.items,
                           num < MAX_ETYPES ? num : MAX_ETYPES, work->as_etypes,
                           &work->num_as_etypes, err) != KB_OK) {
        return KB_ERROR;
    }
    work->locate = (struct kb_locate){.options = options,
                                      .realm = kb_identity_principal(work->identity)->realm};
    kb_clock_env(&work->env, kb_tell_events(options, login->listener));
    config.events = work->env.events;
    work->net = kb_net_new(&config, kb_locate_kdcs, &work->locate, &work->wait);
    if (work->net == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    if (!kb_provider_loaded()) {
        kb_net_idle(work->net, load_crypto, NULL);
    }
    set_policy(work);
    return KB_OK;
}

static void work_wipe(struct work *work)
{
    kb_net_free(work->net);
    kb_wait_stop(&work->wait);
    kb_events_free(work->env.events);
    kb_credential_free(work->tgt);
    kb_arena_wipe(&work->arena);
    kb_wipe(work, sizeof(*work));
}

/* --- driving a machine ---------------------------------------------------------------------------
 */

/* Which KDC it goes to is net's business, and may be several. */
static void trail_request(struct work *work, const struct kb_send *send)
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

/* One message out and its answer in. */
static enum kb_step exchange(struct work *work, struct kb_fetch *fetch, struct kb_send *send,
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
        break;
    case KB_TIMED_OUT:
        step = kb_fetch_silent(fetch, judged, send);
        break;
    default:
        break;
    }
    kb_arena_wipe(&arena);
    return step;
}

static enum kb_status drive(struct work *work, struct kb_fetch *fetch, struct kb_error *err)
{
    struct kb_send send;
    enum kb_step step = kb_fetch_step(fetch, KB_NONE, "", &send);

    while (step == KB_SEND) {
        step = exchange(work, fetch, &send, err);
    }
    if (step == KB_DONE) {
        return KB_OK;
    }
    if (err->code == KB_E_NONE) {
        *err = *kb_fetch_error(fetch);
    }
    return KB_ERROR;
}

static struct kb_fetch *fetch_new(struct work *work, const struct kb_fetch_request *request,
                                  struct kb_error *err)
{
    struct kb_fetch *fetch = kb_fetch_new(&work->env, request);

    if (fetch == NULL) {
        (void)kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    return fetch;
}

/* --- the TGT -------------------------------------------------------------------------------------
 */

static void learn(struct work *work, const struct kb_fetch *fetch)
{
    struct kb_key_hint hint;
    int64_t offset;

    if (kb_fetch_learned(fetch, &hint)) {
        kb_identity_learn(work->identity, &hint);
    }
    if (kb_fetch_clock_offset(fetch, &offset)) {
        kb_identity_set_clock_offset(work->identity, offset);
        work->policy.clock_offset = offset;
    }
}

/* One line for every new TGT: who logged in, where, for how long. */
static void tell_tgt(struct work *work, const struct kb_credential *tgt)
{
    struct kb_buf name;

    kb_buf_init(&name, 600);
    kb_name_print(&tgt->client->name, tgt->client->realm, &name);
    kb_event_new_tgt(work->env.events, kb_buf_str(&name), kb_net_peer(work->net),
                     kb_identity_keys(work->identity).what, (tgt->endtime - tgt->starttime) / 60);
    kb_buf_wipe(&name);
}

/* NoAddresses=False. A host that has none to tell gets a ticket without. */
static enum kb_status bind_to_addresses(struct work *work, struct kb_policy *policy,
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

static enum kb_status fetch_tgt(struct work *work, struct kb_credential **out, struct kb_error *err)
{
    const struct kb_principal *client = kb_identity_principal(work->identity);
    struct kb_policy policy = work->policy;
    struct kb_fetch_request request = {
        .client = client,
        .keys = kb_identity_keys(work->identity),
        .policy = &policy,
        .hint = kb_identity_hint(work->identity, &work->hint_bytes),
        .first_proof = kb_net_alive(work->net, client->realm),
    };
    struct kb_fetch *fetch;
    enum kb_status st = KB_ERROR;

    if (work->login->options->keytab_file != NULL && work->login->options->password != NULL) {
        kb_event_keytab_and_password(work->env.events);
    }
    if (kb_options_password_exposed(work->login->options)) {
        kb_event_password_exposed(work->env.events);
    }
    policy.etypes = work->as_etypes;
    policy.num_etypes = work->num_as_etypes;
    if (bind_to_addresses(work, &policy, err) != KB_OK) {
        return KB_ERROR;
    }
    fetch = fetch_new(work, &request, err);
    if (fetch != NULL) {
        st = drive(work, fetch, err);
        if (st == KB_OK) {
            learn(work, fetch);
            *out = kb_credential_ref(kb_fetch_tgt(fetch));
            tell_tgt(work, *out);
        }
        kb_fetch_free(fetch);
    }
    return st;
}

/* A status that the store's waiting ended with, as an error for a person. */
static enum kb_status waiting_failed(enum kb_status st, struct kb_error *err)
{
    return st == KB_ERROR
               ? st
               : kb_error_status(err, KB_E_INTERNAL, st, "Waiting for another thread's login");
}

/* The TGT that is kept, or a new one. A call logs in once: whatever KDCs say of the TGT that this
 * brought, or however short its life is, no further password proofs are made. */
static enum kb_status obtain_tgt(struct work *work, struct kb_credential **out,
                                 struct kb_error *err)
{
    struct kb_shared *shared = kb_identity_shared(work->identity);
    int64_t min_life = work->login->options->min_lifetime;
    enum kb_status st;

    if (work->tgt != NULL) {
        *out = kb_credential_ref(work->tgt);
        return KB_OK;
    }
    st = kb_shared_enter(shared, TGT_KEY, kb_clock_now(), min_life, &work->wait, out, err);
    if (st != KB_NOT_FOUND) {
        return st == KB_OK ? KB_OK : waiting_failed(st, err);
    }
    st = fetch_tgt(work, out, err);
    kb_shared_leave(shared, TGT_KEY, st == KB_OK ? *out : NULL, err);
    if (st == KB_OK) {
        work->tgt = kb_credential_ref(*out);
    }
    return st;
}

/* --- the service ticket
 * ---------------------------------------------------------------------------- */

static enum kb_status ask_tgs(struct work *work, const struct kb_principal *service,
                              struct kb_credential *tgt, struct kb_credential **out,
                              bool *out_refused, struct kb_error *err)
{
    struct kb_fetch_request request = {
        .client = kb_identity_principal(work->identity),
        .service = service,
        .tgt = tgt,
        .policy = &work->policy,
    };
    struct kb_fetch *fetch = fetch_new(work, &request, err);
    enum kb_status st = KB_ERROR;

    *out_refused = false;
    if (fetch != NULL) {
        st = drive(work, fetch, err);
        if (st == KB_OK) {
            *out = kb_credential_ref(kb_fetch_ticket(fetch));
        } else {
            *out_refused = kb_fetch_tgt_refused(fetch);
        }
        kb_fetch_free(fetch);
    }
    return st;
}

/* Asks for one candidate. A TGT that the KDC does not take (a clock was set, a KDC's key was
 * changed, it was altered on the way to us, where nothing protects it) is kept no longer; one that
 * was kept from before is replaced, once. */
static enum kb_status ask_for(struct work *work, const struct kb_principal *service,
                              struct kb_credential **out, struct kb_error *err)
{
    for (bool again = false;; again = true) {
        struct kb_credential *tgt;
        bool refused, kept;
        enum kb_status st;

        if (obtain_tgt(work, &tgt, err) != KB_OK) {
            return KB_ERROR;
        }
        st = ask_tgs(work, service, tgt, out, &refused, err);
        kept = tgt != work->tgt;
        if (refused) {
            kb_shared_drop(kb_identity_shared(work->identity), TGT_KEY, tgt);
        }
        kb_credential_free(tgt);
        if (!refused || !kept || again) {
            return st;
        }
        *err = (struct kb_error){0};
    }
}

/* The realm that a host is in, as far as krb5.conf says; else the client's own, whose KDC may
 * refer. */
static kb_bytes realm_of(const struct work *work, kb_bytes host)
{
    kb_bytes realm = kb_krb5conf_realm_of_host(work->login->options->krb5conf, host);

    return realm.len > 0 ? realm : kb_identity_principal(work->identity)->realm;
}

static enum kb_status ask_for_host(struct work *work, const struct kb_target *target, kb_bytes host,
                                   struct kb_credential **out, struct kb_error *err)
{
    const struct kb_principal *service;
    char buf[256];
    enum kb_status st = kb_target_principal(
        target, host, realm_of(work, host.len > 0 ? host : target->host), &service);

    if (st != KB_OK) {
        return kb_error_status(err, KB_E_TARGET, st, "The target \"%.*s\"", (int)target->asked.len,
                               (const char *)target->asked.ptr);
    }
    st = ask_for(work, service, out, err);
    kb_principal_free(service);
    if (st != KB_OK && target->by_option && err->code == KB_E_SERVICE_UNKNOWN) {
        kb_error_context(err, "%s: SPN",
                         kb_origin_text(&work->login->options->spn_from, buf, sizeof(buf)));
    }
    return st;
}

/* Finds the canonical name of the target's host, if it differs from what was given. */
static bool canonical_name(struct work *work, const struct kb_target *target, char out[256])
{
    bool reverse = kb_krb5conf_bool(work->login->options->krb5conf, KB_NONE, "rdns", false);
    char *given = kb_strdup(target->host);
    bool differs = given != NULL &&
                   kb_net_canonical_name(&work->wait, given, reverse, out) == KB_OK &&
                   !kb_equal_nocase(kb_str(out), target->host);

    free(given);
    return differs;
}

static enum kb_status fetch_ticket(struct work *work, const struct kb_target *target,
                                   struct kb_credential **out, struct kb_error *err)
{
    int64_t how = work->login->options->dns_canonicalize;
    char canonical[256];
    enum kb_status st;

    if (!target->host_based || target->host.len == 0 || how == KB_CANONICALIZE_NEVER) {
        return ask_for_host(work, target, KB_NONE, out, err);
    }
    if (how == KB_CANONICALIZE_ALWAYS) {
        bool differs = canonical_name(work, target, canonical);

        return ask_for_host(work, target, differs ? kb_str(canonical) : KB_NONE, out, err);
    }
    st = ask_for_host(work, target, KB_NONE, out, err);
    if (st != KB_OK && err->code == KB_E_SERVICE_UNKNOWN &&
        canonical_name(work, target, canonical)) {
        struct kb_error first = *err;

        kb_event_canonical_host(work->env.events, first.text, canonical);
        *err = (struct kb_error){0};
        st = ask_for_host(work, target, kb_str(canonical), out, err);
        if (st != KB_OK && err->code == KB_E_SERVICE_UNKNOWN) {
            kb_error_context(err, "%s", first.text);
        }
    }
    return st;
}

/* --- the calls
 * ------------------------------------------------------------------------------------- */

enum kb_status kb_login_ticket(const struct kb_login *login, const struct kb_target *target,
                               struct kb_credential **out, struct kb_error *err)
{
    struct kb_shared *shared = kb_identity_shared(login->identity);
    int64_t min_life = login->options->min_lifetime;
    struct asked_key key_bytes;
    kb_bytes key = key_of(target, &key_bytes);
    struct work *work;
    enum kb_status st;

    *out = kb_shared_find(shared, key, kb_clock_now(), min_life);
    if (*out != NULL) {
        return KB_OK;
    }
    work = malloc(sizeof(*work));
    if (work == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    st = work_init(work, login, err);
    if (st == KB_OK) {
        st = kb_shared_enter(shared, key, kb_clock_now(), min_life, &work->wait, out, err);
        if (st == KB_NOT_FOUND) {
            st = fetch_ticket(work, target, out, err);
            kb_shared_leave(shared, key, st == KB_OK ? *out : NULL, err);
        } else if (st != KB_OK) {
            st = waiting_failed(st, err);
        }
    }
    work_wipe(work);
    free(work);
    return st;
}

enum kb_status kb_login_tgt(const struct kb_login *login, struct kb_credential **out,
                            struct kb_error *err)
{
    struct work *work = malloc(sizeof(*work));
    enum kb_status st;

    *out = NULL;
    if (work == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
    }
    st = work_init(work, login, err);
    if (st == KB_OK) {
        st = obtain_tgt(work, out, err);
    }
    work_wipe(work);
    free(work);
    return st;
}

int64_t kb_login_lifetime(const struct kb_identity *identity)
{
    int64_t now = kb_clock_now(), left;
    struct kb_credential *tgt = kb_shared_find(kb_identity_shared(identity), TGT_KEY, now, 0);

    if (tgt == NULL) {
        return -1;
    }
    left = tgt->endtime - (now + tgt->clock_offset / 1000000);
    kb_credential_free(tgt);
    return left;
}

void kb_login_drop(const struct kb_identity *identity, const struct kb_target *target,
                   const struct kb_credential *credential)
{
    struct asked_key key;

    kb_shared_drop(kb_identity_shared(identity), key_of(target, &key), credential);
}
