/* mech/protocol/token_v1: what a peer or somebody on the way may do to a token of RFC 1964 or RFC
 * 4757. The shapes of MIT krb5 src/tests/gssapi/t_invalid.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/reader.h"
#include "mech/protocol/token_v1.h"
#include "tests/support/context.h"
#include "tests/support/wire.h"

#define FRAME 13 /* around what is shorter than 128 bytes */
#define HEAD 8
#define SEQ 8

static const int32_t etypes[] = {
    KB_ENCTYPE_DES_CBC_MD5,
    KB_ENCTYPE_DES3_CBC_SHA1,
    KB_ENCTYPE_RC4_HMAC,
};
#define NUM_ETYPES (sizeof(etypes) / sizeof(etypes[0]))

static const uint8_t some_key[32] =
    "\x10\x20\x31\x40\x51\x61\x70\x80\x91\xa1\xb0\xc1\xd0\xe0\xf1\x01"
    "\x13\x25\x37\x49\x5b\x6d\x7f\x91";
static const kb_bytes secret = {(const uint8_t *)"the secret of the message", 25};

enum kind { SEAL, SIGN, MIC, NUM_KINDS };

static struct kb_ap *side_with(int32_t etype, bool acceptor)
{
    size_t len = kb_enctype_find(etype)->key_len;

    return context_of(etype, kb_bytes_of(some_key, len), acceptor, true, 0);
}

static struct kb_ap *side(size_t i, bool acceptor)
{
    return side_with(etypes[i], acceptor);
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

/* A refused token leaves nothing behind. */
static void assert_nothing(enum kb_status st, const uint8_t *out, size_t len, uint32_t suppl)
{
    assert_true(st == KB_BAD_INTEGRITY || st == KB_MALFORMED || st == KB_CUT_SHORT);
    assert_int_equal(suppl, 0);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(out[i], 0);
    }
}

/* The same as one stream buffer, deciphered where it lies. */
static enum kb_status take_stream(struct kb_ap *ap, kb_bytes message, kb_bytes token)
{
    uint8_t *in = malloc(token.len + 1);
    struct kb_piece pieces[1 + KB_SPARE_PIECES] = {kb_piece_data(NULL, 0)};
    struct kb_iov iov = {.pieces = pieces, .num = 1};
    enum kb_status st;
    uint32_t suppl;
    bool conf;

    memcpy(in, token.ptr, token.len);
    st = kb_unwrap_stream(ap, in, token.len, &iov, &pieces[0], &conf, &suppl);
    if (st == KB_OK) {
        assert_true(kb_equal(kb_bytes_of(pieces[0].ptr, pieces[0].len), message));
    } else {
        assert_int_equal(pieces[0].len, 0);
        assert_nothing(st, NULL, 0, suppl);
    }
    free(in);
    return st;
}

/* Takes a token through memory of exactly its size. */
static enum kb_status take(struct kb_ap *ap, enum kind kind, kb_bytes message, kb_bytes token,
                           uint32_t *out_suppl)
{
    uint8_t *in = malloc(token.len + 1), *out = calloc(1, token.len + 1);
    kb_bytes copy = {in, token.len};
    enum kb_status st;
    size_t len = 0;
    bool conf = false;

    memcpy(in, token.ptr, token.len);
    *out_suppl = 0;
    if (kind == MIC) {
        st = kb_verify_mic(ap, message, copy, out_suppl);
    } else {
        st = kb_unwrap(ap, copy, out, &len, &conf, out_suppl);
    }
    assert_memory_equal(in, token.ptr, token.len);
    if (st != KB_OK) {
        assert_int_equal(len, 0);
        assert_nothing(st, out, token.len, *out_suppl);
    } else if (kind != MIC) {
        assert_true(kb_equal(kb_bytes_of(out, len), message));
    }
    free(in);
    free(out);
    if (kind != MIC) {
        assert_int_equal(take_stream(ap, message, token), st);
    }
    return st;
}

/* --- on the way --- */

/* RFC 4757 encrypts the sequence number with a key stream, and only a sealed message depends on it:
 * signed ones can be given another number. MIT and Heimdal take them too; nothing can be done. */
static bool is_malleable(size_t i, enum kind kind, size_t byte)
{
    return etypes[i] == KB_ENCTYPE_RC4_HMAC && kind != SEAL && byte >= FRAME + HEAD &&
           byte < FRAME + HEAD + 4;
}

static void flip_all(size_t i, enum kind kind, kb_bytes message)
{
    struct kb_ap *client = side(i, false), *server = side(i, true);
    uint8_t token[256];
    size_t len = make(client, kind, message, token);
    uint32_t suppl;

    for (size_t bit = 0; bit < 8 * len; bit += wire_stride()) {
        enum kb_status st;

        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        st = take(server, kind, message, kb_bytes_of(token, len), &suppl);
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if ((st == KB_OK) != is_malleable(i, kind, bit / 8)) {
            fail_msg("etype %d, kind %d, bit %zu", (int)etypes[i], (int)kind, bit);
        }
        if (st == KB_OK) {
            assert_true(suppl != 0);
            context_receives(server, 0);
        }
    }
    /* The forgeries did not move the window. */
    assert_true(server->received.next == 0);
    assert_int_equal(take(server, kind, message, kb_bytes_of(token, len), &suppl), KB_OK);
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

/* A frame whose length has two octets. */
static void no_bit_of_a_longer_frame_can_be_flipped(void **state)
{
    static uint8_t message[100], token[300];

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        kb_bytes in = {message, sizeof(message)};
        size_t len = make(client, SEAL, in, token);
        uint32_t suppl;

        assert_int_equal(token[1], 0x81);
        for (size_t bit = 0; bit < (size_t)8 * 16; bit++) {
            token[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(take(server, SEAL, in, kb_bytes_of(token, len), &suppl), KB_OK);
            token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        context_free(client);
        context_free(server);
    }
}

static void no_byte_can_be_cut_or_added(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            for (int framed = 0; framed <= 1; framed++) {
                struct kb_ap *client = side(i, false), *server = side(i, true);
                uint8_t token[257] = {0}, *at = framed ? token : token + FRAME;
                size_t len = make(client, (enum kind)kind, secret, token);
                uint32_t suppl;

                len -= framed ? 0 : FRAME;
                for (size_t cut = 0; cut <= len + 1; cut++) {
                    enum kb_status st =
                        take(server, (enum kind)kind, secret, kb_bytes_of(at, cut), &suppl);

                    assert_int_equal(st == KB_OK, cut == len);
                }
                context_free(client);
                context_free(server);
            }
        }
    }
}

/* MIT's t_invalid.c: a frame that is right, around a token that is too short. */
static void a_short_token_in_a_good_frame_is_defective(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            struct kb_ap *client = side(i, false), *server = side(i, true);
            size_t head_len = kb_v1_wrap_head_len(kb_v1_algorithm_of(client->message_key));
            uint8_t token[256];
            uint32_t suppl;

            make(client, (enum kind)kind, secret, token);
            head_len = kind == MIC ? head_len - 8 : head_len;
            for (size_t len = 0; len < head_len; len++) {
                enum kb_status st;

                token[1] = (uint8_t)(FRAME - 2 + len);
                st = take(server, (enum kind)kind, secret, kb_bytes_of(token, FRAME + len), &suppl);
                assert_true(st == KB_CUT_SHORT || st == KB_MALFORMED);
            }
            context_free(client);
            context_free(server);
        }
    }
}

static void a_message_differs(void **state)
{
    uint8_t message[25], mic[64];
    uint32_t suppl;

    (void)state;
    memcpy(message, secret.ptr, secret.len);
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        kb_bytes token = {mic, make(client, MIC, secret, mic)};

        for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
            message[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(
                take(server, MIC, kb_bytes_of(message, sizeof(message)), token, &suppl),
                KB_BAD_INTEGRITY);
            message[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(take(server, MIC, KB_NONE, token, &suppl), KB_BAD_INTEGRITY);
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
        uint32_t suppl;

        assert_int_equal(take(server, SIGN, KB_NONE, kb_bytes_of(token, len), &suppl),
                         KB_MALFORMED);
        for (int kind = SEAL; kind <= SIGN; kind++) {
            len = make(client, (enum kind)kind, KB_NONE, token);
            assert_int_equal(take(server, MIC, KB_NONE, kb_bytes_of(token, len), &suppl),
                             KB_MALFORMED);
        }
        /* Sent back to its sender. */
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            len = make(client, (enum kind)kind, secret, token);
            assert_int_equal(take(client, (enum kind)kind, secret, kb_bytes_of(token, len), &suppl),
                             KB_BAD_INTEGRITY);
        }
        context_free(client);
        context_free(server);
    }
}

static bool is_seal_alg(const struct kb_ap *ap, unsigned value)
{
    return value == 0xffff || value == kb_v1_algorithm_of(ap->message_key)->seal_alg;
}

/* Other algorithms, of the same generation or none, and another filler. */
static void no_other_algorithm_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            struct kb_ap *client = side(i, false), *server = side(i, true);
            uint8_t token[256];
            size_t len = make(client, (enum kind)kind, secret, token);
            uint32_t suppl;

            for (size_t field = FRAME; field < FRAME + HEAD; field += 2) {
                uint8_t right[2] = {token[field], token[field + 1]};

                for (unsigned value = 0; value <= 0xffff;
                     value += (i == 0 ? 7 : 61) * (unsigned)wire_stride()) {
                    kb_put_u16be(token + field, (uint16_t)value);
                    if (memcmp(token + field, right, 2) != 0 &&
                        !(field == FRAME + 4 && kind != MIC && is_seal_alg(client, value))) {
                        assert_int_equal(
                            take(server, (enum kind)kind, secret, kb_bytes_of(token, len), &suppl),
                            KB_MALFORMED);
                    }
                }
                memcpy(token + field, right, 2);
            }
            assert_int_equal(take(server, (enum kind)kind, secret, kb_bytes_of(token, len), &suppl),
                             KB_OK);
            context_free(client);
            context_free(server);
        }
    }
}

/* A sealed token is not turned into one that is only signed, nor the reverse. */
static void confidentiality_is_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        uint16_t seal_alg = kb_v1_algorithm_of(client->message_key)->seal_alg;
        uint8_t token[256];
        size_t len = make(client, SEAL, secret, token);
        uint32_t suppl;

        kb_put_u16be(token + FRAME + 4, 0xffff);
        assert_int_equal(take(server, SIGN, secret, kb_bytes_of(token, len), &suppl),
                         KB_BAD_INTEGRITY);
        len = make(client, SIGN, secret, token);
        kb_put_u16be(token + FRAME + 4, seal_alg);
        assert_int_equal(take(server, SEAL, secret, kb_bytes_of(token, len), &suppl),
                         KB_BAD_INTEGRITY);
        context_free(client);
        context_free(server);
    }
}

/* RFC 4121 1: the new tokens go with the new enctypes, and only with them. */
static void the_two_formats_are_never_mixed(void **state)
{
    static const int32_t new_etypes[] = {KB_ENCTYPE_AES128_SHA1, KB_ENCTYPE_AES256_SHA1,
                                         KB_ENCTYPE_AES128_SHA256, KB_ENCTYPE_AES256_SHA384};

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (size_t j = 0; j < sizeof(new_etypes) / sizeof(new_etypes[0]); j++) {
            struct kb_ap *client = side(i, false), *server = side(i, true);
            struct kb_ap *new_client = side_with(new_etypes[j], false);
            struct kb_ap *new_server = side_with(new_etypes[j], true);

            assert_ptr_equal(client->format, &kb_token_v1);
            assert_ptr_equal(new_client->format, &kb_token_cfx);
            for (int kind = 0; kind < NUM_KINDS; kind++) {
                uint8_t token[256], out[256];
                size_t len = make(client, (enum kind)kind, secret, token), out_len;
                uint32_t suppl;
                bool conf;

                for (size_t skip = 0; skip <= FRAME; skip += FRAME) {
                    kb_bytes given = {token + skip, len - skip};

                    assert_int_equal(
                        kind == MIC ? kb_verify_mic(new_server, secret, given, &suppl)
                                    : kb_unwrap(new_server, given, out, &out_len, &conf, &suppl),
                        KB_MALFORMED);
                }
                len = make(new_client, (enum kind)kind, secret, token);
                assert_int_equal(
                    take(server, (enum kind)kind, secret, kb_bytes_of(token, len), &suppl),
                    KB_MALFORMED);
            }
            context_free(client);
            context_free(server);
            context_free(new_client);
            context_free(new_server);
        }
    }
}

/* --- frames --- */

/* As MIT: with a length that is not minimal, or without a frame. */
static void frames_are_read_loosely(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int kind = 0; kind < NUM_KINDS; kind++) {
            struct kb_ap *client = side(i, false), *server = side(i, true);
            uint8_t token[256], loose[256];
            size_t len = make(client, (enum kind)kind, secret, token);
            uint32_t suppl;

            server->received.replay = server->received.sequence = false;
            for (uint8_t octets = 1; octets <= 8; octets++) {
                size_t at = 2 + (size_t)octets;

                memset(loose, 0, at);
                loose[0] = 0x60;
                loose[1] = 0x80 | octets;
                loose[at - 1] = token[1];
                memcpy(loose + at, token + 2, len - 2);
                assert_int_equal(
                    take(server, (enum kind)kind, secret, kb_bytes_of(loose, len + octets), &suppl),
                    KB_OK);
                loose[at - 1]++;
                assert_int_equal(
                    take(server, (enum kind)kind, secret, kb_bytes_of(loose, len + octets), &suppl),
                    KB_CUT_SHORT);
                loose[at - 1] -= 2;
                assert_int_equal(
                    take(server, (enum kind)kind, secret, kb_bytes_of(loose, len + octets), &suppl),
                    KB_MALFORMED);
            }
            loose[1] = 0x80; /* indefinite */
            assert_int_not_equal(
                take(server, (enum kind)kind, secret, kb_bytes_of(loose, len), &suppl), KB_OK);
            assert_int_equal(take(server, (enum kind)kind, secret,
                                  kb_bytes_of(token + FRAME, len - FRAME), &suppl),
                             KB_OK);
            context_free(client);
            context_free(server);
        }
    }
}

static void the_frame_is_of_the_contexts_mechanism(void **state)
{
    static const uint8_t microsoft[] = {0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02};
    struct kb_ap *client = side(0, false), *server = side(0, true);
    uint8_t token[256];
    size_t len;
    uint32_t suppl;

    (void)state;
    client->mech = kb_bytes_of(microsoft, sizeof(microsoft));
    len = make(client, SEAL, secret, token);
    assert_memory_equal(token + 4, microsoft, sizeof(microsoft));
    assert_int_equal(take(server, SEAL, secret, kb_bytes_of(token, len), &suppl), KB_MALFORMED);
    server->mech = client->mech;
    assert_int_equal(take(server, SEAL, secret, kb_bytes_of(token, len), &suppl), KB_OK);
    context_free(client);
    context_free(server);
}

/* In DCE style too a whole token is as MIT's: framed and padded. Framed as a list's token is there,
 * its padding would be taken for data, and the frame is not signed. */
static void dce_style_changes_nothing_of_whole_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        size_t head_len = kb_v1_wrap_head_len(kb_v1_algorithm_of(client->message_key));
        uint8_t token[256], out[256];
        size_t len, out_len;
        uint32_t suppl;
        bool conf;

        client->flags |= KB_GSS_DCE_STYLE;
        server->flags |= KB_GSS_DCE_STYLE;
        len = make(client, SEAL, secret, token);
        assert_int_equal(kb_unwrap(server, kb_bytes_of(token, len), out, &out_len, &conf, &suppl),
                         KB_OK);
        assert_true(kb_equal(kb_bytes_of(out, out_len), secret));
        token[1] = (uint8_t)(FRAME - 2 + head_len);
        assert_int_equal(kb_unwrap(server, kb_bytes_of(token, len), out, &out_len, &conf, &suppl),
                         KB_MALFORMED);
        context_free(client);
        context_free(server);
    }
}

/* --- lists --- */

struct list {
    uint8_t token[256];
    size_t len;
    struct kb_piece pieces[3 + KB_SPARE_PIECES];
    struct kb_iov iov;
};

/* header | data | padding of a sealed token, with something signed between. */
static void list_init(struct list *list, struct kb_ap *ap, kb_bytes message)
{
    uint8_t *data;

    memset(list, 0, sizeof(*list));
    list->pieces[0] = kb_piece_data(NULL, message.len);
    list->pieces[1] = kb_piece_sign(kb_bytes_of(secret.ptr, 6));
    list->pieces[2] = kb_piece_data(NULL, 0);
    list->iov = (struct kb_iov){.pieces = list->pieces, .num = 3, .padding = &list->pieces[2]};
    assert_int_equal(kb_wrap_iov_len(ap, true, &list->iov), KB_OK);
    data = list->token + list->iov.header.len;
    list->iov.header.ptr = list->token;
    list->pieces[0].ptr = data;
    list->pieces[2].ptr = data + message.len;
    memcpy(data, message.ptr, message.len);
    assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, true, &list->iov), KB_OK);
    list->len = list->iov.header.len + message.len + list->pieces[2].len;
}

static enum kb_status take_list(struct kb_ap *ap, const struct list *given, kb_bytes message)
{
    struct list list = *given;
    enum kb_status st;
    uint32_t suppl;
    bool conf;

    list.iov.header.ptr = list.token;
    list.pieces[0].ptr = list.token + list.iov.header.len;
    list.pieces[2].ptr = list.pieces[0].ptr + message.len;
    list.iov.pieces = list.pieces;
    list.iov.padding = &list.pieces[2];
    st = kb_unwrap_iov(ap, &list.iov, &conf, &suppl);
    assert_memory_equal(list.token, given->token, list.iov.header.len);
    if (st == KB_OK) {
        assert_true(kb_equal(kb_bytes_of(list.pieces[0].ptr, list.pieces[0].len), message));
    } else {
        assert_nothing(st, list.pieces[0].ptr, message.len + given->pieces[2].len, suppl);
    }
    return st;
}

static void no_bit_of_a_list_can_be_flipped(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (int dce = 0; dce <= 1; dce++) {
            struct kb_ap *client = side(i, false), *server = side(i, true);
            kb_bytes message = {secret.ptr, 24};
            struct list list;

            if (dce) {
                client->flags |= KB_GSS_DCE_STYLE;
                server->flags |= KB_GSS_DCE_STYLE;
            }
            list_init(&list, client, message);
            for (size_t bit = 0; bit < 8 * list.len; bit += wire_stride()) {
                list.token[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_not_equal(take_list(server, &list, message), KB_OK);
                list.token[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            assert_int_equal(take_list(server, &list, message), KB_OK);
            context_free(client);
            context_free(server);
        }
    }
}

static void the_parts_of_a_list_must_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        struct list good, list;
        kb_bytes message = {secret.ptr, 24};

        list_init(&good, client, message);
        for (size_t len = 0; len < good.iov.header.len; len++) {
            list = good;
            list.iov.header.len = len;
            assert_int_not_equal(take_list(server, &list, message), KB_OK);
        }
        list = good;
        list.iov.trailer = (struct kb_room){list.token, 1};
        list.iov.has_trailer = true;
        assert_int_equal(take_list(server, &list, message), KB_MALFORMED);
        list = good;
        list.pieces[1].len--;
        assert_int_equal(take_list(server, &list, message), KB_BAD_INTEGRITY);
        assert_int_equal(take_list(server, &good, message), KB_OK);
        context_free(client);
        context_free(server);
    }
}

/* --- the peer: tokens with a good checksum --- */

/* A Wrap token around any confounder, data and padding. */
static size_t wrap_any(struct kb_ap *ap, bool conf, kb_bytes data, uint8_t *out)
{
    size_t head_len = kb_v1_wrap_head_len(kb_v1_algorithm_of(ap->message_key));
    uint8_t *head = kb_v1_begin(ap, KB_V1_TOK_WRAP, conf, head_len + data.len, out);
    uint8_t *confounder = head + head_len - 8;
    struct kb_piece pieces[] = {
        kb_piece_sign(kb_bytes_of(head, HEAD)),
        kb_piece_data(confounder, 8 + data.len),
    };
    struct kb_v1_message message = {conf, pieces, 2};

    memset(confounder, 0, 8);
    memcpy(confounder + 8, data.ptr, data.len);
    assert_int_equal(kb_v1_seal(ap, &message, 0, head + HEAD), KB_OK);
    return kb_v1_frame_len(ap, head_len + data.len);
}

/* As MIT: what the last octet says, if there is that much. */
static void every_padding_is_looked_at(void **state)
{
    uint8_t data[40] = {0}, token[256];

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);

        server->received.replay = server->received.sequence = false;
        for (size_t len = 0; len <= sizeof(data); len += 8) {
            for (unsigned pad = 0; pad <= 255; pad += (unsigned)wire_stride()) {
                for (int conf = 0; conf <= 1; conf++) {
                    bool fits = len > 0 && pad <= len;
                    kb_bytes message = {data, fits ? len - pad : 0};
                    size_t token_len;
                    uint32_t suppl;

                    if (len > 0) {
                        data[len - 1] = (uint8_t)pad;
                    }
                    token_len = wrap_any(client, conf, kb_bytes_of(data, len), token);
                    assert_int_equal(take(server, conf ? SEAL : SIGN, message,
                                          kb_bytes_of(token, token_len), &suppl),
                                     fits ? KB_OK : KB_BAD_INTEGRITY);
                    if (len > 0) {
                        data[len - 1] = 0;
                    }
                }
            }
        }
        context_free(client);
        context_free(server);
    }
}

/* The same with a buffer of one octet for the padding, and with one for all of it. */
static void every_padding_of_a_list_is_looked_at(void **state)
{
    uint8_t data[24] = {0}, token[256];

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);

        for (unsigned pad = 0; pad <= 255; pad++) {
            for (size_t room = 0; room <= 8; room++) {
                size_t len, header_len;
                struct kb_piece pieces[2 + KB_SPARE_PIECES];
                struct kb_iov iov = {.pieces = pieces, .num = 2, .padding = &pieces[1]};
                enum kb_status st;
                uint32_t suppl;
                bool conf;

                data[sizeof(data) - 1] = (uint8_t)pad;
                len = wrap_any(client, true, kb_bytes_of(data, sizeof(data)), token);
                header_len = len - sizeof(data);
                iov.header = (struct kb_room){token, header_len};
                pieces[0] = kb_piece_data(token + header_len, sizeof(data) - room);
                pieces[1] = kb_piece_data(token + len - room, room);
                st = kb_unwrap_iov(server, &iov, &conf, &suppl);
                if (room == 0) {
                    assert_int_equal(st, KB_OK);
                    assert_int_equal(pieces[0].len, sizeof(data));
                } else if (pad < room || pad > sizeof(data)) {
                    assert_int_equal(st, KB_MALFORMED);
                } else {
                    assert_int_equal(st, KB_OK);
                    assert_int_equal(pieces[0].len, sizeof(data) - pad);
                    assert_int_equal(pieces[1].len, 0);
                }
            }
        }
        context_free(client);
        context_free(server);
    }
}

/* --- delete tokens --- */

static size_t make_delete(struct kb_ap *ap, uint8_t *out)
{
    size_t len = kb_v1_signed_len(kb_v1_algorithm_of(ap->message_key));
    uint8_t *head = kb_v1_begin(ap, KB_V1_TOK_DELETE, false, len, out);
    struct kb_piece pieces[] = {kb_piece_sign(kb_bytes_of(head, HEAD))};
    struct kb_v1_message message = {false, pieces, 1};

    assert_int_equal(kb_v1_seal(ap, &message, 0, head + HEAD), KB_OK);
    return kb_v1_frame_len(ap, len);
}

static void the_peer_may_delete_the_context(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side(i, false), *server = side(i, true);
        uint8_t token[256], out[256];
        size_t len, out_len;
        uint32_t suppl;
        bool conf;

        len = make(server, MIC, KB_NONE, token);
        assert_int_equal(kb_take_delete(client, kb_bytes_of(token, len)), KB_MALFORMED);
        len = make_delete(client, token); /* one of ours */
        assert_int_equal(kb_take_delete(client, kb_bytes_of(token, len)), KB_BAD_INTEGRITY);
        len = make_delete(server, token);
        assert_int_equal(kb_verify_mic(client, KB_NONE, kb_bytes_of(token, len), &suppl),
                         KB_MALFORMED);
        for (size_t bit = 0; bit < 8 * len; bit += wire_stride()) {
            if (!is_malleable(i, MIC, bit / 8)) {
                token[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_not_equal(kb_take_delete(client, kb_bytes_of(token, len)), KB_OK);
                token[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
        }
        for (size_t cut = 0; cut < len; cut++) {
            assert_int_not_equal(kb_take_delete(client, kb_bytes_of(token, cut)), KB_OK);
        }
        assert_true(kb_ap_established(client));
        assert_int_equal(kb_take_delete(client, kb_bytes_of(token, len)), KB_OK);
        assert_false(kb_ap_established(client));
        assert_int_equal(kb_take_delete(client, kb_bytes_of(token, len)), KB_NOT_FOUND);
        assert_int_equal(kb_wrap(client, &kb_rng_system, true, secret, out), KB_NOT_FOUND);
        len = make(server, SEAL, secret, token);
        assert_int_equal(kb_unwrap(client, kb_bytes_of(token, len), out, &out_len, &conf, &suppl),
                         KB_NOT_FOUND);
        context_free(client);
        context_free(server);
    }
}

/* --- memory and randomness --- */

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
    uint8_t token[100];

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *ap = side(i, false);

        ap->send_seq = 7;
        assert_int_equal(kb_wrap(ap, &broken, true, KB_LIT("x"), token), KB_NO_RANDOM);
        assert_true(ap->send_seq == 7);
        context_free(ap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_can_be_flipped),
        cmocka_unit_test(no_bit_of_a_longer_frame_can_be_flipped),
        cmocka_unit_test(no_byte_can_be_cut_or_added),
        cmocka_unit_test(a_short_token_in_a_good_frame_is_defective),
        cmocka_unit_test(a_message_differs),
        cmocka_unit_test(a_token_is_not_taken_as_another_kind),
        cmocka_unit_test(no_other_algorithm_is_taken),
        cmocka_unit_test(confidentiality_is_signed),
        cmocka_unit_test(the_two_formats_are_never_mixed),
        cmocka_unit_test(frames_are_read_loosely),
        cmocka_unit_test(the_frame_is_of_the_contexts_mechanism),
        cmocka_unit_test(dce_style_changes_nothing_of_whole_tokens),
        cmocka_unit_test(no_bit_of_a_list_can_be_flipped),
        cmocka_unit_test(the_parts_of_a_list_must_fit),
        cmocka_unit_test(every_padding_is_looked_at),
        cmocka_unit_test(every_padding_of_a_list_is_looked_at),
        cmocka_unit_test(the_peer_may_delete_the_context),
        cmocka_unit_test(a_failed_message_takes_no_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
