#include "mech/names/target.h"

#include <unistd.h>

#define MAX_HOST_LEN 255 /* RFC 1035 2.3.4 */

enum kb_status kb_target_init(struct kb_target *out, kb_bytes text, bool host_based)
{
    const uint8_t *at;

    *out = (struct kb_target){.asked = text, .host_based = host_based};
    if (text.len == 0 || text.len > KB_TARGET_MAX || memchr(text.ptr, 0, text.len) != NULL) {
        return KB_MALFORMED;
    }
    if (!host_based) {
        return KB_OK;
    }
    at = memchr(text.ptr, '@', text.len);
    out->service = text;
    if (at != NULL) {
        out->service.len = (size_t)(at - text.ptr);
        out->host = kb_bytes_of(at + 1, text.len - out->service.len - 1);
    }
    if (out->service.len == 0 || out->host.len > MAX_HOST_LEN ||
        memchr(out->service.ptr, '/', out->service.len) != NULL) {
        return KB_MALFORMED;
    }
    return KB_OK;
}

enum kb_status kb_target_of_spn(struct kb_target *out, const char *spn)
{
    kb_bytes text = kb_str(spn);
    bool host_based = text.len > 0 && memchr(text.ptr, '/', text.len) == NULL &&
                      memchr(text.ptr, '@', text.len) != NULL;
    enum kb_status st = kb_target_init(out, text, host_based);

    out->by_option = true;
    return st;
}

/* The host as it stands in a principal: lower case, without the dot that ends an absolute name. */
static kb_bytes fold_host(kb_bytes host, uint8_t buf[MAX_HOST_LEN + 1])
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];

        buf[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
    }
    return kb_bytes_of(buf, host.len);
}

enum kb_status kb_target_principal(const struct kb_target *target, kb_bytes host, kb_bytes realm,
                                   const struct kb_principal **out)
{
    char own[MAX_HOST_LEN + 1];
    uint8_t folded[MAX_HOST_LEN + 1];
    struct kb_principal *principal = NULL;
    enum kb_status st;

    *out = NULL;
    if (!target->host_based) {
        st = kb_principal_parse(target->asked, KB_NT_PRINCIPAL, realm, &principal);
        *out = principal;
        return st;
    }
    if (host.len == 0) {
        host = target->host;
    }
    if (host.len == 0) {
        /* RFC 2743 4.1: without a host, this one. */
        if (gethostname(own, sizeof(own)) != 0) {
            return KB_MALFORMED;
        }
        own[sizeof(own) - 1] = '\0';
        host = kb_str(own);
    }
    if (host.len > MAX_HOST_LEN) {
        return KB_MALFORMED;
    }
    *out = kb_principal_service(target->service, fold_host(host, folded), realm);
    return *out != NULL ? KB_OK : KB_NO_MEMORY;
}
