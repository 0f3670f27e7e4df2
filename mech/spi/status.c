/* status.c - minor codes into text: ours from the report, the platform's from the platform. */
#include <errno.h>
#include <string.h>

#include "mech/report/error.h"
#include "mech/spi/handle.h"

/* The value that this thread is asking the platform about: libgssapi sends numbers that no
 * mechanism registered (a bare errno of its own) to whoever returned them last, which is us. */
static __thread OM_uint32 asking;

static OM_uint32 display_errno(OM_uint32 *minor, OM_uint32 value, gss_buffer_t text)
{
    char buf[128];

    return kb_give_bytes(minor, kb_str(strerror_r((int)value, buf, sizeof(buf))), text);
}

static OM_uint32 display_ours(OM_uint32 *minor, enum kb_error_code code, gss_buffer_t text)
{
    struct kb_error err = {.code = code};
    struct kb_buf line;
    OM_uint32 major;

    kb_buf_init(&line, 2048);
    kb_error_line(&err, &line);
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
    enum kb_error_code code = kb_error_of_minor(value);

    (void)oid; /* always our own: the number alone tells whose it is */
    kb_give_nothing(text);
    if (type != GSS_C_MECH_CODE || text == NULL || message_context == NULL) {
        return GSS_S_BAD_STATUS;
    }
    if (code != KB_E_NONE) {
        *message_context = 0;
        return display_ours(minor, code, text);
    }
    if (asking != 0 && asking == value) {
        *message_context = 0;
        return display_errno(minor, value, text);
    }
    return display_inner(minor, value, message_context, text);
}

OM_uint32 kb_unsupported_minor(OM_uint32 *minor)
{
    *minor = kb_error_minor(KB_E_UNSUPPORTED);
    return GSS_S_UNAVAILABLE;
}

OM_uint32 kb_bad_name(OM_uint32 *minor)
{
    *minor = kb_error_minor(KB_E_TARGET);
    return GSS_S_BAD_NAME;
}

OM_uint32 kb_bad_cred(OM_uint32 *minor)
{
    *minor = kb_error_minor(KB_E_NO_SECRET);
    return GSS_S_DEFECTIVE_CREDENTIAL;
}

OM_uint32 kb_bad_ctx(OM_uint32 *minor)
{
    *minor = kb_error_minor(KB_E_CONTEXT_STATE);
    return GSS_S_NO_CONTEXT;
}
