/* mech/protocol/token_v1: the tokens of RFC 1964 and RFC 4757 against recorded ones
 * (tests/wire/gss: MIT and Heimdal; rc4, des3, des; flat, as lists of buffers, in DCE style). */
#include <pthread.h>
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
        fail_msg("%s, token %zu: %zu bytes, other than the %zu that there should be", what, n,
                 got.len, want.len);
    }
}

static const int32_t etypes[] = {
    KB_ENCTYPE_DES_CBC_CRC,
    KB_ENCTYPE_DES_CBC_MD5,
    KB_ENCTYPE_DES3_CBC_SHA1,
    KB_ENCTYPE_RC4_HMAC,
};
#define NUM_ETYPES (sizeof(etypes) / sizeof(etypes[0]))

/* --- recorded tokens --- */

struct recorded {
    struct wire *wire;
    size_t n;
    bool mic, conf, from_acceptor, iov, dce;
    kb_bytes message, token, confounder, before, after;
    uint64_t seq;
};

/* "pattern": byte i is (7 * i + len) mod 256. */
static kb_bytes message_of(struct wire *wire, size_t n)
{
    static uint8_t pattern[8192];
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

static struct kb_ap *side(const struct recorded *r, bool acceptor)
{
    const char *key = wire_text(r->wire, "per_message[%zu].key_name", r->n);
    struct kb_ap *ap = context_of((int32_t)wire_int(r->wire, "keys.%s.etype", key),
                                  wire_hex(r->wire, "keys.%s.key", key), acceptor,
                                  strcmp(key, "acceptor-subkey") == 0, r->seq);

    assert_ptr_equal(ap->format, &kb_token_v1);
    ap->flags |= r->dce ? KB_GSS_DCE_STYLE : 0;
    ap->send_seq = r->seq;
    return ap;
}

/* As MIT's callers had it: header, signed, data, signed, padding. */
struct list {
    struct kb_iov iov;
    struct kb_piece pieces[4 + KB_SPARE_PIECES];
    uint8_t *token, *data, *padding;
    size_t len;
};

/* `token` is laid out as header | data | padding in one block. */
static void list_init(struct list *list, const struct recorded *r, kb_bytes token)
{
    size_t header = (size_t)wire_int(r->wire, "per_message[%zu].token_parts.header", r->n);
    size_t padding = (size_t)wire_int(r->wire, "per_message[%zu].token_parts.padding", r->n);

    *list = (struct list){.len = token.len, .token = copy_of(token)};
    list->data = list->token + header;
    list->padding = list->token + token.len - padding;
    list->iov.header = (struct kb_room){list->token, header};
    list->iov.pieces = list->pieces;
    list->iov.num = 4;
    list->pieces[0] = kb_piece_sign(r->before);
    list->pieces[1] = kb_piece_data(list->data, r->message.len);
    list->pieces[2] = kb_piece_sign(r->after);
    list->pieces[3] = kb_piece_data(list->padding, padding);
    list->iov.padding = &list->pieces[3];
}

static void check_list_received(const struct recorded *r)
{
    struct kb_ap *ap = side(r, !r->from_acceptor);
    struct list list;
    uint32_t suppl;
    bool conf;

    list_init(&list, r, r->token);
    assert_int_equal(kb_unwrap_iov(ap, &list.iov, &conf, &suppl), KB_OK);
    assert_int_equal(suppl, 0);
    assert_int_equal(conf, r->conf);
    assert_int_equal(list.pieces[3].len, 0);
    assert_bytes(wire_name(r->wire), r->n, kb_bytes_of(list.data, list.pieces[1].len), r->message);
    assert_bytes("header", r->n, kb_bytes_of(list.token, list.iov.header.len),
                 kb_bytes_of(r->token.ptr, list.iov.header.len)); /* untouched */
    assert_ptr_equal(list.pieces[0].from, r->before.ptr);
    assert_ptr_equal(list.pieces[2].from, r->after.ptr);
    free(list.token);

    /* With a signed buffer that differs. */
    if (r->before.len > 0) {
        list_init(&list, r, r->token);
        list.pieces[0].len--;
        assert_int_equal(kb_unwrap_iov(ap, &list.iov, &conf, &suppl), KB_BAD_INTEGRITY);
        for (size_t i = 0; i < r->message.len; i++) {
            assert_int_equal(list.data[i], 0);
        }
        free(list.token);
    }
    context_free(ap);
}

static void check_list_sent(const struct recorded *r)
{
    struct kb_ap *ap = side(r, r->from_acceptor);
    struct wire_rng rng;
    struct list list;
    size_t header, padding;

    list_init(&list, r, r->token);
    header = list.iov.header.len;
    padding = list.pieces[3].len;
    memset(list.token, 0xee, list.len);
    memcpy(list.data, r->message.ptr, r->message.len);
    list.iov.header.len = list.pieces[3].len = 0;
    assert_int_equal(kb_wrap_iov_len(ap, r->conf, &list.iov), KB_OK);
    assert_int_equal(list.iov.header.len, header);
    assert_int_equal(list.pieces[3].len, padding);
    wire_rng_init(&rng);
    wire_rng_add(&rng, r->confounder);
    assert_int_equal(kb_wrap_iov(ap, &rng.rng, r->conf, &list.iov), KB_OK);
    assert_true(wire_rng_spent(&rng));
    assert_bytes(wire_name(r->wire), r->n, kb_bytes_of(list.token, list.len), r->token);
    free(list.token);
    context_free(ap);
}

/* To somewhere else, and where it lies. */
static void check_stream(const struct recorded *r)
{
    for (int elsewhere = 0; elsewhere <= 1; elsewhere++) {
        struct kb_ap *ap = side(r, !r->from_acceptor);
        uint8_t *token = copy_of(r->token), *room = calloc(1, r->token.len);
        struct kb_piece pieces[3 + KB_SPARE_PIECES] = {
            kb_piece_sign(r->before),
            kb_piece_data(elsewhere ? room : NULL, 0),
            kb_piece_sign(r->after),
        };
        struct kb_iov iov = {.pieces = pieces, .num = 3};
        enum kb_status st;
        uint32_t suppl;
        bool conf;

        st = kb_unwrap_stream(ap, token, r->token.len, &iov, &pieces[1], &conf, &suppl);
        if (r->dce) {
            assert_int_equal(st, KB_WRONG_TYPE);
        } else if (r->after.len > 0) {
            /* What is signed behind the data cannot stand between it and its padding. */
            assert_int_equal(st, KB_BAD_INTEGRITY);
        } else {
            assert_int_equal(st, KB_OK);
            assert_int_equal(conf, r->conf);
            assert_bytes("stream", r->n, kb_bytes_of(pieces[1].ptr, pieces[1].len), r->message);
            assert_true(elsewhere || (pieces[1].ptr > token &&
                                      pieces[1].ptr + pieces[1].len < token + r->token.len));
        }
        if (elsewhere) {
            assert_bytes("untouched", r->n, kb_bytes_of(token, r->token.len), r->token);
        }
        free(token);
        free(room);
        context_free(ap);
    }
}

static void check_received(const struct recorded *r)
{
    struct kb_ap *ap = side(r, !r->from_acceptor);
    uint8_t *copy = copy_of(r->token), *out = malloc(r->token.len);
    kb_bytes token = {copy, r->token.len};
    bool conf = false;
    size_t len = 0;
    uint32_t suppl;

    for (int again = 0; again <= 1; again++) {
        if (r->mic) {
            assert_int_equal(kb_verify_mic(ap, r->message, token, &suppl), KB_OK);
        } else {
            assert_int_equal(kb_unwrap(ap, token, out, &len, &conf, &suppl), KB_OK);
            assert_int_equal(conf, r->conf);
            assert_bytes(wire_name(r->wire), r->n, kb_bytes_of(out, len), r->message);
        }
        assert_int_equal(suppl, again ? KB_SUPPL_DUPLICATE : 0);
    }
    assert_bytes("untouched", r->n, token, r->token);
    free(copy);
    free(out);
    context_free(ap);
}

static void check_sent(const struct recorded *r)
{
    struct kb_ap *ap = side(r, r->from_acceptor);
    size_t len = r->mic ? kb_mic_len(ap) : kb_wrap_len(ap, r->conf, r->message.len);
    uint8_t *out = malloc(len);
    struct wire_rng rng;

    wire_rng_init(&rng);
    if (r->mic) {
        assert_int_equal(kb_get_mic(ap, r->message, out), KB_OK);
    } else {
        wire_rng_add(&rng, r->confounder);
        assert_int_equal(kb_wrap(ap, &rng.rng, r->conf, r->message, out), KB_OK);
    }
    assert_true(wire_rng_spent(&rng));
    assert_true(ap->send_seq == r->seq + 1);
    assert_bytes(wire_name(r->wire), r->n, kb_bytes_of(out, len), r->token);
    free(out);
    context_free(ap);
}

static kb_bytes hex_or_none(struct wire *wire, const char *field, size_t n)
{
    return wire_has(wire, "per_message[%zu].%s", n, field)
               ? wire_hex(wire, "per_message[%zu].%s", n, field)
               : KB_NONE;
}

struct counts {
    size_t taken, made, lists;
};

static void check_one(struct wire *wire, size_t n, struct counts *counts)
{
    const char *op = wire_text(wire, "per_message[%zu].op", n);
    struct recorded r = {
        .wire = wire,
        .n = n,
        .mic = strcmp(op, "mic") == 0,
        .iov = strcmp(op, "iov") == 0,
        .dce = strstr(wire_name(wire), "dce") != NULL,
        .from_acceptor = strcmp(wire_text(wire, "per_message[%zu].sender", n), "acceptor") == 0,
        .message = message_of(wire, n),
        .token = wire_hex(wire, "per_message[%zu].token", n),
        .confounder = hex_or_none(wire, "confounder", n),
        .before = hex_or_none(wire, "sign_only_before", n),
        .after = hex_or_none(wire, "sign_only_after", n),
        .seq = (uint64_t)wire_int(wire, "per_message[%zu].seq", n),
    };

    r.conf = !r.mic && wire_int(wire, "per_message[%zu].conf", n) != 0;
    if (r.iov) {
        check_list_received(&r);
        check_list_sent(&r);
        counts->lists++;
    } else {
        check_received(&r);
        counts->taken++;
    }
    if (!r.mic && (r.iov || !r.dce)) {
        check_stream(&r);
    }
    /* In DCE style a list's token has no padding and a frame of its own. Heimdal's MIC of DES3 is
     * two octets too long. */
    if (r.before.len == 0 && r.after.len == 0 && !(r.iov && r.dce) &&
        !wire_has(wire, "per_message[%zu].trailing", n)) {
        check_received(&r);
        check_sent(&r);
        counts->made++;
    }
}

static void check_recording(struct wire *wire, void *ctx)
{
    for (size_t n = 0; n < wire_num(wire, "per_message"); n++) {
        const char *id = wire_text(wire, "per_message[%zu].token_id", n);

        if (strcmp(id, "0201") == 0 || strcmp(id, "0101") == 0) {
            check_one(wire, n, ctx);
        }
    }
}

static void recorded_tokens_are_taken_and_remade(void **state)
{
    struct counts counts = {0};

    (void)state;
    wire_each("gss", check_recording, &counts);
    print_message("%zu tokens taken, %zu as lists; %zu made again to the byte\n", counts.taken,
                  counts.lists, counts.made);
    assert_true(counts.taken > 400 && counts.lists > 60 && counts.made > 400);
}

/* --- vectors of others --- */

static kb_bytes unhex(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char octet[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(octet, NULL, 16);
    }
    return kb_bytes_of(out, len);
}

/* MIT krb5 src/tests/gssapi/t_invalid.c: good but for a padding that says 100. */
static const struct {
    int32_t etype;
    const char *key, *token;
} bad_pads[] = {
    {KB_ENCTYPE_DES3_CBC_SHA1, "4fea19195e0e10df3d29b5138f01c7a7923d38f726730d6d",
     "603f06092a864886f712010202020104000200ffffebf39a892457b8639525e86e8e79e62ecad3ff579f8cabefd"
     "d28"
     "102f93212ef252b66fa8bb8a6daa6fb7f4d4"},
    {KB_ENCTYPE_RC4_HMAC, "66644164557821d0d0fd056aff6fe809",
     "603306092a864886f712010202020111001000ffff35d479f38c478f6e236f3ecc5e575c6a89f0a2034f0b5111ee8"
     "97e"
     "d6f6b5d651"},
};

static void padding_beyond_the_data_is_refused(void **state)
{
    uint8_t key[32], bytes[128], out[128];

    (void)state;
    for (size_t i = 0; i < sizeof(bad_pads) / sizeof(bad_pads[0]); i++) {
        kb_bytes token = unhex(bad_pads[i].token, bytes);
        struct kb_piece data[1 + KB_SPARE_PIECES] = {kb_piece_data(NULL, 0)};
        struct kb_iov iov = {.pieces = data, .num = 1};
        struct kb_ap *ap;
        uint32_t suppl;
        size_t len;
        bool conf;

        ap = context_of(bad_pads[i].etype, unhex(bad_pads[i].key, key), true, false, 0);
        iov.header.ptr = bytes;
        iov.header.len = 13 + kb_v1_wrap_head_len(kb_v1_algorithm_of(ap->message_key));
        data[0].ptr = bytes + iov.header.len;
        data[0].len = token.len - iov.header.len;
        assert_int_equal(kb_unwrap(ap, token, out, &len, &conf, &suppl), KB_BAD_INTEGRITY);
        assert_int_equal(len, 0);
        /* Nothing else is wrong with it: a list without a buffer for padding is taken. */
        assert_int_equal(kb_unwrap_iov(ap, &iov, &conf, &suppl), KB_OK);
        assert_true(conf);
        assert_int_equal(data[0].ptr[data[0].len - 1], 100);
        context_free(ap);
    }
}

/* --- sizes --- */

static const uint8_t some_key[32] =
    "\x10\x20\x31\x40\x51\x61\x70\x80\x91\xa1\xb0\xc1\xd0\xe0\xf1\x01"
    "\x13\x25\x37\x49\x5b\x6d\x7f\x91";

static struct kb_ap *side_of(size_t i, bool acceptor)
{
    size_t len = kb_enctype_find(etypes[i])->key_len;

    return context_of(etypes[i], kb_bytes_of(some_key, len), acceptor, true, 0);
}

static void wrap_max_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *ap = side_of(i, false);

        for (int conf = 0; conf <= 1; conf++) {
            for (size_t size = 0; size < 70000; size += size < 400 || size > 65400 ? 1 : 997) {
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

        for (size_t len = 0; len < sizeof(message); len += len < 300 ? 1 : 97) {
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

/* More than the pieces in which hash and cipher walk together. */
static void a_long_message_comes_back(void **state)
{
    const size_t len = 100003;
    uint8_t *message = malloc(len), *token = malloc(len + 100), *out = malloc(len + 100);

    (void)state;
    for (size_t i = 0; i < len; i++) {
        message[i] = (uint8_t)(i * i >> 3);
    }
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side_of(i, false), *server = side_of(i, true);
        size_t token_len = kb_wrap_len(client, true, len), out_len;
        uint32_t suppl;
        bool sealed;

        assert_int_equal(kb_wrap(client, &kb_rng_system, true, kb_bytes_of(message, len), token),
                         KB_OK);
        assert_int_equal(
            kb_unwrap(server, kb_bytes_of(token, token_len), out, &out_len, &sealed, &suppl),
            KB_OK);
        assert_bytes("round trip", i, kb_bytes_of(out, out_len), kb_bytes_of(message, len));
        context_free(client);
        context_free(server);
    }
    free(message);
    free(token);
    free(out);
}

/* --- lists of buffers: blocks that lie across them --- */

/* `parts` lengths of DATA, with a signed buffer after each; then the padding. */
static void one_list(size_t i, bool conf, const size_t *parts, size_t num)
{
    struct kb_ap *client = side_of(i, false), *server = side_of(i, true);
    struct kb_piece pieces[32 + KB_SPARE_PIECES];
    uint8_t header[80], padding[8], data[400], want[400];
    struct kb_iov iov = {.header = {header, 0}, .pieces = pieces};
    size_t at = 0;
    uint32_t suppl;
    bool sealed;

    for (size_t p = 0; p < num; p++) {
        pieces[iov.num++] = kb_piece_data(data + at, parts[p]);
        pieces[iov.num++] = kb_piece_sign(KB_LIT("between"));
        at += parts[p];
    }
    for (size_t b = 0; b < at; b++) {
        data[b] = want[b] = (uint8_t)(b + 1);
    }
    iov.padding = &pieces[iov.num];
    pieces[iov.num++] = kb_piece_data(padding, 0);
    assert_int_equal(kb_wrap_iov_len(client, conf, &iov), KB_OK);
    assert_true(iov.header.len <= sizeof(header) && iov.padding->len <= sizeof(padding));
    assert_int_equal(iov.header.len + at + iov.padding->len, kb_wrap_len(client, conf, at));
    assert_int_equal(kb_wrap_iov(client, &kb_rng_system, conf, &iov), KB_OK);
    if (!conf || at >= 8) { /* a few octets of RC4's key stream may be zeros: one in 256 is */
        assert_int_equal(memcmp(data, want, at) == 0, !conf);
    }
    assert_int_equal(kb_unwrap_iov(server, &iov, &sealed, &suppl), KB_OK);
    assert_int_equal(sealed, conf);
    assert_int_equal(suppl, 0);
    assert_memory_equal(data, want, at);
    assert_int_equal(iov.padding->len, 0);
    for (size_t p = 0; p < num; p++) {
        assert_int_equal(pieces[2 * p].len, parts[p]);
    }
    context_free(client);
    context_free(server);
}

static void blocks_lie_across_buffers(void **state)
{
    static const size_t lists[][6] = {
        {0, 0, 0, 0, 0, 0},       {1, 1, 1, 1, 1, 1}, {7, 1, 8, 16, 3, 5},
        {3, 30, 0, 2, 9, 40},     {8, 8, 8, 8, 8, 8}, {5, 0, 0, 0, 0, 6},
        {20, 21, 22, 23, 24, 25}, {1, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 15},
    };

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
            for (size_t num = 1; num <= 6; num++) {
                one_list(i, true, lists[l], num);
                one_list(i, false, lists[l], num);
            }
        }
    }
}

/* A caller who takes tokens apart without knowing the padding takes one octet for it, as MIT's
 * stream buffers do: the rest of it is cut off the data. */
static void padding_may_be_in_the_data(void **state)
{
    uint8_t token[128];

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        for (size_t len = 0; len < 20; len++) {
            struct kb_ap *client = side_of(i, false), *server = side_of(i, true);
            kb_bytes message = {(const uint8_t *)"0123456789abcdefghij", len};
            size_t token_len = kb_wrap_len(client, true, len);
            size_t header_len =
                token_len - len - kb_v1_pad_len(kb_v1_algorithm_of(client->message_key), len);
            uint8_t *data = token + header_len, *end = token + token_len;
            size_t body = token_len - header_len, first = body / 2;
            struct kb_piece pieces[3 + KB_SPARE_PIECES] = {
                kb_piece_data(data, first),
                kb_piece_data(data + first, body - 1 - first),
                kb_piece_data(end - 1, 1),
            };
            struct kb_iov iov = {{token, header_len}, {NULL, 0}, false, pieces, 3, &pieces[2]};
            uint32_t suppl;
            bool conf;

            assert_int_equal(kb_wrap(client, &kb_rng_system, true, message, token), KB_OK);
            assert_int_equal(kb_unwrap_iov(server, &iov, &conf, &suppl), KB_OK);
            assert_int_equal(pieces[0].len + pieces[1].len, len);
            assert_memory_equal(data, message.ptr, len);
            context_free(client);
            context_free(server);
        }
    }
}

static void what_a_list_lacks_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *ap = side_of(i, false);
        uint8_t header[80], data[7] = "seven!", padding[8] = {0};
        struct kb_piece pieces[2 + KB_SPARE_PIECES] = {kb_piece_data(data, 7),
                                                       kb_piece_data(padding, 8)};
        struct kb_iov iov = {{header, sizeof(header)}, {NULL, 0}, false, pieces, 1, NULL};
        bool rc4 = etypes[i] == KB_ENCTYPE_RC4_HMAC;

        assert_int_equal(kb_wrap_iov_len(ap, true, &iov), KB_MALFORMED);
        assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, true, &iov), KB_MALFORMED);
        iov.num = 2;
        iov.padding = &pieces[1];
        iov.header.len = 10;
        assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, true, &iov), KB_TOO_BIG);
        iov.header.len = sizeof(header);
        pieces[1].len = 0;
        assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, true, &iov), KB_TOO_BIG);
        assert_string_equal((char *)data, "seven!");
        assert_true(ap->send_seq == 0);
        /* In DCE style the caller pads. */
        ap->flags |= KB_GSS_DCE_STYLE;
        iov.padding = NULL;
        iov.num = 1;
        iov.header.len = sizeof(header);
        assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, true, &iov), rc4 ? KB_OK : KB_MALFORMED);
        context_free(ap);
    }
}

/* --- sequence numbers --- */

static void numbers_go_round_at_32_bits(void **state)
{
    const uint64_t first = 0xfffffffeu;
    uint8_t tokens[5][96], out[96];
    size_t token_len, len;
    uint32_t suppl;
    bool conf;

    (void)state;
    for (size_t i = 0; i < NUM_ETYPES; i++) {
        struct kb_ap *client = side_of(i, false), *server = side_of(i, true);

        client->send_seq = first;
        context_receives(server, first);
        for (int n = 0; n < 5; n++) {
            assert_int_equal(kb_wrap(client, &kb_rng_system, n % 2 == 0, KB_LIT("x"), tokens[n]),
                             KB_OK);
        }
        token_len = kb_wrap_len(client, true, 1);
        for (int n = 0; n < 4; n++) {
            assert_int_equal(
                kb_unwrap(server, kb_bytes_of(tokens[n], token_len), out, &len, &conf, &suppl),
                KB_OK);
            assert_int_equal(suppl, 0);
        }
        assert_int_equal(
            kb_unwrap(server, kb_bytes_of(tokens[1], token_len), out, &len, &conf, &suppl), KB_OK);
        assert_int_equal(suppl, KB_SUPPL_DUPLICATE);
        context_receives(server, first);
        assert_int_equal(
            kb_unwrap(server, kb_bytes_of(tokens[3], token_len), out, &len, &conf, &suppl), KB_OK);
        assert_int_equal(suppl, KB_SUPPL_GAP);
        assert_int_equal(
            kb_unwrap(server, kb_bytes_of(tokens[0], token_len), out, &len, &conf, &suppl), KB_OK);
        assert_int_equal(suppl, KB_SUPPL_UNSEQ);
        context_free(client);
        context_free(server);
    }
}

/* --- threads: two on each side of one pair of contexts (under TSan: no race) --- */

#define MESSAGES 300

struct worker {
    struct kb_ap *client, *server;
    bool failed;
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
        struct worker workers[2] = {{client, server, false}, {client, server, false}};
        pthread_t threads[2];

        for (int t = 0; t < 2; t++) {
            assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
        }
        for (int t = 0; t < 2; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
            assert_false(workers[t].failed);
        }
        assert_true(client->send_seq == (uint64_t)2 * MESSAGES);
        context_free(client);
        context_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_tokens_are_taken_and_remade),
        cmocka_unit_test(padding_beyond_the_data_is_refused),
        cmocka_unit_test(wrap_max_is_exact),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(a_long_message_comes_back),
        cmocka_unit_test(blocks_lie_across_buffers),
        cmocka_unit_test(padding_may_be_in_the_data),
        cmocka_unit_test(what_a_list_lacks_is_said),
        cmocka_unit_test(numbers_go_round_at_32_bits),
        cmocka_unit_test(threads_share_a_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
