/* address.h - a socket address by value, and as a person reads it. Any thread. */
#ifndef KB_ADDRESS_H
#define KB_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "asn1/bytes.h"

struct kb_address {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un; /* of a path only, with its final NUL */
    } u;
};

#define KB_UNIX_PATH_MAX 107 /* what fits into a sockaddr_un */

/* Room for an IPv6 address with its zone, brackets and a port, or for a path. */
#define KB_ADDRESS_TEXT 116

/* kb_address_from copies a system address; false for a family other than IPv4 and IPv6. */
KB_MUST_USE bool kb_address_from(struct kb_address *out, const struct sockaddr *from,
                                 socklen_t len);

/* kb_address_numeric reads "192.0.2.1", "2001:db8::1", "fe80::1%eth0"; false: `host` is a name. */
KB_MUST_USE bool kb_address_numeric(struct kb_address *out, const char *host);

/* kb_address_unix makes the address of a UNIX socket; false: the path is too long or empty. */
KB_MUST_USE bool kb_address_unix(struct kb_address *out, const char *path);

/* A UNIX socket has no port: setting does nothing, and it is 0. */
void kb_address_set_port(struct kb_address *address, uint16_t port);
uint16_t kb_address_port(const struct kb_address *address);

bool kb_address_equal(const struct kb_address *a, const struct kb_address *b);

/* kb_address_text writes "192.0.2.1:88" or "[2001:db8::1]:88", without `port` the address alone;
 * "unix:/path". */
void kb_address_text(const struct kb_address *address, bool port, char out[KB_ADDRESS_TEXT]);

#endif
