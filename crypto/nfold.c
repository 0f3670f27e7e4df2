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

/* The byte at `index` of the input repeated for ever, each repetition rotated right by 13 bits more
 * than the one before. */
static unsigned rotated_byte(kb_bytes in, size_t index)
{
    size_t bits = in.len * 8;
    size_t rotation = (index / in.len) % bits * 13 % bits;
    size_t first =
        (index % in.len * 8 + bits - rotation) % bits; /* its highest bit, in the input */
    unsigned high = in.ptr[first / 8];
    unsigned low = in.ptr[(first / 8 + 1) % in.len];

    return (high << 8 | low) >> (8 - first % 8) & 0xff;
}

/* Adds up lcm(in, out) bytes of the rotated input in pieces of out_len, in one's complement. */
void kb_nfold(kb_bytes in, uint8_t *out, size_t out_len)
{
    size_t total = in.len / gcd(in.len, out_len) * out_len;
    unsigned sum = 0;

    memset(out, 0, out_len);
    for (size_t i = total; i-- > 0;) {
        sum += out[i % out_len] + rotated_byte(in, i);
        out[i % out_len] = (uint8_t)sum;
        sum >>= 8;
    }
    for (size_t i = out_len; sum != 0; sum >>= 8) { /* the end-around carry */
        i = i > 0 ? i - 1 : out_len - 1;
        sum += out[i];
        out[i] = (uint8_t)sum;
    }
}
