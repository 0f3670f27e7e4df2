/* export.c - credentials as bytes. gss_add_cred copies by them, so a copy must be the same
 * identity.
 *
 * The platform's is `len4 | OID | len4 | token`. The mechglue above writes the same frame around
 * what we return, so the bare token is what a host without the plugin would have exported too, and
 * can import.
 *
 * One of ours is no ticket but the wish for one: kind, usage, the name that was given, and of one
 * for both the platform's token of its accept half. What it is gets decided anew where it is
 * imported, and never is the platform's. One that holds what a program brought along cannot be
 * exported: its secret would stand in the bytes. */
#include <stdlib.h>

#include "asn1/reader.h"
#include "mech/spi/decide.h"
#include "mech/spi/fail.h"

/* No token of the platform's begins so; the last byte is the version. */
static const uint8_t magic[8] = {'K', 'e', 'r', 'b', 's', 'i', 'd', 1};

/* The platform's token of `inner`, without its frame, appended to `out`. */
static OM_uint32 export_inner(OM_uint32 *minor, gss_cred_id_t inner, struct kb_buf *out)
{
    gss_buffer_desc framed = GSS_C_EMPTY_BUFFER;
    struct kb_reader r;
    kb_bytes bare;
    OM_uint32 ignored, major = gss_export_cred(minor, inner, &framed);

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    r = kb_reader(kb_bytes_of_buffer(&framed));
    kb_get_bytes(&r, kb_get_u32be(&r));
    bare = kb_get_bytes(&r, kb_get_u32be(&r));
    if (r.bad || r.rest.len != 0) {
        major = kb_bad_token(minor);
    } else {
        kb_buf_add(out, bare);
    }
    kb_wipe(framed.value, framed.length);
    gss_release_buffer(&ignored, &framed);
    return major;
}

static OM_uint32 export_ours(OM_uint32 *minor, struct kb_gss_cred *cred, struct kb_buf *out)
{
    kb_bytes client = kb_str(cred->client);
    uint8_t head[2] = {(uint8_t)cred->kind, (uint8_t)cred->usage}, len[4];

    if (atomic_load(&cred->own) != NULL) {
        return kb_unsupported_minor(minor);
    }
    kb_put_u32be(len, (uint32_t)client.len);
    kb_buf_add(out, kb_bytes_of(magic, sizeof(magic)));
    kb_buf_add(out, kb_bytes_of(head, sizeof(head)));
    kb_buf_add(out, kb_bytes_of(len, sizeof(len)));
    kb_buf_add(out, client);
    return cred->inner != GSS_C_NO_CREDENTIAL ? export_inner(minor, cred->inner, out)
                                              : GSS_S_COMPLETE;
}

OM_uint32 gssi_export_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_buffer_t token)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);
    struct kb_buf out;
    OM_uint32 major;

    kb_give_nothing(token);
    if (cred == NULL) {
        return kb_bad_cred(minor);
    }
    kb_buf_init(&out, UINT32_MAX / 2);
    major = cred->kind == KB_CRED_PLATFORM ? export_inner(minor, cred->inner, &out)
                                           : export_ours(minor, cred, &out);
    if (major == GSS_S_COMPLETE) {
        major = out.status == KB_OK ? kb_give_bytes(minor, kb_buf_bytes(&out), token)
                                    : kb_no_memory(minor);
    }
    kb_buf_wipe(&out);
    return major;
}

static OM_uint32 import_inner(OM_uint32 *minor, const struct kb_mech *mech, kb_bytes token,
                              gss_cred_id_t *out)
{
    size_t oid_len = mech->inner.length;
    gss_buffer_desc framed = {4 + oid_len + 4 + token.len, NULL};
    uint8_t *p = token.len <= UINT32_MAX / 2 ? malloc(framed.length) : NULL;
    OM_uint32 major;

    if (p == NULL) {
        return kb_no_memory(minor);
    }
    kb_put_u32be(p, (uint32_t)oid_len);
    memcpy(p + 4, mech->inner.elements, oid_len);
    kb_put_u32be(p + 4 + oid_len, (uint32_t)token.len);
    if (token.len > 0) {
        memcpy(p + 8 + oid_len, token.ptr, token.len);
    }
    framed.value = p;
    major = gss_import_cred(minor, &framed, out);
    kb_free_secret(framed.value, framed.length);
    return major;
}

/* What was exported from a credential of ours. */
struct exported {
    enum kb_cred_kind kind;
    int usage;
    kb_bytes client, accept_half;
};

static bool read_ours(kb_bytes token, struct exported *out)
{
    struct kb_reader r = kb_reader(token);

    kb_get_bytes(&r, sizeof(magic));
    out->kind = (enum kb_cred_kind)kb_get_u8(&r);
    out->usage = kb_get_u8(&r);
    out->client = kb_get_bytes(&r, kb_get_u32be(&r));
    out->accept_half = r.rest;
    return !r.bad && (out->kind == KB_CRED_BOUND) == (out->client.len > 0) &&
           (out->kind == KB_CRED_BOUND || out->kind == KB_CRED_DEFAULT) &&
           (out->usage == GSS_C_INITIATE || out->usage == GSS_C_BOTH) &&
           (out->usage == GSS_C_BOTH) == (out->accept_half.len > 0);
}

static OM_uint32 make_ours(OM_uint32 *minor, const struct kb_mech *mech,
                           const struct exported *exported, const struct kb_applicant *applicant,
                           const struct kb_options *options, gss_cred_id_t *out)
{
    struct kb_gss_cred *cred = kb_cred_new(mech, exported->kind, applicant, options);
    gss_cred_id_t handle = (gss_cred_id_t)cred;
    OM_uint32 major = GSS_S_COMPLETE, ignored;

    if (cred == NULL) {
        return kb_no_memory(minor);
    }
    cred->usage = exported->usage;
    if (exported->usage == GSS_C_BOTH) {
        major = import_inner(minor, mech, exported->accept_half, &cred->inner);
    }
    if (major == GSS_S_COMPLETE) {
        *out = handle;
    } else {
        gssi_release_cred(&ignored, &handle);
    }
    return major;
}

static OM_uint32 import_ours(OM_uint32 *minor, const struct kb_mech *mech, kb_bytes token,
                             gss_cred_id_t *out)
{
    const struct kb_options *options = NULL;
    struct kb_applicant applicant = {.client = KB_NONE};
    struct kb_principal *principal = NULL;
    enum kb_cred_kind kind = KB_CRED_PLATFORM;
    enum kb_whose whose;
    struct exported exported;
    struct kb_error err = {0};
    OM_uint32 major;

    if (!read_ours(token, &exported)) {
        return kb_bad_token(minor);
    }
    if (exported.client.len > 0 &&
        kb_options_client(exported.client, KB_NT_PRINCIPAL, &principal) != KB_OK) {
        return kb_bad_token(minor);
    }
    applicant.principal = principal;
    applicant.client = exported.client;
    whose = kb_decide_acquire(&applicant, &kind, &options, &err);
    if (whose == KB_OURS) {
        major = make_ours(minor, mech, &exported, &applicant, options, out);
    } else {
        (void)kb_error_set(&err, KB_E_NO_SECRET,
                           "The imported credential was Kerbside's, and this process has no "
                           "password or keytab for it");
        major = kb_fail(minor, &err);
    }
    kb_options_put(options);
    kb_principal_free(principal);
    return major;
}

static OM_uint32 import_cred(OM_uint32 *minor, const struct kb_mech *mech, gss_buffer_t token,
                             gss_cred_id_t *out)
{
    kb_bytes bytes = kb_bytes_of_buffer(token);
    gss_cred_id_t inner = GSS_C_NO_CREDENTIAL;
    OM_uint32 major;

    if (out == NULL) {
        return GSS_S_CALL_INACCESSIBLE_WRITE;
    }
    *out = GSS_C_NO_CREDENTIAL;
    if (bytes.len >= sizeof(magic) && memcmp(bytes.ptr, magic, sizeof(magic)) == 0) {
        return import_ours(minor, mech, bytes, out);
    }
    major = import_inner(minor, mech, bytes, &inner);
    return major == GSS_S_COMPLETE ? kb_cred_take(minor, mech, inner, out) : major;
}

OM_uint32 gssi_import_cred(OM_uint32 *minor, gss_buffer_t token, gss_cred_id_t *out)
{
    KB_ENTER(minor);
    return import_cred(minor, kb_mech_krb5(), token, out);
}

OM_uint32 gssi_import_cred_by_mech(OM_uint32 *minor, gss_OID oid, gss_buffer_t token,
                                   gss_cred_id_t *out)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);

    return mech != NULL ? import_cred(minor, mech, token, out) : kb_bad_mech(minor);
}
