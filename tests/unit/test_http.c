/* mech/net/http: what is posted to a KDC proxy, and how its answers are read: whole, byte by byte,
 * cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mech/net/http.h"

#define MAX_BODY ((size_t)64)
#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

/* --- requests --- */

static void requests(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *path, *lines;
        const char *start; /* NULL: refused */
    } rows[] = {
        {"proxy.example.com", 443, "/KdcProxy", NULL,
         "POST /KdcProxy HTTP/1.1\r\nHost: proxy.example.com\r\n"},
        {"proxy.example.com", 8443, "/a/b?c=d", NULL,
         "POST /a/b?c=d HTTP/1.1\r\nHost: proxy.example.com:8443\r\n"},
        {"2001:db8::1", 443, "/", NULL, "POST / HTTP/1.1\r\nHost: [2001:db8::1]\r\n"},
        {"a b", 443, "/", NULL, NULL},
    };
    struct kb_buf out;
    const char *text, *end;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum kb_status st = kb_http_post(rows[i].host, rows[i].port, rows[i].path, rows[i].lines,
                                         KB_LIT("0123"), &out);

        assert_int_equal(st, rows[i].start != NULL ? KB_OK : KB_MALFORMED);
        if (rows[i].start != NULL) {
            assert_memory_equal(kb_buf_str(&out), rows[i].start, strlen(rows[i].start));
        }
        kb_buf_wipe(&out);
    }
    assert_int_equal(kb_http_post("h", 443, "/", "A: 1\\r\\nB: 2", KB_LIT("\0\1\2"), &out), KB_OK);
    text = kb_buf_str(&out);
    assert_non_null(strstr(text, "\r\nContent-Type: application/kerberos\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Length: 3\r\n"));
    assert_non_null(strstr(text, "\r\nUser-Agent: Kerbside/"));
    end = strstr(text, "\r\nA: 1\r\nB: 2\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(out.len, (size_t)(end - text) + strlen("\r\nA: 1\r\nB: 2\r\n\r\n") + 3);
    assert_memory_equal(text + out.len - 3, "\0\1\2", 3);
    kb_buf_wipe(&out);
}

/* --- answers --- */

struct answer {
    const char *text;
    enum kb_http_result result; /* MORE: what it is when the other side closes stands in `closed` */
    unsigned code;
    const char *body;
    bool keeps;
    const char *fault;
    size_t behind; /* bytes that are not the answer's */
};

/* What has to be there of an answer that ended. */
static void check(const struct answer *row, const struct kb_http *http, enum kb_http_result result)
{
    if (result != row->result) {
        fail_msg("%s: %d (%s)", row->text, (int)result, http->fault != NULL ? http->fault : "");
    }
    if (result == KB_HTTP_DONE) {
        assert_int_equal(http->code, row->code);
        assert_int_equal(http->keeps, row->keeps);
        assert_int_equal(http->body.len, strlen(row->body));
        assert_string_equal(kb_buf_str(&http->body), row->body);
    }
    if (result == KB_HTTP_BROKEN && row->fault != NULL) {
        assert_string_equal(http->fault, row->fault);
    }
}

/* Pushes pieces of `step` bytes, each in a block of its own, so that reading beyond it is seen. */
static enum kb_http_result push(struct kb_http *http, const char *text, size_t len, size_t step,
                                size_t *out_used)
{
    enum kb_http_result result = KB_HTTP_MORE;

    *out_used = 0;
    while (*out_used < len && result == KB_HTTP_MORE) {
        size_t part = len - *out_used < step ? len - *out_used : step, used;
        uint8_t *block = malloc(part);

        assert_non_null(block);
        memcpy(block, text + *out_used, part);
        result = kb_http_push(http, kb_bytes_of(block, part), &used);
        assert_true(used == part || (result != KB_HTTP_MORE && used < part));
        *out_used += used;
        free(block);
    }
    return result;
}

static void read_row(const struct answer *row)
{
    static const size_t steps[] = {1, 2, 7, 4096};
    size_t len = strlen(row->text);

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct kb_http http;
        size_t used;

        kb_http_init(&http, MAX_BODY);
        check(row, &http, push(&http, row->text, len, steps[i], &used));
        if (row->result == KB_HTTP_DONE) {
            assert_int_equal(used, len - row->behind);
        }
        kb_http_wipe(&http);
    }
}

static void answers(void **state)
{
    static const struct answer rows[] = {
        {OK "Content-Length: 3\r\n\r\nabc", KB_HTTP_DONE, 200, "abc", true, NULL, 0},
        {OK "Content-Length: 0\r\n\r\n", KB_HTTP_DONE, 200, "", true, NULL, 0},
        {OK "content-length:3  \r\n\r\nabcd", KB_HTTP_DONE, 200, "abc", true, NULL, 1},
        {OK "Content-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabc", KB_HTTP_DONE, 200, "abc", true,
         NULL, 0},
        /* kdcproxy under wsgiref and Apache */
        {OK "Date: x\r\nServer: WSGIServer/0.2\r\nContent-Type: application/kerberos\r\n"
            "Content-Length: 1\r\nConnection: close\r\n\r\nx",
         KB_HTTP_DONE, 200, "x", false, NULL, 0},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", KB_HTTP_DONE, 200, "x", false, NULL, 0},
        {OK "Connection: keep-alive, Close\r\nContent-Length: 1\r\n\r\nx", KB_HTTP_DONE, 200, "x",
         false, NULL, 0},
        {"HTTP/1.1 200\nContent-Length: 1\n\nx", KB_HTTP_DONE, 200, "x", true, NULL, 0},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\nContent-Length: 9\r\n\r\n" OK
         "Content-Length: 1\r\n\r\nx",
         KB_HTTP_DONE, 200, "x", true, NULL, 0},
        {OK "X: a\r\n folded\r\nContent-Length: 1\r\n\r\nx", KB_HTTP_DONE, 200, "x", true, NULL, 0},
        {OK "Content-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", KB_HTTP_DONE, 200, "x",
         true, NULL, 0},
        /* RFC 9112 7.1.3's example of a decoder's work */
        {CHUNKED "4\r\nWiki\r\n5;name=value\r\npedia\r\nE \r\n in\r\n\r\nchunks.\r\n0\r\n\r\n",
         KB_HTTP_DONE, 200, "Wikipedia in\r\n\r\nchunks.", true, NULL, 0},
        {CHUNKED "a\r\n0123456789\r\n000\r\nTrailer: x\r\n folded\r\n\r\nrest", KB_HTTP_DONE, 200,
         "0123456789", true, NULL, 4},
        {CHUNKED "0\r\n\r\n", KB_HTTP_DONE, 200, "", true, NULL, 0},
        /* Of other codes the head is all that is read. */
        {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\n", KB_HTTP_DONE, 503, "",
         false, NULL, 0},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", KB_HTTP_DONE, 101, "", false, NULL, 0},
        {"HTTP/1.1 204 No Content\r\n\r\n", KB_HTTP_DONE, 204, "", false, NULL, 0},
        /* Nothing is refused that a peer may send for an hour. */
        {OK "\r\nabc", KB_HTTP_MORE, 0, NULL, false, NULL, 0},
        {OK "Content-Length: 3\r\n\r\nab", KB_HTTP_MORE, 0, NULL, false, NULL, 0},
        {CHUNKED "3\r\nab", KB_HTTP_MORE, 0, NULL, false, NULL, 0},

        {"SSH-2.0-OpenSSH\r\n", KB_HTTP_BROKEN, 0, NULL, false, "what it answers is not HTTP", 0},
        {"HTTP/2 200\r\n\r\n", KB_HTTP_BROKEN, 0, NULL, false, "what it answers is not HTTP", 0},
        {"HTTP/1.1 2000 OK\r\n\r\n", KB_HTTP_BROKEN, 0, NULL, false, "what it answers is not HTTP",
         0},
        {OK "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "its Content-Length is none", 0},
        {OK "Content-Length: 3, 4\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "its Content-Length is none", 0},
        {OK "Content-Length: +3\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "its Content-Length is none", 0},
        {OK "Content-Length: 0x3\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "its Content-Length is none", 0},
        {OK "Content-Length: -1\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "its Content-Length is none", 0},
        {OK "Content-Length:\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "its Content-Length is none", 0},
        {OK "Content-Length: 3,\r\n\r\nabc", KB_HTTP_DONE, 200, "abc", true, NULL, 0},
        {OK "Content-Length: 99999999999999999999999\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "its Content-Length is none", 0},
        {OK "Content-Length : 3\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "a line of its head is no header field", 0},
        {OK "Content-Length: 3\r\n 4\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "a header field goes on in the next line", 0},
        {OK " Content-Length: 3\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "a line of its head is no header field", 0},
        {OK "X: a\rContent-Length: 3\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL, false,
         "a line of its head is no header field", 0},
        {OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", KB_HTTP_BROKEN, 0, NULL, false,
         "its Transfer-Encoding is not \"chunked\"", 0},
        {OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         KB_HTTP_BROKEN, 0, NULL, false, "its Transfer-Encoding is not \"chunked\"", 0},
        {OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", KB_HTTP_BROKEN, 0,
         NULL, false, "it has a Content-Length and is chunked", 0},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", KB_HTTP_BROKEN, 0, NULL,
         false, "it is HTTP/1.0 and chunked", 0},
        {OK "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", KB_HTTP_BROKEN, 0, NULL,
         false, "its Content-Encoding was not asked for", 0},
        {CHUNKED "\r\n", KB_HTTP_BROKEN, 0, NULL, false, "the size of a chunk is no number", 0},
        {CHUNKED " 3\r\nabc\r\n", KB_HTTP_BROKEN, 0, NULL, false,
         "the size of a chunk is no number", 0},
        {CHUNKED "-3\r\n", KB_HTTP_BROKEN, 0, NULL, false, "the size of a chunk is no number", 0},
        {CHUNKED "0x3\r\n", KB_HTTP_BROKEN, 0, NULL, false, "the size of a chunk is no number", 0},
        {CHUNKED ";a\r\n", KB_HTTP_BROKEN, 0, NULL, false, "the size of a chunk is no number", 0},
        {CHUNKED "3\r\nabcd\r\n", KB_HTTP_BROKEN, 0, NULL, false, "a chunk is longer than its size",
         0},
        {CHUNKED "0\r\nnone\r\n\r\n", KB_HTTP_BROKEN, 0, NULL, false,
         "a line behind its chunks is no header field", 0},

        {OK "Content-Length: 65\r\n\r\n", KB_HTTP_TOO_BIG, 0, NULL, false, NULL, 0},
        {CHUNKED "41\r\n", KB_HTTP_TOO_BIG, 0, NULL, false, NULL, 0},
        {CHUNKED "fffffffffffffffffffffffffffff\r\n", KB_HTTP_TOO_BIG, 0, NULL, false, NULL, 0},
        {CHUNKED "20\r\n0123456789abcdef0123456789abcdef\r\n21\r\n", KB_HTTP_TOO_BIG, 0, NULL,
         false, NULL, 0},
        {OK "\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef!",
         KB_HTTP_TOO_BIG, 0, NULL, false, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        read_row(&rows[i]);
    }
}

static void what_a_person_is_told(void **state)
{
    static const char text[] = "HTTP/1.1 302 F\xf6und\r\nLocation: https://x/\x80y\r\n"
                               "Content-Type: text/html\r\n\r\n";
    struct kb_http http;
    size_t used;

    (void)state;
    kb_http_init(&http, MAX_BODY);
    assert_int_equal(kb_http_push(&http, KB_LIT(text), &used), KB_HTTP_DONE);
    assert_int_equal(http.code, 302);
    assert_string_equal(http.reason, "F?und");
    assert_string_equal(http.location, "https://x/?y");
    assert_string_equal(http.type, "text/html");
    kb_http_wipe(&http);
}

/* The end of the connection is the end of a body that has no other. */
static void ends(void **state)
{
    static const struct {
        const char *text;
        enum kb_http_result result;
        const char *fault;
    } rows[] = {
        {"", KB_HTTP_BROKEN, "the connection was closed without an answer"},
        {"HTTP/1", KB_HTTP_BROKEN, "the connection was closed within the answer"},
        {OK, KB_HTTP_BROKEN, "the connection was closed within the answer"},
        {"HTTP/1.1 100 Continue\r\n\r\n", KB_HTTP_BROKEN,
         "the connection was closed without an answer"},
        {OK "\r\n", KB_HTTP_DONE, NULL},
        {OK "\r\nabc", KB_HTTP_DONE, NULL},
        {OK "Content-Length: 4\r\n\r\nabc", KB_HTTP_BROKEN,
         "the connection was closed within the answer"},
        {CHUNKED "3\r\nabc\r\n", KB_HTTP_BROKEN, "the connection was closed within the answer"},
        {CHUNKED "0\r\n", KB_HTTP_BROKEN, "the connection was closed within the answer"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kb_http http;
        size_t used;

        kb_http_init(&http, MAX_BODY);
        assert_int_equal(kb_http_push(&http, kb_str(rows[i].text), &used), KB_HTTP_MORE);
        assert_int_equal(kb_http_end(&http), rows[i].result);
        if (rows[i].fault != NULL) {
            assert_string_equal(http.fault, rows[i].fault);
        } else {
            assert_false(http.keeps);
        }
        kb_http_wipe(&http);
    }
}

/* What never ends is ended. */
static enum kb_http_result push_for_ever(const char *start, const char *again, size_t most)
{
    enum kb_http_result result;
    struct kb_http http;
    size_t used, total = 0;

    kb_http_init(&http, MAX_BODY);
    result = kb_http_push(&http, kb_str(start), &used);
    while (result == KB_HTTP_MORE && total <= most) {
        result = kb_http_push(&http, kb_str(again), &used);
        total += strlen(again);
    }
    kb_http_wipe(&http);
    return result;
}

static void endless(void **state)
{
    (void)state;
    assert_int_equal(push_for_ever("HTTP/1.1 200 ", "x", 20000), KB_HTTP_BROKEN);
    assert_int_equal(push_for_ever(OK, "X: y\r\n", 20000), KB_HTTP_BROKEN);
    assert_int_equal(push_for_ever("", "HTTP/1.1 100 Continue\r\n\r\n", 20000), KB_HTTP_BROKEN);
    assert_int_equal(push_for_ever(CHUNKED "1;", "x", 20000), KB_HTTP_BROKEN);
    assert_int_equal(push_for_ever(CHUNKED "0\r\n", "X: y\r\n", 20000), KB_HTTP_BROKEN);
    assert_int_equal(push_for_ever(CHUNKED, "1\r\nx\r\n", 1000), KB_HTTP_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(answers),
        cmocka_unit_test(what_a_person_is_told),
        cmocka_unit_test(ends),
        cmocka_unit_test(endless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
