/* shared.h - the tickets of one identity, shared by the threads of the process: who has one, who
 * fetches it, who waits, who refreshes it.
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
 * Times are UTC seconds by the KDC's clock, as in tickets.
 *
 * A ticket comes with the time from which on it is due to be refreshed (`refresh_at`;
 * KB_NEVER). One thread that finds it so is told, and refreshes it; all others go on with
 * the old one meanwhile, and so does that one if it fails. The next is told 30 seconds later, then
 * after twice as long, up to ten minutes. When and how is login/refresh's business.
 *
 * All functions may be called by any thread. One lock of this module guards every table; it is
 * never held over I/O, string-to-key or a callback, and is last in the lock order. Bounded: beyond
 * KB_SHARED_MAX the one goes that was not asked for longest, of those without a ticket if they are
 * many; KB_SHARED_TGT stays. */
#ifndef KB_SHARED_H
#define KB_SHARED_H

#include "mech/net/wait.h"
#include "mech/protocol/credential.h"
#include "mech/report/error.h"

#define KB_SHARED_MAX 8192      /* some 2 KiB each */
#define KB_SHARED_MAX_EMPTY 128 /* of them without a ticket: memories of failures */
#define KB_UNKNOWN_SERVICE_SECONDS 10
#define KB_FIRST_RETRY_SECONDS 30 /* after a refresh that failed */
#define KB_LAST_RETRY_SECONDS 600
#define KB_DISTRUST_SECONDS 60 /* between two tickets that are dropped on a service's word */
#define KB_EARLY_SECONDS                                                                           \
    900 /* a ticket that begins later is not used yet: a clock was set back                        \
         */
#define KB_NEVER INT64_MAX

/* Under which name the TGT is kept; other tickets under the kind of name and what was asked for. */
#define KB_SHARED_TGT KB_LIT("t")

struct kb_shared;

struct kb_shared *kb_shared_new(void); /* NULL: no memory */

/* kb_shared_free is called when no thread can be in a call on it; NULL is accepted. */
void kb_shared_free(struct kb_shared *shared);

/* kb_shared_find returns a reference to the ticket asked for as `asked`, if it has more than
 * `min_life` seconds left at `now` and has begun, within KB_EARLY_SECONDS; else NULL. */
struct kb_credential *kb_shared_find(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                     int64_t min_life);

/* kb_shared_look is kb_shared_find that tells all that is known: KB_OK; KB_NOT_FOUND; KB_ERROR with
 * *err where the service is known not to exist. *out_due: this thread is to refresh the ticket, and
 * calls kb_shared_refreshed whatever comes of it. */
KB_MUST_USE enum kb_status kb_shared_look(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                          int64_t min_life, struct kb_credential **out,
                                          bool *out_due, struct kb_error *err);

/* kb_shared_enter is kb_shared_find, and what to do about a miss:
 *   KB_OK           *out is a reference to a ticket: it was there, or another thread fetched it
 *   KB_NOT_FOUND    this thread leads: it fetches, and calls kb_shared_leave whatever comes of it
 *   KB_ERROR        *err: the flight that we waited for failed, or the service is known not to
 *                   exist
 *   KB_TIMED_OUT, KB_INTERRUPTED, KB_NO_MEMORY  while waiting */
KB_MUST_USE enum kb_status kb_shared_enter(struct kb_shared *shared, kb_bytes asked, int64_t now,
                                           int64_t min_life, struct kb_wait *wait,
                                           struct kb_credential **out, struct kb_error *err);

/* kb_shared_leave ends the flight that this thread leads: with a ticket, which is kept and given to
 * all who wait, or with NULL and the error. */
void kb_shared_leave(struct kb_shared *shared, kb_bytes asked, struct kb_credential *credential,
                     int64_t refresh_at, const struct kb_error *err);

/* kb_shared_remember keeps an error in the place of a ticket for ten seconds: kb_shared_look and
 * kb_shared_enter answer with it. (That a service is not known kb_shared_leave itself keeps.) */
void kb_shared_remember(struct kb_shared *shared, kb_bytes asked, const struct kb_error *err);

/* kb_shared_put keeps a ticket that was obtained on the way. */
void kb_shared_put(struct kb_shared *shared, kb_bytes asked, struct kb_credential *credential,
                   int64_t refresh_at);

/* kb_shared_claim tells whether this thread is to refresh `credential`, which it holds: kept under
 * `asked`, due (or wanted `early`), in nobody's hands, and not put off after a failure. */
KB_MUST_USE bool kb_shared_claim(struct kb_shared *shared, kb_bytes asked,
                                 const struct kb_credential *credential, int64_t now, bool early);

/* kb_shared_refreshed ends the refresh of `old`: `new_one` takes its place, if it still is there.
 * With NULL `old` stays, and the seconds are returned until somebody is to try again. */
int64_t kb_shared_refreshed(struct kb_shared *shared, kb_bytes asked,
                            const struct kb_credential *old, struct kb_credential *new_one,
                            int64_t refresh_at);

/* kb_shared_stays ends the refresh of `old` for good: it cannot be had for longer. */
void kb_shared_stays(struct kb_shared *shared, kb_bytes asked, const struct kb_credential *old);

/* kb_shared_drop forgets the ticket under `asked` if it still is `credential`. */
void kb_shared_drop(struct kb_shared *shared, kb_bytes asked,
                    const struct kb_credential *credential);

/* kb_shared_distrust is kb_shared_drop on the word of a service, which anybody can forge: at most
 * once a minute under one name. True: it was dropped. */
bool kb_shared_distrust(struct kb_shared *shared, kb_bytes asked,
                        const struct kb_credential *credential);

/* kb_shared_clear forgets all tickets. Flights go on. */
void kb_shared_clear(struct kb_shared *shared);

/* For mech/process around fork(2). The child has no flights: the threads that led them are gone. */
void kb_shared_fork_prepare(void);
void kb_shared_fork_parent(void);
void kb_shared_fork_child(void);

#endif
