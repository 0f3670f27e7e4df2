#include "mech/options/show.h"

#include "crypto/enctype.h"
#include "mech/options/build.h"
#include "mech/options/layers.h"
#include "mech/options/password.h"

#define MASKED "********"

/* --- values by their type --- */

/* The units that kb_parse_duration reads, as far as they go in evenly: 90000 is 1d1h. */
static void show_duration(int64_t seconds, struct kb_buf *out)
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};

    if (seconds == 0) {
        kb_buf_add_str(out, "0");
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (seconds >= units[i].seconds) {
            kb_buf_printf(out, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
            seconds %= units[i].seconds;
        }
    }
}

static void show_list(const kb_opt_LIST *list, struct kb_buf *out)
{
    for (size_t i = 0; i < list->num; i++) {
        kb_buf_printf(out, "%s%s", i > 0 ? "," : "", list->items[i]);
    }
}

static void show_etypes(const kb_opt_ETYPES *list, struct kb_buf *out)
{
    for (size_t i = 0; i < list->num; i++) {
        const struct kb_enctype *row = kb_enctype_find(list->items[i]);

        kb_buf_add_str(out, i > 0 ? "," : "");
        if (row != NULL) {
            kb_buf_add_str(out, row->name);
        } else {
            kb_buf_printf(out, "%d", (int)list->items[i]);
        }
    }
}

static void show_secret(const struct kb_secret_source *source, struct kb_buf *out)
{
    static const char *const prefixes[] = {
        [KB_SECRET_FILE] = "file:",
        [KB_SECRET_ENV] = "env:",
        [KB_SECRET_FD] = "fd:",
    };

    if (source != NULL && source->kind == KB_SECRET_INLINE) {
        kb_buf_add_str(out, MASKED);
    } else if (source != NULL) {
        kb_buf_printf(out, "%s%s", prefixes[source->kind], source->where);
    }
}

static void show_text(const char *text, bool masked, struct kb_buf *out)
{
    if (text != NULL) {
        kb_buf_add_str(out, masked ? MASKED : text);
    }
}

static void show_member(const struct kb_option_row *row, const void *member, struct kb_buf *out)
{
    switch (row->type) {
    case KB_OPTION_BOOL:
        kb_buf_add_str(out, *(const kb_opt_BOOL *)member ? "True" : "False");
        break;
    case KB_OPTION_INTEGER:
        kb_buf_printf(out, "%lld", (long long)*(const kb_opt_INTEGER *)member);
        break;
    case KB_OPTION_DURATION:
        show_duration(*(const kb_opt_DURATION *)member, out);
        break;
    case KB_OPTION_WORD:
        show_text(kb_word_text(kb_option_id(row), *(const kb_opt_WORD *)member), false, out);
        break;
    case KB_OPTION_STRING:
    case KB_OPTION_PATH:
        show_text(*(const char *const *)member, (row->flags & KB_OPT_MASKED) != 0, out);
        break;
    case KB_OPTION_LIST:
        show_list(member, out);
        break;
    case KB_OPTION_ETYPES:
        show_etypes(member, out);
        break;
    case KB_OPTION_SECRET:
        show_secret(*(const kb_opt_SECRET *)member, out);
        break;
    }
}

/* --- --- */

/* An enterprise name is read as it was written: unparsed, its `@` is escaped. */
static void show_user(const struct kb_options *options, struct kb_buf *out)
{
    if (options->user != NULL && options->name_type == KB_NAME_PRINCIPAL) {
        kb_principal_unparse(options->user, out);
    } else {
        show_text(options->user_name, false, out);
    }
}

void kb_options_show(const struct kb_options *options, enum kb_option_id id, struct kb_buf *out)
{
    const struct kb_option_row *row = &kb_option_rows[id];

    switch (id) {
    case KB_OPT_User:
        show_user(options, out);
        break;
    case KB_OPT_BuildInfo:
        kb_build_info(out);
        break;
    case KB_OPT_LicenseInfo:
        kb_buf_add_str(out, kb_license_info());
        break;
    default:
        show_member(row, (const char *)options + row->member, out);
        break;
    }
}

const struct kb_origin *kb_options_origin(const struct kb_options *options, enum kb_option_id id)
{
    return (const void *)((const char *)options + kb_option_rows[id].from);
}

bool kb_options_is_default(const struct kb_options *options, enum kb_option_id id)
{
    return kb_options_origin(options, id)->layer == KB_LAYER_DEFAULT;
}
