/* wait.h - one call's waiting: its deadline, who may interrupt it, whose callback runs meanwhile.
 *
 * Everything that waits in a call (names, connects, replies, another thread's exchange) waits
 * through one kb_wait, so one deadline holds over all of it. Monotonic milliseconds. One thread,
 * but for kb_wait_follow.
 *
 * A program's wait callback runs in kb_wait_poll, which is therefore never called with a lock held;
 * it may call GSS-API again and take its time: then the deadline passes as if the network had been
 * silent, except that what has arrived by then is looked at once. What cannot be polled (a lock on
 * a file) is waited for by looking at it between polls of no descriptor. */
#ifndef KB_WAIT_H
#define KB_WAIT_H

#include <poll.h>

#include "asn1/bytes.h"
#include "asn1/status.h"
#include "mech/net/interrupt.h"
#include "mech/report/listener.h"

#define KB_WAIT_FDS 2      /* that kb_wait_poll adds to those it is given */
#define KB_WAIT_TURN_MS 50 /* between two wait callbacks; half of what is promised */

#define KB_WAIT_WORTH_MS 100 /* of kb_wait_is_over */

struct kb_wait {
    int64_t timeout_ms; /* inactivity, or the whole when `absolute`; 0: none */
    bool absolute;
    int64_t deadline_ms; /* now; INT64_MAX: none */
    /* private */
    int64_t start_ms;
    _Atomic int64_t stepped_ms; /* when the last step was completed; others may read it */
    int64_t base_ms;            /* the deadline as the last completed step left it */
    bool late;                  /* what was there after the deadline has been looked at */
    struct {
        struct kb_interrupt *interrupt; /* NULL: none, as for the listeners */
        unsigned since;
    } by[2];
    struct kb_listener *listeners[2];
    int64_t turn_ms; /* when their wait callbacks are due */
    bool cancelled;  /* by one of them */
    unsigned forks;  /* of the process, when the call began */
};

int64_t kb_now_ms(void);

/* kb_wait_start begins a call, kb_wait_stop ends it (all zero is accepted, and twice). The
 * process's interrupt and the credential's may be attached in between, and the listeners of both;
 * NULL is accepted. References of its own are held. */
void kb_wait_start(struct kb_wait *wait, int64_t timeout_ms, bool absolute);
void kb_wait_attach(struct kb_wait *wait, struct kb_interrupt *interrupt);
void kb_wait_listen(struct kb_wait *wait, struct kb_listener *listener);
void kb_wait_stop(struct kb_wait *wait);

/* kb_wait_progress tells that a step completed (a name resolved, a connection made, a whole reply
 * accepted): an inactivity timeout starts again. */
void kb_wait_progress(struct kb_wait *wait);

/* kb_wait_follow makes the steps that another call completes count for this one, which waits for
 * what that one brings. */
void kb_wait_follow(struct kb_wait *wait, const struct kb_wait *other);

/* kb_wait_is_over: less is left than a new beginning is worth. */
bool kb_wait_is_over(const struct kb_wait *wait);

/* kb_wait_bytes tells that a part of a reply arrived: an inactivity timeout is extended, by one
 * timeout in all until the next progress, so a peer that sends a byte a second ends too. */
void kb_wait_bytes(struct kb_wait *wait);

/* kb_wait_poll polls `fds` (room for KB_WAIT_FDS more behind fds[num - 1]) until something is ready
 * or `until_ms` or the deadline passes. KB_OK: something is ready, or until_ms is reached
 * (*out_ready 0); KB_TIMED_OUT: the deadline; KB_INTERRUPTED, also by a wait callback. EINTR is
 * waited through. */
KB_MUST_USE enum kb_status kb_wait_poll(struct kb_wait *wait, struct pollfd *fds, size_t num,
                                        int64_t until_ms, int *out_ready);

/* kb_wait_interrupted tells, without waiting, whether the call is to end. It stays so. */
bool kb_wait_interrupted(const struct kb_wait *wait);

/* kb_wait_cause begins a sentence about that: "Interrupted", or who did it. */
const char *kb_wait_cause(const struct kb_wait *wait);

/* For the child of fork(2): a call that was under way when its callback forked ends there as if
 * interrupted, since its sockets are the parent's. */
void kb_wait_fork_child(void);

#endif
