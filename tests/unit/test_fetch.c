/* mech/protocol/fetch: a whole login as one machine, from a recording and with a KDC of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/fetch.h"
#include "tests/support/client.h"
#include "tests/support/minikdc.h"

#define PEER "192.0.2.1:88 (udp)"

struct lab {
    struct client client;
    struct minikdc kdc;
    struct kb_principal *service;
    struct kb_fetch_request request;
    struct kb_fetch *fetch;
    struct kb_send send;
    struct kb_key *session_key; /* of the TGT */
    enum kb_step step;
};

static void lab_init(struct lab *lab, const char *service)
{
    memset(lab, 0, sizeof(*lab));
    client_init(&lab->client);
    minikdc_init(&lab->kdc, lab->client.now.sec, 18, 2);
    if (service != NULL) {
        assert_int_equal(
            kb_principal_parse(kb_str(service), KB_NT_PRINCIPAL, KB_NONE, &lab->service), KB_OK);
    }
    lab->request = (struct kb_fetch_request){.client = lab->client.principal,
                                             .service = lab->service,
                                             .keys = lab->client.keys,
                                             .policy = &lab->client.policy};
}

static void start(struct lab *lab)
{
    lab->fetch = kb_fetch_new(&lab->client.env, &lab->request);
    assert_non_null(lab->fetch);
    lab->step = kb_fetch_step(lab->fetch, KB_NONE, "", &lab->send);
}

static void lab_wipe(struct lab *lab)
{
    kb_fetch_free(lab->fetch);
    kb_principal_free(lab->service);
    kb_key_free(lab->session_key);
    minikdc_wipe(&lab->kdc);
    client_wipe(&lab->client);
}

static void give(struct lab *lab, kb_bytes message)
{
    assert_int_equal(lab->step, KB_SEND);
    assert_int_equal(kb_fetch_verdict(lab->fetch, message), KB_VERDICT_FINAL);
    lab->step = kb_fetch_step(lab->fetch, message, PEER, &lab->send);
}

static void give_error(struct lab *lab, int32_t code, kb_bytes e_data)
{
    give(lab, minikdc_error(&lab->kdc, code, e_data));
}

static bool is_tgs_req(const struct lab *lab)
{
    return lab->send.message.ptr[0] == 0x6c;
}

/* The right answer to whatever is asked. */
static void answer(struct lab *lab)
{
    struct minikdc_reply reply;

    if (is_tgs_req(lab)) {
        minikdc_tgs(&lab->kdc, lab->session_key, lab->send.message, &reply);
    } else {
        minikdc_as(&lab->kdc, lab->send.message, &reply);
        kb_key_free(lab->session_key);
        lab->session_key = kb_key_ref(lab->kdc.session_key);
    }
    give(lab, minikdc_seal(&lab->kdc, &reply));
}

static void log_in(struct lab *lab)
{
    start(lab);
    give_error(lab, 25, minikdc_method_data(&lab->kdc, 18, MINIKDC_SALT, 2));
    assert_true(lab->send.proof);
    answer(lab);
}

/* --- ways --- */

static void password_to_service_ticket(void **state)
{
    struct kb_key_hint hint;
    int64_t offset;
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    log_in(&lab);
    assert_true(is_tgs_req(&lab));
    assert_false(lab.send.proof);
    answer(&lab);
    assert_int_equal(lab.step, KB_DONE);
    assert_true(kb_principal_equal(kb_fetch_ticket(lab.fetch)->server, lab.service));
    assert_true(kb_principal_equal(kb_fetch_ticket(lab.fetch)->client, lab.client.principal));
    assert_non_null(kb_fetch_tgt(lab.fetch));
    assert_true(kb_fetch_learned(lab.fetch, &hint));
    assert_true(kb_equal(hint.salt, KB_LIT(MINIKDC_SALT)));
    assert_true(kb_fetch_clock_offset(lab.fetch, &offset));
    assert_int_equal(offset, 0);
    assert_int_equal(kb_fetch_step(lab.fetch, KB_NONE, "", &lab.send), KB_DONE);
    lab_wipe(&lab);
}

static void only_a_tgt(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, NULL);
    log_in(&lab);
    assert_int_equal(lab.step, KB_DONE);
    assert_non_null(kb_fetch_tgt(lab.fetch));
    assert_null(kb_fetch_ticket(lab.fetch));
    lab_wipe(&lab);
}

/* The TGS-REQ goes by the clock that the AS-REP showed. */
static void clock_of_the_as_rep_is_used(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    lab.kdc.now += 7200;
    log_in(&lab);
    answer(&lab);
    assert_int_equal(lab.step, KB_DONE);
    assert_in_range(kb_fetch_ticket(lab.fetch)->clock_offset, 7199000000, 7201000000);
    lab_wipe(&lab);
}

static struct kb_credential *tgt_of(struct lab *lab)
{
    struct kb_credential *tgt;

    log_in(lab);
    tgt = kb_credential_ref(kb_fetch_tgt(lab->fetch));
    kb_fetch_free(lab->fetch);
    lab->fetch = NULL;
    return tgt;
}

static void tgt_at_hand(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    lab.request.tgt = tgt_of(&lab);
    lab.request.keys.get = NULL;
    start(&lab);
    assert_true(is_tgs_req(&lab));
    answer(&lab);
    assert_int_equal(lab.step, KB_DONE);
    assert_ptr_equal(kb_fetch_tgt(lab.fetch), lab.request.tgt);
    kb_credential_free(lab.request.tgt);
    lab_wipe(&lab);
}

static void refused_tgt_is_replaced_once(void **state)
{
    static const int32_t codes[] = {32, 20, 31, 44, 45};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct lab lab;

        lab_init(&lab, "HTTP/www.test@TEST");
        lab.request.tgt = tgt_of(&lab);
        start(&lab);
        assert_true(is_tgs_req(&lab));
        give_error(&lab, codes[i], KB_NONE);
        assert_int_equal(lab.step, KB_SEND);
        assert_false(is_tgs_req(&lab));
        give_error(&lab, 25, minikdc_method_data(&lab.kdc, 18, MINIKDC_SALT, 2));
        answer(&lab);
        assert_true(is_tgs_req(&lab));
        assert_ptr_not_equal(kb_fetch_tgt(lab.fetch), lab.request.tgt);
        give_error(&lab, codes[i], KB_NONE);
        assert_int_equal(lab.step, KB_STEP_ERROR);
        assert_int_equal(kb_fetch_error(lab.fetch)->kdc_code, codes[i]);
        kb_credential_free(lab.request.tgt);
        lab_wipe(&lab);
    }
}

static void without_a_secret(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    lab.request.keys.get = NULL;
    start(&lab);
    assert_int_equal(lab.step, KB_STEP_ERROR);
    assert_int_equal(kb_fetch_error(lab.fetch)->code, KB_E_NO_SECRET);
    lab_wipe(&lab);
}

static void silence_in_as(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    start(&lab);
    give_error(&lab, 25, minikdc_method_data(&lab.kdc, 18, MINIKDC_SALT, 2));
    lab.step = kb_fetch_silent(lab.fetch, true, &lab.send);
    assert_int_equal(lab.step, KB_SEND);
    assert_false(lab.send.proof);
    give_error(&lab, 25, minikdc_method_data(&lab.kdc, 18, MINIKDC_SALT, 2));
    answer(&lab);
    assert_true(is_tgs_req(&lab));
    lab.step = kb_fetch_silent(lab.fetch, true, &lab.send);
    assert_int_equal(lab.step, KB_STEP_ERROR);
    lab_wipe(&lab);
}

static void errors_come_out(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, "HTTP/www.test@TEST");
    start(&lab);
    give_error(&lab, 6, KB_NONE);
    assert_int_equal(lab.step, KB_STEP_ERROR);
    assert_int_equal(kb_fetch_error(lab.fetch)->code, KB_E_CLIENT_UNKNOWN);
    assert_int_equal(kb_fetch_verdict(lab.fetch, KB_LIT("\x7e")), KB_VERDICT_IGNORE);
    assert_int_equal(kb_fetch_step(lab.fetch, KB_NONE, "", &lab.send), KB_STEP_ERROR);
    lab_wipe(&lab);

    lab_init(&lab, "HTTP/www.test@TEST");
    log_in(&lab);
    give_error(&lab, 7, KB_NONE);
    assert_int_equal(lab.step, KB_STEP_ERROR);
    assert_int_equal(kb_fetch_error(lab.fetch)->code, KB_E_SERVICE_UNKNOWN);
    assert_non_null(kb_fetch_tgt(lab.fetch)); /* it is good all the same */
    lab_wipe(&lab);
}

static void service_of_no_realm(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab, NULL);
    lab.service = kb_principal_service(KB_LIT("HTTP"), KB_LIT("www.test"), KB_NONE);
    lab.request.service = lab.service;
    log_in(&lab);
    assert_true(kb_equal(minikdc_body(&lab.kdc, lab.send.message).realm, KB_LIT("TEST")));
    answer(&lab);
    assert_int_equal(lab.step, KB_DONE);
    lab_wipe(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(password_to_service_ticket),
        cmocka_unit_test(only_a_tgt),
        cmocka_unit_test(clock_of_the_as_rep_is_used),
        cmocka_unit_test(tgt_at_hand),
        cmocka_unit_test(refused_tgt_is_replaced_once),
        cmocka_unit_test(without_a_secret),
        cmocka_unit_test(silence_in_as),
        cmocka_unit_test(errors_come_out),
        cmocka_unit_test(service_of_no_realm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
