/* acquire.c - credentials: acquired. No network and no string-to-key here, but for a password that
 * the program hands over, maybe only to have it checked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mech/login/auto.h"
#include "mech/login/login.h"
#include "mech/login/tell.h"
#include "mech/options/layers.h"
#include "mech/options/show.h"
#include "mech/spi/brought.h"
#include "mech/spi/credstate.h"
#include "mech/spi/decide.h"
#include "mech/spi/fail.h"
#include "mech/spi/twin.h"

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

/* --- the platform's ------------------------------------------------------------------------------
 */

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

static OM_uint32 acquire_platforms(OM_uint32 *minor, const struct request *req,
                                   const struct kb_mech *mech, gss_cred_id_t *out,
                                   OM_uint32 *time_rec)
{
    gss_cred_id_t inner = GSS_C_NO_CREDENTIAL;
    OM_uint32 major = acquire_inner(minor, req, mech, &inner, time_rec);

    return major == GSS_S_COMPLETE ? kb_cred_take(minor, mech, inner, out) : major;
}

/* What the platform is told of, or what concerns Kerbside alone. */
static bool has_place(enum kb_option_id id)
{
    static const enum kb_option_id ids[] = {
        KB_OPT_User,    KB_OPT_Password,  KB_OPT_KeytabFile, KB_OPT_CredentialsCacheFile,
        KB_OPT_Enabled, KB_OPT_LogLevel,  KB_OPT_LogFile,    KB_OPT_UsePlatformKerberosAPI,
        KB_OPT_Config,  KB_OPT_AuthToken, KB_OPT_NameType,
    };
    bool has = (kb_option_rows[id].flags & KB_OPT_READ_ONLY) != 0;

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        has = has || ids[i] == id;
    }
    return has;
}

/* What has no place in the platform's interface is said in the log. */
static void tell_what_is_left(const struct kb_options *options)
{
    struct kb_events *events;
    struct kb_buf names;
    unsigned num = 0;

    kb_buf_init(&names, 2000);
    for (unsigned id = 0; id < KB_OPT_NUM; id++) {
        if (kb_options_origin(options, id)->layer > KB_LAYER_KRB5CONF && !has_place(id)) {
            kb_buf_printf(&names, "%s%s", num++ > 0 ? ", " : "", kb_option_rows[id].name);
        }
    }
    if (num > 0) {
        events = kb_tell_events(options, NULL);
        kb_event_not_handed_over(events, kb_buf_str(&names), num > 1);
        kb_events_free(events);
    }
    kb_buf_wipe(&names);
}

/* A cache for the tickets of a keytab that is handed over. In the default one the platform would
 * take whoever is there for the keytab's owner, or leave the owner there for every program. It is
 * another one when the keytab is changed. */
static char *private_cache(const struct kb_options *options)
{
    const char *path = options->keytab_file;
    struct kb_buf name;
    struct stat info;

    if (stat(strncmp(path, "FILE:", 5) == 0 ? path + 5 : path, &info) != 0) {
        memset(&info, 0, sizeof(info)); /* the platform says what is wrong with it */
    }
    kb_buf_init(&name, KB_NAME_MAX);
    kb_buf_printf(&name, "MEMORY:kerbside-%lu-%llx-%llx-%llx.%lx-", (unsigned long)options->euid,
                  (unsigned long long)info.st_dev, (unsigned long long)info.st_ino,
                  (unsigned long long)info.st_mtim.tv_sec, (unsigned long)info.st_mtim.tv_nsec);
    kb_buf_add_str(&name, options->user_name != NULL ? options->user_name : "");
    return kb_buf_take(&name, NULL);
}

static OM_uint32 acquire_by_keytab(OM_uint32 *minor, const struct kb_options *options,
                                   gss_name_t name, gss_OID_set set, int usage, gss_cred_id_t *out)
{
    char *cache = private_cache(options);
    gss_key_value_element_desc elements[] = {{"client_keytab", options->keytab_file},
                                             {"ccache", cache}};
    gss_key_value_set_desc store = {2, elements};
    OM_uint32 major;

    if (cache == NULL) {
        return kb_no_memory(minor);
    }
    major =
        gss_acquire_cred_from(minor, name, GSS_C_INDEFINITE, set, usage, &store, out, NULL, NULL);
    free(cache);
    return major;
}

static OM_uint32 acquire_by_cache(OM_uint32 *minor, const struct kb_options *options,
                                  gss_name_t name, gss_OID_set set, int usage, gss_cred_id_t *out)
{
    gss_key_value_element_desc elements[] = {{"ccache", options->ccache}};
    gss_key_value_set_desc store = {1, elements};

    return gss_acquire_cred_from(minor, name, GSS_C_INDEFINITE, set, usage, &store, out, NULL,
                                 NULL);
}

/* With UsePlatformKerberosAPI=True: the configured user, by its keytab, password or cache. */
OM_uint32 kb_acquire_handed_over(OM_uint32 *minor, const struct kb_mech *mech,
                                 const struct kb_options *options, int usage, gss_cred_id_t *out)
{
    gss_OID_desc oid = mech->inner;
    gss_OID_set_desc set = {1, &oid};
    gss_name_t name = GSS_C_NO_NAME, user = GSS_C_NO_NAME;
    struct kb_error err = {0};
    kb_bytes password;
    gss_buffer_desc secret;
    OM_uint32 ignored, major = GSS_S_COMPLETE;

    tell_what_is_left(options);
    if (options->user != NULL) {
        major = kb_name_of_principal(minor, mech, options->user, &user);
        if (major == GSS_S_COMPLETE) {
            major = kb_name_inner(minor, user, &name);
        }
    }
    if (major == GSS_S_COMPLETE && options->keytab_file != NULL) {
        major = acquire_by_keytab(minor, options, name, &set, usage, out);
    } else if (major == GSS_S_COMPLETE && options->password != NULL) {
        if (kb_options_password(options, &password, &err) != KB_OK) {
            major = kb_fail_login(minor, options, NULL, &err);
        } else {
            secret = (gss_buffer_desc){password.len, (void *)(uintptr_t)password.ptr};
            major = gss_acquire_cred_with_password(minor, name, &secret, GSS_C_INDEFINITE, &set,
                                                   usage, out, NULL, NULL);
            kb_free_secret(secret.value, secret.length);
        }
    } else if (major == GSS_S_COMPLETE && options->ccache != NULL && !kb_auto_is(options)) {
        major = acquire_by_cache(minor, options, name, &set, usage, out);
    } else if (major == GSS_S_COMPLETE) {
        major = gss_acquire_cred(minor, name, GSS_C_INDEFINITE, &set, usage, out, NULL, NULL);
    }
    gssi_release_name(&ignored, &user);
    return major;
}

static OM_uint32 acquire_handed_over(OM_uint32 *minor, const struct request *req,
                                     const struct kb_mech *mech, const struct kb_options *options,
                                     gss_cred_id_t *out, OM_uint32 *time_rec)
{
    gss_cred_id_t inner = GSS_C_NO_CREDENTIAL;
    OM_uint32 major = kb_acquire_handed_over(minor, mech, options, req->usage, &inner);

    if (major == GSS_S_COMPLETE && time_rec != NULL) {
        major = gss_inquire_cred(minor, inner, NULL, time_rec, NULL, NULL);
    }
    return major == GSS_S_COMPLETE ? kb_cred_take(minor, mech, inner, out) : major;
}

/* --- ours ----------------------------------------------------------------------------------------
 */

/* The accept half of one for both, at once: a missing half is an error, never a fallback. */
static OM_uint32 acquire_accept_half(OM_uint32 *minor, const struct request *req,
                                     struct kb_gss_cred *cred)
{
    struct request accept = *req;

    if (req->usage != GSS_C_BOTH) {
        return GSS_S_COMPLETE;
    }
    accept.usage = GSS_C_ACCEPT;
    accept.password = NULL;
    return acquire_inner(minor, &accept, cred->mech, &cred->inner, NULL);
}

/* Logs in with a password that the program handed over; once for krb5 and for SPNEGO above it. */
static OM_uint32 log_in(OM_uint32 *minor, struct kb_gss_cred *cred, kb_bytes request)
{
    struct kb_login login = {.options = cred->options};
    struct kb_credential *tgt = NULL;
    struct kb_identity *identity = NULL;
    struct kb_error err = {0};

    if (!kb_twin_take(request, &identity, &err)) {
        if (kb_decide_identity(cred, cred->options, &login.identity, &err) == KB_OK) {
            identity = login.identity;
            if (kb_login_tgt(&login, &tgt, &err) != KB_OK) {
                kb_identity_put(identity);
                identity = NULL;
            }
            kb_credential_free(tgt);
        }
        kb_twin_put(request, identity, &err);
    }
    if (identity == NULL) {
        return kb_fail_login(minor, cred->options, NULL, &err);
    }
    kb_cred_keep_identity(cred, identity);
    return GSS_S_COMPLETE;
}

static OM_uint32 acquire_ours(OM_uint32 *minor, const struct request *req, struct kb_gss_cred *cred,
                              const struct kb_brought *brought)
{
    struct kb_error err = {0};
    OM_uint32 major;

    if (brought->verify) {
        (void)kb_error_set(
            &err, KB_E_UNSUPPORTED,
            "The cred store's key \"verify\" (a proof of the KDC by a keytab) is not "
            "supported");
        return kb_fail(minor, &err);
    }
    major = acquire_accept_half(minor, req, cred);
    if (major == GSS_S_COMPLETE && brought->log_in_now && cred->options != NULL) {
        major = log_in(minor, cred, kb_buf_bytes(&brought->key));
    }
    return major;
}

static OM_uint32 make_ours(OM_uint32 *minor, const struct request *req, const struct kb_mech *mech,
                           const struct kb_applicant *applicant, struct kb_brought *brought,
                           enum kb_cred_kind kind, const struct kb_options *options,
                           gss_cred_id_t *out, OM_uint32 *time_rec)
{
    struct kb_gss_cred *cred = kb_cred_new(mech, kind, applicant, options);
    gss_cred_id_t handle = (gss_cred_id_t)cred;
    OM_uint32 major, ignored;

    if (cred == NULL) {
        return kb_no_memory(minor);
    }
    cred->usage = req->usage;
    cred->asked_life = brought->life;
    cred->own_secret = brought->own != NULL && kb_settings_has_secret(brought->own);
    atomic_store(&cred->own, brought->own); /* goes over */
    brought->own = NULL;
    major = acquire_ours(minor, req, cred, brought);
    if (major != GSS_S_COMPLETE) {
        gssi_release_cred(&ignored, &handle);
        return major;
    }
    if (time_rec != NULL) {
        *time_rec = kb_cred_lifetime(cred);
    }
    *out = handle;
    return GSS_S_COMPLETE;
}

/* --- which ---------------------------------------------------------------------------------------
 */

/* Options that a program gave, and that then do nothing, should not vanish. */
static void tell_unused(const struct kb_brought *brought)
{
    struct kb_events *events;

    if (brought->own != NULL && !brought->only_life && !brought->platforms) {
        events = kb_tell_events(NULL, NULL);
        kb_event_store_unused(events);
        kb_events_free(events);
    }
}

static OM_uint32 acquire_decided(OM_uint32 *minor, struct request *req, const struct kb_mech *mech,
                                 const struct kb_applicant *applicant, struct kb_brought *brought,
                                 gss_cred_id_t *out, OM_uint32 *time_rec)
{
    enum kb_cred_kind kind = KB_CRED_PLATFORM;
    const struct kb_options *options = NULL;
    struct kb_error err = {0};
    enum kb_whose whose;
    OM_uint32 major;

    whose = brought->platforms ? KB_PLATFORMS : kb_decide_acquire(applicant, &kind, &options, &err);
    req->store = brought->rest.count > 0 ? &brought->rest : GSS_C_NO_CRED_STORE;
    switch (whose) {
    case KB_OURS:
        major = make_ours(minor, req, mech, applicant, brought, kind, options, out, time_rec);
        break;
    case KB_HANDED_OVER:
        /* A secret that the caller brought goes over as it came. */
        major = brought->log_in_now ? acquire_platforms(minor, req, mech, out, time_rec)
                                    : acquire_handed_over(minor, req, mech, options, out, time_rec);
        break;
    case KB_PLATFORMS:
        tell_unused(brought);
        major = acquire_platforms(minor, req, mech, out, time_rec);
        break;
    default:
        major = kb_fail(minor, &err);
        break;
    }
    kb_options_put(options);
    return major;
}

/* The principal that the caller named, and its text. KB_MALFORMED: not one that we can read. */
static enum kb_status read_client(gss_name_t name, struct kb_principal **out, struct kb_buf *text)
{
    struct kb_buf given;
    int32_t name_type;
    OM_uint32 minor;
    enum kb_status st = KB_MALFORMED;

    kb_buf_init(&given, KB_NAME_MAX);
    if (kb_name_client(&minor, name, &given, &name_type) == GSS_S_COMPLETE) {
        st = kb_options_client(kb_buf_bytes(&given), name_type, out);
    } else if (minor == ENOMEM) {
        st = KB_NO_MEMORY;
    }
    kb_buf_wipe(&given);
    if (st == KB_OK) {
        kb_principal_unparse(*out, text);
        st = text->status;
    }
    return st;
}

static OM_uint32 acquire_brought(OM_uint32 *minor, struct request *req, const struct kb_mech *mech,
                                 struct kb_applicant *applicant, bool ours, gss_cred_id_t *out,
                                 OM_uint32 *time_rec)
{
    struct kb_error err = {0};
    struct kb_brought brought;
    OM_uint32 major;

    if (kb_brought_init(&brought, ours, applicant->client, req->password, req->store, &err) ==
            KB_OK &&
        kb_brought_life(&brought, ours, req->time_req, req->store, &err) == KB_OK) {
        applicant->own = brought.own;
        applicant->own_identity = brought.own_identity;
        major = acquire_decided(minor, req, mech, applicant, &brought, out, time_rec);
    } else {
        major = kb_fail(minor, &err);
    }
    kb_brought_wipe(&brought);
    return major;
}

/* An initiator's credential may be ours. */
static OM_uint32 acquire_initiator(OM_uint32 *minor, struct request *req,
                                   const struct kb_mech *mech, gss_cred_id_t *out,
                                   OM_uint32 *time_rec)
{
    struct kb_standing standing = kb_standing_now();
    struct kb_applicant applicant = {.client = KB_NONE};
    struct kb_principal *principal = NULL;
    struct kb_buf client;
    enum kb_status st = KB_OK;
    OM_uint32 major;

    if (!standing.ours && !standing.disabled && req->store == GSS_C_NO_CRED_STORE) {
        return acquire_platforms(minor, req, mech, out, time_rec);
    }
    kb_buf_init(&client, KB_NAME_MAX);
    if (req->name != GSS_C_NO_NAME) {
        st = read_client(req->name, &principal, &client);
        applicant.principal = principal;
        applicant.client = kb_buf_bytes(&client);
    }
    if (st == KB_OK) {
        major = acquire_brought(minor, req, mech, &applicant, standing.ours, out, time_rec);
    } else if (st == KB_MALFORMED) {
        /* Not covered then; the platform says what is wrong with it. */
        major = acquire_platforms(minor, req, mech, out, time_rec);
    } else {
        major = kb_no_memory(minor);
    }
    kb_principal_free(principal);
    kb_buf_wipe(&client);
    return major;
}

static OM_uint32 acquire(OM_uint32 *minor, struct request *req, gss_cred_id_t *out,
                         gss_OID_set *actual, OM_uint32 *time_rec)
{
    const struct kb_mech *mech = kb_mech_in_set(req->mechs);
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
    major = req->usage == GSS_C_ACCEPT || req->impersonator != GSS_C_NO_CREDENTIAL
                ? acquire_platforms(minor, req, mech, out, time_rec)
                : acquire_initiator(minor, req, mech, out, time_rec);
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
    if (kb_cred_of(impersonator)->kind != KB_CRED_PLATFORM) {
        return kb_unsupported_minor(minor);
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
    if (kb_cred_of(impersonator)->kind != KB_CRED_PLATFORM) {
        return kb_unsupported_minor(minor);
    }
    return acquire(minor, &req, out, actual, usage == GSS_C_ACCEPT ? accept_time_rec : time_rec);
}
