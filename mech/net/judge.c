#include "mech/net/race.h"

#include <errno.h>
#include <stdio.h>

#define READS_AT_ONCE 16 /* datagrams of one socket before the others are looked at again */
#define MAX_IGNORED 100  /* unusable datagrams of one KDC, which cost a decoding each */

/* --- the answer --- */

static void say_peer(struct kb_net_session *net, const struct kb_attempt *attempt)
{
    char address[KB_ADDRESS_TEXT];

    kb_address_text(&attempt->conn.peer, true, address);
    if (attempt->transport == KB_HTTPS) {
        kb_peer_text(attempt, net->peer);
    } else if (attempt->conn.tunnelled) {
        snprintf(net->peer, sizeof(net->peer), "%.60s:%u (tcp through %.60s)",
                 attempt->place->kdc.host, (unsigned)attempt->place->kdc.port, address);
    } else if (attempt->transport == KB_UNIX) {
        snprintf(net->peer, sizeof(net->peer), "%s", address);
    } else {
        snprintf(net->peer, sizeof(net->peer), "%s (%s)", address, attempt->conn.ops->name);
    }
}

/* By which transport this KDC is to be asked next time: that TCP was chosen for the message's size
 * says nothing against UDP. */
static enum kb_transport to_remember(const struct kb_race *race, const struct kb_attempt *attempt)
{
    if (attempt->transport == KB_TCP && (race->tcp_by_choice || attempt->reused) &&
        attempt->place->kdc.transport == KB_ANY_TRANSPORT) {
        return attempt->place->known.alive ? attempt->place->known.transport : KB_UDP;
    }
    return attempt->transport;
}

/* Who was asked before the one that answered, and said nothing. */
static void note_overtaken(const struct kb_race *race, const struct kb_attempt *winner)
{
    for (size_t i = 0; i < race->num_attempts; i++) {
        const struct kb_attempt *attempt = &race->attempts[i];

        if (kb_attempt_counts(attempt) && attempt->waiting && attempt->seen == 0 &&
            attempt->place != winner->place && attempt->sent_ms < winner->start_ms) {
            kb_memory_overtaken(race->places->realm, &attempt->place->kdc,
                                race->now_ms - attempt->sent_ms, race->now_ms);
        }
    }
}

static void answered(struct kb_race *race, struct kb_attempt *attempt, kb_bytes reply)
{
    race->reply = reply;
    race->state = KB_RACE_ANSWERED;
    say_peer(race->net, attempt);
    race->net->facts = (struct kb_net_facts){.peer = attempt->conn.peer};
    if (!attempt->over) { /* else the socket of an answer that was held is closed by now */
        kb_conn_facts(&attempt->conn, &race->net->facts);
    }
    race->net->answered_of = race->places;
    race->net->answered_by = attempt->place;
    race->num_answer = (size_t)(attempt - race->attempts) + 1;
    kb_wait_progress(race->net->wait);
    kb_attempt_tell(race, attempt, KB_TELL_ANSWERED, reply);
    if (!attempt->cannot_serve) {
        attempt->place->failed = false;
        kb_memory_answered(race->places->realm, &attempt->place->kdc, &attempt->conn.peer,
                           to_remember(race, attempt),
                           attempt->sends == 1 ? race->now_ms - attempt->sent_ms : -1);
        note_overtaken(race, attempt);
    }
}

/* Copies a message out of the receive buffer; on failure the race stops. */
static kb_bytes keep(struct kb_race *race, kb_bytes message)
{
    kb_bytes copy = kb_arena_copy(race->arena, message);

    if (copy.ptr == NULL) {
        kb_race_stop(race, kb_arena_status(race->arena, message.len));
    }
    return copy;
}

static void accept_message(struct kb_race *race, struct kb_attempt *attempt, kb_bytes message)
{
    kb_bytes copy = keep(race, message);

    if (copy.ptr != NULL) {
        attempt->cannot_serve = false;
        answered(race, attempt, copy);
    }
}

/* --- a reply that may be displaced by a better one --- */

static void hold(struct kb_race *race, const struct kb_attempt *attempt, kb_bytes message,
                 enum kb_held as, int64_t until_ms)
{
    if (as <= race->held_as) {
        return;
    }
    race->held = keep(race, message);
    race->held_as = race->held.ptr != NULL ? as : KB_HELD_NONE;
    race->held_from = (size_t)(attempt - race->attempts);
    race->held_ms = until_ms;
}

/* Steps with what is held. But a proof that nobody judged goes to none of the realm's other KDCs
 * before one of them has shown, without a proof, that it lives (DESIGN, net). */
void kb_race_step_with_held(struct kb_race *race)
{
    if (race->held_as == KB_HELD_NOT_NOW && race->send->proof && kb_lanes_left(race)) {
        race->state = KB_RACE_LOST;
        race->judged = false;
    } else {
        answered(race, &race->attempts[race->held_from], race->held);
    }
}

/* One more round trip from now on, within bounds. */
static int64_t round_trip_from_now(const struct kb_race *race, const struct kb_attempt *attempt)
{
    const struct kb_net_tuning *tuning = &race->net->tuning;
    int64_t trip_ms = race->now_ms - attempt->sent_ms;

    trip_ms = trip_ms > tuning->weak_min_ms ? trip_ms : tuning->weak_min_ms;
    trip_ms = trip_ms < tuning->weak_max_ms ? trip_ms : tuning->weak_max_ms;
    return race->now_ms + trip_ms;
}

/* --- verdicts --- */

static void ignore(struct kb_race *race, struct kb_attempt *attempt)
{
    const char *reason = NULL;

    attempt->ignored++;
    if (!attempt->conn.ops->datagrams) {
        reason = "what it sent is no answer to the request";
    } else if (attempt->ignored >= MAX_IGNORED) {
        reason = "it sends nothing but unusable datagrams";
    }
    if (reason != NULL) {
        (void)kb_conn_fail(&attempt->conn, 0, "%s", reason);
        kb_attempt_fail(race, attempt);
    }
}

/* Over a stream nobody else can have written it. */
static void weak(struct kb_race *race, struct kb_attempt *attempt, kb_bytes message,
                 int64_t until_ms)
{
    if (!attempt->conn.ops->datagrams) {
        accept_message(race, attempt, message);
    } else if (race->held_as == KB_HELD_WEAK) {
        ignore(race, attempt);
    } else {
        hold(race, attempt, message, KB_HELD_WEAK, until_ms);
    }
}

/* The others are asked at once. A datagram that says so may be forged, so this one is still
 * listened to, for one more round trip even when nobody else is left. */
static void cannot_serve(struct kb_race *race, struct kb_attempt *attempt, const char *reason)
{
    attempt->cannot_serve = true;
    (void)kb_conn_fail(&attempt->conn, 0, "%s", reason);
    if (!attempt->conn.ops->datagrams) {
        kb_attempt_fail(race, attempt);
    } else if (kb_attempt_counts(attempt)) {
        kb_attempt_tell(race, attempt, KB_TELL_FAILED, KB_NONE);
        attempt->listening = true;
        attempt->place->failed = true;
        kb_memory_failed(race->places->realm, &attempt->place->kdc, race->now_ms);
        race->launch_ms = race->now_ms;
    } else {
        ignore(race, attempt);
    }
}

/* The same bytes to the same KDC, over TCP. False: that was tried, or is not allowed. */
static bool switch_to_tcp(struct kb_race *race, struct kb_attempt *attempt)
{
    struct kb_candidate candidate = {attempt->place, attempt->conn.peer, KB_TCP};
    const struct kb_attempt *other =
        kb_attempt_find(race, attempt->place, &candidate.address, KB_TCP);

    if (attempt->place->kdc.transport == KB_UDP || (other != NULL && other->over) ||
        (other == NULL && race->num_attempts >= KB_MAX_ATTEMPTS)) {
        return false;
    }
    kb_attempt_tell(race, attempt, KB_TELL_TOO_BIG_FOR_UDP, KB_NONE);
    kb_memory_set_tcp(race->places->realm, true);
    attempt->listening = attempt->asked_tcp = true;
    if (other == NULL) {
        kb_attempt_start(race, &candidate); /* may move `attempt` */
    }
    return true;
}

static void too_big_for_udp(struct kb_race *race, struct kb_attempt *attempt, const char *reason)
{
    if (attempt->listening) {
        ignore(race, attempt);
    } else if (!switch_to_tcp(race, attempt)) {
        attempt->cannot_serve = true;
        (void)kb_conn_fail(&attempt->conn, EMSGSIZE, "%s", reason);
        kb_attempt_fail(race, attempt);
    }
}

static void judge(struct kb_race *race, struct kb_attempt *attempt, kb_bytes message)
{
    switch (message.len > 0 ? race->verdict(race->machine, message) : KB_VERDICT_IGNORE) {
    case KB_VERDICT_FINAL:
        accept_message(race, attempt, message);
        break;
    case KB_VERDICT_WEAK:
        weak(race, attempt, message, round_trip_from_now(race, attempt));
        break;
    case KB_VERDICT_LATE:
        weak(race, attempt, message, attempt->sent_ms + race->net->tuning.proof_ms);
        break;
    case KB_VERDICT_TCP:
        if (attempt->conn.ops->datagrams) {
            too_big_for_udp(race, attempt, "its answer is too big for UDP");
        } else {
            accept_message(race, attempt, message);
        }
        break;
    case KB_VERDICT_NEXT:
        hold(race, attempt, message, KB_HELD_NOT_NOW, round_trip_from_now(race, attempt));
        cannot_serve(race, attempt, "it says that it cannot serve now");
        break;
    case KB_VERDICT_IGNORE:
    default:
        ignore(race, attempt);
        break;
    }
}

/* --- receiving --- */

static void too_large(struct kb_race *race, struct kb_attempt *attempt)
{
    if (attempt->conn.ops->datagrams) {
        attempt->conn.option = "MaxPacketSize";
        too_big_for_udp(race, attempt, "its answer is larger than MaxPacketSize");
    } else {
        (void)kb_conn_fail(&attempt->conn, 0, "it announces an answer of more than a mebibyte");
        kb_attempt_fail(race, attempt);
    }
}

void kb_race_receive(struct kb_race *race, size_t index)
{
    for (int i = 0; i < READS_AT_ONCE && race->state == KB_RACE_ON; i++) {
        struct kb_attempt *attempt = &race->attempts[index];
        kb_bytes message;

        if (attempt->over) {
            return;
        }
        switch (attempt->conn.ops->receive(&attempt->conn, &race->net->inbox, &message)) {
        case KB_IO_DONE:
            kb_attempt_capture(race, attempt, false, message);
            judge(race, attempt, message);
            break;
        case KB_IO_TOO_BIG:
            too_large(race, attempt);
            break;
        case KB_IO_AGAIN:
            if (attempt->conn.in_len > attempt->seen) {
                attempt->seen = attempt->conn.in_len;
                kb_wait_bytes(race->net->wait);
            }
            return;
        case KB_IO_TOO_LARGE:
            kb_attempt_too_large(race, attempt);
            return;
        case KB_IO_NO_MEMORY:
            kb_race_stop(race, KB_NO_MEMORY);
            return;
        case KB_IO_FAILED:
        default:
            kb_attempt_fail(race, attempt);
            return;
        }
    }
}
