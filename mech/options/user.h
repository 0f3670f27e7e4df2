/* user.h - how a text of User is read: name@REALM, REALM/name, service/host, enterprise names.
 * Private to options. */
#ifndef KB_USER_TEXT_H
#define KB_USER_TEXT_H

#include "asn1/arena.h"
#include "mech/names/principal.h"
#include "mech/report/error.h"

struct kb_krb5conf;

/* What reading one may depend on. `has` tells whether keytab or cache hold a principal, which
 * decides between two readings of X/y; NULL: there is neither. */
struct kb_user_reader {
    const struct kb_krb5conf *krb5conf;
    bool enterprise; /* NameType */
    bool (*has)(void *context, const struct kb_principal *principal);
    void *context;
};

/* kb_user_parse reads `text`, already expanded. *note (NULL: not wanted) gets a sentence for the
 * log in the arena where something was chosen, else NULL. */
KB_MUST_USE enum kb_status kb_user_parse(const struct kb_user_reader *reader, kb_bytes text,
                                         struct kb_arena *arena, struct kb_principal **out,
                                         const char **note, struct kb_error *err);

#endif
