/* value.h - turns the text of a setting into the value of its row's type. */
#ifndef KB_VALUE_H
#define KB_VALUE_H

#include "mech/options/layers.h"

/* kb_value_check tells whether a text is a value of its row, as far as that can be said without
 * asking the system. *err names neither option nor place. Empty texts stand for the default, except
 * those of the identity. */
KB_MUST_USE enum kb_status kb_value_check(const struct kb_option_row *row, const char *text,
                                          enum kb_layer layer, struct kb_error *err);

/* kb_value_set gives the row's member its value and origin; texts go to the arena, expanded. */
KB_MUST_USE enum kb_status kb_value_set(struct kb_options *options, struct kb_arena *arena,
                                        const struct kb_setting *setting, struct kb_error *err);

/* kb_value_default gives every member its built-in default; false: no memory. */
bool kb_value_defaults(struct kb_options *options, struct kb_arena *arena);

/* kb_value_etypes sets a list of enctypes that was parsed elsewhere. */
bool kb_value_etypes(struct kb_arena *arena, const int32_t *items, size_t num, kb_opt_ETYPES *out);

/* kb_parse_duration reads seconds, or numbers with s, m, h, d, w ("7d", "1h30m"). */
bool kb_parse_duration(kb_bytes text, int64_t *out);
bool kb_parse_bool(kb_bytes text, bool *out);
bool kb_parse_integer(kb_bytes text, int64_t *out);

#endif
