/* memory.h - what the process learned about the KDCs of a realm: who answered, how fast, who
 * failed, that UDP is too small.
 *
 * Hints only: they choose who is asked first, how long the others wait and where a proof goes,
 * never whom to believe. A KDC is known by what it is called in the configuration. Times to answer
 * are smoothed as RFC 6298 2 has it, of requests that were sent once. A KDC that failed, or that
 * others overtook, is asked after the others of its realm for five minutes, then ten, and so on up
 * to an hour, until it answers; where all of a realm fail, that is forgotten. A bounded table, the
 * oldest realm and the oldest KDC giving way. Any thread; under a lock of its own. Times are
 * milliseconds of the monotonic clock. */
#ifndef KB_MEMORY_H
#define KB_MEMORY_H

#include "mech/net/address.h"
#include "mech/net/exchange.h"

struct kb_known {                /* of one KDC; all zero: nothing */
    bool alive;                  /* it answered and did not fail since: */
    enum kb_transport transport; /* by which it answered */
    struct kb_address address;   /* from which it answered; len 0: not known */
    unsigned srtt_us, rttvar_us; /* of its answers; 0: not measured */
    unsigned failures;           /* in a row */
    int64_t late_until_ms;       /* it is asked after the others until then */
};

/* kb_memory_get copies what is known of a KDC; all zero if nothing is. */
void kb_memory_get(kb_bytes realm, const struct kb_kdc *kdc, struct kb_known *out);

/* kb_memory_answered: after `took_ms`, or -1 where that says nothing of its speed. */
void kb_memory_answered(kb_bytes realm, const struct kb_kdc *kdc, const struct kb_address *address,
                        enum kb_transport transport, int64_t took_ms);

/* kb_memory_failed: it is not alive. kb_memory_overtaken: it may be, but was silent for `silent_ms`
 * while another one was asked and answered. */
void kb_memory_failed(kb_bytes realm, const struct kb_kdc *kdc, int64_t now_ms);
void kb_memory_overtaken(kb_bytes realm, const struct kb_kdc *kdc, int64_t silent_ms,
                         int64_t now_ms);

/* kb_memory_rto_us is srtt and four times rttvar; 0: not measured. */
static inline int64_t kb_memory_rto_us(const struct kb_known *known)
{
    return (int64_t)known->srtt_us + 4 * (int64_t)known->rttvar_us;
}

/* kb_memory_forgive forgets who of a realm failed. */
void kb_memory_forgive(kb_bytes realm);

/* Whether replies of this realm were too big for UDP. */
bool kb_memory_wants_tcp(kb_bytes realm);
void kb_memory_set_tcp(kb_bytes realm, bool tcp);

/* For learned.c. kb_memory_each shows what is known of a realm's KDCs, under the lock.
 * kb_memory_put takes it over, unless this process knows something of that KDC. */
#define KB_MEMORY_KDCS 8   /* of one realm */
#define KB_MEMORY_NAME 400 /* bytes of what a KDC is called, at most */
#define KB_MEMORY_MAX_LATE_MS ((int64_t)60 * 60 * 1000)
#define KB_NUM_TRANSPORTS (KB_HTTPS + 1)
extern const char *const kb_transport_words[KB_NUM_TRANSPORTS];
typedef void (*kb_memory_fn)(void *ctx, const char *name, const struct kb_known *known);
void kb_memory_each(kb_bytes realm, kb_memory_fn each, void *ctx);
void kb_memory_put(kb_bytes realm, const char *name, const struct kb_known *known);

/* kb_memory_clear forgets all. */
void kb_memory_clear(void);

/* Around fork(2): what is known stays known. */
void kb_memory_fork_prepare(void);
void kb_memory_fork_done(void); /* in parent and child */

#endif
