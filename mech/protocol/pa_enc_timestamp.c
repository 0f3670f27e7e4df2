/* Encrypted timestamp: the client's time under its long-term key. RFC 4120 5.2.7.2. */
#include "mech/protocol/preauth.h"

static enum kb_status encrypt(const struct kb_pa_input *input, struct kb_arena *arena,
                              kb_bytes plain, kb_bytes *out)
{
    size_t len = kb_encrypted_len(input->key, plain.len);
    uint8_t *cipher = kb_arena_alloc(arena, len);
    enum kb_status st;

    if (cipher == NULL) {
        return KB_NO_MEMORY;
    }
    st = kb_encrypt(input->key, KB_USAGE_PA_ENC_TIMESTAMP, &input->env->rng, plain, cipher);
    *out = kb_bytes_of(cipher, len);
    return st;
}

/* No kvno: which one the KDC has is not known to us (MIT and Heimdal send none either). */
static enum kb_status make(const struct kb_pa_input *input, struct kb_arena *arena, kb_bytes *out)
{
    const kb_pa_enc_ts_enc time = {
        .patimestamp = input->time.sec, .has_pausec = true, .pausec = input->time.usec};
    kb_encrypted_data data = {.etype = kb_key_enctype(input->key)->etype};
    kb_bytes plain;
    enum kb_status st = kb_encode_pa_enc_ts_enc(arena, &time, &plain);

    if (st == KB_OK) {
        st = encrypt(input, arena, plain, &data.cipher);
    }
    return st == KB_OK ? kb_encode_encrypted_data(arena, &data, out) : st;
}

const struct kb_pa_method kb_pa_enc_timestamp = {KB_PA_ENC_TIMESTAMP, "encrypted timestamp", make};
