#include "crypto/key.h"

#include "crypto/family.h"

size_t kb_prf_len(const struct kb_key *key)
{
    return kb_key_enctype(key)->ops->prf_len;
}

static enum kb_status prf(struct kb_key *key, const kb_bytes *parts, size_t num_parts, uint8_t *out)
{
    const struct kb_enctype *enctype = kb_key_enctype(key);
    enum kb_status st = kb_provider_load();

    return st == KB_OK ? enctype->ops->prf(enctype, kb_key_bytes(key).ptr, parts, num_parts, out)
                       : st;
}

enum kb_status kb_prf(struct kb_key *key, kb_bytes input, uint8_t *out)
{
    return prf(key, &input, 1, out);
}

/* RFC 6113 5.1 counts in one octet from 1, RFC 7802 2 (after 4402) in four from 0. */
static kb_bytes counter(enum kb_prf_plus_kind kind, uint32_t n, uint8_t buf[4])
{
    if (kind == KB_PRF_PLUS) {
        buf[0] = (uint8_t)(n + 1);
        return kb_bytes_of(buf, 1);
    }
    for (int i = 0; i < 4; i++) {
        buf[i] = (uint8_t)(n >> (24 - 8 * i));
    }
    return kb_bytes_of(buf, 4);
}

enum kb_status kb_prf_plus(struct kb_key *key, enum kb_prf_plus_kind kind, kb_bytes input,
                           uint8_t *out, size_t out_len)
{
    uint8_t block[KB_MAX_DIGEST_LEN], buf[4];
    size_t len = kb_prf_len(key);
    enum kb_status st = KB_OK;
    size_t done = 0;

    if (out_len > len * (kind == KB_PRF_PLUS ? 255 : (size_t)UINT32_MAX)) {
        return KB_TOO_BIG;
    }
    for (uint32_t n = 0; st == KB_OK && done < out_len; n++) {
        kb_bytes parts[] = {counter(kind, n, buf), input};
        size_t wanted = out_len - done < len ? out_len - done : len;

        st = prf(key, parts, 2, block);
        if (st == KB_OK) {
            memcpy(out + done, block, wanted);
            done += wanted;
        }
    }
    kb_wipe(block, sizeof(block));
    if (st != KB_OK) {
        kb_wipe(out, out_len);
    }
    return st;
}
