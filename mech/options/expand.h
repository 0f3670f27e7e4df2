/* expand.h - `~` and %{…} in paths and names: %{uid} %{euid} %{username} %{hostname}
 * %{credentials}; another one is an error. Any thread; may ask nsswitch. */
#ifndef KB_EXPAND_H
#define KB_EXPAND_H

#include "asn1/arena.h"
#include "mech/report/error.h"

#include <sys/types.h>

/* kb_expand makes the expanded text in the arena (`text` itself where there is nothing to do). */
KB_MUST_USE enum kb_status kb_expand(const char *text, uid_t euid, struct kb_arena *arena,
                                     const char **out, struct kb_error *err);

/* kb_expand_platforms does so with a name that was written for the platform's library: it knows
 * MIT's %{TEMP} too. */
KB_MUST_USE enum kb_status kb_expand_platforms(const char *text, uid_t euid, struct kb_arena *arena,
                                               const char **out, struct kb_error *err);

/* kb_expand_check finds what kb_expand will never understand, without asking the system. */
KB_MUST_USE enum kb_status kb_expand_check(const char *text, struct kb_error *err);

/* kb_expand_is_personal: does it differ from user to user? */
bool kb_expand_is_personal(const char *text);

#endif
