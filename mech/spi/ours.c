#include "mech/spi/ours.h"

#include <stdlib.h>

#include "mech/protocol/token.h"
#include "mech/spi/fail.h"
#include "mech/spi/initiate.h"
#include "mech/spi/room.h"

OM_uint32 kb_ours_check(OM_uint32 *minor, const struct kb_gss_ctx *ctx, gss_qop_t qop)
{
    if (!kb_ctx_is_open(ctx)) {
        return kb_bad_ctx(minor);
    }
    if (qop != GSS_C_QOP_DEFAULT) {
        return kb_bad_qop(minor);
    }
    return GSS_S_COMPLETE;
}

OM_uint32 kb_ours_fail(OM_uint32 *minor, const struct kb_gss_ctx *ctx, enum kb_status st)
{
    return kb_fail_status(minor, kb_ctx_listener(ctx), st);
}

static uint8_t *room(size_t len, gss_buffer_t out)
{
    out->value = kb_room(len);
    out->length = out->value != NULL ? len : 0;
    return out->value;
}

/* The end of what wrote into `out`: on failure it is taken back. */
static OM_uint32 done(OM_uint32 *minor, const struct kb_gss_ctx *ctx, enum kb_status st,
                      gss_buffer_t out)
{
    if (st == KB_OK) {
        return GSS_S_COMPLETE;
    }
    kb_free_secret(out->value, out->length);
    kb_give_nothing(out);
    return kb_ours_fail(minor, ctx, st);
}

OM_uint32 kb_ours_wrap(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req, gss_qop_t qop,
                       gss_buffer_t message, int *conf, gss_buffer_t token)
{
    kb_bytes plain = kb_bytes_of_buffer(message);
    OM_uint32 major = kb_ours_check(minor, ctx, qop);
    size_t len;

    kb_give_nothing(token);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    len = kb_wrap_len(ctx->ap, conf_req != 0, plain.len);
    if (len == SIZE_MAX || room(len, token) == NULL) {
        return kb_no_memory(minor);
    }
    kb_ours_give_int(conf, conf_req != 0);
    return done(minor, ctx, kb_wrap(ctx->ap, &kb_rng_system, conf_req != 0, plain, token->value),
                token);
}

OM_uint32 kb_ours_unwrap(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token,
                         gss_buffer_t message, int *conf, gss_qop_t *qop)
{
    kb_bytes sealed = kb_bytes_of_buffer(token);
    OM_uint32 major = kb_ours_check(minor, ctx, GSS_C_QOP_DEFAULT);
    bool had_conf = false;
    uint32_t suppl = 0;
    size_t len = 0;

    kb_give_nothing(message);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    if (sealed.len >= SIZE_MAX || room(sealed.len, message) == NULL) {
        return kb_no_memory(minor);
    }
    major = done(minor, ctx, kb_unwrap(ctx->ap, sealed, message->value, &len, &had_conf, &suppl),
                 message);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    message->length = len;
    if (len == 0) { /* gss_release_buffer leaves an empty buffer alone */
        free(message->value);
        message->value = NULL;
    }
    kb_ours_give_int(conf, had_conf);
    kb_ours_give_qop(qop);
    return suppl; /* KB_SUPPL_* are GSS-API's own bits */
}

OM_uint32 kb_ours_get_mic(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t qop,
                          gss_buffer_t message, gss_buffer_t token)
{
    OM_uint32 major = kb_ours_check(minor, ctx, qop);

    kb_give_nothing(token);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    if (room(kb_mic_len(ctx->ap), token) == NULL) {
        return kb_no_memory(minor);
    }
    return done(minor, ctx, kb_get_mic(ctx->ap, kb_bytes_of_buffer(message), token->value), token);
}

OM_uint32 kb_ours_verify_mic(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t message,
                             gss_buffer_t token, gss_qop_t *qop)
{
    OM_uint32 major = kb_ours_check(minor, ctx, GSS_C_QOP_DEFAULT);
    uint32_t suppl = 0;
    enum kb_status st;

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    kb_ours_give_qop(qop);
    st = kb_verify_mic(ctx->ap, kb_bytes_of_buffer(message), kb_bytes_of_buffer(token), &suppl);
    return st == KB_OK ? suppl : kb_ours_fail(minor, ctx, st);
}

OM_uint32 kb_ours_wrap_size_limit(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req,
                                  gss_qop_t qop, OM_uint32 token_len, OM_uint32 *message_len)
{
    OM_uint32 major = kb_ours_check(minor, ctx, qop);

    if (major == GSS_S_COMPLETE) {
        *message_len = (OM_uint32)kb_wrap_max(ctx->ap, conf_req != 0, token_len);
    }
    return major;
}

/* RFC 2743 2.2.4: a token that says of a context that it is deleted. As with MIT the handle stays,
 * and is good for nothing but to be deleted. */
OM_uint32 kb_ours_process_token(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token)
{
    enum kb_status st;

    if (!kb_ctx_is_open(ctx)) {
        return kb_bad_ctx(minor);
    }
    st = kb_take_delete(ctx->ap, kb_bytes_of_buffer(token));
    return st == KB_OK ? GSS_S_COMPLETE : kb_fail_status(minor, kb_ctx_listener(ctx), st);
}

/* Of Microsoft's SSPI: some mechanisms there end with a message. Not this one, as MIT's has it. */
OM_uint32 kb_ours_complete_auth_token(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token)
{
    (void)minor;
    (void)ctx;
    (void)token;
    return GSS_S_COMPLETE;
}
