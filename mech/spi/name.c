/* name.c - names: what was given, and the platform's form of it. */
#include <stdatomic.h>
#include <stdlib.h>

#include "mech/spi/decide.h"
#include "mech/spi/handle.h"

/* One block: the struct, the bytes of the type's OID, the text. */
static struct kb_gss_name *name_new(const struct kb_mech *mech, kb_bytes text, gss_const_OID type)
{
    size_t type_len = type != NULL ? type->length : 0;
    struct kb_gss_name *name;
    uint8_t *tail;

    if (text.len > SIZE_MAX / 2) {
        return NULL;
    }
    name = calloc(1, sizeof(*name) + type_len + text.len + 1);
    if (name == NULL) {
        return NULL;
    }
    tail = (uint8_t *)(name + 1);
    name->tag = KB_TAG_NAME;
    name->mech = mech;
    if (type != NULL) {
        memcpy(tail, type->elements, type_len);
        name->type_desc = (gss_OID_desc){(OM_uint32)type_len, tail};
        name->type = &name->type_desc;
    }
    if (text.len > 0) {
        memcpy(tail + type_len, text.ptr, text.len);
    }
    name->text = (gss_buffer_desc){text.len, tail + type_len};
    return name;
}

static void name_free(struct kb_gss_name *name)
{
    gss_name_t inner = atomic_load(&name->inner);
    OM_uint32 ignored;

    if (inner != GSS_C_NO_NAME) {
        gss_release_name(&ignored, &inner);
    }
    name->tag = 0;
    free(name);
}

/* Imports text and type into the platform's mechanism. */
static OM_uint32 import_inner(OM_uint32 *minor, struct kb_gss_name *name, gss_name_t *out)
{
    OM_uint32 major, ignored;
    gss_OID_desc inner = name->mech->inner;
    gss_name_t general = GSS_C_NO_NAME;

    major = gss_import_name(minor, &name->text, name->type, &general);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    major = gss_canonicalize_name(minor, general, &inner, out);
    gss_release_name(&ignored, &general);
    return major;
}

OM_uint32 kb_name_inner(OM_uint32 *minor, gss_name_t handle, gss_name_t *out)
{
    struct kb_gss_name *name = kb_name_of(handle);
    OM_uint32 major, ignored;
    gss_name_t made = GSS_C_NO_NAME, before = GSS_C_NO_NAME;

    *out = GSS_C_NO_NAME;
    if (handle == GSS_C_NO_NAME) {
        return GSS_S_COMPLETE;
    }
    if (name == NULL) {
        return kb_bad_name(minor);
    }
    *out = atomic_load(&name->inner);
    if (*out != GSS_C_NO_NAME) {
        return GSS_S_COMPLETE;
    }
    major = import_inner(minor, name, &made);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    /* Two threads may use one name: the second one's import is dropped. */
    if (atomic_compare_exchange_strong(&name->inner, &before, made)) {
        *out = made;
    } else {
        gss_release_name(&ignored, &made);
        *out = before;
    }
    return GSS_S_COMPLETE;
}

OM_uint32 kb_name_of_principal(OM_uint32 *minor, const struct kb_mech *mech,
                               const struct kb_principal *principal, gss_name_t *out)
{
    struct kb_gss_name *name = NULL;
    struct kb_buf text;

    *out = GSS_C_NO_NAME;
    kb_buf_init(&text, KB_NAME_MAX);
    kb_principal_unparse(principal, &text);
    if (text.status == KB_OK) {
        name = name_new(mech, kb_buf_bytes(&text), NULL);
    }
    kb_buf_wipe(&text);
    if (name == NULL) {
        return kb_no_memory(minor);
    }
    name->type = GSS_KRB5_NT_PRINCIPAL_NAME;
    name->canonical = true;
    *out = (gss_name_t)name;
    return GSS_S_COMPLETE;
}

/* How a name type that consumers use is read; others are the platform's business. */
enum reading { READ_INNER, READ_PRINCIPAL, READ_ENTERPRISE, READ_HOST_BASED };

static enum reading reading_of(const struct kb_gss_name *name)
{
    const struct {
        gss_OID type;
        enum reading reading;
    } rows[] = {
        {GSS_C_NT_HOSTBASED_SERVICE, READ_HOST_BASED},
        {GSS_C_NT_HOSTBASED_SERVICE_X, READ_HOST_BASED},
        {GSS_KRB5_NT_PRINCIPAL_NAME, READ_PRINCIPAL},
        {GSS_C_NT_USER_NAME, READ_PRINCIPAL},
        {GSS_KRB5_NT_ENTERPRISE_NAME, READ_ENTERPRISE},
    };

    if (name->text.length == 0) {
        return READ_INNER;
    }
    if (name->type == GSS_C_NO_OID) {
        return READ_PRINCIPAL;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (kb_oid_equal(name->type, rows[i].type)) {
            return rows[i].reading;
        }
    }
    return READ_INNER;
}

/* Appends the platform's form as text. */
static OM_uint32 display_inner(OM_uint32 *minor, gss_name_t handle, struct kb_buf *out)
{
    gss_buffer_desc shown = GSS_C_EMPTY_BUFFER;
    gss_name_t inner;
    OM_uint32 ignored, major = kb_name_inner(minor, handle, &inner);

    if (major == GSS_S_COMPLETE) {
        major = gss_display_name(minor, inner, &shown, NULL);
    }
    if (major == GSS_S_COMPLETE) {
        kb_buf_add(out, kb_bytes_of_buffer(&shown));
        gss_release_buffer(&ignored, &shown);
        major = out->status == KB_OK ? GSS_S_COMPLETE : kb_no_memory(minor);
    }
    return major;
}

OM_uint32 kb_name_target(OM_uint32 *minor, gss_name_t handle, struct kb_buf *text,
                         struct kb_target *out)
{
    struct kb_gss_name *name = kb_name_of(handle);
    enum reading reading;
    OM_uint32 major;
    kb_bytes bytes;

    if (name == NULL) {
        return kb_bad_name(minor);
    }
    reading = reading_of(name);
    bytes = kb_bytes_of_buffer(&name->text);
    if (reading == READ_INNER || reading == READ_ENTERPRISE) {
        major = display_inner(minor, handle, text);
        if (major != GSS_S_COMPLETE) {
            return major;
        }
        bytes = kb_buf_bytes(text);
    }
    return kb_target_init(out, bytes, reading == READ_HOST_BASED) == KB_OK
               ? GSS_S_COMPLETE
               : kb_bad_target(minor, bytes);
}

OM_uint32 kb_name_client(OM_uint32 *minor, gss_name_t handle, struct kb_buf *out,
                         int32_t *out_name_type)
{
    struct kb_gss_name *name = kb_name_of(handle);
    enum reading reading;

    *out_name_type = KB_NT_PRINCIPAL;
    if (name == NULL) {
        return kb_bad_name(minor);
    }
    reading = reading_of(name);
    if (reading != READ_INNER) {
        *out_name_type = reading == READ_HOST_BASED   ? KB_NT_SRV_HST
                         : reading == READ_ENTERPRISE ? KB_NT_ENTERPRISE
                                                      : KB_NT_PRINCIPAL;
        kb_buf_add(out, kb_bytes_of_buffer(&name->text));
    } else {
        return display_inner(minor, handle, out);
    }
    return out->status == KB_OK ? GSS_S_COMPLETE : kb_no_memory(minor);
}

/* Whether a name may wait with its import into the platform until that is asked for. The platform
 * takes what it wants to refuse at once, and so it must where nothing is configured for us; the
 * import costs it the reading of krb5.conf, which a name of ours mostly saves. */
static bool may_wait(const struct kb_gss_name *name)
{
    const struct kb_principal *principal;
    struct kb_target target;
    enum reading reading = reading_of(name);

    if (!kb_standing_lately().ours) { /* wrongly so, it is imported later, or for nothing */
        return false;
    }
    if (reading == READ_HOST_BASED) {
        return kb_target_init(&target, kb_bytes_of_buffer(&name->text), true) == KB_OK;
    }
    if (reading != READ_PRINCIPAL ||
        kb_principal_parse(kb_bytes_of_buffer(&name->text), KB_NT_PRINCIPAL, KB_NONE,
                           (struct kb_principal **)(uintptr_t)&principal) != KB_OK) {
        return false;
    }
    kb_principal_free(principal);
    return true;
}

bool kb_name_waits(gss_name_t handle)
{
    struct kb_gss_name *name = kb_name_of(handle);

    return name != NULL && atomic_load(&name->inner) == GSS_C_NO_NAME;
}

OM_uint32 kb_name_take(OM_uint32 *minor, const struct kb_mech *mech, gss_name_t inner,
                       gss_name_t *out)
{
    struct kb_gss_name *name;
    OM_uint32 ignored;

    *out = GSS_C_NO_NAME;
    if (inner == GSS_C_NO_NAME) {
        return GSS_S_COMPLETE;
    }
    name = name_new(mech, KB_NONE, NULL);
    if (name == NULL) {
        gss_release_name(&ignored, &inner);
        return kb_no_memory(minor);
    }
    atomic_init(&name->inner, inner);
    *out = (gss_name_t)name;
    return GSS_S_COMPLETE;
}

static OM_uint32 import(OM_uint32 *minor, const struct kb_mech *mech, gss_buffer_t text,
                        gss_OID type, gss_name_t *out)
{
    struct kb_gss_name *name;
    gss_name_t inner;
    OM_uint32 major = GSS_S_COMPLETE;

    if (out == NULL) {
        return GSS_S_CALL_INACCESSIBLE_WRITE;
    }
    *out = GSS_C_NO_NAME;
    name = name_new(mech, kb_bytes_of_buffer(text), type);
    if (name == NULL) {
        return kb_no_memory(minor);
    }
    if (!may_wait(name)) {
        major = kb_name_inner(minor, (gss_name_t)name, &inner);
    }
    if (major != GSS_S_COMPLETE) {
        name_free(name);
        return major;
    }
    *out = (gss_name_t)name;
    return GSS_S_COMPLETE;
}

OM_uint32 gssi_import_name(OM_uint32 *minor, gss_buffer_t text, gss_OID type, gss_name_t *out)
{
    KB_ENTER(minor);
    return import(minor, kb_mech_krb5(), text, type, out);
}

OM_uint32 gssi_import_name_by_mech(OM_uint32 *minor, gss_OID oid, gss_buffer_t text, gss_OID type,
                                   gss_name_t *out)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);

    /* A name that carries our own OID (each that we return does) comes with none. */
    return import(minor, mech != NULL ? mech : kb_mech_krb5(), text, type, out);
}

OM_uint32 gssi_release_name(OM_uint32 *minor, gss_name_t *handle)
{
    KB_ENTER(minor);
    struct kb_gss_name *name = handle != NULL ? kb_name_of(*handle) : NULL;

    if (name != NULL) {
        name_free(name);
        *handle = GSS_C_NO_NAME;
    }
    return GSS_S_COMPLETE;
}

OM_uint32 gssi_display_name(OM_uint32 *minor, gss_name_t handle, gss_buffer_t text, gss_OID *type)
{
    KB_ENTER(minor);
    struct kb_gss_name *name = kb_name_of(handle);
    gss_name_t inner;
    OM_uint32 major;

    kb_give_nothing(text);
    if (name == NULL) {
        return kb_bad_name(minor);
    }
    if (name->canonical && text != NULL) {
        if (type != NULL) {
            *type = name->type;
        }
        return kb_give_bytes(minor, kb_bytes_of_buffer(&name->text), text);
    }
    major = kb_name_inner(minor, handle, &inner);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    /* The type is one of libgssapi's static OIDs, as it has to be: up to 1.22 the mechglue gives
     * the very pointer to gss_release_oid. */
    return gss_display_name(minor, inner, text, type);
}

OM_uint32 gssi_export_name(OM_uint32 *minor, const gss_name_t handle, gss_buffer_t exported)
{
    KB_ENTER(minor);
    gss_name_t inner;
    OM_uint32 major;

    kb_give_nothing(exported);
    if (handle == GSS_C_NO_NAME) {
        return kb_bad_name(minor);
    }
    major = kb_name_inner(minor, handle, &inner);
    return major == GSS_S_COMPLETE ? gss_export_name(minor, inner, exported) : major;
}

OM_uint32 gssi_compare_name(OM_uint32 *minor, gss_name_t handle1, gss_name_t handle2, int *equal)
{
    KB_ENTER(minor);
    gss_name_t inner1, inner2;
    OM_uint32 major;

    if (equal == NULL) {
        return GSS_S_CALL_INACCESSIBLE_WRITE;
    }
    *equal = 0;
    if (handle1 == GSS_C_NO_NAME || handle2 == GSS_C_NO_NAME) {
        return kb_bad_name(minor);
    }
    major = kb_name_inner(minor, handle1, &inner1);
    if (major == GSS_S_COMPLETE) {
        major = kb_name_inner(minor, handle2, &inner2);
    }
    return major == GSS_S_COMPLETE ? gss_compare_name(minor, inner1, inner2, equal) : major;
}

OM_uint32 gssi_duplicate_name(OM_uint32 *minor, const gss_name_t handle, gss_name_t *out)
{
    KB_ENTER(minor);
    struct kb_gss_name *name = kb_name_of(handle), *copy;
    gss_name_t inner, inner_copy = GSS_C_NO_NAME;
    OM_uint32 major = GSS_S_COMPLETE;

    *out = GSS_C_NO_NAME;
    if (name == NULL) {
        return kb_bad_name(minor);
    }
    copy = name_new(name->mech, kb_bytes_of_buffer(&name->text), name->type);
    if (copy == NULL) {
        return kb_no_memory(minor);
    }
    copy->canonical = name->canonical;
    inner = atomic_load(&name->inner);
    if (inner != GSS_C_NO_NAME) {
        major = gss_duplicate_name(minor, inner, &inner_copy);
        atomic_init(&copy->inner, inner_copy);
    }
    if (major != GSS_S_COMPLETE) {
        name_free(copy);
        return major;
    }
    *out = (gss_name_t)copy;
    return GSS_S_COMPLETE;
}

OM_uint32 gssi_localname(OM_uint32 *minor, const gss_name_t handle, gss_const_OID oid,
                         gss_buffer_t local)
{
    KB_ENTER(minor);
    const struct kb_mech *mech = kb_mech_find(oid);
    gss_name_t inner;
    OM_uint32 major;

    kb_give_nothing(local);
    major = kb_name_inner(minor, handle, &inner);
    if (major != GSS_S_COMPLETE) {
        return major;
    }
    return gss_localname(minor, inner, mech != NULL ? &mech->inner : &kb_mech_krb5()->inner, local);
}

/* A no of the platform must stay a no. It says GSS_S_UNAVAILABLE, and to that the mechglue above us
 * answers by comparing the names itself, which may well say yes. So every answer that is not yes is
 * GSS_S_UNAUTHORIZED. */
OM_uint32 gssi_authorize_localname(OM_uint32 *minor, const gss_name_t handle,
                                   gss_const_buffer_t user, gss_const_OID type)
{
    KB_ENTER(minor);
    gss_name_t inner, user_name = GSS_C_NO_NAME;
    gss_buffer_desc user_text = user != NULL ? *user : (gss_buffer_desc){0, NULL};
    OM_uint32 ignored, major;

    major = kb_name_inner(minor, handle, &inner);
    if (major == GSS_S_COMPLETE && inner != GSS_C_NO_NAME) {
        major = gss_import_name(minor, &user_text, (gss_OID)(uintptr_t)type, &user_name);
        if (major == GSS_S_COMPLETE) {
            major = gss_authorize_localname(minor, inner, user_name);
            gss_release_name(&ignored, &user_name);
        }
    } else {
        major = GSS_S_UNAUTHORIZED;
    }
    return major == GSS_S_COMPLETE ? GSS_S_COMPLETE : GSS_S_UNAUTHORIZED;
}

#define KB_ENTRY(name, parameters)
#define KB_CONTEXT_ENTRY(name, parameters, arguments, ours)
#define KB_NAME_ENTRY(name, parameters, arguments)                                                 \
    OM_uint32 gssi_##name parameters                                                               \
    {                                                                                              \
        KB_ENTER(minor);                                                                           \
        gss_name_t inner;                                                                          \
        OM_uint32 major = kb_name_inner(minor, handle, &inner);                                    \
                                                                                                   \
        return major == GSS_S_COMPLETE ? gss_##name(minor, inner KB_ARGS arguments) : major;       \
    }
#include "mech/spi/entries.def"
