/* mech/protocol/token: what a peer or somebody on the way may do to a per-message token. RFC
 * 4121 4.2; the shapes of MIT krb5 src/tests/gssapi/t_invalid.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/reader.h"
#include "mech/protocol/token.h"
#include "tests/support/context.h"
#include "tests/support/wire.h"

#define HEADER 16
#define SEALED 0x02
#define FROM_ACCEPTOR 0x01
#define SUBKEY 0x04

static const struct {
    int32_t etype;
    size_t key_len, mac_len;
} etypes[] = {
    {KB_ENCTYPE_AES128_SHA1, 16, 12},
    {KB_ENCTYPE_AES256_SHA1, 32, 12},
    {KB_ENCTYPE_AES128_SHA256, 16, 16},
    {KB_ENCTYPE_AES256_SHA384, 32, 24},
};
#define NUM_ETYPES (sizeof(etypes) / sizeof(etypes[0]))

static const uint8_t some_key[32] = "an example of a key, 32 bytes..";
static const kb_bytes secret = {(const uint8_t *)"the secret of the message", 25};

enum kind { SEAL, SIGN, MIC, NUM_KINDS };

static struct kb_ap *side(size_t i, bool acceptor)
{
    return context_of(etypes[i].etype, kb_bytes_of(some_key, etypes[i].key_len), acceptor, true, 0);
}

static size_t make(struct kb_ap *ap, enum kind kind, kb_bytes message, uint8_t *out)
{
    if (kind == MIC) {
        assert_int_equal(kb_get_mic(ap, message, out), KB_OK);
        return kb_mic_len(ap);
    }
    assert_int_equal(kb_wrap(ap, &kb_rng_system, kind == SEAL, message, out), KB_OK);
    return kb_wrap_len(ap, kind == SEAL, message.len);
}

/* Takes a token through memory of exactly its size; what a refused one leaves behind is checked
 * here, for all tests. */
static enum kb_status take_as(struct kb_ap *ap, enum kind kind, kb_bytes message, kb_bytes token,
                              size_t *out_len)
{
    uint8_t *in = malloc(token.len + 1), *out = calloc(1, token.len + 1);
    kb_bytes copy = {in, token.len};
    enum kb_status st;
    uint32_t suppl = 0;
    bool conf = false;

    memcpy(in, token.ptr, token.len);
    *out_len = 0;
    if (kind == MIC) {
        st = kb_verify_mic(ap, message, copy, &suppl);
    } else {
        st = kb_unwrap(ap, copy, out, out_len, &conf, &suppl);
    }
    assert_memory_equal(in, token.ptr, token.len);
    if (st != KB_OK) {
        assert_true(st == KB_BAD_INTEGRITY || st == KB_MALFORMED || st == KB_CUT_SHORT);
        assert_int_equal(*out_len, 0);
        assert_int_equal(suppl, 0);
        for (size_t i = 0; i < token.len; i++) {
            assert_int_equal(out[i], 0);
        }
    } else if (kind != MIC) {
        assert_true(kb_equal(kb_bytes_of(out, *out_len), message));
    }
    free(in);
    free(out);
    return st;
}

static enum kb_status take(struct kb_ap *ap, enum kind kind, kb_bytes message, kb_bytes token)
{
    size_t len;

    return take_as(ap, kind, message, token, &len);
}

static size_t rest_len(size_t token_len)
{
    return token_len - HEADER;
}

static size_t rrc_of(const uint8_t *token)
{
    return (size_t)token[6] << 8 | token[7];
}

/* --- on the way --- */

static void flip_all(size_t etype, enum kind kind, kb_bytes message)
{
    struct kb_ap *client = side(etype, false), *server = side(etype, true);
    uint8_t token[256];
    size_t len = make(client, kind, message, token);
    size_t rotation = kind == MIC ? 0 : rrc_of(token) % rest_len(len);

    for (size_t bit = 0; bit < 8 * len; bit += wire_stride()) {
        bool same;

        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        same = kind != MIC && (bit / 8 == 6 || bit / 8 == 7) &&
               rrc_of(token) % rest_len(len) == rotation; /* turned right round: nothing changed */
        if ((take(server, kind, message, kb_bytes_of(token, len)) == KB_OK) != same) {
            fail_msg("etype %d, kind %d, bit %zu", (int)etypes[etype].etype, (int)kind, bit);
        }
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (same) {
            context_receives(server, 0);
        }
    }
    /* The forgeries did not move the window. */
    assert_true(server->received.next == 0);
    assert_int_equal(take(server, kind, message, kb_bytes_of(token, len)), KB_OK);
    context_free(client);
    context_free(server);
}

static void no_bit_can_be_flipped(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            flip_all(i, (enum kind)kind, secret);
            flip_all(i, (enum kind)kind, KB_NONE);
        }
    }
}

static void no_byte_can_be_cut_or_added(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            struct kb_ap *client = side(i, false), *server = side(i, true);
            uint8_t token[257] = {0};
            size_t len = make(client, (enum kind)kind, secret, token);

            for (size_t cut = 0; cut <= len + 1; cut++) {
                enum kb_status st = take(server, (enum kind)kind, secret, kb_bytes_of(token, cut));

                assert_int_equal(st == KB_OK, cut == len);
                if (cut < HEADER) {
                    assert_int_equal(st, KB_CUT_SHORT);
                }
            }
            context_free(client);
            context_free(server);
        }
    }
}

static void a_message_differs(void **state)
{
    uint8_t message[25], mic[64];

    (void)state;
    memcpy(message, secret.ptr, secret.len);
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        size_t len = make(client, MIC, secret, mic);

        for (size_t bit = 0; bit < 8 * sizeof(message); bit += wire_stride()) {
            message[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(
                take(server, MIC, kb_bytes_of(message, sizeof(message)), kb_bytes_of(mic, len)),
                KB_BAD_INTEGRITY);
            message[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(take(server, MIC, KB_NONE, kb_bytes_of(mic, len)), KB_BAD_INTEGRITY);
        context_free(client);
        context_free(server);
    }
}

static void a_token_is_not_taken_as_another_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        uint8_t token[256];
        size_t len = make(client, MIC, KB_NONE, token);

        assert_int_equal(take(server, SIGN, KB_NONE, kb_bytes_of(token, len)), KB_MALFORMED);
        len = make(client, SIGN, KB_NONE, token);
        assert_int_equal(take(server, MIC, KB_NONE, kb_bytes_of(token, len)), KB_MALFORMED);
        /* Sent back to its sender. */
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            len = make(client, (enum kind)kind, secret, token);
            assert_int_equal(take(client, (enum kind)kind, secret, kb_bytes_of(token, len)),
                             KB_BAD_INTEGRITY);
        }
        context_free(client);
        context_free(server);
    }
}

/* RFC 4121 2: messages MUST be flagged with AcceptorSubkey where there is one; where there is none,
 * the flag means nothing, as with MIT. */
static void the_subkey_flag_must_fit(void **state)
{
    (void)state;
    for (int kind = 0; kind < NUM_KINDS; kind++) {
        struct kb_ap *client = side(0, false), *server = side(0, true);
        uint8_t token[256];
        size_t len = make(client, (enum kind)kind, secret, token);

        assert_int_equal(token[2] & SUBKEY, SUBKEY);
        server->acceptor_subkey = false;
        assert_int_equal(take(server, (enum kind)kind, secret, kb_bytes_of(token, len)), KB_OK);
        client->acceptor_subkey = false;
        len = make(client, (enum kind)kind, secret, token);
        assert_int_equal(token[2] & SUBKEY, 0);
        assert_int_equal(take(server, (enum kind)kind, secret, kb_bytes_of(token, len)), KB_OK);
        server->acceptor_subkey = true;
        assert_int_equal(take(server, (enum kind)kind, secret, kb_bytes_of(token, len)),
                         KB_BAD_INTEGRITY);
        context_free(client);
        context_free(server);
    }
}

/* --- rotation --- */

static void every_rotation_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int kind = SEAL; kind <= SIGN; kind++) {
            struct kb_ap *client = side(i, false), *server = side(i, true);
            uint8_t token[256], turned[256];
            size_t len = make(client, (enum kind)kind, secret, token);
            size_t rest = rest_len(len);

            server->received.replay = server->received.sequence = false;
            for (size_t rrc = 0; rrc <= 0xffff; rrc += (i == 0 ? 1 : 61) * wire_stride()) {
                memcpy(turned, token, HEADER);
                kb_put_u16be(turned + 6, (uint16_t)rrc);
                for (size_t b = 0; b < rest; b++) {
                    turned[HEADER + (b + rrc) % rest] = token[HEADER + b];
                }
                assert_int_equal(take(server, (enum kind)kind, secret, kb_bytes_of(turned, len)),
                                 KB_OK);
            }
            context_free(client);
            context_free(server);
        }
    }
}

/* --- the peer: tokens with a good MAC --- */

/* A sealed token from the initiator over `plain`, whose outer header is `header`. */
static size_t seal(struct kb_ap *ap, const uint8_t header[HEADER], kb_bytes plain, uint8_t *out)
{
    const struct kb_enctype *enctype = kb_key_enctype(ap->message_key);
    struct kb_piece data = kb_piece_data(out + HEADER + enctype->confounder_len, plain.len);

    memcpy(out, header, HEADER);
    memcpy(data.ptr, plain.ptr, plain.len);
    assert_int_equal(kb_encrypt_pieces(ap->message_key, KB_USAGE_INITIATOR_SEAL, &kb_rng_system,
                                       out + HEADER, &data, 1, data.ptr + data.len),
                     KB_OK);
    return HEADER + kb_encrypted_len(ap->message_key, plain.len);
}

static void put_header(uint8_t out[HEADER], uint8_t flags, size_t ec)
{
    memset(out, 0, HEADER);
    kb_put_u16be(out, 0x0504);
    out[2] = flags;
    out[3] = 0xff;
    kb_put_u16be(out + 4, (uint16_t)ec);
}

/* data | filler | header with its EC */
static size_t seal_filled(struct kb_ap *ap, kb_bytes message, size_t ec, uint8_t *out)
{
    uint8_t *plain = malloc(message.len + ec + HEADER), header[HEADER];
    size_t len;

    put_header(header, SEALED | SUBKEY, ec);
    memcpy(plain, message.ptr, message.len);
    memset(plain + message.len, 'x', ec);
    memcpy(plain + message.len + ec, header, HEADER);
    len = seal(ap, header, kb_bytes_of(plain, message.len + ec + HEADER), out);
    free(plain);
    return len;
}

static void every_filler_is_taken(void **state)
{
    static uint8_t token[0x10000 + 256];

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);

        server->received.replay = server->received.sequence = false;
        for (size_t ec = 0; ec <= 0xffff; ec = ec < 300 ? ec + 1 : 2 * ec - ec / 3) {
            size_t len = seal_filled(client, secret, ec, token);

            assert_int_equal(take(server, SEAL, secret, kb_bytes_of(token, len)), KB_OK);
        }
        assert_int_equal(take(server, SEAL, secret,
                              kb_bytes_of(token, seal_filled(client, secret, 0xffff, token))),
                         KB_OK);
        context_free(client);
        context_free(server);
    }
}

/* The EC outside says how much is filler; only the one inside the ciphertext counts. */
static void no_other_extra_count_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        uint8_t sealed[256], sign[256];
        size_t sealed_len = make(client, SEAL, secret, sealed);
        size_t sign_len = make(client, SIGN, secret, sign);

        for (size_t ec = 0; ec <= 0xffff; ec += (i == 0 ? 1 : 7) * wire_stride()) {
            if (ec != 0) {
                kb_put_u16be(sealed + 4, (uint16_t)ec);
                assert_int_equal(take(server, SEAL, secret, kb_bytes_of(sealed, sealed_len)),
                                 KB_MALFORMED);
            }
            if (ec != etypes[i].mac_len) {
                kb_put_u16be(sign + 4, (uint16_t)ec);
                assert_int_equal(take(server, SIGN, secret, kb_bytes_of(sign, sign_len)),
                                 KB_MALFORMED);
            }
        }
        context_free(client);
        context_free(server);
    }
}

static void sealed_plaintexts_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        uint8_t header[HEADER], plain[24], token[256];
        size_t len;

        /* "altered EC": 3 outside, 0 inside */
        put_header(header, SEALED | SUBKEY, 3);
        memcpy(plain, "truncate", 8);
        memcpy(plain + 8, header, HEADER);
        kb_put_u16be(plain + 12, 0);
        len = seal(client, header, kb_bytes_of(plain, 24), token);
        assert_int_equal(take(server, SEAL, secret, kb_bytes_of(token, len)), KB_MALFORMED);

        /* "short plaintext": no room for the header */
        put_header(header, SEALED | SUBKEY, 0);
        for (size_t short_len = 1; short_len < HEADER; short_len++) {
            len = seal(client, header, kb_bytes_of(plain, short_len), token);
            assert_int_equal(take(server, SEAL, secret, kb_bytes_of(token, len)), KB_MALFORMED);
        }

        /* "large EC": more filler than there is plaintext */
        put_header(header, SEALED | SUBKEY, 5);
        memcpy(plain, "abcd", 4);
        memcpy(plain + 4, header, HEADER);
        len = seal(client, header, kb_bytes_of(plain, 20), token);
        assert_int_equal(take(server, SEAL, secret, kb_bytes_of(token, len)), KB_MALFORMED);
        context_free(client);
        context_free(server);
    }
}

/* Each field of the inner header but RRC. */
static void the_inner_header_must_be_the_outer(void **state)
{
    struct kb_ap *client = side(0, false), *server = side(0, true);
    uint8_t header[HEADER], plain[HEADER], token[256];

    (void)state;
    server->received.replay = server->received.sequence = false;
    put_header(header, SEALED | SUBKEY, 0);
    for (size_t bit = 0; bit < (size_t)8 * HEADER; bit++) {
        bool rrc = bit / 8 == 6 || bit / 8 == 7;
        size_t len;

        memcpy(plain, header, HEADER);
        plain[bit / 8] ^= (uint8_t)(1u << bit % 8);
        len = seal(client, header, kb_bytes_of(plain, HEADER), token);
        assert_int_equal(take(server, SEAL, KB_NONE, kb_bytes_of(token, len)),
                         rrc ? KB_OK : KB_MALFORMED);
    }
    context_free(client);
    context_free(server);
}

/* RFC 4121 4.2.2: "The receiver MUST ignore unknown flags." */
static void unknown_flags_are_ignored(void **state)
{
    struct kb_ap *client = side(0, false), *server = side(0, true);
    uint8_t header[HEADER], token[256];

    (void)state;
    server->received.replay = server->received.sequence = false;
    for (uint8_t flag = 0x08; flag != 0; flag = (uint8_t)(flag << 1)) {
        size_t len;

        put_header(header, (uint8_t)(SEALED | SUBKEY | flag), 0);
        len = seal(client, header, kb_bytes_of(header, HEADER), token);
        assert_int_equal(take(server, SEAL, KB_NONE, kb_bytes_of(token, len)), KB_OK);

        put_header(header, (uint8_t)(SUBKEY | flag), 0);
        assert_int_equal(kb_checksum_make(client->message_key, KB_USAGE_INITIATOR_SEAL,
                                          kb_bytes_of(header, HEADER), token + HEADER),
                         KB_OK);
        kb_put_u16be(header + 4, 12);
        memcpy(token, header, HEADER);
        assert_int_equal(take(server, SIGN, KB_NONE, kb_bytes_of(token, HEADER + 12)), KB_OK);
    }
    context_free(client);
    context_free(server);
}

/* Sealed SHALL NOT be set in a MIC token. */
static void a_mic_is_not_sealed(void **state)
{
    struct kb_ap *client = side(0, false), *server = side(0, true);
    uint8_t token[HEADER + 12];

    (void)state;
    put_header(token, SEALED | SUBKEY, 0xffff);
    kb_put_u16be(token, 0x0404);
    kb_put_u16be(token + 6, 0xffff);
    assert_int_equal(kb_checksum_make(client->message_key, KB_USAGE_INITIATOR_SIGN,
                                      kb_bytes_of(token, HEADER), token + HEADER),
                     KB_OK);
    assert_int_equal(take(server, MIC, KB_NONE, kb_bytes_of(token, sizeof(token))),
                     KB_BAD_INTEGRITY);
    context_free(client);
    context_free(server);
}

/* --- other formats --- */

/* RFC 1964 and RFC 4757 tokens of t_invalid.c (their first bytes), and a framed one of RFC 4121. */
static void older_tokens_are_refused(void **state)
{
    static const char v1[][40] = {
        "\x60\x3f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x01\x04\x00\x02\x00\xff\xff\xeb"
        "\xf3",
        "\x60\x2f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x01\x04\x00\xff\xff\xff\xff\x57"
        "\xf5",
        "\x60\x33\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x01\x11\x00\x10\x00\xff\xff\x35"
        "\xd4",
        "\x02\x01\x11\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00",
        "\x01\x01\x11\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00",
        "\x60\x36\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x04\x04\xff\x00\x0c\x00\x00\x00"
        "\x00",
    };
    struct kb_ap *server = side(0, true);

    (void)state;
    for (size_t i = 0; i < sizeof(v1) / sizeof(v1[0]); i++) {
        kb_bytes token = {(const uint8_t *)v1[i], sizeof(v1[i])};

        assert_int_equal(take(server, SEAL, secret, token), KB_MALFORMED);
        assert_int_equal(take(server, MIC, secret, token), KB_MALFORMED);
    }
    context_free(server);
}

/* --- replays and order, through the tokens --- */

static void replays_and_order_are_told(void **state)
{
    struct kb_ap *client = side(0, false), *server = side(0, true);
    static const struct {
        int token;
        uint32_t want;
    } steps[] = {{0, 0},
                 {0, KB_SUPPL_DUPLICATE},
                 {2, KB_SUPPL_GAP},
                 {1, KB_SUPPL_UNSEQ},
                 {1, KB_SUPPL_DUPLICATE},
                 {3, 0}};
    uint8_t tokens[4][128], out[128];
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        len = make(client, SEAL, secret, tokens[i]);
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint32_t suppl;
        size_t out_len;
        bool conf;

        assert_int_equal(kb_unwrap(server, kb_bytes_of(tokens[steps[i].token], len), out, &out_len,
                                   &conf, &suppl),
                         KB_OK);
        assert_int_equal(suppl, steps[i].want);
        assert_true(kb_equal(kb_bytes_of(out, out_len), secret)); /* the output stays valid */
    }
    context_free(client);
    context_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_can_be_flipped),
        cmocka_unit_test(no_byte_can_be_cut_or_added),
        cmocka_unit_test(a_message_differs),
        cmocka_unit_test(a_token_is_not_taken_as_another_kind),
        cmocka_unit_test(the_subkey_flag_must_fit),
        cmocka_unit_test(every_rotation_is_taken),
        cmocka_unit_test(every_filler_is_taken),
        cmocka_unit_test(no_other_extra_count_is_taken),
        cmocka_unit_test(sealed_plaintexts_are_checked),
        cmocka_unit_test(the_inner_header_must_be_the_outer),
        cmocka_unit_test(unknown_flags_are_ignored),
        cmocka_unit_test(a_mic_is_not_sealed),
        cmocka_unit_test(older_tokens_are_refused),
        cmocka_unit_test(replays_and_order_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
