/* message.h - a message under derived keys: cipher and MAC over one gather list, together.
 *
 * Both passes walk over the message in steps that stay in the first-level cache, so a large one is
 * read from memory once. Private to crypto/; OpenSSL is loaded before. */
#ifndef KB_MESSAGE_H
#define KB_MESSAGE_H

#include "crypto/family.h"

struct kb_message {
    const struct kb_enctype *enctype;
    const struct kb_derived *keys;
    struct kb_cipher *cipher; /* under keys->ke, in the right direction */
    struct kb_cipher *cmac;   /* under the MAC's key, where that is CMAC; else NULL */
    uint8_t *confounder;
    const struct kb_piece *pieces;
    size_t num;
};

/* The MAC of derived keys, HMAC or CMAC: one computation, on the stack. */
struct kb_mac {
    bool is_cmac;
    union {
        struct kb_hmac hmac;
        struct kb_cmac cmac;
    };
};

/* kb_message_pass ciphers the confounder (in place) and the DATA, and writes the whole digest of
 * the MAC over them and the SIGN pieces. After a failure neither context is to be used again. */
KB_MUST_USE enum kb_status kb_message_pass(const struct kb_message *message,
                                           uint8_t digest[KB_MAX_DIGEST_LEN]);

/* kb_message_sum is the MAC over all pieces, of either kind; `cmac` as in a kb_message. */
KB_MUST_USE enum kb_status kb_message_sum(const struct kb_derived *keys, struct kb_cipher *cmac,
                                          const struct kb_piece *pieces, size_t num,
                                          uint8_t digest[KB_MAX_DIGEST_LEN]);

#endif
