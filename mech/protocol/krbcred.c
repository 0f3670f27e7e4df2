#include "mech/protocol/krbcred.h"

#include "mech/protocol/kdcrep.h"

#define PVNO 5
#define KRB_CRED 22

static enum kb_status describe(const struct kb_credential *credential, struct kb_arena *arena,
                               kb_krb_cred_info *out)
{
    *out = (kb_krb_cred_info){
        .key = {kb_key_enctype(credential->session_key)->etype,
                kb_key_bytes(credential->session_key)},
        .has_prealm = true,
        .prealm = credential->client->realm,
        .has_pname = true,
        .pname = credential->client->name,
        .has_flags = true,
        .flags = credential->flags,
        .has_authtime = true,
        .authtime = credential->authtime,
        .has_starttime = true,
        .starttime = credential->starttime,
        .has_endtime = true,
        .endtime = credential->endtime,
        .has_renew_till = credential->renew_till != 0,
        .renew_till = credential->renew_till,
        .has_srealm = true,
        .srealm = credential->server->realm,
        .has_sname = true,
        .sname = credential->server->name,
        .has_caddr = credential->addresses.len > 0,
    };
    return out->has_caddr
               ? kb_decode_host_addresses(credential->addresses, arena, &out->caddr, NULL)
               : KB_OK;
}

static enum kb_status encrypt(const struct kb_rng *rng, struct kb_key *key,
                              const kb_enc_krb_cred_part *part, struct kb_arena *arena,
                              kb_encrypted_data *out)
{
    kb_bytes plain;
    uint8_t *cipher;
    size_t len;
    enum kb_status st = kb_encode_enc_krb_cred_part(arena, part, &plain);

    if (st != KB_OK) {
        return st;
    }
    len = kb_encrypted_len(key, plain.len);
    cipher = kb_arena_alloc(arena, len);
    if (cipher == NULL) {
        return KB_NO_MEMORY;
    }
    *out = (kb_encrypted_data){.etype = kb_key_enctype(key)->etype, .cipher = {cipher, len}};
    return kb_encrypt(key, KB_USAGE_KRB_CRED, rng, plain, cipher);
}

enum kb_status kb_krbcred_make(const struct kb_rng *rng, struct kb_timestamp time,
                               const struct kb_credential *credential, struct kb_key *key,
                               struct kb_arena *arena, kb_bytes *out)
{
    kb_krb_cred_info info;
    kb_enc_krb_cred_part part = {
        .ticket_info = {&info, 1},
        .has_nonce = true,
        .has_timestamp = true,
        .timestamp = time.sec,
        .has_usec = true,
        .usec = time.usec,
    };
    kb_bytes ticket = credential->ticket;
    kb_krb_cred cred = {.pvno = PVNO, .msg_type = KRB_CRED, .tickets = {&ticket, 1}};
    enum kb_status st = describe(credential, arena, &info);

    if (st == KB_OK) {
        st = kb_kdc_nonce(rng, &part.nonce);
    }
    if (st == KB_OK) {
        st = encrypt(rng, key, &part, arena, &cred.enc_part);
    }
    return st == KB_OK ? kb_encode_krb_cred(arena, &cred, out) : st;
}
