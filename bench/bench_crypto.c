/* bench_crypto [ETYPE]: sealing, opening and signing of messages beside bare OpenSSL.
 *
 * The bound is what EVP takes for the same bytes with contexts that are kept: AES-CBC over
 * confounder, data and a token's header, then HMAC over them. Both take turns; the least of the
 * rounds counts, in CPU time. A share over 1: we are quicker than EVP. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/key.h"

#define ROUNDS 20
#define MAX_LEN ((size_t)1 << 20)
#define EXTRA 32 /* confounder and header */

struct bare {
    EVP_CIPHER_CTX *encrypt, *decrypt;
    EVP_MAC_CTX *mac;
};

struct bench {
    struct kb_key *key;
    struct bare bare;
    uint8_t *plain, *sealed, *scratch; /* each EXTRA + len */
    uint8_t mac[KB_MAX_CHECKSUM_LEN];
    size_t len;
};

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench_crypto: %s\n", what);
        exit(1);
    }
}

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* --- ours: in place, as a token lies --- */

static void seal(struct bench *b)
{
    struct kb_piece piece = kb_piece_data(b->scratch + 16, b->len + 16);

    must(kb_encrypt_pieces(b->key, KB_USAGE_INITIATOR_SEAL, &kb_rng_system, b->scratch, &piece, 1,
                           b->mac) == KB_OK,
         "seal");
}

static void open_sealed(struct bench *b)
{
    struct kb_piece piece = kb_piece_data(b->scratch + 16, b->len + 16);

    memcpy(b->scratch, b->sealed, b->len + EXTRA);
    must(kb_decrypt_pieces(b->key, KB_USAGE_INITIATOR_SEAL, b->scratch, &piece, 1, b->mac) == KB_OK,
         "open");
}

static void sign(struct bench *b)
{
    uint8_t sum[KB_MAX_CHECKSUM_LEN];

    must(kb_checksum_make(b->key, KB_USAGE_INITIATOR_SIGN, kb_bytes_of(b->plain, b->len + 16),
                          sum) == KB_OK,
         "sign");
}

/* --- EVP --- */

static void bare_cipher(EVP_CIPHER_CTX *ctx, uint8_t *data, size_t len)
{
    static const uint8_t iv[16];
    int written;

    must(EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) == 1 &&
             EVP_CipherUpdate(ctx, data, &written, data, (int)len) == 1,
         "EVP_CipherUpdate");
}

static void bare_mac(struct bench *b, const uint8_t *data, size_t len)
{
    uint8_t out[64];
    size_t out_len;

    must(EVP_MAC_init(b->bare.mac, NULL, 0, NULL) == 1 &&
             EVP_MAC_update(b->bare.mac, data, len) == 1 &&
             EVP_MAC_final(b->bare.mac, out, &out_len, sizeof(out)) == 1,
         "EVP_MAC");
}

static void bare_seal(struct bench *b)
{
    bare_mac(b, b->scratch, b->len + EXTRA);
    bare_cipher(b->bare.encrypt, b->scratch, b->len + EXTRA);
}

static void bare_open(struct bench *b)
{
    memcpy(b->scratch, b->sealed, b->len + EXTRA);
    bare_cipher(b->bare.decrypt, b->scratch, b->len + EXTRA);
    bare_mac(b, b->scratch, b->len + EXTRA);
}

static void bare_sign(struct bench *b)
{
    bare_mac(b, b->plain, b->len + 16);
}

static bool is_camellia(const struct kb_enctype *enctype)
{
    return enctype->etype == KB_ENCTYPE_CAMELLIA128 || enctype->etype == KB_ENCTYPE_CAMELLIA256;
}

static EVP_CIPHER_CTX *bare_context(const struct kb_enctype *enctype, int encrypts)
{
    static const uint8_t raw[32] = {1}, iv[16];
    bool is_short = enctype->key_len == 16;
    const EVP_CIPHER *aes = is_short ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
    const EVP_CIPHER *camellia = is_short ? EVP_camellia_128_cbc() : EVP_camellia_256_cbc();
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    must(ctx != NULL && EVP_CipherInit_ex2(ctx, is_camellia(enctype) ? camellia : aes, raw, iv,
                                           encrypts, NULL) == 1,
         "EVP_CipherInit_ex2");
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    return ctx;
}

/* What the MAC is made of: a hash for HMAC, a cipher for CMAC. */
static const char *mac_of(const struct kb_enctype *enctype)
{
    switch (enctype->etype) {
    case KB_ENCTYPE_AES128_SHA256:
        return "SHA256";
    case KB_ENCTYPE_AES256_SHA384:
        return "SHA384";
    case KB_ENCTYPE_CAMELLIA128:
        return "CAMELLIA-128-CBC";
    case KB_ENCTYPE_CAMELLIA256:
        return "CAMELLIA-256-CBC";
    default:
        return "SHA1";
    }
}

static void bare_init(struct bare *bare, const struct kb_enctype *enctype)
{
    static const uint8_t raw[32] = {2};
    bool is_cmac = is_camellia(enctype);
    char name[20];
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(
                               is_cmac ? OSSL_MAC_PARAM_CIPHER : OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, is_cmac ? "CMAC" : "HMAC", NULL);

    snprintf(name, sizeof(name), "%s", mac_of(enctype));
    bare->encrypt = bare_context(enctype, 1);
    bare->decrypt = bare_context(enctype, 0);
    bare->mac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    must(bare->mac != NULL && EVP_MAC_init(bare->mac, raw, enctype->key_len, params) == 1, "MAC");
}

static void bare_wipe(struct bare *bare)
{
    EVP_CIPHER_CTX_free(bare->encrypt);
    EVP_CIPHER_CTX_free(bare->decrypt);
    EVP_MAC_CTX_free(bare->mac);
}

/* --- the comparison --- */

static double least(double so_far, void (*work)(struct bench *), struct bench *b, size_t count)
{
    double start = cpu_ns(), each;

    for (size_t i = 0; i < count; i++) {
        work(b);
    }
    each = (cpu_ns() - start) / (double)count;
    return so_far == 0 || each < so_far ? each : so_far;
}

static void compare(struct bench *b, const char *what, void (*ours)(struct bench *),
                    void (*bound)(struct bench *))
{
    size_t count = 1 + 400000 / (b->len + 200);
    double our_ns = 0, bound_ns = 0;

    for (int round = 0; round < ROUNDS; round++) {
        our_ns = least(our_ns, ours, b, count);
        bound_ns = least(bound_ns, bound, b, count);
    }
    printf("  %-5s %8zu bytes %11.0f ns %9.0f MB/s, EVP %11.0f ns, share %.2f\n", what, b->len,
           our_ns, (double)b->len * 1e3 / our_ns, bound_ns, bound_ns / our_ns);
}

static void measure(const struct kb_enctype *enctype)
{
    static const size_t lens[] = {64, 1024, 16384, 65536, MAX_LEN};
    struct bench b = {.plain = calloc(1, MAX_LEN + EXTRA),
                      .sealed = malloc(MAX_LEN + EXTRA),
                      .scratch = calloc(1, MAX_LEN + EXTRA)};

    must(b.plain != NULL && b.sealed != NULL && b.scratch != NULL, "memory");
    must(kb_key_random(enctype->etype, &kb_rng_system, &b.key) == KB_OK, "kb_key_random");
    bare_init(&b.bare, enctype);
    puts(enctype->name);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        b.len = lens[i];
        compare(&b, "seal", seal, bare_seal);
        seal(&b);
        memcpy(b.sealed, b.scratch, b.len + EXTRA);
        compare(&b, "open", open_sealed, bare_open);
        compare(&b, "sign", sign, bare_sign);
    }
    bare_wipe(&b.bare);
    kb_key_free(b.key);
    free(b.plain);
    free(b.sealed);
    free(b.scratch);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; kb_enctype_at(i) != NULL; i++) {
        if (argc < 2 || kb_enctype_by_name(kb_str(argv[1])) == kb_enctype_at(i)) {
            measure(kb_enctype_at(i));
        }
    }
    return 0;
}
