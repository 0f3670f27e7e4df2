/* To a KDC proxy: TLS, HTTP's POST in it, and the message in that. [MS-KKDCP] 3.1.5. */
#include "mech/net/transport.h"

#include <stdlib.h>

#include "crypto/tls.h"
#include "mech/net/http.h"
#include "mech/net/kkdcp.h"

#define BLOCK ((size_t)16384)
#define MAX_PENDING ((size_t)1 << 22) /* bytes of TLS on their way out */
#define MAX_DECODED ((size_t)65536)   /* of what is around a message */

struct kb_https {
    struct kb_tls *tls; /* NULL: not begun */
    bool established;
    bool written;      /* the request is encrypted, and waits in `out` */
    bool reads;        /* the answer */
    struct kb_buf out; /* encrypted */
    size_t out_sent;
    struct kb_http http; /* the answer */
    struct kb_arena arena;
    uint8_t block[BLOCK];
};

void kb_https_free(struct kb_https *https)
{
    if (https != NULL) {
        kb_tls_free(https->tls);
        kb_buf_wipe(&https->out);
        kb_http_wipe(&https->http);
        kb_arena_wipe(&https->arena);
        free(https);
    }
}

static enum kb_io https_open(struct kb_conn *conn)
{
    conn->https = calloc(1, sizeof(*conn->https));
    if (conn->https == NULL) {
        return KB_IO_NO_MEMORY;
    }
    kb_buf_init(&conn->https->out, MAX_PENDING);
    return kb_conn_open_stream(conn);
}

/* --- TLS --- */

static enum kb_io begin_tls(struct kb_conn *conn)
{
    struct kb_tls_anchors anchors = {conn->kdc->anchors, 0};
    char fault[KB_TLS_FAULT];
    enum kb_status st;

    if (conn->https->tls != NULL) {
        return KB_IO_DONE;
    }
    while (anchors.num < KB_MAX_ANCHORS && anchors.names[anchors.num] != NULL) {
        anchors.num++;
    }
    st = kb_tls_new(conn->kdc->host, &anchors, &conn->https->tls, fault);
    if (st == KB_NO_MEMORY) {
        return KB_IO_NO_MEMORY;
    }
    return st == KB_OK ? KB_IO_DONE : kb_conn_fail(conn, 0, "%s", fault);
}

/* Sends what TLS has to send. Only what carries the request counts as sent. */
static enum kb_io flush(struct kb_conn *conn)
{
    struct kb_https *https = conn->https;
    size_t before = https->out_sent;
    enum kb_io io;
    kb_bytes pending;

    if (kb_tls_take(https->tls, &https->out) != KB_OK) {
        return KB_IO_NO_MEMORY;
    }
    pending = kb_buf_bytes(&https->out);
    io = kb_conn_write(conn, &pending, 1, &https->out_sent);
    conn->sent += https->written ? https->out_sent - before : 0;
    if (io == KB_IO_DONE) {
        https->out.len = https->out_sent = 0;
    }
    return io;
}

/* Takes what the peer sent; DONE with *closed: it ended the connection. */
static enum kb_io take(struct kb_conn *conn, bool *closed)
{
    struct kb_https *https = conn->https;
    size_t len;
    enum kb_io io = kb_conn_read(conn, https->block, sizeof(https->block), &len);

    *closed = io == KB_IO_DONE && len == 0;
    if (io == KB_IO_DONE && len > 0 &&
        kb_tls_put(https->tls, kb_bytes_of(https->block, len)) != KB_OK) {
        return KB_IO_NO_MEMORY;
    }
    return io;
}

/* What TLS refuses, its peer is told (an alert), as far as that goes at once. */
static enum kb_io tls_failed(struct kb_conn *conn, enum kb_tls_result result)
{
    if (result == KB_TLS_NO_MEMORY) {
        return KB_IO_NO_MEMORY;
    }
    (void)flush(conn);
    return kb_conn_fail(conn, 0, "%s",
                        result == KB_TLS_CLOSED ? "it ended the TLS handshake"
                                                : kb_tls_fault(conn->https->tls));
}

static enum kb_io shake_hands(struct kb_conn *conn)
{
    struct kb_https *https = conn->https;

    while (!https->established) {
        enum kb_tls_result result = kb_tls_handshake(https->tls);
        enum kb_io io;
        bool closed;

        if (result != KB_TLS_DONE && result != KB_TLS_AGAIN) {
            return tls_failed(conn, result);
        }
        conn->hears_first = false;
        io = flush(conn);
        if (io != KB_IO_DONE) {
            return io;
        }
        https->established = result == KB_TLS_DONE;
        if (!https->established) {
            conn->hears_first = true;
            io = take(conn, &closed);
            if (io != KB_IO_DONE) {
                return io;
            }
            if (closed) {
                return kb_conn_fail(conn, 0, "the connection was closed in the TLS handshake");
            }
        }
    }
    conn->hears_first = false;
    return KB_IO_DONE;
}

/* --- the request --- */

/* Without FirewallHost, FirewallData is for the KDC proxy. */
static enum kb_io write_request(struct kb_conn *conn, kb_bytes message)
{
    const char *lines = conn->tunnelled ? NULL : conn->sockets->options.firewall_data;
    enum kb_tls_result result;
    struct kb_arena arena;
    struct kb_buf request = {0};
    enum kb_status st;
    kb_bytes body;

    kb_arena_init(&arena, NULL, 0, 4 * message.len + MAX_DECODED);
    st = kb_kkdcp_wrap(message, conn->realm, &arena, &body);
    if (st == KB_OK) {
        st = kb_http_post(conn->kdc->host, conn->kdc->port, conn->kdc->path, lines, body, &request);
    }
    kb_arena_wipe(&arena);
    if (st != KB_OK) {
        kb_buf_wipe(&request);
        return st == KB_MALFORMED
                   ? kb_conn_fail(conn, 0, "a KDC proxy cannot have a host of that name")
                   : KB_IO_NO_MEMORY;
    }
    result = kb_tls_write(conn->https->tls, kb_buf_bytes(&request));
    kb_buf_wipe(&request); /* FirewallData may be a password */
    return result == KB_TLS_DONE ? KB_IO_DONE : tls_failed(conn, result);
}

static enum kb_io https_send(struct kb_conn *conn, kb_bytes message)
{
    struct kb_https *https = conn->https;
    enum kb_io io = kb_conn_tunnel(conn);

    if (io == KB_IO_DONE) {
        io = begin_tls(conn);
    }
    if (io == KB_IO_DONE) {
        io = shake_hands(conn);
    }
    if (io == KB_IO_DONE && !https->written) {
        io = write_request(conn, message);
        https->written = io == KB_IO_DONE;
    }
    if (io == KB_IO_DONE) {
        io = flush(conn);
    }
    conn->waits_to_send = io != KB_IO_DONE;
    return io;
}

/* --- the answer --- */

/* What a person can do about a code. */
static const struct {
    unsigned code;
    const char *advice;
} advices[] = {
    {401, " (FirewallData takes an Authorization line)"},
    {403, " (it does not let us, or does not serve this realm)"},
    {404, " (there is no KDC proxy at that path)"},
    {405, " (there is no KDC proxy at that path)"},
    {502, " (it reaches no KDC of this realm)"},
    {503, " (it reaches no KDC of this realm)"},
    {504, " (it reaches no KDC of this realm)"},
};

/* What a proxy refuses by itself, no KDC has seen. */
static enum kb_io refused(struct kb_conn *conn)
{
    const struct kb_http *http = &conn->https->http;
    const char *blank = http->reason[0] != '\0' ? " " : "", *advice = "";

    conn->unseen = http->code / 100 != 5;
    if (http->code / 100 == 3 && http->location[0] != '\0') {
        return kb_conn_fail(conn, 0, "it answers %u%s%s: it refers to %s, which is not followed",
                            http->code, blank, http->reason, http->location);
    }
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        advice = advices[i].code == http->code ? advices[i].advice : advice;
    }
    return kb_conn_fail(conn, 0, "it answers %u%s%s%s", http->code, blank, http->reason, advice);
}

static enum kb_io unwrap(struct kb_conn *conn, kb_bytes *out)
{
    struct kb_https *https = conn->https;
    kb_bytes body = kb_buf_bytes(&https->http.body);
    enum kb_status st;

    kb_arena_init(&https->arena, NULL, 0, MAX_DECODED);
    st = kb_kkdcp_unwrap(body, &https->arena, out);
    if (st == KB_NO_MEMORY) {
        return KB_IO_NO_MEMORY;
    }
    return st == KB_OK ? KB_IO_DONE
                       : kb_conn_fail(conn, 0, "what it answers (%s) is no KDC proxy's message",
                                      https->http.type[0] != '\0' ? https->http.type : "no type");
}

static enum kb_io answer(struct kb_conn *conn, enum kb_http_result result, kb_bytes *out)
{
    struct kb_http *http = &conn->https->http;

    switch (result) {
    case KB_HTTP_DONE:
        return http->code == 200 ? unwrap(conn, out) : refused(conn);
    case KB_HTTP_MORE:
        return KB_IO_AGAIN;
    case KB_HTTP_TOO_BIG:
        return kb_conn_fail(conn, 0, "its answer is larger than a mebibyte");
    case KB_HTTP_NO_MEMORY:
        return KB_IO_NO_MEMORY;
    case KB_HTTP_BROKEN:
    default:
        return kb_conn_fail(conn, 0, "%s", http->fault);
    }
}

static enum kb_http_result push(struct kb_conn *conn, size_t len)
{
    struct kb_https *https = conn->https;
    enum kb_http_result result;
    size_t used;

    conn->in_len += len;
    result = kb_http_push(&https->http, kb_bytes_of(https->block, len), &used);
    https->http.keeps = https->http.keeps && used == len;
    return result;
}

static enum kb_io https_receive(struct kb_conn *conn, struct kb_inbox *inbox, kb_bytes *out)
{
    struct kb_https *https = conn->https;
    enum kb_io io = KB_IO_AGAIN;

    if (!https->reads) {
        kb_http_init(&https->http, inbox->max_frame + KB_KKDCP_OVERHEAD);
        https->reads = true;
    }
    for (;;) {
        bool closed = false;
        size_t len;
        enum kb_tls_result result =
            kb_tls_read(https->tls, https->block, sizeof(https->block), &len);

        if (result == KB_TLS_DONE) {
            io = answer(conn, push(conn, len), out);
            if (io != KB_IO_AGAIN) {
                return io;
            }
            continue;
        }
        if (result == KB_TLS_AGAIN) {
            io = flush(conn); /* TLS may have something to say (RFC 8446 4.6.3) */
            io = io == KB_IO_DONE || io == KB_IO_AGAIN ? take(conn, &closed) : io;
            if (io != KB_IO_DONE) {
                return io;
            }
        } else if (result != KB_TLS_CLOSED) {
            return tls_failed(conn, result);
        }
        if (closed || result == KB_TLS_CLOSED) {
            return answer(conn, kb_http_end(&https->http), out);
        }
    }
}

static bool https_again(struct kb_conn *conn)
{
    struct kb_https *https = conn->https;

    if (!https->http.keeps) {
        return false;
    }
    kb_http_wipe(&https->http);
    kb_arena_wipe(&https->arena);
    https->reads = https->written = false;
    conn->in_len = conn->sent = 0;
    conn->waits_to_send = true;
    return true;
}

const struct kb_transport_ops kb_https_ops = {.name = "https",
                                              .datagrams = false,
                                              .open = https_open,
                                              .send = https_send,
                                              .receive = https_receive,
                                              .again = https_again};
