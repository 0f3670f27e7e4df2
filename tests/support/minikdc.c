#include "tests/support/minikdc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/reader.h"
#include "crypto/checksum.h"
#include "mech/protocol/encpart.h"
#include "tests/support/remembered.h"

enum {
    PA_TGS_REQ = 1,
    PA_ENC_TIMESTAMP = 2,
    PA_ETYPE_INFO2 = 19,
    PA_COOKIE = 133,
    PA_REQ_ENC = 149
};

static enum kb_status repeatable(void *ctx, uint8_t *out, size_t len)
{
    uint64_t *x = ctx;

    for (size_t i = 0; i < len; i++) {
        *x = *x * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(*x >> 56);
    }
    return KB_OK;
}

static void *take(struct minikdc *kdc, size_t size)
{
    void *p = kb_arena_alloc(&kdc->arena, size);

    assert_non_null(p);
    return p;
}

static void ok(enum kb_status st)
{
    assert_int_equal(st, KB_OK);
}

void minikdc_init(struct minikdc *kdc, int64_t now, int32_t etype, uint32_t iterations)
{
    uint8_t params[4];

    memset(kdc, 0, sizeof(*kdc));
    kb_arena_init(&kdc->arena, NULL, 0, 64 << 20);
    kdc->seed = 42;
    kdc->rng = (struct kb_rng){repeatable, &kdc->seed};
    kdc->now = now;
    kb_put_u32be(params, iterations);
    ok(remembered_key(etype, KB_LIT("secret"), KB_LIT(MINIKDC_SALT), kb_bytes_of(params, 4),
                      &kdc->client_key));
}

void minikdc_wipe(struct minikdc *kdc)
{
    kb_key_free(kdc->client_key);
    kb_key_free(kdc->session_key);
    kb_arena_wipe(&kdc->arena);
}

kb_principal_name minikdc_name(struct minikdc *kdc, int32_t type, const char *one, const char *two)
{
    kb_string *parts = take(kdc, 2 * sizeof(*parts));

    parts[0] = kb_str(one);
    parts[1] = kb_str(two);
    return (kb_principal_name){type, {parts, two != NULL ? 2 : 1}};
}

/* --- requests --- */

static kb_kdc_req request_of(struct minikdc *kdc, kb_bytes request)
{
    kb_kdc_req req;

    ok(request.ptr[0] == 0x6a ? kb_decode_as_req(request, &kdc->arena, &req, NULL)
                              : kb_decode_tgs_req(request, &kdc->arena, &req, NULL));
    return req;
}

kb_kdc_req_body minikdc_body(struct minikdc *kdc, kb_bytes request)
{
    kb_kdc_req req = request_of(kdc, request);
    kb_kdc_req_body body;

    ok(kb_decode_kdc_req_body(req.req_body, &kdc->arena, &body, NULL));
    return body;
}

kb_bytes minikdc_padata(struct minikdc *kdc, kb_bytes request, int32_t type)
{
    kb_kdc_req req = request_of(kdc, request);

    for (size_t i = 0; i < req.padata.num; i++) {
        if (req.padata.items[i].padata_type == type) {
            return req.padata.items[i].padata_value;
        }
    }
    return KB_NONE;
}

bool minikdc_timestamp(struct minikdc *kdc, kb_bytes request, kb_pa_enc_ts_enc *out)
{
    kb_bytes value = minikdc_padata(kdc, request, PA_ENC_TIMESTAMP), plain;
    kb_encrypted_data data;

    if (value.len == 0) {
        return false;
    }
    ok(kb_decode_encrypted_data(value, &kdc->arena, &data, NULL));
    if (kb_encpart_open(kdc->client_key, KB_USAGE_PA_ENC_TIMESTAMP, &data, &kdc->arena, &plain) !=
        KB_OK) {
        return false;
    }
    ok(kb_decode_pa_enc_ts_enc(plain, &kdc->arena, out, NULL));
    return true;
}

/* --- replies --- */

static void common(struct minikdc *kdc, const kb_kdc_req_body *body, struct minikdc_reply *out)
{
    static const uint32_t granted = 0x50800000u;
    kb_last_req_entry *last_req = take(kdc, sizeof(*last_req));
    uint8_t *raw = take(kdc, KB_MAX_KEY_LEN), *cipher = take(kdc, 100);
    const struct kb_enctype *enctype = kb_enctype_find(body->etype.items[0]);

    assert_non_null(enctype);
    ok(kb_random(&kdc->rng, raw, enctype->key_len));
    ok(kb_random(&kdc->rng, cipher, 100));
    out->msg.pvno = 5;
    out->msg.msg_type = out->msg_type;
    out->msg.crealm = KB_LIT("TEST");
    out->msg.cname = minikdc_name(kdc, 1, "alice", NULL);
    /* The ticket's enctype is the service's business: one that we do not have. */
    out->ticket = (kb_ticket_fields){5, body->realm, body->sname, {4711, true, 3, {cipher, 100}}};
    out->part = (kb_enc_kdc_rep_part){
        .key = {enctype->etype, {raw, enctype->key_len}},
        .last_req = {last_req, 1},
        .nonce = body->nonce,
        .flags = body->kdc_options & granted,
        .authtime = kdc->now,
        .has_starttime = true,
        .starttime = kdc->now,
        .endtime = body->till < kdc->now + 36000 ? body->till : kdc->now + 36000,
        .has_renew_till = body->has_rtime,
        .renew_till = body->rtime,
        .srealm = body->realm,
        .sname = body->sname,
    };
}

void minikdc_as(struct minikdc *kdc, kb_bytes request, struct minikdc_reply *out)
{
    kb_kdc_req_body body = minikdc_body(kdc, request);

    memset(out, 0, sizeof(*out));
    out->msg_type = 11;
    common(kdc, &body, out);
    out->part.flags |= 0x00610000u; /* initial, pre-authenticated, ENC-PA-REP */
    out->key = kdc->client_key;
    out->usage = KB_USAGE_AS_REP;
    out->request = request;
    kb_key_free(kdc->session_key);
    ok(kb_key_new(out->part.key.keytype, out->part.key.keyvalue, &kdc->session_key));
}

void minikdc_tgs(struct minikdc *kdc, struct kb_key *session_key, kb_bytes request,
                 struct minikdc_reply *out)
{
    kb_kdc_req_body body = minikdc_body(kdc, request);
    kb_kdc_req req = request_of(kdc, request);
    kb_ap_req ap;
    kb_authenticator auth;
    kb_bytes plain;

    memset(out, 0, sizeof(*out));
    out->msg_type = 13;
    ok(kb_decode_ap_req(minikdc_padata(kdc, request, PA_TGS_REQ), &kdc->arena, &ap, NULL));
    ok(kb_encpart_open(session_key, KB_USAGE_TGS_REQ_AUTHENTICATOR, &ap.authenticator, &kdc->arena,
                       &plain));
    ok(kb_decode_authenticator(plain, &kdc->arena, &auth, NULL));
    assert_true(auth.has_subkey && auth.has_cksum);
    ok(kb_checksum_verify_by_type(auth.cksum.cksumtype, session_key, KB_USAGE_TGS_REQ_CHECKSUM,
                                  req.req_body, auth.cksum.checksum));
    common(kdc, &body, out);
    out->part.authtime = kdc->now - 100;
    kb_key_free(kdc->session_key);
    ok(kb_key_new(auth.subkey.keytype, auth.subkey.keyvalue, &kdc->session_key));
    out->key = kdc->session_key; /* the subkey, from now on */
    out->usage = KB_USAGE_TGS_REP_SUBKEY;
}

/* RFC 6806 11 */
static void add_checksum(struct minikdc *kdc, const struct minikdc_reply *reply,
                         kb_enc_kdc_rep_part *part)
{
    kb_pa_data *pa = take(kdc, sizeof(*pa));
    uint8_t *bytes = take(kdc, KB_MAX_CHECKSUM_LEN);
    const struct kb_enctype *enctype = kb_key_enctype(reply->key);
    kb_checksum sum = {enctype->cksumtype, {bytes, kb_checksum_len(enctype->cksumtype)}};

    ok(kb_checksum_make(reply->key, KB_USAGE_AS_REQ_CHECKSUM, reply->request, bytes));
    pa->padata_type = PA_REQ_ENC;
    ok(kb_encode_checksum(&kdc->arena, &sum, &pa->padata_value));
    part->has_encrypted_pa_data = true;
    part->encrypted_pa_data = (kb_method_data){pa, 1};
}

kb_bytes minikdc_seal(struct minikdc *kdc, const struct minikdc_reply *reply)
{
    kb_kdc_rep msg = reply->msg;
    kb_enc_kdc_rep_part part = reply->part;
    kb_bytes plain, out;
    uint8_t *longer, *cipher;
    size_t len;

    if (reply->request.len > 0) {
        add_checksum(kdc, reply, &part);
    }
    ok(kb_encode_enc_kdc_rep_part(&kdc->arena, &part, &plain));
    longer = take(kdc, plain.len + sizeof(reply->tail));
    memcpy(longer, plain.ptr, plain.len);
    memcpy(longer + plain.len, reply->tail, reply->tail_len);
    plain = kb_bytes_of(longer, plain.len + reply->tail_len);
    len = kb_encrypted_len(reply->key, plain.len);
    cipher = take(kdc, len);
    ok(kb_encrypt(reply->key, reply->usage, &kdc->rng, plain, cipher));
    if (msg.enc_part.cipher.len == 0) {
        msg.enc_part = (kb_encrypted_data){.etype = kb_key_enctype(reply->key)->etype,
                                           .cipher = {cipher, len}};
    }
    ok(kb_encode_ticket(&kdc->arena, &reply->ticket, &msg.ticket));
    ok(reply->msg_type == 11 ? kb_encode_as_rep(&kdc->arena, &msg, &out)
                             : kb_encode_tgs_rep(&kdc->arena, &msg, &out));
    return out;
}

/* --- errors --- */

static kb_bytes make_error(struct minikdc *kdc, int32_t code, kb_bytes e_text, kb_bytes e_data)
{
    kb_krb_error error = {
        .pvno = 5,
        .msg_type = 30,
        .stime = kdc->now,
        .susec = 654321,
        .error_code = code,
        .has_realm = true,
        .realm = KB_LIT("TEST"),
        .has_sname = true,
        .sname = minikdc_name(kdc, 2, "krbtgt", "TEST"),
        .has_e_text = true,
        .e_text = e_text,
        .has_e_data = e_data.len > 0,
        .e_data = e_data,
    };
    kb_bytes out;

    ok(kb_encode_krb_error(&kdc->arena, &error, &out));
    return out;
}

kb_bytes minikdc_error(struct minikdc *kdc, int32_t code, kb_bytes e_data)
{
    return make_error(kdc, code, KB_LIT("as the test wants"), e_data);
}

kb_bytes minikdc_error_text(struct minikdc *kdc, int32_t code, const char *e_text)
{
    return make_error(kdc, code, kb_str(e_text), KB_NONE);
}

kb_bytes minikdc_method_data(struct minikdc *kdc, int32_t etype, const char *salt,
                             uint32_t iterations)
{
    uint8_t *params = take(kdc, 4);
    kb_etype_info2_entry entry = {etype, salt != NULL, kb_str(salt), true, {params, 4}};
    kb_etype_info2 info = {&entry, 1};
    kb_pa_data items[3] = {{.padata_type = PA_ETYPE_INFO2},
                           {.padata_type = PA_ENC_TIMESTAMP},
                           {PA_COOKIE, kdc->cookie}};
    kb_method_data list = {items, kdc->cookie.len > 0 ? 3 : 2};
    kb_bytes out;

    kb_put_u32be(params, iterations);
    ok(kb_encode_etype_info2(&kdc->arena, &info, &items[0].padata_value));
    ok(kb_encode_method_data(&kdc->arena, &list, &out));
    return out;
}
