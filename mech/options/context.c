#include "mech/options/context.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "mech/options/own.h"
#include "mech/options/password.h"
#include "mech/options/resolve.h"
#include "mech/options/text.h"
#include "mech/options/value.h"

#define MAX_ARENA 1048576

struct kb_settings *kb_settings_for_context(void)
{
    struct kb_settings *settings = kb_settings_new();

    if (settings != NULL) {
        settings->layer = KB_LAYER_CONTEXT;
    }
    return settings;
}

/* A copy that keeps the original, whose texts it shares. */
static struct kb_options *copy_of(const struct kb_options *base)
{
    struct kb_options *copy = calloc(1, sizeof(*copy) + sizeof(*copy->priv));

    if (copy == NULL) {
        return NULL;
    }
    *copy = *base;
    copy->priv = (struct kb_options_private *)(void *)(copy + 1);
    atomic_init(&copy->priv->refs, 1);
    kb_arena_init(&copy->priv->arena, NULL, 0, MAX_ARENA);
    kb_arena_hide(&copy->priv->arena); /* passwords may stand inline */
    copy->priv->layers = base->priv->layers != NULL ? kb_layers_ref(base->priv->layers) : NULL;
    copy->priv->matches = base->priv->matches;
    copy->priv->client = base->priv->client;
    copy->priv->base = kb_options_ref(base);
    copy->user = kb_principal_ref(base->user);
    return copy;
}

enum kb_status kb_options_for_context(const struct kb_options *base, struct kb_settings *settings,
                                      const struct kb_options **out, struct kb_error *err)
{
    struct kb_options *copy = copy_of(base);
    struct kb_own *own = kb_settings_own(settings);
    enum kb_status st = copy != NULL ? KB_OK : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");

    for (const struct kb_setting *s = own != NULL ? own->unit.settings : NULL;
         s != NULL && st == KB_OK; s = s->next) {
        st = kb_value_set(copy, &copy->priv->arena, s, err);
        if (st != KB_OK) {
            kb_error_context(err, "%s", s->row->name);
        }
    }
    kb_own_put(own);
    if (st != KB_OK) {
        kb_options_put(copy);
        return KB_ERROR;
    }
    *out = copy;
    return KB_OK;
}

/* --- without secrets --- */

bool kb_options_hold_secret(const struct kb_options *options)
{
    const struct kb_secret_source *password = options->password;

    return (password != NULL && password->kind == KB_SECRET_INLINE &&
            options->password_from.layer >= KB_LAYER_PROCESS) ||
           (options->firewall_data != NULL &&
            options->firewall_data_from.layer >= KB_LAYER_PROCESS);
}

/* Of a masked text what is needed to show that it is set. */
static bool copy_text(const char **text, struct kb_arena *arena, bool masked)
{
    if (*text != NULL) {
        *text = masked ? "" : kb_arena_text(arena, kb_str(*text));
        return *text != NULL;
    }
    return true;
}

static bool copy_list(kb_opt_LIST *list, struct kb_arena *arena)
{
    const char **items = kb_arena_alloc(arena, list->num * sizeof(*items));

    for (size_t i = 0; items != NULL && i < list->num; i++) {
        items[i] = kb_arena_text(arena, kb_str(list->items[i]));
        if (items[i] == NULL) {
            return false;
        }
    }
    list->items = items;
    return items != NULL;
}

static bool copy_member(void *member, struct kb_arena *arena, const struct kb_option_row *row)
{
    static const struct kb_secret_source masked = {.kind = KB_SECRET_INLINE, .where = ""};
    kb_opt_ETYPES *etypes = member;
    kb_opt_SECRET *secret = member;

    switch (row->type) {
    case KB_OPTION_STRING:
    case KB_OPTION_PATH:
        return copy_text(member, arena, (row->flags & KB_OPT_MASKED) != 0);
    case KB_OPTION_LIST:
        return copy_list(member, arena);
    case KB_OPTION_ETYPES:
        return kb_value_etypes(arena, etypes->items, etypes->num, etypes);
    case KB_OPTION_SECRET:
        *secret = *secret != NULL ? &masked : NULL;
        return true;
    default:
        return true;
    }
}

static bool make_bare(struct kb_options *bare)
{
    struct kb_arena *arena = &bare->priv->arena;
    bool done = copy_text(&bare->lost_secret, arena, false) &&
                copy_text(&bare->user_note, arena, false) &&
                copy_text(&bare->priv->client, arena, false) &&
                kb_value_etypes(arena, bare->ticket_types.items, bare->ticket_types.num,
                                &bare->ticket_types);

    for (size_t i = 0; i < KB_OPT_NUM && done; i++) {
        const struct kb_option_row *row = &kb_option_rows[i];
        struct kb_origin *from = (struct kb_origin *)(void *)((char *)bare + row->from);

        done = copy_member((char *)bare + row->member, arena, row) &&
               copy_text(&from->file, arena, false);
    }
    return done;
}

const struct kb_options *kb_options_bare(const struct kb_options *options)
{
    struct kb_options *bare = copy_of(options);

    if (bare == NULL) {
        return NULL;
    }
    bare->krb5conf = NULL;
    if (!make_bare(bare)) {
        kb_options_put(bare);
        return NULL;
    }
    kb_layers_put(bare->priv->layers);
    kb_options_put(bare->priv->base);
    bare->priv->layers = NULL;
    bare->priv->base = NULL;
    return bare;
}
