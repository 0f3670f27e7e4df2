/* twin.h - the second of two equal requests with a password.
 *
 * Where a program names no mechanism, the glue acquires twice in a row: for krb5, and for krb5
 * below SPNEGO. A password is tried once for both, or an account would be locked twice as fast: the
 * second request of the same thread for the same within a second takes the first one's result, good
 * or bad, and with that it is used up. What is remembered is the request itself, in memory that is
 * wiped; it goes with the first credential at the latest. Any thread. */
#ifndef KB_TWIN_H
#define KB_TWIN_H

#include "mech/login/identity.h"

/* kb_twin_take: true if this thread just made the same request; then *out is its identity (a
 * reference), or *err its error. */
bool kb_twin_take(kb_bytes request, struct kb_identity **out, struct kb_error *err);

/* kb_twin_put remembers a result: an identity, or NULL and the error. */
void kb_twin_put(kb_bytes request, struct kb_identity *identity, const struct kb_error *err);

/* kb_twin_drop forgets what an identity is remembered for: its credential is released. */
void kb_twin_drop(const struct kb_identity *identity);

#endif
