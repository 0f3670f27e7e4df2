#include "mech/net/transport.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "mech/net/fds.h"

enum kb_io kb_conn_fail(struct kb_conn *conn, int sys_errno, const char *reason, ...)
{
    va_list args;

    conn->sys_errno = sys_errno;
    conn->reason[0] = '\0';
    if (reason != NULL) {
        va_start(args, reason);
        vsnprintf(conn->reason, sizeof(conn->reason), reason, args);
        va_end(args);
    }
    return KB_IO_FAILED;
}

/* --- bytes of a stream --- */

#define MAX_PARTS 2

/* What is left of `parts` behind the first `sent` bytes. */
static size_t remaining(const kb_bytes *parts, size_t num, size_t sent, struct iovec *out)
{
    size_t used = 0;

    for (size_t i = 0; i < num && i < MAX_PARTS; i++) {
        size_t skip = sent < parts[i].len ? sent : parts[i].len;

        sent -= skip;
        if (skip < parts[i].len) {
            /* sendmsg does not write there; iovec has no const. */
            out[used++] = (struct iovec){.iov_base = (void *)(uintptr_t)(parts[i].ptr + skip),
                                         .iov_len = parts[i].len - skip};
        }
    }
    return used;
}

enum kb_io kb_conn_write(struct kb_conn *conn, const kb_bytes *parts, size_t num, size_t *sent)
{
    struct iovec left[MAX_PARTS];
    struct msghdr header = {.msg_iov = left};

    while ((header.msg_iovlen = remaining(parts, num, *sent, left)) > 0) {
        ssize_t len = sendmsg(conn->fd, &header, MSG_NOSIGNAL);

        if (len < 0 && errno == EINTR) {
            continue;
        }
        /* ENOTCONN: still connecting. A failed connect's own error comes out here as well. */
        if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN)) {
            return KB_IO_AGAIN;
        }
        if (len < 0) {
            return kb_conn_fail(conn, errno, NULL);
        }
        *sent += (size_t)len;
    }
    return KB_IO_DONE;
}

enum kb_io kb_conn_read(struct kb_conn *conn, uint8_t *to, size_t size, size_t *len)
{
    ssize_t got;

    *len = 0;
    do {
        got = recv(conn->fd, to, size, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? KB_IO_AGAIN
                                                       : kb_conn_fail(conn, errno, NULL);
    }
    *len = (size_t)got;
    return KB_IO_DONE;
}

bool kb_conn_is_idle(const struct kb_conn *conn)
{
    uint8_t byte;

    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* --- what it turned out to be --- */

static bool is_any(const struct kb_address *address)
{
    return address->u.any.sa_family == AF_INET6
               ? IN6_IS_ADDR_UNSPECIFIED(&address->u.in6.sin6_addr)
               : address->u.in.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Asks the routes what a datagram to `peer` leaves from: a socket that is connected for that alone.
 */
static bool source_for(const struct kb_address *peer, struct kb_address *out)
{
    socklen_t len = sizeof(out->u);
    int fd = kb_fds_add(socket(peer->u.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    bool known = fd >= 0 && connect(fd, &peer->u.any, peer->len) == 0 &&
                 getsockname(fd, &out->u.any, &len) == 0 &&
                 kb_address_from(out, &(struct kb_address){.u = out->u}.u.any, len);

    kb_fds_close(fd);
    return known;
}

bool kb_conn_local(const struct kb_conn *conn, struct kb_address *out)
{
    struct kb_address bound = {0};
    socklen_t len = sizeof(bound.u);

    *out = (struct kb_address){0};
    if (getsockname(conn->fd, &bound.u.any, &len) != 0 ||
        !kb_address_from(out, &bound.u.any, len)) {
        return false;
    }
    if (is_any(out)) {
        uint16_t port = kb_address_port(out);

        if (conn->destination.len > 0) {
            *out = conn->destination;
        } else if (!source_for(&conn->peer, out)) {
            return false;
        }
        kb_address_set_port(out, port);
    }
    return true;
}

static int system_buffer(int fd, int option)
{
    int bytes = 0;
    socklen_t len = sizeof(bytes);

    return getsockopt(fd, SOL_SOCKET, option, &bytes, &len) == 0 ? bytes : 0;
}

void kb_conn_facts(const struct kb_conn *conn, struct kb_net_facts *out)
{
    *out = (struct kb_net_facts){.peer = conn->peer,
                                 .tunnelled = conn->tunnelled,
                                 .in_buffer = system_buffer(conn->fd, SO_RCVBUF),
                                 .out_buffer = system_buffer(conn->fd, SO_SNDBUF)};
    (void)!kb_conn_local(conn, &out->local);
    /* A stream's bytes come to where it is bound. */
    if (conn->sockets->options.capture_packet_info) {
        out->destination = conn->ops->datagrams ? conn->destination : out->local;
    }
}

void kb_conn_close(struct kb_conn *conn)
{
    kb_fds_close(conn->fd);
    conn->fd = -1;
    conn->sockets->holders -= conn->holds_port ? 1 : 0;
    conn->holds_port = false;
    kb_tunnel_free(conn->tunnel);
    conn->tunnel = NULL;
    kb_https_free(conn->https);
    conn->https = NULL;
    free(conn->in);
    conn->in = NULL;
    conn->in_size = 0;
}
