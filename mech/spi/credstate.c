#include "mech/spi/credstate.h"

#include <pthread.h>
#include <stdlib.h>

#include "mech/options/settings.h"
#include "mech/spi/twin.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_gss_cred *listed; /* those with a listener or an interrupt */

static void fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

static void fork_done(void)
{
    pthread_mutex_unlock(&lock);
}

/* After mech/process's handlers, so that this lock is taken before theirs. */
static void watch_forks(void)
{
    (void)pthread_atfork(fork_prepare, fork_done, fork_done);
}

static void lock_creds(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
}

static void unlock_creds(void)
{
    pthread_mutex_unlock(&lock);
}

/* With the lock. */
static void list(struct kb_gss_cred *cred)
{
    if (!cred->listed) {
        cred->listed = true;
        cred->next_listed = listed;
        listed = cred;
    }
}

static void unlist(struct kb_gss_cred *cred)
{
    struct kb_gss_cred **at = &listed;

    while (*at != NULL && *at != cred) {
        at = &(*at)->next_listed;
    }
    if (*at != NULL) {
        *at = cred->next_listed;
    }
}

void kb_cred_wipe(struct kb_gss_cred *cred)
{
    if (cred->listed) {
        lock_creds();
        unlist(cred);
        unlock_creds();
    }
    if (cred->identity != NULL) {
        kb_twin_drop(cred->identity);
        kb_identity_put(cred->identity);
    }
    kb_options_put(cred->options);
    kb_settings_free(atomic_load(&cred->own));
    kb_listener_put(cred->listener);
    kb_interrupt_put(cred->interrupt);
}

/* --- whose it is --- */

void kb_cred_look(struct kb_gss_cred *cred, struct kb_cred_view *view)
{
    lock_creds();
    view->cred = cred;
    view->generation = atomic_load_explicit(&cred->generation, memory_order_relaxed);
    view->bound = cred->kind == KB_CRED_BOUND || cred->own_identity;
    view->own_secret = cred->own_secret;
    view->options = cred->options != NULL ? kb_options_ref(cred->options) : NULL;
    view->identity = cred->identity != NULL ? kb_identity_ref(cred->identity) : NULL;
    view->identity_holds = cred->identity_generation == view->generation;
    view->listener = kb_listener_ref(cred->listener);
    view->interrupt = kb_interrupt_ref(cred->interrupt);
    unlock_creds();
}

void kb_cred_view_wipe(struct kb_cred_view *view)
{
    kb_options_put(view->options);
    kb_identity_put(view->identity);
    kb_listener_put(view->listener);
    kb_interrupt_put(view->interrupt);
    *view = (struct kb_cred_view){0};
}

bool kb_cred_view_holds(const struct kb_cred_view *view)
{
    return atomic_load(&view->cred->generation) == view->generation;
}

void kb_cred_view_begins(const struct kb_cred_view *view)
{
    atomic_store_explicit(&view->cred->begun, view->generation + 1, memory_order_relaxed);
}

bool kb_cred_view_begun(const struct kb_cred_view *view)
{
    return atomic_load_explicit(&view->cred->begun, memory_order_relaxed) == view->generation + 1;
}

enum kb_status kb_cred_view_resolve(struct kb_cred_view *view, struct kb_error *err)
{
    struct kb_gss_cred *cred = view->cred;
    struct kb_options_query query = {.client = kb_str(cred->client),
                                     .own = atomic_load(&cred->own)};

    if (view->options != NULL) {
        return KB_OK;
    }
    if (kb_options_get(&query, &view->options, err) != KB_OK) {
        return KB_ERROR;
    }
    lock_creds();
    if (kb_cred_view_holds(view) && cred->options == NULL) {
        cred->options = kb_options_ref(view->options);
    }
    unlock_creds();
    return KB_OK;
}

/* A credential that was acquired for a name stays that name's. */
static enum kb_status check_client(const struct kb_gss_cred *cred,
                                   const struct kb_identity *identity, struct kb_error *err)
{
    struct kb_buf name;
    bool same = true;

    if (cred->client != NULL) {
        kb_buf_init(&name, KB_NAME_MAX);
        kb_principal_unparse(kb_identity_principal(identity), &name);
        same = name.status != KB_OK || kb_equal(kb_buf_bytes(&name), kb_str(cred->client));
        if (!same) {
            (void)kb_error_set(err, KB_E_USER,
                               "The credential was acquired for %s, but its options now log in %s",
                               cred->client, kb_buf_str(&name));
        }
        kb_buf_wipe(&name);
    }
    return same ? KB_OK : KB_ERROR;
}

static enum kb_status identify(struct kb_cred_view *view, struct kb_identity **out,
                               struct kb_error *err)
{
    if (kb_cred_view_resolve(view, err) != KB_OK ||
        kb_identity_get(view->options, out, err) != KB_OK) {
        return KB_ERROR;
    }
    if (view->generation > 0 && check_client(view->cred, *out, err) != KB_OK) {
        kb_identity_put(*out);
        *out = NULL;
        return KB_ERROR;
    }
    return KB_OK;
}

/* Of an equal one the tickets stay. */
static void keep_if_same(struct kb_cred_view *view, struct kb_identity *made)
{
    struct kb_identity *drop = view->identity;

    if (view->identity != NULL && kb_identity_same(view->identity, made)) {
        kb_identity_take_source(view->identity, made);
        drop = made;
    } else {
        view->identity = made;
    }
    kb_identity_put(drop);
}

/* Keeps a view's identity for the next, in place of `stale`, or takes that which another thread has
 * kept. */
static void publish(struct kb_cred_view *view, const struct kb_identity *stale)
{
    struct kb_gss_cred *cred = view->cred;
    struct kb_identity *drop = NULL;

    lock_creds();
    if (kb_cred_view_holds(view)) {
        if (cred->identity != NULL && cred->identity != stale &&
            cred->identity_generation == view->generation) {
            drop = view->identity;
            view->identity = kb_identity_ref(cred->identity);
        } else {
            drop = cred->identity;
            cred->identity = kb_identity_ref(view->identity);
            cred->identity_generation = view->generation;
        }
    }
    unlock_creds();
    view->identity_holds = true;
    kb_identity_put(drop);
}

enum kb_status kb_cred_view_identity(struct kb_cred_view *view, struct kb_identity **out,
                                     struct kb_error *err)
{
    const struct kb_identity *before = view->identity;
    struct kb_identity *made;

    *out = NULL;
    if (!view->own_secret) {
        return identify(view, out, err);
    }
    if (before == NULL || !view->identity_holds || kb_identity_is_stale(view->identity)) {
        if (identify(view, &made, err) != KB_OK) {
            return KB_ERROR;
        }
        keep_if_same(view, made);
        publish(view, before);
    }
    *out = kb_identity_ref(view->identity);
    return KB_OK;
}

void kb_cred_keep_identity(struct kb_gss_cred *cred, struct kb_identity *identity)
{
    struct kb_identity *before;

    lock_creds();
    before = cred->identity;
    cred->identity = identity;
    cred->identity_generation = atomic_load(&cred->generation);
    unlock_creds();
    kb_identity_put(before);
}

/* --- its options --- */

/* From now on its options are resolved anew. */
static void changed(struct kb_gss_cred *cred, struct kb_settings *own)
{
    const struct kb_options *before;

    lock_creds();
    atomic_fetch_add(&cred->generation, 1);
    cred->own_identity = kb_settings_has_identity(own);
    cred->own_secret = kb_settings_has_secret(own);
    before = cred->options;
    cred->options = NULL;
    unlock_creds();
    kb_options_put(before);
}

/* The credential's settings, made where there are none. NULL: no memory. */
static struct kb_settings *settings_of(struct kb_gss_cred *cred)
{
    struct kb_settings *own = atomic_load(&cred->own), *made;

    if (own != NULL) {
        return own;
    }
    made = kb_settings_new();
    if (made != NULL && atomic_compare_exchange_strong(&cred->own, &own, made)) {
        return made;
    }
    kb_settings_free(made);
    return own;
}

enum kb_status kb_cred_configure(struct kb_gss_cred *cred, kb_bytes text, struct kb_error *err)
{
    struct kb_settings *own = settings_of(cred);

    if (own == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a credential's options");
    }
    if (kb_settings_set_text(own, text, err) != KB_OK) {
        return KB_ERROR;
    }
    changed(cred, own);
    return KB_OK;
}

enum kb_status kb_cred_allow(struct kb_gss_cred *cred, const int32_t *etypes, size_t num,
                             struct kb_error *err)
{
    struct kb_settings *own = num > 0 ? settings_of(cred) : atomic_load(&cred->own);

    if (own == NULL) {
        return num == 0 ? KB_OK
                        : kb_error_set(err, KB_E_NO_MEMORY, "No memory for a credential's options");
    }
    if (kb_settings_allow(own, etypes, num, err) != KB_OK) {
        return KB_ERROR;
    }
    changed(cred, own);
    return KB_OK;
}

void kb_cred_reset(struct kb_gss_cred *cred)
{
    struct kb_settings *own = atomic_load(&cred->own);
    struct kb_identity *identity = NULL;

    if (own == NULL) {
        return;
    }
    kb_settings_reset(own);
    changed(cred, own);
    lock_creds();
    if (!cred->own_secret) { /* its secret is wiped now, not when the credential goes */
        identity = cred->identity;
        cred->identity = NULL;
    }
    unlock_creds();
    if (identity != NULL) {
        kb_twin_drop(identity);
        kb_identity_put(identity);
    }
}

/* --- who listens, what interrupts --- */

void kb_cred_listen(struct kb_gss_cred *cred, struct kb_listener *listener)
{
    struct kb_listener *before;

    lock_creds();
    before = cred->listener;
    cred->listener = listener;
    list(cred);
    unlock_creds();
    kb_listener_put(before); /* may call the program */
}

struct kb_listener *kb_cred_same_listener(const void *shared)
{
    struct kb_listener *found = NULL;

    lock_creds();
    for (struct kb_gss_cred *c = listed; c != NULL && shared != NULL && found == NULL;
         c = c->next_listed) {
        found = c->listener == shared ? kb_listener_ref(c->listener) : NULL;
    }
    unlock_creds();
    return found;
}

/* With the lock: a reference to the interrupt at `shared`, if a credential has it. */
static struct kb_interrupt *same_interrupt(const void *shared)
{
    for (struct kb_gss_cred *c = listed; c != NULL && shared != NULL; c = c->next_listed) {
        if (c->interrupt == shared) {
            return kb_interrupt_ref(c->interrupt);
        }
    }
    return NULL;
}

struct kb_interrupt *kb_cred_make_interrupt(struct kb_gss_cred *cred, const void *shared)
{
    struct kb_interrupt *made = NULL, *interrupt;

    lock_creds();
    interrupt = cred->interrupt;
    if (interrupt == NULL) {
        made = same_interrupt(shared);
    }
    unlock_creds();
    if (interrupt != NULL) {
        return interrupt;
    }
    made = made != NULL ? made : kb_interrupt_new();
    if (made == NULL) {
        return NULL;
    }
    lock_creds();
    if (cred->interrupt == NULL) {
        cred->interrupt = made;
        made = NULL;
        list(cred);
    }
    interrupt = cred->interrupt;
    unlock_creds();
    kb_interrupt_put(made);
    return interrupt;
}
