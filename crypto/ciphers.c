#include "crypto/ciphers.h"

#include "crypto/affinity.h"

/* A look before the exchange: that takes the cache line away from who uses it. */
static bool lock(struct kb_cipher *cipher)
{
    return !atomic_load_explicit(&cipher->busy, memory_order_relaxed) &&
           !atomic_exchange_explicit(&cipher->busy, true, memory_order_acquire);
}

static void unlock(struct kb_cipher *cipher)
{
    atomic_store_explicit(&cipher->busy, false, memory_order_release);
}

/* Into an empty place, this thread's own if it can be. One for which there is none is freed after
 * its use. */
static void keep(struct kb_ciphers *ciphers, struct kb_cipher *cipher, unsigned own)
{
    for (unsigned i = 0; i < KB_MAX_CIPHERS && !cipher->kept; i++) {
        struct kb_cipher *none = NULL;

        cipher->kept = atomic_compare_exchange_strong_explicit(
            &ciphers->places[(own + i) % KB_MAX_CIPHERS], &none, cipher, memory_order_release,
            memory_order_relaxed);
    }
}

struct kb_cipher *kb_ciphers_take(struct kb_ciphers *ciphers, enum kb_block_cipher which,
                                  kb_bytes key, bool encrypts)
{
    unsigned own = kb_thread_number();
    struct kb_cipher *cipher;

    for (unsigned i = 0; i < KB_MAX_CIPHERS; i++) {
        cipher = atomic_load_explicit(&ciphers->places[(own + i) % KB_MAX_CIPHERS],
                                      memory_order_acquire);
        if (cipher != NULL && lock(cipher)) {
            return cipher;
        }
    }
    cipher = kb_cipher_new(which, key, encrypts);
    if (cipher != NULL) {
        atomic_init(&cipher->busy, true);
        keep(ciphers, cipher, own);
    }
    return cipher;
}

void kb_ciphers_give_back(struct kb_cipher *cipher, kb_bytes key, enum kb_status st)
{
    if (cipher != NULL && !cipher->kept) {
        kb_cipher_free(cipher);
    } else if (cipher != NULL && (st == KB_OK || kb_cipher_rekey(cipher, key))) {
        unlock(cipher);
    }
    /* One that cannot be keyed any more stays locked, until it is freed with its key. */
}

void kb_ciphers_keep(struct kb_ciphers *ciphers, struct kb_cipher *cipher)
{
    keep(ciphers, cipher, 0);
}

void kb_ciphers_wipe(struct kb_ciphers *ciphers)
{
    for (unsigned i = 0; i < KB_MAX_CIPHERS; i++) {
        kb_cipher_free(atomic_load_explicit(&ciphers->places[i], memory_order_relaxed));
        atomic_store_explicit(&ciphers->places[i], NULL, memory_order_relaxed);
    }
}
