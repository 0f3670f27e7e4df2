/* Makes the TGS-REQ: RFC 4120 3.3.1, 5.2.7.1, 5.4.1. */
#include "mech/protocol/tgs_machine.h"

#include "crypto/checksum.h"

#define TGS_REQ 12
#define AP_REQ 14
#define PVNO 5
#define AUTHENTICATOR_VNO 5

/* What the TGT may do is asked for the ticket too, as MIT does; bits of TicketFlags and KDCOptions
 * coincide. */
#define INHERITED (KB_OPT_FORWARDABLE | KB_OPT_PROXIABLE | KB_OPT_RENEWABLE)

static enum kb_status make_terms(struct kb_tgs *tgs, int64_t now, bool canonicalize)
{
    const struct kb_policy *policy = tgs->request.policy;
    enum kb_status st = KB_OK;

    tgs->terms = (struct kb_kdcrep_terms){
        .options = (tgs->tgt->flags & INHERITED) | (canonicalize ? KB_OPT_CANONICALIZE : 0) |
                   (tgs->request.forwarded ? KB_OPT_FORWARDED : 0) |
                   (tgs->request.renew ? KB_OPT_RENEW : 0),
        .till = tgs->request.renew ? tgs->tgt->renew_till : tgs->tgt->endtime,
        .rtime = tgs->request.forwarded || tgs->request.renew ? tgs->tgt->renew_till : 0,
        .now = now,
        .skew = policy->clock_skew,
        .etypes = policy->etypes,
        .num_etypes = policy->num_etypes,
    };
    if (tgs->tgt->addresses.len > 0 && !tgs->request.forwarded) {
        st =
            kb_decode_host_addresses(tgs->tgt->addresses, &tgs->arena, &tgs->terms.addresses, NULL);
    }
    return st == KB_OK ? kb_kdc_nonce(&tgs->env.rng, &tgs->terms.nonce) : st;
}

static enum kb_status make_body(struct kb_tgs *tgs, kb_bytes *out)
{
    const struct kb_kdcrep_terms *terms = &tgs->terms;
    kb_kdc_req_body body = {
        .kdc_options = terms->options,
        .realm = tgs->realm,
        .has_sname = true,
        .sname = tgs->asked->name,
        .till = terms->till,
        .has_rtime = terms->rtime != 0,
        .rtime = terms->rtime,
        .nonce = terms->nonce,
    };
    enum kb_status st = kb_kdc_etypes(terms, &tgs->arena, &body.etype);

    return st == KB_OK ? kb_encode_kdc_req_body(&tgs->arena, &body, out) : st;
}

/* The enctype's own, but for des-cbc-crc: Heimdal's KDC (7.8) takes no keyed checksum for it, not
 * even RFC 3961's rsa-md5-des. rsa-md5 in the encrypted authenticator is what MIT's clients sent
 * with every DES key (krb5.conf's kdc_req_checksum_type, until 1.18). */
static int32_t cksumtype_of(const struct kb_enctype *enctype)
{
    return enctype->etype == KB_ENCTYPE_DES_CBC_CRC ? KB_CKSUM_RSA_MD5 : enctype->cksumtype;
}

/* The checksum is under the session key, whatever subkey the authenticator brings (RFC 4120
 * 7.5.1, usage 6). */
static enum kb_status make_checksum(struct kb_tgs *tgs, kb_bytes body,
                                    uint8_t bytes[KB_MAX_CHECKSUM_LEN], kb_checksum *out)
{
    struct kb_key *key = tgs->tgt->session_key;
    int32_t type = cksumtype_of(kb_key_enctype(key));

    *out = (kb_checksum){type, kb_bytes_of(bytes, kb_checksum_len(type))};
    return kb_checksum_by_type(type, key, KB_USAGE_TGS_REQ_CHECKSUM, body, bytes);
}

static enum kb_status encrypt(struct kb_tgs *tgs, kb_bytes plain, kb_encrypted_data *out)
{
    struct kb_key *key = tgs->tgt->session_key;
    size_t len = kb_encrypted_len(key, plain.len);
    uint8_t *cipher = kb_arena_alloc(&tgs->arena, len);

    if (cipher == NULL) {
        return KB_NO_MEMORY;
    }
    *out = (kb_encrypted_data){.etype = kb_key_enctype(key)->etype,
                               .cipher = kb_bytes_of(cipher, len)};
    return kb_encrypt(key, KB_USAGE_TGS_REQ_AUTHENTICATOR, &tgs->env.rng, plain, cipher);
}

static enum kb_status make_authenticator(struct kb_tgs *tgs, struct kb_timestamp time,
                                         kb_bytes body, kb_encrypted_data *out)
{
    uint8_t bytes[KB_MAX_CHECKSUM_LEN];
    kb_authenticator authenticator = {
        .authenticator_vno = AUTHENTICATOR_VNO,
        .crealm = tgs->tgt->client->realm,
        .cname = tgs->tgt->client->name,
        .has_cksum = true,
        .cusec = time.usec,
        .ctime = time.sec,
        .has_subkey = true,
        .subkey = {kb_key_enctype(tgs->subkey)->etype, kb_key_bytes(tgs->subkey)},
    };
    kb_bytes plain;
    enum kb_status st = make_checksum(tgs, body, bytes, &authenticator.cksum);

    if (st == KB_OK) {
        st = kb_encode_authenticator(&tgs->arena, &authenticator, &plain);
    }
    if (st == KB_OK) {
        st = encrypt(tgs, plain, out);
        /* The arena lives on while the KDC is waited for, and a core file would have the subkey. */
        kb_wipe((void *)(uintptr_t)plain.ptr, plain.len);
    }
    return st;
}

static enum kb_status make_ap_req(struct kb_tgs *tgs, struct kb_timestamp time, kb_bytes body,
                                  kb_bytes *out)
{
    kb_ap_req req = {.pvno = PVNO, .msg_type = AP_REQ, .ticket = tgs->tgt->ticket};
    enum kb_status st = make_authenticator(tgs, time, body, &req.authenticator);

    return st == KB_OK ? kb_encode_ap_req(&tgs->arena, &req, out) : st;
}

static enum kb_status draw_subkey(struct kb_tgs *tgs)
{
    kb_key_free(tgs->subkey);
    tgs->subkey = NULL;
    return kb_key_random(kb_key_enctype(tgs->tgt->session_key)->etype, &tgs->env.rng, &tgs->subkey);
}

enum kb_status kb_tgs_make_request(struct kb_tgs *tgs, int64_t offset, bool canonicalize)
{
    struct kb_timestamp time = kb_timestamp_shift(tgs->env.now(tgs->env.now_ctx), offset);
    kb_pa_data pa = {.padata_type = KB_PA_TGS_REQ};
    kb_kdc_req req = {.pvno = PVNO, .msg_type = TGS_REQ, .has_padata = true, .padata = {&pa, 1}};
    enum kb_status st = make_terms(tgs, time.sec, canonicalize);

    if (st == KB_OK) {
        st = make_body(tgs, &req.req_body);
    }
    if (st == KB_OK) {
        st = draw_subkey(tgs);
    }
    if (st == KB_OK) {
        st = make_ap_req(tgs, time, req.req_body, &pa.padata_value);
    }
    return st == KB_OK ? kb_encode_tgs_req(&tgs->arena, &req, &tgs->message) : st;
}
