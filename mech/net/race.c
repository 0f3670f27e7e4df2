#include "mech/net/race.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define READS_AT_ONCE 16 /* datagrams of one socket before the others are looked at again */
#define MAX_IGNORED 1000 /* unusable datagrams of one KDC, which cost a decoding each */

static const struct kb_transport_ops *ops_of(enum kb_transport transport)
{
    return transport == KB_TCP ? &kb_tcp_ops : &kb_udp_ops;
}

static bool is_live(const struct kb_attempt *attempt)
{
    return !attempt->over && !attempt->superseded;
}

static bool any_live(const struct kb_race *race)
{
    for (size_t i = 0; i < race->num_attempts; i++) {
        if (is_live(&race->attempts[i])) {
            return true;
        }
    }
    return false;
}

struct kb_attempt *kb_race_has(const struct kb_race *race, const struct kb_address *address,
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

static void stop(struct kb_race *race, enum kb_status status)
{
    race->state = KB_RACE_STOPPED;
    race->status = status;
}

/* --- how an attempt ends --- */

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
    struct kb_attempt *attempt = kb_race_has(race, &failed->address, KB_UDP);

    if (failed->transport == KB_TCP && attempt != NULL && attempt->superseded && !attempt->over) {
        attempt->superseded = false;
        if (attempt->timer_ms < race->now_ms) {
            attempt->timer_ms = race->now_ms;
        }
        attempt->sent_ms = race->now_ms;
    }
}

static void attempt_failed(struct kb_race *race, struct kb_attempt *attempt)
{
    bool counted = is_live(attempt);

    kb_conn_close(&attempt->conn);
    attempt->over = true;
    attempt->end_ms = race->now_ms;
    if (!counted) {
        return;
    }
    attempt->place->failed = true;
    kb_memory_failed(race->places->realm, &attempt->place->kdc);
    resume_datagrams(race, attempt);
    race->launch_ms = race->now_ms;
    if (race->send->proof && may_be_judged(attempt)) {
        race->state = KB_RACE_LOST;
        race->judged = true;
    }
}

static void say_peer(struct kb_race *race, const struct kb_attempt *attempt)
{
    char address[KB_ADDRESS_TEXT];

    kb_address_text(&attempt->address, true, address);
    snprintf(race->net->peer, sizeof(race->net->peer), "%s (%s)", address, attempt->conn.ops->name);
}

/* By which transport this KDC is to be asked next time: that TCP was chosen for the message's size
 * says nothing against UDP. */
static enum kb_transport to_remember(const struct kb_race *race, const struct kb_attempt *attempt)
{
    bool before = kb_memory_names(&race->known, &attempt->place->kdc);

    if (attempt->transport == KB_TCP && race->tcp_by_choice) {
        return before ? race->known.transport : KB_UDP;
    }
    return attempt->transport;
}

static void answered(struct kb_race *race, struct kb_attempt *attempt, kb_bytes reply)
{
    race->reply = reply;
    race->state = KB_RACE_ANSWERED;
    attempt->place->failed = false;
    say_peer(race, attempt);
    kb_memory_answered(race->places->realm, &attempt->place->kdc, &attempt->address,
                       attempt->place->kdc.transport != KB_ANY_TRANSPORT
                           ? attempt->transport
                           : to_remember(race, attempt));
    kb_wait_progress(race->net->wait);
}

/* Copies a message out of the receive buffer; on failure the race stops. */
static kb_bytes keep(struct kb_race *race, kb_bytes message)
{
    kb_bytes copy = kb_arena_copy(race->arena, message);

    if (copy.ptr == NULL) {
        stop(race, kb_arena_status(race->arena, message.len));
    }
    return copy;
}

static void accept_message(struct kb_race *race, struct kb_attempt *attempt, kb_bytes message)
{
    kb_bytes copy = keep(race, message);

    if (copy.ptr != NULL) {
        answered(race, attempt, copy);
    }
}

static void hold(struct kb_race *race, const struct kb_attempt *attempt, kb_bytes message,
                 int64_t until_ms)
{
    /* A weak reply displaces one that only says "not now". */
    if (race->held.ptr != NULL && race->held_ms != INT64_MAX) {
        return;
    }
    race->held = keep(race, message);
    race->held_from = (size_t)(attempt - race->attempts);
    race->held_ms = until_ms;
}

/* --- sending --- */

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

        if (attempt != chosen && is_live(attempt) && attempt->conn.sent == 0) {
            kb_conn_close(&attempt->conn);
            attempt->over = true;
            attempt->end_ms = race->now_ms;
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
}

static void go_on_sending(struct kb_race *race, struct kb_attempt *attempt)
{
    size_t before = attempt->conn.sent;
    enum kb_io io = attempt->conn.ops->send(&attempt->conn, race->send->message);

    if (attempt->conn.sent > 0 && before == 0) {
        kb_wait_progress(race->net->wait); /* a connection was made */
        if (race->send->proof) {
            drop_unconnected(race, attempt);
        }
    }
    if (io == KB_IO_DONE) {
        all_sent(race, attempt);
    } else if (io != KB_IO_AGAIN) {
        attempt_failed(race, attempt);
    }
}

static struct kb_attempt *new_attempt(struct kb_race *race)
{
    if (race->num_attempts == race->max_attempts) {
        size_t max = race->max_attempts > 0 ? race->max_attempts * 2 : 4;
        struct kb_attempt *grown = realloc(race->attempts, max * sizeof(*grown));

        if (grown == NULL) {
            stop(race, KB_NO_MEMORY);
            return NULL;
        }
        race->attempts = grown;
        race->max_attempts = max;
    }
    return &race->attempts[race->num_attempts++];
}

static void run_idle(struct kb_net_session *net)
{
    void (*idle)(void *) = net->idle;

    net->idle = NULL;
    if (idle != NULL) {
        idle(net->idle_ctx);
    }
}

static void launch(struct kb_race *race, const struct kb_candidate *candidate)
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
        go_on_sending(race, attempt);
    } else if (io != KB_IO_AGAIN) {
        attempt_failed(race, attempt);
    }
    if (!attempt->over && race->state == KB_RACE_ON) {
        run_idle(race->net);
        race->now_ms = kb_now_ms();
    }
}

/* May another attempt start beside those that are under way? A proof goes to one KDC only; while
 * nobody has a byte of it, connections may race for it. */
static bool may_launch(const struct kb_race *race)
{
    if (race->num_attempts >= KB_MAX_ATTEMPTS || (race->held.ptr && race->held_ms != INT64_MAX)) {
        return false;
    }
    for (size_t i = 0; race->send->proof && i < race->num_attempts; i++) {
        const struct kb_attempt *attempt = &race->attempts[i];

        if (is_live(attempt) && (attempt->waiting || attempt->conn.sent > 0)) {
            return false;
        }
    }
    return true;
}

/* Starts what is due. When nothing is, launch_ms says when to look again. */
static void launch_due(struct kb_race *race)
{
    const struct kb_net_tuning *tuning = &race->net->tuning;
    struct kb_candidate candidate;

    while (race->state == KB_RACE_ON && race->now_ms >= race->launch_ms && may_launch(race)) {
        bool alone = !any_live(race) && !kb_lanes_resolving(race);
        int64_t other_ms = race->start_ms + tuning->defer_ms;
        bool other = alone || (race->now_ms >= other_ms && !race->send->proof);
        enum kb_status status = kb_lanes_next(race, other, &candidate);

        if (status == KB_NO_MEMORY) {
            stop(race, status);
            return;
        }
        if (status == KB_NOT_FOUND) {
            race->launch_ms = !other && !race->send->proof ? other_ms : INT64_MAX;
            return;
        }
        race->launch_ms = race->hedge_ms = race->now_ms + tuning->hedge_ms;
        if (candidate.place != NULL) {
            launch(race, &candidate); /* sets launch_ms to now where it fails at once */
        }
    }
}

/* The same bytes to the same KDC, over TCP. False: that was tried, or is not allowed. */
static bool switch_to_tcp(struct kb_race *race, size_t index)
{
    struct kb_attempt *attempt = &race->attempts[index];
    const struct kb_attempt *other = kb_race_has(race, &attempt->address, KB_TCP);
    struct kb_candidate candidate = {attempt->place, attempt->address, KB_TCP};

    if (attempt->place->kdc.transport == KB_UDP || (other != NULL && other->over)) {
        return false;
    }
    kb_memory_set_tcp(race->places->realm, true);
    attempt->superseded = true;
    if (other == NULL) {
        launch(race, &candidate); /* may move the attempts */
    }
    return true;
}

/* --- receiving --- */

static void cannot_serve(struct kb_race *race, struct kb_attempt *attempt, const char *reason)
{
    attempt->cannot_serve = true;
    (void)kb_conn_fail(&attempt->conn, 0, reason);
    attempt_failed(race, attempt);
}

static void ignore(struct kb_race *race, struct kb_attempt *attempt)
{
    attempt->ignored++;
    if (!attempt->conn.ops->datagrams) {
        (void)kb_conn_fail(&attempt->conn, 0, "what it sent is no answer to the request");
        attempt_failed(race, attempt);
    } else if (attempt->ignored >= MAX_IGNORED) {
        (void)kb_conn_fail(&attempt->conn, 0, "it sends nothing but unusable datagrams");
        attempt_failed(race, attempt);
    }
}

/* RFC 4120 has no reply to wait for twice over TCP; over UDP a forger may have been faster. */
static void weak(struct kb_race *race, struct kb_attempt *attempt, kb_bytes message)
{
    const struct kb_net_tuning *tuning = &race->net->tuning;
    int64_t trip_ms = race->now_ms - attempt->sent_ms;

    if (!attempt->conn.ops->datagrams) {
        accept_message(race, attempt, message);
        return;
    }
    trip_ms = trip_ms > tuning->weak_min_ms ? trip_ms : tuning->weak_min_ms;
    trip_ms = trip_ms < tuning->weak_max_ms ? trip_ms : tuning->weak_max_ms;
    hold(race, attempt, message, race->now_ms + trip_ms);
}

static void judge(struct kb_race *race, size_t index, kb_bytes message)
{
    struct kb_attempt *attempt = &race->attempts[index];

    switch (message.len > 0 ? race->verdict(race->machine, message) : KB_VERDICT_IGNORE) {
    case KB_VERDICT_FINAL:
        accept_message(race, attempt, message);
        break;
    case KB_VERDICT_WEAK:
        weak(race, attempt, message);
        break;
    case KB_VERDICT_TCP:
        if (!attempt->conn.ops->datagrams) {
            accept_message(race, attempt, message);
        } else if (!attempt->superseded && !switch_to_tcp(race, index)) {
            cannot_serve(race, attempt, "its answer is too big for UDP");
        }
        break;
    case KB_VERDICT_NEXT:
        hold(race, attempt, message, INT64_MAX);
        cannot_serve(race, attempt, "the KDC says that it cannot serve now");
        break;
    case KB_VERDICT_IGNORE:
    default:
        ignore(race, attempt);
        break;
    }
}

static void too_big(struct kb_race *race, size_t index)
{
    struct kb_attempt *attempt = &race->attempts[index];

    if (!attempt->conn.ops->datagrams) {
        (void)kb_conn_fail(&attempt->conn, 0, "it announces an answer of more than a mebibyte");
        attempt_failed(race, attempt);
    } else if (!attempt->superseded && !switch_to_tcp(race, index)) {
        (void)kb_conn_fail(&attempt->conn, 0, "its answer is larger than MaxPacketSize");
        attempt_failed(race, attempt);
    }
}

static void receive(struct kb_race *race, size_t index)
{
    for (int i = 0; i < READS_AT_ONCE && race->state == KB_RACE_ON; i++) {
        struct kb_attempt *attempt = &race->attempts[index];
        kb_bytes message;
        enum kb_io io;

        if (attempt->over) {
            return;
        }
        io = attempt->conn.ops->receive(&attempt->conn, &race->net->inbox, &message);
        switch (io) {
        case KB_IO_DONE:
            judge(race, index, message);
            break;
        case KB_IO_TOO_BIG:
            too_big(race, index);
            break;
        case KB_IO_AGAIN:
            if (attempt->conn.in_len > attempt->seen) {
                attempt->seen = attempt->conn.in_len;
                kb_wait_bytes(race->net->wait);
            }
            return;
        case KB_IO_FAILED:
        default:
            attempt_failed(race, attempt);
            return;
        }
    }
}

/* --- the clock --- */

/* Where no deadline ends the race its own rhythm does; also where a reply is held that says "not
 * now", since the others then only get their fair chance. */
static bool is_limited(const struct kb_race *race)
{
    return race->net->wait->deadline_ms == INT64_MAX || race->held.ptr != NULL;
}

static int64_t expiry(const struct kb_race *race, const struct kb_attempt *attempt)
{
    const struct kb_net_tuning *tuning = &race->net->tuning;
    int64_t end_ms = INT64_MAX;

    if (!is_live(attempt)) {
        return INT64_MAX;
    }
    if (is_limited(race)) {
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

static bool weak_is_held(const struct kb_race *race)
{
    return race->held.ptr != NULL && race->held_ms != INT64_MAX;
}

static void attempt_timers(struct kb_race *race, struct kb_attempt *attempt)
{
    if (race->now_ms >= expiry(race, attempt)) {
        attempt_failed(race, attempt);
    } else if (is_live(attempt) && race->now_ms >= attempt->timer_ms && !weak_is_held(race)) {
        go_on_sending(race, attempt);
    }
}

/* When poll has to come back though nothing arrived. */
static int64_t next_event(const struct kb_race *race)
{
    int64_t next_ms = may_launch(race) ? race->launch_ms : INT64_MAX;

    if (race->held.ptr != NULL && race->held_ms < next_ms) {
        next_ms = race->held_ms;
    }
    for (size_t i = 0; i < race->num_attempts; i++) {
        const struct kb_attempt *attempt = &race->attempts[i];
        int64_t end_ms = expiry(race, attempt);
        int64_t timer_ms = is_live(attempt) && !weak_is_held(race) ? attempt->timer_ms : INT64_MAX;

        next_ms = end_ms < next_ms ? end_ms : next_ms;
        next_ms = timer_ms < next_ms ? timer_ms : next_ms;
    }
    return next_ms;
}

/* Nobody is left to answer: what is held is the answer, if anything is. But where a proof was not
 * judged and the realm has other KDCs, which of them lives must be found out without one (DESIGN,
 * net). */
static void nobody_left(struct kb_race *race)
{
    if (race->send->proof && !weak_is_held(race) && kb_lanes_left(race)) {
        race->state = KB_RACE_LOST;
        race->judged = false;
    } else if (race->held.ptr != NULL) {
        answered(race, &race->attempts[race->held_from], race->held);
    } else {
        race->state = KB_RACE_NOBODY;
    }
}

static void timers(struct kb_race *race)
{
    race->now_ms = kb_now_ms();
    if (weak_is_held(race) && race->now_ms >= race->held_ms) {
        answered(race, &race->attempts[race->held_from], race->held);
        return;
    }
    for (size_t i = 0; i < race->num_attempts && race->state == KB_RACE_ON; i++) {
        attempt_timers(race, &race->attempts[i]);
    }
    launch_due(race);
    if (race->state == KB_RACE_ON && !any_live(race) && !kb_lanes_resolving(race)) {
        nobody_left(race);
    }
}

/* --- waiting --- */

struct polled {
    struct pollfd fds[KB_MAX_ATTEMPTS + KB_MAX_KDCS + 1]; /* one more for the interrupt */
    uint8_t attempt[KB_MAX_ATTEMPTS];
    size_t num, num_attempts;
};

static void collect(const struct kb_race *race, struct polled *polled)
{
    polled->num = 0;
    for (size_t i = 0; i < race->num_attempts; i++) {
        const struct kb_attempt *attempt = &race->attempts[i];

        if (!attempt->over) {
            polled->attempt[polled->num] = (uint8_t)i;
            polled->fds[polled->num++] = (struct pollfd){
                .fd = attempt->conn.fd, .events = attempt->conn.waits_to_send ? POLLOUT : POLLIN};
        }
    }
    polled->num_attempts = polled->num;
    for (size_t i = 0; i < race->num_lanes; i++) {
        const struct kb_place *place = race->lanes[i].place;

        if (place->question != NULL && place->resolved == NULL) {
            polled->fds[polled->num++] =
                (struct pollfd){.fd = kb_resolve_fd(place->question), .events = POLLIN};
        }
    }
}

static void names_arrived(struct kb_race *race)
{
    for (size_t i = 0; i < race->num_lanes; i++) {
        struct kb_place *place = race->lanes[i].place;

        if (place->resolved == NULL && kb_place_answer(place)) {
            kb_wait_progress(race->net->wait);
            if (place->resolved->error != 0 || !any_live(race)) {
                race->launch_ms = race->now_ms;
            } else if (race->hedge_ms < race->launch_ms) {
                race->launch_ms = race->hedge_ms;
            }
        }
    }
}

static void wait_and_dispatch(struct kb_race *race)
{
    struct polled polled;
    enum kb_status status;
    int ready;

    collect(race, &polled);
    status = kb_wait_poll(race->net->wait, polled.fds, polled.num, next_event(race), &ready);
    race->now_ms = kb_now_ms();
    if (status == KB_TIMED_OUT && race->held.ptr != NULL) {
        answered(race, &race->attempts[race->held_from], race->held);
    } else if (status != KB_OK) {
        stop(race, status);
    }
    for (size_t i = 0; ready > 0 && i < polled.num_attempts && race->state == KB_RACE_ON; i++) {
        size_t index = polled.attempt[i];

        if (polled.fds[i].revents == 0 || race->attempts[index].over) {
            continue;
        }
        if (race->attempts[index].conn.waits_to_send) {
            go_on_sending(race, &race->attempts[index]);
        } else {
            receive(race, index);
        }
    }
    if (race->state == KB_RACE_ON && polled.num > polled.num_attempts) {
        names_arrived(race);
    }
}

void kb_race_run(struct kb_race *race)
{
    race->state = KB_RACE_ON;
    race->start_ms = race->launch_ms = kb_now_ms();
    kb_lanes_init(race);
    timers(race);
    while (race->state == KB_RACE_ON) {
        wait_and_dispatch(race);
        if (race->state == KB_RACE_ON) {
            timers(race);
        }
    }
    for (size_t i = 0; i < race->num_attempts; i++) {
        if (!race->attempts[i].over) {
            race->attempts[i].end_ms = race->now_ms;
        }
        kb_conn_close(&race->attempts[i].conn);
    }
}

void kb_race_wipe(struct kb_race *race)
{
    free(race->attempts);
    *race = (struct kb_race){0};
}
