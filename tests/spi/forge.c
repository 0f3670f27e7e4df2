#include "tests/spi/forge.h"

#include <krb5/krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 16
#define FLAG_ACCEPTOR 1
#define FLAG_SEALED 2
#define FLAG_SUBKEY 4

static krb5_context context;

static void must(krb5_error_code code, const char *what)
{
    if (code != 0) {
        printf("%s: %s\n", what, error_message(code));
        exit(1);
    }
}

void forge_begin(struct forge *f, enum forge_kind kind, const gss_krb5_lucid_context_v1_t *acceptor,
                 const gss_buffer_desc *message, uint64_t seq)
{
    const gss_krb5_cfx_keydata_t *keys = &acceptor->cfx_kd;

    memset(f, 0, sizeof(*f));
    f->kind = kind;
    f->key = keys->have_acceptor_subkey ? &keys->acceptor_subkey : &keys->ctx_key;
    f->token_id = f->inner_token_id = kind == FORGE_MIC ? 0x0404 : 0x0504;
    f->flags = FLAG_ACCEPTOR | (keys->have_acceptor_subkey ? FLAG_SUBKEY : 0);
    f->flags |= kind == FORGE_SEAL ? FLAG_SEALED : 0;
    f->inner_flags = f->flags;
    f->filler = f->inner_filler = 0xff;
    f->ec = f->rrc = kind == FORGE_MIC ? 0xffff : 0;
    f->seq = f->inner_seq = seq;
    f->message = *message;
}

static void put_header(uint8_t *out, uint16_t token_id, uint8_t flags, uint8_t filler, uint16_t ec,
                       uint16_t rrc, uint64_t seq)
{
    out[0] = (uint8_t)(token_id >> 8);
    out[1] = (uint8_t)token_id;
    out[2] = flags;
    out[3] = filler;
    out[4] = (uint8_t)(ec >> 8);
    out[5] = (uint8_t)ec;
    out[6] = (uint8_t)(rrc >> 8);
    out[7] = (uint8_t)rrc;
    for (int i = 0; i < 8; i++) {
        out[8 + i] = (uint8_t)(seq >> (56 - 8 * i));
    }
}

static void rotate_right(uint8_t *bytes, size_t len, size_t by)
{
    static uint8_t copy[FORGE_MAX];

    if (len > 0 && by % len != 0) {
        by %= len;
        memcpy(copy, bytes, len);
        memcpy(bytes + by, copy, len - by);
        memcpy(bytes, copy + len - by, by);
    }
}

static size_t seal(const struct forge *f, const krb5_keyblock *key, uint8_t *out)
{
    static uint8_t plain[FORGE_MAX];
    krb5_data in = {.data = (char *)plain};
    krb5_enc_data sealed = {.ciphertext = {.length = FORGE_MAX, .data = (char *)out}};

    memcpy(plain, f->message.value, f->message.length);
    memset(plain + f->message.length, 0xee, f->fill);
    in.length = (unsigned)(f->message.length + f->fill);
    put_header(plain + in.length, f->inner_token_id, f->inner_flags, f->inner_filler, f->inner_ec,
               f->inner_rrc, f->inner_seq);
    in.length += (unsigned)(HEADER - f->lacks);
    must(krb5_c_encrypt(context, key, (krb5_keyusage)(f->usage != 0 ? f->usage : 22), NULL, &in,
                        &sealed),
         "krb5_c_encrypt");
    return sealed.ciphertext.length;
}

static size_t sign(const struct forge *f, const krb5_keyblock *key, const uint8_t *header,
                   uint8_t *out)
{
    static uint8_t plain[FORGE_MAX];
    krb5_data in = {.length = (unsigned)f->message.length + HEADER, .data = (char *)plain};
    int mic = f->kind == FORGE_MIC;
    uint32_t usage = f->usage != 0 ? f->usage : mic ? 23 : 22;
    krb5_checksum sum;
    size_t len = 0;

    memcpy(plain, f->message.value, f->message.length);
    memcpy(plain + f->message.length, header, HEADER);
    if (!mic) {
        memset(plain + f->message.length + 4, 0, 4);
        memcpy(out, f->message.value, f->message.length);
        len = f->message.length;
    }
    must(krb5_c_make_checksum(context, 0, key, (krb5_keyusage)usage, &in, &sum),
         "krb5_c_make_checksum");
    memcpy(out + len, sum.contents, sum.length);
    len += sum.length;
    krb5_free_checksum_contents(context, &sum);
    return len;
}

size_t forge_make(const struct forge *f, uint8_t *out)
{
    krb5_keyblock key = {
        .enctype = (krb5_enctype)f->key->type, .length = f->key->length, .contents = f->key->data};
    size_t len;

    if (context == NULL) {
        must(krb5_init_context(&context), "krb5_init_context");
    }
    put_header(out, f->token_id, f->flags, f->filler, f->ec, f->rrc, f->seq);
    len = f->kind == FORGE_SEAL ? seal(f, &key, out + HEADER) : sign(f, &key, out, out + HEADER);
    rotate_right(out + HEADER, len, f->rotate);
    return HEADER + len;
}
