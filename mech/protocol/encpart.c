#include "mech/protocol/encpart.h"

/* The length of the value at the front by its own header; `in.len` where that cannot be read: what
 * is not DER is the decoder's to refuse. */
static size_t value_len(kb_bytes in)
{
    size_t octets, len = 0;

    if (in.len < 2) {
        return in.len;
    }
    if (in.ptr[1] < 0x80) {
        return 2 + (size_t)in.ptr[1];
    }
    octets = in.ptr[1] - (size_t)0x80;
    if (octets == 0 || octets > 4 || octets > in.len - 2) {
        return in.len;
    }
    for (size_t i = 0; i < octets; i++) {
        len = len << 8 | in.ptr[2 + i];
    }
    return 2 + octets + len;
}

static kb_bytes without_padding(const struct kb_enctype *enctype, kb_bytes plain)
{
    size_t len = value_len(plain);

    return len < plain.len && plain.len - len < enctype->pad ? kb_bytes_of(plain.ptr, len) : plain;
}

enum kb_status kb_encpart_open(struct kb_key *key, uint32_t usage, const kb_encrypted_data *part,
                               struct kb_arena *arena, kb_bytes *out)
{
    const struct kb_enctype *enctype = kb_key_enctype(key);
    uint8_t *plain;
    size_t len = 0;
    enum kb_status st;

    *out = KB_NONE;
    if (enctype->etype != part->etype) {
        return KB_NO_ENCTYPE;
    }
    plain = kb_arena_alloc(arena, part->cipher.len);
    if (plain == NULL) {
        return KB_NO_MEMORY;
    }
    st = kb_decrypt(key, usage, part->cipher, plain, &len);
    if (st == KB_OK) {
        *out = without_padding(enctype, kb_bytes_of(plain, len));
    }
    return st;
}
