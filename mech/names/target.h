/* target.h - the service that a program asks for, and the principals to try for it.
 *
 * A kb_target is the caller's memory; its slices point into the text it was made of. A host-based
 * name
 * ("HTTP@www.example.org", RFC 2743 4.1) has the candidates HTTP/www.example.org and, where the KDC
 * does not know that, HTTP/CANONICAL, one at a time: `login` asks for a canonical name only then.
 * Any thread. */
#ifndef KB_TARGET_H
#define KB_TARGET_H

#include "mech/names/principal.h"

#define KB_TARGET_MAX 1024 /* bytes of a name that is asked for */

struct kb_target {
    kb_bytes asked; /* the text as it was given: tickets are kept under it */
    bool host_based;
    kb_bytes service, host; /* of a host-based one; host may be empty: this host */
    bool by_option;         /* it comes from SPN=, for messages */
};

/* kb_target_init reads what a program (or SPN=) gave. `host_based`: service@host; else a principal,
 * service/host[@REALM]. KB_MALFORMED: empty, a NUL, or no service in it. */
KB_MUST_USE enum kb_status kb_target_init(struct kb_target *out, kb_bytes text, bool host_based);

/* kb_target_of_spn reads SPN=: service/host, service/host@REALM, or service@host. */
KB_MUST_USE enum kb_status kb_target_of_spn(struct kb_target *out, const char *spn);

/* kb_target_principal makes the principal to ask the KDC for. `host` stands in for the target's own
 * (KB_NONE: as given); `realm` where the text names none. The host is put in lower case, as every
 * implementation does. KB_MALFORMED, KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_target_principal(const struct kb_target *target, kb_bytes host,
                                               kb_bytes realm, const struct kb_principal **out);

#endif
