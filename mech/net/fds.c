#include "mech/net/fds.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#define NUM_SLOTS 128

/* Descriptor + 1, so that a free slot is zero. */
static atomic_int slots[NUM_SLOTS];
static atomic_int num_unnoted; /* that found no slot */

int kb_fds_add(int fd)
{
    for (size_t i = 0; fd >= 0 && i < NUM_SLOTS; i++) {
        int vacant = 0;

        if (atomic_load_explicit(&slots[i], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&slots[i], &vacant, fd + 1)) {
            return fd;
        }
    }
    if (fd >= 0) {
        atomic_fetch_add(&num_unnoted, 1);
    }
    return fd;
}

static bool take_unnoted(void)
{
    int num = atomic_load(&num_unnoted);

    while (num > 0 && !atomic_compare_exchange_weak(&num_unnoted, &num, num - 1)) {
    }
    return num > 0;
}

void kb_fds_close(int fd)
{
    if (fd < 0) {
        return;
    }
    /* Forgotten first: a fork in between must not find a number that somebody else has by now. */
    for (size_t i = 0; i < NUM_SLOTS; i++) {
        int held = fd + 1;

        if (atomic_load_explicit(&slots[i], memory_order_relaxed) == held &&
            atomic_compare_exchange_strong(&slots[i], &held, 0)) {
            close(fd);
            return;
        }
    }
    if (take_unnoted()) {
        close(fd);
    }
}

void kb_fds_drop(void)
{
    atomic_store(&num_unnoted, 0);
    for (size_t i = 0; i < NUM_SLOTS; i++) {
        int held = atomic_exchange(&slots[i], 0);

        if (held != 0) {
            close(held - 1);
        }
    }
}
