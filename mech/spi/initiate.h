/* initiate.h - contexts of our engine: initiated. Between the entry points of ctx.c and login and
 * protocol below. */
#ifndef KB_INITIATE_H
#define KB_INITIATE_H

#include "mech/login/login.h"
#include "mech/spi/handle.h"

/* What stands behind a context of ours, in one block: its options, its AP-REQ, and while the
 * acceptor has not answered what the ticket was asked with: if he calls it expired, it is not used
 * again.
 *
 * Of the AP-REQ only what is its own: the ticket in it, one or many kilobytes where a domain
 * controller made it, is the one that all contexts with this service share. */
struct kb_background {
    struct kb_listener *listener; /* the credential's; NULL: none */
    struct kb_credential *ticket;
    kb_bytes before, behind;      /* AuthToken: the AP-REQ on either side of its ticket */
    struct kb_identity *identity; /* NULL once it is established */
    struct kb_target target;
    /* Guarded by callctx.c's lock: the options that it began with, what the program set in the
     * context itself, and the options with it. NULL: nothing. */
    const struct kb_options *options;
    struct kb_settings *own;
    const struct kb_options *changed;
    char bytes[];
};

static inline struct kb_listener *kb_ctx_listener(const struct kb_gss_ctx *ctx)
{
    return ctx->background != NULL ? ctx->background->listener : NULL;
}

void kb_background_free(struct kb_background *background); /* NULL is accepted */

/* kb_background_options is what holds for the context now (kb_options_put). callctx.c. */
const struct kb_options *kb_background_options(struct kb_background *background);

/* kb_background_bare drops from the options of an established context what is secret in them and
 * only a login needs: the context may live long, and the credential be gone. False: no memory.
 * callctx.c.
 */
KB_MUST_USE bool kb_background_bare(struct kb_background *background);

/* kb_initiate is the first leg: a ticket for `target`, an AP-REQ in *out. */
OM_uint32 kb_initiate(OM_uint32 *minor, struct kb_gss_ctx *ctx, const struct kb_login *login,
                      bool no_ci_flags, const struct kb_target *target, OM_uint32 req_flags,
                      gss_channel_bindings_t bindings, gss_buffer_t out);

/* kb_initiate_reply takes what the acceptor answered. */
OM_uint32 kb_initiate_reply(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t in,
                            gss_buffer_t out);

/* kb_ctx_limit notes the lifetime that the program asks for, in seconds; 0 and GSS_C_INDEFINITE:
 * any. The context tells no longer one (its messages do not end with it, as the platform's do not),
 * and a ticket that would end before may be replaced by a longer one. */
void kb_ctx_limit(struct kb_gss_ctx *ctx, struct kb_login *login, OM_uint32 time_req);

/* kb_ctx_endtime is when the ticket ends, or what the program asked for does: UTC seconds, local
 * clock. kb_ctx_lifetime is what is left until then; 0: expired. */
int64_t kb_ctx_endtime(const struct kb_gss_ctx *ctx);
OM_uint32 kb_ctx_lifetime(const struct kb_gss_ctx *ctx);

OM_uint32 kb_ctx_ret_flags(const struct kb_gss_ctx *ctx);

#endif
