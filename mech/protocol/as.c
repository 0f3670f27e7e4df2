/* The states of the AS exchange; the table at the end says what each error leads to in each state.
 */
#include "mech/protocol/as_machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TAG_AS_REP 0x6b
#define TAG_KRB_ERROR 0x7e

#define VERDICT_CEILING (4u << 20)
#define SECOND INT64_C(1000000)

/* --- making and releasing --- */

/* RFC 4120 4: the realm and the name's components, nothing between them. */
static enum kb_status make_default_salt(struct kb_as *as)
{
    const struct kb_principal *client = as->request.client;
    size_t len = client->realm.len, at;
    uint8_t *salt;

    for (size_t i = 0; i < client->name.name_string.num; i++) {
        len += client->name.name_string.items[i].len;
    }
    salt = kb_arena_alloc(&as->arena, len);
    if (salt == NULL) {
        return KB_NO_MEMORY;
    }
    at = client->realm.len;
    if (at > 0) {
        memcpy(salt, client->realm.ptr, at);
    }
    for (size_t i = 0; i < client->name.name_string.num; i++) {
        kb_bytes part = client->name.name_string.items[i];

        if (part.len > 0) {
            memcpy(salt + at, part.ptr, part.len);
        }
        at += part.len;
    }
    as->default_salt = kb_bytes_of(salt, len);
    return KB_OK;
}

struct kb_as *kb_as_new(const struct kb_env *env, const struct kb_as_request *request)
{
    struct kb_as *as = calloc(1, sizeof(*as));

    if (as == NULL) {
        return NULL;
    }
    as->env = *env;
    as->request = *request;
    as->request.client = kb_principal_ref(request->client);
    as->server = kb_principal_tgs(request->client->realm, request->client->realm);
    as->iterations_left = request->policy->max_iterations;
    as->peer = "";
    kb_arena_init(&as->arena, NULL, 0, KB_AS_CEILING);
    if (as->server == NULL || make_default_salt(as) != KB_OK) {
        kb_as_free(as);
        return NULL;
    }
    return as;
}

void kb_as_free(struct kb_as *as)
{
    if (as == NULL) {
        return;
    }
    for (unsigned i = 0; i < as->num_derived; i++) {
        kb_key_free(as->derived[i].key);
    }
    kb_key_free(as->proof_key);
    kb_credential_free(as->tgt);
    kb_principal_free(as->request.client);
    kb_principal_free(as->server);
    kb_arena_wipe(&as->arena);
    kb_free_secret(as, sizeof(*as));
}

struct kb_credential *kb_as_tgt(const struct kb_as *as)
{
    return as->tgt;
}

bool kb_as_learned(const struct kb_as *as, struct kb_key_hint *out)
{
    *out = as->learned;
    return as->learned.etype != 0;
}

bool kb_as_clock_offset(const struct kb_as *as, int64_t *out)
{
    *out = as->clock_offset;
    return as->has_clock_offset;
}

const struct kb_error *kb_as_error(const struct kb_as *as)
{
    return &as->error;
}

/* --- failing --- */

static enum kb_step failed(struct kb_as *as)
{
    as->state = KB_AS_FAILED;
    return KB_STEP_ERROR;
}

static enum kb_step failed_with(struct kb_as *as, enum kb_status st)
{
    struct kb_text name;

    kb_error_status(&as->error, KB_E_INTERNAL, st, "Login of %s",
                    kb_text_principal(&name, as->request.client));
    return failed(as);
}

/* What the keytab has beside what the KDC wants. */
static void add_both_sides(struct kb_as *as, struct kb_error *err)
{
    struct kb_buf ours;
    size_t len = strlen(err->text);

    if (err->code != KB_E_KEY_REFUSED) {
        return;
    }
    kb_buf_init(&ours, 400);
    kb_as_describe_keys(as, &ours);
    snprintf(err->text + len, sizeof(err->text) - len, "; it has %s", kb_buf_str(&ours));
    len = strlen(err->text);
    if (as->wanted[0] != '\0') {
        snprintf(err->text + len, sizeof(err->text) - len, ", the KDC has %s", as->wanted);
    }
    kb_buf_wipe(&ours);
}

static void explain(struct kb_as *as, const struct kb_krberror *error, struct kb_error *err)
{
    bool proved = as->state == KB_AS_FIRST_PROOF || as->state == KB_AS_PROOF;
    const struct kb_krberror_about about = {
        .client = as->request.client,
        .peer = as->peer,
        .secret = proved ? as->request.keys->what : NULL,
        .keytab = proved && !as->request.keys->salted,
        .now = as->env.now(as->env.now_ctx),
    };

    kb_krberror_explain(err, error, &about);
    add_both_sides(as, err);
}

static enum kb_step final_error(struct kb_as *as, const struct kb_krberror *error)
{
    explain(as, error, &as->error);
    return failed(as);
}

/* --- sending --- */

static enum kb_step send_request(struct kb_as *as, int64_t offset,
                                 const struct kb_pa_method *method, enum kb_as_state next,
                                 struct kb_send *out_send)
{
    bool proof = next == KB_AS_FIRST_PROOF || next == KB_AS_PROOF;
    struct kb_text name;
    enum kb_status st;

    if (as->requests == KB_AS_MAX_REQUESTS) {
        kb_error_set(&as->error, KB_E_KDC_REPLY, "%s: the KDC's answers lead to no end",
                     kb_text_principal(&name, as->request.client));
        return failed(as);
    }
    st = kb_as_make_request(as, offset, method, proof ? as->proof_key : NULL);
    if (st != KB_OK) {
        return failed_with(as, st);
    }
    kb_log(as->env.events, KB_LOG_VERBOSE, "AS-REQ for %s, %s",
           kb_text_principal(&name, as->request.client),
           proof ? method->name : "no pre-authentication");
    as->requests++;
    as->proofs += proof ? 1 : 0;
    as->state = next;
    *out_send = (struct kb_send){
        .message = as->message, .realm = as->request.client->realm, .proof = proof};
    return KB_SEND;
}

/* The offset for the one retry that an error causes. Its time is unprotected and believed no
 * further; within the tolerance there is no reason to. */
static int64_t retry_offset(struct kb_as *as, const struct kb_krberror *error)
{
    int64_t known = as->request.policy->clock_offset;
    struct kb_timestamp now = as->env.now(as->env.now_ctx);
    int64_t said = (error->stime.sec - now.sec) * SECOND + error->stime.usec - now.usec;
    int64_t differs = said > known ? said - known : known - said;

    if (error->code != KB_KDC_SKEW && error->code != KB_KDC_NEVER_VALID &&
        differs <= as->request.policy->clock_skew * SECOND) {
        return known;
    }
    kb_log(as->env.events, KB_LOG_VERBOSE,
           "The KDC says that its clock is %" PRId64 " s ahead of ours", said / SECOND);
    return said;
}

static enum kb_step ask(struct kb_as *as, int64_t offset, struct kb_send *out_send)
{
    return send_request(as, offset, NULL, KB_AS_ASKED, out_send);
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
    kb_log(as->env.events, KB_LOG_VERBOSE, "Key: %s, %s, %zu bytes of salt", as->request.keys->what,
           kb_enctype_name(how->etype, buf), how->salt.len);
    return send_request(as, retry_offset(as, error), method, KB_AS_PROOF, out_send);
}

/* --- what an error leads to --- */

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

static enum kb_step no_method(struct kb_as *as, const struct kb_krberror *error)
{
    struct kb_text name;
    struct kb_buf offered;

    kb_buf_init(&offered, 400);
    kb_preauth_describe(&error->padata, &offered);
    kb_error_set(&as->error, KB_E_PREAUTH,
                 "%s: KDC %.64s accepts no encrypted timestamp; it offers %s",
                 kb_text_principal(&name, as->request.client), as->peer, kb_buf_str(&offered));
    as->error.kdc_code = error->code;
    kb_buf_wipe(&offered);
    return failed(as);
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
        return st == KB_ERROR ? failed(as) : failed_with(as, st);
    }
    if (as->refused &&
        (as->proofs >= KB_AS_MAX_PROOFS || kb_as_same_key(as, &how, &as->proof_how))) {
        kb_key_free(key);
        as->error = as->refusal;
        add_both_sides(as, &as->error);
        return failed(as);
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
    const struct kb_pa_method *method = kb_preauth_choose(&error->padata);
    struct kb_pa_said said;
    enum kb_status st;

    if (method == NULL) {
        return no_method(as, error);
    }
    st = read_said(as, error, scratch, &said);
    if (st != KB_OK) {
        return st == KB_ERROR ? failed(as) : failed_with(as, st);
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
    return failed(as);
}

/* The first request's proof is refused; its salt and enctype were our guess. Where the error itself
 * does not say better ones, the KDC is asked once without a proof. */
static enum kb_step on_first_refused(struct kb_as *as, const struct kb_krberror *error,
                                     struct kb_arena *scratch, struct kb_send *out_send)
{
    struct kb_pa_said said;
    enum kb_status st = read_said(as, error, scratch, &said);

    if (st != KB_OK) {
        return st == KB_ERROR ? failed(as) : failed_with(as, st);
    }
    explain(as, error, &as->refusal);
    as->refused = true;
    if (error->ntstatus != 0 && as->refusal.code != KB_E_WRONG_PASSWORD &&
        as->refusal.code != KB_E_KEY_REFUSED) {
        return final_error(as, error); /* AD says that it is not the key: locked, disabled, ... */
    }
    if (said.num_keys > 0 && said.keys[0].etype != KB_PA_ANY_ETYPE) {
        return prove_as_said(as, error, &said, kb_preauth_default(), out_send);
    }
    return ask(as, as->request.policy->clock_offset, out_send);
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
        return st == KB_ERROR ? failed(as) : failed_with(as, st);
    }
    if (said.num_keys > 0 && said.keys[0].etype != KB_PA_ANY_ETYPE) {
        return prove_as_said(as, error, &said, kb_preauth_default(), out_send);
    }
    return prove(as, &as->proof_how, kb_key_ref(as->proof_key), kb_preauth_default(), error,
                 out_send);
}

/* An unproved request for times that have passed by the KDC's clock. */
static enum kb_step on_never_valid(struct kb_as *as, const struct kb_krberror *error,
                                   struct kb_arena *scratch, struct kb_send *out_send)
{
    (void)scratch;
    if (as->clock_corrected) {
        return final_error(as, error);
    }
    as->clock_corrected = true;
    return ask(as, retry_offset(as, error), out_send);
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
    step =
        prove(as, &as->proof_how, kb_key_ref(as->proof_key), kb_preauth_default(), error, out_send);
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
    {KB_AS_FIRST_PROOF, KB_KDC_PREAUTH_REQUIRED,     on_required},
    {KB_AS_FIRST_PROOF, KB_KDC_PREAUTH_FAILED,       on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_BAD_INTEGRITY,        on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_ETYPE_NOSUPP,         on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_PADATA_TYPE_NOSUPP,   on_first_refused},
    {KB_AS_FIRST_PROOF, KB_KDC_SKEW,                 on_skew},
    {KB_AS_FIRST_PROOF, KB_KDC_REPEAT,               on_repeat},
    {KB_AS_PROOF,       KB_KDC_PREAUTH_REQUIRED,     on_required_again},
    {KB_AS_PROOF,       KB_KDC_SKEW,                 on_skew},
    {KB_AS_PROOF,       KB_KDC_REPEAT,               on_repeat},
};
/* clang-format on */

static enum kb_step take_error(struct kb_as *as, kb_bytes message, struct kb_arena *scratch,
                               struct kb_send *out_send)
{
    struct kb_krberror error;
    struct kb_text text;
    enum kb_status st = kb_krberror_decode(message, scratch, &error);

    if (st == KB_NO_MEMORY) {
        return failed_with(as, st);
    }
    if (st != KB_OK) {
        kb_error_set(&as->error, KB_E_KDC_REPLY,
                     "%s: the error message of KDC %.64s cannot be read",
                     kb_text_principal(&text, as->request.client), as->peer);
        return failed(as);
    }
    kb_log(as->env.events, KB_LOG_VERBOSE, "KRB-ERROR %" PRId32 " \"%s\" from %s", error.code,
           kb_text_escaped(&text, error.e_text), as->peer);
    for (size_t i = 0; i < sizeof(on_error) / sizeof(on_error[0]); i++) {
        if (on_error[i].state == as->state && on_error[i].code == error.code) {
            return on_error[i].act(as, &error, scratch, out_send);
        }
    }
    return final_error(as, &error);
}

/* --- the answer --- */

static enum kb_step unusable(struct kb_as *as, const struct kb_fault *fault)
{
    struct kb_text name;

    kb_text_principal(&name, as->request.client);
    if (fault->what == NULL) {
        kb_error_set(
            &as->error, fault->code,
            "%s: the reply of KDC %.64s does not decrypt with %.100s: that is wrong, or the "
            "reply is forged",
            name.text, as->peer, as->request.keys->what);
        add_both_sides(as, &as->error);
    } else {
        kb_error_set(&as->error, fault->code, "%s: the reply of KDC %.64s cannot be used: %s",
                     name.text, as->peer, fault->what);
    }
    return failed(as);
}

static enum kb_step accept(struct kb_as *as, const struct kb_as_reply *reply)
{
    const kb_enc_kdc_rep_part *part = &reply->rep.part;
    struct kb_text name;

    as->tgt = kb_kdcrep_credential(&reply->rep, reply->session_key, reply->clock_offset);
    as->learned = (struct kb_key_hint){reply->how.etype, kb_arena_copy(&as->arena, reply->how.salt),
                                       kb_arena_copy(&as->arena, reply->how.s2kparams)};
    if (as->tgt == NULL || as->learned.salt.ptr == NULL || as->learned.s2kparams.ptr == NULL) {
        as->learned = (struct kb_key_hint){0};
        return failed_with(as, KB_NO_MEMORY);
    }
    as->has_clock_offset = true;
    as->clock_offset = reply->clock_offset;
    as->state = KB_AS_DONE;
    kb_log(as->env.events, KB_LOG_VERBOSE,
           "TGT for %s from %s, valid for %" PRId64 " s; the KDC's clock is %" PRId64
           " us ahead of ours",
           kb_text_principal(&name, as->tgt->client), as->peer, part->endtime - part->authtime,
           as->clock_offset);
    if (part->has_key_expiration) {
        kb_log(as->env.events, KB_LOG_VERBOSE, "The key of %s expires in %" PRId64 " days",
               name.text, (part->key_expiration - part->authtime) / 86400);
    }
    return KB_DONE;
}

static enum kb_step take_reply(struct kb_as *as, kb_bytes message, struct kb_arena *scratch)
{
    struct kb_as_reply reply;
    struct kb_fault fault;
    enum kb_status st = kb_as_check_reply(as, message, scratch, &reply, &fault);
    enum kb_step step;

    if (st == KB_OK) {
        step = accept(as, &reply);
    } else if (st == KB_ERROR) {
        step = unusable(as, &fault);
    } else if (st == KB_NO_MEMORY || st == KB_NO_CRYPTO) {
        step = failed_with(as, st);
    } else {
        step = unusable(as, &(struct kb_fault){KB_E_KDC_REPLY, kb_status_text(st)});
    }
    kb_key_free(reply.session_key);
    return step;
}

/* --- the steps --- */

static enum kb_step start(struct kb_as *as, struct kb_send *out_send)
{
    int64_t offset = as->request.policy->clock_offset;
    enum kb_status st = KB_NOT_FOUND;

    if (as->request.first_proof) {
        st = kb_as_guess(as, &as->proof_how, &as->proof_key);
    }
    switch (st) {
    case KB_OK:
        return send_request(as, offset, kb_preauth_default(), KB_AS_FIRST_PROOF, out_send);
    case KB_NOT_FOUND:
    case KB_BAD_PARAMS: /* what was learned is no longer within the bounds */
        as->proof_how = (struct kb_key_hint){0};
        return ask(as, offset, out_send);
    default:
        return failed_with(as, st);
    }
}

enum kb_step kb_as_step(struct kb_as *as, kb_bytes reply, const char *peer,
                        struct kb_send *out_send)
{
    struct kb_arena scratch;
    enum kb_step step;

    *out_send = (struct kb_send){0};
    as->peer = peer != NULL ? peer : "";
    if (as->state == KB_AS_START) {
        return start(as, out_send);
    }
    if (as->state == KB_AS_DONE || as->state == KB_AS_FAILED) {
        return as->state == KB_AS_DONE ? KB_DONE : failed_with(as, KB_ERROR);
    }
    kb_arena_init(&scratch, NULL, 0, VERDICT_CEILING);
    if (reply.len > 0 && reply.ptr[0] == TAG_KRB_ERROR) {
        step = take_error(as, reply, &scratch, out_send);
    } else {
        step = take_reply(as, reply, &scratch);
    }
    kb_arena_wipe(&scratch);
    as->peer = "";
    return step;
}

enum kb_step kb_as_silent(struct kb_as *as, bool judged, struct kb_send *out_send)
{
    bool proved = as->state == KB_AS_FIRST_PROOF || as->state == KB_AS_PROOF;
    struct kb_text name;

    *out_send = (struct kb_send){0};
    as->proofs -= proved && !judged ? 1 : 0;
    if (!proved || as->proofs >= KB_AS_MAX_PROOFS) {
        kb_error_set(&as->error, KB_E_KDC_UNREACHABLE,
                     "%s: no KDC answered the login; a third attempt could lock the account",
                     kb_text_principal(&name, as->request.client));
        return failed(as);
    }
    kb_log(as->env.events, KB_LOG_VERBOSE, "No answer to a proof: asking without one");
    return ask(as, as->request.policy->clock_offset, out_send);
}

/* --- what a message is worth --- */

static enum kb_verdict error_verdict(struct kb_as *as, kb_bytes message, struct kb_arena *scratch)
{
    bool proved = as->state == KB_AS_FIRST_PROOF || as->state == KB_AS_PROOF;
    struct kb_krberror error;
    enum kb_status st = kb_krberror_decode(message, scratch, &error);

    if (st != KB_OK) {
        return st == KB_NO_MEMORY ? KB_VERDICT_FINAL : KB_VERDICT_NEXT;
    }
    switch (error.code) {
    case KB_KDC_RESPONSE_TOO_BIG:
        return KB_VERDICT_TCP;
    case KB_KDC_SVC_UNAVAILABLE:
        return KB_VERDICT_NEXT;
    case KB_KDC_REPEAT:
        /* The answer to the first of two equal datagrams may still come. */
        return proved ? KB_VERDICT_WEAK : KB_VERDICT_FINAL;
    default:
        return KB_VERDICT_FINAL;
    }
}

static enum kb_verdict reply_verdict(struct kb_as *as, kb_bytes message, struct kb_arena *scratch)
{
    struct kb_as_reply reply;
    struct kb_fault fault;
    enum kb_status st = kb_as_check_reply(as, message, scratch, &reply, &fault);

    kb_key_free(reply.session_key);
    switch (st) {
    case KB_OK:
    case KB_NO_MEMORY:
    case KB_NO_CRYPTO:
        return KB_VERDICT_FINAL;
    case KB_ERROR:
        return KB_VERDICT_WEAK;
    default:
        return KB_VERDICT_IGNORE;
    }
}

enum kb_verdict kb_as_verdict(void *machine, kb_bytes message)
{
    struct kb_as *as = machine;
    enum kb_verdict verdict = KB_VERDICT_IGNORE;
    struct kb_arena scratch;

    if (message.len == 0) {
        return verdict;
    }
    kb_arena_init(&scratch, NULL, 0, VERDICT_CEILING);
    if (message.ptr[0] == TAG_KRB_ERROR) {
        verdict = error_verdict(as, message, &scratch);
    } else if (message.ptr[0] == TAG_AS_REP) {
        verdict = reply_verdict(as, message, &scratch);
    }
    kb_arena_wipe(&scratch);
    return verdict;
}
