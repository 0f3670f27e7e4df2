/* layers.h - what was written, before it is resolved for a target: settings in sections in layers.
 *
 * A kb_layers is what one effective user's configuration says at one time: read whole, then
 * immutable and counted. Values stand as texts whose form has been checked; resolve.h makes
 * snapshots of them. Lives in its own arena, which is wiped with it. */
#ifndef KB_LAYERS_H
#define KB_LAYERS_H

#include "asn1/arena.h"
#include "mech/options/file.h"
#include "mech/options/table.h"

/* The contract's layers; later wins. */
enum kb_layer {
    KB_LAYER_DEFAULT = 1,
    KB_LAYER_KRB5CONF,
    KB_LAYER_MECHD,
    KB_LAYER_CONFIG,
    KB_LAYER_ENVIRONMENT,
    KB_LAYER_PROCESS,    /* 5b */
    KB_LAYER_CREDENTIAL, /* 6 */
    KB_LAYER_CONTEXT,    /* 7 */
};

struct kb_setting {
    const struct kb_option_row *row;
    const char *text;
    struct kb_origin from;
    bool exposed; /* stands in a file that group or others can read */
    bool raw;     /* a Password that a program handed over: no file:, env: or fd: in it */
    struct kb_setting *next;
};

enum kb_condition_kind { KB_IF_USER, KB_IF_PROGRAM, KB_IF_TARGET, KB_IF_CLIENT };

struct kb_condition {
    enum kb_condition_kind kind;
    const char *pattern;
    const struct kb_condition *next;
};

/* One section of a file, or a whole line: what is set together, under the same conditions. */
struct kb_unit {
    enum kb_layer layer;
    unsigned order; /* in which it was read */
    const struct kb_condition *conditions;
    struct kb_setting *settings, *last;
    struct kb_unit *next;
};

/* How many sections with a target or client condition can hold for one process. */
#define KB_MAX_CONDITIONAL 256

/* Which of a configuration's conditional units hold for a query: one bit each, in the order of
 * `active`. */
struct kb_matches {
    uint8_t bits[KB_MAX_CONDITIONAL / 8];
};

/* Comparing a target with every section's patterns costs more than a warm login may. */
#define KB_NUM_MATCHED 16
struct kb_matched {
    size_t target_len, client_len;
    char names[240]; /* target, then client */
    bool used;
    struct kb_matches matches;
};

struct kb_layers {
    _Atomic unsigned refs;
    struct kb_arena arena;
    uid_t euid;
    /* Those whose program and user conditions hold, in the order in which they are applied. */
    const struct kb_unit **active;
    size_t num_active;
    size_t num_conditional;             /* of them, how many depend on target or client */
    bool sets_identity;                 /* one of them does */
    const struct kb_krb5conf *krb5conf; /* NULL: it was not needed, so it was not read */
    bool has_krb5conf;                  /* it was read, or failed to be */
    struct kb_error krb5conf_error;     /* it does not parse */
    struct kb_standing standing;
    struct kb_error error;  /* the first thing of ours that does not parse; standing.broken */
    struct kb_own *process; /* layer 5b, as it was then; NULL: nothing set */
    struct kb_watch *watched;
    char *environment[KB_NUM_ENVIRONMENT]; /* the values that were seen, NULL where not set */
    /* Guarded by options.c's lock: */
    struct kb_options *snapshots; /* kept ones */
    struct kb_matched *matched; /* KB_NUM_MATCHED queries and what holds for them; NULL: none yet */
};

/* kb_unit_is_conditional: does it depend on target or client? kb_unit_has: on this kind? */
bool kb_unit_is_conditional(const struct kb_unit *unit);
bool kb_unit_has(const struct kb_unit *unit, enum kb_condition_kind kind);

/* kb_unit_find is the last setting of an option in a unit; NULL: none. */
const struct kb_setting *kb_unit_find(const struct kb_unit *unit, enum kb_option_id id);
bool kb_unit_sets_identity(const struct kb_unit *unit);

/* kb_unit_add checks name and value by the table and appends a setting that is `like` another in
 * origin, exposed and raw. *err names option and value, not the place. */
KB_MUST_USE enum kb_status kb_unit_add(struct kb_unit *unit, struct kb_arena *arena, kb_bytes name,
                                       const char *value, const struct kb_setting *like,
                                       struct kb_error *err);

struct kb_own;

/* kb_layers_load reads the configuration of the effective user; what does not parse makes a
 * kb_layers too. `oid` is the plugin's own (DER contents) or empty; `process`: the process's
 * settings, referenced, or NULL; `with_krb5conf`: read krb5.conf also where no identity is
 * configured. NULL only when memory is short. */
struct kb_layers *kb_layers_load(uid_t euid, kb_bytes oid, struct kb_own *process,
                                 bool with_krb5conf);
struct kb_layers *kb_layers_ref(struct kb_layers *layers);
void kb_layers_put(struct kb_layers *layers);

/* kb_layers_same_environment compares the variables that were seen with those of now. */
bool kb_layers_same_environment(const struct kb_layers *layers);

#endif
