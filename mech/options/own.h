/* own.h - the inside of kb_settings: one immutable state of it. Private to options.
 *
 * The process's settings (layer 5b) are the same thing as a credential's (layer 6). */
#ifndef KB_OWN_H
#define KB_OWN_H

#include "mech/options/etypes.h"
#include "mech/options/layers.h"
#include "mech/options/settings.h"

/* Every change makes a new one, so that who resolves it needs no lock. */
struct kb_own {
    _Atomic unsigned refs;
    struct kb_arena arena;
    struct kb_unit unit;
    struct kb_etype_list allowable; /* of kb_settings_allow; none: no restriction */
};

struct kb_settings {
    enum kb_layer layer;
    /* Guarded by options.c's lock. */
    struct kb_own *own;                /* NULL: empty */
    const struct kb_options *snapshot; /* the last that was made of `own`; NULL: none */
};

/* Layer 5b. */
extern struct kb_settings kb_process_settings;

/* kb_settings_own lends a reference to the present state; kb_own_put gives it back. NULL: empty. */
struct kb_own *kb_settings_own(struct kb_settings *settings);
struct kb_own *kb_own_ref(struct kb_own *own); /* NULL is accepted, also by kb_own_put */
void kb_own_put(struct kb_own *own);

/* kb_options_drop_layers forgets what was read for every effective user, so that the next question
 * reads it anew, with other settings of the process. */
void kb_options_drop_layers(void);

void kb_options_lock(void);
void kb_options_unlock(void);

#endif
