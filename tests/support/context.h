/* context.h - established contexts of either side around a given key, without an AP exchange. */
#ifndef TEST_CONTEXT_H
#define TEST_CONTEXT_H

#include "asn1/bytes.h"
#include "mech/protocol/context.h"

/* context_of: `first` is the peer's first sequence number; both replay and sequence are checked.
 * context_free takes NULL. */
struct kb_ap *context_of(int32_t etype, kb_bytes key, bool acceptor, bool acceptor_subkey,
                         uint64_t first);
void context_free(struct kb_ap *ap);

/* context_receives forgets what was received; `first` is expected next. */
void context_receives(struct kb_ap *ap, uint64_t first);

#endif
