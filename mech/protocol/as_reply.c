/* Takes the AS-REP: RFC 4120 3.1.5, RFC 6806 6 and 11. */
#include "crypto/checksum.h"
#include "mech/protocol/as_machine.h"

#define SECOND 1000000
#define MOST_TOLERANT 86400 /* seconds that a KDC may accept a timestamp from */

static enum kb_status fail(struct kb_fault *fault, enum kb_error_code code, const char *what)
{
    *fault = (struct kb_fault){.code = code, .what = what};
    return KB_ERROR;
}

static enum kb_status check_clear(const struct kb_as *as, const struct kb_kdcrep *rep,
                                  struct kb_fault *fault)
{
    const struct kb_policy *policy = as->request.policy;
    const struct kb_principal *client = as->request.client;

    if (!kb_as_canonicalized(as) && (!kb_equal(rep->msg.crealm, client->realm) ||
                                     !kb_name_equal(&rep->msg.cname, &client->name))) {
        return fail(fault, KB_E_KDC_REPLY,
                    "it is for another client, or spells its "
                    "name in another way, which Canonicalize=True takes");
    }
    if (!kb_etype_allowed(policy->etypes, policy->num_etypes, rep->msg.enc_part.etype)) {
        return kb_fault_unasked(fault,
                                "it is encrypted with an encryption type that was not asked for",
                                rep->msg.enc_part.etype);
    }
    return KB_OK;
}

/* RFC 4120 3.1.5: sname and srealm "match those in the request (or are otherwise expected values)":
 * from krbtgt to krbtgt only, and that of the realm that answered. */
static enum kb_status check_server(const struct kb_as *as, const struct kb_kdcrep *rep,
                                   struct kb_fault *fault)
{
    const kb_enc_kdc_rep_part *part = &rep->part;
    kb_bytes realm;

    /* Whatever the KDC calls the client, it is one of its own realm. */
    if (!kb_equal(rep->msg.crealm, as->request.client->realm) &&
        !kb_equal(rep->msg.crealm, part->srealm)) {
        return fail(fault, KB_E_KDC_REPLY, "it is for a client of another realm");
    }
    if (kb_equal(part->srealm, as->server->realm) &&
        kb_name_equal(&part->sname, &as->server->name)) {
        return KB_OK;
    }
    if (kb_as_canonicalized(as) && kb_name_is_tgs(&part->sname, &realm) &&
        kb_equal(realm, part->srealm)) {
        return KB_OK;
    }
    return fail(fault, KB_E_KDC_REPLY, "its ticket is for another service");
}

/* Heimdal's KDC takes the checksum of the key's enctype, which of des-cbc-crc is an unkeyed CRC-32
 * (heimdal 7.8 lib/krb5/crypto-des.c). It stands in the encrypted part, and such a key keeps nobody
 * out who wants to alter it. */
static enum kb_status verify_sum(const struct kb_as *as, struct kb_key *key, const kb_checksum *sum)
{
    enum kb_status st = kb_checksum_verify(key, KB_USAGE_AS_REQ_CHECKSUM, sum->cksumtype,
                                           as->message, sum->checksum);

    if (st == KB_NO_ENCTYPE && kb_key_enctype(key)->etype == KB_ENCTYPE_DES_CBC_CRC &&
        sum->cksumtype == KB_CKSUM_CRC32) {
        st = kb_checksum_verify_by_type(sum->cksumtype, key, KB_USAGE_AS_REQ_CHECKSUM, as->message,
                                        sum->checksum);
    }
    return st;
}

/* RFC 6806 11: the checksum over our request shows that nobody altered that on the way. The flag
 * that says so is encrypted, so nobody can take the checksum away. */
static enum kb_status check_request_checksum(const struct kb_as *as, const struct kb_kdcrep *rep,
                                             struct kb_key *key, struct kb_arena *arena,
                                             struct kb_fault *fault)
{
    const kb_enc_kdc_rep_part *part = &rep->part;
    const kb_pa_data *pa;
    kb_checksum sum;
    enum kb_status st;

    if ((part->flags & KB_TKT_ENC_PA_REP) == 0) {
        return KB_OK;
    }
    pa = part->has_encrypted_pa_data
             ? kb_preauth_find(&part->encrypted_pa_data, KB_PA_REQ_ENC_PA_REP)
             : NULL;
    st = pa != NULL ? kb_decode_checksum(pa->padata_value, arena, &sum, NULL) : KB_NOT_FOUND;
    if (st == KB_OK) {
        st = verify_sum(as, key, &sum);
    }
    return st == KB_OK || st == KB_NO_MEMORY || st == KB_NO_CRYPTO
               ? st
               : fail(fault, KB_E_KDC_REPLY, "the request was altered on the way to it");
}

/* The KDC's clock is what it says under our key, not what ours is (RFC 4120 3.1.5). But one that
 * has just accepted our timestamp cannot be years away from that. */
static enum kb_status check_clock(const struct kb_as *as, const kb_enc_kdc_rep_part *part,
                                  struct kb_fault *fault)
{
    if (kb_as_proved(as) && (part->authtime > as->terms.now + MOST_TOLERANT ||
                             part->authtime < as->terms.now - MOST_TOLERANT)) {
        return fail(fault, KB_E_CLOCK, "its time is not the one of the login that it accepted");
    }
    return KB_OK;
}

static enum kb_status check_part(struct kb_as *as, struct kb_as_reply *reply, struct kb_key *key,
                                 struct kb_arena *arena, struct kb_fault *fault)
{
    const kb_enc_kdc_rep_part *part = &reply->rep.part;
    enum kb_status st = check_server(as, &reply->rep, fault);

    if (st == KB_OK) {
        st = check_clock(as, part, fault);
    }
    if (st == KB_OK) {
        st = check_request_checksum(as, &reply->rep, key, arena, fault);
    }
    if (st == KB_OK) {
        struct kb_kdcrep_terms terms = as->terms;

        terms.now = part->authtime;
        st = kb_kdcrep_check(&reply->rep, &terms, &reply->session_key, fault);
    }
    return st;
}

/* --- the reply key --- */

/* Tries the keys of one description, of a keytab all kvnos (RFC 4120's kvno is only a hint, and
 * MIT's KDC sends none). */
static enum kb_status open_with(struct kb_as *as, struct kb_as_reply *reply,
                                const struct kb_key_hint *how, struct kb_arena *arena,
                                struct kb_key **out_key)
{
    enum kb_status st = KB_BAD_INTEGRITY;

    for (unsigned nth = 0; st == KB_BAD_INTEGRITY; nth++) {
        enum kb_status found = kb_as_key(as, how, nth, out_key);

        if (found != KB_OK) {
            return found == KB_NOT_FOUND ? KB_BAD_INTEGRITY : found;
        }
        st = kb_kdcrep_open(&reply->rep, *out_key, KB_USAGE_AS_REP, arena);
        if (st != KB_OK) {
            kb_key_free(*out_key);
            *out_key = NULL;
        }
    }
    reply->how = *how;
    return st;
}

/* What the reply itself says of its key: RFC 4120 5.2.7.5, "its etype shall match that of the
 * enc-part". Heimdal's has a PA-PW-SALT alone: then the parameters are those of the request. */
static enum kb_status how_of_reply(struct kb_as *as, const struct kb_as_reply *reply,
                                   struct kb_arena *arena, struct kb_key_hint *out)
{
    static const struct kb_pa_key nothing = {.etype = KB_PA_ANY_ETYPE};
    const kb_kdc_rep *msg = &reply->rep.msg;
    const struct kb_pa_key *key = &nothing;
    struct kb_pa_said said = {0};
    enum kb_status st = msg->has_padata ? kb_preauth_read(&msg->padata, arena, &said) : KB_OK;

    for (size_t i = said.num_keys; i > 0; i--) {
        if (said.keys[i - 1].etype == msg->enc_part.etype ||
            said.keys[i - 1].etype == KB_PA_ANY_ETYPE) {
            key = &said.keys[i - 1];
        }
    }
    *out = kb_as_how(as, key, msg->enc_part.etype);
    if (key->etype == KB_PA_ANY_ETYPE && as->proof_how.etype == out->etype) {
        out->s2kparams = as->proof_how.s2kparams;
    }
    return st;
}

/* A KDC that took our proof has that key. A reply that it does not open is forged, or not for it:
 * no string-to-key is spent on what it says. */
static enum kb_status open_reply(struct kb_as *as, struct kb_as_reply *reply,
                                 struct kb_arena *arena, struct kb_key **out_key)
{
    struct kb_key_hint how;
    enum kb_status st;

    if (kb_as_proved(as) && as->proof_how.etype == reply->rep.msg.enc_part.etype) {
        st = kb_kdcrep_open(&reply->rep, as->proof_key, KB_USAGE_AS_REP, arena);
        reply->how = as->proof_how;
        if (st == KB_OK) {
            *out_key = kb_key_ref(as->proof_key);
            return KB_OK;
        }
        if (st != KB_BAD_INTEGRITY || as->request.keys->salted) {
            return st;
        }
    }
    st = how_of_reply(as, reply, arena, &how);
    return st == KB_OK ? open_with(as, reply, &how, arena, out_key) : st;
}

/* authtime is whole seconds, read by the KDC between our sending and now: what lies within that is
 * no difference. */
static int64_t measure_clock(struct kb_as *as, int64_t authtime)
{
    struct kb_timestamp now = as->env.now(as->env.now_ctx);
    int64_t least = authtime * SECOND - (now.sec * SECOND + now.usec);
    int64_t most = (authtime + 1) * SECOND - (as->sent.sec * SECOND + as->sent.usec);

    if (least <= SECOND && most >= -SECOND) {
        return 0;
    }
    return least + (most - least) / 2;
}

enum kb_status kb_as_check_reply(struct kb_as *as, kb_bytes message, struct kb_arena *arena,
                                 struct kb_as_reply *out, struct kb_fault *fault)
{
    struct kb_key *key = NULL;
    enum kb_status st;

    *out = (struct kb_as_reply){0};
    *fault = (struct kb_fault){0};
    st = kb_kdcrep_decode(message, KB_AS_REP, arena, &out->rep);
    if (st != KB_OK) {
        return st;
    }
    st = check_clear(as, &out->rep, fault);
    if (st == KB_OK) {
        st = open_reply(as, out, arena, &key);
    }
    if (st == KB_OK) {
        st = check_part(as, out, key, arena, fault);
        out->clock_offset = measure_clock(as, out->rep.part.authtime);
    }
    kb_key_free(key);
    switch (st) {
    case KB_OK:
    case KB_ERROR:
    case KB_NO_MEMORY:
    case KB_NO_CRYPTO:
        return st;
    case KB_BAD_PARAMS:
        return fail(fault, KB_E_ITERATIONS,
                    "its salt or its number of password hash rounds is out of bounds");
    case KB_BAD_TEXT:
        return fail(fault, KB_E_PASSWORD_TEXT,
                    "the password is not UTF-8, and the key is made of its characters");
    case KB_BAD_INTEGRITY:
        return fail(fault, as->request.keys->salted ? KB_E_WRONG_PASSWORD : KB_E_KEY_REFUSED, NULL);
    default:
        return fail(fault, KB_E_KDC_REPLY, "its encrypted part cannot be read");
    }
}
