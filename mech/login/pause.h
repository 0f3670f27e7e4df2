/* pause.h - secrets that a KDC refused, which it is not to be asked about again for a while
 * (BadSecretPause): a loop in a program must not lock an account.
 *
 * A pause is of a principal with one secret, whichever credential brings it: a changed secret is
 * another pair. It is known by HMAC-SHA256, under a random key, over what string-to-key makes of
 * the password (or over the keytab's keys): what is kept tells nobody the secret. Where the
 * identity has a cache on disk, pauses are kept in the file beside it (beside_pause.h) and hold for
 * all processes; else, and where that file cannot be had, in memory, bounded; beyond that the
 * oldest goes. A child of fork(2) goes on with it.
 *
 * Times are milliseconds of the monotonic clock; in the file, of the system's. Any thread. One lock
 * of its own, held over none of that. */
#ifndef KB_PAUSE_H
#define KB_PAUSE_H

#include "mech/login/identity.h"

/* kb_pause_check tells whether the KDC may be asked: KB_ERROR with what it said before, when, and
 * when it will be asked again. `seconds` is BadSecretPause; 0: it may. */
KB_MUST_USE enum kb_status kb_pause_check(struct kb_identity *identity, int64_t seconds,
                                          int64_t now_ms, struct kb_error *err);

/* kb_pause_after looks at how a login failed: a proof that was refused begins a pause, an account
 * that is locked or has expired a short one, which doubles each time up to `seconds`. */
void kb_pause_after(struct kb_identity *identity, int64_t seconds, int64_t now_ms,
                    const struct kb_error *err);

/* kb_pause_end forgets what was refused to this identity: it has logged in. */
void kb_pause_end(struct kb_identity *identity);

/* For mech/process around fork(2). */
void kb_pause_fork_prepare(void);
void kb_pause_fork_done(void); /* in parent and child */

#endif
