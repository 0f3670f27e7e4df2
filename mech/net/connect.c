#include "mech/net/connect.h"

#include <stdio.h>

#include "mech/net/http_text.h"

#define MAX_REQUEST ((size_t)32768)

/* --- FirewallData --- */

static bool is_ours(kb_bytes name)
{
    return kb_equal_nocase(name, KB_LIT("Host")) ||
           kb_equal_nocase(name, KB_LIT("Content-Length")) ||
           kb_equal_nocase(name, KB_LIT("Content-Type")) ||
           kb_equal_nocase(name, KB_LIT("Transfer-Encoding"));
}

bool kb_connect_check(const char *data, char fault[KB_CONNECT_FAULT])
{
    unsigned number = 0;
    size_t total = 0;
    kb_bytes line;

    while ((line = kb_http_next_line(&data, &number)).len > 0) {
        size_t len = kb_http_name_len(line);

        total += line.len + 2;
        if (len == 0 || !kb_http_is_value(line)) {
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

enum kb_status kb_connect_request(const char *host, uint16_t port, const char *data,
                                  struct kb_buf *out)
{
    kb_buf_init(out, MAX_REQUEST);
    kb_buf_add_str(out, "CONNECT ");
    if (!kb_http_add_authority(out, host, port)) {
        return KB_MALFORMED;
    }
    kb_buf_add_str(out, " HTTP/1.1\r\nHost: ");
    (void)!kb_http_add_authority(out, host, port);
    kb_buf_add_str(out, "\r\n");
    kb_http_add_lines(out, data);
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

/* One head, taken off *in. */
static enum kb_connect_result read_head(kb_bytes *in, struct kb_connect_answer *out)
{
    kb_bytes line;

    if (!take_line(in, &line)) {
        return kb_http_may_be_status(*in) ? KB_CONNECT_MORE : KB_CONNECT_BROKEN;
    }
    if (!kb_http_read_status(line, &out->code, out->reason)) {
        return KB_CONNECT_BROKEN;
    }
    for (bool first = true; take_line(in, &line); first = false) {
        if (line.len == 0) {
            return out->code / 100 == 2 ? KB_CONNECT_OPEN : KB_CONNECT_REFUSED;
        }
        if (!kb_http_is_field(line, first)) {
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
