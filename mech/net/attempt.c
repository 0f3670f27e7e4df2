#include "mech/net/race.h"

#include <errno.h>
#include <stdlib.h>

#include "mech/report/capture.h"

#define KERBEROS_PORT 88

static const struct kb_transport_ops *const ops_of[] = {[KB_ANY_TRANSPORT] = &kb_udp_ops,
                                                        [KB_UDP] = &kb_udp_ops,
                                                        [KB_TCP] = &kb_tcp_ops,
                                                        [KB_UNIX] = &kb_unix_ops,
                                                        [KB_HTTPS] = &kb_https_ops};

struct kb_attempt *kb_attempt_find(const struct kb_race *race, const struct kb_place *place,
                                   const struct kb_address *address, enum kb_transport transport)
{
    bool tunnelled = race->net->sockets.options.firewall_host != NULL || transport == KB_HTTPS;

    for (size_t i = 0; i < race->num_attempts; i++) {
        struct kb_attempt *attempt = &race->attempts[i];

        if (!attempt->replaced && attempt->transport == transport &&
            kb_address_equal(&attempt->conn.peer, address) &&
            (!tunnelled || attempt->place == place)) {
            return attempt;
        }
    }
    return NULL;
}

/* --- its end --- */

/* A proof counts as judged when the KDC may have read all of it. The port's own refusal says that
 * it did not, unless an earlier copy may have been read before. */
static bool may_be_judged(const struct kb_attempt *attempt)
{
    if (!attempt->waiting || attempt->cannot_serve || attempt->conn.unseen) {
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
    struct kb_attempt *attempt = kb_attempt_find(race, failed->place, &failed->conn.peer, KB_UDP);

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

/* A connection that was kept may have been closed by the KDC meanwhile: that is no failure. (No
 * proof is sent on it: lanes.c.) */
static bool is_outdated(const struct kb_race *race, const struct kb_attempt *attempt)
{
    return attempt->reused && attempt->conn.in_len == 0 &&
           (attempt->conn.sys_errno != 0 || attempt->conn.reason[0] != '\0') &&
           race->num_attempts < KB_MAX_ATTEMPTS;
}

static void replace(struct kb_race *race, struct kb_attempt *attempt)
{
    struct kb_candidate again = {attempt->place, attempt->conn.peer, attempt->transport};

    close_attempt(race, attempt);
    attempt->replaced = true;
    kb_attempt_start(race, &again); /* may move `attempt` */
}

void kb_attempt_fail(struct kb_race *race, struct kb_attempt *attempt)
{
    bool counted = kb_attempt_counts(attempt);

    if (counted && is_outdated(race, attempt)) {
        replace(race, attempt);
        return;
    }
    close_attempt(race, attempt);
    if (!counted) {
        return;
    }
    kb_attempt_tell(race, attempt, KB_TELL_FAILED, KB_NONE);
    if (attempt->conn.option == NULL) {
        attempt->place->failed = true;
        kb_memory_failed(race->places->realm, &attempt->place->kdc, race->now_ms);
    }
    resume_datagrams(race, attempt);
    race->launch_ms = race->now_ms;
    if (race->send->proof && may_be_judged(attempt)) {
        race->state = KB_RACE_LOST;
        race->judged = true;
    }
}

void kb_attempt_too_large(struct kb_race *race, struct kb_attempt *attempt)
{
    struct kb_candidate tcp = {attempt->place, attempt->conn.peer, KB_TCP};

    (void)kb_conn_fail(&attempt->conn, EMSGSIZE, "the request is too large for a datagram%s",
                       race->net->sockets.options.dont_fragment ? " (DontFragment)" : "");
    if (!kb_attempt_counts(attempt) || attempt->place->kdc.transport == KB_UDP ||
        race->num_attempts >= KB_MAX_ATTEMPTS ||
        kb_attempt_find(race, tcp.place, &tcp.address, KB_TCP) != NULL) {
        kb_attempt_fail(race, attempt);
        return;
    }
    kb_attempt_tell(race, attempt, KB_TELL_TOO_LARGE_FOR_UDP, KB_NONE);
    close_attempt(race, attempt);
    kb_attempt_start(race, &tcp); /* may move `attempt` */
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

void kb_attempt_capture(const struct kb_race *race, const struct kb_attempt *attempt, bool sent,
                        kb_bytes message)
{
    struct kb_events *events = race->net->config.events;
    struct kb_address local, peer = attempt->conn.peer;

    if (kb_capture_wanted(events)) {
        bool known = kb_conn_local(&attempt->conn, &local);

        /* What is around the message is not shown, so nobody should look for it. */
        if (attempt->conn.tunnelled || attempt->transport == KB_HTTPS) {
            kb_address_set_port(&peer, KERBEROS_PORT);
        }
        kb_capture(events, known ? &local.u.any : NULL, &peer.u.any, sent,
                   !attempt->conn.ops->datagrams, message);
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
    kb_attempt_capture(race, attempt, true, race->send->message);
    if (attempt->sends == 1) {
        kb_attempt_tell(race, attempt, KB_TELL_FROM, KB_NONE);
    }
    kb_attempt_tell(race, attempt, attempt->sends > 1 ? KB_TELL_SENT_AGAIN : KB_TELL_SENT,
                    race->send->message);
}

/* What came of opening or sending. */
static void went(struct kb_race *race, struct kb_attempt *attempt, enum kb_io io)
{
    switch (io) {
    case KB_IO_DONE:
        all_sent(race, attempt);
        break;
    case KB_IO_AGAIN:
        break;
    case KB_IO_TOO_LARGE:
        kb_attempt_too_large(race, attempt);
        break;
    case KB_IO_NO_MEMORY:
        kb_race_stop(race, KB_NO_MEMORY);
        break;
    default:
        kb_attempt_fail(race, attempt);
        break;
    }
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
    went(race, attempt, io);
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

static enum kb_io open_attempt(struct kb_race *race, struct kb_attempt *attempt)
{
    const struct kb_net_config *config = &race->net->config;
    size_t len = race->send->message.len;

    if (attempt->conn.ops->datagrams && len > config->max_packet_size) {
        attempt->conn.option = "MaxPacketSize";
        return kb_conn_fail(&attempt->conn, EMSGSIZE,
                            "the request of %zu bytes is longer than MaxPacketSize=%zu", len,
                            config->max_packet_size);
    }
    return attempt->conn.ops->open(&attempt->conn);
}

/* The connection of the login's last message, if it leads there and was left open. */
static bool take_kept(const struct kb_race *race, struct kb_attempt *attempt)
{
    struct kb_kept *kept = &race->net->kept;

    if (kept->place != attempt->place || kept->transport != attempt->transport ||
        !kb_address_equal(&kept->conn.peer, &attempt->conn.peer)) {
        return false;
    }
    attempt->conn = kept->conn;
    attempt->reused = true;
    *kept = (struct kb_kept){0};
    return true;
}

void kb_attempt_start(struct kb_race *race, const struct kb_candidate *candidate)
{
    struct kb_attempt *attempt = new_attempt(race);
    size_t index = race->num_attempts - 1;
    enum kb_io io;

    if (attempt == NULL) {
        return;
    }
    *attempt = (struct kb_attempt){.conn = {.ops = ops_of[candidate->transport],
                                            .sockets = &race->net->sockets,
                                            .kdc = &candidate->place->kdc,
                                            .realm = race->places->realm,
                                            .peer = candidate->address,
                                            .fd = -1},
                                   .place = candidate->place,
                                   .transport = candidate->transport,
                                   .start_ms = race->now_ms,
                                   .timer_ms = INT64_MAX};
    io = take_kept(race, attempt) ? KB_IO_DONE : open_attempt(race, attempt);
    if (io == KB_IO_DONE) {
        kb_attempt_send(race, attempt); /* may move `attempt` */
    } else {
        went(race, attempt, io);
    }
    if (!race->attempts[index].over && race->state == KB_RACE_ON) {
        run_idle(race);
    }
}
