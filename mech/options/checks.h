/* checks.h - the form of the options that are texts, each by its own rules. Private to options. */
#ifndef KB_CHECKS_H
#define KB_CHECKS_H

#include "mech/options/layers.h"

/* kb_check_text tells whether a text that is not empty is a value of its row, without asking the
 * system. *err names neither option nor place, and shows no value of a masked option. */
KB_MUST_USE enum kb_status kb_check_text(const struct kb_option_row *row, const char *text,
                                         enum kb_layer layer, struct kb_error *err);

#endif
