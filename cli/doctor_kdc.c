/* kerbside doctor: where the KDCs of the user's realm are, and what each says, over UDP and over
 * TCP, to an AS-REQ that proves nothing (so no account is ever locked by it): whether it serves the
 * realm and knows the user, what its clock shows. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/doctor_probe.h"
#include "mech/net/resolve.h"
#include "mech/protocol/krberror.h"

#define MAX_KDCS 16
#define SAID 1024 /* bytes of what is said of one transport */

/* --- names --- */

/* The addresses of a name; false: a failure that was told, unless the step is only a warning. */
static bool see_name(struct kb_doctor *doctor, const char *step, const char *host, bool must)
{
    const struct kb_resolved *resolved;
    struct kb_resolve *question;
    struct kb_address numeric;
    struct kb_wait wait;
    struct kb_buf list;
    enum kb_status st;

    if (kb_resolve_start(host, 0, &question) != KB_OK) {
        return false;
    }
    kb_wait_start(&wait, KB_PROBE_PATIENCE_MS, true);
    st = kb_resolve_wait(question, &wait, &resolved);
    kb_wait_stop(&wait);
    kb_buf_init(&list, 2048);
    if (st != KB_OK || resolved->num == 0) {
        const char *why = st != KB_OK ? "the resolver does not answer" : kb_resolve_text(resolved);
        const char *advice = "Check the spelling, /etc/hosts and the DNS servers of "
                             "/etc/resolv.conf.";

        if (must) {
            kb_doctor_failed(doctor, KB_EXIT_FAILED, step, advice, "%s: %s", host, why);
        } else {
            kb_doctor_warned(doctor, step, advice, "%s: %s", host, why);
        }
    } else {
        for (unsigned i = 0; i < resolved->num; i++) {
            char text[KB_ADDRESS_TEXT];

            kb_address_text(&resolved->addresses[i], false, text);
            kb_buf_printf(&list, "%s%s", i > 0 ? ", " : "", text);
        }
        if (!kb_address_numeric(&numeric, host)) {
            kb_doctor_saw(doctor, KB_SEEN_OK, step, "%s is %s", host, kb_buf_str(&list));
        }
    }
    st = st == KB_OK && resolved->num > 0 ? KB_OK : KB_NOT_FOUND;
    kb_buf_wipe(&list);
    kb_resolve_free(question);
    return st == KB_OK;
}

/* --- what it answered --- */

static void see_clock(struct kb_probe *probe, const struct kb_krberror *error, const char *peer)
{
    int64_t offset, skew = probe->doctor->options->clock_skew;

    if (!kb_krberror_offset(error, probe->env.now(probe->env.now_ctx), &offset)) {
        return;
    }
    offset /= 1000000;
    if (offset > skew || offset < -skew) {
        kb_doctor_failed(probe->doctor, KB_EXIT_FAILED, "clock",
                         "Set this host's clock (chrony, systemd-timesyncd), or the KDC's.",
                         "the clock of %s is %lld seconds %s this host's; %lld are allowed", peer,
                         (long long)(offset > 0 ? offset : -offset),
                         offset > 0 ? "ahead of" : "behind", (long long)skew);
    } else {
        kb_doctor_saw(probe->doctor, KB_SEEN_OK, "clock", "the clock of %s differs by %lld seconds",
                      peer, (long long)offset);
    }
}

/* What an error without any proof says for good about the user, the realm or the enctypes. */
static void see_refusal(struct kb_probe *probe, const struct kb_krberror *error, const char *peer)
{
    const struct kb_krberror_about about = {.client = kb_probe_client(probe->doctor),
                                            .peer = peer,
                                            .now = probe->env.now(probe->env.now_ctx),
                                            .etypes = probe->policy.etypes,
                                            .num_etypes = probe->policy.num_etypes};
    struct kb_error err = {0};

    kb_krberror_explain(&err, error, &about);
    probe->doctor->client_refused = true;
    kb_doctor_error(probe->doctor, KB_EXIT_FAILED,
                    error->code == KB_KDC_ETYPE_NOSUPP ? "enctypes" : "user", &err);
}

/* Reads the first answer of all: what it says holds for every KDC of the realm. */
static void see_answer(struct kb_probe *probe, kb_bytes reply, const char *peer)
{
    struct kb_krberror error;

    if (kb_krberror_decode(reply, &probe->arena, &error) != KB_OK) {
        kb_doctor_warned(probe->doctor, "user",
                         "Require pre-authentication for this user at the KDC.",
                         "%s gives a ticket for this user to anybody who asks: its password can be "
                         "guessed off line",
                         peer);
        return;
    }
    see_clock(probe, &error, peer);
    switch (error.code) {
    case KB_KDC_PREAUTH_REQUIRED:
        kb_doctor_keys(probe, &error);
        break;
    case KB_KDC_ETYPE_NOSUPP:
        if (!kb_doctor_other_keys(probe) && !probe->doctor->client_refused) {
            see_refusal(probe, &error, peer);
        }
        break;
    case KB_KDC_RESPONSE_TOO_BIG:
    case KB_KDC_SVC_UNAVAILABLE:
        break;
    default:
        if (!probe->doctor->client_refused) {
            see_refusal(probe, &error, peer);
        }
        break;
    }
}

static bool is_error(kb_bytes reply, struct kb_arena *arena, int32_t code)
{
    struct kb_krberror error;

    return kb_krberror_decode(reply, arena, &error) == KB_OK && error.code == code;
}

/* True: it answered. What is wrong with one of two transports is a warning; with both, a failure,
 * which is told when both are known. */
static bool see_transport(struct kb_probe *probe, enum kb_transport transport, char failure[SAID])
{
    static const char *const words[] = {[KB_ANY_TRANSPORT] = "any",
                                        [KB_UDP] = "UDP",
                                        [KB_TCP] = "TCP",
                                        [KB_UNIX] = "its socket",
                                        [KB_HTTPS] = "HTTPS"};
    const char *word = words[transport];
    struct kb_error err = {0};
    kb_bytes reply = KB_NONE;
    char peer[160];
    int64_t ms;

    probe->kdc.transport = transport;
    if (kb_probe_ask(probe, &reply, peer, &ms, &err) != KB_OK) {
        const char *cause = strstr(err.text, probe->name); /* behind "No KDC of R answered" */

        snprintf(failure, SAID, "over %s: %s", word, cause != NULL ? cause : err.text);
        return false;
    }
    if (is_error(reply, &probe->arena, KB_KDC_SVC_UNAVAILABLE)) {
        snprintf(failure, SAID, "over %s: it answers that it is out of service", word);
        return false;
    }
    kb_doctor_saw(probe->doctor, KB_SEEN_OK, "kdc", "%s answers over %s after %lld ms", probe->name,
                  word, (long long)ms);
    if (probe->doctor->num_answers++ == 0) {
        see_answer(probe, reply, peer);
    }
    return true;
}

static void see_both(struct kb_probe *probe)
{
    static const char advice[] = "Check that the KDC runs there, and that no firewall drops its "
                                 "port (88, UDP and TCP).";
    char udp[SAID] = "", tcp[SAID] = "";
    bool by_udp = false, by_tcp;
    bool only_tcp = probe->kdc.transport == KB_TCP || probe->doctor->options->use_tcp ||
                    probe->doctor->options->firewall_host != NULL;

    if (!only_tcp) {
        by_udp = see_transport(probe, KB_UDP, udp);
    }
    by_tcp = see_transport(probe, KB_TCP, tcp);
    if (!by_udp && !by_tcp) {
        kb_doctor_failed(probe->doctor, KB_EXIT_FAILED, "kdc", advice, "%s does not answer; %s%s%s",
                         probe->name, udp, udp[0] != '\0' ? "; " : "", tcp);
    } else if (!only_tcp && by_udp != by_tcp) {
        kb_doctor_warned(probe->doctor, "kdc",
                         by_tcp ? "Open its UDP port, or set UseTCP=True: waiting for UDP costs "
                                  "every first login a second."
                                : "Open its TCP port: tickets that are too large for UDP need it.",
                         "%s does not answer %s", probe->name, by_tcp ? udp : tcp);
    }
}

/* A KDC that has one way only, or two of which one is enough. */
static void see_way(struct kb_probe *probe, enum kb_transport transport)
{
    char failure[SAID];

    if (transport != KB_UNIX && transport != KB_HTTPS) {
        see_both(probe);
    } else if (!see_transport(probe, transport, failure)) {
        kb_doctor_failed(probe->doctor, KB_EXIT_FAILED, "kdc",
                         transport == KB_UNIX
                             ? "Check that the KDC listens there, and who may connect."
                             : "Check the URL, and that the certificate is for its host and from "
                               "an authority that is trusted (http_anchors).",
                         "%s: %s", probe->name, failure);
    }
}

static void see_kdc(struct kb_doctor *doctor, const struct kb_kdc *kdc)
{
    struct kb_probe probe;
    char name[300];

    if (kdc->transport == KB_UNIX) {
        snprintf(name, sizeof(name), "unix:%s", kdc->host);
    } else if (kdc->transport == KB_HTTPS) {
        snprintf(name, sizeof(name), "https://%s", kdc->host);
    } else {
        snprintf(name, sizeof(name), "%s:%u", kdc->host, kdc->port);
    }
    if (kdc->transport != KB_UNIX && doctor->options->firewall_host == NULL &&
        !see_name(doctor, "kdc", kdc->host, true)) {
        return;
    }
    if (!kb_probe_start(&probe, doctor, doctor->options->encryption_types.items,
                        doctor->options->encryption_types.num)) {
        kb_doctor_failed(doctor, KB_EXIT_SYSTEM, "kdc", NULL, "no request can be made");
    } else {
        probe.kdc = *kdc;
        probe.name = name;
        see_way(&probe, kdc->transport);
    }
    kb_probe_end(&probe);
}

/* A KDC that is down is a failure only while none has answered. */
static void forgive(struct kb_doctor *doctor)
{
    for (size_t i = 0; i < doctor->num_seen && doctor->num_answers > 0; i++) {
        if (strcmp(doctor->seen[i].step, "kdc") == 0 &&
            doctor->seen[i].finding == KB_SEEN_FAILURE) {
            doctor->seen[i].finding = KB_SEEN_WARNING;
        }
    }
}

void kb_doctor_kdcs(struct kb_doctor *doctor)
{
    const struct kb_principal *client = kb_probe_client(doctor);
    const struct kb_options *options = doctor->options;
    struct kb_kdc kdcs[MAX_KDCS];
    struct kb_locate locate;
    struct kb_wait wait;
    struct kb_error err = {0};
    size_t num;

    if (client == NULL) {
        return;
    }
    kb_wait_start(&wait, options->timeout * 1000, options->absolute_timeout);
    kb_locate_init(&locate, options, client->realm, &wait, NULL);
    num = kb_locate_kdcs(&locate, client->realm, false, kdcs, MAX_KDCS, &err);
    kb_wait_stop(&wait);
    if (num == 0) {
        kb_locate_wipe(&locate);
        kb_doctor_error(doctor, KB_EXIT_CONFIG, "kdc", &err);
        return;
    }
    for (size_t i = 0; i < num; i++) {
        see_kdc(doctor, &kdcs[i]);
    }
    kb_locate_wipe(&locate);
    forgive(doctor);
    if (doctor->target.host.len > 0) {
        char *host = kb_strdup(doctor->target.host);

        if (host != NULL) {
            (void)see_name(doctor, "service", host, false);
        }
        free(host);
    }
}
