#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "mech/options/krb5conf.h"
#include "mech/options/mechd.h"
#include "mech/options/own.h"
#include "mech/options/password.h"
#include "mech/options/resolve.h"

/* Programs that change their effective user back and forth have few of them. */
#define NUM_SLOTS 4
#define MAX_SNAPSHOTS 64

/* One effective user's configuration, as it was last read. */
struct slot {
    struct kb_layers *layers; /* NULL: free */
    int64_t looked_at;        /* seconds of the monotonic clock at which its files were looked at */
};

/* `lock` guards everything here, the list of snapshots of every kb_layers, and every kb_settings.
 * It is held for pointers only: no file, no nsswitch, no hook. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[NUM_SLOTS];
static unsigned next_slot;
static uint8_t own_oid[KB_MAX_OID];
static size_t own_oid_len;
static struct kb_options_hooks hooks;

/* Set while this thread reads the configuration: nsswitch may lead to a module that logs in by
 * GSS-API itself, and that must not lead here again. */
static _Thread_local bool reading;

void kb_options_lock(void)
{
    pthread_mutex_lock(&lock);
}

void kb_options_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_options_set_oid(kb_bytes oid)
{
    kb_options_lock();
    own_oid_len = oid.len <= sizeof(own_oid) ? oid.len : 0;
    if (own_oid_len > 0) {
        memcpy(own_oid, oid.ptr, own_oid_len);
    }
    kb_options_unlock();
}

void kb_options_set_hooks(const struct kb_options_hooks *new_hooks)
{
    kb_options_lock();
    hooks = *new_hooks;
    kb_options_unlock();
}

/* --- snapshots --- */

static struct kb_options *counted(const struct kb_options *options)
{
    return (struct kb_options *)(uintptr_t)options;
}

const struct kb_options *kb_options_ref(const struct kb_options *options)
{
    atomic_fetch_add_explicit(&options->priv->refs, 1, memory_order_relaxed);
    return options;
}

void kb_options_put(const struct kb_options *options)
{
    if (options != NULL &&
        atomic_fetch_sub_explicit(&options->priv->refs, 1, memory_order_acq_rel) == 1) {
        kb_principal_free(options->user);
        kb_arena_wipe(&options->priv->arena);
        kb_own_put(options->priv->own);
        kb_options_put(options->priv->base);
        kb_layers_put(options->priv->layers);
        free(counted(options));
    }
}

/* Releases a list that was taken off its layers. */
static void put_list(struct kb_options *list)
{
    while (list != NULL) {
        struct kb_options *next = list->priv->next;

        kb_options_put(list);
        list = next;
    }
}

/* --- the configuration of the effective user, looked at again at most once a second --- */

static int64_t monotonic_seconds(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0 ? now.tv_sec : 0;
}

static struct slot *find_slot(uid_t euid)
{
    for (size_t i = 0; i < NUM_SLOTS; i++) {
        if (slots[i].layers != NULL && slots[i].layers->euid == euid) {
            return &slots[i];
        }
    }
    return NULL;
}

/* Puts newly read layers into their slot; returns a reference for the caller. */
static struct kb_layers *publish(struct kb_layers *layers, int64_t now)
{
    struct kb_options *list = NULL;
    struct kb_layers *old;
    struct slot *slot;

    kb_options_lock();
    slot = find_slot(layers->euid);
    if (slot == NULL) {
        slot = &slots[next_slot++ % NUM_SLOTS];
    }
    old = slot->layers;
    if (old != NULL) {
        list = old->snapshots;
        old->snapshots = NULL;
    }
    slot->layers = layers;
    slot->looked_at = now;
    kb_layers_ref(layers);
    kb_options_unlock();
    put_list(list);
    kb_layers_put(old);
    return layers;
}

static struct kb_layers *load(uid_t euid, bool with_krb5conf, int64_t now)
{
    uint8_t oid[KB_MAX_OID];
    struct kb_layers *layers;
    struct kb_own *process;
    size_t oid_len;

    kb_options_lock();
    memcpy(oid, own_oid, sizeof(oid));
    oid_len = own_oid_len;
    process = kb_own_ref(kb_process_settings.own);
    kb_options_unlock();
    reading = true;
    layers = kb_layers_load(euid, kb_bytes_of(oid, oid_len), process, with_krb5conf);
    reading = false;
    kb_own_put(process);
    return layers != NULL ? publish(layers, now) : NULL;
}

void kb_options_drop_layers(void)
{
    struct kb_layers *dropped[NUM_SLOTS];
    struct kb_options *lists[NUM_SLOTS];

    kb_options_lock();
    for (size_t i = 0; i < NUM_SLOTS; i++) {
        dropped[i] = slots[i].layers;
        lists[i] = dropped[i] != NULL ? dropped[i]->snapshots : NULL;
        if (dropped[i] != NULL) {
            dropped[i]->snapshots = NULL;
        }
        slots[i] = (struct slot){0};
    }
    kb_options_unlock();
    for (size_t i = 0; i < NUM_SLOTS; i++) {
        put_list(lists[i]);
        kb_layers_put(dropped[i]);
    }
}

/* What is in the slot, if environment and process's settings are still the same. *look: its files
 * are to be looked at, by this caller alone. */
static struct kb_layers *present(uid_t euid, int64_t now, bool *look)
{
    struct kb_layers *layers = NULL;
    bool changed = false;
    struct slot *slot;

    *look = false;
    kb_options_lock();
    slot = find_slot(euid);
    if (slot != NULL) {
        changed = !kb_layers_same_environment(slot->layers);
        if (!changed && slot->layers->process == kb_process_settings.own) {
            *look = slot->looked_at != now;
            slot->looked_at = now;
            layers = kb_layers_ref(slot->layers);
        }
    }
    kb_options_unlock();
    if (changed) {
        kb_secret_forget(); /* another KERBSIDE_OPTIONS may mean another fd:N */
    }
    return layers;
}

/* The process's user, and in which hundredth of a second it was that. */
static _Atomic uint64_t user_seen;

static uint64_t pack_user(uid_t euid)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return ((uint64_t)now.tv_sec * 100 + (uint64_t)now.tv_nsec / 10000000) << 32 | (uint32_t)euid;
}

/* The layers of now, counted; NULL: no memory. */
static struct kb_layers *get_layers(bool with_krb5conf)
{
    int64_t now = monotonic_seconds();
    uid_t euid = geteuid();
    bool look;
    struct kb_layers *layers = present(euid, now, &look);

    atomic_store_explicit(&user_seen, pack_user(euid), memory_order_relaxed);
    if (layers == NULL) {
        return load(euid, with_krb5conf, now);
    }
    with_krb5conf = with_krb5conf || layers->has_krb5conf;
    if ((look && kb_watch_changed(layers->watched)) || (with_krb5conf && !layers->has_krb5conf)) {
        kb_layers_put(layers);
        return load(euid, with_krb5conf, now);
    }
    return layers;
}

static enum kb_status nested(struct kb_error *err)
{
    return kb_error_set(err, KB_E_INTERNAL,
                        "a login was asked for while the options are being read (a module of "
                        "nsswitch that uses GSS-API?)");
}

/* --- what holds for a query --- */

/* The place in layers->matched for a query; NULL: its names are too long to be remembered. */
static struct kb_matched *matched_place(const struct kb_layers *layers,
                                        const struct kb_options_query *query)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    if (query->target.len + query->client.len > sizeof(layers->matched->names)) {
        return NULL;
    }
    for (size_t i = 0; i < query->target.len; i++) {
        hash = (hash ^ query->target.ptr[i]) * 16777619u;
    }
    return &layers->matched[(hash ^ hash >> 16 ^ query->client.len) % KB_NUM_MATCHED];
}

static bool is_matched(const struct kb_matched *place, const struct kb_options_query *query)
{
    return place->used && kb_equal(kb_bytes_of(place->names, place->target_len), query->target) &&
           kb_equal(kb_bytes_of(place->names + place->target_len, place->client_len),
                    query->client);
}

static bool recall(struct kb_layers *layers, const struct kb_options_query *query,
                   struct kb_matches *out)
{
    struct kb_matched *place;
    bool found;

    kb_options_lock();
    place = layers->matched != NULL ? matched_place(layers, query) : NULL;
    found = place != NULL && is_matched(place, query);
    if (found) {
        *out = place->matches;
    }
    kb_options_unlock();
    return found;
}

static void remember(struct kb_layers *layers, const struct kb_options_query *query,
                     const struct kb_matches *matches)
{
    struct kb_matched *place;

    kb_options_lock();
    if (layers->matched == NULL) {
        layers->matched = calloc(KB_NUM_MATCHED, sizeof(*layers->matched));
    }
    place = layers->matched != NULL ? matched_place(layers, query) : NULL;
    if (place != NULL) {
        place->used = true;
        place->target_len = query->target.len;
        place->client_len = query->client.len;
        place->matches = *matches;
        if (query->target.len > 0) {
            memcpy(place->names, query->target.ptr, query->target.len);
        }
        if (query->client.len > 0) {
            memcpy(place->names + query->target.len, query->client.ptr, query->client.len);
        }
    }
    kb_options_unlock();
}

static void match(struct kb_layers *layers, const struct kb_options_query *query,
                  struct kb_matches *out)
{
    if (layers->num_conditional == 0) {
        memset(out, 0, sizeof(*out));
    } else if (!recall(layers, query, out)) {
        kb_match_query(layers, query, out);
        remember(layers, query, out);
    }
}

/* --- finding and keeping snapshots --- */

static bool same_client(const struct kb_options *options, kb_bytes client)
{
    return kb_equal(kb_str(options->priv->client), client);
}

static const struct kb_options *find_snapshot(struct kb_layers *layers, kb_bytes client,
                                              const struct kb_matches *matches)
{
    const struct kb_options *found = NULL;

    kb_options_lock();
    for (struct kb_options *o = layers->snapshots; o != NULL && found == NULL; o = o->priv->next) {
        if (same_client(o, client) && (layers->num_conditional == 0 ||
                                       memcmp(&o->priv->matches, matches, sizeof(*matches)) == 0)) {
            found = kb_options_ref(o);
        }
    }
    kb_options_unlock();
    return found;
}

/* Keeps a snapshot for others, unless its layers were replaced meanwhile. */
static void keep_snapshot(struct kb_layers *layers, struct kb_options *options)
{
    struct kb_options *dropped = NULL, **end = &layers->snapshots;
    struct slot *slot;
    size_t num = 0;

    kb_options_lock();
    slot = find_slot(layers->euid);
    if (slot != NULL && slot->layers == layers) {
        while (*end != NULL && ++num < MAX_SNAPSHOTS) {
            end = &(*end)->priv->next;
        }
        dropped = *end;
        *end = NULL;
        options->priv->next = layers->snapshots;
        layers->snapshots = options;
        kb_options_ref(options);
    }
    kb_options_unlock();
    put_list(dropped);
}

static const struct kb_options *find_own_snapshot(struct kb_settings *settings,
                                                  const struct kb_layers *layers, kb_bytes client,
                                                  const struct kb_matches *matches)
{
    const struct kb_options *found = NULL;

    kb_options_lock();
    if (settings->snapshot != NULL && settings->snapshot->priv->layers == layers &&
        same_client(settings->snapshot, client) &&
        memcmp(&settings->snapshot->priv->matches, matches, sizeof(*matches)) == 0) {
        found = kb_options_ref(settings->snapshot);
    }
    kb_options_unlock();
    return found;
}

static void keep_own_snapshot(struct kb_settings *settings, struct kb_own *own,
                              const struct kb_options *options)
{
    const struct kb_options *old = NULL;

    kb_options_lock();
    if (settings->own == own) {
        old = settings->snapshot;
        settings->snapshot = kb_options_ref(options);
    }
    kb_options_unlock();
    kb_options_put(old);
}

static enum kb_status resolve_now(struct kb_layers *layers, const struct kb_options_query *query,
                                  struct kb_own *own, struct kb_options **out, struct kb_error *err)
{
    struct kb_options_hooks with;
    enum kb_status st;

    kb_options_lock();
    with = hooks;
    kb_options_unlock();
    reading = true;
    st = kb_resolve(layers, query, own, &with, out, err);
    reading = false;
    return st;
}

static enum kb_status get_own(struct kb_layers *layers, const struct kb_options_query *query,
                              const struct kb_options **out, struct kb_error *err)
{
    struct kb_options *made;
    struct kb_matches matches;
    struct kb_own *own;
    enum kb_status st;

    match(layers, query, &matches);
    *out = find_own_snapshot(query->own, layers, query->client, &matches);
    if (*out != NULL) {
        return KB_OK;
    }
    own = kb_settings_own(query->own); /* NULL while nothing is set: as the shared ones */
    st = resolve_now(layers, query, own, &made, err);
    if (st == KB_OK && !made->priv->is_momentary) {
        keep_own_snapshot(query->own, own, made);
    }
    *out = st == KB_OK ? made : NULL;
    kb_own_put(own);
    return st;
}

static enum kb_status get_shared(struct kb_layers *layers, const struct kb_options_query *query,
                                 const struct kb_options **out, struct kb_error *err)
{
    struct kb_matches matches;
    struct kb_options *made;

    match(layers, query, &matches);
    *out = find_snapshot(layers, query->client, &matches);
    if (*out != NULL) {
        return KB_OK;
    }
    if (resolve_now(layers, query, NULL, &made, err) != KB_OK) {
        return KB_ERROR;
    }
    if (!made->priv->is_momentary) {
        keep_snapshot(layers, made);
    }
    *out = made;
    return KB_OK;
}

enum kb_status kb_options_get(const struct kb_options_query *query, const struct kb_options **out,
                              struct kb_error *err)
{
    struct kb_layers *layers;
    enum kb_status st;

    *out = NULL;
    if (reading) {
        return nested(err);
    }
    layers = get_layers(query->with_krb5conf ||
                        (query->own != NULL && kb_settings_has_identity(query->own)));
    if (layers == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    if (layers->error.code != KB_E_NONE) {
        st = kb_error_copy(err, &layers->error);
    } else {
        st = query->own != NULL ? get_own(layers, query, out, err)
                                : get_shared(layers, query, out, err);
    }
    kb_layers_put(layers);
    return st;
}

/* --- questions of the boundary --- */

enum kb_status kb_options_standing(struct kb_standing *out)
{
    struct kb_layers *layers;

    *out = (struct kb_standing){0};
    if (reading) {
        return KB_OK; /* whoever asks from below nsswitch belongs to the platform */
    }
    layers = get_layers(false);
    if (layers == NULL) {
        return KB_NO_MEMORY;
    }
    *out = layers->standing;
    kb_layers_put(layers);
    return KB_OK;
}

enum kb_status kb_options_standing_lately(struct kb_standing *out)
{
    uint64_t seen = atomic_load_explicit(&user_seen, memory_order_relaxed);
    const struct slot *slot;
    bool known = false;

    if (!reading && seen != 0 && seen == pack_user((uid_t)(uint32_t)seen)) {
        kb_options_lock();
        slot = find_slot((uid_t)(uint32_t)seen);
        known = slot != NULL && slot->looked_at == monotonic_seconds() &&
                slot->layers->process == kb_process_settings.own &&
                kb_layers_same_environment(slot->layers);
        if (known) {
            *out = slot->layers->standing;
        }
        kb_options_unlock();
    }
    return known ? KB_OK : kb_options_standing(out);
}

/* The default realm for a caller's name: that of the configured User, else krb5.conf's. */
static enum kb_status parse_client(kb_bytes text, int32_t name_type, struct kb_principal **out)
{
    const struct kb_options *options = NULL;
    struct kb_options_query query = {0};
    kb_bytes realm = KB_NONE;
    enum kb_status st;

    if (kb_options_get(&query, &options, NULL) == KB_OK) {
        realm = options->user != NULL ? options->user->realm
                                      : kb_krb5conf_default_realm(options->krb5conf);
    }
    st = kb_principal_parse(text, name_type, realm, out);
    kb_options_put(options);
    return st;
}

enum kb_status kb_options_client(kb_bytes client, int32_t name_type, struct kb_principal **out)
{
    const uint8_t *at = client.len > 0 ? memchr(client.ptr, '@', client.len) : NULL;
    enum kb_status st;
    struct kb_buf text;

    *out = NULL;
    if (name_type != KB_NT_SRV_HST || at == NULL) {
        return parse_client(client, name_type, out);
    }
    /* A host-based service that initiates: service@host is service/host. */
    kb_buf_init(&text, 65536);
    kb_buf_add(&text, client);
    if (text.status == KB_OK) {
        text.data[at - client.ptr] = '/';
    }
    st = text.status == KB_OK ? parse_client(kb_buf_bytes(&text), KB_NT_SRV_HST, out) : text.status;
    kb_buf_wipe(&text);
    return st;
}

bool kb_options_covers(const struct kb_principal *client)
{
    const struct kb_options *options = NULL;
    struct kb_options_query query = {0};
    struct kb_standing standing;
    bool covers = true;
    struct kb_buf text;

    if (kb_options_standing(&standing) != KB_OK || !standing.ours) {
        return false;
    }
    kb_buf_init(&text, 65536);
    kb_principal_unparse(client, &text);
    query.client = kb_buf_bytes(&text);
    if (kb_options_get(&query, &options, NULL) == KB_OK) {
        covers = options->user != NULL && kb_principal_equal(options->user, client);
    }
    kb_options_put(options);
    kb_buf_wipe(&text);
    return covers;
}

enum kb_status kb_options_password(const struct kb_options *options, kb_bytes *out,
                                   struct kb_error *err)
{
    char buf[256];

    *out = KB_NONE;
    if (options->password == NULL) {
        return kb_error_set(err, KB_E_NO_SECRET, "no password is configured");
    }
    if (kb_secret_read(options->password, out, err) != KB_OK) {
        kb_error_context(err, "%s", kb_origin_text(&options->password_from, buf, sizeof(buf)));
        return KB_ERROR;
    }
    return KB_OK;
}

bool kb_options_password_exposed(const struct kb_options *options)
{
    return options->password != NULL && kb_secret_is_exposed(options->password);
}

/* --- fork --- */

void kb_options_fork_prepare(void)
{
    kb_options_lock();
    kb_secret_fork_prepare();
}

void kb_options_fork_parent(void)
{
    kb_secret_fork_done(false);
    kb_options_unlock();
}

void kb_options_fork_child(void)
{
    kb_secret_fork_done(true);
    kb_options_unlock();
}
