/* initiate.h - contexts of our engine: initiated. Between the entry points of ctx.c and login and
 * protocol below. */
#ifndef KB_INITIATE_H
#define KB_INITIATE_H

#include "mech/spi/handle.h"

/* kb_initiate is the first leg: a ticket for `target`, an AP-REQ in *out. */
OM_uint32 kb_initiate(OM_uint32 *minor, struct kb_gss_ctx *ctx, struct kb_gss_cred *cred,
                      const struct kb_options *options, const struct kb_target *target,
                      OM_uint32 req_flags, gss_channel_bindings_t bindings, gss_buffer_t out);

/* kb_initiate_reply takes what the acceptor answered. */
OM_uint32 kb_initiate_reply(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t in,
                            gss_buffer_t out);

/* kb_ctx_lifetime is what the ticket has left, in seconds; 0: expired. */
OM_uint32 kb_ctx_lifetime(const struct kb_gss_ctx *ctx);

OM_uint32 kb_ctx_ret_flags(const struct kb_gss_ctx *ctx);

void kb_half_open_free(struct kb_half_open *half_open); /* NULL is accepted */

#endif
