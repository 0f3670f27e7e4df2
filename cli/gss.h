/* gss.h - a login as every program makes it: through libgssapi's public calls.
 *
 * Errors are told as libgssapi's programs hear them: gss_display_status's line, which is Kerbside's
 * whole sentence where Kerbside handled the call. */
#ifndef KB_CLI_GSS_H
#define KB_CLI_GSS_H

#include <gssapi/gssapi.h>

#include "cli/cli.h"

extern const gss_OID_desc kb_cli_krb5, kb_cli_spnego;

/* kb_cli_gss_start finds out whether libgssapi loads the plugin, and sets the options of -o in it.
 * Returns an exit code, having told what is wrong. */
int kb_cli_gss_start(struct kb_cli *cli);

/* kb_cli_gss_fail tells why a call failed, and returns the exit code for it. */
int kb_cli_gss_fail(struct kb_cli *cli, OM_uint32 major, OM_uint32 minor, const char *doing);

/* kb_cli_gss_loaded: does libgssapi load the plugin at all? */
bool kb_cli_gss_loaded(void);

/* kb_cli_gss_ask appends an option's value as the loaded plugin has it for the process. */
bool kb_cli_gss_ask(const char *name, struct kb_buf *out);

/* kb_cli_gss_client appends the name of who would log in. Returns an exit code, having told what
 * failed. */
int kb_cli_gss_client(struct kb_cli *cli, struct kb_buf *out);

/* One context, half open or open. */
struct kb_cli_context {
    gss_ctx_id_t handle;
    gss_buffer_desc token; /* the first one */
    OM_uint32 flags;       /* granted so far */
    char *client, *server; /* as text; NULL: not told */
    int64_t endtime;       /* UTC seconds; 0: not told */
    bool ours;             /* Kerbside made it, not the platform */
};

/* kb_cli_gss_init makes the first token for `spn` (service@host, service/host, service/host@REALM).
 * Returns an exit code, having told what failed. Wipe the context whatever comes of it. */
int kb_cli_gss_init(struct kb_cli *cli, const char *spn, const gss_OID_desc *mech, OM_uint32 flags,
                    struct kb_cli_context *out);
void kb_cli_context_wipe(struct kb_cli_context *context);

/* kb_cli_context_ap_req lends the bare AP-REQ in the first token. KB_MALFORMED: there is none. */
KB_MUST_USE enum kb_status kb_cli_context_ap_req(const struct kb_cli_context *context,
                                                 kb_bytes *out);

/* kb_cli_context_ask appends one answer of gss_inquire_sec_context_by_oid (its nth buffer). */
bool kb_cli_context_ask(const struct kb_cli_context *context, const gss_OID_desc *object,
                        size_t nth, struct kb_buf *out);

/* kb_cli_context_option asks the context for an option's value (AuthToken, EncodeAuthToken…). */
bool kb_cli_context_option(const struct kb_cli_context *context, const char *name,
                           struct kb_buf *out);

#endif
