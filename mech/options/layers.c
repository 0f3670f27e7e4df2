#include "mech/options/layers.h"

#include <errno.h>
#include <glob.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "mech/options/ccname.h"
#include "mech/options/expand.h"
#include "mech/options/krb5conf.h"
#include "mech/options/match.h"
#include "mech/options/mechd.h"
#include "mech/options/own.h"
#include "mech/options/reading.h"
#include "mech/options/text.h"
#include "mech/options/value.h"

#define MECH_CONF "/etc/gss/mech"
#define MECH_CONF_DIR MECH_CONF ".d"
#define MAX_ARENA (16 * 1048576)

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

/* --- units --- */

const struct kb_setting *kb_unit_find(const struct kb_unit *unit, enum kb_option_id id)
{
    const struct kb_setting *found = NULL;

    for (const struct kb_setting *s = unit->settings; s != NULL; s = s->next) {
        found = kb_option_id(s->row) == id ? s : found;
    }
    return found;
}

bool kb_unit_sets_identity(const struct kb_unit *unit)
{
    for (const struct kb_setting *s = unit->settings; s != NULL; s = s->next) {
        bool is_place =
            kb_option_id(s->row) == KB_OPT_CredentialsCacheFile && kb_ccname_is_place(s->text);

        if ((s->row->flags & KB_OPT_IDENTITY) != 0 && !is_place) {
            return true;
        }
    }
    return false;
}

static enum kb_status unknown_option(kb_bytes name, struct kb_error *err)
{
    const char *nearest = kb_option_nearest(name);

    if (kb_equal_nocase(name, KB_LIT("ForUser"))) {
        return kb_error_set(
            err, KB_E_OPTION,
            "ForUser stands in a mech.d line only; a section [user NAME] says the same");
    }
    return kb_error_set(err, KB_E_OPTION, "there is no option `%s`%s%s%s", kb_show(name).text,
                        nearest != NULL ? " (did you mean " : "", nearest != NULL ? nearest : "",
                        nearest != NULL ? "?)" : "");
}

static enum kb_status check_setting(const struct kb_unit *unit, const struct kb_setting *setting,
                                    struct kb_error *err)
{
    const struct kb_option_row *row = setting->row;
    enum kb_layer layer = setting->from.layer;

    if (row->scope == KB_SCOPE_PROCESS && kb_unit_is_conditional(unit)) {
        return kb_error_set(err, KB_E_OPTION,
                            "it concerns the whole process, so it cannot depend on a target or "
                            "client");
    }

    if (layer >= KB_LAYER_CREDENTIAL && row->scope == KB_SCOPE_PROCESS) {
        return kb_error_set(err, KB_E_OPTION, "it cannot be set for one credential");
    }
    if (layer == KB_LAYER_CONTEXT && row->scope != KB_SCOPE_CONTEXT) {
        return kb_error_set(err, KB_E_OPTION, "it can no longer act on a context");
    }
    return setting->raw ? KB_OK : kb_value_check(row, setting->text, layer, err);
}

enum kb_status kb_unit_add(struct kb_unit *unit, struct kb_arena *arena, kb_bytes name,
                           const char *value, const struct kb_setting *like, struct kb_error *err)
{
    const struct kb_option_row *row = kb_option_find(name);
    struct kb_setting *setting;

    if (row == NULL) {
        return unknown_option(name, err);
    }
    setting = kb_arena_alloc(arena, sizeof(*setting));
    if (setting == NULL) {
        return no_memory(err);
    }
    *setting = *like;
    setting->row = row;
    setting->text = value;
    setting->next = NULL;
    if (check_setting(unit, setting, err) != KB_OK) {
        bool masked = (row->flags & KB_OPT_MASKED) != 0;

        kb_error_context(err, "%s%s%s", row->name, masked ? "" : "=",
                         masked ? "" : kb_show(kb_str(value)).text);
        return KB_ERROR;
    }
    *(unit->last != NULL ? &unit->last->next : &unit->settings) = setting;
    unit->last = setting;
    return KB_OK;
}

const char *kb_origin_text(const struct kb_origin *origin, char *buf, size_t len)
{
    static const char *const names[] = {
        [KB_LAYER_DEFAULT] = "the default",          [KB_LAYER_KRB5CONF] = "krb5.conf",
        [KB_LAYER_MECHD] = "the mech.d line",        [KB_LAYER_CONFIG] = "the Config file",
        [KB_LAYER_ENVIRONMENT] = "KERBSIDE_OPTIONS", [KB_LAYER_PROCESS] = "the process's settings",
        [KB_LAYER_CREDENTIAL] = "the credential",    [KB_LAYER_CONTEXT] = "the context",
    };

    if (origin->file == NULL) {
        return names[origin->layer];
    }
    snprintf(buf, len, "%s:%u", kb_show(kb_str(origin->file)).text, origin->line);
    return buf;
}

/* --- our line in the mechanism configuration --- */

struct found_line {
    kb_bytes options; /* in the arena */
    struct kb_setting like;
    bool found, lost;
};

static enum kb_status scan_file(struct kb_layers *layers, const char *path, kb_bytes oid,
                                struct found_line *out, struct kb_error *err)
{
    struct kb_mechd_line line = {0};
    enum kb_status st = KB_OK;
    bool exposed = false;
    struct kb_buf buf;
    int result;

    kb_buf_init(&buf, KB_MAX_CONFIG_FILE);
    /* A file that cannot be read was not read by libgssapi either. */
    result = kb_read_file(path, &buf, &exposed, &layers->arena, &layers->watched);
    if (result == 0) {
        kb_mechd_scan(kb_buf_bytes(&buf), oid, &line);
    } else if (result == ENOMEM) {
        st = no_memory(err);
    }
    if (line.found) {
        *out = (struct found_line){.found = true, .lost = line.lost};
        out->like.from.layer = KB_LAYER_MECHD;
        out->like.from.file = kb_arena_text(&layers->arena, kb_str(path));
        out->like.from.line = line.line;
        out->like.exposed = exposed;
        out->options = kb_arena_copy(&layers->arena, line.options);
        if (out->like.from.file == NULL || out->options.ptr == NULL) {
            st = no_memory(err);
        }
    }
    kb_buf_wipe(&buf);
    return st;
}

static enum kb_status find_line(struct kb_layers *layers, kb_bytes oid, struct found_line *out,
                                struct kb_error *err)
{
    enum kb_status st;
    glob_t paths = {0};

    if (layers->environment[KB_ENV_GSS_MECH] != NULL) {
        return scan_file(layers, layers->environment[KB_ENV_GSS_MECH], oid, out, err);
    }
    if (!kb_watch_path(MECH_CONF_DIR, &layers->arena, &layers->watched)) {
        return no_memory(err);
    }
    st = scan_file(layers, MECH_CONF, oid, out, err);
    if (st == KB_OK && glob(MECH_CONF_DIR "/*.conf", 0, NULL, &paths) == GLOB_NOSPACE) {
        st = no_memory(err);
    }
    for (size_t i = 0; i < paths.gl_pathc && st == KB_OK; i++) {
        st = scan_file(layers, paths.gl_pathv[i], oid, out, err);
    }
    globfree(&paths);
    return st;
}

static enum kb_status read_mechd(struct kb_layers *layers, struct kb_reading *reading, kb_bytes oid,
                                 struct kb_error *err)
{
    struct found_line line = {0};
    char buf[256];

    if (find_line(layers, oid, &line, err) != KB_OK) {
        return KB_ERROR;
    }
    if (line.lost) {
        return kb_error_set(
            err, KB_E_OPTION,
            "%s: the options stand behind <interposer>, where libgssapi does not see "
            "them; write them before it",
            kb_origin_text(&line.like.from, buf, sizeof(buf)));
    }
    return line.found ? kb_read_items(reading, KB_LAYER_MECHD, line.options, &line.like, err)
                      : KB_OK;
}

/* --- the other layers --- */

static enum kb_status read_environment(struct kb_layers *layers, struct kb_reading *reading,
                                       struct kb_error *err)
{
    struct kb_setting like = {.from = {.layer = KB_LAYER_ENVIRONMENT}};
    const char *options = layers->environment[KB_ENV_OPTIONS];
    const char *config = layers->environment[KB_ENV_CONFIG];

    if (options != NULL &&
        kb_read_items(reading, KB_LAYER_ENVIRONMENT, kb_str(options), &like, err) != KB_OK) {
        return KB_ERROR;
    }
    if (config != NULL && config[0] != '\0' &&
        kb_read_config(reading, KB_LAYER_ENVIRONMENT, config, err) != KB_OK) {
        kb_error_context(err, "KERBSIDE_CONFIG");
        return KB_ERROR;
    }
    return KB_OK;
}

/* The process's settings were checked when they were set. */
static enum kb_status read_process(struct kb_layers *layers, struct kb_reading *reading,
                                   struct kb_error *err)
{
    return layers->process == NULL || kb_reading_add(reading, &layers->process->unit)
               ? KB_OK
               : no_memory(err);
}

/* The Config= that counts: the last one of the mech.d line, KERBSIDE_OPTIONS and the process. */
static enum kb_status effective_config(const struct kb_reading *reading, uid_t euid,
                                       const struct kb_setting **out)
{
    *out = NULL;
    for (const struct kb_unit *unit = reading->first; unit != NULL; unit = unit->next) {
        const struct kb_setting *found = kb_unit_find(unit, KB_OPT_Config);
        enum kb_status st = found != NULL ? kb_process_conditions(unit, euid) : KB_NOT_FOUND;

        if (st == KB_NO_MEMORY) {
            return st;
        }
        *out = st == KB_OK ? found : *out;
    }
    return KB_OK;
}

static enum kb_status read_config(struct kb_layers *layers, struct kb_reading *reading,
                                  struct kb_error *err)
{
    const struct kb_setting *config;
    const char *path;
    enum kb_status st;
    char buf[256];

    if (effective_config(reading, layers->euid, &config) != KB_OK) {
        return no_memory(err);
    }
    if (config == NULL || config->text[0] == '\0') {
        return KB_OK;
    }
    st = kb_expand(config->text, layers->euid, &layers->arena, &path, err);
    if (st == KB_OK) {
        st = kb_read_config(reading, KB_LAYER_CONFIG, path, err);
    }
    /* A file that each user may have is no mistake where one has none. */
    if (st == KB_NOT_FOUND && kb_expand_is_personal(config->text)) {
        *err = (struct kb_error){0};
        return KB_OK;
    }
    if (st != KB_OK) {
        kb_error_context(err, "%s: Config", kb_origin_text(&config->from, buf, sizeof(buf)));
    }
    return st == KB_OK ? KB_OK : KB_ERROR;
}

/* --- putting them in order --- */

static int compare(const void *a, const void *b)
{
    return kb_unit_compare(*(const struct kb_unit *const *)a, *(const struct kb_unit *const *)b);
}

static enum kb_status sort_units(struct kb_layers *layers, const struct kb_reading *reading,
                                 struct kb_error *err)
{
    layers->active = kb_arena_alloc(&layers->arena, reading->num * sizeof(*layers->active));
    if (layers->active == NULL) {
        return no_memory(err);
    }
    for (const struct kb_unit *unit = reading->first; unit != NULL; unit = unit->next) {
        enum kb_status st =
            unit->settings != NULL ? kb_process_conditions(unit, layers->euid) : KB_NOT_FOUND;

        if (st == KB_NO_MEMORY) {
            return no_memory(err);
        }
        if (st == KB_OK) {
            layers->active[layers->num_active++] = unit;
            layers->num_conditional += kb_unit_is_conditional(unit);
            layers->sets_identity = layers->sets_identity || kb_unit_sets_identity(unit);
        }
    }
    qsort(layers->active, layers->num_active, sizeof(*layers->active), compare);
    return layers->num_conditional <= KB_MAX_CONDITIONAL
               ? KB_OK
               : kb_error_set(err, KB_E_OPTION, "more than %d sections with a target or client",
                              KB_MAX_CONDITIONAL);
}

static bool last_bool(const struct kb_layers *layers, enum kb_option_id id, bool otherwise)
{
    for (size_t i = 0; i < layers->num_active; i++) {
        const struct kb_setting *setting = kb_unit_find(layers->active[i], id);

        if (setting != NULL && !kb_unit_is_conditional(layers->active[i]) &&
            !kb_parse_bool(kb_str(setting->text), &otherwise)) {
            break; /* cannot be: it was checked */
        }
    }
    return otherwise;
}

static struct kb_standing standing_of(const struct kb_layers *layers)
{
    struct kb_standing standing = {
        .broken = layers->error.code != KB_E_NONE,
        .disabled = !last_bool(layers, KB_OPT_Enabled, true),
        .platform = last_bool(layers, KB_OPT_UsePlatformKerberosAPI, false),
    };

    for (size_t i = 0; i < layers->num_active; i++) {
        const struct kb_unit *unit = layers->active[i];

        standing.any_identity = standing.any_identity ||
                                (kb_unit_sets_identity(unit) && !kb_unit_has(unit, KB_IF_CLIENT));
    }
    standing.ours = standing.broken || layers->sets_identity;
    return standing;
}

static bool see_environment(struct kb_layers *layers)
{
    const char *values[KB_NUM_ENVIRONMENT];

    kb_environment(values);
    for (size_t i = 0; i < KB_NUM_ENVIRONMENT; i++) {
        if (values[i] != NULL) {
            layers->environment[i] = kb_arena_text(&layers->arena, kb_str(values[i]));
            if (layers->environment[i] == NULL) {
                return false;
            }
        }
    }
    return true;
}

bool kb_layers_same_environment(const struct kb_layers *layers)
{
    const char *values[KB_NUM_ENVIRONMENT];

    kb_environment(values);
    for (size_t i = 0; i < KB_NUM_ENVIRONMENT; i++) {
        const char *seen = layers->environment[i];

        if ((seen == NULL) != (values[i] == NULL) ||
            (seen != NULL && strcmp(seen, values[i]) != 0)) {
            return false;
        }
    }
    return true;
}

static void read_krb5conf(struct kb_layers *layers)
{
    layers->has_krb5conf = true;
    if (kb_krb5conf_load(layers->environment[KB_ENV_KRB5], &layers->arena, &layers->watched,
                         &layers->krb5conf, &layers->krb5conf_error) != KB_OK) {
        layers->krb5conf = NULL;
    }
}

struct kb_layers *kb_layers_load(uid_t euid, kb_bytes oid, struct kb_own *process,
                                 bool with_krb5conf)
{
    struct kb_layers *layers = calloc(1, sizeof(*layers));
    struct kb_reading reading;

    if (layers == NULL) {
        return NULL;
    }
    atomic_init(&layers->refs, 1);
    kb_arena_init(&layers->arena, NULL, 0, MAX_ARENA);
    kb_arena_hide(&layers->arena); /* passwords may stand inline */
    layers->euid = euid;
    layers->process = kb_own_ref(process);
    kb_reading_init(&reading, &layers->arena, &layers->watched, euid);
    if (!see_environment(layers)) {
        kb_layers_put(layers);
        return NULL;
    }
    if (read_mechd(layers, &reading, oid, &layers->error) != KB_OK ||
        read_environment(layers, &reading, &layers->error) != KB_OK ||
        read_process(layers, &reading, &layers->error) != KB_OK ||
        read_config(layers, &reading, &layers->error) != KB_OK ||
        sort_units(layers, &reading, &layers->error) != KB_OK) {
        layers->num_active = 0;
    }
    if (layers->sets_identity || with_krb5conf) {
        read_krb5conf(layers);
    }
    if (layers->error.code == KB_E_NO_MEMORY || layers->krb5conf_error.code == KB_E_NO_MEMORY) {
        kb_layers_put(layers);
        return NULL;
    }
    layers->standing = standing_of(layers);
    return layers;
}

struct kb_layers *kb_layers_ref(struct kb_layers *layers)
{
    atomic_fetch_add_explicit(&layers->refs, 1, memory_order_relaxed);
    return layers;
}

void kb_layers_put(struct kb_layers *layers)
{
    if (layers != NULL && atomic_fetch_sub_explicit(&layers->refs, 1, memory_order_acq_rel) == 1) {
        kb_krb5conf_put(layers->krb5conf);
        free(layers->matched);
        kb_own_put(layers->process);
        kb_arena_wipe(&layers->arena);
        free(layers);
    }
}
