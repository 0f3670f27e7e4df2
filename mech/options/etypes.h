/* etypes.h - lists of encryption types, in MIT's syntax.
 *
 * Words between blanks or commas: a name or alias of the enctype table, a family (aes, aes-sha1,
 * aes-sha2, camellia, rc4, des3, des), or DEFAULT; `-` in front takes away, `+` or nothing adds at
 * the end, a repetition is nothing new (MIT krb5int_parse_enctype_list); case is ignored. DEFAULT
 * is ours: no old enctype (RFC 6649, RFC 8429) is in it, nor in a family of others. Any thread. */
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

/* kb_etypes_parse reads a list. With `err`, a name that is unknown or that we do not have is an
 * error, and so is an empty result; without (krb5.conf: not written for us), both are skipped. */
KB_MUST_USE enum kb_status kb_etypes_parse(kb_bytes text, struct kb_etype_list *out,
                                           struct kb_error *err);

/* kb_etypes_add adds one at the end, unless we do not have it or it is there already. */
void kb_etypes_add(struct kb_etype_list *list, int32_t etype);

/* kb_etypes_keep leaves in a list what `keeps` says. */
void kb_etypes_keep(struct kb_etype_list *list, bool (*keeps)(void *ctx, int32_t etype), void *ctx);

/* kb_etype_is_approved: do its algorithms stand in FIPS 140's list? AES with HMAC-SHA do; Camellia
 * and the old ones do not, and no FIPS provider has them. */
bool kb_etype_is_approved(int32_t etype);

#endif
