/* mech/net/connect: the text of HTTP's CONNECT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mech/net/connect.h"

/* --- requests --- */

static void requests(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *data;
        const char *want; /* NULL: refused */
    } rows[] = {
        /* RFC 9110 9.3.6 */
        {"server.example.com", 80, NULL,
         "CONNECT server.example.com:80 HTTP/1.1\r\nHost: server.example.com:80\r\n\r\n"},
        {"192.0.2.1", 88, "", "CONNECT 192.0.2.1:88 HTTP/1.1\r\nHost: 192.0.2.1:88\r\n\r\n"},
        /* RFC 3986 3.2.2: a literal stands in brackets. */
        {"2001:db8::1", 88, NULL,
         "CONNECT [2001:db8::1]:88 HTTP/1.1\r\nHost: [2001:db8::1]:88\r\n\r\n"},
        {"::ffff:192.0.2.1", 1, NULL,
         "CONNECT [::ffff:192.0.2.1]:1 HTTP/1.1\r\nHost: [::ffff:192.0.2.1]:1\r\n\r\n"},
        {"kdc", 88, "Proxy-Authorization: Basic YTpi",
         "CONNECT kdc:88 HTTP/1.1\r\nHost: kdc:88\r\nProxy-Authorization: Basic YTpi\r\n\r\n"},
        {"kdc", 88, "A: 1\r\nB: 2\nC: 3\\r\\nD: 4\\nE: 5\r\n",
         "CONNECT kdc:88 HTTP/1.1\r\nHost: kdc:88\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"},
        /* Empty lines do not end the head. */
        {"kdc", 88, "\r\n\r\nA: 1\n\n\\n\\r\\nB: 2\r\n\r\n",
         "CONNECT kdc:88 HTTP/1.1\r\nHost: kdc:88\r\nA: 1\r\nB: 2\r\n\r\n"},
        {"", 88, NULL, NULL},
        {"a b", 88, NULL, NULL},
        {"a\r\nX: y", 88, NULL, NULL},
        {"a/b", 88, NULL, NULL},
        {"user@kdc", 88, NULL, NULL},
        {"fe80::1%eth0", 88, NULL, NULL},
        {"kdc%41", 88, NULL, NULL},
        {"k\xc3\xa4.example", 88, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kb_buf out;
        enum kb_status st = kb_connect_request(rows[i].host, rows[i].port, rows[i].data, &out);

        if (rows[i].want == NULL) {
            assert_int_equal(st, KB_MALFORMED);
        } else {
            assert_int_equal(st, KB_OK);
            assert_string_equal(kb_buf_str(&out), rows[i].want);
        }
        kb_buf_wipe(&out);
    }
}

static void header_lines(void **state)
{
    static const struct {
        const char *data;
        const char *fault; /* NULL: good */
    } rows[] = {
        {"", NULL},
        {"\r\n", NULL},
        {"Proxy-Authorization: Basic YTpi", NULL},
        {"Proxy-Authorization:Basic YTpi\nUser-Agent: x\r\n", NULL},
        {"X-Empty:", NULL},
        {"A: tab\tand \xc3\xa4", NULL},
        {"secret", "line 1 is no header field (\"Name: value\")"},
        {"A: 1\nsecret", "line 2 is no header field (\"Name: value\")"},
        {"A: 1\\r\\n\\r\\nsecret", "line 3 is no header field (\"Name: value\")"},
        {": value", "line 1 is no header field (\"Name: value\")"},
        {"A B: value", "line 1 is no header field (\"Name: value\")"},
        {"A : value", "line 1 is no header field (\"Name: value\")"},
        {" A: folded", "line 1 is no header field (\"Name: value\")"},
        {"A: 1\rB: 2", "line 1 is no header field (\"Name: value\")"},
        {"A: \x01", "line 1 is no header field (\"Name: value\")"},
        {"A: \x7f", "line 1 is no header field (\"Name: value\")"},
        {"A: 1\nhost: other", "line 2: host is not for FirewallData"},
        {"Content-Length: 5", "line 1: Content-Length is not for FirewallData"},
        {"TRANSFER-ENCODING: chunked", "line 1: TRANSFER-ENCODING is not for FirewallData"},
        {"Hosts: good", NULL},
    };
    char fault[KB_CONNECT_FAULT], *longest = malloc(KB_CONNECT_MAX + 1);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(kb_connect_check(rows[i].data, fault), rows[i].fault == NULL);
        if (rows[i].fault != NULL) {
            assert_string_equal(fault, rows[i].fault);
        }
    }
    assert_non_null(longest);
    memset(longest, 'x', KB_CONNECT_MAX);
    longest[1] = ':';
    longest[KB_CONNECT_MAX - 2] = '\0';
    assert_true(kb_connect_check(longest, fault));
    longest[KB_CONNECT_MAX - 2] = 'x';
    longest[KB_CONNECT_MAX - 1] = '\0';
    assert_false(kb_connect_check(longest, fault));
    free(longest);
}

/* --- answers --- */

static enum kb_connect_result read_text(const char *text, size_t len,
                                        struct kb_connect_answer *answer)
{
    /* A block of its own, so that reading beyond it is seen. */
    uint8_t *block = malloc(len > 0 ? len : 1);
    enum kb_connect_result result;

    assert_non_null(block);
    memcpy(block, text, len);
    result = kb_connect_read(kb_bytes_of(block, len), answer);
    free(block);
    return result;
}

/* Whole answers, of which no shorter part may say anything but "more". */
static void answers(void **state)
{
    static const struct {
        const char *text;
        enum kb_connect_result result;
        unsigned code;
        const char *reason;
    } rows[] = {
        {"HTTP/1.1 200 Connection established\r\n\r\n", KB_CONNECT_OPEN, 200,
         "Connection established"}, /* squid */
        {"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n",
         KB_CONNECT_OPEN, 200, "Connection established"}, /* tinyproxy */
        {"HTTP/1.1 200 OK\n\n", KB_CONNECT_OPEN, 200, "OK"},
        {"HTTP/1.1 200 \r\n\r\n", KB_CONNECT_OPEN, 200, ""},
        {"HTTP/1.1 200\r\n\r\n", KB_CONNECT_OPEN, 200, ""},
        /* RFC 9110 9.3.6: any 2xx, and what the fields say of a body is to be ignored. */
        {"HTTP/1.1 204 No\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n",
         KB_CONNECT_OPEN, 204, "No"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 "
         "OK\r\n\r\n",
         KB_CONNECT_OPEN, 200, "OK"},
        {"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\tagain\r\n\r\n", KB_CONNECT_OPEN, 200, "OK"},
        {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
         KB_CONNECT_REFUSED, 407, "Proxy Authentication Required"},
        {"HTTP/1.1 403 Forbidden\r\n\r\n", KB_CONNECT_REFUSED, 403, "Forbidden"},
        {"HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n", KB_CONNECT_REFUSED, 302, "Found"},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", KB_CONNECT_REFUSED, 101,
         "Switching Protocols"},
        /* No text of a proxy's goes to a terminal as it is. */
        {"HTTP/1.1 502 b\xff"
         "d \tgateway\r\n\r\n",
         KB_CONNECT_REFUSED, 502, "b?d ?gateway"},
        {"HTTP/1.1 599 "
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n",
         KB_CONNECT_REFUSED, 599,
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].text);
        struct kb_connect_answer answer;

        for (size_t cut = 0; cut < len; cut++) {
            assert_int_equal(read_text(rows[i].text, cut, &answer), KB_CONNECT_MORE);
        }
        assert_int_equal(read_text(rows[i].text, len, &answer), rows[i].result);
        assert_int_equal(answer.code, rows[i].code);
        assert_string_equal(answer.reason, rows[i].reason);
        assert_int_equal(answer.len, len);
    }
}

static void what_follows_is_not_the_heads(void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\n\r\n\r\nHTTP/1.1 500 x\r\n\r\n";
    struct kb_connect_answer answer;

    (void)state;
    assert_int_equal(read_text(text, strlen(text), &answer), KB_CONNECT_OPEN);
    assert_int_equal(answer.len, 19);
}

/* What is no answer is found out as soon as it can be: a proxy that waits with the rest is not
 * waited for. */
static void no_answers(void **state)
{
    static const char *const rows[] = {
        "SSH-2.0-OpenSSH_9.2",
        "\r\n",
        "\n",
        "h",
        "HTTP/2",
        "HTTP/1.1 200 OK\r\nno field\r\n",
        "HTTP/1.1 200 OK\r\n folded without a field\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n",
        "HTTP/1.1 200 OK\r\nA : 1\r\n",
        "HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n",
        "HTTP/1.1 200 O\rK\r\n",
        "HTTP/1.1 600 x\r\n",
        "HTTP/1.1 099 x\r\n",
        "HTTP/1.1 2000 x\r\n",
        "HTTP/1.1 20 x\r\n",
        "HTTP/1.1 2x0 x\r\n",
        "HTTP/1.1  200 x\r\n",
        "HTTP/1.1\r\n",
        "HTTP/1.x 200 x\r\n",
        "HTTP/1.10 200 x\r\n",
        "HTTP/1.1 200x\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nnonsense",
    };
    struct kb_connect_answer answer;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text(rows[i], strlen(rows[i]), &answer), KB_CONNECT_BROKEN);
    }
    /* A NUL in a value. */
    assert_int_equal(read_text("HTTP/1.1 200 OK\r\nA: \0\r\n", 23, &answer), KB_CONNECT_BROKEN);
}

static void the_head_has_a_ceiling(void **state)
{
    uint8_t *block = malloc(KB_CONNECT_MAX);
    struct kb_connect_answer answer;

    (void)state;
    assert_non_null(block);
    memset(block, 'x', KB_CONNECT_MAX);
    memcpy(block, "HTTP/1.1 200 OK\r\nA: ", 20);
    assert_int_equal(kb_connect_read(kb_bytes_of(block, KB_CONNECT_MAX - 1), &answer),
                     KB_CONNECT_MORE);
    assert_int_equal(kb_connect_read(kb_bytes_of(block, KB_CONNECT_MAX), &answer),
                     KB_CONNECT_BROKEN);
    /* Endless interim answers end as well. */
    for (size_t i = 0; i + 25 <= KB_CONNECT_MAX; i += 25) {
        memcpy(block + i, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    assert_int_equal(kb_connect_read(kb_bytes_of(block, KB_CONNECT_MAX / 25 * 25), &answer),
                     KB_CONNECT_MORE);
    memcpy(block + KB_CONNECT_MAX / 25 * 25, "HTTP/1.1 100", KB_CONNECT_MAX % 25);
    assert_int_equal(kb_connect_read(kb_bytes_of(block, KB_CONNECT_MAX), &answer),
                     KB_CONNECT_BROKEN);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),   cmocka_unit_test(header_lines),
        cmocka_unit_test(answers),    cmocka_unit_test(what_follows_is_not_the_heads),
        cmocka_unit_test(no_answers), cmocka_unit_test(the_head_has_a_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
