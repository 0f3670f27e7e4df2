/* The primary KDC of a realm, where it is another than the one that answered. */
#include "mech/net/session.h"

/* Waits until a KDC's name is resolved. */
static enum kb_status resolve(struct kb_net_session *net, struct kb_place *place)
{
    enum kb_status status = kb_place_ask(&net->sockets, place, kb_now_ms());
    const struct kb_resolved *answer;

    if (status == KB_OK && place->resolved == NULL) {
        status = kb_resolve_wait(place->question, net->wait, &answer);
        (void)kb_place_answer(place);
    }
    return status;
}

static bool is_written_alike(const struct kb_kdc *a, const struct kb_kdc *b)
{
    return a->port == b->port && kb_equal_nocase(kb_str(a->host), kb_str(b->host));
}

static bool has_address(const struct kb_place *place, const struct kb_address *of)
{
    for (unsigned i = 0; i < place->resolved->num; i++) {
        struct kb_address address = place->resolved->addresses[i];

        kb_address_set_port(&address, place->kdc.port);
        if (kb_address_equal(&address, of)) {
            return true;
        }
    }
    return false;
}

/* A proxy resolves names for itself: then the names tell. */
static enum kb_status is_who_answered(struct kb_net_session *net, struct kb_place *place, bool *out)
{
    enum kb_status status = KB_OK;

    *out = is_written_alike(&place->kdc, &net->answered_by->kdc);
    if (!*out && !net->facts.tunnelled && place->kdc.transport != KB_UNIX) {
        status = resolve(net, place);
        *out = status == KB_OK && has_address(place, &net->facts.peer);
    }
    return status;
}

enum kb_status kb_net_primary(struct kb_net_session *net, struct kb_error *err)
{
    struct kb_error why = {0};
    struct kb_places *places =
        net->answered_of != NULL ? kb_places_of(net, net->answered_of->realm, true, &why) : NULL;

    if (places == NULL) {
        return why.code == KB_E_NONE || why.code == KB_E_NO_KDC ? KB_NOT_FOUND
                                                                : kb_error_copy(err, &why);
    }
    for (size_t i = 0; i < places->num; i++) {
        bool same;
        enum kb_status status = is_who_answered(net, &places->list[i], &same);

        if (status != KB_OK) {
            return kb_error_status(err, KB_E_TIMEOUT, status, "Looking for the primary KDC %s",
                                   places->list[i].kdc.host);
        }
        if (same) {
            return KB_NOT_FOUND;
        }
    }
    return KB_OK;
}
