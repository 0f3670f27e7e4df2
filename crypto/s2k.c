#include "crypto/s2k.h"

#include "crypto/family.h"

static bool is_des_type_0(const struct kb_enctype *enctype, kb_bytes s2kparams)
{
    return enctype->ops == &kb_des && s2kparams.len == 1 && s2kparams.ptr[0] == 0;
}

enum kb_status kb_s2k_iterations(const struct kb_enctype *enctype, kb_bytes s2kparams,
                                 uint64_t *out)
{
    uint32_t count = 0;

    *out = enctype->default_iterations;
    if (s2kparams.len == 0 || is_des_type_0(enctype, s2kparams)) {
        return KB_OK;
    }
    if (enctype->default_iterations == 0 || s2kparams.len != 4) {
        return KB_BAD_PARAMS;
    }
    for (size_t i = 0; i < 4; i++) {
        count = count << 8 | s2kparams.ptr[i];
    }
    *out = count != 0 ? count : (uint64_t)1 << 32; /* RFC 3962 4 */
    return KB_OK;
}

enum kb_status kb_string_to_key(int32_t etype, kb_bytes password, kb_bytes salt, kb_bytes s2kparams,
                                struct kb_key **out)
{
    const struct kb_enctype *enctype = kb_enctype_find(etype);
    uint8_t raw[KB_MAX_KEY_LEN];
    uint64_t iterations;
    enum kb_status st;

    *out = NULL;
    if (enctype == NULL) {
        return KB_NO_ENCTYPE;
    }
    st = kb_s2k_iterations(enctype, s2kparams, &iterations);
    if (st == KB_OK) {
        st = kb_provider_load();
    }
    if (st == KB_OK) {
        st = enctype->ops->string_to_key(enctype, password, salt, iterations, raw);
    }
    if (st == KB_OK) {
        st = kb_key_new(etype, kb_bytes_of(raw, enctype->key_len), out);
    }
    kb_wipe(raw, sizeof(raw));
    return st;
}
