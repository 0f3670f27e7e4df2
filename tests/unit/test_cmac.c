/* crypto/cmac: with AES and with Camellia, however the message is cut. */
#include "tests/support/crypto.h"

#include "crypto/cmac.h"

#define RFC4493                                                                                    \
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"                             \
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"

static const struct row {
    enum kb_block_cipher which;
    const char *key;
    size_t len; /* of RFC 4493's message */
    const char *mac;
} rows[] = {
    /* clang-format off */
    /* RFC 4493 4 */
    {KB_AES, "2b7e151628aed2a6abf7158809cf4f3c",  0, "bb1d6929e95937287fa37d129b756746"},
    {KB_AES, "2b7e151628aed2a6abf7158809cf4f3c", 16, "070a16b46b4d4144f79bdd9dd04a287c"},
    {KB_AES, "2b7e151628aed2a6abf7158809cf4f3c", 40, "dfa66747de9ae63030ca32611497c827"},
    {KB_AES, "2b7e151628aed2a6abf7158809cf4f3c", 64, "51f0bebf7e3b9d92fc49741779363cfe"},
    /* NIST SP 800-38B D.3 */
    {KB_AES, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",  0, "028962f61b7bf89efc6b551f4667d983"},
    {KB_AES, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 64, "e1992190549f6ed5696a2c056c315410"},
    /* MIT t_cmac.c */
    {KB_CAMELLIA, "2b7e151628aed2a6abf7158809cf4f3c",  0, "ba925782aaa1f5d9a00f89648094fc71"},
    {KB_CAMELLIA, "2b7e151628aed2a6abf7158809cf4f3c", 16, "6d962854a3b9fda56d7d45a95ee17993"},
    {KB_CAMELLIA, "2b7e151628aed2a6abf7158809cf4f3c", 40, "5c18d119ccd6766144ac1866131d9f22"},
    {KB_CAMELLIA, "2b7e151628aed2a6abf7158809cf4f3c", 64, "c2699a6eba55ce9d939a8a4e19466ee9"},
    /* clang-format on */
};

/* With one context, which has another message behind it each time. */
static void vectors(void **state)
{
    uint8_t message[64];

    (void)state;
    memcpy(message, unhex(RFC4493).ptr, sizeof(message));
    assert_int_equal(kb_primitive_need(KB_CAMELLIA128_CBC), KB_OK);
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_cipher *cipher = kb_cipher_new(rows[i].which, unhex(rows[i].key), true);
        kb_bytes wanted = unhex(rows[i].mac);
        struct kb_cmac_key key;
        struct kb_cmac mac;
        uint8_t out[KB_BLOCK];

        assert_non_null(cipher);
        assert_int_equal(kb_cmac_key_init(&key, cipher), KB_OK);
        for (size_t step = 1; step <= 65; step++) {
            kb_cmac_begin(&mac, &key, cipher);
            for (size_t at = 0; at < rows[i].len; at += step) {
                size_t left = rows[i].len - at;

                kb_cmac_add(&mac, message + at, left < step ? left : step);
                kb_cmac_add(&mac, NULL, 0);
            }
            assert_int_equal(kb_cmac_end(&mac, out), KB_OK);
            assert_bytes(kb_bytes_of(out, KB_BLOCK), wanted, rows[i].mac);
        }
        kb_cipher_free(cipher);
    }
}

/* A long message is ciphered in several steps: the same as in small parts. */
static void long_messages(void **state)
{
    static uint8_t data[5000];
    struct kb_cipher *cipher = kb_cipher_new(KB_AES, unhex(rows[0].key), true);
    uint8_t whole[KB_BLOCK], cut[KB_BLOCK];
    struct kb_cmac_key key;

    (void)state;
    assert_int_equal(kb_cmac_key_init(&key, cipher), KB_OK);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 31);
    }
    for (size_t len = 500; len < sizeof(data); len += 271) {
        kb_bytes one = kb_bytes_of(data, len);
        struct kb_cmac mac;

        assert_int_equal(kb_cmac_parts(&key, cipher, &one, 1, whole), KB_OK);
        kb_cmac_begin(&mac, &key, cipher);
        for (size_t at = 0; at < len; at += 7) {
            kb_cmac_add(&mac, data + at, len - at < 7 ? len - at : 7);
        }
        assert_int_equal(kb_cmac_end(&mac, cut), KB_OK);
        assert_memory_equal(whole, cut, KB_BLOCK);
    }
    kb_cipher_free(cipher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(long_messages),
    };

    return kb_provider_load() == KB_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
