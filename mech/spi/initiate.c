#include "mech/spi/initiate.h"

#include <stdlib.h>

#include "mech/login/clock.h"
#include "mech/login/login.h"
#include "mech/login/tell.h"
#include "mech/options/settings.h"
#include "mech/protocol/krberror.h"
#include "mech/protocol/token.h"
#include "mech/report/old.h"
#include "mech/spi/fail.h"

/* Mostly enough for an AP-REQ: then a warm login allocates nothing for it. */
#define TOKEN_BLOCK 3072
#define TOKEN_CEILING (4u << 20)

void kb_background_free(struct kb_background *background)
{
    if (background != NULL) {
        kb_options_put(background->options);
        kb_options_put(background->changed);
        kb_settings_free(background->own);
        kb_listener_put(background->listener);
        kb_identity_put(background->identity);
        kb_credential_free(background->ticket);
        free(background);
    }
}

/* Where in the AP-REQ its ticket stands: near the start. */
static size_t offset_of_ticket(kb_bytes ap_req, kb_bytes ticket)
{
    size_t at = 0;

    while (at + ticket.len < ap_req.len && memcmp(ap_req.ptr + at, ticket.ptr, ticket.len) != 0) {
        at++;
    }
    return at;
}

static enum kb_status keep_background(struct kb_gss_ctx *ctx, const struct kb_login *login,
                                      const struct kb_target *target, struct kb_credential *ticket,
                                      kb_bytes ap_req)
{
    bool half_open = !kb_ap_established(ctx->ap);
    size_t text_len = half_open ? target->asked.len + 1 : 0;
    size_t before = offset_of_ticket(ap_req, ticket->ticket);
    size_t behind = ap_req.len - before - ticket->ticket.len;
    struct kb_background *background = malloc(sizeof(*background) + text_len + before + behind);
    char *bytes, *request;

    if (background == NULL) {
        return KB_NO_MEMORY;
    }
    bytes = background->bytes;
    request = bytes + text_len;
    *background = (struct kb_background){.options = kb_options_ref(login->options),
                                         .listener = kb_listener_ref(login->listener),
                                         .ticket = kb_credential_ref(ticket),
                                         .before = kb_bytes_of(request, before),
                                         .behind = kb_bytes_of(request + before, behind)};
    memcpy(request, ap_req.ptr, before);
    memcpy(request + before, ap_req.ptr + ap_req.len - behind, behind);
    if (half_open) {
        memcpy(bytes, target->asked.ptr, target->asked.len);
        bytes[target->asked.len] = '\0';
        background->identity = kb_identity_ref(login->identity);
        background->target = (struct kb_target){.asked = kb_bytes_of(bytes, target->asked.len),
                                                .host_based = target->host_based};
    }
    ctx->background = background;
    return half_open || kb_background_bare(background) ? KB_OK : KB_NO_MEMORY;
}

/* The context is established: what an expired ticket would have been asked anew with goes. */
static KB_MUST_USE bool settle(struct kb_background *background)
{
    kb_identity_put(background->identity);
    background->identity = NULL;
    return kb_background_bare(background);
}

/* What is granted of what was asked for. CONF and INTEG always, as the platform does; not TRANS,
 * since a context of ours cannot be exported; DELEG where there is a TGT to forward. */
static uint32_t granted_flags(bool no_ci_flags, OM_uint32 req_flags)
{
    uint32_t flags =
        req_flags & (KB_GSS_MUTUAL | KB_GSS_REPLAY | KB_GSS_SEQUENCE | KB_GSS_CONF | KB_GSS_INTEG |
                     KB_GSS_DCE_STYLE | KB_GSS_IDENTIFY | KB_GSS_EXTENDED_ERROR);

    if (!no_ci_flags) {
        flags |= KB_GSS_CONF | KB_GSS_INTEG;
    }
    return flags;
}

static struct kb_channel_bindings bindings_of(gss_channel_bindings_t given)
{
    return (struct kb_channel_bindings){
        .initiator_addrtype = given->initiator_addrtype,
        .acceptor_addrtype = given->acceptor_addrtype,
        .initiator_address = kb_bytes_of_buffer(&given->initiator_address),
        .acceptor_address = kb_bytes_of_buffer(&given->acceptor_address),
        .application_data = kb_bytes_of_buffer(&given->application_data),
    };
}

/* libgssapi's own, which stays. */
static kb_bytes oid_of(const struct kb_gss_ctx *ctx)
{
    return kb_bytes_of(ctx->mech->oid->elements, ctx->mech->oid->length);
}

/* The token as it goes out: framed by the OID that was asked for, bare with DCE_STYLE. */
static OM_uint32 give_token(OM_uint32 *minor, const struct kb_gss_ctx *ctx, uint16_t id,
                            kb_bytes message, gss_buffer_t out)
{
    kb_bytes oid = oid_of(ctx);

    if (ctx->dce_style) {
        return kb_give_bytes(minor, message, out);
    }
    out->length = kb_frame_len(oid, message.len);
    out->value = malloc(out->length);
    if (out->value == NULL) {
        out->length = 0;
        return kb_no_memory(minor);
    }
    kb_frame(oid, id, message, out->value);
    return GSS_S_COMPLETE;
}

static bool has_old(const kb_opt_ETYPES *types)
{
    bool found = false;

    for (size_t i = 0; i < types->num; i++) {
        found = found || kb_old_is(types->items[i]);
    }
    return found;
}

/* A warm login tells nothing, so its events are made only for who wants the messages themselves, or
 * may have to be warned. */
static struct kb_events *events_for(const struct kb_options *options, struct kb_listener *listener)
{
    return kb_tell_wanted(options, listener) || has_old(&options->ticket_types)
               ? kb_tell_events(options, listener)
               : NULL;
}

/* The AP-REQ for a ticket that is at hand. */
static OM_uint32 make_request(OM_uint32 *minor, struct kb_gss_ctx *ctx,
                              const struct kb_login *login, const struct kb_target *target,
                              struct kb_ap_request *request, gss_channel_bindings_t bindings,
                              gss_buffer_t out)
{
    struct kb_channel_bindings given;
    uint8_t block[TOKEN_BLOCK];
    struct kb_error err = {0};
    struct kb_arena arena;
    struct kb_env env;
    kb_bytes message;
    enum kb_status st;
    OM_uint32 major;
    bool md5;

    request->mech = oid_of(ctx);
    request->etypes = login->options->ticket_types.items;
    request->num_etypes = login->options->ticket_types.num;
    request->clock_offset = kb_identity_clock_offset(login->identity);
    if (bindings != GSS_C_NO_CHANNEL_BINDINGS) {
        given = bindings_of(bindings);
        request->bindings = &given;
    }
    md5 = request->bindings != NULL && login->options->use_fips_compliant_api;
    kb_clock_env(&env, md5 ? kb_tell_events(login->options, login->listener)
                           : events_for(login->options, login->listener));
    if (md5) {
        kb_event_md5_of_bindings(env.events);
    }
    kb_arena_init(&arena, block, sizeof(block), TOKEN_CEILING);
    st = kb_ap_new(&env, request, &arena, &ctx->ap, &message);
    if (st == KB_OK) {
        st = keep_background(ctx, login, target, request->credential, message);
    }
    if (st == KB_OK) {
        major = give_token(minor, ctx, KB_TOK_AP_REQ, message, out);
    } else {
        (void)kb_error_status(&err, KB_E_INTERNAL, st, "The request to the service");
        major = kb_fail(minor, &err);
    }
    kb_arena_wipe(&arena);
    kb_events_free(env.events);
    return major;
}

/* RFC 5896: DELEG_POLICY asks for it only where the KDC calls the service fit for it. */
static enum kb_status delegate(const struct kb_login *login, OM_uint32 req_flags, int64_t since_ms,
                               struct kb_ap_request *request, struct kb_error *err)
{
    bool fit = (request->credential->flags & KB_TKT_OK_AS_DELEGATE) != 0;
    bool asked = (req_flags & GSS_C_DELEG_FLAG) != 0;
    bool by_policy = (req_flags & GSS_C_DELEG_POLICY_FLAG) != 0 && fit;
    enum kb_status st;

    if (login->options->delegate == KB_DELEGATE_NEVER || (!asked && !by_policy) ||
        (login->options->delegate == KB_DELEGATE_OK_AS_DELEGATE && !fit)) {
        return KB_OK;
    }
    st = kb_login_forwarded(login, request->credential, since_ms, &request->forwarded, err);
    if (request->forwarded != NULL) {
        request->flags |= KB_GSS_DELEG | (by_policy ? KB_GSS_DELEG_POLICY : 0);
    }
    return st;
}

OM_uint32 kb_initiate(OM_uint32 *minor, struct kb_gss_ctx *ctx, const struct kb_login *login,
                      bool no_ci_flags, const struct kb_target *target, OM_uint32 req_flags,
                      gss_channel_bindings_t bindings, gss_buffer_t out)
{
    struct kb_ap_request request = {
        .flags = granted_flags(no_ci_flags, req_flags),
        .bindings_required =
            (req_flags & GSS_C_CHANNEL_BOUND_FLAG) != 0 || login->options->client_aware,
    };
    int64_t start_ms = kb_now_ms();
    struct kb_error err = {0};
    OM_uint32 major;

    if (kb_login_ticket(login, target, &request.credential, &err) != KB_OK ||
        delegate(login, req_flags, start_ms, &request, &err) != KB_OK) {
        kb_credential_free(request.credential);
        return kb_fail_login(minor, login->options, login->listener, &err);
    }
    ctx->dce_style = (request.flags & KB_GSS_DCE_STYLE) != 0;
    major = make_request(minor, ctx, login, target, &request, bindings, out);
    if (major == GSS_S_COMPLETE && !kb_ap_established(ctx->ap)) {
        major = GSS_S_CONTINUE_NEEDED;
    }
    kb_credential_free(request.credential);
    kb_credential_free(request.forwarded);
    return major;
}

#define TAG_AP_REP 0x6f
#define TAG_KRB_ERROR 0x7e

/* RFC 4121 4.1: the token's id says which message it carries. */
static bool is_message(uint16_t id, kb_bytes message)
{
    uint8_t tag = message.len > 0 ? message.ptr[0] : 0;

    return (id == KB_TOK_AP_REP && tag == TAG_AP_REP) ||
           (id == KB_TOK_ERROR && tag == TAG_KRB_ERROR);
}

/* Takes the frame off the acceptor's token. */
static enum kb_status unframe(const struct kb_gss_ctx *ctx, kb_bytes token, kb_bytes *out)
{
    uint16_t id;
    kb_bytes oid;
    enum kb_status st;

    if (ctx->dce_style) {
        *out = token;
        return KB_OK;
    }
    st = kb_unframe(token, &oid, &id, out);
    if (st == KB_OK && (!kb_equal(oid, oid_of(ctx)) || !is_message(id, *out))) {
        st = KB_WRONG_TYPE;
    }
    return st;
}

static enum kb_status take_reply(struct kb_gss_ctx *ctx, const struct kb_env *env, kb_bytes token,
                                 struct kb_arena *arena, kb_bytes *out_token, struct kb_error *err)
{
    kb_bytes message;
    enum kb_status st = unframe(ctx, token, &message);

    if (st != KB_OK) {
        return kb_error_status(err, KB_E_SERVICE_REPLY, st, "The service's answer");
    }
    st = kb_ap_reply(ctx->ap, env, message, arena, out_token, err);
    if (st != KB_OK) {
        return kb_error_status(err, KB_E_SERVICE_REPLY, st, "The service's answer");
    }
    return KB_OK;
}

/* Is it the ticket that the service did not take, or that led to somebody without its key? Then the
 * next context asks the KDC for another: the service may have a new key, or the ticket was altered
 * on the way to us, where nothing protects it. Else every context would fail until the ticket ends.
 */
static bool is_ticket_refused(const struct kb_error *err)
{
    switch (err->code) {
    case KB_E_TICKET_EXPIRED:
    case KB_E_MUTUAL:
        return true;
    case KB_E_SERVICE_REFUSED:
        return err->kdc_code == KB_KDC_BAD_INTEGRITY || err->kdc_code == KB_KDC_MODIFIED ||
               err->kdc_code == KB_KDC_BADKEYVER || err->kdc_code == KB_KDC_NOKEY;
    case KB_E_CLOCK: /* the KDC's was set back since it gave the ticket */
        return err->kdc_code == KB_KDC_NYV;
    default:
        return false;
    }
}

/* What the next context does otherwise. */
static void heed_refusal(struct kb_background *background, const struct kb_options *options,
                         const struct kb_error *err)
{
    const struct kb_login login = {
        .options = options, .identity = background->identity, .listener = background->listener};

    if (is_ticket_refused(err)) {
        kb_login_drop(&login, &background->target, background->ticket);
    }
    if (err->code == KB_E_CLOCK) {
        kb_login_clock_differs(&login);
    }
}

/* A failure stays: whoever calls again hears the same. */
static OM_uint32 stay_failed(struct kb_gss_ctx *ctx, OM_uint32 major, OM_uint32 minor)
{
    ctx->failed = major;
    ctx->failed_minor = minor;
    return major;
}

OM_uint32 kb_initiate_reply(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_buffer_t in,
                            gss_buffer_t out)
{
    struct kb_background *background = ctx->background;
    const struct kb_options *options;
    struct kb_error err = {0};
    struct kb_arena arena;
    struct kb_env env;
    kb_bytes token = KB_NONE;
    OM_uint32 major = GSS_S_COMPLETE;

    if (ctx->failed != 0) {
        *minor = ctx->failed_minor;
        return ctx->failed;
    }
    if (background == NULL || kb_ap_established(ctx->ap)) {
        return kb_bad_ctx(minor);
    }
    options = kb_background_options(background);
    kb_clock_env(&env, events_for(options, background->listener));
    kb_arena_init(&arena, NULL, 0, TOKEN_CEILING);
    if (take_reply(ctx, &env, kb_bytes_of_buffer(in), &arena, &token, &err) == KB_OK) {
        if (!settle(background)) {
            major = kb_no_memory(minor);
        } else if (token.len > 0) {
            major = give_token(minor, ctx, KB_TOK_AP_REP, token, out);
        }
    } else {
        heed_refusal(background, options, &err);
        major = kb_fail_login(minor, options, background->listener, &err);
    }
    kb_arena_wipe(&arena);
    kb_events_free(env.events);
    kb_options_put(options);
    if (GSS_ERROR(major)) {
        return stay_failed(ctx, major, *minor);
    }
    return major;
}

void kb_ctx_limit(struct kb_gss_ctx *ctx, struct kb_login *login, OM_uint32 time_req)
{
    if (time_req != 0 && time_req != GSS_C_INDEFINITE) {
        ctx->until = kb_clock_now() + time_req;
        login->wanted_life = time_req;
    }
}

int64_t kb_ctx_endtime(const struct kb_gss_ctx *ctx)
{
    int64_t endtime = kb_ap_endtime(ctx->ap);

    return endtime < ctx->until ? endtime : ctx->until;
}

OM_uint32 kb_ctx_lifetime(const struct kb_gss_ctx *ctx)
{
    int64_t left = kb_ctx_endtime(ctx) - kb_clock_now();

    return left <= 0 ? 0 : left < GSS_C_INDEFINITE ? (OM_uint32)left : GSS_C_INDEFINITE - 1;
}

OM_uint32 kb_ctx_ret_flags(const struct kb_gss_ctx *ctx)
{
    return kb_ap_flags(ctx->ap);
}
