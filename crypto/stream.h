/* stream.h - a raw cipher of OpenSSL, for enctypes and tokens that are not ciphertext stealing.
 *
 * A kb_stream is one context of the provider's, keyed for one direction. What it has ciphered
 * chains on: two calls are one longer message (CBC's last block, RC4's place in its key stream). To
 * begin anew is kb_stream_rekey, which takes nothing from the heap. One thread at a time per
 * kb_stream. */
#ifndef KB_STREAM_H
#define KB_STREAM_H

#include "asn1/bytes.h"
#include "asn1/status.h"
#include "crypto/primitive.h"

struct kb_stream;

/* kb_stream_new finds the primitive (kb_primitive_need) and keys a context. `iv` is one block of
 * the cipher, for RC4 (16 bytes of key) empty; `encrypts` means nothing for RC4. DES keys are used
 * as they are: neither parity nor weakness is looked at. KB_BAD_KEY: a key or IV of that length
 * does not fit. KB_NO_CRYPTO, KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_stream_new(enum kb_primitive which, kb_bytes key, kb_bytes iv,
                                         bool encrypts, struct kb_stream **out);

/* kb_stream_rekey starts anew in the same direction. An empty key keeps the one that it has, for a
 * new IV (a CBC's only). KB_BAD_KEY; KB_NO_CRYPTO: it is not to be used again. */
KB_MUST_USE enum kb_status kb_stream_rekey(struct kb_stream *stream, kb_bytes key, kb_bytes iv);

/* kb_stream_cipher ciphers `len` bytes to `out`, which may be `in` itself but not overlap it
 * otherwise. A CBC pads nothing: KB_MALFORMED where these are not whole blocks. KB_NO_CRYPTO. */
KB_MUST_USE enum kb_status kb_stream_cipher(struct kb_stream *stream, const uint8_t *in,
                                            uint8_t *out, size_t len);

/* kb_stream_free wipes; NULL is accepted. */
void kb_stream_free(struct kb_stream *stream);

#endif
