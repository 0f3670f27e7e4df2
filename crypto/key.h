/* key.h - keys, and all that is done with one: RFC 3961 encryption, checksum and PRF functions.
 *
 * A kb_key is counted and may be used by several threads at once. It keeps its raw bytes in memory
 * that is wiped on release and kept out of core dumps where the system can, and what it derives
 * for a key usage is kept with it, so the second message pays no derivation. OpenSSL contexts are
 * made at the first use in their direction (a raw key is small, they are not).
 * Making a key loads no OpenSSL; the first use does (crypto/provider.h).
 *
 * Key usage numbers are RFC 4120 7.5.1's and RFC 4121 2's. Lengths are bytes. */
#ifndef KB_KEY_H
#define KB_KEY_H

#include "asn1/bytes.h"
#include "asn1/status.h"
#include "crypto/enctype.h"
#include "crypto/random.h"

struct kb_key;

/* RFC 4120 7.5.1, RFC 4121 2 */
enum kb_usage {
    KB_USAGE_PA_ENC_TIMESTAMP = 1,
    KB_USAGE_TICKET = 2,
    KB_USAGE_AS_REP = 3,
    KB_USAGE_TGS_REQ_CHECKSUM = 6,
    KB_USAGE_TGS_REQ_AUTHENTICATOR = 7,
    KB_USAGE_TGS_REP_SESSION = 8,
    KB_USAGE_TGS_REP_SUBKEY = 9,
    KB_USAGE_AP_REQ_CHECKSUM = 10,
    KB_USAGE_AP_REQ_AUTHENTICATOR = 11,
    KB_USAGE_AP_REP = 12,
    KB_USAGE_KRB_CRED = 14,
    KB_USAGE_ACCEPTOR_SEAL = 22,
    KB_USAGE_ACCEPTOR_SIGN = 23,
    KB_USAGE_INITIATOR_SEAL = 24,
    KB_USAGE_INITIATOR_SIGN = 25,
    KB_USAGE_AS_REQ_CHECKSUM = 56, /* PA-REQ-ENC-PA-REP, RFC 6806 11 */
};

/* kb_key_new copies `raw`. KB_NO_ENCTYPE, KB_BAD_KEY (its length, or a weak key of DES),
 * KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_key_new(int32_t etype, kb_bytes raw, struct kb_key **out);

/* kb_key_random draws a new key (RFC 3961 random-to-key). */
KB_MUST_USE enum kb_status kb_key_random(int32_t etype, const struct kb_rng *rng,
                                         struct kb_key **out);

struct kb_key *kb_key_ref(struct kb_key *key);

/* kb_key_free drops one reference; the last wipes. NULL is accepted. */
void kb_key_free(struct kb_key *key);

const struct kb_enctype *kb_key_enctype(const struct kb_key *key);

/* kb_key_bytes lends the raw key, as long as the key lives. Not to be printed. */
kb_bytes kb_key_bytes(const struct kb_key *key);

/* kb_encrypted_len is the length of the ciphertext of `plain_len` bytes. */
size_t kb_encrypted_len(const struct kb_key *key, size_t plain_len);

/* kb_encrypt writes kb_encrypted_len(key, plain.len) bytes to `out`: confounder, plaintext, MAC. */
KB_MUST_USE enum kb_status kb_encrypt(struct kb_key *key, uint32_t usage, const struct kb_rng *rng,
                                      kb_bytes plain, uint8_t *out);

/* kb_decrypt verifies, then writes the plaintext to `out`, which has room for cipher.len bytes and
 * may be cipher.ptr itself. KB_BAD_INTEGRITY: `out` is zeroed. RFC 3961 cannot tell padding from
 * data: the length is what the enctype makes of it. */
KB_MUST_USE enum kb_status kb_decrypt(struct kb_key *key, uint32_t usage, kb_bytes cipher,
                                      uint8_t *out, size_t *out_len);

/* A gather list, for per-message tokens (RFC 4121). KB_PIECE_DATA is ciphered: in place, or out of
 * `from`, which then is only read and does not overlap `ptr`. KB_PIECE_SIGN is only read (`ptr`, or
 * `from` where that is set) and covered by the MAC. */
struct kb_piece {
    enum kb_piece_kind { KB_PIECE_DATA, KB_PIECE_SIGN } kind;
    uint8_t *ptr;
    size_t len;
    const uint8_t *from; /* NULL: ptr */
};

/* kb_piece_data is ciphered in place, kb_piece_from out of `from`, kb_piece_sign only covered. */
static inline struct kb_piece kb_piece_data(uint8_t *ptr, size_t len)
{
    return (struct kb_piece){.kind = KB_PIECE_DATA, .ptr = ptr, .len = len};
}

static inline struct kb_piece kb_piece_from(kb_bytes from, uint8_t *ptr)
{
    return (struct kb_piece){.kind = KB_PIECE_DATA, .ptr = ptr, .len = from.len, .from = from.ptr};
}

static inline struct kb_piece kb_piece_sign(kb_bytes bytes)
{
    return (struct kb_piece){.kind = KB_PIECE_SIGN, .len = bytes.len, .from = bytes.ptr};
}

/* kb_piece_source is where a piece's bytes are read. */
static inline const uint8_t *kb_piece_source(const struct kb_piece *piece)
{
    return piece->from != NULL ? piece->from : piece->ptr;
}

/* kb_encrypt_pieces fills `confounder` (confounder_len bytes; drawn from rng and encrypted there),
 * encrypts the DATA pieces and writes `mac` (mac_len bytes). */
KB_MUST_USE enum kb_status kb_encrypt_pieces(struct kb_key *key, uint32_t usage,
                                             const struct kb_rng *rng, uint8_t *confounder,
                                             struct kb_piece *pieces, size_t num, uint8_t *mac);

/* kb_decrypt_pieces is the inverse; the confounder is deciphered in place. On failure `ptr` of the
 * DATA pieces holds nothing of use. */
KB_MUST_USE enum kb_status kb_decrypt_pieces(struct kb_key *key, uint32_t usage,
                                             uint8_t *confounder, struct kb_piece *pieces,
                                             size_t num, const uint8_t *mac);

/* kb_checksum_pieces writes the enctype's required checksum (kb_checksum_len of its cksumtype:
 * crypto/checksum.h) over all pieces, of either kind, in their order. */
KB_MUST_USE enum kb_status kb_checksum_pieces(struct kb_key *key, uint32_t usage,
                                              const struct kb_piece *pieces, size_t num,
                                              uint8_t *out);

KB_MUST_USE enum kb_status kb_checksum_make(struct kb_key *key, uint32_t usage, kb_bytes data,
                                            uint8_t *out);

/* kb_checksum_verify takes the enctype's required checksum, or another keyed one that is made for
 * keys of this kind; never an unkeyed one. It compares in constant time; KB_BAD_INTEGRITY,
 * KB_NO_ENCTYPE (cksumtype is not one of these). */
KB_MUST_USE enum kb_status kb_checksum_verify(struct kb_key *key, uint32_t usage, int32_t cksumtype,
                                              kb_bytes data, kb_bytes checksum);

/* kb_prf is RFC 3961's pseudo-random function; writes kb_prf_len(key) bytes. */
size_t kb_prf_len(const struct kb_key *key);
KB_MUST_USE enum kb_status kb_prf(struct kb_key *key, kb_bytes input, uint8_t *out);

/* kb_prf_plus writes `out_len` bytes of PRF+ (RFC 6113 5.1; for GSS: RFC 4402 with the counter as
 * `KB_PRF_GSS`). */
enum kb_prf_plus_kind { KB_PRF_PLUS, KB_PRF_GSS };
KB_MUST_USE enum kb_status kb_prf_plus(struct kb_key *key, enum kb_prf_plus_kind kind,
                                       kb_bytes input, uint8_t *out, size_t out_len);

#endif
