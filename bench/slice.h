/* slice.h - what the programs share that time calls: the clock, and how a slice of time is spent.
 *
 * A program reads requests from its input, one a line, and answers each with one line, so that
 * several of them can take turns.
 *
 * Times are nanoseconds of wall-clock, and the least of many short runs: in one of them nothing
 * came between, which makes it CPU time. The clock of a thread's CPU says less than that now and
 * then, on virtual machines by half (what was stolen is taken off twice), and a minimum finds such
 * a moment. */
#ifndef KB_BENCH_SLICE_H
#define KB_BENCH_SLICE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define KB_SLICE_NS 1500000u         /* what is timed in an answer, at least */
#define KB_RUN_BYTES ((size_t)16384) /* of the messages between two looks at the clock, at most */
#define KB_SLICE_BYTES ((size_t)131072) /* of the messages of one batch: they stay in the cache */
#define KB_LONG_NS 4000000u             /* a scheduler's slice */
#define KB_MAX_BATCH 64u
#define KB_MAX_MESSAGE ((size_t)1 << 20)

static inline uint64_t kb_clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The number of messages that lie ready together: a token is unwrapped once only, so there is a
 * batch of them before each look at the clock. The bound walks through as many. */
static inline size_t kb_batch(size_t size)
{
    size_t fit = KB_SLICE_BYTES / (size > 0 ? size : 1);

    return fit > KB_MAX_BATCH ? KB_MAX_BATCH : fit < 2 ? 2 : fit;
}

/* The least time of a call; `prepare` (NULL: nothing to do) and `call` get the number of the
 * message in its batch. */
static inline double kb_slice(void *ctx, size_t size, void (*prepare)(void *ctx, size_t i),
                              void (*call)(void *ctx, size_t i))
{
    size_t batch = kb_batch(size), run = KB_RUN_BYTES / (size + 1) + 1;
    clockid_t clock = CLOCK_MONOTONIC;
    double least = 1e18;
    uint64_t spent = 0;

    while (spent < KB_SLICE_NS) {
        for (size_t i = 0; prepare != NULL && i < batch; i++) {
            prepare(ctx, i);
        }
        for (size_t i = 0; i < batch;) {
            size_t end = i + run < batch ? i + run : batch, calls = end - i;
            uint64_t start = kb_clock_ns(clock), took;

            for (; i < end; i++) {
                call(ctx, i);
            }
            took = kb_clock_ns(clock) - start;
            spent += took;
            least = (double)took / (double)calls < least ? (double)took / (double)calls : least;
        }
        if (least > KB_LONG_NS && clock == CLOCK_MONOTONIC) {
            clock = CLOCK_THREAD_CPUTIME_ID;
            least = 1e18;
            spent = 0;
        }
    }
    return least;
}

/* The least time of a call where calls follow each other for KB_MAX_MESSAGE bytes: to compare
 * sizes. Of short runs some see no tick of the system's clock, of a long one none does. A run that
 * is longer than a scheduler's slice is timed by the clock of the CPU, as in kb_slice. */
static inline double kb_long_run(void *ctx, size_t size, void (*call)(void *ctx, size_t i))
{
    size_t calls = KB_MAX_MESSAGE / size;
    uint64_t least = UINT64_MAX;
    clockid_t clock = CLOCK_MONOTONIC;

    for (unsigned run = 0; run < 4; run++) {
        uint64_t start = kb_clock_ns(clock), took;

        for (size_t i = 0; i < calls; i++) {
            call(ctx, 0);
        }
        took = kb_clock_ns(clock) - start;
        least = took < least ? took : least;
        if (run == 0 && least > KB_LONG_NS) {
            clock = CLOCK_THREAD_CPUTIME_ID;
            least = UINT64_MAX;
        }
    }
    return (double)least / (double)calls;
}

#endif
