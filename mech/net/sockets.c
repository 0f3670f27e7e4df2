#include "mech/net/sockets.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "mech/net/connect.h"
#include "mech/net/fds.h"
#include "mech/net/resolve.h"
#include "mech/net/transport.h"

/* QOSTrafficType: the code points are those that Windows' qWAVE sends (QOS_TRAFFIC_TYPE of qos2.h:
 * 0x08, 0x28, 0x28, 0x38, 0x38, which RFC 2474 4.2.2 calls CS1, CS5 and CS7). The priorities are
 * Linux's TC_PRIO_BULK, _INTERACTIVE_BULK and _INTERACTIVE, which pfifo_fast sorts into its three
 * bands; 7 is for CAP_NET_ADMIN only. */
static const struct {
    uint8_t dscp, priority;
} traffic[] = {
    {0, 0},  /* BestEffort: as if nothing were said */
    {8, 2},  /* Background */
    {40, 4}, /* ExcellentEffort */
    {40, 6}, /* AudioVideo */
    {56, 6}, /* Voice */
    {56, 6}, /* Control */
};

/* --- before the first socket --- */

static enum kb_status wrong(struct kb_sockets *sockets, const char *option)
{
    sockets->wrong_option = option;
    return KB_ERROR;
}

static void keep_local(struct kb_sockets *sockets, const struct kb_resolved *answer)
{
    for (unsigned i = 0; i < answer->num; i++) {
        struct kb_address *slot = &sockets->local[answer->addresses[i].u.any.sa_family == AF_INET6];

        if (slot->len == 0) {
            *slot = answer->addresses[i];
        }
    }
}

unsigned kb_sockets_family_flags(const struct kb_sockets *sockets)
{
    static const uint8_t flags[] = {[KB_FAMILY_ANY] = 0,
                                    [KB_FAMILY_IPV4] = KB_RESOLVE_IPV4,
                                    [KB_FAMILY_IPV6] = KB_RESOLVE_IPV6};

    return flags[sockets->options.family];
}

static enum kb_status resolve_local(struct kb_sockets *sockets, struct kb_wait *wait,
                                    struct kb_error *err)
{
    const char *host = sockets->options.local_host;
    const struct kb_resolved *answer;
    struct kb_resolve *question;
    enum kb_status st = kb_resolve_start(host, kb_sockets_family_flags(sockets), &question);

    if (st == KB_OK) {
        st = kb_resolve_wait(question, wait, &answer);
    }
    if (st != KB_OK) {
        st = kb_error_status(err, KB_E_TIMEOUT, st, "LocalHost %.100s was not resolved", host);
    } else if (answer->other_family) {
        (void)kb_error_set(err, KB_E_OPTION,
                           "LocalHost %.100s is no IPv%c address, as UseIPv6=%s wants", host,
                           sockets->options.family == KB_FAMILY_IPV6 ? '6' : '4',
                           sockets->options.family == KB_FAMILY_IPV6 ? "True" : "False");
        st = wrong(sockets, "LocalHost");
    } else if (answer->error != 0) {
        (void)kb_error_set(err, KB_E_OPTION, "LocalHost %.100s: %s", host, kb_resolve_text(answer));
        st = wrong(sockets, "LocalHost");
    } else {
        keep_local(sockets, answer);
    }
    kb_resolve_free(question);
    return st;
}

enum kb_status kb_sockets_prepare(struct kb_sockets *sockets, struct kb_wait *wait,
                                  struct kb_error *err)
{
    const struct kb_socket_options *options = &sockets->options;
    char fault[KB_CONNECT_FAULT];

    if (sockets->ready) {
        return KB_OK;
    }
    if (options->firewall_data != NULL && !kb_connect_check(options->firewall_data, fault)) {
        (void)kb_error_set(err, KB_E_OPTION, "FirewallData: %s", fault);
        return wrong(sockets, "FirewallData");
    }
    if (options->local_host != NULL && resolve_local(sockets, wait, err) != KB_OK) {
        return KB_ERROR;
    }
    sockets->ready = true;
    return KB_OK;
}

/* --- one socket --- */

static bool set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* An option that cannot be had is an error: it must not be accepted and do nothing. */
static enum kb_io cannot(struct kb_conn *conn, const char *option)
{
    int sys_errno = errno;
    const char *text = strerrordesc_np(sys_errno);

    conn->option = option;
    return kb_conn_fail(conn, sys_errno, "%s cannot be had: %s", option,
                        text != NULL ? text : "unknown error");
}

static enum kb_io set_traffic(struct kb_conn *conn, bool six)
{
    const struct kb_socket_options *options = &conn->sockets->options;
    unsigned dscp = options->dscp != 0 ? options->dscp : traffic[options->traffic_type].dscp;

    if (dscp != 0 && !(six ? set(conn->fd, IPPROTO_IPV6, IPV6_TCLASS, (int)dscp << 2)
                           : set(conn->fd, IPPROTO_IP, IP_TOS, (int)dscp << 2))) {
        return cannot(conn, options->dscp != 0 ? "QOSDSCPValue" : "QOSTrafficType");
    }
    /* After IP_TOS, which sets a priority of its own. */
    if (options->traffic_type != 0 &&
        !set(conn->fd, SOL_SOCKET, SO_PRIORITY, traffic[options->traffic_type].priority)) {
        return cannot(conn, "QOSTrafficType");
    }
    return KB_IO_DONE;
}

/* The kernel doubles what is asked for, and silently gives no more than its limits. */
static void told_buffer(struct kb_conn *conn, int name, int asked, const char *option,
                        const char *limit)
{
    int given = 0;
    socklen_t len = sizeof(given);

    if (getsockopt(conn->fd, SOL_SOCKET, name, &given, &len) == 0 && given / 2 < asked) {
        kb_event_buffer_limited(conn->sockets->events, option, asked, given, limit);
    }
}

static enum kb_io set_buffers(struct kb_conn *conn)
{
    const struct kb_socket_options *options = &conn->sockets->options;

    if (options->in_buffer != 0 && !set(conn->fd, SOL_SOCKET, SO_RCVBUF, options->in_buffer)) {
        return cannot(conn, "InBufferSize");
    }
    if (options->out_buffer != 0 && !set(conn->fd, SOL_SOCKET, SO_SNDBUF, options->out_buffer)) {
        return cannot(conn, "OutBufferSize");
    }
    if (!conn->sockets->told_buffers && (options->in_buffer != 0 || options->out_buffer != 0)) {
        conn->sockets->told_buffers = true;
        told_buffer(conn, SO_RCVBUF, options->in_buffer, "InBufferSize", "net.core.rmem_max");
        told_buffer(conn, SO_SNDBUF, options->out_buffer, "OutBufferSize", "net.core.wmem_max");
    }
    return KB_IO_DONE;
}

/* Linux sets Don't Fragment by itself where it knows the path's MTU; here the option decides. IPv6
 * has no such flag: no router fragments, and IPV6_DONTFRAG keeps the sender from doing it. */
static bool set_fragmenting(int fd, bool six, bool dont)
{
    if (!six) {
        return set(fd, IPPROTO_IP, IP_MTU_DISCOVER, dont ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT) ||
               !dont;
    }
    return !dont || (set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO) &&
                     set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1));
}

static enum kb_io set_datagram(struct kb_conn *conn, bool six)
{
    const struct kb_socket_options *options = &conn->sockets->options;

    /* Else an unconnected socket hears of no ICMP error, and a connected one not of all. */
    (void)(six ? set(conn->fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
               : set(conn->fd, IPPROTO_IP, IP_RECVERR, 1));
    if (!set_fragmenting(conn->fd, six, options->dont_fragment)) {
        return cannot(conn, "DontFragment");
    }
    /* Also how an unconnected socket learns its own address. */
    if (!(six ? set(conn->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
              : set(conn->fd, IPPROTO_IP, IP_PKTINFO, 1)) &&
        options->capture_packet_info) {
        return cannot(conn, "CaptureIPPacketInfo");
    }
    return KB_IO_DONE;
}

/* --- LocalHost and LocalPort --- */

static enum kb_io bind_failed(struct kb_conn *conn, int sys_errno, const struct kb_address *local)
{
    unsigned port = kb_address_port(local);
    char text[KB_ADDRESS_TEXT];

    kb_address_text(local, true, text);
    switch (sys_errno) {
    case EADDRINUSE:
        conn->option = port != 0 ? "LocalPort" : "LocalHost";
        return port != 0 ? kb_conn_fail(conn, sys_errno, "LocalPort %u is in use", port)
                         : kb_conn_fail(conn, sys_errno, "LocalHost has no free port left");
    case EADDRNOTAVAIL:
        conn->option = "LocalHost";
        kb_address_text(local, false, text);
        return kb_conn_fail(conn, sys_errno, "LocalHost %.60s is no address of this host", text);
    case EACCES:
        conn->option = "LocalPort";
        return kb_conn_fail(conn, sys_errno,
                            "LocalPort %u may not be used by this user (CAP_NET_BIND_SERVICE)",
                            port);
    default:
        conn->option = "LocalHost";
        return kb_conn_fail(conn, sys_errno, "LocalHost %.60s cannot be used: %s", text,
                            strerrordesc_np(sys_errno));
    }
}

/* The address to bind to; KB_IO_FAILED where LocalHost has none of the peer's family. */
static enum kb_io find_local(struct kb_conn *conn, bool six, struct kb_address *out)
{
    const struct kb_sockets *sockets = conn->sockets;

    if (sockets->options.local_host == NULL) {
        *out = (struct kb_address){.len = six ? sizeof(out->u.in6) : sizeof(out->u.in)};
        out->u.any.sa_family = six ? AF_INET6 : AF_INET;
    } else if (sockets->local[six].len > 0) {
        *out = sockets->local[six];
    } else {
        conn->option = "LocalHost";
        return kb_conn_fail(conn, EAFNOSUPPORT, "LocalHost %.60s is IPv%c, this address IPv%c",
                            sockets->options.local_host, six ? '4' : '6', six ? '6' : '4');
    }
    kb_address_set_port(out, sockets->options.local_port);
    return KB_IO_DONE;
}

/* The first of our sockets takes the port for itself, the next ones of the same session join it:
 * for that SO_REUSEADDR must be set on all of them, when the later one is bound. */
static int bind_datagram(struct kb_conn *conn, const struct kb_address *local)
{
    bool fixed = conn->sockets->options.local_port != 0;
    int result = bind(conn->fd, &local->u.any, local->len);

    if (result != 0 && errno == EADDRINUSE && conn->sockets->holders > 0) {
        (void)set(conn->fd, SOL_SOCKET, SO_REUSEADDR, 1);
        result = bind(conn->fd, &local->u.any, local->len);
    }
    if (result == 0 && fixed) {
        (void)set(conn->fd, SOL_SOCKET, SO_REUSEADDR, 1);
        conn->holds_port = true;
        conn->sockets->holders++;
    }
    return result;
}

/* With a port of one's own the same four numbers come back with the next request to a KDC. What is
 * in TIME_WAIT from other programs' connections is no obstacle with SO_REUSEADDR; for our own,
 * connect would fail with EADDRNOTAVAIL, and no option changes that. So nothing may remain of them:
 * with SO_LINGER 0 the end is a reset. By then the answer is here, or not wanted any more. */
static int bind_stream(struct kb_conn *conn, const struct kb_address *local)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (conn->sockets->options.local_port != 0) {
        (void)set(conn->fd, SOL_SOCKET, SO_REUSEADDR, 1);
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    } else {
        /* The port is drawn by connect, which knows that another peer's may be taken again. */
        (void)set(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
    return bind(conn->fd, &local->u.any, local->len);
}

static enum kb_io bind_local(struct kb_conn *conn, int type, bool six)
{
    const struct kb_socket_options *options = &conn->sockets->options;
    struct kb_address local;

    if (options->local_host == NULL && options->local_port == 0) {
        return KB_IO_DONE;
    }
    if (find_local(conn, six, &local) != KB_IO_DONE) {
        return KB_IO_FAILED;
    }
    if (options->share_local_port && (!set(conn->fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
                                      !set(conn->fd, SOL_SOCKET, SO_REUSEPORT, 1))) {
        return cannot(conn, "ShareLocalPort");
    }
    if (six) {
        (void)set(conn->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1); /* the IPv4 port is another one */
    }
    if ((type == SOCK_DGRAM ? bind_datagram(conn, &local) : bind_stream(conn, &local)) != 0) {
        return bind_failed(conn, errno, &local);
    }
    return KB_IO_DONE;
}

/* --- connecting --- */

static enum kb_io connect_to_peer(struct kb_conn *conn)
{
    unsigned port = conn->sockets->options.local_port;

    if (connect(conn->fd, &conn->peer.u.any, conn->peer.len) == 0) {
        return KB_IO_DONE;
    }
    /* An interrupted connect goes on by itself, as one that is in progress (POSIX). */
    if (errno == EINPROGRESS || errno == EINTR) {
        return KB_IO_AGAIN;
    }
    if (errno == EADDRNOTAVAIL && port != 0) {
        conn->option = "LocalPort";
        return kb_conn_fail(conn, EADDRINUSE, "LocalPort %u is in use towards this address", port);
    }
    return kb_conn_fail(conn, errno, NULL);
}

/* Linux sends to the loopback what is for no address, and the answer comes from there. */
static void name_loopback(struct kb_address *peer)
{
    if (peer->u.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&peer->u.in6.sin6_addr)) {
        peer->u.in6.sin6_addr = in6addr_loopback;
    } else if (peer->u.any.sa_family == AF_INET &&
               peer->u.in.sin_addr.s_addr == htonl(INADDR_ANY)) {
        peer->u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
}

enum kb_io kb_conn_socket(struct kb_conn *conn, int type)
{
    const struct kb_socket_options *options = &conn->sockets->options;
    int family = conn->peer.u.any.sa_family;
    bool six = family == AF_INET6;
    enum kb_io io = KB_IO_DONE;

    name_loopback(&conn->peer);
    conn->fd = kb_fds_add(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (conn->fd < 0) {
        return kb_conn_fail(conn, errno, NULL);
    }
    if (set_buffers(conn) != KB_IO_DONE) {
        return KB_IO_FAILED;
    }
    if (family != AF_UNIX) {
        io = set_traffic(conn, six);
        if (io == KB_IO_DONE && type == SOCK_DGRAM) {
            io = set_datagram(conn, six);
        }
        if (io == KB_IO_DONE) {
            io = bind_local(conn, type, six);
        }
    }
    if (io != KB_IO_DONE) {
        return io;
    }
    conn->connected = type == SOCK_STREAM || options->use_connection || options->local_port != 0;
    return conn->connected ? connect_to_peer(conn) : KB_IO_DONE;
}
