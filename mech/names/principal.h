/* principal.h - principal names: parsed, printed, compared. RFC 4120 6; MIT's text form.
 *
 * A kb_principal is immutable, counted and one heap block; any number of threads may read it. Its
 * `name` is the very struct that the codec encodes. Text form: components joined by `/`, `@` and
 * the realm, with `\` before `/`, `@`, `\`, and \n \t \b \0 for those (MIT's krb5_parse_name). */
#ifndef KB_PRINCIPAL_H
#define KB_PRINCIPAL_H

#include "asn1/buf.h"
#include "asn1/types.h"

/* Name types, RFC 4120 6.2, RFC 6806 5 */
enum {
    KB_NT_UNKNOWN = 0,
    KB_NT_PRINCIPAL = 1,
    KB_NT_SRV_INST = 2,
    KB_NT_SRV_HST = 3,
    KB_NT_ENTERPRISE = 10,
    KB_NT_WELLKNOWN = 11,
};

struct kb_principal {
    kb_string realm; /* empty: not known yet (MIT's referral realm) */
    kb_principal_name name;
    /* private */
    _Atomic unsigned refs;
};

/* kb_principal_new copies its parts. NULL when memory is short. */
struct kb_principal *kb_principal_new(kb_bytes realm, const kb_principal_name *name);

/* kb_principal_parse reads the text form. Without `@`, `default_realm` (may be KB_NONE) is taken.
 * With KB_NT_ENTERPRISE the whole text up to an unescaped second `@` is one component. With
 * KB_NT_PRINCIPAL the type is inferred as MIT does (krbtgt/X, WELLKNOWN/X). KB_MALFORMED for an
 * empty name, a trailing backslash, a NUL, two realms, a `/` in the realm. */
KB_MUST_USE enum kb_status kb_principal_parse(kb_bytes text, int32_t name_type,
                                              kb_bytes default_realm, struct kb_principal **out);

/* kb_principal_service makes service/host@realm of type NT_SRV_HST (host may be KB_NONE). */
struct kb_principal *kb_principal_service(kb_bytes service, kb_bytes host, kb_bytes realm);

/* kb_principal_tgs makes krbtgt/REALM@AT of type NT_SRV_INST. */
struct kb_principal *kb_principal_tgs(kb_bytes realm, kb_bytes at);

struct kb_principal *kb_principal_ref(const struct kb_principal *principal);
void kb_principal_free(const struct kb_principal *principal); /* NULL is accepted */

/* Equality of RFC 4120 6.2: all components and the realm; the name type is a hint and ignored. */
bool kb_principal_equal(const struct kb_principal *a, const struct kb_principal *b);
bool kb_name_equal(const kb_principal_name *a, const kb_principal_name *b);

/* kb_name_is_tgs tells whether it is krbtgt/X (two components) and lends X. */
bool kb_name_is_tgs(const kb_principal_name *name, kb_bytes *out_realm);

/* kb_principal_unparse appends the text form that kb_principal_parse reads back; without `@realm`
 * when the realm is empty. kb_name_print is for messages: other control characters
 * and bytes that are no UTF-8 are escaped too. */
void kb_principal_unparse(const struct kb_principal *principal, struct kb_buf *out);
void kb_name_print(const kb_principal_name *name, kb_bytes realm, struct kb_buf *out);

#endif
