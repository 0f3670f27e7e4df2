/* transport.h - how bytes travel to one KDC: UDP and TCP behind one small const struct.
 *
 * A connection is one socket to one address, for one request message: a new source port, which the
 * kernel draws, kept for repetitions. Nothing here waits, and nothing here knows Kerberos. Sockets
 * are close-on-exec and non-blocking and raise no SIGPIPE. UDP sockets are connected too, so the
 * kernel drops datagrams from other addresses and ports and reports ICMP errors at once. */
#ifndef KB_TRANSPORT_H
#define KB_TRANSPORT_H

#include "mech/net/facts.h"

/* What came of one try to go on. */
enum kb_io {
    KB_IO_DONE,    /* connected; all sent; a message is here */
    KB_IO_AGAIN,   /* poll, then again */
    KB_IO_FAILED,  /* the connection is of no use: errno or `reason` says why */
    KB_IO_TOO_BIG, /* a message larger than what we take by this transport */
    KB_IO_NO_MEMORY,
};

/* Where datagrams are received: one block for a session, made at the first need. */
struct kb_inbox {
    uint8_t *datagram;
    size_t max_packet_size;
    size_t max_frame; /* of a TCP reply */
};

struct kb_transport_ops;

struct kb_conn {
    const struct kb_transport_ops *ops;
    int fd;             /* -1: closed */
    bool waits_to_send; /* poll for POLLOUT rather than POLLIN */
    size_t sent;        /* bytes, framing included */
    uint8_t *in;        /* of a stream: what arrived so far, from its first byte on */
    size_t in_len, in_size;
    int sys_errno;      /* of the failure, 0 if none */
    const char *reason; /* of a failure that no errno tells; NULL */
};

struct kb_transport_ops {
    const char *name;
    bool datagrams; /* messages may be lost, repeated and strange; a stream has one answer only */

    /* open makes the socket and connects. AGAIN: the connection is on its way, `send` completes
     * it. */
    enum kb_io (*open)(struct kb_conn *conn, const struct kb_address *address);

    /* send goes on sending the message; called again after AGAIN, or to repeat a datagram. */
    enum kb_io (*send)(struct kb_conn *conn, kb_bytes message);

    /* receive yields a whole message, valid until the next call or the closing. */
    enum kb_io (*receive)(struct kb_conn *conn, struct kb_inbox *inbox, kb_bytes *out);
};

extern const struct kb_transport_ops kb_udp_ops, kb_tcp_ops;

/* kb_conn_socket makes the socket that both transports want and connects it. */
enum kb_io kb_conn_socket(struct kb_conn *conn, const struct kb_address *address, int type);

/* kb_conn_fail records why and returns KB_IO_FAILED. */
enum kb_io kb_conn_fail(struct kb_conn *conn, int sys_errno, const char *reason);

/* kb_conn_facts tells what an open connection turned out to be, but for who answered. */
void kb_conn_facts(const struct kb_conn *conn, struct kb_net_facts *out);

/* kb_conn_close releases socket and memory; the reason of a failure stays. */
void kb_conn_close(struct kb_conn *conn);

#endif
