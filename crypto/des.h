/* des.h - what of single DES others than its enctypes need: RFC 3961 6.2. Private to crypto/.
 *
 * OpenSSL is loaded before; DES itself, and MD4, are looked for when they are needed (KB_NO_CRYPTO:
 * crypto/primitive.h). */
#ifndef KB_DES_H
#define KB_DES_H

#include "crypto/key.h"

#define KB_DES_BLOCK 8
#define KB_DES_SUM_LEN 24

enum kb_des_hash { KB_DES_CRC, KB_DES_MD4, KB_DES_MD5 };

/* kb_des_is_weak tells a weak or semi-weak key, whatever its parity bits. */
bool kb_des_is_weak(const uint8_t *key);

/* kb_des_fix makes a key of any eight bytes: odd parity, and a weak one becomes another. */
void kb_des_fix(uint8_t *key);

/* kb_des_sum is rsa-md4-des or rsa-md5-des. It has a confounder, of the system's randomness: two
 * over the same data differ, and to verify one is not to make it again. KB_TOO_BIG: more pieces
 * than anybody has. */
KB_MUST_USE enum kb_status kb_des_sum(struct kb_key *key, enum kb_des_hash hash,
                                      const struct kb_piece *pieces, size_t num,
                                      uint8_t out[KB_DES_SUM_LEN]);

/* kb_des_verify: KB_BAD_INTEGRITY. */
KB_MUST_USE enum kb_status kb_des_verify(struct kb_key *key, enum kb_des_hash hash, kb_bytes data,
                                         kb_bytes sum);

#endif
