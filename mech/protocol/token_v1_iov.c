/* The tokens of RFC 1964 and RFC 4757 over lists of buffers: MIT's k5sealiov.c and k5unsealiov.c,
 * with which Heimdal and Windows agree. The header buffer has all from the frame to the confounder;
 * there is no trailer. What is only signed is in the checksum, but not in the frame's length.
 *
 * In DCE style the caller has padded the data himself, and the frame ends with the header. */
#include "mech/protocol/token_v1.h"

static bool is_dce(const struct kb_ap *ap)
{
    return (ap->flags & KB_GSS_DCE_STYLE) != 0;
}

/* Without the padding. */
static size_t data_len(const struct kb_iov *iov)
{
    size_t len = 0;

    for (size_t i = 0; i < iov->num; i++) {
        if (iov->pieces[i].kind == KB_PIECE_DATA && &iov->pieces[i] != iov->padding) {
            len += iov->pieces[i].len;
        }
    }
    return len;
}

/* Octets that the frame counts. */
static size_t framed_len(const struct kb_ap *ap, size_t padded_len)
{
    size_t head_len = kb_v1_wrap_head_len(kb_v1_algorithm_of(ap->message_key));

    return head_len + (is_dce(ap) ? 0 : padded_len);
}

enum kb_status kb_v1_wrap_iov_len(const struct kb_ap *ap, bool conf, struct kb_iov *iov)
{
    size_t len = data_len(iov), pad_len = 0;

    (void)conf;
    if (!is_dce(ap)) {
        if (iov->padding == NULL) {
            return KB_MALFORMED;
        }
        pad_len = kb_v1_pad_len(kb_v1_algorithm_of(ap->message_key), len);
    }
    if (iov->padding != NULL) {
        iov->padding->len = pad_len;
    }
    len += pad_len;
    iov->header.len = kb_v1_frame_len(ap, framed_len(ap, len)) - (is_dce(ap) ? 0 : len);
    iov->trailer.len = 0;
    return KB_OK;
}

/* Nothing is written before all lengths are known to fit. */
static enum kb_status check_room(const struct kb_ap *ap, bool conf, struct kb_iov *iov)
{
    size_t header_room = iov->header.len;
    size_t padding_room = iov->padding != NULL ? iov->padding->len : 0;
    enum kb_status st = kb_v1_wrap_iov_len(ap, conf, iov);

    if (st != KB_OK) {
        return st;
    }
    if (is_dce(ap) && conf && data_len(iov) % kb_v1_algorithm_of(ap->message_key)->block != 0) {
        return KB_MALFORMED;
    }
    if (iov->header.len > header_room ||
        (iov->padding != NULL && iov->padding->len > padding_room)) {
        return KB_TOO_BIG;
    }
    return KB_OK;
}

enum kb_status kb_v1_wrap_iov(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                              struct kb_iov *iov, uint64_t seq)
{
    const struct kb_v1_message sealed = {conf, iov->pieces, iov->num + 2};
    size_t pad_len;
    uint8_t *head, *confounder;
    enum kb_status st = check_room(ap, conf, iov);

    if (st != KB_OK) {
        return st;
    }
    pad_len = iov->padding != NULL ? iov->padding->len : 0;
    confounder = iov->header.ptr + iov->header.len - KB_V1_CONFOUNDER_LEN;
    st = kb_random(rng, confounder, KB_V1_CONFOUNDER_LEN);
    if (st != KB_OK) {
        return st;
    }
    if (pad_len > 0) {
        memset(iov->padding->ptr, (int)pad_len, pad_len);
    }
    head = kb_v1_begin(ap, KB_V1_TOK_WRAP, conf, framed_len(ap, data_len(iov) + pad_len),
                       iov->header.ptr);
    memmove(iov->pieces + 2, iov->pieces, iov->num * sizeof(*iov->pieces));
    iov->pieces[0] = kb_piece_sign(kb_bytes_of(head, KB_V1_HEAD_LEN));
    iov->pieces[1] = kb_piece_data(confounder, KB_V1_CONFOUNDER_LEN);
    st = kb_v1_seal(ap, &sealed, seq, head + KB_V1_HEAD_LEN);
    memmove(iov->pieces, iov->pieces + 2, iov->num * sizeof(*iov->pieces));
    return st;
}

/* --- taking them --- */

/* The padding's last octet says how much there is: what has no room in its buffer is the end of the
 * data. Without a buffer for it, or with an empty one, data is what the caller takes for it: WinRM
 * sends tokens of RC4 without padding. */
static enum kb_status cut_padding(struct kb_iov *iov)
{
    struct kb_piece *padding = iov->padding;
    size_t pad_len;

    if (padding == NULL || padding->len == 0) {
        return KB_OK;
    }
    pad_len = padding->ptr[padding->len - 1];
    if (pad_len < padding->len || pad_len - padding->len > data_len(iov)) {
        return KB_MALFORMED;
    }
    pad_len -= padding->len;
    padding->len = 0;
    for (size_t i = iov->num; pad_len > 0 && i > 0; i--) {
        struct kb_piece *piece = &iov->pieces[i - 1];
        size_t cut = piece->len < pad_len ? piece->len : pad_len;

        if (piece->kind == KB_PIECE_DATA) {
            piece->len -= cut;
            pad_len -= cut;
        }
    }
    return KB_OK;
}

enum kb_status kb_v1_unwrap_iov(struct kb_ap *ap, struct kb_iov *iov, bool *out_conf,
                                uint64_t *out_seq)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    size_t head_len = kb_v1_wrap_head_len(algorithm);
    size_t elsewhere = data_len(iov) + (iov->padding != NULL ? iov->padding->len : 0);
    kb_bytes rest;
    enum kb_status st = kb_unframe_old(kb_bytes_of(iov->header.ptr, iov->header.len),
                                       is_dce(ap) ? 0 : elsewhere, ap->mech, &rest);

    if (st == KB_OK) {
        st = kb_v1_check_head(algorithm, KB_V1_TOK_WRAP, rest, head_len, out_conf);
    }
    if (st != KB_OK) {
        return st;
    }
    if (rest.len != head_len || iov->trailer.len != 0 ||
        (*out_conf && elsewhere % algorithm->block != 0)) {
        return KB_MALFORMED;
    }
    st = kb_v1_open_wrap(ap, *out_conf, rest.ptr, iov->pieces, iov->num, out_seq);
    return st == KB_OK && !is_dce(ap) ? cut_padding(iov) : st;
}

/* MIT has no whole tokens in DCE style here: the frame would have to tell where they end. */
enum kb_status kb_v1_unwrap_stream(struct kb_ap *ap, uint8_t *token, size_t len, struct kb_iov *iov,
                                   struct kb_piece *data, bool *out_conf, uint64_t *out_seq)
{
    struct kb_v1_parts parts;
    uint8_t *out = data->ptr, *in, *plain;
    enum kb_status st =
        is_dce(ap) ? KB_WRONG_TYPE : kb_v1_split(ap, kb_bytes_of(token, len), &parts);

    if (st != KB_OK) {
        return st;
    }
    *out_conf = parts.conf;
    in = token + (parts.data.ptr - token);
    if (out == NULL) {
        *data = kb_piece_data(in, parts.data.len);
    } else {
        /* What is only signed is verified where it lies, and then copied. */
        *data = parts.conf ? kb_piece_from(parts.data, out) : kb_piece_sign(parts.data);
    }
    st = kb_v1_open_wrap(ap, parts.conf, parts.head, iov->pieces, iov->num, out_seq);
    plain = out != NULL && parts.conf ? out : in;
    len = parts.data.len;
    if (st == KB_OK) {
        st = kb_v1_unpad(kb_bytes_of(plain, parts.data.len), &len);
    }
    if (out != NULL && !parts.conf) {
        len = st == KB_OK ? len : 0;
        memcpy(out, in, len);
    }
    *data = kb_piece_data(out != NULL ? out : in, len);
    return st;
}

/* --- MIC --- */

enum kb_status kb_v1_get_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                 uint64_t seq, uint8_t *out)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    const struct kb_v1_message message = {false, pieces, num + 1};
    uint8_t *head = kb_v1_begin(ap, KB_V1_TOK_MIC, false, kb_v1_signed_len(algorithm), out);
    enum kb_status st;

    memmove(pieces + 1, pieces, num * sizeof(*pieces));
    pieces[0] = kb_piece_sign(kb_bytes_of(head, KB_V1_HEAD_LEN));
    st = kb_v1_seal(ap, &message, seq, head + KB_V1_HEAD_LEN);
    memmove(pieces, pieces + 1, num * sizeof(*pieces));
    return st;
}

/* Heimdal's MIC of DES3 counts its token id twice: two octets of zero are behind it, not signed.
 * Its own and MIT's verification look at nothing there. */
static bool ends_well(const struct kb_v1_algorithm *algorithm, kb_bytes tail)
{
    static const uint8_t zeros[2];

    return tail.len == 0 || (algorithm->etype == KB_ENCTYPE_DES3_CBC_SHA1 &&
                             kb_equal(tail, kb_bytes_of(zeros, sizeof(zeros))));
}

static enum kb_status verify(struct kb_ap *ap, uint16_t token_id, struct kb_piece *pieces,
                             size_t num, kb_bytes token, uint64_t *out_seq)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    const struct kb_v1_message message = {false, pieces, num + 1};
    size_t signed_len = kb_v1_signed_len(algorithm);
    kb_bytes rest;
    bool conf;
    enum kb_status st = kb_unframe_old(token, 0, ap->mech, &rest);

    if (st == KB_OK) {
        st = kb_v1_check_head(algorithm, token_id, rest, signed_len, &conf);
    }
    if (st != KB_OK) {
        return st;
    }
    if (!ends_well(algorithm, kb_bytes_of(rest.ptr + signed_len, rest.len - signed_len))) {
        return KB_MALFORMED;
    }
    memmove(pieces + 1, pieces, num * sizeof(*pieces));
    pieces[0] = kb_piece_sign(kb_bytes_of(rest.ptr, KB_V1_HEAD_LEN));
    st = kb_v1_open(ap, &message, rest.ptr + KB_V1_HEAD_LEN, out_seq);
    memmove(pieces, pieces + 1, num * sizeof(*pieces));
    return st;
}

enum kb_status kb_v1_verify_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                    kb_bytes token, uint64_t *out_seq)
{
    return verify(ap, KB_V1_TOK_MIC, pieces, num, token, out_seq);
}

enum kb_status kb_v1_take_delete(struct kb_ap *ap, kb_bytes token)
{
    struct kb_piece pieces[KB_SPARE_PIECES];
    uint64_t seq;

    return verify(ap, KB_V1_TOK_DELETE, pieces, 0, token, &seq);
}
