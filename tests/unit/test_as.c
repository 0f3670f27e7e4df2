/* mech/protocol/as: recorded exchanges of MIT's, Heimdal's and Samba's KDCs, driven from their
 * bytes. Our requests are MIT's own but for its PA-AS-FRESHNESS, which asks for nothing that we
 * use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/as_machine.h"
#include "tests/support/client.h"

#define PA_AS_FRESHNESS 150
#define RENEWABLE_OK 0x10u

/* --- one recording --- */

struct run {
    struct wire *wire;
    struct client client;
    struct kb_as *as;
    struct kb_send send;
    size_t at; /* the next message of the recording */
    size_t n;  /* of the draws of randomness */
    uint8_t nonces[4][4];
};

static int64_t nonce_of(const struct run *r, size_t n)
{
    return wire_int(r->wire, "messages[%zu].fields.nonce", n);
}

static void add_nonce(struct run *r, size_t message)
{
    uint32_t nonce = (uint32_t)nonce_of(r, message);
    uint8_t *b = r->nonces[r->n++];

    assert_true(r->n <= 4);
    for (size_t i = 0; i < 4; i++) {
        b[i] = (uint8_t)(nonce >> (24 - 8 * i));
    }
    wire_rng_add(&r->client.recorded, kb_bytes_of(b, 4));
}

static bool is_type(struct run *r, size_t n, const char *type)
{
    return n < wire_num(r->wire, "messages") &&
           strcmp(wire_text(r->wire, "messages[%zu].type", n), type) == 0;
}

/* What the recorded client drew for the AS-REQ `n`. */
static void add_draws(struct run *r, size_t n)
{
    add_nonce(r, n);
    if (wire_has(r->wire, "messages[%zu].decrypted[what=PA-ENC-TIMESTAMP]", n)) {
        wire_rng_add(
            &r->client.recorded,
            wire_hex(r->wire, "messages[%zu].decrypted[what=PA-ENC-TIMESTAMP].confounder", n));
    }
}

/* The recorded request without what ours has not: PA-AS-FRESHNESS, and MIT's RENEWABLE-OK. */
static kb_bytes as_ours(kb_bytes recorded, struct kb_arena *arena)
{
    kb_kdc_req req;
    kb_kdc_req_body body;
    kb_bytes out;
    size_t num = 0;

    assert_int_equal(kb_decode_as_req(recorded, arena, &req, NULL), KB_OK);
    assert_int_equal(kb_decode_kdc_req_body(req.req_body, arena, &body, NULL), KB_OK);
    body.kdc_options &= ~RENEWABLE_OK;
    assert_int_equal(kb_encode_kdc_req_body(arena, &body, &req.req_body), KB_OK);
    for (size_t i = 0; i < req.padata.num; i++) {
        if (req.padata.items[i].padata_type != PA_AS_FRESHNESS) {
            req.padata.items[num++] = req.padata.items[i];
        }
    }
    req.padata.num = num;
    assert_int_equal(kb_encode_as_req(arena, &req, &out), KB_OK);
    return out;
}

static void assert_same_request(struct run *r)
{
    struct kb_arena arena;
    kb_bytes expected;

    kb_arena_init(&arena, NULL, 0, 1 << 20);
    expected = as_ours(wire_hex(r->wire, "messages[%zu].hex", r->at), &arena);
    if (!kb_equal(expected, r->send.message)) {
        print_error("%s: request %zu differs\n", wire_name(r->wire), r->at);
    }
    assert_int_equal(expected.len, r->send.message.len);
    assert_memory_equal(expected.ptr, r->send.message.ptr, expected.len);
    kb_arena_wipe(&arena);
}

static void run_init(struct run *r, struct wire *wire)
{
    struct kb_as_request request;
    size_t last = 0;

    memset(r, 0, sizeof(*r));
    r->wire = wire;
    while (is_type(r, last + 2, "AS-REQ") && is_type(r, last + 1, "KRB-ERROR") &&
           wire_int(wire, "messages[%zu].fields.error_code", last + 1) == 25) {
        last += 2;
    }
    client_of_wire(&r->client, wire, last);
    request = (struct kb_as_request){
        .client = r->client.principal, .keys = &r->client.keys, .policy = &r->client.policy};
    r->as = kb_as_new(&r->client.env, &request);
    assert_non_null(r->as);
}

static void run_wipe(struct run *r)
{
    kb_as_free(r->as);
    client_wipe(&r->client);
}

/* The reply's checksum (PA-REQ-ENC-PA-REP) is over the recorded request, and must hold for that. */
static enum kb_step take_reply(struct run *r, kb_bytes reply)
{
    r->as->message = wire_hex(r->wire, "messages[%zu].hex", r->at);
    assert_int_equal(kb_as_verdict(r->as, reply), KB_VERDICT_FINAL);
    return kb_as_step(r->as, reply, "192.0.2.1:88 (udp)", &r->send);
}

static void assert_tgt(struct run *r, size_t reply)
{
    struct kb_credential *tgt = kb_as_tgt(r->as);
    kb_bytes key = wire_hex(r->wire, "messages[%zu].fields.enc_part.key", reply);
    struct kb_key_hint learned;

    assert_non_null(tgt);
    assert_int_equal(tgt->addresses.len > 0, strstr(wire_name(r->wire), "addresses") != NULL);
    assert_int_equal(kb_key_bytes(tgt->session_key).len, key.len);
    assert_memory_equal(kb_key_bytes(tgt->session_key).ptr, key.ptr, key.len);
    assert_true(kb_as_learned(r->as, &learned));
    if (r->client.keys.salted && wire_has(r->wire, "keys[name=client-long-term].salt")) {
        kb_bytes salt = wire_hex(r->wire, "keys[name=client-long-term].salt");

        assert_int_equal(learned.salt.len, salt.len);
        assert_memory_equal(learned.salt.ptr, salt.ptr, salt.len);
    }
}

/* Drives the whole AS exchange that begins with the recording's first message. */
static void run(struct run *r, bool same_bytes)
{
    enum kb_step step;

    add_draws(r, 0);
    step = kb_as_step(r->as, KB_NONE, "", &r->send);
    for (;;) {
        assert_int_equal(step, KB_SEND);
        assert_true(wire_rng_spent(&r->client.recorded));
        assert_int_equal(r->send.proof, wire_has(r->wire, "messages[%zu].fields.pa_enc_ts", r->at));
        if (same_bytes) {
            assert_same_request(r);
        }
        if (is_type(r, r->at + 1, "AS-REP")) {
            step = take_reply(r, wire_hex(r->wire, "messages[%zu].hex", r->at + 1));
            break;
        }
        if (wire_int(r->wire, "messages[%zu].fields.error_code", r->at + 1) == 52) {
            assert_int_equal(
                kb_as_verdict(r->as, wire_hex(r->wire, "messages[%zu].hex", r->at + 1)),
                KB_VERDICT_TCP);
            r->at += 2;
            continue;
        }
        add_draws(r, r->at + 2);
        step = kb_as_step(r->as, wire_hex(r->wire, "messages[%zu].hex", r->at + 1),
                          "192.0.2.1:88 (udp)", &r->send);
        r->at += 2;
    }
    if (step != KB_DONE) {
        print_error("%s: %s\n", wire_name(r->wire), kb_as_error(r->as)->text);
    }
    assert_int_equal(step, KB_DONE);
    assert_tgt(r, r->at + 1);
}

/* Recordings whose AS exchange is not one of ours: other options, armor, or enctypes to come. */
static bool is_ours(struct run *r)
{
    static const char *const others[] = {"rc4", "camellia", "postdated", "no-pac"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strstr(wire_name(r->wire), others[i]) != NULL) {
            return false;
        }
    }
    return nonce_of(r, 0) >= 0 && nonce_of(r, is_type(r, 2, "AS-REQ") ? 2 : 0) >= 0;
}

static void try_recording(struct wire *wire, void *ctx)
{
    unsigned *num = ctx;
    struct run r = {.wire = wire};
    bool heimdal = strstr(wire_name(wire), "client-heimdal") != NULL &&
                   strstr(wire_name(wire), "forwarded") == NULL;

    if (!is_ours(&r)) {
        return;
    }
    run_init(&r, wire);
    run(&r, !heimdal);
    run_wipe(&r);
    ++*num;
}

static void recorded_exchanges_are_repeated(void **state)
{
    unsigned num = 0;

    (void)state;
    wire_each("exchanges", try_recording, &num);
    assert_true(num > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_exchanges_are_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
