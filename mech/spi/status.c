/* status.c - minor codes into text: ours from the report, the platform's from the platform. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mech/login/tell.h"
#include "mech/options/text.h"
#include "mech/report/last_error.h"
#include "mech/spi/fail.h"
#include "mech/spi/handle.h"

/* The value that this thread is asking the platform about: libgssapi sends numbers that no
 * mechanism registered (a bare errno of its own) to whoever returned them last, which is us. */
static __thread OM_uint32 asking;

static OM_uint32 display_errno(OM_uint32 *minor, OM_uint32 value, gss_buffer_t text)
{
    char buf[128];

    return kb_give_bytes(minor, kb_str(strerror_r((int)value, buf, sizeof(buf))), text);
}

static OM_uint32 display_ours(OM_uint32 *minor, OM_uint32 value, gss_buffer_t text)
{
    struct kb_buf line;
    OM_uint32 major;

    kb_buf_init(&line, 2048);
    (void)kb_last_error_line(value, &line);
    major = kb_give_bytes(minor, kb_str(kb_buf_str(&line)), text);
    kb_buf_wipe(&line);
    return major;
}

static OM_uint32 display_inner(OM_uint32 *minor, OM_uint32 value, OM_uint32 *message_context,
                               gss_buffer_t text)
{
    OM_uint32 major, before = asking;

    asking = value;
    major = gss_display_status(minor, value, GSS_C_MECH_CODE, GSS_C_NO_OID, message_context, text);
    asking = before;
    return major;
}

OM_uint32 gssi_display_status(OM_uint32 *minor, OM_uint32 value, int type, gss_OID oid,
                              OM_uint32 *message_context, gss_buffer_t text)
{
    KB_ENTER(minor);

    (void)oid; /* always our own: the number alone tells whose it is */
    kb_give_nothing(text);
    if (type != GSS_C_MECH_CODE || text == NULL || message_context == NULL) {
        return GSS_S_BAD_STATUS;
    }
    if (kb_error_of_minor(value) != KB_E_NONE) {
        *message_context = 0;
        return display_ours(minor, value, text);
    }
    if (asking != 0 && asking == value) {
        *message_context = 0;
        return display_errno(minor, value, text);
    }
    return display_inner(minor, value, message_context, text);
}

/* A sentence of our own, and a major that may differ from the row's. */
static OM_uint32 fail_with(OM_uint32 *minor, OM_uint32 major, enum kb_error_code code,
                           const char *sentence)
{
    struct kb_error err = {0};

    (void)kb_error_set(&err, code, "%s", sentence);
    (void)kb_fail_call(minor, NULL, &err);
    return major;
}

OM_uint32 kb_unsupported_minor(OM_uint32 *minor)
{
    return fail_with(minor, GSS_S_UNAVAILABLE, KB_E_UNSUPPORTED,
                     "Kerbside does not support this on a context or credential of its own");
}

OM_uint32 kb_platforms_minor(OM_uint32 *minor)
{
    struct kb_error err = {.no_hint = true};

    (void)kb_error_set(
        &err, KB_E_UNSUPPORTED,
        "This credential or context is the platform's, which was settled when it was "
        "made: Kerbside's own calls are not for it");
    return kb_fail(minor, &err);
}

OM_uint32 kb_bad_mech(OM_uint32 *minor)
{
    struct kb_error err = {0};

    /* libgssapi tries every mechanism that is there: nobody has done anything wrong. */
    (void)kb_error_set(&err, KB_E_UNSUPPORTED,
                       "Kerbside takes part in the krb5 mechanism; as one of its own it is not to "
                       "be had");
    (void)kb_fail(minor, &err);
    return GSS_S_BAD_MECH;
}

OM_uint32 kb_bad_name(OM_uint32 *minor)
{
    return fail_with(minor, GSS_S_BAD_NAME, KB_E_TARGET, "This is not the name of a principal");
}

OM_uint32 kb_bad_target(OM_uint32 *minor, kb_bytes name)
{
    char sentence[128];

    snprintf(sentence, sizeof(sentence), "\"%s\" cannot be the name of a service",
             kb_show(name).text);
    return fail_with(minor, GSS_S_BAD_NAME, KB_E_TARGET, sentence);
}

OM_uint32 kb_bad_cred(OM_uint32 *minor)
{
    return fail_with(minor, GSS_S_DEFECTIVE_CREDENTIAL, KB_E_INTERNAL,
                     "The credential is not one of Kerbside's");
}

OM_uint32 kb_not_for_accepting(OM_uint32 *minor)
{
    return fail_with(minor, GSS_S_NO_CRED, KB_E_NO_SECRET,
                     "The credential was acquired for initiating and cannot accept");
}

OM_uint32 kb_bad_ctx(OM_uint32 *minor)
{
    return fail_with(minor, GSS_S_NO_CONTEXT, KB_E_CONTEXT_STATE,
                     "The context is not established, or is no initiator's");
}

OM_uint32 kb_bad_token(OM_uint32 *minor)
{
    return fail_with(minor, GSS_S_DEFECTIVE_TOKEN, KB_E_TOKEN,
                     "This is not an exported credential or context");
}

OM_uint32 kb_bad_qop(OM_uint32 *minor)
{
    return fail_with(minor, GSS_S_BAD_QOP, KB_E_UNSUPPORTED,
                     "Kerberos has one quality of protection, the default");
}

OM_uint32 kb_fail(OM_uint32 *minor, const struct kb_error *err)
{
    *minor = kb_last_error_put(err);
    return kb_error_major(err->code);
}

OM_uint32 kb_fail_login(OM_uint32 *minor, const struct kb_options *options,
                        struct kb_listener *listener, const struct kb_error *err)
{
    kb_tell_failure(options, listener, err);
    return kb_fail(minor, err);
}

OM_uint32 kb_fail_call(OM_uint32 *minor, struct kb_listener *listener, const struct kb_error *err)
{
    kb_tell_error(listener, err);
    return kb_fail(minor, err);
}

OM_uint32 kb_fail_status(OM_uint32 *minor, struct kb_listener *listener, enum kb_status status)
{
    static const struct {
        enum kb_status status;
        enum kb_error_code code;
    } rows[] = {
        {KB_BAD_INTEGRITY, KB_E_MIC},       {KB_MALFORMED, KB_E_TOKEN},
        {KB_CUT_SHORT, KB_E_TOKEN},         {KB_WRONG_TYPE, KB_E_TOKEN},
        {KB_NOT_FOUND, KB_E_CONTEXT_STATE},
    };
    struct kb_error err = {0};
    enum kb_error_code code = KB_E_INTERNAL;

    if (status == KB_NO_MEMORY) {
        return kb_no_memory(minor);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status) {
            code = rows[i].code;
        }
    }
    (void)kb_error_status(&err, code, status, "The message");
    return kb_fail_call(minor, listener, &err);
}
