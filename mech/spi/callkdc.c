/* callkdc.c - DelayHostResolution=False: the names in a KDCHost that a program sets by a call are
 * resolved at once, and their addresses stand in their place. What files say is resolved when it is
 * needed. */
#include "mech/login/facts.h"
#include "mech/options/settings.h"
#include "mech/options/text.h"
#include "mech/spi/call.h"

const struct kb_option_row *kb_call_named(kb_bytes text)
{
    const uint8_t *equals = text.len > 0 ? memchr(text.ptr, '=', text.len) : NULL;

    return equals != NULL
               ? kb_option_find(kb_trim(kb_bytes_of(text.ptr, (size_t)(equals - text.ptr))))
               : NULL;
}

/* The options as they would be with the setting in `settings`. NULL: they do not resolve. */
static const struct kb_options *options_with(struct kb_settings *settings, kb_bytes client,
                                             kb_bytes text)
{
    struct kb_options_query query = {.client = client, .own = settings};
    const struct kb_options *options = NULL;
    struct kb_error ignored = {0};

    if (settings == NULL || kb_settings_set_text(settings, text, &ignored) != KB_OK ||
        kb_options_get(&query, &options, &ignored) != KB_OK) {
        options = NULL;
    }
    return options;
}

/* The identity may be incomplete still, since options come one by one: then with the setting alone.
 */
static const struct kb_options *options_for(struct kb_settings *own, kb_bytes client, kb_bytes text)
{
    struct kb_settings *copy = own != NULL ? kb_settings_copy(own) : NULL;
    struct kb_settings *alone = kb_settings_new();
    const struct kb_options *options = options_with(copy, client, text);

    if (options == NULL) {
        options = options_with(alone, KB_NONE, text);
    }
    kb_settings_free(copy);
    kb_settings_free(alone);
    return options;
}

enum kb_status kb_call_resolve(struct kb_settings *own, kb_bytes client,
                               struct kb_listener *listener, struct kb_interrupt *interrupt,
                               kb_bytes text, struct kb_buf *out, struct kb_error *err)
{
    const struct kb_option_row *row = kb_call_named(text);
    struct kb_login login = {.listener = listener, .interrupt = interrupt};
    struct kb_buf list;
    enum kb_status st = KB_OK;

    kb_buf_init(out, KB_NAME_MAX);
    if (row != NULL && kb_option_id(row) == KB_OPT_KDCHost) {
        login.options = options_for(own, client, text);
    }
    if (login.options == NULL || login.options->delay_host_resolution) {
        kb_buf_add(out, text);
    } else {
        kb_buf_init(&list, KB_NAME_MAX);
        st = kb_facts_resolve_kdcs(&login, &list, err);
        kb_buf_add_str(out, "KDCHost=");
        kb_buf_add(out, kb_buf_bytes(&list));
        kb_buf_wipe(&list);
    }
    kb_options_put(login.options);
    if (st == KB_OK && out->status != KB_OK) {
        st = kb_error_status(err, KB_E_OPTION, out->status, "The setting");
    }
    return st;
}
