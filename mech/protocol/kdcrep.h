/* kdcrep.h - what AS-REP and TGS-REP have in common, and the checks that both must pass. RFC 4120
 * 3.1.5, 3.3.4, 5.4.2.
 *
 * All that counts stands in the encrypted part; what stands in clear beside it (the ticket's realm
 * and sname) must equal it. Slices point into the message and the arena. */
#ifndef KB_KDCREP_H
#define KB_KDCREP_H

#include "mech/protocol/credential.h"
#include "mech/protocol/step.h"
#include "mech/report/error.h"

enum { KB_AS_REP = 11, KB_TGS_REP = 13 }; /* msg-type */

/* KDCOptions, RFC 4120 5.4.1, RFC 6806 3 (bit 0 is 0x80000000); where a TicketFlag exists, it has
 * the same bit. */
#define KB_OPT_FORWARDABLE 0x40000000u
#define KB_OPT_FORWARDED 0x20000000u
#define KB_OPT_PROXIABLE 0x10000000u
#define KB_OPT_RENEWABLE 0x00800000u
#define KB_OPT_CANONICALIZE 0x00010000u
#define KB_OPT_RENEW 0x00000002u /* no TicketFlag */

struct kb_kdcrep {
    kb_kdc_rep msg;
    kb_ticket_fields ticket;  /* the clear part of msg.ticket */
    kb_enc_kdc_rep_part part; /* of kb_kdcrep_open; starttime is filled in where it was absent */
};

/* Why a reply cannot be used: a kind of error.def, and "its nonce is not the request's". */
struct kb_fault {
    enum kb_error_code code;
    const char *what;
    bool names_etype; /* and which enctype the KDC chose, to be told behind it */
    int32_t etype;
};

/* kb_fault_etype appends that enctype's name, " (rc4-hmac)", or nothing. */
const char *kb_fault_etype(const struct kb_fault *fault, char buf[40]);

/* kb_fault_unasked says that a part of the reply is of an enctype that was not asked for; returns
 * KB_ERROR. */
enum kb_status kb_fault_unasked(struct kb_fault *fault, const char *what, int32_t etype);

/* kb_kdcrep_decode reads a whole message of the given msg-type, and nothing that is encrypted. */
KB_MUST_USE enum kb_status kb_kdcrep_decode(kb_bytes message, int32_t msg_type,
                                            struct kb_arena *arena, struct kb_kdcrep *out);

/* kb_kdcrep_open decrypts. KB_BAD_INTEGRITY: not with this key and usage. */
KB_MUST_USE enum kb_status kb_kdcrep_open(struct kb_kdcrep *rep, struct kb_key *key, uint32_t usage,
                                          struct kb_arena *arena);

/* What was asked for. */
struct kb_kdcrep_terms {
    uint32_t nonce;
    uint32_t options;      /* KB_OPT_* */
    int64_t till, rtime;   /* rtime 0: none was asked for */
    int64_t now, skew;     /* by the KDC's clock; seconds that it may be off */
    const int32_t *etypes; /* allowed for the session key */
    size_t num_etypes;
    kb_host_addresses addresses; /* that it may be bound to */
};

/* kb_kdcrep_check compares an opened reply with them and makes the session key. KB_ERROR: *fault.
 */
KB_MUST_USE enum kb_status kb_kdcrep_check(const struct kb_kdcrep *rep,
                                           const struct kb_kdcrep_terms *terms,
                                           struct kb_key **out_session_key, struct kb_fault *fault);

/* kb_kdcrep_credential makes a credential of a reply that passed; NULL when memory is short. */
struct kb_credential *kb_kdcrep_credential(const struct kb_kdcrep *rep, struct kb_key *session_key,
                                           int64_t clock_offset, struct kb_arena *arena);

/* kb_kdc_nonce draws a request's nonce. kb_kdc_etypes makes its etype list. */
KB_MUST_USE enum kb_status kb_kdc_nonce(const struct kb_rng *rng, uint32_t *out);
KB_MUST_USE enum kb_status kb_kdc_etypes(const struct kb_kdcrep_terms *terms,
                                         struct kb_arena *arena, kb_int32_list *out);

/* kb_etype_allowed tells whether `etype` is in the list. */
bool kb_etype_allowed(const int32_t *etypes, size_t num, int32_t etype);

/* kb_kdcrep_verdict is what a reply is worth whose check ended with `st`: one that does not decrypt
 * or does not hold (KB_ERROR) cannot be told from a forgery, one that is no reply at all is passed
 * over. */
enum kb_verdict kb_kdcrep_verdict(enum kb_status st);

#endif
