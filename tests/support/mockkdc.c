#include "tests/support/mockkdc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

void mock_pause(int ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

static socklen_t loopback(struct sockaddr_in6 *out, bool six, uint16_t port)
{
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *out = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
    if (six) {
        return sizeof(*out);
    }
    memcpy(out, &four, sizeof(four));
    return sizeof(four);
}

/* A socket on a port of the loopback; 0: any. -1 where it is taken. */
static int listener(int type, bool six, uint16_t port)
{
    struct sockaddr_in6 address;
    socklen_t len = loopback(&address, six, port);
    int fd = socket(six ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, len) != 0) {
        close(fd);
        return -1;
    }
    must(type != SOCK_STREAM || listen(fd, 16) == 0);
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 address;
    socklen_t len = sizeof(address);

    must(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    return ntohs(address.sin6_port); /* at the same place in both families */
}

static void take_datagram(struct mock *mock)
{
    uint8_t request[4096];
    struct sockaddr_in6 from;
    socklen_t from_len = sizeof(from);
    ssize_t len =
        recvfrom(mock->udp, request, sizeof(request), 0, (struct sockaddr *)&from, &from_len);
    unsigned nth = atomic_load(&mock->num_udp);

    if (len < 0) {
        return;
    }
    if (nth < MOCK_MAX_SEEN) {
        mock->seen[nth].port = ntohs(from.sin6_port);
        mock->seen[nth].at_ms = kb_now_ms();
    }
    atomic_fetch_add(&mock->num_udp, 1);
    atomic_load (&mock->on_udp)(mock, nth, &from, from_len, kb_bytes_of(request, (size_t)len));
}

static bool read_all(int fd, uint8_t *to, size_t len)
{
    while (len > 0) {
        ssize_t got = recv(fd, to, len, 0);

        if (got <= 0) {
            return false;
        }
        to += got;
        len -= (size_t)got;
    }
    return true;
}

static void take_connection(struct mock *mock)
{
    uint8_t *request = mock->request;
    int fd = accept4(mock->tcp, NULL, NULL, SOCK_CLOEXEC);
    unsigned nth = atomic_fetch_add(&mock->num_tcp, 1);
    uint8_t prefix[4];
    size_t len = 0;

    must(fd >= 0);
    if (!mock->refuse_reading && read_all(fd, prefix, 4)) {
        len = (size_t)prefix[2] << 8 | prefix[3];
        if (!read_all(fd, request, len)) {
            len = 0;
        }
    }
    mock->on_tcp(mock, nth, fd, kb_bytes_of(request, len));
    close(fd);
}

static void *serve(void *arg)
{
    struct mock *mock = arg;

    for (;;) {
        struct pollfd fds[3] = {{.fd = mock->stop, .events = POLLIN},
                                {.fd = mock->udp, .events = POLLIN},
                                {.fd = mock->tcp, .events = POLLIN}};

        if (poll(fds, 3, -1) < 0 && errno == EINTR) {
            continue;
        }
        if (fds[1].revents != 0) {
            take_datagram(mock);
        }
        if (fds[2].revents != 0) {
            take_connection(mock);
        }
        /* Last, so that what was sent before the stop is counted. */
        if (fds[0].revents != 0 && fds[1].revents == 0 && fds[2].revents == 0) {
            return NULL;
        }
    }
}

static void start(struct mock *mock, bool six, mock_udp_fn on_udp, mock_tcp_fn on_tcp)
{
    *mock = (struct mock){.on_tcp = on_tcp};
    atomic_init(&mock->on_udp, on_udp);
    mock->request = malloc(70000);
    /* The same port for both; another program may have it for the one or the other. */
    do {
        mock->udp = listener(SOCK_DGRAM, six, 0);
        must(mock->udp >= 0);
        mock->port = port_of(mock->udp);
        mock->tcp = listener(SOCK_STREAM, six, mock->port);
        if (mock->tcp < 0) {
            close(mock->udp);
        }
    } while (mock->tcp < 0);
    if (on_udp == NULL) {
        close(mock->udp);
        mock->udp = -1;
    }
    if (on_tcp == NULL) {
        close(mock->tcp);
        mock->tcp = -1;
    }
    mock->other = listener(SOCK_DGRAM, six, 0);
    mock->stop = eventfd(0, EFD_CLOEXEC);
    must(mock->other >= 0 && mock->stop >= 0 && mock->request != NULL);
    must(pthread_create(&mock->thread, NULL, serve, mock) == 0);
}

void mock_start(struct mock *mock, mock_udp_fn on_udp, mock_tcp_fn on_tcp)
{
    start(mock, false, on_udp, on_tcp);
}

void mock_start6(struct mock *mock, mock_udp_fn on_udp, mock_tcp_fn on_tcp)
{
    start(mock, true, on_udp, on_tcp);
}

void mock_stop(struct mock *mock)
{
    must(eventfd_write(mock->stop, 1) == 0);
    must(pthread_join(mock->thread, NULL) == 0);
    close(mock->stop);
    close(mock->other);
    free(mock->request);
    if (mock->udp >= 0) {
        close(mock->udp);
    }
    if (mock->tcp >= 0) {
        close(mock->tcp);
    }
}

uint16_t mock_free_port(void)
{
    struct mock mock;

    mock_start(&mock, mock_udp_silent, mock_tcp_silent);
    mock_stop(&mock);
    return mock.port;
}

bool mock_have_ipv6(void)
{
    int fd = listener(SOCK_DGRAM, true, 0);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

void deaf_start(struct deaf *deaf)
{
    struct sockaddr_in6 address;
    socklen_t len;

    deaf->listener = listener(SOCK_STREAM, false, 0);
    must(deaf->listener >= 0 && listen(deaf->listener, 0) == 0);
    deaf->port = port_of(deaf->listener);
    len = loopback(&address, false, deaf->port);
    for (size_t i = 0; i < sizeof(deaf->fillers) / sizeof(deaf->fillers[0]); i++) {
        deaf->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        must(deaf->fillers[i] >= 0);
        (void)connect(deaf->fillers[i], (struct sockaddr *)&address, len);
    }
}

void deaf_stop(struct deaf *deaf)
{
    for (size_t i = 0; i < sizeof(deaf->fillers) / sizeof(deaf->fillers[0]); i++) {
        close(deaf->fillers[i]);
    }
    close(deaf->listener);
}

void mock_send(struct mock *mock, const struct sockaddr_in6 *to, socklen_t to_len, const char *text)
{
    (void)sendto(mock->udp, text, strlen(text), 0, (const struct sockaddr *)to, to_len);
}

void mock_frame(int fd, const char *text)
{
    size_t len = strlen(text);
    uint8_t prefix[4] = {0, 0, (uint8_t)(len >> 8), (uint8_t)len};

    (void)send(fd, prefix, 4, MSG_NOSIGNAL);
    (void)send(fd, text, len, MSG_NOSIGNAL);
}

void mock_udp_final(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                    socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    mock_send(mock, from, from_len, "Final by udp");
}

void mock_udp_silent(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                     socklen_t from_len, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)from;
    (void)from_len;
    (void)request;
}

void mock_udp_too_big(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                      socklen_t from_len, kb_bytes request)
{
    (void)nth;
    (void)request;
    mock_send(mock, from, from_len, "Too big");
}

void mock_tcp_final(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    (void)mock;
    (void)nth;
    (void)request;
    mock_frame(fd, "Final by tcp");
}

void mock_tcp_silent(struct mock *mock, unsigned nth, int fd, kb_bytes request)
{
    struct pollfd gone = {.fd = fd, .events = POLLIN};

    (void)nth;
    (void)request;
    while (poll(&gone, 1, 10) == 0) {
        struct pollfd stop = {.fd = mock->stop, .events = POLLIN};

        if (poll(&stop, 1, 0) > 0) {
            return;
        }
    }
}

/* --- the asking side --- */

const struct kb_net_tuning asker_tuning = {
    .hedge_ms = 50,
    .repeat_ms = 100,
    .max_gap_ms = 400,
    .max_sends = 3,
    .life_ms = 500,
    .name_ms = 500,
    .defer_ms = 150,
    .proof_ms = 300,
    .weak_min_ms = 30,
    .weak_max_ms = 100,
};

static size_t locate(void *ctx, kb_bytes realm, bool primary, struct kb_kdc *out, size_t max,
                     struct kb_error *err)
{
    const struct asker *asker = ctx;

    (void)realm;
    (void)primary;
    (void)err;
    for (size_t i = 0; i < asker->num_kdcs && i < max; i++) {
        out[i] = asker->kdcs[i];
    }
    return asker->num_kdcs;
}

static enum kb_verdict verdict(void *machine, kb_bytes message)
{
    (void)machine;
    switch (message.ptr[0]) {
    case 'F':
        return KB_VERDICT_FINAL;
    case 'W':
        return KB_VERDICT_WEAK;
    case 'L':
        return KB_VERDICT_LATE;
    case 'T':
        return KB_VERDICT_TCP;
    case 'N':
        return KB_VERDICT_NEXT;
    default:
        return KB_VERDICT_IGNORE;
    }
}

void asker_session(struct asker *asker)
{
    struct kb_net_config config = {
        .udp_limit = 1465, .max_packet_size = 4096, .events = asker->events};

    asker->net = kb_net_new(&config, locate, asker, &asker->wait);
    must(asker->net != NULL);
    kb_net_tune(asker->net, &asker_tuning);
}

void asker_start(struct asker *asker, int64_t timeout_ms)
{
    *asker = (struct asker){0};
    kb_memory_clear();
    kb_wait_start(&asker->wait, timeout_ms, false);
    asker_session(asker);
    kb_arena_init(&asker->arena, NULL, 0, (size_t)4 * 1024 * 1024);
}

void asker_stop(struct asker *asker)
{
    kb_net_free(asker->net);
    kb_wait_stop(&asker->wait);
    kb_arena_wipe(&asker->arena);
}

void asker_add(struct asker *asker, const char *host, uint16_t port, enum kb_transport transport)
{
    asker->kdcs[asker->num_kdcs++] =
        (struct kb_kdc){.host = host, .port = port, .transport = transport};
}

static void calm(struct asker *asker, int hedge_ms)
{
    struct kb_net_tuning tuning = asker_tuning;

    tuning.hedge_ms = hedge_ms;
    tuning.repeat_ms = tuning.max_gap_ms = tuning.defer_ms = 8000;
    tuning.life_ms = tuning.name_ms = tuning.proof_ms = 9000;
    kb_net_tune(asker->net, &tuning);
}

void asker_calm(struct asker *asker)
{
    calm(asker, 8000);
}

void asker_calm_but_hedge(struct asker *asker)
{
    calm(asker, asker_tuning.hedge_ms);
}

enum kb_status asker_send(struct asker *asker, const struct kb_send *send)
{
    int64_t start_ms = kb_now_ms();
    enum kb_status status;

    asker->err = (struct kb_error){0};
    status = kb_net_exchange(asker->net, send, verdict, asker, &asker->arena, &asker->reply,
                             &asker->judged, &asker->err);
    asker->took_ms = kb_now_ms() - start_ms;
    return status;
}

enum kb_status asker_ask(struct asker *asker, const char *text, bool proof)
{
    struct kb_send send = {.message = kb_str(text), .realm = KB_LIT("EXAMPLE.COM"), .proof = proof};

    return asker_send(asker, &send);
}
