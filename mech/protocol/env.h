/* env.h - all that comes to a protocol machine from outside: time, randomness, events, policy.
 *
 * `protocol` opens no socket, reads no file and knows no option; so recorded bytes drive it. */
#ifndef KB_ENV_H
#define KB_ENV_H

#include "asn1/types.h"
#include "crypto/random.h"

/* UTC, as Kerberos has it. */
struct kb_timestamp {
    int64_t sec;
    int32_t usec; /* 0..999999 */
};

/* kb_timestamp_shift adds `usec` microseconds, which may be negative. */
static inline struct kb_timestamp kb_timestamp_shift(struct kb_timestamp t, int64_t usec)
{
    int64_t rest = t.usec + usec % 1000000;

    t.sec += usec / 1000000 + (rest >= 1000000) - (rest < 0);
    t.usec = (int32_t)(rest < 0 ? rest + 1000000 : rest >= 1000000 ? rest - 1000000 : rest);
    return t;
}

/* What a machine tells of itself, for the trail and the log; see mech/report/events.h. */
struct kb_events;

struct kb_env {
    struct kb_rng rng;
    /* The local clock, strictly increasing within the process: acceptors take two equal
     * (ctime, cusec) for a replay. */
    struct kb_timestamp (*now)(void *ctx);
    void *now_ctx;
    struct kb_events *events; /* may be NULL */
};

/* The few options that a machine needs. Durations are seconds. */
struct kb_policy {
    const int32_t *etypes; /* ours, best first */
    size_t num_etypes;
    uint32_t min_iterations_sha1, min_iterations_sha2, max_iterations;
    uint32_t clock_skew;
    uint32_t ticket_life, renew_life; /* asked for; renew_life 0: not renewable */
    bool forwardable, proxiable, canonicalize;
    bool no_enc_timestamp;       /* PA-ENC-TIMESTAMP is not made, whatever the KDC offers */
    bool own_clock;              /* the KDC's time, known from a TGT, is not used */
    kb_host_addresses addresses; /* that the TGT is to be bound to; none: it holds at every one */
    int64_t clock_offset;        /* microseconds: the realm's clock minus ours, 0 if not known */
};

#endif
