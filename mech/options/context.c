#include "mech/options/context.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "mech/options/own.h"
#include "mech/options/resolve.h"
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
    copy->priv->layers = kb_layers_ref(base->priv->layers);
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
