/* The states of the AS exchange; the table at the end says what each error leads to in each state.
 */
#include "mech/protocol/as_machine.h"

#include <stdio.h>
#include <stdlib.h>

#include "mech/protocol/expiry.h"

#define TAG_AS_REP 0x6b
#define TAG_KRB_ERROR 0x7e

#define VERDICT_CEILING (4u << 20)

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
    as->proofs = request->proofs_made;
    as->iterations_left = request->policy->max_iterations;
    as->peer = "";
    kb_arena_init(&as->arena, NULL, 0, KB_AS_CEILING);
    as->home = kb_arena_copy(&as->arena, request->client->realm);
    as->by_memory = request->hint.etype != 0 && request->hint.realm.len > 0 &&
                    kb_as_canonicalized(as) && !kb_equal(request->hint.realm, as->home);
    if (as->home.ptr == NULL ||
        kb_as_enter(as, as->by_memory ? request->hint.realm : as->home) != KB_OK) {
        kb_as_free(as);
        return NULL;
    }
    return as;
}

bool kb_as_canonicalized(const struct kb_as *as)
{
    return as->request.policy->canonicalize ||
           as->request.client->name.name_type == KB_NT_ENTERPRISE;
}

enum kb_status kb_as_enter(struct kb_as *as, kb_bytes realm)
{
    kb_bytes copy = kb_arena_copy(&as->arena, realm);
    const struct kb_principal *client = kb_principal_new(realm, &as->request.client->name);
    const struct kb_principal *server = kb_principal_tgs(realm, realm);

    if (copy.ptr == NULL || client == NULL || server == NULL) {
        kb_principal_free(client);
        kb_principal_free(server);
        return KB_NO_MEMORY;
    }
    kb_principal_free(as->request.client);
    kb_principal_free(as->server);
    as->request.client = client;
    as->server = server;
    as->visited[as->num_visited++] = copy;
    return make_default_salt(as);
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

unsigned kb_as_proofs(const struct kb_as *as)
{
    return as->proofs;
}

/* --- failing --- */

enum kb_step kb_as_failed(struct kb_as *as)
{
    as->state = KB_AS_FAILED;
    return KB_STEP_ERROR;
}

enum kb_step kb_as_failed_with(struct kb_as *as, enum kb_status st)
{
    struct kb_text name;

    kb_error_status(&as->error, KB_E_INTERNAL, st, "Login of %s",
                    kb_text_principal(&name, as->request.client));
    return kb_as_failed(as);
}

/* What the keytab has beside what the KDC wants. */
void kb_as_add_both_sides(struct kb_as *as, struct kb_error *err)
{
    static const char sides[] = "; the keytab has ";
    struct kb_buf ours;
    char *said = strstr(err->text, sides); /* when less was known of the KDC's side */
    size_t len;

    if (err->code != KB_E_KEY_REFUSED &&
        (err->code != KB_E_NO_ENCTYPE || as->request.keys->describe == NULL)) {
        return;
    }
    if (said != NULL) {
        *said = '\0';
    }
    len = strlen(err->text);
    kb_buf_init(&ours, 400);
    kb_as_describe_keys(as, &ours);
    snprintf(err->text + len, sizeof(err->text) - len, "%s%s", sides, kb_buf_str(&ours));
    len = strlen(err->text);
    if (as->wanted[0] != '\0') {
        snprintf(err->text + len, sizeof(err->text) - len, ", the KDC has %s", as->wanted);
    }
    kb_buf_wipe(&ours);
}

void kb_as_explain(struct kb_as *as, const struct kb_krberror *error, struct kb_error *err)
{
    bool proved = kb_as_proved(as);
    const struct kb_krberror_about about = {
        .client = as->request.client,
        .peer = as->peer,
        .secret = proved ? as->request.keys->what : NULL,
        .keytab = proved && !as->request.keys->salted,
        .now = as->env.now(as->env.now_ctx),
        .etypes = as->request.policy->etypes,
        .num_etypes = as->request.policy->num_etypes,
    };

    kb_krberror_explain(err, error, &about);
    kb_as_add_both_sides(as, err);
}

/* --- sending --- */

/* Once in a login for each enctype: a second proof, and the reply, are made with the same key. */
static void tell_client_key(struct kb_as *as, const struct kb_principal *client, int32_t etype)
{
    struct kb_text name;

    if (as->told_etype != etype) {
        as->told_etype = etype;
        kb_old_used(as->env.events, KB_OLD_CLIENT, kb_text_principal(&name, client), etype);
    }
}

enum kb_step kb_as_send(struct kb_as *as, int64_t offset, const struct kb_pa_method *method,
                        enum kb_as_state next, struct kb_send *out_send)
{
    bool proof = next == KB_AS_FIRST_PROOF || next == KB_AS_PROOF;
    struct kb_text name;
    enum kb_status st;

    if (as->requests == KB_AS_MAX_REQUESTS) {
        kb_error_set(&as->error, KB_E_KDC_REPLY, "%s: the KDC's answers lead to no end",
                     kb_text_principal(&name, as->request.client));
        return kb_as_failed(as);
    }
    st = kb_as_make_request(as, offset, method, proof ? as->proof_key : NULL);
    if (st != KB_OK) {
        return kb_as_failed_with(as, st);
    }
    kb_event_as_req(as->env.events, kb_text_principal(&name, as->request.client),
                    proof ? method->name : "no pre-authentication");
    if (proof) {
        tell_client_key(as, as->request.client, as->proof_how.etype);
    }
    as->requests++;
    as->proofs += proof ? 1 : 0;
    as->state = next;
    *out_send = (struct kb_send){.message = as->message,
                                 .realm = as->request.client->realm,
                                 .proof = proof,
                                 .primary = as->request.primary};
    return KB_SEND;
}

enum kb_step kb_as_ask(struct kb_as *as, int64_t offset, struct kb_send *out_send)
{
    as->has_cookie = false; /* it begins anew */
    return kb_as_send(as, offset, NULL, KB_AS_ASKED, out_send);
}

enum kb_step kb_as_go_home(struct kb_as *as, struct kb_send *out_send)
{
    enum kb_status st;

    as->by_memory = false;
    as->num_visited = 0;
    st = kb_as_enter(as, as->home);
    return st == KB_OK ? kb_as_ask(as, as->request.policy->clock_offset, out_send)
                       : kb_as_failed_with(as, st);
}

/* --- the answer --- */

/* The key that the KDC has used. Its kvno is not protected: it is for a person to compare. */
static void note_reply_key(struct kb_as *as, const kb_encrypted_data *sealed)
{
    char kvno[32] = "", etype[24];

    if (sealed->has_kvno) {
        snprintf(kvno, sizeof(kvno), "kvno %u ", (unsigned)sealed->kvno);
    }
    snprintf(as->wanted, sizeof(as->wanted), "%s%s", kvno, kb_enctype_name(sealed->etype, etype));
}

/* `sealed` is the part that does not decrypt; NULL where that is not what is wrong. */
static enum kb_step unusable(struct kb_as *as, const struct kb_fault *fault,
                             const kb_encrypted_data *sealed)
{
    struct kb_text name;
    char etype[40];

    kb_text_principal(&name, as->request.client);
    if (fault->what == NULL) {
        kb_error_set(&as->error, fault->code,
                     "%s: the reply of KDC %.64s does not decrypt with %.100s: it is wrong, or the "
                     "reply is forged",
                     name.text, as->peer, as->request.keys->what);
        if (sealed != NULL) {
            note_reply_key(as, sealed);
        }
        kb_as_add_both_sides(as, &as->error);
    } else {
        kb_error_set(&as->error, fault->code, "%s: the reply of KDC %.64s cannot be used: %s%s",
                     name.text, as->peer, fault->what, kb_fault_etype(fault, etype));
    }
    return kb_as_failed(as);
}

static enum kb_step accept(struct kb_as *as, const struct kb_as_reply *reply)
{
    const kb_enc_kdc_rep_part *part = &reply->rep.part;
    struct kb_text name;

    kb_trail_part(as->env.events, as->peer, &kb_type_enc_kdc_rep_part, part);
    as->tgt =
        kb_kdcrep_credential(&reply->rep, reply->session_key, reply->clock_offset, &as->arena);
    as->learned = (struct kb_key_hint){reply->how.etype, kb_arena_copy(&as->arena, reply->how.salt),
                                       kb_arena_copy(&as->arena, reply->how.s2kparams),
                                       kb_arena_copy(&as->arena, as->request.client->realm)};
    if (as->tgt == NULL || as->learned.salt.ptr == NULL || as->learned.s2kparams.ptr == NULL ||
        as->learned.realm.ptr == NULL) {
        as->learned = (struct kb_key_hint){0};
        return kb_as_failed_with(as, KB_NO_MEMORY);
    }
    as->has_clock_offset = true;
    as->clock_offset = reply->clock_offset;
    as->state = KB_AS_DONE;
    tell_client_key(as, as->tgt->client, as->learned.etype);
    kb_event_tgt(as->env.events, kb_text_principal(&name, as->tgt->client), as->peer,
                 part->endtime - part->authtime, as->clock_offset);
    kb_expiry_tell(as->env.events, name.text, as->request.keys, part);
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
        step = unusable(as, &fault, &reply.rep.msg.enc_part);
    } else if (st == KB_NO_MEMORY || st == KB_NO_CRYPTO) {
        step = kb_as_failed_with(as, st);
    } else {
        step = unusable(as, &(struct kb_fault){.code = KB_E_KDC_REPLY, .what = kb_status_text(st)},
                        NULL);
    }
    kb_key_free(reply.session_key);
    return step;
}

/* --- the steps --- */

/* An enterprise name does not say whose user it is: what the user's key can be guessed with offline
 * is for the realm alone that knows it. */
static bool may_be_its_kdc(const struct kb_as *as)
{
    const struct kb_key_hint *hint = &as->request.hint;

    return as->request.client->name.name_type != KB_NT_ENTERPRISE ||
           (hint->etype != 0 && kb_equal(hint->realm, as->request.client->realm));
}

static enum kb_step start(struct kb_as *as, struct kb_send *out_send)
{
    int64_t offset = as->request.policy->clock_offset;
    enum kb_status st = KB_NOT_FOUND;

    if (as->request.first_proof && kb_preauth_default(as->request.policy) != NULL &&
        may_be_its_kdc(as)) {
        st = kb_as_guess(as, &as->proof_how, &as->proof_key);
    }
    switch (st) {
    case KB_OK:
        return kb_as_send(as, offset, kb_preauth_default(as->request.policy), KB_AS_FIRST_PROOF,
                          out_send);
    case KB_NOT_FOUND:
    case KB_BAD_PARAMS: /* what was learned is no longer within the bounds */
        as->proof_how = (struct kb_key_hint){0};
        return kb_as_ask(as, offset, out_send);
    default:
        return kb_as_failed_with(as, st);
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
        return as->state == KB_AS_DONE ? KB_DONE : kb_as_failed_with(as, KB_ERROR);
    }
    kb_arena_init(&scratch, NULL, 0, VERDICT_CEILING);
    if (reply.len > 0 && reply.ptr[0] == TAG_KRB_ERROR) {
        step = kb_as_take_error(as, reply, &scratch, out_send);
    } else {
        step = take_reply(as, reply, &scratch);
    }
    kb_arena_wipe(&scratch);
    as->peer = "";
    return step;
}

enum kb_step kb_as_silent(struct kb_as *as, bool judged, struct kb_send *out_send)
{
    bool proved = kb_as_proved(as);
    struct kb_text name;

    *out_send = (struct kb_send){0};
    as->proofs -= proved && !judged ? 1 : 0;
    if (!proved || as->proofs >= KB_AS_MAX_PROOFS) {
        kb_error_set(&as->error, KB_E_KDC_UNREACHABLE,
                     "%s: no KDC answered the login; a third attempt could lock the account",
                     kb_text_principal(&name, as->request.client));
        return kb_as_failed(as);
    }
    kb_event_proof_unanswered(as->env.events);
    return kb_as_ask(as, as->request.policy->clock_offset, out_send);
}

/* --- what a message is worth --- */

static enum kb_verdict error_verdict(struct kb_as *as, kb_bytes message, struct kb_arena *scratch)
{
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
        return kb_as_proved(as) ? KB_VERDICT_LATE : KB_VERDICT_FINAL;
    case KB_KDC_PREAUTH_REQUIRED:
        /* With a fixed LocalPort it may be the answer to the request before. */
        return as->state == KB_AS_PROOF ? KB_VERDICT_WEAK : KB_VERDICT_FINAL;
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
    return kb_kdcrep_verdict(st);
}

enum kb_verdict kb_as_verdict(void *machine, kb_bytes message)
{
    struct kb_as *as = machine;
    enum kb_verdict verdict = KB_VERDICT_IGNORE;
    struct kb_arena scratch;

    if (message.len == 0 || (as->state != KB_AS_ASKED && !kb_as_proved(as))) {
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
