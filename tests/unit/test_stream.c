/* crypto/stream, crypto/primitive: the raw ciphers against published values, and how it is said
 * that OpenSSL does not have one. */
#include "config.h"

#include "tests/support/crypto.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/stream.h"

struct row {
    enum kb_primitive which;
    const char *key, *iv, *plain, *cipher, *source;
};

static const struct row rows[] = {
    /* clang-format off */
    {KB_RC4, "0102030405060708090a0b0c0d0e0f10", "", "00000000000000000000000000000000" "00000000000000000000000000000000",
     "9ac7cc9a609d1ef7b2932899cde41b97" "5248c4959014126a6e8a84f11d1a9e1c", "RFC 6229 2, 128 bits"},
    {KB_DES_CBC, "0123456789abcdef", "1234567890abcdef", "4e6f77206973207468652074696d6520666f7220616c6c20",
     "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6", "FIPS 81 C, table C1"},
    {KB_DES3_CBC, "0123456789abcdef23456789abcdef01456789abcdef0123", "0000000000000000", "5468652071756663",
     "a826fd8ce53b855f", "NIST SP 800-67 B.1, first block"},
    {KB_DES3_CBC, "0123456789abcdeff1e0d3c2b5a49786fedcba9876543210", "fedcba9876543210",
     "37363534333231204e6f77206973207468652074696d6520666f722000000000",
     "3fe301c962ac01d02213763c1cbd4cdc799657c064ecf5d41c673812cfde9675", "OpenSSL evpciph_des3_common.txt"},
    {KB_CAMELLIA128_CBC, "0123456789abcdeffedcba9876543210", "00000000000000000000000000000000",
     "0123456789abcdeffedcba9876543210", "67673138549669730857065648eabe43", "RFC 3713 A"},
    {KB_CAMELLIA256_CBC, "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff", "00000000000000000000000000000000",
     "0123456789abcdeffedcba9876543210", "9acc237dff16d76c20ef7c919e3a7509", "RFC 3713 A"},
    {KB_CAMELLIA128_CBC, "2b7e151628aed2a6abf7158809cf4f3c", "000102030405060708090a0b0c0d0e0f",
     "6bc1bee22e409f96e93d7e117393172a" "ae2d8a571e03ac9c9eb76fac45af8e51",
     "1607cf494b36bbf00daeb0b503c831ab" "a2f2cf671629ef7840c5a5dfb5074887", "OpenSSL evpciph_camellia.txt"},
    /* clang-format on */
};

/* In one call, and block by block. */
static void cipher_row(const struct row *row, bool encrypts)
{
    kb_bytes in = unhex(encrypts ? row->plain : row->cipher);
    kb_bytes wanted = unhex(encrypts ? row->cipher : row->plain);
    kb_bytes key = unhex(row->key), iv = unhex(row->iv);
    size_t step = row->which == KB_RC4 ? 1 : iv.len;
    struct kb_stream *stream;
    uint8_t out[64];

    assert_int_equal(kb_stream_new(row->which, key, iv, encrypts, &stream), KB_OK);
    assert_int_equal(kb_stream_cipher(stream, in.ptr, out, in.len), KB_OK);
    assert_bytes(kb_bytes_of(out, in.len), wanted, row->source);

    assert_int_equal(kb_stream_rekey(stream, key, iv), KB_OK);
    memcpy(out, in.ptr, in.len);
    for (size_t i = 0; i < in.len; i += step) {
        assert_int_equal(kb_stream_cipher(stream, out + i, out + i, step), KB_OK);
    }
    assert_bytes(kb_bytes_of(out, in.len), wanted, row->source);

    if (row->which != KB_RC4) {
        assert_int_equal(kb_stream_rekey(stream, KB_NONE, iv), KB_OK);
        assert_int_equal(kb_stream_cipher(stream, in.ptr, out, in.len), KB_OK);
        assert_bytes(kb_bytes_of(out, in.len), wanted, row->source);
    }
    kb_stream_free(stream);
}

static void ciphers(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        cipher_row(&rows[i], true);
        cipher_row(&rows[i], false);
    }
}

static void md4(void **state)
{
    static const char *const digests[][2] = {
        {"", "31d6cfe0d16ae931b73c59d7e0c089c0"}, /* RFC 1320 A.5 */
        {"abc", "a448017aaf21d8525fc10ae87aa6729d"},
        {"message digest", "d9130a8164549fe818874806e1c7014b"},
    };
    uint8_t out[16];

    (void)state;
    for (size_t i = 0; i < NUM(digests); i++) {
        kb_bytes text = kb_str(digests[i][0]);
        kb_bytes parts[] = {kb_bytes_of(text.ptr, text.len / 2),
                            kb_bytes_of(text.ptr + text.len / 2, text.len - text.len / 2)};

        assert_int_equal(kb_primitive_hash(KB_MD4, parts, 2, out), KB_OK);
        assert_bytes(kb_bytes_of(out, 16), unhex(digests[i][1]), digests[i][0]);
    }
}

static void what_does_not_fit(void **state)
{
    static const uint8_t zero[32];
    struct kb_stream *stream;
    uint8_t out[32];

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        kb_bytes key = unhex(rows[i].key), iv = unhex(rows[i].iv);
        kb_bytes long_iv = kb_bytes_of(zero, iv.len + 1);

        assert_int_equal(kb_stream_new(rows[i].which, key, long_iv, true, &stream), KB_BAD_KEY);
        assert_null(stream);
        assert_int_equal(kb_stream_new(rows[i].which, KB_NONE, iv, true, &stream), KB_BAD_KEY);
        assert_int_equal(kb_stream_new(rows[i].which, key, iv, true, &stream), KB_OK);
        assert_int_equal(kb_stream_rekey(stream, key, long_iv), KB_BAD_KEY);
        if (rows[i].which == KB_RC4) {
            assert_int_equal(kb_stream_rekey(stream, KB_NONE, KB_NONE), KB_BAD_KEY);
        } else {
            key.len--;
            assert_int_equal(kb_stream_rekey(stream, key, iv), KB_BAD_KEY);
            assert_int_equal(kb_stream_cipher(stream, zero, out, iv.len + 1), KB_MALFORMED);
        }
        assert_int_equal(kb_stream_cipher(stream, zero, out, 0), KB_OK);
        kb_stream_free(stream);
    }
    kb_stream_free(NULL);
}

/* --- first needs of many threads --- */

static void *need_all(void *arg)
{
    static const uint8_t key[32], iv[16];
    bool ok = true;

    (void)arg;
    for (size_t i = 0; i < NUM(rows); i++) {
        kb_bytes k = kb_bytes_of(key, strlen(rows[i].key) / 2);
        kb_bytes v = kb_bytes_of(iv, strlen(rows[i].iv) / 2);
        struct kb_stream *stream;
        uint8_t out[16];

        ok = ok && kb_stream_new(rows[i].which, k, v, true, &stream) == KB_OK;
        ok = ok && kb_stream_cipher(stream, iv, out, sizeof(iv)) == KB_OK;
        kb_stream_free(ok ? stream : NULL);
    }
    return ok ? NULL : (void *)1;
}

static void threads(void **state)
{
    pthread_t ids[4];

    (void)state;
    for (size_t i = 0; i < NUM(ids); i++) {
        assert_int_equal(pthread_create(&ids[i], NULL, need_all, NULL), 0);
    }
    for (size_t i = 0; i < NUM(ids); i++) {
        void *failed;

        pthread_join(ids[i], &failed);
        assert_null(failed);
    }
}

/* --- what is missing --- */

static void finish(pid_t pid)
{
    int status;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static bool says(enum kb_primitive which, const char *text, const char *text2)
{
    bool said = kb_primitive_need(which) == KB_NO_CRYPTO &&
                strstr(kb_provider_error(), text) != NULL &&
                strstr(kb_provider_error(), text2) != NULL;

    if (!said) {
        print_error("%s\n", kb_provider_error());
    }
    return said;
}

static void allow_files(rlim_t num)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = num;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* The module cannot be opened; later it can. What is not in it works all the time. */
static void no_legacy_provider(void **state)
{
    pid_t pid;

    (void)state;
    if (getenv("KB_TEST_CRYPTO_MODE") != NULL) {
        skip();
    }
    pid = fork();
    if (pid == 0) {
        struct kb_stream *stream = NULL;
        const char *first;
        bool ok = kb_provider_load() == KB_OK;

        allow_files(0);
        ok = ok && says(KB_RC4, "OpenSSL has no RC4", "legacy provider cannot be loaded");
        first = kb_provider_error();
        ok = ok && strstr(first, "legacy.so") != NULL;
        ok = ok && kb_stream_new(KB_RC4, kb_str("0123456789abcdef"), KB_NONE, true, &stream) ==
                       KB_NO_CRYPTO;
        ok = ok && stream == NULL && kb_provider_error() == first;
        ok = ok && says(KB_MD4, "OpenSSL has no MD4", "legacy.so");
        ok = ok && kb_primitive_need(KB_DES3_CBC) == KB_OK;
        ok = ok && kb_primitive_need(KB_CAMELLIA256_CBC) == KB_OK;
        allow_files(64);
        ok = ok && kb_primitive_need(KB_RC4) == KB_OK && kb_primitive_need(KB_MD4) == KB_OK;
        _exit(ok ? 0 : 1);
    }
    finish(pid);
}

/* What the environment says of modules is meant for the host's OpenSSL. */
static void the_internal_mode_ignores_the_environment(void **state)
{
    pid_t pid;

    (void)state;
    if (getenv("KB_TEST_CRYPTO_MODE") != NULL) {
        skip();
    }
    pid = fork();
    if (pid == 0) {
        setenv("OPENSSL_MODULES", "/nonexistent", 1);
        _exit(kb_primitive_need(KB_RC4) == KB_OK ? 0 : 1);
    }
    finish(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_legacy_provider),
        cmocka_unit_test(the_internal_mode_ignores_the_environment),
        cmocka_unit_test(threads),
        cmocka_unit_test(ciphers),
        cmocka_unit_test(md4),
        cmocka_unit_test(what_does_not_fit),
    };

    use_mode();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
