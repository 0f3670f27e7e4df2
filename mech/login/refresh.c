#include "mech/login/refresh.h"

#include "crypto/random.h"
#include "mech/login/cache.h"
#include "mech/login/clock.h"
#include "mech/login/flight.h"
#include "mech/login/identity_own.h"
#include "mech/login/realms.h"

#define PATIENCE_MS 1000
#define MAX_PATIENCE_MS 5000
#define MARGIN_MS 250 /* for what is computed between two round trips */

/* --- when --- */

/* Per mille of a life: 750 to 850. */
static int64_t draw_share(void)
{
    uint8_t b[2] = {0};

    if (kb_random(&kb_rng_system, b, sizeof(b)) != KB_OK) {
        return 800;
    }
    return 750 + (b[0] << 8 | b[1]) % 101;
}

int64_t kb_refresh_at(const struct kb_credential *credential, int64_t min_life, int64_t now)
{
    int64_t from = credential->starttime, life;

    from = now > from ? now : from;
    life = credential->endtime - min_life - from;
    return life > 0 ? from + life * draw_share() / 1000 : KB_NEVER;
}

/* --- for how long --- */

/* A second, or two round trips to the user's own KDC. */
static int64_t patience(const struct kb_login *login)
{
    int64_t ms =
        2 * kb_net_round_trip_ms(kb_identity_principal(login->identity)->realm) + MARGIN_MS;

    ms = ms > PATIENCE_MS ? ms : PATIENCE_MS;
    return ms < MAX_PATIENCE_MS ? ms : MAX_PATIENCE_MS;
}

/* Within a call that waits already. */
static int64_t patience_of(const struct kb_work *work)
{
    int64_t most = patience(work->login), left = most;

    if (work->wait->deadline_ms != INT64_MAX) {
        left = work->wait->deadline_ms - kb_now_ms();
    }
    return left > most ? most : left > 1 ? left : 1;
}

/* --- what all kinds have in common --- */

struct refresh {
    struct kb_shared *shared;
    kb_bytes key;
    struct kb_credential *old;
    struct kb_wait wait;
    struct kb_work *work;
    struct kb_error error;
};

/* Begins with the cache as it is now: another process may have been at it, or is, and waited for.
 */
static enum kb_status begin(struct refresh *refresh, const struct kb_login *login, kb_bytes key,
                            struct kb_credential *old, int64_t patience_ms)
{
    *refresh = (struct refresh){
        .shared = kb_identity_shared(login->identity), .key = key, .old = kb_credential_ref(old)};
    kb_login_start_waiting_for(login, patience_ms, &refresh->wait);
    refresh->work = kb_work_new(login, &refresh->wait, &refresh->error);
    if (refresh->work == NULL || kb_cache_refresh(refresh->work, &refresh->error) != KB_OK) {
        return KB_ERROR;
    }
    return kb_beside_lead(refresh->work, key, &refresh->error);
}

static void tell_failure(const struct refresh *refresh, int64_t seconds)
{
    const struct kb_credential *old = refresh->old;
    int64_t now = kb_identity_now(refresh->work->identity);
    struct kb_buf server;

    kb_buf_init(&server, 600);
    kb_name_print(&old->server->name, old->server->realm, &server);
    kb_event_not_refreshed(refresh->work->env.events, kb_buf_str(&server),
                           (old->endtime - now) / 60, seconds, refresh->error.text);
    kb_buf_wipe(&server);
}

/* Ends with what it came to: the new ticket (NULL: none), which takes the place of *ticket. */
static void end(struct refresh *refresh, struct kb_credential *new_one, enum kb_flight_from from,
                struct kb_credential **ticket)
{
    int64_t min_life = refresh->work != NULL ? refresh->work->login->options->min_lifetime : 0;
    int64_t now = from == KB_FLIGHT_FETCHED && refresh->work != NULL
                      ? kb_identity_now(refresh->work->identity)
                      : INT64_MIN;
    int64_t seconds =
        kb_shared_refreshed(refresh->shared, refresh->key, refresh->old, new_one,
                            new_one != NULL ? kb_refresh_at(new_one, min_life, now) : KB_NEVER);

    if (new_one != NULL) {
        kb_credential_free(*ticket);
        *ticket = new_one;
    } else if (refresh->error.code != KB_E_NONE && refresh->work != NULL) {
        tell_failure(refresh, seconds);
    }
    kb_work_free(refresh->work);
    kb_wait_stop(&refresh->wait);
    kb_credential_free(refresh->old);
}

/* --- the TGT --- */

/* Whether renewing makes it last longer; with a secret, a whole life. */
static bool is_worth_renewing(const struct kb_identity *identity, const struct kb_credential *tgt,
                              bool has_secret)
{
    int64_t now = kb_identity_now(identity);
    int64_t until = has_secret ? now + (tgt->endtime - tgt->starttime) : tgt->endtime + 1;

    return (tgt->flags & KB_TKT_RENEWABLE) != 0 && tgt->renew_till >= until;
}

/* That another process has brought. */
static struct kb_credential *later_one_in_cache(struct refresh *refresh)
{
    struct kb_credential *found = NULL;
    struct kb_error ignored = {0};

    if (kb_cache_tgt(refresh->work, &found, &ignored) == KB_OK &&
        found->endtime > refresh->old->endtime) {
        return found;
    }
    kb_credential_free(found);
    return NULL;
}

/* A KDC that says no to a renewal may say yes to a login; one that says nothing will not. */
static bool was_answered(const struct kb_error *err)
{
    return err->kdc_code != 0 || err->code == KB_E_KDC_REPLY;
}

static struct kb_credential *renew_or_log_in(struct refresh *refresh)
{
    bool has_secret = kb_identity_has_secret(refresh->work->identity);
    struct kb_credential *new_one = NULL;
    bool renews = is_worth_renewing(refresh->work->identity, refresh->old, has_secret);

    if (renews && kb_work_renew(refresh->work, refresh->old, &new_one, &refresh->error) == KB_OK) {
        return new_one;
    }
    if (has_secret && (!renews || was_answered(&refresh->error))) {
        refresh->error = (struct kb_error){0};
        (void)!kb_work_log_in(refresh->work, &new_one, &refresh->error);
    }
    return new_one;
}

void kb_refresh_tgt(struct kb_work *work, struct kb_credential **tgt)
{
    const struct kb_login *login = work->login;
    bool early = (*tgt)->endtime <= work->later_than;
    struct kb_credential *new_one = NULL;
    enum kb_flight_from from = KB_FLIGHT_CACHED;
    struct refresh refresh;

    if (work->refreshed_tgt || work->log_in_tried ||
        !kb_shared_claim(kb_identity_shared(login->identity), KB_SHARED_TGT, *tgt,
                         kb_identity_now(login->identity), early)) {
        return;
    }
    work->refreshed_tgt = true;
    if (!is_worth_renewing(login->identity, *tgt, false) &&
        !kb_identity_has_secret(login->identity)) {
        kb_shared_stays(kb_identity_shared(login->identity), KB_SHARED_TGT, *tgt);
        return;
    }
    if (begin(&refresh, login, KB_SHARED_TGT, *tgt, patience_of(work)) == KB_OK) {
        new_one = later_one_in_cache(&refresh);
        if (new_one == NULL) {
            new_one = renew_or_log_in(&refresh);
            from = KB_FLIGHT_FETCHED;
        }
        /* A call logs in once. */
        work->tgt = refresh.work->tgt != NULL ? kb_credential_ref(refresh.work->tgt) : NULL;
        work->log_in_tried = work->log_in_tried || refresh.work->log_in_tried;
    }
    end(&refresh, new_one, from, tgt);
}

/* One that ends hardly later is not worth it. */
static int64_t worth_the_way(const struct kb_credential *old)
{
    return old->endtime + (old->endtime - old->starttime) / 5;
}

/* --- another realm's TGT --- */

void kb_refresh_realm(struct kb_work *work, kb_bytes key, kb_bytes realm, bool hierarchy,
                      struct kb_credential **tgt)
{
    const struct kb_login *login = work->login;
    struct kb_credential *home = NULL;
    struct kb_realm_tgt found = {0};
    struct refresh refresh;

    if (work->later_than != 0 || work->refreshed_realm ||
        !kb_shared_claim(kb_identity_shared(login->identity), key, *tgt,
                         kb_identity_now(login->identity), false)) {
        return;
    }
    work->refreshed_realm = true;
    if (begin(&refresh, login, key, *tgt, patience_of(work)) == KB_OK) {
        refresh.work->later_than = worth_the_way(refresh.old);
        if (kb_work_tgt(refresh.work, &home, &refresh.error) == KB_OK &&
            home->endtime > refresh.old->endtime) {
            (void)!kb_realms_tgt(refresh.work, realm, hierarchy, &found, &refresh.error);
        }
        work->log_in_tried = work->log_in_tried || refresh.work->log_in_tried;
        kb_credential_free(home);
    }
    end(&refresh, found.credential, KB_FLIGHT_FETCHED, tgt);
}

/* --- a service's --- */

void kb_refresh_ticket(const struct kb_login *login, const struct kb_target *target, kb_bytes key,
                       struct kb_credential **ticket)
{
    const struct kb_credential *old = *ticket;
    struct kb_credential *new_one = NULL, *tgt = NULL;
    struct refresh refresh;

    if (begin(&refresh, login, key, *ticket, patience(login)) == KB_OK) {
        refresh.work->later_than = worth_the_way(old);
        if (kb_work_tgt(refresh.work, &tgt, &refresh.error) == KB_OK &&
            tgt->endtime > old->endtime &&
            kb_work_ticket(refresh.work, target, &new_one, &refresh.error) == KB_OK &&
            refresh.work->file_as != NULL) {
            kb_cache_keep(refresh.work, refresh.work->file_as, new_one, false);
        }
        kb_credential_free(tgt);
    }
    end(&refresh, new_one,
        refresh.work != NULL && refresh.work->file_as != NULL ? KB_FLIGHT_FETCHED
                                                              : KB_FLIGHT_CACHED,
        ticket);
}

void kb_refresh_forwarded(const struct kb_login *login, kb_bytes key,
                          struct kb_credential **forwarded)
{
    const struct kb_credential *old = *forwarded;
    struct kb_credential *new_one = NULL;
    struct refresh refresh;

    if (begin(&refresh, login, key, *forwarded, patience(login)) == KB_OK) {
        refresh.work->later_than = worth_the_way(old);
        (void)!kb_work_forwarded(refresh.work, &new_one, &refresh.error);
        if (new_one != NULL && new_one->endtime <= old->endtime) {
            kb_credential_free(new_one);
            new_one = NULL;
        }
    }
    end(&refresh, new_one, KB_FLIGHT_FETCHED, forwarded);
}

/* --- for the clock's sake --- */

/* Another process that shares the cache has just logged in: the time has come with its TGT. */
static struct kb_credential *measured_by_another(struct kb_work *work)
{
    struct kb_credential *found = NULL;
    struct kb_error ignored = {0};
    int64_t age;

    if (kb_cache_tgt(work, &found, &ignored) != KB_OK) {
        return NULL;
    }
    age = kb_clock_now() + found->clock_offset / 1000000 - found->authtime;
    if (age < 0 || age >= KB_CLOCK_MEASURE_SECONDS) {
        kb_credential_free(found);
        return NULL;
    }
    kb_realm_clock_set(work->identity->clock, found->clock_offset, true);
    return found;
}

static enum kb_status measure(struct kb_work *work, struct kb_credential **out,
                              struct kb_error *err)
{
    enum kb_status st = kb_cache_refresh(work, err);

    if (st == KB_OK) {
        st = kb_beside_lead(work, KB_SHARED_TGT, err);
    }
    if (st == KB_OK && (*out = measured_by_another(work)) == NULL) {
        st = kb_work_log_in(work, out, err);
    }
    return st;
}

/* Where Timeout holds for the whole of a call, that bounds it too. */
static int64_t patience_since(const struct kb_login *login, int64_t since_ms)
{
    const struct kb_options *options = login->options;
    int64_t most = patience(login), left = most;

    if (options->absolute_timeout && options->timeout > 0) {
        left = since_ms + options->timeout * 1000 - kb_now_ms();
    }
    return left < most ? left : most;
}

void kb_refresh_clock(const struct kb_login *login, int64_t since_ms)
{
    struct kb_identity *identity = login->identity;
    int64_t patience_ms = patience_since(login, since_ms);
    struct kb_credential *tgt = NULL;
    struct kb_error err = {0};
    struct kb_work *work;
    struct kb_wait wait;

    /* The claim last: who cannot log in leaves it to who can. */
    if (identity->own_clock || !kb_identity_has_secret(identity) || patience_ms <= 0 ||
        !kb_realm_clock_claim(identity->clock)) {
        return;
    }
    kb_login_start_waiting_for(login, patience_ms, &wait);
    work = kb_work_new(login, &wait, &err);
    if (work != NULL && measure(work, &tgt, &err) == KB_OK) {
        kb_event_clock_measured(work->env.events, kb_identity_clock_offset(identity) / 1000000);
        kb_shared_put(kb_identity_shared(identity), KB_SHARED_TGT, tgt,
                      kb_refresh_at(tgt, login->options->min_lifetime, kb_identity_now(identity)));
    } else if (work != NULL) {
        kb_event_clock_not_measured(work->env.events, KB_CLOCK_MEASURE_SECONDS, err.text);
    }
    kb_credential_free(tgt);
    kb_work_free(work);
    kb_wait_stop(&wait);
}
