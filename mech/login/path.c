#include "mech/login/path.h"

#include <arpa/inet.h>

/* "A.EXAMPLE" of "EU.A.EXAMPLE"; KB_NONE of "EXAMPLE". */
static kb_bytes parent_of(kb_bytes realm)
{
    const uint8_t *dot = realm.len > 0 ? memchr(realm.ptr, '.', realm.len) : NULL;

    return dot != NULL ? kb_bytes_of(dot + 1, realm.len - (size_t)(dot + 1 - realm.ptr)) : KB_NONE;
}

static bool is_in(kb_bytes realm, kb_bytes higher)
{
    while (realm.len > 0 && !kb_equal(realm, higher)) {
        realm = parent_of(realm);
    }
    return realm.len > 0;
}

static bool add(struct kb_path *path, kb_bytes realm)
{
    if (path->num == KB_PATH_MAX) {
        return false;
    }
    path->realms[path->num++] = realm;
    return true;
}

static void turn_round(kb_bytes *realms, size_t num)
{
    for (size_t i = 0; i < num / 2; i++) {
        kb_bytes other = realms[i];

        realms[i] = realms[num - 1 - i];
        realms[num - 1 - i] = other;
    }
}

/* False: the two have nothing in common, or too many realms lie between them. */
static bool climb(struct kb_path *path, kb_bytes client, kb_bytes service)
{
    kb_bytes realm = client;
    size_t top;

    for (; !is_in(service, realm); realm = parent_of(realm)) {
        if (realm.len == 0 || !add(path, realm)) {
            return false;
        }
    }
    if (!add(path, realm)) {
        return false;
    }
    top = path->num;
    for (kb_bytes down = service; !kb_equal(down, realm); down = parent_of(down)) {
        if (!add(path, down)) {
            return false;
        }
    }
    turn_round(path->realms + top, path->num - top);
    return true;
}

/* Of a value MIT takes what stands before a blank. */
static void cut(kb_bytes *realms, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        size_t len = 0;

        while (len < realms[i].len && realms[i].ptr[len] != ' ' && realms[i].ptr[len] != '\t') {
            len++;
        }
        realms[i].len = len;
    }
}

void kb_path_find(struct kb_path *out, const struct kb_krb5conf *conf, kb_bytes client,
                  kb_bytes service, bool hierarchy)
{
    size_t num;

    *out = (struct kb_path){.realms = {client}, .num = 1};
    /* Of a longer path than any KDC would accept the beginning is left. */
    out->configured = kb_krb5conf_capath(conf, client, service, out->realms + 1, KB_PATH_MAX - 2,
                                         &num) != KB_NOT_FOUND;
    if (out->configured) {
        cut(out->realms + 1, num);
        out->num += num;
        (void)add(out, service);
        return;
    }
    out->num = 0;
    if (!hierarchy || !climb(out, client, service)) {
        *out = (struct kb_path){.realms = {client, service}, .num = 2};
    }
}

size_t kb_path_position(const struct kb_path *path, size_t after, kb_bytes realm)
{
    for (size_t i = after + 1; i < path->num; i++) {
        if (kb_equal(path->realms[i], realm)) {
            return i;
        }
    }
    return 0;
}

kb_bytes kb_path_of_host(kb_bytes host, char buf[256])
{
    struct in6_addr address;
    kb_bytes domain;

    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    if (host.len == 0 || host.len > 255) {
        return KB_NONE;
    }
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];

        buf[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    buf[host.len] = '\0';
    domain = parent_of(kb_bytes_of(buf, host.len));
    return memchr(buf, ':', host.len) != NULL || inet_pton(AF_INET, buf, &address) == 1 ? KB_NONE
                                                                                        : domain;
}
