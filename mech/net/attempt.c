#include "mech/net/race.h"

#include <errno.h>
#include <stdlib.h>

static const struct kb_transport_ops *ops_of(enum kb_transport transport)
{
    return transport == KB_TCP ? &kb_tcp_ops : &kb_udp_ops;
}

struct kb_attempt *kb_attempt_find(const struct kb_race *race, const struct kb_address *address,
                                   enum kb_transport transport)
{
    for (size_t i = 0; i < race->num_attempts; i++) {
        if (race->attempts[i].transport == transport &&
            kb_address_equal(&race->attempts[i].address, address)) {
            return &race->attempts[i];
        }
    }
    return NULL;
}

/* --- its end --- */

/* A proof counts as judged when the KDC may have read all of it. The port's own refusal says that
 * it did not, unless an earlier copy may have been read before. */
static bool may_be_judged(const struct kb_attempt *attempt)
{
    if (!attempt->waiting || attempt->cannot_serve) {
        return false;
    }
    switch (attempt->conn.sys_errno) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
        return attempt->sends > 1 || !attempt->conn.ops->datagrams;
    default:
        return true;
    }
}

/* A datagram attempt goes on where the TCP connection that its KDC asked for failed: what asked may
 * have been forged. */
static void resume_datagrams(struct kb_race *race, const struct kb_attempt *failed)
{
    struct kb_attempt *attempt = kb_attempt_find(race, &failed->address, KB_UDP);

    if (failed->transport == KB_TCP && attempt != NULL && !attempt->over && attempt->asked_tcp) {
        attempt->listening = attempt->asked_tcp = false;
        if (attempt->timer_ms < race->now_ms) {
            attempt->timer_ms = race->now_ms;
        }
        attempt->sent_ms = race->now_ms;
    }
}

static void close_attempt(const struct kb_race *race, struct kb_attempt *attempt)
{
    kb_conn_close(&attempt->conn);
    attempt->over = true;
    attempt->end_ms = race->now_ms;
}

void kb_attempt_fail(struct kb_race *race, struct kb_attempt *attempt)
{
    bool counted = kb_attempt_counts(attempt);

    close_attempt(race, attempt);
    if (!counted) {
        return;
    }
    kb_attempt_tell(race, attempt, KB_TELL_FAILED, KB_NONE);
    attempt->place->failed = true;
    kb_memory_failed(race->places->realm, &attempt->place->kdc);
    resume_datagrams(race, attempt);
    race->launch_ms = race->now_ms;
    if (race->send->proof && may_be_judged(attempt)) {
        race->state = KB_RACE_LOST;
        race->judged = true;
    }
}

int64_t kb_attempt_expiry(const struct kb_race *race, const struct kb_attempt *attempt)
{
    const struct kb_net_tuning *tuning = &race->net->tuning;
    int64_t end_ms = INT64_MAX;

    if (!kb_attempt_counts(attempt) || race->held_as == KB_HELD_WEAK) {
        return INT64_MAX;
    }
    if (kb_race_is_limited(race)) {
        if (!attempt->conn.ops->datagrams) {
            end_ms = attempt->start_ms + tuning->life_ms * (attempt->seen > 0 ? 2 : 1);
        } else if (attempt->sends >= tuning->max_sends) {
            end_ms = attempt->timer_ms;
        }
    }
    if (race->send->proof) {
        int64_t silent_ms =
            (attempt->waiting ? attempt->sent_ms : attempt->start_ms) + tuning->proof_ms;

        end_ms = silent_ms < end_ms ? silent_ms : end_ms;
    }
    return end_ms;
}

/* --- sending --- */

/* Repetitions come a second after the first, then two, four, and so on. */
static int64_t gap(const struct kb_net_tuning *tuning, unsigned sends)
{
    int64_t gap_ms = tuning->repeat_ms;

    while (--sends > 0 && gap_ms < tuning->max_gap_ms) {
        gap_ms *= 2;
    }
    return gap_ms < tuning->max_gap_ms ? gap_ms : tuning->max_gap_ms;
}

/* The other connections that a proof was to choose from: none of them has a byte of it. */
static void drop_unconnected(struct kb_race *race, const struct kb_attempt *chosen)
{
    for (size_t i = 0; i < race->num_attempts; i++) {
        struct kb_attempt *attempt = &race->attempts[i];

        if (attempt != chosen && kb_attempt_counts(attempt) && attempt->conn.sent == 0) {
            close_attempt(race, attempt);
        }
    }
}

static void all_sent(struct kb_race *race, struct kb_attempt *attempt)
{
    if (attempt->sends++ == 0) {
        attempt->sent_ms = race->now_ms;
    }
    attempt->waiting = true;
    attempt->timer_ms = attempt->conn.ops->datagrams
                            ? race->now_ms + gap(&race->net->tuning, attempt->sends)
                            : INT64_MAX;
    kb_attempt_tell(race, attempt, attempt->sends > 1 ? KB_TELL_SENT_AGAIN : KB_TELL_SENT,
                    race->send->message);
}

void kb_attempt_send(struct kb_race *race, struct kb_attempt *attempt)
{
    size_t before = attempt->conn.sent;
    enum kb_io io = attempt->conn.ops->send(&attempt->conn, race->send->message);

    if (attempt->conn.sent > 0 && before == 0) {
        if (!attempt->conn.ops->datagrams) {
            kb_wait_progress(race->net->wait); /* a connection was made */
        }
        if (race->send->proof) {
            drop_unconnected(race, attempt);
        }
    }
    if (io == KB_IO_DONE) {
        all_sent(race, attempt);
    } else if (io != KB_IO_AGAIN) {
        kb_attempt_fail(race, attempt);
    }
}

/* --- its beginning --- */

static struct kb_attempt *new_attempt(struct kb_race *race)
{
    if (race->num_attempts == race->max_attempts) {
        size_t max = race->max_attempts > 0 ? race->max_attempts * 2 : 4;
        struct kb_attempt *grown = realloc(race->attempts, max * sizeof(*grown));

        if (grown == NULL) {
            kb_race_stop(race, KB_NO_MEMORY);
            return NULL;
        }
        race->attempts = grown;
        race->max_attempts = max;
    }
    return &race->attempts[race->num_attempts++];
}

static void run_idle(struct kb_race *race)
{
    void (*idle)(void *) = race->net->idle;

    race->net->idle = NULL;
    if (idle != NULL) {
        idle(race->net->idle_ctx);
        race->now_ms = kb_now_ms();
    }
}

void kb_attempt_start(struct kb_race *race, const struct kb_candidate *candidate)
{
    struct kb_attempt *attempt = new_attempt(race);
    enum kb_io io;

    if (attempt == NULL) {
        return;
    }
    *attempt = (struct kb_attempt){.conn = {.ops = ops_of(candidate->transport), .fd = -1},
                                   .place = candidate->place,
                                   .address = candidate->address,
                                   .transport = candidate->transport,
                                   .start_ms = race->now_ms,
                                   .timer_ms = INT64_MAX};
    io = attempt->conn.ops->open(&attempt->conn, &attempt->address);
    if (io == KB_IO_DONE) {
        kb_attempt_send(race, attempt);
    } else if (io != KB_IO_AGAIN) {
        kb_attempt_fail(race, attempt);
    }
    if (!attempt->over && race->state == KB_RACE_ON) {
        run_idle(race);
    }
}
