/* kdc.h - the words of KDCHost and PrimaryKDC, which krb5.conf's kdc lines have too:
 * host, host:port, address, [IPv6], [IPv6]:port, tcp/ or udp/ before one of these, unix:/path, and
 * https://host[:port][/path] for a KDC proxy ([MS-KKDCP]).
 *
 * Bytes in, slices of them out. Any thread. */
#ifndef KB_KDC_WORD_H
#define KB_KDC_WORD_H

#include "asn1/bytes.h"
#include "asn1/status.h"
#include "mech/report/error.h"

enum kb_kdc_kind {
    KB_KDC_ANY, /* UDP and TCP, as the other options say */
    KB_KDC_TCP,
    KB_KDC_UDP,
    KB_KDC_UNIX,
    KB_KDC_HTTPS,
};

#define KB_KDC_HTTPS_PORT 443
#define KB_KDC_HTTPS_PATH "/KdcProxy" /* where none is written */

struct kb_kdc_word {
    enum kb_kdc_kind kind;
    kb_bytes host; /* a name or an address without brackets; of KB_KDC_UNIX the path */
    uint16_t port; /* 0: none is written */
    kb_bytes path; /* of KB_KDC_HTTPS, with its slash; KB_NONE: none is written */
};

#define KB_KDC_MAX_HOST 255 /* bytes of a host's name */
#define KB_KDC_MAX_PATH 127 /* bytes of a URL's path */

/* kb_kdc_word_parse reads one word. *err says what is wrong, and shows the word. */
KB_MUST_USE enum kb_status kb_kdc_word_parse(kb_bytes text, struct kb_kdc_word *out,
                                             struct kb_error *err);

/* kb_host_check: is it an IPv4 or IPv6 address (with a zone: fe80::1%eth0), or the syntax of a
 * host's name? *err says what it is instead. */
KB_MUST_USE enum kb_status kb_host_check(kb_bytes text, struct kb_error *err);

/* kb_host_family is AF_INET or AF_INET6 for an address, 0 for a name. */
int kb_host_family(kb_bytes text);

#endif
