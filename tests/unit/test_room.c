/* mech/spi/room: memory for messages, and that a large one is there when it is written to. */
#include "config.h"
#include "mech/spi/room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void every_byte_can_be_written(void **state)
{
    static const size_t lens[] = {0, 1, 4095, 131071, 131072, 131073, 1000000, 4194304};

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        uint8_t *room = kb_room(lens[i]);

        assert_non_null(room);
        memset(room, 0xa5, lens[i] + 1);
        free(room);
    }
    assert_null(kb_room(SIZE_MAX));
    assert_null(kb_room(PTRDIFF_MAX));
}

/* How many of the pages that lie in it whole have no memory yet. */
static size_t absent(uint8_t *room, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (page - (uintptr_t)room % page) % page;
    size_t num = (len - skip) / page, left = num;
    unsigned char *there = malloc(num);

    assert_non_null(there);
    assert_int_equal(mincore(room + skip, num * page, there), 0);
    for (size_t i = 0; i < num; i++) {
        left -= there[i] & 1;
    }
    free(there);
    return left;
}

static void fresh_pages_come_at_once(void **state)
{
    const size_t len = (size_t)64 << 20; /* more than malloc ever keeps: always fresh */
    uint8_t *bare = malloc(len), *room = kb_room(len);

    (void)state;
    assert_non_null(bare);
    assert_non_null(room);
    if (absent(bare, len) == 0 || absent(room, len) == absent(bare, len)) {
        free(bare);
        free(room);
        skip(); /* a malloc that fills, or a kernel before 5.14 */
    }
    assert_int_equal(absent(room, len), 0);
    free(bare);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_can_be_written),
        cmocka_unit_test(fresh_pages_come_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
