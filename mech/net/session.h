/* session.h - inside net: what lives from one message of a login to the next.
 *
 * One thread at a time, as kb_net_session (exchange.h), whose insides this is. */
#ifndef KB_NET_SESSION_H
#define KB_NET_SESSION_H

#include "mech/net/exchange.h"
#include "mech/net/memory.h"
#include "mech/net/resolve.h"
#include "mech/net/transport.h"

#define KB_MAX_KDCS 16 /* of one realm that are tried */
#define KB_PEER_TEXT 160

/* The rhythm of a race, in milliseconds. Tests shorten it. */
struct kb_net_tuning {
    int64_t hedge_ms;     /* silence after which the next KDC is asked as well */
    int64_t hedge_min_ms; /* where it is known to answer faster; 0: that changes nothing */
    int64_t repeat_ms;    /* the first repetition of a datagram; then twice the gap, and so on */
    int64_t max_gap_ms;   /* until the gap is this long */
    unsigned max_sends;   /* datagrams to one KDC where no deadline ends it */
    int64_t life_ms;      /* of a TCP connection where no deadline ends it */
    int64_t name_ms;      /* of the search for an address where no deadline ends it */
    int64_t defer_ms;     /* silence after which the other transport is tried as well */
    int64_t proof_ms;     /* silence that ends a proof */
    int64_t weak_min_ms, weak_max_ms; /* bounds of "one more round trip" */
};
extern const struct kb_net_tuning kb_net_default_tuning;

/* One KDC of a realm, and where its name leads. */
struct kb_place {
    struct kb_kdc kdc;
    uint16_t port;                      /* that is spoken to: the KDC's, or the proxy's */
    struct kb_resolve *question;        /* NULL: not asked yet */
    const struct kb_resolved *resolved; /* NULL: not answered yet */
    int64_t asked_ms;
    bool unreachable;      /* by UDP only, which does not go through a proxy */
    bool failed;           /* in this session: asked last from then on */
    struct kb_known known; /* of the process, when the last race began */
};

/* The connection that brought the last answer over a stream, for the next message of the login. */
struct kb_kept {
    struct kb_place *place; /* NULL: none */
    enum kb_transport transport;
    struct kb_conn conn;
};

/* The KDCs of a realm, in the order of the configuration. */
struct kb_places {
    struct kb_places *next;
    kb_bytes realm; /* behind `list` */
    bool primary;
    size_t num;
    struct kb_place list[];
};

struct kb_net_session {
    struct kb_net_config config;
    kb_locate_fn locate;
    void *locate_ctx;
    struct kb_wait *wait;
    struct kb_sockets sockets;
    struct kb_net_tuning tuning;
    struct kb_places *places;
    struct kb_inbox inbox;
    void (*idle)(void *); /* NULL: none, or done */
    void *idle_ctx;
    char peer[KB_PEER_TEXT];
    struct kb_net_facts facts;
    const struct kb_places *answered_of; /* who answered last; NULL: nobody yet */
    const struct kb_place *answered_by;
    struct kb_kept kept;
};

/* kb_kept_drop closes what is kept. */
void kb_kept_drop(struct kb_net_session *net);

/* kb_places_of finds the KDCs of a realm, by asking `locate` the first time. NULL with *err set. */
struct kb_places *kb_places_of(struct kb_net_session *net, kb_bytes realm, bool primary,
                               struct kb_error *err);
/* kb_places_drop forgets those of a realm, so that `locate` is asked again. */
void kb_places_drop(struct kb_net_session *net, kb_bytes realm);
void kb_places_free(struct kb_places *places); /* the whole list; NULL is accepted */

/* kb_place_ask starts to resolve a KDC's name (or that of the proxy before it, which resolves the
 * KDC's itself), or yields the answer that is there. KB_OK with
 * place->resolved NULL: poll kb_resolve_fd(place->question), then kb_place_answer. */
KB_MUST_USE enum kb_status kb_place_ask(const struct kb_sockets *sockets, struct kb_place *place,
                                        int64_t now_ms);

/* kb_place_answer takes the answer if it is there; true if it is. */
bool kb_place_answer(struct kb_place *place);

/* kb_net_tune is for tests. */
void kb_net_tune(struct kb_net_session *net, const struct kb_net_tuning *tuning);

#endif
