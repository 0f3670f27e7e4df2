#include "mech/login/login.h"

#include "mech/login/cache.h"
#include "mech/login/clock.h"
#include "mech/login/flight.h"
#include "mech/login/hostname.h"
#include "mech/login/identity_own.h"
#include "mech/login/refresh.h"
#include "mech/login/security.h"
#include "mech/login/work.h"

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
    int64_t since_ms = kb_now_ms();
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
    /* Before the service says that the clocks differ. A call logs in once, for whatever reason, and
     * who had no answer waits for no other. */
    if (!logged_in && (st == KB_OK || err->kdc_code != 0)) {
        kb_refresh_clock(login, since_ms);
    }
    return st;
}

void kb_login_clock_differs(const struct kb_login *login)
{
    kb_realm_clock_doubt(login->identity->clock, false);
    kb_refresh_clock(login, kb_now_ms());
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
