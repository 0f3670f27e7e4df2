#include "mech/options/value.h"

#include "mech/options/ccname.h"
#include "mech/options/checks.h"
#include "mech/options/etypes.h"
#include "mech/options/expand.h"
#include "mech/options/ktname.h"
#include "mech/options/password.h"
#include "mech/options/text.h"
#include "mech/report/reference.h"

/* --- numbers --- */

bool kb_parse_integer(kb_bytes text, int64_t *out)
{
    bool negative = text.len > 1 && text.ptr[0] == '-';
    int64_t value = 0;

    if (text.len == 0 || text.len > 18) {
        return false;
    }
    for (size_t i = negative; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    *out = negative ? -value : value;
    return true;
}

static int64_t unit_of(uint8_t c)
{
    switch (c | 0x20) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 604800;
    default:
        return 0;
    }
}

bool kb_parse_duration(kb_bytes text, int64_t *out)
{
    int64_t total = 0, number = 0, last_unit = INT64_MAX;
    bool digits = false, units = false;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        int64_t unit = unit_of(c);

        if (c >= '0' && c <= '9' && number < 100000000000) {
            number = number * 10 + (c - '0');
            digits = true;
        } else if (digits && unit > 0 && unit < last_unit) { /* not 5h1d, not 1h1h */
            last_unit = unit;
            total += number * unit;
            number = 0;
            digits = false;
            units = true;
        } else {
            return false;
        }
    }
    /* "1h30" could mean minutes or seconds. */
    if (text.len == 0 || (digits && units) || total + number > INT32_MAX) {
        return false;
    }
    *out = total + number;
    return true;
}

bool kb_parse_bool(kb_bytes text, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true},   {"yes", true}, {"1", true},  {"on", true},
                 {"false", false}, {"no", false}, {"0", false}, {"off", false}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (kb_equal_nocase(kb_str(words[i].word), text)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

static enum kb_status parse_number(const struct kb_option_row *row, const char *text, int64_t *out,
                                   struct kb_error *err)
{
    bool duration = row->type == KB_OPTION_DURATION;
    bool is_number =
        duration ? kb_parse_duration(kb_str(text), out) : kb_parse_integer(kb_str(text), out);

    if (is_number && *out >= row->min && *out <= row->max) {
        return KB_OK;
    }
    (void)kb_error_set(err, KB_E_OPTION, "%s from %lld to %lld%s",
                       is_number ? "it must be" : "it is no number", (long long)row->min,
                       (long long)row->max, duration ? " seconds (10m, 8h, 7d)" : "");
    if (is_number && *out == 0 && err != NULL) {
        err->number = kb_reference_of_zero(row->name);
    }
    return KB_ERROR;
}

static enum kb_status parse_word(const struct kb_option_row *row, const char *text, int64_t *out,
                                 struct kb_error *err)
{
    struct kb_buf choice;

    if (kb_word_value(kb_option_id(row), kb_str(text), out)) {
        return KB_OK;
    }
    kb_buf_init(&choice, 256);
    kb_words_list(kb_option_id(row), &choice);
    (void)kb_error_set(err, KB_E_OPTION, "it must be %s", kb_buf_str(&choice));
    kb_buf_wipe(&choice);
    return KB_ERROR;
}

/* --- checks --- */

static bool is_number_type(const struct kb_option_row *row)
{
    return row->type == KB_OPTION_INTEGER || row->type == KB_OPTION_DURATION;
}

enum kb_status kb_value_check(const struct kb_option_row *row, const char *text,
                              enum kb_layer layer, struct kb_error *err)
{
    int64_t number;
    bool truth;

    if ((row->flags & KB_OPT_READ_ONLY) != 0) {
        return kb_error_set(err, KB_E_OPTION, "it can be asked for, not set");
    }
    if (text[0] == '\0' && (row->flags & KB_OPT_IDENTITY) != 0) {
        return kb_error_set(err, kb_option_id(row) == KB_OPT_User ? KB_E_USER : KB_E_OPTION,
                            "it is empty");
    }
    if (row->type == KB_OPTION_BOOL) {
        return kb_parse_bool(kb_str(text), &truth)
                   ? KB_OK
                   : kb_error_set(err, KB_E_OPTION, "it must be True or False");
    }
    if (is_number_type(row)) {
        return parse_number(row, text, &number, err);
    }
    if (row->type == KB_OPTION_WORD) {
        return parse_word(row, text, &number, err);
    }
    return text[0] != '\0' ? kb_check_text(row, text, layer, err) : KB_OK;
}

/* --- setting --- */

static void *member_of(struct kb_options *options, size_t offset)
{
    return (char *)options + offset;
}

bool kb_value_etypes(struct kb_arena *arena, const int32_t *items, size_t num, kb_opt_ETYPES *out)
{
    int32_t *copy = kb_arena_alloc(arena, num * sizeof(*copy));

    if (copy == NULL) {
        return false;
    }
    if (num > 0) {
        memcpy(copy, items, num * sizeof(*copy));
    }
    *out = (kb_opt_ETYPES){copy, num};
    return true;
}

static bool set_list(kb_opt_LIST *out, struct kb_arena *arena, kb_bytes text)
{
    kb_bytes rest = text, word;
    const char **items;
    size_t num = 0;

    while (kb_take_word(&rest, &word)) {
        num++;
    }
    items = kb_arena_alloc(arena, num * sizeof(*items));
    for (size_t i = 0; items != NULL && i < num; i++) {
        if (!kb_take_word(&text, &word) || (items[i] = kb_arena_text(arena, word)) == NULL) {
            return false;
        }
    }
    *out = (kb_opt_LIST){items, num};
    return items != NULL;
}

static enum kb_status set_secret(kb_opt_SECRET *out, struct kb_arena *arena, uid_t euid,
                                 const struct kb_setting *setting, struct kb_error *err)
{
    struct kb_secret_source *source = kb_arena_alloc(arena, sizeof(*source));

    if (source == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    source->euid = euid;
    source->where = setting->text;
    source->kind = setting->raw ? KB_SECRET_INLINE : kb_secret_parse(setting->text, &source->where);
    if (source->kind == KB_SECRET_FILE) {
        if (kb_expand(source->where, euid, arena, &source->where, err) != KB_OK) {
            return KB_ERROR;
        }
    } else if (source->kind == KB_SECRET_INLINE && setting->exposed) {
        return kb_error_set(err, KB_E_PASSWORD_EXPOSED,
                            "the password stands in a file that group or others can read");
    }
    source->where = kb_arena_text(arena, kb_str(source->where));
    *out = source;
    return source->where != NULL ? KB_OK : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static enum kb_status set_text(const char **out, struct kb_arena *arena, uid_t euid,
                               const struct kb_setting *setting, struct kb_error *err)
{
    const char *text = setting->text;
    enum kb_option_id id = kb_option_id(setting->row);

    if (id == KB_OPT_CredentialsCacheFile) {
        return kb_ccname_expand(text, euid, arena, out, err);
    }
    if (id == KB_OPT_KeytabFile) {
        text = kb_ktname_path(text);
    }
    if (id != KB_OPT_FirewallData && kb_expand(text, euid, arena, &text, err) != KB_OK) {
        return KB_ERROR;
    }
    *out = text[0] != '\0' ? kb_arena_text(arena, kb_str(text))
                           : kb_option_default(kb_option_id(setting->row));
    return *out != NULL || text[0] == '\0' ? KB_OK
                                           : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static enum kb_status set_etypes(kb_opt_ETYPES *out, struct kb_arena *arena, const char *text,
                                 struct kb_error *err)
{
    struct kb_etype_list list;

    if (text[0] == '\0') {
        kb_etypes_default(&list);
    } else if (kb_etypes_parse(kb_str(text), &list, err) != KB_OK) {
        return KB_ERROR;
    }
    return kb_value_etypes(arena, list.items, list.num, out)
               ? KB_OK
               : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static enum kb_status set_member(void *member, struct kb_arena *arena, uid_t euid,
                                 const struct kb_setting *setting, struct kb_error *err)
{
    switch (setting->row->type) {
    case KB_OPTION_BOOL:
        return kb_parse_bool(kb_str(setting->text), member)
                   ? KB_OK
                   : kb_error_set(err, KB_E_OPTION, "it must be True or False");
    case KB_OPTION_INTEGER:
    case KB_OPTION_DURATION:
        return parse_number(setting->row, setting->text, member, err);
    case KB_OPTION_WORD:
        return parse_word(setting->row, setting->text, member, err);
    case KB_OPTION_STRING:
    case KB_OPTION_PATH:
        return set_text(member, arena, euid, setting, err);
    case KB_OPTION_LIST:
        return set_list(member, arena, kb_str(setting->text))
                   ? KB_OK
                   : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    case KB_OPTION_ETYPES:
        return set_etypes(member, arena, setting->text, err);
    case KB_OPTION_SECRET:
        return set_secret(member, arena, euid, setting, err);
    }
    return KB_ERROR;
}

static void set_origin(struct kb_options *options, const struct kb_option_row *row,
                       struct kb_origin origin)
{
    *(struct kb_origin *)member_of(options, row->from) = origin;
}

enum kb_status kb_value_set(struct kb_options *options, struct kb_arena *arena,
                            const struct kb_setting *setting, struct kb_error *err)
{
    set_origin(options, setting->row, setting->from);
    return set_member(member_of(options, setting->row->member), arena, options->euid, setting, err);
}

static bool set_default(struct kb_options *options, struct kb_arena *arena,
                        const struct kb_option_row *row)
{
    void *member = member_of(options, row->member);
    struct kb_etype_list list;

    set_origin(options, row, (struct kb_origin){.layer = KB_LAYER_DEFAULT});
    switch (row->type) {
    case KB_OPTION_BOOL:
        *(bool *)member = row->def_number != 0;
        return true;
    case KB_OPTION_INTEGER:
    case KB_OPTION_DURATION:
    case KB_OPTION_WORD:
        *(int64_t *)member = row->def_number;
        return true;
    case KB_OPTION_STRING:
    case KB_OPTION_PATH:
        *(const char **)member = kb_option_default(kb_option_id(row));
        return true;
    case KB_OPTION_ETYPES:
        kb_etypes_default(&list);
        return kb_value_etypes(arena, list.items, list.num, member);
    case KB_OPTION_LIST:
    case KB_OPTION_SECRET:
        return true; /* zero: not set */
    }
    return false;
}

bool kb_value_defaults(struct kb_options *options, struct kb_arena *arena)
{
    for (size_t i = 0; i < KB_OPT_NUM; i++) {
        if (!set_default(options, arena, &kb_option_rows[i])) {
            return false;
        }
    }
    return true;
}
