/* mech/protocol/as: a KDC that sends the user to another realm, or writes its name its own way. RFC
 * 6806 5 to 7. */
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

#define PEER "192.0.2.1:88 (udp)"

struct lab {
    struct client client;
    struct minikdc kdc;
    struct kb_as_request request;
    struct kb_as *as;
    struct kb_send send;
    enum kb_step step;
};

/* alice, or the enterprise name alice@example.org, of realm TEST. */
static void lab_init(struct lab *lab, bool canonicalize, bool enterprise)
{
    memset(lab, 0, sizeof(*lab));
    client_init(&lab->client);
    if (enterprise) {
        kb_principal_free(lab->client.principal);
        assert_int_equal(kb_principal_parse(KB_LIT("alice@example.org"), KB_NT_ENTERPRISE,
                                            KB_LIT("TEST"), &lab->client.principal),
                         KB_OK);
    }
    minikdc_init(&lab->kdc, lab->client.now.sec, 18, 2);
    lab->client.policy.canonicalize = canonicalize;
    lab->request = (struct kb_as_request){
        .client = lab->client.principal, .keys = &lab->client.keys, .policy = &lab->client.policy};
    lab->as = kb_as_new(&lab->client.env, &lab->request);
    assert_non_null(lab->as);
    lab->step = kb_as_step(lab->as, KB_NONE, "", &lab->send);
}

static void lab_wipe(struct lab *lab)
{
    kb_as_free(lab->as);
    minikdc_wipe(&lab->kdc);
    client_wipe(&lab->client);
}

static void give(struct lab *lab, kb_bytes message)
{
    assert_int_equal(lab->step, KB_SEND);
    assert_int_equal(kb_as_verdict(lab->as, message), KB_VERDICT_FINAL);
    lab->step = kb_as_step(lab->as, message, PEER, &lab->send);
}

/* KDC_ERR_WRONG_REALM; RFC 6806 7: "the realm for the client is returned in the crealm field". */
static void refer(struct lab *lab, const char *realm)
{
    kb_krb_error error = {
        .pvno = 5,
        .msg_type = 30,
        .stime = lab->kdc.now,
        .error_code = 68,
        .has_crealm = realm != NULL,
        .crealm = kb_str(realm),
        .has_realm = true,
        .realm = KB_LIT("TEST"),
        .has_sname = true,
        .sname = minikdc_name(&lab->kdc, 2, "krbtgt", "TEST"),
    };
    kb_bytes message;

    assert_int_equal(kb_encode_krb_error(&lab->kdc.arena, &error, &message), KB_OK);
    give(lab, message);
}

static void assert_asks(struct lab *lab, const char *realm)
{
    kb_kdc_req_body body;

    assert_int_equal(lab->step, KB_SEND);
    assert_false(lab->send.proof);
    assert_true(kb_equal(lab->send.realm, kb_str(realm)));
    body = minikdc_body(&lab->kdc, lab->send.message);
    assert_true(kb_equal(body.realm, kb_str(realm)));
    assert_true(kb_equal(body.sname.name_string.items[1], kb_str(realm)));
    assert_true(kb_name_equal(&body.cname, &lab->client.principal->name));
    assert_int_equal(body.cname.name_type, lab->client.principal->name.name_type);
}

static void assert_fails(const struct lab *lab, const char *text)
{
    assert_int_equal(lab->step, KB_STEP_ERROR);
    if (kb_as_error(lab->as)->code != KB_E_WRONG_REALM ||
        strstr(kb_as_error(lab->as)->text, text) == NULL) {
        fail_msg("%d: %s", kb_as_error(lab->as)->code, kb_as_error(lab->as)->text);
    }
}

/* The answer of realm `realm`, whose KDC calls the user `name`. */
static void log_in(struct lab *lab, const char *realm, const char *name)
{
    struct minikdc_reply reply;

    give(lab, minikdc_error(&lab->kdc, 25, minikdc_method_data(&lab->kdc, 18, MINIKDC_SALT, 2)));
    assert_int_equal(lab->step, KB_SEND);
    assert_true(lab->send.proof);
    minikdc_as(&lab->kdc, lab->send.message, &reply);
    reply.msg.crealm = kb_str(realm);
    reply.msg.cname = minikdc_name(&lab->kdc, KB_NT_PRINCIPAL, name, NULL);
    give(lab, minikdc_seal(&lab->kdc, &reply));
}

static void assert_is(const struct lab *lab, const char *client, const char *server)
{
    struct kb_credential *tgt = kb_as_tgt(lab->as);
    struct kb_text text;

    if (lab->step != KB_DONE) {
        fail_msg("%s", kb_as_error(lab->as)->text);
    }
    assert_string_equal(kb_text_principal(&text, tgt->client), client);
    assert_string_equal(kb_text_principal(&text, tgt->server), server);
}

static void the_user_of_another_realm(void **state)
{
    for (int enterprise = 0; enterprise <= 1; enterprise++) {
        struct lab lab;

        (void)state;
        lab_init(&lab, true, enterprise);
        assert_asks(&lab, "TEST");
        refer(&lab, "A.TEST");
        assert_asks(&lab, "A.TEST");
        refer(&lab, "B.TEST");
        assert_asks(&lab, "B.TEST");
        log_in(&lab, "B.TEST", "alice2");
        assert_is(&lab, "alice2@B.TEST", "krbtgt/B.TEST@B.TEST");
        lab_wipe(&lab);
    }
}

static void an_enterprise_name_becomes_a_principal(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, true, true);
    log_in(&lab, "TEST", "a.liddell");
    assert_is(&lab, "a.liddell@TEST", "krbtgt/TEST@TEST");
    lab_wipe(&lab);
}

static void not_where_nobody_asked_for_it(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, false, false);
    refer(&lab, "A.TEST");
    assert_fails(&lab, "to realm A.TEST");
    lab_wipe(&lab);
}

static void a_referral_to_nowhere(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, true, false);
    refer(&lab, NULL);
    assert_fails(&lab, "another realm");
    lab_wipe(&lab);
}

static void loops_and_long_ways_end(void **state)
{
    static const char *const realms[] = {"B", "C", "D", "E"};
    struct lab lab;

    (void)state;
    lab_init(&lab, true, false);
    refer(&lab, "A.TEST");
    refer(&lab, "TEST");
    assert_fails(&lab, "refers the user to realm TEST, which leads to no end");
    lab_wipe(&lab);
    lab_init(&lab, true, false);
    for (size_t i = 0; i < 4; i++) {
        refer(&lab, realms[i]);
        assert_asks(&lab, realms[i]);
    }
    refer(&lab, "F");
    assert_fails(&lab, "realm F, which leads to no end");
    lab_wipe(&lab);
}

/* A reply for a client of a third realm is nobody's. */
static void the_reply_is_of_the_realm_that_was_asked(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, true, false);
    refer(&lab, "A.TEST");
    give(&lab, minikdc_error(&lab.kdc, 25, minikdc_method_data(&lab.kdc, 18, MINIKDC_SALT, 2)));
    {
        struct minikdc_reply reply;

        minikdc_as(&lab.kdc, lab.send.message, &reply);
        reply.msg.crealm = KB_LIT("C.TEST");
        lab.step = kb_as_step(lab.as, minikdc_seal(&lab.kdc, &reply), PEER, &lab.send);
    }
    assert_int_equal(lab.step, KB_STEP_ERROR);
    assert_int_equal(kb_as_error(lab.as)->code, KB_E_KDC_REPLY);
    lab_wipe(&lab);
}

/* --- what was learned --- */

/* A login as if one before had ended in `realm`. */
static void lab_again(struct lab *lab, bool enterprise, const char *realm)
{
    static const uint8_t rounds[] = {0, 0, 0, 2};

    lab_init(lab, true, enterprise);
    kb_as_free(lab->as);
    lab->request.first_proof = true;
    lab->request.hint = (struct kb_key_hint){18, KB_LIT(MINIKDC_SALT), {rounds, 4}, kb_str(realm)};
    lab->as = kb_as_new(&lab->client.env, &lab->request);
    assert_non_null(lab->as);
    lab->step = kb_as_step(lab->as, KB_NONE, "", &lab->send);
}

static void assert_proves(const struct lab *lab, const char *realm)
{
    assert_int_equal(lab->step, KB_SEND);
    assert_true(lab->send.proof);
    assert_true(kb_equal(lab->send.realm, kb_str(realm)));
}

static void the_realm_is_learned(void **state)
{
    struct kb_key_hint hint;
    struct lab lab;

    (void)state;
    lab_init(&lab, true, true);
    refer(&lab, "A.TEST");
    log_in(&lab, "A.TEST", "alice2");
    assert_true(kb_as_learned(lab.as, &hint));
    assert_true(kb_equal(hint.realm, KB_LIT("A.TEST")));
    lab_wipe(&lab);
}

/* The second login asks there at once, and proves at once. */
static void the_next_login_begins_there(void **state)
{
    for (int enterprise = 0; enterprise <= 1; enterprise++) {
        struct minikdc_reply reply;
        struct lab lab;

        (void)state;
        lab_again(&lab, enterprise, "A.TEST");
        assert_proves(&lab, "A.TEST");
        minikdc_as(&lab.kdc, lab.send.message, &reply);
        reply.msg.crealm = KB_LIT("A.TEST");
        reply.msg.cname = minikdc_name(&lab.kdc, KB_NT_PRINCIPAL, "alice2", NULL);
        give(&lab, minikdc_seal(&lab.kdc, &reply));
        assert_is(&lab, "alice2@A.TEST", "krbtgt/A.TEST@A.TEST");
        lab_wipe(&lab);
    }
}

/* The user has moved: that realm says so, or says nothing of where to. */
static void what_was_learned_may_be_old(void **state)
{
    struct lab lab;

    (void)state;
    lab_again(&lab, true, "A.TEST");
    refer(&lab, "TEST");
    assert_asks(&lab, "TEST");
    lab_wipe(&lab);

    lab_again(&lab, true, "A.TEST");
    give(&lab, minikdc_error(&lab.kdc, 6, KB_NONE));
    assert_asks(&lab, "TEST");
    give(&lab, minikdc_error(&lab.kdc, 6, KB_NONE));
    assert_int_equal(lab.step, KB_STEP_ERROR);
    assert_int_equal(kb_as_error(lab.as)->code, KB_E_CLIENT_UNKNOWN);
    lab_wipe(&lab);

    lab_again(&lab, true, "A.TEST"); /* only once in a login */
    refer(&lab, "B.TEST");
    give(&lab, minikdc_error(&lab.kdc, 6, KB_NONE));
    assert_int_equal(lab.step, KB_STEP_ERROR);
    lab_wipe(&lab);
}

/* Whose user an enterprise name is, nobody knows at first: no proof for whoever is asked then. */
static void no_proof_for_who_may_be_another_realm(void **state)
{
    struct lab lab;

    (void)state;
    lab_again(&lab, true, "");
    assert_asks(&lab, "TEST");
    lab_wipe(&lab);
    lab_again(&lab, false, "");
    assert_proves(&lab, "TEST");
    lab_wipe(&lab);
    lab_again(&lab, true, "TEST");
    assert_proves(&lab, "TEST");
    lab_wipe(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_of_another_realm),
        cmocka_unit_test(an_enterprise_name_becomes_a_principal),
        cmocka_unit_test(not_where_nobody_asked_for_it),
        cmocka_unit_test(a_referral_to_nowhere),
        cmocka_unit_test(loops_and_long_ways_end),
        cmocka_unit_test(the_reply_is_of_the_realm_that_was_asked),
        cmocka_unit_test(the_realm_is_learned),
        cmocka_unit_test(the_next_login_begins_there),
        cmocka_unit_test(what_was_learned_may_be_old),
        cmocka_unit_test(no_proof_for_who_may_be_another_realm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
