/* What a KRB-ERROR leads to in the AS exchange; the table at the end says it for each state.
 * DESIGN, net: what may be sent, and what a reply means. */
#include "mech/protocol/as_machine.h"

#define SECOND INT64_C(1000000)

static enum kb_step final_error(struct kb_as *as, const struct kb_krberror *error)
{
    kb_as_explain(as, error, &as->error);
    return kb_as_failed(as);
}

/* The offset for the one retry that an error causes. Its time is unprotected and believed no
 * further; within the tolerance there is no reason to. */
static int64_t retry_offset(struct kb_as *as, const struct kb_krberror *error)
{
    int64_t known = as->request.policy->clock_offset, said, differs;

    if (!kb_krberror_offset(error, as->env.now(as->env.now_ctx), &said)) {
        return known;
    }
    differs = said > known ? said - known : known - said;
    if (error->code != KB_KDC_SKEW && error->code != KB_KDC_NEVER_VALID &&
        differs <= as->request.policy->clock_skew * SECOND) {
        return known;
    }
    kb_event_clock_said(as->env.events, said / SECOND);
    return said;
}

/* Proves with `key`, of which a reference is taken over. */
static enum kb_step prove(struct kb_as *as, const struct kb_key_hint *how, struct kb_key *key,
                          const struct kb_pa_method *method, const struct kb_krberror *error,
                          struct kb_send *out_send)
{
    char buf[24];

    kb_key_free(as->proof_key);
    as->proof_key = key;
    as->proof_how = *how;
    kb_event_proof_key(as->env.events, as->request.keys->what, kb_enctype_name(how->etype, buf),
                       how->salt.len);
    return kb_as_send(as, retry_offset(as, error), method, KB_AS_PROOF, out_send);
}

static enum kb_status read_said(struct kb_as *as, const struct kb_krberror *error,
                                struct kb_arena *scratch, struct kb_pa_said *out)
{
    enum kb_status st = kb_preauth_read(&error->padata, scratch, out);
    struct kb_text name;

    if (st != KB_OK && st != KB_NO_MEMORY) {
        return kb_error_set(&as->error, KB_E_KDC_REPLY,
                            "%s: what the KDC %.64s says of the user's key cannot be read",
                            kb_text_principal(&name, as->request.client), as->peer);
    }
    if (st == KB_OK && out->has_cookie) {
        as->has_cookie = true;
        as->cookie = kb_arena_copy(&as->arena, out->cookie);
        st = as->cookie.ptr != NULL ? KB_OK : KB_NO_MEMORY;
    }
    return st;
}

/* MIT's KDC drops every method that needs the user's key where it has none of the enctypes asked
 * for; what needs no key is left. */
static bool offers_nothing_with_a_key(const kb_method_data *offered)
{
    for (size_t i = 0; i < offered->num; i++) {
        switch (offered->items[i].padata_type) {
        case KB_PA_FX_COOKIE:
        case KB_PA_FX_FAST:
        case KB_PA_AS_FRESHNESS:
            break;
        default:
            return false;
        }
    }
    return offered->num > 0;
}

static enum kb_step no_key_there(struct kb_as *as, const struct kb_krberror *error)
{
    struct kb_text name;
    struct kb_buf ours;

    kb_buf_init(&ours, 400);
    kb_as_describe_etypes(as, &ours);
    kb_error_set(
        &as->error, KB_E_NO_ENCTYPE,
        "%s: KDC %.64s has no key of an encryption type that %sEncryptionTypes allows (%s)",
        kb_text_principal(&name, as->request.client), as->peer,
        as->request.keys->describe != NULL ? "the keytab has and " : "", kb_buf_str(&ours));
    as->error.kdc_code = error->code;
    kb_as_add_both_sides(as, &as->error);
    kb_buf_wipe(&ours);
    return kb_as_failed(as);
}

static enum kb_step no_method(struct kb_as *as, const struct kb_krberror *error)
{
    struct kb_text name;
    struct kb_buf offered;

    if (offers_nothing_with_a_key(&error->padata)) {
        return no_key_there(as, error);
    }
    kb_buf_init(&offered, 400);
    kb_preauth_describe(&error->padata, &offered);
    kb_error_set(&as->error, KB_E_PREAUTH, "%s: KDC %.64s %s; it offers %s",
                 kb_text_principal(&name, as->request.client), as->peer,
                 as->request.policy->no_enc_timestamp
                     ? "wants more than krb5.conf's disable_encrypted_timestamp leaves to be given"
                     : "accepts no encrypted timestamp",
                 kb_buf_str(&offered));
    as->error.kdc_code = error->code;
    kb_buf_wipe(&offered);
    return kb_as_failed(as);
}

/* Makes a proof with what the KDC says, unless that is the proof it has refused already. */
static enum kb_step prove_as_said(struct kb_as *as, const struct kb_krberror *error,
                                  const struct kb_pa_said *said, const struct kb_pa_method *method,
                                  struct kb_send *out_send)
{
    struct kb_key_hint how;
    struct kb_key *key;
    enum kb_status st = kb_as_choose(as, said, &how, &key);

    if (st != KB_OK) {
        return st == KB_ERROR ? kb_as_failed(as) : kb_as_failed_with(as, st);
    }
    if (as->refused &&
        (as->proofs >= KB_AS_MAX_PROOFS || kb_as_same_key(as, &how, &as->proof_how))) {
        kb_key_free(key);
        as->error = as->refusal;
        kb_as_add_both_sides(as, &as->error);
        return kb_as_failed(as);
    }
    if (as->proofs >= KB_AS_MAX_PROOFS) {
        kb_key_free(key);
        return final_error(as, error);
    }
    return prove(as, &how, key, method, error, out_send);
}

/* PREAUTH_REQUIRED: the KDC says how. */
static enum kb_step on_required(struct kb_as *as, const struct kb_krberror *error,
                                struct kb_arena *scratch, struct kb_send *out_send)
{
    const struct kb_pa_method *method = kb_preauth_choose(&error->padata, as->request.policy);
    struct kb_pa_said said;
    enum kb_status st;

    if (method == NULL) {
        return no_method(as, error);
    }
    st = read_said(as, error, scratch, &said);
    if (st != KB_OK) {
        return st == KB_ERROR ? kb_as_failed(as) : kb_as_failed_with(as, st);
    }
    return prove_as_said(as, error, &said, method, out_send);
}

/* PREAUTH_REQUIRED after a proof that was made as the KDC wanted: it wants more than that. */
static enum kb_step on_required_again(struct kb_as *as, const struct kb_krberror *error,
                                      struct kb_arena *scratch, struct kb_send *out_send)
{
    struct kb_text name;
    struct kb_buf offered;

    (void)scratch;
    (void)out_send;
    kb_buf_init(&offered, 400);
    kb_preauth_describe(&error->padata, &offered);
    kb_error_set(&as->error, KB_E_PREAUTH,
                 "%s: KDC %.64s wants more than an encrypted timestamp; it offers %s",
                 kb_text_principal(&name, as->request.client), as->peer, kb_buf_str(&offered));
    as->error.kdc_code = error->code;
    kb_buf_wipe(&offered);
    return kb_as_failed(as);
}

/* The first request's proof is refused; its salt and enctype were our guess. Where the error itself
 * does not say better ones, the KDC is asked once without a proof. */
static enum kb_step on_first_refused(struct kb_as *as, const struct kb_krberror *error,
                                     struct kb_arena *scratch, struct kb_send *out_send)
{
    struct kb_pa_said said;
    enum kb_status st = read_said(as, error, scratch, &said);

    if (st != KB_OK) {
        return st == KB_ERROR ? kb_as_failed(as) : kb_as_failed_with(as, st);
    }
    kb_as_explain(as, error, &as->refusal);
    as->refused = true;
    if (error->ntstatus != 0 && as->refusal.code != KB_E_WRONG_PASSWORD &&
        as->refusal.code != KB_E_KEY_REFUSED) {
        return final_error(as, error); /* AD says that it is not the key: locked, disabled, ... */
    }
    if (said.num_keys > 0 && said.keys[0].etype != KB_PA_ANY_ETYPE) {
        return prove_as_said(as, error, &said, kb_preauth_default(as->request.policy), out_send);
    }
    return kb_as_ask(as, as->request.policy->clock_offset, out_send);
}

/* The clocks differ: the same proof with the KDC's time, once. Samba's error names the salt too. */
static enum kb_step on_skew(struct kb_as *as, const struct kb_krberror *error,
                            struct kb_arena *scratch, struct kb_send *out_send)
{
    struct kb_pa_said said;
    enum kb_status st;

    if (as->clock_corrected || as->proofs >= KB_AS_MAX_PROOFS) {
        return final_error(as, error);
    }
    as->clock_corrected = true;
    st = read_said(as, error, scratch, &said);
    if (st != KB_OK) {
        return st == KB_ERROR ? kb_as_failed(as) : kb_as_failed_with(as, st);
    }
    if (said.num_keys > 0 && said.keys[0].etype != KB_PA_ANY_ETYPE) {
        return prove_as_said(as, error, &said, kb_preauth_default(as->request.policy), out_send);
    }
    return prove(as, &as->proof_how, kb_key_ref(as->proof_key),
                 kb_preauth_default(as->request.policy), error, out_send);
}

/* A request for times that have passed by the KDC's clock. */
static enum kb_step on_never_valid(struct kb_as *as, const struct kb_krberror *error,
                                   struct kb_arena *scratch, struct kb_send *out_send)
{
    (void)scratch;
    if (as->clock_corrected) {
        return final_error(as, error);
    }
    as->clock_corrected = true;
    return kb_as_ask(as, retry_offset(as, error), out_send);
}

static bool was_visited(const struct kb_as *as, kb_bytes realm)
{
    for (size_t i = 0; i < as->num_visited; i++) {
        if (kb_equal(as->visited[i], realm)) {
            return true;
        }
    }
    return false;
}

/* RFC 6806 7: the client is another realm's, whose KDC is asked anew, still by the name that the
 * user has here. A proof that was sent stays counted: the error is not protected. */
static enum kb_step on_wrong_realm(struct kb_as *as, const struct kb_krberror *error,
                                   struct kb_arena *scratch, struct kb_send *out_send)
{
    struct kb_text from, to;
    enum kb_status st;

    (void)scratch;
    if (!kb_as_canonicalized(as) || error->crealm.len == 0 ||
        error->crealm.len > KB_AS_MAX_REALM_LEN) {
        return final_error(as, error);
    }
    kb_text_escaped(&to, error->crealm);
    if (as->num_visited == KB_AS_MAX_REALMS || was_visited(as, error->crealm)) {
        kb_error_set(&as->error, KB_E_WRONG_REALM,
                     "%s: KDC %.64s refers the user to realm %s, which leads to no end",
                     kb_text_principal(&from, as->request.client), as->peer, to.text);
        as->error.kdc_code = error->code;
        return kb_as_failed(as);
    }
    kb_event_client_referral(as->env.events, kb_text_principal(&from, as->request.client), to.text);
    st = kb_as_enter(as, error->crealm);
    return st == KB_OK ? kb_as_ask(as, as->request.policy->clock_offset, out_send)
                       : kb_as_failed_with(as, st);
}

/* The realm where the user was found before knows it no more. */
static enum kb_step on_unknown(struct kb_as *as, const struct kb_krberror *error,
                               struct kb_arena *scratch, struct kb_send *out_send)
{
    (void)scratch;
    return as->by_memory && as->num_visited == 1 ? kb_as_go_home(as, out_send)
                                                 : final_error(as, error);
}

/* KRB_AP_ERR_REPEAT: a fresh timestamp, as the second proof. */
static enum kb_step on_repeat(struct kb_as *as, const struct kb_krberror *error,
                              struct kb_arena *scratch, struct kb_send *out_send)
{
    enum kb_step step;

    (void)scratch;
    if (as->proofs >= KB_AS_MAX_PROOFS) {
        return final_error(as, error);
    }
    step = prove(as, &as->proof_how, kb_key_ref(as->proof_key),
                 kb_preauth_default(as->request.policy), error, out_send);
    out_send->new_attempt = step == KB_SEND;
    return step;
}

/* What is not here is final. */
/* clang-format off */
static const struct {
    enum kb_as_state state;
    int32_t code;
    enum kb_step (*act)(struct kb_as *as, const struct kb_krberror *error, struct kb_arena *scratch,
                        struct kb_send *out_send);
} on_error[] = {
    {KB_AS_ASKED,       KB_KDC_PREAUTH_REQUIRED,     on_required},
    {KB_AS_ASKED,       KB_KDC_NEVER_VALID,          on_never_valid},
    {KB_AS_ASKED,       KB_KDC_SKEW,                 on_never_valid},
    {KB_AS_ASKED,       KB_KDC_WRONG_REALM,          on_wrong_realm},
    {KB_AS_ASKED,       KB_KDC_C_PRINCIPAL_UNKNOWN,  on_unknown},
    {KB_AS_FIRST_PROOF, KB_KDC_PREAUTH_REQUIRED,     on_required},
    {KB_AS_FIRST_PROOF, KB_KDC_NEVER_VALID,          on_never_valid},
    {KB_AS_FIRST_PROOF, KB_KDC_PREAUTH_FAILED,       on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_BAD_INTEGRITY,        on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_ETYPE_NOSUPP,         on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_PADATA_TYPE_NOSUPP,   on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_SKEW,                 on_skew},
    {KB_AS_FIRST_PROOF, KB_KDC_REPEAT,               on_repeat},
    {KB_AS_FIRST_PROOF, KB_KDC_WRONG_REALM,          on_wrong_realm},
    {KB_AS_FIRST_PROOF, KB_KDC_C_PRINCIPAL_UNKNOWN,  on_unknown},
    {KB_AS_PROOF,       KB_KDC_PREAUTH_REQUIRED,     on_required_again},
    {KB_AS_PROOF,       KB_KDC_SKEW,                 on_skew},
    {KB_AS_PROOF,       KB_KDC_REPEAT,               on_repeat},
};
/* clang-format on */

enum kb_step kb_as_take_error(struct kb_as *as, kb_bytes message, struct kb_arena *scratch,
                              struct kb_send *out_send)
{
    struct kb_krberror error;
    struct kb_text text;
    enum kb_status st = kb_krberror_decode(message, scratch, &error);

    if (st == KB_NO_MEMORY) {
        return kb_as_failed_with(as, st);
    }
    if (st != KB_OK) {
        kb_error_set(&as->error, KB_E_KDC_REPLY,
                     "%s: the error message of KDC %.64s cannot be read",
                     kb_text_principal(&text, as->request.client), as->peer);
        return kb_as_failed(as);
    }
    kb_krberror_tell(as->env.events, &error, as->peer);
    for (size_t i = 0; i < sizeof(on_error) / sizeof(on_error[0]); i++) {
        if (on_error[i].state == as->state && on_error[i].code == error.code) {
            return on_error[i].act(as, &error, scratch, out_send);
        }
    }
    return final_error(as, &error);
}
