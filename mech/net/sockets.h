/* sockets.h - inside net: the sockets of a session, made as its kb_socket_options say.
 *
 * A UDP socket is left unconnected unless UseConnection or a LocalPort connects it; the transport
 * compares the sender of each datagram in either case. A LocalPort is one port for all of a
 * session's requests, several at once where KDCs are hedged: only connected sockets tell the
 * answers apart. UDP's port is ours alone, unless ShareLocalPort lends it; of TCP it is the
 * connection that is ours alone, as anywhere. Lives in a session: one thread. */
#ifndef KB_SOCKETS_H
#define KB_SOCKETS_H

#include "mech/net/exchange.h"

#define KB_FIREWALL_PORT 3128

struct kb_sockets {
    struct kb_socket_options options;
    struct kb_events *events;
    bool ready;                 /* LocalHost is resolved, FirewallData was looked at */
    struct kb_address local[2]; /* LocalHost: its IPv4 and its IPv6 address; len 0: it has none */
    unsigned holders;           /* open UDP sockets that hold LocalPort */
    bool told_buffers;          /* that the system gives less than was asked for */
    const char *wrong_option;   /* what an error of KB_E_OPTION is about; NULL */
};

/* kb_sockets_prepare does once what the options need before the first socket. KB_ERROR with *err,
 * KB_E_OPTION for what is wrong with them. */
KB_MUST_USE enum kb_status kb_sockets_prepare(struct kb_sockets *sockets, struct kb_wait *wait,
                                              struct kb_error *err);

/* kb_sockets_family_flags are kb_resolve_start's, for UseIPv6. */
unsigned kb_sockets_family_flags(const struct kb_sockets *sockets);

static inline uint16_t kb_sockets_firewall_port(const struct kb_sockets *sockets)
{
    return sockets->options.firewall_port != 0 ? sockets->options.firewall_port : KB_FIREWALL_PORT;
}

#endif
