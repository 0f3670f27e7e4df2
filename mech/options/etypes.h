/* etypes.h - lists of encryption types, in MIT's syntax.
 *
 * Words between blanks or commas: a name or alias of the enctype table, a family (aes, aes-sha1,
 * aes-sha2), or DEFAULT; `-` in front takes away, `+` or nothing adds at the end, a repetition is
 * nothing new (MIT krb5int_parse_enctype_list). Any thread. */
#ifndef KB_ETYPES_H
#define KB_ETYPES_H

#include "mech/options/options.h"

#define KB_MAX_ETYPES 16

struct kb_etype_list {
    int32_t items[KB_MAX_ETYPES];
    size_t num;
};

/* kb_etypes_default is what we ask for where nothing is configured, best first. */
void kb_etypes_default(struct kb_etype_list *out);

/* kb_etypes_parse reads a list. With `err`, a name that is unknown or that we do not have yet is an
 * error, and so is an empty result; without (krb5.conf: not written for us), both are skipped. */
KB_MUST_USE enum kb_status kb_etypes_parse(kb_bytes text, struct kb_etype_list *out,
                                           struct kb_error *err);

#endif
