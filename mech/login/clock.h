/* clock.h - the system's time and randomness as a kb_env wants them.
 *
 * (ctime, cusec) strictly increase within the process (DESIGN, time): an acceptor takes two equal
 * pairs of one client for a replay. Any thread; no lock. */
#ifndef KB_CLOCK_H
#define KB_CLOCK_H

#include "mech/protocol/env.h"

/* kb_clock_env fills an environment with the system's clock and randomness. */
void kb_clock_env(struct kb_env *env, struct kb_events *events);

/* kb_clock_now is the local time in seconds, not made unique. */
int64_t kb_clock_now(void);

#endif
