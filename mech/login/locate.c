#include "mech/login/locate.h"

#include "mech/options/krb5conf.h"

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
    char *host, *path_of = NULL;

    if (locate->num_hosts >= sizeof(locate->hosts) / sizeof(locate->hosts[0])) {
        return false;
    }
    host = locate->hosts[locate->num_hosts++];
    memcpy(host, word->host.ptr, word->host.len);
    host[word->host.len] = '\0';
    if (word->kind == KB_KDC_HTTPS) {
        path_of = host + word->host.len + 1;
        memcpy(path_of, path.ptr, path.len);
        path_of[path.len] = '\0';
    }
    *out = (struct kb_kdc){.host = host,
                           .port = port_of(locate, word),
                           .transport = transports[word->kind],
                           .path = path_of,
                           .priority = (unsigned)nth};
    return true;
}

static size_t no_kdc(kb_bytes realm, bool primary, struct kb_error *err)
{
    struct kb_buf name;

    kb_buf_init(&name, 600);
    kb_buf_add_escaped(&name, realm);
    (void)kb_error_set(err, KB_E_NO_KDC, "No %s is known for the realm %s",
                       primary ? "primary KDC" : "KDC", kb_buf_str(&name));
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

static size_t from_krb5conf(struct kb_locate *locate, kb_bytes realm, struct kb_kdc *out,
                            size_t max)
{
    kb_opt_LIST list = kb_krb5conf_kdcs(locate->options->krb5conf, realm);
    size_t found = 0;

    for (size_t i = 0; i < list.num && found < max; i++) {
        found += from_word(locate, list.items[i], found, &out[found]);
    }
    return found;
}

static size_t primary_of_krb5conf(struct kb_locate *locate, kb_bytes realm, struct kb_kdc *out)
{
    const struct kb_krb5conf *conf = locate->options->krb5conf;
    char name[256];
    const char *text;

    if (realm.len >= sizeof(name)) {
        return 0;
    }
    memcpy(name, realm.ptr, realm.len);
    name[realm.len] = '\0';
    text = kb_krb5conf_text(conf, "realms", name, "primary_kdc");
    if (text == NULL) {
        text = kb_krb5conf_text(conf, "realms", name, "master_kdc");
    }
    return text != NULL && from_word(locate, text, 0, out) ? 1 : 0;
}

static size_t find_primary(struct kb_locate *locate, kb_bytes realm, struct kb_kdc *out, size_t max,
                           struct kb_error *err)
{
    const struct kb_options *options = locate->options;
    bool own = kb_equal(realm, locate->realm);
    size_t found = 0;

    if (own && options->primary_kdc.num > 0) {
        return from_option(locate, "PrimaryKDC", &options->primary_kdc, &options->primary_kdc_from,
                           out, max, err);
    }
    if (!own || options->kdc_host.num == 0) {
        found = primary_of_krb5conf(locate, realm, out);
    }
    return found > 0 ? found : no_kdc(realm, true, err);
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
    found = from_krb5conf(locate, realm, out, max);
    return found > 0 ? found : no_kdc(realm, false, err);
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
