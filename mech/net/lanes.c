#include "mech/net/race.h"

/* What a KDC is asked by, first and then. A transport that KDCHost names is the only one; the other
 * is there since firewalls drop the one or the other and KDCs serve only one of them. */
static void choose_transports(const struct kb_race *race, struct kb_lane *lane)
{
    enum kb_transport named = lane->place->kdc.transport;
    bool tcp_only = race->net->config.use_tcp || race->send->tcp_only ||
                    race->net->sockets.options.firewall_host != NULL;
    const struct kb_kept *kept = &race->net->kept;
    bool tcp_known = lane->place->known.alive && lane->place->known.transport == KB_TCP;

    lane->transports[1] = KB_ANY_TRANSPORT;
    lane->place->unreachable = named == KB_UDP && race->net->sockets.options.firewall_host != NULL;
    if (lane->place->unreachable) {
        lane->transports[0] = KB_ANY_TRANSPORT;
    } else if (named != KB_ANY_TRANSPORT) {
        lane->transports[0] = named;
    } else if (tcp_only) {
        lane->transports[0] = KB_TCP;
    } else if (race->tcp_by_choice || race->tcp_known || tcp_known || kept->place == lane->place) {
        lane->transports[0] = KB_TCP;
        lane->transports[1] = KB_UDP;
    } else {
        lane->transports[0] = KB_UDP;
        lane->transports[1] = KB_TCP;
    }
}

static void add_lane(struct kb_race *race, struct kb_place *place)
{
    struct kb_lane *lane = &race->lanes[race->num_lanes++];

    *lane = (struct kb_lane){.place = place};
    choose_transports(race, lane);
}

/* --- their order --- */

/* Those that failed in this session come last, before them those that did lately in this process;
 * then the configured order counts. Of one priority those come first that are known to be fast. */
static bool comes_before(const struct kb_race *race, const struct kb_place *a,
                         const struct kb_place *b)
{
    bool late_a = race->now_ms < a->known.late_until_ms;
    bool late_b = race->now_ms < b->known.late_until_ms;

    if (a->failed != b->failed) {
        return b->failed;
    }
    if (late_a != late_b) {
        return late_b;
    }
    if (a->kdc.priority != b->kdc.priority) {
        return a->kdc.priority < b->kdc.priority;
    }
    return a->known.srtt_us != 0 && (b->known.srtt_us == 0 || a->known.srtt_us < b->known.srtt_us);
}

static size_t sort(const struct kb_race *race, struct kb_place *sorted[KB_MAX_KDCS])
{
    struct kb_places *places = race->places;

    for (size_t i = 0; i < places->num; i++) {
        size_t at = i;

        for (; at > 0 && comes_before(race, &places->list[i], sorted[at - 1]); at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = &places->list[i];
    }
    return places->num;
}

/* One login keeps to one KDC. A proof goes to one alone, since another would count a second bad
 * password: the one that answered this login, else the first that is known to be alive. */
static struct kb_place *find_own(const struct kb_race *race, struct kb_place *const *sorted,
                                 size_t num)
{
    for (size_t i = 0; i < num && race->net->answered_of == race->places; i++) {
        if (sorted[i] == race->net->answered_by && !sorted[i]->failed) {
            return sorted[i];
        }
    }
    for (size_t i = 0; i < num && race->send->proof; i++) {
        if (sorted[i]->known.alive && !sorted[i]->failed) {
            return sorted[i];
        }
    }
    return NULL;
}

void kb_lanes_init(struct kb_race *race)
{
    struct kb_places *places = race->places;
    struct kb_place *sorted[KB_MAX_KDCS], *own;
    size_t num;

    /* Its KDC may have closed it, or be about to (MIT's does, after each answer). A proof that is
     * lost so would count as judged: it has a connection of its own. */
    if (race->net->kept.place != NULL &&
        (race->send->proof || !kb_conn_is_idle(&race->net->kept.conn))) {
        kb_kept_drop(race->net);
    }
    race->tcp_known = kb_memory_wants_tcp(places->realm);
    race->tcp_by_choice = race->net->config.use_tcp || race->send->tcp_only ||
                          race->net->sockets.options.firewall_host != NULL ||
                          race->send->message.len > race->net->config.udp_limit ||
                          race->send->message.len > race->net->config.max_packet_size;
    for (size_t i = 0; i < places->num; i++) {
        kb_memory_get(places->realm, &places->list[i].kdc, &places->list[i].known);
    }
    num = sort(race, sorted);
    own = find_own(race, sorted, num);
    if (own != NULL) {
        add_lane(race, own);
    }
    for (size_t i = 0; i < num && !(own != NULL && race->send->proof); i++) {
        if (sorted[i] != own) {
            add_lane(race, sorted[i]);
        }
    }
}

int64_t kb_lanes_hedge_ms(const struct kb_race *race, const struct kb_place *place,
                          enum kb_transport transport)
{
    const struct kb_net_tuning *tuning = &race->net->tuning;
    int64_t ms;

    if (place == NULL || place->known.srtt_us == 0 || tuning->hedge_min_ms == 0 ||
        (transport != KB_UDP && race->net->kept.place != place)) {
        return tuning->hedge_ms;
    }
    ms = (kb_memory_rto_us(&place->known) + 999) / 1000;
    ms = ms > tuning->hedge_min_ms ? ms : tuning->hedge_min_ms;
    return ms < tuning->hedge_ms ? ms : tuning->hedge_ms;
}

bool kb_lanes_left(const struct kb_race *race)
{
    return race->num_lanes < race->places->num;
}

int64_t kb_lanes_expiry(const struct kb_race *race, const struct kb_lane *lane)
{
    const struct kb_place *place = lane->place;

    if (place->question == NULL || place->resolved != NULL || !kb_race_is_limited(race)) {
        return INT64_MAX;
    }
    return place->asked_ms + race->net->tuning.name_ms;
}

bool kb_lanes_resolving(const struct kb_race *race)
{
    for (size_t i = 0; i < race->num_lanes; i++) {
        const struct kb_place *place = race->lanes[i].place;

        if (place->question != NULL && place->resolved == NULL &&
            race->now_ms < kb_lanes_expiry(race, &race->lanes[i])) {
            return true;
        }
    }
    return false;
}

/* Where to begin among a KDC's addresses: at the one to which there is a connection, or that
 * answered before, if it is there. */
static void find_first(const struct kb_race *race, struct kb_lane *lane)
{
    const struct kb_resolved *resolved = lane->place->resolved;
    const struct kb_kept *kept = &race->net->kept;
    const struct kb_address *wanted =
        kept->place == lane->place ? &kept->conn.peer : &lane->place->known.address;

    for (unsigned i = 0; i < resolved->num; i++) {
        struct kb_address address = resolved->addresses[i];

        kb_address_set_port(&address, lane->place->port);
        if (wanted->len > 0 && kb_address_equal(&address, wanted)) {
            lane->first = i;
        }
    }
}

/* The nth address to try: the first one, then the others in the resolver's order. */
static struct kb_address nth_address(const struct kb_lane *lane, unsigned nth)
{
    unsigned index = nth == 0 ? lane->first : nth <= lane->first ? nth - 1 : nth;
    struct kb_address address = lane->place->resolved->addresses[index];

    kb_address_set_port(&address, lane->place->port);
    return address;
}

static bool next_of_lane(const struct kb_race *race, struct kb_lane *lane, int choice,
                         struct kb_candidate *out)
{
    while (lane->tried[choice] < lane->place->resolved->num) {
        struct kb_address address = nth_address(lane, lane->tried[choice]++);

        if (kb_attempt_find(race, lane->place, &address, lane->transports[choice]) == NULL) {
            *out = (struct kb_candidate){lane->place, address, lane->transports[choice]};
            return true;
        }
    }
    return false;
}

/* Begins to resolve a KDC's name. What cannot be done in a helper was done in line, where a
 * resolver that hangs holds up the call (DESIGN, net): that is worth a line. */
static enum kb_status ask_name(const struct kb_race *race, struct kb_place *place)
{
    enum kb_status status = kb_place_ask(&race->net->sockets, place, race->now_ms);

    if (status == KB_OK && place->resolved != NULL && place->resolved->in_line) {
        kb_event_resolved_in_line(race->net->config.events);
    }
    return status;
}

static enum kb_status next_by_choice(struct kb_race *race, int choice, struct kb_candidate *out)
{
    for (size_t i = 0; i < race->num_lanes; i++) {
        struct kb_lane *lane = &race->lanes[i];
        bool asked = lane->place->question != NULL;

        if (lane->transports[choice] == KB_ANY_TRANSPORT || (asked && !lane->place->resolved)) {
            continue;
        }
        if (!asked) {
            if (ask_name(race, lane->place) != KB_OK) {
                return KB_NO_MEMORY;
            }
            if (lane->place->resolved == NULL) {
                *out = (struct kb_candidate){0};
                return KB_OK;
            }
        }
        if (lane->tried[choice] == 0) {
            find_first(race, lane);
        }
        if (next_of_lane(race, lane, choice, out)) {
            return KB_OK;
        }
    }
    return KB_NOT_FOUND;
}

enum kb_status kb_lanes_next(struct kb_race *race, bool other_transport, struct kb_candidate *out)
{
    enum kb_status status = next_by_choice(race, 0, out);

    return status == KB_NOT_FOUND && other_transport ? next_by_choice(race, 1, out) : status;
}
