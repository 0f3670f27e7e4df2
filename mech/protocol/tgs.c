/* The way from realm to realm, until one has a ticket for the service. */
#include "mech/protocol/tgs_machine.h"

#include <stdlib.h>

#define TAG_TGS_REP 0x6d
#define TAG_KRB_ERROR 0x7e

#define VERDICT_CEILING (4u << 20)

struct kb_tgs *kb_tgs_new(const struct kb_env *env, const struct kb_tgs_request *request)
{
    struct kb_tgs *tgs = calloc(1, sizeof(*tgs));

    if (tgs == NULL) {
        return NULL;
    }
    tgs->env = *env;
    tgs->request = *request;
    tgs->request.service = kb_principal_ref(request->service);
    tgs->request.tgt = NULL;
    tgs->tgt = kb_credential_ref(request->tgt);
    tgs->home = tgs->request.service->realm;
    tgs->clock_offset = request->clock_offset;
    tgs->peer = "";
    kb_arena_init(&tgs->arena, NULL, 0, KB_TGS_CEILING);
    return tgs;
}

void kb_tgs_free(struct kb_tgs *tgs)
{
    if (tgs == NULL) {
        return;
    }
    kb_key_free(tgs->subkey);
    kb_credential_free(tgs->tgt);
    kb_credential_free(tgs->ticket);
    kb_principal_free(tgs->asked);
    kb_principal_free(tgs->request.service);
    kb_arena_wipe(&tgs->arena);
    kb_free_secret(tgs, sizeof(*tgs));
}

struct kb_credential *kb_tgs_ticket(const struct kb_tgs *tgs)
{
    return tgs->ticket;
}

const struct kb_error *kb_tgs_error(const struct kb_tgs *tgs)
{
    return &tgs->error;
}

bool kb_tgs_tgt_refused(const struct kb_tgs *tgs)
{
    return tgs->tgt_refused;
}

/* --- failing --- */

static enum kb_step failed(struct kb_tgs *tgs)
{
    tgs->state = KB_TGS_FAILED;
    return KB_STEP_ERROR;
}

static enum kb_step failed_with(struct kb_tgs *tgs, enum kb_status st)
{
    struct kb_text service;

    kb_error_status(&tgs->error, KB_E_INTERNAL, st, "Ticket for %s",
                    kb_text_principal(&service, tgs->request.service));
    return failed(tgs);
}

/* --- asking --- */

/* At a realm that is not the service's, the way there is asked for: krbtgt/HOME. */
static enum kb_status choose_asked(struct kb_tgs *tgs)
{
    const struct kb_principal *service = tgs->request.service;

    kb_principal_free(tgs->asked);
    tgs->asked = tgs->home.len == 0 || kb_equal(tgs->home, tgs->realm)
                     ? kb_principal_new(tgs->realm, &service->name)
                     : kb_principal_tgs(tgs->home, tgs->realm);
    return tgs->asked != NULL ? KB_OK : KB_NO_MEMORY;
}

static enum kb_step ask(struct kb_tgs *tgs, int64_t offset, bool canonicalize,
                        struct kb_send *out_send)
{
    struct kb_text name;
    enum kb_status st = choose_asked(tgs);

    if (st == KB_OK) {
        st = kb_tgs_make_request(tgs, offset, canonicalize);
    }
    if (st != KB_OK) {
        return failed_with(tgs, st);
    }
    kb_event_tgs_req(tgs->env.events, kb_text_principal(&name, tgs->asked), canonicalize);
    tgs->state = canonicalize ? KB_TGS_ASKED : KB_TGS_PLAIN;
    *out_send = (struct kb_send){
        .message = tgs->message, .realm = tgs->realm, .primary = tgs->request.primary};
    return KB_SEND;
}

static bool was_visited(const struct kb_tgs *tgs, kb_bytes realm)
{
    for (size_t i = 0; i < tgs->num_visited; i++) {
        if (kb_equal(tgs->visited[i], realm)) {
            return true;
        }
    }
    return false;
}

/* Goes to the realm that tgs->tgt is for. */
static enum kb_step enter_realm(struct kb_tgs *tgs, struct kb_send *out_send)
{
    struct kb_text service;
    kb_bytes realm, copy;

    if (!kb_name_is_tgs(&tgs->tgt->server->name, &realm)) {
        kb_error_set(&tgs->error, KB_E_INTERNAL, "Ticket for %s: not asked with a TGT",
                     kb_text_principal(&service, tgs->request.service));
        return failed(tgs);
    }
    copy = kb_arena_copy(&tgs->arena, realm);
    if (copy.ptr == NULL) {
        return failed_with(tgs, KB_NO_MEMORY);
    }
    tgs->realm = realm;
    tgs->visited[tgs->num_visited++] = copy;
    tgs->retried = false;
    kb_old_used(tgs->env.events, KB_OLD_TGT, kb_text_escaped(&service, realm),
                kb_key_enctype(tgs->tgt->session_key)->etype);
    return ask(tgs, tgs->clock_offset, !tgs->request.forwarded && !tgs->request.renew, out_send);
}

static enum kb_step refuse_referral(struct kb_tgs *tgs, const char *why)
{
    struct kb_text service, realm;

    kb_error_set(&tgs->error, KB_E_KDC_REPLY, "%s: the KDC %.64s of %s %s",
                 kb_text_principal(&service, tgs->request.service), tgs->peer,
                 kb_text_escaped(&realm, tgs->realm), why);
    return failed(tgs);
}

static enum kb_step follow(struct kb_tgs *tgs, const struct kb_tgs_reply *reply,
                           struct kb_send *out_send)
{
    struct kb_credential *next;
    struct kb_text to, from;
    kb_bytes ignored;

    kb_event_referral(tgs->env.events, kb_text_escaped(&from, tgs->realm),
                      kb_text_escaped(&to, reply->referral));
    /* AD's answer for what it does not know may be the TGT that we have. */
    if (kb_equal(reply->referral, tgs->realm)) {
        return tgs->num_visited == 1 ? ask(tgs, tgs->clock_offset, false, out_send)
                                     : refuse_referral(tgs, "refers to itself");
    }
    if (reply->referral.len == 0) {
        return refuse_referral(tgs, "refers to a realm without a name");
    }
    if (was_visited(tgs, reply->referral)) {
        return refuse_referral(tgs, "refers to a realm that sent us there");
    }
    if (tgs->num_visited == KB_TGS_MAX_REALMS) {
        return refuse_referral(tgs, "is the tenth and refers to yet another");
    }
    next = kb_kdcrep_credential(&reply->rep, reply->session_key, tgs->clock_offset, &tgs->arena);
    if (next == NULL) {
        return failed_with(tgs, KB_NO_MEMORY);
    }
    /* Asked for the service itself, a KDC names the realm that has it, or that knows more. Asked
     * for the way to HOME, it names one that is nearer. */
    if (!kb_name_is_tgs(&tgs->asked->name, &ignored)) {
        tgs->home = KB_NONE;
    }
    kb_credential_free(tgs->tgt);
    tgs->tgt = next;
    return enter_realm(tgs, out_send);
}

/* --- errors --- */

static bool tgt_is_useless(int32_t code)
{
    switch (code) {
    case KB_KDC_TKT_EXPIRED:
    case KB_KDC_TGT_REVOKED:
    case KB_KDC_BAD_INTEGRITY:
    case KB_KDC_MODIFIED: /* what AD says of a TGT that it cannot decrypt */
    case KB_KDC_BADKEYVER:
    case KB_KDC_NOKEY:
        return true;
    default:
        return false;
    }
}

static enum kb_step final_error(struct kb_tgs *tgs, const struct kb_krberror *error)
{
    const struct kb_krberror_about about = {
        .client = tgs->tgt->client,
        .service = tgs->asked,
        .peer = tgs->peer,
        .now = tgs->env.now(tgs->env.now_ctx),
        .etypes = tgs->request.policy->etypes,
        .num_etypes = tgs->request.policy->num_etypes,
    };
    struct kb_text service;

    kb_krberror_explain(&tgs->error, error, &about);
    if (!kb_name_equal(&tgs->asked->name, &tgs->request.service->name)) {
        kb_error_context(&tgs->error, "On the way to %s",
                         kb_text_principal(&service, tgs->request.service));
    }
    tgs->tgt_refused = tgs->num_visited == 1 && tgt_is_useless(error->code);
    return failed(tgs);
}

/* A KDC whose clock differs is asked once more with its time, which serves that one retry. */
static enum kb_step retry(struct kb_tgs *tgs, const struct kb_krberror *error,
                          struct kb_send *out_send)
{
    int64_t offset = tgs->clock_offset;
    enum kb_step step;

    if (tgs->retried) {
        return final_error(tgs, error);
    }
    tgs->retried = true;
    if (error->code == KB_KDC_SKEW &&
        !kb_krberror_offset(error, tgs->env.now(tgs->env.now_ctx), &offset)) {
        return final_error(tgs, error);
    }
    step = ask(tgs, offset, tgs->state == KB_TGS_ASKED, out_send);
    out_send->new_attempt = step == KB_SEND && error->code == KB_KDC_REPEAT;
    return step;
}

static enum kb_step take_error(struct kb_tgs *tgs, kb_bytes message, struct kb_arena *scratch,
                               struct kb_send *out_send)
{
    struct kb_krberror error;
    struct kb_text text;
    enum kb_status st = kb_krberror_decode(message, scratch, &error);

    if (st == KB_NO_MEMORY) {
        return failed_with(tgs, st);
    }
    if (st != KB_OK) {
        kb_error_set(&tgs->error, KB_E_KDC_REPLY,
                     "%s: the error message of KDC %.64s cannot be read",
                     kb_text_principal(&text, tgs->request.service), tgs->peer);
        return failed(tgs);
    }
    kb_krberror_tell(tgs->env.events, &error, tgs->peer);
    if (error.code == KB_KDC_SKEW || error.code == KB_KDC_REPEAT) {
        return retry(tgs, &error, out_send);
    }
    return final_error(tgs, &error);
}

/* --- tickets --- */

static enum kb_step accept(struct kb_tgs *tgs, const struct kb_tgs_reply *reply)
{
    struct kb_text asked, got;

    tgs->ticket =
        kb_kdcrep_credential(&reply->rep, reply->session_key, tgs->clock_offset, &tgs->arena);
    if (tgs->ticket == NULL) {
        return failed_with(tgs, KB_NO_MEMORY);
    }
    kb_text_principal(&got, tgs->ticket->server);
    if (reply->answer == KB_TGS_ALIAS) {
        kb_event_alias(tgs->env.events, kb_text_principal(&asked, tgs->asked), got.text);
    }
    kb_old_used(tgs->env.events, KB_OLD_TICKET, got.text,
                kb_key_enctype(tgs->ticket->session_key)->etype);
    kb_event_ticket(tgs->env.events, got.text, tgs->peer, tgs->ticket->endtime - tgs->terms.now);
    tgs->state = KB_TGS_DONE;
    return KB_DONE;
}

/* A TGT that was asked for leads on to its realm, unless it is itself what is wanted. */
static enum kb_step take_ticket(struct kb_tgs *tgs, struct kb_tgs_reply *reply,
                                struct kb_send *out_send)
{
    bool wanted = tgs->home.len == 0 || kb_equal(tgs->home, tgs->realm);

    if (reply->answer == KB_TGS_ASKED_FOR && !wanted) {
        reply->referral = tgs->home;
        reply->answer = KB_TGS_REFERRAL;
    }
    return reply->answer == KB_TGS_REFERRAL ? follow(tgs, reply, out_send) : accept(tgs, reply);
}

static enum kb_step take_reply(struct kb_tgs *tgs, kb_bytes message, struct kb_arena *scratch,
                               struct kb_send *out_send)
{
    struct kb_tgs_reply reply;
    struct kb_fault fault;
    struct kb_text name;
    char etype[40];
    enum kb_status st = kb_tgs_check_reply(tgs, message, scratch, &reply, &fault);
    enum kb_step step;

    if (st == KB_NO_MEMORY || st == KB_NO_CRYPTO) {
        return failed_with(tgs, st);
    }
    if (st != KB_OK) {
        kb_error_set(&tgs->error, st == KB_ERROR ? fault.code : KB_E_KDC_REPLY,
                     "%s: the reply of KDC %.64s cannot be used: %s%s",
                     kb_text_principal(&name, tgs->asked), tgs->peer,
                     st == KB_ERROR ? fault.what : kb_status_text(st),
                     kb_fault_etype(&fault, etype));
        return failed(tgs);
    }
    kb_trail_part(tgs->env.events, tgs->peer, &kb_type_enc_kdc_rep_part, &reply.rep.part);
    step = take_ticket(tgs, &reply, out_send);
    kb_key_free(reply.session_key);
    return step;
}

enum kb_step kb_tgs_step(struct kb_tgs *tgs, kb_bytes reply, const char *peer,
                         struct kb_send *out_send)
{
    struct kb_arena scratch;
    enum kb_step step;

    *out_send = (struct kb_send){0};
    tgs->peer = peer != NULL ? peer : "";
    switch (tgs->state) {
    case KB_TGS_START:
        return enter_realm(tgs, out_send);
    case KB_TGS_DONE:
        return KB_DONE;
    case KB_TGS_FAILED:
        return KB_STEP_ERROR;
    default:
        break;
    }
    kb_arena_init(&scratch, NULL, 0, VERDICT_CEILING);
    if (reply.len > 0 && reply.ptr[0] == TAG_KRB_ERROR) {
        step = take_error(tgs, reply, &scratch, out_send);
    } else {
        step = take_reply(tgs, reply, &scratch, out_send);
    }
    kb_arena_wipe(&scratch);
    tgs->peer = "";
    return step;
}

/* --- what a message is worth --- */

static enum kb_verdict error_verdict(kb_bytes message, struct kb_arena *scratch)
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
        return KB_VERDICT_WEAK; /* the answer to the first of two equal datagrams may still come */
    default:
        return KB_VERDICT_FINAL;
    }
}

static enum kb_verdict reply_verdict(struct kb_tgs *tgs, kb_bytes message, struct kb_arena *scratch)
{
    struct kb_tgs_reply reply;
    struct kb_fault fault;
    enum kb_status st = kb_tgs_check_reply(tgs, message, scratch, &reply, &fault);

    kb_key_free(reply.session_key);
    return kb_kdcrep_verdict(st);
}

enum kb_verdict kb_tgs_verdict(void *machine, kb_bytes message)
{
    struct kb_tgs *tgs = machine;
    enum kb_verdict verdict = KB_VERDICT_IGNORE;
    struct kb_arena scratch;

    if (message.len == 0 || (tgs->state != KB_TGS_ASKED && tgs->state != KB_TGS_PLAIN)) {
        return verdict;
    }
    kb_arena_init(&scratch, NULL, 0, VERDICT_CEILING);
    if (message.ptr[0] == TAG_KRB_ERROR) {
        verdict = error_verdict(message, &scratch);
    } else if (message.ptr[0] == TAG_TGS_REP) {
        verdict = reply_verdict(tgs, message, &scratch);
    }
    kb_arena_wipe(&scratch);
    return verdict;
}
