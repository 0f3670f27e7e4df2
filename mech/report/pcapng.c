#include "mech/report/pcapng.h"

#define SECTION_HEADER 0x0a0d0d0au
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define INTERFACE 1
#define ENHANCED_PACKET 6
#define LINKTYPE_RAW 101 /* a packet begins with its IP header */

#define MAX_DATAGRAM 65507 /* 65,535 less the headers of IPv4 and UDP */
#define MAX_SEGMENT 32768
#define UDP 17
#define TCP 6
#define UDP_HEADER 8
#define TCP_HEADER 20
#define SYN 0x02
#define PSH 0x08
#define ACK 0x10

/* --- blocks --- */

static void add_u16(struct kb_buf *out, uint16_t value)
{
    kb_buf_add(out, kb_bytes_of(&value, sizeof(value)));
}

static void add_u32(struct kb_buf *out, uint32_t value)
{
    kb_buf_add(out, kb_bytes_of(&value, sizeof(value)));
}

static void add_padding(struct kb_buf *out, size_t len)
{
    kb_buf_add(out, kb_bytes_of("\0\0\0", (4 - len % 4) % 4));
}

static void add_option(struct kb_buf *out, uint16_t code, kb_bytes value)
{
    add_u16(out, code);
    add_u16(out, (uint16_t)value.len);
    kb_buf_add(out, value);
    add_padding(out, value.len);
}

/* The length of what was added since `start`, which stands before and behind it. */
static void end_block(struct kb_buf *out, size_t start)
{
    uint32_t len = (uint32_t)(out->len - start + 4);

    if (out->status == KB_OK) {
        memcpy(out->data + start + 4, &len, sizeof(len));
    }
    add_u32(out, len);
}

void kb_pcapng_header(struct kb_buf *out)
{
    const uint8_t nanoseconds = 9; /* 10^-9 */
    size_t start = out->len;

    add_u32(out, SECTION_HEADER);
    add_u32(out, 0);
    add_u32(out, BYTE_ORDER_MAGIC);
    add_u16(out, 1); /* version 1.0 */
    add_u16(out, 0);
    add_u32(out, UINT32_MAX); /* the section's length is not known */
    add_u32(out, UINT32_MAX);
    add_option(out, 4, KB_LIT("Kerbside")); /* shb_userappl */
    add_option(out, 0, KB_NONE);
    end_block(out, start);

    start = out->len;
    add_u32(out, INTERFACE);
    add_u32(out, 0);
    add_u16(out, LINKTYPE_RAW);
    add_u16(out, 0);
    add_u32(out, 0);                                  /* no limit */
    add_option(out, 2, KB_LIT("messages"));           /* if_name */
    add_option(out, 9, kb_bytes_of(&nanoseconds, 1)); /* if_tsresol */
    add_option(out, 0, KB_NONE);
    end_block(out, start);
}

/* --- headers --- */

static void put_u16be(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_u32be(uint8_t *at, uint32_t value)
{
    put_u16be(at, value >> 16);
    put_u16be(at + 2, value & 0xffff);
}

/* RFC 1071: the sum goes on over several parts, of which all but the last are even. */
static uint32_t sum(uint32_t so_far, kb_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        so_far += i % 2 == 0 ? (uint32_t)bytes.ptr[i] << 8 : bytes.ptr[i];
        so_far = (so_far & 0xffff) + (so_far >> 16);
    }
    return so_far;
}

static uint16_t checksum(uint32_t sum_of_all)
{
    sum_of_all = (sum_of_all & 0xffff) + (sum_of_all >> 16);
    return (uint16_t)~sum_of_all;
}

/* One packet from one end to the other: a header of its transport, and what follows. */
struct packet {
    const struct kb_flow *flow;
    bool sent;
    uint8_t protocol;
    uint8_t header[TCP_HEADER];
    size_t header_len;
    size_t checksum_at;
    uint8_t prefix[4]; /* the length of a message */
    size_t prefix_len;
    kb_bytes payload;
};

static const struct kb_endpoint *from(const struct packet *packet)
{
    return packet->sent ? &packet->flow->local : &packet->flow->peer;
}

static const struct kb_endpoint *to(const struct packet *packet)
{
    return packet->sent ? &packet->flow->peer : &packet->flow->local;
}

static size_t transport_len(const struct packet *packet)
{
    return packet->header_len + packet->prefix_len + packet->payload.len;
}

/* The pseudo-headers of IPv4 and IPv6 sum up alike: addresses, length, protocol. */
static void put_checksum(struct packet *packet)
{
    size_t address_len = packet->flow->v6 ? 16 : 4;
    uint32_t so_far = (uint32_t)transport_len(packet) + packet->protocol;
    uint16_t result;

    so_far = sum(so_far, kb_bytes_of(from(packet)->address, address_len));
    so_far = sum(so_far, kb_bytes_of(to(packet)->address, address_len));
    so_far = sum(so_far, kb_bytes_of(packet->header, packet->header_len));
    so_far = sum(so_far, kb_bytes_of(packet->prefix, packet->prefix_len));
    so_far = sum(so_far, packet->payload);
    result = checksum(so_far);
    /* RFC 768: zero says that there is none. */
    put_u16be(packet->header + packet->checksum_at,
              result == 0 && packet->protocol == UDP ? 0xffff : result);
}

static size_t put_ipv4(const struct packet *packet, uint8_t out[20])
{
    put_u16be(out, 0x4500);
    put_u16be(out + 2, 20 + transport_len(packet));
    put_u32be(out + 4, 0x4000); /* DF, no fragment */
    out[8] = 64;
    out[9] = packet->protocol;
    put_u16be(out + 10, 0);
    memcpy(out + 12, from(packet)->address, 4);
    memcpy(out + 16, to(packet)->address, 4);
    put_u16be(out + 10, checksum(sum(0, kb_bytes_of(out, 20))));
    return 20;
}

static size_t put_ipv6(const struct packet *packet, uint8_t out[40])
{
    put_u32be(out, 0x60000000);
    put_u16be(out + 4, transport_len(packet));
    out[6] = packet->protocol;
    out[7] = 64;
    memcpy(out + 8, from(packet)->address, 16);
    memcpy(out + 24, to(packet)->address, 16);
    return 40;
}

static void add_packet(struct kb_buf *out, struct packet *packet)
{
    const uint32_t direction = packet->sent ? 2 : 1; /* epb_flags: outbound, inbound */
    uint8_t ip[40];
    size_t ip_len = packet->flow->v6 ? put_ipv6(packet, ip) : put_ipv4(packet, ip);
    size_t len = ip_len + transport_len(packet), start = out->len;

    put_checksum(packet);
    add_u32(out, ENHANCED_PACKET);
    add_u32(out, 0);
    add_u32(out, 0); /* the interface */
    add_u32(out, (uint32_t)(packet->flow->time_ns >> 32));
    add_u32(out, (uint32_t)packet->flow->time_ns);
    add_u32(out, (uint32_t)len);
    add_u32(out, (uint32_t)len);
    kb_buf_add(out, kb_bytes_of(ip, ip_len));
    kb_buf_add(out, kb_bytes_of(packet->header, packet->header_len));
    kb_buf_add(out, kb_bytes_of(packet->prefix, packet->prefix_len));
    kb_buf_add(out, packet->payload);
    add_padding(out, len);
    add_option(out, 2, kb_bytes_of(&direction, sizeof(direction)));
    add_option(out, 0, KB_NONE);
    end_block(out, start);
}

static void put_ports(struct packet *packet)
{
    put_u16be(packet->header, from(packet)->port);
    put_u16be(packet->header + 2, to(packet)->port);
}

void kb_pcapng_datagram(struct kb_buf *out, const struct kb_flow *flow, kb_bytes message)
{
    struct packet packet = {.flow = flow,
                            .sent = flow->sent,
                            .protocol = UDP,
                            .header_len = UDP_HEADER,
                            .checksum_at = 6,
                            .payload = message};

    if (packet.payload.len > MAX_DATAGRAM) {
        packet.payload.len = MAX_DATAGRAM;
    }
    put_ports(&packet);
    put_u16be(packet.header + 4, transport_len(&packet));
    add_packet(out, &packet);
}

/* --- streams --- */

static struct packet segment(const struct kb_flow *flow, bool sent, uint8_t flags,
                             const struct kb_stream *stream)
{
    struct packet packet = {
        .flow = flow, .sent = sent, .protocol = TCP, .header_len = TCP_HEADER, .checksum_at = 16};

    put_ports(&packet);
    put_u32be(packet.header + 4, sent ? stream->local : stream->peer);
    if ((flags & ACK) != 0) {
        put_u32be(packet.header + 8, sent ? stream->peer : stream->local);
    }
    packet.header[12] = TCP_HEADER / 4 << 4;
    packet.header[13] = flags;
    put_u16be(packet.header + 14, 65535); /* the window */
    return packet;
}

void kb_pcapng_handshake(struct kb_buf *out, const struct kb_flow *flow, struct kb_stream *stream)
{
    struct packet packet = segment(flow, true, SYN, stream);

    add_packet(out, &packet);
    stream->local++;
    packet = segment(flow, false, SYN | ACK, stream);
    add_packet(out, &packet);
    stream->peer++;
    packet = segment(flow, true, ACK, stream);
    add_packet(out, &packet);
}

void kb_pcapng_segments(struct kb_buf *out, const struct kb_flow *flow, struct kb_stream *stream,
                        kb_bytes message)
{
    uint32_t *next = flow->sent ? &stream->local : &stream->peer;
    size_t at = 0;

    do {
        struct packet packet = segment(flow, flow->sent, PSH | ACK, stream);
        size_t left = message.len - at, len = left < MAX_SEGMENT ? left : MAX_SEGMENT;

        if (at == 0) {
            put_u32be(packet.prefix, (uint32_t)message.len);
            packet.prefix_len = 4;
        }
        packet.payload = kb_bytes_of(message.ptr + at, len);
        add_packet(out, &packet);
        *next += (uint32_t)(packet.prefix_len + len);
        at += len;
    } while (at < message.len);
}
