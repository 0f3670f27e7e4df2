/* mech/protocol/ap and token when memory is short, and how little they take: each allocation on the
 * way fails once. (Leaks are what ASan and valgrind find here.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/types.h"
#include "crypto/provider.h"
#include "mech/protocol/token.h"
#include "tests/support/context.h"
#include "tests/support/oom.h"

static const uint8_t key_bytes[32] = "an example of a key, 32 bytes..";

static struct kb_timestamp fixed_now(void *ctx)
{
    (void)ctx;
    return (struct kb_timestamp){1900000000, 42};
}

static const struct kb_env env = {{NULL, NULL}, fixed_now, NULL, NULL};
static struct kb_credential credential;

static int make_credential(void **state)
{
    /* As good as a ticket to whoever only passes it on. */
    static const uint8_t ticket[] = {0x61, 0x03, 0x02, 0x01, 0x05};
    struct kb_principal *client, *server;

    (void)state;
    if (kb_provider_load() != KB_OK ||
        kb_principal_parse(KB_LIT("alice@EXAMPLE.ORG"), KB_NT_PRINCIPAL, KB_NONE, &client) !=
            KB_OK ||
        kb_principal_parse(KB_LIT("HTTP/www@EXAMPLE.ORG"), KB_NT_SRV_HST, KB_NONE, &server) !=
            KB_OK) {
        return -1;
    }
    credential = (struct kb_credential){
        .client = client,
        .server = server,
        .ticket = kb_bytes_of(ticket, sizeof(ticket)),
        .endtime = 2000000000,
    };
    return kb_key_new(KB_ENCTYPE_AES256_SHA1, kb_bytes_of(key_bytes, 32),
                      &credential.session_key) == KB_OK
               ? 0
               : -1;
}

static int drop_credential(void **state)
{
    (void)state;
    kb_principal_free(credential.client);
    kb_principal_free(credential.server);
    kb_key_free(credential.session_key);
    return 0;
}

static struct kb_env real_env(void)
{
    struct kb_env e = env;

    e.rng = kb_rng_system;
    return e;
}

/* An AP-REP with a subkey; `arena` keeps it. */
static kb_bytes answer(struct kb_arena *arena)
{
    kb_enc_ap_rep_part part = {
        .ctime = 1900000000,
        .cusec = 42,
        .has_subkey = true,
        .subkey = {KB_ENCTYPE_AES256_SHA384, {key_bytes, 32}},
        .has_seq_number = true,
        .seq_number = 1,
    };
    kb_ap_rep rep = {.pvno = 5, .msg_type = 15, .enc_part = {.etype = KB_ENCTYPE_AES256_SHA1}};
    uint8_t *cipher;
    kb_bytes plain, out;

    assert_int_equal(kb_encode_enc_ap_rep_part(arena, &part, &plain), KB_OK);
    cipher = kb_arena_alloc(arena, kb_encrypted_len(credential.session_key, plain.len));
    rep.enc_part.cipher = kb_bytes_of(cipher, kb_encrypted_len(credential.session_key, plain.len));
    assert_int_equal(
        kb_encrypt(credential.session_key, KB_USAGE_AP_REP, &kb_rng_system, plain, cipher), KB_OK);
    assert_int_equal(kb_encode_ap_rep(arena, &rep, &out), KB_OK);
    return out;
}

/* One life of a context; false where memory was short. Anything else that fails ends the test. */
static bool live(kb_bytes ap_rep)
{
    static const int32_t etypes[] = {KB_ENCTYPE_AES256_SHA384, KB_ENCTYPE_AES256_SHA1};
    struct kb_channel_bindings bindings = {.application_data = KB_LIT("tls-unique:x")};
    struct kb_ap_request request = {
        .credential = &credential,
        .flags = KB_GSS_MUTUAL | KB_GSS_DCE_STYLE | KB_GSS_SEQUENCE,
        .bindings = &bindings,
        .bindings_required = true,
        .etypes = etypes,
        .num_etypes = 2,
    };
    struct kb_env e = real_env();
    struct kb_error err = {0};
    uint8_t token[256], mic[64];
    struct kb_arena arena;
    struct kb_ap *ap;
    kb_bytes req, third;
    enum kb_status st;

    kb_arena_init(&arena, NULL, 0, 1 << 20);
    st = kb_ap_new(&e, &request, &arena, &ap, &req);
    if (st == KB_OK) {
        st = kb_ap_reply(ap, &e, ap_rep, &arena, &third, &err);
        if (st != KB_OK) {
            assert_int_equal(err.code, KB_E_NO_MEMORY);
            st = KB_NO_MEMORY;
        }
    } else {
        assert_null(ap);
    }
    if (st == KB_OK) {
        st = kb_wrap(ap, &kb_rng_system, true, KB_LIT("message"), token);
    }
    if (st == KB_OK) {
        st = kb_get_mic(ap, KB_LIT("message"), mic);
    }
    assert_true(st == KB_OK || st == KB_NO_MEMORY);
    kb_ap_free(ap);
    kb_arena_wipe(&arena);
    return st == KB_OK;
}

static void each_allocation_may_fail(void **state)
{
    struct kb_arena arena;
    kb_bytes ap_rep;
    long num = 0;

    (void)state;
    kb_arena_init(&arena, NULL, 0, 1 << 20);
    ap_rep = answer(&arena);
    assert_true(live(ap_rep)); /* what is kept with the session key is there */
    for (;; num++) {
        bool lived;

        oom_fail_after(num);
        lived = live(ap_rep);
        oom_fail_after(-1);
        if (lived) {
            break;
        }
    }
    print_message("%ld allocations, each failed once\n", num);
    assert_true(num >= 3 && num < 50);
    kb_arena_wipe(&arena);
}

/* The context and at most its subkey (keys share blocks); the AP-REQ lies in the caller's block. */
static void a_context_is_two_allocations_at_most(void **state)
{
    struct kb_ap_request request = {.credential = &credential, .flags = KB_GSS_MUTUAL};
    struct kb_env e = real_env();
    uint64_t block[512];
    struct kb_arena arena;
    unsigned long before;
    struct kb_ap *ap;
    kb_bytes req;

    (void)state;
    kb_arena_init(&arena, block, sizeof(block), 0);
    before = oom_count();
    assert_int_equal(kb_ap_new(&e, &request, &arena, &ap, &req), KB_OK);
    assert_true(oom_count() - before <= 2);
    kb_ap_free(ap);
    kb_arena_wipe(&arena);
}

static void messages_allocate_nothing(void **state)
{
    struct kb_ap *client =
        context_of(KB_ENCTYPE_AES256_SHA1, kb_bytes_of(key_bytes, 32), false, true, 0);
    struct kb_ap *server =
        context_of(KB_ENCTYPE_AES256_SHA1, kb_bytes_of(key_bytes, 32), true, true, 0);
    uint8_t token[128], out[128];
    unsigned long before = 0;
    uint32_t suppl;
    size_t len;
    bool conf;

    (void)state;
    for (int i = 0; i < 10; i++) {
        if (i == 2) { /* ciphers and keys are made by the first in each direction */
            before = oom_count();
        }
        assert_int_equal(kb_wrap(client, &kb_rng_system, i % 2, KB_LIT("message"), token), KB_OK);
        assert_int_equal(kb_unwrap(server, kb_bytes_of(token, kb_wrap_len(client, i % 2, 7)), out,
                                   &len, &conf, &suppl),
                         KB_OK);
        if (i >= 2) {
            assert_int_equal(oom_count(), before);
        }
    }
    context_free(client);
    context_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(a_context_is_two_allocations_at_most),
        cmocka_unit_test(messages_allocate_nothing),
    };

    return cmocka_run_group_tests(tests, make_credential, drop_credential);
}
