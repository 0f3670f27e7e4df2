/* RFC 4120 7.2.2: each message is preceded by its length, four bytes in network order, whose high
 * bit is reserved for extensions that we do not speak. */
#include "mech/net/transport.h"

#include <stdlib.h>

#define PREFIX ((size_t)4)
#define FIRST_READ ((size_t)4096) /* most replies come with one system call */

static enum kb_io tcp_send(struct kb_conn *conn, kb_bytes message)
{
    uint8_t prefix[PREFIX] = {(uint8_t)(message.len >> 24), (uint8_t)(message.len >> 16),
                              (uint8_t)(message.len >> 8), (uint8_t)message.len};
    kb_bytes parts[2] = {kb_bytes_of(prefix, PREFIX), message};
    enum kb_io io = kb_conn_tunnel(conn);

    if (io == KB_IO_DONE) {
        io = kb_conn_write(conn, parts, 2, &conn->sent);
    }
    conn->waits_to_send = io != KB_IO_DONE;
    return io;
}

/* The length that the peer announced, 0 while it is not here. */
static size_t announced(const struct kb_conn *conn)
{
    return conn->in_len < PREFIX ? 0
                                 : (size_t)conn->in[0] << 24 | (size_t)conn->in[1] << 16 |
                                       (size_t)conn->in[2] << 8 | conn->in[3];
}

static enum kb_io make_room(struct kb_conn *conn, size_t size)
{
    uint8_t *grown;

    if (size <= conn->in_size) {
        return KB_IO_DONE;
    }
    grown = realloc(conn->in, size);
    if (grown == NULL) {
        return KB_IO_NO_MEMORY;
    }
    conn->in = grown;
    conn->in_size = size;
    return KB_IO_DONE;
}

/* Looks at what is here: DONE when it is a whole message. */
static enum kb_io complete(struct kb_conn *conn, size_t max_frame, kb_bytes *out)
{
    size_t len = announced(conn);

    if (conn->in_len < PREFIX) {
        return KB_IO_AGAIN;
    }
    if (len == 0 || len > 0x7fffffff) {
        return kb_conn_fail(conn, 0, "the answer is not framed as Kerberos over TCP is");
    }
    if (len > max_frame) {
        return KB_IO_TOO_BIG;
    }
    if (conn->in_len >= PREFIX + len) {
        *out = kb_bytes_of(conn->in + PREFIX, len);
        return KB_IO_DONE;
    }
    return make_room(conn, PREFIX + len) == KB_IO_DONE ? KB_IO_AGAIN : KB_IO_NO_MEMORY;
}

static enum kb_io tcp_receive(struct kb_conn *conn, struct kb_inbox *inbox, kb_bytes *out)
{
    enum kb_io io = make_room(conn, FIRST_READ);
    size_t len;

    while (io == KB_IO_DONE || io == KB_IO_AGAIN) {
        io = kb_conn_read(conn, conn->in + conn->in_len, conn->in_size - conn->in_len, &len);
        if (io != KB_IO_DONE) {
            return io;
        }
        if (len == 0) {
            return kb_conn_fail(conn, 0,
                                conn->in_len == 0 ? "the connection was closed without an answer"
                                                  : "the connection was closed within the answer");
        }
        conn->in_len += len;
        io = complete(conn, inbox->max_frame, out);
        if (io == KB_IO_DONE) {
            return io;
        }
    }
    return io;
}

static bool tcp_again(struct kb_conn *conn)
{
    if (conn->in_len != PREFIX + announced(conn)) {
        return false;
    }
    conn->in_len = conn->sent = 0;
    conn->waits_to_send = true;
    return true;
}

const struct kb_transport_ops kb_tcp_ops = {.name = "tcp",
                                            .datagrams = false,
                                            .open = kb_conn_open_stream,
                                            .send = tcp_send,
                                            .receive = tcp_receive,
                                            .again = tcp_again};

/* Framed likewise, which is all that there is of MIT's KDC on a UNIX socket. */
const struct kb_transport_ops kb_unix_ops = {.name = "unix",
                                             .datagrams = false,
                                             .open = kb_conn_open_stream,
                                             .send = tcp_send,
                                             .receive = tcp_receive,
                                             .again = tcp_again};
