/* ciphers.h - the contexts of one key in one direction that are kept: as many threads as there are
 * places cipher at once without making one.
 *
 * A context stays in its place and is locked while a thread uses it. So what several threads read
 * is written only when a context is made, and what a thread writes is in the context that it mostly
 * gets again: its search begins at a place of its own (crypto/affinity.h). Taking contexts out and
 * putting them back would move the places from one core to the other twice a message, which costs
 * as much as a small message does.
 *
 * All-zero memory is an empty one. Any thread; a child after a fork does without what was locked.
 */
#ifndef KB_CIPHERS_H
#define KB_CIPHERS_H

#include "crypto/cipher.h"

#define KB_MAX_CIPHERS 4

struct kb_ciphers {
    _Atomic(struct kb_cipher *) places[KB_MAX_CIPHERS]; /* filled at need, emptied by wipe */
};

/* kb_ciphers_take gives a context that nobody else uses, a new one only where all are in use. NULL:
 * memory is short (or OpenSSL refuses). */
struct kb_cipher *kb_ciphers_take(struct kb_ciphers *ciphers, enum kb_block_cipher which,
                                  kb_bytes key, bool encrypts);

/* kb_ciphers_give_back ends the use; after a failure (`st`) the context is keyed anew. NULL is
 * accepted. */
void kb_ciphers_give_back(struct kb_cipher *cipher, kb_bytes key, enum kb_status st);

/* kb_ciphers_keep fills a place with a context that was made elsewhere; nobody else knows `ciphers`
 * yet. */
void kb_ciphers_keep(struct kb_ciphers *ciphers, struct kb_cipher *cipher);

/* kb_ciphers_wipe frees all; nobody uses one any more. */
void kb_ciphers_wipe(struct kb_ciphers *ciphers);

#endif
