/* ours.h - contexts of our engine: messages (ours.c) and queries (query.c), the `ours` column of
 * entries.def.
 *
 * Each gets a context that is not the platform's, established or not. Several threads may be in
 * these on one context. */
#ifndef KB_OURS_H
#define KB_OURS_H

#include "mech/spi/handle.h"

static inline bool kb_ctx_is_open(const struct kb_gss_ctx *ctx)
{
    return ctx->ap != NULL && kb_ap_established(ctx->ap);
}

/* kb_ours_check tells what stands in the way of a message: nothing, an unfinished context, a
 * quality that there is not. kb_ours_fail is the major for one that failed. */
OM_uint32 kb_ours_check(OM_uint32 *minor, const struct kb_gss_ctx *ctx, gss_qop_t qop);
OM_uint32 kb_ours_fail(OM_uint32 *minor, const struct kb_gss_ctx *ctx, enum kb_status st);

/* What a caller may not want to know. */
static inline void kb_ours_give_int(int *out, int value)
{
    if (out != NULL) {
        *out = value;
    }
}

static inline void kb_ours_give_qop(gss_qop_t *out)
{
    if (out != NULL) {
        *out = GSS_C_QOP_DEFAULT;
    }
}

OM_uint32 kb_ours_context_time(OM_uint32 *minor, struct kb_gss_ctx *ctx, OM_uint32 *time_rec);
OM_uint32 kb_ours_query(OM_uint32 *minor, struct kb_gss_ctx *ctx, const gss_OID object,
                        gss_buffer_set_t *data);
OM_uint32 kb_ours_pseudo_random(OM_uint32 *minor, struct kb_gss_ctx *ctx, int which,
                                const gss_buffer_t in, ssize_t len, gss_buffer_t out);
OM_uint32 kb_ours_process_token(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token);
OM_uint32 kb_ours_complete_auth_token(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token);
OM_uint32 kb_ours_get_mic(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t qop,
                          gss_buffer_t message, gss_buffer_t token);
OM_uint32 kb_ours_verify_mic(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t message,
                             gss_buffer_t token, gss_qop_t *qop);
OM_uint32 kb_ours_wrap(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req, gss_qop_t qop,
                       gss_buffer_t message, int *conf, gss_buffer_t token);
OM_uint32 kb_ours_unwrap(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token,
                         gss_buffer_t message, int *conf, gss_qop_t *qop);
OM_uint32 kb_ours_wrap_size_limit(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req,
                                  gss_qop_t qop, OM_uint32 token_len, OM_uint32 *message_len);
OM_uint32 kb_ours_inquire(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_name_t *source,
                          gss_name_t *target, OM_uint32 *lifetime, OM_uint32 *flags, int *local,
                          int *open);

/* iov.c: lists of buffers. aead.c: associated data. */
OM_uint32 kb_ours_wrap_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req, gss_qop_t qop,
                           int *conf, gss_iov_buffer_desc *iov, int iov_count);
OM_uint32 kb_ours_unwrap_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, int *conf, gss_qop_t *qop,
                             gss_iov_buffer_desc *iov, int iov_count);
OM_uint32 kb_ours_wrap_iov_length(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req,
                                  gss_qop_t qop, int *conf, gss_iov_buffer_desc *iov,
                                  int iov_count);
OM_uint32 kb_ours_get_mic_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t qop,
                              gss_iov_buffer_desc *iov, int iov_count);
OM_uint32 kb_ours_verify_mic_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t *qop,
                                 gss_iov_buffer_desc *iov, int iov_count);
OM_uint32 kb_ours_get_mic_iov_length(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t qop,
                                     gss_iov_buffer_desc *iov, int iov_count);
OM_uint32 kb_ours_wrap_aead(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req, gss_qop_t qop,
                            gss_buffer_t assoc, gss_buffer_t payload, int *conf,
                            gss_buffer_t token);
OM_uint32 kb_ours_unwrap_aead(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t token,
                              gss_buffer_t assoc, gss_buffer_t payload, int *conf, gss_qop_t *qop);

#endif
