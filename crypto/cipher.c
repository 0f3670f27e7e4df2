#include "crypto/cipher.h"

#include <stdlib.h>

static void xor_block(uint8_t *to, const uint8_t *with)
{
    uint64_t a[2], b[2];

    memcpy(a, to, KB_BLOCK);
    memcpy(b, with, KB_BLOCK);
    a[0] ^= b[0];
    a[1] ^= b[1];
    memcpy(to, a, KB_BLOCK);
}

static const struct kb_ssl_cipher *functions_of(enum kb_block_cipher which, size_t key_len)
{
    if (which == KB_CAMELLIA) {
        return kb_ssl_primitive_cipher(key_len == 16 ? KB_CAMELLIA128_CBC : KB_CAMELLIA256_CBC);
    }
    return key_len == 16 ? &kb_ssl()->aes128_cbc : &kb_ssl()->aes256_cbc;
}

struct kb_cipher *kb_cipher_new(enum kb_block_cipher which, kb_bytes key, bool encrypts)
{
    struct kb_cipher *cipher = calloc(1, sizeof(*cipher));
    const struct kb_ssl_cipher *f = functions_of(which, key.len);

    if (cipher == NULL) {
        return NULL;
    }
    cipher->functions = f;
    cipher->encrypts = encrypts;
    cipher->ctx = f->newctx(f->provider_ctx);
    if (cipher->ctx == NULL || !kb_cipher_rekey(cipher, key)) {
        kb_cipher_free(cipher);
        return NULL;
    }
    return cipher;
}

bool kb_cipher_rekey(struct kb_cipher *cipher, kb_bytes key)
{
    static const uint8_t zero_iv[KB_BLOCK];
    OSSL_FUNC_cipher_encrypt_init_fn *init =
        cipher->encrypts ? cipher->functions->encrypt_init : cipher->functions->decrypt_init;

    memset(cipher->chain, 0, sizeof(cipher->chain));
    return init(cipher->ctx, key.ptr, key.len, zero_iv, sizeof(zero_iv), NULL) == 1;
}

void kb_cipher_free(struct kb_cipher *cipher)
{
    if (cipher != NULL) {
        if (cipher->ctx != NULL) {
            cipher->functions->freectx(cipher->ctx);
        }
        kb_free_secret(cipher, sizeof(*cipher));
    }
}

/* CBC over whole blocks, chained with whatever came before. `from` is `to` or does not overlap it.
 */
static enum kb_status cbc(struct kb_cipher *cipher, const uint8_t *from, uint8_t *to, size_t len)
{
    uint8_t last[KB_BLOCK];
    size_t written = 0;

    if (!cipher->encrypts) {
        memcpy(last, from + len - KB_BLOCK, KB_BLOCK);
    }
    if (cipher->functions->cipher(cipher->ctx, to, &written, len, from, len) != 1 ||
        written != len) {
        return KB_NO_CRYPTO;
    }
    memcpy(cipher->chain, cipher->encrypts ? to + len - KB_BLOCK : last, KB_BLOCK);
    return KB_OK;
}

/* The same in place, chained with zeros: the first bytes of a message, or a block by itself. */
static enum kb_status cbc_first(struct kb_cipher *cipher, uint8_t *data, size_t len)
{
    uint8_t chain[KB_BLOCK];
    enum kb_status st;

    memcpy(chain, cipher->chain, KB_BLOCK);
    if (cipher->encrypts) {
        xor_block(data, chain);
    }
    st = cbc(cipher, data, data, len);
    if (!cipher->encrypts) {
        xor_block(data, chain);
    }
    return st;
}

enum kb_status kb_cipher_block(struct kb_cipher *cipher, const uint8_t *in, uint8_t *out)
{
    memmove(out, in, KB_BLOCK);
    return cbc_first(cipher, out, KB_BLOCK);
}

/* --- CBC-MAC --- */

#define SCRATCH ((size_t)512)

enum kb_status kb_cipher_absorb(struct kb_cipher *cipher, const uint8_t *data, size_t len,
                                bool first)
{
    uint8_t scratch[SCRATCH];
    size_t used = len < SCRATCH ? len : SCRATCH;
    enum kb_status st = KB_OK;

    while (st == KB_OK && len > 0) {
        size_t n = len < SCRATCH ? len : SCRATCH, written = 0;
        const uint8_t *from = data;

        if (first) {
            n = KB_BLOCK;
            memcpy(scratch, data, KB_BLOCK);
            xor_block(scratch, cipher->chain);
            from = scratch;
            first = false;
        }
        if (cipher->functions->cipher(cipher->ctx, scratch, &written, n, from, n) != 1 ||
            written != n) {
            st = KB_NO_CRYPTO;
        } else {
            memcpy(cipher->chain, scratch + n - KB_BLOCK, KB_BLOCK);
        }
        data += n;
        len -= n;
    }
    kb_wipe(scratch, used);
    return st;
}

/* --- ciphertext stealing --- */

/* Adds to the current run the DATA pieces that lie right behind it, or goes to the next one. */
static void next_run(struct kb_cts *cts)
{
    for (; cts->next < cts->end; cts->next++) {
        if (cts->next->kind != KB_PIECE_DATA || cts->next->len == 0) {
            continue;
        }
        if (cts->left == 0) {
            cts->ptr = cts->next->ptr;
            cts->from = kb_piece_source(cts->next);
        } else if (cts->next->ptr != cts->ptr + cts->left ||
                   kb_piece_source(cts->next) != cts->from + cts->left) {
            return;
        }
        cts->left += cts->next->len;
    }
}

void kb_cts_init(struct kb_cts *cts, struct kb_cipher *cipher, uint8_t *confounder,
                 const struct kb_piece *pieces, size_t num)
{
    size_t total = KB_BLOCK;

    for (size_t i = 0; i < num; i++) {
        if (pieces[i].kind == KB_PIECE_DATA) {
            total += pieces[i].len;
        }
    }
    *cts = (struct kb_cts){
        .cipher = cipher,
        .next = pieces,
        .end = pieces + num,
        .ptr = confounder,
        .from = confounder,
        .left = KB_BLOCK,
        .total = total,
        .bulk = total == KB_BLOCK ? KB_BLOCK : (total - KB_BLOCK - 1) / KB_BLOCK * KB_BLOCK,
    };
    next_run(cts);
}

static void advance(struct kb_cts *cts, size_t len)
{
    cts->ptr += len;
    cts->from += len;
    cts->left -= len;
    if (cts->left == 0) {
        next_run(cts);
    }
}

/* Copies the next `len` bytes out of the pieces, or back into them; the walk goes on behind them.
 */
static void gather(struct kb_cts walk, uint8_t *out, size_t len)
{
    while (len > 0) {
        size_t n = walk.left < len ? walk.left : len;

        memcpy(out, walk.from, n);
        out += n;
        len -= n;
        advance(&walk, n);
    }
}

static void scatter(struct kb_cts *cts, const uint8_t *in, size_t len)
{
    while (len > 0) {
        size_t n = cts->left < len ? cts->left : len;

        memcpy(cts->ptr, in, n);
        in += n;
        len -= n;
        advance(cts, n);
    }
}

/* As much as lies in one run, or the one block that straddles the end of it. */
static enum kb_status cipher_run(struct kb_cts *cts, size_t max, size_t *out_len)
{
    size_t n = (cts->left < max ? cts->left : max) / KB_BLOCK * KB_BLOCK;
    uint8_t block[KB_BLOCK];
    enum kb_status st;

    if (n > 0 && cts->done == 0) { /* the confounder, and what is in place behind it */
        st = cbc_first(cts->cipher, cts->ptr, n);
        advance(cts, n);
    } else if (n > 0) {
        st = cbc(cts->cipher, cts->from, cts->ptr, n);
        advance(cts, n);
    } else {
        n = KB_BLOCK;
        gather(*cts, block, n);
        st = cbc(cts->cipher, block, block, n);
        scatter(cts, block, n);
        kb_wipe(block, sizeof(block));
    }
    *out_len = n;
    return st;
}

enum kb_status kb_cts_to(struct kb_cts *cts, size_t limit)
{
    enum kb_status st = KB_OK;

    while (st == KB_OK && cts->done < limit) {
        size_t n;

        st = cipher_run(cts, limit - cts->done, &n);
        cts->done += n;
    }
    return st;
}

/* In: P(n-1) | P(n) and zeros. Out: C(n) | C(n-1). */
static enum kb_status steal(struct kb_cts *cts, uint8_t two[2 * KB_BLOCK])
{
    uint8_t stolen[KB_BLOCK];
    enum kb_status st;

    st = cts->done == 0 ? cbc_first(cts->cipher, two, 2 * KB_BLOCK)
                        : cbc(cts->cipher, two, two, 2 * KB_BLOCK);
    memcpy(stolen, two, KB_BLOCK);
    memcpy(two, two + KB_BLOCK, KB_BLOCK);
    memcpy(two + KB_BLOCK, stolen, KB_BLOCK);
    return st;
}

/* In: C(n) | the first `len` bytes of C(n-1), whose others are found in the decryption of C(n).
 * Out: P(n-1) | P(n). */
static enum kb_status give_back(struct kb_cts *cts, uint8_t two[2 * KB_BLOCK], size_t len)
{
    uint8_t before[KB_BLOCK] = {0}, plain[KB_BLOCK], *second = two + KB_BLOCK;
    enum kb_status st;

    if (cts->done > 0) {
        memcpy(before, cts->cipher->chain, KB_BLOCK); /* C(n-2) */
    }
    st = kb_cipher_block(cts->cipher, two, plain);
    if (st != KB_OK) {
        return st;
    }
    memcpy(second + len, plain + len, KB_BLOCK - len);
    xor_block(plain, second); /* P(n), and zeros behind it */
    st = kb_cipher_block(cts->cipher, second, two);
    xor_block(two, before);
    memcpy(second, plain, KB_BLOCK);
    kb_wipe(plain, sizeof(plain));
    return st;
}

enum kb_status kb_cts_end(struct kb_cts *cts)
{
    size_t len = cts->total - cts->done; /* 0, or 17 to 32 */
    uint8_t two[2 * KB_BLOCK] = {0};
    enum kb_status st;

    if (len == 0) {
        return KB_OK;
    }
    gather(*cts, two, len);
    st = cts->cipher->encrypts ? steal(cts, two) : give_back(cts, two, len - KB_BLOCK);
    scatter(cts, two, len);
    cts->done = cts->total;
    kb_wipe(two, sizeof(two));
    return st;
}
