#include "mech/net/http.h"

#include "config.h"

enum state {
    STATUS,
    FIELD,
    BODY,
    UNTIL_CLOSE,
    CHUNK,
    CHUNK_DATA,
    CHUNK_END,
    TRAILER,
    DONE,
    FAILED
};

/* --- the request --- */

#define MAX_REQUEST ((size_t)1 << 21)
#define HTTPS_PORT 443

enum kb_status kb_http_post(const char *host, uint16_t port, const char *path, const char *lines,
                            kb_bytes body, struct kb_buf *out)
{
    kb_buf_init(out, MAX_REQUEST);
    kb_buf_printf(out, "POST %s HTTP/1.1\r\nHost: ", path);
    if (!kb_http_add_authority(out, host, port == HTTPS_PORT ? 0 : port)) {
        return KB_MALFORMED;
    }
    kb_buf_printf(out,
                  "\r\nUser-Agent: Kerbside/%s\r\nContent-Type: application/kerberos\r\n"
                  "Content-Length: %zu\r\nCache-Control: no-cache\r\n",
                  PACKAGE_VERSION, body.len);
    kb_http_add_lines(out, lines);
    kb_buf_add_str(out, "\r\n");
    kb_buf_add(out, body);
    return out->status;
}

/* --- the answer --- */

void kb_http_init(struct kb_http *http, size_t max_body)
{
    *http = (struct kb_http){.state = STATUS, .max_body = max_body};
    kb_buf_init(&http->line, KB_HTTP_MAX_HEAD);
    kb_buf_init(&http->body, max_body);
}

void kb_http_wipe(struct kb_http *http)
{
    kb_buf_wipe(&http->line);
    kb_buf_wipe(&http->body);
    *http = (struct kb_http){0};
}

static enum kb_http_result broken(struct kb_http *http, const char *fault)
{
    http->state = FAILED;
    http->fault = fault;
    return KB_HTTP_BROKEN;
}

static enum kb_http_result too_big(struct kb_http *http)
{
    http->state = FAILED;
    return KB_HTTP_TOO_BIG;
}

static enum kb_http_result done(struct kb_http *http)
{
    http->state = DONE;
    return KB_HTTP_DONE;
}

/* --- fields --- */

static kb_bytes trim(kb_bytes text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = kb_bytes_of(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* Takes an element off a list (RFC 9110 5.6.1); false: there is none left. */
static bool take_element(kb_bytes *list, kb_bytes *out)
{
    const uint8_t *comma;
    size_t len;

    if (list->len == 0) {
        return false;
    }
    comma = memchr(list->ptr, ',', list->len);
    len = comma != NULL ? (size_t)(comma - list->ptr) : list->len;
    *out = trim(kb_bytes_of(list->ptr, len));
    *list = comma != NULL ? kb_bytes_of(comma + 1, list->len - len - 1) : KB_NONE;
    return true;
}

static bool read_decimal(kb_bytes text, size_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || *out > SIZE_MAX / 20) {
            return false;
        }
        *out = *out * 10 + (text.ptr[i] - '0');
    }
    return text.len > 0;
}

/* RFC 9112 6.3: several lengths are one if they are equal. */
static enum kb_http_result on_length(struct kb_http *http, kb_bytes value)
{
    kb_bytes element;
    size_t length;

    do {
        if (!take_element(&value, &element) || !read_decimal(element, &length) ||
            (http->has_length && length != http->length)) {
            return broken(http, "its Content-Length is none");
        }
        http->has_length = true;
        http->length = length;
    } while (value.len > 0);
    return KB_HTTP_MORE;
}

/* We offer no coding (no TE), so there is only the one that a server may use anyway. */
static enum kb_http_result on_coding(struct kb_http *http, kb_bytes value)
{
    if (http->chunked || !kb_equal_nocase(value, KB_LIT("chunked"))) {
        return broken(http, "its Transfer-Encoding is not \"chunked\"");
    }
    http->chunked = true;
    return KB_HTTP_MORE;
}

static enum kb_http_result on_encoding(struct kb_http *http, kb_bytes value)
{
    return value.len == 0 || kb_equal_nocase(value, KB_LIT("identity"))
               ? KB_HTTP_MORE
               : broken(http, "its Content-Encoding was not asked for");
}

static enum kb_http_result on_connection(struct kb_http *http, kb_bytes value)
{
    kb_bytes element;

    while (take_element(&value, &element)) {
        http->keeps = http->keeps && !kb_equal_nocase(element, KB_LIT("close"));
    }
    return KB_HTTP_MORE;
}

static enum kb_http_result on_location(struct kb_http *http, kb_bytes value)
{
    kb_http_keep(value, http->location, sizeof(http->location));
    return KB_HTTP_MORE;
}

static enum kb_http_result on_type(struct kb_http *http, kb_bytes value)
{
    kb_http_keep(value, http->type, sizeof(http->type));
    return KB_HTTP_MORE;
}

static const struct {
    const char *name;
    enum kb_http_result (*read)(struct kb_http *http, kb_bytes value);
} fields[] = {
    {"Content-Length", on_length},     {"Transfer-Encoding", on_coding},
    {"Content-Encoding", on_encoding}, {"Connection", on_connection},
    {"Location", on_location},         {"Content-Type", on_type},
};

/* A field that we do not read may go on in the next line; of one that we do, a reader that does not
 * know of that sees another value. */
static enum kb_http_result on_field(struct kb_http *http, kb_bytes line)
{
    size_t len = kb_http_name_len(line);

    if (!kb_http_is_field(line, http->first)) {
        return broken(http, "a line of its head is no header field");
    }
    http->first = false;
    if (kb_http_is_folded(line)) {
        return http->folds ? KB_HTTP_MORE : broken(http, "a header field goes on in the next line");
    }
    http->folds = true;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (kb_equal_nocase(kb_str(fields[i].name), kb_bytes_of(line.ptr, len))) {
            http->folds = false;
            return fields[i].read(http, trim(kb_bytes_of(line.ptr + len + 1, line.len - len - 1)));
        }
    }
    return KB_HTTP_MORE;
}

/* --- heads --- */

static enum kb_http_result on_status(struct kb_http *http, kb_bytes line)
{
    if (!kb_http_read_status(line, &http->code, http->reason)) {
        return broken(http, "what it answers is not HTTP");
    }
    http->old = line.ptr[7] == '0';
    http->keeps = !http->old;
    http->first = http->folds = true;
    http->state = FIELD;
    return KB_HTTP_MORE;
}

/* RFC 9110 15.2: any number of interim answers may come first. 101 answers an Upgrade, which nobody
 * asked for; it is left to the caller as any other code. */
static enum kb_http_result on_interim(struct kb_http *http)
{
    http->chunked = http->has_length = false;
    http->location[0] = http->type[0] = '\0';
    http->state = STATUS;
    return KB_HTTP_MORE;
}

static enum kb_http_result on_head(struct kb_http *http)
{
    if (http->code / 100 == 1 && http->code != 101) {
        return on_interim(http);
    }
    if (http->code != 200) {
        http->keeps = false; /* its body is not read */
        return done(http);
    }
    if (http->chunked && (http->has_length || http->old)) {
        return broken(http, http->old ? "it is HTTP/1.0 and chunked"
                                      : "it has a Content-Length and is chunked");
    }
    http->framing = 0;
    if (http->chunked) {
        http->state = CHUNK;
        return KB_HTTP_MORE;
    }
    if (!http->has_length) {
        http->keeps = false;
        http->state = UNTIL_CLOSE;
        return KB_HTTP_MORE;
    }
    if (http->length > http->max_body) {
        return too_big(http);
    }
    http->left = http->length;
    http->state = BODY;
    return http->left > 0 ? KB_HTTP_MORE : done(http);
}

/* --- chunks, RFC 9112 7.1 --- */

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static enum kb_http_result on_chunk(struct kb_http *http, kb_bytes line)
{
    const uint8_t *extension = line.len > 0 ? memchr(line.ptr, ';', line.len) : NULL;
    kb_bytes size =
        extension != NULL ? kb_bytes_of(line.ptr, (size_t)(extension - line.ptr)) : line;
    size_t value = 0;

    while (size.len > 0 && (size.ptr[size.len - 1] == ' ' || size.ptr[size.len - 1] == '\t')) {
        size.len--;
    }
    for (size_t i = 0; i < size.len; i++) {
        int digit = hex_digit(size.ptr[i]);

        if (digit < 0) {
            return broken(http, "the size of a chunk is no number");
        }
        if (value > http->max_body) {
            return too_big(http);
        }
        value = value * 16 + (size_t)digit;
    }
    if (size.len == 0 || !kb_http_is_value(line)) {
        return broken(http, "the size of a chunk is no number");
    }
    if (value > http->max_body - http->body.len) {
        return too_big(http);
    }
    http->left = value;
    http->first = http->folds = true;
    http->state = value > 0 ? CHUNK_DATA : TRAILER;
    http->framing = value > 0 ? http->framing : 0;
    return KB_HTTP_MORE;
}

/* What stands in a trailer changes nothing (RFC 9110 6.5.1). */
static enum kb_http_result on_trailer(struct kb_http *http, kb_bytes line)
{
    if (line.len == 0) {
        return done(http);
    }
    if (!kb_http_is_field(line, http->first)) {
        return broken(http, "a line behind its chunks is no header field");
    }
    http->first = false;
    return KB_HTTP_MORE;
}

/* --- pieces --- */

static enum kb_http_result on_line(struct kb_http *http, kb_bytes line)
{
    switch (http->state) {
    case STATUS:
        return on_status(http, line);
    case FIELD:
        return line.len == 0 ? on_head(http) : on_field(http, line);
    case CHUNK:
        return on_chunk(http, line);
    case CHUNK_END:
        http->state = CHUNK;
        return line.len == 0 ? KB_HTTP_MORE : broken(http, "a chunk is longer than its size");
    default:
        return on_trailer(http, line);
    }
}

/* Reads up to the end of a line (RFC 9112 2.2: a bare LF will do). */
static enum kb_http_result push_line(struct kb_http *http, kb_bytes *in)
{
    const uint8_t *end = memchr(in->ptr, '\n', in->len);
    size_t len = end != NULL ? (size_t)(end - in->ptr) + 1 : in->len;
    bool chunk = http->state == CHUNK || http->state == CHUNK_END;
    enum kb_http_result result = KB_HTTP_MORE;
    kb_bytes line;

    http->framing += len;
    if (http->framing > (chunk ? http->max_body : KB_HTTP_MAX_HEAD) ||
        http->line.len + len > KB_HTTP_MAX_HEAD) {
        return broken(http, chunk ? "its chunks are framed without an end"
                                  : "its head has no end within 16 KiB");
    }
    kb_buf_add(&http->line, kb_bytes_of(in->ptr, len));
    if (http->line.status != KB_OK) {
        http->state = FAILED;
        return KB_HTTP_NO_MEMORY;
    }
    *in = kb_bytes_of(in->ptr + len, in->len - len);
    line = kb_buf_bytes(&http->line);
    if (end != NULL) {
        line.len -= line.len > 1 && line.ptr[line.len - 2] == '\r' ? 2 : 1;
        result = on_line(http, line);
        http->line.len = 0;
    } else if (http->state == STATUS && !kb_http_may_be_status(line)) {
        result = broken(http, "what it answers is not HTTP");
    }
    return result;
}

static enum kb_http_result push_body(struct kb_http *http, kb_bytes *in)
{
    size_t len = http->state == UNTIL_CLOSE || in->len < http->left ? in->len : http->left;

    if (len > http->max_body - http->body.len) {
        return too_big(http);
    }
    kb_buf_add(&http->body, kb_bytes_of(in->ptr, len));
    if (http->body.status != KB_OK) {
        http->state = FAILED;
        return KB_HTTP_NO_MEMORY;
    }
    *in = kb_bytes_of(in->ptr + len, in->len - len);
    if (http->state == UNTIL_CLOSE || (http->left -= len) > 0) {
        return KB_HTTP_MORE;
    }
    if (http->state == BODY) {
        return done(http);
    }
    http->state = CHUNK_END;
    return KB_HTTP_MORE;
}

enum kb_http_result kb_http_push(struct kb_http *http, kb_bytes in, size_t *out_used)
{
    enum kb_http_result result = http->state == DONE     ? KB_HTTP_DONE
                                 : http->state == FAILED ? KB_HTTP_BROKEN
                                                         : KB_HTTP_MORE;
    size_t len = in.len;

    while (in.len > 0 && result == KB_HTTP_MORE) {
        bool body = http->state == BODY || http->state == UNTIL_CLOSE || http->state == CHUNK_DATA;

        result = body ? push_body(http, &in) : push_line(http, &in);
    }
    *out_used = len - in.len;
    return result;
}

enum kb_http_result kb_http_end(struct kb_http *http)
{
    switch (http->state) {
    case UNTIL_CLOSE:
    case DONE:
        return done(http);
    case FAILED:
        return KB_HTTP_BROKEN;
    case STATUS:
        return broken(http, http->line.len == 0 ? "the connection was closed without an answer"
                                                : "the connection was closed within the answer");
    default:
        return broken(http, "the connection was closed within the answer");
    }
}
