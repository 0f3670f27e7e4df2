/* hostname.h - the canonical name of a target's host, where DNSCanonicalize=True asks for it.
 *
 * A ticket is kept for what was asked and for the host that this means now: where an alias leads
 * elsewhere, so does the next context. Names are remembered (net/remember.h), so a warm call asks
 * nobody. Any thread. */
#ifndef KB_HOSTNAME_H
#define KB_HOSTNAME_H

#include "mech/login/login.h"

/* kb_hostname_now finds it, within the deadline of a call of its own. out is "" where the host
 * counts as it was given. KB_ERROR: the search was given up, and the call with it. */
KB_MUST_USE enum kb_status kb_hostname_now(const struct kb_login *login,
                                           const struct kb_target *target, char out[256],
                                           struct kb_error *err);

/* kb_hostname_recall is the same as far as it is remembered, without asking. */
void kb_hostname_recall(const struct kb_login *login, const struct kb_target *target,
                        char out[256]);

/* kb_hostname_known is what is remembered of any target, without asking; "" for nothing. With
 * `reverse` as krb5.conf's rdns has it. */
void kb_hostname_known(const struct kb_target *target, bool reverse, char out[256]);

#endif
