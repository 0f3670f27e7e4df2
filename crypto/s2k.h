/* s2k.h - a key out of a password: RFC 3962 4, RFC 8009 4; of old enctypes RFC 4757 2 and
 * RFC 3961 6.2.
 *
 * Slow on purpose (3 ms and more): never called with a lock held. The bounds on PBKDF2 rounds are
 * the caller's policy; a KDC that asks for more could make us burn CPU, for less, weaken the
 * password. Any thread at any time. */
#ifndef KB_S2K_H
#define KB_S2K_H

#include "crypto/key.h"

/* kb_s2k_iterations reads s2kparams (empty: the enctype's default; RFC 3962: 0 means 2^32).
 * KB_BAD_PARAMS when it is not four bytes. An old enctype has no rounds (0 comes out) and takes no
 * parameters: empty, or for DES the one octet 0 (RFC 3961 6.2); its 1, AFS's way, is not done. */
KB_MUST_USE enum kb_status kb_s2k_iterations(const struct kb_enctype *enctype, kb_bytes s2kparams,
                                             uint64_t *out);

/* kb_string_to_key derives the long-term key of `password` (UTF-8 octets, no NUL at the end).
 * The caller has compared kb_s2k_iterations with its bounds. KB_NO_ENCTYPE, KB_BAD_PARAMS,
 * KB_NO_CRYPTO, KB_NO_MEMORY; KB_BAD_TEXT: rc4-hmac needs the password's characters, and it is not
 * UTF-8. */
KB_MUST_USE enum kb_status kb_string_to_key(int32_t etype, kb_bytes password, kb_bytes salt,
                                            kb_bytes s2kparams, struct kb_key **out);

#endif
