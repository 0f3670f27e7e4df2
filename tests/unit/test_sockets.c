/* mech/net: the sockets that options ask for, what they turned out to be, tunnels byte by byte, and
 * the errors of what cannot be. What goes over the wire is tests/realm/test_sockets.py's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/mockkdc.h"

static void use(struct asker *asker, const struct kb_socket_options *options)
{
    asker->net->sockets.options = *options;
}

static void begin(struct asker *asker, const char *host, uint16_t port, enum kb_transport transport,
                  const struct kb_socket_options *options)
{
    asker_start(asker, 5000);
    asker_calm(asker);
    asker_add(asker, host, port, transport);
    use(asker, options);
}

static void assert_address(const struct kb_address *address, bool port, const char *want)
{
    char text[KB_ADDRESS_TEXT];

    assert_int_not_equal(address->len, 0);
    kb_address_text(address, port, text);
    assert_string_equal(text, want);
}

/* --- facts --- */

/* The client's port, as the KDC's thread saw it. */
static atomic_uint seen_port;

static void note_udp(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                     socklen_t from_len, kb_bytes request)
{
    atomic_store(&seen_port, ntohs(from->sin6_port));
    mock_udp_final(mock, nth, from, from_len, request);
}

static void note_tcp(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    struct sockaddr_in6 from = {0};
    socklen_t len = sizeof(from);

    (void)getpeername(fd, (struct sockaddr *)&from, &len);
    atomic_store(&seen_port, ntohs(from.sin6_port));
    mock_tcp_final(mock, nth, fd, request);
}

/* What the session tells is what the KDC saw. */
static void assert_facts(const struct asker *asker, const char *local, const char *peer)
{
    const struct kb_net_facts *facts = kb_net_facts(asker->net);

    assert_non_null(facts);
    assert_address(&facts->local, false, local);
    assert_int_equal(kb_address_port(&facts->local), atomic_load(&seen_port));
    assert_address(&facts->peer, true, peer);
    assert_true(facts->in_buffer > 0 && facts->out_buffer > 0);
    assert_false(facts->tunnelled);
}

static void facts_are_what_the_kdc_saw(void **state)
{
    static const struct {
        bool connect, capture;
        const char *host; /* LocalHost */
        const char *local;
    } rows[] = {
        {false, false, NULL, "127.0.0.1"},        {true, false, NULL, "127.0.0.1"},
        {false, true, NULL, "127.0.0.1"},         {true, true, NULL, "127.0.0.1"},
        {false, true, "127.0.0.9", "127.0.0.9"},  {true, false, "127.0.0.9", "127.0.0.9"},
        {false, false, "127.0.0.9", "127.0.0.9"},
    };
    struct mock kdc;
    struct asker asker;
    char peer[64];

    (void)state;
    mock_start(&kdc, note_udp, note_tcp);
    snprintf(peer, sizeof(peer), "127.0.0.1:%u", (unsigned)kdc.port);
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        struct kb_socket_options options = {.use_connection = rows[i / 2].connect,
                                            .capture_packet_info = rows[i / 2].capture,
                                            .local_host = rows[i / 2].host,
                                            .in_buffer = 30000,
                                            .out_buffer = 20000};

        begin(&asker, "127.0.0.1", kdc.port, i % 2 ? KB_TCP : KB_UDP, &options);
        assert_null(kb_net_facts(asker.net));
        assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
        assert_facts(&asker, rows[i / 2].local, peer);
        assert_int_equal(kb_net_facts(asker.net)->in_buffer, 60000); /* socket(7): doubled */
        assert_int_equal(kb_net_facts(asker.net)->out_buffer, 40000);
        if (rows[i / 2].capture) {
            assert_address(&kb_net_facts(asker.net)->destination, false, rows[i / 2].local);
        } else {
            assert_int_equal(kb_net_facts(asker.net)->destination.len, 0);
        }
        asker_stop(&asker);
    }
    mock_stop(&kdc);
}

static void facts_over_ipv6(void **state)
{
    struct kb_socket_options options = {.capture_packet_info = true};
    struct mock kdc;
    struct asker asker;
    char peer[64];

    (void)state;
    if (!mock_have_ipv6()) {
        skip();
    }
    mock_start6(&kdc, note_udp, note_tcp);
    snprintf(peer, sizeof(peer), "[::1]:%u", (unsigned)kdc.port);
    for (int tcp = 0; tcp <= 1; tcp++) {
        begin(&asker, "::1", kdc.port, tcp ? KB_TCP : KB_UDP, &options);
        assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
        assert_facts(&asker, "::1", peer);
        assert_address(&kb_net_facts(asker.net)->destination, false, "::1");
        asker_stop(&asker);
    }
    mock_stop(&kdc);
}

/* Linux takes 0.0.0.0 for this host; its answers come from 127.0.0.1. */
static void no_address_is_this_host(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, mock_udp_final, NULL);
    begin(&asker, "0.0.0.0", kdc.port, KB_UDP, &(struct kb_socket_options){0});
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    asker_stop(&asker);
    mock_stop(&kdc);
}

/* --- a port of one's own --- */

static void a_fixed_port_serves_every_request(void **state)
{
    struct kb_socket_options options = {.local_port = mock_free_port()};
    struct mock kdc;
    struct asker asker;

    (void)state;
    mock_start(&kdc, note_udp, note_tcp);
    for (int i = 0; i < 8; i++) {
        begin(&asker, "127.0.0.1", kdc.port, i % 2 ? KB_TCP : KB_UDP, &options);
        assert_int_equal(asker_ask(&asker, "one", false), KB_OK);
        assert_int_equal(atomic_load(&seen_port), options.local_port);
        assert_int_equal(asker_ask(&asker, "two", false), KB_OK);
        assert_int_equal(atomic_load(&seen_port), options.local_port);
        assert_int_equal(asker.net->sockets.holders, 0);
        asker_stop(&asker);
    }
    mock_stop(&kdc);
}

/* --- UNIX sockets --- */

struct unix_kdc {
    char dir[32], path[64];
    int listener;
    pthread_t thread;
};

static void *serve_unix(void *arg)
{
    struct unix_kdc *kdc = arg;
    int fd = accept(kdc->listener, NULL, NULL);
    uint8_t request[16];

    if (fd >= 0 && read(fd, request, sizeof(request)) > 0) {
        mock_frame(fd, "Final by unix");
    }
    close(fd);
    return NULL;
}

static void unix_sockets(void **state)
{
    struct unix_kdc kdc = {.dir = "/tmp/kerbside-unit-XXXXXX"};
    struct kb_address address;
    struct asker asker;
    char peer[80];

    (void)state;
    assert_non_null(mkdtemp(kdc.dir));
    snprintf(kdc.path, sizeof(kdc.path), "%s/kdc", kdc.dir);
    assert_true(kb_address_unix(&address, kdc.path));
    kdc.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(kdc.listener, &address.u.any, address.len), 0);
    assert_int_equal(listen(kdc.listener, 5), 0);
    assert_int_equal(pthread_create(&kdc.thread, NULL, serve_unix, &kdc), 0);
    /* What is said of IP does not concern it. */
    begin(&asker, kdc.path, 0, KB_UNIX,
          &(struct kb_socket_options){.local_host = "192.0.2.1", .dscp = 46, .local_port = 1});
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_reply(&asker, "Final by unix");
    snprintf(peer, sizeof(peer), "unix:%s", kdc.path);
    assert_string_equal(kb_net_peer(asker.net), peer);
    assert_int_equal(kb_net_facts(asker.net)->local.len, 0);
    assert_address(&kb_net_facts(asker.net)->peer, true, peer);
    pthread_join(kdc.thread, NULL);
    close(kdc.listener);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.sys_errno, ECONNREFUSED);
    unlink(kdc.path);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_non_null(strstr(asker.err.text, "kdc: No such file or directory"));
    rmdir(kdc.dir);
    asker_stop(&asker);
}

/* --- tunnels --- */

static size_t
    piece; /* in how many bytes at once the proxy writes; 0: it answers as `refusal` says */
static const char *refusal;

static void say(int fd, const char *text, size_t len, size_t at_once)
{
    while (len > 0) {
        size_t part = len < at_once ? len : at_once;

        if (send(fd, text, part, MSG_NOSIGNAL) != (ssize_t)part) {
            return;
        }
        text += part;
        len -= part;
        sched_yield();
    }
}

static bool heard(int fd, char *out, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t got = read(fd, out + have, len - have);

        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

static void proxy(struct mock *mock, unsigned nth, int fd, kb_bytes unused)
{
    static const char want[] = "CONNECT kdc.example.com:750 HTTP/1.1\r\n"
                               "Host: kdc.example.com:750\r\nX: y\r\n\r\n";
    static const char yes[] = "HTTP/1.1 200 OK\r\nVia: x\r\n\r\n",
                      reply[] = "\0\0\0\14Final by tcp";
    char head[sizeof(want)], message[4 + 5];

    (void)mock;
    (void)nth;
    (void)unused;
    if (!heard(fd, head, sizeof(want) - 1) || memcmp(head, want, sizeof(want) - 1) != 0) {
        return;
    }
    if (piece == 0) {
        say(fd, refusal, strlen(refusal), SIZE_MAX);
        (void)heard(fd, head, 1);
        return;
    }
    say(fd, yes, strlen(yes), piece);
    if (heard(fd, message, sizeof(message)) && memcmp(message + 4, "hello", 5) == 0) {
        say(fd, reply, sizeof(reply) - 1, piece);
    }
}

static void begin_tunnel(struct asker *asker, const struct mock *mock)
{
    begin(asker, "kdc.example.com", 750, KB_ANY_TRANSPORT,
          &(struct kb_socket_options){
              .firewall_host = "127.0.0.1", .firewall_port = mock->port, .firewall_data = "X: y"});
}

static void start_proxy(struct mock *mock)
{
    mock_start(mock, mock_udp_final, proxy);
    mock->refuse_reading = true;
}

static void tunnels(void **state)
{
    struct mock mock;
    struct asker asker;
    char text[80];

    (void)state;
    start_proxy(&mock);
    for (piece = 1; piece < 48; piece += piece < 8 ? 1 : 13) {
        begin_tunnel(&asker, &mock);
        assert_int_equal(asker_ask(&asker, "hello", piece % 2), KB_OK);
        assert_reply(&asker, "Final by tcp");
        snprintf(text, sizeof(text), "kdc.example.com:750 (tcp through 127.0.0.1:%u)",
                 (unsigned)mock.port);
        assert_string_equal(kb_net_peer(asker.net), text);
        assert_true(kb_net_facts(asker.net)->tunnelled);
        asker_stop(&asker);
    }
    mock_stop(&mock);
    assert_int_equal(mock.num_udp, 0);
}

static void tunnels_that_are_refused(void **state)
{
    static const struct {
        const char *answer;
        const char *text;
    } rows[] = {
        {"HTTP/1.1 407 Who are you\r\n\r\n",
         "the proxy refuses the tunnel: 407 Who are you (FirewallData takes a Proxy-Authorization "
         "line)"},
        {"HTTP/1.1 503\r\n\r\n", "the proxy refuses the tunnel: 503"},
        {"220 smtp.example.com ESMTP\r\n", "what the proxy answers to CONNECT is not HTTP"},
        {"HTTP/1.1 200 OK\r\n\r\nmore", "the proxy sent more than its answer to CONNECT"},
    };
    struct mock mock;
    struct asker asker;

    (void)state;
    start_proxy(&mock);
    piece = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        refusal = rows[i].answer;
        begin_tunnel(&asker, &mock);
        assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
        assert_quick(&asker);
        assert_int_equal(asker.err.code, KB_E_KDC_UNREACHABLE);
        assert_non_null(
            strstr(asker.err.text, "kdc.example.com:750 through FirewallHost 127.0.0.1:"));
        assert_non_null(strstr(asker.err.text, rows[i].text));
        asker_stop(&asker);
    }
    mock_stop(&mock);
}

/* A proof that was not let through was seen by no KDC. */
static void a_proof_that_a_proxy_refused_is_not_judged(void **state)
{
    struct mock mock;
    struct asker asker;

    (void)state;
    start_proxy(&mock);
    piece = 0;
    refusal = "HTTP/1.1 502 Bad Gateway\r\n\r\n";
    begin_tunnel(&asker, &mock);
    asker_add(&asker, "other.example.com", 750, KB_ANY_TRANSPORT);
    asker.judged = true;
    assert_int_equal(asker_ask(&asker, "hello", true), KB_ERROR);
    asker_stop(&asker);
    mock_stop(&mock);
}

/* --- what cannot be --- */

static void errors_of_options(void **state)
{
    static const struct {
        struct kb_socket_options options;
        const char *host;
        enum kb_error_code code;
        int sys_errno;
        const char *option;
        const char *text;
    } rows[] = {
        {{.local_host = "192.0.2.77"},
         "127.0.0.1",
         KB_E_OPTION,
         EADDRNOTAVAIL,
         "LocalHost",
         "udp: LocalHost 192.0.2.77 is no address of this host"},
        {{.local_host = "::1"},
         "127.0.0.1",
         KB_E_OPTION,
         EAFNOSUPPORT,
         "LocalHost",
         "udp: LocalHost ::1 is IPv6, this address IPv4"},
        {{.local_host = "127.0.0.1"},
         "::1",
         KB_E_OPTION,
         EAFNOSUPPORT,
         "LocalHost",
         "udp: LocalHost 127.0.0.1 is IPv4, this address IPv6"},
        {{.local_host = "127.0.0.1", .family = KB_FAMILY_IPV6},
         "::1",
         KB_E_OPTION,
         0,
         "LocalHost",
         "LocalHost 127.0.0.1 is no IPv6 address, as UseIPv6=True wants"},
        {{.family = KB_FAMILY_IPV6},
         "127.0.0.1",
         KB_E_KDC_UNREACHABLE,
         0,
         NULL,
         "127.0.0.1: it is no IPv6 address (UseIPv6=True)"},
        {{.family = KB_FAMILY_IPV4},
         "::1",
         KB_E_KDC_UNREACHABLE,
         0,
         NULL,
         "::1: it is no IPv4 address (UseIPv6=False)"},
        {{.firewall_host = "127.0.0.1", .firewall_data = "no field"},
         "kdc",
         KB_E_OPTION,
         0,
         "FirewallData",
         "FirewallData: line 1 is no header field"},
        {{.firewall_host = "127.0.0.1"},
         "fe80::1%lo",
         KB_E_KDC_UNREACHABLE,
         0,
         NULL,
         "a proxy cannot be asked for a host of that name"},
    };
    struct asker asker;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(&asker, rows[i].host, 1, KB_ANY_TRANSPORT, &rows[i].options);
        assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
        assert_quick(&asker);
        assert_int_equal(asker.err.code, rows[i].code);
        assert_int_equal(asker.err.sys_errno, rows[i].sys_errno);
        assert_non_null(strstr(asker.err.text, rows[i].text));
        if (rows[i].option != NULL) {
            assert_string_equal(kb_net_wrong_option(asker.net), rows[i].option);
        } else {
            assert_null(kb_net_wrong_option(asker.net));
        }
        asker_stop(&asker);
    }
}

static void a_port_in_use(void **state)
{
    struct mock other;
    struct asker asker;
    char text[64];

    (void)state;
    mock_start(&other, mock_udp_silent, NULL);
    snprintf(text, sizeof(text), "udp: LocalPort %u is in use", (unsigned)other.port);
    begin(&asker, "127.0.0.1", 1, KB_UDP, &(struct kb_socket_options){.local_port = other.port});
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_OPTION);
    assert_int_equal(asker.err.sys_errno, EADDRINUSE);
    assert_non_null(strstr(asker.err.text, text));
    asker_stop(&asker);
    mock_stop(&other);
}

static void by_udp_alone_a_proxy_is_no_way(void **state)
{
    struct asker asker;

    (void)state;
    begin(&asker, "127.0.0.1", 1, KB_UDP,
          &(struct kb_socket_options){.firewall_host = "127.0.0.1"});
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_non_null(strstr(asker.err.text, "which FirewallHost does not carry"));
    asker_stop(&asker);
}

static void large(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                  socklen_t from_len, kb_bytes request)
{
    static char text[4098];

    (void)nth;
    (void)request;
    memset(text, 'F', sizeof(text) - 1);
    mock_send(mock, from, from_len, text);
}

static void datagrams_beyond_the_maximum(void **state)
{
    struct mock kdc;
    struct asker asker;
    char request[4098];

    (void)state;
    mock_start(&kdc, large, NULL);
    begin(&asker, "127.0.0.1", kdc.port, KB_UDP, &(struct kb_socket_options){0});
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_PACKET_SIZE);
    assert_int_equal(kb_error_reference(asker.err.code), 118);
    assert_string_equal(kb_net_wrong_option(asker.net), "MaxPacketSize");
    memset(request, 'x', sizeof(request) - 1);
    request[sizeof(request) - 1] = '\0';
    assert_int_equal(asker_ask(&asker, request, false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_PACKET_SIZE);
    assert_non_null(strstr(asker.err.text, "4097 bytes is longer than MaxPacketSize=4096"));
    asker_stop(&asker);
    mock_stop(&kdc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_what_the_kdc_saw),
        cmocka_unit_test(facts_over_ipv6),
        cmocka_unit_test(no_address_is_this_host),
        cmocka_unit_test(a_fixed_port_serves_every_request),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(tunnels),
        cmocka_unit_test(tunnels_that_are_refused),
        cmocka_unit_test(a_proof_that_a_proxy_refused_is_not_judged),
        cmocka_unit_test(errors_of_options),
        cmocka_unit_test(a_port_in_use),
        cmocka_unit_test(by_udp_alone_a_proxy_is_no_way),
        cmocka_unit_test(datagrams_beyond_the_maximum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
