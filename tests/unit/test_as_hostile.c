/* mech/protocol/as: replies that are wrong in one thing, forged or damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/as_machine.h"
#include "tests/support/client.h"
#include "tests/support/minikdc.h"

struct lab {
    struct client client;
    struct minikdc kdc;
    struct kb_as *as;
    struct kb_send send;
    struct kb_key *other_key; /* of nobody here */
};

/* A proof is out, so the reply is next. */
static void lab_init(struct lab *lab, bool canonicalize)
{
    static const uint8_t rounds[] = {0, 0, 0, 2};
    struct kb_as_request request;

    memset(lab, 0, sizeof(*lab));
    client_init(&lab->client);
    lab->client.policy.canonicalize = canonicalize;
    minikdc_init(&lab->kdc, lab->client.now.sec, 18, 2);
    assert_int_equal(kb_key_new(18, KB_LIT("0123456789abcdef0123456789abcdef"), &lab->other_key),
                     KB_OK);
    request = (struct kb_as_request){.client = lab->client.principal,
                                     .keys = &lab->client.keys,
                                     .policy = &lab->client.policy,
                                     .hint = {18, KB_LIT(MINIKDC_SALT), {rounds, 4}, KB_NONE},
                                     .first_proof = true};
    lab->as = kb_as_new(&lab->client.env, &request);
    assert_non_null(lab->as);
    assert_int_equal(kb_as_step(lab->as, KB_NONE, "", &lab->send), KB_SEND);
}

static void lab_wipe(struct lab *lab)
{
    kb_as_free(lab->as);
    kb_key_free(lab->other_key);
    minikdc_wipe(&lab->kdc);
    client_wipe(&lab->client);
}

/* --- one thing wrong --- */

static void nothing(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    (void)r;
}
static void nonce(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.nonce ^= 1;
}
static void crealm(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.crealm = KB_LIT("OTHER");
}
static void cname(struct lab *lab, struct minikdc_reply *r)
{
    r->msg.cname = minikdc_name(&lab->kdc, 1, "root", NULL);
}
static void cname_longer(struct lab *lab, struct minikdc_reply *r)
{
    r->msg.cname = minikdc_name(&lab->kdc, 1, "alice", "admin");
}
static void name_type(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.cname.name_type = 0; /* a hint, RFC 4120 6.2 */
}
static void sname(struct lab *lab, struct minikdc_reply *r)
{
    r->ticket.sname = r->part.sname = minikdc_name(&lab->kdc, 1, "HTTP", "evil");
}
static void other_tgs(struct lab *lab, struct minikdc_reply *r)
{
    r->ticket.sname = r->part.sname = minikdc_name(&lab->kdc, 2, "krbtgt", "OTHER");
}
static void other_realms_tgs(struct lab *lab, struct minikdc_reply *r)
{
    other_tgs(lab, r);
    r->ticket.realm = r->part.srealm = r->msg.crealm = KB_LIT("OTHER");
}
static void srealm(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->ticket.realm = r->part.srealm = KB_LIT("OTHER");
}
static void clear_sname(struct lab *lab, struct minikdc_reply *r)
{
    r->ticket.sname = minikdc_name(&lab->kdc, 1, "HTTP", "evil");
}
static void clear_realm(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->ticket.realm = KB_LIT("OTHER");
}
static void key(struct lab *lab, struct minikdc_reply *r)
{
    r->key = lab->other_key;
    r->request = KB_NONE;
}
static void usage(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->usage = KB_USAGE_TGS_REP_SESSION;
}
static void no_checksum(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->request = KB_NONE; /* but the flag stays */
}
static void no_flag(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->request = KB_NONE;
    r->part.flags &= ~KB_TKT_ENC_PA_REP; /* a KDC that does not do it */
}
static void altered_request(struct lab *lab, struct minikdc_reply *r)
{
    uint8_t *copy = kb_arena_alloc(&lab->kdc.arena, r->request.len);

    memcpy(copy, r->request.ptr, r->request.len);
    copy[r->request.len - 1] ^= 1;
    r->request = kb_bytes_of(copy, r->request.len);
}
static void addresses(struct lab *lab, struct minikdc_reply *r)
{
    kb_host_address *address = kb_arena_alloc(&lab->kdc.arena, sizeof(*address));

    *address = (kb_host_address){2, KB_LIT("\x7f\x00\x00\x01")};
    r->part.has_caddr = true;
    r->part.caddr = (kb_host_addresses){address, 1};
}
static void no_life(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.endtime = r->part.starttime;
}
static void long_life(struct lab *lab, struct minikdc_reply *r)
{
    r->part.endtime = lab->as->terms.till + 1;
}
static void long_renewal(struct lab *lab, struct minikdc_reply *r)
{
    r->part.renew_till = lab->as->terms.rtime + 1;
}
static void later(struct lab *lab, struct minikdc_reply *r)
{
    r->part.starttime = lab->kdc.now + 3600;
}
static void years_ago(struct lab *lab, struct minikdc_reply *r)
{
    r->part.authtime = r->part.starttime = lab->kdc.now - INT64_C(86400) * 3650;
    r->part.endtime = r->part.starttime + 36000;
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
static void no_starttime(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.has_starttime = false; /* MIT; authtime counts */
    r->part.starttime = 0;
}
static void session_etype(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.key = (kb_encryption_key){3, KB_LIT("12345678")};
}
static void session_len(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->part.key.keyvalue.len = 0;
}
static void pvno(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.pvno = 4;
}
static void msg_type(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.msg_type = 13;
}
static void tail(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->tail_len = 1;
}
static void reply_etype(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.enc_part = (kb_encrypted_data){.etype = 23, .cipher = KB_LIT("0123456789abcdef0123")};
}
static void no_cipher(struct lab *lab, struct minikdc_reply *r)
{
    (void)lab;
    r->msg.enc_part = (kb_encrypted_data){.etype = 18, .cipher = KB_LIT("0")};
}

#define TAKEN KB_E_NONE

/* clang-format off */
static const struct {
    const char *name;
    void (*spoil)(struct lab *lab, struct minikdc_reply *reply);
    enum kb_error_code as_named, canonical; /* without and with canonicalize */
} rows[] = {
    {"nothing",           nothing,          TAKEN,               TAKEN},
    {"nonce",             nonce,            KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"crealm",            crealm,           KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"cname",             cname,            KB_E_KDC_REPLY,      TAKEN},
    {"cname, longer",     cname_longer,     KB_E_KDC_REPLY,      TAKEN},
    {"name type",         name_type,        TAKEN,               TAKEN},
    {"sname",             sname,            KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"another TGS",       other_tgs,        KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"other realm's TGS", other_realms_tgs, KB_E_KDC_REPLY,      TAKEN},
    {"srealm",            srealm,           KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"ticket's sname",    clear_sname,      KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"ticket's realm",    clear_realm,      KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"key",               key,              KB_E_WRONG_PASSWORD, KB_E_WRONG_PASSWORD},
    {"usage",             usage,            KB_E_WRONG_PASSWORD, KB_E_WRONG_PASSWORD},
    {"no checksum",       no_checksum,      KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"no flag",           no_flag,          TAKEN,               TAKEN},
    {"altered request",   altered_request,  KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"addresses",         addresses,        KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"no life",           no_life,          KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"long life",         long_life,        KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"long renewal",      long_renewal,     KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"valid later",       later,            KB_E_CLOCK,          KB_E_CLOCK},
    {"years ago",         years_ago,        KB_E_CLOCK,          KB_E_CLOCK},
    {"postdated",         postdated,        KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"invalid",           invalid,          KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"no starttime",      no_starttime,     TAKEN,               TAKEN},
    {"session etype",     session_etype,    KB_E_NO_ENCTYPE,     KB_E_NO_ENCTYPE},
    {"session length",    session_len,      KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"pvno",              pvno,             KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"msg-type",          msg_type,         KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"bytes behind",      tail,             KB_E_KDC_REPLY,      KB_E_KDC_REPLY},
    {"reply etype",       reply_etype,      KB_E_NO_ENCTYPE,     KB_E_NO_ENCTYPE},
    {"no cipher",         no_cipher,        KB_E_WRONG_PASSWORD, KB_E_WRONG_PASSWORD},
};
/* clang-format on */

static void try_row(size_t row, bool canonicalize)
{
    enum kb_error_code want = canonicalize ? rows[row].canonical : rows[row].as_named;
    struct minikdc_reply reply;
    enum kb_verdict verdict;
    enum kb_step step;
    struct lab lab;
    kb_bytes sealed;

    lab_init(&lab, canonicalize);
    minikdc_as(&lab.kdc, lab.send.message, &reply);
    rows[row].spoil(&lab, &reply);
    sealed = minikdc_seal(&lab.kdc, &reply);
    verdict = kb_as_verdict(lab.as, sealed);
    step = kb_as_step(lab.as, sealed, "192.0.2.1:88 (udp)", &lab.send);
    if (step != (want == TAKEN ? KB_DONE : KB_STEP_ERROR) || kb_as_error(lab.as)->code != want) {
        fail_msg("%s: %s", rows[row].name, kb_as_error(lab.as)->text);
    }
    if ((verdict == KB_VERDICT_FINAL) != (want == TAKEN)) {
        fail_msg("%s: verdict %d", rows[row].name, (int)verdict);
    }
    assert_int_equal(kb_as_tgt(lab.as) != NULL, want == TAKEN);
    lab_wipe(&lab);
}

static void wrong_replies_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        try_row(i, false);
        try_row(i, true);
    }
}

/* Nothing is learned from a reply that was refused. */
static void refused_replies_teach_nothing(void **state)
{
    struct minikdc_reply reply;
    struct kb_key_hint hint;
    int64_t offset;
    struct lab lab;

    (void)state;
    lab_init(&lab, false);
    lab.kdc.now += 5000;
    minikdc_as(&lab.kdc, lab.send.message, &reply);
    reply.part.nonce++;
    assert_int_equal(kb_as_step(lab.as, minikdc_seal(&lab.kdc, &reply), "", &lab.send),
                     KB_STEP_ERROR);
    assert_false(kb_as_learned(lab.as, &hint));
    assert_false(kb_as_clock_offset(lab.as, &offset));
    lab_wipe(&lab);
}

/* --- damage --- */

/* Whatever is done to a reply: it is refused, or gives what the KDC confirmed. */
static void assert_harmless(struct lab *lab, kb_bytes damaged, const struct minikdc_reply *reply)
{
    struct kb_as_reply got;
    struct kb_fault fault;
    struct kb_arena arena;

    kb_arena_init(&arena, NULL, 0, 1 << 22);
    (void)kb_as_verdict(lab->as, damaged);
    if (kb_as_check_reply(lab->as, damaged, &arena, &got, &fault) == KB_OK) {
        assert_true(kb_equal(kb_key_bytes(got.session_key), reply->part.key.keyvalue));
        assert_true(kb_name_equal(&got.rep.ticket.sname, &reply->part.sname));
        assert_true(kb_equal(got.rep.ticket.realm, reply->part.srealm));
        assert_true(kb_name_equal(&got.rep.msg.cname, &reply->msg.cname));
        assert_true(kb_equal(got.rep.msg.crealm, reply->msg.crealm));
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
    lab_init(&lab, false);
    minikdc_as(&lab.kdc, lab.send.message, &reply);
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
    assert_true(lab.client.num_derived <= 2); /* a flipped etype, once */
    lab_wipe(&lab);
}

/* KRB-ERRORs with every bit flipped: some request or some error comes of each, and no third proof.
 */
static void damaged_errors_are_harmless(void **state)
{
    kb_bytes error;
    uint8_t *copy;
    struct lab lab;

    (void)state;
    lab_init(&lab, false);
    lab.kdc.cookie = KB_LIT("cookie");
    error = minikdc_error(&lab.kdc, 24, minikdc_method_data(&lab.kdc, 18, "other", 2));
    copy = malloc(error.len);
    memcpy(copy, error.ptr, error.len);
    for (size_t bit = 0; bit < 8 * error.len; bit++) {
        struct lab one;

        lab_init(&one, false);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        (void)kb_as_verdict(one.as, kb_bytes_of(copy, error.len));
        if (kb_as_step(one.as, kb_bytes_of(copy, error.len), "kdc", &one.send) == KB_STEP_ERROR) {
            assert_int_not_equal(kb_as_error(one.as)->code, KB_E_NONE);
        }
        assert_true(one.as->proofs <= 2);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        lab_wipe(&one);
    }
    free(copy);
    lab_wipe(&lab);
}

/* --- what a message is worth --- */

static void verdicts(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;
    uint8_t *copy;
    kb_bytes sealed;

    (void)state;
    lab_init(&lab, false);
    minikdc_as(&lab.kdc, lab.send.message, &reply);
    sealed = minikdc_seal(&lab.kdc, &reply);
    assert_int_equal(kb_as_verdict(lab.as, sealed), KB_VERDICT_FINAL);
    assert_int_equal(kb_as_verdict(lab.as, KB_NONE), KB_VERDICT_IGNORE);
    assert_int_equal(kb_as_verdict(lab.as, KB_LIT("GET / HTTP/1.1")), KB_VERDICT_IGNORE);
    assert_int_equal(kb_as_verdict(lab.as, lab.send.message), KB_VERDICT_IGNORE);
    assert_int_equal(kb_as_verdict(lab.as, kb_bytes_of(sealed.ptr, sealed.len - 1)),
                     KB_VERDICT_IGNORE);
    copy = malloc(sealed.len);
    memcpy(copy, sealed.ptr, sealed.len);
    copy[sealed.len - 1] ^= 1;
    assert_int_equal(kb_as_verdict(lab.as, kb_bytes_of(copy, sealed.len)), KB_VERDICT_WEAK);
    free(copy);
    assert_int_equal(kb_as_verdict(lab.as, minikdc_error(&lab.kdc, 52, KB_NONE)), KB_VERDICT_TCP);
    assert_int_equal(kb_as_verdict(lab.as, minikdc_error(&lab.kdc, 29, KB_NONE)), KB_VERDICT_NEXT);
    assert_int_equal(kb_as_verdict(lab.as, minikdc_error(&lab.kdc, 24, KB_NONE)), KB_VERDICT_FINAL);
    assert_int_equal(kb_as_verdict(lab.as, KB_LIT("\x7e\x02\x30\x00")), KB_VERDICT_NEXT);
    /* None of this has changed what the machine does. */
    assert_int_equal(kb_as_step(lab.as, sealed, "", &lab.send), KB_DONE);
    lab_wipe(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_replies_are_refused),
        cmocka_unit_test(refused_replies_teach_nothing),
        cmocka_unit_test(damaged_replies_are_harmless),
        cmocka_unit_test(damaged_errors_are_harmless),
        cmocka_unit_test(verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
