/* account.h - what the system knows of users and groups, by nsswitch.
 *
 * May take long and may end up in a module that calls GSS-API itself: never with a lock held. What
 * is returned is the heap's (free); NULL: not known, or no memory. */
#ifndef KB_ACCOUNT_H
#define KB_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

char *kb_user_name(uid_t uid);
char *kb_user_home(uid_t uid);

/* kb_group_id finds a group by its name, or reads a number. */
bool kb_group_id(const char *name, gid_t *out);

#endif
