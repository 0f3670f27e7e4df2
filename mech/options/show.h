/* show.h - options as a person reads them: what `kerbside config` and a program's queries print.
 *
 * For a listing, walk 0 to KB_OPT_NUM and ask of each: kb_option_rows[id].name, kb_options_show,
 * kb_options_origin with kb_origin_text, kb_options_is_default. Any thread. */
#ifndef KB_SHOW_H
#define KB_SHOW_H

#include "mech/options/table.h"

/* kb_options_show appends the effective value of an option as it would be written: True or False, a
 * number, a duration (10h, 7d), a word, a list parted by commas, encryption types by MIT's names,
 * the user with his realm. Nothing is appended where nothing is set. Never a secret: of a Password
 * the way to it (file:PATH), else and for other masked options "********". BuildInfo and
 * LicenseInfo are known here; AuthToken and DestinationAddress to the layers above alone: nothing
 * is appended. Text is as it was given: escape it for a terminal. */
void kb_options_show(const struct kb_options *options, enum kb_option_id id, struct kb_buf *out);

/* kb_options_origin is where the value was written. */
const struct kb_origin *kb_options_origin(const struct kb_options *options, enum kb_option_id id);
bool kb_options_is_default(const struct kb_options *options, enum kb_option_id id);

#endif
