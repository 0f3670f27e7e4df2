/* memory.h - what the process learned about the KDCs of a realm: who answered, that UDP is too
 * small.
 *
 * Hints only: they choose who is asked first and where a proof goes, never whom to believe. A
 * bounded table, the oldest realm giving way. Any thread; under a lock of its own. */
#ifndef KB_MEMORY_H
#define KB_MEMORY_H

#include "mech/net/address.h"
#include "mech/net/exchange.h"

struct kb_remembered {
    bool alive;                  /* a KDC answered and did not fail since: */
    char host[256];              /* as it was configured */
    uint16_t port;               /* likewise */
    enum kb_transport transport; /* by which it answered */
    struct kb_address address;   /* from which it answered */
    bool tcp;                    /* replies of this realm were too big for UDP */
};

/* kb_memory_get copies what is known of a realm; all zero if nothing is. */
void kb_memory_get(kb_bytes realm, struct kb_remembered *out);

/* kb_memory_names tells whether the remembered KDC is `kdc`. */
bool kb_memory_names(const struct kb_remembered *known, const struct kb_kdc *kdc);

void kb_memory_answered(kb_bytes realm, const struct kb_kdc *kdc, const struct kb_address *address,
                        enum kb_transport transport);

/* kb_memory_failed forgets that a KDC is alive, if it is the one that is remembered. */
void kb_memory_failed(kb_bytes realm, const struct kb_kdc *kdc);

void kb_memory_set_tcp(kb_bytes realm, bool tcp);

/* kb_memory_clear forgets all. */
void kb_memory_clear(void);

/* Around fork(2): what is known stays known. */
void kb_memory_fork_prepare(void);
void kb_memory_fork_done(void); /* in parent and child */

#endif
