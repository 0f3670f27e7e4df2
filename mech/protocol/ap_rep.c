/* The acceptor's answer to our AP-REQ: RFC 4120 3.2.4, 3.2.5; RFC 4121 2. */
#include "mech/protocol/context.h"

#include <stdio.h>

#include "asn1/names.h"
#include "mech/protocol/encpart.h"
#include "mech/protocol/text.h"
#include "mech/protocol/token.h"
#include "mech/report/events.h"

#define UNSUPPORTED_ENCRYPTION_TYPE 954 /* component-reference.txt */

/* --- KRB-ERROR --- */

/* What the code's name alone does not tell; other codes are KB_E_SERVICE_REFUSED and nothing more.
 */
static const struct reason {
    int32_t code;
    enum kb_error_code kind;
    bool clock, bound; /* say how the clocks differ; only where channel bindings were sent */
    const char *text;
} reasons[] = {
    /* clang-format off */
    {31, KB_E_SERVICE_REFUSED, false, false, "its key is not the one that the KDC made the ticket for"},
    {32, KB_E_TICKET_EXPIRED,  true,  false, NULL},
    {33, KB_E_CLOCK,           true,  false, NULL},
    {34, KB_E_SERVICE_REFUSED, false, false, "it takes the request for one that it has had already"},
    {35, KB_E_SERVICE_REFUSED, false, false, "its keytab has another name"},
    {37, KB_E_CLOCK,           true,  false, NULL},
    {41, KB_E_SERVICE_REFUSED, false, false, "its key is not the one that the KDC made the ticket for"},
    {44, KB_E_SERVICE_REFUSED, false, false, "its keytab lacks the key that the KDC made the ticket for"},
    {45, KB_E_SERVICE_REFUSED, false, false, "its keytab lacks the key that the KDC made the ticket for"},
    /* MIT's acceptors answer so, without a text, to bindings that are not theirs. */
    {60, KB_E_SERVICE_REFUSED, false, true,
     "are the channel bindings those of its side? A proxy that ends TLS changes them"},
    /* clang-format on */
};

static const struct reason *reason_of(int32_t code)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].code == code) {
            return &reasons[i];
        }
    }
    return NULL;
}

/* " (its clock is 600 seconds ahead of the KDC's)", or nothing. The service's time is in the error,
 * and unprotected like all of it: said, not acted on. */
static void explain(const struct kb_ap *ap, const struct reason *reason, const kb_krb_error *error,
                    char out[160])
{
    int64_t ahead = error->stime - ap->sent.sec;

    if (reason->clock) {
        snprintf(out, 160, " (its clock is %lld seconds %s the KDC's)",
                 (long long)(ahead < 0 ? -ahead : ahead), ahead < 0 ? "behind" : "ahead of");
    } else if (!reason->bound || ap->bound) {
        snprintf(out, 160, " (%s)", reason->text);
    }
}

static enum kb_status refused(const struct kb_ap *ap, const kb_krb_error *error,
                              struct kb_error *err)
{
    const struct reason *reason = reason_of(error->error_code);
    const char *name = kb_number_name("error_code", error->error_code);
    bool said = error->has_e_text && error->e_text.len > 0;
    struct kb_text service, e_text;
    char why[160] = "";

    if (reason != NULL) {
        explain(ap, reason, error, why);
    }
    kb_error_set(err, reason != NULL ? reason->kind : KB_E_SERVICE_REFUSED,
                 "%s refused the ticket: %s (%d)%s%s%s%s", kb_text_principal(&service, ap->server),
                 name != NULL ? name : "error", (int)error->error_code, said ? ": \"" : "",
                 said ? kb_text_escaped(&e_text, error->e_text) : "", said ? "\"" : "", why);
    if (err != NULL && err->kdc_code == 0) {
        err->kdc_code = error->error_code;
    }
    return KB_ERROR;
}

/* --- AP-REP --- */

static enum kb_status unusable(const struct kb_ap *ap, enum kb_error_code code,
                               enum kb_status status, const char *what, struct kb_error *err)
{
    struct kb_text service;

    return kb_error_status(err, code, status, "%s: %s", kb_text_principal(&service, ap->server),
                           what);
}

/* The service chose an enctype that is not for it to choose. */
static enum kb_status unasked(const struct kb_ap *ap, const char *what, int32_t etype,
                              const char *should_be, struct kb_error *err)
{
    struct kb_text service;
    char buf[24];

    kb_error_set(err, KB_E_SERVICE_REPLY, "%s: %s %s, which is not %s",
                 kb_text_principal(&service, ap->server), what, kb_enctype_name(etype, buf),
                 should_be);
    if (err != NULL && err->number == 0) {
        err->number = UNSUPPORTED_ENCRYPTION_TYPE;
    }
    return KB_ERROR;
}

static enum kb_status decrypt_part(struct kb_ap *ap, const kb_ap_rep *rep, struct kb_arena *arena,
                                   kb_enc_ap_rep_part *out, struct kb_error *err)
{
    kb_bytes plain;
    enum kb_status st;

    if (rep->enc_part.etype != kb_key_enctype(ap->session_key)->etype) {
        return unasked(ap, "its AP-REP is encrypted with", rep->enc_part.etype, "the session key's",
                       err);
    }
    st = kb_encpart_open(ap->session_key, KB_USAGE_AP_REP, &rep->enc_part, arena, &plain);
    if (st == KB_NO_MEMORY) {
        return unusable(ap, KB_E_SERVICE_REPLY, st, "AP-REP", err);
    }
    if (st != KB_OK) {
        return unusable(ap, KB_E_MUTUAL, st, "its AP-REP does not decrypt with the session key",
                        err);
    }
    st = kb_decode_enc_ap_rep_part(plain, arena, out, NULL);
    return st == KB_OK ? KB_OK
                       : unusable(ap, KB_E_SERVICE_REPLY, st, "encrypted part of its AP-REP", err);
}

/* RFC 4121 2: a subkey of the acceptor's rules. RFC 4537 lets it have another enctype than the
 * session key, but one that we offered. */
static enum kb_status take_subkey(struct kb_ap *ap, const kb_encryption_key *subkey,
                                  struct kb_error *err)
{
    struct kb_key *key;
    enum kb_status st;

    if ((ap->etypes & kb_ap_etype_bit(subkey->keytype)) == 0) {
        return unasked(ap, "its subkey is of", subkey->keytype, "one that it was offered", err);
    }
    st = kb_key_new(subkey->keytype, subkey->keyvalue, &key);
    if (st != KB_OK) {
        return unusable(ap, KB_E_SERVICE_REPLY, st, "its subkey", err);
    }
    ap->initiator_subkey = ap->message_key; /* GSS_C_PRF_KEY_PARTIAL and lucid contexts need it */
    ap->message_key = key;
    ap->acceptor_subkey = true;
    return KB_OK;
}

static enum kb_status take_part(struct kb_ap *ap, const kb_enc_ap_rep_part *part,
                                struct kb_error *err)
{
    if (part->ctime != ap->sent.sec || part->cusec != ap->sent.usec) {
        return unusable(ap, KB_E_MUTUAL, KB_BAD_INTEGRITY,
                        "its AP-REP answers another request (ctime and cusec differ)", err);
    }
    return part->has_subkey ? take_subkey(ap, &part->subkey, err) : KB_OK;
}

/* DCE style: the acceptor's number goes back under a new time, without a subkey. MS-KILE 3.4.5.1.
 */
static enum kb_status make_third_leg(struct kb_ap *ap, const struct kb_env *env,
                                     uint32_t acceptor_seq, struct kb_arena *arena, kb_bytes *out)
{
    struct kb_timestamp now = kb_ap_time(ap, env);
    kb_enc_ap_rep_part part = {
        .ctime = now.sec,
        .cusec = now.usec,
        .has_seq_number = true,
        .seq_number = acceptor_seq,
    };
    kb_ap_rep rep = {.pvno = KB_PVNO, .msg_type = KB_MSG_AP_REP};
    kb_bytes plain;
    enum kb_status st = kb_encode_enc_ap_rep_part(arena, &part, &plain);

    if (st == KB_OK) {
        st = kb_ap_encrypt(ap, KB_USAGE_AP_REP, &env->rng, plain, arena, &rep.enc_part);
    }
    return st == KB_OK ? kb_encode_ap_rep(arena, &rep, out) : st;
}

static enum kb_status take_rep(struct kb_ap *ap, const struct kb_env *env, const kb_ap_rep *rep,
                               struct kb_arena *arena, kb_bytes *out_token, struct kb_error *err)
{
    kb_enc_ap_rep_part part;
    enum kb_status st = decrypt_part(ap, rep, arena, &part, err);

    if (st == KB_OK) {
        kb_trail_part(env->events, "service", &kb_type_enc_ap_rep_part, &part);
        st = take_part(ap, &part, err);
    }
    if (st != KB_OK) {
        return st;
    }
    if ((ap->flags & KB_GSS_DCE_STYLE) != 0) {
        st = make_third_leg(ap, env, part.seq_number, arena, out_token);
        if (st != KB_OK) {
            return unusable(ap, KB_E_INTERNAL, st, "third leg of DCE style", err);
        }
    }
    /* An absent number is zero (RFC 4120 5.5.1). */
    kb_ap_establish(ap, part.seq_number);
    kb_ap_tell_old(ap, env);
    return KB_OK;
}

/* Heimdal frames a KRB-ERROR in DCE style too, where nothing else is framed. */
static kb_bytes without_frame(const struct kb_ap *ap, kb_bytes token)
{
    kb_bytes mech, message;
    uint16_t id;

    if ((ap->flags & KB_GSS_DCE_STYLE) != 0 && kb_unframe(token, &mech, &id, &message) == KB_OK &&
        id == KB_TOK_ERROR) {
        return message;
    }
    return token;
}

static enum kb_status take_reply(struct kb_ap *ap, const struct kb_env *env, kb_bytes token,
                                 struct kb_arena *arena, kb_bytes *out_token, struct kb_error *err)
{
    kb_ap_rep rep;
    kb_krb_error error;
    struct kb_why why = {""};
    enum kb_status st = kb_decode_ap_rep(token, arena, &rep, &why);

    if (st == KB_OK) {
        if (rep.pvno != KB_PVNO || rep.msg_type != KB_MSG_AP_REP) {
            return unusable(ap, KB_E_SERVICE_REPLY, KB_WRONG_TYPE, "its AP-REP", err);
        }
        return take_rep(ap, env, &rep, arena, out_token, err);
    }
    if (st == KB_WRONG_TYPE) {
        st = kb_decode_krb_error(token, arena, &error, &why);
        if (st == KB_OK) {
            return refused(ap, &error, err);
        }
    }
    return unusable(ap, KB_E_SERVICE_REPLY, st, why.text[0] != '\0' ? why.text : "its answer", err);
}

static void tell_answer(const struct kb_ap *ap, const struct kb_env *env, kb_bytes third_leg)
{
    struct kb_text name;

    if (kb_events_wanted(env->events, KB_LOG_VERBOSE | KB_EVENT_TRAIL)) {
        kb_event_ap_rep(env->events, kb_text_principal(&name, ap->server));
        if (third_leg.len > 0) {
            kb_trail(env->events, KB_CLIENT, "service", third_leg);
        }
    }
}

enum kb_status kb_ap_reply(struct kb_ap *ap, const struct kb_env *env, kb_bytes token,
                           struct kb_arena *arena, kb_bytes *out_token, struct kb_error *err)
{
    enum kb_status st;

    *out_token = KB_NONE;
    if (ap->state != KB_AP_WAITING) {
        return kb_error_set(err, KB_E_CONTEXT_STATE, "the context expects no token");
    }
    token = without_frame(ap, token);
    if (kb_trail_wanted(env->events)) {
        kb_trail(env->events, KB_SERVER, "service", token);
    }
    st = take_reply(ap, env, token, arena, out_token, err);
    if (st != KB_OK) {
        ap->state = KB_AP_FAILED;
        *out_token = KB_NONE;
    } else {
        tell_answer(ap, env, *out_token);
    }
    return st;
}
