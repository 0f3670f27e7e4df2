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
    tgs->request.tgt = kb_credential_ref(request->tgt);
    tgs->tgt = kb_credential_ref(request->tgt);
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
    for (size_t i = 0; i < tgs->num_referrals; i++) {
        kb_credential_free(tgs->referrals[i]);
    }
    kb_credential_free(tgs->ticket);
    kb_principal_free(tgs->asked);
    kb_principal_free(tgs->request.service);
    kb_credential_free(tgs->request.tgt);
    kb_arena_wipe(&tgs->arena);
    kb_free_secret(tgs, sizeof(*tgs));
}

struct kb_credential *kb_tgs_ticket(const struct kb_tgs *tgs)
{
    return tgs->ticket;
}

struct kb_credential *kb_tgs_referral(const struct kb_tgs *tgs, size_t nth)
{
    return nth < tgs->num_referrals ? tgs->referrals[nth] : NULL;
}

kb_bytes kb_tgs_realm(const struct kb_tgs *tgs)
{
    return tgs->realm;
}

const struct kb_error *kb_tgs_error(const struct kb_tgs *tgs)
{
    return &tgs->error;
}

bool kb_tgs_tgt_refused(const struct kb_tgs *tgs)
{
    return tgs->tgt_refused;
}

bool kb_tgs_clock_differs(const struct kb_tgs *tgs)
{
    return tgs->clock_differs;
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

static enum kb_step ask(struct kb_tgs *tgs, int64_t offset, bool canonicalize,
                        struct kb_send *out_send)
{
    struct kb_text name;
    enum kb_status st = kb_tgs_make_request(tgs, offset, canonicalize);

    if (st != KB_OK) {
        return failed_with(tgs, st);
    }
    kb_event_tgs_req(tgs->env.events, kb_text_principal(&name, tgs->asked), canonicalize);
    tgs->state = canonicalize ? KB_TGS_ASKED : KB_TGS_PLAIN;
    *out_send = (struct kb_send){
        .message = tgs->message, .realm = tgs->realm, .primary = tgs->request.primary};
    return KB_SEND;
}

/* The user's realm, the one that sent us where we began, and all from there to here. */
static bool was_visited(const struct kb_tgs *tgs, kb_bytes realm)
{
    const struct kb_credential *first = tgs->request.tgt;
    bool visited = kb_equal(realm, first->client->realm) || kb_equal(realm, first->server->realm) ||
                   kb_equal(realm, tgs->realm);

    for (size_t i = 0; i < tgs->num_referrals && !visited; i++) {
        visited = kb_equal(tgs->referrals[i]->server->realm, realm);
    }
    return visited;
}

/* Goes to the realm that tgs->tgt is for. */
static enum kb_step enter_realm(struct kb_tgs *tgs, struct kb_send *out_send)
{
    struct kb_text name;

    if (!kb_name_is_tgs(&tgs->tgt->server->name, &tgs->realm)) {
        kb_error_set(&tgs->error, KB_E_INTERNAL, "Ticket for %s: not asked with a TGT",
                     kb_text_principal(&name, tgs->request.service));
        return failed(tgs);
    }
    kb_principal_free(tgs->asked);
    tgs->asked = kb_principal_new(tgs->realm, &tgs->request.service->name);
    if (tgs->asked == NULL) {
        return failed_with(tgs, KB_NO_MEMORY);
    }
    tgs->retried = false;
    kb_old_used(tgs->env.events, KB_OLD_TGT, kb_text_escaped(&name, tgs->realm),
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

/* Where a referral leads that must not be followed: says why. */
static const char *why_not(const struct kb_tgs *tgs, kb_bytes referral)
{
    if (kb_equal(referral, tgs->realm)) {
        return "refers to itself";
    }
    if (referral.len == 0) {
        return "refers to a realm without a name";
    }
    if (referral.len > KB_TGS_MAX_REALM_LEN) {
        return "refers to a realm with a name beyond all bounds";
    }
    if (was_visited(tgs, referral)) {
        return "refers to a realm that sent us there";
    }
    return tgs->num_referrals + 1 == KB_TGS_MAX_REALMS ? "is the tenth and refers to yet another"
                                                       : NULL;
}

static enum kb_step follow(struct kb_tgs *tgs, const struct kb_tgs_reply *reply,
                           struct kb_send *out_send)
{
    struct kb_credential *next =
        kb_kdcrep_credential(&reply->rep, reply->session_key, tgs->clock_offset, &tgs->arena);

    if (next == NULL) {
        return failed_with(tgs, KB_NO_MEMORY);
    }
    tgs->referrals[tgs->num_referrals++] = next;
    kb_credential_free(tgs->tgt);
    tgs->tgt = kb_credential_ref(next);
    return enter_realm(tgs, out_send);
}

/* --- errors --- */

/* MIT's KDC (1.20, do_tgs_req.c) has no better code for a TGT under a key that it has no more, as
 * after a change of krbtgt's without -keepold. */
static bool is_mits_for_no_key(const struct kb_krberror *error)
{
    return error->code == KB_KDC_GENERIC && kb_equal(error->e_text, KB_LIT("PROCESS_TGS"));
}

static bool tgt_is_useless(const struct kb_krberror *error)
{
    switch (error->code) {
    case KB_KDC_TKT_EXPIRED:
    case KB_KDC_NYV: /* its clock was set back */
    case KB_KDC_TGT_REVOKED:
    case KB_KDC_BAD_INTEGRITY:
    case KB_KDC_MODIFIED: /* what AD says of a TGT that it cannot decrypt */
    case KB_KDC_BADKEYVER:
    case KB_KDC_NOKEY:
        return true;
    default:
        return is_mits_for_no_key(error);
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

    kb_krberror_explain(&tgs->error, error, &about);
    tgs->tgt_refused = tgs->num_referrals == 0 && tgt_is_useless(error);
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
    if ((error.code == KB_KDC_SKEW || error.code == KB_KDC_NYV) &&
        kb_equal(tgs->realm, tgs->tgt->client->realm)) {
        tgs->clock_differs = true;
    }
    if (error.code == KB_KDC_SKEW || error.code == KB_KDC_REPEAT) {
        return retry(tgs, &error, out_send);
    }
    return final_error(tgs, &error);
}

/* --- tickets --- */

/* Which realms the client came through, only the KDC sees; and whether it has looked (RFC 4120
 * 2.7). */
static void tell_ticket(struct kb_tgs *tgs, const struct kb_credential *ticket)
{
    struct kb_text name;

    kb_text_principal(&name, ticket->server);
    kb_old_used(tgs->env.events, KB_OLD_TICKET, name.text,
                kb_key_enctype(ticket->session_key)->etype);
    kb_event_ticket(tgs->env.events, name.text, tgs->peer, ticket->endtime - tgs->terms.now);
    if (!kb_equal(ticket->server->realm, ticket->client->realm)) {
        kb_event_transited(tgs->env.events, name.text,
                           (ticket->flags & KB_TKT_TRANSITED_CHECKED) != 0);
    }
}

static enum kb_step accept(struct kb_tgs *tgs, const struct kb_tgs_reply *reply)
{
    struct kb_text asked, got;

    tgs->ticket =
        kb_kdcrep_credential(&reply->rep, reply->session_key, tgs->clock_offset, &tgs->arena);
    if (tgs->ticket == NULL) {
        return failed_with(tgs, KB_NO_MEMORY);
    }
    if (reply->answer == KB_TGS_ALIAS) {
        kb_event_alias(tgs->env.events, kb_text_principal(&asked, tgs->asked),
                       kb_text_principal(&got, tgs->ticket->server));
    }
    tell_ticket(tgs, tgs->ticket);
    tgs->state = KB_TGS_DONE;
    return KB_DONE;
}

static enum kb_step take_referral(struct kb_tgs *tgs, const struct kb_tgs_reply *reply,
                                  struct kb_send *out_send)
{
    const char *why = why_not(tgs, reply->referral);
    struct kb_text to, from;

    kb_event_referral(tgs->env.events, kb_text_escaped(&from, tgs->realm),
                      kb_text_escaped(&to, reply->referral));
    /* AD's answer for what it does not know may be the TGT that we have. */
    if (kb_equal(reply->referral, tgs->realm) && tgs->state == KB_TGS_ASKED) {
        return ask(tgs, tgs->clock_offset, false, out_send);
    }
    if (why != NULL) {
        return refuse_referral(tgs, why);
    }
    return kb_name_is_tgs(&tgs->asked->name, &(kb_bytes){0}) ? accept(tgs, reply)
                                                             : follow(tgs, reply, out_send);
}

/* RFC 4120 2.8 lets a realm say it of its own services. */
static void believe_delegation(const struct kb_tgs *tgs, struct kb_tgs_reply *reply)
{
    const struct kb_credential *tgt = tgs->tgt;
    bool local = kb_equal(tgt->server->realm, tgt->client->realm) &&
                 kb_equal(tgs->realm, tgt->client->realm);

    if (!local && (tgt->flags & KB_TKT_OK_AS_DELEGATE) == 0) {
        reply->rep.part.flags &= ~KB_TKT_OK_AS_DELEGATE;
    }
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
    believe_delegation(tgs, &reply);
    step = reply.answer == KB_TGS_REFERRAL ? take_referral(tgs, &reply, out_send)
                                           : accept(tgs, &reply);
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
