/* tgs.h - the TGS exchange: from a ticket-granting ticket to a service ticket, over referrals to
 * other realms; or from a realm to the next one. RFC 4120 3.3, 5.4; RFC 6806 8, 9.
 *
 * Every request has a subkey and a checksum over its body, and asks for canonicalization; one
 * without that is only made where a KDC refers us to the realm that we are in already. A reply's
 * sname is the one asked for, or krbtgt/X (a referral: X not visited yet, at most ten realms), or
 * another service of the same KDC (an alias). The ticket's own enctype is the service's business.
 *
 * Where krbtgt/X itself is asked for, the KDC may answer with the TGT of a realm that is nearer to
 * X (RFC 4120 3.3.1): that ends the exchange, and whoever asked decides how to go on.
 *
 * That a service is trusted with the user's tickets (ok-as-delegate) is a realm's word. It is
 * believed only where all realms on the way to it have the flag in their TGTs, as MIT's client
 * does; else the flag is taken out of the credential.
 *
 * Owns an arena (wiped by kb_tgs_free), references what kb_tgs_request points to but the policy,
 * which is borrowed, as a reply is until the step returns. One thread at a time. */
#ifndef KB_TGS_H
#define KB_TGS_H

#include "mech/protocol/credential.h"
#include "mech/protocol/env.h"
#include "mech/protocol/step.h"
#include "mech/report/error.h"

struct kb_tgs_request {
    struct kb_credential *tgt;          /* krbtgt/X: the first KDC asked is X's */
    const struct kb_principal *service; /* asked for in that realm, and where it refers */
    const struct kb_policy *policy;
    int64_t clock_offset; /* microseconds: the KDC's clock minus ours */
    bool primary;         /* ask the realms' primary KDCs, where there are any */
    bool forwarded; /* a TGT to be handed on: `service` is the one that `tgt` is for (RFC 4120 2.6),
                       and what comes holds at every address */
    bool renew; /* `service` is the one that `tgt` is for: its life begins again (RFC 4120 2.3) */
};

struct kb_tgs;

/* kb_tgs_new returns NULL only when memory is short. */
struct kb_tgs *kb_tgs_new(const struct kb_env *env, const struct kb_tgs_request *request);
void kb_tgs_free(struct kb_tgs *tgs); /* NULL is accepted */

/* As kb_fetch's functions of the same names, see fetch.h. */
enum kb_step kb_tgs_step(struct kb_tgs *tgs, kb_bytes reply, const char *peer,
                         struct kb_send *out_send);
enum kb_verdict kb_tgs_verdict(void *tgs, kb_bytes message);

/* kb_tgs_ticket lends the ticket after KB_DONE. */
struct kb_credential *kb_tgs_ticket(const struct kb_tgs *tgs);

/* kb_tgs_referral lends the nth TGT that a KDC referred us with, also after an error; NULL behind
 * the last one. */
struct kb_credential *kb_tgs_referral(const struct kb_tgs *tgs, size_t nth);
const struct kb_error *kb_tgs_error(const struct kb_tgs *tgs);

/* kb_tgs_realm lends the realm whose KDC is or was asked last. */
kb_bytes kb_tgs_realm(const struct kb_tgs *tgs);

/* kb_tgs_tgt_refused tells, after KB_STEP_ERROR, that the first KDC does not take the TGT that the
 * machine started with: a new one may help. */
bool kb_tgs_tgt_refused(const struct kb_tgs *tgs);

/* kb_tgs_clock_differs tells, also after KB_DONE, that a KDC of the user's own realm called our
 * time or that of the TGT wrong: the clock_offset given is none any more. */
bool kb_tgs_clock_differs(const struct kb_tgs *tgs);

#endif
