/* credential.h - a ticket with what only its owner knows: session key, times, names.
 *
 * Immutable once made, counted, shared by threads; the session key keeps what it derives. Times are
 * UTC seconds by the KDC's clock. RFC 4120 5.4.2 (EncKDCRepPart). */
#ifndef KB_CREDENTIAL_H
#define KB_CREDENTIAL_H

#include "crypto/key.h"
#include "mech/names/principal.h"

/* TicketFlags, RFC 4120 5.3 (bit 0 is 0x80000000) */
#define KB_TKT_FORWARDABLE 0x40000000u
#define KB_TKT_FORWARDED 0x20000000u
#define KB_TKT_PROXIABLE 0x10000000u
#define KB_TKT_RENEWABLE 0x00800000u
#define KB_TKT_INITIAL 0x00400000u
#define KB_TKT_PRE_AUTHENT 0x00200000u
#define KB_TKT_TRANSITED_CHECKED 0x00080000u
#define KB_TKT_OK_AS_DELEGATE 0x00040000u
#define KB_TKT_ENC_PA_REP 0x00010000u

struct kb_credential {
    const struct kb_principal *client;
    const struct kb_principal *server; /* as the encrypted part names it */
    kb_bytes ticket;                   /* the Ticket's DER */
    kb_bytes addresses;                /* HostAddresses that it is bound to, DER; empty: none */
    struct kb_key *session_key;
    uint32_t flags;
    int64_t authtime, starttime, endtime, renew_till; /* starttime is authtime where it was absent;
                                                         renew_till 0: not renewable */
    int64_t clock_offset; /* microseconds, the realm's clock minus ours when it was obtained */
    /* private */
    _Atomic unsigned refs;
};

/* kb_credential_new copies `ticket` and `addresses` and takes references on the rest of *parts;
 * NULL when memory is short. */
struct kb_credential *kb_credential_new(const struct kb_credential *parts);
struct kb_credential *kb_credential_ref(struct kb_credential *credential);
void kb_credential_free(struct kb_credential *credential); /* NULL is accepted */

#endif
