/* encpart.h - the encrypted parts of messages: RFC 4120 5.2.9.
 *
 * One step from EncryptedData to the DER beneath, for who decodes it. Any thread. */
#ifndef KB_ENCPART_H
#define KB_ENCPART_H

#include "asn1/arena.h"
#include "asn1/types.h"
#include "crypto/key.h"

/* kb_encpart_open decrypts `part` into the arena, as long as that lives. A cipher in whole blocks
 * (DES, DES3) cannot tell its padding from data (RFC 3961 3): what it left behind the value, always
 * less than a block, is cut off here, so that decoders can insist on the whole.
 * KB_NO_ENCTYPE: the key is of another enctype than the part says. KB_BAD_INTEGRITY, KB_NO_MEMORY,
 * KB_NO_CRYPTO. */
KB_MUST_USE enum kb_status kb_encpart_open(struct kb_key *key, uint32_t usage,
                                           const kb_encrypted_data *part, struct kb_arena *arena,
                                           kb_bytes *out);

#endif
