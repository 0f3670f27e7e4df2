#include "mech/login/facts.h"

#include <stdio.h>
#include <stdlib.h>

#include "mech/login/identity_own.h"
#include "mech/net/resolve.h"
#include "mech/net/wait.h"
#include "mech/options/kdc.h"

/* Of the last exchange in the process; NULL: none yet. Guarded by kb_identity_lock. */
static struct kb_net_facts *last;

/* What cannot be kept for lack of memory is only not told. */
static void keep(struct kb_net_facts **slot, const struct kb_net_facts *facts)
{
    if (*slot == NULL) {
        *slot = malloc(sizeof(**slot));
    }
    if (*slot != NULL) {
        **slot = *facts;
    }
}

void kb_facts_keep(struct kb_identity *identity, const struct kb_net_facts *facts)
{
    kb_identity_lock();
    keep(&identity->facts, facts);
    keep(&last, facts);
    kb_identity_unlock();
}

bool kb_facts_get(struct kb_identity *identity, struct kb_net_facts *out)
{
    const struct kb_net_facts *facts;

    kb_identity_lock();
    facts = identity != NULL ? identity->facts : last;
    *out = facts != NULL ? *facts : (struct kb_net_facts){0};
    kb_identity_unlock();
    return facts != NULL;
}

void kb_facts_forget(void)
{
    kb_identity_lock();
    free(last);
    last = NULL;
    kb_identity_unlock();
}

/* --- as text --- */

static bool say_address(const struct kb_address *address, char out[KB_FACT_TEXT])
{
    if (address->len > 0) {
        kb_address_text(address, false, out);
    }
    return address->len > 0;
}

static bool say_number(int64_t number, char out[KB_FACT_TEXT])
{
    snprintf(out, KB_FACT_TEXT, "%lld", (long long)number);
    return true;
}

static bool say_local_host(const struct kb_net_facts *facts, char out[KB_FACT_TEXT])
{
    return say_address(&facts->local, out);
}

static bool say_local_port(const struct kb_net_facts *facts, char out[KB_FACT_TEXT])
{
    return facts->local.len > 0 && say_number(kb_address_port(&facts->local), out);
}

static bool say_destination(const struct kb_net_facts *facts, char out[KB_FACT_TEXT])
{
    out[0] = '\0';
    (void)say_address(&facts->destination, out);
    return true;
}

static bool say_in_buffer(const struct kb_net_facts *facts, char out[KB_FACT_TEXT])
{
    return say_number(facts->in_buffer, out);
}

static bool say_out_buffer(const struct kb_net_facts *facts, char out[KB_FACT_TEXT])
{
    return say_number(facts->out_buffer, out);
}

/* What a proxy speaks to is not seen from here. */
static bool say_kdc(const struct kb_net_facts *facts, char out[KB_FACT_TEXT])
{
    return !facts->tunnelled && say_address(&facts->peer, out);
}

bool kb_facts_text(struct kb_identity *identity, const char *name, char out[KB_FACT_TEXT])
{
    static const struct {
        char name[20]; /* no pointers: nothing to relocate */
        bool (*say)(const struct kb_net_facts *facts, char out[KB_FACT_TEXT]);
    } told[] = {
        {"LocalHost", say_local_host},           {"LocalPort", say_local_port},
        {"DestinationAddress", say_destination}, {"InBufferSize", say_in_buffer},
        {"OutBufferSize", say_out_buffer},       {"KDCHost", say_kdc},
    };
    struct kb_net_facts facts;

    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        if (kb_equal_nocase(kb_str(name), kb_str(told[i].name))) {
            return kb_facts_get(identity, &facts) && told[i].say(&facts, out);
        }
    }
    return false;
}

/* --- DelayHostResolution=False --- */

static bool is_name(const struct kb_options *options, const struct kb_kdc_word *word)
{
    return word->kind != KB_KDC_UNIX && word->kind != KB_KDC_HTTPS &&
           options->firewall_host == NULL && kb_host_family(word->host) == 0;
}

/* The word as it was, with `address` in place of its host. */
static void add_resolved(struct kb_buf *out, const struct kb_kdc_word *word,
                         const struct kb_address *address)
{
    char text[KB_ADDRESS_TEXT];
    bool brackets = address->u.any.sa_family == AF_INET6 && word->port != 0;

    kb_address_text(address, false, text);
    kb_buf_add_str(out, word->kind == KB_KDC_TCP ? "tcp/" : "");
    kb_buf_add_str(out, word->kind == KB_KDC_UDP ? "udp/" : "");
    kb_buf_printf(out, "%s%s%s", brackets ? "[" : "", text, brackets ? "]" : "");
    if (word->port != 0) {
        kb_buf_printf(out, ":%u", (unsigned)word->port);
    }
}

static enum kb_status resolve(const struct kb_kdc_word *word, unsigned flags, struct kb_wait *wait,
                              struct kb_buf *out, struct kb_error *err)
{
    char host[KB_KDC_MAX_HOST + 1];
    struct kb_resolve *question;
    const struct kb_resolved *answer;
    enum kb_status st;

    memcpy(host, word->host.ptr, word->host.len);
    host[word->host.len] = '\0';
    st = kb_resolve_start(host, flags, &question);
    if (st == KB_OK) {
        st = kb_resolve_wait(question, wait, &answer);
    }
    if (st != KB_OK) {
        (void)kb_error_status(err, KB_E_TIMEOUT, st, "KDCHost: %s was not resolved", host);
    } else if (answer->error != 0) {
        st = kb_error_set(err, KB_E_KDC_UNREACHABLE, "KDCHost: %s: %s", host,
                          kb_resolve_text(answer));
        err->gai_error = answer->error;
    } else {
        add_resolved(out, word, &answer->addresses[0]);
    }
    kb_resolve_free(question);
    return st == KB_OK ? KB_OK : KB_ERROR;
}

static enum kb_status resolve_word(const struct kb_options *options, const char *text,
                                   struct kb_wait *wait, struct kb_buf *out, struct kb_error *err)
{
    static const uint8_t flags[] = {
        [KB_IPV6_AUTO] = 0, [KB_IPV6_NEVER] = KB_RESOLVE_IPV4, [KB_IPV6_ONLY] = KB_RESOLVE_IPV6};
    struct kb_error ignored = {0};
    struct kb_kdc_word word;

    /* What is no such word is told when it is used. */
    if (kb_kdc_word_parse(kb_str(text), &word, &ignored) != KB_OK || !is_name(options, &word)) {
        kb_buf_add_str(out, text);
        return KB_OK;
    }
    return resolve(&word, flags[options->use_ipv6], wait, out, err);
}

enum kb_status kb_facts_resolve_kdcs(const struct kb_login *login, struct kb_buf *out,
                                     struct kb_error *err)
{
    const struct kb_options *options = login->options;
    enum kb_status st = KB_OK;
    struct kb_wait wait;

    kb_login_start_waiting(login, &wait);
    for (size_t i = 0; i < options->kdc_host.num && st == KB_OK; i++) {
        kb_buf_add_str(out, i > 0 ? " " : "");
        st = resolve_word(options, options->kdc_host.items[i], &wait, out, err);
    }
    kb_wait_stop(&wait);
    if (st == KB_OK && out->status != KB_OK) {
        st = kb_error_status(err, KB_E_INTERNAL, out->status, "The list of KDCs");
    }
    return st;
}
