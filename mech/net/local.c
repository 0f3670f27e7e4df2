#include "mech/net/local.h"

#include <errno.h>

#include "mech/net/address.h"
#include "mech/net/fds.h"

#define TURN_MS 5 /* between two tries, while too many wait to be accepted */

static enum kb_status failed(struct kb_local *local, int sys_errno)
{
    local->sys_errno = sys_errno;
    return KB_ERROR;
}

/* Until the socket is ready for `events`; 0: for a turn. */
static enum kb_status await(struct kb_local *local, short events, struct kb_wait *wait,
                            int64_t until_ms)
{
    struct pollfd fds[1 + KB_WAIT_FDS] = {{.fd = local->fd, .events = events}};
    int64_t turn_ms = kb_now_ms() + TURN_MS;
    int ready;
    enum kb_status st;

    if (events == 0 && turn_ms < until_ms) {
        return kb_wait_poll(wait, fds, 0, turn_ms, &ready);
    }
    st = kb_wait_poll(wait, fds, events != 0, until_ms, &ready);
    return st == KB_OK && ready == 0 ? KB_TIMED_OUT : st;
}

/* A stream to a UNIX socket is connected at once, or not yet: then it has to be asked again. */
static enum kb_status connect_to(struct kb_local *local, const struct kb_address *address,
                                 struct kb_wait *wait, int64_t until_ms)
{
    while (connect(local->fd, &address->u.any, address->len) != 0) {
        enum kb_status st;

        if (errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN) {
            return failed(local, errno);
        }
        st = await(local, 0, wait, until_ms);
        if (st != KB_OK) {
            return st;
        }
    }
    return KB_OK;
}

enum kb_status kb_local_connect(struct kb_local *local, const char *path, struct kb_wait *wait,
                                int64_t until_ms)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    struct kb_address address;
    enum kb_status st;

    *local = (struct kb_local){.fd = -1};
    if (!kb_address_unix(&address, path)) {
        return failed(local, ENAMETOOLONG);
    }
    local->fd = kb_fds_add(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (local->fd < 0) {
        return failed(local, errno);
    }
    st = connect_to(local, &address, wait, until_ms);
    if (st == KB_OK && getsockopt(local->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
        st = failed(local, errno);
    }
    local->peer = st == KB_OK ? who.uid : (uid_t)-1;
    return st;
}

enum kb_status kb_local_send(struct kb_local *local, kb_bytes bytes, struct kb_wait *wait,
                             int64_t until_ms)
{
    while (bytes.len > 0) {
        ssize_t sent = send(local->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        enum kb_status st = KB_OK;

        if (sent >= 0) {
            bytes.ptr += sent;
            bytes.len -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            st = await(local, POLLOUT, wait, until_ms);
        } else if (errno != EINTR) {
            st = failed(local, errno);
        }
        if (st != KB_OK) {
            return st;
        }
    }
    return KB_OK;
}

enum kb_status kb_local_receive(struct kb_local *local, uint8_t *to, size_t len,
                                struct kb_wait *wait, int64_t until_ms)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = recv(local->fd, to + at, len - at, 0);
        enum kb_status st = KB_OK;

        if (got > 0) {
            at += (size_t)got;
        } else if (got == 0) {
            st = failed(local, 0);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            st = await(local, POLLIN, wait, until_ms);
        } else if (errno != EINTR) {
            st = failed(local, errno);
        }
        if (st != KB_OK) {
            return st;
        }
    }
    return KB_OK;
}

void kb_local_close(struct kb_local *local)
{
    kb_fds_close(local->fd);
    local->fd = -1;
}
