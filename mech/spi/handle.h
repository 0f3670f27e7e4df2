/* handle.h - the structs behind our handles, and the check that a handle is one of them.
 *
 * A program holds libgssapi's union handles; what we are given is the part that we returned. Each
 * begins with a tag, checked at the boundary. `inner` is a union handle again: that of the
 * platform's mechanism. */
#ifndef KB_HANDLE_H
#define KB_HANDLE_H

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
    gss_OID type;              /* NULL: none given. In this block */
    gss_buffer_desc text;      /* in this block; of length 0 for a name that the platform made */
    gss_OID_desc type_desc;
};

struct kb_gss_cred {
    enum kb_tag tag;
    const struct kb_mech *mech;
    gss_cred_id_t inner;
};

struct kb_gss_ctx {
    enum kb_tag tag;
    const struct kb_mech *mech;
    gss_ctx_id_t inner; /* the platform's; NULL: ours */
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

/* kb_bad_*: the major for a handle that is none, the minor set. */
OM_uint32 kb_bad_name(OM_uint32 *minor);
OM_uint32 kb_bad_cred(OM_uint32 *minor);
OM_uint32 kb_bad_ctx(OM_uint32 *minor);

/* --- name.c --- */

/* kb_name_take makes a name of one that the platform gave; `inner` is released in any case. */
OM_uint32 kb_name_take(OM_uint32 *minor, const struct kb_mech *mech, gss_name_t inner,
                       gss_name_t *out);

/* kb_name_inner lends the platform's form, as long as the name lives. NULL gives GSS_C_NO_NAME. */
OM_uint32 kb_name_inner(OM_uint32 *minor, gss_name_t handle, gss_name_t *out);

/* --- cred.c --- */

/* kb_cred_take makes a credential of one of the platform's; `inner` is released on failure. */
OM_uint32 kb_cred_take(OM_uint32 *minor, const struct kb_mech *mech, gss_cred_id_t inner,
                       gss_cred_id_t *out);

#endif
