/* mech/protocol/seqstate: rows of MIT krb5 src/lib/gssapi/generic/t_seqstate.c, and the window's
 * edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mech/protocol/seqstate.h"

#define OK 0
#define GAP KB_SUPPL_GAP
#define UNSEQ KB_SUPPL_UNSEQ
#define OLD KB_SUPPL_OLD
#define REPLAY KB_SUPPL_DUPLICATE
#define M32 ((uint64_t)UINT32_MAX)
#define M64 UINT64_MAX

enum { NARROW = 1, WIDE = 2, BOTH = NARROW | WIDE };

static const struct row {
    uint64_t first;
    bool replay, sequence;
    int widths;
    size_t num;
    struct {
        uint64_t number;
        uint32_t want;
    } seen[10];
} rows[] = {
    /* clang-format off */
    {10, false, false, BOTH, 4, {{11, OK}, {10, OK}, {10, OK}, {9, OK}}},
    {100, false, true, BOTH, 4, {{100, OK}, {102, GAP}, {103, OK}, {101, UNSEQ}}},
    {200, false, true, BOTH, 4, {{201, GAP}, {202, OK}, {200, UNSEQ}, {203, OK}}},
    /* wrap-around */
    {M32 - 1, false, true, NARROW, 4, {{M32 - 1, OK}, {M32, OK}, {0, OK}, {1, OK}}},
    {M32 - 1, false, true, NARROW, 4, {{M32 - 1, OK}, {0, GAP}, {M32, UNSEQ}, {1, OK}}},
    {M64 - 1, false, true, WIDE, 4, {{M64 - 1, OK}, {M64, OK}, {0, OK}, {1, OK}}},
    {M64 - 1, false, true, WIDE, 4, {{M64 - 1, OK}, {0, GAP}, {M64, UNSEQ}, {1, OK}}},
    /* 64 bits beyond the range of 32 */
    {M32 - 1, false, true, WIDE, 4, {{M32 - 1, OK}, {M32, OK}, {M32 + 1, OK}, {M32 + 2, OK}}},
    {M32 - 1, false, true, WIDE, 4, {{M32 - 1, OK}, {M32 + 1, GAP}, {M32, UNSEQ}, {M32 + 2, OK}}},
    {M32 - 1, false, true, WIDE, 3, {{M32 - 1, OK}, {M32, OK}, {0, GAP}}},
    /* a replay without the replay flag */
    {250, false, true, BOTH, 2, {{250, OK}, {250, UNSEQ}}},
    {0, true, true, BOTH, 10, {{5, GAP}, {3, UNSEQ}, {8, GAP}, {3, REPLAY}, {0, UNSEQ},
                               {0, REPLAY}, {5, REPLAY}, {3, REPLAY}, {8, REPLAY}, {9, OK}}},
    {0, true, false, BOTH, 10, {{5, OK}, {3, OK}, {8, OK}, {3, REPLAY}, {0, OK},
                                {0, REPLAY}, {5, REPLAY}, {3, REPLAY}, {8, REPLAY}, {9, OK}}},
    /* both, with wrap-around; the last is before the first number */
    {M64 - 5, true, true, WIDE, 10, {{M64, GAP}, {M64 - 2, UNSEQ}, {0, OK}, {M64, REPLAY},
                                     {M64, REPLAY}, {2, GAP}, {0, REPLAY}, {1, UNSEQ},
                                     {M64 - 2, REPLAY}, {M64 - 6, GAP}}},
    {M32 - 5, true, true, NARROW, 10, {{M32, GAP}, {M32 - 2, UNSEQ}, {0, OK}, {M32, REPLAY},
                                       {M32, REPLAY}, {2, GAP}, {0, REPLAY}, {1, UNSEQ},
                                       {M32 - 2, REPLAY}, {M32 - 6, GAP}}},
    /* old ones: 64 behind the expected number (1164) are known */
    {1000, true, false, BOTH, 10, {{1163, OK}, {1100, OK}, {1100, REPLAY}, {1163, REPLAY},
                                   {1099, OLD}, {1100, REPLAY}, {1150, OK}, {1150, REPLAY},
                                   {1000, OLD}, {999, OK}}},
    /* Ours: a jump by exactly the window, and by one less or more (a shift by 64 is undefined in C). */
    {0, true, true, BOTH, 4, {{0, OK}, {63, GAP}, {0, REPLAY}, {1, UNSEQ}}},
    {0, true, true, BOTH, 4, {{0, OK}, {64, GAP}, {0, UNSEQ}, {1, UNSEQ}}},
    {0, true, true, BOTH, 4, {{0, OK}, {64, GAP}, {1, UNSEQ}, {1, REPLAY}}},
    {0, true, true, BOTH, 4, {{0, OK}, {65, GAP}, {2, UNSEQ}, {65, REPLAY}}},
    {0, true, false, BOTH, 3, {{M32 / 2, OK}, {M32 / 2, REPLAY}, {0, OLD}}},
    /* clang-format on */
};

static void check(const struct row *row, bool wide)
{
    struct kb_seqstate state;

    kb_seqstate_init(&state, row->first, wide, row->replay, row->sequence);
    for (size_t i = 0; i < row->num; i++) {
        if (kb_seqstate_check(&state, row->seen[i].number) != row->seen[i].want) {
            fail_msg("row %zu (%s), number %zu", (size_t)(row - rows), wide ? "wide" : "narrow", i);
        }
    }
}

static void every_row_is_answered_as_mit_does(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((rows[i].widths & NARROW) != 0) {
            check(&rows[i], false);
        }
        if ((rows[i].widths & WIDE) != 0) {
            check(&rows[i], true);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_answered_as_mit_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
