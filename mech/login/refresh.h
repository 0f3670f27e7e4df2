/* refresh.h - tickets replaced before they end, while the old one still serves. Inside login.
 *
 * The call that finds a ticket (a TGT or a service's) beyond four fifths of its life fetches the
 * next: there is no thread for it. It waits a second at most, or two round trips where its KDCs are
 * known to be so far away, and nobody else waits for it: other
 * threads go on with the old ticket, and so does this call if it fails; that is a line in the log,
 * and the next try comes later (store/shared.h). When exactly, is drawn for each ticket in each
 * process, so that those who share one do not all ask at once.
 *
 * A TGT that can be renewed (RFC 4120 2.3) for its whole life again is renewed, else obtained anew
 * with the secret, under the same pause as any login (pause.h); without a secret it is renewed as
 * long as that makes it last longer. A service's ticket ends no later than the TGT that it was
 * obtained with, so where the TGT would end with it that is refreshed first.
 * Any thread. */
#ifndef KB_REFRESH_H
#define KB_REFRESH_H

#include "mech/login/work.h"

/* kb_refresh_at is when a ticket is due, by the KDC's clock: between 75 and 85 % of what can be
 * used of its life, which ends `min_life` seconds early. `now` (the KDC's clock) for one that it
 * has just given; INT64_MIN for an older one, whose life began when the KDC says. KB_NEVER: no
 * life. */
int64_t kb_refresh_at(const struct kb_credential *credential, int64_t min_life, int64_t now);

/* kb_refresh_ticket refreshes the ticket under `key`, which kb_shared_look found due; the new one
 * takes the place of *ticket. */
void kb_refresh_ticket(const struct kb_login *login, const struct kb_target *target, kb_bytes key,
                       struct kb_credential **ticket);

/* kb_refresh_forwarded does so with the TGT for a service (kb_login_forwarded). */
void kb_refresh_forwarded(const struct kb_login *login, kb_bytes key,
                          struct kb_credential **forwarded);

/* kb_refresh_tgt does so with the TGT that a call has found, if that is due, or ends no later than
 * work->later_than. */
void kb_refresh_tgt(struct kb_work *work, struct kb_credential **tgt);

/* kb_refresh_realm does so with the TGT of another realm, kept under `key`, if that is due; with
 * what is on the way to it. Not in a call that refreshes already. */
void kb_refresh_realm(struct kb_work *work, kb_bytes key, kb_bytes realm, bool hierarchy,
                      struct kb_credential **tgt);

/* kb_refresh_clock logs in anew where it is in doubt how far the realm's clock is from ours
 * (clock.h): only a fresh AS-REP says it. Where there is no secret, a guess must do.
 * `since_ms`: when the call began (kb_now_ms). */
void kb_refresh_clock(const struct kb_login *login, int64_t since_ms);

#endif
