/* own.h - the inside of kb_settings: one immutable state of it. Private to options. */
#ifndef KB_OWN_H
#define KB_OWN_H

#include "mech/options/layers.h"
#include "mech/options/settings.h"

/* Every change makes a new one, so that who resolves it needs no lock. */
struct kb_own {
    _Atomic unsigned refs;
    struct kb_arena arena;
    struct kb_unit unit;
};

struct kb_settings {
    /* Guarded by options.c's lock. */
    struct kb_own *own;
    const struct kb_options *snapshot; /* the last that was made of `own`; NULL: none */
};

/* kb_settings_own lends a reference to the present state; kb_own_put gives it back. */
struct kb_own *kb_settings_own(struct kb_settings *settings);
void kb_own_put(struct kb_own *own);

void kb_options_lock(void);
void kb_options_unlock(void);

#endif
