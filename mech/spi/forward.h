/* forward.h - re-entry: how a call reaches the platform's own krb5 mechanism.
 *
 * libgssapi knows an interposed mechanism under two OIDs: its own (which leads to us) and our OID
 * followed by its own, without any DER between (which leads past us to the platform). So every
 * re-entry that takes an OID is made with the latter; a handle that came out of one leads to the
 * platform by itself. Constant after gss_mech_interposer; any thread. */
#ifndef KB_FORWARD_H
#define KB_FORWARD_H

#include "mech/spi/entries.h"

/* One of the OIDs of krb5. */
struct kb_mech {
    gss_OID oid;        /* libgssapi's own static one: may be handed out */
    gss_OID_desc inner; /* past us */
};

/* kb_mechs_init makes the inner OIDs; false when `own` is too long to be believed. */
bool kb_mechs_init(gss_const_OID own);

/* kb_mech_own is the OID under which libgssapi loaded us (DER contents); empty before. */
kb_bytes kb_mech_own(void);

/* kb_mech_find returns the mechanism of a public OID. NULL for anything else, and for NULL itself,
 * which is how the mechglue passes our own OID. */
const struct kb_mech *kb_mech_find(gss_const_OID oid);

/* kb_mech_krb5 is the one that counts; the others are its old aliases. */
const struct kb_mech *kb_mech_krb5(void);

/* kb_mech_in_set is the mechanism of a set's first member; krb5 for an empty or no set. */
const struct kb_mech *kb_mech_in_set(const gss_OID_set_desc *set);

/* kb_mech_set makes a set of one public OID (gss_release_oid_set); out may be NULL. */
OM_uint32 kb_mech_set(OM_uint32 *minor, const struct kb_mech *mech, gss_OID_set *out);

/* kb_no_memory, kb_bad_*: majors for an entry to return, the minor set. */
OM_uint32 kb_no_memory(OM_uint32 *minor);
OM_uint32 kb_bad_mech(OM_uint32 *minor);

bool kb_oid_equal(gss_const_OID a, gss_const_OID b);

/* kb_give_bytes makes a buffer that the caller releases with gss_release_buffer. */
OM_uint32 kb_give_bytes(OM_uint32 *minor, kb_bytes bytes, gss_buffer_t out);

/* kb_give_nothing empties an output. NULL is accepted. */
static inline void kb_give_nothing(gss_buffer_t out)
{
    if (out != NULL) {
        out->length = 0;
        out->value = NULL;
    }
}

static inline kb_bytes kb_bytes_of_buffer(const gss_buffer_desc *buffer)
{
    return buffer != NULL ? kb_bytes_of(buffer->value, buffer->length) : KB_NONE;
}

#endif
