/* race.h - inside net: one message on its way to the KDCs of a realm, until one answer counts.
 *
 * A lane is one KDC of the realm with its addresses; an attempt is one socket to one of them. The
 * rules are DESIGN.md's "net": hedging without a proof; with one, one KDC at a time, and silence
 * that ends. Lives on the stack of kb_net_exchange. */
#ifndef KB_RACE_H
#define KB_RACE_H

#include "mech/net/session.h"
#include "mech/report/events.h"

#define KB_MAX_ATTEMPTS 48

struct kb_attempt {
    struct kb_conn conn;
    struct kb_place *place;
    enum kb_transport transport;
    bool over;      /* closed; conn tells why, else it was silent or lost the race */
    bool waiting;   /* the whole message was sent */
    bool listening; /* counted on no more (the next two say why), but the right answer may come */
    bool asked_tcp; /* its answer is too big for UDP, or a forger says so */
    bool cannot_serve; /* the KDC says that it cannot serve now, or a forger does */
    bool reused;       /* its connection carried an earlier message of the login */
    bool replaced;     /* that one was closed meanwhile: another attempt stands for it */
    unsigned sends, ignored;
    size_t seen;      /* bytes of an unfinished reply */
    int64_t start_ms; /* when it was opened */
    int64_t sent_ms;  /* when the whole message was first sent */
    int64_t timer_ms; /* of the next repetition */
    int64_t end_ms;
};

struct kb_lane {
    struct kb_place *place;
    enum kb_transport transports[2]; /* by choice; KB_ANY_TRANSPORT: there is no second one */
    unsigned tried[2];               /* addresses that had an attempt, by choice */
    unsigned first;                  /* the address to begin with: the one that answered before */
};

enum kb_race_state {
    KB_RACE_ON,
    KB_RACE_ANSWERED,
    KB_RACE_NOBODY,  /* every KDC failed */
    KB_RACE_LOST,    /* a proof that got no answer */
    KB_RACE_STOPPED, /* `status`: the deadline, interrupt or memory */
};

enum kb_held {
    KB_HELD_NONE,
    KB_HELD_NOT_NOW, /* "cannot serve": stepped with when nobody else is left */
    KB_HELD_WEAK,    /* stepped with at its time */
};

struct kb_race {
    struct kb_net_session *net;
    struct kb_places *places;
    const struct kb_send *send;
    kb_verdict_fn verdict;
    void *machine;
    struct kb_arena *arena;

    enum kb_race_state state;
    enum kb_status status;
    bool judged;
    kb_bytes reply;

    bool tcp_known; /* replies of the realm were too big for UDP */
    struct kb_lane lanes[KB_MAX_KDCS];
    size_t num_lanes;
    struct kb_attempt *attempts; /* heap */
    size_t num_attempts, max_attempts;
    bool tcp_by_choice; /* of size or option: says nothing about UDP at the KDC */
    int64_t now_ms, start_ms;
    int64_t launch_ms; /* when the next attempt may start */
    int64_t hedge_ms;  /* when the last one had its time alone */

    enum kb_held held_as;
    kb_bytes held; /* a reply that is stepped with if no better one comes */
    size_t held_from;
    int64_t held_ms;   /* not before then */
    size_t num_answer; /* the attempt that answered, from 1 on; 0: none */
};

/* lanes.c: whom to ask next. */
void kb_lanes_init(struct kb_race *race);

/* kb_lanes_hedge_ms is the silence after which others are asked beside a KDC: what RFC 6298 would
 * wait for it, within bounds, where its time to answer over UDP is known. */
int64_t kb_lanes_hedge_ms(const struct kb_race *race, const struct kb_place *place,
                          enum kb_transport transport);

/* kb_lanes_next finds the next address to try; with `other_transport` also by the second choice.
 * KB_NOT_FOUND: none now (a name may still be on its way). KB_NO_MEMORY. */
struct kb_candidate {
    struct kb_place *place; /* NULL: a name was asked for, nothing to send yet */
    struct kb_address address;
    enum kb_transport transport;
};
KB_MUST_USE enum kb_status kb_lanes_next(struct kb_race *race, bool other_transport,
                                         struct kb_candidate *out);
bool kb_lanes_resolving(const struct kb_race *race); /* is there a name worth waiting for? */
int64_t kb_lanes_expiry(const struct kb_race *race, const struct kb_lane *lane); /* of its name */
bool kb_lanes_left(const struct kb_race *race); /* is there a KDC that has no lane here? */

/* attempt.c: one socket's life. kb_attempt_start may move race->attempts. */
void kb_attempt_start(struct kb_race *race, const struct kb_candidate *candidate);
void kb_attempt_send(struct kb_race *race, struct kb_attempt *attempt); /* on, or once more */
void kb_attempt_fail(struct kb_race *race, struct kb_attempt *attempt);

/* kb_attempt_too_large ends an attempt whose message no datagram takes: it goes over TCP at once,
 * where it may. May move race->attempts. */
void kb_attempt_too_large(struct kb_race *race, struct kb_attempt *attempt);
/* kb_attempt_capture is PacketCapture's. */
void kb_attempt_capture(const struct kb_race *race, const struct kb_attempt *attempt, bool sent,
                        kb_bytes message);
int64_t kb_attempt_expiry(const struct kb_race *race, const struct kb_attempt *attempt);

/* kb_attempt_counts tells whether it is hoped for, so that others wait. */
static inline bool kb_attempt_counts(const struct kb_attempt *attempt)
{
    return !attempt->over && !attempt->listening;
}

/* kb_attempt_find finds an attempt by a transport at an address (where that is a proxy's: at a
 * place); NULL if there was none. */
struct kb_attempt *kb_attempt_find(const struct kb_race *race, const struct kb_place *place,
                                   const struct kb_address *address, enum kb_transport transport);

/* judge.c: what arrives on an attempt's socket. */
void kb_race_receive(struct kb_race *race, size_t index);
void kb_race_step_with_held(struct kb_race *race);

/* kb_race_is_limited: where no deadline ends the race its own rhythm does; also where a reply is
 * held that says "not now", since the others then only get their fair chance. */
static inline bool kb_race_is_limited(const struct kb_race *race)
{
    return race->net->wait->deadline_ms == INT64_MAX || race->held_as != KB_HELD_NONE;
}

/* race.c: runs until state is not KB_RACE_ON; then every socket is closed. */
void kb_race_run(struct kb_race *race);
void kb_race_stop(struct kb_race *race, enum kb_status status);
void kb_race_wipe(struct kb_race *race);

/* tried.c: makes the error of a race that nobody answered. */
enum kb_status kb_race_error(const struct kb_race *race, struct kb_error *err);

/* kb_peer_text describes an attempt: "192.0.2.1:88 udp", "kdc.example.com:88 (192.0.2.1) tcp". */
void kb_peer_text(const struct kb_attempt *attempt, char out[KB_PEER_TEXT]);

/* kb_attempt_tell tells what happens to an attempt: what was sent or came, or why it ended. */
enum kb_tell {
    KB_TELL_FROM, /* which socket it is, at Debug */
    KB_TELL_SENT,
    KB_TELL_SENT_AGAIN,
    KB_TELL_ANSWERED,
    KB_TELL_TOO_BIG_FOR_UDP,
    KB_TELL_TOO_LARGE_FOR_UDP, /* the request */
    KB_TELL_FAILED,
};
void kb_attempt_tell(const struct kb_race *race, const struct kb_attempt *attempt,
                     enum kb_tell what, kb_bytes message);

#endif
