/* One page holds the pools: WIPEONFORK zeroes it in a child, which finds them empty and unlocked.
 */
#include "crypto/random.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "crypto/affinity.h"

#define NUM_POOLS 4
#define POOL_SIZE 1008 /* bytes asked of the system at once: some 20 warm logins, 60 messages */
#define MAX_POOLED 128 /* a larger draw goes to the system */

struct pool {
    atomic_bool busy;
    atomic_bool filled; /* still set after a draw: no fork has wiped the page under it */
    size_t left;        /* undrawn bytes, the first of `bytes`; behind them zeros */
    uint8_t bytes[POOL_SIZE];
};

_Static_assert(sizeof(struct pool) % 64 == 0, "no two share a cache line");

static _Atomic(struct pool *) the_pools;

static enum kb_status from_system(uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t got = getrandom(out, len, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return KB_NO_RANDOM;
        }
        out += got;
        len -= (size_t)got;
    }
    return KB_OK;
}

/* NULL where the kernel does not wipe on fork: then there are no pools. */
static struct pool *map_pools(void)
{
    const size_t len = NUM_POOLS * sizeof(struct pool);
    struct pool *pools =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct pool *other = NULL;

    if (pools == MAP_FAILED) {
        return NULL;
    }
    if (madvise(pools, len, MADV_WIPEONFORK) != 0) {
        munmap(pools, len);
        return NULL;
    }
    madvise(pools, len, MADV_DONTDUMP);
    if (!atomic_compare_exchange_strong(&the_pools, &other, pools)) {
        munmap(pools, len);
        return other;
    }
    return pools;
}

/* Holding `busy`. What is handed out is overwritten, so no later draw and no core shows it.
 * A signal handler may fork anywhere in here, and the child come back to a page of zeros: hence
 * `left` is read once, and `filled` set before the bytes and looked at after them. */
static bool draw(struct pool *pool, uint8_t *out, size_t len)
{
    size_t left = pool->left;

    if (left < len) {
        pool->left = 0;
        atomic_store(&pool->filled, true);
        if (from_system(pool->bytes, POOL_SIZE) != KB_OK) {
            return false;
        }
        left = POOL_SIZE;
    }
    left -= len;
    pool->left = left;
    memcpy(out, pool->bytes + left, len);
    kb_wipe(pool->bytes + left, len);
    return atomic_load(&pool->filled);
}

static enum kb_status fill(void *ctx, uint8_t *out, size_t len)
{
    struct pool *pool = atomic_load_explicit(&the_pools, memory_order_acquire);
    bool drawn = false;

    (void)ctx;
    if (len <= MAX_POOLED && (pool != NULL || (pool = map_pools()) != NULL)) {
        pool += kb_thread_number() % NUM_POOLS;
        /* Whoever finds it busy asks the system rather than wait. */
        if (!atomic_exchange_explicit(&pool->busy, true, memory_order_acquire)) {
            drawn = draw(pool, out, len);
            atomic_store_explicit(&pool->busy, false, memory_order_release);
        }
    }
    return drawn ? KB_OK : from_system(out, len);
}

const struct kb_rng kb_rng_system = {fill, NULL};
