/* fetch.h - from a long-term key to a service ticket: the AS and TGS exchanges as one machine.
 *
 * Starts with the AS exchange, or, where a TGT is at hand, with the TGS exchange; a TGT that its
 * KDC does not take (expired, revoked, or the KDC's key is another by now) is replaced by a new one
 * once. RFC 4120 3.1, 3.3. Owns an arena (wiped by
 * kb_fetch_free), references what it is given in kb_fetch_request, borrows a reply only until the
 * step returns. One thread at a time. */
#ifndef KB_FETCH_H
#define KB_FETCH_H

#include "mech/protocol/credential.h"
#include "mech/protocol/env.h"
#include "mech/protocol/keys.h"
#include "mech/protocol/step.h"
#include "mech/report/error.h"

struct kb_fetch_request {
    const struct kb_principal *client;
    const struct kb_principal *service; /* NULL: only a TGT is wanted. Asked for in the TGT's realm,
                                           and where that refers (tgs.h) */
    struct kb_key_source keys;          /* get may be NULL where a tgt is given: no AS then */
    struct kb_credential *tgt;          /* to start from; NULL: none */
    const struct kb_policy *policy;     /* borrowed until kb_fetch_free */
    struct kb_key_hint hint;            /* borrowed likewise */
    bool first_proof; /* the first AS-REQ may carry a proof: the KDC is the only one or known alive
                       */
    bool primary;     /* ask the realms' primary KDCs */
    bool forwarded;   /* `service` is the TGT's own: a TGT to be handed on to a service */
    bool renew;       /* `service` is the TGT's own, and keys.get NULL: the TGT is to be renewed */
    unsigned proofs_made; /* in this login, before: a KDC may have judged them */
};

struct kb_fetch;

struct kb_fetch *kb_fetch_new(const struct kb_env *env, const struct kb_fetch_request *request);
void kb_fetch_free(struct kb_fetch *fetch); /* NULL is accepted */

/* kb_fetch_step takes the reply to the last message (KB_NONE at first). `peer` says who sent it,
 * for messages. */
enum kb_step kb_fetch_step(struct kb_fetch *fetch, kb_bytes reply, const char *peer,
                           struct kb_send *out_send);

/* kb_fetch_silent tells that a proof got no answer (3 s, or a reset): the machine asks without one,
 * or gives up. `judged` is false when the KDC cannot have seen it (connect refused): it then does
 * not count as one of the two proofs. */
enum kb_step kb_fetch_silent(struct kb_fetch *fetch, bool judged, struct kb_send *out_send);

/* kb_fetch_verdict is the kb_verdict_fn of a kb_fetch. */
enum kb_verdict kb_fetch_verdict(void *fetch, kb_bytes message);

/* Results; each lends a reference that the fetch keeps. NULL if there is none. */
struct kb_credential *kb_fetch_tgt(const struct kb_fetch *fetch);             /* new or given */
struct kb_credential *kb_fetch_ticket(const struct kb_fetch *fetch);          /* after KB_DONE */
bool kb_fetch_learned(const struct kb_fetch *fetch, struct kb_key_hint *out); /* lends slices */
/* The nth TGT that a KDC referred us with on the way to the service, also after an error. */
struct kb_credential *kb_fetch_referral(const struct kb_fetch *fetch, size_t nth);
/* The realm whose KDC is or was asked last. */
kb_bytes kb_fetch_realm(const struct kb_fetch *fetch);
/* The realm's clock minus ours in microseconds, from a decrypted fresh AS-REP; false if none. */
bool kb_fetch_clock_offset(const struct kb_fetch *fetch, int64_t *out);
/* After KB_STEP_ERROR: the first KDC does not take the TGT; whoever keeps it should not. */
bool kb_fetch_tgt_refused(const struct kb_fetch *fetch);
/* A KDC of the user's own realm says that the clocks differ by more than the policy has it. */
bool kb_fetch_clock_differs(const struct kb_fetch *fetch);
const struct kb_error *kb_fetch_error(const struct kb_fetch *fetch); /* after KB_STEP_ERROR */
/* Proofs that a KDC may have judged, with those made before. */
unsigned kb_fetch_proofs(const struct kb_fetch *fetch);

#endif
