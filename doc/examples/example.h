/* example.h - what the examples share: a target's name, one context, errors in words. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_kerbside.h>
#include <gssapi/gssapi_krb5.h>

/* The sentence behind a minor status. Without the plugin there is none. */
static inline void complain(const char *what, OM_uint32 major, OM_uint32 minor)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 context = 0, ignored;

    fflush(stdout);
    if (major == GSS_S_BAD_MECH || major == GSS_S_UNAVAILABLE) {
        fprintf(stderr, "%s: Kerbside is not installed, or not in charge here\n", what);
        return;
    }
    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &context, &text);
    fprintf(stderr, "%s: %.*s\n", what, (int)text.length, (const char *)text.value);
    gss_release_buffer(&ignored, &text);
}

/* Of a call without which the example cannot go on. */
static inline void need(const char *what, OM_uint32 major, OM_uint32 minor)
{
    if (GSS_ERROR(major)) {
        complain(what, major, minor);
        exit(1);
    }
}

/* The first token of a context to `target` (service@host), which the caller releases. */
static inline OM_uint32 first_token(OM_uint32 *minor, gss_cred_id_t cred, const char *target,
                                    gss_ctx_id_t *context, gss_buffer_t token)
{
    gss_buffer_desc text = {strlen(target), (void *)target};
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major, ignored;

    major = gss_import_name(minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    if (major == GSS_S_COMPLETE) {
        major = gss_init_sec_context(minor, cred, context, name, (gss_OID)gss_mech_krb5,
                                     GSS_C_MUTUAL_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS,
                                     GSS_C_NO_BUFFER, NULL, token, NULL, NULL);
    }
    gss_release_name(&ignored, &name);
    return major;
}

#endif
