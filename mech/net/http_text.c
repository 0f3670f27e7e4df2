#include "mech/net/http_text.h"

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

size_t kb_http_name_len(kb_bytes line)
{
    size_t len = 0;

    while (len < line.len && is_token_char(line.ptr[len])) {
        len++;
    }
    return len < line.len && line.ptr[len] == ':' ? len : 0;
}

bool kb_http_is_value(kb_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_value_char(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool kb_http_is_folded(kb_bytes line)
{
    return line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
}

/* The continuation of a line is RFC 9112 5.2's obs-fold. */
bool kb_http_is_field(kb_bytes line, bool first)
{
    return kb_http_is_value(line) &&
           ((!first && kb_http_is_folded(line)) || kb_http_name_len(line) > 0);
}

void kb_http_keep(kb_bytes text, char *out, size_t size)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;

    for (size_t i = 0; i < len; i++) {
        out[i] = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? (char)text.ptr[i] : '?';
    }
    out[len] = '\0';
}

/* --- status lines --- */

/* HTTP/1.x SP 3DIGIT [SP reason-phrase] (RFC 9112 4; the second blank is missing in practice). */
bool kb_http_read_status(kb_bytes line, unsigned *code, char reason[KB_HTTP_REASON])
{
    const uint8_t *c = line.ptr;

    if (line.len < 12 || memcmp(c, "HTTP/1.", 7) != 0 || c[7] < '0' || c[7] > '9' || c[8] != ' ' ||
        c[9] < '1' || c[9] > '5' || c[10] < '0' || c[10] > '9' || c[11] < '0' || c[11] > '9' ||
        (line.len > 12 && c[12] != ' ') || !kb_http_is_value(line)) {
        return false;
    }
    *code = (unsigned)(c[9] - '0') * 100 + (unsigned)(c[10] - '0') * 10 + (unsigned)(c[11] - '0');
    kb_http_keep(line.len > 13 ? kb_bytes_of(c + 13, line.len - 13) : KB_NONE, reason,
                 KB_HTTP_REASON);
    return true;
}

bool kb_http_may_be_status(kb_bytes in)
{
    size_t len = in.len < 7 ? in.len : 7;

    return len == 0 || memcmp(in.ptr, "HTTP/1.", len) == 0;
}

/* --- requests --- */

/* A zone (RFC 6874) means nothing at the other end. */
bool kb_http_add_authority(struct kb_buf *out, const char *host, uint16_t port)
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
    kb_buf_printf(out, "%s%s%s", six ? "[" : "", host, six ? "]" : "");
    if (port != 0) {
        kb_buf_printf(out, ":%u", (unsigned)port);
    }
    return true;
}

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

kb_bytes kb_http_next_line(const char **data, unsigned *number)
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

void kb_http_add_lines(struct kb_buf *out, const char *data)
{
    unsigned number = 0;
    kb_bytes line;

    while (data != NULL && (line = kb_http_next_line(&data, &number)).len > 0) {
        kb_buf_add(out, line);
        kb_buf_add_str(out, "\r\n");
    }
}
