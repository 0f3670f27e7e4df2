/* The input is an old token to either side, whole, as a stream and as a list of buffers; and what a
 * peer with the key might send: any plaintext, padding and all, under a good checksum. */
#include "mech/protocol/token_v1.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/context.h"

#define MAX_INPUT ((size_t)4096)
#define MAX_DATA 4

static const int32_t etypes[] = {KB_ENCTYPE_RC4_HMAC, KB_ENCTYPE_DES3_CBC_SHA1,
                                 KB_ENCTYPE_DES_CBC_MD5};
#define NUM_ETYPES (sizeof(etypes) / sizeof(etypes[0]))

static struct kb_ap *sides[NUM_ETYPES][2]; /* by enctype, and whether it is the acceptor */

static void make_sides(void)
{
    static const uint8_t key[32] = "\x10\x20\x31\x40\x51\x61\x70\x80\x91\xa1\xb0\xc1\xd0\xe0\xf1"
                                   "\x01\x13\x25\x37\x49\x5b\x6d\x7f\x91";

    for (size_t i = 0; i < NUM_ETYPES; i++) {
        size_t len = kb_enctype_find(etypes[i])->key_len;

        for (int acceptor = 0; acceptor <= 1; acceptor++) {
            sides[i][acceptor] =
                context_of(etypes[i], kb_bytes_of(key, len), acceptor != 0, true, 0);
        }
    }
}

static void assert_wiped(enum kb_status st, const uint8_t *data, size_t len)
{
    for (size_t i = 0; st != KB_OK && i < len; i++) {
        FUZZ_MUST(data[i] == 0);
    }
}

static enum kb_status unwrap(struct kb_ap *ap, kb_bytes token, size_t *out_len)
{
    uint8_t *out = calloc(1, token.len + 1);
    enum kb_status st;
    uint32_t suppl;
    bool conf;

    st = kb_unwrap(ap, token, out, out_len, &conf, &suppl);
    FUZZ_MUST(st == KB_OK ? *out_len <= token.len : *out_len == 0);
    assert_wiped(st, out, token.len);
    free(out);
    return st;
}

/* The same answer as the whole token's, where it lies and elsewhere. */
static void try_stream(struct kb_ap *ap, kb_bytes token, enum kb_status want, size_t want_len)
{
    for (int elsewhere = 0; elsewhere <= 1; elsewhere++) {
        uint8_t *in = malloc(token.len + 1), *out = calloc(1, token.len + 1);
        struct kb_piece pieces[1 + KB_SPARE_PIECES] = {kb_piece_data(elsewhere ? out : NULL, 0)};
        struct kb_iov iov = {.pieces = pieces, .num = 1};
        enum kb_status st;
        uint32_t suppl;
        bool conf;

        if (token.len > 0) {
            memcpy(in, token.ptr, token.len);
        }
        st = kb_unwrap_stream(ap, in, token.len, &iov, &pieces[0], &conf, &suppl);
        FUZZ_MUST(st == want && pieces[0].len == want_len);
        assert_wiped(st, out, token.len);
        FUZZ_MUST(!elsewhere || token.len == 0 || memcmp(in, token.ptr, token.len) == 0);
        free(in);
        free(out);
    }
}

/* `cuts`: where the token falls apart into header, data and padding. */
static enum kb_status try_list(struct kb_ap *ap, kb_bytes token, const uint8_t *cuts)
{
    uint8_t *in = malloc(token.len + 1);
    struct kb_piece pieces[MAX_DATA + KB_SPARE_PIECES];
    struct kb_iov iov = {.pieces = pieces, .header = {in, 0}};
    size_t at = 0;
    enum kb_status st;
    uint32_t suppl;
    bool conf;

    if (token.len > 0) {
        memcpy(in, token.ptr, token.len);
    }
    iov.header.len = at = cuts[0] < token.len ? cuts[0] : token.len;
    for (iov.num = 0; iov.num < MAX_DATA; iov.num++) {
        size_t left = token.len - at, len = cuts[1 + iov.num] < left ? cuts[1 + iov.num] : left;

        pieces[iov.num] = kb_piece_data(in + at, iov.num == MAX_DATA - 1 ? left : len);
        at += pieces[iov.num].len;
    }
    iov.padding = (cuts[0] & 1) != 0 ? &pieces[MAX_DATA - 1] : NULL;
    st = kb_unwrap_iov(ap, &iov, &conf, &suppl);
    assert_wiped(st, in + iov.header.len, token.len - iov.header.len);
    free(in);
    return st;
}

/* Nobody guesses a checksum. */
static void try_stranger(struct kb_ap *ap, kb_bytes in)
{
    uint32_t suppl;
    size_t len;
    enum kb_status st = unwrap(ap, in, &len);

    FUZZ_MUST(st != KB_OK);
    try_stream(ap, in, st, 0);
    FUZZ_MUST(kb_verify_mic(ap, KB_LIT("message"), in, &suppl) != KB_OK);
    FUZZ_MUST(kb_take_delete(ap, in) != KB_OK);
    if (in.len > 1 + MAX_DATA) {
        FUZZ_MUST(try_list(ap, kb_bytes_of(in.ptr + 1 + MAX_DATA, in.len - 1 - MAX_DATA), in.ptr) !=
                  KB_OK);
    }
}

/* The input: confidential or not, cuts, then confounder, data and padding. */
static void try_peer(struct kb_ap *client, struct kb_ap *server, kb_bytes in)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(client->message_key);
    bool conf = (in.ptr[0] & 1) != 0;
    kb_bytes body = {in.ptr + 2 + MAX_DATA, in.len - 2 - MAX_DATA};
    size_t signed_len = kb_v1_signed_len(algorithm), len, out_len;
    struct kb_piece pieces[2];
    struct kb_v1_message message = {conf, pieces, 2};
    uint8_t *token, *head;
    enum kb_status st;

    if (conf) {
        body.len -= body.len % algorithm->block;
    }
    len = kb_v1_frame_len(client, signed_len + body.len);
    token = malloc(len);
    head = kb_v1_begin(client, KB_V1_TOK_WRAP, conf, signed_len + body.len, token);
    if (body.len > 0) {
        memcpy(head + signed_len, body.ptr, body.len);
    }
    pieces[0] = kb_piece_sign(kb_bytes_of(head, KB_V1_HEAD_LEN));
    pieces[1] = kb_piece_data(head + signed_len, body.len);
    FUZZ_MUST(kb_v1_seal(client, &message, 0, head + KB_V1_HEAD_LEN) == KB_OK);
    st = unwrap(server, kb_bytes_of(token, len), &out_len);
    if (body.len <= KB_V1_CONFOUNDER_LEN) {
        FUZZ_MUST(st != KB_OK);
    } else {
        size_t pad = body.ptr[body.len - 1], data_len = body.len - KB_V1_CONFOUNDER_LEN;

        FUZZ_MUST((st == KB_OK) == (pad <= data_len));
        FUZZ_MUST(st != KB_OK || out_len == data_len - pad);
    }
    try_stream(server, kb_bytes_of(token, len), st, out_len);
    (void)try_list(server, kb_bytes_of(token, len), in.ptr + 1);
    free(token);
}

/* The input: message, in its last three bytes where and how the token is damaged. */
static void try_damaged(struct kb_ap *client, struct kb_ap *server, kb_bytes in)
{
    bool conf = (in.ptr[0] & 1) != 0;
    kb_bytes message = {in.ptr, in.len - 3};
    size_t len = kb_wrap_len(client, conf, message.len), out_len;
    size_t head_len = kb_v1_wrap_head_len(kb_v1_algorithm_of(client->message_key));
    size_t seq_at = len - message.len - head_len + KB_V1_HEAD_LEN;
    size_t at = ((size_t)in.ptr[in.len - 3] << 8 | in.ptr[in.len - 2]) % len;
    uint8_t *token = malloc(len), change = in.ptr[in.len - 1];

    seq_at -= kb_v1_pad_len(kb_v1_algorithm_of(client->message_key), message.len);
    FUZZ_MUST(kb_wrap(client, &kb_rng_system, conf, message, token) == KB_OK);
    token[at] ^= change;
    FUZZ_MUST(unwrap(server, kb_bytes_of(token, len), &out_len) != KB_OK || change == 0 ||
              (!conf && at >= seq_at && at < seq_at + 4)); /* RFC 4757 does not protect it */
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    kb_bytes in = {data, len < MAX_INPUT ? len : MAX_INPUT};
    struct kb_ap **pair;

    if (sides[0][0] == NULL) {
        make_sides();
    }
    pair = sides[len > 0 ? data[len - 1] % NUM_ETYPES : 0];
    try_stranger(pair[0], in);
    try_stranger(pair[1], in);
    if (in.len > 2 + MAX_DATA) {
        try_peer(pair[0], pair[1], in);
        try_damaged(pair[0], pair[1], in);
    }
    return 0;
}
