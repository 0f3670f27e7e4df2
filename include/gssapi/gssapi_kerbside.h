/* gssapi_kerbside.h - what Kerbside adds to GSS-API.
 *
 * A program needs none of this: Kerbside takes part in the krb5 mechanism, and is configured by
 * files and environment (kerbside(8)). With it a program can set and ask options, be told of events
 * and interrupt calls: for the process, for one credential, for one context. Where the plugin is
 * not installed, every such call answers GSS_S_BAD_MECH (process) or GSS_S_UNAVAILABLE.
 *
 *   for            the process         a credential             a context
 *   configure      gssspi_mech_invoke  gss_set_cred_option      gss_set_sec_context_option
 *   query          gssspi_mech_invoke  gss_inquire_cred_by_oid  gss_inquire_sec_context_by_oid
 *   reset          gssspi_mech_invoke  gss_set_cred_option      -
 *   interrupt      gssspi_mech_invoke  gss_set_cred_option      -
 *   callbacks      gssspi_mech_invoke  gss_set_cred_option      -
 *
 * The functions at the end do each in one line; kerbside(3) describes them. Options are those of
 * kerbside(8). They may also stand as keys in the store of gss_acquire_cred_from. Of the process's
 * own, credentials and contexts made afterwards take notice; of a credential's, contexts made
 * afterwards. A credential has to be one that was acquired, a context one that has made its first
 * token: libgssapi shows us none before. All functions are safe in any thread. They return a GSS
 * major status; the sentence behind *minor is gss_display_status's.
 *
 * An OID is a constant: static gss_OID_desc mech = KERBSIDE_MECH_OID; */
#ifndef GSSAPI_KERBSIDE_H
#define GSSAPI_KERBSIDE_H

#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/* Kerbside itself, as its line in /etc/gss/mech.d names it: 1.3.6.1.4.1.32473.88.1. (32473 is the
 * enterprise number for examples; this OID is never sent to a peer.) Those below are its children:
 * 1 configure, 2 query, 3 reset, 4 interrupt, 5 callbacks. */
#define KERBSIDE_MECH_OID {10, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01"}

/* The value is "NAME=VALUE". */
#define KERBSIDE_CONFIGURE_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x01"}

/* For gssspi_mech_invoke the value is a struct kerbside_query. For gss_inquire_*_by_oid the option's
 * name follows in the OID, an arc for each of its characters (KERBSIDE_QUERY_OID.85.115.101.114 is
 * User); the answer is one buffer, or none where nothing is set. */
#define KERBSIDE_QUERY_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x02"}

/* Every option back to its default, secrets wiped; no value. */
#define KERBSIDE_RESET_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x03"}

/* The value is a struct kerbside_interrupt, all zero but for its size; the call fills it. */
#define KERBSIDE_INTERRUPT_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x04"}

/* The value is a struct kerbside_callbacks, copied; an empty value takes the callbacks away. */
#define KERBSIDE_CALLBACKS_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x05"}
/* clang-format on */

/* Structs begin with their size, so that they can grow. */
struct kerbside_query {
    size_t size;
    const char *name;      /* of an option, case ignored */
    gss_buffer_desc value; /* the answer: gss_release_buffer. Secrets are masked */
};

/* interrupt(argument) ends the calls in progress within 100 ms: they fail with "interrupted". It
 * may be called from any thread and from a signal handler; with none in progress it does nothing.
 * That of the process stays valid for ever, that of a credential as long as the credential. */
struct kerbside_interrupt {
    size_t size;
    void (*interrupt)(void *argument);
    void *argument;
};

/* Called in the thread of the GSS-API call that they tell of, never while Kerbside holds a lock;
 * they may call GSS-API again. Members may be NULL. */
struct kerbside_callbacks {
    size_t size;
    void *argument;
    /* level: 1 Info, 2 Verbose, 3 Debug, up to LogLevel; type is that word. */
    void (*log)(void *argument, int level, const char *message, const char *type);
    /* direction: 0 from the client, 1 from the server, 2 about them; a readable dump. */
    void (*pitrail)(void *argument, int direction, const char *message);
    /* code: 950-954, 10004-10071, 11001-11004, … */
    void (*error)(void *argument, int code, const char *description);
    /* At least every 100 ms while the network is waited for, if GUIAvailable is True. Not 0: the
     * call ends as if it had been interrupted. */
    int (*wait)(void *argument);
    /* Once, when none of the others will be called any more. */
    void (*release)(void *argument);
    void *reserved; /* NULL; Kerbside writes here during the call */
};

/* --- each call in one line --- */

/* The OID that asks for an option. No option's name is longer than there is room, or has other
 * characters than ASCII; such a name becomes another that is none either. */
struct kerbside_query_oid {
    gss_OID_desc oid;
    unsigned char bytes[64];
};

static inline gss_OID kerbside_make_query_oid(struct kerbside_query_oid *out, const char *name)
{
    gss_OID_desc prefix = KERBSIDE_QUERY_OID;
    size_t i, len = strlen(name), room = sizeof(out->bytes) - prefix.length;

    memcpy(out->bytes, prefix.elements, prefix.length);
    for (i = 0; i < len && i < room; i++) {
        out->bytes[prefix.length + i] = (unsigned char)((name[i] & 0x80) != 0 ? '?' : name[i]);
    }
    out->oid.elements = out->bytes;
    out->oid.length = prefix.length + (OM_uint32)i;
    return &out->oid;
}

/* The answer to such a question: a credential for several mechanisms gives it once for each; where
 * nothing is set there is none. */
static inline OM_uint32 kerbside_take_answer(OM_uint32 *minor, gss_buffer_set_t set,
                                             gss_buffer_t value)
{
    OM_uint32 ignored;

    if (set != GSS_C_NO_BUFFER_SET && set->count > 0) {
        *value = set->elements[0];
        set->elements[0].value = NULL;
        set->elements[0].length = 0;
    }
    gss_release_buffer_set(&ignored, &set);
    *minor = 0;
    return GSS_S_COMPLETE;
}

static inline OM_uint32 kerbside_invoke(OM_uint32 *minor, gss_OID_desc object, void *value,
                                        size_t len)
{
    gss_OID_desc mech = KERBSIDE_MECH_OID;
    gss_buffer_desc buffer;

    buffer.length = len;
    buffer.value = value;
    return gssspi_mech_invoke(minor, &mech, &object, &buffer);
}

static inline OM_uint32 kerbside_set_cred(OM_uint32 *minor, gss_cred_id_t cred, gss_OID_desc object,
                                          void *value, size_t len)
{
    gss_buffer_desc buffer;

    buffer.length = len;
    buffer.value = value;
    if (cred == GSS_C_NO_CREDENTIAL) { /* libgssapi would take it to the platform */
        *minor = 0;
        return GSS_S_NO_CRED;
    }
    return gss_set_cred_option(minor, &cred, &object, &buffer);
}

/* kerbside_configure sets an option: "NAME=VALUE". */
static inline OM_uint32 kerbside_configure(OM_uint32 *minor, const char *setting)
{
    gss_OID_desc object = KERBSIDE_CONFIGURE_OID;

    return kerbside_invoke(minor, object, (void *)setting, strlen(setting));
}

static inline OM_uint32 kerbside_configure_cred(OM_uint32 *minor, gss_cred_id_t cred,
                                                const char *setting)
{
    gss_OID_desc object = KERBSIDE_CONFIGURE_OID;

    return kerbside_set_cred(minor, cred, object, (void *)setting, strlen(setting));
}

static inline OM_uint32 kerbside_configure_context(OM_uint32 *minor, gss_ctx_id_t context,
                                                   const char *setting)
{
    gss_OID_desc object = KERBSIDE_CONFIGURE_OID;
    gss_buffer_desc buffer;

    buffer.length = strlen(setting);
    buffer.value = (void *)setting;
    if (context == GSS_C_NO_CONTEXT) {
        *minor = 0;
        return GSS_S_NO_CONTEXT;
    }
    return gss_set_sec_context_option(minor, &context, &object, &buffer);
}

/* kerbside_query asks for an option's value, as text; gss_release_buffer. */
static inline OM_uint32 kerbside_query(OM_uint32 *minor, const char *name, gss_buffer_t value)
{
    gss_OID_desc object = KERBSIDE_QUERY_OID;
    struct kerbside_query query;
    OM_uint32 major;

    memset(&query, 0, sizeof(query));
    query.size = sizeof(query);
    query.name = name;
    major = kerbside_invoke(minor, object, &query, sizeof(query));
    *value = query.value;
    return major;
}

static inline OM_uint32 kerbside_query_cred(OM_uint32 *minor, gss_cred_id_t cred, const char *name,
                                            gss_buffer_t value)
{
    struct kerbside_query_oid oid;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 major;

    value->length = 0;
    value->value = NULL;
    major = gss_inquire_cred_by_oid(minor, cred, kerbside_make_query_oid(&oid, name), &set);
    return major == GSS_S_COMPLETE ? kerbside_take_answer(minor, set, value) : major;
}

static inline OM_uint32 kerbside_query_context(OM_uint32 *minor, gss_ctx_id_t context,
                                               const char *name, gss_buffer_t value)
{
    struct kerbside_query_oid oid;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 major;

    value->length = 0;
    value->value = NULL;
    major =
        gss_inquire_sec_context_by_oid(minor, context, kerbside_make_query_oid(&oid, name), &set);
    return major == GSS_S_COMPLETE ? kerbside_take_answer(minor, set, value) : major;
}

/* kerbside_reset takes back all that was set by kerbside_configure, and wipes its secrets. */
static inline OM_uint32 kerbside_reset(OM_uint32 *minor)
{
    gss_OID_desc object = KERBSIDE_RESET_OID;

    return kerbside_invoke(minor, object, NULL, 0);
}

/* That of a credential takes back the cred store's options too. */
static inline OM_uint32 kerbside_reset_cred(OM_uint32 *minor, gss_cred_id_t cred)
{
    gss_OID_desc object = KERBSIDE_RESET_OID;

    return kerbside_set_cred(minor, cred, object, NULL, 0);
}

/* kerbside_interrupt gives the function that ends calls in progress, and its argument. */
static inline OM_uint32 kerbside_interrupt(OM_uint32 *minor, struct kerbside_interrupt *out)
{
    gss_OID_desc object = KERBSIDE_INTERRUPT_OID;

    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    return kerbside_invoke(minor, object, out, sizeof(*out));
}

static inline OM_uint32 kerbside_interrupt_cred(OM_uint32 *minor, gss_cred_id_t cred,
                                                struct kerbside_interrupt *out)
{
    gss_OID_desc object = KERBSIDE_INTERRUPT_OID;

    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    return kerbside_set_cred(minor, cred, object, out, sizeof(*out));
}

/* kerbside_callbacks registers what is to be called, in the place of what was; NULL: nothing. Size
 * and reserved are filled in here. */
static inline OM_uint32 kerbside_callbacks(OM_uint32 *minor,
                                           const struct kerbside_callbacks *callbacks)
{
    gss_OID_desc object = KERBSIDE_CALLBACKS_OID;
    struct kerbside_callbacks copy;

    if (callbacks == NULL) {
        return kerbside_invoke(minor, object, NULL, 0);
    }
    copy = *callbacks;
    copy.size = sizeof(copy);
    copy.reserved = NULL;
    return kerbside_invoke(minor, object, &copy, sizeof(copy));
}

static inline OM_uint32 kerbside_callbacks_cred(OM_uint32 *minor, gss_cred_id_t cred,
                                                const struct kerbside_callbacks *callbacks)
{
    gss_OID_desc object = KERBSIDE_CALLBACKS_OID;
    struct kerbside_callbacks copy;

    if (callbacks == NULL) {
        return kerbside_set_cred(minor, cred, object, NULL, 0);
    }
    copy = *callbacks;
    copy.size = sizeof(copy);
    copy.reserved = NULL;
    return kerbside_set_cred(minor, cred, object, &copy, sizeof(copy));
}

#ifdef __cplusplus
}
#endif

#endif
