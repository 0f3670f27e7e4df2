#include "mech/net/connect.h"

#include <stdio.h>

#define MAX_REQUEST ((size_t)32768)

/* --- characters --- */

/* RFC 9110 5.6.2 */
static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* RFC 9110 5.5: VCHAR, obs-text, blank, tab. */
static bool is_value_char(uint8_t c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* The length of the field name in front of a colon; 0: the line is no field. */
static size_t name_len(kb_bytes line)
{
    size_t len = 0;

    while (len < line.len && is_token_char(line.ptr[len])) {
        len++;
    }
    return len < line.len && line.ptr[len] == ':' ? len : 0;
}

static bool is_value(kb_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_value_char(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* --- FirewallData --- */

/* The length of a line's end at `text`, 0: there is none. */
static size_t end_len(const char *text)
{
    static const char ends[4][5] = {"\\r\\n", "\r\n", "\\n", "\n"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (strncmp(text, ends[i], strlen(ends[i])) == 0) {
            return strlen(ends[i]);
        }
    }
    return 0;
}

/* Takes the next line off *data that is not empty; KB_NONE: there is none. */
static kb_bytes next_line(const char **data, unsigned *number)
{
    const char *start = *data, *end = start;

    while (*start != '\0') {
        end = start;
        while (*end != '\0' && end_len(end) == 0) {
            end++;
        }
        *data = end + (*end != '\0' ? end_len(end) : 0);
        ++*number;
        if (end > start) {
            return kb_bytes_of((const uint8_t *)start, (size_t)(end - start));
        }
        start = *data;
    }
    return KB_NONE;
}

static bool is_ours(kb_bytes name)
{
    return kb_equal_nocase(name, KB_LIT("Host")) ||
           kb_equal_nocase(name, KB_LIT("Content-Length")) ||
           kb_equal_nocase(name, KB_LIT("Transfer-Encoding"));
}

bool kb_connect_check(const char *data, char fault[KB_CONNECT_FAULT])
{
    unsigned number = 0;
    size_t total = 0;
    kb_bytes line;

    while ((line = next_line(&data, &number)).len > 0) {
        size_t len = name_len(line);

        total += line.len + 2;
        if (len == 0 || !is_value(line)) {
            snprintf(fault, KB_CONNECT_FAULT, "line %u is no header field (\"Name: value\")",
                     number);
            return false;
        }
        if (is_ours(kb_bytes_of(line.ptr, len))) {
            snprintf(fault, KB_CONNECT_FAULT, "line %u: %.*s is not for FirewallData", number,
                     (int)len, (const char *)line.ptr);
            return false;
        }
    }
    snprintf(fault, KB_CONNECT_FAULT, "it is longer than %zu bytes", KB_CONNECT_MAX);
    return total <= KB_CONNECT_MAX;
}

/* --- the request --- */

/* RFC 9112 3.2.3: authority-form. A zone (RFC 6874) means nothing at the proxy. */
static bool add_authority(struct kb_buf *out, const char *host, uint16_t port)
{
    bool six = strchr(host, ':') != NULL;

    if (*host == '\0') {
        return false;
    }
    for (const char *c = host; *c != '\0'; c++) {
        bool fits = six ? strchr("0123456789abcdefABCDEF:.", *c) != NULL
                        : *c != '`' && *c != '%' && strchr("!#$&'*+^|~", *c) == NULL &&
                              is_token_char((uint8_t)*c);

        if (!fits) {
            return false;
        }
    }
    kb_buf_printf(out, "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "", (unsigned)port);
    return true;
}

enum kb_status kb_connect_request(const char *host, uint16_t port, const char *data,
                                  struct kb_buf *out)
{
    unsigned number = 0;
    kb_bytes line;

    kb_buf_init(out, MAX_REQUEST);
    kb_buf_add_str(out, "CONNECT ");
    if (!add_authority(out, host, port)) {
        return KB_MALFORMED;
    }
    kb_buf_add_str(out, " HTTP/1.1\r\nHost: ");
    (void)add_authority(out, host, port);
    kb_buf_add_str(out, "\r\n");
    while (data != NULL && (line = next_line(&data, &number)).len > 0) {
        kb_buf_add(out, line);
        kb_buf_add_str(out, "\r\n");
    }
    kb_buf_add_str(out, "\r\n");
    return out->status;
}

/* --- the answer --- */

/* Takes a line off *in, without its end (RFC 9112 2.2: a bare LF will do). False: it is not whole.
 */
static bool take_line(kb_bytes *in, kb_bytes *line)
{
    const uint8_t *end = in->len > 0 ? memchr(in->ptr, '\n', in->len) : NULL;
    size_t len;

    if (end == NULL) {
        return false;
    }
    len = (size_t)(end - in->ptr);
    *line = kb_bytes_of(in->ptr, len > 0 && in->ptr[len - 1] == '\r' ? len - 1 : len);
    *in = kb_bytes_of(end + 1, in->len - len - 1);
    return true;
}

static void keep_reason(kb_bytes text, char out[KB_CONNECT_REASON])
{
    size_t len = text.len < KB_CONNECT_REASON - 1 ? text.len : KB_CONNECT_REASON - 1;

    for (size_t i = 0; i < len; i++) {
        out[i] = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? (char)text.ptr[i] : '?';
    }
    out[len] = '\0';
}

/* HTTP/1.x SP 3DIGIT [SP reason-phrase] (RFC 9112 4; the second blank is missing in practice). */
static bool read_status(kb_bytes line, struct kb_connect_answer *out)
{
    const uint8_t *c = line.ptr;

    if (line.len < 12 || memcmp(c, "HTTP/1.", 7) != 0 || c[7] < '0' || c[7] > '9' || c[8] != ' ' ||
        c[9] < '1' || c[9] > '5' || c[10] < '0' || c[10] > '9' || c[11] < '0' || c[11] > '9' ||
        (line.len > 12 && c[12] != ' ') || !is_value(line)) {
        return false;
    }
    out->code =
        (unsigned)(c[9] - '0') * 100 + (unsigned)(c[10] - '0') * 10 + (unsigned)(c[11] - '0');
    keep_reason(line.len > 13 ? kb_bytes_of(c + 13, line.len - 13) : KB_NONE, out->reason);
    return true;
}

/* Could this become a status line? A proxy that speaks something else is found out at once. */
static bool may_be_status(kb_bytes in)
{
    size_t len = in.len < 7 ? in.len : 7;

    return len == 0 || memcmp(in.ptr, "HTTP/1.", len) == 0;
}

/* A field of which we want nothing; or the continuation of one (obs-fold, RFC 9112 5.2). */
static bool is_field(kb_bytes line, bool first)
{
    bool folded = !first && (line.ptr[0] == ' ' || line.ptr[0] == '\t');

    return is_value(line) && (folded || name_len(line) > 0);
}

/* One head, taken off *in. */
static enum kb_connect_result read_head(kb_bytes *in, struct kb_connect_answer *out)
{
    kb_bytes line;

    if (!take_line(in, &line)) {
        return may_be_status(*in) ? KB_CONNECT_MORE : KB_CONNECT_BROKEN;
    }
    if (!read_status(line, out)) {
        return KB_CONNECT_BROKEN;
    }
    for (bool first = true; take_line(in, &line); first = false) {
        if (line.len == 0) {
            return out->code / 100 == 2 ? KB_CONNECT_OPEN : KB_CONNECT_REFUSED;
        }
        if (!is_field(line, first)) {
            return KB_CONNECT_BROKEN;
        }
    }
    return KB_CONNECT_MORE;
}

/* RFC 9110 15.2: any number of interim answers may come first. 101 answers an Upgrade, which nobody
 * asked for. */
enum kb_connect_result kb_connect_read(kb_bytes in, struct kb_connect_answer *out)
{
    kb_bytes rest = in;
    enum kb_connect_result result;

    do {
        *out = (struct kb_connect_answer){0};
        result = read_head(&rest, out);
    } while (result == KB_CONNECT_REFUSED && out->code / 100 == 1 && out->code != 101);
    out->len = in.len - rest.len;
    if (result == KB_CONNECT_MORE && in.len >= KB_CONNECT_MAX) {
        result = KB_CONNECT_BROKEN;
    }
    return result;
}
