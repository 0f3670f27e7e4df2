/* match.h - do the conditions of a section hold?
 *
 * Patterns are those of fnmatch(3) without FNM_PATHNAME: `*`, `?`, `[a-z]`, `[!a]`, and `\` before
 * one of them. fnmatch itself is not used: it follows the program's locale. Targets are compared
 * without regard to case, as host names are. Any thread; only users and groups ask the system. */
#ifndef KB_MATCH_H
#define KB_MATCH_H

#include <sys/types.h>

#include "mech/options/layers.h"

bool kb_glob(kb_bytes pattern, kb_bytes text, bool ignore_case);

/* kb_glob_literals counts the characters that stand for themselves. */
unsigned kb_glob_literals(kb_bytes pattern);

/* kb_match_target compares a pattern with every form of a target: service@host, service/host, and
 * service/host@REALM (the host's realm by krb5.conf where the target names none). */
bool kb_match_target(const char *pattern, kb_bytes target, const struct kb_krb5conf *krb5conf);

bool kb_match_client(const char *pattern, kb_bytes client);

/* kb_match_user: NAME, UID or %GROUP of an effective user. KB_NOT_FOUND: no; KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_match_user(const char *pattern, uid_t euid);

/* kb_match_program compares with the path of the running executable. */
bool kb_match_program(const char *pattern);

/* kb_match_pretend_program makes the process read its options as if it ran `path`, which stays the
 * caller's: for a tool that tells what holds for another program. Before anything is read, by the
 * only thread. */
void kb_match_pretend_program(const char *path);

/* kb_process_conditions: all user and program conditions of a unit. KB_NOT_FOUND: one does not
 * hold; KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_process_conditions(const struct kb_unit *unit, uid_t euid);

/* kb_call_conditions_hold: all target and client conditions. */
bool kb_call_conditions_hold(const struct kb_unit *unit, kb_bytes target, kb_bytes client,
                             const struct kb_krb5conf *krb5conf);

/* kb_unit_compare orders units as they are applied: by layer; then process, target, client
 * conditions; then the less specific first; then as read. */
int kb_unit_compare(const struct kb_unit *a, const struct kb_unit *b);

#endif
