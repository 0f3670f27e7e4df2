/* cipher.h - CBC contexts that are kept, and ciphertext stealing over gather lists.
 *
 * A kb_cipher is one context of OpenSSL's provider, keyed for one direction, without padding. It is
 * never re-initialised: `chain` holds what the next block will be chained with (the last block of
 * ciphertext, whatever message it was of), and XORing that in once more takes it off again.
 * (Setting an IV would cost 20 ns, through EVP 112 ns: as much as ciphering 100 bytes.)
 *
 * CTS is CBC with an IV of zero whose last two blocks are swapped, the last cut to the length of
 * the plaintext (CS3 of NIST SP 800-38A's addendum; RFC 3962 5); a single block is plain CBC. One
 * thread at a time per kb_cipher; OpenSSL is loaded before. */
#ifndef KB_CIPHER_H
#define KB_CIPHER_H

#include "asn1/status.h"
#include "crypto/key.h"
#include "crypto/openssl.h"

#define KB_BLOCK 16

/* Block ciphers of 16 bytes; Camellia is there once kb_primitive_need has found it. */
enum kb_block_cipher { KB_AES, KB_CAMELLIA };

struct kb_cipher {
    const struct kb_ssl_cipher *functions;
    void *ctx; /* the provider's */
    uint8_t chain[KB_BLOCK];
    bool encrypts;
    bool kept;        /* ciphers.h's: in a place, for ever */
    atomic_bool busy; /* ciphers.h's: a thread uses it */
};

/* kb_cipher_new keys a context with 16 or 32 bytes; NULL: memory is short (or OpenSSL refuses). */
struct kb_cipher *kb_cipher_new(enum kb_block_cipher which, kb_bytes key, bool encrypts);

/* kb_cipher_rekey does that with one whose state is not known any more. */
KB_MUST_USE bool kb_cipher_rekey(struct kb_cipher *cipher, kb_bytes key);

void kb_cipher_free(struct kb_cipher *cipher);

/* kb_cipher_block ciphers one block by itself (ECB). */
KB_MUST_USE enum kb_status kb_cipher_block(struct kb_cipher *cipher, const uint8_t *in,
                                           uint8_t *out);

/* kb_cipher_absorb encrypts whole blocks, chained with what came before, or with zeros where they
 * are the `first` of a message, and keeps of the ciphertext only the last block, in `chain`:
 * CBC-MAC. */
KB_MUST_USE enum kb_status kb_cipher_absorb(struct kb_cipher *cipher, const uint8_t *data,
                                            size_t len, bool first);

/* kb_cts walks over the DATA of a message: a confounder of one block, then the pieces. */
struct kb_cts {
    /* private */
    struct kb_cipher *cipher;
    const struct kb_piece *next, *end; /* pieces not looked at yet */
    uint8_t *ptr;        /* what is left of the current run: adjacent pieces are one */
    const uint8_t *from; /* its bytes before: ptr, or elsewhere */
    size_t left;
    size_t done, bulk, total; /* bytes; `bulk`: those before the last two blocks */
};

void kb_cts_init(struct kb_cts *cts, struct kb_cipher *cipher, uint8_t *confounder,
                 const struct kb_piece *pieces, size_t num);

/* kb_cts_to ciphers up to byte `limit` of the DATA, a multiple of the block length, at
 * most `bulk`. */
KB_MUST_USE enum kb_status kb_cts_to(struct kb_cts *cts, size_t limit);

/* kb_cts_end ciphers what remains after `bulk`: nothing, or the two blocks that are swapped. */
KB_MUST_USE enum kb_status kb_cts_end(struct kb_cts *cts);

#endif
