#include "crypto/stream.h"

#include <stdlib.h>

#include "crypto/openssl.h"

struct kb_stream {
    const struct kb_ssl_cipher *functions;
    void *ctx; /* the provider's */
    enum kb_primitive which;
    bool encrypts;
};

/* OpenSSL takes RC4 keys of any length, but from a parameter, not from its argument. */
static const struct {
    uint8_t key_len, block_len;
} shapes[KB_NUM_PRIMITIVES] = {
    [KB_CAMELLIA128_CBC] = {16, 16},
    [KB_CAMELLIA256_CBC] = {32, 16},
    [KB_DES3_CBC] = {24, 8},
    [KB_DES_CBC] = {8, 8},
    [KB_RC4] = {16, 1},
};

static size_t iv_len(enum kb_primitive which)
{
    return shapes[which].block_len > 1 ? shapes[which].block_len : 0;
}

static bool fits(const struct kb_stream *stream, kb_bytes key, kb_bytes iv)
{
    return iv.len == iv_len(stream->which) && key.len == shapes[stream->which].key_len;
}

static enum kb_status begin(struct kb_stream *stream, kb_bytes key, kb_bytes iv)
{
    OSSL_FUNC_cipher_encrypt_init_fn *init =
        stream->encrypts ? stream->functions->encrypt_init : stream->functions->decrypt_init;
    bool done = init(stream->ctx, key.len > 0 ? key.ptr : NULL, key.len, iv.len > 0 ? iv.ptr : NULL,
                     iv.len, NULL) == 1;

    return done ? KB_OK : KB_NO_CRYPTO;
}

enum kb_status kb_stream_new(enum kb_primitive which, kb_bytes key, kb_bytes iv, bool encrypts,
                             struct kb_stream **out)
{
    enum kb_status st = kb_primitive_need(which);
    struct kb_stream *stream;

    *out = NULL;
    if (st != KB_OK) {
        return st;
    }
    stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return KB_NO_MEMORY;
    }
    stream->functions = kb_ssl_primitive_cipher(which);
    stream->which = which;
    stream->encrypts = encrypts;
    stream->ctx = stream->functions->newctx(stream->functions->provider_ctx);
    st = stream->ctx == NULL      ? KB_NO_MEMORY
         : !fits(stream, key, iv) ? KB_BAD_KEY
                                  : begin(stream, key, iv);
    if (st != KB_OK) {
        kb_stream_free(stream);
        return st;
    }
    *out = stream;
    return KB_OK;
}

enum kb_status kb_stream_rekey(struct kb_stream *stream, kb_bytes key, kb_bytes iv)
{
    /* RC4's key stream begins with its key: there is nothing that an IV alone could begin anew. */
    bool keeps = key.len == 0 && iv.len > 0 && iv.len == iv_len(stream->which);

    return keeps || fits(stream, key, iv) ? begin(stream, key, iv) : KB_BAD_KEY;
}

enum kb_status kb_stream_cipher(struct kb_stream *stream, const uint8_t *in, uint8_t *out,
                                size_t len)
{
    size_t written = 0;

    if (len % shapes[stream->which].block_len != 0) {
        return KB_MALFORMED;
    }
    if (len == 0) {
        return KB_OK;
    }
    return stream->functions->cipher(stream->ctx, out, &written, len, in, len) == 1 &&
                   written == len
               ? KB_OK
               : KB_NO_CRYPTO;
}

/* The provider wipes its part. */
void kb_stream_free(struct kb_stream *stream)
{
    if (stream != NULL) {
        if (stream->ctx != NULL) {
            stream->functions->freectx(stream->ctx);
        }
        free(stream);
    }
}
