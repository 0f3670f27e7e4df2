/* cred.c - credentials: asked about, changed, exported, stored, released. */
#include <stdlib.h>

#include "asn1/reader.h"
#include "mech/report/error.h"
#include "mech/spi/handle.h"

OM_uint32 kb_cred_take(OM_uint32 *minor, const struct kb_mech *mech, gss_cred_id_t inner,
                       gss_cred_id_t *out)
{
    struct kb_gss_cred *cred = calloc(1, sizeof(*cred));
    OM_uint32 ignored;

    *out = GSS_C_NO_CREDENTIAL;
    if (cred == NULL) {
        gss_release_cred(&ignored, &inner);
        return kb_no_memory(minor);
    }
    cred->tag = KB_TAG_CRED;
    cred->mech = mech;
    cred->inner = inner;
    *out = (gss_cred_id_t)cred;
    return GSS_S_COMPLETE;
}

OM_uint32 gssi_release_cred(OM_uint32 *minor, gss_cred_id_t *handle)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = handle != NULL ? kb_cred_of(*handle) : NULL;
    OM_uint32 ignored;

    if (cred == NULL) {
        return GSS_S_COMPLETE;
    }
    *handle = GSS_C_NO_CREDENTIAL;
    if (cred->inner != GSS_C_NO_CREDENTIAL) {
        gss_release_cred(&ignored, &cred->inner);
    }
    cred->tag = 0;
    free(cred);
    return GSS_S_COMPLETE;
}

OM_uint32 gssi_inquire_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_name_t *name,
                            OM_uint32 *lifetime, int *usage, gss_OID_set *mechs)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);
    gss_name_t inner = GSS_C_NO_NAME;
    OM_uint32 major, ignored;

    if (cred == NULL) {
        return kb_bad_cred(minor);
    }
    major =
        gss_inquire_cred(minor, cred->inner, name != NULL ? &inner : NULL, lifetime, usage, NULL);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    if (name != NULL) {
        major = kb_name_take(minor, cred->mech, inner, name);
    }
    if (major == GSS_S_COMPLETE) {
        major = kb_mech_set(minor, cred->mech, mechs);
        if (major != GSS_S_COMPLETE && name != NULL) {
            gssi_release_name(&ignored, name);
        }
    }
    return major;
}

OM_uint32 gssi_inquire_cred_by_mech(OM_uint32 *minor, gss_cred_id_t handle, gss_OID oid,
                                    gss_name_t *name, OM_uint32 *lifetime,
                                    OM_uint32 *accept_lifetime, gss_cred_usage_t *usage)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);
    const struct kb_mech *mech = kb_mech_find(oid);
    gss_OID_desc inner_oid;
    gss_name_t inner = GSS_C_NO_NAME;
    OM_uint32 major;

    if (mech == NULL) {
        return kb_bad_mech(minor);
    }
    if (handle != GSS_C_NO_CREDENTIAL && cred == NULL) {
        return kb_bad_cred(minor);
    }
    inner_oid = mech->inner;
    major = gss_inquire_cred_by_mech(minor, cred != NULL ? cred->inner : GSS_C_NO_CREDENTIAL,
                                     &inner_oid, name != NULL ? &inner : NULL, lifetime,
                                     accept_lifetime, usage);
    if (major == GSS_S_COMPLETE && name != NULL) {
        major = kb_name_take(minor, mech, inner, name);
    }
    return major;
}

OM_uint32 gssi_inquire_cred_by_oid(OM_uint32 *minor, const gss_cred_id_t handle,
                                   const gss_OID object, gss_buffer_set_t *data)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);

    return cred != NULL ? gss_inquire_cred_by_oid(minor, cred->inner, object, data)
                        : kb_bad_cred(minor);
}

OM_uint32 gssi_set_cred_option(OM_uint32 *minor, gss_cred_id_t *handle, const gss_OID object,
                               const gss_buffer_t value)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = handle != NULL ? kb_cred_of(*handle) : NULL;

    return cred != NULL ? gss_set_cred_option(minor, &cred->inner, object, value)
                        : kb_unsupported_minor(minor);
}

OM_uint32 gssi_set_neg_mechs(OM_uint32 *minor, gss_cred_id_t handle, const gss_OID_set mechs)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);

    return cred != NULL ? gss_set_neg_mechs(minor, cred->inner, mechs) : kb_bad_cred(minor);
}

/* The platform's exported credential is `len4 | OID | len4 | token`. The mechglue above writes the
 * same frame around what we return, so the bare token is what a host without the plugin would have
 * exported too, and can import. */
OM_uint32 gssi_export_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_buffer_t token)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);
    gss_buffer_desc framed = GSS_C_EMPTY_BUFFER;
    struct kb_reader r;
    kb_bytes bare;
    OM_uint32 major, ignored;

    kb_give_nothing(token);
    if (cred == NULL) {
        return kb_bad_cred(minor);
    }
    major = gss_export_cred(minor, cred->inner, &framed);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    r = kb_reader(kb_bytes_of_buffer(&framed));
    kb_get_bytes(&r, kb_get_u32be(&r));
    bare = kb_get_bytes(&r, kb_get_u32be(&r));
    if (r.bad || r.rest.len != 0) {
        *minor = kb_error_minor(KB_E_INTERNAL);
        major = GSS_S_FAILURE;
    } else {
        major = kb_give_bytes(minor, bare, token);
    }
    kb_wipe(framed.value, framed.length);
    gss_release_buffer(&ignored, &framed);
    return major;
}

/* `len4 | inner OID | len4 | token`, heap. */
static bool frame_cred(const struct kb_mech *mech, kb_bytes token, gss_buffer_t out)
{
    size_t oid_len = mech->inner.length;
    uint8_t *p = NULL;

    out->length = 4 + oid_len + 4 + token.len;
    if (token.len <= UINT32_MAX / 2) {
        p = malloc(out->length);
    }
    out->value = p;
    if (p == NULL) {
        return false;
    }
    kb_put_u32be(p, (uint32_t)oid_len);
    memcpy(p + 4, mech->inner.elements, oid_len);
    kb_put_u32be(p + 4 + oid_len, (uint32_t)token.len);
    if (token.len > 0) {
        memcpy(p + 8 + oid_len, token.ptr, token.len);
    }
    return true;
}

static OM_uint32 import_cred(OM_uint32 *minor, const struct kb_mech *mech, gss_buffer_t token,
                             gss_cred_id_t *out)
{
    gss_buffer_desc framed;
    gss_cred_id_t inner = GSS_C_NO_CREDENTIAL;
    OM_uint32 major;

    if (out == NULL) {
        return GSS_S_CALL_INACCESSIBLE_WRITE;
    }
    *out = GSS_C_NO_CREDENTIAL;
    if (!frame_cred(mech, kb_bytes_of_buffer(token), &framed)) {
        return kb_no_memory(minor);
    }
    major = gss_import_cred(minor, &framed, &inner);
    kb_free_secret(framed.value, framed.length);
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

static OM_uint32 store(OM_uint32 *minor, gss_cred_id_t handle, gss_cred_usage_t usage, gss_OID oid,
                       OM_uint32 overwrite, OM_uint32 as_default,
                       gss_const_key_value_set_t cred_store, gss_OID_set *elements,
                       gss_cred_usage_t *stored)
{
    struct kb_gss_cred *cred = kb_cred_of(handle);
    const struct kb_mech *mech = kb_mech_find(oid);
    gss_OID_desc inner;

    if (cred == NULL) {
        return kb_bad_cred(minor);
    }
    inner = mech != NULL ? mech->inner : cred->mech->inner;
    return gss_store_cred_into(minor, cred->inner, usage, &inner, overwrite, as_default, cred_store,
                               elements, stored);
}

OM_uint32 gssi_store_cred(OM_uint32 *minor, const gss_cred_id_t handle, gss_cred_usage_t usage,
                          const gss_OID oid, OM_uint32 overwrite, OM_uint32 as_default,
                          gss_OID_set *elements, gss_cred_usage_t *stored)
{
    KB_ENTER(minor);
    return store(minor, handle, usage, oid, overwrite, as_default, GSS_C_NO_CRED_STORE, elements,
                 stored);
}

OM_uint32 gssi_store_cred_into(OM_uint32 *minor, gss_cred_id_t handle, gss_cred_usage_t usage,
                               gss_OID oid, OM_uint32 overwrite, OM_uint32 as_default,
                               gss_const_key_value_set_t cred_store, gss_OID_set *elements,
                               gss_cred_usage_t *stored)
{
    KB_ENTER(minor);
    return store(minor, handle, usage, oid, overwrite, as_default, cred_store, elements, stored);
}
