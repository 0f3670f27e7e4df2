/* clock.h - the system's time and randomness as a kb_env wants them, and how the clocks of realms
 * differ from it.
 *
 * (ctime, cusec) strictly increase within the process (DESIGN, time): an acceptor takes two equal
 * pairs of one client for a replay.
 *
 * A realm's clock is kept for the process, for all who log in there: measured by a login (a
 * decrypted fresh AS-REP), or until the first one as a credentials cache has it. Any thread. One
 * lock guards the table of realms; reading a clock takes none. */
#ifndef KB_CLOCK_H
#define KB_CLOCK_H

#include "mech/protocol/env.h"

/* kb_clock_env fills an environment with the system's clock and randomness. */
void kb_clock_env(struct kb_env *env, struct kb_events *events);

struct kb_realm_clock;

/* kb_realm_clock_get returns the clock of a realm, counted; NULL: no memory. */
struct kb_realm_clock *kb_realm_clock_get(kb_bytes realm);
void kb_realm_clock_put(struct kb_realm_clock *clock); /* NULL is accepted */

/* kb_realm_clock_set: it is so many microseconds ahead of ours. A `measured` time replaces any,
 * another one only none. */
void kb_realm_clock_set(struct kb_realm_clock *clock, int64_t ahead_us, bool measured);
int64_t kb_realm_clock_ahead(const struct kb_realm_clock *clock); /* 0 until it is known */

/* For mech/process around fork(2). */
void kb_clock_fork_prepare(void);
void kb_clock_fork_done(void); /* in parent and child */

/* kb_clock_now is the local time in seconds, not made unique. */
int64_t kb_clock_now(void);

#endif
