/* context.h - the inside of a kb_ap: shared by ap.c, which makes it and its AP-REQ, ap_rep.c, which
 * takes the answer, and token.c, whose messages use it. Nobody else looks in here (but tests, which
 * play the acceptor with it). */
#ifndef KB_CONTEXT_H
#define KB_CONTEXT_H

#include <pthread.h>

#include "asn1/types.h"
#include "mech/protocol/ap.h"
#include "mech/protocol/seqstate.h"

/* What is written at each message lies a cache line away from what is read at each, and from what
 * is written in the other direction: two threads take nothing from each other that they need not.
 */
#define KB_APART 64

struct kb_ap {
    /* Immutable once established: what messages need, … Only the state may change, when the peer
     * says that it has deleted the context (kb_take_delete). */
    _Atomic enum kb_ap_state { KB_AP_WAITING, KB_AP_ESTABLISHED, KB_AP_FAILED } state;
    uint32_t flags;                       /* KB_GSS_* */
    const struct kb_token_format *format; /* of its messages, once established */
    struct kb_key *message_key; /* the initiator's subkey, then the acceptor's if it sends one */
    _Atomic(struct kb_v1_keys *) v1; /* token_v1_cipher.c's, from the first message on */
    kb_bytes mech;                   /* OID in their frames, not ours; RFC 1964 only */
    bool acceptor;                   /* which side we are: false, but in tests */
    bool acceptor_subkey;            /* message_key came from the acceptor */

    /* … and what they do not. */
    bool bound; /* channel bindings were sent */
    uint32_t ticket_flags;
    struct kb_key *session_key;      /* of the ticket */
    struct kb_key *initiator_subkey; /* NULL: message_key is it */
    const struct kb_principal *client, *server;
    int64_t authtime, endtime; /* the latter by our clock */
    uint64_t etypes;           /* rows of the enctype table that an acceptor subkey may have */
    int64_t clock_offset;

    _Atomic uint64_t send_seq; /* of the next message */
    struct kb_timestamp sent;  /* ctime and cusec of the authenticator; immutable too */

    char apart[KB_APART - sizeof(uint64_t) - sizeof(struct kb_timestamp)];
    /* Guards `received`. A leaf: nothing is called with it held. */
    pthread_mutex_t lock;
    struct kb_seqstate received;
};

_Static_assert(sizeof(void *) < 8 ||
                   (offsetof(struct kb_ap, send_seq) >=
                        offsetof(struct kb_ap, acceptor_subkey) + KB_APART &&
                    offsetof(struct kb_ap, lock) >= offsetof(struct kb_ap, send_seq) + KB_APART),
               "apart");

/* kb_ap_alloc is an empty one, waiting, which kb_ap_free releases; NULL: no memory. */
struct kb_ap *kb_ap_alloc(void);

#define KB_PVNO 5
#define KB_MSG_AP_REQ 14
#define KB_MSG_AP_REP 15

/* kb_ap_establish: the peer's first number is known, messages can come. */
void kb_ap_establish(struct kb_ap *ap, uint32_t peer_seq);

/* kb_ap_tell_old warns of an established context whose messages are under an old enctype. */
void kb_ap_tell_old(const struct kb_ap *ap, const struct kb_env *env);

/* kb_ap_time is the time by the realm's clock, by which acceptors judge us. */
struct kb_timestamp kb_ap_time(const struct kb_ap *ap, const struct kb_env *env);

/* kb_ap_encrypt encrypts in the ticket's session key, into the arena. */
KB_MUST_USE enum kb_status kb_ap_encrypt(struct kb_ap *ap, enum kb_usage usage,
                                         const struct kb_rng *rng, kb_bytes plain,
                                         struct kb_arena *arena, kb_encrypted_data *out);

/* kb_ap_etype_bit is an enctype's bit in kb_ap.etypes; 0 for one that is not in the table. */
uint64_t kb_ap_etype_bit(int32_t etype);

#endif
