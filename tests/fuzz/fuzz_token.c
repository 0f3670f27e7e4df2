/* The input is a framed context token, a Wrap or MIC token to either side, and what a peer with the
 * key might send: any header with a good MAC around any plaintext. */
#include "asn1/reader.h"
#include "mech/protocol/token.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/context.h"

#define HEADER 16
#define SEALED 0x02
#define SUBKEY 0x04
#define MAX_INPUT ((size_t)4096)

static struct kb_ap *sides[4][2]; /* by enctype, and whether it is the acceptor */

static void make_sides(void)
{
    static const uint8_t key[32] = "an example of a key, 32 bytes..";

    for (int i = 0; i < 4; i++) {
        for (int acceptor = 0; acceptor <= 1; acceptor++) {
            int32_t etype = KB_ENCTYPE_AES128_SHA1 + i;
            size_t len = kb_enctype_find(etype)->key_len;

            sides[i][acceptor] = context_of(etype, kb_bytes_of(key, len), acceptor != 0, true, 0);
        }
    }
}

static void try_frame(kb_bytes in)
{
    kb_bytes mech, message;
    uint16_t id;
    uint8_t *again;

    if (kb_unframe(in, &mech, &id, &message) != KB_OK || mech.len >= 0x80) {
        return;
    }
    again = malloc(in.len);
    FUZZ_MUST(kb_frame_len(mech, message.len) == in.len);
    kb_frame(mech, id, message, again);
    FUZZ_MUST(kb_equal(kb_bytes_of(again, in.len), in));
    free(again);
}

static enum kb_status unwrap(struct kb_ap *ap, kb_bytes token, size_t *out_len)
{
    uint8_t *out = malloc(token.len + 1);
    enum kb_status st;
    uint32_t suppl;
    bool conf;

    st = kb_unwrap(ap, token, out, out_len, &conf, &suppl);
    FUZZ_MUST(st == KB_OK ? *out_len <= token.len : *out_len == 0);
    free(out);
    return st;
}

/* Nobody guesses a MAC. */
static void try_stranger(struct kb_ap *ap, kb_bytes in)
{
    uint32_t suppl;
    size_t len;

    FUZZ_MUST(unwrap(ap, in, &len) != KB_OK);
    FUZZ_MUST(kb_verify_mic(ap, KB_LIT("message"), in, &suppl) != KB_OK);
}

/* The input: header of the token, then the plaintext. */
static void try_sealed(struct kb_ap *client, struct kb_ap *server, kb_bytes in)
{
    const struct kb_enctype *enctype = kb_key_enctype(client->message_key);
    size_t plain_len = in.len - HEADER,
           len = HEADER + kb_encrypted_len(client->message_key, plain_len);
    uint8_t *token = malloc(len), *rest = token + HEADER;
    struct kb_piece data = kb_piece_data(rest + enctype->confounder_len, plain_len);
    size_t out_len, ec = (size_t)in.ptr[4] << 8 | in.ptr[5];

    memcpy(token, in.ptr, HEADER);
    kb_put_u16be(token, 0x0504);
    token[2] |= SEALED | SUBKEY;
    token[3] = 0xff;
    memcpy(data.ptr, in.ptr + HEADER, plain_len);
    FUZZ_MUST(kb_encrypt_pieces(client->message_key, KB_USAGE_INITIATOR_SEAL, &kb_rng_system, rest,
                                &data, 1, data.ptr + plain_len) == KB_OK);
    if (unwrap(server, kb_bytes_of(token, len), &out_len) == KB_OK) {
        FUZZ_MUST(out_len + ec + HEADER == plain_len);
    }
    free(token);
}

/* The input: message, in its last three bytes where and how the token is damaged. */
static void try_damaged(struct kb_ap *client, struct kb_ap *server, kb_bytes in)
{
    bool conf = (in.ptr[0] & 1) != 0;
    kb_bytes message = {in.ptr, in.len - 3};
    size_t len = kb_wrap_len(client, conf, message.len), out_len;
    size_t at = ((size_t)in.ptr[in.len - 3] << 8 | in.ptr[in.len - 2]) % len;
    uint8_t *token = malloc(len), change = in.ptr[in.len - 1];

    FUZZ_MUST(kb_wrap(client, &kb_rng_system, conf, message, token) == KB_OK);
    token[at] ^= change;
    FUZZ_MUST(unwrap(server, kb_bytes_of(token, len), &out_len) != KB_OK || change == 0 ||
              at == 6 || at == 7); /* the rotation, if it turns right round */
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    kb_bytes in = {data, len < MAX_INPUT ? len : MAX_INPUT};
    struct kb_ap **pair;

    if (sides[0][0] == NULL) {
        make_sides();
    }
    try_frame(in);
    pair = sides[len > 0 ? data[len - 1] % 4 : 0];
    try_stranger(pair[0], in);
    try_stranger(pair[1], in);
    if (in.len > HEADER) {
        try_sealed(pair[0], pair[1], in);
        try_damaged(pair[0], pair[1], in);
    }
    return 0;
}
