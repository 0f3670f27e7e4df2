/* pcapng.h - inside report: the blocks of a pcapng file, and the packets that a message would have
 * been.
 *
 * draft-ietf-opsawg-pcapng: a section of this machine's byte order with one interface of raw IP
 * packets and times in nanoseconds. IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768) and TCP (RFC
 * 9293) headers are made here, with lengths and checksums that a dissector finds right. Bytes only:
 * no file, no clock. */
#ifndef KB_PCAPNG_H
#define KB_PCAPNG_H

#include "asn1/buf.h"

struct kb_endpoint {
    uint8_t address[16]; /* of IPv4 the first four */
    uint16_t port;
};

struct kb_flow {
    struct kb_endpoint local, peer;
    bool v6, sent;
    uint64_t time_ns; /* since 1970 */
};

/* Where a stream stands: the sequence numbers of its next bytes. */
struct kb_stream {
    uint32_t local, peer;
};

/* kb_pcapng_header appends what a file begins with: always the same bytes. */
void kb_pcapng_header(struct kb_buf *out);

/* kb_pcapng_datagram appends a message as one UDP datagram; what no datagram can hold is cut. */
void kb_pcapng_datagram(struct kb_buf *out, const struct kb_flow *flow, kb_bytes message);

/* kb_pcapng_handshake appends the three segments that open a connection from `local`; *stream holds
 * the initial sequence numbers, and then those of the first bytes. */
void kb_pcapng_handshake(struct kb_buf *out, const struct kb_flow *flow, struct kb_stream *stream);

/* kb_pcapng_segments appends a message behind its length (RFC 4120 7.2.2) in as many segments as it
 * needs, and moves *stream on. */
void kb_pcapng_segments(struct kb_buf *out, const struct kb_flow *flow, struct kb_stream *stream,
                        kb_bytes message);

#endif
