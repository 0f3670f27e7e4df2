/* ccname.h - names of credentials caches, as CredentialsCacheFile, KRB5CCNAME and krb5.conf write
 * them. Private to options. */
#ifndef KB_CCNAME_H
#define KB_CCNAME_H

#include "asn1/arena.h"
#include "mech/report/error.h"

#include <sys/types.h>

/* kb_ccname_check finds what no cache of ours is named, without asking the system. */
KB_MUST_USE enum kb_status kb_ccname_check(const char *text, struct kb_error *err);

/* kb_ccname_is_place: a place for tickets, not an identity ("auto", "MEMORY:x"). */
bool kb_ccname_is_place(const char *text);

/* kb_ccname_expand makes the name with its type, `~` and %{...} expanded: FILE:/path, MEMORY:x;
 * `auto` stays as it is. */
KB_MUST_USE enum kb_status kb_ccname_expand(const char *text, uid_t euid, struct kb_arena *arena,
                                            const char **out, struct kb_error *err);

#endif
