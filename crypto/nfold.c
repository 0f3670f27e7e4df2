#include "crypto/nfold.h"

static size_t gcd(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* The eight bits from `bit` on, of a string that goes round. */
static unsigned bits_at(kb_bytes in, size_t bit)
{
    size_t byte = bit / 8;
    unsigned high = in.ptr[byte];
    unsigned low = in.ptr[byte + 1 < in.len ? byte + 1 : 0];

    return (high << 8 | low) >> (8 - bit % 8) & 0xff;
}

/* The input is repeated lcm(in, out) / in times, each repetition rotated right by 13 bits more than
 * the one before, and all of that added up in pieces of out_len, in one's complement: from the last
 * byte to the first, the carry going on from piece to piece. */
void kb_nfold(kb_bytes in, uint8_t *out, size_t out_len)
{
    size_t bits = in.len * 8, repetitions = out_len / gcd(in.len, out_len);
    size_t rotation = (repetitions - 1) * 13 % bits; /* of the last one */
    size_t at = out_len;
    unsigned sum = 0;

    memset(out, 0, out_len);
    for (size_t r = 0; r < repetitions; r++) {
        for (size_t i = in.len; i-- > 0;) {
            size_t bit = i * 8 + bits - rotation;

            at = at > 0 ? at - 1 : out_len - 1;
            sum += out[at] + bits_at(in, bit < bits ? bit : bit - bits);
            out[at] = (uint8_t)sum;
            sum >>= 8;
        }
        rotation = (rotation + bits - 13 % bits) % bits;
    }
    for (; sum != 0; sum >>= 8) { /* the end-around carry */
        at = at > 0 ? at - 1 : out_len - 1;
        sum += out[at];
        out[at] = (uint8_t)sum;
    }
}
