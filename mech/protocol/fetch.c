/* AS, then TGS; and AS once more where the KDC does not take the TGT that was at hand. */
#include "mech/protocol/fetch.h"

#include <stdlib.h>

#include "mech/protocol/as.h"
#include "mech/protocol/text.h"
#include "mech/protocol/tgs.h"
#include "mech/report/events.h"

enum fetch_state {
    START,
    IN_AS,  /* steps go to `as` */
    IN_TGS, /* steps go to `tgs` */
    DONE,
    FAILED,
};

struct kb_fetch {
    struct kb_env env;
    struct kb_fetch_request request;
    enum fetch_state state;
    struct kb_as *as;
    struct kb_tgs *tgs;
    struct kb_credential *tgt; /* given, or obtained */
    struct kb_error error;
};

struct kb_fetch *kb_fetch_new(const struct kb_env *env, const struct kb_fetch_request *request)
{
    struct kb_fetch *fetch = calloc(1, sizeof(*fetch));

    if (fetch == NULL) {
        return NULL;
    }
    fetch->env = *env;
    fetch->request = *request;
    fetch->request.client = kb_principal_ref(request->client);
    fetch->request.service = request->service != NULL ? kb_principal_ref(request->service) : NULL;
    fetch->tgt = request->tgt != NULL ? kb_credential_ref(request->tgt) : NULL;
    return fetch;
}

void kb_fetch_free(struct kb_fetch *fetch)
{
    if (fetch == NULL) {
        return;
    }
    kb_as_free(fetch->as);
    kb_tgs_free(fetch->tgs);
    kb_credential_free(fetch->tgt);
    kb_principal_free(fetch->request.client);
    kb_principal_free(fetch->request.service);
    free(fetch);
}

/* --- steps --- */

static enum kb_step failed(struct kb_fetch *fetch, const struct kb_error *error)
{
    fetch->error = *error;
    fetch->state = FAILED;
    return KB_STEP_ERROR;
}

static enum kb_step failed_with(struct kb_fetch *fetch, enum kb_error_code code, enum kb_status st)
{
    struct kb_text client;

    kb_error_status(&fetch->error, code, st, "Login of %s",
                    kb_text_principal(&client, fetch->request.client));
    fetch->state = FAILED;
    return KB_STEP_ERROR;
}

static enum kb_step start_as(struct kb_fetch *fetch, bool first_proof, struct kb_send *out_send)
{
    const struct kb_as_request request = {
        .client = fetch->request.client,
        .keys = &fetch->request.keys,
        .policy = fetch->request.policy,
        .hint = fetch->request.hint,
        .first_proof = first_proof,
        .primary = fetch->request.primary,
        .proofs_made = fetch->request.proofs_made,
    };

    if (fetch->request.keys.get == NULL) {
        return failed_with(fetch, KB_E_NO_SECRET, KB_NOT_FOUND);
    }
    fetch->as = kb_as_new(&fetch->env, &request);
    if (fetch->as == NULL) {
        return failed_with(fetch, KB_E_NO_MEMORY, KB_NO_MEMORY);
    }
    fetch->state = IN_AS;
    return kb_as_step(fetch->as, KB_NONE, "", out_send);
}

/* A new TGT brings the realm's clock with it; for a given one its owner knows it best. */
static int64_t clock_offset_of(const struct kb_fetch *fetch)
{
    int64_t known = fetch->request.policy->clock_offset;

    if (fetch->request.policy->own_clock) {
        return 0;
    }
    return fetch->as != NULL || known == 0 ? fetch->tgt->clock_offset : known;
}

static enum kb_step start_tgs(struct kb_fetch *fetch, struct kb_send *out_send)
{
    struct kb_tgs_request request;

    if (fetch->request.service == NULL) {
        fetch->state = DONE;
        return KB_DONE;
    }
    request = (struct kb_tgs_request){
        .tgt = fetch->tgt,
        .service = fetch->request.service,
        .policy = fetch->request.policy,
        .clock_offset = clock_offset_of(fetch),
        .primary = fetch->request.primary,
        .forwarded = fetch->request.forwarded,
        .renew = fetch->request.renew,
    };
    kb_tgs_free(fetch->tgs);
    fetch->tgs = kb_tgs_new(&fetch->env, &request);
    if (fetch->tgs == NULL) {
        return failed_with(fetch, KB_E_NO_MEMORY, KB_NO_MEMORY);
    }
    fetch->state = IN_TGS;
    return kb_tgs_step(fetch->tgs, KB_NONE, "", out_send);
}

/* What follows from a step of the inner machine. */
static enum kb_step after_as(struct kb_fetch *fetch, enum kb_step step, struct kb_send *out_send)
{
    if (step == KB_STEP_ERROR) {
        return fetch->state == FAILED ? step : failed(fetch, kb_as_error(fetch->as));
    }
    if (step == KB_DONE) {
        kb_credential_free(fetch->tgt);
        fetch->tgt = kb_credential_ref(kb_as_tgt(fetch->as));
        return start_tgs(fetch, out_send);
    }
    return step;
}

static enum kb_step after_tgs(struct kb_fetch *fetch, enum kb_step step, struct kb_send *out_send)
{
    if (step == KB_DONE) {
        fetch->state = DONE;
    }
    if (step != KB_STEP_ERROR) {
        return step;
    }
    if (fetch->state == FAILED) {
        return step;
    }
    if (!kb_tgs_tgt_refused(fetch->tgs) || fetch->as != NULL || fetch->request.keys.get == NULL) {
        return failed(fetch, kb_tgs_error(fetch->tgs));
    }
    kb_event_tgt_refused(fetch->env.events);
    /* The KDC is alive, so the proof may go with the first request. */
    return after_as(fetch, start_as(fetch, true, out_send), out_send);
}

enum kb_step kb_fetch_step(struct kb_fetch *fetch, kb_bytes reply, const char *peer,
                           struct kb_send *out_send)
{
    *out_send = (struct kb_send){0};
    switch (fetch->state) {
    case START:
        if (fetch->tgt == NULL) {
            return after_as(fetch, start_as(fetch, fetch->request.first_proof, out_send), out_send);
        }
        return after_tgs(fetch, start_tgs(fetch, out_send), out_send);
    case IN_AS: {
        enum kb_step step = kb_as_step(fetch->as, reply, peer, out_send);

        step = after_as(fetch, step, out_send);
        return fetch->state == IN_TGS ? after_tgs(fetch, step, out_send) : step;
    }
    case IN_TGS:
        return after_tgs(fetch, kb_tgs_step(fetch->tgs, reply, peer, out_send), out_send);
    case DONE:
        return KB_DONE;
    default:
        return KB_STEP_ERROR;
    }
}

enum kb_step kb_fetch_silent(struct kb_fetch *fetch, bool judged, struct kb_send *out_send)
{
    *out_send = (struct kb_send){0};
    if (fetch->state != IN_AS) {
        return fetch->state == FAILED ? KB_STEP_ERROR
                                      : failed_with(fetch, KB_E_KDC_UNREACHABLE, KB_TIMED_OUT);
    }
    return after_as(fetch, kb_as_silent(fetch->as, judged, out_send), out_send);
}

enum kb_verdict kb_fetch_verdict(void *machine, kb_bytes message)
{
    struct kb_fetch *fetch = machine;

    switch (fetch->state) {
    case IN_AS:
        return kb_as_verdict(fetch->as, message);
    case IN_TGS:
        return kb_tgs_verdict(fetch->tgs, message);
    default:
        return KB_VERDICT_IGNORE;
    }
}

/* --- results --- */

struct kb_credential *kb_fetch_tgt(const struct kb_fetch *fetch)
{
    return fetch->tgt;
}

struct kb_credential *kb_fetch_ticket(const struct kb_fetch *fetch)
{
    return fetch->state == DONE && fetch->tgs != NULL ? kb_tgs_ticket(fetch->tgs) : NULL;
}

struct kb_credential *kb_fetch_referral(const struct kb_fetch *fetch, size_t nth)
{
    return fetch->tgs != NULL ? kb_tgs_referral(fetch->tgs, nth) : NULL;
}

kb_bytes kb_fetch_realm(const struct kb_fetch *fetch)
{
    return fetch->tgs != NULL ? kb_tgs_realm(fetch->tgs) : fetch->request.client->realm;
}

bool kb_fetch_learned(const struct kb_fetch *fetch, struct kb_key_hint *out)
{
    *out = (struct kb_key_hint){0};
    return fetch->as != NULL && kb_as_learned(fetch->as, out);
}

bool kb_fetch_clock_offset(const struct kb_fetch *fetch, int64_t *out)
{
    *out = 0;
    return fetch->as != NULL && kb_as_clock_offset(fetch->as, out);
}

bool kb_fetch_tgt_refused(const struct kb_fetch *fetch)
{
    return fetch->tgs != NULL && kb_tgs_tgt_refused(fetch->tgs);
}

bool kb_fetch_clock_differs(const struct kb_fetch *fetch)
{
    return fetch->tgs != NULL && kb_tgs_clock_differs(fetch->tgs);
}

unsigned kb_fetch_proofs(const struct kb_fetch *fetch)
{
    return fetch->as != NULL ? kb_as_proofs(fetch->as) : fetch->request.proofs_made;
}

const struct kb_error *kb_fetch_error(const struct kb_fetch *fetch)
{
    return &fetch->error;
}
