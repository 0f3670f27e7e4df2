/* context.h - layer 7: what is set for one context, of the options whose scope is CONTEXT. */
#ifndef KB_OPTIONS_CONTEXT_H
#define KB_OPTIONS_CONTEXT_H

#include "mech/options/options.h"

struct kb_settings;

/* kb_settings_for_context makes empty settings of this layer (settings.h); NULL: no memory. */
struct kb_settings *kb_settings_for_context(void);

/* kb_options_for_context makes a snapshot (kb_options_put) that is `base` but for what `settings`
 * set. Any thread. */
KB_MUST_USE enum kb_status kb_options_for_context(const struct kb_options *base,
                                                  struct kb_settings *settings,
                                                  const struct kb_options **out,
                                                  struct kb_error *err);

/* kb_options_hold_secret: do they have a secret in themselves that a program handed over?
 * kb_options_bare is then what a context keeps that is established and logs in no more: a snapshot
 * for questions and events, with no secret in it or behind it. NULL: no memory. */
bool kb_options_hold_secret(const struct kb_options *options);
const struct kb_options *kb_options_bare(const struct kb_options *options);

#endif
