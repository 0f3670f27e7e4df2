#include "mech/login/locate.h"

#include "mech/options/krb5conf.h"

/* Reads a port of 1 to 65535, all of `text`. */
static bool parse_port(kb_bytes text, uint16_t *out)
{
    uint32_t port = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || port > 6553) {
            return false;
        }
        port = port * 10 + (text.ptr[i] - '0');
    }
    *out = (uint16_t)port;
    return text.len > 0 && port > 0 && port <= 65535;
}

static bool skip_prefix(kb_bytes *text, const char *prefix)
{
    size_t len = strlen(prefix);

    if (text->len < len ||
        !kb_equal_nocase(kb_bytes_of(text->ptr, len), kb_bytes_of(prefix, len))) {
        return false;
    }
    text->ptr += len;
    text->len -= len;
    return true;
}

/* Splits host, host:port, [v6], [v6]:port and a bare v6 address. */
static bool split(kb_bytes text, kb_bytes *host, kb_bytes *port)
{
    const uint8_t *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL, *bracket;
    size_t host_len;

    *port = KB_NONE;
    *host = text;
    if (text.len > 0 && text.ptr[0] == '[') {
        bracket = memchr(text.ptr, ']', text.len);
        if (bracket == NULL) {
            return false;
        }
        *host = kb_bytes_of(text.ptr + 1, (size_t)(bracket - text.ptr) - 1);
        text = kb_bytes_of(bracket + 1, text.len - host->len - 2);
        if (text.len == 0) {
            return host->len > 0;
        }
        *port = kb_bytes_of(text.ptr + 1, text.len - 1);
        return host->len > 0 && text.ptr[0] == ':';
    }
    if (colon == NULL ||
        memchr(colon + 1, ':', text.len - (size_t)(colon + 1 - text.ptr)) != NULL) {
        return text.len > 0;
    }
    host_len = (size_t)(colon - text.ptr);
    *host = kb_bytes_of(text.ptr, host_len);
    *port = kb_bytes_of(colon + 1, text.len - host_len - 1);
    return host_len > 0;
}

bool kb_kdc_entry_read(const char *entry, struct kb_kdc_entry *out)
{
    kb_bytes text = kb_str(entry), port;

    *out = (struct kb_kdc_entry){0};
    if (skip_prefix(&text, "unix:") || entry[0] == '/') {
        out->transport = KB_UNIX;
        out->host = text;
        return text.len > 0 && text.len <= KB_UNIX_PATH_MAX && text.ptr[0] == '/';
    }
    if (skip_prefix(&text, "tcp/")) {
        out->transport = KB_TCP;
    } else if (skip_prefix(&text, "udp/")) {
        out->transport = KB_UDP;
    }
    return split(text, &out->host, &port) && out->host.len < KB_KDC_HOST_MAX &&
           memchr(out->host.ptr, '/', out->host.len) == NULL &&
           (port.ptr == NULL || parse_port(port, &out->port));
}

static bool read_entry(struct kb_locate *locate, const char *entry, struct kb_kdc *out)
{
    struct kb_kdc_entry read;
    char *host;

    if (!kb_kdc_entry_read(entry, &read) ||
        locate->num_hosts >= sizeof(locate->hosts) / sizeof(locate->hosts[0])) {
        return false;
    }
    host = locate->hosts[locate->num_hosts++];
    memcpy(host, read.host.ptr, read.host.len);
    host[read.host.len] = '\0';
    *out = (struct kb_kdc){.host = host,
                           .port = read.port != 0 || read.transport == KB_UNIX
                                       ? read.port
                                       : (uint16_t)locate->options->kdc_port,
                           .transport = read.transport};
    return true;
}

/* Says which option, of which file and line, names no KDC. */
static size_t bad_entry(const char *option, const struct kb_origin *from, const char *entry,
                        struct kb_error *err)
{
    struct kb_buf text;
    char buf[256];

    kb_buf_init(&text, 600);
    kb_buf_add_escaped(&text, kb_str(entry));
    (void)kb_error_set(err, KB_E_OPTION,
                       "%s: \"%s\" is no host, host:port, [IPv6]:port, tcp/host, udp/host or "
                       "unix:/path (of at most %d characters)",
                       option, kb_buf_str(&text), KB_UNIX_PATH_MAX);
    kb_error_context(err, "%s", kb_origin_text(from, buf, sizeof(buf)));
    kb_buf_wipe(&text);
    return 0;
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

    for (size_t i = 0; i < num; i++) {
        if (!read_entry(locate, list->items[i], &out[i])) {
            return bad_entry(option, from, list->items[i], err);
        }
    }
    return num;
}

/* krb5.conf is not: what we cannot use there (a KDC proxy, a socket) may be right for others. */
static size_t from_krb5conf(struct kb_locate *locate, kb_bytes realm, struct kb_kdc *out,
                            size_t max)
{
    kb_opt_LIST list = kb_krb5conf_kdcs(locate->options->krb5conf, realm);
    size_t found = 0;

    for (size_t i = 0; i < list.num && found < max; i++) {
        found += read_entry(locate, list.items[i], &out[found]);
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
    return text != NULL && read_entry(locate, text, out) ? 1 : 0;
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

size_t kb_locate_kdcs(void *ctx, kb_bytes realm, bool primary, struct kb_kdc *out, size_t max,
                      struct kb_error *err)
{
    struct kb_locate *locate = ctx;
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
