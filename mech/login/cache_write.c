/* What a login writes to a cache, and takes out of it. */
#include "mech/login/auto.h"
#include "mech/login/cache.h"
#include "mech/login/clock.h"
#include "mech/login/identity_own.h"

#define REMOVE_MS 1000

/* What was written, the process has, and knows where in the cache. */
static void take_stored(struct kb_identity *identity, const struct kb_cc_store *what,
                        const struct kb_cc_stamp *stamp)
{
    struct kb_cc_contents *grown = NULL, *old;

    if (stamp->words[0] != 0 && what->known != NULL) {
        (void)!kb_cc_contents_add(what->known, what, stamp, &grown); /* else it is read again */
    }
    old = grown;
    kb_identity_lock();
    identity->unwritable = false;
    identity->cache_changes++;
    if (grown != NULL && kb_cc_same_stamp(&identity->cache_stamp, &what->known_stamp)) {
        old = identity->cached;
        identity->cached = grown;
        identity->cache_stamp = *stamp;
    }
    kb_identity_unlock();
    kb_cc_contents_put(old);
}

/* It is told once, until one can be written again: a program with a hundred targets would say it a
 * hundred times. */
static void cannot_write(struct kb_work *work, const struct kb_error *err)
{
    struct kb_identity *identity = work->identity;
    bool told;

    kb_identity_lock();
    told = identity->unwritable;
    identity->unwritable = true;
    kb_identity_unlock();
    if (!told) {
        kb_event_cache_not_written(work->env.events, err->text);
    }
}

void kb_cache_keep(struct kb_work *work, const struct kb_principal *server,
                   const struct kb_credential *credential, bool is_tgt)
{
    struct kb_identity *identity = work->identity;
    struct kb_cc_stamp stamp;
    struct kb_error err = {0};
    enum kb_status st;
    struct kb_cc_store what = {.owner = credential->client,
                               .server = server,
                               .credential = credential,
                               .fresh = is_tgt,
                               .now = kb_clock_now()};

    if (identity->cache == NULL || !work->login->options->store_tickets ||
        (is_tgt && identity->cache_is_default)) {
        return;
    }
    what.known = kb_cache_known(identity, &what.known_stamp);
    st = is_tgt && identity->cache_is_auto ? kb_auto_bind(identity, &err) : KB_OK;
    if (st == KB_OK) {
        st = kb_ccache_store(identity->cache, &what, work->wait, &stamp, &err);
    }
    if (st == KB_OK) {
        take_stored(identity, &what, &stamp);
    } else if (st == KB_ERROR) {
        cannot_write(work, &err);
    }
    kb_cc_contents_put(what.known);
}

void kb_cache_refuse(struct kb_identity *identity, struct kb_credential *credential)
{
    struct kb_credential *old;

    if (identity->cache == NULL || identity->cache_write_only) {
        return;
    }
    kb_identity_lock();
    old = identity->refused[identity->next_refused];
    identity->refused[identity->next_refused] = kb_credential_ref(credential);
    identity->next_refused = (identity->next_refused + 1) % KB_CACHE_REFUSED;
    kb_identity_unlock();
    kb_credential_free(old);
}

void kb_cache_remove(const struct kb_login *login, const struct kb_credential *credential)
{
    struct kb_identity *identity = login->identity;
    int64_t age = kb_identity_now(identity) - credential->starttime;
    struct kb_error ignored = {0};
    struct kb_wait wait;
    size_t num;

    if (identity->cache == NULL || identity->cache_write_only || !login->options->store_tickets ||
        (age >= 0 && age < KB_DISTRUST_SECONDS)) {
        return;
    }
    kb_login_start_waiting_for(login, REMOVE_MS, &wait);
    (void)!kb_ccache_remove(identity->cache, credential->client, credential->server, &wait, &num,
                            &ignored);
    kb_wait_stop(&wait);
}
