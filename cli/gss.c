#include "cli/gss.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_kerbside.h>
#include <gssapi/gssapi_krb5.h>
#include <stdlib.h>
#include <time.h>

#include "cli/agree.h"
#include "mech/protocol/frame.h"

#define OID(literal)                                                                               \
    {                                                                                              \
        sizeof(literal) - 1, (void *)(uintptr_t)(literal)                                          \
    }
const gss_OID_desc kb_cli_krb5 = OID("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
const gss_OID_desc kb_cli_spnego = OID("\x2b\x06\x01\x05\x05\x02");

/* GSS-API has no const. */
static gss_OID oid(const gss_OID_desc *constant)
{
    return (gss_OID)(uintptr_t)constant;
}

static gss_buffer_desc buffer(const void *value, size_t len)
{
    return (gss_buffer_desc){len, (void *)(uintptr_t)value};
}

/* Appends the lines of a status, parted by "; ". */
static void add_status(OM_uint32 status, int type, struct kb_buf *out)
{
    OM_uint32 minor, more = 0;

    do {
        gss_buffer_desc line = GSS_C_EMPTY_BUFFER;

        if (GSS_ERROR(gss_display_status(&minor, status, type, GSS_C_NO_OID, &more, &line))) {
            return;
        }
        kb_buf_add_str(out, out->len > 0 ? "; " : "");
        kb_buf_add(out, kb_bytes_of(line.value, line.length));
        gss_release_buffer(&minor, &line);
    } while (more != 0);
}

static int exit_code(OM_uint32 minor)
{
    enum kb_error_code code = kb_error_of_minor(minor);

    return code != KB_E_NONE ? kb_cli_exit_code(code) : KB_EXIT_FAILED;
}

int kb_cli_gss_fail(struct kb_cli *cli, OM_uint32 major, OM_uint32 minor, const char *doing)
{
    struct kb_buf text;
    int code = exit_code(minor);

    kb_buf_init(&text, 1 << 14);
    add_status(minor, GSS_C_MECH_CODE, &text);
    if (kb_error_of_minor(minor) == KB_E_NONE || text.len == 0) {
        kb_buf_wipe(&text);
        add_status(GSS_ERROR(major), GSS_C_GSS_CODE, &text);
        if (minor != 0) {
            add_status(minor, GSS_C_MECH_CODE, &text);
        }
        kb_cli_fail(cli, code, "%s: %s", doing, kb_buf_str(&text));
    } else {
        kb_cli_fail(cli, code, "%s", kb_buf_str(&text));
    }
    kb_buf_wipe(&text);
    return code;
}

bool kb_cli_gss_loaded(void)
{
    gss_buffer_desc value = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major = kerbside_query(&minor, "BuildInfo", &value);

    gss_release_buffer(&minor, &value);
    return GSS_ROUTINE_ERROR(major) != GSS_S_BAD_MECH;
}

bool kb_cli_gss_ask(const char *name, struct kb_buf *out)
{
    gss_buffer_desc value = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    bool answered = kerbside_query(&minor, name, &value) == GSS_S_COMPLETE;

    if (answered) {
        kb_buf_add(out, kb_bytes_of(value.value, value.length));
    }
    gss_release_buffer(&minor, &value);
    return answered;
}

static int set_options(struct kb_cli *cli)
{
    for (size_t i = 0; i < cli->num_set; i++) {
        OM_uint32 minor, major = kerbside_configure(&minor, cli->set[i]);

        if (GSS_ERROR(major)) {
            int code = kb_cli_gss_fail(cli, major, minor, "-o");

            return kb_error_of_minor(minor) == KB_E_OPTION ? KB_EXIT_USAGE : code;
        }
    }
    return KB_EXIT_OK;
}

int kb_cli_gss_start(struct kb_cli *cli)
{
    gss_buffer_desc build = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, ignored, major = kerbside_query(&minor, "BuildInfo", &build);
    int code;

    gss_release_buffer(&ignored, &build);
    if (GSS_ROUTINE_ERROR(major) == GSS_S_BAD_MECH) {
        return kb_cli_fail(cli, KB_EXIT_NO_PLUGIN,
                           "libgssapi does not load kerbside.so, so no program uses it. Add its "
                           "line to a file in /etc/gss/mech.d, or name one in GSS_MECH_CONFIG; see "
                           "kerbside(8)");
    }
    code = kb_cli_set_options(cli);
    return code == KB_EXIT_OK ? set_options(cli) : code;
}

/* service@host is host-based, all else a principal. */
static OM_uint32 import_target(OM_uint32 *minor, const char *spn, gss_name_t *out)
{
    gss_buffer_desc text = buffer(spn, strlen(spn));

    return gss_import_name(minor, &text,
                           strchr(spn, '/') == NULL ? GSS_C_NT_HOSTBASED_SERVICE
                                                    : oid(GSS_KRB5_NT_PRINCIPAL_NAME),
                           out);
}

/* The name as text, and the name released. */
static char *take_name(gss_name_t name)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    char *copy = NULL;

    if (name != GSS_C_NO_NAME && !GSS_ERROR(gss_display_name(&minor, name, &text, NULL))) {
        copy = kb_strdup(kb_bytes_of(text.value, text.length));
        gss_release_buffer(&minor, &text);
    }
    gss_release_name(&minor, &name);
    return copy;
}

static void inquire(struct kb_cli_context *context, OM_uint32 lifetime)
{
    gss_name_t client = GSS_C_NO_NAME, server = GSS_C_NO_NAME;
    OM_uint32 minor, left = lifetime;
    struct kb_buf ignored;

    if (!GSS_ERROR(gss_inquire_context(&minor, context->handle, &client, &server, &left, NULL, NULL,
                                       NULL, NULL))) {
        context->client = take_name(client);
        context->server = take_name(server);
    }
    if (left != 0 && left != GSS_C_INDEFINITE) {
        context->endtime = time(NULL) + left;
    }
    kb_buf_init(&ignored, 1 << 16);
    context->ours = kb_cli_context_option(context, "EncodeAuthToken", &ignored);
    kb_buf_wipe(&ignored);
}

int kb_cli_gss_init(struct kb_cli *cli, const char *spn, const gss_OID_desc *mech, OM_uint32 flags,
                    struct kb_cli_context *out)
{
    gss_name_t target = GSS_C_NO_NAME;
    OM_uint32 minor, ignored, lifetime = 0, major = import_target(&minor, spn, &target);

    *out = (struct kb_cli_context){.handle = GSS_C_NO_CONTEXT};
    if (GSS_ERROR(major)) {
        return kb_cli_gss_fail(cli, major, minor, spn);
    }
    major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &out->handle, target, oid(mech),
                                 flags, 0, GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL,
                                 &out->token, &out->flags, &lifetime);
    gss_release_name(&ignored, &target);
    if (GSS_ERROR(major)) {
        return kb_cli_agree_failed(cli, spn, kb_cli_gss_fail(cli, major, minor, spn));
    }
    inquire(out, lifetime);
    return KB_EXIT_OK;
}

void kb_cli_context_wipe(struct kb_cli_context *context)
{
    OM_uint32 minor;

    if (context->handle != GSS_C_NO_CONTEXT) {
        gss_delete_sec_context(&minor, &context->handle, GSS_C_NO_BUFFER);
    }
    gss_release_buffer(&minor, &context->token);
    free(context->client);
    free(context->server);
    *context = (struct kb_cli_context){.handle = GSS_C_NO_CONTEXT};
}

enum kb_status kb_cli_context_ap_req(const struct kb_cli_context *context, kb_bytes *out)
{
    kb_bytes mech, token = kb_bytes_of(context->token.value, context->token.length);
    uint16_t id;
    enum kb_status status = kb_unframe(token, &mech, &id, out);

    return status == KB_OK && id == KB_TOK_AP_REQ ? KB_OK : KB_MALFORMED;
}

bool kb_cli_context_ask(const struct kb_cli_context *context, const gss_OID_desc *object,
                        size_t nth, struct kb_buf *out)
{
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 minor, major;
    bool answered;

    major = gss_inquire_sec_context_by_oid(&minor, context->handle, oid(object), &set);
    answered = major == GSS_S_COMPLETE && set != GSS_C_NO_BUFFER_SET && set->count > nth;
    if (answered) {
        kb_buf_add(out, kb_bytes_of(set->elements[nth].value, set->elements[nth].length));
    }
    gss_release_buffer_set(&minor, &set);
    return answered;
}

bool kb_cli_context_option(const struct kb_cli_context *context, const char *name,
                           struct kb_buf *out)
{
    gss_buffer_desc value = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    bool answered = kerbside_query_context(&minor, context->handle, name, &value) == GSS_S_COMPLETE;

    if (answered) {
        kb_buf_add(out, kb_bytes_of(value.value, value.length));
    }
    gss_release_buffer(&minor, &value);
    return answered;
}

int kb_cli_gss_client(struct kb_cli *cli, struct kb_buf *out)
{
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_name_t name = GSS_C_NO_NAME;
    gss_OID_set_desc mechs = {1, oid(&kb_cli_krb5)};
    OM_uint32 ignored, minor, major;
    char *client;

    major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_INITIATE, &cred, NULL, NULL);
    if (!GSS_ERROR(major)) {
        major = gss_inquire_cred(&minor, cred, &name, NULL, NULL, NULL);
    }
    gss_release_cred(&ignored, &cred);
    if (GSS_ERROR(major)) {
        return kb_cli_gss_fail(cli, major, minor, "no credentials");
    }
    client = take_name(name);
    kb_buf_add_str(out, client != NULL ? client : "");
    free(client);
    return KB_EXIT_OK;
}
