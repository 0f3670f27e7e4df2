/* handle.h - the structs behind our handles, and the check that a handle is one of them.
 *
 * A program holds libgssapi's union handles; what we are given is the part that we returned. Each
 * begins with a tag, checked at the boundary. `inner` is a union handle again: that of the
 * platform's mechanism. */
#ifndef KB_HANDLE_H
#define KB_HANDLE_H

#include <stdatomic.h>

#include "mech/login/identity.h"
#include "mech/names/target.h"
#include "mech/net/interrupt.h"
#include "mech/protocol/ap.h"
#include "mech/report/listener.h"
#include "mech/spi/forward.h"

enum kb_tag {
    KB_TAG_NAME = 0x4b424e01,
    KB_TAG_CRED = 0x4b424302,
    KB_TAG_CTX = 0x4b425803,
};

/* A name keeps what it was given; the platform's form is made when it is needed. */
struct kb_gss_name {
    enum kb_tag tag;
    const struct kb_mech *mech;
    _Atomic(gss_name_t) inner; /* NULL: not made yet */
    gss_OID type;              /* NULL: none given. In this block, or a static one of libgssapi */
    gss_buffer_desc text;      /* in this block; of length 0 for a name that the platform made */
    bool canonical;            /* the text is a whole principal, of our engine: shown as it is */
    gss_OID_desc type_desc;
};

/* A credential is the platform's, or ours and then bound or default. A default one decides for each
 * context by its target. */
struct kb_gss_cred {
    enum kb_tag tag;
    enum kb_cred_kind { KB_CRED_PLATFORM, KB_CRED_BOUND, KB_CRED_DEFAULT } kind;
    const struct kb_mech *mech;
    int usage;
    gss_cred_id_t inner; /* the platform's; of ours: the accept half of one for both, else NULL */
    /* Of ours: */
    OM_uint32 asked_life;              /* seconds, when it was acquired; 0: any */
    atomic_bool no_ci_flags;           /* GSS_KRB5_CRED_NO_CI_FLAGS_X */
    char *client;                      /* the name that the caller gave, as a principal; or NULL */
    _Atomic(struct kb_settings *) own; /* what the caller set; NULL: nothing. Made once */
    /* Of ours, guarded by the lock of credstate.h: */
    atomic_uint generation;           /* how often it was changed; read without the lock too */
    atomic_uint begun;                /* the generation of its last context, plus 1; no lock */
    bool own_identity;                /* a user, password, keytab or cache is in `own` */
    bool own_secret;                  /* more than a user is */
    const struct kb_options *options; /* a bound one's snapshot; NULL: to be resolved (again) */
    struct kb_identity *identity;     /* of an identity of its own, once it was needed … */
    unsigned identity_generation;     /* … by the options of then */
    struct kb_listener *listener;     /* its callbacks; NULL: none */
    struct kb_interrupt *interrupt;   /* NULL: nobody asked for it */
    struct kb_gss_cred *next_listed;  /* credstate.c's list of those with one of the last two */
    bool listed;
};

/* A context is the platform's (inner) or ours (ap, and what stands behind it: initiate.h). */
struct kb_gss_ctx {
    enum kb_tag tag;
    const struct kb_mech *mech;
    gss_ctx_id_t inner;
    struct kb_ap *ap;
    int64_t until; /* when the program wanted it to end, UTC seconds; INT64_MAX: never */
    bool dce_style;
    atomic_bool busy;               /* with a leg, whose callbacks may come here again */
    OM_uint32 failed, failed_minor; /* errors are sticky */
    struct kb_background *background;
};

/* kb_*_of checks a handle: NULL for one that is not ours (or is NULL). */
static inline struct kb_gss_name *kb_name_of(const void *handle)
{
    struct kb_gss_name *name = (struct kb_gss_name *)(uintptr_t)handle;

    return name != NULL && name->tag == KB_TAG_NAME ? name : NULL;
}

static inline struct kb_gss_cred *kb_cred_of(const void *handle)
{
    struct kb_gss_cred *cred = (struct kb_gss_cred *)(uintptr_t)handle;

    return cred != NULL && cred->tag == KB_TAG_CRED ? cred : NULL;
}

static inline struct kb_gss_ctx *kb_ctx_of(const void *handle)
{
    struct kb_gss_ctx *ctx = (struct kb_gss_ctx *)(uintptr_t)handle;

    return ctx != NULL && ctx->tag == KB_TAG_CTX ? ctx : NULL;
}

/* kb_unsupported_minor: GSS_S_UNAVAILABLE, for what our engine has no part in. */
OM_uint32 kb_unsupported_minor(OM_uint32 *minor);

/* kb_platforms_minor: GSS_S_UNAVAILABLE, for a call of ours on what the platform made. */
OM_uint32 kb_platforms_minor(OM_uint32 *minor);

/* kb_bad_*: the major for a handle that is none, the minor set. */
OM_uint32 kb_bad_name(OM_uint32 *minor);
OM_uint32 kb_bad_target(OM_uint32 *minor, kb_bytes name);
OM_uint32 kb_bad_cred(OM_uint32 *minor);
OM_uint32 kb_bad_ctx(OM_uint32 *minor);
OM_uint32 kb_bad_token(OM_uint32 *minor);
OM_uint32 kb_bad_qop(OM_uint32 *minor);
OM_uint32 kb_not_for_accepting(OM_uint32 *minor);

/* --- name.c --- */

/* kb_name_take makes a name of one that the platform gave; `inner` is released in any case. */
OM_uint32 kb_name_take(OM_uint32 *minor, const struct kb_mech *mech, gss_name_t inner,
                       gss_name_t *out);

/* kb_name_inner lends the platform's form, as long as the name lives. NULL gives GSS_C_NO_NAME. */
OM_uint32 kb_name_inner(OM_uint32 *minor, gss_name_t handle, gss_name_t *out);

/* kb_name_waits tells that a name has not been given to the platform yet: as happens only where the
 * process was ours when it was imported, which the mechglue does at every leg. */
bool kb_name_waits(gss_name_t handle);

/* kb_name_of_principal makes a name that shows itself as the whole principal. */
OM_uint32 kb_name_of_principal(OM_uint32 *minor, const struct kb_mech *mech,
                               const struct kb_principal *principal, gss_name_t *out);

#define KB_NAME_MAX 65536 /* bytes of a name's text */

/* kb_name_target reads a name as a service to ask a ticket for. The slices of *out point into the
 * name, or into `text` where the platform's form of it had to be asked. */
OM_uint32 kb_name_target(OM_uint32 *minor, gss_name_t handle, struct kb_buf *text,
                         struct kb_target *out);

/* kb_name_client appends a name's text and says how it is to be read (kb_options_client): as
 * service@host with KB_NT_SRV_HST, else as a principal. */
OM_uint32 kb_name_client(OM_uint32 *minor, gss_name_t handle, struct kb_buf *out,
                         int32_t *out_name_type);

/* --- cred.c --- */

/* kb_cred_take makes a credential of one of the platform's; `inner` is released on failure. */
OM_uint32 kb_cred_take(OM_uint32 *minor, const struct kb_mech *mech, gss_cred_id_t inner,
                       gss_cred_id_t *out);

struct kb_applicant;

/* kb_cred_new makes one of ours; it references `options` and copies the client's name. NULL: no
 * memory. */
struct kb_gss_cred *kb_cred_new(const struct kb_mech *mech, enum kb_cred_kind kind,
                                const struct kb_applicant *applicant,
                                const struct kb_options *options);

/* kb_cred_lifetime is what the TGT of one of ours has left in seconds; indefinite before the first
 * login. */
OM_uint32 kb_cred_lifetime(struct kb_gss_cred *cred);

/* --- acquire.c --- */

/* kb_acquire_handed_over acquires from the platform's mechanism the identity that is configured. */
OM_uint32 kb_acquire_handed_over(OM_uint32 *minor, const struct kb_mech *mech,
                                 const struct kb_options *options, int usage, gss_cred_id_t *out);

#endif
