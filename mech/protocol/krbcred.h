/* krbcred.h - the KRB-CRED that hands a credential on to a service. RFC 4120 3.6, 5.8; RFC 4121
 * 4.1.1. */
#ifndef KB_KRBCRED_H
#define KB_KRBCRED_H

#include "mech/protocol/credential.h"
#include "mech/protocol/env.h"

/* kb_krbcred_make makes one of `credential`, encrypted in `key`, into `arena`. As MIT's has it:
 * with a nonce and the time, without addresses of sender and receiver. */
KB_MUST_USE enum kb_status kb_krbcred_make(const struct kb_rng *rng, struct kb_timestamp time,
                                           const struct kb_credential *credential,
                                           struct kb_key *key, struct kb_arena *arena,
                                           kb_bytes *out);

#endif
