#include "mech/net/session.h"

#include <stdlib.h>

static struct kb_places *locate(struct kb_net_session *net, kb_bytes realm, bool primary,
                                struct kb_error *err)
{
    struct kb_kdc found[KB_MAX_KDCS];
    size_t num = net->locate(net->locate_ctx, realm, primary, found, KB_MAX_KDCS, err);
    struct kb_places *places;
    uint8_t *name;

    num = num < KB_MAX_KDCS ? num : KB_MAX_KDCS;
    if (num == 0) {
        (void)kb_error_set(err, KB_E_NO_KDC, "No KDC is known");
        return NULL;
    }
    places = calloc(1, sizeof(*places) + num * sizeof(places->list[0]) + realm.len + 1);
    if (places == NULL) {
        (void)kb_error_set(err, KB_E_NO_MEMORY, "No memory for the list of KDCs");
        return NULL;
    }
    name = (uint8_t *)&places->list[num];
    if (realm.len > 0) {
        memcpy(name, realm.ptr, realm.len);
    }
    places->realm = kb_bytes_of(name, realm.len);
    places->primary = primary;
    places->num = num;
    for (size_t i = 0; i < num; i++) {
        places->list[i].kdc = found[i];
    }
    return places;
}

struct kb_places *kb_places_of(struct kb_net_session *net, kb_bytes realm, bool primary,
                               struct kb_error *err)
{
    struct kb_places *places = net->places;

    while (places != NULL && !(places->primary == primary && kb_equal(places->realm, realm))) {
        places = places->next;
    }
    if (places == NULL) {
        places = locate(net, realm, primary, err);
        if (places != NULL) {
            places->next = net->places;
            net->places = places;
        }
    }
    return places;
}

void kb_places_drop(struct kb_net_session *net, kb_bytes realm)
{
    struct kb_places **link = &net->places;

    kb_kept_drop(net); /* it belongs to one of them, most likely */
    while (*link != NULL) {
        struct kb_places *places = *link;

        if (kb_equal(places->realm, realm)) {
            *link = places->next;
            places->next = NULL;
            if (net->answered_of == places) {
                net->answered_of = NULL;
                net->answered_by = NULL;
            }
            kb_places_free(places);
        } else {
            link = &places->next;
        }
    }
}

void kb_places_free(struct kb_places *places)
{
    while (places != NULL) {
        struct kb_places *next = places->next;

        for (size_t i = 0; i < places->num; i++) {
            kb_resolve_free(places->list[i].question);
        }
        free(places);
        places = next;
    }
}

static enum kb_status start(const struct kb_sockets *sockets, struct kb_place *place)
{
    const char *proxy = sockets->options.firewall_host;

    place->port = place->kdc.port;
    if (place->kdc.transport == KB_UNIX) {
        return kb_resolve_start(place->kdc.host, KB_RESOLVE_UNIX, &place->question);
    }
    if (proxy != NULL) {
        place->port = kb_sockets_firewall_port(sockets);
    }
    return kb_resolve_start(proxy != NULL ? proxy : place->kdc.host,
                            kb_sockets_family_flags(sockets) |
                                (proxy == NULL && place->kdc.absolute ? KB_RESOLVE_ABSOLUTE : 0),
                            &place->question);
}

enum kb_status kb_place_ask(const struct kb_sockets *sockets, struct kb_place *place,
                            int64_t now_ms)
{
    enum kb_status status;

    if (place->question == NULL) {
        place->asked_ms = now_ms;
        status = start(sockets, place);
        if (status != KB_OK) {
            return status;
        }
    }
    (void)kb_place_answer(place);
    return KB_OK;
}

bool kb_place_answer(struct kb_place *place)
{
    if (place->resolved == NULL && place->question != NULL) {
        place->resolved = kb_resolve_result(place->question);
    }
    return place->resolved != NULL;
}
