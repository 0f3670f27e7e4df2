/* Takes the TGS-REP: RFC 4120 3.3.4, RFC 6806 8. */
#include "mech/protocol/tgs_machine.h"

static enum kb_status fail(struct kb_fault *fault, enum kb_error_code code, const char *what)
{
    *fault = (struct kb_fault){.code = code, .what = what};
    return KB_ERROR;
}

/* The subkey, which every request of ours has; a KDC that overlooks it answers under the session
 * key. Nobody but the KDC has either. */
static enum kb_status open_reply(struct kb_tgs *tgs, struct kb_kdcrep *rep, struct kb_arena *arena)
{
    enum kb_status st = kb_kdcrep_open(rep, tgs->subkey, KB_USAGE_TGS_REP_SUBKEY, arena);

    return st == KB_BAD_INTEGRITY
               ? kb_kdcrep_open(rep, tgs->tgt->session_key, KB_USAGE_TGS_REP_SESSION, arena)
               : st;
}

/* What a KDC may call a service that it knows under another name: a name, and no krbtgt of whatever
 * length; a two-component one is a referral. */
static bool can_be_alias(const kb_principal_name *name)
{
    return name->name_string.num > 0 && name->name_string.items[0].len > 0 &&
           !kb_equal(name->name_string.items[0], KB_LIT("krbtgt"));
}

static enum kb_status classify(struct kb_tgs *tgs, struct kb_tgs_reply *reply,
                               struct kb_fault *fault)
{
    const kb_enc_kdc_rep_part *part = &reply->rep.part;

    if (!kb_equal(part->srealm, tgs->realm)) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is of another realm than the one asked");
    }
    if (kb_name_equal(&part->sname, &tgs->asked->name)) {
        reply->answer = KB_TGS_ASKED_FOR;
    } else if ((tgs->terms.options & KB_OPT_CANONICALIZE) == 0) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is for another service");
    } else if (kb_name_is_tgs(&part->sname, &reply->referral)) {
        reply->answer = KB_TGS_REFERRAL;
    } else if (kb_name_is_tgs(&tgs->asked->name, &(kb_bytes){0})) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is for no ticket-granting service");
    } else if (!can_be_alias(&part->sname)) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is for no service");
    } else {
        reply->answer = KB_TGS_ALIAS;
    }
    return KB_OK;
}

static enum kb_status check(struct kb_tgs *tgs, struct kb_tgs_reply *reply, struct kb_arena *arena,
                            struct kb_fault *fault)
{
    const struct kb_principal *client = tgs->tgt->client;
    const kb_kdc_rep *msg = &reply->rep.msg;
    enum kb_status st;

    if (!kb_equal(msg->crealm, client->realm) || !kb_name_equal(&msg->cname, &client->name)) {
        return fail(fault, KB_E_KDC_REPLY, "it is for another client");
    }
    /* Both keys that it may be under are of one enctype. */
    if (msg->enc_part.etype != kb_key_enctype(tgs->subkey)->etype) {
        return kb_fault_unasked(fault,
                                "it is encrypted with an encryption type that is not its key's",
                                msg->enc_part.etype);
    }
    st = open_reply(tgs, &reply->rep, arena);
    switch (st) {
    case KB_OK:
        break;
    case KB_NO_MEMORY:
    case KB_NO_CRYPTO:
        return st;
    case KB_BAD_INTEGRITY:
        return fail(fault, KB_E_KDC_REPLY, "it does not decrypt");
    default:
        return fail(fault, KB_E_KDC_REPLY, "its encrypted part cannot be read");
    }
    if (tgs->request.forwarded && (reply->rep.part.flags & KB_TKT_FORWARDED) == 0) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is not one to be forwarded");
    }
    st = kb_kdcrep_check(&reply->rep, &tgs->terms, &reply->session_key, fault);
    return st == KB_OK ? classify(tgs, reply, fault) : st;
}

enum kb_status kb_tgs_check_reply(struct kb_tgs *tgs, kb_bytes message, struct kb_arena *arena,
                                  struct kb_tgs_reply *out, struct kb_fault *fault)
{
    enum kb_status st;

    *out = (struct kb_tgs_reply){0};
    *fault = (struct kb_fault){0};
    st = kb_kdcrep_decode(message, KB_TGS_REP, arena, &out->rep);
    if (st != KB_OK) {
        return st;
    }
    st = check(tgs, out, arena, fault);
    if (st != KB_OK) {
        kb_key_free(out->session_key);
        out->session_key = NULL;
    }
    return st;
}
