/* token_format.h - one way to write per-message tokens: RFC 4121's (token_cfx.c) or the older one
 * of RFC 1964 and RFC 4757 (token_v1.c). A context has one, by the enctype of its message key, from
 * the moment that it is established; the other one's tokens are never taken on it. Private to
 * protocol/.
 *
 * A format knows keys, flags and bytes. What is common stands in token.c: whether the context is
 * open, sequence numbers drawn and given back, the window of those received. `message_key` has its
 * place in kb_ap; a format writes nothing there but what it makes once of that key (kb_ap.v1).
 * Statuses and outputs are token.h's. */
#ifndef KB_TOKEN_FORMAT_H
#define KB_TOKEN_FORMAT_H

#include "mech/protocol/context.h"
#include "mech/protocol/token.h"

struct kb_token_format {
    bool wide;       /* sequence numbers have 64 bits, else 32 */
    bool reads_from; /* wrap_iov seals DATA out of `from`, else it finds all in `ptr` */
    size_t (*wrap_len)(const struct kb_ap *ap, bool conf, size_t len);
    size_t (*wrap_max)(const struct kb_ap *ap, bool conf, size_t token_len);
    enum kb_status (*wrap)(struct kb_ap *ap, const struct kb_rng *rng, bool conf, kb_bytes message,
                           uint64_t seq, uint8_t *out);
    enum kb_status (*unwrap)(struct kb_ap *ap, kb_bytes token, uint8_t *out, size_t *out_len,
                             bool *out_conf, uint64_t *out_seq);
    size_t (*mic_len)(const struct kb_ap *ap);
    enum kb_status (*get_mic)(struct kb_ap *ap, kb_bytes message, uint64_t seq, uint8_t *out);
    enum kb_status (*verify_mic)(struct kb_ap *ap, kb_bytes message, kb_bytes token,
                                 uint64_t *out_seq);
    /* The same over lists of buffers. After a failure the caller wipes what DATA pieces hold. */
    enum kb_status (*wrap_iov_len)(const struct kb_ap *ap, bool conf, struct kb_iov *iov);
    enum kb_status (*wrap_iov)(struct kb_ap *ap, const struct kb_rng *rng, bool conf,
                               struct kb_iov *iov, uint64_t seq);
    enum kb_status (*unwrap_iov)(struct kb_ap *ap, struct kb_iov *iov, bool *out_conf,
                                 uint64_t *out_seq);
    enum kb_status (*unwrap_stream)(struct kb_ap *ap, uint8_t *token, size_t len,
                                    struct kb_iov *iov, struct kb_piece *data, bool *out_conf,
                                    uint64_t *out_seq);
    enum kb_status (*get_mic_iov)(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                  uint64_t seq, uint8_t *out);
    enum kb_status (*verify_mic_iov)(struct kb_ap *ap, struct kb_piece *pieces, size_t num,
                                     kb_bytes token, uint64_t *out_seq);
    enum kb_status (*take_delete)(struct kb_ap *ap, kb_bytes token); /* NULL: there are none */
    void (*release)(struct kb_ap *ap); /* of what it keeps in kb_ap.v1; NULL: nothing */
};

extern const struct kb_token_format kb_token_cfx, kb_token_v1;

/* kb_token_format_of is the format that goes with a message key (RFC 4121 1). */
const struct kb_token_format *kb_token_format_of(const struct kb_key *key);

#endif
