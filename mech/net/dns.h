/* dns.h - what a DNS server answered: its SRV, URI or TXT records, and in which order to try them.
 *
 * Bytes in, records out; no socket, no clock (RFC 1035 4.1, RFC 2782, RFC 7553 4.5). The system's
 * resolver asked, so the answer fits the question; but it may come from anybody on the way, and
 * what is not well-formed is refused or left out here.
 * A kb_dns_records is immutable and counted; any thread. */
#ifndef KB_DNS_H
#define KB_DNS_H

#include "asn1/bytes.h"
#include "asn1/status.h"

#define KB_DNS_MAX_RECORDS 64 /* of one answer that are looked at */
#define KB_DNS_MAX_TEXT 511   /* bytes of a target or text; records with longer ones are left out */

enum kb_dns_type { KB_DNS_TXT = 16, KB_DNS_SRV = 33, KB_DNS_URI = 256 };

struct kb_dns_record {
    uint16_t priority, weight; /* of TXT: 0 */
    uint16_t port;             /* of SRV, else 0 */
    /* SRV: a host's name without the last dot, "" for the root (RFC 2782: there is no such
     * service); TXT: the first of its strings. No NUL inside. */
    char text[KB_DNS_MAX_TEXT + 1];
};

struct kb_dns_records {
    _Atomic unsigned refs;
    uint32_t ttl; /* seconds, the least of all records on the way */
    size_t num;
    struct kb_dns_record list[]; /* in the order of the answer */
};

/* kb_dns_parse reads an answer. KB_MALFORMED: it is none; KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_dns_parse(kb_bytes reply, enum kb_dns_type type,
                                        struct kb_dns_records **out);

struct kb_dns_records *kb_dns_ref(struct kb_dns_records *records);
void kb_dns_put(struct kb_dns_records *records); /* NULL is accepted */

/* Where something stands among others: by priority, and by weight within one. */
struct kb_dns_rank {
    uint16_t priority, weight;
    size_t index; /* the caller's */
};

/* kb_dns_order sorts as RFC 2782 has it: the lowest priority first, and among equals each first as
 * often as its weight says. `random` gives a number from 0 to `most`. */
void kb_dns_order(struct kb_dns_rank *ranks, size_t num, uint32_t (*random)(uint32_t most));

/* kb_dns_random is such a `random`, of the kernel's. */
uint32_t kb_dns_random(uint32_t most);

#endif
