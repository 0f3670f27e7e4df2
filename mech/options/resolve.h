/* resolve.h - makes a snapshot of the layers for one query. Private to options. */
#ifndef KB_OPTIONS_RESOLVE_H
#define KB_OPTIONS_RESOLVE_H

#include "mech/options/layers.h"
#include "mech/options/own.h"

struct kb_options_private {
    _Atomic unsigned refs;
    struct kb_arena arena;
    struct kb_layers *layers;      /* origins' file names and krb5conf live there */
    struct kb_own *own;            /* of which it was made; NULL */
    const struct kb_options *base; /* of a context's: whose texts it shares; NULL */
    struct kb_matches matches;
    bool is_momentary;       /* it depends on what a cache or keytab held: not to be kept */
    const char *client;      /* the caller's name that it was made for; NULL: none */
    struct kb_options *next; /* in layers->snapshots */
};

/* What the keytab says is not ours to read (store is above options). */
struct kb_options_hooks;

/* kb_resolve makes a snapshot with one reference. Does no more I/O than nsswitch and the keytab
 * hook ask for. */
KB_MUST_USE enum kb_status kb_resolve(struct kb_layers *layers,
                                      const struct kb_options_query *query, struct kb_own *own,
                                      const struct kb_options_hooks *hooks, struct kb_options **out,
                                      struct kb_error *err);

/* kb_match_query finds out which conditional units hold. Units of [client] count only for a name
 * that the caller gave; those for the resolved User follow from the rest. */
void kb_match_query(const struct kb_layers *layers, const struct kb_options_query *query,
                    struct kb_matches *out);

#endif
