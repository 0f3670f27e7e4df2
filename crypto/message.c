#include "crypto/message.h"

#define STEP ((size_t)8192) /* bytes between two looks at the other pass */

/* --- HMAC or CMAC --- */

static void mac_begin(struct kb_mac *mac, const struct kb_derived *keys, struct kb_cipher *cmac)
{
    mac->is_cmac = cmac != NULL;
    if (mac->is_cmac) {
        kb_cmac_begin(&mac->cmac, &keys->cmac.key, cmac);
    } else {
        kb_hmac_begin(&mac->hmac, &keys->mac);
    }
}

static inline void mac_add(struct kb_mac *mac, const void *data, size_t len)
{
    if (mac->is_cmac) {
        kb_cmac_add(&mac->cmac, data, len);
    } else {
        kb_hmac_add(&mac->hmac, data, len);
    }
}

static enum kb_status mac_end(struct kb_mac *mac, uint8_t digest[KB_MAX_DIGEST_LEN])
{
    return mac->is_cmac ? kb_cmac_end(&mac->cmac, digest) : kb_hmac_end(&mac->hmac, digest);
}

/* --- messages --- */

/* The walk of the MAC: all pieces in their order. */
struct hash_walk {
    bool source; /* of DATA the bytes that are read, else those that are written */
    struct kb_mac mac;
    const struct kb_piece *next, *end;
    const uint8_t *confounder; /* NULL once it is hashed */
    size_t offset;             /* in *next */
    size_t done;               /* bytes of DATA, the confounder included */
};

static const uint8_t *side(const struct hash_walk *walk, const struct kb_piece *piece)
{
    return walk->source || piece->kind == KB_PIECE_SIGN ? kb_piece_source(piece) : piece->ptr;
}

/* Hashes up to byte `limit` of the DATA, and the SIGN pieces on the way. */
static void hash_to(struct hash_walk *walk, size_t limit)
{
    if (walk->confounder != NULL) {
        mac_add(&walk->mac, walk->confounder, KB_BLOCK);
        walk->confounder = NULL;
        walk->done = KB_BLOCK;
    }
    while (walk->next < walk->end) {
        const struct kb_piece *piece = walk->next;
        size_t n = piece->len - walk->offset;

        if (piece->kind == KB_PIECE_DATA) {
            n = n < limit - walk->done ? n : limit - walk->done;
            walk->done += n;
        }
        if (n > 0) {
            mac_add(&walk->mac, side(walk, piece) + walk->offset, n);
        }
        walk->offset += n;
        if (walk->offset < piece->len) {
            return;
        }
        walk->offset = 0;
        walk->next++;
    }
}

/* RFC 8009 5.2: the MAC starts with the IV, which is zero. */
static void hash_begin(struct hash_walk *walk, const struct kb_message *message, bool source)
{
    static const uint8_t iv[KB_BLOCK];

    walk->source = source;
    walk->next = message->pieces;
    walk->end = message->pieces + message->num;
    walk->confounder = message->confounder;
    walk->offset = 0;
    walk->done = 0;
    mac_begin(&walk->mac, message->keys, message->cmac);
    if (message->enctype->ops->mac_of_cipher) {
        mac_add(&walk->mac, iv, sizeof(iv));
    }
}

/* The side whose bytes are hashed decides who goes first: what is about to be overwritten must have
 * been hashed, what is yet to be made must have been ciphered. */
enum kb_status kb_message_pass(const struct kb_message *message, uint8_t digest[KB_MAX_DIGEST_LEN])
{
    bool hash_first = message->cipher->encrypts != message->enctype->ops->mac_of_cipher;
    struct hash_walk hash;
    struct kb_cts cts;
    enum kb_status st = KB_OK, summed;

    kb_cts_init(&cts, message->cipher, message->confounder, message->pieces, message->num);
    hash_begin(&hash, message, hash_first);
    while (st == KB_OK && cts.done < cts.bulk) {
        size_t limit = cts.bulk - cts.done < STEP ? cts.bulk : cts.done + STEP;

        if (hash_first) {
            hash_to(&hash, limit);
        }
        st = kb_cts_to(&cts, limit);
        if (!hash_first) {
            hash_to(&hash, limit);
        }
    }
    if (hash_first) {
        hash_to(&hash, SIZE_MAX);
    }
    if (st == KB_OK) {
        st = kb_cts_end(&cts);
    }
    if (!hash_first) {
        hash_to(&hash, SIZE_MAX);
    }
    summed = mac_end(&hash.mac, digest);
    return st != KB_OK ? st : summed;
}

enum kb_status kb_message_sum(const struct kb_derived *keys, struct kb_cipher *cmac,
                              const struct kb_piece *pieces, size_t num,
                              uint8_t digest[KB_MAX_DIGEST_LEN])
{
    struct kb_mac mac;

    mac_begin(&mac, keys, cmac);
    for (size_t i = 0; i < num; i++) {
        if (pieces[i].len > 0) {
            mac_add(&mac, kb_piece_source(&pieces[i]), pieces[i].len);
        }
    }
    return mac_end(&mac, digest);
}
