#include "crypto/key.h"

#include "crypto/message.h"
#include "crypto/secret.h"
#include "crypto/streams.h"

#include <stdlib.h>

/* 64 bytes with the raw key, until something is derived. */
struct kb_key {
    const struct kb_enctype *enctype;
    atomic_uint refs;
    _Atomic(struct kb_derived *) derived; /* only ever grows; freed with the key */
    _Atomic(struct kb_streams *) streams; /* NULL until they are needed; freed with the key */
    uint8_t raw[KB_MAX_KEY_LEN];
};

_Static_assert(sizeof(struct kb_key) <= 64, "a key is one KB_SECRET_64");
_Static_assert(sizeof(struct kb_derived) <= 256, "derived keys are one KB_SECRET_256");

/* --- the object --- */

static struct kb_key *key_alloc(const struct kb_enctype *enctype)
{
    struct kb_key *key = kb_secret_new(KB_SECRET_64);

    if (key != NULL) {
        key->enctype = enctype;
        atomic_init(&key->refs, 1);
    }
    return key;
}

enum kb_status kb_key_new(int32_t etype, kb_bytes raw, struct kb_key **out)
{
    const struct kb_enctype *enctype = kb_enctype_find(etype);

    *out = NULL;
    if (enctype == NULL) {
        return KB_NO_ENCTYPE;
    }
    if (raw.len != enctype->key_len ||
        (enctype->ops->is_weak != NULL && enctype->ops->is_weak(raw.ptr))) {
        return KB_BAD_KEY;
    }
    *out = key_alloc(enctype);
    if (*out == NULL) {
        return KB_NO_MEMORY;
    }
    memcpy((*out)->raw, raw.ptr, raw.len);
    return KB_OK;
}

/* RFC 3962 6, RFC 8009 5: random-to-key is the identity; where it is not, as many random bytes as a
 * key has are as good. */
enum kb_status kb_key_random(int32_t etype, const struct kb_rng *rng, struct kb_key **out)
{
    const struct kb_enctype *enctype = kb_enctype_find(etype);
    struct kb_key *key;
    enum kb_status st;

    *out = NULL;
    if (enctype == NULL) {
        return KB_NO_ENCTYPE;
    }
    key = key_alloc(enctype);
    if (key == NULL) {
        return KB_NO_MEMORY;
    }
    st = kb_random(rng, key->raw, enctype->key_len);
    if (st != KB_OK) {
        kb_key_free(key);
        return st;
    }
    if (enctype->ops->fix_key != NULL) {
        enctype->ops->fix_key(key->raw);
    }
    *out = key;
    return KB_OK;
}

struct kb_key *kb_key_ref(struct kb_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

static void derived_free(const struct kb_key *key, struct kb_derived *derived)
{
    if (key->enctype->ops->cmac) {
        kb_ciphers_wipe(&derived->cmac.ciphers);
    }
    kb_ciphers_wipe(&derived->ciphers[false]);
    kb_ciphers_wipe(&derived->ciphers[true]);
    kb_secret_free(KB_SECRET_256, derived);
}

static void streams_free(struct kb_streams *streams)
{
    if (streams != NULL) {
        kb_streams_wipe(streams);
        free(streams);
    }
}

void kb_key_free(struct kb_key *key)
{
    struct kb_derived *derived, *next;

    if (key == NULL || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (derived = atomic_load(&key->derived); derived != NULL; derived = next) {
        next = derived->next;
        derived_free(key, derived);
    }
    streams_free(atomic_load(&key->streams));
    kb_secret_free(KB_SECRET_64, key);
}

const struct kb_enctype *kb_key_enctype(const struct kb_key *key)
{
    return key->enctype;
}

kb_bytes kb_key_bytes(const struct kb_key *key)
{
    return kb_bytes_of(key->raw, key->enctype->key_len);
}

/* --- what is derived, and the contexts that are kept with it --- */

/* Looks from the newest down to `end`, which is not looked at. */
static struct kb_derived *look(struct kb_derived *from, const struct kb_derived *end,
                               uint32_t usage, enum kb_purpose purpose)
{
    while (from != end && (from->usage != usage || from->purpose != purpose)) {
        from = from->next;
    }
    return from != end ? from : NULL;
}

/* Publishes `fresh`, unless another thread was quicker: then it is freed for the other's. */
static struct kb_derived *publish(struct kb_key *key, struct kb_derived *fresh)
{
    struct kb_derived *seen = NULL, *head = atomic_load(&key->derived), *same;

    do {
        same = look(head, seen, fresh->usage, fresh->purpose);
        if (same != NULL) {
            derived_free(key, fresh);
            return same;
        }
        seen = head;
        fresh->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&key->derived, &head, fresh,
                                                    memory_order_release, memory_order_acquire));
    return fresh;
}

static enum kb_status derive(struct kb_key *key, uint32_t usage, enum kb_purpose purpose,
                             struct kb_derived **out)
{
    struct kb_derived *fresh;
    enum kb_status st = kb_provider_load();

    if (st != KB_OK) {
        return st;
    }
    fresh = kb_secret_new(KB_SECRET_256);
    if (fresh == NULL) {
        return KB_NO_MEMORY;
    }
    fresh->usage = usage;
    fresh->purpose = purpose;
    st = key->enctype->ops->derive(key->enctype, key->raw, fresh);
    if (st != KB_OK) {
        derived_free(key, fresh);
        return st;
    }
    *out = publish(key, fresh);
    return KB_OK;
}

enum kb_status kb_key_derived(struct kb_key *key, uint32_t usage, enum kb_purpose purpose,
                              struct kb_derived **out)
{
    *out = look(atomic_load_explicit(&key->derived, memory_order_acquire), NULL, usage, purpose);
    return *out != NULL ? KB_OK : derive(key, usage, purpose, out);
}

/* Where two threads make one, the slower frees its own. */
enum kb_status kb_key_streams(struct kb_key *key, struct kb_streams **out)
{
    struct kb_streams *none = NULL;

    *out = atomic_load_explicit(&key->streams, memory_order_acquire);
    if (*out != NULL) {
        return KB_OK;
    }
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return KB_NO_MEMORY;
    }
    if (!atomic_compare_exchange_strong_explicit(&key->streams, &none, *out, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        free(*out);
        *out = none;
    }
    return KB_OK;
}

static struct kb_cipher *take(const struct kb_key *key, struct kb_ciphers *ciphers,
                              const uint8_t *raw, bool encrypts)
{
    return kb_ciphers_take(ciphers, key->enctype->ops->cipher,
                           kb_bytes_of(raw, key->enctype->key_len), encrypts);
}

static void give_back(const struct kb_key *key, struct kb_cipher *cipher, const uint8_t *raw,
                      enum kb_status st)
{
    kb_ciphers_give_back(cipher, kb_bytes_of(raw, key->enctype->key_len), st);
}

/* The context of a CMAC; NULL: the MAC is an HMAC, which needs none, or memory is short. */
static struct kb_cipher *take_cmac(const struct kb_key *key, struct kb_derived *derived)
{
    return key->enctype->ops->cmac ? take(key, &derived->cmac.ciphers, derived->cmac.raw, true)
                                   : NULL;
}

static enum kb_status pass(struct kb_key *key, uint32_t usage, bool encrypts, uint8_t *confounder,
                           const struct kb_piece *pieces, size_t num,
                           uint8_t digest[KB_MAX_DIGEST_LEN])
{
    struct kb_message message = {
        .enctype = key->enctype, .confounder = confounder, .pieces = pieces, .num = num};
    struct kb_derived *derived;
    enum kb_status st;

    st = kb_key_derived(key, usage, KB_TO_SEAL, &derived);
    if (st != KB_OK) {
        return st;
    }
    message.keys = derived;
    message.cipher = take(key, &derived->ciphers[encrypts], derived->ke, encrypts);
    message.cmac = take_cmac(key, derived);
    st = message.cipher != NULL && (message.cmac != NULL || !key->enctype->ops->cmac)
             ? kb_message_pass(&message, digest)
             : KB_NO_MEMORY;
    give_back(key, message.cmac, derived->cmac.raw, st);
    give_back(key, message.cipher, derived->ke, st);
    return st;
}

/* --- messages --- */

enum kb_status kb_encrypt_pieces(struct kb_key *key, uint32_t usage, const struct kb_rng *rng,
                                 uint8_t *confounder, struct kb_piece *pieces, size_t num,
                                 uint8_t *mac)
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    enum kb_status st;

    st = kb_random(rng, confounder, key->enctype->confounder_len);
    if (st == KB_OK) {
        st = pass(key, usage, true, confounder, pieces, num, digest);
    }
    if (st == KB_OK) {
        memcpy(mac, digest, key->enctype->mac_len);
    }
    return st;
}

static void wipe_data(struct kb_piece *pieces, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        if (pieces[i].kind == KB_PIECE_DATA) {
            kb_wipe(pieces[i].ptr, pieces[i].len);
        }
    }
}

enum kb_status kb_decrypt_pieces(struct kb_key *key, uint32_t usage, uint8_t *confounder,
                                 struct kb_piece *pieces, size_t num, const uint8_t *mac)
{
    size_t mac_len = key->enctype->mac_len;
    uint8_t digest[KB_MAX_DIGEST_LEN];
    enum kb_status st;

    st = pass(key, usage, false, confounder, pieces, num, digest);
    if (st == KB_OK && !kb_equal_secret(kb_bytes_of(digest, mac_len), kb_bytes_of(mac, mac_len))) {
        st = KB_BAD_INTEGRITY;
    }
    if (st != KB_OK) {
        wipe_data(pieces, num);
    }
    kb_wipe(digest, sizeof(digest));
    return st;
}

size_t kb_encrypted_len(const struct kb_key *key, size_t plain_len)
{
    const struct kb_enctype *enctype = key->enctype;
    size_t inside = enctype->ops->mac_inside ? enctype->mac_len : 0;
    size_t len = enctype->confounder_len + inside + plain_len;

    return (len + enctype->pad - 1) / enctype->pad * enctype->pad + enctype->mac_len - inside;
}

enum kb_status kb_encrypt(struct kb_key *key, uint32_t usage, const struct kb_rng *rng,
                          kb_bytes plain, uint8_t *out)
{
    uint8_t *data = out + key->enctype->confounder_len;
    struct kb_piece piece = kb_piece_data(data, plain.len);
    enum kb_status st;

    if (key->enctype->ops->seal != NULL) {
        st = kb_provider_load();
        return st == KB_OK ? key->enctype->ops->seal(key, usage, rng, plain, out) : st;
    }
    if (plain.len > 0) {
        memmove(data, plain.ptr, plain.len);
    }
    return kb_encrypt_pieces(key, usage, rng, out, &piece, 1, data + plain.len);
}

/* Deciphered where the confounder is in front, then moved over it. */
enum kb_status kb_decrypt(struct kb_key *key, uint32_t usage, kb_bytes cipher, uint8_t *out,
                          size_t *out_len)
{
    size_t confounder_len = key->enctype->confounder_len, mac_len = key->enctype->mac_len;
    struct kb_piece piece = kb_piece_data(out + confounder_len, 0);
    enum kb_status st;

    *out_len = 0;
    if (key->enctype->ops->open != NULL) {
        st = kb_provider_load();
        return st == KB_OK ? key->enctype->ops->open(key, usage, cipher, out, out_len) : st;
    }
    if (cipher.len < confounder_len + mac_len) {
        if (cipher.len > 0 && out != cipher.ptr) {
            memset(out, 0, cipher.len);
        }
        return KB_BAD_INTEGRITY;
    }
    memmove(out, cipher.ptr, cipher.len);
    piece.len = cipher.len - confounder_len - mac_len;
    st = kb_decrypt_pieces(key, usage, out, &piece, 1, out + cipher.len - mac_len);
    if (st != KB_OK) {
        kb_wipe(out, cipher.len);
        return st;
    }
    memmove(out, piece.ptr, piece.len);
    kb_wipe(out + piece.len, cipher.len - piece.len);
    *out_len = piece.len;
    return KB_OK;
}

enum kb_status kb_checksum_pieces(struct kb_key *key, uint32_t usage, const struct kb_piece *pieces,
                                  size_t num, uint8_t *out)
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_derived *derived;
    struct kb_cipher *cmac;
    enum kb_status st;

    if (key->enctype->ops->sum != NULL) {
        st = kb_provider_load();
        return st == KB_OK ? key->enctype->ops->sum(key, usage, pieces, num, out) : st;
    }
    st = kb_key_derived(key, usage, KB_TO_SUM, &derived);
    if (st != KB_OK) {
        return st;
    }
    cmac = take_cmac(key, derived);
    st = cmac != NULL || !key->enctype->ops->cmac
             ? kb_message_sum(derived, cmac, pieces, num, digest)
             : KB_NO_MEMORY;
    give_back(key, cmac, derived->cmac.raw, st);
    if (st == KB_OK) {
        memcpy(out, digest, key->enctype->mac_len);
    }
    kb_wipe(digest, sizeof(digest));
    return st;
}

enum kb_status kb_checksum_make(struct kb_key *key, uint32_t usage, kb_bytes data, uint8_t *out)
{
    struct kb_piece piece = kb_piece_sign(data);

    return kb_checksum_pieces(key, usage, &piece, 1, out);
}
