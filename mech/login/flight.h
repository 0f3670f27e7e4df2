/* flight.h - where a thread begins to fetch a ticket for all that want it, and where it has done
 * so: store/shared.h's flights, with an error for a person. Inside login.
 *
 * What `key` stands for is the caller's: KB_SHARED_TGT, or what a target was asked for as. */
#ifndef KB_FLIGHT_H
#define KB_FLIGHT_H

#include "mech/login/login.h"

/* kb_flight_check_depth: KB_ERROR in a callback that a login called which another callback began:
 * the stack ends somewhere. */
KB_MUST_USE enum kb_status kb_flight_check_depth(struct kb_error *err);

/* kb_flight_enter gives the ticket that is kept under `key`, or that another thread then brings:
 * KB_OK or KB_ERROR. KB_NOT_FOUND: this thread leads, and ends with kb_flight_leave. */
KB_MUST_USE enum kb_status kb_flight_enter(const struct kb_login *login, struct kb_wait *wait,
                                           kb_bytes key, struct kb_credential **out,
                                           struct kb_error *err);

/* Where a ticket came from, which says when it is due to be refreshed. */
enum kb_flight_from {
    KB_FLIGHT_FETCHED, /* a KDC, just now */
    KB_FLIGHT_CACHED,  /* the credentials cache */
    KB_FLIGHT_AS_IS,   /* a KDC; and it is not to be refreshed */
};

/* kb_flight_leave keeps the ticket and gives it to all who wait; NULL: *err goes to them. */
void kb_flight_leave(const struct kb_login *login, kb_bytes key, struct kb_credential *credential,
                     enum kb_flight_from from, const struct kb_error *err);

#endif
