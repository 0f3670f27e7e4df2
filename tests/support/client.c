#include "tests/support/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/remembered.h"

static struct kb_timestamp still(void *ctx)
{
    return *(struct kb_timestamp *)ctx;
}

/* xorshift64 */
static enum kb_status repeatable(void *ctx, uint8_t *out, size_t len)
{
    uint64_t *x = ctx;

    for (size_t i = 0; i < len; i++) {
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        out[i] = (uint8_t)(*x >> 32);
    }
    return KB_OK;
}

static enum kb_status password_key(void *ctx, int32_t etype, kb_bytes salt, kb_bytes s2kparams,
                                   unsigned nth, struct kb_key **out)
{
    struct client *client = ctx;

    *out = NULL;
    if (nth > 0) {
        return KB_NOT_FOUND;
    }
    client->num_derived++;
    return remembered_key(etype, client->password, salt, s2kparams, out);
}

static enum kb_status keytab_key(void *ctx, int32_t etype, kb_bytes salt, kb_bytes s2kparams,
                                 unsigned nth, struct kb_key **out)
{
    struct client *client = ctx;

    (void)salt;
    (void)s2kparams;
    *out = NULL;
    for (size_t i = 0; i < client->num_keytab; i++) {
        if (client->keytab[i].etype == etype && nth-- == 0) {
            *out = kb_key_ref(client->keytab[i].key);
            return KB_OK;
        }
    }
    return KB_NOT_FOUND;
}

void client_init(struct client *client)
{
    static const int32_t etypes[] = {20, 19, 18, 17};

    memset(client, 0, sizeof(*client));
    kb_arena_init(&client->arena, NULL, 0, 1 << 20);
    memcpy(client->etypes, etypes, sizeof(etypes));
    client->now = (struct kb_timestamp){1795435200, 123456};
    client->seed = 0x9e3779b97f4a7c15u;
    client->policy = (struct kb_policy){
        .etypes = client->etypes,
        .num_etypes = 4,
        .min_iterations_sha1 = 1,
        .min_iterations_sha2 = 1,
        .max_iterations = 100000,
        .clock_skew = 300,
        .ticket_life = 86400,
        .renew_life = 604800,
        .forwardable = true,
    };
    client->env =
        (struct kb_env){.rng = {repeatable, &client->seed}, .now = still, .now_ctx = &client->now};
    client->keys = (struct kb_key_source){.get = password_key,
                                          .ctx = client,
                                          .salted = true,
                                          .what = "the password of /etc/alice.pw"};
    client->password = KB_LIT("secret");
    assert_int_equal(
        kb_principal_parse(KB_LIT("alice@TEST"), KB_NT_PRINCIPAL, KB_NONE, &client->principal),
        KB_OK);
}

void client_use_keytab(struct client *client)
{
    client->keys = (struct kb_key_source){
        .get = keytab_key, .ctx = client, .salted = false, .what = "keytab /etc/alice.keytab"};
}

void client_add_key(struct client *client, int32_t etype, kb_bytes raw)
{
    size_t n = client->num_keytab++;

    assert_true(n < 8);
    client->keytab[n].etype = etype;
    assert_int_equal(kb_key_new(etype, raw, &client->keytab[n].key), KB_OK);
}

static void secret_of_wire(struct client *client, struct wire *wire)
{
    if (wire_has(wire, "password")) {
        client->password = kb_str(wire_text(wire, "password"));
        return;
    }
    client_use_keytab(client);
    client_add_key(client, (int32_t)wire_int(wire, "keys[name=client-long-term].etype"),
                   wire_hex(wire, "keys[name=client-long-term].key"));
}

static void clock_of_wire(struct client *client, struct wire *wire, struct kb_arena *arena,
                          const kb_kdc_req_body *body, size_t n)
{
    kb_pa_enc_ts_enc ts;

    client->now = (struct kb_timestamp){body->till - 86400, 0};
    if (wire_has(wire, "messages[%zu].decrypted[what=PA-ENC-TIMESTAMP]", n)) {
        assert_int_equal(
            kb_decode_pa_enc_ts_enc(
                wire_hex(wire, "messages[%zu].decrypted[what=PA-ENC-TIMESTAMP].plain", n), arena,
                &ts, NULL),
            KB_OK);
        client->now = (struct kb_timestamp){ts.patimestamp, ts.pausec};
    }
}

void client_of_wire(struct client *client, struct wire *wire, size_t n)
{
    struct kb_arena *arena = &client->arena;
    kb_kdc_req req;
    kb_kdc_req_body body;

    client_init(client);
    assert_int_equal(kb_decode_as_req(wire_hex(wire, "messages[%zu].hex", n), arena, &req, NULL),
                     KB_OK);
    assert_int_equal(kb_decode_kdc_req_body(req.req_body, arena, &body, NULL), KB_OK);
    kb_principal_free(client->principal);
    client->principal = kb_principal_new(body.realm, &body.cname);
    secret_of_wire(client, wire);
    clock_of_wire(client, wire, arena, &body, n);
    assert_true(body.etype.num <= 16);
    memcpy(client->etypes, body.etype.items, body.etype.num * sizeof(int32_t));
    client->policy.num_etypes = body.etype.num;
    client->policy.ticket_life = (uint32_t)(body.till - client->now.sec);
    client->policy.renew_life = body.has_rtime ? (uint32_t)(body.rtime - client->now.sec) : 0;
    client->policy.forwardable = (body.kdc_options & 0x40000000u) != 0;
    client->policy.proxiable = (body.kdc_options & 0x10000000u) != 0;
    client->policy.canonicalize = (body.kdc_options & 0x00010000u) != 0;
    client->policy.addresses = body.addresses;
    wire_rng_init(&client->recorded);
    client->env.rng = client->recorded.rng;
}

void client_wipe(struct client *client)
{
    for (size_t i = 0; i < client->num_keytab; i++) {
        kb_key_free(client->keytab[i].key);
    }
    kb_principal_free(client->principal);
    kb_arena_wipe(&client->arena);
}
