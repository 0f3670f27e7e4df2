#include "mech/protocol/kdcrep.h"

#include <stdio.h>

#include "mech/protocol/encpart.h"

#define PVNO 5
#define TKT_INVALID 0x01000000u
#define TKT_POSTDATED 0x02000000u

bool kb_etype_allowed(const int32_t *etypes, size_t num, int32_t etype)
{
    for (size_t i = 0; i < num; i++) {
        if (etypes[i] == etype) {
            return true;
        }
    }
    return false;
}

/* 31 bits: some KDCs read it as a signed number. */
enum kb_status kb_kdc_nonce(const struct kb_rng *rng, uint32_t *out)
{
    uint8_t b[4];
    enum kb_status st = kb_random(rng, b, sizeof(b));

    *out = ((uint32_t)(b[0] & 0x7f) << 24) | ((uint32_t)b[1] << 16) | ((uint32_t)b[2] << 8) | b[3];
    return st;
}

enum kb_status kb_kdc_etypes(const struct kb_kdcrep_terms *terms, struct kb_arena *arena,
                             kb_int32_list *out)
{
    size_t size = terms->num_etypes * sizeof(kb_int32);

    out->items = kb_arena_alloc(arena, size);
    out->num = terms->num_etypes;
    if (out->items == NULL) {
        return KB_NO_MEMORY;
    }
    if (size > 0) {
        memcpy(out->items, terms->etypes, size);
    }
    return KB_OK;
}

enum kb_status kb_kdcrep_decode(kb_bytes message, int32_t msg_type, struct kb_arena *arena,
                                struct kb_kdcrep *out)
{
    enum kb_status st;

    *out = (struct kb_kdcrep){0};
    st = msg_type == KB_AS_REP ? kb_decode_as_rep(message, arena, &out->msg, NULL)
                               : kb_decode_tgs_rep(message, arena, &out->msg, NULL);
    if (st == KB_OK && (out->msg.pvno != PVNO || out->msg.msg_type != msg_type)) {
        st = KB_WRONG_TYPE;
    }
    if (st == KB_OK) {
        st = kb_decode_ticket(out->msg.ticket, arena, &out->ticket, NULL);
    }
    if (st == KB_OK && out->ticket.tkt_vno != PVNO) {
        st = KB_WRONG_TYPE; /* RFC 4120 5.3: "the version number for the ticket format" is 5 */
    }
    return st;
}

enum kb_status kb_kdcrep_open(struct kb_kdcrep *rep, struct kb_key *key, uint32_t usage,
                              struct kb_arena *arena)
{
    kb_bytes plain;
    enum kb_status st = kb_encpart_open(key, usage, &rep->msg.enc_part, arena, &plain);

    if (st == KB_NO_ENCTYPE) {
        st = KB_BAD_INTEGRITY;
    }
    if (st == KB_OK) {
        st = kb_decode_enc_kdc_rep_part(plain, arena, &rep->part, NULL);
    }
    /* RFC 4120 5.3: "If not present, the authtime field is to be used" (MIT leaves it out). */
    if (st == KB_OK && !rep->part.has_starttime) {
        rep->part.starttime = rep->part.authtime;
    }
    return st;
}

static enum kb_status fail(struct kb_fault *fault, enum kb_error_code code, const char *what)
{
    *fault = (struct kb_fault){.code = code, .what = what};
    return KB_ERROR;
}

enum kb_status kb_fault_unasked(struct kb_fault *fault, const char *what, int32_t etype)
{
    *fault = (struct kb_fault){KB_E_NO_ENCTYPE, what, true, etype};
    return KB_ERROR;
}

const char *kb_fault_etype(const struct kb_fault *fault, char buf[40])
{
    char name[24];

    buf[0] = '\0';
    if (fault->names_etype) {
        snprintf(buf, 40, " (%s)", kb_enctype_name(fault->etype, name));
    }
    return buf;
}

static enum kb_status check_times(const kb_enc_kdc_rep_part *part,
                                  const struct kb_kdcrep_terms *terms, struct kb_fault *fault)
{
    if (part->endtime <= part->starttime) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket ends before it begins");
    }
    if (part->endtime > terms->till) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket ends later than what was asked for");
    }
    if (part->has_renew_till && terms->rtime != 0 && part->renew_till > terms->rtime) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is renewable for longer than was asked for");
    }
    if (part->starttime > terms->now + terms->skew) {
        return fail(fault, KB_E_CLOCK, "its ticket is not valid yet");
    }
    if (part->endtime <= terms->now - terms->skew) {
        return fail(fault, KB_E_CLOCK, "its ticket has expired already");
    }
    return KB_OK;
}

static enum kb_status make_session_key(const kb_encryption_key *key,
                                       const struct kb_kdcrep_terms *terms, struct kb_key **out,
                                       struct kb_fault *fault)
{
    enum kb_status st;

    if (!kb_etype_allowed(terms->etypes, terms->num_etypes, key->keytype)) {
        return kb_fault_unasked(
            fault, "its session key is of an encryption type that was not asked for", key->keytype);
    }
    st = kb_key_new(key->keytype, key->keyvalue, out);
    return st == KB_OK || st == KB_NO_MEMORY
               ? st
               : fail(fault, KB_E_KDC_REPLY,
                      "its session key has the wrong length, or is a weak one");
}

/* RFC 4120 3.1.5: "the host address field is correct". */
static bool are_among(const kb_host_addresses *some, const kb_host_addresses *all)
{
    for (size_t i = 0; i < some->num; i++) {
        const kb_host_address *one = &some->items[i];
        bool found = false;

        for (size_t n = 0; n < all->num && !found; n++) {
            found = all->items[n].addr_type == one->addr_type &&
                    kb_equal(all->items[n].address, one->address);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

enum kb_status kb_kdcrep_check(const struct kb_kdcrep *rep, const struct kb_kdcrep_terms *terms,
                               struct kb_key **out_session_key, struct kb_fault *fault)
{
    const kb_enc_kdc_rep_part *part = &rep->part;
    enum kb_status st;

    *out_session_key = NULL;
    if (part->nonce != terms->nonce) {
        return fail(fault, KB_E_KDC_REPLY, "its nonce is not the request's");
    }
    if (!kb_equal(part->srealm, rep->ticket.realm) ||
        !kb_name_equal(&part->sname, &rep->ticket.sname)) {
        return fail(fault, KB_E_KDC_REPLY,
                    "the service's name in its ticket is not the one in its encrypted part");
    }
    /* Neither was asked for. */
    if ((part->flags & (TKT_INVALID | TKT_POSTDATED)) != 0) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is postdated or not valid");
    }
    if (part->has_caddr && !are_among(&part->caddr, &terms->addresses)) {
        return fail(fault, KB_E_KDC_REPLY, "its ticket is bound to addresses that are not ours");
    }
    st = check_times(part, terms, fault);
    return st == KB_OK ? make_session_key(&part->key, terms, out_session_key, fault) : st;
}

struct kb_credential *kb_kdcrep_credential(const struct kb_kdcrep *rep, struct kb_key *session_key,
                                           int64_t clock_offset, struct kb_arena *arena)
{
    const kb_enc_kdc_rep_part *part = &rep->part;
    bool renewable = part->has_renew_till && (part->flags & KB_TKT_RENEWABLE) != 0;
    struct kb_credential *credential = NULL;
    struct kb_credential parts = {
        .client = kb_principal_new(rep->msg.crealm, &rep->msg.cname),
        .server = kb_principal_new(part->srealm, &part->sname),
        .ticket = rep->msg.ticket,
        .session_key = session_key,
        .flags = part->flags,
        .authtime = part->authtime,
        .starttime = part->starttime,
        .endtime = part->endtime,
        .renew_till = renewable ? part->renew_till : 0,
        .clock_offset = clock_offset,
    };
    enum kb_status st = KB_OK;

    if (part->has_caddr && part->caddr.num > 0) {
        st = kb_encode_host_addresses(arena, &part->caddr, &parts.addresses);
    }
    if (parts.client != NULL && parts.server != NULL && st == KB_OK) {
        credential = kb_credential_new(&parts);
    }
    kb_principal_free(parts.client);
    kb_principal_free(parts.server);
    return credential;
}

enum kb_verdict kb_kdcrep_verdict(enum kb_status st)
{
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
