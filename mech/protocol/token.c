#include "mech/protocol/token.h"

#include <stdatomic.h>

#include "mech/protocol/token_format.h"
#include "mech/protocol/token_v1.h"

const struct kb_token_format *kb_token_format_of(const struct kb_key *key)
{
    return kb_v1_algorithm_of(key) != NULL ? &kb_token_v1 : &kb_token_cfx;
}

static uint64_t take_seq(struct kb_ap *ap)
{
    return atomic_fetch_add_explicit(&ap->send_seq, 1, memory_order_relaxed);
}

/* A number whose message could not be made goes back, unless another thread has taken the next: the
 * peer would see a gap. */
static void return_seq(struct kb_ap *ap, uint64_t seq)
{
    uint64_t next = seq + 1;

    atomic_compare_exchange_strong(&ap->send_seq, &next, seq);
}

static uint32_t note_received(struct kb_ap *ap, uint64_t seq)
{
    uint32_t suppl;

    pthread_mutex_lock(&ap->lock);
    suppl = kb_seqstate_check(&ap->received, seq);
    pthread_mutex_unlock(&ap->lock);
    return suppl;
}

size_t kb_wrap_len(const struct kb_ap *ap, bool conf, size_t len)
{
    return ap->format->wrap_len(ap, conf, len);
}

size_t kb_wrap_max(const struct kb_ap *ap, bool conf, size_t token_len)
{
    return ap->format->wrap_max(ap, conf, token_len);
}

enum kb_status kb_wrap(struct kb_ap *ap, const struct kb_rng *rng, bool conf, kb_bytes message,
                       uint8_t *out)
{
    uint64_t seq;
    enum kb_status st;

    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    seq = take_seq(ap);
    st = ap->format->wrap(ap, rng, conf, message, seq, out);
    if (st != KB_OK) {
        return_seq(ap, seq);
    }
    return st;
}

enum kb_status kb_unwrap(struct kb_ap *ap, kb_bytes token, uint8_t *out, size_t *out_len,
                         bool *out_conf, uint32_t *out_suppl)
{
    uint64_t seq;
    bool conf;
    enum kb_status st;

    *out_len = 0;
    *out_conf = false;
    *out_suppl = 0;
    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    st = ap->format->unwrap(ap, token, out, out_len, &conf, &seq);
    if (st == KB_OK) {
        *out_conf = conf;
        *out_suppl = note_received(ap, seq);
    }
    return st;
}

size_t kb_mic_len(const struct kb_ap *ap)
{
    return ap->format->mic_len(ap);
}

enum kb_status kb_get_mic(struct kb_ap *ap, kb_bytes message, uint8_t *out)
{
    uint64_t seq;
    enum kb_status st;

    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    seq = take_seq(ap);
    st = ap->format->get_mic(ap, message, seq, out);
    if (st != KB_OK) {
        return_seq(ap, seq);
    }
    return st;
}

enum kb_status kb_verify_mic(struct kb_ap *ap, kb_bytes message, kb_bytes token,
                             uint32_t *out_suppl)
{
    uint64_t seq;
    enum kb_status st;

    *out_suppl = 0;
    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    st = ap->format->verify_mic(ap, message, token, &seq);
    if (st == KB_OK) {
        *out_suppl = note_received(ap, seq);
    }
    return st;
}

enum kb_status kb_take_delete(struct kb_ap *ap, kb_bytes token)
{
    enum kb_status st;

    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    st = ap->format->take_delete != NULL ? ap->format->take_delete(ap, token) : KB_MALFORMED;
    if (st == KB_OK) {
        atomic_store(&ap->state, KB_AP_FAILED);
    }
    return st;
}

bool kb_old_algorithms(const struct kb_ap *ap, uint16_t *out_sgn_alg, uint16_t *out_seal_alg)
{
    const struct kb_v1_algorithm *algorithm = kb_v1_algorithm_of(ap->message_key);

    if (algorithm == NULL) {
        return false;
    }
    *out_sgn_alg = algorithm->sgn_alg >> 8;
    *out_seal_alg = algorithm->seal_alg >> 8;
    return true;
}

/* --- lists of buffers --- */

static void wipe_data(const struct kb_iov *iov)
{
    for (size_t i = 0; i < iov->num; i++) {
        const struct kb_piece *piece = &iov->pieces[i];

        if (piece->kind == KB_PIECE_DATA && piece->len > 0) {
            kb_wipe(piece->ptr, piece->len);
        }
    }
}

/* DATA that stands elsewhere goes to where it will be sent from. */
static void bring_data(struct kb_iov *iov)
{
    for (size_t i = 0; i < iov->num; i++) {
        struct kb_piece *piece = &iov->pieces[i];

        if (piece->kind == KB_PIECE_DATA && piece->from != NULL) {
            if (piece->len > 0) {
                memcpy(piece->ptr, piece->from, piece->len);
            }
            piece->from = NULL;
        }
    }
}

enum kb_status kb_wrap_iov_len(const struct kb_ap *ap, bool conf, struct kb_iov *iov)
{
    return kb_ap_established(ap) ? ap->format->wrap_iov_len(ap, conf, iov) : KB_NOT_FOUND;
}

enum kb_status kb_wrap_iov(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                           struct kb_iov *iov)
{
    uint64_t seq;
    enum kb_status st;

    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    if (!conf || !ap->format->reads_from) {
        bring_data(iov);
    }
    seq = take_seq(ap);
    st = ap->format->wrap_iov(ap, rng, conf, iov, seq);
    if (st != KB_OK) {
        return_seq(ap, seq);
    }
    return st;
}

enum kb_status kb_unwrap_iov(struct kb_ap *ap, struct kb_iov *iov, bool *out_conf,
                             uint32_t *out_suppl)
{
    uint64_t seq;
    bool conf;
    enum kb_status st;

    *out_conf = false;
    *out_suppl = 0;
    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    st = ap->format->unwrap_iov(ap, iov, &conf, &seq);
    if (st != KB_OK) {
        wipe_data(iov);
        return st;
    }
    *out_conf = conf;
    *out_suppl = note_received(ap, seq);
    return KB_OK;
}

enum kb_status kb_unwrap_stream(struct kb_ap *ap, uint8_t *token, size_t len, struct kb_iov *iov,
                                struct kb_piece *data, bool *out_conf, uint32_t *out_suppl)
{
    uint64_t seq;
    bool conf;
    enum kb_status st;

    data->len = 0;
    *out_conf = false;
    *out_suppl = 0;
    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    st = ap->format->unwrap_stream(ap, token, len, iov, data, &conf, &seq);
    if (st != KB_OK) {
        wipe_data(iov);
        data->len = 0;
        return st;
    }
    *out_conf = conf;
    *out_suppl = note_received(ap, seq);
    return KB_OK;
}

enum kb_status kb_get_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num, uint8_t *out)
{
    uint64_t seq;
    enum kb_status st;

    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    seq = take_seq(ap);
    st = ap->format->get_mic_iov(ap, pieces, num, seq, out);
    if (st != KB_OK) {
        return_seq(ap, seq);
    }
    return st;
}

enum kb_status kb_verify_mic_iov(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                 kb_bytes token, uint32_t *out_suppl)
{
    uint64_t seq;
    enum kb_status st;

    *out_suppl = 0;
    if (!kb_ap_established(ap)) {
        return KB_NOT_FOUND;
    }
    st = ap->format->verify_mic_iov(ap, pieces, num, token, &seq);
    if (st == KB_OK) {
        *out_suppl = note_received(ap, seq);
    }
    return st;
}
