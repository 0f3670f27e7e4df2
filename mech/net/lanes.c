#include "mech/net/race.h"

/* What a KDC is asked by, first and then. A transport that KDCHost names is the only one; the other
 * is there since firewalls drop the one or the other and KDCs serve only one of them. */
static void choose_transports(const struct kb_race *race, struct kb_lane *lane)
{
    enum kb_transport named = lane->place->kdc.transport;
    bool tcp_only = race->net->config.use_tcp || race->send->tcp_only ||
                    race->net->sockets.options.firewall_host != NULL;
    bool tcp_known =
        kb_memory_names(&race->known, &lane->place->kdc) && race->known.transport == KB_TCP;

    lane->transports[1] = KB_ANY_TRANSPORT;
    lane->place->unreachable = named == KB_UDP && race->net->sockets.options.firewall_host != NULL;
    if (lane->place->unreachable) {
        lane->transports[0] = KB_ANY_TRANSPORT;
    } else if (named != KB_ANY_TRANSPORT) {
        lane->transports[0] = named;
    } else if (tcp_only) {
        lane->transports[0] = KB_TCP;
    } else if (race->tcp_by_choice || race->known.tcp || tcp_known) {
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

/* The KDC that answered before comes first; those that failed in this session come last. A proof
 * goes to the one that answered alone, since another would count a second bad password. */
void kb_lanes_init(struct kb_race *race)
{
    struct kb_places *places = race->places;
    struct kb_place *first = NULL;

    kb_memory_get(places->realm, &race->known);
    race->tcp_by_choice = race->net->config.use_tcp || race->send->tcp_only ||
                          race->net->sockets.options.firewall_host != NULL ||
                          race->send->message.len > race->net->config.udp_limit ||
                          race->send->message.len > race->net->config.max_packet_size;
    for (size_t i = 0; i < places->num && first == NULL; i++) {
        if (kb_memory_names(&race->known, &places->list[i].kdc) && !places->list[i].failed) {
            first = &places->list[i];
            add_lane(race, first);
        }
    }
    if (first != NULL && race->send->proof) {
        return;
    }
    for (int failed = 0; failed <= 1; failed++) {
        for (size_t i = 0; i < places->num; i++) {
            if (&places->list[i] != first && places->list[i].failed == failed) {
                add_lane(race, &places->list[i]);
            }
        }
    }
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

/* Where to begin among a KDC's addresses: at the one that answered before, if it is there. */
static void find_first(const struct kb_race *race, struct kb_lane *lane)
{
    const struct kb_resolved *resolved = lane->place->resolved;

    if (!kb_memory_names(&race->known, &lane->place->kdc)) {
        return;
    }
    for (unsigned i = 0; i < resolved->num; i++) {
        struct kb_address address = resolved->addresses[i];

        kb_address_set_port(&address, lane->place->port);
        if (kb_address_equal(&address, &race->known.address)) {
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
