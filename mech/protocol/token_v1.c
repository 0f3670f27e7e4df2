/* Whole tokens of RFC 1964 1.2 and RFC 4757 7, as MIT writes and takes them: also in DCE style,
 * where MIT's gss_wrap (not its gss_wrap_iov) pads and frames as everywhere; Heimdal's does not,
 * and neither takes the other's. One of the two ways has to be the only one: frame and padding are
 * what tells them apart, and the frame is not signed. */
#include "mech/protocol/token_v1.h"

#include "asn1/reader.h"

#define TOKEN_ID_LEN 2
#define FILLER 0xffffu
#define SEAL_NONE 0xffffu

/* --- the head --- */

uint8_t *kb_v1_begin(const struct kb_ap *ap, uint16_t token_id, bool conf, size_t framed_len,
                     uint8_t *out)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    uint8_t *at = kb_frame_begin(ap->mech, token_id, framed_len - TOKEN_ID_LEN, out);

    kb_put_u16be(at, algorithm->sgn_alg);
    kb_put_u16be(at + 2, conf ? algorithm->seal_alg : SEAL_NONE);
    kb_put_u16be(at + 4, FILLER);
    return at - TOKEN_ID_LEN;
}

size_t kb_v1_frame_len(const struct kb_ap *ap, size_t framed_len)
{
    return kb_frame_len(ap->mech, framed_len - TOKEN_ID_LEN);
}

enum kb_status kb_v1_check_head(const struct kb_v1_algorithm *algorithm, uint16_t token_id,
                                kb_bytes rest, size_t min_len, bool *out_conf)
{
    struct kb_reader r = kb_reader(rest);
    uint16_t id = kb_get_u16be(&r), sgn_alg = kb_get_u16be(&r), seal_alg = kb_get_u16be(&r);
    uint16_t filler = kb_get_u16be(&r);

    *out_conf = seal_alg != SEAL_NONE;
    if (r.bad) {
        return KB_CUT_SHORT;
    }
    if (id != token_id || sgn_alg != algorithm->sgn_alg || filler != FILLER ||
        (*out_conf && (token_id != KB_V1_TOK_WRAP || seal_alg != algorithm->seal_alg))) {
        return KB_MALFORMED;
    }
    return rest.len < min_len ? KB_CUT_SHORT : KB_OK;
}

/* --- Wrap --- */

static size_t framed_len(const struct kb_ap *ap, size_t len)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);

    return kb_v1_wrap_head_len(algorithm) + len + kb_v1_pad_len(algorithm, len);
}

/* Confidential or not: both have a confounder and padding. */
static size_t wrap_len(const struct kb_ap *ap, bool conf, size_t len)
{
    const size_t overhead = 128; /* more than there is */

    (void)conf;
    if (len > UINT32_MAX - overhead) { /* what MIT and Heimdal take a frame's length for */
        return SIZE_MAX;
    }
    return kb_v1_frame_len(ap, framed_len(ap, len));
}

/* Padding and the frame's length do not grow evenly: the first that fits, from above, where padding
 * and frame are as short as they get. */
static size_t wrap_max(const struct kb_ap *ap, bool conf, size_t token_len)
{
    size_t least = wrap_len(ap, conf, 0), len;

    if (token_len < least) {
        return 0;
    }
    len = token_len - least + kb_v1_algorithm_of(ap->message_key)->block - 1;
    while (wrap_len(ap, conf, len) > token_len) {
        len--;
    }
    return len;
}

static enum kb_status wrap(struct kb_ap *ap, const struct kb_rng *rng, bool conf, kb_bytes message,
                           uint64_t seq, uint8_t *out)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    size_t pad_len = kb_v1_pad_len(algorithm, message.len);
    uint8_t *head = kb_v1_begin(ap, KB_V1_TOK_WRAP, conf, framed_len(ap, message.len), out);
    uint8_t *confounder = head + kb_v1_signed_len(algorithm);
    uint8_t *data = confounder + KB_V1_CONFOUNDER_LEN, *padding = data + message.len;
    struct kb_piece pieces[] = {
        kb_piece_sign(kb_bytes_of(head, KB_V1_HEAD_LEN)),
        kb_piece_data(confounder, KB_V1_CONFOUNDER_LEN),
        kb_piece_from(message, data),
        kb_piece_data(padding, pad_len),
    };
    const struct kb_v1_message sealed = {conf, pieces, 4};
    enum kb_status st = kb_random(rng, confounder, KB_V1_CONFOUNDER_LEN);

    if (st != KB_OK) {
        return st;
    }
    memset(padding, (int)pad_len, pad_len);
    if (!conf && message.len > 0) {
        memcpy(data, message.ptr, message.len);
    }
    return kb_v1_seal(ap, &sealed, seq, head + KB_V1_HEAD_LEN);
}

enum kb_status kb_v1_unpad(kb_bytes padded, size_t *out_len)
{
    size_t pad_len = padded.len > 0 ? padded.ptr[padded.len - 1] : SIZE_MAX;

    if (pad_len > padded.len) {
        return KB_BAD_INTEGRITY;
    }
    *out_len = padded.len - pad_len;
    return KB_OK;
}

enum kb_status kb_v1_split(const struct kb_ap *ap, kb_bytes token, struct kb_v1_parts *out)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);
    size_t head_len = kb_v1_wrap_head_len(algorithm);
    kb_bytes rest;
    enum kb_status st = kb_unframe_old(token, 0, ap->mech, &rest);

    if (st == KB_OK) {
        st = kb_v1_check_head(algorithm, KB_V1_TOK_WRAP, rest, head_len, &out->conf);
    }
    if (st != KB_OK) {
        return st;
    }
    out->head = rest.ptr;
    out->data = kb_bytes_of(rest.ptr + head_len, rest.len - head_len);
    return out->conf && out->data.len % algorithm->block != 0 ? KB_MALFORMED : KB_OK;
}

enum kb_status kb_v1_open_wrap(struct kb_ap *ap, bool conf, const uint8_t *head,
                               struct kb_piece *pieces, size_t num, uint64_t *out_seq)
{
    size_t signed_len = kb_v1_signed_len(kb_v1_algorithm_of(ap->message_key));
    const struct kb_v1_message sealed = {conf, pieces, num + 2};
    uint8_t confounder[KB_V1_CONFOUNDER_LEN];
    enum kb_status st;

    memcpy(confounder, head + signed_len, KB_V1_CONFOUNDER_LEN);
    memmove(pieces + 2, pieces, num * sizeof(*pieces));
    pieces[0] = kb_piece_sign(kb_bytes_of(head, KB_V1_HEAD_LEN));
    pieces[1] = kb_piece_data(confounder, KB_V1_CONFOUNDER_LEN);
    st = kb_v1_open(ap, &sealed, head + KB_V1_HEAD_LEN, out_seq);
    memmove(pieces, pieces + 2, num * sizeof(*pieces));
    return st;
}

static enum kb_status unwrap(struct kb_ap *ap, kb_bytes token, uint8_t *out, size_t *out_len,
                             bool *out_conf, uint64_t *out_seq)
{
    struct kb_piece pieces[3];
    struct kb_v1_parts parts;
    enum kb_status st = kb_v1_split(ap, token, &parts);
    size_t len;

    if (st != KB_OK) {
        return st;
    }
    len = parts.data.len;
    *out_conf = parts.conf;
    /* What is only signed is verified where it lies. */
    pieces[0] = parts.conf ? kb_piece_from(parts.data, out) : kb_piece_sign(parts.data);
    st = kb_v1_open_wrap(ap, parts.conf, parts.head, pieces, 1, out_seq);
    if (st == KB_OK) {
        st = kb_v1_unpad(kb_bytes_of(parts.conf ? out : parts.data.ptr, len), out_len);
    }
    if (parts.conf) {
        kb_wipe(out + *out_len, len - *out_len); /* after a failure all of it */
    } else if (st == KB_OK) {
        memcpy(out, parts.data.ptr, *out_len);
    }
    return st;
}

/* --- MIC --- */

static size_t mic_len(const struct kb_ap *ap)
{
    return kb_v1_frame_len(ap, kb_v1_signed_len(kb_v1_algorithm_of(ap->message_key)));
}

static enum kb_status get_mic(struct kb_ap *ap, kb_bytes message, uint64_t seq, uint8_t *out)
{
    struct kb_piece pieces[1 + KB_SPARE_PIECES] = {kb_piece_sign(message)};

    return kb_v1_get_mic_iov(ap, pieces, 1, seq, out);
}

static enum kb_status verify_mic(struct kb_ap *ap, kb_bytes message, kb_bytes token,
                                 uint64_t *out_seq)
{
    struct kb_piece pieces[1 + KB_SPARE_PIECES] = {kb_piece_sign(message)};

    return kb_v1_verify_mic_iov(ap, pieces, 1, token, out_seq);
}

const struct kb_token_format kb_token_v1 = {
    .wide = false,
    .wrap_len = wrap_len,
    .wrap_max = wrap_max,
    .wrap = wrap,
    .unwrap = unwrap,
    .mic_len = mic_len,
    .get_mic = get_mic,
    .verify_mic = verify_mic,
    .wrap_iov_len = kb_v1_wrap_iov_len,
    .wrap_iov = kb_v1_wrap_iov,
    .unwrap_iov = kb_v1_unwrap_iov,
    .unwrap_stream = kb_v1_unwrap_stream,
    .get_mic_iov = kb_v1_get_mic_iov,
    .verify_mic_iov = kb_v1_verify_mic_iov,
    .take_delete = kb_v1_take_delete,
    .release = kb_v1_release,
};
