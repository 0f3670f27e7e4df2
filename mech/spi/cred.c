/* cred.c - credentials: asked about, changed, stored, released. */
#include <stdlib.h>

#include "mech/login/login.h"
#include "mech/options/settings.h"
#include "mech/spi/call.h"
#include "mech/spi/credstate.h"
#include "mech/spi/decide.h"
#include "mech/spi/fail.h"

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
    kb_cred_wipe(cred);
    free(cred->client);
    cred->tag = 0;
    free(cred);
    return GSS_S_COMPLETE;
}

struct kb_gss_cred *kb_cred_new(const struct kb_mech *mech, enum kb_cred_kind kind,
                                const struct kb_applicant *applicant,
                                const struct kb_options *options)
{
    struct kb_gss_cred *cred = calloc(1, sizeof(*cred));
    char *client = applicant->client.len > 0 ? kb_strdup(applicant->client) : NULL;

    if (cred == NULL || (applicant->client.len > 0 && client == NULL)) {
        free(client);
        free(cred);
        return NULL;
    }
    cred->tag = KB_TAG_CRED;
    cred->kind = kind;
    cred->mech = mech;
    cred->client = client;
    cred->own_identity = applicant->own_identity;
    cred->options = options != NULL ? kb_options_ref(options) : NULL;
    return cred;
}

/* -1: before the first login. Never 0, which a program may take for expired; never more than it
 * asked for. */
static OM_uint32 seconds(const struct kb_gss_cred *cred, int64_t left)
{
    OM_uint32 most = cred != NULL && cred->asked_life != 0 ? cred->asked_life : GSS_C_INDEFINITE;

    return left < 0 || left >= most ? most : left == 0 ? 1 : (OM_uint32)left;
}

OM_uint32 kb_cred_lifetime(struct kb_gss_cred *cred)
{
    struct kb_cred_view view;
    OM_uint32 left;

    kb_cred_look(cred, &view);
    left = seconds(cred, view.identity != NULL ? kb_login_lifetime(view.identity) : -1);
    kb_cred_view_wipe(&view);
    return left;
}

/* --- asked about ---------------------------------------------------------------------------------
 */

/* What an initiator's credential of ours answers: the user, without looking at the secret. For a
 * default one that is the user of no target in particular. KB_PLATFORMS: there is none. */
static enum kb_whose whose_name(struct kb_gss_cred *cred, const struct kb_options **out,
                                struct kb_error *err)
{
    struct kb_cred_view view;
    enum kb_status st = KB_ERROR;
    bool bound;

    if (cred == NULL) {
        return kb_decide_init(NULL, KB_NONE, out, err);
    }
    kb_cred_look(cred, &view);
    bound = view.bound;
    if (bound) {
        st = kb_cred_view_resolve(&view, err);
        *out = st == KB_OK ? kb_options_ref(view.options) : NULL;
    }
    kb_cred_view_wipe(&view);
    if (!bound) {
        return kb_decide_init(cred, KB_NONE, out, err);
    }
    return st == KB_OK ? KB_OURS : KB_REFUSED;
}

/* What there is to be asked about a credential. NULL: not asked for. */
struct answers {
    gss_name_t *name;
    OM_uint32 *lifetime, *accept_lifetime;
    int *usage;
};

/* The initiating half: whose it is, and for how long. Indefinite before the first login, never 0,
 * also where the secret cannot be read: the first context says that. */
static OM_uint32 answer_initiator(OM_uint32 *minor, struct kb_gss_cred *cred,
                                  const struct kb_mech *mech, const struct kb_options *options,
                                  const struct answers *answers)
{
    const struct kb_principal *user = options->user, *logged_in = NULL;
    struct kb_identity *identity = NULL;
    struct kb_error err = {0};
    OM_uint32 major = GSS_S_COMPLETE;

    if (kb_decide_identity(cred, options, &identity, &err) == KB_OK && user == NULL) {
        user = kb_identity_principal(identity); /* the keytab's first */
    }
    if (identity != NULL && answers->name != NULL) {
        logged_in = kb_login_client(identity);
        user = logged_in != NULL ? logged_in : user;
    }
    if (answers->lifetime != NULL) {
        *answers->lifetime = seconds(cred, identity != NULL ? kb_login_lifetime(identity) : -1);
    }
    if (answers->name != NULL) {
        major = user != NULL ? kb_name_of_principal(minor, mech, user, answers->name)
                             : kb_fail(minor, &err);
    }
    kb_principal_free(logged_in);
    kb_identity_put(identity);
    return major;
}

static OM_uint32 answer_ours(OM_uint32 *minor, struct kb_gss_cred *cred, const struct kb_mech *mech,
                             const struct kb_options *options, const struct answers *answers)
{
    gss_OID_desc inner = mech->inner;
    OM_uint32 accept_lifetime = 0, major = GSS_S_COMPLETE;
    int usage = cred != NULL ? cred->usage : GSS_C_INITIATE;

    if (usage == GSS_C_BOTH) {
        major = gss_inquire_cred_by_mech(minor, cred->inner, &inner, NULL, NULL, &accept_lifetime,
                                         NULL);
    }
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    if (answers->accept_lifetime != NULL) {
        *answers->accept_lifetime = accept_lifetime;
    }
    if (answers->usage != NULL) {
        *answers->usage = usage;
    }
    return answer_initiator(minor, cred, mech, options, answers);
}

static OM_uint32 answer_inner(OM_uint32 *minor, struct kb_gss_cred *cred,
                              const struct kb_mech *mech, const struct answers *answers)
{
    gss_OID_desc inner = mech->inner;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major;

    major = gss_inquire_cred_by_mech(minor, cred != NULL ? cred->inner : GSS_C_NO_CREDENTIAL,
                                     &inner, answers->name != NULL ? &name : NULL,
                                     answers->lifetime, answers->accept_lifetime, answers->usage);
    if (major == GSS_S_COMPLETE && answers->name != NULL) {
        major = kb_name_take(minor, mech, name, answers->name);
    }
    return major;
}

/* For all but the platform's own credentials; NULL: the default one. */
static OM_uint32 answer(OM_uint32 *minor, struct kb_gss_cred *cred, const struct kb_mech *mech,
                        const struct answers *answers)
{
    const struct kb_options *options = NULL;
    struct kb_standing standing = kb_standing_now();
    struct kb_error err = {0};
    OM_uint32 major;

    if (cred == NULL && !standing.ours && !standing.disabled) {
        return answer_inner(minor, NULL, mech, answers);
    }
    switch (whose_name(cred, &options, &err)) {
    case KB_OURS:
    case KB_HANDED_OVER:
        major = answer_ours(minor, cred, mech, options, answers);
        break;
    case KB_PLATFORMS:
        major = answer_inner(minor, cred, mech, answers);
        break;
    default:
        major = kb_fail(minor, &err);
        break;
    }
    kb_options_put(options);
    return major;
}

/* The platform's own has an answer for the credential as a whole. */
static OM_uint32 inquire_inner(OM_uint32 *minor, struct kb_gss_cred *cred, gss_name_t *name,
                               OM_uint32 *lifetime, int *usage)
{
    gss_name_t inner = GSS_C_NO_NAME;
    OM_uint32 major;

    major =
        gss_inquire_cred(minor, cred->inner, name != NULL ? &inner : NULL, lifetime, usage, NULL);
    if (major == GSS_S_COMPLETE && name != NULL) {
        major = kb_name_take(minor, cred->mech, inner, name);
    }
    return major;
}

OM_uint32 gssi_inquire_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_name_t *name,
                            OM_uint32 *lifetime, int *usage, gss_OID_set *mechs)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);
    const struct kb_mech *mech = cred != NULL ? cred->mech : kb_mech_krb5();
    struct answers answers = {.name = name, .lifetime = lifetime, .usage = usage};
    OM_uint32 major, ignored;

    if (handle != GSS_C_NO_CREDENTIAL && cred == NULL) {
        return kb_bad_cred(minor);
    }
    major = cred != NULL && cred->kind == KB_CRED_PLATFORM
                ? inquire_inner(minor, cred, name, lifetime, usage)
                : answer(minor, cred, mech, &answers);
    if (major == GSS_S_COMPLETE) {
        major = kb_mech_set(minor, mech, mechs);
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
    struct answers answers = {name, lifetime, accept_lifetime, usage};

    if (mech == NULL) {
        return kb_bad_mech(minor);
    }
    if (handle != GSS_C_NO_CREDENTIAL && cred == NULL) {
        return kb_bad_cred(minor);
    }
    return cred != NULL && cred->kind == KB_CRED_PLATFORM
               ? answer_inner(minor, cred, mech, &answers)
               : answer(minor, cred, mech, &answers);
}

/* --- changed, stored -----------------------------------------------------------------------------
 */

OM_uint32 gssi_inquire_cred_by_oid(OM_uint32 *minor, const gss_cred_id_t handle,
                                   const gss_OID object, gss_buffer_set_t *data)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);

    kb_bytes name;

    if (cred == NULL) {
        return kb_bad_cred(minor);
    }
    if (data != NULL) {
        *data = GSS_C_NO_BUFFER_SET;
    }
    if (kb_call_of(object, &name) != KB_CALL_QUERY) {
        return cred->kind == KB_CRED_PLATFORM
                   ? gss_inquire_cred_by_oid(minor, cred->inner, object, data)
                   : kb_unsupported_minor(minor);
    }
    return cred->kind == KB_CRED_PLATFORM ? kb_platforms_minor(minor)
                                          : kb_call_ask_cred(minor, cred, name, data);
}

/* gss_krb5_set_allowable_enctypes(3): the value is this struct of libgssapi's. */
struct allowable_enctypes {
    OM_uint32 num;
    const int32_t *etypes; /* NULL: all again */
};

/* 1.2.840.113554.1.2.2.5.4 */
static bool is_set_allowable_enctypes(const gss_OID object)
{
    static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x05, 0x04};

    return object != GSS_C_NO_OID && object->length == sizeof(oid) &&
           memcmp(object->elements, oid, sizeof(oid)) == 0;
}

static OM_uint32 allow_enctypes(OM_uint32 *minor, struct kb_gss_cred *cred, const gss_OID object,
                                const gss_buffer_t value)
{
    struct allowable_enctypes req;
    struct kb_error err = {0};
    size_t num = 0;

    if (value == GSS_C_NO_BUFFER || value->length != sizeof(req)) {
        return kb_unsupported_minor(minor);
    }
    memcpy(&req, value->value, sizeof(req));
    while (req.etypes != NULL && num < req.num && req.etypes[num] != 0) {
        num++;
    }
    if (req.etypes != NULL && num == 0) {
        (void)kb_error_set(&err, KB_E_NO_ENCTYPE, "The program allows no encryption type at all");
        return kb_fail(minor, &err);
    }
    if (kb_cred_allow(cred, req.etypes, num, &err) != KB_OK) {
        return kb_fail(minor, &err);
    }
    return cred->inner != GSS_C_NO_CREDENTIAL
               ? gss_set_cred_option(minor, &cred->inner, object, value)
               : GSS_S_COMPLETE;
}

OM_uint32 gssi_set_cred_option(OM_uint32 *minor, gss_cred_id_t *handle, const gss_OID object,
                               const gss_buffer_t value)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = handle != NULL ? kb_cred_of(*handle) : NULL;
    kb_bytes name;

    if (cred == NULL) {
        return kb_unsupported_minor(minor);
    }
    if (cred->kind == KB_CRED_PLATFORM) {
        return kb_call_of(object, &name) != KB_CALL_OTHER
                   ? kb_platforms_minor(minor)
                   : gss_set_cred_option(minor, &cred->inner, object, value);
    }
    if (kb_oid_equal(object, GSS_KRB5_CRED_NO_CI_FLAGS_X)) {
        atomic_store(&cred->no_ci_flags, true);
        return GSS_S_COMPLETE;
    }
    if (is_set_allowable_enctypes(object)) {
        return allow_enctypes(minor, cred, object, value);
    }
    return kb_call_cred(minor, cred, object, value);
}

/* SPNEGO's own call; a krb5 credential has no use for it. */
OM_uint32 gssi_set_neg_mechs(OM_uint32 *minor, gss_cred_id_t handle, const gss_OID_set mechs)
{
    KB_ENTER(minor);
    struct kb_gss_cred *cred = kb_cred_of(handle);

    if (cred == NULL) {
        return kb_bad_cred(minor);
    }
    return cred->kind == KB_CRED_PLATFORM ? gss_set_neg_mechs(minor, cred->inner, mechs)
                                          : kb_unsupported_minor(minor);
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
    if (cred->kind != KB_CRED_PLATFORM) {
        return kb_unsupported_minor(minor);
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
