/* ctx.c - contexts: initiated, accepted, asked about, moved, deleted. */
#include <stdlib.h>

#include "asn1/reader.h"
#include "mech/options/text.h"
#include "mech/report/error.h"
#include "mech/spi/call.h"
#include "mech/spi/decide.h"
#include "mech/spi/fail.h"
#include "mech/spi/initiate.h"
#include "mech/spi/ours.h"

static struct kb_gss_ctx *ctx_new(const struct kb_mech *mech)
{
    struct kb_gss_ctx *ctx = calloc(1, sizeof(*ctx));

    if (ctx != NULL) {
        ctx->tag = KB_TAG_CTX;
        ctx->mech = mech;
        ctx->until = INT64_MAX;
    }
    return ctx;
}

static void ctx_free(struct kb_gss_ctx *ctx)
{
    OM_uint32 ignored;

    if (ctx->inner != GSS_C_NO_CONTEXT) {
        gss_delete_sec_context(&ignored, &ctx->inner, GSS_C_NO_BUFFER);
    }
    kb_background_free(ctx->background);
    kb_ap_free(ctx->ap);
    ctx->tag = 0;
    free(ctx);
}

/* ctx_open gives the struct behind *handle, a new one where a context begins. */
static OM_uint32 ctx_open(OM_uint32 *minor, const gss_ctx_id_t *handle, const struct kb_mech *mech,
                          struct kb_gss_ctx **out)
{
    if (handle == NULL) {
        return GSS_S_CALL_INACCESSIBLE_WRITE;
    }
    if (*handle != GSS_C_NO_CONTEXT) {
        *out = kb_ctx_of(*handle);
        return *out != NULL ? GSS_S_COMPLETE : kb_bad_ctx(minor);
    }
    *out = ctx_new(mech);
    return *out != NULL ? GSS_S_COMPLETE : kb_no_memory(minor);
}

/* ctx_close ends a call that ctx_open began. A context whose first call failed does not come to be
 * (the mechglue drops its own without asking us to delete ours); a later failure leaves it to be
 * deleted. */
static OM_uint32 ctx_close(OM_uint32 major, struct kb_gss_ctx *ctx, gss_ctx_id_t *handle)
{
    if (*handle == GSS_C_NO_CONTEXT) {
        if (GSS_ERROR(major)) {
            ctx_free(ctx);
        } else {
            *handle = (gss_ctx_id_t)ctx;
        }
    }
    return major;
}

/* The arguments of gss_init_sec_context that a leg of any kind needs. */
struct init_call {
    struct kb_gss_cred *cred; /* NULL: none given */
    gss_name_t target;
    OM_uint32 req_flags, time_req;
    gss_channel_bindings_t bindings;
    gss_buffer_t in, out;
    OM_uint32 *ret_flags, *time_rec;
};

static OM_uint32 init_inner(OM_uint32 *minor, const struct init_call *call, gss_cred_id_t cred,
                            struct kb_gss_ctx *ctx)
{
    gss_OID_desc oid = ctx->mech->inner;
    gss_name_t target;
    OM_uint32 major = kb_name_inner(minor, call->target, &target);

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    return gss_init_sec_context(minor, cred, &ctx->inner, target, &oid, call->req_flags,
                                call->time_req, call->bindings, call->in, NULL, call->out,
                                call->ret_flags, call->time_rec);
}

/* UsePlatformKerberosAPI=True with a configured identity: the platform's mechanism logs it in. */
static OM_uint32 init_handed_over(OM_uint32 *minor, const struct init_call *call,
                                  const struct kb_options *options, struct kb_gss_ctx *ctx)
{
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 ignored, major;

    major = kb_acquire_handed_over(minor, ctx->mech, options, GSS_C_INITIATE, &cred);
    if (major == GSS_S_COMPLETE) {
        major = init_inner(minor, call, cred, ctx);
        gss_release_cred(&ignored, &cred);
    }
    return major;
}

static void give_flags_and_time(const struct init_call *call, const struct kb_gss_ctx *ctx)
{
    if (call->ret_flags != NULL) {
        *call->ret_flags = kb_ctx_ret_flags(ctx);
    }
    if (call->time_rec != NULL) {
        *call->time_rec = kb_ctx_lifetime(ctx);
    }
}

/* SPN= stands in for what the program asked for. */
static OM_uint32 init_ours(OM_uint32 *minor, const struct init_call *call,
                           const struct kb_beginning *beginning, const struct kb_target *asked,
                           struct kb_gss_ctx *ctx)
{
    const struct kb_options *options = beginning->options;
    struct kb_login_call done = {0};
    struct kb_login login = {.options = options,
                             .call = &done,
                             .identity = beginning->identity,
                             .listener = beginning->listener,
                             .interrupt = beginning->interrupt};
    bool no_ci_flags = call->cred != NULL && atomic_load(&call->cred->no_ci_flags);
    struct kb_target target = *asked;
    struct kb_error err = {0};
    char buf[256];
    OM_uint32 major;

    if (options->spn != NULL && kb_target_of_spn(&target, options->spn) != KB_OK) {
        (void)kb_error_set(&err, KB_E_OPTION, "%s: SPN=%s is not the name of a service",
                           kb_origin_text(&options->spn_from, buf, sizeof(buf)),
                           kb_show(kb_str(options->spn)).text);
        return kb_fail_login(minor, options, beginning->listener, &err);
    }
    kb_ctx_limit(ctx, &login, call->time_req);
    major = kb_initiate(minor, ctx, &login, no_ci_flags, &target, call->req_flags, call->bindings,
                        call->out);
    kb_credential_free(done.tgt);
    if (!GSS_ERROR(major)) {
        give_flags_and_time(call, ctx);
    }
    return major;
}

/* The first leg decides whose the context is. From here on nothing is read of the credential: a
 * callback may change it, or release it. */
static OM_uint32 init_decided(OM_uint32 *minor, const struct init_call *call,
                              const struct kb_target *target, struct kb_gss_ctx *ctx)
{
    struct kb_beginning beginning;
    struct kb_error err = {0};
    OM_uint32 major;

    switch (kb_decide_begin(call->cred, target->asked, &beginning, &err)) {
    case KB_OURS:
        major = init_ours(minor, call, &beginning, target, ctx);
        break;
    case KB_HANDED_OVER:
        major = init_handed_over(minor, call, beginning.options, ctx);
        break;
    case KB_PLATFORMS:
        major = init_inner(minor, call, GSS_C_NO_CREDENTIAL, ctx);
        break;
    default:
        major = kb_fail_login(minor, beginning.options, beginning.listener, &err);
        break;
    }
    kb_beginning_wipe(&beginning);
    return major;
}

static OM_uint32 init_first(OM_uint32 *minor, const struct init_call *call, struct kb_gss_ctx *ctx)
{
    struct kb_standing standing;
    struct kb_target target;
    struct kb_buf text;
    OM_uint32 major;

    if (call->cred != NULL && call->cred->kind == KB_CRED_PLATFORM) {
        return init_inner(minor, call, call->cred->inner, ctx);
    }
    if (call->cred == NULL && !kb_name_waits(call->target)) {
        standing = kb_standing_now();
        if (!standing.ours && !standing.disabled) {
            return init_inner(minor, call, GSS_C_NO_CREDENTIAL, ctx);
        }
    }
    kb_buf_init(&text, KB_TARGET_MAX);
    major = kb_name_target(minor, call->target, &text, &target);
    if (major == GSS_S_COMPLETE) {
        major = init_decided(minor, call, &target, ctx);
    }
    kb_buf_wipe(&text);
    return major;
}

static OM_uint32 init_next(OM_uint32 *minor, const struct init_call *call, struct kb_gss_ctx *ctx)
{
    bool platform_cred = call->cred != NULL && call->cred->kind == KB_CRED_PLATFORM;
    OM_uint32 major;

    if (ctx->inner != GSS_C_NO_CONTEXT) {
        return init_inner(minor, call, platform_cred ? call->cred->inner : GSS_C_NO_CREDENTIAL,
                          ctx);
    }
    major = kb_initiate_reply(minor, ctx, call->in, call->out);
    if (!GSS_ERROR(major)) {
        give_flags_and_time(call, ctx);
    }
    return major;
}

/* A leg, or the end, of a context that is in a leg: from a callback of that very call, which would
 * free what its caller stands on, or in another thread. */
static OM_uint32 ctx_busy(OM_uint32 *minor, const struct kb_gss_ctx *ctx)
{
    struct kb_error err = {0};

    (void)kb_error_set(&err, KB_E_BUSY, "This context is in a call already");
    return kb_fail_call(minor, kb_ctx_listener(ctx), &err);
}

static OM_uint32 init_next_alone(OM_uint32 *minor, const struct init_call *call,
                                 struct kb_gss_ctx *ctx)
{
    OM_uint32 major;

    if (atomic_exchange(&ctx->busy, true)) {
        return ctx_busy(minor, ctx);
    }
    major = init_next(minor, call, ctx);
    atomic_store(&ctx->busy, false);
    return major;
}

OM_uint32 gssi_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *handle,
                                gss_name_t target, gss_OID oid, OM_uint32 req_flags,
                                OM_uint32 time_req, gss_channel_bindings_t bindings,
                                gss_buffer_t in, gss_OID *actual, gss_buffer_t out,
                                OM_uint32 *ret_flags, OM_uint32 *time_rec)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);
    struct init_call call = {kb_cred_of(cred), target,  req_flags, time_req, bindings, in, out,
                             ret_flags,        time_rec};
    struct kb_gss_ctx *ctx;
    OM_uint32 major;

    kb_give_nothing(out);
    if (mech == NULL) {
        return kb_bad_mech(minor);
    }
    if (cred != GSS_C_NO_CREDENTIAL && call.cred == NULL) {
        return kb_bad_cred(minor);
    }
    /* It goes to the program unmapped: the OID that was asked for. */
    if (actual != NULL) {
        *actual = mech->oid;
    }
    major = ctx_open(minor, handle, mech, &ctx);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    major = *handle == GSS_C_NO_CONTEXT ? init_first(minor, &call, ctx)
                                        : init_next_alone(minor, &call, ctx);
    return ctx_close(major, ctx, handle);
}

/* In a re-entry it is the credential that leads past us, so the default one has to be acquired, as
 * the platform's mechanism would have done itself. */
static OM_uint32 accept_cred(OM_uint32 *minor, gss_cred_id_t handle, const struct kb_gss_ctx *ctx,
                             gss_cred_id_t *out_default, gss_cred_id_t *out)
{
    struct kb_gss_cred *cred = kb_cred_of(handle);
    gss_OID_desc oid = ctx->mech->inner;
    gss_OID_set_desc set = {1, &oid};
    OM_uint32 major;

    if (ctx->ap != NULL) {
        return kb_bad_ctx(minor); /* an initiator's */
    }
    if (handle != GSS_C_NO_CREDENTIAL) {
        /* One of ours for initiating has no accept half: an error, not the default. */
        *out = cred != NULL ? cred->inner : GSS_C_NO_CREDENTIAL;
        if (cred != NULL && *out == GSS_C_NO_CREDENTIAL) {
            return kb_not_for_accepting(minor);
        }
        return *out != GSS_C_NO_CREDENTIAL ? GSS_S_COMPLETE : kb_bad_cred(minor);
    }
    if (ctx->inner != GSS_C_NO_CONTEXT) {
        return GSS_S_COMPLETE; /* a later leg: the context leads */
    }
    major = gss_acquire_cred(minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &set, GSS_C_ACCEPT,
                             out_default, NULL, NULL);
    *out = *out_default;
    return major;
}

/* Makes our handles of what the platform returned. */
static OM_uint32 accept_results(OM_uint32 *minor, const struct kb_mech *mech,
                                gss_name_t inner_source, gss_cred_id_t inner_delegated,
                                gss_name_t *source, gss_cred_id_t *delegated)
{
    OM_uint32 major = GSS_S_COMPLETE, ignored;

    if (source != NULL) {
        major = kb_name_take(minor, mech, inner_source, source);
    }
    if (inner_delegated == GSS_C_NO_CREDENTIAL) {
        return major;
    }
    if (major == GSS_S_COMPLETE) {
        return kb_cred_take(minor, mech, inner_delegated, delegated);
    }
    gss_release_cred(&ignored, &inner_delegated);
    return major;
}

OM_uint32 gssi_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_cred_id_t cred,
                                  gss_buffer_t in, gss_channel_bindings_t bindings,
                                  gss_name_t *source, gss_OID *actual, gss_buffer_t out,
                                  OM_uint32 *ret_flags, OM_uint32 *time_rec,
                                  gss_cred_id_t *delegated)
{
    KB_ENTER(minor);
    struct kb_gss_cred *ours = kb_cred_of(cred);
    const struct kb_mech *mech = ours != NULL ? ours->mech : kb_mech_krb5(), *used;
    gss_cred_id_t inner_cred = GSS_C_NO_CREDENTIAL, by_default = GSS_C_NO_CREDENTIAL;
    gss_cred_id_t inner_delegated = GSS_C_NO_CREDENTIAL;
    gss_name_t inner_source = GSS_C_NO_NAME;
    gss_OID inner_actual = GSS_C_NO_OID;
    struct kb_gss_ctx *ctx;
    OM_uint32 major, taken, ignored;

    kb_give_nothing(out);
    major = ctx_open(minor, handle, mech, &ctx);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    major = accept_cred(minor, cred, ctx, &by_default, &inner_cred);
    if (major == GSS_S_COMPLETE) {
        major = gss_accept_sec_context(
            minor, &ctx->inner, inner_cred, in, bindings, source != NULL ? &inner_source : NULL,
            &inner_actual, out, ret_flags, time_rec, delegated != NULL ? &inner_delegated : NULL);
    }
    gss_release_cred(&ignored, &by_default);
    used = kb_mech_find(inner_actual);
    if (actual != NULL) {
        *actual = used != NULL ? used->oid : ctx->mech->oid;
    }
    if (!GSS_ERROR(major)) {
        taken = accept_results(minor, ctx->mech, inner_source, inner_delegated, source, delegated);
        major = taken == GSS_S_COMPLETE ? major : taken;
    }
    return ctx_close(major, ctx, handle);
}

/* Always complete, or the mechglue keeps its half for ever. */
OM_uint32 gssi_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t out)
{
    KB_ENTER(minor);
    struct kb_gss_ctx *ctx = handle != NULL ? kb_ctx_of(*handle) : NULL;
    OM_uint32 ignored;

    kb_give_nothing(out);
    if (ctx == NULL) {
        return GSS_S_COMPLETE;
    }
    if (atomic_load(&ctx->busy)) {
        return ctx_busy(minor, ctx); /* the one failure: the program keeps its handle */
    }
    if (ctx->inner != GSS_C_NO_CONTEXT) {
        gss_delete_sec_context(&ignored, &ctx->inner, out);
        ctx->inner = GSS_C_NO_CONTEXT;
    }
    ctx_free(ctx);
    *handle = GSS_C_NO_CONTEXT;
    return GSS_S_COMPLETE;
}

/* libgssapi writes `len4 | inner OID` before what we return and, importing it, takes the inner OID
 * past us: the platform's mechanism gets our bytes. So they have to be its own, without the frame
 * that the re-entry put around them; the imported context then is the platform's altogether. */
OM_uint32 gssi_export_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token)
{
    KB_ENTER(minor);
    struct kb_gss_ctx *ctx = handle != NULL ? kb_ctx_of(*handle) : NULL;
    gss_buffer_desc framed = GSS_C_EMPTY_BUFFER;
    struct kb_reader r;
    OM_uint32 major, ignored;

    kb_give_nothing(token);
    if (ctx == NULL) {
        return kb_bad_ctx(minor);
    }
    if (ctx->inner == GSS_C_NO_CONTEXT) {
        return kb_unsupported_minor(minor);
    }
    major = gss_export_sec_context(minor, &ctx->inner, &framed);
    if (major == GSS_S_COMPLETE) {
        r = kb_reader(kb_bytes_of_buffer(&framed));
        kb_get_bytes(&r, kb_get_u32be(&r));
        if (r.bad) {
            major = kb_bad_token(minor);
        } else {
            major = kb_give_bytes(minor, r.rest, token);
        }
        kb_wipe(framed.value, framed.length);
        gss_release_buffer(&ignored, &framed);
    }
    if (ctx->inner == GSS_C_NO_CONTEXT) { /* exported: it exists no more */
        ctx_free(ctx);
        *handle = GSS_C_NO_CONTEXT;
    }
    return major;
}

/* A token that was made without the plugin. */
static OM_uint32 import_ctx(OM_uint32 *minor, const struct kb_mech *mech, gss_buffer_t token,
                            gss_ctx_id_t *out)
{
    kb_bytes bare = kb_bytes_of_buffer(token);
    gss_buffer_desc framed = {4 + mech->inner.length + bare.len, NULL};
    struct kb_gss_ctx *ctx = ctx_new(mech);
    uint8_t *p = malloc(framed.length);
    OM_uint32 major = GSS_S_COMPLETE;

    *out = GSS_C_NO_CONTEXT;
    if (p == NULL || ctx == NULL) {
        free(p);
        free(ctx);
        return kb_no_memory(minor);
    }
    kb_put_u32be(p, mech->inner.length);
    memcpy(p + 4, mech->inner.elements, mech->inner.length);
    if (bare.len > 0) {
        memcpy(p + 4 + mech->inner.length, bare.ptr, bare.len);
    }
    framed.value = p;
    major = gss_import_sec_context(minor, &framed, &ctx->inner);
    kb_free_secret(framed.value, framed.length);
    return ctx_close(major, ctx, out);
}

OM_uint32 gssi_import_sec_context(OM_uint32 *minor, gss_buffer_t token, gss_ctx_id_t *out)
{
    KB_ENTER(minor);
    return import_ctx(minor, kb_mech_krb5(), token, out);
}

OM_uint32 gssi_import_sec_context_by_mech(OM_uint32 *minor, gss_OID oid, gss_buffer_t token,
                                          gss_ctx_id_t *out)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);

    return mech != NULL ? import_ctx(minor, mech, token, out) : kb_bad_mech(minor);
}

static OM_uint32 inquire_inner(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_name_t *source,
                               gss_name_t *target, OM_uint32 *lifetime, OM_uint32 *flags,
                               int *local, int *open)
{
    gss_name_t inner_source = GSS_C_NO_NAME, inner_target = GSS_C_NO_NAME;
    OM_uint32 major, ignored;

    major = gss_inquire_context(minor, ctx->inner, source != NULL ? &inner_source : NULL,
                                target != NULL ? &inner_target : NULL, lifetime, NULL, flags, local,
                                open);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    if (source != NULL) {
        major = kb_name_take(minor, ctx->mech, inner_source, source);
    }
    if (target != NULL && major == GSS_S_COMPLETE) {
        major = kb_name_take(minor, ctx->mech, inner_target, target);
        if (major != GSS_S_COMPLETE && source != NULL) {
            gssi_release_name(&ignored, source);
        }
    } else if (inner_target != GSS_C_NO_NAME) {
        gss_release_name(&ignored, &inner_target);
    }
    return major;
}

OM_uint32 gssi_inquire_context(OM_uint32 *minor, gss_ctx_id_t handle, gss_name_t *source,
                               gss_name_t *target, OM_uint32 *lifetime, gss_OID *oid,
                               OM_uint32 *flags, int *local, int *open)
{
    KB_ENTER(minor);
    struct kb_gss_ctx *ctx = kb_ctx_of(handle);

    if (ctx == NULL) {
        return kb_bad_ctx(minor);
    }
    if (oid != NULL) { /* the mechglue reads it in any case */
        *oid = ctx->mech->oid;
    }
    return ctx->inner != GSS_C_NO_CONTEXT
               ? inquire_inner(minor, ctx, source, target, lifetime, flags, local, open)
               : kb_ours_inquire(minor, ctx, source, target, lifetime, flags, local, open);
}

OM_uint32 gssi_set_sec_context_option(OM_uint32 *minor, gss_ctx_id_t *handle, const gss_OID object,
                                      const gss_buffer_t value)
{
    KB_ENTER(minor);
    struct kb_gss_ctx *ctx = handle != NULL ? kb_ctx_of(*handle) : NULL;
    kb_bytes name;

    if (ctx == NULL) {
        return kb_unsupported_minor(minor);
    }
    if (ctx->inner != GSS_C_NO_CONTEXT) {
        return kb_call_of(object, &name) != KB_CALL_OTHER
                   ? kb_platforms_minor(minor)
                   : gss_set_sec_context_option(minor, &ctx->inner, object, value);
    }
    return kb_call_ctx(minor, ctx, object, value);
}
