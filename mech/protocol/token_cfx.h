/* token_cfx.h - what token_cfx.c (a token in one piece) and token_cfx_iov.c (in several) share of
 * RFC 4121 4.2. Private to these two. */
#ifndef KB_TOKEN_CFX_H
#define KB_TOKEN_CFX_H

#include "asn1/reader.h"
#include "mech/protocol/token_format.h"

#define HEADER_LEN 16
#define TOK_MIC 0x0404u
#define TOK_WRAP 0x0504u
#define FILLER 0xff

/* 4.2.2 */
#define FLAG_ACCEPTOR 0x01u
#define FLAG_SEALED 0x02u
#define FLAG_ACCEPTOR_SUBKEY 0x04u

struct header {
    uint16_t token_id;
    uint8_t flags;
    uint16_t ec, rrc; /* all ones in a MIC token */
    uint64_t seq;
};

static inline void put_header(uint8_t out[HEADER_LEN], const struct header *header)
{
    kb_put_u16be(out, header->token_id);
    out[2] = header->flags;
    out[3] = FILLER;
    kb_put_u16be(out + 4, header->ec);
    kb_put_u16be(out + 6, header->rrc);
    kb_put_u64be(out + 8, header->seq);
}

static inline bool get_header(struct kb_reader *r, struct header *out)
{
    uint8_t filler;

    out->token_id = kb_get_u16be(r);
    out->flags = kb_get_u8(r);
    filler = kb_get_u8(r);
    out->ec = kb_get_u16be(r);
    out->rrc = kb_get_u16be(r);
    out->seq = kb_get_u64be(r);
    return !r->bad && filler == FILLER;
}

static inline uint8_t flags_of(const struct kb_ap *ap, bool from_acceptor)
{
    return (uint8_t)((from_acceptor ? FLAG_ACCEPTOR : 0) |
                     (ap->acceptor_subkey ? FLAG_ACCEPTOR_SUBKEY : 0));
}

/* RFC 4121 2: the same usage with and without confidentiality. */
static inline uint32_t seal_usage(bool from_acceptor)
{
    return from_acceptor ? KB_USAGE_ACCEPTOR_SEAL : KB_USAGE_INITIATOR_SEAL;
}

static inline uint32_t sign_usage(bool from_acceptor)
{
    return from_acceptor ? KB_USAGE_ACCEPTOR_SIGN : KB_USAGE_INITIATOR_SIGN;
}

static inline struct kb_piece sign_piece(kb_bytes bytes)
{
    return kb_piece_sign(bytes);
}

/* Direction, and the acceptor's subkey where it asserted one (RFC 4121 2): as MIT answers it, a
 * token that fails here is one whose signature does not verify. Other flags are ignored (4.2.2),
 * though covered by the MAC; so is, as with MIT, that of a subkey that there is not. */
static inline bool flags_fit(const struct kb_ap *ap, const struct header *header)
{
    uint8_t wanted = flags_of(ap, !ap->acceptor);

    return (header->flags & (wanted | FLAG_ACCEPTOR)) == wanted;
}

/* The two parts of `len` bytes of what `rest` was before it was rotated to the right, from `offset`
 * on. The second is mostly empty. */
static inline void unrotated(kb_bytes rest, size_t rotation, size_t offset, size_t len,
                             kb_bytes out[2])
{
    size_t start = (rotation + offset) % rest.len;
    size_t first = len < rest.len - start ? len : rest.len - start;

    out[0] = kb_bytes_of(rest.ptr + start, first);
    out[1] = kb_bytes_of(rest.ptr, len - first);
}

static inline void unrotate(kb_bytes rest, size_t rotation, size_t offset, uint8_t *out, size_t len)
{
    kb_bytes parts[2];

    unrotated(rest, rotation, offset, len, parts);
    memcpy(out, parts[0].ptr, parts[0].len);
    memcpy(out + parts[0].len, parts[1].ptr, parts[1].len);
}

/* The header inside the ciphertext is the true one: without it EC could be altered and the message
 * cut. Its RRC is zero (4.2.4), but neither MIT nor Heimdal looks at it. */
static inline bool same_header(const uint8_t *inner, const struct header *outer)
{
    struct kb_reader r = kb_reader(kb_bytes_of(inner, HEADER_LEN));
    struct header got;

    return get_header(&r, &got) && got.token_id == outer->token_id && got.flags == outer->flags &&
           got.ec == outer->ec && got.seq == outer->seq;
}

/* Windows and Heimdal rotate by EC + RRC in DCE style, but MIT, where it does not rotate, sends an
 * EC with RRC 0. */
static inline size_t rotation_of(const struct kb_ap *ap, const struct header *header)
{
    bool dce = (ap->flags & KB_GSS_DCE_STYLE) != 0;

    return (size_t)header->rrc + (dce && header->rrc != 0 ? header->ec : 0);
}

/* The shape of a MIC token, and where in it the checksum is. */
static inline enum kb_status read_mic(const struct kb_ap *ap, kb_bytes token, kb_bytes *out_mac,
                                      uint64_t *out_seq)
{
    struct kb_reader r = kb_reader(token);
    size_t mac_len = kb_key_enctype(ap->message_key)->mac_len;
    struct header header;

    if (!get_header(&r, &header)) {
        return r.bad ? KB_CUT_SHORT : KB_MALFORMED;
    }
    if (header.token_id != TOK_MIC || header.ec != 0xffff || header.rrc != 0xffff) {
        return KB_MALFORMED;
    }
    /* Sealed SHALL NOT be set in MIC tokens (4.2.2). A checksum of another length does not verify.
     */
    if (!flags_fit(ap, &header) || (header.flags & FLAG_SEALED) != 0 || r.rest.len != mac_len) {
        return KB_BAD_INTEGRITY;
    }
    *out_mac = r.rest;
    *out_seq = header.seq;
    return KB_OK;
}

/* token_cfx_iov.c's part of kb_token_cfx. */
enum kb_status kb_cfx_wrap_iov_len(const struct kb_ap *ap, bool conf, struct kb_iov *iov);
enum kb_status kb_cfx_wrap_iov(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                               struct kb_iov *iov, uint64_t seq);
enum kb_status kb_cfx_unwrap_iov(struct kb_ap *ap, struct kb_iov *iov, bool *out_conf,
                                 uint64_t *out_seq);
enum kb_status kb_cfx_unwrap_stream(struct kb_ap *ap, uint8_t *token, size_t len,
                                    struct kb_iov *iov, struct kb_piece *data, bool *out_conf,
                                    uint64_t *out_seq);
enum kb_status kb_cfx_get_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                  uint64_t seq, uint8_t *out);
enum kb_status kb_cfx_verify_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                     kb_bytes token, uint64_t *out_seq);

#endif
