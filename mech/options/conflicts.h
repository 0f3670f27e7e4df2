/* conflicts.h - options that each make sense, but not together. Private to options.
 *
 * Only what would do nothing, or never work, in silence is an error; nothing is one where the
 * platform does the work. */
#ifndef KB_CONFLICTS_H
#define KB_CONFLICTS_H

#include "mech/options/options.h"

/* kb_conflicts_find looks at a whole snapshot. *err names both options, and the place of the second
 * where it is another; *place is where the first stands, for the caller to put in front. */
KB_MUST_USE enum kb_status kb_conflicts_find(const struct kb_options *options,
                                             struct kb_origin *place, struct kb_error *err);

#endif
