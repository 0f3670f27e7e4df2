/* The tokens of RFC 4121 4.2, for every key of the simplified profiles with ciphertext stealing. */
#include "mech/protocol/token_cfx.h"

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
    pieces[0] = sign_piece(message);
    pieces[1] = sign_piece(kb_bytes_of(out, HEADER_LEN));
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
    uint8_t *data = confounder + kb_key_enctype(key)->confounder_len, *inner = data + message.len;
    struct kb_piece pieces[2] = {kb_piece_from(message, data),
                                 kb_piece_from(kb_bytes_of(out, HEADER_LEN), inner)};

    put_header(out, &header);
    return kb_encrypt_pieces(key, seal_usage(ap->acceptor), rng, confounder, pieces, 2,
                             inner + HEADER_LEN);
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
    kb_bytes parts[2];
    size_t len;
    enum kb_status st;

    /* EC is outside the checksum, so it is the required checksum's length or wrong. */
    if (header->ec != mac_len) {
        return KB_MALFORMED;
    }
    if (rest.len < mac_len) {
        return KB_CUT_SHORT;
    }
    len = rest.len - mac_len;
    unrotated(rest, header->rrc, 0, len, parts);
    checked.ec = checked.rrc = 0;
    put_header(plain_header, &checked);
    pieces[0] = sign_piece(parts[0]);
    pieces[1] = sign_piece(parts[1]);
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

static enum kb_status unwrap_sealed(struct kb_ap *ap, const struct header *header, kb_bytes rest,
                                    uint8_t *out, size_t *out_len)
{
    struct kb_key *key = ap->message_key;
    const struct kb_enctype *enctype = kb_key_enctype(key);
    size_t confounder_len = enctype->confounder_len, mac_len = enctype->mac_len;
    size_t rotation = rotation_of(ap, header);
    uint8_t confounder[KB_MAX_OVERHEAD], mac[KB_MAX_OVERHEAD];
    struct kb_piece pieces[2];
    kb_bytes parts[2];
    size_t len;
    enum kb_status st;

    /* As MIT answers it: what stands behind a header is a ciphertext that does not decrypt. */
    if (rest.len < confounder_len + mac_len) {
        return KB_BAD_INTEGRITY;
    }
    len = rest.len - confounder_len - mac_len;
    unrotate(rest, rotation, 0, confounder, confounder_len);
    unrotated(rest, rotation, confounder_len, len, parts);
    unrotate(rest, rotation, confounder_len + len, mac, mac_len);
    pieces[0] = kb_piece_from(parts[0], out);
    pieces[1] = kb_piece_from(parts[1], out + parts[0].len);
    st = kb_decrypt_pieces(key, seal_usage(!ap->acceptor), confounder, pieces, 2, mac);
    if (st == KB_OK && (len < HEADER_LEN || header->ec > len - HEADER_LEN ||
                        !same_header(out + len - HEADER_LEN, header))) {
        st = KB_MALFORMED;
    }
    if (st != KB_OK) {
        kb_wipe(out, len);
        return st;
    }
    *out_len = len - HEADER_LEN - header->ec;
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
    uint8_t want[KB_MAX_CHECKSUM_LEN];
    kb_bytes mac;
    enum kb_status st = read_mic(ap, token, &mac, out_seq);

    if (st != KB_OK) {
        return st;
    }
    st = mic_of(ap, !ap->acceptor, message, token.ptr, want);
    if (st != KB_OK) {
        return st;
    }
    return kb_equal_secret(mac, kb_bytes_of(want, mac.len)) ? KB_OK : KB_BAD_INTEGRITY;
}

const struct kb_token_format kb_token_cfx = {
    .wide = true,
    .reads_from = true,
    .wrap_len = wrap_len,
    .wrap_max = wrap_max,
    .wrap = wrap,
    .unwrap = unwrap,
    .mic_len = mic_len,
    .get_mic = get_mic,
    .verify_mic = verify_mic,
    .wrap_iov_len = kb_cfx_wrap_iov_len,
    .wrap_iov = kb_cfx_wrap_iov,
    .unwrap_iov = kb_cfx_unwrap_iov,
    .unwrap_stream = kb_cfx_unwrap_stream,
    .get_mic_iov = kb_cfx_get_mic_iov,
    .verify_mic_iov = kb_cfx_verify_mic_iov,
};
