#include "mech/net/fds.h"

#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#define NUM_SLOTS 128

/* Descriptor + 1, so that a free slot is zero. */
static atomic_int slots[NUM_SLOTS];

int kb_fds_add(int fd)
{
    for (size_t i = 0; fd >= 0 && i < NUM_SLOTS; i++) {
        int vacant = 0;

        if (atomic_load_explicit(&slots[i], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&slots[i], &vacant, fd + 1)) {
            break;
        }
    }
    return fd;
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
            break;
        }
    }
    close(fd);
}

void kb_fds_drop(void)
{
    for (size_t i = 0; i < NUM_SLOTS; i++) {
        int held = atomic_exchange(&slots[i], 0);

        if (held != 0) {
            close(held - 1);
        }
    }
}
