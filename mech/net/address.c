#include "mech/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

bool kb_address_from(struct kb_address *out, const struct sockaddr *from, socklen_t len)
{
    socklen_t want = from->sa_family == AF_INET    ? sizeof(out->u.in)
                     : from->sa_family == AF_INET6 ? sizeof(out->u.in6)
                                                   : 0;

    *out = (struct kb_address){0};
    if (want == 0 || len < want) {
        return false;
    }
    memcpy(&out->u, from, want);
    out->len = want;
    return true;
}

/* The zone of a link-local address: an interface's name or its number (RFC 4007 11). */
static bool read_zone(const char *zone, uint32_t *out)
{
    char *end;
    unsigned long number = if_nametoindex(zone);

    if (number == 0) {
        number = strtoul(zone, &end, 10);
        if (*zone < '0' || *zone > '9' || *end != '\0' || number > UINT32_MAX) {
            return false;
        }
    }
    *out = (uint32_t)number;
    return true;
}

bool kb_address_numeric(struct kb_address *out, const char *host)
{
    const char *percent = strchr(host, '%');
    size_t len = percent != NULL ? (size_t)(percent - host) : strlen(host);
    char plain[INET6_ADDRSTRLEN];

    *out = (struct kb_address){0};
    if (len >= sizeof(plain)) {
        return false;
    }
    memcpy(plain, host, len);
    plain[len] = '\0';
    if (percent == NULL && inet_pton(AF_INET, plain, &out->u.in.sin_addr) == 1) {
        out->u.in.sin_family = AF_INET;
        out->len = sizeof(out->u.in);
        return true;
    }
    if (inet_pton(AF_INET6, plain, &out->u.in6.sin6_addr) == 1 &&
        (percent == NULL || read_zone(percent + 1, &out->u.in6.sin6_scope_id))) {
        out->u.in6.sin6_family = AF_INET6;
        out->len = sizeof(out->u.in6);
        return true;
    }
    *out = (struct kb_address){0};
    return false;
}

bool kb_address_unix(struct kb_address *out, const char *path)
{
    size_t len = strlen(path);

    *out = (struct kb_address){0};
    if (len == 0 || len > KB_UNIX_PATH_MAX) {
        return false;
    }
    out->u.un.sun_family = AF_UNIX;
    memcpy(out->u.un.sun_path, path, len);
    out->len = sizeof(out->u.un);
    return true;
}

void kb_address_set_port(struct kb_address *address, uint16_t port)
{
    if (address->u.any.sa_family == AF_INET6) {
        address->u.in6.sin6_port = htons(port);
    } else if (address->u.any.sa_family == AF_INET) {
        address->u.in.sin_port = htons(port);
    }
}

uint16_t kb_address_port(const struct kb_address *address)
{
    switch (address->u.any.sa_family) {
    case AF_INET6:
        return ntohs(address->u.in6.sin6_port);
    case AF_INET:
        return ntohs(address->u.in.sin_port);
    default:
        return 0;
    }
}

bool kb_address_equal(const struct kb_address *a, const struct kb_address *b)
{
    if (a->len != b->len || a->u.any.sa_family != b->u.any.sa_family) {
        return false;
    }
    switch (a->u.any.sa_family) {
    case AF_INET6:
        return a->u.in6.sin6_port == b->u.in6.sin6_port &&
               a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
               memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, sizeof(a->u.in6.sin6_addr)) == 0;
    case AF_UNIX:
        return strcmp(a->u.un.sun_path, b->u.un.sun_path) == 0;
    default:
        return a->u.in.sin_port == b->u.in.sin_port &&
               a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
    }
}

void kb_address_text(const struct kb_address *address, bool port, char out[KB_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    char zone[16] = "", number[8] = "";
    bool six = address->u.any.sa_family == AF_INET6;

    if (address->u.any.sa_family == AF_UNIX) {
        snprintf(out, KB_ADDRESS_TEXT, "unix:%s", address->u.un.sun_path);
        return;
    }
    if (six) {
        inet_ntop(AF_INET6, &address->u.in6.sin6_addr, host, sizeof(host));
        if (address->u.in6.sin6_scope_id != 0) {
            snprintf(zone, sizeof(zone), "%%%u", (unsigned)address->u.in6.sin6_scope_id);
        }
    } else {
        inet_ntop(AF_INET, &address->u.in.sin_addr, host, sizeof(host));
    }
    if (port) {
        snprintf(number, sizeof(number), ":%u", (unsigned)kb_address_port(address));
    }
    snprintf(out, KB_ADDRESS_TEXT, "%s%s%s%s%s", six && port ? "[" : "", host, zone,
             six && port ? "]" : "", number);
}
