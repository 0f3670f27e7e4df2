/* A stream through an HTTP proxy: CONNECT and its answer first. The name of the KDC is for the
 * proxy to resolve. */
#include "mech/net/transport.h"

#include <stdlib.h>

#include "mech/net/connect.h"

struct kb_tunnel {
    struct kb_buf request;
    size_t sent;
    size_t len;
    uint8_t head[KB_CONNECT_MAX]; /* of the answer */
};

void kb_tunnel_free(struct kb_tunnel *tunnel)
{
    if (tunnel != NULL) {
        kb_buf_wipe(&tunnel->request); /* FirewallData may be a password */
        free(tunnel);
    }
}

static enum kb_io begin(struct kb_conn *conn)
{
    const char *data = conn->sockets->options.firewall_data;
    enum kb_status st;

    conn->tunnel = calloc(1, sizeof(*conn->tunnel));
    if (conn->tunnel == NULL) {
        return KB_IO_NO_MEMORY;
    }
    st = kb_connect_request(conn->kdc->host, conn->kdc->port, data, &conn->tunnel->request);
    if (st == KB_MALFORMED) {
        return kb_conn_fail(conn, 0, "a proxy cannot be asked for a host of that name");
    }
    return st == KB_OK ? KB_IO_DONE : KB_IO_NO_MEMORY;
}

enum kb_io kb_conn_open_stream(struct kb_conn *conn)
{
    enum kb_io io = KB_IO_DONE;

    conn->waits_to_send = true;
    conn->tunnelled = conn->sockets->options.firewall_host != NULL && conn->ops != &kb_unix_ops;
    if (conn->tunnelled) {
        io = begin(conn);
    }
    return io == KB_IO_DONE ? kb_conn_socket(conn, SOCK_STREAM) : io;
}

/* What the head of the answer says, as far as it is here. A KDC speaks when it is spoken to: bytes
 * behind the head are not its. */
static enum kb_io judge(struct kb_conn *conn)
{
    const struct kb_tunnel *tunnel = conn->tunnel;
    struct kb_connect_answer answer;

    switch (kb_connect_read(kb_bytes_of(tunnel->head, tunnel->len), &answer)) {
    case KB_CONNECT_MORE:
        return KB_IO_AGAIN;
    case KB_CONNECT_OPEN:
        return answer.len == tunnel->len
                   ? KB_IO_DONE
                   : kb_conn_fail(conn, 0, "the proxy sent more than its answer to CONNECT");
    case KB_CONNECT_REFUSED:
        return kb_conn_fail(conn, 0, "the proxy refuses the tunnel: %u%s%s%s", answer.code,
                            answer.reason[0] != '\0' ? " " : "", answer.reason,
                            answer.code == 407 ? " (FirewallData takes a Proxy-Authorization line)"
                                               : "");
    case KB_CONNECT_BROKEN:
    default:
        return kb_conn_fail(conn, 0,
                            tunnel->len < KB_CONNECT_MAX
                                ? "what the proxy answers to CONNECT is not HTTP"
                                : "the proxy's answer to CONNECT has no end within 16 KiB");
    }
}

static enum kb_io read_answer(struct kb_conn *conn)
{
    struct kb_tunnel *tunnel = conn->tunnel;
    enum kb_io io = KB_IO_AGAIN;

    while (io == KB_IO_AGAIN) {
        size_t len;

        io = kb_conn_read(conn, tunnel->head + tunnel->len, sizeof(tunnel->head) - tunnel->len,
                          &len);
        if (io != KB_IO_DONE) {
            return io;
        }
        if (len == 0) {
            return kb_conn_fail(conn, 0, "the proxy closed the connection before the tunnel stood");
        }
        tunnel->len += len;
        io = judge(conn);
    }
    return io;
}

enum kb_io kb_conn_tunnel(struct kb_conn *conn)
{
    enum kb_io io = KB_IO_DONE;
    kb_bytes request;

    if (conn->tunnel == NULL) {
        return KB_IO_DONE;
    }
    request = kb_buf_bytes(&conn->tunnel->request);
    io = kb_conn_write(conn, &request, 1, &conn->tunnel->sent);
    if (io == KB_IO_DONE) {
        conn->hears_first = true;
        io = read_answer(conn);
    }
    if (io == KB_IO_DONE) {
        conn->hears_first = false;
        kb_tunnel_free(conn->tunnel);
        conn->tunnel = NULL;
    }
    return io;
}
