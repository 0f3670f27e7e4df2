/* plugin.c - what libgssapi asks of the plugin as a whole, and of its mechanisms without a handle.
 */
#include "mech/spi/call.h"
#include "mech/spi/handle.h"

/* Under libgssapi's list lock: only OID sets may be touched here; and whether a call is ours is
 * decided per call, since users, environment and files may change in a process. */
gss_OID_set gss_mech_interposer(gss_OID own)
{
    OM_uint32 major, minor;
    gss_OID_set set = GSS_C_NO_OID_SET;

    if (own == NULL || gss_create_empty_oid_set(&minor, &set) != GSS_S_COMPLETE) {
        return NULL;
    }
    /* The same library under a second OID: the first one interposes, an empty set declines. (NULL
     * would have us asked again at every gss_indicate_mechs.) */
    if ((kb_mech_own().len == 0 && !kb_mechs_init(own)) ||
        !kb_equal(kb_mech_own(), kb_bytes_of(own->elements, own->length))) {
        return set;
    }
    major = gss_add_oid_set_member(&minor, gss_mech_krb5, &set);
    if (major == GSS_S_COMPLETE) {
        major = gss_add_oid_set_member(&minor, gss_mech_krb5_old, &set);
    }
    if (major == GSS_S_COMPLETE) {
        major = gss_add_oid_set_member(&minor, gss_mech_krb5_wrong, &set);
    }
    if (major != GSS_S_COMPLETE) {
        gss_release_oid_set(&minor, &set);
        return NULL;
    }
    return set;
}

OM_uint32 gssi_indicate_mechs(OM_uint32 *minor, gss_OID_set *out)
{
    KB_ENTER(minor);
    return kb_mech_set(minor, kb_mech_krb5(), out);
}

OM_uint32 gssi_inquire_attrs_for_mech(OM_uint32 *minor, gss_const_OID oid, gss_OID_set *attrs,
                                      gss_OID_set *known)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);

    /* Our own OID: no attributes, so nobody negotiates it. */
    return mech != NULL ? gss_inquire_attrs_for_mech(minor, &mech->inner, attrs, known)
                        : GSS_S_COMPLETE;
}

OM_uint32 gssi_inquire_names_for_mech(OM_uint32 *minor, gss_OID oid, gss_OID_set *types)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);
    gss_OID_desc inner;

    if (mech == NULL) {
        return kb_bad_mech(minor);
    }
    inner = mech->inner;
    return gss_inquire_names_for_mech(minor, &inner, types);
}

/* These two would come back to us if they were passed on; libgssapi asks the platform's mechanism
 * instead, so they only have to be true. The names: RFC 5801 11.1, and MIT's. */
static const gss_buffer_desc sasl_gs2 = {8, (void *)(uintptr_t) "GS2-KRB5"};

OM_uint32 gssi_inquire_saslname_for_mech(OM_uint32 *minor, const gss_OID oid,
                                         gss_buffer_t sasl_name, gss_buffer_t mech_name,
                                         gss_buffer_t description)
{
    KB_ENTER(minor);
    static const kb_bytes texts[3] = {{(const uint8_t *)"GS2-KRB5", 8},
                                      {(const uint8_t *)"krb5", 4},
                                      {(const uint8_t *)"Kerberos 5 GSS-API Mechanism", 28}};
    const gss_buffer_t outs[3] = {sasl_name, mech_name, description};
    OM_uint32 major = GSS_S_COMPLETE, ignored;

    if (kb_mech_find(oid) != kb_mech_krb5()) {
        return kb_bad_mech(minor);
    }
    for (unsigned i = 0; i < 3; i++) {
        kb_give_nothing(outs[i]);
    }
    for (unsigned i = 0; i < 3 && major == GSS_S_COMPLETE; i++) {
        major = outs[i] != NULL ? kb_give_bytes(minor, texts[i], outs[i]) : GSS_S_COMPLETE;
    }
    for (unsigned i = 0; i < 3 && major != GSS_S_COMPLETE; i++) {
        gss_release_buffer(&ignored, outs[i]);
    }
    return major;
}

OM_uint32 gssi_inquire_mech_for_saslname(OM_uint32 *minor, const gss_buffer_t sasl_name,
                                         gss_OID *out)
{
    KB_ENTER(minor);
    if (!kb_equal(kb_bytes_of_buffer(sasl_name), kb_bytes_of_buffer(&sasl_gs2))) {
        return kb_bad_mech(minor);
    }
    if (out != NULL) {
        *out = kb_mech_krb5()->oid;
    }
    return GSS_S_COMPLETE;
}

/* Under libgssapi's list lock, at nearly every release of a name: pointers are compared, nothing
 * else. We hand out libgssapi's own OIDs only, which its own mechanism knows; none of ours. */
OM_uint32 gssi_internal_release_oid(OM_uint32 *minor, gss_OID *oid)
{
    (void)oid;
    if (minor != NULL) {
        *minor = 0;
    }
    return GSS_S_CONTINUE_NEEDED;
}

OM_uint32 gssi_mech_invoke(OM_uint32 *minor, const gss_OID oid, const gss_OID object,
                           gss_buffer_t value)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);
    gss_OID_desc inner;

    if (oid == GSS_C_NO_OID) { /* how libgssapi passes our own OID */
        return kb_call_process(minor, object, value);
    }
    if (mech == NULL) {
        return kb_unsupported_minor(minor);
    }
    inner = mech->inner;
    return gssspi_mech_invoke(minor, &inner, object, value);
}
