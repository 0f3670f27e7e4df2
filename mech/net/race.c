#include "mech/net/race.h"

#include <stdlib.h>

void kb_race_stop(struct kb_race *race, enum kb_status status)
{
    race->state = KB_RACE_STOPPED;
    race->status = status;
}

static bool any_counts(const struct kb_race *race)
{
    for (size_t i = 0; i < race->num_attempts; i++) {
        if (kb_attempt_counts(&race->attempts[i])) {
            return true;
        }
    }
    return false;
}

/* --- starting attempts --- */

/* May another attempt start beside those that are under way? A proof goes to one KDC only; while
 * nobody has a byte of it, connections may race for it. */
static bool may_launch(const struct kb_race *race)
{
    if (race->num_attempts >= KB_MAX_ATTEMPTS || race->held_as == KB_HELD_WEAK) {
        return false;
    }
    for (size_t i = 0; race->send->proof && i < race->num_attempts; i++) {
        const struct kb_attempt *attempt = &race->attempts[i];

        if (kb_attempt_counts(attempt) && (attempt->waiting || attempt->conn.sent > 0)) {
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
        bool alone = !any_counts(race) && !kb_lanes_resolving(race);
        int64_t other_ms = race->start_ms + tuning->defer_ms;
        bool other = alone || (race->now_ms >= other_ms && !race->send->proof);
        enum kb_status status = kb_lanes_next(race, other, &candidate);

        if (status == KB_NO_MEMORY) {
            kb_race_stop(race, status);
            return;
        }
        if (status == KB_NOT_FOUND) {
            race->launch_ms = !other && !race->send->proof ? other_ms : INT64_MAX;
            return;
        }
        race->launch_ms = race->hedge_ms =
            race->now_ms + kb_lanes_hedge_ms(race, candidate.place, candidate.transport);
        if (candidate.place != NULL) {
            kb_attempt_start(race, &candidate); /* sets launch_ms to now where it fails at once */
        }
    }
}

/* --- the clock --- */

static void attempt_timers(struct kb_race *race, struct kb_attempt *attempt)
{
    if (race->now_ms >= kb_attempt_expiry(race, attempt)) {
        kb_attempt_fail(race, attempt);
    } else if (kb_attempt_counts(attempt) && race->now_ms >= attempt->timer_ms &&
               race->held_as != KB_HELD_WEAK) {
        kb_attempt_send(race, attempt);
    }
}

/* When poll has to come back though nothing arrived. */
static int64_t next_event(const struct kb_race *race)
{
    int64_t next_ms = may_launch(race) ? race->launch_ms : INT64_MAX;

    if (race->held_as != KB_HELD_NONE && race->held_ms > race->now_ms && race->held_ms < next_ms) {
        next_ms = race->held_ms;
    }
    for (size_t i = 0; i < race->num_attempts; i++) {
        const struct kb_attempt *attempt = &race->attempts[i];
        int64_t end_ms = kb_attempt_expiry(race, attempt);
        int64_t timer_ms = kb_attempt_counts(attempt) && race->held_as != KB_HELD_WEAK
                               ? attempt->timer_ms
                               : INT64_MAX;

        next_ms = end_ms < next_ms ? end_ms : next_ms;
        next_ms = timer_ms < next_ms ? timer_ms : next_ms;
    }
    for (size_t i = 0; i < race->num_lanes; i++) {
        int64_t end_ms = kb_lanes_expiry(race, &race->lanes[i]);

        next_ms = end_ms > race->now_ms && end_ms < next_ms ? end_ms : next_ms;
    }
    return next_ms;
}

static void nobody_left(struct kb_race *race)
{
    if (race->held_as != KB_HELD_NONE) {
        if (race->now_ms >= race->held_ms) {
            kb_race_step_with_held(race);
        }
    } else if (race->send->proof && kb_lanes_left(race)) {
        /* The KDC that used to answer is gone; which other one lives must be found out without a
         * proof (DESIGN, net). */
        race->state = KB_RACE_LOST;
        race->judged = false;
    } else {
        race->state = KB_RACE_NOBODY;
    }
}

static void timers(struct kb_race *race)
{
    race->now_ms = kb_now_ms();
    if (race->held_as == KB_HELD_WEAK && race->now_ms >= race->held_ms) {
        kb_race_step_with_held(race);
        return;
    }
    for (size_t i = 0; i < race->num_attempts && race->state == KB_RACE_ON; i++) {
        attempt_timers(race, &race->attempts[i]);
    }
    launch_due(race);
    if (race->state == KB_RACE_ON && !any_counts(race) && !kb_lanes_resolving(race)) {
        nobody_left(race);
    }
}

/* --- waiting --- */

struct polled {
    struct pollfd fds[KB_MAX_ATTEMPTS + KB_MAX_KDCS + KB_WAIT_FDS];
    uint8_t attempt[KB_MAX_ATTEMPTS];
    size_t num, num_attempts;
};

static void collect(const struct kb_race *race, struct polled *polled)
{
    polled->num = 0;
    for (size_t i = 0; i < race->num_attempts; i++) {
        const struct kb_attempt *attempt = &race->attempts[i];

        if (!attempt->over) {
            bool out = attempt->conn.waits_to_send && !attempt->conn.hears_first;

            polled->attempt[polled->num] = (uint8_t)i;
            polled->fds[polled->num++] =
                (struct pollfd){.fd = attempt->conn.fd, .events = out ? POLLOUT : POLLIN};
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
            if (place->resolved->error == 0) {
                kb_wait_progress(race->net->wait);
            }
            if (place->resolved->error != 0 || !any_counts(race)) {
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
    if (status == KB_TIMED_OUT && race->held_as != KB_HELD_NONE) {
        kb_race_step_with_held(race);
    } else if (status != KB_OK) {
        kb_race_stop(race, status);
    }
    for (size_t i = 0; ready > 0 && i < polled.num_attempts && race->state == KB_RACE_ON; i++) {
        size_t index = polled.attempt[i];

        if (polled.fds[i].revents == 0 || race->attempts[index].over) {
            continue;
        }
        if (race->attempts[index].conn.waits_to_send) {
            kb_attempt_send(race, &race->attempts[index]);
        } else {
            kb_race_receive(race, index);
        }
    }
    if (race->state == KB_RACE_ON && polled.num > polled.num_attempts) {
        names_arrived(race);
    }
}

void kb_kept_drop(struct kb_net_session *net)
{
    if (net->kept.place != NULL) {
        kb_conn_close(&net->kept.conn);
    }
    net->kept = (struct kb_kept){0};
}

/* The connection that answered is kept for the login's next message, the others are closed. */
static void end_attempt(struct kb_race *race, size_t index)
{
    struct kb_attempt *attempt = &race->attempts[index];
    bool answered = race->state == KB_RACE_ANSWERED && race->num_answer == index + 1;

    if (!attempt->over) {
        attempt->end_ms = race->now_ms;
    }
    if (answered && !attempt->over && attempt->conn.ops->again != NULL &&
        attempt->conn.ops->again(&attempt->conn)) {
        kb_kept_drop(race->net);
        race->net->kept = (struct kb_kept){attempt->place, attempt->transport, attempt->conn};
    } else {
        kb_conn_close(&attempt->conn);
    }
}

void kb_race_run(struct kb_race *race)
{
    race->state = KB_RACE_ON;
    race->start_ms = race->launch_ms = kb_now_ms();
    race->now_ms = race->start_ms;
    kb_lanes_init(race);
    if (kb_wait_interrupted(race->net->wait)) {
        kb_race_stop(race, KB_INTERRUPTED); /* during string-to-key: send no more */
    } else {
        timers(race);
    }
    while (race->state == KB_RACE_ON) {
        wait_and_dispatch(race);
        if (race->state == KB_RACE_ON) {
            timers(race);
        }
    }
    for (size_t i = 0; i < race->num_attempts; i++) {
        end_attempt(race, i);
    }
}

void kb_race_wipe(struct kb_race *race)
{
    free(race->attempts);
    *race = (struct kb_race){0};
}
