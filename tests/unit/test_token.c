/* mech/protocol/token: Wrap and MIC tokens against recorded ones (tests/wire/gss: MIT
 * and Heimdal, each AES enctype, both directions) and other implementations' vectors. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/token.h"
#include "tests/support/context.h"
#include "tests/support/wire.h"

static void *copy_of(kb_bytes bytes)
{
    uint8_t *copy = malloc(bytes.len + 1); /* of its own, so that a sanitizer sees an overrun */

    assert_non_null(copy);
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    return copy;
}

static void assert_bytes(const char *what, size_t n, kb_bytes got, kb_bytes want)
{
    if (!kb_equal(got, want)) {
        fail_msg("%s, token %zu: %zu bytes, other than the %zu recorded", what, n, got.len,
                 want.len);
    }
}

/* --- recorded per-message tokens --- */

struct recorded {
    const char *file;
    size_t n;
    bool mic, conf, from_acceptor;
    kb_bytes message, token;
    uint64_t seq;
};

/* "pattern": byte i is (7 * i + len) mod 256. */
static kb_bytes message_of(struct wire *wire, size_t n)
{
    static uint8_t pattern[1 << 20];
    size_t len = (size_t)wire_int(wire, "per_message[%zu].len", n);

    if (strcmp(wire_text(wire, "per_message[%zu].message", n), "pattern") != 0) {
        return wire_hex(wire, "per_message[%zu].message", n);
    }
    assert_true(len <= sizeof(pattern));
    for (size_t i = 0; i < len; i++) {
        pattern[i] = (uint8_t)(7 * i + len);
    }
    return kb_bytes_of(pattern, len);
}

static struct kb_ap *side(struct wire *wire, size_t n, bool acceptor)
{
    const char *key = wire_text(wire, "per_message[%zu].key_name", n);
    struct kb_ap *ap = context_of(
        (int32_t)wire_int(wire, "keys.%s.etype", key), wire_hex(wire, "keys.%s.key", key), acceptor,
        strcmp(key, "acceptor-subkey") == 0, (uint64_t)wire_int(wire, "per_message[%zu].seq", n));

    if (strstr(wire_name(wire), "dce") != NULL) {
        ap->flags |= KB_GSS_DCE_STYLE;
    }
    return ap;
}

static void check_received(struct wire *wire, const struct recorded *r)
{
    struct kb_ap *ap = side(wire, r->n, !r->from_acceptor);
    uint8_t *copy = copy_of(r->token), *out = malloc(r->token.len);
    kb_bytes token = {copy, r->token.len};
    bool conf = false;
    size_t len = 0;
    uint32_t suppl;

    if (r->mic) {
        assert_int_equal(kb_verify_mic(ap, r->message, token, &suppl), KB_OK);
        assert_int_equal(suppl, 0);
        assert_int_equal(kb_verify_mic(ap, r->message, token, &suppl), KB_OK);
    } else {
        assert_int_equal(kb_unwrap(ap, token, out, &len, &conf, &suppl), KB_OK);
        assert_int_equal(suppl, 0);
        assert_int_equal(conf, r->conf);
        assert_bytes(r->file, r->n, kb_bytes_of(out, len), r->message);
        assert_int_equal(kb_unwrap(ap, token, out, &len, &conf, &suppl), KB_OK);
    }
    assert_int_equal(suppl, KB_SUPPL_DUPLICATE);
    assert_bytes(r->file, r->n, token, r->token); /* untouched */
    free(copy);
    free(out);
    context_free(ap);
}

/* To the right, as a sender that rotates does. */
static void rotate(uint8_t *rest, size_t len, size_t count)
{
    uint8_t *old = copy_of(kb_bytes_of(rest, len));

    for (size_t i = 0; i < len; i++) {
        rest[(i + count) % len] = old[i];
    }
    free(old);
}

/* Our token from the recorded confounder is the recorded one; Heimdal's rotation is applied to
 * ours. A filler is nothing that we send. */
static void check_sent(struct wire *wire, const struct recorded *r)
{
    struct kb_ap *ap = side(wire, r->n, r->from_acceptor);
    size_t len = r->mic ? kb_mic_len(ap) : kb_wrap_len(ap, r->conf, r->message.len);
    uint8_t *out = malloc(len);
    struct wire_rng rng;
    uint16_t rrc;

    ap->send_seq = r->seq;
    wire_rng_init(&rng);
    if (r->mic) {
        assert_int_equal(kb_get_mic(ap, r->message, out), KB_OK);
    } else {
        if (r->conf) {
            wire_rng_add(&rng, wire_hex(wire, "per_message[%zu].confounder", r->n));
        }
        assert_int_equal(kb_wrap(ap, &rng.rng, r->conf, r->message, out), KB_OK);
        rrc = (uint16_t)wire_int(wire, "per_message[%zu].rrc", r->n);
        rotate(out + 16, len - 16, rrc);
        out[6] = (uint8_t)(rrc >> 8);
        out[7] = (uint8_t)rrc;
    }
    assert_true(wire_rng_spent(&rng));
    assert_true(ap->send_seq == r->seq + 1);
    assert_bytes(r->file, r->n, kb_bytes_of(out, len), r->token);
    free(out);
    context_free(ap);
}

static bool is_aes(struct wire *wire)
{
    int64_t etype = wire_int(wire, "keys.session.etype");

    return etype >= KB_ENCTYPE_AES128_SHA1 && etype <= KB_ENCTYPE_AES256_SHA384;
}

/* What a stream reader can take: no data outside the token. */
static bool is_whole(struct wire *wire, size_t n)
{
    return !wire_has(wire, "per_message[%zu].sign_only_before", n) ||
           (strlen(wire_text(wire, "per_message[%zu].sign_only_before", n)) == 0 &&
            strlen(wire_text(wire, "per_message[%zu].sign_only_after", n)) == 0);
}

static void check_recording(struct wire *wire, void *ctx)
{
    size_t *counts = ctx;
    size_t num = wire_num(wire, "per_message");

    if (!is_aes(wire)) {
        return;
    }
    for (size_t n = 0; n < num; n++) {
        const char *op = wire_text(wire, "per_message[%zu].op", n);
        struct recorded r = {
            .file = wire_name(wire),
            .n = n,
            .mic = strcmp(op, "mic") == 0,
            .from_acceptor = strcmp(wire_text(wire, "per_message[%zu].sender", n), "acceptor") == 0,
            .message = message_of(wire, n),
            .token = wire_hex(wire, "per_message[%zu].token", n),
            .seq = (uint64_t)wire_int(wire, "per_message[%zu].seq", n),
        };

        r.conf = !r.mic && wire_int(wire, "per_message[%zu].conf", n) != 0;
        if (!is_whole(wire, n)) {
            continue;
        }
        check_received(wire, &r);
        counts[0]++;
        if (!r.conf || wire_int(wire, "per_message[%zu].ec", n) == 0) {
            check_sent(wire, &r);
            counts[1]++;
        }
    }
}

static void recorded_tokens_are_taken_and_remade(void **state)
{
    size_t counts[2] = {0, 0};

    (void)state;
    wire_each("gss", check_recording, counts);
    print_message("%zu tokens taken, %zu made again to the byte\n", counts[0], counts[1]);
    assert_true(counts[0] > 500 && counts[1] > 500);
}

/* --- vectors of others --- */

static const struct vector {
    const char *source;
    const char *key; /* AES128_SHA1 */
    bool from_acceptor;
    const char *message, *token; /* hex */
    bool mic;
} vectors[] = {
    /* clang-format off */
    {"gokrb5 gssapi/wrapToken_test.go", "14f9bde6b50ec508201a97f74c4e5bd3", true, "01010000",
     "050401ff000c000000000000575e85d601010000853b728d5268525a1386c19f", false},
    {"gokrb5 gssapi/wrapToken_test.go", "14f9bde6b50ec508201a97f74c4e5bd3", false, "01010000",
     "050400ff000c000000000000000000000101000079a033510b6f127212242b97", false},
    {"gokrb5 gssapi/MICToken_test.go", "14f9bde6b50ec508201a97f74c4e5bd3", true, "deadbeef",
     "040401ffffffffff00000000575e85d6c34d12ba3e5b1b1310cd9cb3", true},
    {"gokrb5 gssapi/MICToken_test.go", "14f9bde6b50ec508201a97f74c4e5bd3", false, "deadbeef",
     "040400ffffffffff00000000000000009649ca09d2f1bc51ff6e5ca3", true},
    {"MIT t_invalid.c", "31323334353637383837363534333231", false, "6d657373616765",
     "040400ffffffffff000000000000000097e9633f9d822b7467948ad0", true},
    {"MIT t_invalid.c", "31323334353637383837363534333231", false, "6d657373616765",
     "050400ff000c000000000000000000006d657373616765df57b95ea2b17331dbce6162", false},
    {"MIT t_invalid.c", "31323334353637383837363534333231", false, "6d657373616765",
     "050402ff00000000000000000000000072bbd7cfdeb0f920e29a98a7a4e7c99b30d3fe61512e1b5688b78af5a9bf8f82"
     "b1ebcc88e63313bf524bc03b243f3ef5f1e064", false},
    /* clang-format on */
};

static kb_bytes unhex(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char octet[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(octet, NULL, 16);
    }
    return kb_bytes_of(out, len);
}

static void vectors_of_others_are_taken(void **state)
{
    uint8_t key[32], message_bytes[64], token_bytes[128], out[128];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct vector *v = &vectors[i];
        kb_bytes message = unhex(v->message, message_bytes), token = unhex(v->token, token_bytes);
        struct kb_ap *ap = context_of(KB_ENCTYPE_AES128_SHA1, unhex(v->key, key), !v->from_acceptor,
                                      false, token.ptr[15]);
        uint32_t suppl;
        size_t len;
        bool conf;

        if (v->mic) {
            assert_int_equal(kb_verify_mic(ap, message, token, &suppl), KB_OK);
        } else {
            assert_int_equal(kb_unwrap(ap, token, out, &len, &conf, &suppl), KB_OK);
            assert_bytes(v->source, i, kb_bytes_of(out, len), message);
        }
        context_free(ap);
    }
}

/* --- sizes --- */

static const struct {
    int32_t etype;
    size_t key_len;
} etypes[] = {
    {KB_ENCTYPE_AES128_SHA1, 16},
    {KB_ENCTYPE_AES256_SHA1, 32},
    {KB_ENCTYPE_AES128_SHA256, 16},
    {KB_ENCTYPE_AES256_SHA384, 32},
};
#define NUM_ETYPES (sizeof(etypes) / sizeof(etypes[0]))

static const uint8_t some_key[32] = "an example of a key, 32 bytes..";

static struct kb_ap *side_of(size_t i, bool acceptor)
{
    return context_of(etypes[i].etype, kb_bytes_of(some_key, etypes[i].key_len), acceptor, true, 0);
}

static void wrap_max_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *ap = side_of(i, false);

        for (int conf = 0; conf <= 1; conf++) {
            for (size_t size = 0; size < 70000; size += size < 300 ? 1 : 997) {
                size_t max = kb_wrap_max(ap, conf, size);

                assert_true(max == 0 || kb_wrap_len(ap, conf, max) <= size);
                assert_true(size < kb_wrap_len(ap, conf, max + 1));
            }
            assert_int_equal(kb_wrap_len(ap, conf, SIZE_MAX - 3), SIZE_MAX);
        }
        context_free(ap);
    }
}

static void every_length_comes_back(void **state)
{
    static uint8_t message[1100], token[1300], out[1300];

    (void)state;
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side_of(i, false), *server = side_of(i, true);

        for (size_t len = 0; len < sizeof(message); len += len < 100 ? 1 : 97) {
            for (int conf = 0; conf <= 1; conf++) {
                kb_bytes in = {message, len};
                size_t token_len = kb_wrap_len(client, conf, len), out_len;
                uint32_t suppl;
                bool sealed;

                assert_int_equal(kb_wrap(client, &kb_rng_system, conf, in, token), KB_OK);
                assert_int_equal(kb_unwrap(server, kb_bytes_of(token, token_len), out, &out_len,
                                           &sealed, &suppl),
                                 KB_OK);
                assert_int_equal(sealed, conf);
                assert_int_equal(suppl, 0);
                assert_bytes("round trip", len, kb_bytes_of(out, out_len), in);
            }
        }
        context_free(client);
        context_free(server);
    }
}

/* --- state --- */

static enum kb_status no_randomness(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    (void)out;
    (void)len;
    return KB_NO_RANDOM;
}

static void a_failed_message_takes_no_number(void **state)
{
    const struct kb_rng broken = {no_randomness, NULL};
    struct kb_ap *ap = side_of(0, false);
    uint8_t token[100];

    (void)state;
    ap->send_seq = 7;
    assert_int_equal(kb_wrap(ap, &broken, true, KB_LIT("x"), token), KB_NO_RANDOM);
    assert_true(ap->send_seq == 7);
    context_free(ap);
}

static void a_half_open_context_has_no_messages(void **state)
{
    struct kb_ap *ap = side_of(0, false);
    uint8_t token[100], out[100];
    uint32_t suppl;
    size_t len;
    bool conf;

    (void)state;
    ap->state = KB_AP_WAITING;
    assert_int_equal(kb_wrap(ap, &kb_rng_system, true, KB_NONE, token), KB_NOT_FOUND);
    assert_int_equal(kb_get_mic(ap, KB_NONE, token), KB_NOT_FOUND);
    assert_int_equal(kb_unwrap(ap, KB_NONE, out, &len, &conf, &suppl), KB_NOT_FOUND);
    assert_int_equal(kb_verify_mic(ap, KB_NONE, KB_NONE, &suppl), KB_NOT_FOUND);
    context_free(ap);
}

/* --- threads: two on each side of one pair of contexts (under TSan: no race) --- */

#define MESSAGES 300

struct worker {
    struct kb_ap *client, *server;
    uint32_t suppl; /* all bits seen */
    bool failed;
    uint8_t seen[2 * MESSAGES];
};

static void *work(void *arg)
{
    struct worker *w = arg;
    uint8_t token[128], mic[64], out[128];
    uint32_t suppl;
    size_t len;
    bool conf;

    for (int i = 0; i < MESSAGES && !w->failed; i++) {
        kb_bytes message = kb_bytes_of(&i, sizeof(i));
        kb_bytes wrapped = {token, kb_wrap_len(w->client, true, message.len)};

        w->failed = kb_wrap(w->client, &kb_rng_system, true, message, token) != KB_OK ||
                    kb_unwrap(w->server, wrapped, out, &len, &conf, &suppl) != KB_OK ||
                    !kb_equal(kb_bytes_of(out, len), message) || (suppl & KB_SUPPL_DUPLICATE) != 0;
        w->seen[((size_t)token[14] << 8 | token[15]) % sizeof(w->seen)]++;
        w->failed = w->failed || kb_get_mic(w->server, message, mic) != KB_OK ||
                    kb_verify_mic(w->client, message, kb_bytes_of(mic, kb_mic_len(w->server)),
                                  &suppl) != KB_OK ||
                    (suppl & KB_SUPPL_DUPLICATE) != 0;
    }
    return NULL;
}

static void threads_share_a_context(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side_of(i, false), *server = side_of(i, true);
        struct worker workers[2] = {{.client = client, .server = server},
                                    {.client = client, .server = server}};
        pthread_t threads[2];

        for (int t = 0; t < 2; t++) {
            assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
        }
        for (int t = 0; t < 2; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
            assert_false(workers[t].failed);
        }
        for (size_t n = 0; n < (size_t)2 * MESSAGES; n++) {
            assert_int_equal(workers[0].seen[n] + workers[1].seen[n], 1);
        }
        context_free(client);
        context_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_tokens_are_taken_and_remade),
        cmocka_unit_test(vectors_of_others_are_taken),
        cmocka_unit_test(wrap_max_is_exact),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(a_failed_message_takes_no_number),
        cmocka_unit_test(a_half_open_context_has_no_messages),
        cmocka_unit_test(threads_share_a_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
