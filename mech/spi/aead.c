/* Messages with data beside them that is only signed: gss_wrap_aead and gss_unwrap_aead, on
 * contexts of our engine. The token is that of a list of buffers, HEADER | DATA | PADDING | TRAILER
 * in one. */
#include <stdlib.h>

#include "mech/protocol/token.h"
#include "mech/spi/ours.h"
#include "mech/spi/room.h"

static size_t add_assoc(struct kb_piece *pieces, gss_buffer_t assoc)
{
    kb_bytes bytes = kb_bytes_of_buffer(assoc);

    if (bytes.len == 0) {
        return 0;
    }
    pieces[0] = (struct kb_piece){
        .kind = KB_PIECE_SIGN, .ptr = (uint8_t *)(uintptr_t)bytes.ptr, .len = bytes.len};
    return 1;
}

/* Puts the parts one behind the other; SIZE_MAX: too many bytes. */
static size_t lay_out(struct kb_iov *iov, struct kb_piece *data, uint8_t *out)
{
    size_t at = iov->header.len;

    iov->header.ptr = out;
    if (data->len > SIZE_MAX - at - iov->padding->len - iov->trailer.len - 1) {
        return SIZE_MAX;
    }
    data->ptr = out != NULL ? out + at : NULL;
    at += data->len;
    iov->padding->ptr = out != NULL ? out + at : NULL;
    at += iov->padding->len;
    iov->trailer.ptr = out != NULL ? out + at : NULL;
    return at + iov->trailer.len;
}

OM_uint32 kb_ours_wrap_aead(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req, gss_qop_t qop,
                            gss_buffer_t assoc, gss_buffer_t payload, int *conf, gss_buffer_t token)
{
    OM_uint32 major = kb_ours_check(minor, ctx, qop);
    kb_bytes message = kb_bytes_of_buffer(payload);
    struct kb_piece pieces[3 + KB_SPARE_PIECES], *data;
    struct kb_iov iov = {.has_trailer = true, .pieces = pieces};
    uint8_t *out;
    enum kb_status st;
    size_t len;

    kb_give_nothing(token);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    iov.num = add_assoc(pieces, assoc);
    data = &pieces[iov.num++];
    *data = kb_piece_from(message, NULL);
    iov.padding = &pieces[iov.num++];
    *iov.padding = kb_piece_data(NULL, 0);
    st = kb_wrap_iov_len(ctx->ap, conf_req != 0, &iov);
    if (st != KB_OK) {
        return kb_ours_fail(minor, ctx, st);
    }
    len = lay_out(&iov, data, NULL);
    out = kb_room(len);
    if (out == NULL) {
        return kb_no_memory(minor);
    }
    (void)lay_out(&iov, data, out);
    st = kb_wrap_iov(ctx->ap, &kb_rng_system, conf_req != 0, &iov);
    if (st != KB_OK) {
        kb_free_secret(out, len);
        return kb_ours_fail(minor, ctx, st);
    }
    token->value = out;
    token->length = len;
    kb_ours_give_int(conf, conf_req != 0);
    return GSS_S_COMPLETE;
}

OM_uint32 kb_ours_unwrap_aead(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token,
                              gss_buffer_t assoc, gss_buffer_t payload, int *conf, gss_qop_t *qop)
{
    OM_uint32 major = kb_ours_check(minor, ctx, GSS_C_QOP_DEFAULT);
    kb_bytes whole = kb_bytes_of_buffer(token);
    struct kb_piece pieces[2 + KB_SPARE_PIECES], *data;
    struct kb_iov iov = {.pieces = pieces};
    uint8_t *out;
    uint32_t suppl = 0;
    bool sealed = false;
    enum kb_status st;

    kb_give_nothing(payload);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    out = kb_room(whole.len);
    if (out == NULL) {
        return kb_no_memory(minor);
    }
    iov.num = add_assoc(pieces, assoc);
    data = &pieces[iov.num++];
    *data = kb_piece_data(out, 0);
    /* With room elsewhere the token is only read. */
    st = kb_unwrap_stream(ctx->ap, (uint8_t *)(uintptr_t)whole.ptr, whole.len, &iov, data, &sealed,
                          &suppl);
    if (st != KB_OK) {
        free(out);
        return kb_ours_fail(minor, ctx, st);
    }
    payload->length = data->len;
    payload->value = out;
    if (data->len == 0) { /* gss_release_buffer leaves an empty buffer alone */
        free(out);
        payload->value = NULL;
    }
    kb_ours_give_int(conf, sealed);
    kb_ours_give_qop(qop);
    return suppl;
}
