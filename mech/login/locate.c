#include "mech/login/locate.h"

#include "mech/login/discover.h"
#include "mech/options/krb5conf.h"
#include "mech/options/text.h"

#define MAX_ARENA ((size_t)256 * 1024)
#define MAX_FOUND 16 /* KDCs of one realm by DNS */

void kb_locate_init(struct kb_locate *locate, const struct kb_options *options, kb_bytes realm,
                    struct kb_wait *wait, struct kb_events *events)
{
    *locate =
        (struct kb_locate){.options = options, .realm = realm, .wait = wait, .events = events};
    kb_arena_init(&locate->arena, NULL, 0, MAX_ARENA);
}

void kb_locate_wipe(struct kb_locate *locate)
{
    kb_arena_wipe(&locate->arena);
}

static uint16_t port_of(const struct kb_locate *locate, const struct kb_kdc_word *word)
{
    if (word->port != 0 || word->kind == KB_KDC_UNIX) {
        return word->port;
    }
    return word->kind == KB_KDC_HTTPS ? KB_KDC_HTTPS_PORT : (uint16_t)locate->options->kdc_port;
}

/* What is named in an order is asked in that order: each has a priority of its own. */
static bool add_kdc(struct kb_locate *locate, const struct kb_kdc_word *word, size_t nth,
                    struct kb_kdc *out)
{
    static const enum kb_transport transports[] = {[KB_KDC_ANY] = KB_ANY_TRANSPORT,
                                                   [KB_KDC_TCP] = KB_TCP,
                                                   [KB_KDC_UDP] = KB_UDP,
                                                   [KB_KDC_UNIX] = KB_UNIX,
                                                   [KB_KDC_HTTPS] = KB_HTTPS};
    kb_bytes path = word->path.len > 0 ? word->path : kb_str(KB_KDC_HTTPS_PATH);
    bool https = word->kind == KB_KDC_HTTPS;
    const char *host = kb_arena_text(&locate->arena, word->host);
    const char *path_of = https ? kb_arena_text(&locate->arena, path) : NULL;

    if (host == NULL || (https && path_of == NULL)) {
        return false;
    }
    *out = (struct kb_kdc){.host = host,
                           .port = port_of(locate, word),
                           .transport = transports[word->kind],
                           .path = path_of,
                           .priority = (unsigned)nth};
    return true;
}

/* `why`: what came of asking elsewhere; NULL: nobody was asked. */
static size_t no_kdc(kb_bytes realm, bool primary, const char *why, struct kb_error *err)
{
    struct kb_buf name;

    kb_buf_init(&name, 600);
    kb_buf_add_escaped(&name, realm);
    (void)kb_error_set(err, KB_E_NO_KDC, "No %s is known for the realm %s%s%s",
                       primary ? "primary KDC" : "KDC", kb_buf_str(&name),
                       why != NULL ? ": none in krb5.conf, nor in DNS: " : "",
                       why != NULL ? why : "");
    kb_buf_wipe(&name);
    return 0;
}

/* What an option of ours says wrongly is an error. */
static size_t from_option(struct kb_locate *locate, const char *option, const kb_opt_LIST *list,
                          const struct kb_origin *from, struct kb_kdc *out, size_t max,
                          struct kb_error *err)
{
    size_t num = list->num < max ? list->num : max;
    struct kb_kdc_word word;
    char buf[256];

    for (size_t i = 0; i < num; i++) {
        if (kb_kdc_word_parse(kb_str(list->items[i]), &word, err) != KB_OK) {
            kb_error_context(err, "%s: %s", kb_origin_text(from, buf, sizeof(buf)), option);
            return 0;
        }
        if (!add_kdc(locate, &word, i, &out[i])) {
            return i;
        }
    }
    return num;
}

/* krb5.conf is not ours: what we cannot use there may be right for others. MIT writes a UNIX socket
 * as its path alone. */
static bool from_word(struct kb_locate *locate, const char *text, size_t nth, struct kb_kdc *out)
{
    struct kb_error ignored = {0};
    struct kb_kdc_word word = {.kind = KB_KDC_UNIX, .host = kb_str(text)};
    bool path = text[0] == '/' && word.host.len <= KB_UNIX_PATH_MAX;

    return (path || kb_kdc_word_parse(kb_str(text), &word, &ignored) == KB_OK) &&
           add_kdc(locate, &word, nth, out);
}

static size_t from_krb5conf(struct kb_locate *locate, kb_opt_LIST list, struct kb_kdc *out,
                            size_t max)
{
    size_t found = 0;

    for (size_t i = 0; i < list.num && found < max; i++) {
        found += from_word(locate, list.items[i], found, &out[found]);
    }
    return found;
}

static size_t from_dns(struct kb_locate *locate, kb_bytes realm, bool primary, struct kb_kdc *out,
                       size_t max, struct kb_error *err)
{
    const struct kb_options *options = locate->options;
    struct kb_discovery what = {
        .realm = realm,
        .primary = primary,
        .uri = kb_krb5conf_bool(options->krb5conf, KB_NONE, "dns_uri_lookup", true),
        .tcp_only = options->use_tcp || options->firewall_host != NULL,
        .wait = locate->wait,
    };
    struct kb_discovered found[MAX_FOUND];
    size_t num_found, num = 0;
    const char *how;

    if (locate->wait == NULL) {
        return no_kdc(realm, primary, NULL, err);
    }
    if (!kb_krb5conf_dns(options->krb5conf, "dns_lookup_kdc", true)) {
        return no_kdc(realm, primary, "dns_lookup_kdc is false", err);
    }
    switch (kb_discover_kdcs(&what, &locate->arena, found, MAX_FOUND, &num_found, &how, err)) {
    case KB_OK:
        break;
    case KB_NOT_FOUND:
        return no_kdc(realm, primary, how, err);
    default:
        return 0;
    }
    for (size_t i = 0; i < num_found && num < max; i++) {
        if (from_word(locate, found[i].word, found[i].priority, &out[num])) {
            out[num++].absolute = true;
            kb_event_discovered(locate->events, primary ? "primary KDC" : "KDC", found[i].word,
                                how);
        }
    }
    return num > 0 ? num : no_kdc(realm, primary, how, err);
}

static size_t find_primary(struct kb_locate *locate, kb_bytes realm, struct kb_kdc *out, size_t max,
                           struct kb_error *err)
{
    const struct kb_options *options = locate->options;
    bool own = kb_equal(realm, locate->realm);
    size_t found;

    if (own && options->primary_kdc.num > 0) {
        return from_option(locate, "PrimaryKDC", &options->primary_kdc, &options->primary_kdc_from,
                           out, max, err);
    }
    if (own && options->kdc_host.num > 0) {
        return no_kdc(realm, true, NULL, err);
    }
    found = from_krb5conf(locate, kb_krb5conf_primary_kdcs(options->krb5conf, realm), out, max);
    if (found > 0) {
        return found;
    }
    /* Who names the KDCs in krb5.conf names the primary one too, if there is any. */
    return kb_krb5conf_kdcs(options->krb5conf, realm).num > 0
               ? no_kdc(realm, true, NULL, err)
               : from_dns(locate, realm, true, out, max, err);
}

static size_t find_kdcs(struct kb_locate *locate, kb_bytes realm, bool primary, struct kb_kdc *out,
                        size_t max, struct kb_error *err)
{
    const struct kb_options *options = locate->options;
    size_t found;

    if (primary) {
        return find_primary(locate, realm, out, max, err);
    }
    if (options->kdc_host.num > 0 && kb_equal(realm, locate->realm)) {
        return from_option(locate, "KDCHost", &options->kdc_host, &options->kdc_host_from, out, max,
                           err);
    }
    found = from_krb5conf(locate, kb_krb5conf_kdcs(options->krb5conf, realm), out, max);
    return found > 0 ? found : from_dns(locate, realm, false, out, max, err);
}

/* Whom a KDC proxy's certificate may come from is krb5.conf's to say, wherever the proxy is named.
 */
size_t kb_locate_kdcs(void *ctx, kb_bytes realm, bool primary, struct kb_kdc *out, size_t max,
                      struct kb_error *err)
{
    struct kb_locate *locate = ctx;
    size_t num = find_kdcs(locate, realm, primary, out, max, err);

    for (size_t i = 0; i < num; i++) {
        for (size_t n = 0; n < KB_MAX_ANCHORS && out[i].transport == KB_HTTPS; n++) {
            out[i].anchors[n] = kb_krb5conf_http_anchor(locate->options->krb5conf, realm, n);
        }
    }
    return num;
}

bool kb_locate_again(void *ctx, kb_bytes realm)
{
    (void)ctx;
    return kb_discover_forget(realm);
}
