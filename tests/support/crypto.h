/* crypto.h - for tests of crypto/: bytes out of hex, and randomness out of a string. */
#ifndef KB_TEST_CRYPTO_H
#define KB_TEST_CRYPTO_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>

#include <cmocka.h>

#include "crypto/key.h"
#include "crypto/primitive.h"
#include "crypto/provider.h"
#include "crypto/random.h"
#include "tests/support/wire.h"

#define NUM(array) (sizeof(array) / sizeof((array)[0]))

/* unhex reads hex digits into one of eight static buffers of 1 KiB, used in turn. */
static inline kb_bytes unhex(const char *hex)
{
    static uint8_t buffers[8][1024];
    static unsigned turn;
    uint8_t *out = buffers[turn++ % 8];
    size_t len = strlen(hex) / 2;

    assert_true(len <= sizeof(buffers[0]) && strlen(hex) % 2 == 0);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return kb_bytes_of(out, len);
}

/* use_mode takes the kind of OpenSSL from the environment, for test_crypto_modes, which runs the
 * programs with the vectors once in each. */
static inline void use_mode(void)
{
    const char *name = getenv("KB_TEST_CRYPTO_MODE");

    if (name != NULL) {
        assert_true(
            kb_provider_choose(strcmp(name, "fips") == 0 ? KB_CRYPTO_FIPS : KB_CRYPTO_SYSTEM));
    }
}

/* The FIPS provider has AES and SHA; Camellia and what is older it has not. RC4 is where
 * openssl.cnf has the legacy provider. */
static inline bool lacks(int32_t etype)
{
    if (kb_provider_mode() == KB_CRYPTO_SYSTEM && etype == KB_ENCTYPE_RC4_HMAC) {
        return kb_primitive_need(KB_RC4) != KB_OK;
    }
    return kb_provider_mode() == KB_CRYPTO_FIPS &&
           (etype < KB_ENCTYPE_AES128_SHA1 || etype > KB_ENCTYPE_AES256_SHA384);
}

/* below_valgrind: it has its library preloaded. */
static inline bool below_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* next_len goes through the lengths of messages: every one up to 4 KiB, then a few longer ones.
 * With KB_TEST_STRIDE (wire.h) it takes longer steps. */
static inline size_t next_len(size_t len)
{
    size_t step = wire_stride() > 1 ? 37 : 1;

    return len + (len < 70 ? 1 : len < 4096 ? step : 1237);
}

/* A kb_rng whose ctx is a kb_bytes: it is handed out from the start on, and fails at its end. */
static inline enum kb_status fixed_fill(void *ctx, uint8_t *out, size_t len)
{
    kb_bytes *rest = ctx;

    if (len > rest->len) {
        return KB_NO_RANDOM;
    }
    if (len > 0) {
        memcpy(out, rest->ptr, len);
    }
    *rest = kb_bytes_of(rest->ptr + len, rest->len - len);
    return KB_OK;
}

static inline void assert_bytes(kb_bytes got, kb_bytes wanted, const char *what)
{
    if (!kb_equal(got, wanted)) {
        print_error("%s: got ", what);
        for (size_t i = 0; i < got.len; i++) {
            print_error("%02x", got.ptr[i]);
        }
        print_error("\n");
    }
    assert_true(kb_equal(got, wanted));
}

static inline struct kb_key *new_key(int32_t etype, const char *hex)
{
    struct kb_key *key;

    assert_int_equal(kb_key_new(etype, unhex(hex), &key), KB_OK);
    return key;
}

#endif
