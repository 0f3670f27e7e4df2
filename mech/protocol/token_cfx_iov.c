/* The Wrap and MIC tokens of RFC 4121 4.2 over lists of buffers, and whole tokens with buffers
 * beside them that are only signed.
 *
 * With RRC 0 a sealed token is {"header" | confounder | data | filler "header" MAC}, the last three
 * being the trailer; a signed one {"header" | data | MAC}. Without a trailer buffer it is rotated
 * by the trailer's length, which puts that between the header and the confounder. In DCE style
 * (MS-KILE 3.4.5.4.1) the filler has EC = 16 bytes, and RRC does not count it: Windows rotates by
 * RRC + EC. MIT and Heimdal follow. */
#include "mech/protocol/token_cfx.h"

static bool is_dce(const struct kb_ap *ap)
{
    return (ap->flags & KB_GSS_DCE_STYLE) != 0;
}

/* Our enctypes leave no residue, so a filler serves Windows alone, which wants one block of it. */
static size_t filler_len(const struct kb_ap *ap, bool conf)
{
    return conf && is_dce(ap) ? kb_key_enctype(ap->message_key)->confounder_len : 0;
}

static size_t trailer_len(const struct kb_ap *ap, bool conf, size_t ec)
{
    size_t mac_len = kb_key_enctype(ap->message_key)->mac_len;

    return conf ? ec + HEADER_LEN + mac_len : mac_len;
}

/* The header alone, without what may be rotated into it. */
static size_t header_len(const struct kb_ap *ap, bool conf)
{
    return HEADER_LEN + (conf ? (size_t)kb_key_enctype(ap->message_key)->confounder_len : 0);
}

enum kb_status kb_cfx_wrap_iov_len(const struct kb_ap *ap, bool conf, struct kb_iov *iov)
{
    iov->header.len = header_len(ap, conf);
    iov->trailer.len = trailer_len(ap, conf, filler_len(ap, conf));
    if (!iov->has_trailer) {
        iov->header.len += iov->trailer.len;
        iov->trailer.len = 0;
    }
    if (iov->padding != NULL) {
        iov->padding->len = 0;
    }
    return KB_OK;
}

/* Where the bytes of a trailer are: in its buffer, or behind the 16 bytes of the header. */
static uint8_t *tail_of(const struct kb_iov *iov)
{
    return iov->has_trailer ? iov->trailer.ptr : iov->header.ptr + HEADER_LEN;
}

static enum kb_status seal(struct kb_ap *ap, const struct kb_rng *rng, struct kb_iov *iov,
                           uint64_t seq)
{
    struct kb_key *key = ap->message_key;
    size_t ec = filler_len(ap, true);
    struct header header = {TOK_WRAP, flags_of(ap, ap->acceptor) | FLAG_SEALED, (uint16_t)ec, 0,
                            seq};
    uint8_t *out = iov->header.ptr, *tail = tail_of(iov);
    uint8_t *confounder = out + iov->header.len - kb_key_enctype(key)->confounder_len;

    put_header(out, &header);
    memset(tail, FILLER, ec);
    memcpy(tail + ec, out, HEADER_LEN);
    iov->pieces[iov->num] = kb_piece_data(tail, ec + HEADER_LEN);
    if (!iov->has_trailer) {
        kb_put_u16be(out + 6, (uint16_t)(trailer_len(ap, true, ec) - ec));
    }
    return kb_encrypt_pieces(key, seal_usage(ap->acceptor), rng, confounder, iov->pieces,
                             iov->num + 1, tail + ec + HEADER_LEN);
}

static enum kb_status sign(struct kb_ap *ap, struct kb_iov *iov, uint64_t seq)
{
    struct kb_key *key = ap->message_key;
    struct header header = {TOK_WRAP, flags_of(ap, ap->acceptor), 0, 0, seq};
    uint8_t *out = iov->header.ptr;
    enum kb_status st;

    put_header(out, &header);
    iov->pieces[iov->num] = sign_piece(kb_bytes_of(out, HEADER_LEN));
    st = kb_checksum_pieces(key, seal_usage(ap->acceptor), iov->pieces, iov->num + 1, tail_of(iov));
    kb_put_u16be(out + 4, kb_key_enctype(key)->mac_len);
    kb_put_u16be(out + 6, iov->has_trailer ? 0 : kb_key_enctype(key)->mac_len);
    return st;
}

enum kb_status kb_cfx_wrap_iov(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                               struct kb_iov *iov, uint64_t seq)
{
    size_t header_room = iov->header.len, trailer_room = iov->trailer.len;
    enum kb_status st = kb_cfx_wrap_iov_len(ap, conf, iov);

    if (st == KB_OK && (iov->header.len > header_room || iov->trailer.len > trailer_room)) {
        st = KB_TOO_BIG;
    }
    if (st != KB_OK) {
        return st;
    }
    return conf ? seal(ap, rng, iov, seq) : sign(ap, iov, seq);
}

/* --- taking them --- */

static enum kb_status read_header(const struct kb_ap *ap, const uint8_t *bytes, size_t len,
                                  struct header *out)
{
    struct kb_reader r = kb_reader(kb_bytes_of(bytes, len));

    if (!get_header(&r, out) || out->token_id != TOK_WRAP) {
        return r.bad ? KB_CUT_SHORT : KB_MALFORMED;
    }
    return flags_fit(ap, out) ? KB_OK : KB_BAD_INTEGRITY;
}

/* Deciphers the pieces and the tail, whose MAC may lie elsewhere. */
static enum kb_status open_pieces(struct kb_ap *ap, const struct header *header,
                                  uint8_t *confounder, struct kb_piece *pieces, size_t num,
                                  uint8_t *tail, const uint8_t *mac)
{
    enum kb_status st;

    pieces[num] = kb_piece_data(tail, (size_t)header->ec + HEADER_LEN);
    st = kb_decrypt_pieces(ap->message_key, seal_usage(!ap->acceptor), confounder, pieces, num + 1,
                           mac);
    return st == KB_OK && !same_header(tail + header->ec, header) ? KB_MALFORMED : st;
}

/* Verifies the checksum over the pieces and what the header was when it was made. */
static enum kb_status check_pieces(struct kb_ap *ap, const struct header *header,
                                   struct kb_piece *pieces, size_t num, const uint8_t *mac)
{
    size_t mac_len = kb_key_enctype(ap->message_key)->mac_len;
    uint8_t plain_header[HEADER_LEN], want[KB_MAX_CHECKSUM_LEN];
    struct header checked = *header;
    enum kb_status st;

    checked.ec = checked.rrc = 0;
    put_header(plain_header, &checked);
    pieces[num] = sign_piece(kb_bytes_of(plain_header, HEADER_LEN));
    st = kb_checksum_pieces(ap->message_key, seal_usage(!ap->acceptor), pieces, num + 1, want);
    if (st != KB_OK) {
        return st;
    }
    return kb_equal_secret(kb_bytes_of(mac, mac_len), kb_bytes_of(want, mac_len))
               ? KB_OK
               : KB_BAD_INTEGRITY;
}

/* Whoever has the buffers apart has them un-rotated, or rotated by just the trailer: MIT takes no
 * other either. */
static enum kb_status check_lengths(const struct kb_ap *ap, const struct header *header, bool conf,
                                    const struct kb_iov *iov)
{
    size_t tail = trailer_len(ap, conf, conf ? header->ec : 0);
    size_t head = header_len(ap, conf), rotated = 0;

    if (!iov->has_trailer) {
        head += tail;
        rotated = tail - (conf && is_dce(ap) ? header->ec : 0);
    } else if (iov->trailer.len != tail) {
        return iov->trailer.len < tail ? KB_CUT_SHORT : KB_MALFORMED;
    }
    if (iov->header.len != head) {
        return iov->header.len < head ? KB_CUT_SHORT : KB_MALFORMED;
    }
    return header->rrc == rotated ? KB_OK : KB_MALFORMED;
}

enum kb_status kb_cfx_unwrap_iov(struct kb_ap *ap, struct kb_iov *iov, bool *out_conf,
                                 uint64_t *out_seq)
{
    const struct kb_enctype *enctype = kb_key_enctype(ap->message_key);
    struct header header;
    uint8_t *tail, *end;
    enum kb_status st = read_header(ap, iov->header.ptr, iov->header.len, &header);

    if (st != KB_OK) {
        return st;
    }
    *out_seq = header.seq;
    *out_conf = (header.flags & FLAG_SEALED) != 0;
    if ((!*out_conf && header.ec != enctype->mac_len) ||
        (iov->padding != NULL && iov->padding->len > 0)) {
        return KB_MALFORMED;
    }
    st = check_lengths(ap, &header, *out_conf, iov);
    if (st != KB_OK) {
        return st;
    }
    tail = tail_of(iov);
    end = iov->header.ptr + iov->header.len;
    return *out_conf ? open_pieces(ap, &header, end - enctype->confounder_len, iov->pieces,
                                   iov->num, tail, tail + header.ec + HEADER_LEN)
                     : check_pieces(ap, &header, iov->pieces, iov->num, tail);
}

/* --- whole tokens --- */

static void reverse(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len / 2; i++) {
        uint8_t byte = p[i];

        p[i] = p[len - 1 - i];
        p[len - 1 - i] = byte;
    }
}

static void rotate_left(uint8_t *p, size_t len, size_t by)
{
    reverse(p, by);
    reverse(p + by, len - by);
    reverse(p, len);
}

/* A token that is un-rotated where it lies, or is rotated by just its trailer. */
struct laid_out {
    uint8_t *confounder, *data, *tail;
};

static struct laid_out lay_out(uint8_t *rest, size_t rest_len, size_t rotation,
                               size_t confounder_len, size_t tail_len)
{
    struct laid_out at = {rest, rest + confounder_len, rest + rest_len - tail_len};

    if (rotation == tail_len) {
        at.tail = rest;
        at.confounder = rest + tail_len;
        at.data = at.confounder + confounder_len;
    } else if (rotation != 0) {
        rotate_left(rest, rest_len, rotation);
    }
    return at;
}

/* Puts two pieces into the place of one of DATA, and makes it one again. */
static void split_piece(struct kb_iov *iov, struct kb_piece *piece, struct kb_piece first,
                        struct kb_piece second)
{
    size_t behind = (size_t)(iov->pieces + iov->num - (piece + 1));

    memmove(piece + 2, piece + 1, behind * sizeof(*piece));
    piece[0] = first;
    piece[1] = second;
    iov->num++;
}

static void join_pieces(struct kb_iov *iov, struct kb_piece *piece, uint8_t *ptr, size_t len)
{
    size_t behind = (size_t)(iov->pieces + iov->num - (piece + 2));

    memmove(piece + 1, piece + 2, behind * sizeof(*piece));
    *piece = kb_piece_data(ptr, len);
    iov->num--;
}

static enum kb_status open_in_place(struct kb_ap *ap, const struct header *header, uint8_t *rest,
                                    size_t rest_len, struct kb_iov *iov, struct kb_piece *data)
{
    size_t tail_len = trailer_len(ap, true, header->ec);
    size_t confounder_len = kb_key_enctype(ap->message_key)->confounder_len;
    struct laid_out at =
        lay_out(rest, rest_len, rotation_of(ap, header) % rest_len, confounder_len, tail_len);

    *data = kb_piece_data(at.data, rest_len - confounder_len - tail_len);
    return open_pieces(ap, header, at.confounder, iov->pieces, iov->num, at.tail,
                       at.tail + header->ec + HEADER_LEN);
}

/* Deciphers out of the token into `data`, which has room for the filler and the header too; in two
 * pieces where the token is rotated into the message. */
static enum kb_status open_elsewhere(struct kb_ap *ap, const struct header *header, kb_bytes rest,
                                     struct kb_iov *iov, struct kb_piece *data)
{
    const struct kb_enctype *enctype = kb_key_enctype(ap->message_key);
    size_t confounder_len = enctype->confounder_len, mac_len = enctype->mac_len;
    size_t inner_len = (size_t)header->ec + HEADER_LEN, rotation = rotation_of(ap, header);
    size_t len = rest.len - confounder_len - inner_len - mac_len;
    uint8_t confounder[KB_MAX_OVERHEAD], mac[KB_MAX_OVERHEAD], *out = data->ptr;
    kb_bytes parts[2];
    enum kb_status st;

    unrotate(rest, rotation, 0, confounder, confounder_len);
    unrotated(rest, rotation, confounder_len, len, parts);
    unrotate(rest, rotation, confounder_len + len, out + len, inner_len);
    unrotate(rest, rotation, confounder_len + len + inner_len, mac, mac_len);
    split_piece(iov, data, kb_piece_from(parts[0], out),
                kb_piece_from(parts[1], out + parts[0].len));
    st = open_pieces(ap, header, confounder, iov->pieces, iov->num, out + len, mac);
    join_pieces(iov, data, out, len);
    kb_wipe(out + len, inner_len);
    return st;
}

static enum kb_status open_stream(struct kb_ap *ap, const struct header *header, uint8_t *rest,
                                  size_t rest_len, struct kb_iov *iov, struct kb_piece *data)
{
    size_t confounder_len = kb_key_enctype(ap->message_key)->confounder_len;

    if (rest_len < confounder_len + trailer_len(ap, true, header->ec)) {
        return KB_CUT_SHORT;
    }
    return data->ptr == NULL ? open_in_place(ap, header, rest, rest_len, iov, data)
                             : open_elsewhere(ap, header, kb_bytes_of(rest, rest_len), iov, data);
}

/* Verified where it lies, in two pieces where it is rotated; only then copied. */
static enum kb_status check_elsewhere(struct kb_ap *ap, const struct header *header, kb_bytes rest,
                                      struct kb_iov *iov, struct kb_piece *data)
{
    size_t mac_len = kb_key_enctype(ap->message_key)->mac_len, len = rest.len - mac_len;
    uint8_t mac[KB_MAX_CHECKSUM_LEN], *out = data->ptr;
    kb_bytes parts[2];
    enum kb_status st;

    unrotated(rest, header->rrc, 0, len, parts);
    unrotate(rest, header->rrc, len, mac, mac_len);
    split_piece(iov, data, sign_piece(parts[0]), sign_piece(parts[1]));
    st = check_pieces(ap, header, iov->pieces, iov->num, mac);
    join_pieces(iov, data, out, st == KB_OK ? len : 0);
    if (st == KB_OK) {
        unrotate(rest, header->rrc, 0, out, len);
    }
    return st;
}

static enum kb_status check_stream(struct kb_ap *ap, const struct header *header, uint8_t *rest,
                                   size_t rest_len, struct kb_iov *iov, struct kb_piece *data)
{
    size_t mac_len = kb_key_enctype(ap->message_key)->mac_len;
    struct laid_out at;

    if (header->ec != mac_len) {
        return KB_MALFORMED;
    }
    if (rest_len < mac_len) {
        return KB_CUT_SHORT;
    }
    if (data->ptr != NULL) {
        return check_elsewhere(ap, header, kb_bytes_of(rest, rest_len), iov, data);
    }
    at = lay_out(rest, rest_len, header->rrc % rest_len, 0, mac_len);
    *data = kb_piece_data(at.data, rest_len - mac_len);
    return check_pieces(ap, header, iov->pieces, iov->num, at.tail);
}

enum kb_status kb_cfx_unwrap_stream(struct kb_ap *ap, uint8_t *token, size_t len,
                                    struct kb_iov *iov, struct kb_piece *data, bool *out_conf,
                                    uint64_t *out_seq)
{
    struct header header;
    enum kb_status st = read_header(ap, token, len, &header);

    if (st != KB_OK) {
        return st;
    }
    *out_seq = header.seq;
    *out_conf = (header.flags & FLAG_SEALED) != 0;
    return *out_conf ? open_stream(ap, &header, token + HEADER_LEN, len - HEADER_LEN, iov, data)
                     : check_stream(ap, &header, token + HEADER_LEN, len - HEADER_LEN, iov, data);
}

/* --- MIC --- */

enum kb_status kb_cfx_get_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                  uint64_t seq, uint8_t *out)
{
    struct header header = {TOK_MIC, flags_of(ap, ap->acceptor), 0xffff, 0xffff, seq};

    put_header(out, &header);
    pieces[num] = sign_piece(kb_bytes_of(out, HEADER_LEN));
    return kb_checksum_pieces(ap->message_key, sign_usage(ap->acceptor), pieces, num + 1,
                              out + HEADER_LEN);
}

enum kb_status kb_cfx_verify_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                     kb_bytes token, uint64_t *out_seq)
{
    uint8_t want[KB_MAX_CHECKSUM_LEN];
    kb_bytes mac;
    enum kb_status st = read_mic(ap, token, &mac, out_seq);

    if (st != KB_OK) {
        return st;
    }
    pieces[num] = sign_piece(kb_bytes_of(token.ptr, HEADER_LEN));
    st = kb_checksum_pieces(ap->message_key, sign_usage(!ap->acceptor), pieces, num + 1, want);
    if (st != KB_OK) {
        return st;
    }
    return kb_equal_secret(mac, kb_bytes_of(want, mac.len)) ? KB_OK : KB_BAD_INTEGRITY;
}
