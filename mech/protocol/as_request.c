/* Makes the AS-REQ: RFC 4120 3.1.1, 5.4.1. In MIT's order of padata, so that recordings compare. */
#include "mech/protocol/as_machine.h"

#define AS_REQ 10
#define PVNO 5

static uint32_t options_of(const struct kb_policy *policy)
{
    return (policy->forwardable ? KB_OPT_FORWARDABLE : 0) |
           (policy->proxiable ? KB_OPT_PROXIABLE : 0) |
           (policy->canonicalize ? KB_OPT_CANONICALIZE : 0) |
           (policy->renew_life > 0 ? KB_OPT_RENEWABLE : 0);
}

/* What is asked for is remembered in as->terms, for the reply to be compared with. */
static enum kb_status make_terms(struct kb_as *as, int64_t now)
{
    const struct kb_policy *policy = as->request.policy;
    struct kb_kdcrep_terms *terms = &as->terms;

    *terms = (struct kb_kdcrep_terms){
        .options = options_of(policy),
        .till = now + policy->ticket_life,
        .now = now,
        .skew = policy->clock_skew,
        .etypes = policy->etypes,
        .num_etypes = policy->num_etypes,
        .addresses = policy->addresses,
    };
    if (policy->renew_life > 0) {
        terms->rtime = now + (policy->renew_life > policy->ticket_life ? policy->renew_life
                                                                       : policy->ticket_life);
    }
    return kb_kdc_nonce(&as->env.rng, &terms->nonce);
}

static enum kb_status make_body(struct kb_as *as, kb_bytes *out)
{
    const struct kb_kdcrep_terms *terms = &as->terms;
    kb_kdc_req_body body = {
        .kdc_options = terms->options,
        .has_cname = true,
        .cname = as->request.client->name,
        .realm = as->request.client->realm,
        .has_sname = true,
        .sname = as->server->name,
        .till = terms->till,
        .has_rtime = terms->rtime != 0,
        .rtime = terms->rtime,
        .nonce = terms->nonce,
        .has_addresses = terms->addresses.num > 0,
        .addresses = terms->addresses,
    };
    enum kb_status st = kb_kdc_etypes(terms, &as->arena, &body.etype);

    return st == KB_OK ? kb_encode_kdc_req_body(&as->arena, &body, out) : st;
}

static enum kb_status encode(struct kb_as *as, const kb_pa_data *proof, kb_bytes body)
{
    kb_pa_data items[3];
    kb_kdc_req req = {.pvno = PVNO, .msg_type = AS_REQ, .has_padata = true, .req_body = body};
    size_t num = 0;

    if (as->has_cookie) {
        items[num++] = (kb_pa_data){KB_PA_FX_COOKIE, as->cookie};
    }
    if (proof != NULL) {
        items[num++] = *proof;
    }
    items[num++] = (kb_pa_data){KB_PA_REQ_ENC_PA_REP, KB_NONE}; /* RFC 6806 11 */
    req.padata = (kb_method_data){items, num};
    return kb_encode_as_req(&as->arena, &req, &as->message);
}

enum kb_status kb_as_make_request(struct kb_as *as, int64_t offset,
                                  const struct kb_pa_method *method, struct kb_key *key)
{
    struct kb_pa_input input = {.env = &as->env, .key = key};
    kb_pa_data proof = {0};
    kb_bytes body;
    enum kb_status st;

    as->sent = as->env.now(as->env.now_ctx);
    input.time = kb_timestamp_shift(as->sent, offset);
    st = make_terms(as, input.time.sec);
    if (st == KB_OK) {
        st = make_body(as, &body);
    }
    if (st == KB_OK && key != NULL) {
        proof.padata_type = method->type;
        st = method->make(&input, &as->arena, &proof.padata_value);
    }
    return st == KB_OK ? encode(as, key != NULL ? &proof : NULL, body) : st;
}
