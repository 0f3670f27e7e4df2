/* query.c - what a context of our engine tells about itself: time, names, flags, keys. */
#include "mech/spi/ours.h"

#include <errno.h>
#include <stdlib.h>

#include "asn1/reader.h"
#include "mech/spi/call.h"
#include "mech/spi/initiate.h"

OM_uint32 kb_ours_context_time(OM_uint32 *minor, struct kb_gss_ctx *ctx, OM_uint32 *time_rec)
{
    if (!kb_ctx_is_open(ctx)) {
        return kb_bad_ctx(minor);
    }
    *time_rec = kb_ctx_lifetime(ctx);
    return *time_rec > 0 ? GSS_S_COMPLETE : GSS_S_CONTEXT_EXPIRED;
}

static OM_uint32 context_names(OM_uint32 *minor, const struct kb_gss_ctx *ctx, gss_name_t *source,
                               gss_name_t *target)
{
    OM_uint32 major = GSS_S_COMPLETE, ignored;

    if (source != NULL) {
        major = kb_name_of_principal(minor, ctx->mech, kb_ap_client(ctx->ap), source);
    }
    if (target != NULL && major == GSS_S_COMPLETE) {
        major = kb_name_of_principal(minor, ctx->mech, kb_ap_server(ctx->ap), target);
        if (major != GSS_S_COMPLETE && source != NULL) {
            gssi_release_name(&ignored, source);
        }
    }
    return major;
}

/* RFC 2743 2.2.6: an unfinished context tells its flags, and that it is not open. */
OM_uint32 kb_ours_inquire(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_name_t *source,
                          gss_name_t *target, OM_uint32 *lifetime, OM_uint32 *flags, int *local,
                          int *open)
{
    OM_uint32 left = kb_ctx_is_open(ctx) ? kb_ctx_lifetime(ctx) : 0;

    if (source != NULL) {
        *source = GSS_C_NO_NAME;
    }
    if (target != NULL) {
        *target = GSS_C_NO_NAME;
    }
    if (lifetime != NULL) {
        *lifetime = left;
    }
    if (flags != NULL) {
        *flags = ctx->ap != NULL ? kb_ctx_ret_flags(ctx) : 0;
    }
    if (local != NULL) {
        *local = 1;
    }
    if (open != NULL) {
        *open = kb_ctx_is_open(ctx);
    }
    if (!kb_ctx_is_open(ctx)) {
        return GSS_S_COMPLETE;
    }
    if (left == 0) {
        return GSS_S_CONTEXT_EXPIRED;
    }
    return context_names(minor, ctx, source, target);
}

/* --- queries by OID --------------------------------------------------------------------------- */

static OM_uint32 add_member(OM_uint32 *minor, const void *bytes, size_t len, gss_buffer_set_t *data)
{
    gss_buffer_desc member = {len, (void *)(uintptr_t)bytes};

    return gss_add_buffer_set_member(minor, &member, data);
}

static OM_uint32 ask_ssf(OM_uint32 *minor, const struct kb_gss_ctx *ctx, gss_buffer_set_t *data)
{
    uint8_t ssf[4];

    kb_put_u32be(ssf, kb_ap_ssf(ctx->ap));
    return add_member(minor, ssf, sizeof(ssf), data);
}

/* The key, then an OID of the enctype: 1.2.840.113554.1.2.2.4.ENCTYPE. */
static OM_uint32 give_key(OM_uint32 *minor, struct kb_key *key, gss_buffer_set_t *data)
{
    uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x04, 0};
    kb_bytes raw = kb_key_bytes(key);
    OM_uint32 major, ignored;

    oid[sizeof(oid) - 1] = (uint8_t)kb_key_enctype(key)->etype; /* all of ours are below 128 */
    major = add_member(minor, raw.ptr, raw.len, data);
    if (major == GSS_S_COMPLETE) {
        major = add_member(minor, oid, sizeof(oid), data);
        if (major != GSS_S_COMPLETE) {
            kb_wipe((*data)->elements[0].value, (*data)->elements[0].length);
            gss_release_buffer_set(&ignored, data);
        }
    }
    return major;
}

static OM_uint32 ask_session_key(OM_uint32 *minor, const struct kb_gss_ctx *ctx,
                                 gss_buffer_set_t *data)
{
    return give_key(minor, kb_ap_message_key(ctx->ap, NULL), data);
}

static OM_uint32 ask_ticket_key(OM_uint32 *minor, const struct kb_gss_ctx *ctx,
                                gss_buffer_set_t *data)
{
    return give_key(minor, kb_ap_ticket_key(ctx->ap), data);
}

/* These two are the platform's own C types. */
static OM_uint32 ask_ticket_flags(OM_uint32 *minor, const struct kb_gss_ctx *ctx,
                                  gss_buffer_set_t *data)
{
    uint32_t flags = kb_ap_ticket_flags(ctx->ap);

    return add_member(minor, &flags, sizeof(flags), data);
}

static OM_uint32 ask_authtime(OM_uint32 *minor, const struct kb_gss_ctx *ctx,
                              gss_buffer_set_t *data)
{
    int32_t authtime = (int32_t)kb_ap_authtime(ctx->ap);

    return add_member(minor, &authtime, sizeof(authtime), data);
}

/* 1.2.840.113554.1.2.2.5.N */
static const uint8_t object_prefix[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x05};

static const struct {
    uint8_t arc;
    OM_uint32 (*ask)(OM_uint32 *minor, const struct kb_gss_ctx *ctx, gss_buffer_set_t *data);
} queries[] = {
    {1, ask_ticket_flags}, {5, ask_session_key}, {12, ask_authtime},
    {15, ask_ssf},         {19, ask_ticket_key},
};

OM_uint32 kb_ours_query(OM_uint32 *minor, struct kb_gss_ctx *ctx, const gss_OID object,
                        gss_buffer_set_t *data)
{
    const uint8_t *oid;
    kb_bytes name;

    if (object == GSS_C_NO_OID || data == NULL) {
        return GSS_S_CALL_INACCESSIBLE_READ;
    }
    *data = GSS_C_NO_BUFFER_SET;
    if (kb_call_of(object, &name) == KB_CALL_QUERY) {
        return kb_call_ask_ctx(minor, ctx, name, data);
    }
    if (!kb_ctx_is_open(ctx)) {
        return kb_bad_ctx(minor);
    }
    oid = object->elements;
    if (object->length == sizeof(object_prefix) + 1 &&
        memcmp(oid, object_prefix, sizeof(object_prefix)) == 0) {
        for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
            if (queries[i].arc == oid[sizeof(object_prefix)]) {
                return queries[i].ask(minor, ctx, data);
            }
        }
    }
    *minor = EINVAL; /* as the platform: SPNEGO asks for something at every leg */
    return GSS_S_UNAVAILABLE;
}
