/* The tokens of RFC 4121 4.2, for every key of the simplified profiles with ciphertext stealing. */
#include "mech/protocol/token_format.h"

#include "asn1/reader.h"

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

static void put_header(uint8_t out[HEADER_LEN], const struct header *header)
{
    kb_put_u16be(out, header->token_id);
    out[2] = header->flags;
    out[3] = FILLER;
    kb_put_u16be(out + 4, header->ec);
    kb_put_u16be(out + 6, header->rrc);
    kb_put_u64be(out + 8, header->seq);
}

static bool get_header(struct kb_reader *r, struct header *out)
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

static uint8_t flags_of(const struct kb_ap *ap, bool from_acceptor)
{
    return (uint8_t)((from_acceptor ? FLAG_ACCEPTOR : 0) |
                     (ap->acceptor_subkey ? FLAG_ACCEPTOR_SUBKEY : 0));
}

/* RFC 4121 2: the same usage with and without confidentiality. */
static uint32_t seal_usage(bool from_acceptor)
{
    return from_acceptor ? KB_USAGE_ACCEPTOR_SEAL : KB_USAGE_INITIATOR_SEAL;
}

static uint32_t sign_usage(bool from_acceptor)
{
    return from_acceptor ? KB_USAGE_ACCEPTOR_SIGN : KB_USAGE_INITIATOR_SIGN;
}

/* What is only read goes through the same struct as what is ciphered in place. */
static struct kb_piece sign_piece(kb_bytes bytes)
{
    return (struct kb_piece){KB_PIECE_SIGN, (uint8_t *)(uintptr_t)bytes.ptr, bytes.len};
}

/* {"header" | data | checksum of (data | "header")}, EC and RRC in the checksummed header being
 * zero (4.2.4). */
static enum kb_status wrap_signed(struct kb_ap *ap, kb_bytes message, uint64_t seq, uint8_t *out)
{
    struct kb_key *key = ap->message_key;
    struct header header = {TOK_WRAP, flags_of(ap, ap->acceptor), 0, 0, seq};
    struct kb_piece pieces[2];
    enum kb_status st;

    put_header(out, &header);
    if (message.len > 0) {
        memcpy(out + HEADER_LEN, message.ptr, message.len);
    }
    pieces[0] = (struct kb_piece){KB_PIECE_SIGN, out + HEADER_LEN, message.len};
    pieces[1] = (struct kb_piece){KB_PIECE_SIGN, out, HEADER_LEN};
    st = kb_checksum_pieces(key, seal_usage(ap->acceptor), pieces, 2,
                            out + HEADER_LEN + message.len);
    kb_put_u16be(out + 4, kb_key_enctype(key)->mac_len);
    return st;
}

/* {"header" | encrypt(data | "header")}: no filler, since our enctypes leave no residue, and no
 * rotation, as MIT does. */
static enum kb_status wrap_sealed(struct kb_ap *ap, const struct kb_rng *rng, kb_bytes message,
                                  uint64_t seq, uint8_t *out)
{
    struct kb_key *key = ap->message_key;
    struct header header = {TOK_WRAP, flags_of(ap, ap->acceptor) | FLAG_SEALED, 0, 0, seq};
    uint8_t *confounder = out + HEADER_LEN;
    struct kb_piece data = {KB_PIECE_DATA, confounder + kb_key_enctype(key)->confounder_len,
                            message.len + HEADER_LEN};

    put_header(out, &header);
    if (message.len > 0) {
        memcpy(data.ptr, message.ptr, message.len);
    }
    memcpy(data.ptr + message.len, out, HEADER_LEN);
    return kb_encrypt_pieces(key, seal_usage(ap->acceptor), rng, confounder, &data, 1,
                             data.ptr + data.len);
}

static size_t wrap_len(const struct kb_ap *ap, bool conf, size_t len)
{
    const struct kb_enctype *enctype = kb_key_enctype(ap->message_key);
    size_t overhead = HEADER_LEN + enctype->mac_len;

    if (conf) {
        overhead += enctype->confounder_len + HEADER_LEN;
    }
    return len <= SIZE_MAX - overhead ? overhead + len : SIZE_MAX;
}

static size_t wrap_max(const struct kb_ap *ap, bool conf, size_t token_len)
{
    size_t overhead = wrap_len(ap, conf, 0);

    return token_len > overhead ? token_len - overhead : 0;
}

static enum kb_status wrap(struct kb_ap *ap, const struct kb_rng *rng, bool conf, kb_bytes message,
                           uint64_t seq, uint8_t *out)
{
    return conf ? wrap_sealed(ap, rng, message, seq, out) : wrap_signed(ap, message, seq, out);
}

/* Direction, and whose key: as MIT answers it, a token that fails here is one whose signature does
 * not verify. Unknown flags are ignored (4.2.2), though covered by the MAC. */
static bool flags_fit(const struct kb_ap *ap, const struct header *header)
{
    const uint8_t known = FLAG_ACCEPTOR | FLAG_ACCEPTOR_SUBKEY;

    return (header->flags & known) == flags_of(ap, !ap->acceptor);
}

/* Copies `len` bytes of what `rest` was before it was rotated to the right, from `offset` on. */
static void unrotate(kb_bytes rest, size_t rotation, size_t offset, uint8_t *out, size_t len)
{
    size_t start = (rotation + offset) % rest.len;
    size_t first = len < rest.len - start ? len : rest.len - start;

    memcpy(out, rest.ptr + start, first);
    memcpy(out + first, rest.ptr, len - first);
}

/* The checksum is made over the token where it lies, rotated as it is; so nothing reaches `out`
 * before it is verified. */
static enum kb_status unwrap_signed(struct kb_ap *ap, const struct header *header, kb_bytes rest,
                                    uint8_t *out, size_t *out_len)
{
    struct kb_key *key = ap->message_key;
    size_t mac_len = kb_key_enctype(key)->mac_len;
    uint8_t mac[KB_MAX_CHECKSUM_LEN], want[KB_MAX_CHECKSUM_LEN], plain_header[HEADER_LEN];
    struct header checked = *header;
    struct kb_piece pieces[3];
    size_t len, start, first;
    enum kb_status st;

    /* EC is outside the checksum, so it is the required checksum's length or wrong. */
    if (header->ec != mac_len) {
        return KB_MALFORMED;
    }
    if (rest.len < mac_len) {
        return KB_CUT_SHORT;
    }
    len = rest.len - mac_len;
    start = header->rrc % rest.len;
    first = len < rest.len - start ? len : rest.len - start;
    checked.ec = checked.rrc = 0;
    put_header(plain_header, &checked);
    pieces[0] = sign_piece(kb_bytes_of(rest.ptr + start, first));
    pieces[1] = sign_piece(kb_bytes_of(rest.ptr, len - first));
    pieces[2] = sign_piece(kb_bytes_of(plain_header, HEADER_LEN));
    st = kb_checksum_pieces(key, seal_usage(!ap->acceptor), pieces, 3, want);
    if (st != KB_OK) {
        return st;
    }
    unrotate(rest, header->rrc, len, mac, mac_len);
    if (!kb_equal_secret(kb_bytes_of(mac, mac_len), kb_bytes_of(want, mac_len))) {
        return KB_BAD_INTEGRITY;
    }
    unrotate(rest, header->rrc, 0, out, len);
    *out_len = len;
    return KB_OK;
}

/* The header inside the ciphertext is the true one: without it EC could be altered and the message
 * cut. Its RRC is zero (4.2.4), but neither MIT nor Heimdal looks at it. */
static bool same_header(const uint8_t *inner, const struct header *outer)
{
    struct kb_reader r = kb_reader(kb_bytes_of(inner, HEADER_LEN));
    struct header got;

    return get_header(&r, &got) && got.token_id == outer->token_id && got.flags == outer->flags &&
           got.ec == outer->ec && got.seq == outer->seq;
}

/* Windows and Heimdal rotate by EC + RRC in DCE style, but MIT, where it does not rotate, sends an
 * EC with RRC 0. */
static size_t rotation_of(const struct kb_ap *ap, const struct header *header)
{
    bool dce = (ap->flags & KB_GSS_DCE_STYLE) != 0;

    return (size_t)header->rrc + (dce && header->rrc != 0 ? header->ec : 0);
}

static enum kb_status unwrap_sealed(struct kb_ap *ap, const struct header *header, kb_bytes rest,
                                    uint8_t *out, size_t *out_len)
{
    struct kb_key *key = ap->message_key;
    const struct kb_enctype *enctype = kb_key_enctype(key);
    size_t confounder_len = enctype->confounder_len, mac_len = enctype->mac_len;
    size_t rotation = rotation_of(ap, header);
    uint8_t confounder[KB_MAX_OVERHEAD], mac[KB_MAX_OVERHEAD];
    struct kb_piece data = {KB_PIECE_DATA, out, 0};
    enum kb_status st;

    if (rest.len < confounder_len + HEADER_LEN + mac_len) {
        return KB_CUT_SHORT;
    }
    data.len = rest.len - confounder_len - mac_len;
    unrotate(rest, rotation, 0, confounder, confounder_len);
    unrotate(rest, rotation, confounder_len, out, data.len);
    unrotate(rest, rotation, confounder_len + data.len, mac, mac_len);
    st = kb_decrypt_pieces(key, seal_usage(!ap->acceptor), confounder, &data, 1, mac);
    if (st == KB_OK &&
        (!same_header(out + data.len - HEADER_LEN, header) || header->ec > data.len - HEADER_LEN)) {
        st = KB_MALFORMED;
    }
    if (st != KB_OK) {
        kb_wipe(out, data.len);
        return st;
    }
    *out_len = data.len - HEADER_LEN - header->ec;
    return KB_OK;
}

static enum kb_status unwrap(struct kb_ap *ap, kb_bytes token, uint8_t *out, size_t *out_len,
                             bool *out_conf, uint64_t *out_seq)
{
    struct kb_reader r = kb_reader(token);
    struct header header;

    if (!get_header(&r, &header) || header.token_id != TOK_WRAP) {
        return r.bad ? KB_CUT_SHORT : KB_MALFORMED;
    }
    if (!flags_fit(ap, &header)) {
        return KB_BAD_INTEGRITY;
    }
    *out_seq = header.seq;
    *out_conf = (header.flags & FLAG_SEALED) != 0;
    return *out_conf ? unwrap_sealed(ap, &header, r.rest, out, out_len)
                     : unwrap_signed(ap, &header, r.rest, out, out_len);
}

/* MIC tokens, 4.2.6.1: checksum of (message | header). */
static enum kb_status mic_of(struct kb_ap *ap, bool from_acceptor, kb_bytes message,
                             const uint8_t header[HEADER_LEN], uint8_t *out)
{
    struct kb_piece pieces[2] = {sign_piece(message), sign_piece(kb_bytes_of(header, HEADER_LEN))};

    return kb_checksum_pieces(ap->message_key, sign_usage(from_acceptor), pieces, 2, out);
}

static size_t mic_len(const struct kb_ap *ap)
{
    return (size_t)HEADER_LEN + kb_key_enctype(ap->message_key)->mac_len;
}

static enum kb_status get_mic(struct kb_ap *ap, kb_bytes message, uint64_t seq, uint8_t *out)
{
    struct header header = {TOK_MIC, flags_of(ap, ap->acceptor), 0xffff, 0xffff, seq};

    put_header(out, &header);
    return mic_of(ap, ap->acceptor, message, out, out + HEADER_LEN);
}

static enum kb_status verify_mic(struct kb_ap *ap, kb_bytes message, kb_bytes token,
                                 uint64_t *out_seq)
{
    struct kb_reader r = kb_reader(token);
    size_t mac_len = kb_key_enctype(ap->message_key)->mac_len;
    uint8_t want[KB_MAX_CHECKSUM_LEN];
    struct header header;
    enum kb_status st;

    if (!get_header(&r, &header)) {
        return r.bad ? KB_CUT_SHORT : KB_MALFORMED;
    }
    /* Sealed SHALL NOT be set in MIC tokens (4.2.2). */
    if (header.token_id != TOK_MIC || header.ec != 0xffff || header.rrc != 0xffff ||
        (header.flags & FLAG_SEALED) != 0) {
        return KB_MALFORMED;
    }
    if (!flags_fit(ap, &header)) {
        return KB_BAD_INTEGRITY;
    }
    if (r.rest.len != mac_len) {
        return r.rest.len < mac_len ? KB_CUT_SHORT : KB_MALFORMED;
    }
    st = mic_of(ap, !ap->acceptor, message, token.ptr, want);
    if (st != KB_OK) {
        return st;
    }
    *out_seq = header.seq;
    return kb_equal_secret(r.rest, kb_bytes_of(want, mac_len)) ? KB_OK : KB_BAD_INTEGRITY;
}

const struct kb_token_format kb_token_cfx = {
    .wide = true,
    .wrap_len = wrap_len,
    .wrap_max = wrap_max,
    .wrap = wrap,
    .unwrap = unwrap,
    .mic_len = mic_len,
    .get_mic = get_mic,
    .verify_mic = verify_mic,
};
