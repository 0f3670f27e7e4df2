/* text.h - names and foreign texts for a sentence: escaped, and of bounded length.
 *
 * Each function fills the caller's kb_text and returns its text, so that it can stand among the
 * arguments of a printf format. What is too long ends in "...". Never fails. */
#ifndef KB_PROTOCOL_TEXT_H
#define KB_PROTOCOL_TEXT_H

#include "mech/names/principal.h"

struct kb_text {
    char text[160];
};

const char *kb_text_principal(struct kb_text *out, const struct kb_principal *principal);
const char *kb_text_name(struct kb_text *out, const kb_principal_name *name, kb_bytes realm);
const char *kb_text_escaped(struct kb_text *out, kb_bytes foreign);

#endif
