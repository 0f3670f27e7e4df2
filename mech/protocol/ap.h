/* ap.h - the AP exchange and the security context that comes of it. RFC 4120 3.2, 5.5; RFC
 * 4121 4.1.
 *
 * kb_ap is one initiator context: made from a service ticket, it gives the AP-REQ, takes the
 * AP-REP, and then holds keys, flags, sequence numbers and the replay window for
 * mech/protocol/token. It leans on no credential: it keeps references on the keys it needs. Before
 * it is established one thread at a time; afterwards its messages may be made and taken by several
 * threads at once (token.h). No heap beyond the object while it is half open. */
#ifndef KB_AP_H
#define KB_AP_H

#include "asn1/arena.h"
#include "mech/protocol/credential.h"
#include "mech/protocol/env.h"
#include "mech/report/error.h"

/* The flags of the RFC 4121 checksum, which are GSS-API's. DELEG goes out where there is a TGT to
 * forward, DELEG_POLICY (RFC 5896) never: it is GSS-API's own. TRANS is the caller's to ask for,
 * who knows whether contexts can be exported. */
#define KB_GSS_DELEG 0x1u
#define KB_GSS_MUTUAL 0x2u
#define KB_GSS_REPLAY 0x4u
#define KB_GSS_SEQUENCE 0x8u
#define KB_GSS_CONF 0x10u
#define KB_GSS_INTEG 0x20u
#define KB_GSS_TRANS 0x100u
#define KB_GSS_DCE_STYLE 0x1000u /* implies MUTUAL */
#define KB_GSS_IDENTIFY 0x2000u
#define KB_GSS_EXTENDED_ERROR 0x4000u
#define KB_GSS_DELEG_POLICY 0x8000u

/* Channel bindings, RFC 4121 4.1.1.2; all-zero slices and types where a part is not given. */
struct kb_channel_bindings {
    uint32_t initiator_addrtype, acceptor_addrtype;
    kb_bytes initiator_address, acceptor_address, application_data;
};

struct kb_ap_request {
    struct kb_credential *credential; /* of the service */
    /* The mechanism's OID (DER contents), constant memory that outlives the context: messages of
     * RFC 1964 are framed by it. Empty: krb5's. */
    kb_bytes mech;
    uint32_t flags; /* KB_GSS_*: what is asked of the peer and granted */
    const struct kb_channel_bindings *bindings; /* NULL: none */
    bool bindings_required;                     /* GSS_C_CHANNEL_BOUND_FLAG: KERB_AP_OPTIONS_CBT */
    /* Ours, best first: with mutual authentication offered to the acceptor (RFC 4537) where the
     * session key's is not the best; an acceptor subkey of any other is refused. */
    const int32_t *etypes;
    size_t num_etypes;
    int64_t clock_offset;            /* microseconds */
    struct kb_credential *forwarded; /* the TGT that the service gets; NULL: none */
};

struct kb_ap;

/* kb_ap_new makes the context and its AP-REQ (bare, not framed; in `arena`). */
KB_MUST_USE enum kb_status kb_ap_new(const struct kb_env *env, const struct kb_ap_request *request,
                                     struct kb_arena *arena, struct kb_ap **out,
                                     kb_bytes *out_ap_req);
void kb_ap_free(struct kb_ap *ap); /* wipes; NULL is accepted */

/* kb_ap_reply takes the acceptor's answer (bare AP-REP, or KRB-ERROR). With DCE_STYLE a third leg
 * (an AP-REP of ours, not to be framed) comes out in *out_token, else that is empty. *err says what
 * the service said: KB_E_TICKET_EXPIRED where a new ticket would help, with the KRB-ERROR's code in
 * kdc_code. After a failure the context is good for nothing but to be freed. */
KB_MUST_USE enum kb_status kb_ap_reply(struct kb_ap *ap, const struct kb_env *env, kb_bytes token,
                                       struct kb_arena *arena, kb_bytes *out_token,
                                       struct kb_error *err);

bool kb_ap_established(const struct kb_ap *ap);
uint32_t kb_ap_flags(const struct kb_ap *ap);  /* KB_GSS_*, as granted */
int64_t kb_ap_endtime(const struct kb_ap *ap); /* of the ticket, UTC seconds, local clock */
const struct kb_principal *kb_ap_client(const struct kb_ap *ap);
const struct kb_principal *kb_ap_server(const struct kb_ap *ap);
uint32_t kb_ap_ticket_flags(const struct kb_ap *ap);
int64_t kb_ap_authtime(const struct kb_ap *ap);

/* The key that per-message tokens use now, and which side sent it. It is the SSPI session key too.
 * out_from_acceptor may be NULL. */
struct kb_key *kb_ap_message_key(const struct kb_ap *ap, bool *out_from_acceptor);
struct kb_key *kb_ap_ticket_key(const struct kb_ap *ap); /* the session key of the ticket */

/* kb_ap_initiator_key is our subkey, also where the acceptor's took its place for messages. */
struct kb_key *kb_ap_initiator_key(const struct kb_ap *ap);

/* Sequence numbers of an established context: of our next message, and of the peer's first. */
uint64_t kb_ap_send_seq(const struct kb_ap *ap);
uint64_t kb_ap_first_seq(const struct kb_ap *ap);

/* kb_ap_ssf is SASL's strength of the message key, in bits. */
unsigned kb_ap_ssf(const struct kb_ap *ap);

#endif
