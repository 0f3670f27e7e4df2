/* mech/protocol/token over lists of buffers: the recorded iov tokens of MIT and Heimdal taken and
 * made again, however the data is split; DCE style; and what somebody on the way may do to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/reader.h"
#include "mech/protocol/token.h"
#include "tests/support/context.h"
#include "tests/support/oom.h"
#include "tests/support/wire.h"

#define HEADER 16
#define MAX_PIECES 24

static const uint8_t some_key[32] = "an example of a key, 32 bytes..";

static struct kb_ap *side(const struct kb_enctype *enctype, bool acceptor, uint32_t flags)
{
    struct kb_ap *ap =
        context_of(enctype->etype, kb_bytes_of(some_key, enctype->key_len), acceptor, true, 0);

    ap->flags |= flags;
    return ap;
}

/* Those whose tokens are RFC 4121's. */
static const struct kb_enctype *next_enctype(size_t *index)
{
    const struct kb_enctype *enctype;

    do {
        enctype = kb_enctype_at((*index)++);
    } while (enctype != NULL && enctype->old);
    return enctype;
}

/* One of the ways in which a token can be cut into buffers. */
struct shape {
    bool conf, has_trailer;
    uint32_t flags;
};

static const struct shape shapes[] = {
    {true, true, 0},
    {true, false, 0},
    {false, true, 0},
    {false, false, 0},
    {true, true, KB_GSS_DCE_STYLE},
    {true, false, KB_GSS_DCE_STYLE},
    {false, true, KB_GSS_DCE_STYLE},
    {false, false, KB_GSS_DCE_STYLE},
};
#define NUM_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* --- a message in parts, each in heap memory of exactly its size --- */

struct parts {
    struct kb_iov iov;
    struct kb_piece pieces[MAX_PIECES + KB_SPARE_PIECES];
};

static uint8_t *copy_of(kb_bytes bytes)
{
    uint8_t *copy = malloc(bytes.len > 0 ? bytes.len : 1);

    assert_non_null(copy);
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    return copy;
}

static void parts_init(struct parts *p, bool has_trailer)
{
    *p = (struct parts){.iov = {.has_trailer = has_trailer}};
    p->iov.pieces = p->pieces;
}

static void parts_free(struct parts *p)
{
    for (size_t i = 0; i < p->iov.num; i++) {
        free(p->pieces[i].ptr);
    }
    free(p->iov.header.ptr);
    free(p->iov.trailer.ptr);
}

static void add(struct parts *p, enum kb_piece_kind kind, kb_bytes bytes)
{
    assert_true(p->iov.num < MAX_PIECES);
    p->pieces[p->iov.num++] =
        (struct kb_piece){.kind = kind, .ptr = copy_of(bytes), .len = bytes.len};
}

static kb_bytes slice(kb_bytes bytes, size_t from, size_t to)
{
    return kb_bytes_of(bytes.len > 0 ? bytes.ptr + from : bytes.ptr, to - from);
}

/* sign_before | data, in `num` pieces | sign_after */
static void add_split(struct parts *p, kb_bytes before, kb_bytes data, kb_bytes after, size_t num)
{
    add(p, KB_PIECE_SIGN, before);
    for (size_t i = 0; i < num; i++) {
        add(p, KB_PIECE_DATA, slice(data, data.len * i / num, data.len * (i + 1) / num));
    }
    add(p, KB_PIECE_SIGN, after);
}

/* Gives room for the other parts, exactly as much as is asked for. */
static void make_room(struct kb_ap *ap, bool conf, struct parts *p)
{
    assert_int_equal(kb_wrap_iov_len(ap, conf, &p->iov), KB_OK);
    p->iov.header.ptr = malloc(p->iov.header.len);
    p->iov.trailer.ptr = p->iov.has_trailer ? malloc(p->iov.trailer.len) : NULL;
}

/* header | data | trailer */
static size_t join(const struct parts *p, uint8_t *out)
{
    size_t len = p->iov.header.len;

    memcpy(out, p->iov.header.ptr, len);
    for (size_t i = 0; i < p->iov.num; i++) {
        if (p->pieces[i].kind == KB_PIECE_DATA) {
            memcpy(out + len, p->pieces[i].ptr, p->pieces[i].len);
            len += p->pieces[i].len;
        }
    }
    if (p->iov.has_trailer) {
        memcpy(out + len, p->iov.trailer.ptr, p->iov.trailer.len);
        len += p->iov.trailer.len;
    }
    return len;
}

static bool data_is(const struct parts *p, kb_bytes want)
{
    size_t at = 0;

    for (size_t i = 0; i < p->iov.num; i++) {
        const struct kb_piece *piece = &p->pieces[i];

        if (piece->kind == KB_PIECE_DATA) {
            if (piece->len > want.len - at ||
                (piece->len > 0 && memcmp(piece->ptr, want.ptr + at, piece->len) != 0)) {
                return false;
            }
            at += piece->len;
        }
    }
    return at == want.len;
}

static bool data_is_wiped(const struct parts *p)
{
    for (size_t i = 0; i < p->iov.num; i++) {
        for (size_t b = 0; p->pieces[i].kind == KB_PIECE_DATA && b < p->pieces[i].len; b++) {
            if (p->pieces[i].ptr[b] != 0) {
                return false;
            }
        }
    }
    return true;
}

/* --- recorded --- */

struct recorded {
    const char *file;
    size_t n;
    bool conf, has_trailer, from_acceptor;
    kb_bytes before, after, message, token;
    size_t header_len, trailer_len;
    uint64_t seq;
};

/* "pattern": byte i is (7 * i + len) mod 256. */
static kb_bytes message_of(struct wire *wire, size_t n)
{
    static uint8_t pattern[1 << 16];
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

static struct kb_ap *recorded_side(struct wire *wire, size_t n, bool acceptor)
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

static void check_taken(struct wire *wire, const struct recorded *r, size_t split)
{
    struct kb_ap *ap = recorded_side(wire, r->n, !r->from_acceptor);
    size_t data_end = r->token.len - r->trailer_len;
    struct parts p;
    uint32_t suppl = 77;
    bool conf = !r->conf;

    parts_init(&p, r->has_trailer);
    add_split(&p, r->before, slice(r->token, r->header_len, data_end), r->after, split);
    p.iov.header = (struct kb_room){copy_of(slice(r->token, 0, r->header_len)), r->header_len};
    if (r->has_trailer) {
        p.iov.trailer.ptr = copy_of(slice(r->token, data_end, r->token.len));
        p.iov.trailer.len = r->trailer_len;
    }
    if (kb_unwrap_iov(ap, &p.iov, &conf, &suppl) != KB_OK || !data_is(&p, r->message)) {
        fail_msg("%s, token %zu, split %zu", r->file, r->n, split);
    }
    assert_int_equal(conf, r->conf);
    assert_int_equal(suppl, 0);
    parts_free(&p);
    context_free(ap);
}

static void check_made(struct wire *wire, const struct recorded *r, size_t split)
{
    struct kb_ap *ap = recorded_side(wire, r->n, r->from_acceptor);
    uint8_t *made = malloc(r->token.len + 100);
    struct wire_rng rng;
    struct parts p;

    ap->send_seq = r->seq;
    wire_rng_init(&rng);
    if (r->conf) {
        wire_rng_add(&rng, wire_hex(wire, "per_message[%zu].confounder", r->n));
    }
    parts_init(&p, r->has_trailer);
    add_split(&p, r->before, r->message, r->after, split);
    make_room(ap, r->conf, &p);
    assert_int_equal(kb_wrap_iov(ap, &rng.rng, r->conf, &p.iov), KB_OK);
    assert_true(wire_rng_spent(&rng));
    assert_int_equal(p.iov.header.len, r->header_len);
    if (!kb_equal(kb_bytes_of(made, join(&p, made)), r->token)) {
        fail_msg("%s, token %zu, split %zu: another token", r->file, r->n, split);
    }
    parts_free(&p);
    free(made);
    context_free(ap);
}

/* As a whole token: in place, and with the message elsewhere. */
static void check_stream(struct wire *wire, const struct recorded *r, bool in_place)
{
    struct kb_ap *ap = recorded_side(wire, r->n, !r->from_acceptor);
    uint8_t *token = copy_of(r->token), *out = malloc(r->token.len);
    struct kb_piece *data;
    struct parts p;
    uint32_t suppl;
    bool conf;

    parts_init(&p, false);
    add(&p, KB_PIECE_SIGN, r->before);
    data = &p.pieces[p.iov.num++];
    *data = (struct kb_piece){.kind = KB_PIECE_DATA, .ptr = in_place ? NULL : out};
    add(&p, KB_PIECE_SIGN, r->after);
    if (kb_unwrap_stream(ap, token, r->token.len, &p.iov, data, &conf, &suppl) != KB_OK ||
        !data_is(&p, r->message)) {
        fail_msg("%s, token %zu as a stream", r->file, r->n);
    }
    assert_int_equal(conf, r->conf);
    assert_true(in_place
                    ? data->ptr > token && data->ptr < token + r->token.len
                    : data->ptr == out && kb_equal(kb_bytes_of(token, r->token.len), r->token));
    data->ptr = NULL;
    parts_free(&p);
    free(token);
    free(out);
    context_free(ap);
}

static void check_recorded(struct wire *wire, struct recorded *r, size_t *counts)
{
    static const size_t splits[] = {1, 2, 3, 5, 16, 20};

    for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
        check_taken(wire, r, splits[i]);
        check_made(wire, r, splits[i]);
    }
    check_stream(wire, r, false);
    check_stream(wire, r, true);
    counts[0]++;
}

static void check_recording(struct wire *wire, void *ctx)
{
    size_t num = wire_num(wire, "per_message"), *counts = ctx;

    for (size_t n = 0; n < num; n++) {
        struct recorded r = {.file = wire_name(wire), .n = n};
        const struct kb_enctype *enctype = kb_enctype_find((int32_t)wire_int(
            wire, "keys.%s.etype", wire_text(wire, "per_message[%zu].key_name", n)));

        if (strcmp(wire_text(wire, "per_message[%zu].op", n), "iov") != 0 || enctype == NULL ||
            enctype->old) {
            continue;
        }
        r.conf = wire_int(wire, "per_message[%zu].conf", n) != 0;
        r.from_acceptor = strcmp(wire_text(wire, "per_message[%zu].sender", n), "acceptor") == 0;
        r.before = wire_hex(wire, "per_message[%zu].sign_only_before", n);
        r.after = wire_hex(wire, "per_message[%zu].sign_only_after", n);
        r.message = message_of(wire, n);
        r.token = wire_hex(wire, "per_message[%zu].token", n);
        r.seq = (uint64_t)wire_int(wire, "per_message[%zu].seq", n);
        r.header_len = (size_t)wire_int(wire, "per_message[%zu].token_parts.header", n);
        r.trailer_len = (size_t)wire_int(wire, "per_message[%zu].token_parts.trailer", n);
        r.has_trailer = r.trailer_len > 0;
        check_recorded(wire, &r, counts);
    }
}

static void recorded_tokens_are_taken_and_remade(void **state)
{
    size_t count = 0;

    (void)state;
    wire_each("gss", check_recording, &count);
    print_message("%zu tokens in parts\n", count);
    assert_true(count >= 130);
}

/* MIC tokens: over one piece and over several. */
static void check_recorded_mic(struct wire *wire, void *ctx)
{
    size_t num = wire_num(wire, "per_message"), *count = ctx;

    for (size_t n = 0; n < num; n++) {
        const char *key = wire_text(wire, "per_message[%zu].key_name", n);
        const struct kb_enctype *enctype =
            kb_enctype_find((int32_t)wire_int(wire, "keys.%s.etype", key));
        bool from_acceptor = strcmp(wire_text(wire, "per_message[%zu].sender", n), "acceptor") == 0;

        if (strcmp(wire_text(wire, "per_message[%zu].op", n), "mic") != 0 || enctype == NULL ||
            enctype->old) {
            continue;
        }
        for (size_t split = 1; split <= 20; split += 6) {
            kb_bytes token = wire_hex(wire, "per_message[%zu].token", n);
            struct kb_ap *taker = recorded_side(wire, n, !from_acceptor);
            struct kb_ap *maker = recorded_side(wire, n, from_acceptor);
            uint8_t *made = malloc(token.len);
            struct parts p;
            uint32_t suppl;

            maker->send_seq = (uint64_t)wire_int(wire, "per_message[%zu].seq", n);
            parts_init(&p, false);
            add_split(&p, KB_NONE, message_of(wire, n), KB_NONE, split);
            assert_int_equal(kb_verify_mic_iov(taker, p.pieces, p.iov.num, token, &suppl), KB_OK);
            assert_int_equal(suppl, 0);
            assert_int_equal(kb_mic_len(maker), token.len);
            assert_int_equal(kb_get_mic_iov(maker, p.pieces, p.iov.num, made), KB_OK);
            assert_true(kb_equal(kb_bytes_of(made, token.len), token));
            parts_free(&p);
            free(made);
            context_free(taker);
            context_free(maker);
        }
        (*count)++;
    }
}

static void recorded_mics_are_taken_and_remade(void **state)
{
    size_t count = 0;

    (void)state;
    wire_each("gss", check_recorded_mic, &count);
    print_message("%zu MIC tokens over lists\n", count);
    assert_true(count > 150);
}

/* --- lengths and splits --- */

static const kb_bytes before = {(const uint8_t *)"only signed, in front", 21};
static const kb_bytes after = {(const uint8_t *)"behind", 6};

static void wrap_parts(struct kb_ap *ap, const struct shape *shape, kb_bytes message, size_t split,
                       struct parts *p)
{
    parts_init(p, shape->has_trailer);
    add_split(p, before, message, after, split);
    make_room(ap, shape->conf, p);
    assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, shape->conf, &p->iov), KB_OK);
}

static void unwrap_parts(struct kb_ap *ap, const struct shape *shape, kb_bytes message,
                         struct parts *p)
{
    uint32_t suppl;
    bool conf;

    if (kb_unwrap_iov(ap, &p->iov, &conf, &suppl) != KB_OK || !data_is(p, message)) {
        fail_msg("%s: %zu bytes%s%s%s", kb_key_enctype(ap->message_key)->name, message.len,
                 shape->conf ? ", sealed" : "", shape->has_trailer ? ", trailer" : "",
                 shape->flags != 0 ? ", DCE" : "");
    }
    assert_int_equal(conf, shape->conf);
    assert_int_equal(suppl, 0);
}

/* The same parts are a whole token to the other readers, where nothing is signed besides. */
static void check_whole(const struct kb_enctype *enctype, const struct shape *shape,
                        kb_bytes message)
{
    struct kb_ap *client = side(enctype, false, shape->flags);
    struct kb_ap *server = side(enctype, true, shape->flags);
    uint8_t *whole = malloc(message.len + 256), *out = malloc(message.len + 256);
    struct kb_piece pieces[1 + KB_SPARE_PIECES];
    struct kb_iov stream = {.pieces = pieces, .num = 1};
    struct parts p;
    size_t len, out_len;
    uint32_t suppl;
    bool conf;

    parts_init(&p, shape->has_trailer);
    add(&p, KB_PIECE_DATA, message);
    make_room(client, shape->conf, &p);
    assert_int_equal(kb_wrap_iov(client, &kb_rng_system, shape->conf, &p.iov), KB_OK);
    len = join(&p, whole);
    assert_int_equal(kb_unwrap(server, kb_bytes_of(whole, len), out, &out_len, &conf, &suppl),
                     KB_OK);
    assert_true(kb_equal(kb_bytes_of(out, out_len), message));
    for (int in_place = 0; in_place <= 1; in_place++) {
        pieces[0] = (struct kb_piece){.kind = KB_PIECE_DATA, .ptr = in_place ? NULL : out};
        assert_int_equal(kb_unwrap_stream(server, whole, len, &stream, &pieces[0], &conf, &suppl),
                         KB_OK);
        assert_true(kb_equal(kb_bytes_of(pieces[0].ptr, pieces[0].len), message));
        assert_int_equal(conf, shape->conf);
        assert_int_equal(suppl, KB_SUPPL_DUPLICATE);
    }
    parts_free(&p);
    free(whole);
    free(out);
    context_free(client);
    context_free(server);
}

static void every_length_comes_back(void **state)
{
    const struct kb_enctype *enctype;
    static uint8_t bytes[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 13);
    }
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < NUM_SHAPES; n++) {
            struct kb_ap *client = side(enctype, false, shapes[n].flags);
            struct kb_ap *server = side(enctype, true, shapes[n].flags);

            for (size_t len = 0; len <= sizeof(bytes); len += len < 70 ? 1 : 61 * wire_stride()) {
                kb_bytes message = kb_bytes_of(bytes, len);
                struct parts p;

                wrap_parts(client, &shapes[n], message, 1 + len % 4, &p);
                unwrap_parts(server, &shapes[n], message, &p);
                parts_free(&p);
                check_whole(enctype, &shapes[n], message);
            }
            context_free(client);
            context_free(server);
        }
    }
}

/* Two cuts wherever they can be, with bytes that are only signed in each. */
static void every_split_comes_back(void **state)
{
    static const kb_bytes message = {
        (const uint8_t *)"a message of forty-nine bytes, cut into three..", 47};
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        struct kb_ap *client = side(enctype, false, 0), *server = side(enctype, true, 0);

        for (size_t cut = 0; cut <= message.len; cut++) {
            for (size_t other = cut; other <= message.len; other += wire_stride()) {
                const struct shape *shape = &shapes[(cut + other) % 4];
                struct parts p;

                parts_init(&p, shape->has_trailer);
                add(&p, KB_PIECE_DATA, slice(message, 0, cut));
                add(&p, KB_PIECE_SIGN, before);
                add(&p, KB_PIECE_DATA, slice(message, cut, other));
                add(&p, KB_PIECE_DATA, KB_NONE);
                add(&p, KB_PIECE_SIGN, after);
                add(&p, KB_PIECE_DATA, slice(message, other, message.len));
                make_room(client, shape->conf, &p);
                assert_int_equal(kb_wrap_iov(client, &kb_rng_system, shape->conf, &p.iov), KB_OK);
                unwrap_parts(server, shape, message, &p);
                parts_free(&p);
            }
        }
        context_free(client);
        context_free(server);
    }
}

/* A list of single bytes, and one of nothing. */
static void odd_lists_come_back(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < NUM_SHAPES; n++) {
            struct kb_ap *client = side(enctype, false, shapes[n].flags);
            struct kb_ap *server = side(enctype, true, shapes[n].flags);
            struct parts p;

            wrap_parts(client, &shapes[n], KB_LIT("twenty-two single bytes"), 22, &p);
            unwrap_parts(server, &shapes[n], KB_LIT("twenty-two single bytes"), &p);
            parts_free(&p);

            parts_init(&p, shapes[n].has_trailer);
            make_room(client, shapes[n].conf, &p);
            assert_int_equal(kb_wrap_iov(client, &kb_rng_system, shapes[n].conf, &p.iov), KB_OK);
            unwrap_parts(server, &shapes[n], KB_NONE, &p);
            parts_free(&p);
            context_free(client);
            context_free(server);
        }
    }
}

/* --- room --- */

static void room_is_kept(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < NUM_SHAPES; n++) {
            struct kb_ap *ap = side(enctype, false, shapes[n].flags);
            size_t header_len, trailer_len;
            uint8_t header[256], trailer[256];
            struct parts p;

            parts_init(&p, shapes[n].has_trailer);
            add(&p, KB_PIECE_DATA, before);
            assert_int_equal(kb_wrap_iov_len(ap, shapes[n].conf, &p.iov), KB_OK);
            header_len = p.iov.header.len;
            trailer_len = p.iov.trailer.len;
            assert_int_equal(trailer_len > 0, shapes[n].has_trailer);
            for (int part = 0; part <= (shapes[n].has_trailer ? 1 : 0); part++) {
                size_t need = part == 0 ? header_len : trailer_len;

                for (size_t have = 0; have < need; have++) {
                    p.iov.header = (struct kb_room){header, part == 0 ? have : header_len};
                    p.iov.trailer = (struct kb_room){trailer, part == 1 ? have : trailer_len};
                    assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, shapes[n].conf, &p.iov),
                                     KB_TOO_BIG);
                    assert_true(data_is(&p, before));
                }
            }
            assert_true(ap->send_seq == 0);
            p.iov.header = (struct kb_room){header, sizeof(header)};
            p.iov.trailer = (struct kb_room){trailer, sizeof(trailer)};
            assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, shapes[n].conf, &p.iov), KB_OK);
            assert_int_equal(p.iov.header.len, header_len);
            assert_int_equal(p.iov.trailer.len, trailer_len);
            p.iov.header.ptr = p.iov.trailer.ptr = NULL;
            parts_free(&p);
            context_free(ap);
        }
    }
}

static void there_is_no_padding(void **state)
{
    size_t first = 0;
    const struct kb_enctype *enctype = next_enctype(&first);
    struct kb_ap *client = side(enctype, false, 0), *server = side(enctype, true, 0);
    uint32_t suppl;
    struct parts p;
    bool conf;

    (void)state;
    parts_init(&p, true);
    add(&p, KB_PIECE_DATA, before);
    add(&p, KB_PIECE_DATA, KB_LIT("8 bytes."));
    p.iov.padding = &p.pieces[1];
    make_room(client, true, &p);
    assert_int_equal(p.pieces[1].len, 0);
    assert_int_equal(kb_wrap_iov(client, &kb_rng_system, true, &p.iov), KB_OK);
    assert_int_equal(p.pieces[1].len, 0);
    unwrap_parts(server, &shapes[0], before, &p);
    parts_free(&p);

    wrap_parts(client, &shapes[0], before, 2, &p);
    p.iov.padding = &p.pieces[2];
    assert_int_equal(kb_unwrap_iov(server, &p.iov, &conf, &suppl), KB_MALFORMED);
    assert_true(data_is_wiped(&p));
    parts_free(&p);
    context_free(client);
    context_free(server);
}

/* --- on the way --- */

/* Takes a copy of the parts, as they are changed; a refusal leaves nothing. */
static enum kb_status take(struct kb_ap *ap, const struct parts *p)
{
    struct parts copy = *p;
    uint32_t suppl = 77;
    enum kb_status st;
    bool conf;

    copy.iov.pieces = copy.pieces;
    for (size_t i = 0; i < copy.iov.num; i++) {
        copy.pieces[i].ptr = copy_of(kb_bytes_of(p->pieces[i].ptr, p->pieces[i].len));
    }
    copy.iov.header.ptr = copy_of(kb_bytes_of(p->iov.header.ptr, p->iov.header.len));
    copy.iov.trailer.ptr =
        copy.iov.has_trailer ? copy_of(kb_bytes_of(p->iov.trailer.ptr, p->iov.trailer.len)) : NULL;
    st = kb_unwrap_iov(ap, &copy.iov, &conf, &suppl);
    if (st != KB_OK) {
        assert_true(st == KB_BAD_INTEGRITY || st == KB_MALFORMED || st == KB_CUT_SHORT);
        assert_true(data_is_wiped(&copy));
        assert_int_equal(suppl, 0);
    }
    parts_free(&copy);
    return st;
}

static void flip_each(struct kb_ap *server, const struct parts *p, uint8_t *bytes, size_t len)
{
    for (size_t bit = 0; bit < 8 * len; bit += wire_stride()) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(take(server, p), KB_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void no_bit_can_be_flipped(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < NUM_SHAPES; n++) {
            struct kb_ap *client = side(enctype, false, shapes[n].flags);
            struct kb_ap *server = side(enctype, true, shapes[n].flags);
            struct parts p;

            wrap_parts(client, &shapes[n], KB_LIT("the secret of the message"), 2, &p);
            flip_each(server, &p, p.iov.header.ptr, p.iov.header.len);
            flip_each(server, &p, p.iov.trailer.ptr, p.iov.trailer.len);
            for (size_t piece = 0; piece < p.iov.num; piece++) {
                flip_each(server, &p, p.pieces[piece].ptr, p.pieces[piece].len);
            }
            assert_true(server->received.next == 0); /* the forgeries did not move the window */
            assert_int_equal(take(server, &p), KB_OK);
            parts_free(&p);
            context_free(client);
            context_free(server);
        }
    }
}

static void no_byte_can_be_cut_or_moved(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < NUM_SHAPES; n++) {
            struct kb_ap *client = side(enctype, false, shapes[n].flags);
            struct kb_ap *server = side(enctype, true, shapes[n].flags);
            struct parts p;
            size_t *lens[6] = {&p.iov.header.len, &p.iov.trailer.len, &p.pieces[0].len,
                               &p.pieces[1].len,  &p.pieces[2].len,   &p.pieces[3].len};

            wrap_parts(client, &shapes[n], KB_LIT("the secret of the message"), 2, &p);
            for (size_t part = 0; part < 6; part++) {
                size_t len = *lens[part];

                for (*lens[part] = 0; *lens[part] < len; ++*lens[part]) {
                    assert_int_not_equal(take(server, &p), KB_OK);
                }
            }
            assert_int_equal(take(server, &p), KB_OK);
            p.iov.has_trailer = !p.iov.has_trailer;
            assert_int_not_equal(take(server, &p), KB_OK);
            parts_free(&p);
            context_free(client);
            context_free(server);
        }
    }
}

/* Sent back to its sender, of the other key, of a context in another style. */
static void it_is_of_this_context(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < NUM_SHAPES; n++) {
            struct kb_ap *client = side(enctype, false, shapes[n].flags);
            struct kb_ap *server = side(enctype, true, shapes[n].flags);
            struct parts p;

            client->acceptor_subkey = false; /* its tokens are not of the acceptor's subkey */
            wrap_parts(client, &shapes[n], KB_LIT("message"), 1, &p);
            assert_int_equal(take(server, &p), KB_BAD_INTEGRITY);
            parts_free(&p);
            client->acceptor_subkey = true;
            wrap_parts(client, &shapes[n], KB_LIT("message"), 1, &p);
            assert_int_equal(take(client, &p), KB_BAD_INTEGRITY);
            server->flags ^= KB_GSS_DCE_STYLE;
            /* The filler is rotated otherwise, where there is one to rotate. */
            if (shapes[n].conf && !shapes[n].has_trailer && shapes[n].flags != 0) {
                assert_int_equal(take(server, &p), KB_MALFORMED);
            } else {
                assert_int_equal(take(server, &p), KB_OK);
            }
            parts_free(&p);
            context_free(client);
            context_free(server);
        }
    }
}

/* A header's EC or RRC is the right one or refused. */
static void every_count_but_one_is_refused(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < NUM_SHAPES; n++) {
            struct kb_ap *client = side(enctype, false, shapes[n].flags);
            struct kb_ap *server = side(enctype, true, shapes[n].flags);
            struct parts p;

            wrap_parts(client, &shapes[n], KB_LIT("message"), 1, &p);
            for (size_t at = 4; at <= 6; at += 2) {
                uint16_t right = (uint16_t)(p.iov.header.ptr[at] << 8 | p.iov.header.ptr[at + 1]);

                for (size_t wrong = 0; wrong <= 0xffff;
                     wrong += wrong < 300 ? wire_stride() : 251 * wire_stride()) {
                    kb_put_u16be(p.iov.header.ptr + at, (uint16_t)wrong);
                    assert_int_equal(take(server, &p) == KB_OK, wrong == right);
                }
                kb_put_u16be(p.iov.header.ptr + at, right);
            }
            parts_free(&p);
            context_free(client);
            context_free(server);
        }
    }
}

/* --- whole tokens from a peer, with any filler and rotation --- */

/* A sealed token with `ec` bytes of filler, un-rotated. */
static size_t seal_filled(struct kb_ap *ap, kb_bytes message, size_t ec, uint8_t *out)
{
    const struct kb_enctype *enctype = kb_key_enctype(ap->message_key);
    uint8_t *data = out + HEADER + enctype->confounder_len, *tail = data + message.len;
    struct kb_piece pieces[3] = {
        {.kind = KB_PIECE_SIGN, .ptr = (uint8_t *)(uintptr_t)before.ptr, .len = before.len},
        {.kind = KB_PIECE_DATA, .ptr = data, .len = message.len},
        {.kind = KB_PIECE_DATA, .ptr = tail, .len = ec + HEADER}};

    memset(out, 0, HEADER);
    kb_put_u16be(out, 0x0504);
    out[2] = 0x02 | 0x04;
    out[3] = 0xff;
    kb_put_u16be(out + 4, (uint16_t)ec);
    memcpy(data, message.ptr, message.len);
    memset(tail, 'x', ec);
    memcpy(tail + ec, out, HEADER);
    assert_int_equal(kb_encrypt_pieces(ap->message_key, KB_USAGE_INITIATOR_SEAL, &kb_rng_system,
                                       out + HEADER, pieces, 3, tail + ec + HEADER),
                     KB_OK);
    return (size_t)(tail - out) + ec + HEADER + enctype->mac_len;
}

static void turn(const uint8_t *token, size_t len, size_t by, uint8_t *out)
{
    size_t rest = len - HEADER;

    memcpy(out, token, HEADER);
    for (size_t i = 0; i < rest; i++) {
        out[HEADER + (i + by) % rest] = token[HEADER + i];
    }
}

/* `before` is signed too. */
static enum kb_status take_stream(struct kb_ap *ap, kb_bytes token, kb_bytes message, bool in_place)
{
    uint8_t *copy = copy_of(token), *out = malloc(token.len + 1);
    struct kb_piece pieces[2 + KB_SPARE_PIECES] = {
        {.kind = KB_PIECE_SIGN, .ptr = (uint8_t *)(uintptr_t)before.ptr, .len = before.len},
        {.kind = KB_PIECE_DATA, .ptr = in_place ? NULL : out}};
    struct kb_iov iov = {.pieces = pieces, .num = 2};
    uint32_t suppl;
    enum kb_status st;
    bool conf;

    memset(out, 0, token.len + 1);
    st = kb_unwrap_stream(ap, copy, token.len, &iov, &pieces[1], &conf, &suppl);
    if (st == KB_OK) {
        assert_true(kb_equal(kb_bytes_of(pieces[1].ptr, pieces[1].len), message));
    } else {
        assert_true(st == KB_BAD_INTEGRITY || st == KB_MALFORMED || st == KB_CUT_SHORT);
        assert_int_equal(pieces[1].len, 0);
        for (size_t i = 0; i < token.len; i++) {
            assert_int_equal(out[i], 0);
        }
    }
    if (!in_place) {
        assert_memory_equal(copy, token.ptr, token.len);
    }
    free(copy);
    free(out);
    return st;
}

static const kb_bytes short_message = {(const uint8_t *)"a message of some length", 24};

static void check_rotations(const struct kb_enctype *enctype, uint32_t flags, size_t ec)
{
    struct kb_ap *client = side(enctype, false, flags), *server = side(enctype, true, flags);
    uint8_t *token = malloc(ec + 256), *turned = malloc(ec + 256);
    size_t len = seal_filled(client, short_message, ec, token);

    server->received.replay = server->received.sequence = false;
    for (size_t rrc = 0; rrc <= 0xffff; rrc += rrc < 400 ? wire_stride() : 997 * wire_stride()) {
        bool in_place = rrc % 2 == 1;

        turn(token, len, rrc + (flags != 0 && rrc != 0 ? ec : 0), turned);
        kb_put_u16be(turned + 6, (uint16_t)rrc);
        if (take_stream(server, kb_bytes_of(turned, len), short_message, in_place) != KB_OK ||
            take_stream(server, kb_bytes_of(turned, len), short_message, !in_place) != KB_OK) {
            fail_msg("%s, EC %zu, RRC %zu, flags %x", enctype->name, ec, rrc, flags);
        }
    }
    free(token);
    free(turned);
    context_free(client);
    context_free(server);
}

static void every_filler_and_rotation_is_taken(void **state)
{
    static const size_t ecs[] = {0, 1, 12, 15, 16, 17, 28, 100, 4096};
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (size_t n = 0; n < sizeof(ecs) / sizeof(ecs[0]); n++) {
            check_rotations(enctype, 0, ecs[n]);
            check_rotations(enctype, KB_GSS_DCE_STYLE, ecs[n]);
        }
    }
}

static void every_extra_count_is_taken(void **state)
{
    static uint8_t token[0x10000 + 256];
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        struct kb_ap *client = side(enctype, false, 0), *server = side(enctype, true, 0);

        server->received.replay = server->received.sequence = false;
        for (size_t ec = 0; ec <= 0xffff; ec += ec < 300 ? 1 : ec < 0xff00 ? 12289 : 1) {
            size_t len = seal_filled(client, short_message, ec, token);

            assert_int_equal(
                take_stream(server, kb_bytes_of(token, len), short_message, ec % 2 == 1), KB_OK);
            if (ec > 0xff10) {
                ec = 0xfffe;
            }
        }
        context_free(client);
        context_free(server);
    }
}

/* Signed ones too, rotated; and hostile ones. */
static void streams_are_checked(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        for (int conf = 0; conf <= 1; conf++) {
            struct kb_ap *client = side(enctype, false, 0), *server = side(enctype, true, 0);
            uint8_t token[256], turned[256];
            struct parts p;
            size_t len;

            server->received.replay = server->received.sequence = false;
            parts_init(&p, true);
            add(&p, KB_PIECE_SIGN, before);
            add(&p, KB_PIECE_DATA, short_message);
            make_room(client, conf, &p);
            assert_int_equal(kb_wrap_iov(client, &kb_rng_system, conf, &p.iov), KB_OK);
            len = join(&p, token);
            parts_free(&p);
            for (size_t rrc = 0; rrc < 3 * len; rrc += wire_stride()) {
                turn(token, len, rrc, turned);
                kb_put_u16be(turned + 6, (uint16_t)rrc);
                assert_int_equal(
                    take_stream(server, kb_bytes_of(turned, len), short_message, false), KB_OK);
                assert_int_equal(take_stream(server, kb_bytes_of(turned, len), short_message, true),
                                 KB_OK);
            }
            for (size_t cut = 0; cut < len; cut++) {
                enum kb_status st =
                    take_stream(server, kb_bytes_of(token, cut), short_message, cut % 2 == 0);

                assert_int_not_equal(st, KB_OK);
                assert_true(cut >= HEADER || st == KB_CUT_SHORT);
            }
            for (size_t bit = 0; bit < 8 * len; bit += wire_stride()) {
                if (bit / 8 == 6 || bit / 8 == 7) {
                    continue; /* RRC: may turn right round */
                }
                token[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_not_equal(
                    take_stream(server, kb_bytes_of(token, len), short_message, false), KB_OK);
                assert_int_not_equal(
                    take_stream(server, kb_bytes_of(token, len), short_message, true), KB_OK);
                token[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            for (size_t ec = 0; ec <= 0xffff; ec += wire_stride()) {
                if (ec != (conf ? 0u : enctype->mac_len)) {
                    kb_put_u16be(token + 4, (uint16_t)ec);
                    assert_int_not_equal(
                        take_stream(server, kb_bytes_of(token, len), short_message, ec % 2 == 0),
                        KB_OK);
                }
            }
            context_free(client);
            context_free(server);
        }
    }
}

/* --- MIC --- */

static void no_bit_of_a_mic_can_be_flipped(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        struct kb_ap *client = side(enctype, false, 0), *server = side(enctype, true, 0);
        size_t len = kb_mic_len(client);
        uint8_t token[128];
        struct parts p;
        uint32_t suppl;

        parts_init(&p, false);
        add_split(&p, before, short_message, after, 3);
        assert_int_equal(kb_get_mic_iov(client, p.pieces, p.iov.num, token), KB_OK);
        for (size_t bit = 0; bit < 8 * len; bit += wire_stride()) {
            token[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(
                kb_verify_mic_iov(server, p.pieces, p.iov.num, kb_bytes_of(token, len), &suppl),
                KB_OK);
            token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t cut = 0; cut < len; cut++) {
            assert_int_equal(
                kb_verify_mic_iov(server, p.pieces, p.iov.num, kb_bytes_of(token, cut), &suppl),
                cut < HEADER ? KB_CUT_SHORT : KB_BAD_INTEGRITY);
        }
        for (size_t piece = 0; piece < p.iov.num; piece++) {
            for (size_t b = 0; b < p.pieces[piece].len; b++) {
                p.pieces[piece].ptr[b] ^= 0x10;
                assert_int_equal(
                    kb_verify_mic_iov(server, p.pieces, p.iov.num, kb_bytes_of(token, len), &suppl),
                    KB_BAD_INTEGRITY);
                p.pieces[piece].ptr[b] ^= 0x10;
            }
        }
        assert_int_equal(
            kb_verify_mic_iov(server, p.pieces, p.iov.num, kb_bytes_of(token, len), &suppl), KB_OK);
        assert_int_equal(
            kb_verify_mic_iov(client, p.pieces, p.iov.num, kb_bytes_of(token, len), &suppl),
            KB_BAD_INTEGRITY); /* sent back */
        parts_free(&p);
        context_free(client);
        context_free(server);
    }
}

/* --- state and memory --- */

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
    size_t first = 0;
    struct kb_ap *ap = side(next_enctype(&first), false, 0);
    struct parts p;

    (void)state;
    ap->send_seq = 7;
    parts_init(&p, true);
    add(&p, KB_PIECE_DATA, before);
    make_room(ap, true, &p);
    assert_int_equal(kb_wrap_iov(ap, &broken, true, &p.iov), KB_NO_RANDOM);
    assert_true(ap->send_seq == 7);
    parts_free(&p);
    context_free(ap);
}

static void a_half_open_context_has_no_messages(void **state)
{
    size_t first = 0;
    struct kb_ap *ap = side(next_enctype(&first), false, 0);
    uint8_t bytes[100] = {0};
    struct parts p;
    uint32_t suppl;
    bool conf;

    (void)state;
    ap->state = KB_AP_WAITING;
    parts_init(&p, true);
    add(&p, KB_PIECE_DATA, before);
    assert_int_equal(kb_wrap_iov_len(ap, true, &p.iov), KB_NOT_FOUND);
    assert_int_equal(kb_wrap_iov(ap, &kb_rng_system, true, &p.iov), KB_NOT_FOUND);
    assert_int_equal(kb_unwrap_iov(ap, &p.iov, &conf, &suppl), KB_NOT_FOUND);
    assert_true(data_is(&p, before));
    assert_int_equal(kb_get_mic_iov(ap, p.pieces, 1, bytes), KB_NOT_FOUND);
    assert_int_equal(kb_verify_mic_iov(ap, p.pieces, 1, KB_NONE, &suppl), KB_NOT_FOUND);
    assert_int_equal(
        kb_unwrap_stream(ap, bytes, sizeof(bytes), &p.iov, &p.pieces[0], &conf, &suppl),
        KB_NOT_FOUND);
    parts_free(&p);
    context_free(ap);
}

/* One message each way, in memory that is there already. */
static enum kb_status one_each(struct kb_ap *client, struct kb_ap *server, bool conf)
{
    uint8_t header[128], trailer[128], mic[128], data[] = "some data";
    struct kb_piece pieces[1 + KB_SPARE_PIECES];
    struct kb_iov iov = {.header = {header, sizeof(header)},
                         .trailer = {trailer, sizeof(trailer)},
                         .has_trailer = true,
                         .pieces = pieces,
                         .num = 1};
    uint32_t suppl;
    enum kb_status st;

    pieces[0] = (struct kb_piece){.kind = KB_PIECE_DATA, .ptr = data, .len = sizeof(data)};
    st = kb_wrap_iov(client, &kb_rng_system, conf, &iov);
    if (st == KB_OK) {
        st = kb_unwrap_iov(server, &iov, &conf, &suppl);
        assert_true(st != KB_OK || memcmp(data, "some data", sizeof(data)) == 0);
    }
    if (st == KB_OK) {
        st = kb_get_mic_iov(client, pieces, 1, mic);
    }
    if (st == KB_OK) {
        st = kb_verify_mic_iov(server, pieces, 1, kb_bytes_of(mic, kb_mic_len(client)), &suppl);
    }
    return st;
}

static void messages_need_no_memory(void **state)
{
    const struct kb_enctype *enctype;

    (void)state;
    for (size_t i = 0; (enctype = next_enctype(&i)) != NULL;) {
        struct kb_ap *client = side(enctype, false, 0), *server = side(enctype, true, 0);
        unsigned long count;
        bool reached = true;

        for (long n = 0; reached; n++) { /* each allocation of the first messages fails once */
            enum kb_status st;

            assert_true(n < 100);
            context_free(client);
            context_free(server);
            client = side(enctype, false, 0);
            server = side(enctype, true, 0);
            count = oom_count();
            oom_fail_after(n);
            st = one_each(client, server, true);
            oom_fail_after(-1);
            reached = oom_count() - count > (unsigned long)n;
            assert_int_equal(st, reached ? KB_NO_MEMORY : KB_OK);
        }
        assert_int_equal(one_each(client, server, true), KB_OK);
        assert_int_equal(one_each(client, server, false), KB_OK);
        count = oom_count();
        for (int n = 0; n < 20; n++) {
            assert_int_equal(one_each(client, server, n % 2 == 0), KB_OK);
        }
        assert_true(oom_count() == count);
        context_free(client);
        context_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_tokens_are_taken_and_remade),
        cmocka_unit_test(recorded_mics_are_taken_and_remade),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(every_split_comes_back),
        cmocka_unit_test(odd_lists_come_back),
        cmocka_unit_test(room_is_kept),
        cmocka_unit_test(there_is_no_padding),
        cmocka_unit_test(no_bit_can_be_flipped),
        cmocka_unit_test(no_byte_can_be_cut_or_moved),
        cmocka_unit_test(it_is_of_this_context),
        cmocka_unit_test(every_count_but_one_is_refused),
        cmocka_unit_test(every_filler_and_rotation_is_taken),
        cmocka_unit_test(every_extra_count_is_taken),
        cmocka_unit_test(streams_are_checked),
        cmocka_unit_test(no_bit_of_a_mic_can_be_flipped),
        cmocka_unit_test(a_failed_message_takes_no_number),
        cmocka_unit_test(a_half_open_context_has_no_messages),
        cmocka_unit_test(messages_need_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
