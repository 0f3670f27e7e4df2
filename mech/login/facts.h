/* facts.h - what options turned out to be in a login: the local address and port that the system
 * chose, the buffers that it gave, the KDC that answered.
 *
 * Kept of the last exchange of each identity, and of the last one in the process. Any thread; under
 * the lock of the identities. */
#ifndef KB_LOGIN_FACTS_H
#define KB_LOGIN_FACTS_H

#include "mech/login/login.h"
#include "mech/net/facts.h"

/* Room for the text of a fact: an address with its zone. */
#define KB_FACT_TEXT 128

/* kb_facts_get copies what is known of an identity, or with NULL of the process; false: nothing. */
bool kb_facts_get(struct kb_identity *identity, struct kb_net_facts *out);

/* kb_facts_text tells what the option `name` (case ignored) turned out to be: of LocalHost and
 * KDCHost the address, of LocalPort the port, of InBufferSize and OutBufferSize the bytes, of
 * DestinationAddress the address or "". False: it is none of these, or nothing is known (yet), so
 * that what was configured is the answer. */
bool kb_facts_text(struct kb_identity *identity, const char *name, char out[KB_FACT_TEXT]);

/* kb_facts_keep keeps the facts of an exchange. */
void kb_facts_keep(struct kb_identity *identity, const struct kb_net_facts *facts);

/* kb_facts_forget forgets those of the process: its Reset. */
void kb_facts_forget(void);

/* kb_facts_resolve_kdcs is DelayHostResolution=False: resolves the names in KDCHost, within
 * Timeout, and writes the list to `out` (empty before) with an address in place of each name, the
 * rest of an entry as it was: "192.0.2.1:88 tcp/[2001:db8::1]:750". What is no name to be resolved
 * here (an address, unix:, https:, any entry where FirewallHost is set) stays as it is.
 * login->identity may be NULL. KB_ERROR with *err: a name that leads nowhere, the deadline,
 * interrupted. */
KB_MUST_USE enum kb_status kb_facts_resolve_kdcs(const struct kb_login *login, struct kb_buf *out,
                                                 struct kb_error *err);

#endif
