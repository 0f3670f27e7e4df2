#include "mech/report/capture.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>

#include "mech/report/append.h"
#include "mech/report/pcapng.h"

#define MAX_HEADER 256
#define MAX_BLOCKS (4u << 20)
#define KERBEROS 88           /* the port of what has none */
#define FIRST_EPHEMERAL 49152 /* RFC 6335 6 */

/* --- who speaks with whom --- */

static uint64_t hash_on(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3u; /* FNV-1a */
    }
    return hash;
}

/* An address of the family that the flow has; of another one, or none: loopback. */
static void set_endpoint(struct kb_endpoint *out, const struct sockaddr *address, bool v6,
                         uint16_t port)
{
    *out = (struct kb_endpoint){.port = port};
    if (v6 && address != NULL && address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof(in6));
        memcpy(out->address, &in6.sin6_addr, 16);
        out->port = ntohs(in6.sin6_port);
    } else if (!v6 && address != NULL && address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        memcpy(out->address, &in.sin_addr, 4);
        out->port = ntohs(in.sin_port);
    } else if (v6) {
        out->address[15] = 1;
    } else {
        memcpy(out->address, "\x7f\0\0\1", 4);
    }
}

/* A port for our end where the system has none: the thread's own for this peer, which has one
 * exchange at a time. */
static uint16_t port_of_thread(const struct sockaddr *peer)
{
    pthread_t self = pthread_self();
    uint64_t hash = hash_on(0xcbf29ce484222325u, &self, sizeof(self));

    if (peer != NULL && peer->sa_family == AF_UNIX) {
        const char *path = (const char *)peer + offsetof(struct sockaddr_un, sun_path);

        hash = hash_on(hash, path, strnlen(path, sizeof(((struct sockaddr_un *)0)->sun_path)));
    }
    return (uint16_t)(FIRST_EPHEMERAL + hash % (65536 - FIRST_EPHEMERAL));
}

static struct kb_flow flow_of(const struct sockaddr *local, const struct sockaddr *peer, bool sent)
{
    struct kb_flow flow = {.sent = sent};
    struct timespec now = {0, 0};

    flow.v6 = (peer != NULL && peer->sa_family == AF_INET6) ||
              (peer == NULL && local != NULL && local->sa_family == AF_INET6);
    set_endpoint(&flow.peer, peer, flow.v6, KERBEROS);
    set_endpoint(&flow.local, local, flow.v6, port_of_thread(peer));
    clock_gettime(CLOCK_REALTIME, &now);
    flow.time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return flow;
}

/* --- streams ---
 * A connection is shown as one for each request and its reply, also where it carries several
 * (net/transport.h); a dissector then remarks that ports are used again. Between the two is kept
 * what the reply acknowledges: half a hash of the connection, and the sequence number. The peer's
 * own number is made of that one. Where two connections meet in a slot one of them loses its
 * number, which costs a remark of the dissector's. No lock: a fork may come at any time. */
static _Atomic uint64_t slots[128];

static uint64_t hash_of(const struct kb_flow *flow)
{
    uint64_t hash = hash_on(0xcbf29ce484222325u, flow->local.address, 16);

    hash = hash_on(hash, &flow->local.port, 2);
    hash = hash_on(hash, flow->peer.address, 16);
    return hash_on(hash, &flow->peer.port, 2);
}

static void add_stream(struct kb_buf *out, const struct kb_flow *flow, kb_bytes message)
{
    uint64_t hash = hash_of(flow), half = hash & 0xffffffff00000000u, kept;
    _Atomic uint64_t *slot = &slots[hash % 128];
    struct kb_stream stream;

    if (flow->sent) {
        stream.local = (uint32_t)(flow->time_ns >> 8);
        stream.peer = stream.local + 5 + (uint32_t)message.len; /* as below */
        stream.peer = ~stream.peer;
        kb_pcapng_handshake(out, flow, &stream);
        kb_pcapng_segments(out, flow, &stream, message);
        atomic_store(slot, half | stream.local);
    } else {
        kept = atomic_load(slot);
        stream.local = (kept & 0xffffffff00000000u) == half ? (uint32_t)kept : 1;
        stream.peer = ~stream.local + 1;
        kb_pcapng_segments(out, flow, &stream, message);
    }
}

/* --- the file --- */

bool kb_capture_wanted(const struct kb_events *events)
{
    return kb_events_capture(events) != NULL;
}

void kb_capture(struct kb_events *events, const struct sockaddr *local, const struct sockaddr *peer,
                bool sent, bool stream, kb_bytes message)
{
    const char *why = "there is no memory for it";
    struct kb_buf header, packets;
    struct kb_flow flow;
    int saved = errno;

    if (!kb_capture_wanted(events)) {
        return;
    }
    flow = flow_of(local, peer, sent);
    kb_buf_init(&header, MAX_HEADER);
    kb_buf_init(&packets, MAX_BLOCKS);
    kb_pcapng_header(&header);
    if (stream) {
        add_stream(&packets, &flow, message);
    } else {
        kb_pcapng_datagram(&packets, &flow, message);
    }
    if (header.status == KB_OK && packets.status == KB_OK) {
        why = kb_append(kb_events_capture(events), kb_buf_bytes(&header), kb_buf_bytes(&packets));
    }
    if (why != NULL) {
        kb_events_lost(events, KB_LOST_CAPTURE, why);
    }
    kb_buf_wipe(&packets);
    kb_buf_wipe(&header);
    errno = saved;
}
