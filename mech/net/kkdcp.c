#include "mech/net/kkdcp.h"

#include "asn1/reader.h"
#include "asn1/types.h"

#define PREFIX ((size_t)4)

enum kb_status kb_kkdcp_wrap(kb_bytes message, kb_bytes realm, struct kb_arena *arena,
                             kb_bytes *out)
{
    kb_kdc_proxy_message wrapped = {.has_target_domain = true, .target_domain = realm};
    uint8_t *framed = kb_arena_alloc(arena, PREFIX + message.len);

    *out = KB_NONE;
    if (framed == NULL) {
        return KB_NO_MEMORY;
    }
    framed[0] = (uint8_t)(message.len >> 24);
    framed[1] = (uint8_t)(message.len >> 16);
    framed[2] = (uint8_t)(message.len >> 8);
    framed[3] = (uint8_t)message.len;
    if (message.len > 0) {
        memcpy(framed + PREFIX, message.ptr, message.len);
    }
    wrapped.kerb_message = kb_bytes_of(framed, PREFIX + message.len);
    return kb_encode_kdc_proxy_message(arena, &wrapped, out);
}

enum kb_status kb_kkdcp_unwrap(kb_bytes body, struct kb_arena *arena, kb_bytes *out)
{
    kb_kdc_proxy_message wrapped;
    enum kb_status st = kb_decode_kdc_proxy_message(body, arena, &wrapped, NULL);
    struct kb_reader r;
    uint32_t len;

    *out = KB_NONE;
    if (st != KB_OK) {
        return st;
    }
    r = kb_reader(wrapped.kerb_message);
    len = kb_get_u32be(&r);
    if (r.bad || len == 0 || len != wrapped.kerb_message.len - PREFIX) {
        return KB_MALFORMED;
    }
    *out = kb_get_bytes(&r, len);
    return KB_OK;
}
