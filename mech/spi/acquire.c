/* acquire.c - credentials: acquired. */
#include "mech/report/error.h"
#include "mech/spi/handle.h"

/* The arguments that every way of acquiring has. */
struct request {
    gss_name_t name;
    OM_uint32 time_req;
    gss_OID_set mechs;
    int usage;
    gss_const_key_value_set_t store;
    const gss_buffer_desc *password;
    gss_cred_id_t impersonator;
};

static OM_uint32 acquire_inner(OM_uint32 *minor, const struct request *req,
                               const struct kb_mech *mech, gss_cred_id_t *out, OM_uint32 *time_rec)
{
    gss_OID_desc oid = mech->inner;
    gss_OID_set_desc set = {1, &oid};
    struct kb_gss_cred *impersonator = kb_cred_of(req->impersonator);
    gss_name_t name;
    OM_uint32 major = kb_name_inner(minor, req->name, &name);

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    if (req->password != NULL) {
        gss_buffer_desc password = *req->password;

        return gss_acquire_cred_with_password(minor, name, &password, req->time_req, &set,
                                              req->usage, out, NULL, time_rec);
    }
    if (impersonator != NULL) {
        return gss_acquire_cred_impersonate_name(minor, impersonator->inner, name, req->time_req,
                                                 &set, req->usage, out, NULL, time_rec);
    }
    return gss_acquire_cred_from(minor, name, req->time_req, &set, req->usage, req->store, out,
                                 NULL, time_rec);
}

static OM_uint32 acquire(OM_uint32 *minor, const struct request *req, gss_cred_id_t *out,
                         gss_OID_set *actual, OM_uint32 *time_rec)
{
    const struct kb_mech *mech = kb_mech_in_set(req->mechs);
    gss_cred_id_t inner = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, ignored;

    if (out == NULL) {
        return GSS_S_CALL_INACCESSIBLE_WRITE;
    }
    *out = GSS_C_NO_CREDENTIAL;
    if (actual != NULL) {
        *actual = GSS_C_NO_OID_SET;
    }
    if (mech == NULL) {
        return kb_bad_mech(minor);
    }
    major = acquire_inner(minor, req, mech, &inner, time_rec);
    if (major == GSS_S_COMPLETE) {
        major = kb_cred_take(minor, mech, inner, out);
    }
    if (major == GSS_S_COMPLETE) {
        major = kb_mech_set(minor, mech, actual);
        if (major != GSS_S_COMPLETE) {
            gssi_release_cred(&ignored, out);
        }
    }
    return major;
}

OM_uint32 gssi_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 time_req,
                            gss_OID_set mechs, int usage, gss_cred_id_t *out, gss_OID_set *actual,
                            OM_uint32 *time_rec)
{
    KB_ENTER(minor);
    struct request req = {.name = name, .time_req = time_req, .mechs = mechs, .usage = usage};

    return acquire(minor, &req, out, actual, time_rec);
}

OM_uint32 gssi_acquire_cred_from(OM_uint32 *minor, gss_name_t name, OM_uint32 time_req,
                                 gss_OID_set mechs, int usage, gss_const_key_value_set_t store,
                                 gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec)
{
    KB_ENTER(minor);
    struct request req = {
        .name = name, .time_req = time_req, .mechs = mechs, .usage = usage, .store = store};

    return acquire(minor, &req, out, actual, time_rec);
}

OM_uint32 gssi_acquire_cred_with_password(OM_uint32 *minor, const gss_name_t name,
                                          const gss_buffer_t password, OM_uint32 time_req,
                                          const gss_OID_set mechs, int usage, gss_cred_id_t *out,
                                          gss_OID_set *actual, OM_uint32 *time_rec)
{
    KB_ENTER(minor);
    struct request req = {
        .name = name, .time_req = time_req, .mechs = mechs, .usage = usage, .password = password};

    return acquire(minor, &req, out, actual, time_rec);
}

OM_uint32 gssi_acquire_cred_impersonate_name(OM_uint32 *minor, const gss_cred_id_t impersonator,
                                             const gss_name_t name, OM_uint32 time_req,
                                             const gss_OID_set mechs, gss_cred_usage_t usage,
                                             gss_cred_id_t *out, gss_OID_set *actual,
                                             OM_uint32 *time_rec)
{
    KB_ENTER(minor);
    struct request req = {.name = name,
                          .time_req = time_req,
                          .mechs = mechs,
                          .usage = usage,
                          .impersonator = impersonator};

    if (kb_cred_of(impersonator) == NULL) {
        return kb_bad_cred(minor);
    }
    return acquire(minor, &req, out, actual, time_rec);
}

/* The mechglue keeps one element per mechanism and adds to its union itself, so a mechanism's own
 * add can only make an element anew, or find that it is there. It never calls this. */
OM_uint32 gssi_add_cred(OM_uint32 *minor, gss_cred_id_t in, gss_name_t name, gss_OID oid,
                        gss_cred_usage_t usage, OM_uint32 time_req, OM_uint32 accept_time_req,
                        gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec,
                        OM_uint32 *accept_time_rec)
{
    KB_ENTER(minor);
    gss_OID_set_desc set = {oid != NULL ? 1 : 0, oid};
    struct request req = {.name = name,
                          .time_req = usage == GSS_C_ACCEPT ? accept_time_req : time_req,
                          .mechs = &set,
                          .usage = usage};

    if (in != GSS_C_NO_CREDENTIAL) {
        *minor = kb_error_minor(KB_E_UNSUPPORTED);
        return GSS_S_DUPLICATE_ELEMENT;
    }
    return acquire(minor, &req, out, actual, usage == GSS_C_ACCEPT ? accept_time_rec : time_rec);
}

OM_uint32 gssi_add_cred_impersonate_name(OM_uint32 *minor, gss_cred_id_t in,
                                         const gss_cred_id_t impersonator, const gss_name_t name,
                                         const gss_OID oid, gss_cred_usage_t usage,
                                         OM_uint32 time_req, OM_uint32 accept_time_req,
                                         gss_cred_id_t *out, gss_OID_set *actual,
                                         OM_uint32 *time_rec, OM_uint32 *accept_time_rec)
{
    KB_ENTER(minor);
    gss_OID_set_desc set = {oid != NULL ? 1 : 0, oid};
    struct request req = {.name = name,
                          .time_req = usage == GSS_C_ACCEPT ? accept_time_req : time_req,
                          .mechs = &set,
                          .usage = usage,
                          .impersonator = impersonator};

    if (in != GSS_C_NO_CREDENTIAL) {
        *minor = kb_error_minor(KB_E_UNSUPPORTED);
        return GSS_S_DUPLICATE_ELEMENT;
    }
    if (kb_cred_of(impersonator) == NULL) {
        return kb_bad_cred(minor);
    }
    return acquire(minor, &req, out, actual, usage == GSS_C_ACCEPT ? accept_time_rec : time_rec);
}
