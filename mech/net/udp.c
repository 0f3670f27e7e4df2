#include "mech/net/transport.h"

#include <errno.h>
/* After the socket headers, which the kernel's own would else define again. */
#include <linux/errqueue.h>
#include <stdlib.h>

#define MAX_STRANGERS 16 /* datagrams and errors of others that are passed over in one go */

static enum kb_io udp_open(struct kb_conn *conn)
{
    return kb_conn_socket(conn, SOCK_DGRAM);
}

/* --- ICMP errors --- */

/* Takes one entry off the socket's queue of errors; false: it is empty. *out_errno is 0 where the
 * error is about a datagram to somebody else. */
static bool next_error(struct kb_conn *conn, int *out_errno)
{
    union { /* aligned */
        struct cmsghdr header;
        uint8_t bytes[256];
    } control;
    struct kb_address to = {.len = sizeof(to.u)}, whom;
    struct msghdr msg = {.msg_name = &to.u,
                         .msg_namelen = sizeof(to.u),
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};

    *out_errno = 0;
    if (recvmsg(conn->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
        return false;
    }
    if (!kb_address_from(&whom, &to.u.any, msg.msg_namelen) ||
        !kb_address_equal(&whom, &conn->peer)) {
        return true;
    }
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&msg); part != NULL; part = CMSG_NXTHDR(&msg, part)) {
        struct sock_extended_err error;

        if ((part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
            (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR)) {
            memcpy(&error, CMSG_DATA(part), sizeof(error));
            *out_errno = (int)error.ee_errno;
        }
    }
    return true;
}

/* What came of an errno of the socket, which says nothing of whom it is about: the queue does.
 * AGAIN: nothing that concerns us. Its entries must be taken, or poll(2) returns for ever. */
static enum kb_io udp_failed(struct kb_conn *conn, int sys_errno)
{
    bool any = false;
    int queued;

    while (next_error(conn, &queued)) {
        any = true;
        if (queued == EMSGSIZE) {
            /* A router says so. With leave to fragment the kernel does, from the next copy on. */
            if (conn->sockets->options.dont_fragment) {
                return KB_IO_TOO_LARGE;
            }
        } else if (queued != 0) {
            return kb_conn_fail(conn, queued, NULL);
        }
    }
    if (any || sys_errno == EAGAIN || sys_errno == EWOULDBLOCK) {
        return KB_IO_AGAIN;
    }
    return kb_conn_fail(conn, sys_errno, NULL);
}

/* --- datagrams --- */

static enum kb_io udp_send(struct kb_conn *conn, kb_bytes message)
{
    ssize_t sent;

    do {
        sent = conn->connected ? send(conn->fd, message.ptr, message.len, MSG_NOSIGNAL)
                               : sendto(conn->fd, message.ptr, message.len, MSG_NOSIGNAL,
                                        &conn->peer.u.any, conn->peer.len);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return KB_IO_DONE;
    }
    if (errno == EMSGSIZE) {
        return KB_IO_TOO_LARGE;
    }
    /* A full queue is a lost datagram like any other: the repetition cures it. */
    if (errno == ENOBUFS) {
        return KB_IO_DONE;
    }
    return udp_failed(conn, errno) == KB_IO_FAILED ? KB_IO_FAILED : KB_IO_DONE;
}

static enum kb_io make_inbox(struct kb_inbox *inbox)
{
    if (inbox->datagram == NULL) {
        inbox->datagram = malloc(inbox->max_packet_size);
    }
    return inbox->datagram != NULL ? KB_IO_DONE : KB_IO_NO_MEMORY;
}

/* IP_PKTINFO's destination address (ip(7)), and IPV6_PKTINFO's (RFC 3542 6). */
static void note_destination(struct kb_conn *conn, struct msghdr *msg)
{
    struct kb_address *out = &conn->destination;

    for (struct cmsghdr *part = CMSG_FIRSTHDR(msg); part != NULL; part = CMSG_NXTHDR(msg, part)) {
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(part), sizeof(info));
            *out = (struct kb_address){.len = sizeof(out->u.in)};
            out->u.in.sin_family = AF_INET;
            out->u.in.sin_addr = info.ipi_addr;
        } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(part), sizeof(info));
            *out = (struct kb_address){.len = sizeof(out->u.in6)};
            out->u.in6.sin6_family = AF_INET6;
            out->u.in6.sin6_addr = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) {
                out->u.in6.sin6_scope_id = (uint32_t)info.ipi6_ifindex;
            }
        }
    }
}

static bool is_from_peer(const struct kb_conn *conn, const struct kb_address *from, socklen_t len)
{
    struct kb_address sender;

    return kb_address_from(&sender, &from->u.any, len) && kb_address_equal(&sender, &conn->peer);
}

/* One datagram, whoever sent it; *out_ours: it is the peer's. */
static ssize_t take(struct kb_conn *conn, struct kb_inbox *inbox, bool *out_ours)
{
    union { /* aligned */
        struct cmsghdr header;
        uint8_t bytes[128];
    } control;
    struct kb_address from;
    struct iovec part = {.iov_base = inbox->datagram, .iov_len = inbox->max_packet_size};
    struct msghdr msg = {.msg_name = &from.u,
                         .msg_namelen = sizeof(from.u),
                         .msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    /* MSG_TRUNC: the length that the datagram had, so none is cut unnoticed. */
    ssize_t len = recvmsg(conn->fd, &msg, MSG_TRUNC);

    *out_ours = len >= 0 && is_from_peer(conn, &from, msg.msg_namelen);
    if (*out_ours) {
        note_destination(conn, &msg);
    }
    return len;
}

static enum kb_io udp_receive(struct kb_conn *conn, struct kb_inbox *inbox, kb_bytes *out)
{
    enum kb_io io = make_inbox(inbox);

    /* What is not for us does not end it: the next one may be the answer. */
    for (int i = 0; io == KB_IO_DONE && i < MAX_STRANGERS; i++) {
        bool ours;
        ssize_t len = take(conn, inbox, &ours);

        if (ours) {
            *out = kb_bytes_of(inbox->datagram, (size_t)len);
            return (size_t)len > inbox->max_packet_size ? KB_IO_TOO_BIG : KB_IO_DONE;
        }
        if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return udp_failed(conn, errno);
        }
        if (len < 0 && errno != EINTR) {
            enum kb_io failed = udp_failed(conn, errno);

            io = failed == KB_IO_AGAIN ? KB_IO_DONE : failed;
        }
    }
    return io == KB_IO_DONE ? KB_IO_AGAIN : io; /* the other sockets get their turn */
}

const struct kb_transport_ops kb_udp_ops = {
    .name = "udp", .datagrams = true, .open = udp_open, .send = udp_send, .receive = udp_receive};
