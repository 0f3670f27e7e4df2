/* mech/protocol/token without memory: each allocation fails once, and all that comes of it is the
 * status that says so. After the first message in each direction nothing is allocated any more.
 * (What OpenSSL allocates is not seen here.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/provider.h"
#include "mech/protocol/token.h"
#include "tests/support/context.h"
#include "tests/support/oom.h"

static const kb_bytes message = {(const uint8_t *)"the secret of the message", 25};

struct pair {
    struct kb_ap *client, *server;
};

static struct pair pair_of(const struct kb_enctype *enctype)
{
    struct kb_key *key;
    struct pair pair;

    assert_int_equal(kb_key_random(enctype->etype, &kb_rng_system, &key), KB_OK);
    pair.client = context_of(enctype->etype, kb_key_bytes(key), false, true, 0);
    pair.server = context_of(enctype->etype, kb_key_bytes(key), true, true, 0);
    kb_key_free(key);
    return pair;
}

static void pair_free(struct pair *pair)
{
    context_free(pair->client);
    context_free(pair->server);
}

/* Memory that is short is the only thing that may go wrong. */
static bool is_ok(enum kb_status st)
{
    assert_true(st == KB_OK || st == KB_NO_MEMORY);
    return st == KB_OK;
}

static bool wraps(struct pair *pair, bool conf)
{
    uint8_t token[256], out[256] = {0}, zeros[256] = {0};
    size_t len = kb_wrap_len(pair->client, conf, message.len), out_len;
    uint64_t seq = pair->client->send_seq;
    uint32_t suppl;
    bool sealed;

    if (!is_ok(kb_wrap(pair->client, &kb_rng_system, conf, message, token))) {
        assert_true(pair->client->send_seq == seq);
        return false;
    }
    if (!is_ok(kb_unwrap(pair->server, kb_bytes_of(token, len), out, &out_len, &sealed, &suppl))) {
        assert_int_equal(out_len, 0);
        assert_memory_equal(out, zeros, sizeof(out));
        /* The token is as good as it was. */
        oom_fail_after(-1);
        assert_int_equal(
            kb_unwrap(pair->server, kb_bytes_of(token, len), out, &out_len, &sealed, &suppl),
            KB_OK);
        assert_int_equal(suppl, 0);
        return false;
    }
    assert_true(kb_equal(kb_bytes_of(out, out_len), message));
    assert_int_equal(suppl, 0);
    return true;
}

static bool signs(struct pair *pair)
{
    uint8_t mic[128];
    kb_bytes token = {mic, kb_mic_len(pair->client)};
    uint32_t suppl;

    if (!is_ok(kb_get_mic(pair->client, message, mic))) {
        return false;
    }
    if (!is_ok(kb_verify_mic(pair->server, message, token, &suppl))) {
        oom_fail_after(-1);
        assert_int_equal(kb_verify_mic(pair->server, message, token, &suppl), KB_OK);
        return false;
    }
    return true;
}

static bool all(struct pair *pair)
{
    return wraps(pair, true) && wraps(pair, false) && signs(pair);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; kb_enctype_at(i) != NULL; i++) {
        bool whole = false;
        long n = 0;

        for (; !whole; n++) {
            struct pair pair = pair_of(kb_enctype_at(i));

            oom_fail_after(n);
            whole = all(&pair);
            oom_fail_after(-1);
            assert_true(all(&pair));
            pair_free(&pair);
        }
        assert_true(n > 1);
    }
}

static void only_the_first_messages_allocate(void **state)
{
    (void)state;
    for (size_t i = 0; kb_enctype_at(i) != NULL; i++) {
        struct pair pair = pair_of(kb_enctype_at(i));
        unsigned long before;

        assert_true(all(&pair));
        before = oom_count();
        for (int n = 0; n < 50; n++) {
            assert_true(all(&pair));
        }
        assert_int_equal(oom_count(), before);
        pair_free(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(only_the_first_messages_allocate),
    };

    /* OpenSSL is loaded once for all. */
    if (kb_provider_load() != KB_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
