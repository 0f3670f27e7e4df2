#include "asn1/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ALIGNMENT alignof(max_align_t)
#define BLOCK_LEN 4096
#define PAGES_LEN 8192

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer)
#define FROM_HEAP
#endif
#endif
#ifdef __SANITIZE_ADDRESS__ /* gcc */
#define FROM_HEAP
#endif

struct kb_arena_block {
    struct kb_arena_block *older;
    size_t len; /* of data */
    alignas(max_align_t) uint8_t data[];
};

void kb_arena_init(struct kb_arena *arena, void *first, size_t first_len, size_t ceiling)
{
    *arena = (struct kb_arena){.first = first,
                               .first_len = first_len,
                               .next = first,
                               .left = first_len,
                               .ceiling = ceiling};
}

void kb_arena_hide(struct kb_arena *arena)
{
#ifndef FROM_HEAP /* leaks and overruns show there */
    arena->hidden = true;
#else
    (void)arena;
#endif
}

static struct kb_arena_block *take_pages(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(pages, size, MADV_DONTDUMP);
    return pages;
}

static void give_back(const struct kb_arena *arena, struct kb_arena_block *block)
{
    size_t size = sizeof(*block) + block->len;

    if (arena->hidden) {
        kb_wipe(block, size);
        munmap(block, size);
    } else {
        kb_free_secret(block, size);
    }
}

static bool add_block(struct kb_arena *arena, size_t need)
{
    size_t least = arena->hidden ? PAGES_LEN - sizeof(struct kb_arena_block) : BLOCK_LEN;
    size_t len = need > least ? need : least;
    struct kb_arena_block *block;

    if (len > arena->ceiling - arena->total) {
        len = need;
    }
    if (len > arena->ceiling - arena->total) {
        return false;
    }
    block = arena->hidden ? take_pages(sizeof(*block) + len) : malloc(sizeof(*block) + len);
    if (block == NULL) {
        return false;
    }
    block->older = arena->blocks;
    block->len = len;
    arena->blocks = block;
    arena->next = block->data;
    arena->left = len;
    arena->total += len;
    return true;
}

void *kb_arena_alloc(struct kb_arena *arena, size_t size)
{
    size_t pad = (size_t)(-(uintptr_t)arena->next) % ALIGNMENT;
    uint8_t *p;

    if (arena->next == NULL || pad > arena->left || size > arena->left - pad) {
        if (size > SIZE_MAX - ALIGNMENT || !add_block(arena, size)) {
            return NULL;
        }
        pad = 0;
    }
    p = arena->next + pad;
    arena->next += pad + size;
    arena->left -= pad + size;
    memset(p, 0, size);
    return p;
}

uint8_t *kb_arena_room(struct kb_arena *arena, size_t *out_len)
{
    size_t pad = (size_t)(-(uintptr_t)arena->next) % ALIGNMENT;

    if (arena->next == NULL || pad > arena->left) {
        *out_len = 0;
        return NULL;
    }
    kb_arena_take(arena, pad);
    *out_len = arena->left;
    return arena->next;
}

void kb_arena_take(struct kb_arena *arena, size_t len)
{
    arena->next += len;
    arena->left -= len;
}

enum kb_status kb_arena_status(const struct kb_arena *arena, size_t size)
{
    return size > arena->ceiling - arena->total ? KB_TOO_BIG : KB_NO_MEMORY;
}

kb_bytes kb_arena_copy(struct kb_arena *arena, kb_bytes bytes)
{
    uint8_t *p = kb_arena_alloc(arena, bytes.len);

    if (p == NULL) {
        return KB_NONE;
    }
    if (bytes.len > 0) {
        memcpy(p, bytes.ptr, bytes.len);
    }
    return kb_bytes_of(p, bytes.len);
}

void kb_arena_wipe(struct kb_arena *arena)
{
    struct kb_arena_block *block = arena->blocks, *older;

    /* While the first block is current, what lies behind `next` was never handed out. */
    kb_wipe(arena->first, block == NULL ? arena->first_len - arena->left : arena->first_len);
    for (; block != NULL; block = older) {
        older = block->older;
        give_back(arena, block);
    }
    *arena = (struct kb_arena){.ceiling = arena->ceiling, .hidden = arena->hidden};
}
