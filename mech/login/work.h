/* work.h - one call that asks KDCs: what work.c (setting up, driving a machine), login.c (the
 * calls), tgt.c (the TGT), ticket.c (the service ticket) and refresh.c share. Made by the thread
 * that leads (flight.h): who waits for another needs none. One thread. */
#ifndef KB_WORK_H
#define KB_WORK_H

#include "mech/login/beside.h"
#include "mech/login/locate.h"
#include "mech/login/login.h"
#include "mech/net/exchange.h"

#define KB_WORK_MAX_ETYPES 32

struct kb_work {
    const struct kb_login *login;
    struct kb_identity *identity; /* the login's, or `rekeyed` */
    struct kb_identity *rekeyed;  /* the same client with the secret that is in its place by now,
                                     since a KDC refused the login's; NULL: nobody did */
    struct kb_wait *wait;         /* the call's */
    struct kb_locate locate;
    struct kb_net_session *net;
    struct kb_env env;
    struct kb_policy policy;
    int32_t as_etypes[KB_WORK_MAX_ETYPES]; /* those that the identity has keys for */
    size_t num_as_etypes;
    struct kb_hint_buf hint_bytes;
    struct kb_arena arena;     /* what the policy points to */
    struct kb_credential *tgt; /* what this call logged in for; NULL: it did not */
    bool refreshed_tgt;        /* or tried to: once in a call */
    bool log_in_tried;         /* once in a call */
    bool refreshed_realm;      /* the same of another realm's */
    int64_t later_than; /* of a refresh: when the ticket at hand ends. One from the cache that ends
                           no later is none; 0: any will do */
    const struct kb_principal *file_as; /* the name of the ticket that this call brought, for the
                                           cache; NULL: it brought none */
    struct kb_credential *refused;      /* a TGT that its KDC does not take; NULL: none */
    bool refused_kept;                  /* it was there before this call */
    bool to_drop;                       /* and is kept yet */
    bool refused_early;                 /* it is not valid yet, the KDC says */
    bool referred;                      /* a KDC referred this call to another realm */
    struct kb_beside_held beside;       /* the locks of flights that it leads */
    bool primary;                       /* a login keeps to one KDC, and this one to the primary */
};

/* What the ticket of a target is kept under. */
struct kb_work_key {
    uint8_t bytes[1 + KB_TARGET_MAX + 256];
};

/* --- work.c --- */

/* kb_work_key: `canonical` is what the name of the target's host stands for now (hostname.h), ""
 * where it stands for itself. */
kb_bytes kb_work_key(const struct kb_target *target, const char *canonical,
                     struct kb_work_key *key);

/* kb_work_new borrows `login` and `wait`; NULL with *err set. kb_work_free accepts NULL. */
struct kb_work *kb_work_new(const struct kb_login *login, struct kb_wait *wait,
                            struct kb_error *err);
void kb_work_free(struct kb_work *work);

/* kb_work_fetch makes a machine; NULL with *err set. kb_work_drive brings it to its end. */
struct kb_fetch *kb_work_fetch(struct kb_work *work, const struct kb_fetch_request *request,
                               struct kb_error *err);
KB_MUST_USE enum kb_status kb_work_drive(struct kb_work *work, struct kb_fetch *fetch,
                                         struct kb_error *err);

/* kb_work_ask_primary tells whether the realm's primary KDC is to be asked once more after *err,
 * which it then takes over; else it stays. kb_work_asked_primary puts `first` back where the
 * primary did not answer either. */
bool kb_work_ask_primary(struct kb_work *work, struct kb_error *first, struct kb_error *err);
void kb_work_asked_primary(const struct kb_error *first, struct kb_error *err);

/* kb_work_gave_up makes an error of what waiting since `start_ms` ended with; `what` goes on behind
 * "waiting". */
enum kb_status kb_work_gave_up(const struct kb_wait *wait, enum kb_status st, int64_t start_ms,
                               const char *what, struct kb_error *err);

/* --- tgt.c --- */

/* kb_work_log_in obtains a TGT with the secret, unless that was refused and is paused, and writes
 * it to the cache. */
KB_MUST_USE enum kb_status kb_work_log_in(struct kb_work *work, struct kb_credential **out,
                                          struct kb_error *err);

/* kb_work_hand_over keeps a ticket, under `key`, for the next call too, which is that of the secret
 * that is in its place by now; where that is the login's own there is nothing to do. */
void kb_work_hand_over(struct kb_work *work, kb_bytes key, struct kb_credential *ticket);

/* kb_work_renew renews a TGT (RFC 4120 2.3), and writes it to the cache. */
KB_MUST_USE enum kb_status kb_work_renew(struct kb_work *work, struct kb_credential *tgt,
                                         struct kb_credential **out, struct kb_error *err);

/* kb_work_tgt gives the TGT that is kept, or a new one. A call logs in once: whatever KDCs say of
 * the TGT that this brought, or however short its life is, no further password proofs are made. */
KB_MUST_USE enum kb_status kb_work_tgt(struct kb_work *work, struct kb_credential **out,
                                       struct kb_error *err);

/* --- ticket.c --- */

/* kb_work_cached looks for the target as it was named into the cache as it is known. KB_NOT_FOUND:
 * see what kb_work_ticket finds. */
KB_MUST_USE enum kb_status kb_work_cached(struct kb_work *work, const struct kb_target *target,
                                          struct kb_credential **out);

/* kb_work_ticket asks the KDCs for the target's names, one at a time. */
KB_MUST_USE enum kb_status kb_work_ticket(struct kb_work *work, const struct kb_target *target,
                                          struct kb_credential **out, struct kb_error *err);

/* --- forward.c --- */

/* kb_work_forwarded asks for a TGT to be handed on to a service. */
KB_MUST_USE enum kb_status kb_work_forwarded(struct kb_work *work, struct kb_credential **out,
                                             struct kb_error *err);

#endif
