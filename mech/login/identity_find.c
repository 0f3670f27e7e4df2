#include <pthread.h>
#include <time.h>

#include "mech/login/cache.h"
#include "mech/login/identity_own.h"
#include "mech/net/wait.h"
#include "mech/options/layers.h"
#include "mech/options/password.h"

#define RECHECK_MS 1000   /* how often it is read again, though it looks the same */
#define MAX_IDENTITIES 64 /* that are shared; beyond it the oldest is forgotten */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_identity *identities;

void kb_identity_lock(void)
{
    pthread_mutex_lock(&lock);
}

void kb_identity_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool same_list(const kb_opt_LIST *a, const kb_opt_LIST *b)
{
    bool same = a->num == b->num;

    for (size_t i = 0; same && i < a->num; i++) {
        same = strcmp(a->items[i], b->items[i]) == 0;
    }
    return same;
}

static bool same_etypes(const kb_opt_ETYPES *a, const kb_opt_ETYPES *b)
{
    return a->num == b->num &&
           (a->num == 0 || memcmp(a->items, b->items, a->num * sizeof(*a->items)) == 0);
}

/* Whether two snapshots use an identity's tickets in the same way. */
static bool same_use(const struct kb_options *a, const struct kb_options *b)
{
    return same_list(&a->kdc_host, &b->kdc_host) && a->kdc_port == b->kdc_port &&
           same_list(&a->primary_kdc, &b->primary_kdc) &&
           same_etypes(&a->encryption_types, &b->encryption_types) &&
           same_etypes(&a->ticket_types, &b->ticket_types) && a->own_clock == b->own_clock &&
           a->forwardable == b->forwardable && a->proxiable == b->proxiable &&
           a->no_addresses == b->no_addresses && a->ticket_life == b->ticket_life &&
           a->renew_life == b->renew_life && a->canonicalize == b->canonicalize &&
           a->name_type == b->name_type && a->dns_canonicalize == b->dns_canonicalize;
}

static bool same_secret(const struct kb_identity *a, const struct kb_identity *b)
{
    if (a->keytab != NULL || b->keytab != NULL) {
        return a->keytab != NULL && b->keytab != NULL && strcmp(a->where, b->where) == 0 &&
               kb_keytab_same(a->keytab, b->keytab, a->client, false);
    }
    if (a->password.ptr == NULL || b->password.ptr == NULL) {
        return a->password.ptr == b->password.ptr; /* the cache is compared apart */
    }
    return strcmp(a->where, b->where) == 0 && kb_equal_secret(a->password, b->password);
}

static bool same_identity(const struct kb_identity *a, const struct kb_identity *b)
{
    return a->euid == b->euid && kb_principal_equal(a->client, b->client) && same_secret(a, b) &&
           kb_cache_same_place(a, b) && same_use(a->options, b->options);
}

bool kb_identity_same(const struct kb_identity *a, const struct kb_identity *b)
{
    bool same;

    pthread_mutex_lock(&lock);
    same = same_identity(a, b);
    pthread_mutex_unlock(&lock);
    return same;
}

/* Then to look costs no system call, and is done each time. */
static bool is_variable(const struct kb_options *options)
{
    return options->keytab_file == NULL && options->password != NULL &&
           options->password->kind == KB_SECRET_ENV;
}

/* A changed secret is another identity at once: the old one's tickets are not for it. */
static bool is_unchanged(struct kb_identity *identity, const struct kb_options *options,
                         const struct stat *before)
{
    struct stat now = kb_identity_source_now(identity);
    struct kb_error ignored = {0};
    kb_bytes password;
    bool same = same_file(before, &now);

    if (!kb_identity_has_secret(identity)) {
        return kb_cache_looks_same(identity, options);
    }
    if (same && identity->keytab == NULL && is_variable(options)) {
        same = kb_options_password(options, &password, &ignored) == KB_OK;
        if (same) {
            same = kb_equal_secret(password, identity->password);
            kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
        }
    }
    return same;
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The identity that was made of this very snapshot, if its secret was read just now. */
static struct kb_identity *find_fresh(const struct kb_options *options)
{
    int64_t now = now_us();
    struct kb_identity *identity;
    struct stat source;
    bool look = false;

    pthread_mutex_lock(&lock);
    identity = identities;
    while (identity != NULL && identity->options != options) {
        identity = identity->next;
    }
    if (identity != NULL && now / 1000 - identity->checked_ms < RECHECK_MS) {
        kb_identity_ref(identity);
        look = now - identity->looked_us >= KB_LOOK_US || is_variable(options);
        identity->looked_us = look ? now : identity->looked_us;
        source = identity->source;
    } else {
        identity = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (look && !is_unchanged(identity, options, &source)) {
        kb_identity_put(identity);
        identity = NULL;
    }
    return identity;
}

bool kb_identity_is_stale(struct kb_identity *identity)
{
    int64_t now = now_us();
    struct stat source, looks;
    bool look;

    pthread_mutex_lock(&lock);
    look = identity->source_path != NULL && now - identity->looked_us >= KB_LOOK_US;
    identity->looked_us = look ? now : identity->looked_us;
    source = identity->source;
    pthread_mutex_unlock(&lock);
    if (!look) {
        return false;
    }
    looks = kb_identity_source_now(identity);
    return !same_file(&source, &looks);
}

void kb_identity_take_source(struct kb_identity *identity, const struct kb_identity *made)
{
    pthread_mutex_lock(&lock);
    identity->source = made->source;
    pthread_mutex_unlock(&lock);
}

void kb_identity_distrust(const struct kb_options *options)
{
    pthread_mutex_lock(&lock);
    for (struct kb_identity *at = identities; at != NULL; at = at->next) {
        if (at->options == options) {
            at->checked_ms = INT64_MIN / 2;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Takes `made`, and gives back the equal one that is in the list already, or puts `made` there. */
static struct kb_identity *intern(struct kb_identity *made)
{
    struct kb_identity **slot = &identities, *drop = NULL, *found;
    const struct kb_options *old = NULL;
    unsigned num = 0;

    pthread_mutex_lock(&lock);
    while (*slot != NULL && !same_identity(*slot, made)) {
        if ((*slot)->options == made->options || ++num >= MAX_IDENTITIES) {
            /* The same snapshot with another secret: it was changed. Or one too many. */
            drop = *slot;
            break;
        }
        slot = &(*slot)->next;
    }
    if (drop != NULL) {
        *slot = drop->next;
        while (*slot != NULL && !same_identity(*slot, made)) {
            slot = &(*slot)->next;
        }
    }
    found = *slot;
    if (found != NULL) {
        old = found->options;
        found->options = kb_options_ref(made->options);
        found->checked_ms = made->checked_ms;
        found->source = made->source; /* written again, the same secret is in it */
    } else {
        made->next = identities;
        identities = made;
        found = made;
        made = NULL;
    }
    kb_identity_ref(found);
    pthread_mutex_unlock(&lock);
    kb_options_put(old);
    kb_identity_put(drop);
    kb_identity_put(made);
    return found;
}

/* `cache` says what is wrong with the platform's default cache, if something is. */
static enum kb_status no_secret(const struct kb_options *options, const struct kb_error *cache,
                                struct kb_error *err)
{
    const char *lost = options->lost_secret != NULL ? options->lost_secret
                       : cache->code != KB_E_NONE   ? cache->text
                                                    : NULL;
    char buf[256];

    return kb_error_set(err, KB_E_NO_SECRET, "%s: no password, keytab or cache for User=%s%s%s",
                        kb_origin_text(&options->user_name_from, buf, sizeof(buf)),
                        options->user_name != NULL ? options->user_name : "",
                        lost != NULL ? "; " : "", lost != NULL ? lost : "");
}

/* The layer that the secret comes from. */
static unsigned secret_layer(const struct kb_options *options)
{
    return options->keytab_file != NULL ? options->keytab_file_from.layer
           : options->password != NULL  ? options->password_from.layer
           : options->ccache != NULL    ? options->ccache_from.layer
                                        : 0;
}

void kb_identity_forget_process(void)
{
    struct kb_identity **slot = &identities, *forgotten = NULL;

    pthread_mutex_lock(&lock);
    while (*slot != NULL) {
        struct kb_identity *identity = *slot;

        if (secret_layer(identity->options) == KB_LAYER_PROCESS) {
            *slot = identity->next;
            identity->next = forgotten;
            forgotten = identity;
        } else {
            slot = &identity->next;
        }
    }
    pthread_mutex_unlock(&lock);
    while (forgotten != NULL) {
        struct kb_identity *next = forgotten->next;

        forgotten->next = NULL;
        kb_identity_put(forgotten);
        forgotten = next;
    }
}

enum kb_status kb_identity_get(const struct kb_options *options, struct kb_identity **out,
                               struct kb_error *err)
{
    struct kb_error why = {0};
    struct kb_identity *made;

    *out = find_fresh(options);
    if (*out != NULL) {
        return KB_OK;
    }
    if (options->keytab_file == NULL && options->password != NULL && options->user == NULL) {
        return kb_error_set(err, KB_E_USER, "A password without a user");
    }
    switch (kb_identity_new(options, &made, &why)) {
    case KB_OK:
        /* What the program itself handed over is shared with nobody. */
        *out = secret_layer(options) >= KB_LAYER_CREDENTIAL ? made : intern(made);
        return KB_OK;
    case KB_NOT_FOUND:
        return no_secret(options, &why, err);
    default:
        return kb_error_copy(err, &why);
    }
}

void kb_identity_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_identity_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_identity_fork_child(void)
{
    pthread_mutex_unlock(&lock);
}
