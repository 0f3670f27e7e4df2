#include "mech/options/kdc.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "mech/options/text.h"

static kb_bytes from(kb_bytes text, size_t pos)
{
    return kb_bytes_of(text.ptr + pos, text.len - pos);
}

static bool skip_prefix(kb_bytes *text, kb_bytes prefix)
{
    if (text->len < prefix.len || !kb_equal_nocase(kb_bytes_of(text->ptr, prefix.len), prefix)) {
        return false;
    }
    *text = from(*text, prefix.len);
    return true;
}

static size_t find(kb_bytes text, uint8_t c)
{
    const uint8_t *at = text.len > 0 ? memchr(text.ptr, c, text.len) : NULL;

    return at != NULL ? (size_t)(at - text.ptr) : text.len;
}

/* --- hosts --- */

int kb_host_family(kb_bytes text)
{
    char host[INET6_ADDRSTRLEN + 1];
    struct in6_addr address;
    size_t len = find(text, '%');

    if (len == 0 || len >= sizeof(host)) {
        return 0;
    }
    memcpy(host, text.ptr, len);
    host[len] = '\0';
    if (len == text.len && inet_pton(AF_INET, host, &address) == 1) {
        return AF_INET;
    }
    /* A zone says over which interface a link-local address is reached. */
    return inet_pton(AF_INET6, host, &address) == 1 && (len == text.len || len + 1 < text.len)
               ? AF_INET6
               : 0;
}

/* Letters, digits, `-`, `.` and `_`, which DNS has too; beyond ASCII the resolver decides. */
static bool is_host_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c >= 0x80;
}

static bool has_dots_in_wrong_places(kb_bytes text)
{
    bool after_dot = true;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '.' && after_dot) {
            return true;
        }
        after_dot = text.ptr[i] == '.';
    }
    return false;
}

/* "10.0.0.300": what looks like an address and is none would be looked up as a name. */
static bool is_numbers_and_dots(kb_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.ptr[i] < '0' || text.ptr[i] > '9') && text.ptr[i] != '.') {
            return false;
        }
    }
    return true;
}

enum kb_status kb_host_check(kb_bytes text, struct kb_error *err)
{
    if (text.len == 0) {
        return kb_error_set(err, KB_E_OPTION, "a host is missing");
    }
    if (kb_host_family(text) != 0) {
        return KB_OK;
    }
    if (find(text, ':') < text.len || is_numbers_and_dots(text)) {
        return kb_error_set(err, KB_E_OPTION, "`%s` is no IP address", kb_show(text).text);
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!is_host_char(text.ptr[i])) {
            return kb_error_set(err, KB_E_OPTION, "`%s` is no host's name", kb_show(text).text);
        }
    }
    return text.len <= KB_KDC_MAX_HOST && text.ptr[0] != '-' && !has_dots_in_wrong_places(text)
               ? KB_OK
               : kb_error_set(err, KB_E_OPTION, "`%s` is no host's name", kb_show(text).text);
}

/* --- words --- */

static enum kb_status parse_port(kb_bytes text, uint16_t *out, struct kb_error *err)
{
    uint32_t port = 0;

    for (size_t i = 0; i < text.len && port <= 65535; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            port = 0;
            break;
        }
        port = port * 10 + (text.ptr[i] - '0');
    }
    *out = (uint16_t)port;
    if (text.len == 0) {
        return kb_error_set(err, KB_E_OPTION, "a port is missing behind the colon");
    }
    return port > 0 && port <= 65535
               ? KB_OK
               : kb_error_set(err, KB_E_OPTION, "`%s` is no port from 1 to 65535",
                              kb_show(text).text);
}

static enum kb_status parse_brackets(kb_bytes text, struct kb_kdc_word *out, struct kb_error *err)
{
    size_t end = find(text, ']');
    kb_bytes behind;

    if (end == text.len) {
        return kb_error_set(err, KB_E_OPTION, "no `]` behind an address");
    }
    out->host = kb_bytes_of(text.ptr + 1, end - 1);
    behind = from(text, end + 1);
    if (kb_host_family(out->host) != AF_INET6) {
        return kb_error_set(err, KB_E_OPTION, "`%s` is no IPv6 address", kb_show(out->host).text);
    }
    if (behind.len > 0 && behind.ptr[0] != ':') {
        return kb_error_set(err, KB_E_OPTION, "`%s` behind an address; a port is written `]:88`",
                            kb_show(behind).text);
    }
    return behind.len > 0 ? parse_port(from(behind, 1), &out->port, err) : KB_OK;
}

static enum kb_status parse_host(kb_bytes text, struct kb_kdc_word *out, struct kb_error *err)
{
    size_t colon = find(text, ':');

    if (text.len > 0 && text.ptr[0] == '[') {
        return parse_brackets(text, out, err);
    }
    out->host = text;
    if (colon < text.len && find(from(text, colon + 1), ':') == text.len - colon - 1) {
        out->host = kb_bytes_of(text.ptr, colon);
        if (parse_port(from(text, colon + 1), &out->port, err) != KB_OK) {
            return KB_ERROR;
        }
    }
    return kb_host_check(out->host, err);
}

static enum kb_status parse_path(kb_bytes text, struct kb_kdc_word *out, struct kb_error *err)
{
    out->host = text;
    if (text.len == 0 || text.ptr[0] != '/') {
        return kb_error_set(err, KB_E_OPTION, "unix: is followed by a whole path (unix:/run/kdc)");
    }
    return text.len < sizeof(((struct sockaddr_un *)0)->sun_path)
               ? KB_OK
               : kb_error_set(err, KB_E_OPTION, "a socket's path has at most %zu bytes",
                              sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
}

/* What RFC 3986 3.3 and 3.4 let stand in a path and a query, and nothing that HTTP could take for
 * something else. */
static enum kb_status check_url_path(kb_bytes path, struct kb_error *err)
{
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.ptr[i];

        if (c <= 0x20 || c >= 0x7f || strchr("\"#<>\\^`{|}", c) != NULL) {
            return kb_error_set(err, KB_E_OPTION, "`%s` is no path of a URL", kb_show(path).text);
        }
    }
    return path.len <= KB_KDC_MAX_PATH
               ? KB_OK
               : kb_error_set(err, KB_E_OPTION, "a KDC proxy's path has at most %d bytes",
                              KB_KDC_MAX_PATH);
}

/* Behind `https://`. */
static enum kb_status parse_url(kb_bytes text, struct kb_kdc_word *out, struct kb_error *err)
{
    size_t slash = find(text, '/');

    out->path = from(text, slash);
    return parse_host(kb_bytes_of(text.ptr, slash), out, err) == KB_OK
               ? check_url_path(out->path, err)
               : KB_ERROR;
}

/* What people write who think of URLs. */
static enum kb_status check_scheme(kb_bytes text, struct kb_error *err)
{
    if (skip_prefix(&text, KB_LIT("http://"))) {
        return kb_error_set(err, KB_E_OPTION, "a KDC proxy is asked by https:// only");
    }
    return memmem(text.ptr, text.len, "://", 3) != NULL
               ? kb_error_set(err, KB_E_OPTION,
                              "a KDC is no URL of that kind; write host, tcp/host, udp/host or "
                              "https://host/path")
               : KB_OK;
}

enum kb_status kb_kdc_word_parse(kb_bytes text, struct kb_kdc_word *out, struct kb_error *err)
{
    kb_bytes rest = text;

    *out = (struct kb_kdc_word){0};
    if (text.len == 0) {
        return kb_error_set(err, KB_E_OPTION, "a host is missing");
    }
    if (skip_prefix(&rest, KB_LIT("unix:"))) {
        out->kind = KB_KDC_UNIX;
        return parse_path(rest, out, err);
    }
    if (skip_prefix(&rest, KB_LIT("https://"))) {
        out->kind = KB_KDC_HTTPS;
        return parse_url(rest, out, err);
    }
    if (check_scheme(text, err) != KB_OK) {
        return KB_ERROR;
    }
    if (skip_prefix(&rest, KB_LIT("tcp/"))) {
        out->kind = KB_KDC_TCP;
    } else if (skip_prefix(&rest, KB_LIT("udp/"))) {
        out->kind = KB_KDC_UDP;
    }
    return parse_host(rest, out, err);
}
