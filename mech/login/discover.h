/* discover.h - what DNS says of a realm: where its KDCs are; and of a host: which realm it is in.
 *
 * KDCs: URI records at _kerberos.REALM (draft-mccallum-kitten-krb-service-discovery), which win
 * where there are any, else SRV records at _kerberos._udp.REALM and _kerberos._tcp.REALM (RFC 4120
 * 7.2.3.2); all are asked at once. Of the primary KDC: URI records with the flag `m`, else SRV at
 * _kerberos-master. Priorities and weights are RFC 2782's. A realm whose name has one label, or is
 * none of DNS, is not asked for.
 * Realm: a TXT record at _kerberos.HOST or at one of its parents (RFC 4120 1.3 warns: DNS is not
 * secure), for who has asked for it.
 * Waits through `wait`; answers are remembered (net/remember.h). One thread at a time. */
#ifndef KB_DISCOVER_H
#define KB_DISCOVER_H

#include "asn1/arena.h"
#include "mech/net/wait.h"
#include "mech/report/error.h"

struct kb_discovery {
    kb_bytes realm;
    bool primary;  /* its primary KDC */
    bool uri;      /* URI records too */
    bool tcp_only; /* UDP is not spoken */
    struct kb_wait *wait;
};

struct kb_discovered {
    const char *word; /* as KDCHost has it (options/kdc.h) */
    unsigned priority;
};

/* kb_discover_kdcs makes words of what it finds, best first, in `arena`. *how (in `arena` as well;
 * "" when memory is short) says what was asked and what came of it. KB_OK; KB_NOT_FOUND: there are
 * none; KB_ERROR: the deadline, an interrupt, memory. */
KB_MUST_USE enum kb_status kb_discover_kdcs(const struct kb_discovery *what, struct kb_arena *arena,
                                            struct kb_discovered *out, size_t max, size_t *out_num,
                                            const char **how, struct kb_error *err);

/* kb_discover_realm: KB_OK, KB_NOT_FOUND; KB_TIMED_OUT, KB_INTERRUPTED, KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_discover_realm(kb_bytes host, struct kb_wait *wait, char out[256]);

/* kb_discover_forget drops what is remembered of a realm's KDCs. True: there was something. */
bool kb_discover_forget(kb_bytes realm);

#endif
