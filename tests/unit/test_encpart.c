/* mech/protocol/encpart: what a cipher leaves behind a value is cut off, and nothing else is. */
#include "tests/support/crypto.h"

#include "mech/protocol/encpart.h"

/* Seals `len` bytes and opens them as an EncryptedData; how many come out. */
static size_t opened_len(int32_t etype, const uint8_t *plain, size_t len)
{
    uint8_t cipher[1200];
    kb_encrypted_data part = {.etype = etype};
    struct kb_arena arena;
    struct kb_key *key;
    size_t out_len;
    kb_bytes out;

    kb_arena_init(&arena, NULL, 0, 1 << 16);
    assert_int_equal(kb_key_random(etype, &kb_rng_system, &key), KB_OK);
    assert_int_equal(kb_encrypt(key, 3, &kb_rng_system, kb_bytes_of(plain, len), cipher), KB_OK);
    part.cipher = kb_bytes_of(cipher, kb_encrypted_len(key, len));
    assert_int_equal(kb_encpart_open(key, 3, &part, &arena, &out), KB_OK);
    out_len = out.len;
    if (len > 0) {
        assert_memory_equal(out.ptr, plain, out_len < len ? out_len : len);
    }
    kb_key_free(key);
    kb_arena_wipe(&arena);
    return out_len;
}

static const int32_t etypes[] = {KB_ENCTYPE_DES3_CBC_SHA1, KB_ENCTYPE_DES_CBC_MD5,
                                 KB_ENCTYPE_DES_CBC_CRC,   KB_ENCTYPE_RC4_HMAC,
                                 KB_ENCTYPE_AES256_SHA1,   KB_ENCTYPE_CAMELLIA128};

/* An OCTET STRING in each form of length. */
static size_t make_value(uint8_t *out, size_t contents)
{
    size_t header = contents < 0x80 ? 2 : contents < 0x100 ? 3 : 4;

    memset(out, 0x5a, header + contents);
    out[0] = 0x04;
    if (contents < 0x80) {
        out[1] = (uint8_t)contents;
    } else if (contents < 0x100) {
        out[1] = 0x81;
        out[2] = (uint8_t)contents;
    } else {
        out[1] = 0x82;
        out[2] = (uint8_t)(contents >> 8);
        out[3] = (uint8_t)contents;
    }
    return header + contents;
}

static void values_come_out_whole(void **state)
{
    uint8_t value[1100];

    (void)state;
    for (size_t e = 0; e < NUM(etypes); e++) {
        for (size_t contents = 0; contents < 1000; contents += contents < 300 ? 1 : 23) {
            size_t len = make_value(value, contents);

            assert_int_equal(opened_len(etypes[e], value, len), len);
        }
    }
}

/* A block or more of other bytes is no padding; nor is anything behind a value, where there is
 * none. */
static void what_is_no_padding_stays(void **state)
{
    uint8_t value[100];
    size_t len = make_value(value, 4); /* 6 bytes: with 2 more, whole blocks of DES3's */

    (void)state;
    memset(value + len, 0, sizeof(value) - len);
    assert_int_equal(opened_len(KB_ENCTYPE_AES256_SHA1, value, len + 1), len + 1);
    assert_int_equal(opened_len(KB_ENCTYPE_RC4_HMAC, value, len + 7), len + 7);
    assert_int_equal(opened_len(KB_ENCTYPE_DES3_CBC_SHA1, value, len + 2), len);
    assert_int_equal(opened_len(KB_ENCTYPE_DES3_CBC_SHA1, value, len + 10), len + 10);
}

/* What is not DER is the decoder's to refuse. */
static void what_has_no_length_stays(void **state)
{
    static const char *const rows[] = {"",           "0480",         "0482ff",  "04850000",
                                       "84ffffffff", "0484ffffffff", "30820010"};

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        uint8_t value[16] = {0};
        size_t len = strlen(rows[i]) / 2;

        for (size_t at = 0; at < len; at++) {
            unsigned byte;

            assert_int_equal(sscanf(rows[i] + 2 * at, "%2x", &byte), 1);
            value[at] = (uint8_t)byte;
        }
        assert_int_equal(opened_len(KB_ENCTYPE_DES3_CBC_SHA1, value, len), (len + 7) / 8 * 8);
    }
}

static void the_keys_enctype(void **state)
{
    struct kb_key *key = new_key(KB_ENCTYPE_DES_CBC_MD5, "45e6087cdf138fb5");
    uint8_t cipher[64];
    kb_encrypted_data part = {.etype = KB_ENCTYPE_DES_CBC_CRC};
    struct kb_arena arena;
    kb_bytes out;

    (void)state;
    kb_arena_init(&arena, NULL, 0, 1 << 12);
    assert_int_equal(kb_encrypt(key, 3, &kb_rng_system, KB_LIT("x"), cipher), KB_OK);
    part.cipher = kb_bytes_of(cipher, kb_encrypted_len(key, 1));
    assert_int_equal(kb_encpart_open(key, 3, &part, &arena, &out), KB_NO_ENCTYPE);
    part.etype = KB_ENCTYPE_DES_CBC_MD5;
    cipher[9] ^= 1;
    assert_int_equal(kb_encpart_open(key, 3, &part, &arena, &out), KB_BAD_INTEGRITY);
    assert_int_equal(out.len, 0);
    kb_arena_wipe(&arena);
    kb_arena_init(&arena, NULL, 0, 8);
    assert_int_equal(kb_encpart_open(key, 3, &part, &arena, &out), KB_NO_MEMORY);
    kb_arena_wipe(&arena);
    kb_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_out_whole),
        cmocka_unit_test(what_is_no_padding_stays),
        cmocka_unit_test(what_has_no_length_stays),
        cmocka_unit_test(the_keys_enctype),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
