/* wait.h - one call's waiting: its deadline, and the descriptor that Interrupt writes to.
 *
 * Everything that waits in a call (names, connects, replies, another thread's exchange) waits
 * through one kb_wait, so one deadline holds over all of it. Monotonic milliseconds. One thread;
 * only the interrupt descriptor is touched by others. */
#ifndef KB_WAIT_H
#define KB_WAIT_H

#include <poll.h>

#include "asn1/bytes.h"
#include "asn1/status.h"

struct kb_wait {
    int64_t timeout_ms; /* inactivity, or the whole when `absolute`; 0: none */
    bool absolute;
    int64_t deadline_ms; /* now; INT64_MAX: none */
    int interrupt_fd;    /* readable when interrupted; -1: nobody can */
    /* private */
    int64_t base_ms; /* the deadline as the last completed step left it */
};

int64_t kb_now_ms(void);

/* kb_wait_start begins a call. */
void kb_wait_start(struct kb_wait *wait, int64_t timeout_ms, bool absolute, int interrupt_fd);

/* kb_wait_progress tells that a step completed (a name resolved, a connection made, a whole reply
 * accepted): an inactivity timeout starts again. */
void kb_wait_progress(struct kb_wait *wait);

/* kb_wait_bytes tells that a part of a reply arrived: an inactivity timeout is extended, by one
 * timeout in all until the next progress, so a peer that sends a byte a second ends too. */
void kb_wait_bytes(struct kb_wait *wait);

/* kb_wait_poll polls `fds` (room for one more at fds[num], used for the interrupt) until something
 * is ready or `until_ms` or the deadline passes. KB_OK: something is ready, or until_ms is reached
 * (*out_ready 0); KB_TIMED_OUT: the deadline; KB_INTERRUPTED. EINTR is waited through. */
KB_MUST_USE enum kb_status kb_wait_poll(struct kb_wait *wait, struct pollfd *fds, size_t num,
                                        int64_t until_ms, int *out_ready);

#endif
