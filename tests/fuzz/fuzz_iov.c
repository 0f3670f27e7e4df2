/* The input says what the list looks like: shape, number of pieces, kind and length of each; the
 * rest are their bytes. Such a list must come back from the peer, altered it must not; made of the
 * input alone it must not be taken; and what a peer with the key may put into a header does no
 * harm. */
#include "asn1/reader.h"
#include "mech/protocol/token.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/context.h"

#define HEADER 16
#define MAX_INPUT ((size_t)4096)
#define MAX_PIECES 24

static struct kb_ap *sides[4][2][2]; /* by enctype, DCE style, and whether it is the acceptor */

static void make_sides(void)
{
    static const uint8_t key[32] = "an example of a key, 32 bytes..";

    for (int i = 0; i < 4; i++) {
        for (int dce = 0; dce <= 1; dce++) {
            for (int acceptor = 0; acceptor <= 1; acceptor++) {
                int32_t etype = KB_ENCTYPE_AES128_SHA1 + i;
                size_t len = kb_enctype_find(etype)->key_len;
                struct kb_ap *ap = context_of(etype, kb_bytes_of(key, len), acceptor != 0, true, 0);

                ap->flags |= dce != 0 ? KB_GSS_DCE_STYLE : 0;
                sides[i][dce][acceptor] = ap;
            }
        }
    }
}

struct list {
    struct kb_ap *client, *server;
    bool conf, in_place;
    struct kb_piece shape[MAX_PIECES]; /* slices of the input */
    size_t num;
    kb_bytes rest; /* what the pieces left of the input */
};

static bool read_list(kb_bytes in, struct list *out)
{
    struct kb_reader r = kb_reader(in);
    uint8_t bits = kb_get_u8(&r);
    size_t num = kb_get_u8(&r) % (MAX_PIECES + 1);
    uint8_t kinds[MAX_PIECES], lens[MAX_PIECES];

    out->client = sides[bits & 3][bits >> 2 & 1][0];
    out->server = sides[bits & 3][bits >> 2 & 1][1];
    out->conf = (bits & 8) != 0;
    out->in_place = (bits & 16) != 0;
    for (size_t i = 0; i < num; i++) {
        kinds[i] = kb_get_u8(&r);
        lens[i] = kb_get_u8(&r);
    }
    for (size_t i = 0; i < num && !r.bad; i++) {
        size_t len = (size_t)lens[i] << (kinds[i] >> 6); /* up to 2040 bytes */
        kb_bytes bytes = kb_get_bytes(&r, len < r.rest.len ? len : r.rest.len);

        out->shape[i] =
            (struct kb_piece){.kind = (kinds[i] & 1) != 0 ? KB_PIECE_SIGN : KB_PIECE_DATA,
                              .ptr = (uint8_t *)(uintptr_t)bytes.ptr,
                              .len = bytes.len};
    }
    out->num = num;
    out->rest = r.rest;
    return !r.bad;
}

/* A copy of the list that is the message's own, each piece of exactly its size. */
struct parts {
    struct kb_iov iov;
    struct kb_piece pieces[MAX_PIECES + KB_SPARE_PIECES];
};

static void parts_init(struct parts *p, const struct list *list, bool has_trailer)
{
    *p = (struct parts){.iov = {.has_trailer = has_trailer, .num = list->num}};
    p->iov.pieces = p->pieces;
    for (size_t i = 0; i < list->num; i++) {
        p->pieces[i] = list->shape[i];
        p->pieces[i].ptr = malloc(list->shape[i].len + 1);
        if (list->shape[i].len > 0) {
            memcpy(p->pieces[i].ptr, list->shape[i].ptr, list->shape[i].len);
        }
    }
}

static void parts_free(struct parts *p)
{
    for (size_t i = 0; i < p->iov.num; i++) {
        free(p->pieces[i].ptr);
    }
    free(p->iov.header.ptr);
    free(p->iov.trailer.ptr);
}

static bool is_unchanged(const struct parts *p, const struct list *list)
{
    for (size_t i = 0; i < list->num; i++) {
        if (!kb_equal(kb_bytes_of(p->pieces[i].ptr, p->pieces[i].len),
                      kb_bytes_of(list->shape[i].ptr, list->shape[i].len))) {
            return false;
        }
    }
    return true;
}

static void must_be_wiped(const struct parts *p)
{
    for (size_t i = 0; i < p->iov.num; i++) {
        for (size_t b = 0; p->pieces[i].kind == KB_PIECE_DATA && b < p->pieces[i].len; b++) {
            FUZZ_MUST(p->pieces[i].ptr[b] == 0);
        }
    }
}

static void wrap(const struct list *list, bool has_trailer, struct parts *p)
{
    parts_init(p, list, has_trailer);
    FUZZ_MUST(kb_wrap_iov_len(list->client, list->conf, &p->iov) == KB_OK);
    p->iov.header.ptr = malloc(p->iov.header.len);
    p->iov.trailer.ptr = has_trailer ? malloc(p->iov.trailer.len) : NULL;
    FUZZ_MUST(kb_wrap_iov(list->client, &kb_rng_system, list->conf, &p->iov) == KB_OK);
}

static void must_come_back(const struct list *list, bool has_trailer)
{
    struct parts p;
    uint32_t suppl;
    bool conf;

    wrap(list, has_trailer, &p);
    FUZZ_MUST(kb_unwrap_iov(list->server, &p.iov, &conf, &suppl) == KB_OK);
    FUZZ_MUST(conf == list->conf && is_unchanged(&p, list));
    parts_free(&p);
}

/* One of the bytes that the peer gets or signs. */
static uint8_t *byte_of(struct parts *p, size_t at)
{
    if (at < p->iov.header.len) {
        return p->iov.header.ptr + at;
    }
    at -= p->iov.header.len;
    for (size_t i = 0; i < p->iov.num; i++) {
        if (at < p->pieces[i].len) {
            return p->pieces[i].ptr + at;
        }
        at -= p->pieces[i].len;
    }
    return at < p->iov.trailer.len ? p->iov.trailer.ptr + at : p->iov.header.ptr;
}

/* The rest says where it is damaged, and how. */
static void must_not_be_taken(const struct list *list, bool has_trailer)
{
    struct kb_reader r = kb_reader(list->rest);
    size_t at = kb_get_u16be(&r) % MAX_INPUT;
    uint8_t change = kb_get_u8(&r);
    struct parts p;
    uint32_t suppl;
    bool conf;

    wrap(list, has_trailer, &p);
    *byte_of(&p, at) ^= change != 0 ? change : 1;
    FUZZ_MUST(kb_unwrap_iov(list->server, &p.iov, &conf, &suppl) != KB_OK);
    must_be_wiped(&p);
    parts_free(&p);
}

/* Header and trailer are of the input too. */
static void try_stranger(const struct list *list, bool has_trailer)
{
    size_t header_len = list->rest.len < 100 ? list->rest.len : 100;
    kb_bytes trailer = kb_bytes_of(list->rest.ptr + header_len, list->rest.len - header_len);
    struct parts p;
    uint32_t suppl;
    bool conf;

    parts_init(&p, list, has_trailer);
    p.iov.header.len = header_len;
    p.iov.header.ptr = malloc(header_len + 1);
    memcpy(p.iov.header.ptr, list->rest.ptr, header_len);
    if (has_trailer) {
        p.iov.trailer.len = trailer.len;
        p.iov.trailer.ptr = malloc(trailer.len + 1);
        memcpy(p.iov.trailer.ptr, trailer.ptr, trailer.len);
    }
    FUZZ_MUST(kb_unwrap_iov(list->server, &p.iov, &conf, &suppl) != KB_OK);
    must_be_wiped(&p);
    parts_free(&p);
}

static void take_stream(const struct list *list, kb_bytes token, bool may_be_good)
{
    uint8_t *copy = malloc(token.len + 1), *out = malloc(token.len + 1);
    struct kb_piece pieces[MAX_PIECES + 1 + KB_SPARE_PIECES], *data;
    struct kb_iov iov = {.pieces = pieces};
    uint32_t suppl;
    bool conf;

    memcpy(copy, token.ptr, token.len);
    data = &pieces[iov.num++];
    *data = (struct kb_piece){.kind = KB_PIECE_DATA, .ptr = list->in_place ? NULL : out};
    if (kb_unwrap_stream(list->server, copy, token.len, &iov, data, &conf, &suppl) == KB_OK) {
        FUZZ_MUST(may_be_good && data->len <= token.len);
        FUZZ_MUST(data->ptr == out ||
                  (data->ptr >= copy && data->ptr + data->len <= copy + token.len));
    } else {
        FUZZ_MUST(data->len == 0);
    }
    FUZZ_MUST(list->in_place || memcmp(copy, token.ptr, token.len) == 0);
    free(copy);
    free(out);
}

/* Any header, a good MAC around the rest as plaintext. */
static void try_peer(const struct list *list)
{
    const struct kb_enctype *enctype = kb_key_enctype(list->client->message_key);
    size_t plain_len, len;
    uint8_t *token, *rest;
    struct kb_piece data;

    if (list->rest.len < HEADER) {
        return;
    }
    plain_len = list->rest.len - HEADER;
    len = HEADER + kb_encrypted_len(list->client->message_key, plain_len);
    token = malloc(len);
    rest = token + HEADER;
    memcpy(token, list->rest.ptr, HEADER);
    kb_put_u16be(token, 0x0504);
    token[2] = (uint8_t)((token[2] | 0x06) & ~1u);
    token[3] = 0xff;
    data = (struct kb_piece){
        .kind = KB_PIECE_DATA, .ptr = rest + enctype->confounder_len, .len = plain_len};
    memcpy(data.ptr, list->rest.ptr + HEADER, plain_len);
    FUZZ_MUST(kb_encrypt_pieces(list->client->message_key, KB_USAGE_INITIATOR_SEAL, &kb_rng_system,
                                rest, &data, 1, data.ptr + plain_len) == KB_OK);
    take_stream(list, kb_bytes_of(token, len), true);
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct list list;

    if (sides[0][0][0] == NULL) {
        make_sides();
    }
    if (!read_list(kb_bytes_of(data, len < MAX_INPUT ? len : MAX_INPUT), &list)) {
        return 0;
    }
    for (int has_trailer = 0; has_trailer <= 1; has_trailer++) {
        must_come_back(&list, has_trailer != 0);
        must_not_be_taken(&list, has_trailer != 0);
        try_stranger(&list, has_trailer != 0);
    }
    take_stream(&list, list.rest, false);
    try_peer(&list);
    return 0;
}
