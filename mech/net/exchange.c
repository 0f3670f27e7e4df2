#include "mech/net/exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "mech/net/fds.h"
#include "mech/net/race.h"
#include "mech/net/remember.h"
#include "mech/report/callback.h"

const struct kb_net_tuning kb_net_default_tuning = {
    .hedge_ms = 250,
    .hedge_min_ms = 50,
    .repeat_ms = 1000,
    .max_gap_ms = 8000,
    .max_sends = 4,
    .life_ms = 15000,
    .name_ms = KB_RESOLVE_LIFE_MS,
    .defer_ms = 1000,
    .proof_ms = 3000,
    .weak_min_ms = 10,
    .weak_max_ms = 1000,
};

/* As MIT has it: no ticket comes near, and an endless frame costs no more. */
#define MAX_FRAME ((size_t)1024 * 1024)

struct kb_net_session *kb_net_new(const struct kb_net_config *config, kb_locate_fn locate,
                                  void *locate_ctx, struct kb_wait *wait)
{
    struct kb_net_session *net = calloc(1, sizeof(*net));

    if (net != NULL) {
        net->config = *config;
        net->locate = locate;
        net->locate_ctx = locate_ctx;
        net->wait = wait;
        net->sockets = (struct kb_sockets){.options = config->sockets, .events = config->events};
        net->tuning = kb_net_default_tuning;
        net->inbox.max_packet_size = config->max_packet_size;
        net->inbox.max_frame = MAX_FRAME;
    }
    return net;
}

void kb_net_free(struct kb_net_session *net)
{
    if (net != NULL) {
        kb_kept_drop(net);
        kb_places_free(net->places);
        free(net->inbox.datagram);
        free(net);
    }
}

void kb_net_tune(struct kb_net_session *net, const struct kb_net_tuning *tuning)
{
    net->tuning = *tuning;
}

void kb_net_idle(struct kb_net_session *net, void (*idle)(void *), void *ctx)
{
    net->idle = idle;
    net->idle_ctx = ctx;
}

const char *kb_net_peer(const struct kb_net_session *net)
{
    return net->peer;
}

bool kb_net_alive(struct kb_net_session *net, kb_bytes realm)
{
    struct kb_error ignored = {0};
    struct kb_places *places = kb_places_of(net, realm, false, &ignored);

    if (places == NULL || places->num == 1) {
        return places != NULL;
    }
    for (size_t i = 0; i < places->num; i++) {
        struct kb_known known;

        kb_memory_get(realm, &places->list[i].kdc, &known);
        if (known.alive && !places->list[i].failed) {
            return true;
        }
    }
    return false;
}

/* A realm on the way to another may have no primary KDC that we know of. */
static struct kb_places *places_for(struct kb_net_session *net, const struct kb_send *send,
                                    struct kb_error *err)
{
    struct kb_error why = {0};
    struct kb_places *primary = send->primary ? kb_places_of(net, send->realm, true, &why) : NULL;

    if (primary != NULL || (send->primary && why.code != KB_E_NO_KDC)) {
        (void)kb_error_copy(err, &why);
        return primary;
    }
    return kb_places_of(net, send->realm, false, err);
}

/* None of the realm's KDCs could be reached. If we know of them from a while ago, the network may
 * be another one by now; a proof is left to the machine, which asks without one next. */
static bool look_again(struct kb_net_session *net, const struct kb_race *race,
                       const struct kb_error *err)
{
    bool nobody = race->state == KB_RACE_NOBODY;
    bool silent = race->state == KB_RACE_STOPPED && race->status == KB_TIMED_OUT;

    if (net->config.relocate == NULL || !(nobody || silent) ||
        !net->config.relocate(net->locate_ctx, race->send->realm)) {
        return false;
    }
    if (!nobody || race->send->proof || kb_wait_is_over(net->wait)) {
        return false;
    }
    kb_event_looked_up_again(net->config.events, err->text);
    return true;
}

/* *again: the KDCs may be others by now, and this is to be asked once more. */
static enum kb_status run_race(struct kb_race *race, kb_bytes *out_reply, bool *out_judged,
                               bool *again, struct kb_error *err)
{
    enum kb_status status;

    race->places = places_for(race->net, race->send, err);
    if (race->places == NULL) {
        return KB_ERROR;
    }
    kb_race_run(race);
    switch (race->state) {
    case KB_RACE_ANSWERED:
        *out_reply = race->reply;
        status = KB_OK;
        break;
    case KB_RACE_LOST:
        if (out_judged != NULL) {
            *out_judged = race->judged;
        }
        status = KB_TIMED_OUT;
        break;
    default:
        /* What asked for TCP may have been forged, or TCP is closed by now. */
        kb_memory_set_tcp(race->send->realm, false);
        if (race->state == KB_RACE_NOBODY || race->status == KB_TIMED_OUT) {
            kb_memory_forgive(race->send->realm);
        }
        status = kb_race_error(race, err);
        *again = look_again(race->net, race, err);
        break;
    }
    kb_race_wipe(race);
    return status;
}

enum kb_status kb_net_exchange(struct kb_net_session *net, const struct kb_send *send,
                               kb_verdict_fn verdict, void *machine, struct kb_arena *arena,
                               kb_bytes *out_reply, bool *out_judged, struct kb_error *err)
{
    struct kb_race race = {
        .net = net, .send = send, .verdict = verdict, .machine = machine, .arena = arena};
    struct kb_race second = race;
    bool again = false;
    enum kb_status status;

    *out_reply = KB_NONE;
    if (kb_sockets_prepare(&net->sockets, net->wait, err) != KB_OK) {
        return KB_ERROR;
    }
    status = run_race(&race, out_reply, out_judged, &again, err);
    if (again) {
        kb_places_drop(net, send->realm);
        *err = (struct kb_error){0};
        status = run_race(&second, out_reply, out_judged, &again, err);
    }
    return status;
}

enum kb_status kb_net_canonical_name(struct kb_wait *wait, const char *host, bool reverse,
                                     char out[256])
{
    struct kb_resolve *question;
    const struct kb_resolved *answer;
    enum kb_status status = kb_resolve_start(
        host, reverse ? KB_RESOLVE_CANONICAL | KB_RESOLVE_REVERSE : KB_RESOLVE_CANONICAL,
        &question);

    out[0] = '\0';
    if (status != KB_OK) {
        return status;
    }
    status = kb_resolve_wait(question, wait, &answer);
    if (status == KB_OK && (answer->error != 0 || answer->canonical[0] == '\0')) {
        status = KB_NOT_FOUND;
    } else if (status == KB_OK) {
        memcpy(out, answer->canonical, sizeof(answer->canonical));
    }
    kb_resolve_free(question);
    return status;
}

void kb_net_known_name(const char *host, bool reverse, char out[256])
{
    struct kb_asked asked = {
        host, reverse ? KB_RESOLVE_CANONICAL | KB_RESOLVE_REVERSE : KB_RESOLVE_CANONICAL, 0};
    struct kb_resolved answer;

    out[0] = '\0';
    if (kb_remember_find(&asked, kb_now_ms(), &answer)) {
        if (answer.error == 0) {
            memcpy(out, answer.canonical, sizeof(answer.canonical));
        }
        kb_resolved_wipe(&answer);
    }
}

const char *kb_net_wrong_option(const struct kb_net_session *net)
{
    return net->sockets.wrong_option;
}

const struct kb_net_facts *kb_net_facts(const struct kb_net_session *net)
{
    return net->facts.peer.len > 0 ? &net->facts : NULL;
}

void kb_net_fork_prepare(void)
{
    kb_memory_fork_prepare();
    kb_resolve_fork_prepare();
    kb_remember_fork_prepare();
}

void kb_net_fork_parent(void)
{
    kb_remember_fork_done();
    kb_resolve_fork_parent();
    kb_memory_fork_done();
}

void kb_net_fork_child(void)
{
    kb_wait_fork_child();
    kb_callback_fork_child();
    kb_fds_drop();
    kb_remember_fork_done();
    kb_resolve_fork_child();
    kb_memory_fork_done();
}
