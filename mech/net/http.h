/* http.h - one POST over HTTP/1.1: what is asked, and a reader of what is answered. RFC 9110, RFC
 * 9112.
 *
 * Bytes in, bytes out: no socket here (that is https.c). The reader takes the answer in pieces of
 * any size, each byte once, and keeps of it no more than the body and what a person wants to know;
 * it is strict about where the body ends (RFC 9112 6.3): nothing that two readers could understand
 * differently is accepted. One thread at a time. */
#ifndef KB_HTTP_H
#define KB_HTTP_H

#include "mech/net/http_text.h"

#define KB_HTTP_MAX_HEAD ((size_t)16384) /* bytes: all heads together, or one trailer */
#define KB_HTTP_TOLD 128                 /* what is kept of a field for a person */

/* kb_http_post writes a request with `body`; `lines` are further header lines (NULL: none), as
 * kb_http_add_lines takes them. KB_MALFORMED: such a host cannot stand in a request. */
KB_MUST_USE enum kb_status kb_http_post(const char *host, uint16_t port, const char *path,
                                        const char *lines, kb_bytes body, struct kb_buf *out);

enum kb_http_result {
    KB_HTTP_MORE,
    KB_HTTP_DONE,    /* 200: the body is whole. Any other code: the head is */
    KB_HTTP_BROKEN,  /* `fault` says why */
    KB_HTTP_TOO_BIG, /* the body is, or wants to be, larger than what we take */
    KB_HTTP_NO_MEMORY,
};

struct kb_http {
    unsigned code;               /* 200, 503, … */
    char reason[KB_HTTP_REASON]; /* printable ASCII, as the next two */
    char location[KB_HTTP_TOLD];
    char type[KB_HTTP_TOLD];
    struct kb_buf body;
    bool keeps;        /* the connection may be used again */
    const char *fault; /* of KB_HTTP_BROKEN */

    /* private */
    unsigned state;
    struct kb_buf line;
    size_t max_body, framing; /* bytes of heads, or of chunks' lines, so far */
    size_t left;              /* of the body or of a chunk */
    size_t length;            /* Content-Length */
    bool first, chunked, has_length, old, folds;
};

void kb_http_init(struct kb_http *http, size_t max_body); /* at most 1 GiB */
void kb_http_wipe(struct kb_http *http);                  /* all zero is accepted */

/* kb_http_push reads on; *out_used is less than in.len only where the answer is over before. */
enum kb_http_result kb_http_push(struct kb_http *http, kb_bytes in, size_t *out_used);

/* kb_http_end: the other side closed the connection. DONE where that ends the body, else BROKEN. */
enum kb_http_result kb_http_end(struct kb_http *http);

#endif
