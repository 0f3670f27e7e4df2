/* account.h - what the system knows of users and groups, by nsswitch.
 *
 * May take long and may end up in a module that calls GSS-API itself: never with a lock held.
 * KB_NOT_FOUND: not known. KB_NO_MEMORY is something else: a section that does not hold for that
 * reason would mean somebody else's identity. Texts are the heap's (free). */
#ifndef KB_ACCOUNT_H
#define KB_ACCOUNT_H

#include <sys/types.h>

#include "asn1/bytes.h"
#include "asn1/status.h"

KB_MUST_USE enum kb_status kb_user_name(uid_t uid, char **out);
KB_MUST_USE enum kb_status kb_user_home(uid_t uid, char **out);

/* kb_user_exists: is there a user of that name? */
KB_MUST_USE enum kb_status kb_user_exists(const char *name);

/* kb_group_id finds a group by its name, or reads a number. */
KB_MUST_USE enum kb_status kb_group_id(const char *name, gid_t *out);

#endif
