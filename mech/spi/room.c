#include "mech/spi/room.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

/* From here on malloc asks the system for fresh pages, unless the program has released such a block
 * before. */
#define LARGE ((size_t)131072)

static long faults(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_minflt : 0;
}

/* The message is going to be written from end to end. Into fresh pages that would be a page fault
 * for every 4 KiB, which takes as long as ciphering them, and in some virtual machines ten times as
 * long; one call gives them all. Whether they are fresh is told by the last one. An older kernel
 * refuses, and then they come one by one. */
static void populate(uint8_t *room, size_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    size_t skip = (page - (uintptr_t)room % page) % page;
    long before = faults();

    *(volatile uint8_t *)&room[len] = 0;
    if (faults() != before) {
        madvise(room + skip, (len - skip) / page * page, MADV_POPULATE_WRITE);
    }
}

uint8_t *kb_room(size_t len)
{
    uint8_t *room = len < PTRDIFF_MAX ? malloc(len + 1) : NULL;

    if (room != NULL && len >= LARGE) {
        populate(room, len);
    }
    return room;
}
