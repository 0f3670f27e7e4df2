#include "crypto/secret.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static const size_t block_len[] = {
    [KB_SECRET_64] = 64, [KB_SECRET_256] = 256, [KB_SECRET_512] = 512};

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer)
#define FROM_HEAP
#endif
#endif
#ifdef __SANITIZE_ADDRESS__ /* gcc */
#define FROM_HEAP
#endif

#ifdef FROM_HEAP

void *kb_secret_new(enum kb_secret_size size)
{
    return calloc(1, block_len[size]);
}

void kb_secret_free(enum kb_secret_size size, void *block)
{
    kb_free_secret(block, block_len[size]);
}

#else

#define REGION_LEN ((size_t)65536)
#define NUM_WORDS (REGION_LEN / 64 / 64)

/* At the start of a region, which is aligned to its length. A set bit is a block in use; those of
 * the blocks under this header are set for ever. */
struct region {
    struct region *next;
    _Atomic(uint64_t) used[NUM_WORDS];
};

struct pool {
    _Atomic(struct region *) regions; /* only ever grows */
    _Atomic(struct region *) recent;  /* where the last block came from or went to */
};

static struct pool pools[sizeof(block_len) / sizeof(block_len[0])];

static void *take_from(struct region *region, size_t len)
{
    size_t num_blocks = REGION_LEN / len;

    for (size_t w = 0; w < num_blocks / 64; w++) {
        uint64_t used = atomic_load_explicit(&region->used[w], memory_order_relaxed);

        while (~used != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(~used);

            if (atomic_compare_exchange_weak_explicit(&region->used[w], &used,
                                                      used | (uint64_t)1 << bit,
                                                      memory_order_acquire, memory_order_relaxed)) {
                return (char *)region + (w * 64 + bit) * len;
            }
        }
    }
    return NULL;
}

/* mmap aligns to pages only: map twice as much and cut. */
static struct region *map_region(size_t len)
{
    char *base =
        mmap(NULL, 2 * REGION_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct region *region;
    size_t skip;

    if (base == MAP_FAILED) {
        return NULL;
    }
    skip = (REGION_LEN - (uintptr_t)base % REGION_LEN) % REGION_LEN;
    if (skip > 0) {
        munmap(base, skip);
    }
    munmap(base + skip + REGION_LEN, REGION_LEN - skip);
    region = (struct region *)(void *)(base + skip);
    madvise(region, REGION_LEN, MADV_DONTDUMP);
    for (size_t b = 0; b * len < sizeof(*region); b++) {
        region->used[b / 64] |= (uint64_t)1 << b % 64;
    }
    return region;
}

static void *take_from_new(struct pool *pool, size_t len)
{
    struct region *region = map_region(len);
    void *block;

    if (region == NULL) {
        return NULL;
    }
    block = take_from(region, len);
    region->next = atomic_load(&pool->regions);
    while (!atomic_compare_exchange_weak(&pool->regions, &region->next, region)) {
    }
    atomic_store(&pool->recent, region);
    return block;
}

void *kb_secret_new(enum kb_secret_size size)
{
    struct pool *pool = &pools[size];
    size_t len = block_len[size];
    struct region *region = atomic_load_explicit(&pool->recent, memory_order_acquire);
    void *block = region != NULL ? take_from(region, len) : NULL;

    if (block != NULL) {
        return block;
    }
    for (region = atomic_load(&pool->regions); region != NULL; region = region->next) {
        block = take_from(region, len);
        if (block != NULL) {
            atomic_store_explicit(&pool->recent, region, memory_order_release);
            return block;
        }
    }
    return take_from_new(pool, len);
}

void kb_secret_free(enum kb_secret_size size, void *block)
{
    struct region *region;
    size_t index;

    if (block == NULL) {
        return;
    }
    kb_wipe(block, block_len[size]);
    region = (struct region *)(void *)((char *)block - (uintptr_t)block % REGION_LEN);
    index = (size_t)((char *)block - (char *)region) / block_len[size];
    atomic_fetch_and_explicit(&region->used[index / 64], ~((uint64_t)1 << index % 64),
                              memory_order_release);
    atomic_store_explicit(&pools[size].recent, region, memory_order_release);
}

#endif
