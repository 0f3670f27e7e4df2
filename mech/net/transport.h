/* transport.h - how bytes travel to one KDC: UDP, TCP, a UNIX socket, a tunnel through a proxy, and
 * HTTPS to a KDC proxy behind one small const struct.
 *
 * A connection is one socket to one address, over UDP for one request message: a new source port,
 * which the kernel draws unless LocalPort names one, kept for repetitions; a stream may carry the
 * login's next message too, where its peer leaves it open. Nothing here waits, and nothing
 * here knows Kerberos. Sockets are close-on-exec and non-blocking and raise no SIGPIPE. Datagrams
 * from another address or port are dropped, and ICMP errors are reported at once. */
#ifndef KB_TRANSPORT_H
#define KB_TRANSPORT_H

#include "mech/net/sockets.h"

/* What came of one try to go on. */
enum kb_io {
    KB_IO_DONE,      /* connected; all sent; a message is here */
    KB_IO_AGAIN,     /* poll, then again */
    KB_IO_FAILED,    /* the connection is of no use: sys_errno or `reason` says why */
    KB_IO_TOO_BIG,   /* a message larger than what we take by this transport */
    KB_IO_TOO_LARGE, /* our message is larger than what this way takes unfragmented */
    KB_IO_NO_MEMORY,
};

/* Where datagrams are received: one block for a session, made at the first need. */
struct kb_inbox {
    uint8_t *datagram;
    size_t max_packet_size;
    size_t max_frame; /* of a TCP reply */
};

struct kb_transport_ops;
struct kb_tunnel;
struct kb_https;

#define KB_REASON_TEXT 256

struct kb_conn {
    const struct kb_transport_ops *ops;
    struct kb_sockets *sockets;    /* borrowed */
    const struct kb_kdc *kdc;      /* borrowed: whom the proxy is asked for */
    kb_bytes realm;                /* borrowed: likewise, where it is a KDC proxy */
    struct kb_address peer;        /* whom the socket speaks to: the KDC, or the proxy */
    struct kb_address destination; /* where the last datagram came to; len 0: not known */
    int fd;                        /* -1: closed */
    bool waits_to_send;            /* `send` is to be called when the socket is ready, else
                                      `receive` */
    bool hears_first;              /* ready to be read from: a proxy answers first */
    bool connected;                /* of datagrams: there is no need to name the peer */
    bool holds_port;               /* counted in sockets->holders */
    size_t sent;                   /* bytes, framing included, a proxy's part not */
    uint8_t *in;                   /* of a stream: what arrived so far, from its first byte on */
    size_t in_len, in_size;
    struct kb_tunnel *tunnel; /* while a proxy is spoken to */
    struct kb_https *https;   /* what lies between TCP and the message */
    bool tunnelled;           /* it leads through FirewallHost */
    bool unseen;              /* it failed, and no KDC can have seen the message */

    /* of a failure */
    int sys_errno;               /* 0 if none */
    char reason[KB_REASON_TEXT]; /* in place of the errno's text; "" */
    const char *option;          /* the option that is wrong here, whoever the KDC is; NULL */
};

struct kb_transport_ops {
    const char *name;
    bool datagrams; /* messages may be lost, repeated and strange; a stream has one answer only */

    /* open makes the socket and, unless it stays unconnected, connects it. AGAIN: the connection is
     * on its way, `send` completes it. */
    enum kb_io (*open)(struct kb_conn *conn);

    /* send goes on sending the message; called again after AGAIN, or to repeat a datagram. */
    enum kb_io (*send)(struct kb_conn *conn, kb_bytes message);

    /* receive yields a whole message, valid until the next call or the closing. */
    enum kb_io (*receive)(struct kb_conn *conn, struct kb_inbox *inbox, kb_bytes *out);

    /* again makes a connection that brought a whole message ready for the next one; false: it
     * cannot be used again. NULL of datagrams. */
    bool (*again)(struct kb_conn *conn);
};

extern const struct kb_transport_ops kb_udp_ops, kb_tcp_ops, kb_unix_ops, kb_https_ops;

/* kb_conn_socket makes the socket that all transports want, of SOCK_DGRAM or SOCK_STREAM, with the
 * session's options, bound where they say; a stream's is connected, or being so (AGAIN). */
enum kb_io kb_conn_socket(struct kb_conn *conn, int type);

/* kb_conn_write sends `parts` from the byte *sent on, and moves that; AGAIN also while a stream is
 * being connected. DONE: all is sent. */
enum kb_io kb_conn_write(struct kb_conn *conn, const kb_bytes *parts, size_t num, size_t *sent);

/* kb_conn_read takes what is there, up to `size` bytes. DONE with *len 0: the peer closed. */
enum kb_io kb_conn_read(struct kb_conn *conn, uint8_t *to, size_t size, size_t *len);

/* kb_conn_is_idle: the stream is open, and nothing came that nobody asked for. */
bool kb_conn_is_idle(const struct kb_conn *conn);

/* kb_conn_tunnel goes on with CONNECT and its answer, on a socket that is open. DONE: what is sent
 * from now on goes to the KDC; also where there is no tunnel to be made. */
enum kb_io kb_conn_tunnel(struct kb_conn *conn);

/* kb_conn_open_stream makes the socket of a stream, and the beginning of a tunnel where one leads
 * to the KDC. */
enum kb_io kb_conn_open_stream(struct kb_conn *conn);

/* kb_conn_fail records why and returns KB_IO_FAILED; a `reason` takes the place of the errno's own
 * text, and must not hold foreign text unescaped. */
enum kb_io kb_conn_fail(struct kb_conn *conn, int sys_errno, const char *reason, ...)
    KB_PRINTF(3, 4);

/* kb_conn_local finds the local address and port that the socket has; false where it has none. An
 * unconnected socket's address is the one that a datagram to its peer leaves from. */
KB_MUST_USE bool kb_conn_local(const struct kb_conn *conn, struct kb_address *out);

/* kb_conn_facts tells what an open connection turned out to be. */
void kb_conn_facts(const struct kb_conn *conn, struct kb_net_facts *out);

/* kb_conn_close releases socket and memory; the reason of a failure stays. */
void kb_conn_close(struct kb_conn *conn);

/* kb_tunnel_free and kb_https_free are kb_conn_close's; NULL is accepted. */
void kb_tunnel_free(struct kb_tunnel *tunnel);
void kb_https_free(struct kb_https *https);

#endif
