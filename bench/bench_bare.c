/* bench_bare ETYPE - what OpenSSL itself takes for the bytes of a message: the bound of
 * messages.py.
 *
 * Reads lines "time OP SIZE" (or "long"), answers with nanoseconds of one call (slice.h). OP is one
 * of bench_messages.c. The cipher (CBC, or RC4) goes over confounder, data and a token's header,
 * then HMAC (CMAC for Camellia) over the same bytes, one after the other: wrap, and the other way
 * round unwrap. Whatever only signs is the MAC over data and header. No copying beside that: the
 * cipher writes from buffer to buffer, for the iov forms in place, where the caller's data lies.
 *
 * Contexts are made once, and started anew by what costs least: a cipher by its IV alone, an HMAC
 * by HMAC_Init_ex without a key (EVP_MAC_init takes 30 ns more, a copy of a prepared context 50).
 */
#define OPENSSL_API_COMPAT 10101 /* HMAC_Init_ex has no successor that is as quick */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>

#include "bench/slice.h"

enum { HEADER = 16, MAX_BLOCK = 16, TAIL = 64 };

struct suite {
    const char *etype, *cipher, *digest; /* no digest: CMAC */
    size_t key_len, mac_key_len, confounder;
};

/* clang-format off */
static const struct suite suites[] = {
    {"aes128-cts-hmac-sha1-96",    "AES-128-CBC",      "SHA1",   16, 16, 16},
    {"aes256-cts-hmac-sha1-96",    "AES-256-CBC",      "SHA1",   32, 32, 16},
    {"aes128-cts-hmac-sha256-128", "AES-128-CBC",      "SHA256", 16, 16, 16},
    {"aes256-cts-hmac-sha384-192", "AES-256-CBC",      "SHA384", 32, 24, 16},
    {"camellia128-cts-cmac",       "CAMELLIA-128-CBC", NULL,     16, 16, 16},
    {"camellia256-cts-cmac",       "CAMELLIA-256-CBC", NULL,     32, 32, 16},
    {"des3-cbc-sha1",              "DES-EDE3-CBC",     "SHA1",   24, 24,  8},
    {"arcfour-hmac",               "RC4",              "MD5",    16, 16,  8},
};
/* clang-format on */

struct bench {
    const struct suite *suite;
    EVP_CIPHER_CTX *encrypt, *decrypt;
    HMAC_CTX *hmac; /* NULL: it is cmac */
    EVP_MAC_CTX *cmac;
    uint8_t *in[KB_MAX_BATCH]; /* tokens, or data for the iov forms */
    uint8_t *out;
    size_t len;    /* of data and header */
    size_t sealed; /* and the confounder, whole blocks */
};

static void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench_bare: %s\n", what);
        exit(1);
    }
}

static void cipher(EVP_CIPHER_CTX *ctx, const uint8_t *in, uint8_t *out, size_t len)
{
    static const uint8_t iv[MAX_BLOCK];
    int written;

    must(EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) == 1 &&
             EVP_CipherUpdate(ctx, out, &written, in, (int)len) == 1,
         "EVP_CipherUpdate");
}

static void mac(struct bench *b, const uint8_t *data, size_t len)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned hmac_len;
    size_t cmac_len;

    if (b->hmac != NULL) {
        must(HMAC_Init_ex(b->hmac, NULL, 0, NULL, NULL) == 1 &&
                 HMAC_Update(b->hmac, data, len) == 1 && HMAC_Final(b->hmac, out, &hmac_len) == 1,
             "HMAC");
    } else {
        must(EVP_MAC_init(b->cmac, NULL, 0, NULL) == 1 && EVP_MAC_update(b->cmac, data, len) == 1 &&
                 EVP_MAC_final(b->cmac, out, &cmac_len, sizeof(out)) == 1,
             "CMAC");
    }
}

static void seal(void *ctx, size_t i)
{
    struct bench *b = ctx;

    (void)i;
    mac(b, b->in[0], b->sealed);
    cipher(b->encrypt, b->in[0], b->out, b->sealed);
}

static void unseal(void *ctx, size_t i)
{
    struct bench *b = ctx;

    cipher(b->decrypt, b->in[i], b->out, b->sealed);
    mac(b, b->out, b->sealed);
}

static void seal_in_place(void *ctx, size_t i)
{
    struct bench *b = ctx;

    mac(b, b->in[i], b->sealed);
    cipher(b->encrypt, b->in[i], b->in[i], b->sealed);
}

static void unseal_in_place(void *ctx, size_t i)
{
    struct bench *b = ctx;

    cipher(b->decrypt, b->in[i], b->in[i], b->sealed);
    mac(b, b->in[i], b->sealed);
}

static void sign(void *ctx, size_t i)
{
    struct bench *b = ctx;

    (void)i;
    mac(b, b->in[0], b->len);
}

/* Each of these messages has bytes of its own. */
static void sign_each(void *ctx, size_t i)
{
    struct bench *b = ctx;

    mac(b, b->in[i], b->len);
}

static const struct {
    const char *name;
    void (*call)(void *ctx, size_t i);
} ops[] = {
    {"wrap", seal},
    {"unwrap", unseal},
    {"wrap-sign", sign},
    {"unwrap-sign", sign_each},
    {"get_mic", sign},
    {"verify_mic", sign},
    {"wrap_iov", seal_in_place},
    {"unwrap_iov", unseal_in_place},
    {"wrap_iov-sign", sign_each},
    {"unwrap_iov-sign", sign_each},
    {"get_mic_iov", sign_each},
    {"verify_mic_iov", sign_each},
};

static EVP_CIPHER_CTX *cipher_context(const EVP_CIPHER *type, int encrypts)
{
    static const uint8_t key[32] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24},
                         iv[MAX_BLOCK];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    must(ctx != NULL && EVP_CipherInit_ex2(ctx, type, key, iv, encrypts, NULL) == 1,
         "EVP_CipherInit_ex2");
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    return ctx;
}

static void make_mac(struct bench *b)
{
    static const uint8_t key[32] = {2};
    const struct suite *s = b->suite;
    char name[32];
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, name, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *cmac;
    EVP_MD *md;

    if (s->digest != NULL) {
        md = EVP_MD_fetch(NULL, s->digest, NULL);
        b->hmac = HMAC_CTX_new();
        must(md != NULL && b->hmac != NULL &&
                 HMAC_Init_ex(b->hmac, key, (int)s->mac_key_len, md, NULL) == 1,
             "HMAC_Init_ex");
        EVP_MD_free(md);
        return;
    }
    snprintf(name, sizeof(name), "%s", s->cipher);
    cmac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    b->cmac = EVP_MAC_CTX_new(cmac);
    must(b->cmac != NULL && EVP_MAC_init(b->cmac, key, s->mac_key_len, params) == 1, "CMAC");
    EVP_MAC_free(cmac);
}

static void make_contexts(struct bench *b)
{
    EVP_CIPHER *type;

    must(OSSL_PROVIDER_load(NULL, "default") != NULL, "no default provider");
    if (strcmp(b->suite->cipher, "RC4") == 0) {
        must(OSSL_PROVIDER_load(NULL, "legacy") != NULL, "no legacy provider");
    }
    type = EVP_CIPHER_fetch(NULL, b->suite->cipher, NULL);
    must(type != NULL, b->suite->cipher);
    b->encrypt = cipher_context(type, 1);
    b->decrypt = cipher_context(type, 0);
    EVP_CIPHER_free(type);
    make_mac(b);
}

static void make_room(struct bench *b)
{
    b->out = calloc(1, KB_MAX_MESSAGE + TAIL);
    must(b->out != NULL, "memory");
    for (size_t i = 0; i < KB_MAX_BATCH; i++) {
        size_t most = i < 2 ? KB_MAX_MESSAGE : KB_SLICE_BYTES;

        b->in[i] = malloc(most + TAIL);
        must(b->in[i] != NULL, "memory");
        memset(b->in[i], (int)i, most + TAIL);
    }
}

static double measure(struct bench *b, const char *how, const char *name, size_t size)
{
    size_t block = b->suite->confounder;

    b->len = size + HEADER;
    b->sealed = (b->suite->confounder + b->len + block - 1) / block * block;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strcmp(ops[i].name, name) == 0) {
            return strcmp(how, "long") == 0 ? kb_long_run(b, size, ops[i].call)
                                            : kb_slice(b, size, NULL, ops[i].call);
        }
    }
    must(0, "which operation?");
    return 0;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    char line[128], how[8], op[32];
    size_t size;

    for (size_t i = 0; argc == 2 && i < sizeof(suites) / sizeof(suites[0]); i++) {
        if (strcmp(suites[i].etype, argv[1]) == 0) {
            b.suite = &suites[i];
        }
    }
    must(b.suite != NULL, "which enctype?");
    make_contexts(&b);
    make_room(&b);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        must(sscanf(line, "%7s %31s %zu", how, op, &size) == 3 && size <= KB_MAX_MESSAGE, line);
        printf("%.1f\n", measure(&b, how, op, size));
        fflush(stdout);
    }
    return 0;
}
