/* seqstate.h - which messages of a peer have been seen: order, gaps and replays. RFC 2743 1.2.3.
 *
 * Numbers are counted from the first one that the peer announced, so a wrap-around is nothing
 * special; replays are known up to 64 numbers behind the newest. Answers as MIT does, so a program
 * sees no difference. Plain memory, one thread at a time: the context's lock is around it. */
#ifndef KB_SEQSTATE_H
#define KB_SEQSTATE_H

#include "asn1/bytes.h"

/* GSS supplementary information, as bits of a major status. */
#define KB_SUPPL_DUPLICATE 2u
#define KB_SUPPL_OLD 4u
#define KB_SUPPL_UNSEQ 8u
#define KB_SUPPL_GAP 16u

struct kb_seqstate {
    bool replay, sequence; /* what was granted: GSS_C_REPLAY_FLAG, GSS_C_SEQUENCE_FLAG */
    uint64_t mask;         /* of the numbers: 64 bits (RFC 4121) or 32 (RFC 1964) */
    uint64_t first;        /* the peer's initial number */
    uint64_t next;         /* one more than the newest seen, counted from first */
    uint64_t seen;         /* bit i: number next - 1 - i has been seen */
};

/* kb_seqstate_init: `wide` numbers have 64 bits. */
void kb_seqstate_init(struct kb_seqstate *state, uint64_t first, bool wide, bool replay,
                      bool sequence);

/* kb_seqstate_check notes a verified message's number and tells what is to be said of it:
 * KB_SUPPL_*, 0 for nothing. */
uint32_t kb_seqstate_check(struct kb_seqstate *state, uint64_t number);

#endif
