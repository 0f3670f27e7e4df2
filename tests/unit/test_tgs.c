/* mech/protocol/tgs: recorded exchanges of MIT's, Heimdal's and Samba's KDCs. Our requests are
 * MIT's own to the byte but for its FAST. Then replies of our making that are wrong in one thing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/tgs_machine.h"
#include "tests/support/client.h"
#include "tests/support/minikdc.h"

#define PA_FX_FAST 136

/* --- recordings --- */

struct run {
    struct wire *wire;
    struct client client;
    struct kb_arena arena;
    struct kb_tgs *tgs;
    struct kb_send send;
    uint8_t nonces[4][4];
    size_t num_nonces;
};

static kb_bytes message(struct run *r, size_t n)
{
    return wire_hex(r->wire, "messages[%zu].hex", n);
}

static bool is_type(struct run *r, size_t n, const char *type)
{
    return n < wire_num(r->wire, "messages") &&
           strcmp(wire_text(r->wire, "messages[%zu].type", n), type) == 0;
}

/* The TGT that an AS-REP gave, by the recording's own decryption. */
static struct kb_credential *recorded_tgt(struct run *r, size_t n)
{
    struct kb_kdcrep rep;
    struct kb_key *session;
    struct kb_credential *tgt;

    assert_int_equal(kb_kdcrep_decode(message(r, n), KB_AS_REP, &r->arena, &rep), KB_OK);
    assert_int_equal(
        kb_decode_enc_kdc_rep_part(
            wire_hex(r->wire, "messages[%zu].decrypted[what=AS-REP enc-part].plain", n), &r->arena,
            &rep.part, NULL),
        KB_OK);
    if (!rep.part.has_starttime) {
        rep.part.starttime = rep.part.authtime;
    }
    assert_int_equal(kb_key_new(rep.part.key.keytype, rep.part.key.keyvalue, &session), KB_OK);
    tgt = kb_kdcrep_credential(&rep, session, 0, &r->arena);
    assert_non_null(tgt);
    kb_key_free(session);
    return tgt;
}

static kb_authenticator recorded_authenticator(struct run *r, size_t n)
{
    kb_authenticator out;

    assert_int_equal(
        kb_decode_authenticator(
            wire_hex(r->wire, "messages[%zu].decrypted[what=TGS-REQ authenticator].plain", n),
            &r->arena, &out, NULL),
        KB_OK);
    return out;
}

/* What the recorded client drew for its TGS-REQ `n`, and its clock. */
static void as_drawn(struct run *r, size_t n)
{
    kb_authenticator authenticator = recorded_authenticator(r, n);
    uint32_t nonce = (uint32_t)wire_int(r->wire, "messages[%zu].fields.nonce", n);
    uint8_t *b = r->nonces[r->num_nonces++];

    for (size_t i = 0; i < 4; i++) {
        b[i] = (uint8_t)(nonce >> (24 - 8 * i));
    }
    wire_rng_add(&r->client.recorded, kb_bytes_of(b, 4));
    wire_rng_add(&r->client.recorded, authenticator.subkey.keyvalue);
    wire_rng_add(
        &r->client.recorded,
        wire_hex(r->wire, "messages[%zu].decrypted[what=TGS-REQ authenticator].confounder", n));
    r->client.now = (struct kb_timestamp){authenticator.ctime, authenticator.cusec};
}

/* The recorded request without MIT's FAST. */
static void assert_same_request(struct run *r, size_t n)
{
    kb_kdc_req req;
    kb_bytes expected;
    size_t num = 0;

    assert_int_equal(kb_decode_tgs_req(message(r, n), &r->arena, &req, NULL), KB_OK);
    for (size_t i = 0; i < req.padata.num; i++) {
        if (req.padata.items[i].padata_type != PA_FX_FAST) {
            req.padata.items[num++] = req.padata.items[i];
        }
    }
    req.padata.num = num;
    assert_int_equal(kb_encode_tgs_req(&r->arena, &req, &expected), KB_OK);
    if (!kb_equal(expected, r->send.message)) {
        print_error("%s: request %zu differs\n", wire_name(r->wire), n);
    }
    assert_int_equal(expected.len, r->send.message.len);
    assert_memory_equal(expected.ptr, r->send.message.ptr, expected.len);
}

/* A reply as the KDC would have made it without FAST: what it encrypted, under the subkey. */
static kb_bytes without_fast(struct run *r, size_t n)
{
    kb_kdc_rep rep;
    kb_bytes plain, confounder, out;
    struct wire_rng rng;
    uint8_t *cipher;
    size_t len;

    assert_int_equal(kb_decode_tgs_rep(message(r, n), &r->arena, &rep, NULL), KB_OK);
    plain = wire_hex(r->wire, "messages[%zu].decrypted[what=TGS-REP enc-part].plain", n);
    confounder = wire_hex(r->wire, "messages[%zu].decrypted[what=TGS-REP enc-part].confounder", n);
    wire_rng_init(&rng);
    wire_rng_add(&rng, confounder);
    len = kb_encrypted_len(r->tgs->subkey, plain.len);
    cipher = kb_arena_alloc(&r->arena, len);
    assert_int_equal(kb_encrypt(r->tgs->subkey, KB_USAGE_TGS_REP_SUBKEY, &rng.rng, plain, cipher),
                     KB_OK);
    if (!rep.has_padata) {
        assert_true(kb_equal(rep.enc_part.cipher, kb_bytes_of(cipher, len)));
    }
    rep.has_padata = false;
    rep.enc_part.cipher = kb_bytes_of(cipher, len);
    assert_int_equal(kb_encode_tgs_rep(&r->arena, &rep, &out), KB_OK);
    return out;
}

static enum kb_step feed(struct run *r, size_t n)
{
    kb_bytes reply = without_fast(r, n);

    assert_int_equal(kb_tgs_verdict(r->tgs, reply), KB_VERDICT_FINAL);
    return kb_tgs_step(r->tgs, reply, "192.0.2.1:88 (udp)", &r->send);
}

static void run_init(struct run *r, struct wire *wire, size_t as_req, size_t as_rep, size_t tgs_req)
{
    struct kb_tgs_request request;
    kb_kdc_req req;
    kb_kdc_req_body body;
    struct kb_principal *service;

    memset(r, 0, sizeof(*r));
    r->wire = wire;
    kb_arena_init(&r->arena, NULL, 0, 1 << 22);
    client_of_wire(&r->client, wire, as_req);
    assert_int_equal(kb_decode_tgs_req(message(r, tgs_req), &r->arena, &req, NULL), KB_OK);
    assert_int_equal(kb_decode_kdc_req_body(req.req_body, &r->arena, &body, NULL), KB_OK);
    memcpy(r->client.etypes, body.etype.items, body.etype.num * sizeof(int32_t));
    r->client.policy.num_etypes = body.etype.num;
    service = kb_principal_new(body.realm, &body.sname);
    request = (struct kb_tgs_request){
        .tgt = recorded_tgt(r, as_rep), .service = service, .policy = &r->client.policy};
    r->tgs = kb_tgs_new(&r->client.env, &request);
    assert_non_null(r->tgs);
    kb_credential_free(request.tgt);
    kb_principal_free(service);
}

static void run_wipe(struct run *r)
{
    kb_tgs_free(r->tgs);
    client_wipe(&r->client);
    kb_arena_wipe(&r->arena);
}

static bool is_among(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strstr(name, *names) != NULL) {
            return true;
        }
    }
    return false;
}

static void assert_ticket(struct run *r, size_t n)
{
    struct kb_credential *ticket = kb_tgs_ticket(r->tgs);
    kb_bytes key = wire_hex(r->wire, "messages[%zu].fields.enc_part.key", n);

    assert_non_null(ticket);
    assert_int_equal(kb_key_bytes(ticket->session_key).len, key.len);
    assert_memory_equal(kb_key_bytes(ticket->session_key).ptr, key.ptr, key.len);
}

static void try_recording(struct wire *wire, void *ctx)
{
    /* Other enctypes to come, another kind of request, two realms (below). */
    static const char *const others[] = {"rc4",   "camellia",   "user-to-user", "forwarded",
                                         "armor", "crossrealm", "referral",     NULL};
    unsigned *num = ctx;
    struct run r = {.wire = wire};
    size_t as_rep = 0, tgs_req;

    while (as_rep < wire_num(wire, "messages") && !is_type(&r, as_rep, "AS-REP")) {
        as_rep++;
    }
    tgs_req = as_rep + 1;
    if (is_among(wire_name(wire), others) || !is_type(&r, tgs_req, "TGS-REQ") ||
        wire_int(wire, "messages[%zu].fields.nonce", tgs_req) < 0) {
        return;
    }
    run_init(&r, wire, as_rep - 1, as_rep, tgs_req);
    as_drawn(&r, tgs_req);
    assert_int_equal(kb_tgs_step(r.tgs, KB_NONE, "", &r.send), KB_SEND);
    assert_true(wire_rng_spent(&r.client.recorded));
    assert_false(r.send.proof);
    if (strstr(wire_name(wire), "client-heimdal") == NULL) {
        assert_same_request(&r, tgs_req);
    }
    if (feed(&r, tgs_req + 1) != KB_DONE) {
        print_error("%s: %s\n", wire_name(wire), kb_tgs_error(r.tgs)->text);
    }
    assert_ticket(&r, tgs_req + 1);
    run_wipe(&r);
    ++*num;
}

static void recorded_exchanges_are_repeated(void **state)
{
    unsigned num = 0;

    (void)state;
    wire_each("exchanges", try_recording, &num);
    assert_true(num > 15);
}

/* The TGT that MIT's client asks for to hand it on. A KDC that gives one without saying so in its
 * flags gave another. */
static void recorded_tgt_is_forwarded(void **state)
{
    struct wire *wire = wire_load("exchanges/mit-forwarded-tgt-client-mit.json");
    struct run r;

    (void)state;
    run_init(&r, wire, 2, 3, 6);
    r.tgs->request.forwarded = true;
    as_drawn(&r, 6);
    assert_int_equal(kb_tgs_step(r.tgs, KB_NONE, "", &r.send), KB_SEND);
    assert_same_request(&r, 6);
    assert_int_equal(feed(&r, 7), KB_DONE);
    assert_ticket(&r, 7);
    assert_true((kb_tgs_ticket(r.tgs)->flags & KB_TKT_FORWARDED) != 0);
    run_wipe(&r);
    wire_free(wire);
}

/* MIT.TEST refers to MIT2.TEST, which has the service. */
static void recorded_referral_is_followed(void **state)
{
    struct wire *wire = wire_load("exchanges/mit-referral.json");
    struct run r;

    (void)state;
    run_init(&r, wire, 2, 3, 4);
    as_drawn(&r, 4);
    assert_int_equal(kb_tgs_step(r.tgs, KB_NONE, "", &r.send), KB_SEND);
    assert_true(kb_equal(r.send.realm, KB_LIT("MIT.TEST")));
    assert_same_request(&r, 4);
    as_drawn(&r, 6);
    assert_int_equal(feed(&r, 5), KB_SEND);
    assert_true(kb_equal(r.send.realm, KB_LIT("MIT2.TEST")));
    assert_same_request(&r, 6);
    assert_int_equal(feed(&r, 7), KB_DONE);
    assert_ticket(&r, 7);
    assert_true(kb_equal(kb_tgs_ticket(r.tgs)->server->realm, KB_LIT("MIT2.TEST")));
    run_wipe(&r);
    wire_free(wire);
}

/* --- a KDC of our own --- */

struct lab {
    struct client client;
    struct minikdc kdc;
    struct kb_key *session_key; /* of the TGT at hand */
    struct kb_credential *tgt;
    struct kb_tgs *tgs;
    struct kb_send send;
};

static struct kb_credential *make_tgt(struct lab *lab, const char *to, const char *at)
{
    struct kb_credential parts = {
        .client = lab->client.principal,
        .server = kb_principal_tgs(kb_str(to), kb_str(at)),
        .session_key = lab->session_key,
        .flags = 0x50e10000u,
        .authtime = lab->kdc.now - 100,
        .starttime = lab->kdc.now - 100,
        .endtime = lab->kdc.now + 36000,
    };
    kb_ticket_fields fields = {5, kb_str(at), parts.server->name, {18, true, 1, KB_LIT("cipher")}};
    struct kb_credential *tgt;

    assert_int_equal(kb_encode_ticket(&lab->kdc.arena, &fields, &parts.ticket), KB_OK);
    tgt = kb_credential_new(&parts);
    kb_principal_free(parts.server);
    return tgt;
}

static void lab_init(struct lab *lab, const char *service)
{
    struct kb_tgs_request request;
    struct kb_principal *principal;

    memset(lab, 0, sizeof(*lab));
    client_init(&lab->client);
    minikdc_init(&lab->kdc, lab->client.now.sec, 18, 1);
    assert_int_equal(kb_key_new(18, KB_LIT("0123456789abcdef0123456789abcdef"), &lab->session_key),
                     KB_OK);
    lab->tgt = make_tgt(lab, "TEST", "TEST");
    assert_int_equal(kb_principal_parse(kb_str(service), KB_NT_PRINCIPAL, KB_NONE, &principal),
                     KB_OK);
    request = (struct kb_tgs_request){
        .tgt = lab->tgt, .service = principal, .policy = &lab->client.policy};
    lab->tgs = kb_tgs_new(&lab->client.env, &request);
    kb_principal_free(principal);
    assert_int_equal(kb_tgs_step(lab->tgs, KB_NONE, "", &lab->send), KB_SEND);
}

static void lab_wipe(struct lab *lab)
{
    kb_tgs_free(lab->tgs);
    kb_credential_free(lab->tgt);
    kb_key_free(lab->session_key);
    minikdc_wipe(&lab->kdc);
    client_wipe(&lab->client);
}

static void answer(struct lab *lab, struct minikdc_reply *out)
{
    minikdc_tgs(&lab->kdc, lab->session_key, lab->send.message, out);
}

static enum kb_step give(struct lab *lab, const struct minikdc_reply *reply)
{
    kb_bytes sealed = minikdc_seal(&lab->kdc, reply);

    return kb_tgs_step(lab->tgs, sealed, "192.0.2.1:88 (udp)", &lab->send);
}

static enum kb_step give_error(struct lab *lab, int32_t code)
{
    return kb_tgs_step(lab->tgs, minikdc_error(&lab->kdc, code, KB_NONE), "192.0.2.1:88 (udp)",
                       &lab->send);
}

/* Turns a reply into a referral, whose session key is that of the next request. */
static void refer(struct lab *lab, struct minikdc_reply *reply, const char *to)
{
    reply->ticket.sname = reply->part.sname = minikdc_name(&lab->kdc, 2, "krbtgt", to);
    kb_key_free(lab->session_key);
    assert_int_equal(
        kb_key_new(reply->part.key.keytype, reply->part.key.keyvalue, &lab->session_key), KB_OK);
}

static void right_reply_is_taken(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    answer(&lab, &reply);
    assert_int_equal(give(&lab, &reply), KB_DONE);
    assert_int_equal(kb_tgs_ticket(lab.tgs)->endtime, reply.part.endtime);
    lab_wipe(&lab);
}

/* --- one thing wrong --- */

static void wrong_nonce(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.nonce++;
}
static void wrong_crealm(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.crealm = KB_LIT("OTHER");
}
static void wrong_cname(struct lab *lab, struct minikdc_reply *r)
{
    r->msg.cname = minikdc_name(&lab->kdc, 1, "root", NULL);
}
static void wrong_ticket_sname(struct lab *lab, struct minikdc_reply *r)
{
    r->ticket.sname = minikdc_name(&lab->kdc, 1, "HTTP", "evil.test");
}
static void wrong_ticket_realm(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->ticket.realm = KB_LIT("OTHER");
}
static void wrong_srealm(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->ticket.realm = r->part.srealm = KB_LIT("OTHER");
}
static void wrong_usage(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->usage = KB_USAGE_AS_REP;
}
static void subkey_with_session_usage(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->usage = KB_USAGE_TGS_REP_SESSION;
}
static void client_key(struct lab *lab, struct minikdc_reply *r)
{
    r->key = lab->kdc.client_key;
}
static void ends_before_it_begins(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.endtime = r->part.starttime;
}
static void ends_after_the_tgt(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.endtime = lab->tgt->endtime + 1;
}
static void begins_in_an_hour(struct lab *lab, struct minikdc_reply *r)
{
    r->part.starttime = lab->kdc.now + 3600;
}
static void ended_an_hour_ago(struct lab *lab, struct minikdc_reply *r)
{
    r->part.starttime = lab->kdc.now - 7200;
    r->part.endtime = lab->kdc.now - 3600;
}
static void postdated(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.flags |= 0x02000000u;
}
static void invalid(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.flags |= 0x01000000u;
}
static void weak_session_key(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.key = (kb_encryption_key){23, KB_LIT("0123456789abcdef")};
}
static void short_session_key(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.key.keyvalue.len--;
}
static void addresses(struct lab *lab, struct minikdc_reply *r)
{
    kb_host_address *address = kb_arena_alloc(&lab->kdc.arena, sizeof(*address));

    *address = (kb_host_address){2, KB_LIT("\x7f\x00\x00\x01")};
    r->part.has_caddr = true;
    r->part.caddr = (kb_host_addresses){address, 1};
}
static void wrong_msg_type(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.msg_type = 11;
}
static void wrong_pvno(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.pvno = 4;
}
static void bytes_behind(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->tail_len = 3;
}
static void same_realm_tgt(struct lab *lab, struct minikdc_reply *r)
{
    /* The second time, without canonicalize, this is the wrong service. */
    assert_int_equal((refer(lab, r, "TEST"), give(lab, r)), KB_SEND);
    assert_int_equal(lab->tgs->state, KB_TGS_PLAIN);
    kb_key_free(lab->session_key);
    lab->session_key = kb_key_ref(lab->tgt->session_key);
    answer(lab, r);
    r->ticket.sname = r->part.sname = minikdc_name(&lab->kdc, 2, "krbtgt", "TEST");
}
static void alias_when_not_asked(struct lab *lab, struct minikdc_reply *r)
{
    same_realm_tgt(lab, r);
    r->ticket.sname = r->part.sname = minikdc_name(&lab->kdc, 1, "HTTP", "alias.test");
}

static const struct {
    const char *name;
    void (*spoil)(struct lab *lab, struct minikdc_reply *reply);
    enum kb_error_code code;
    enum kb_verdict verdict;
} wrong[] = {
    {"nonce", wrong_nonce, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"crealm", wrong_crealm, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"cname", wrong_cname, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"ticket sname", wrong_ticket_sname, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"ticket realm", wrong_ticket_realm, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"srealm", wrong_srealm, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"usage", wrong_usage, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"subkey, usage 8", subkey_with_session_usage, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"client's key", client_key, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"ends before it begins", ends_before_it_begins, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"ends after the TGT", ends_after_the_tgt, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"begins in an hour", begins_in_an_hour, KB_E_CLOCK, KB_VERDICT_WEAK},
    {"ended an hour ago", ended_an_hour_ago, KB_E_CLOCK, KB_VERDICT_WEAK},
    {"postdated", postdated, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"invalid", invalid, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"rc4 session key", weak_session_key, KB_E_NO_ENCTYPE, KB_VERDICT_WEAK},
    {"short session key", short_session_key, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"addresses", addresses, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"msg-type", wrong_msg_type, KB_E_KDC_REPLY, KB_VERDICT_IGNORE},
    {"pvno", wrong_pvno, KB_E_KDC_REPLY, KB_VERDICT_IGNORE},
    {"bytes behind", bytes_behind, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"krbtgt for a service", same_realm_tgt, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
    {"alias without canonicalize", alias_when_not_asked, KB_E_KDC_REPLY, KB_VERDICT_WEAK},
};

static void wrong_replies_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct minikdc_reply reply;
        struct lab lab;
        kb_bytes sealed;

        lab_init(&lab, "HTTP/www.test@TEST");
        answer(&lab, &reply);
        wrong[i].spoil(&lab, &reply);
        sealed = minikdc_seal(&lab.kdc, &reply);
        if (kb_tgs_verdict(lab.tgs, sealed) != wrong[i].verdict) {
            fail_msg("%s: another verdict", wrong[i].name);
        }
        if (kb_tgs_step(lab.tgs, sealed, "kdc", &lab.send) != KB_STEP_ERROR ||
            kb_tgs_error(lab.tgs)->code != wrong[i].code) {
            fail_msg("%s: %s", wrong[i].name, kb_tgs_error(lab.tgs)->text);
        }
        assert_null(kb_tgs_ticket(lab.tgs));
        lab_wipe(&lab);
    }
}

/* A KDC that overlooks the subkey. */
static void session_key_reply_is_taken(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    answer(&lab, &reply);
    reply.key = lab.session_key;
    reply.usage = KB_USAGE_TGS_REP_SESSION;
    assert_int_equal(give(&lab, &reply), KB_DONE);
    lab_wipe(&lab);
}

static void alias_is_taken(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    answer(&lab, &reply);
    reply.ticket.sname = reply.part.sname = minikdc_name(&lab.kdc, 1, "host", "www.test");
    assert_int_equal(give(&lab, &reply), KB_DONE);
    lab_wipe(&lab);
}

/* --- referrals --- */

/* Sends the machine along a way of realms; what it says in the end. */
static enum kb_step walk(struct lab *lab, const char *const *realms)
{
    enum kb_step step = KB_SEND;

    for (; *realms != NULL && step == KB_SEND; realms++) {
        struct minikdc_reply reply;

        answer(lab, &reply);
        refer(lab, &reply, *realms);
        step = give(lab, &reply);
    }
    return step;
}

static void referrals_are_followed(void **state)
{
    static const char *const way[] = {"A", "B", "C", NULL};
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.c.test@TEST");
    assert_int_equal(walk(&lab, way), KB_SEND);
    assert_true(kb_equal(lab.send.realm, KB_LIT("C")));
    answer(&lab, &reply);
    assert_int_equal(give(&lab, &reply), KB_DONE);
    lab_wipe(&lab);
}

static void loops_end(void **state)
{
    static const char *const loop[] = {"A", "B", "A", NULL};
    static const char *const back[] = {"A", "TEST", NULL};
    static const char *const endless[] = {"A", "B", "C", "D", "E", "F", "G",
                                          "H", "I", "J", "K", "L", NULL};
    static const char *const nameless[] = {"", NULL};
    static const char *const *const ways[] = {loop, back, endless, nameless};

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct lab lab;

        lab_init(&lab, "HTTP/www.c.test@TEST");
        assert_int_equal(walk(&lab, ways[i]), KB_STEP_ERROR);
        assert_int_equal(kb_tgs_error(lab.tgs)->code, KB_E_KDC_REPLY);
        lab_wipe(&lab);
    }
}

/* AD's answer to a name that it does not know: the TGT that we have. Asked again as named, in each
 * realm once. */
static void referral_to_itself_is_asked_again(void **state)
{
    static const char *const way[] = {"A", NULL};
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    assert_int_equal(walk(&lab, way), KB_SEND);
    answer(&lab, &reply);
    reply.ticket.sname = reply.part.sname = minikdc_name(&lab.kdc, 2, "krbtgt", "A");
    assert_int_equal(give(&lab, &reply), KB_SEND);
    assert_int_equal(lab.tgs->state, KB_TGS_PLAIN);
    assert_int_equal(give_error(&lab, 7), KB_STEP_ERROR);
    assert_int_equal(kb_tgs_error(lab.tgs)->code, KB_E_SERVICE_UNKNOWN);
    lab_wipe(&lab);

    lab_init(&lab, "HTTP/www.test@TEST");
    assert_int_equal(minikdc_body(&lab.kdc, lab.send.message).kdc_options & 0x00010000u,
                     0x00010000u);
    answer(&lab, &reply);
    reply.ticket.sname = reply.part.sname = minikdc_name(&lab.kdc, 2, "krbtgt", "TEST");
    assert_int_equal(give(&lab, &reply), KB_SEND);
    assert_int_equal(minikdc_body(&lab.kdc, lab.send.message).kdc_options & 0x00010000u, 0);
    answer(&lab, &reply);
    assert_int_equal(give(&lab, &reply), KB_DONE);
    lab_wipe(&lab);
}

/* What was gone through is there for whoever keeps it, also where nothing comes of it. */
static void referrals_can_be_kept(void **state)
{
    static const char *const way[] = {"A", "B", NULL};
    struct kb_text name;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.c.test@TEST");
    assert_null(kb_tgs_referral(lab.tgs, 0));
    assert_int_equal(walk(&lab, way), KB_SEND);
    assert_int_equal(give_error(&lab, 7), KB_STEP_ERROR);
    assert_string_equal(kb_text_principal(&name, kb_tgs_referral(lab.tgs, 0)->server),
                        "krbtgt/A@TEST");
    assert_string_equal(kb_text_principal(&name, kb_tgs_referral(lab.tgs, 1)->server),
                        "krbtgt/B@A");
    assert_null(kb_tgs_referral(lab.tgs, 2));
    assert_true(kb_equal(kb_tgs_realm(lab.tgs), KB_LIT("B")));
    assert_false(kb_tgs_tgt_refused(lab.tgs));
    lab_wipe(&lab);
}

/* Asked for the way to a realm, a KDC names a nearer one: where to go from there is decided
 * elsewhere. */
static void a_nearer_realm_ends_it(void **state)
{
    static const char *const answers[] = {"C", "B"};
    struct minikdc_reply reply;
    struct kb_text name;
    struct lab lab;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        lab_init(&lab, "krbtgt/C@TEST");
        answer(&lab, &reply);
        refer(&lab, &reply, answers[i]);
        assert_int_equal(give(&lab, &reply), KB_DONE);
        assert_string_equal(kb_text_principal(&name, kb_tgs_ticket(lab.tgs)->server),
                            i == 0 ? "krbtgt/C@TEST" : "krbtgt/B@TEST");
        assert_null(kb_tgs_referral(lab.tgs, 0));
        lab_wipe(&lab);
    }
}

/* A service's ticket is no way to anywhere, and neither is the TGT that we have. */
static void no_way_is_told(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab, "krbtgt/C@TEST");
    answer(&lab, &reply);
    reply.ticket.sname = reply.part.sname = minikdc_name(&lab.kdc, 1, "HTTP", "www.c.test");
    assert_int_equal(give(&lab, &reply), KB_STEP_ERROR);
    assert_int_equal(kb_tgs_error(lab.tgs)->code, KB_E_KDC_REPLY);
    lab_wipe(&lab);

    lab_init(&lab, "krbtgt/C@TEST");
    answer(&lab, &reply);
    reply.ticket.sname = reply.part.sname = minikdc_name(&lab.kdc, 2, "krbtgt", "");
    assert_int_equal(give(&lab, &reply), KB_STEP_ERROR);
    lab_wipe(&lab);

    lab_init(&lab, "krbtgt/C@TEST");
    answer(&lab, &reply);
    reply.ticket.sname = reply.part.sname = minikdc_name(&lab.kdc, 2, "krbtgt", "TEST");
    assert_int_equal(give(&lab, &reply), KB_SEND); /* as named */
    assert_int_equal(give_error(&lab, 7), KB_STEP_ERROR);
    assert_int_equal(kb_tgs_error(lab.tgs)->code, KB_E_SERVICE_UNKNOWN);
    lab_wipe(&lab);
}

/* --- what a realm says of another's services --- */

/* The flag in the ticket that comes by way of `way`, whose TGTs have it (1) or not (0). */
static bool delegation_by(const char *const *way, const char *trusted)
{
    struct minikdc_reply reply;
    struct lab lab;
    bool kept;

    lab_init(&lab, "HTTP/www.c.test@TEST");
    for (; *way != NULL; way++, trusted++) {
        answer(&lab, &reply);
        refer(&lab, &reply, *way);
        reply.part.flags |= *trusted == '1' ? KB_TKT_OK_AS_DELEGATE : 0;
        assert_int_equal(give(&lab, &reply), KB_SEND);
    }
    answer(&lab, &reply);
    reply.part.flags |= KB_TKT_OK_AS_DELEGATE;
    assert_int_equal(give(&lab, &reply), KB_DONE);
    kept = (kb_tgs_ticket(lab.tgs)->flags & KB_TKT_OK_AS_DELEGATE) != 0;
    lab_wipe(&lab);
    return kept;
}

/* MIT's gc_via_tkt.c: a foreign KDC is believed if the TGT for it has the flag itself. */
static void delegation_is_believed_along_the_way(void **state)
{
    static const char *const way[] = {"A", "B", NULL};

    (void)state;
    assert_true(delegation_by(way + 2, "")); /* the user's own realm */
    assert_true(delegation_by(way + 1, "1"));
    assert_false(delegation_by(way + 1, "0"));
    assert_true(delegation_by(way, "11"));
    assert_false(delegation_by(way, "10"));
    assert_false(delegation_by(way, "01")); /* taken out of B's by what A's lacks */
}

/* --- errors --- */

static kb_authenticator authenticator_of(struct lab *lab)
{
    kb_ap_req ap;
    kb_authenticator out;
    uint8_t *plain;
    size_t len;

    assert_int_equal(kb_decode_ap_req(minikdc_padata(&lab->kdc, lab->send.message, 1),
                                      &lab->kdc.arena, &ap, NULL),
                     KB_OK);
    plain = kb_arena_alloc(&lab->kdc.arena, ap.authenticator.cipher.len);
    assert_int_equal(kb_decrypt(lab->session_key, KB_USAGE_TGS_REQ_AUTHENTICATOR,
                                ap.authenticator.cipher, plain, &len),
                     KB_OK);
    assert_int_equal(kb_decode_authenticator(kb_bytes_of(plain, len), &lab->kdc.arena, &out, NULL),
                     KB_OK);
    return out;
}

static void clock_is_corrected_once(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    lab.kdc.now += 1000;
    assert_int_equal(give_error(&lab, 37), KB_SEND);
    assert_int_equal(authenticator_of(&lab).ctime, lab.kdc.now);
    answer(&lab, &reply);
    assert_int_equal(give(&lab, &reply), KB_DONE);
    assert_true(kb_tgs_clock_differs(lab.tgs));
    lab_wipe(&lab);

    lab_init(&lab, "HTTP/www.test@TEST");
    lab.kdc.now += 1000;
    assert_int_equal(give_error(&lab, 37), KB_SEND);
    assert_int_equal(give_error(&lab, 37), KB_STEP_ERROR);
    assert_int_equal(kb_tgs_error(lab.tgs)->code, KB_E_CLOCK);
    assert_non_null(strstr(kb_tgs_error(lab.tgs)->text, "1000 seconds ahead"));
    lab_wipe(&lab);
}

/* Two of MIT's: under a key that it has no more, and a trouble of its own. */
static void a_useless_tgt_has_no_code_of_its_own(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    assert_int_equal(
        kb_tgs_step(lab.tgs, minikdc_error_text(&lab.kdc, 60, "PROCESS_TGS"), "kdc", &lab.send),
        KB_STEP_ERROR);
    assert_true(kb_tgs_tgt_refused(lab.tgs));
    lab_wipe(&lab);
    lab_init(&lab, "HTTP/www.test@TEST");
    assert_int_equal(kb_tgs_step(lab.tgs, minikdc_error_text(&lab.kdc, 60, "ENCRYPT_TKT_PART"),
                                 "kdc", &lab.send),
                     KB_STEP_ERROR);
    assert_false(kb_tgs_tgt_refused(lab.tgs));
    lab_wipe(&lab);
}

static void errors_are_final(void **state)
{
    static const struct {
        int32_t code;
        enum kb_error_code kind;
        bool tgt_refused;
    } rows[] = {
        {7, KB_E_SERVICE_UNKNOWN, false}, {12, KB_E_POLICY, false},
        {14, KB_E_NO_ENCTYPE, false},     {20, KB_E_TICKET_EXPIRED, true},
        {31, KB_E_KDC_ERROR, true},       {32, KB_E_TICKET_EXPIRED, true},
        {33, KB_E_CLOCK, true},           {41, KB_E_KDC_ERROR, true},
        {44, KB_E_KDC_ERROR, true},       {60, KB_E_KDC_ERROR, false},
        {-5, KB_E_KDC_ERROR, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lab lab;

        lab_init(&lab, "HTTP/www.test@TEST");
        assert_int_equal(give_error(&lab, rows[i].code), KB_STEP_ERROR);
        assert_int_equal(kb_tgs_error(lab.tgs)->code, rows[i].kind);
        assert_int_equal(kb_tgs_error(lab.tgs)->kdc_code, rows[i].code);
        assert_int_equal(kb_tgs_tgt_refused(lab.tgs), rows[i].tgt_refused);
        assert_int_equal(kb_tgs_clock_differs(lab.tgs), rows[i].kind == KB_E_CLOCK);
        assert_non_null(strstr(kb_tgs_error(lab.tgs)->text, "HTTP/www.test@TEST"));
        assert_non_null(strstr(kb_tgs_error(lab.tgs)->text, "192.0.2.1:88"));
        lab_wipe(&lab);
    }
}

/* --- damaged replies --- */

/* Whatever is done to a reply: it is refused, or gives what the KDC confirmed. Only the ticket
 * itself, which is the service's, may differ. */
static void assert_harmless(struct lab *lab, kb_bytes damaged, const struct minikdc_reply *reply)
{
    struct kb_tgs_reply got;
    struct kb_fault fault;
    struct kb_arena arena;

    kb_arena_init(&arena, NULL, 0, 1 << 22);
    (void)kb_tgs_verdict(lab->tgs, damaged);
    if (kb_tgs_check_reply(lab->tgs, damaged, &arena, &got, &fault) == KB_OK) {
        assert_int_equal(got.answer, KB_TGS_ASKED_FOR);
        assert_true(kb_equal(kb_key_bytes(got.session_key), reply->part.key.keyvalue));
        assert_true(kb_name_equal(&got.rep.ticket.sname, &reply->part.sname));
        assert_true(kb_name_equal(&got.rep.msg.cname, &reply->msg.cname));
        assert_int_equal(got.rep.part.endtime, reply->part.endtime);
    }
    kb_key_free(got.session_key);
    kb_arena_wipe(&arena);
}

static void damaged_replies_are_harmless(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;
    kb_bytes sealed;
    uint8_t *copy;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    answer(&lab, &reply);
    sealed = minikdc_seal(&lab.kdc, &reply);
    for (size_t len = 0; len < sealed.len; len++) {
        copy = malloc(len + 1);
        memcpy(copy, sealed.ptr, len);
        assert_harmless(&lab, kb_bytes_of(copy, len), &reply);
        free(copy);
    }
    copy = malloc(sealed.len);
    memcpy(copy, sealed.ptr, sealed.len);
    for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_harmless(&lab, kb_bytes_of(copy, sealed.len), &reply);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(copy);
    lab_wipe(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_exchanges_are_repeated),
        cmocka_unit_test(recorded_tgt_is_forwarded),
        cmocka_unit_test(recorded_referral_is_followed),
        cmocka_unit_test(right_reply_is_taken),
        cmocka_unit_test(wrong_replies_are_refused),
        cmocka_unit_test(session_key_reply_is_taken),
        cmocka_unit_test(alias_is_taken),
        cmocka_unit_test(referrals_are_followed),
        cmocka_unit_test(loops_end),
        cmocka_unit_test(referral_to_itself_is_asked_again),
        cmocka_unit_test(referrals_can_be_kept),
        cmocka_unit_test(a_nearer_realm_ends_it),
        cmocka_unit_test(no_way_is_told),
        cmocka_unit_test(delegation_is_believed_along_the_way),
        cmocka_unit_test(clock_is_corrected_once),
        cmocka_unit_test(errors_are_final),
        cmocka_unit_test(a_useless_tgt_has_no_code_of_its_own),
        cmocka_unit_test(damaged_replies_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
