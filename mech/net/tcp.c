/* RFC 4120 7.2.2: each message is preceded by its length, four bytes in network order, whose high
 * bit is reserved for extensions that we do not speak. */
#include "mech/net/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#define PREFIX ((size_t)4)
#define FIRST_READ ((size_t)4096) /* most replies come with one system call */

static enum kb_io tcp_open(struct kb_conn *conn)
{
    conn->waits_to_send = true;
    return kb_conn_socket(conn, SOCK_STREAM);
}

static enum kb_io tcp_send(struct kb_conn *conn, kb_bytes message)
{
    uint8_t prefix[PREFIX] = {(uint8_t)(message.len >> 24), (uint8_t)(message.len >> 16),
                              (uint8_t)(message.len >> 8), (uint8_t)message.len};
    size_t total = PREFIX + message.len;

    while (conn->sent < total) {
        size_t in_body = conn->sent > PREFIX ? conn->sent - PREFIX : 0;
        struct iovec parts[2] = {
            {.iov_base = prefix + (conn->sent < PREFIX ? conn->sent : PREFIX),
             .iov_len = conn->sent < PREFIX ? PREFIX - conn->sent : 0},
            /* sendmsg does not write there; iovec has no const. */
            {.iov_base = (void *)(uintptr_t)(message.ptr + in_body),
             .iov_len = message.len - in_body},
        };
        struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t sent = sendmsg(conn->fd, &header, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        /* ENOTCONN: still connecting. A failed connect's own error comes out here as well. */
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN)) {
            return KB_IO_AGAIN;
        }
        if (sent < 0) {
            return kb_conn_fail(conn, errno, NULL);
        }
        conn->sent += (size_t)sent;
    }
    conn->waits_to_send = false;
    return KB_IO_DONE;
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
    ssize_t len;

    while (io == KB_IO_DONE || io == KB_IO_AGAIN) {
        len = recv(conn->fd, conn->in + conn->in_len, conn->in_size - conn->in_len, 0);
        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK ? KB_IO_AGAIN
                                                           : kb_conn_fail(conn, errno, NULL);
        }
        if (len == 0) {
            return kb_conn_fail(conn, 0,
                                conn->in_len == 0 ? "the connection was closed without an answer"
                                                  : "the connection was closed within the answer");
        }
        conn->in_len += (size_t)len;
        io = complete(conn, inbox->max_frame, out);
        if (io == KB_IO_DONE) {
            return io;
        }
    }
    return io;
}

const struct kb_transport_ops kb_tcp_ops = {
    .name = "tcp", .datagrams = false, .open = tcp_open, .send = tcp_send, .receive = tcp_receive};

/* Framed likewise, which is all that there is of MIT's KDC on a UNIX socket. */
const struct kb_transport_ops kb_unix_ops = {
    .name = "unix", .datagrams = false, .open = tcp_open, .send = tcp_send, .receive = tcp_receive};
