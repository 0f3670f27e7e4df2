/* arena.h - the memory of one exchange: allocated piece by piece, wiped and released whole.
 *
 * Decoded lists, encoded messages and decrypted parts live here, so no type needs a free function
 * and no path can forget a secret. The first block may be the caller's (its stack), so that a warm
 * login needs no heap at all. The ceiling is what hostile input can make us use.
 * One thread at a time. Sizes in bytes. */
#ifndef KB_ARENA_H
#define KB_ARENA_H

#include "asn1/bytes.h"
#include "asn1/status.h"

struct kb_arena {
    /* private */
    struct kb_arena_block *blocks; /* heap blocks, newest first */
    uint8_t *first;                /* the caller's block */
    size_t first_len;
    uint8_t *next; /* in the current block */
    size_t left;
    size_t total; /* handed out from the heap so far */
    bool hidden;
    size_t ceiling; /* of total */
};

/* kb_arena_init starts an arena over `first` (may be NULL with 0), which the caller keeps alive
 * until kb_arena_wipe. `ceiling` bounds what it takes from the heap. */
void kb_arena_init(struct kb_arena *arena, void *first, size_t first_len, size_t ceiling);

/* kb_arena_hide keeps all that the arena will take out of core dumps, where the system can: in
 * pages of its own, so not for what lives but a moment. */
void kb_arena_hide(struct kb_arena *arena);

/* kb_arena_alloc returns `size` zeroed bytes aligned for any type (of size 0: a valid pointer),
 * or NULL when memory is short or the ceiling is reached. */
KB_MUST_USE void *kb_arena_alloc(struct kb_arena *arena, size_t size);

/* kb_arena_status says why kb_arena_alloc of `size` gave NULL: KB_TOO_BIG at the ceiling, else
 * KB_NO_MEMORY. */
enum kb_status kb_arena_status(const struct kb_arena *arena, size_t size);

/* kb_arena_copy copies `bytes` into the arena; on failure the result's ptr is NULL. A copy of
 * nothing has a ptr that is not NULL. */
KB_MUST_USE kb_bytes kb_arena_copy(struct kb_arena *arena, kb_bytes bytes);

/* For a writer that learns its length by writing: kb_arena_room lends what is free in the current
 * block, aligned (NULL with 0 if there is none); kb_arena_take then makes its first `len` bytes the
 * arena's. What was written behind them is the caller's to wipe. */
uint8_t *kb_arena_room(struct kb_arena *arena, size_t *out_len);
void kb_arena_take(struct kb_arena *arena, size_t len);

/* kb_arena_wipe overwrites all that was handed out and frees the heap blocks. The arena is then
 * empty and may be used again, without the caller's first block. An all-zero arena is accepted. */
void kb_arena_wipe(struct kb_arena *arena);

#endif
