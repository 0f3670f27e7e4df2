#include "mech/login/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#define MAX_ADDRESSES 64

enum { ADDR_IPV4 = 2, ADDR_IPV6 = 24 }; /* RFC 4120 7.5.3 */

/* The address of an interface as it stands on the wire; false: not one to tell others. */
static bool address_of(const struct ifaddrs *entry, kb_host_address *out)
{
    const struct sockaddr *sa = entry->ifa_addr;

    if (sa == NULL || (entry->ifa_flags & IFF_UP) == 0) {
        return false;
    }
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        const uint8_t *bytes = (const void *)&in->sin_addr;

        *out = (kb_host_address){ADDR_IPV4, {bytes, 4}};
        return bytes[0] != 127 && bytes[0] != 0;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;

        *out = (kb_host_address){ADDR_IPV6, {in6->sin6_addr.s6_addr, 16}};
        return !IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) && !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
               !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
    }
    return false;
}

static bool is_listed(const kb_host_addresses *list, const kb_host_address *address)
{
    for (size_t i = 0; i < list->num; i++) {
        if (list->items[i].addr_type == address->addr_type &&
            kb_equal(list->items[i].address, address->address)) {
            return true;
        }
    }
    return false;
}

static enum kb_status add(kb_host_addresses *list, const kb_host_address *address,
                          struct kb_arena *arena)
{
    kb_host_address copy = *address;

    if (list->num == MAX_ADDRESSES || is_listed(list, address)) {
        return KB_OK;
    }
    copy.address = kb_arena_copy(arena, address->address);
    if (copy.address.ptr == NULL) {
        return KB_NO_MEMORY;
    }
    list->items[list->num++] = copy;
    return KB_OK;
}

enum kb_status kb_addresses_of_host(struct kb_arena *arena, kb_host_addresses *out)
{
    struct ifaddrs *entries;
    enum kb_status st = KB_OK;

    *out = (kb_host_addresses){kb_arena_alloc(arena, MAX_ADDRESSES * sizeof(*out->items)), 0};
    if (out->items == NULL) {
        return KB_NO_MEMORY;
    }
    if (getifaddrs(&entries) != 0) {
        return KB_NOT_FOUND;
    }
    for (struct ifaddrs *e = entries; e != NULL && st == KB_OK; e = e->ifa_next) {
        kb_host_address address;

        if (address_of(e, &address)) {
            st = add(out, &address, arena);
        }
    }
    freeifaddrs(entries);
    return st;
}

enum kb_status kb_addresses_add(struct kb_arena *arena, kb_bytes text, kb_host_addresses *list)
{
    uint8_t bytes[16];
    kb_host_address address = {ADDR_IPV4, {bytes, 4}};
    char name[64];

    if (text.len >= sizeof(name)) {
        return KB_BAD_TEXT;
    }
    memcpy(name, text.ptr, text.len);
    name[text.len] = '\0';
    if (inet_pton(AF_INET, name, bytes) != 1) {
        if (inet_pton(AF_INET6, name, bytes) != 1) {
            return KB_BAD_TEXT;
        }
        address = (kb_host_address){ADDR_IPV6, {bytes, 16}};
    }
    return add(list, &address, arena);
}
