/* say.h - what the programs under tests/spi share: GSS-API calls, and a line for each. */
#ifndef KB_TEST_SAY_H
#define KB_TEST_SAY_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

extern gss_OID_desc krb5_oid, krb5_old_oid, krb5_wrong_oid, spnego_oid, ssf_oid, session_key_oid;
extern gss_OID_set_desc krb5_set, spnego_set;
extern OM_uint32 minor, ignored;

/* tell prints a call's outcome with all texts; returns whether it went well. */
int tell(const char *what, OM_uint32 major);
void print_oid(const char *what, gss_OID oid);
void print_hex(const char *what, const gss_buffer_desc *bytes);
void print_name(const char *what, gss_name_t name);
void print_cred(gss_cred_id_t cred);
void print_context(gss_ctx_id_t ctx);
/* print_query shows a query's buffers; the first one's length only unless `show`. */
void print_query(gss_ctx_id_t ctx, const char *what, gss_OID oid, int show);
const char *lifetime(OM_uint32 t);

gss_name_t name_of(const char *text, gss_OID type);
gss_cred_id_t acquire(const char *what, gss_name_t name, gss_OID_set mechs, int usage);

/* One context from both ends in one process. */
struct loop {
    gss_ctx_id_t init, accept;
    gss_OID mech;
    OM_uint32 flags;
    gss_channel_bindings_t bindings, accept_bindings;
    gss_cred_id_t cred, accept_cred;
    const char *service; /* NULL: HTTP@localhost */
};
int run_loop(struct loop *l); /* whether both ends are established */
void end_loop(struct loop *l);

/* messages sends a wrapped and a signed message, again, altered and cut. */
void messages(gss_ctx_id_t from, gss_ctx_id_t to, int conf);

#endif
