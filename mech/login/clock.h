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

/* How far it is ahead becomes wrong when a clock is set: the system's own, which shows (it moved
 * against CLOCK_BOOTTIME by more than KB_CLOCK_STEP_SECONDS): kb_realm_clock_notice, which then
 * also guesses anew; or the realm's, which a KDC or a service tells: kb_realm_clock_doubt. In doubt
 * a new login is to measure it, and until then what a cache says replaces it too.
 * kb_realm_clock_claim tells whether this thread is to log in for that: at once when the system's
 * clock was set, else once a minute at most, since what a KDC or a service says can be forged; on a
 * service's word not within a minute of a measurement either: then its own clock is to blame. */
#define KB_CLOCK_STEP_SECONDS 30
#define KB_CLOCK_MEASURE_SECONDS 60
void kb_realm_clock_notice(struct kb_realm_clock *clock);
void kb_realm_clock_doubt(struct kb_realm_clock *clock, bool by_kdc);
KB_MUST_USE bool kb_realm_clock_claim(struct kb_realm_clock *clock);

/* For mech/process around fork(2). */
void kb_clock_fork_prepare(void);
void kb_clock_fork_done(void); /* in parent and child */

/* kb_clock_now is the local time in seconds, not made unique. */
int64_t kb_clock_now(void);

#endif
