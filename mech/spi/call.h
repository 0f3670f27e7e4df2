/* call.h - the calls of <gssapi/gssapi_kerbside.h>, by which a program speaks to Kerbside itself:
 * options set and asked, callbacks, interrupts. kerbside(3).
 *
 * They come in through GSS-API's extension functions; what they mean stands in the object's OID.
 * Any thread. */
#ifndef KB_CALL_H
#define KB_CALL_H

#include "mech/options/table.h"
#include "mech/spi/handle.h"

enum kb_call {
    KB_CALL_OTHER, /* not one of ours */
    KB_CALL_CONFIGURE,
    KB_CALL_QUERY,
    KB_CALL_RESET,
    KB_CALL_INTERRUPT,
    KB_CALL_CALLBACKS,
};

/* kb_call_of tells which call an object is; of a query by OID *out_name is the option's name, which
 * follows there. */
enum kb_call kb_call_of(gss_const_OID object, kb_bytes *out_name);

/* kb_call_option finds the option that is asked for; NULL: there is none, *err names the nearest.
 */
const struct kb_option_row *kb_call_option(kb_bytes name, struct kb_error *err);

/* kb_call_named is the option that "NAME=VALUE" names; NULL: none. */
const struct kb_option_row *kb_call_named(kb_bytes text);

/* kb_call_resolve initialises `out` with what is to be set where a program asks for `text`: the
 * same, but for a KDCHost that is to be resolved at once (DelayHostResolution). `own` are the
 * settings of the credential, whose callbacks and interrupt hold meanwhile; NULL: the process.
 * KB_ERROR: a name that leads nowhere. */
KB_MUST_USE enum kb_status kb_call_resolve(struct kb_settings *own, kb_bytes client,
                                           struct kb_listener *listener,
                                           struct kb_interrupt *interrupt, kb_bytes text,
                                           struct kb_buf *out, struct kb_error *err);

/* kb_call_answer appends an option's value: what it turned out to be in the last login of
 * `identity` (with `process` of the process; neither: nothing is known), else what `options` say.
 */
KB_MUST_USE enum kb_status kb_call_answer(const struct kb_options *options,
                                          struct kb_identity *identity, bool process,
                                          const struct kb_option_row *row, struct kb_buf *out,
                                          struct kb_error *err);

/* kb_call_give makes the answer of a query by OID: one buffer, none for an empty text. */
OM_uint32 kb_call_give(OM_uint32 *minor, const struct kb_buf *text, gss_buffer_set_t *data);

/* For the whole process: gssspi_mech_invoke with our own OID. */
OM_uint32 kb_call_process(OM_uint32 *minor, gss_const_OID object, gss_buffer_t value);

/* For a credential of ours: gss_set_cred_option, gss_inquire_cred_by_oid. */
OM_uint32 kb_call_cred(OM_uint32 *minor, struct kb_gss_cred *cred, gss_const_OID object,
                       gss_buffer_t value);
OM_uint32 kb_call_ask_cred(OM_uint32 *minor, struct kb_gss_cred *cred, kb_bytes name,
                           gss_buffer_set_t *data);

/* For a context of ours: gss_set_sec_context_option, gss_inquire_sec_context_by_oid. */
OM_uint32 kb_call_ctx(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_const_OID object,
                      gss_buffer_t value);
OM_uint32 kb_call_ask_ctx(OM_uint32 *minor, struct kb_gss_ctx *ctx, kb_bytes name,
                          gss_buffer_set_t *data);

#endif
