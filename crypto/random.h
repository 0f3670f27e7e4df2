/* random.h - where randomness comes from, as an argument.
 *
 * Whoever needs random bytes (nonces, confounders, subkeys) is handed a kb_rng; so one recorded
 * seed gives one transcript in a test. kb_rng_system is the real one: pools filled by getrandom(2)
 * in a page that the kernel wipes in a forked child, so no two processes draw the same bytes and
 * most draws cost no system call; what was drawn is overwritten in the pool. There are four, so
 * that threads which send messages side by side do not wait for each other. kb_rng_system may be
 * used by any thread at any time; it loads no OpenSSL. */
#ifndef KB_RANDOM_H
#define KB_RANDOM_H

#include "asn1/bytes.h"
#include "asn1/status.h"

struct kb_rng {
    /* Fills `out` or returns KB_NO_RANDOM, then the contents are not to be used. */
    enum kb_status (*fill)(void *ctx, uint8_t *out, size_t len);
    void *ctx;
};

extern const struct kb_rng kb_rng_system;

KB_MUST_USE static inline enum kb_status kb_random(const struct kb_rng *rng, uint8_t *out,
                                                   size_t len)
{
    return rng->fill(rng->ctx, out, len);
}

#endif
