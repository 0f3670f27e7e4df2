/* take.h - tokens made and taken, and what came of many of them in few lines: what the scenarios of
 * tokens.c share. */
#ifndef KB_TEST_TAKE_H
#define KB_TEST_TAKE_H

#include <stdint.h>

#include "tests/spi/forge.h"
#include "tests/spi/say.h"

extern struct loop l;  /* the contexts; the initiator's is tested */
extern size_t mac_len; /* of a checksum in them */

/* By which call tokens are taken: gss_unwrap and gss_verify_mic, where COARSE makes all errors one;
 * or their iov forms, coarse too, with a whole token, into its own memory or into new, or with a
 * token in parts. */
extern enum via { FLAT, COARSE, STREAM, ALLOCATED, PARTS } via;

extern const char *const kind_names[];

/* note adds a major to a line of equal ones; end_notes writes them. */
void note(OM_uint32 major);
void end_notes(void);

/* next_of walks from 0 to `last`, the end of a range of 4,096 or more: the first and the last 300
 * one by one, where what could be miscounted lies, and between them every 37th; with KB_TEST_WHOLE
 * in the environment, each. */
unsigned next_of(unsigned last, unsigned number);

gss_buffer_desc message_of(size_t len); /* lent, one at a time */
gss_buffer_desc make(gss_ctx_id_t ctx, enum forge_kind kind, gss_buffer_desc message);
size_t length_of_macs(void);

/* take gives a token to a context, in memory of exactly its size, and complains where another
 * message comes out of it than `message`, or anything of a token that is refused. */
OM_uint32 take(gss_ctx_id_t ctx, enum forge_kind kind, gss_buffer_desc message,
               const uint8_t *bytes, size_t len);

/* The scenario "forged": forged.c. */
void forge_all(void);

#endif
