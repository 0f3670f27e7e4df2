/* family.h - what differs from one family of enctypes to the next. Private to crypto/.
 *
 * A family derives, and says in which order a message is ciphered and hashed; the walking over
 * messages (crypto/message.c) is common. OpenSSL is loaded before any of this is called. */
#ifndef KB_FAMILY_H
#define KB_FAMILY_H

#include "crypto/ciphers.h"
#include "crypto/cmac.h"
#include "crypto/enctype.h"
#include "crypto/hmac.h"
#include "crypto/key.h"

struct kb_streams;

/* What a key derives for one usage: Ke and Ki to seal messages, or Kc for checksums. */
enum kb_purpose { KB_TO_SEAL, KB_TO_SUM };

struct kb_derived {
    struct kb_derived *next; /* constant once it is in the key's list */
    uint32_t usage;
    enum kb_purpose purpose;
    struct kb_ciphers ciphers[2]; /* [encrypts] */
    uint8_t ke[KB_MAX_KEY_LEN];
    union { /* of Ki or Kc */
        struct kb_hmac_key mac;
        struct { /* of a family with CMAC, whose contexts are kept too; raw: for further ones */
            struct kb_ciphers ciphers;
            struct kb_cmac_key key;
            uint8_t raw[KB_MAX_KEY_LEN];
        } cmac;
    };
};

struct kb_enctype_ops {
    enum kb_hash hash;
    enum kb_block_cipher cipher;
    bool cmac;          /* RFC 6803: the MAC is CMAC; else HMAC */
    bool mac_of_cipher; /* RFC 8009: the MAC is over the ciphertext; else over the plaintext */
    bool mac_inside;    /* RFC 3961 6.2: the tag is ciphered, and padded, with the plaintext */
    uint16_t prf_len;
    /* Fills ke (KB_TO_SEAL only) and mac or cmac of `out`, whose usage and purpose are set. */
    enum kb_status (*derive)(const struct kb_enctype *enctype, const uint8_t *key,
                             struct kb_derived *out);
    enum kb_status (*prf)(const struct kb_enctype *enctype, const uint8_t *key,
                          const kb_bytes *parts, size_t num_parts, uint8_t *out);
    enum kb_status (*string_to_key)(const struct kb_enctype *enctype, kb_bytes password,
                                    kb_bytes salt, uint64_t iterations, uint8_t *out);
    /* Only of families that are not "confounder, ciphertext stealing, MAC" (crypto/message.c); else
     * NULL, and then derive is there. Contracts are those of kb_encrypt, kb_decrypt and
     * kb_checksum_pieces; OpenSSL is loaded, `out` of `seal` does not overlap `plain` unless plain
     * is already where it belongs in it (behind the confounder). */
    enum kb_status (*seal)(struct kb_key *key, uint32_t usage, const struct kb_rng *rng,
                           kb_bytes plain, uint8_t *out);
    enum kb_status (*open)(struct kb_key *key, uint32_t usage, kb_bytes cipher, uint8_t *out,
                           size_t *out_len);
    enum kb_status (*sum)(struct kb_key *key, uint32_t usage, const struct kb_piece *pieces,
                          size_t num, uint8_t *out);
    /* Makes a key of random bytes (parity, weak keys); NULL: they are one. */
    void (*fix_key)(uint8_t *key);
    /* Tells bytes that are not accepted as a key; NULL: all are. */
    bool (*is_weak)(const uint8_t *key);
};

extern const struct kb_enctype_ops kb_aes_sha1, kb_aes128_sha2, kb_aes256_sha2, kb_camellia, kb_des,
    kb_des3, kb_rc4;

/* kb_key_derived is what the key derives for a usage, made once and kept with it (crypto/key.c). */
KB_MUST_USE enum kb_status kb_key_derived(struct kb_key *key, uint32_t usage,
                                          enum kb_purpose purpose, struct kb_derived **out);

/* kb_key_streams lends the pool of contexts that is kept with the key. KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_key_streams(struct kb_key *key, struct kb_streams **out);

/* kb_rc4_sum is the checksum of RFC 4757 4 under Ksign, 16 bytes. KB_TOO_BIG: more pieces than
 * anybody has. */
KB_MUST_USE enum kb_status kb_rc4_sum(const struct kb_hmac_key *sign, uint32_t usage,
                                      const struct kb_piece *pieces, size_t num, uint8_t *out);

/* kb_aes_sha1_dk is DK of RFC 3961 5.1 with AES: writes key_len bytes. */
KB_MUST_USE enum kb_status kb_aes_sha1_dk(kb_bytes key, kb_bytes constant, uint8_t *out);

/* kb_aes_sha2_kdf is KDF-HMAC-SHA2 of RFC 8009 3 without a context; at most a digest. */
KB_MUST_USE enum kb_status kb_aes_sha2_kdf(enum kb_hash hash, kb_bytes key, kb_bytes label,
                                           uint8_t *out, size_t out_len);

/* kb_camellia_kdf is KDF-FEEDBACK-CMAC of RFC 6803 3: writes key_len bytes. */
KB_MUST_USE enum kb_status kb_camellia_kdf(const struct kb_enctype *enctype, const uint8_t *key,
                                           kb_bytes constant, uint8_t *out);

/* kb_des3_random_to_key makes a key of 168 bits, kb_des3_dk derives one: RFC 3961 6.3.1, 5.1. Keys
 * are 24 bytes. */
#define KB_DES3_SEED_LEN 21
void kb_des3_random_to_key(const uint8_t seed[KB_DES3_SEED_LEN], uint8_t *key);
KB_MUST_USE enum kb_status kb_des3_dk(const uint8_t *key, kb_bytes constant, uint8_t *out);

#endif
