/* hmac.h - HMAC with a key whose two first blocks are hashed once and for all (RFC 2104 4).
 *
 * A kb_hmac_key is plain memory, constant after its making: any number of threads may use it. A
 * kb_hmac is one computation, on the stack. OpenSSL is loaded before (kb_provider_load); after that
 * nothing here takes from the heap, and nothing can fail: the KB_NO_CRYPTO and KB_NO_MEMORY that
 * some functions return are for where a provider of the system's computes (crypto/provided.h). MD5
 * is there for RFC 4757 and the old checksums; a FIPS provider does not have it. */
#ifndef KB_HMAC_H
#define KB_HMAC_H

#include "asn1/bytes.h"
#include "asn1/status.h"
#include "crypto/openssl.h"

#define KB_MAX_DIGEST_LEN 48
#define KB_MAX_HASH_BLOCK 128

enum kb_hash { KB_SHA1, KB_SHA256, KB_SHA384, KB_MD5 };

union kb_hash_state {
    SHA_CTX sha1;
    SHA256_CTX sha256;
    SHA512_CTX sha512;
    MD5_CTX md5;
};

/* The chaining value after a block: all of the state that is not known anyway. */
union kb_chaining {
    SHA_LONG sha1[5];
    SHA_LONG sha256[8];
    SHA_LONG64 sha512[8];
    MD5_LONG md5[4];
};

#define KB_MAX_MAC_KEY_LEN 64 /* where a provider computes */

struct kb_hmac_key {
    enum kb_hash hash;
    uint32_t secret_len;
    union {
        struct {
            union kb_chaining inner, outer;
        };
        uint8_t secret[KB_MAX_MAC_KEY_LEN]; /* where a provider computes: the key itself */
    };
};

struct kb_hmac {
    const struct kb_hmac_key *key;
    union {
        union kb_hash_state state;
        struct {
            void *ctx; /* the provider's; NULL: it failed */
        } provided;
    };
};

size_t kb_digest_len(enum kb_hash hash);
size_t kb_hash_block_len(enum kb_hash hash);

/* kb_hash writes the plain digest of the concatenated parts. In the provider's modes only
 * SHA-1, which alone is hashed plainly there. */
KB_MUST_USE enum kb_status kb_hash(enum kb_hash hash, const kb_bytes *parts, size_t num_parts,
                                   uint8_t *out);

void kb_hmac_key_init(struct kb_hmac_key *key, enum kb_hash hash, kb_bytes secret);

void kb_hmac_begin(struct kb_hmac *mac, const struct kb_hmac_key *key);
void kb_hmac_add(struct kb_hmac *mac, const void *data, size_t len);

/* kb_hmac_end writes the whole digest and wipes `mac`. On failure, of whichever call, `out` is
 * zero.
 */
KB_MUST_USE enum kb_status kb_hmac_end(struct kb_hmac *mac, uint8_t out[KB_MAX_DIGEST_LEN]);

/* kb_hmac_parts does the three over the concatenated parts. */
KB_MUST_USE enum kb_status kb_hmac_parts(const struct kb_hmac_key *key, const kb_bytes *parts,
                                         size_t num_parts, uint8_t out[KB_MAX_DIGEST_LEN]);

/* kb_pbkdf2 is RFC 8018 5.2 with the HMAC of a SHA; iterations from 1 up to 2^32. */
KB_MUST_USE enum kb_status kb_pbkdf2(enum kb_hash hash, kb_bytes password,
                                     const kb_bytes *salt_parts, size_t num_parts,
                                     uint64_t iterations, uint8_t *out, size_t out_len);

#endif
