#include "mech/net/transport.h"

#include <errno.h>
#include <stdlib.h>

#include "mech/net/fds.h"

enum kb_io kb_conn_fail(struct kb_conn *conn, int sys_errno, const char *reason)
{
    conn->sys_errno = sys_errno;
    conn->reason = reason;
    return KB_IO_FAILED;
}

enum kb_io kb_conn_socket(struct kb_conn *conn, const struct kb_address *address, int type)
{
    int result;

    conn->fd = kb_fds_add(socket(address->u.any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (conn->fd < 0) {
        return kb_conn_fail(conn, errno, NULL);
    }
    result = connect(conn->fd, &address->u.any, address->len);
    if (result == 0) {
        return KB_IO_DONE;
    }
    /* An interrupted connect goes on by itself, as one that is in progress (POSIX). */
    return errno == EINPROGRESS || errno == EINTR ? KB_IO_AGAIN : kb_conn_fail(conn, errno, NULL);
}

static int system_buffer(int fd, int option)
{
    int bytes = 0;
    socklen_t len = sizeof(bytes);

    return getsockopt(fd, SOL_SOCKET, option, &bytes, &len) == 0 ? bytes : 0;
}

void kb_conn_facts(const struct kb_conn *conn, struct kb_net_facts *out)
{
    struct kb_address local;
    socklen_t len = sizeof(local.u);

    *out = (struct kb_net_facts){.in_buffer = system_buffer(conn->fd, SO_RCVBUF),
                                 .out_buffer = system_buffer(conn->fd, SO_SNDBUF)};
    if (getsockname(conn->fd, &local.u.any, &len) == 0) {
        (void)!kb_address_from(&out->local, &local.u.any, len);
    }
}

void kb_conn_close(struct kb_conn *conn)
{
    kb_fds_close(conn->fd);
    conn->fd = -1;
    free(conn->in);
    conn->in = NULL;
    conn->in_size = 0;
}
