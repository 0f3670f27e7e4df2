/* cmac.h - CMAC with a block cipher of 16 bytes: NIST SP 800-38B. The MAC of RFC 6803.
 *
 * Built on the CBC of a kb_cipher, which is kept keyed; OpenSSL's own CMAC goes through EVP, which
 * looks for engines and for that loads openssl.cnf into the default library context
 * (crypto/openssl.h), and calls the cipher once for each block. A kb_cmac_key is constant after its
 * making; a kb_cmac is one computation, on the stack, and has its kb_cipher for itself until it
 * ends. Nothing here takes from the heap. */
#ifndef KB_CMAC_H
#define KB_CMAC_H

#include "crypto/cipher.h"

/* What is XORed into the last block: K1 where it is whole, K2 where it is filled up. */
struct kb_cmac_key {
    uint8_t whole[KB_BLOCK], filled[KB_BLOCK];
};

struct kb_cmac {
    const struct kb_cmac_key *key;
    struct kb_cipher *cipher; /* encrypts */
    uint8_t last[KB_BLOCK];   /* not ciphered yet: it may be the last block */
    size_t last_len;
    bool begun; /* something was ciphered */
    enum kb_status status;
};

/* kb_cmac_key_init makes the subkeys of the key that `cipher` has. */
KB_MUST_USE enum kb_status kb_cmac_key_init(struct kb_cmac_key *key, struct kb_cipher *cipher);

void kb_cmac_begin(struct kb_cmac *mac, const struct kb_cmac_key *key, struct kb_cipher *cipher);
void kb_cmac_add(struct kb_cmac *mac, const void *data, size_t len);

/* kb_cmac_end writes KB_BLOCK bytes and wipes `mac`. On failure, of whichever call, `out` is zero
 * and the cipher is not to be used again. */
KB_MUST_USE enum kb_status kb_cmac_end(struct kb_cmac *mac, uint8_t out[KB_BLOCK]);

/* kb_cmac_parts does the three over the concatenated parts. */
KB_MUST_USE enum kb_status kb_cmac_parts(const struct kb_cmac_key *key, struct kb_cipher *cipher,
                                         const kb_bytes *parts, size_t num_parts,
                                         uint8_t out[KB_BLOCK]);

#endif
