/* addresses.h - this host's addresses, for tickets that are bound to them (NoAddresses=False).
 *
 * RFC 4120 5.2.5, 7.5.3. Any thread; asks the kernel each time, since addresses come and go. */
#ifndef KB_ADDRESSES_H
#define KB_ADDRESSES_H

#include "asn1/types.h"

/* kb_addresses_of_host lists the addresses of the interfaces that are up, each once, without
 * loopback and link-local ones: nobody else would see those. They lie in `arena`. None on failure.
 */
KB_MUST_USE enum kb_status kb_addresses_of_host(struct kb_arena *arena, kb_host_addresses *out);

/* kb_addresses_add adds one that is written out, to a list of kb_addresses_of_host's, which has
 * room for 64. KB_BAD_TEXT: it is none. */
KB_MUST_USE enum kb_status kb_addresses_add(struct kb_arena *arena, kb_bytes text,
                                            kb_host_addresses *list);

#endif
