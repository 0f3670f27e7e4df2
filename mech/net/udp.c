#include "mech/net/transport.h"

#include <errno.h>
#include <stdlib.h>

static enum kb_io udp_open(struct kb_conn *conn, const struct kb_address *address)
{
    return kb_conn_socket(conn, address, SOCK_DGRAM);
}

static enum kb_io udp_send(struct kb_conn *conn, kb_bytes message)
{
    ssize_t sent;

    do {
        sent = send(conn->fd, message.ptr, message.len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    /* A full queue is a lost datagram like any other: the repetition cures it. */
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
        return kb_conn_fail(conn, errno, NULL);
    }
    return KB_IO_DONE;
}

static enum kb_io udp_receive(struct kb_conn *conn, struct kb_inbox *inbox, kb_bytes *out)
{
    ssize_t len;

    if (inbox->datagram == NULL) {
        inbox->datagram = malloc(inbox->max_packet_size);
        if (inbox->datagram == NULL) {
            return KB_IO_NO_MEMORY;
        }
    }
    do {
        /* MSG_TRUNC: the length that the datagram had, so none is cut unnoticed. */
        len = recv(conn->fd, inbox->datagram, inbox->max_packet_size, MSG_TRUNC);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? KB_IO_AGAIN
                                                       : kb_conn_fail(conn, errno, NULL);
    }
    *out = kb_bytes_of(inbox->datagram, (size_t)len);
    return (size_t)len > inbox->max_packet_size ? KB_IO_TOO_BIG : KB_IO_DONE;
}

const struct kb_transport_ops kb_udp_ops = {
    .name = "udp", .datagrams = true, .open = udp_open, .send = udp_send, .receive = udp_receive};
