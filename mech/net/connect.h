/* connect.h - the text of HTTP's CONNECT: what is asked of a proxy, and what its answer says. RFC
 * 9110 9.3.6, RFC 9112 3.2.3, 4, 5.
 *
 * Bytes in, bytes out: no socket here (that is tunnel.c). A proxy is no friend: what it sends is
 * read strictly, and no text of it comes out unescaped. Any thread. */
#ifndef KB_CONNECT_H
#define KB_CONNECT_H

#include "mech/net/http_text.h"

#define KB_CONNECT_MAX ((size_t)16384) /* bytes before the tunnel, interim answers included */
#define KB_CONNECT_FAULT 120
#define KB_CONNECT_REASON KB_HTTP_REASON

/* kb_connect_check looks at FirewallData: lines `Name: value`, parted by CR LF, LF, or these
 * written as \r and \n. They go to FirewallHost, or without one to a KDC proxy. False, with what
 * is wrong in `fault` and nothing of a value: a line is none, or is one that would change what we
 * ask for (Host, Content-Type) or where its end is (Content-Length, Transfer-Encoding). */
KB_MUST_USE bool kb_connect_check(const char *data, char fault[KB_CONNECT_FAULT]);

/* kb_connect_request writes the request for `host`, a name or an address, and `port`, with `data`
 * (checked; NULL: none). KB_MALFORMED: such a host cannot stand in a request line. */
KB_MUST_USE enum kb_status kb_connect_request(const char *host, uint16_t port, const char *data,
                                              struct kb_buf *out);

enum kb_connect_result {
    KB_CONNECT_MORE,    /* the head of the answer is not whole yet */
    KB_CONNECT_OPEN,    /* the tunnel stands, and begins behind `len` bytes */
    KB_CONNECT_REFUSED, /* `code` and `reason` say why */
    KB_CONNECT_BROKEN,  /* that is no HTTP */
};

struct kb_connect_answer {
    size_t len;                     /* of the heads, interim ones included */
    unsigned code;                  /* 200, 407, … */
    char reason[KB_CONNECT_REASON]; /* printable ASCII */
};

/* kb_connect_read reads all that has come so far, from its first byte on. */
enum kb_connect_result kb_connect_read(kb_bytes in, struct kb_connect_answer *out);

#endif
