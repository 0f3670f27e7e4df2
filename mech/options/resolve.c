#include "mech/options/resolve.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "mech/options/conflicts.h"
#include "mech/options/expand.h"
#include "mech/options/identity.h"
#include "mech/options/krb5defaults.h"
#include "mech/options/match.h"
#include "mech/options/text.h"
#include "mech/options/value.h"

#define MAX_ARENA (4 * 1048576)

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

void kb_match_query(const struct kb_layers *layers, const struct kb_options_query *query,
                    struct kb_matches *out)
{
    size_t number = 0;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < layers->num_active && layers->num_conditional > 0; i++) {
        if (!kb_unit_is_conditional(layers->active[i])) {
            continue;
        }
        if (kb_call_conditions_hold(layers->active[i], query->target, query->client,
                                    layers->krb5conf)) {
            out->bits[number / 8] |= (uint8_t)(1U << number % 8);
        }
        number++;
    }
}

/* --- applying --- */

struct resolving {
    struct kb_options *options;
    struct kb_arena *arena;
    const struct kb_layers *layers;
    const struct kb_options_query *query;
    struct kb_identity_choice identity;
};

static enum kb_status value_failed(const struct kb_setting *setting, struct kb_error *err)
{
    char buf[256];

    kb_error_context(err, "%s: %s", kb_origin_text(&setting->from, buf, sizeof(buf)),
                     setting->row->name);
    return KB_ERROR;
}

static enum kb_status apply_setting(struct resolving *r, const struct kb_setting *setting,
                                    struct kb_error *err)
{
    return kb_value_set(r->options, r->arena, setting, err) == KB_OK ? KB_OK
                                                                     : value_failed(setting, err);
}

/* Everything of a unit but the identity, which is chosen from all units first. */
static enum kb_status apply_unit(struct resolving *r, const struct kb_unit *unit,
                                 struct kb_error *err)
{
    for (const struct kb_setting *s = unit->settings; s != NULL; s = s->next) {
        if ((s->row->flags & KB_OPT_IDENTITY) == 0 && apply_setting(r, s, err) != KB_OK) {
            return KB_ERROR;
        }
    }
    kb_identity_apply(&r->identity, unit);
    return KB_OK;
}

static bool has_identity(const struct kb_identity_choice *choice)
{
    return choice->user != NULL || choice->password != NULL || choice->keytab != NULL ||
           choice->cache != NULL;
}

static enum kb_status apply_identity(struct resolving *r, struct kb_error *err)
{
    const struct kb_setting *chosen[] = {r->identity.user, r->identity.password, r->identity.keytab,
                                         kb_identity_cache(&r->identity)};

    r->options->has_identity = has_identity(&r->identity);
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++) {
        if (chosen[i] != NULL && apply_setting(r, chosen[i], err) != KB_OK) {
            return KB_ERROR;
        }
    }
    return KB_OK;
}

static bool holds(const struct resolving *r, const struct kb_unit *unit, kb_bytes client)
{
    return kb_call_conditions_hold(unit, r->query->target, client, r->layers->krb5conf);
}

/* NameType tells how every User is read, so it is looked up before any is. */
static void read_name_type(const struct kb_unit *unit, struct kb_identity_choice *choice)
{
    const struct kb_setting *setting = kb_unit_find(unit, KB_OPT_NameType);
    int64_t type;

    if (setting != NULL && kb_word_value(KB_OPT_NameType, kb_str(setting->text), &type)) {
        choice->enterprise = type == KB_NAME_ENTERPRISE;
    }
}

static void find_name_type(struct resolving *r, kb_bytes client, const struct kb_own *own,
                           struct kb_identity_choice *choice)
{
    for (size_t i = 0; i < r->layers->num_active; i++) {
        if (holds(r, r->layers->active[i], client)) {
            read_name_type(r->layers->active[i], choice);
        }
    }
    if (own != NULL) {
        read_name_type(&own->unit, choice);
    }
}

/* The name that [client] patterns are compared with: the caller's, else the user who results
 * without such sections. */
static enum kb_status find_client(struct resolving *r, const struct kb_own *own, struct kb_buf *out,
                                  struct kb_error *err)
{
    struct kb_identity_choice choice = r->identity;
    struct kb_principal *user;

    if (r->query->client.len > 0) {
        kb_buf_add(out, r->query->client);
        return KB_OK;
    }
    find_name_type(r, KB_NONE, own, &choice);
    for (size_t i = 0; i < r->layers->num_active; i++) {
        const struct kb_unit *unit = r->layers->active[i];

        if (!kb_unit_has(unit, KB_IF_CLIENT) && holds(r, unit, KB_NONE)) {
            kb_identity_apply(&choice, unit);
        }
    }
    if (own != NULL) {
        kb_identity_apply(&choice, &own->unit);
    }
    if (choice.user == NULL || r->layers->krb5conf_error.code != KB_E_NONE) {
        return KB_OK;
    }
    if (kb_identity_user(&choice, choice.user, &user, err) != KB_OK) {
        return KB_ERROR;
    }
    r->identity.looked_into_cache = choice.looked_into_cache;
    r->identity.missed_in_keytab = choice.missed_in_keytab;
    kb_principal_unparse(user, out);
    kb_principal_free(user);
    return KB_OK;
}

static enum kb_status apply_units(struct resolving *r, kb_bytes client, const struct kb_own *own,
                                  struct kb_error *err)
{
    enum kb_status st = KB_OK;

    r->identity.client_is_named = r->query->client.len > 0;
    find_name_type(r, client, own, &r->identity);
    for (size_t i = 0; i < r->layers->num_active && st == KB_OK; i++) {
        const struct kb_unit *unit = r->layers->active[i];

        if (holds(r, unit, client)) {
            st = apply_unit(r, unit, err);
        }
    }
    return st == KB_OK && own != NULL ? apply_unit(r, &own->unit, err) : st;
}

static enum kb_status apply_all(struct resolving *r, const struct kb_own *own, struct kb_error *err)
{
    enum kb_status st = KB_OK;
    struct kb_buf client;

    kb_buf_init(&client, 65536);
    if (r->layers->num_conditional > 0) {
        st = find_client(r, own, &client, err);
    }
    if (st == KB_OK) {
        st = apply_units(r, kb_buf_bytes(&client), own, err);
    }
    kb_buf_wipe(&client);
    if (st == KB_OK && (has_identity(&r->identity) || r->query->with_krb5conf) &&
        r->layers->krb5conf_error.code != KB_E_NONE) {
        return kb_error_copy(err, &r->layers->krb5conf_error);
    }
    return st == KB_OK ? apply_identity(r, err) : KB_ERROR;
}

/* --- the snapshot --- */

static struct kb_options *options_new(struct kb_layers *layers, struct kb_own *own)
{
    struct kb_options *options = calloc(1, sizeof(*options) + sizeof(*options->priv));

    if (options == NULL) {
        return NULL;
    }
    options->priv = (struct kb_options_private *)(void *)(options + 1);
    options->euid = layers->euid;
    atomic_init(&options->priv->refs, 1);
    kb_arena_init(&options->priv->arena, NULL, 0, MAX_ARENA);
    kb_arena_hide(&options->priv->arena); /* passwords may stand inline */
    options->priv->layers = kb_layers_ref(layers);
    options->priv->own = own;
    if (own != NULL) {
        atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
    }
    return options;
}

static enum kb_status check_conflicts(const struct kb_options *options, struct kb_error *err)
{
    struct kb_origin place;
    char buf[256];

    if (kb_conflicts_find(options, &place, err) != KB_OK) {
        kb_error_context(err, "%s", kb_origin_text(&place, buf, sizeof(buf)));
        return KB_ERROR;
    }
    return KB_OK;
}

static bool is_ours(void *options, int32_t etype)
{
    const kb_opt_ETYPES *types = &((const struct kb_options *)options)->ticket_types;

    for (size_t i = 0; i < types->num; i++) {
        if (types->items[i] == etype) {
            return true;
        }
    }
    return false;
}

/* What the program restricts the enctypes to, in its order. */
static enum kb_status restrict_tickets(struct kb_options *options, const struct kb_own *own,
                                       struct kb_arena *arena, struct kb_error *err)
{
    struct kb_etype_list list;

    if (own == NULL || own->allowable.num == 0) {
        return KB_OK;
    }
    list = own->allowable;
    kb_etypes_keep(&list, is_ours, options);
    if (list.num == 0) {
        (void)kb_error_set(
            err, KB_E_NO_ENCTYPE,
            "The program allows only encryption types that EncryptionTypes does not");
        err->no_hint = true; /* it says what to compare */
        return KB_ERROR;
    }
    return kb_value_etypes(arena, list.items, list.num, &options->ticket_types) ? KB_OK
                                                                                : no_memory(err);
}

static enum kb_status fill(struct kb_options *options, const struct kb_options_query *query,
                           const struct kb_options_hooks *hooks, struct kb_error *err)
{
    struct kb_layers *layers = options->priv->layers;
    struct resolving r = {
        .options = options,
        .arena = &options->priv->arena,
        .layers = layers,
        .query = query,
        .identity = {.euid = layers->euid, .krb5conf = layers->krb5conf, .hooks = hooks},
    };

    if (!kb_value_defaults(options, r.arena)) {
        return no_memory(err);
    }
    kb_match_query(layers, query, &options->priv->matches);
    if (query->client.len > 0 &&
        (options->priv->client = kb_arena_text(r.arena, query->client)) == NULL) {
        return no_memory(err);
    }
    if (apply_all(&r, options->priv->own, err) != KB_OK ||
        kb_identity_finish(&r.identity, options, r.arena, query->client, err) != KB_OK) {
        return KB_ERROR;
    }
    options->priv->is_momentary = kb_identity_is_momentary(&r.identity, options->user);
    if (kb_krb5conf_apply(options, r.arena, layers->krb5conf, err) != KB_OK) {
        return KB_ERROR;
    }
    if (restrict_tickets(options, options->priv->own, r.arena, err) != KB_OK) {
        return KB_ERROR;
    }
    return check_conflicts(options, err);
}

enum kb_status kb_resolve(struct kb_layers *layers, const struct kb_options_query *query,
                          struct kb_own *own, const struct kb_options_hooks *hooks,
                          struct kb_options **out, struct kb_error *err)
{
    *out = options_new(layers, own);
    if (*out == NULL) {
        return no_memory(err);
    }
    if (fill(*out, query, hooks, err) != KB_OK) {
        kb_options_put(*out);
        *out = NULL;
        return KB_ERROR;
    }
    return KB_OK;
}
