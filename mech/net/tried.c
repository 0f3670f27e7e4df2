#include "mech/net/race.h"

#include <stdio.h>

#include "asn1/engine.h"

#define MAX_LIST 640 /* of the error's text, which has other things to say as well */

#define HTTPS_PORT 443
#define URL_TEXT 96

static void put_url(const struct kb_kdc *kdc, char out[URL_TEXT])
{
    bool six = strchr(kdc->host, ':') != NULL;
    char port[8] = "";

    if (kdc->port != HTTPS_PORT) {
        snprintf(port, sizeof(port), ":%u", (unsigned)kdc->port);
    }
    snprintf(out, URL_TEXT, "https://%s%.50s%s%s%.25s", six ? "[" : "", kdc->host, six ? "]" : "",
             port, kdc->path);
}

void kb_peer_text(const struct kb_attempt *attempt, char out[KB_PEER_TEXT])
{
    const struct kb_kdc *kdc = &attempt->place->kdc;
    const char *transport = attempt->conn.ops->name;
    struct kb_address numeric;
    char address[KB_ADDRESS_TEXT], url[URL_TEXT];

    if (kdc->transport == KB_UNIX) {
        kb_address_text(&attempt->conn.peer, true, out);
    } else if (kdc->transport == KB_HTTPS) {
        kb_address_text(&attempt->conn.peer, attempt->conn.tunnelled, address);
        put_url(kdc, url);
        snprintf(out, KB_PEER_TEXT, "%s (%s%.40s)", url,
                 attempt->conn.tunnelled ? "through FirewallHost " : "", address);
    } else if (attempt->conn.tunnelled) {
        kb_address_text(&attempt->conn.peer, true, address);
        snprintf(out, KB_PEER_TEXT, "%.60s:%u through FirewallHost %.60s", kdc->host,
                 (unsigned)kdc->port, address);
    } else if (kb_address_numeric(&numeric, kdc->host)) {
        kb_address_text(&attempt->conn.peer, true, address);
        snprintf(out, KB_PEER_TEXT, "%s %s", address, transport);
    } else {
        kb_address_text(&attempt->conn.peer, false, address);
        snprintf(out, KB_PEER_TEXT, "%.60s:%u (%.60s) %s", kdc->host, (unsigned)kdc->port, address,
                 transport);
    }
}

static void add_seconds(struct kb_buf *out, int64_t ms)
{
    ms = ms > 0 ? ms : 0;
    kb_buf_printf(out, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
}

/* Why one attempt brought nothing. */
static void add_cause(struct kb_buf *out, const struct kb_attempt *attempt)
{
    const struct kb_conn *conn = &attempt->conn;

    if (conn->reason[0] != '\0') {
        kb_buf_add_escaped(out, kb_str(conn->reason));
        return;
    }
    if (conn->sys_errno != 0) {
        const char *text = strerrordesc_np(conn->sys_errno);

        kb_buf_add_str(out, text != NULL ? text : "unknown error");
        return;
    }
    if (attempt->asked_tcp) {
        kb_buf_add_str(out, "its answer is too big for UDP");
        return;
    }
    if (attempt->ignored > 0) {
        kb_buf_printf(out, "%u unusable answer%s", attempt->ignored,
                      attempt->ignored > 1 ? "s" : "");
    } else if (conn->in_len > 0) {
        kb_buf_printf(out, "%zu bytes of an unfinished answer", conn->in_len);
    } else {
        kb_buf_add_str(out, attempt->waiting ? "no answer" : "no connection");
    }
    kb_buf_add_str(out, " in ");
    add_seconds(out, attempt->end_ms - attempt->start_ms);
}

static void add_attempt(struct kb_buf *out, const struct kb_attempt *attempt)
{
    char peer[KB_PEER_TEXT];

    kb_peer_text(attempt, peer);
    kb_buf_add_escaped(out, kb_str(peer));
    kb_buf_add_str(out, ": ");
    add_cause(out, attempt);
}

static void tell_failed(struct kb_events *events, const struct kb_attempt *attempt)
{
    struct kb_buf line;

    kb_buf_init(&line, 512);
    add_attempt(&line, attempt);
    kb_event_attempt_failed(events, kb_buf_str(&line));
    kb_buf_wipe(&line);
}

static void tell_socket(struct kb_events *events, const struct kb_conn *conn, const char *peer)
{
    char text[KB_ADDRESS_TEXT];
    struct kb_address local;

    if (kb_events_wanted(events, KB_LOG_DEBUG | KB_EVENT_TRAIL) && kb_conn_local(conn, &local)) {
        kb_address_text(&local, true, text);
        kb_event_from(events, peer, text, conn->fd);
    }
}

void kb_attempt_tell(const struct kb_race *race, const struct kb_attempt *attempt,
                     enum kb_tell what, kb_bytes message)
{
    struct kb_events *events = race->net->config.events;
    const char *name = kb_message_name(message) != NULL ? kb_message_name(message) : "a message";
    char text[KB_PEER_TEXT];
    struct kb_buf peer;

    if (!kb_events_wanted(events, KB_LOG_VERBOSE | KB_EVENT_TRAIL)) {
        return;
    }
    kb_peer_text(attempt, text);
    kb_buf_init(&peer, 4 * KB_PEER_TEXT);
    kb_buf_add_escaped(&peer, kb_str(text));
    switch (what) {
    case KB_TELL_FROM:
        tell_socket(events, &attempt->conn, kb_buf_str(&peer));
        break;
    case KB_TELL_SENT:
        kb_event_sent(events, kb_buf_str(&peer), name, message.len);
        break;
    case KB_TELL_SENT_AGAIN:
        kb_event_sent_again(events, kb_buf_str(&peer));
        break;
    case KB_TELL_ANSWERED:
        kb_event_answered(events, kb_buf_str(&peer), name, message.len,
                          race->now_ms - attempt->sent_ms);
        break;
    case KB_TELL_TOO_BIG_FOR_UDP:
        kb_event_too_big_for_udp(events, kb_buf_str(&peer));
        break;
    case KB_TELL_TOO_LARGE_FOR_UDP:
        kb_event_too_large_for_udp(events, kb_buf_str(&peer));
        break;
    case KB_TELL_FAILED:
        tell_failed(events, attempt);
        break;
    }
    kb_buf_wipe(&peer);
}

/* A KDC that never had an attempt: its name led nowhere, or the time was over before. */
static bool add_unresolved(struct kb_buf *out, const struct kb_race *race,
                           const struct kb_place *place)
{
    if (place->unreachable) {
        kb_buf_add_escaped(out, kb_str(place->kdc.host));
        kb_buf_add_str(out, ": it is to be asked by UDP, which FirewallHost does not carry");
        return true;
    }
    if (place->question == NULL || (place->resolved != NULL && place->resolved->error == 0)) {
        return false;
    }
    if (race->net->sockets.options.firewall_host != NULL && place->kdc.transport != KB_UNIX) {
        kb_buf_add_str(out, "FirewallHost ");
        kb_buf_add_escaped(out, kb_str(race->net->sockets.options.firewall_host));
    } else {
        kb_buf_add_escaped(out, kb_str(place->kdc.host));
    }
    kb_buf_add_str(out, ": ");
    if (place->resolved != NULL && place->resolved->other_family) {
        bool six = race->net->sockets.options.family == KB_FAMILY_IPV6;

        kb_buf_printf(out, "it is no IPv%c address (UseIPv6=%s)", six ? '6' : '4',
                      six ? "True" : "False");
    } else if (place->resolved != NULL) {
        kb_buf_add_str(out, kb_resolve_text(place->resolved));
    } else {
        kb_buf_add_str(out, "its name was not resolved in ");
        add_seconds(out, race->now_ms - place->asked_ms);
    }
    return true;
}

/* Appends one entry unless the list is full; counts those that are left out. */
static void add_entry(struct kb_buf *list, const struct kb_buf *entry, unsigned *num,
                      unsigned *left_out)
{
    if (entry->status == KB_NO_MEMORY) {
        list->status = entry->status;
    } else if (entry->status != KB_OK || list->len + entry->len > MAX_LIST) {
        ++*left_out;
    } else {
        kb_buf_add_str(list, (*num)++ > 0 ? "; " : "");
        kb_buf_add(list, kb_buf_bytes(entry));
    }
}

static void add_list(struct kb_buf *list, const struct kb_race *race)
{
    unsigned num = 0, left_out = 0;

    for (size_t i = 0; i < race->num_attempts + race->num_lanes; i++) {
        struct kb_buf entry;
        bool tells = true;

        kb_buf_init(&entry, MAX_LIST);
        if (i < race->num_attempts) {
            tells = !race->attempts[i].replaced;
            add_attempt(&entry, &race->attempts[i]);
        } else {
            tells = add_unresolved(&entry, race, race->lanes[i - race->num_attempts].place);
        }
        if (tells) {
            add_entry(list, &entry, &num, &left_out);
        }
        kb_buf_wipe(&entry);
    }
    if (left_out > 0) {
        kb_buf_printf(list, "; and %u more", left_out);
    }
}

/* The option that is at fault where every attempt fell over one, so that no KDC was asked. */
static const char *wrong_option(const struct kb_race *race)
{
    for (size_t i = 0; i < race->num_attempts; i++) {
        if (race->attempts[i].conn.option == NULL) {
            return NULL;
        }
    }
    return race->num_attempts > 0 ? race->attempts[0].conn.option : NULL;
}

/* What the system said, for the numbers that programs are told. */
static void add_numbers(const struct kb_race *race, struct kb_error *err)
{
    if (race->num_attempts > 0) {
        err->sys_errno = race->attempts[0].conn.sys_errno;
        return;
    }
    for (size_t i = 0; i < race->num_lanes && err->gai_error == 0; i++) {
        const struct kb_resolved *resolved = race->lanes[i].place->resolved;

        err->gai_error = resolved != NULL ? resolved->error : 0;
        err->sys_errno = err->gai_error == EAI_SYSTEM ? resolved->sys_errno : 0;
    }
}

static void nobody_asked(const struct kb_race *race, const char *realm, const char *option,
                         struct kb_error *err)
{
    bool size = strcmp(option, "MaxPacketSize") == 0;
    struct kb_buf list;

    kb_buf_init(&list, 2 * MAX_LIST);
    add_list(&list, race);
    (void)kb_error_set(err, size ? KB_E_PACKET_SIZE : KB_E_OPTION, "No KDC of %s can be asked: %s",
                       realm, list.status == KB_OK ? kb_buf_str(&list) : option);
    kb_buf_wipe(&list);
    race->net->sockets.wrong_option = option;
}

/* What a race that did not end well says first. */
static void add_start(struct kb_buf *out, const struct kb_race *race, const char *realm)
{
    const struct kb_wait *wait = race->net->wait;
    bool stopped = race->state == KB_RACE_STOPPED;

    if (stopped && race->status == KB_INTERRUPTED) {
        kb_buf_printf(out, "%s after ", kb_wait_cause(wait));
        add_seconds(out, race->now_ms - race->start_ms);
        kb_buf_printf(out, " of waiting for a KDC of %s", realm);
        return;
    }
    if (stopped && wait->absolute) {
        kb_buf_printf(out, "The %lld s for the whole login are over; no",
                      (long long)wait->timeout_ms / 1000);
    } else {
        kb_buf_add_str(out, "No");
    }
    kb_buf_printf(out, " KDC of %s answered in ", realm);
    add_seconds(out, race->now_ms - race->start_ms);
}

static void set_error(const struct kb_race *race, enum kb_error_code code, const char *realm,
                      struct kb_error *err)
{
    struct kb_buf start, list;

    kb_buf_init(&start, MAX_LIST);
    kb_buf_init(&list, 2 * MAX_LIST);
    add_start(&start, race, realm);
    add_list(&list, race);
    if (start.status != KB_OK || list.status != KB_OK) {
        (void)kb_error_set(err, KB_E_NO_MEMORY, "No KDC of %s answered; no memory to say why",
                           realm);
    } else {
        (void)kb_error_set(err, code, "%s%s%s", kb_buf_str(&start), list.len > 0 ? ": " : "",
                           kb_buf_str(&list));
    }
    kb_buf_wipe(&list);
    kb_buf_wipe(&start);
}

enum kb_status kb_race_error(const struct kb_race *race, struct kb_error *err)
{
    bool stopped = race->state == KB_RACE_STOPPED;
    const char *option = stopped ? NULL : wrong_option(race);
    struct kb_buf text;
    const char *realm;

    kb_buf_init(&text, 200);
    kb_buf_add_escaped(&text, race->places->realm);
    realm = text.status == KB_OK ? kb_buf_str(&text) : "the realm";
    if (option != NULL) {
        nobody_asked(race, realm, option, err);
    } else if (!stopped) {
        set_error(race, KB_E_KDC_UNREACHABLE, realm, err);
    } else if (race->status == KB_INTERRUPTED) {
        set_error(race, KB_E_INTERRUPTED, realm, err);
    } else if (race->status == KB_TIMED_OUT) {
        set_error(race, KB_E_TIMEOUT, realm, err);
    } else {
        (void)kb_error_status(err, KB_E_KDC_REPLY, race->status, "The KDCs of %s cannot be asked",
                              realm);
    }
    if (!stopped && err != NULL) {
        add_numbers(race, err);
    }
    kb_buf_wipe(&text);
    return KB_ERROR;
}
