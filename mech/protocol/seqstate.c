#include "mech/protocol/seqstate.h"

#define WINDOW 64 /* bits of kb_seqstate.seen */

void kb_seqstate_init(struct kb_seqstate *state, uint64_t first, bool wide, bool replay,
                      bool sequence)
{
    *state = (struct kb_seqstate){
        .replay = replay,
        .sequence = sequence,
        .mask = wide ? UINT64_MAX : UINT32_MAX,
        .first = first,
    };
}

/* The expected number, or one ahead of it. */
static uint32_t note_new(struct kb_seqstate *state, uint64_t number)
{
    uint64_t skipped = number - state->next;

    state->seen = skipped < WINDOW - 1 ? state->seen << (skipped + 1) | 1 : 1;
    state->next = (number + 1) & state->mask;
    return skipped > 0 && state->sequence ? KB_SUPPL_GAP : 0;
}

static uint32_t note_late(struct kb_seqstate *state, uint64_t number)
{
    uint64_t behind = state->next - number;
    uint64_t bit;

    if (behind > WINDOW) {
        return state->sequence ? KB_SUPPL_UNSEQ : KB_SUPPL_OLD;
    }
    bit = (uint64_t)1 << (behind - 1);
    if (state->replay && (state->seen & bit) != 0) {
        return KB_SUPPL_DUPLICATE;
    }
    state->seen |= bit;
    return state->sequence ? KB_SUPPL_UNSEQ : 0;
}

uint32_t kb_seqstate_check(struct kb_seqstate *state, uint64_t number)
{
    uint64_t relative = (number - state->first) & state->mask;

    if (!state->replay && !state->sequence) {
        return 0;
    }
    return relative >= state->next ? note_new(state, relative) : note_late(state, relative);
}
