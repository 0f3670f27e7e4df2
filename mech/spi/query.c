/* query.c - what a context of our engine tells about itself: time, names, flags, keys. */
#include "mech/spi/ours.h"

#include <errno.h>
#include <stdlib.h>

#include "asn1/reader.h"
#include "mech/spi/call.h"
#include "mech/spi/fail.h"
#include "mech/spi/initiate.h"
#include "mech/spi/lucid.h"

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

/* --- keys --- */

/* RFC 4401, RFC 7802. */
OM_uint32 kb_ours_pseudo_random(OM_uint32 *minor, struct kb_gss_ctx *ctx, int which,
                                const gss_buffer_t in, ssize_t len, gss_buffer_t out)
{
    enum kb_status st;
    struct kb_key *key;

    kb_give_nothing(out);
    if (!kb_ctx_is_open(ctx)) {
        return kb_bad_ctx(minor);
    }
    if (which != GSS_C_PRF_KEY_FULL && which != GSS_C_PRF_KEY_PARTIAL) {
        *minor = EINVAL;
        return GSS_S_FAILURE;
    }
    if (len == 0) {
        return GSS_S_COMPLETE;
    }
    out->value = len > 0 ? malloc((size_t)len) : NULL;
    if (out->value == NULL) {
        return kb_no_memory(minor);
    }
    key = which == GSS_C_PRF_KEY_FULL ? kb_ap_message_key(ctx->ap, NULL)
                                      : kb_ap_initiator_key(ctx->ap);
    st = kb_prf_plus(key, KB_PRF_GSS, kb_bytes_of_buffer(in), out->value, (size_t)len);
    if (st != KB_OK) {
        free(out->value);
        kb_give_nothing(out);
        return kb_fail_status(minor, kb_ctx_listener(ctx), st);
    }
    out->length = (size_t)len;
    return GSS_S_COMPLETE;
}

/* --- queries by OID --- */

/* A question: `arcs` is what stands in its OID behind the row's. The answer goes into `data`. */
struct query {
    const struct kb_gss_ctx *ctx;
    kb_bytes arcs;
    gss_buffer_set_t *data;
};

static OM_uint32 add_member(OM_uint32 *minor, const struct query *q, const void *bytes, size_t len)
{
    gss_buffer_desc member = {len, (void *)(uintptr_t)bytes};

    return gss_add_buffer_set_member(minor, &member, q->data);
}

/* The arc that ends an OID of MIT's: base 128, of which 32 bits count. No octets at all are 0. */
static bool last_arc(kb_bytes arcs, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < arcs.len; i++) {
        *out = *out << 7 | (arcs.ptr[i] & 0x7f);
        if (i + 1 < arcs.len && (arcs.ptr[i] & 0x80) == 0) {
            return false;
        }
    }
    return true;
}

static OM_uint32 ask_ssf(OM_uint32 *minor, const struct query *q)
{
    uint8_t ssf[4];

    kb_put_u32be(ssf, kb_ap_ssf(q->ctx->ap));
    return add_member(minor, q, ssf, sizeof(ssf));
}

/* The key, then an OID of the enctype: 1.2.840.113554.1.2.2.4.ENCTYPE. */
static OM_uint32 give_key(OM_uint32 *minor, const struct query *q, struct kb_key *key)
{
    uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x04, 0};
    kb_bytes raw = kb_key_bytes(key);
    OM_uint32 major, ignored;

    oid[sizeof(oid) - 1] = (uint8_t)kb_key_enctype(key)->etype; /* all of ours are below 128 */
    major = add_member(minor, q, raw.ptr, raw.len);
    if (major == GSS_S_COMPLETE) {
        major = add_member(minor, q, oid, sizeof(oid));
        if (major != GSS_S_COMPLETE) {
            kb_wipe((*q->data)->elements[0].value, (*q->data)->elements[0].length);
            gss_release_buffer_set(&ignored, q->data);
        }
    }
    return major;
}

static OM_uint32 ask_session_key(OM_uint32 *minor, const struct query *q)
{
    return give_key(minor, q, kb_ap_message_key(q->ctx->ap, NULL));
}

static OM_uint32 ask_ticket_key(OM_uint32 *minor, const struct query *q)
{
    return give_key(minor, q, kb_ap_ticket_key(q->ctx->ap));
}

/* These two are the platform's own C types. */
static OM_uint32 ask_ticket_flags(OM_uint32 *minor, const struct query *q)
{
    uint32_t flags = kb_ap_ticket_flags(q->ctx->ap);

    return add_member(minor, q, &flags, sizeof(flags));
}

static OM_uint32 ask_authtime(OM_uint32 *minor, const struct query *q)
{
    int32_t authtime = (int32_t)kb_ap_authtime(q->ctx->ap);

    return add_member(minor, q, &authtime, sizeof(authtime));
}

/* Only an acceptor reads a ticket: an initiator has none of any type, and says so by no answer. */
static OM_uint32 ask_authdata(OM_uint32 *minor, const struct query *q)
{
    uint32_t ad_type;

    if (!last_arc(q->arcs, &ad_type) || ad_type == 0) {
        *minor = ENOENT;
        return GSS_S_FAILURE;
    }
    return GSS_S_COMPLETE;
}

/* A buffer that holds a pointer. (MIT's mechanism says COMPLETE to a version that it has not, and
 * gives nothing; gss_krb5_export_lucid_sec_context makes a failure of that.) */
static OM_uint32 ask_lucid(OM_uint32 *minor, const struct query *q)
{
    struct gss_krb5_lucid_context_v1 *lucid;
    uint32_t version;
    OM_uint32 major;

    if (!last_arc(q->arcs, &version) || version != 1) {
        *minor = EINVAL;
        return GSS_S_FAILURE;
    }
    lucid = kb_lucid_new(q->ctx->ap, kb_ctx_endtime(q->ctx));
    if (lucid == NULL) {
        return kb_no_memory(minor);
    }
    major = add_member(minor, q, &lucid, sizeof(lucid));
    if (major != GSS_S_COMPLETE) {
        kb_lucid_free(lucid);
    }
    return major;
}

/* Below 1.2.840.113554.1.2.2.5. As in MIT's table, a row answers for all that stands below it. */
static const uint8_t object_prefix[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x05};

static const struct {
    uint8_t arc;
    OM_uint32 (*ask)(OM_uint32 *minor, const struct query *q);
} queries[] = {
    {1, ask_ticket_flags}, {5, ask_session_key}, {6, ask_lucid},       {10, ask_authdata},
    {12, ask_authtime},    {15, ask_ssf},        {19, ask_ticket_key},
};

static OM_uint32 ask(OM_uint32 *minor, struct query *q, struct kb_reader oid)
{
    kb_bytes prefix = kb_get_bytes(&oid, sizeof(object_prefix));
    uint8_t arc = kb_get_u8(&oid);

    q->arcs = oid.rest;
    if (!oid.bad && kb_equal(prefix, kb_bytes_of(object_prefix, sizeof(object_prefix)))) {
        for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
            if (queries[i].arc == arc) {
                return queries[i].ask(minor, q);
            }
        }
    }
    *minor = EINVAL; /* as the platform: SPNEGO asks for something at every leg */
    return GSS_S_UNAVAILABLE;
}

OM_uint32 kb_ours_query(OM_uint32 *minor, struct kb_gss_ctx *ctx, const gss_OID object,
                        gss_buffer_set_t *data)
{
    struct query q = {.ctx = ctx, .data = data};
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
    return ask(minor, &q, kb_reader(kb_bytes_of(object->elements, object->length)));
}
