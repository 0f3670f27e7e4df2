/* shared.h - the tickets of one identity, shared by the threads of the process: who has one, who
 * fetches it, who waits.
 *
 * A ticket is kept under the name that was asked for ("HTTP@www", "krbtgt/R@R"), so that a warm
 * look-up needs neither DNS nor a parser. Threads that want the same ticket at once cause one
 * exchange: the first leads, the others wait for it, each with its own deadline (which the leader's
 * progress extends as their own would) and its own copy of an error; a leader that was interrupted
 * or ran out of its own time is followed by one of the waiters. One that is held up in a callback
 * of the program's is not waited for: another leads beside it; nor does a callback that asks for
 * what its own thread is fetching wait for itself. That the KDC does not know a service is
 * remembered for ten seconds.
 *
 * All functions may be called by any thread. One lock of this module guards every table; it is
 * never held over I/O, string-to-key or a callback, and is last in the lock order. Bounded: beyond
 * KB_SHARED_MAX the one that expires first goes. */
#ifndef KB_SHARED_H
#define KB_SHARED_H

#include "mech/net/wait.h"
#include "mech/protocol/credential.h"
#include "mech/report/error.h"

#define KB_SHARED_MAX 1024
#define KB_UNKNOWN_SERVICE_SECONDS 10

struct kb_shared;

struct kb_shared *kb_shared_new(void); /* NULL: no memory */

/* kb_shared_free is called when no thread can be in a call on it; NULL is accepted. */
void kb_shared_free(struct kb_shared *shared);

/* kb_shared_find returns a reference to the ticket asked for as `asked`, if it has more than
 * `min_life` seconds left at `now` (UTC seconds, local clock); else NULL. */
struct kb_credential *kb_shared_find(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                     int64_t min_life);

/* kb_shared_enter is kb_shared_find, and what to do about a miss:
 *   KB_OK           *out is a reference to a ticket: it was there, or another thread fetched it
 *   KB_NOT_FOUND    this thread leads: it fetches, and calls kb_shared_leave whatever comes of it
 *   KB_ERROR        *err: the flight that we waited for failed, or the service is known not to
 * exist KB_TIMED_OUT, KB_INTERRUPTED, KB_NO_MEMORY  while waiting */
KB_MUST_USE enum kb_status kb_shared_enter(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                           int64_t min_life, struct kb_wait *wait,
                                           struct kb_credential **out, struct kb_error *err);

/* kb_shared_leave ends the flight that this thread leads: with a ticket, which is kept and given to
 * all who wait, or with NULL and the error. */
void kb_shared_leave(struct kb_shared *shared, kb_bytes asked, struct kb_credential *credential,
                     const struct kb_error *err);

/* kb_shared_put keeps a ticket that was obtained on the way (a renewed TGT). */
void kb_shared_put(struct kb_shared *shared, kb_bytes asked, struct kb_credential *credential);

/* kb_shared_drop forgets the ticket under `asked` if it still is `credential`. */
void kb_shared_drop(struct kb_shared *shared, kb_bytes asked,
                    const struct kb_credential *credential);

/* kb_shared_clear forgets all tickets. Flights go on. */
void kb_shared_clear(struct kb_shared *shared);

/* For mech/process around fork(2). The child has no flights: the threads that led them are gone. */
void kb_shared_fork_prepare(void);
void kb_shared_fork_parent(void);
void kb_shared_fork_child(void);

#endif
