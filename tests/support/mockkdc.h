/* mockkdc.h - KDCs for tests of the network: a thread each, on a free port of the loopback, which
 * answers as the test's functions say and counts what it got.
 *
 * The verdict of a message is its first letter: F final, W weak, L late, T too big (use TCP), N not
 * now, anything else is to be ignored. */
#ifndef MOCKKDC_H
#define MOCKKDC_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "mech/net/session.h"

#define MOCK_MAX_SEEN 64

struct mock;

/* One datagram, the nth (from 0). */
typedef void (*mock_udp_fn)(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                            socklen_t from_len, kb_bytes request);

/* One connection, the nth, from which the request was read (without its length). It is closed after
 * the function returns. */
typedef void (*mock_tcp_fn)(struct mock *mock, unsigned nth, int fd, kb_bytes request);

struct mock {
    uint16_t port;
    int udp, tcp;                /* -1: closed, so the port refuses */
    _Atomic(mock_udp_fn) on_udp; /* may be changed while it runs */
    mock_tcp_fn on_tcp;
    bool refuse_reading; /* TCP: on_tcp is called without reading a request */
    int other;           /* a UDP socket on another port, for strays */
    atomic_uint num_udp, num_tcp;
    struct {
        uint16_t port; /* of the client */
        int64_t at_ms;
    } seen[MOCK_MAX_SEEN]; /* of the datagrams; read after mock_stop */
    pthread_t thread;
    int stop;
    uint8_t *request; /* of a connection; made at the start: threads allocate nothing */
};

/* mock_start listens on 127.0.0.1, or ::1; a NULL function closes that port. */
void mock_start(struct mock *mock, mock_udp_fn on_udp, mock_tcp_fn on_tcp);
void mock_start6(struct mock *mock, mock_udp_fn on_udp, mock_tcp_fn on_tcp);
void mock_stop(struct mock *mock);

/* mock_free_port is a port on which nobody listens. */
uint16_t mock_free_port(void);

bool mock_have_ipv6(void);

/* A port that neither accepts nor refuses connections: its queue is full. */
struct deaf {
    uint16_t port;
    int listener, fillers[8];
};
void deaf_start(struct deaf *deaf);
void deaf_stop(struct deaf *deaf);

/* What the functions are made of. */
void mock_send(struct mock *mock, const struct sockaddr_in6 *to, socklen_t to_len,
               const char *text);
void mock_frame(int fd, const char *text); /* with its length */
void mock_pause(int ms);

/* Ready-made functions. */
void mock_udp_final(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                    socklen_t from_len, kb_bytes request);
void mock_udp_silent(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                     socklen_t from_len, kb_bytes request);
void mock_udp_too_big(struct mock *mock, unsigned nth, const struct sockaddr_in6 *from,
                      socklen_t from_len, kb_bytes request);
void mock_tcp_final(struct mock *mock, unsigned nth, int fd, kb_bytes request);
void mock_tcp_silent(struct mock *mock, unsigned nth, int fd, kb_bytes request);

/* --- the asking side --- */

struct asker {
    struct kb_wait wait;
    struct kb_events *events; /* NULL: nobody listens; asker_session takes them */
    struct kb_net_session *net;
    struct kb_kdc kdcs[KB_MAX_KDCS];
    size_t num_kdcs;
    struct kb_arena arena;
    struct kb_error err;
    kb_bytes reply;
    bool judged;
    int64_t took_ms;
};

/* asker_start begins a session with a short rhythm (hedge 50, repeat 100, proof 300 ms) and no KDC;
 * the process forgets what it learned. */
void asker_start(struct asker *asker, int64_t timeout_ms);
void asker_stop(struct asker *asker);
void asker_session(struct asker *asker); /* a new session; the old one stays the caller's */
void asker_add(struct asker *asker, const char *host, uint16_t port, enum kb_transport transport);

/* asker_ask sends `text`. */
enum kb_status asker_ask(struct asker *asker, const char *text, bool proof);
enum kb_status asker_send(struct asker *asker, const struct kb_send *send);
extern const struct kb_net_tuning asker_tuning;

/* asker_calm makes hedging and repetition so slow that what happens within assert_quick happened
 * for another reason, on a busy machine too. asker_calm_but_hedge leaves the hedging. */
void asker_calm(struct asker *asker);
void asker_calm_but_hedge(struct asker *asker);
#define assert_quick(asker) assert_true((asker)->took_ms < 5000)

#define assert_reply(asker, text)                                                                  \
    do {                                                                                           \
        assert_int_equal((asker)->reply.len, strlen(text));                                        \
        assert_memory_equal((asker)->reply.ptr, text, strlen(text));                               \
    } while (0)

#endif
