/* names.h - what the numbers in Kerberos messages are called, by the field that they stand in.
 *
 * For people only: dumps and error texts. Constant data, any thread. */
#ifndef KB_NAMES_H
#define KB_NAMES_H

#include "asn1/buf.h"

/* kb_number_name is the RFC's name of `value` in the field `field` ("error_code", "padata_type",
 * "etype", …: the names of types.def), or NULL where there is none. */
const char *kb_number_name(const char *field, int64_t value);

/* kb_flags_print appends the names of the set bits of a KerberosFlags field ("flags",
 * "kdc_options", "ap_options"), joined by commas; a bit without a name as its number. */
void kb_flags_print(const char *field, uint32_t flags, struct kb_buf *out);

/* kb_oid_name is the name of a mechanism's object identifier (contents octets), or NULL.
 * kb_oid_print appends it dotted; what is none as its octets. */
const char *kb_oid_name(kb_bytes oid);
void kb_oid_print(kb_bytes oid, struct kb_buf *out);

#endif
