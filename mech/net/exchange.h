/* exchange.h - brings one reply for one message: which KDC, UDP or TCP, repetition, hedging,
 * deadline.
 *
 * Poll-driven; opens its sockets for the one call and leaves none but what the session keeps. What
 * may be sent when, and what a reply means, is DESIGN.md's "net": a request without a proof is
 * hedged over the KDCs, one with a proof never; the machine's verdict function judges replies, no
 * Kerberos is parsed here. Times are milliseconds of the monotonic clock unless the name says else.
 * A session belongs to one login and one thread; what is learned about a realm (who answered and
 * how fast, who failed, that UDP is too small) is kept in the process, under its own lock. One
 * login keeps to the KDC that answered it, and to its connection where that stays open; a proof
 * begins one of its own. */
#ifndef KB_EXCHANGE_H
#define KB_EXCHANGE_H

#include "asn1/arena.h"
#include "asn1/buf.h"
#include "mech/net/facts.h"
#include "mech/net/wait.h"
#include "mech/protocol/step.h"
#include "mech/report/error.h"
#include "mech/report/events.h"

enum kb_transport { KB_ANY_TRANSPORT, KB_UDP, KB_TCP, KB_UNIX, KB_HTTPS };

#define KB_MAX_ANCHORS 8 /* of one realm */

/* One place to ask, as KDCHost, krb5.conf or DNS names it. The texts must live as long as the
 * session. */
struct kb_kdc {
    const char *host;            /* a name or a numeric address; of KB_UNIX the socket's path */
    uint16_t port;               /* of KB_UNIX: 0 */
    enum kb_transport transport; /* KB_ANY_TRANSPORT: by size and UseTCP */
    const char *path;            /* of KB_HTTPS: of its URL, "/KdcProxy"; else NULL */
    const char
        *anchors[KB_MAX_ANCHORS]; /* of KB_HTTPS: whose certificates are trusted (crypto/tls.h)
                                     up to the first NULL; none: whom the system trusts */
    unsigned priority; /* lower ones are asked first; of one priority, those that are known to be
                          fast, else in the order of the list */
    bool absolute;     /* the name is whole, as DNS gave it: no search domain is tried */
};

enum kb_family { KB_FAMILY_ANY, KB_FAMILY_IPV4, KB_FAMILY_IPV6 };

/* The options that say how sockets are made; all zero leaves it to the system. The texts must live
 * as long as the session. Those of traffic (traffic_type is QOSTrafficType's number, which counts
 * where dscp is 0), buffers, LocalHost and LocalPort hold for UDP and TCP. */
struct kb_socket_options {
    const char *local_host; /* a name or an address; NULL: any */
    uint16_t local_port;    /* 0: any, a new one for each request */
    bool share_local_port;
    enum kb_family family;
    bool use_connection;
    bool dont_fragment;
    unsigned dscp, traffic_type;
    bool capture_packet_info;
    int in_buffer, out_buffer; /* 0: the system's */
    const char *firewall_host; /* NULL: none. Else all goes over TCP through that proxy */
    uint16_t firewall_port;    /* 0: 3128 */
    const char *firewall_data; /* NULL: none */
};

/* Tells the kb_locate_fn below that none of its KDCs could be reached. True: it was something
 * remembered, so that asking again may say something else. */
typedef bool (*kb_relocate_fn)(void *ctx, kb_bytes realm);

/* From the options; copied. */
struct kb_net_config {
    bool use_tcp;             /* TCP only */
    size_t udp_limit;         /* larger requests go by TCP */
    size_t max_packet_size;   /* of a datagram; TCP replies have a ceiling of their own, 1 MiB */
    struct kb_events *events; /* told which way a message went; NULL: nobody */
    struct kb_socket_options sockets;
    kb_relocate_fn relocate; /* with the context of the kb_locate_fn; NULL: none */
};

struct kb_net_session;

/* Where the KDCs of a realm are: asked once per realm and session. May wait, for DNS. Fills at most
 * `max` entries; returns their number, 0 with *err set if none. */
typedef size_t (*kb_locate_fn)(void *ctx, kb_bytes realm, bool primary, struct kb_kdc *out,
                               size_t max, struct kb_error *err);

struct kb_net_session *kb_net_new(const struct kb_net_config *config, kb_locate_fn locate,
                                  void *locate_ctx, struct kb_wait *wait);
void kb_net_free(struct kb_net_session *net); /* closes what is open; NULL is accepted */

/* kb_net_alive tells whether a proof may be sent at once: the realm has one KDC only, or one that
 * answered this process before (and since did not fail). */
bool kb_net_alive(struct kb_net_session *net, kb_bytes realm);

/* kb_net_round_trip_ms is how long a realm's KDC is known to take for an answer, with some care
 * (RFC 6298): the quickest of those that are alive. 0: not known. */
int64_t kb_net_round_trip_ms(kb_bytes realm);

/* kb_net_idle registers a function that runs once, right after the first message was sent: the time
 * of a round trip in which OpenSSL can be loaded. */
void kb_net_idle(struct kb_net_session *net, void (*idle)(void *), void *ctx);

/* kb_net_exchange sends *send and waits for a reply that `verdict` calls final. *out_reply lies in
 * `arena`. KB_OK; KB_TIMED_OUT only for a proof that got no answer in its 3 seconds (the machine's
 * _silent function decides): then *out_judged (may be NULL) says whether a KDC may have judged it,
 * which is false when it was refused before a KDC can have seen it; KB_ERROR with *err: nobody
 * answered (each KDC that was tried, with its error), the deadline passed, interrupted, no KDC
 * known. */
KB_MUST_USE enum kb_status kb_net_exchange(struct kb_net_session *net, const struct kb_send *send,
                                           kb_verdict_fn verdict, void *machine,
                                           struct kb_arena *arena, kb_bytes *out_reply,
                                           bool *out_judged, struct kb_error *err);

/* kb_net_peer describes who answered last, for messages: "192.0.2.1:88 (udp)"; "" before. */
const char *kb_net_peer(const struct kb_net_session *net);

/* kb_net_wrong_option names the option that an error of KB_E_OPTION or KB_E_PACKET_SIZE is about,
 * for who knows where it stands; NULL for others. */
const char *kb_net_wrong_option(const struct kb_net_session *net);

/* kb_net_facts lends what the socket turned out to be that brought the last answer; NULL before. */
const struct kb_net_facts *kb_net_facts(const struct kb_net_session *net);

/* kb_net_primary tells whether the realm that was asked last has a primary KDC beside the one that
 * answered. May resolve its name, within the deadline. KB_OK: it has; KB_NOT_FOUND: none is known,
 * or it is the one that answered; KB_ERROR: what names it is wrong, or the deadline. */
KB_MUST_USE enum kb_status kb_net_primary(struct kb_net_session *net, struct kb_error *err);

/* kb_net_canonical_name asks the system's resolver for the canonical name of `host` (AI_CANONNAME;
 * with `reverse` also the name of its first address), within the deadline; where there is none,
 * half a minute. `out` is of 256 bytes. KB_NOT_FOUND: no such name. KB_TIMED_OUT, KB_INTERRUPTED,
 * KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_net_canonical_name(struct kb_wait *wait, const char *host,
                                                 bool reverse, char out[256]);

/* kb_net_known_name is the same as far as it is remembered, without asking; out is "" else. */
void kb_net_known_name(const char *host, bool reverse, char out[256]);

/* What the process has learned about a realm's KDCs, as lines of text, for who keeps it in a file:
 * which are alive, about how fast they answer, which failed, that UDP is too small.
 * kb_net_learned_export appends at most KB_NET_LEARNED bytes, and no more lines than fit into
 * `out`; while nothing important changes, the text does not. kb_net_learned_import takes what it
 * can use of any text; what this process found out itself stays. With `old` nothing is believed of
 * who is alive. Hints: they choose among the KDCs that are configured, and no more. */
#define KB_NET_LEARNED 4096
void kb_net_learned_export(kb_bytes realm, struct kb_buf *out);
void kb_net_learned_import(kb_bytes realm, kb_bytes text, bool old);

/* For mech/process around fork(2): what is known of the realms stays, helpers are the parent's. */
void kb_net_fork_prepare(void);
void kb_net_fork_parent(void);
void kb_net_fork_child(void);

#endif
