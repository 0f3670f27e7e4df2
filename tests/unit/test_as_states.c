/* mech/protocol/as: which answer leads to which request. Answers are of our own making. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/reader.h"
#include "mech/protocol/as_machine.h"
#include "tests/support/client.h"
#include "tests/support/minikdc.h"
#include "tests/support/wire.h"

#define PEER "192.0.2.1:88 (udp)"
#define SALT MINIKDC_SALT
#define ROUNDS 2

struct lab {
    struct client client;
    struct minikdc kdc;
    struct kb_as_request request;
    struct kb_as *as;
    struct kb_send send;
    enum kb_step step;
};

static void lab_init(struct lab *lab)
{
    memset(lab, 0, sizeof(*lab));
    client_init(&lab->client);
    minikdc_init(&lab->kdc, lab->client.now.sec, 18, ROUNDS);
    lab->request = (struct kb_as_request){
        .client = lab->client.principal, .keys = &lab->client.keys, .policy = &lab->client.policy};
}

/* The first request carries a proof, by a key that was learned. */
static void know(struct lab *lab, const char *salt)
{
    static const uint8_t rounds[] = {0, 0, 0, ROUNDS};

    lab->request.first_proof = true;
    lab->request.hint = (struct kb_key_hint){18, kb_str(salt), {rounds, 4}, KB_NONE};
}

static void start(struct lab *lab)
{
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
    lab->step = kb_as_step(lab->as, message, PEER, &lab->send);
}

static kb_bytes info(struct lab *lab, const char *salt)
{
    return minikdc_method_data(&lab->kdc, 18, salt, ROUNDS);
}

static void give_error(struct lab *lab, int32_t code, kb_bytes e_data)
{
    give(lab, minikdc_error(&lab->kdc, code, e_data));
}

static void give_reply(struct lab *lab)
{
    struct minikdc_reply reply;

    minikdc_as(&lab->kdc, lab->send.message, &reply);
    give(lab, minikdc_seal(&lab->kdc, &reply));
}

static void assert_asks(const struct lab *lab)
{
    assert_int_equal(lab->step, KB_SEND);
    assert_false(lab->send.proof);
    assert_int_equal(lab->as->state, KB_AS_ASKED);
}

static void assert_proves(struct lab *lab)
{
    assert_int_equal(lab->step, KB_SEND);
    assert_true(lab->send.proof);
    assert_true(minikdc_padata(&lab->kdc, lab->send.message, 2).len > 0);
}

static void assert_fails(const struct lab *lab, enum kb_error_code code, const char *text)
{
    assert_int_equal(lab->step, KB_STEP_ERROR);
    if (kb_as_error(lab->as)->code != code || strstr(kb_as_error(lab->as)->text, text) == NULL) {
        fail_msg("%d: %s", kb_as_error(lab->as)->code, kb_as_error(lab->as)->text);
    }
}

/* --- the usual ways --- */

static void asked_then_proved(void **state)
{
    kb_pa_enc_ts_enc ts;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    lab.kdc.cookie = KB_LIT("biscuit");
    start(&lab);
    assert_asks(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    assert_proves(&lab);
    assert_true(minikdc_timestamp(&lab.kdc, lab.send.message, &ts));
    assert_int_equal(ts.patimestamp, lab.client.now.sec);
    assert_int_equal(ts.pausec, lab.client.now.usec);
    assert_true(kb_equal(minikdc_padata(&lab.kdc, lab.send.message, 133), KB_LIT("biscuit")));
    give_reply(&lab);
    assert_int_equal(lab.step, KB_DONE);
    assert_int_equal(lab.client.num_derived, 1);
    lab_wipe(&lab);
}

static void known_key_takes_one_round_trip(void **state)
{
    struct kb_key_hint learned;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    assert_proves(&lab);
    give_reply(&lab);
    assert_int_equal(lab.step, KB_DONE);
    assert_true(kb_as_learned(lab.as, &learned));
    assert_int_equal(learned.etype, 18);
    assert_true(kb_equal(learned.salt, KB_LIT(SALT)));
    lab_wipe(&lab);
}

static void keytab_proves_at_once(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    client_use_keytab(&lab.client);
    client_add_key(&lab.client, 18, kb_key_bytes(lab.kdc.client_key));
    lab.request.first_proof = true;
    start(&lab);
    assert_proves(&lab);
    give_reply(&lab);
    assert_int_equal(lab.step, KB_DONE);
    lab_wipe(&lab);
}

/* No pre-authentication; an older key of the keytab opens the reply, whatever kvno it names. */
static void keytab_tries_all_kvnos(void **state)
{
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    client_use_keytab(&lab.client);
    client_add_key(&lab.client, 18, KB_LIT("0123456789abcdef0123456789abcdef"));
    client_add_key(&lab.client, 18, KB_LIT("0123456789abcdefABCDEF0123456789"));
    client_add_key(&lab.client, 18, kb_key_bytes(lab.kdc.client_key));
    start(&lab);
    assert_asks(&lab);
    minikdc_as(&lab.kdc, lab.send.message, &reply);
    give(&lab, minikdc_seal(&lab.kdc, &reply));
    assert_int_equal(lab.step, KB_DONE);
    lab_wipe(&lab);
}

/* Ours first, whatever the KDC's order: nobody who alters that makes us take a weaker one. */
static void our_order_of_enctypes(void **state)
{
    static const uint8_t rounds[] = {0, 0, 0, ROUNDS};
    kb_etype_info2_entry entries[] = {
        {23, false, KB_NONE, false, KB_NONE},
        {17, true, KB_LIT("first"), true, {rounds, 4}},
        {18, true, KB_LIT(SALT), true, {rounds, 4}},
        {18, true, KB_LIT("not this"), true, {rounds, 4}},
    };
    kb_etype_info2 list = {entries, 4};
    kb_pa_data items[] = {{2, KB_NONE}, {19, KB_NONE}};
    kb_method_data methods = {items, 2};
    kb_pa_enc_ts_enc ts;
    kb_bytes e_data;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    start(&lab);
    assert_int_equal(kb_encode_etype_info2(&lab.kdc.arena, &list, &items[1].padata_value), KB_OK);
    assert_int_equal(kb_encode_method_data(&lab.kdc.arena, &methods, &e_data), KB_OK);
    give_error(&lab, 25, e_data);
    assert_proves(&lab);
    assert_true(minikdc_timestamp(&lab.kdc, lab.send.message, &ts));
    lab_wipe(&lab);
}

static void salt_comes_from_pw_salt_last(void **state)
{
    kb_pa_data salt[] = {{2, KB_NONE}, {3, KB_LIT("123456789012")}};
    kb_method_data methods = {salt, 2};
    kb_bytes e_data;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    start(&lab);
    assert_int_equal(kb_encode_method_data(&lab.kdc.arena, &methods, &e_data), KB_OK);
    give_error(&lab, 25, e_data); /* of 12 bytes, but in PREAUTH_REQUIRED it is a salt */
    assert_proves(&lab);
    assert_true(kb_equal(lab.as->proof_how.salt, KB_LIT("123456789012")));
    lab_wipe(&lab);
}

static void default_salt_is_realm_and_name(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    start(&lab);
    give_error(&lab, 25, info(&lab, NULL));
    assert_true(kb_equal(lab.as->proof_how.salt, KB_LIT("TESTalice")));
    lab_wipe(&lab);
}

/* --- refused proofs --- */

static void first_proof_refused_then_same_key(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    give_error(&lab, 24, KB_NONE);
    assert_asks(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    assert_fails(&lab, KB_E_WRONG_PASSWORD, "the password of /etc/alice.pw");
    assert_int_equal(lab.as->proofs, 1);
    assert_int_equal(kb_as_error(lab.as)->kdc_code, 24);
    lab_wipe(&lab);
}

static void first_proof_refused_with_same_key_named(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    give_error(&lab, 24, info(&lab, SALT));
    assert_fails(&lab, KB_E_WRONG_PASSWORD, "KDC_ERR_PREAUTH_FAILED (24)");
    lab_wipe(&lab);
}

static void first_proof_refused_then_other_salt(void **state)
{
    struct lab lab;

    (void)state;
    for (int named = 0; named < 2; named++) {
        lab_init(&lab);
        know(&lab, "an old salt");
        start(&lab);
        give_error(&lab, 24, named ? info(&lab, SALT) : KB_NONE);
        if (!named) {
            assert_asks(&lab);
            give_error(&lab, 25, info(&lab, SALT));
        }
        assert_proves(&lab);
        give_reply(&lab);
        assert_int_equal(lab.step, KB_DONE);
        assert_int_equal(lab.as->proofs, 2);
        lab_wipe(&lab);
    }
}

static void later_proof_refused(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    start(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    give_error(&lab, 24, info(&lab, "another salt"));
    assert_fails(&lab, KB_E_WRONG_PASSWORD, "alice@TEST");
    lab_wipe(&lab);
}

static void keytab_refused_shows_both_sides(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    client_use_keytab(&lab.client);
    client_add_key(&lab.client, 18, kb_key_bytes(lab.kdc.client_key));
    client_add_key(&lab.client, 17, KB_LIT("0123456789abcdef"));
    start(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    give_error(&lab, 24, KB_NONE);
    assert_fails(&lab, KB_E_KEY_REFUSED, "keytab /etc/alice.keytab");
    assert_non_null(strstr(kb_as_error(lab.as)->text, "aes128-cts-hmac-sha1-96"));
    assert_non_null(strstr(kb_as_error(lab.as)->text, "the KDC has aes256-cts-hmac-sha1-96"));
    lab_wipe(&lab);
}

static void keytab_without_the_enctype(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    client_use_keytab(&lab.client);
    client_add_key(&lab.client, 17, KB_LIT("0123456789abcdef"));
    lab.request.first_proof = true;
    start(&lab);
    assert_proves(&lab);
    give_error(&lab, 14, KB_NONE);
    assert_asks(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    assert_fails(&lab, KB_E_KEYTAB_NO_KEY, "aes128-cts-hmac-sha1-96");
    assert_non_null(strstr(kb_as_error(lab.as)->text, "aes256-cts-hmac-sha1-96"));
    lab_wipe(&lab);
}

static void no_common_enctype(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    start(&lab);
    give_error(&lab, 25, minikdc_method_data(&lab.kdc, 23, SALT, 1));
    assert_fails(&lab, KB_E_NO_ENCTYPE, "rc4-hmac");
    lab_wipe(&lab);
}

static void required_after_a_guess_goes_on(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    lab.kdc.cookie = KB_LIT("c");
    know(&lab, SALT);
    start(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    assert_proves(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    assert_fails(&lab, KB_E_PREAUTH, "PA-ETYPE-INFO2, PA-ENC-TIMESTAMP");
    lab_wipe(&lab);
}

static void another_method_is_wanted(void **state)
{
    kb_pa_data items[] = {{151, KB_NONE}, {16, KB_NONE}, {9999, KB_NONE}};
    kb_method_data methods = {items, 3};
    kb_bytes e_data;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    start(&lab);
    assert_int_equal(kb_encode_method_data(&lab.kdc.arena, &methods, &e_data), KB_OK);
    give_error(&lab, 25, e_data);
    assert_fails(&lab, KB_E_PREAUTH, "it offers PA-SPAKE, PA-PK-AS-REQ, padata 9999");
    lab_wipe(&lab);
}

static void locked_account_is_not_tried_again(void **state)
{
    static const uint8_t locked[] = {0x34, 2, 0, 0xc0, 0, 0, 0, 0, 1, 0, 0, 0};
    kb_pa_data status = {3, {locked, sizeof(locked)}};
    kb_bytes e_data;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    /* One bare PA-DATA, as Windows sends it. */
    assert_int_equal(kb_encode_pa_data(&lab.kdc.arena, &status, &e_data), KB_OK);
    give_error(&lab, 24, e_data);
    assert_fails(&lab, KB_E_CLIENT_REVOKED, "STATUS_ACCOUNT_LOCKED_OUT (0xc0000234)");
    lab_wipe(&lab);
}

/* --- string-to-key --- */

static void rounds_have_bounds(void **state)
{
    static const struct {
        int32_t etype;
        uint32_t rounds;
    } rows[] = {{18, 4095}, {18, 1000001}, {18, 0}, {20, 32767}, {20, 0xffffffffu}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lab lab;

        lab_init(&lab);
        lab.client.policy.min_iterations_sha1 = 4096;
        lab.client.policy.min_iterations_sha2 = 32768;
        lab.client.policy.max_iterations = 1000000;
        start(&lab);
        give_error(&lab, 25, minikdc_method_data(&lab.kdc, rows[i].etype, SALT, rows[i].rounds));
        assert_fails(&lab, KB_E_ITERATIONS, "PBKDF2 rounds");
        assert_int_equal(lab.client.num_derived, 0);
        lab_wipe(&lab);
    }
}

static void malformed_parameters_are_refused(void **state)
{
    kb_etype_info2_entry entry = {18, true, KB_LIT(SALT), true, KB_LIT("12345")};
    kb_etype_info2 list = {&entry, 1};
    kb_pa_data items[] = {{2, KB_NONE}, {19, KB_NONE}};
    kb_method_data methods = {items, 2};
    kb_bytes e_data;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    start(&lab);
    assert_int_equal(kb_encode_etype_info2(&lab.kdc.arena, &list, &items[1].padata_value), KB_OK);
    assert_int_equal(kb_encode_method_data(&lab.kdc.arena, &methods, &e_data), KB_OK);
    give_error(&lab, 25, e_data);
    assert_fails(&lab, KB_E_KDC_REPLY, "parameters");
    lab_wipe(&lab);
}

/* RFC 4757 2: the key of rc4 is made of characters. Told alike with and without preauthentication.
 */
static void a_password_has_characters(void **state)
{
    for (int preauth = 0; preauth < 2; preauth++) {
        kb_etype_info2_entry entry = {KB_ENCTYPE_RC4_HMAC, false, KB_NONE, false, KB_NONE};
        kb_etype_info2 list = {&entry, 1};
        kb_pa_data items[] = {{2, KB_NONE}, {19, KB_NONE}};
        kb_method_data methods = {items, 2};
        struct lab lab;

        (void)state;
        lab_init(&lab);
        lab.client.password = KB_LIT("g\xfcnther");
        lab.client.etypes[0] = KB_ENCTYPE_RC4_HMAC;
        lab.client.policy.num_etypes = 1;
        start(&lab);
        assert_int_equal(kb_encode_etype_info2(&lab.kdc.arena, &list, &items[1].padata_value),
                         KB_OK);
        if (preauth) {
            kb_bytes e_data;

            assert_int_equal(kb_encode_method_data(&lab.kdc.arena, &methods, &e_data), KB_OK);
            give_error(&lab, 25, e_data);
            assert_fails(&lab, KB_E_PASSWORD_TEXT,
                         "the password is not UTF-8, and a key of rc4-hmac");
        } else {
            kb_key_free(lab.kdc.client_key);
            assert_int_equal(
                kb_key_new(KB_ENCTYPE_RC4_HMAC, KB_LIT("0123456789abcdef"), &lab.kdc.client_key),
                KB_OK);
            give_reply(&lab);
            assert_fails(&lab, KB_E_PASSWORD_TEXT, "the password is not UTF-8");
        }
        lab_wipe(&lab);
    }
}

/* A flood of forged replies, each with another salt, costs the rounds of one login at most. */
static void rounds_are_bounded_over_a_flood(void **state)
{
    static const uint8_t rounds[] = {0, 0, 0x13, 0x88}; /* 5000 */
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    lab.client.policy.max_iterations = 12000;
    start(&lab);
    for (unsigned i = 0; i < 50; i++) {
        char salt[16];
        kb_etype_info2_entry entry = {18, true, KB_NONE, true, {rounds, 4}};
        kb_etype_info2 list = {&entry, 1};
        kb_pa_data item = {19, KB_NONE};

        snprintf(salt, sizeof(salt), "salt %u", i);
        entry.salt = kb_str(salt);
        assert_int_equal(kb_encode_etype_info2(&lab.kdc.arena, &list, &item.padata_value), KB_OK);
        minikdc_as(&lab.kdc, lab.send.message, &reply);
        reply.msg.has_padata = true;
        reply.msg.padata = (kb_method_data){&item, 1};
        assert_int_equal(kb_as_verdict(lab.as, minikdc_seal(&lab.kdc, &reply)), KB_VERDICT_WEAK);
    }
    assert_int_equal(lab.client.num_derived, 2);
    lab_wipe(&lab);
}

/* After a proof no string-to-key is spent on what an undecryptable reply says. */
static void no_rounds_after_a_proof(void **state)
{
    kb_pa_data item = {3, KB_LIT("forged")};
    struct minikdc_reply reply;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    minikdc_as(&lab.kdc, lab.send.message, &reply);
    reply.msg.has_padata = true;
    reply.msg.padata = (kb_method_data){&item, 1};
    reply.usage = KB_USAGE_TICKET;
    assert_int_equal(kb_as_verdict(lab.as, minikdc_seal(&lab.kdc, &reply)), KB_VERDICT_WEAK);
    assert_int_equal(lab.client.num_derived, 1);
    give(&lab, minikdc_seal(&lab.kdc, &reply));
    assert_fails(&lab, KB_E_WRONG_PASSWORD, "or the reply is forged");
    lab_wipe(&lab);
}

/* --- clocks --- */

static void skew_is_corrected_once(void **state)
{
    kb_pa_enc_ts_enc ts;
    int64_t offset;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    lab.kdc.now += 600;
    start(&lab);
    give_error(&lab, 37, KB_NONE);
    assert_proves(&lab);
    assert_true(minikdc_timestamp(&lab.kdc, lab.send.message, &ts));
    assert_int_equal(ts.patimestamp, lab.kdc.now);
    assert_int_equal(ts.pausec, 654321);
    assert_false(kb_as_clock_offset(lab.as, &offset));
    give_reply(&lab);
    assert_int_equal(lab.step, KB_DONE);
    assert_true(kb_as_clock_offset(lab.as, &offset));
    assert_in_range(offset, 599000000, 601000000);
    assert_int_equal(kb_as_tgt(lab.as)->clock_offset, offset);
    lab_wipe(&lab);
}

static void skew_after_two_proofs_is_final(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    lab.kdc.now -= 600;
    know(&lab, SALT);
    start(&lab);
    give_error(&lab, 37, KB_NONE);
    give_error(&lab, 37, KB_NONE);
    assert_fails(&lab, KB_E_CLOCK, "600 seconds behind ours");
    lab_wipe(&lab);
}

/* PREAUTH_REQUIRED tells the KDC's time too; within the tolerance ours is kept. */
static void time_of_preauth_required(void **state)
{
    static const int64_t ahead[] = {0, 299, 600, -600, 86400 * 365};

    (void)state;
    for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
        kb_pa_enc_ts_enc ts;
        struct lab lab;

        lab_init(&lab);
        lab.kdc.now += ahead[i];
        start(&lab);
        give_error(&lab, 25, info(&lab, SALT));
        assert_true(minikdc_timestamp(&lab.kdc, lab.send.message, &ts));
        assert_int_equal(ts.patimestamp,
                         i < 2 ? lab.client.now.sec : lab.client.now.sec + ahead[i]);
        lab_wipe(&lab);
    }
}

static void known_offset_is_used(void **state)
{
    kb_pa_enc_ts_enc ts;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    lab.client.policy.clock_offset = INT64_C(-3600000000);
    lab.kdc.now -= 3600;
    know(&lab, SALT);
    start(&lab);
    assert_true(minikdc_timestamp(&lab.kdc, lab.send.message, &ts));
    assert_int_equal(ts.patimestamp, lab.kdc.now);
    assert_int_equal(minikdc_body(&lab.kdc, lab.send.message).till, lab.kdc.now + 86400);
    lab_wipe(&lab);
}

static void never_valid_is_asked_again_by_the_kdcs_clock(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    lab.kdc.now += 7 * 86400;
    start(&lab);
    give_error(&lab, 11, KB_NONE);
    assert_asks(&lab);
    assert_int_equal(minikdc_body(&lab.kdc, lab.send.message).till, lab.kdc.now + 86400);
    give_error(&lab, 11, KB_NONE);
    assert_fails(&lab, KB_E_CLOCK, "604800 seconds ahead");
    lab_wipe(&lab);
}

/* A time that no request could be made for is not gone by. */
static void absurd_times_are_not_believed(void **state)
{
    static const int64_t absurd[] = {INT64_C(253402300799), INT64_C(-62167219200)}; /* 9999, 0 */

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        kb_pa_enc_ts_enc ts;
        struct lab lab;

        lab_init(&lab);
        know(&lab, SALT);
        lab.kdc.now = absurd[i];
        start(&lab);
        give_error(&lab, 37, KB_NONE);
        assert_proves(&lab);
        assert_true(minikdc_timestamp(&lab.kdc, lab.send.message, &ts));
        assert_int_equal(ts.patimestamp, lab.client.now.sec);
        lab_wipe(&lab);
    }
}

static void never_valid_first_proof(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    lab.kdc.now += 7 * 86400;
    start(&lab);
    give_error(&lab, 11, KB_NONE);
    assert_asks(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    assert_proves(&lab);
    give_reply(&lab);
    assert_int_equal(lab.step, KB_DONE);
    lab_wipe(&lab);
}

static void repeat_gets_a_fresh_timestamp(void **state)
{
    kb_bytes repeat;
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    repeat = minikdc_error(&lab.kdc, 34, KB_NONE);
    assert_int_equal(kb_as_verdict(lab.as, repeat), KB_VERDICT_LATE);
    lab.client.now.sec++;
    give(&lab, repeat);
    assert_proves(&lab);
    assert_true(lab.send.new_attempt);
    give(&lab, minikdc_error(&lab.kdc, 34, KB_NONE));
    assert_fails(&lab, KB_E_KDC_ERROR, "KRB_AP_ERR_REPEAT (34)");
    lab_wipe(&lab);
}

/* --- silence --- */

static void silence_is_asked_without_a_proof(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    lab.step = kb_as_silent(lab.as, true, &lab.send);
    assert_asks(&lab);
    give_error(&lab, 25, info(&lab, SALT));
    assert_proves(&lab);
    lab.step = kb_as_silent(lab.as, true, &lab.send);
    assert_fails(&lab, KB_E_KDC_UNREACHABLE, "third");
    lab_wipe(&lab);
}

static void unjudged_proofs_do_not_count(void **state)
{
    struct lab lab;

    (void)state;
    lab_init(&lab);
    know(&lab, SALT);
    start(&lab);
    for (int i = 0; i < 3; i++) {
        lab.step = kb_as_silent(lab.as, false, &lab.send);
        assert_asks(&lab);
        give_error(&lab, 25, info(&lab, SALT));
        assert_proves(&lab);
    }
    assert_int_equal(lab.as->proofs, 1);
    lab_wipe(&lab);
}

/* --- two proofs at most, over all sequences of answers --- */

enum answer {
    REQUIRED,
    REQUIRED_OTHER_SALT,
    REQUIRED_OTHER_ETYPE,
    REFUSED,
    REFUSED_WITH_SALT,
    REFUSED_WITH_OTHER_SALT,
    INTEGRITY,
    NO_ETYPE,
    SKEW,
    SKEW_WITH_SALT,
    REPEAT,
    TIMES,
    REVOKED,
    FORGED_REPLY,
    GARBLED_ERROR,
    SILENCE,
    UNJUDGED,
    NUM_ANSWERS
};

static void give_answer(struct lab *lab, enum answer a, int64_t clock)
{
    struct minikdc *kdc = &lab->kdc;
    struct minikdc_reply reply;

    lab->kdc.now = lab->client.now.sec + clock;
    switch (a) {
    case REQUIRED:
        give_error(lab, 25, info(lab, SALT));
        break;
    case REQUIRED_OTHER_SALT:
        give_error(lab, 25, info(lab, "other"));
        break;
    case REQUIRED_OTHER_ETYPE:
        give_error(lab, 25, minikdc_method_data(kdc, 17, SALT, 1));
        break;
    case REFUSED:
        give_error(lab, 24, KB_NONE);
        break;
    case REFUSED_WITH_SALT:
        give_error(lab, 24, info(lab, SALT));
        break;
    case REFUSED_WITH_OTHER_SALT:
        give_error(lab, 24, info(lab, "other"));
        break;
    case INTEGRITY:
        give_error(lab, 31, KB_NONE);
        break;
    case NO_ETYPE:
        give_error(lab, 14, KB_NONE);
        break;
    case SKEW:
        give_error(lab, 37, KB_NONE);
        break;
    case SKEW_WITH_SALT:
        give_error(lab, 37, info(lab, "third"));
        break;
    case REPEAT:
        give_error(lab, 34, KB_NONE);
        break;
    case TIMES:
        give_error(lab, 11, KB_NONE);
        break;
    case REVOKED:
        give_error(lab, 18, KB_NONE);
        break;
    case FORGED_REPLY:
        minikdc_as(kdc, lab->send.message, &reply);
        reply.usage = 1;
        give(lab, minikdc_seal(kdc, &reply));
        break;
    case GARBLED_ERROR:
        give(lab, KB_LIT("\x7e\x03\x01\x02\x03"));
        break;
    default:
        lab->step = kb_as_silent(lab->as, a == SILENCE, &lab->send);
        break;
    }
}

/* Plays `answers`; returns how many proofs a KDC may have judged. `*out_over`: how many answers it
 * took until the machine was done. */
static unsigned play(const enum answer *answers, unsigned num, bool guess, unsigned *out_over)
{
    unsigned judged = 0, i = 0;
    struct lab lab;

    lab_init(&lab);
    if (guess) {
        know(&lab, SALT);
    }
    start(&lab);
    for (; i < num && lab.step == KB_SEND; i++) {
        judged += lab.send.proof && answers[i] != UNJUDGED ? 1 : 0;
        give_answer(&lab, answers[i], i % 2 != 0 ? 1000 : 0);
    }
    judged += lab.step == KB_SEND && lab.send.proof ? 1 : 0;
    *out_over = lab.step == KB_SEND ? num + 1 : i;
    if (lab.step == KB_STEP_ERROR) {
        assert_int_not_equal(kb_as_error(lab.as)->code, KB_E_NONE);
        assert_true(strlen(kb_as_error(lab.as)->text) > 20);
    }
    lab_wipe(&lab);
    return judged;
}

#define DEPTH 5

static void never_a_third_proof(void **state)
{
    enum answer answers[DEPTH] = {0};
    unsigned depth = wire_stride() > 1 ? DEPTH - 2 : DEPTH;
    unsigned long plays = 0;

    (void)state;
    for (int guess = 0; guess < 2; guess++) {
        memset(answers, 0, sizeof(answers));
        for (;;) {
            unsigned over, at;

            if (play(answers, depth, guess != 0, &over) > KB_AS_MAX_PROOFS) {
                fail_msg("%d %d %d %d %d: three proofs", (int)answers[0], (int)answers[1],
                         (int)answers[2], (int)answers[3], (int)answers[4]);
            }
            plays++;
            /* What comes after the end changes nothing: go on with the last answer that counted. */
            for (at = over < depth ? over - 1 : depth - 1; at < depth; at--) {
                if (++answers[at] < NUM_ANSWERS) {
                    break;
                }
            }
            if (at >= depth) {
                break;
            }
            memset(&answers[at + 1], 0, (depth - 1 - at) * sizeof(answers[0]));
        }
    }
    print_message("%lu sequences of answers\n", plays);
    assert_true(depth < DEPTH || plays > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_then_proved),
        cmocka_unit_test(known_key_takes_one_round_trip),
        cmocka_unit_test(keytab_proves_at_once),
        cmocka_unit_test(keytab_tries_all_kvnos),
        cmocka_unit_test(our_order_of_enctypes),
        cmocka_unit_test(salt_comes_from_pw_salt_last),
        cmocka_unit_test(default_salt_is_realm_and_name),
        cmocka_unit_test(first_proof_refused_then_same_key),
        cmocka_unit_test(first_proof_refused_with_same_key_named),
        cmocka_unit_test(first_proof_refused_then_other_salt),
        cmocka_unit_test(later_proof_refused),
        cmocka_unit_test(keytab_refused_shows_both_sides),
        cmocka_unit_test(keytab_without_the_enctype),
        cmocka_unit_test(no_common_enctype),
        cmocka_unit_test(required_after_a_guess_goes_on),
        cmocka_unit_test(another_method_is_wanted),
        cmocka_unit_test(locked_account_is_not_tried_again),
        cmocka_unit_test(rounds_have_bounds),
        cmocka_unit_test(malformed_parameters_are_refused),
        cmocka_unit_test(a_password_has_characters),
        cmocka_unit_test(rounds_are_bounded_over_a_flood),
        cmocka_unit_test(no_rounds_after_a_proof),
        cmocka_unit_test(skew_is_corrected_once),
        cmocka_unit_test(skew_after_two_proofs_is_final),
        cmocka_unit_test(time_of_preauth_required),
        cmocka_unit_test(known_offset_is_used),
        cmocka_unit_test(never_valid_is_asked_again_by_the_kdcs_clock),
        cmocka_unit_test(absurd_times_are_not_believed),
        cmocka_unit_test(never_valid_first_proof),
        cmocka_unit_test(repeat_gets_a_fresh_timestamp),
        cmocka_unit_test(silence_is_asked_without_a_proof),
        cmocka_unit_test(unjudged_proofs_do_not_count),
        cmocka_unit_test(never_a_third_proof),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
