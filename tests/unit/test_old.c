/* mech/protocol, mech/report/old: an enctype that is not asked for is taken from nobody, whatever
 * else is right; an old one that is asked for works, alone and beside AES, and the log says which
 * key it is of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/fetch.h"
#include "mech/protocol/preauth.h"
#include "mech/report/old.h"
#include "tests/support/client.h"
#include "tests/support/minikdc.h"
#include "tests/support/remembered.h"

#define AES KB_ENCTYPE_AES256_SHA1
#define SALT MINIKDC_SALT
#define NUM(array) (sizeof(array) / sizeof((array)[0]))

/* What the KDC chooses, and how it names the user's key. */
struct choice {
    int32_t client;      /* the user's key */
    int32_t tgt, ticket; /* session keys */
    enum { INFO2, INFO, PW_SALT, NOTHING, REPLY_ONLY } says;
};

struct lab {
    struct client client;
    struct minikdc kdc;
    struct kb_principal *service;
    struct kb_fetch_request request;
    struct kb_fetch *fetch;
    struct kb_send send;
    enum kb_step step;
    struct choice choice;
    struct kb_listener *listener;
    char log[4000];
};

static void on_log(void *arg, int level, const char *message, const char *type)
{
    struct lab *lab = arg;
    size_t len = strlen(lab->log);

    (void)type;
    if (level == KB_LOG_INFO) {
        snprintf(lab->log + len, sizeof(lab->log) - len, "%s\n", message);
    }
}

static void lab_init(struct lab *lab, const struct choice *choice, const int32_t *etypes,
                     size_t num)
{
    const struct kb_callbacks callbacks = {.log = on_log, .arg = lab};
    struct kb_events_config config = {.log_level = KB_LOG_INFO, .mask_sensitive = true};

    memset(lab, 0, sizeof(*lab));
    client_init(&lab->client);
    minikdc_init(&lab->kdc, lab->client.now.sec, AES, 2);
    lab->choice = *choice;
    kb_key_free(lab->kdc.client_key);
    assert_int_equal(remembered_key(choice->client, KB_LIT("secret"), KB_LIT(SALT), KB_NONE,
                                    &lab->kdc.client_key),
                     KB_OK);
    memcpy(lab->client.etypes, etypes, num * sizeof(*etypes));
    lab->client.policy.num_etypes = num;
    lab->listener = kb_listener_new(&callbacks);
    config.listener[0] = lab->listener;
    lab->client.env.events = kb_events_new(&config);
    assert_non_null(lab->client.env.events);
    assert_int_equal(
        kb_principal_parse(KB_LIT("HTTP/www.test@TEST"), KB_NT_PRINCIPAL, KB_NONE, &lab->service),
        KB_OK);
    lab->request = (struct kb_fetch_request){.client = lab->client.principal,
                                             .service = lab->service,
                                             .keys = lab->client.keys,
                                             .policy = &lab->client.policy};
    lab->fetch = kb_fetch_new(&lab->client.env, &lab->request);
    assert_non_null(lab->fetch);
}

static void lab_wipe(struct lab *lab)
{
    kb_fetch_free(lab->fetch);
    kb_principal_free(lab->service);
    kb_events_free(lab->client.env.events);
    kb_listener_put(lab->listener);
    minikdc_wipe(&lab->kdc);
    client_wipe(&lab->client);
}

static const struct kb_error *error_of(const struct lab *lab)
{
    return kb_fetch_error(lab->fetch);
}

/* --- the KDC --- */

/* What old KDCs send, or newer ones for old enctypes: no s2kparams anywhere. */
static kb_pa_data hint_of(struct lab *lab)
{
    kb_etype_info2_entry entry2 = {lab->choice.client, true, KB_LIT(SALT), false, KB_NONE};
    kb_etype_info_entry entry = {lab->choice.client, true, KB_LIT(SALT)};
    kb_etype_info2 info2 = {&entry2, 1};
    kb_etype_info info = {&entry, 1};
    kb_pa_data pa = {.padata_type = KB_PA_PW_SALT, .padata_value = KB_LIT(SALT)};

    if (lab->choice.says == INFO2) {
        pa.padata_type = KB_PA_ETYPE_INFO2;
        assert_int_equal(kb_encode_etype_info2(&lab->kdc.arena, &info2, &pa.padata_value), KB_OK);
    } else if (lab->choice.says == INFO) {
        pa.padata_type = KB_PA_ETYPE_INFO;
        assert_int_equal(kb_encode_etype_info(&lab->kdc.arena, &info, &pa.padata_value), KB_OK);
    }
    return pa;
}

static kb_bytes preauth_required(struct lab *lab)
{
    kb_pa_data items[2] = {{.padata_type = KB_PA_ENC_TIMESTAMP}, hint_of(lab)};
    kb_method_data list = {items, lab->choice.says >= NOTHING ? 1 : 2};
    kb_bytes der;

    assert_int_equal(kb_encode_method_data(&lab->kdc.arena, &list, &der), KB_OK);
    return minikdc_error(&lab->kdc, 25, der);
}

static void set_session(struct lab *lab, struct minikdc_reply *reply, int32_t etype)
{
    struct kb_key *key;
    uint8_t *bytes = kb_arena_alloc(&lab->kdc.arena, KB_MAX_KEY_LEN);
    kb_bytes raw;

    assert_int_equal(kb_key_random(etype, &lab->kdc.rng, &key), KB_OK);
    raw = kb_key_bytes(key);
    memcpy(bytes, raw.ptr, raw.len);
    reply->part.key = (kb_encryption_key){etype, {bytes, raw.len}};
    kb_key_free(key);
}

static bool is_tgs_req(const struct lab *lab)
{
    return lab->send.message.ptr[0] == 0x6c;
}

/* Makes the answer that `choice` wants; *out_reply for a test to make something wrong. */
static void make_reply(struct lab *lab, struct minikdc_reply *out)
{
    if (is_tgs_req(lab)) {
        struct kb_key *session = kb_key_ref(lab->kdc.session_key);

        minikdc_tgs(&lab->kdc, session, lab->send.message, out);
        kb_key_free(session);
        set_session(lab, out, lab->choice.ticket);
    } else {
        minikdc_as(&lab->kdc, lab->send.message, out);
        set_session(lab, out, lab->choice.tgt);
        kb_key_free(lab->kdc.session_key);
        assert_int_equal(kb_key_new(lab->choice.tgt, out->part.key.keyvalue, &lab->kdc.session_key),
                         KB_OK);
        if (lab->choice.says == REPLY_ONLY) {
            kb_pa_data *pa = kb_arena_alloc(&lab->kdc.arena, sizeof(*pa));

            *pa = hint_of(lab);
            out->msg.has_padata = true;
            out->msg.padata = (kb_method_data){pa, 1};
        }
    }
}

static void give(struct lab *lab, const struct minikdc_reply *reply)
{
    kb_bytes sealed = minikdc_seal(&lab->kdc, reply);

    lab->step = kb_fetch_step(lab->fetch, sealed, "192.0.2.1:88 (udp)", &lab->send);
}

/* Goes on until the next thing to answer is an AS-REQ with a proof. */
static void begin(struct lab *lab)
{
    lab->step = kb_fetch_step(lab->fetch, KB_NONE, "", &lab->send);
    assert_int_equal(lab->step, KB_SEND);
    lab->step = kb_fetch_step(lab->fetch, preauth_required(lab), "192.0.2.1:88 (udp)", &lab->send);
}

static void answer(struct lab *lab)
{
    struct minikdc_reply reply;
    kb_pa_enc_ts_enc stamp;

    assert_int_equal(lab->step, KB_SEND);
    if (!is_tgs_req(lab)) {
        assert_true(minikdc_timestamp(&lab->kdc, lab->send.message, &stamp));
    }
    make_reply(lab, &reply);
    give(lab, &reply);
}

/* --- named --- */

static size_t count(const char *text, const char *what)
{
    size_t num = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        num++;
    }
    return num;
}

static void assert_warned(const struct lab *lab, const char *key, int32_t etype)
{
    char line[300];
    size_t expected = kb_old_is(etype) ? 1 : 0;

    snprintf(line, sizeof(line), "Warning: %s is of %s, which is old and weak (%s): ", key,
             kb_enctype_find(etype)->name, kb_old_rfc(etype));
    if (count(lab->log, line) != expected) {
        fail_msg("\"%s\" %zu times in: %s", line, count(lab->log, line), lab->log);
    }
}

static void log_in(const struct choice *choice)
{
    int32_t etypes[4] = {AES, choice->client, choice->tgt, choice->ticket};
    struct lab lab;

    lab_init(&lab, choice, etypes, NUM(etypes));
    begin(&lab);
    answer(&lab);
    answer(&lab);
    if (lab.step != KB_DONE) {
        fail_msg("%d %d %d: %s", (int)choice->client, (int)choice->tgt, (int)choice->ticket,
                 error_of(&lab)->text);
    }
    assert_int_equal(kb_key_enctype(kb_fetch_tgt(lab.fetch)->session_key)->etype, choice->tgt);
    assert_int_equal(kb_key_enctype(kb_fetch_ticket(lab.fetch)->session_key)->etype,
                     choice->ticket);
    assert_warned(&lab, "The key of alice@TEST", choice->client);
    assert_warned(&lab, "The session key of the TGT for TEST", choice->tgt);
    assert_warned(&lab, "The session key of the ticket for HTTP/www.test@TEST", choice->ticket);
    assert_int_equal(count(lab.log, "is old and weak"), kb_old_is(choice->client) +
                                                            kb_old_is(choice->tgt) +
                                                            kb_old_is(choice->ticket));
    lab_wipe(&lab);
}

static void every_enctype_as_each_key(void **state)
{
    const struct kb_enctype *row;

    (void)state;
    for (size_t i = 0; (row = kb_enctype_at(i)) != NULL; i++) {
        log_in(&(struct choice){.client = row->etype, .tgt = row->etype, .ticket = row->etype});
        log_in(&(struct choice){.client = row->etype, .tgt = AES, .ticket = AES});
        log_in(&(struct choice){.client = AES, .tgt = row->etype, .ticket = AES});
        log_in(&(struct choice){.client = AES, .tgt = AES, .ticket = row->etype});
    }
}

/* RFC 4120 5.2.7.5: ETYPE-INFO2, ETYPE-INFO, PW-SALT, or the default salt, none with parameters. */
static void every_way_to_name_the_key(void **state)
{
    const struct kb_enctype *row;

    (void)state;
    for (size_t i = 0; (row = kb_enctype_at(i)) != NULL; i++) {
        for (int says = INFO2; says <= REPLY_ONLY; says++) {
            struct choice choice = {.client = row->etype, .tgt = AES, .ticket = AES};
            int32_t etypes[1] = {row->etype};
            struct lab lab;

            choice.says = says;
            choice.tgt = choice.ticket = row->etype;
            lab_init(&lab, &choice, etypes, 1);
            begin(&lab);
            answer(&lab);
            answer(&lab);
            if (lab.step != KB_DONE) {
                fail_msg("%s, %d: %s", row->name, says, error_of(&lab)->text);
            }
            lab_wipe(&lab);
        }
    }
}

/* An account that needs no proof: the reply is the first that is heard of its key. */
static void without_preauthentication(void **state)
{
    const struct kb_enctype *row;

    (void)state;
    for (size_t i = 0; (row = kb_enctype_at(i)) != NULL; i++) {
        struct choice choice = {row->etype, AES, AES, REPLY_ONLY};
        int32_t etypes[2] = {AES, row->etype};
        struct minikdc_reply reply;
        struct lab lab;

        lab_init(&lab, &choice, etypes, 2);
        lab.step = kb_fetch_step(lab.fetch, KB_NONE, "", &lab.send);
        make_reply(&lab, &reply);
        give(&lab, &reply);
        answer(&lab);
        assert_int_equal(lab.step, KB_DONE);
        assert_warned(&lab, "The key of alice@TEST", row->etype);
        lab_wipe(&lab);
    }
}

/* The list of names that allow one is told once in a process. */
static void what_is_named_is_told_once(void **state)
{
    const struct choice choice = {AES, AES, AES, INFO2};
    int32_t etypes[32];
    size_t num = 0, old = 0;
    struct lab lab;

    (void)state;
    for (; kb_enctype_at(num) != NULL; num++) {
        etypes[num] = kb_enctype_at(num)->etype;
        old += kb_enctype_at(num)->old;
    }
    lab_init(&lab, &choice, etypes, 1);
    for (int i = 0; i < 3; i++) {
        kb_old_named(lab.client.env.events, "/etc/kerbside.conf:3", etypes, num);
    }
    assert_int_equal(count(lab.log, "Warning: /etc/kerbside.conf:3 allows "), old);
    lab_wipe(&lab);
}

/* --- not named --- */

/* A KDC that has only such a key, or a forger who wants a proof that is easy to break. */
static void no_proof_is_made_with_it(void **state)
{
    const struct kb_enctype *row;

    (void)state;
    for (size_t i = 0; (row = kb_enctype_at(i)) != NULL; i++) {
        for (int says = INFO2; says <= INFO; says++) {
            struct choice choice = {.client = row->etype, .tgt = AES, .ticket = AES};
            int32_t etypes[1] = {AES};
            struct lab lab;

            if (row->etype == AES) {
                continue;
            }
            choice.says = says;
            lab_init(&lab, &choice, etypes, 1);
            begin(&lab);
            assert_int_equal(lab.step, KB_STEP_ERROR);
            assert_int_equal(error_of(&lab)->code, KB_E_NO_ENCTYPE);
            assert_non_null(strstr(error_of(&lab)->text, row->name));
            assert_int_equal(kb_fetch_proofs(lab.fetch), 0);
            assert_int_equal(lab.client.num_derived, 0);
            assert_string_equal(lab.log, "");
            lab_wipe(&lab);
        }
    }
}

static void assert_unasked(struct lab *lab, const struct kb_enctype *row)
{
    char name[40];

    snprintf(name, sizeof(name), "(%s)", row->name);
    assert_int_equal(lab->step, KB_STEP_ERROR);
    assert_int_equal(error_of(lab)->code, KB_E_NO_ENCTYPE);
    if (strstr(error_of(lab)->text, name) == NULL ||
        strstr(error_of(lab)->text, "192.0.2.1:88") == NULL) {
        fail_msg("%s: %s", row->name, error_of(lab)->text);
    }
    assert_null(strstr(lab->log, "old and weak"));
    lab_wipe(lab);
}

/* All is right in the reply but that nobody asked for this. */
static void no_reply_with_it_is_taken(void **state)
{
    static const int32_t etypes[] = {AES};
    const struct kb_enctype *row;

    (void)state;
    for (size_t i = 0; (row = kb_enctype_at(i)) != NULL; i++) {
        struct choice as_key = {AES, row->etype, AES, INFO2},
                      tgs_key = {AES, AES, row->etype, INFO2};
        struct choice good = {AES, AES, AES, INFO2};
        struct minikdc_reply reply;
        struct kb_key *other;
        struct lab lab;

        if (row->etype == AES) {
            continue;
        }
        lab_init(&lab, &as_key, etypes, 1);
        begin(&lab);
        answer(&lab);
        assert_unasked(&lab, row);

        lab_init(&lab, &tgs_key, etypes, 1);
        begin(&lab);
        answer(&lab);
        answer(&lab);
        assert_unasked(&lab, row);

        /* The encrypted part, under the right password. */
        lab_init(&lab, &good, etypes, 1);
        begin(&lab);
        make_reply(&lab, &reply);
        assert_int_equal(
            remembered_key(row->etype, KB_LIT("secret"), KB_LIT(SALT), KB_NONE, &other), KB_OK);
        reply.key = other;
        give(&lab, &reply);
        kb_key_free(other);
        assert_unasked(&lab, row);

        lab_init(&lab, &good, etypes, 1);
        begin(&lab);
        answer(&lab);
        make_reply(&lab, &reply);
        assert_int_equal(kb_key_random(row->etype, &lab.kdc.rng, &other), KB_OK);
        reply.key = other;
        give(&lab, &reply);
        kb_key_free(other);
        assert_unasked(&lab, row);
    }
}

/* A keytab's key of an enctype that is not named is not used: neither for a proof, nor to open. */
static void no_key_of_a_keytab(void **state)
{
    static const int32_t etypes[] = {AES};
    const struct kb_enctype *row;

    (void)state;
    for (size_t i = 0; (row = kb_enctype_at(i)) != NULL; i++) {
        struct choice choice = {row->etype, AES, AES, INFO2};
        struct minikdc_reply reply;
        struct lab lab;

        if (row->etype == AES) {
            continue;
        }
        lab_init(&lab, &choice, etypes, 1);
        client_use_keytab(&lab.client);
        client_add_key(&lab.client, row->etype, kb_key_bytes(lab.kdc.client_key));
        lab.request.keys = lab.client.keys;
        lab.request.first_proof = true;
        kb_fetch_free(lab.fetch);
        lab.fetch = kb_fetch_new(&lab.client.env, &lab.request);
        begin(&lab);
        assert_int_equal(lab.step, KB_STEP_ERROR);
        assert_int_equal(kb_fetch_proofs(lab.fetch), 0);
        kb_fetch_free(lab.fetch);
        lab.fetch = kb_fetch_new(&lab.client.env, &lab.request);
        lab.step = kb_fetch_step(lab.fetch, KB_NONE, "", &lab.send);
        make_reply(&lab, &reply);
        give(&lab, &reply);
        assert_unasked(&lab, row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_enctype_as_each_key), cmocka_unit_test(every_way_to_name_the_key),
        cmocka_unit_test(without_preauthentication), cmocka_unit_test(what_is_named_is_told_once),
        cmocka_unit_test(no_proof_is_made_with_it),  cmocka_unit_test(no_reply_with_it_is_taken),
        cmocka_unit_test(no_key_of_a_keytab),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
