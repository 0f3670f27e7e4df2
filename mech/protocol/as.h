/* as.h - the AS exchange: from a client's long-term key to a ticket-granting ticket. RFC 4120 3.1,
 * 5.4; RFC 6806.
 *
 * At most two proofs (encrypted timestamps) are made in one login, whatever the KDC answers: two
 * domain controllers would count two bad passwords. The first may stand in the first request, where
 * the key is known to fit; a refused one is followed by a second only if the KDC then names another
 * salt, parameters or enctype. Times in unprotected errors serve the one retry that they cause.
 * With canonicalize, or an enterprise name, the KDC may refer the client to another realm (RFC 6806
 * 7), at most KB_AS_MAX_REALMS in a row and to none twice, and may write its name its own way.
 * Where that led before (hint.realm) is asked at once, and the realm in the user's name if it no
 * longer knows the user there. A first request has no proof where the KDC might be that of another
 * realm. String-to-key never costs more than policy.max_iterations in one login.
 *
 * Owns an arena (wiped by kb_as_free), borrows what kb_as_request points to until then, and a reply
 * only until the step returns. One thread at a time. */
#ifndef KB_AS_H
#define KB_AS_H

#include "mech/protocol/credential.h"
#include "mech/protocol/env.h"
#include "mech/protocol/keys.h"
#include "mech/protocol/step.h"
#include "mech/report/error.h"

struct kb_as_request {
    const struct kb_principal *client;
    const struct kb_key_source *keys;
    const struct kb_policy *policy;
    struct kb_key_hint hint;
    bool first_proof;     /* the first request may carry a proof, if its key is known to fit */
    bool primary;         /* ask the realm's primary KDC */
    unsigned proofs_made; /* in this login, before */
};

#define KB_AS_MAX_PROOFS 2
#define KB_AS_MAX_REALMS 5

struct kb_as;

/* kb_as_new returns NULL only when memory is short. */
struct kb_as *kb_as_new(const struct kb_env *env, const struct kb_as_request *request);
void kb_as_free(struct kb_as *as); /* NULL is accepted */

/* As kb_fetch's functions of the same names, see fetch.h. */
enum kb_step kb_as_step(struct kb_as *as, kb_bytes reply, const char *peer,
                        struct kb_send *out_send);
enum kb_step kb_as_silent(struct kb_as *as, bool judged, struct kb_send *out_send);
enum kb_verdict kb_as_verdict(void *as, kb_bytes message);

/* Results after KB_DONE, lent as long as the kb_as lives. */
struct kb_credential *kb_as_tgt(const struct kb_as *as);
bool kb_as_learned(const struct kb_as *as, struct kb_key_hint *out);
bool kb_as_clock_offset(const struct kb_as *as, int64_t *out); /* microseconds */
const struct kb_error *kb_as_error(const struct kb_as *as);
unsigned
kb_as_proofs(const struct kb_as *as); /* made in this login, as far as a KDC may have judged them */

#endif
