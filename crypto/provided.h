/* provided.h - HMAC, PBKDF2 and plain hashes as a provider of the system's choice, or the FIPS
 * provider, computes them. Private to crypto/hmac.c, which calls these where kb_ssl()->provided.
 *
 * A computation takes a context from the provider's heap, so it can fail: kb_hmac_end says it. */
#ifndef KB_PROVIDED_H
#define KB_PROVIDED_H

#include "crypto/hmac.h"

KB_MUST_USE enum kb_status kb_provided_hash(enum kb_hash hash, const kb_bytes *parts,
                                            size_t num_parts, uint8_t *out);

/* A secret longer than KB_MAX_MAC_KEY_LEN, which no key of Kerberos is, makes every MAC fail. */
void kb_provided_hmac_key(struct kb_hmac_key *key, kb_bytes secret);
void kb_provided_hmac_begin(struct kb_hmac *mac);
void kb_provided_hmac_add(struct kb_hmac *mac, const void *data, size_t len);
KB_MUST_USE enum kb_status kb_provided_hmac_end(struct kb_hmac *mac,
                                                uint8_t out[KB_MAX_DIGEST_LEN]);

KB_MUST_USE enum kb_status kb_provided_pbkdf2(enum kb_hash hash, kb_bytes password,
                                              const kb_bytes *salt_parts, size_t num_parts,
                                              uint64_t iterations, uint8_t *out, size_t out_len);

#endif
