/* crypto/s2k: string-to-key of RFC 3962 4, RFC 6803 4 and RFC 8009 4, and the hash and HMAC below
 * it. */
#include "tests/support/crypto.h"

#include "crypto/hmac.h"
#include "crypto/s2k.h"

static const struct row {
    int32_t etype;
    const char *password, *salt, *params, *key;
} rows[] = {
    /* clang-format off */
    /* RFC 6803 10, by way of MIT t_str2key.c */
    {KB_ENCTYPE_CAMELLIA128, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000001",
     "57d0297298ffd9d35de5a47fb4bde24b"},
    {KB_ENCTYPE_CAMELLIA256, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000001",
     "b9d6828b2056b7be656d88a123b1fac68214ac2b727ecf5f69afe0c4df2a6d2c"},
    {KB_ENCTYPE_CAMELLIA128, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000002",
     "73f1b53aa0f310f93b1de8ccaa0cb152"},
    {KB_ENCTYPE_CAMELLIA256, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000002",
     "83fc5866e5f8f4c6f38663c65c87549f342bc47ed394dc9d3cd4d163ade375e3"},
    {KB_ENCTYPE_CAMELLIA128, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "000004b0",
     "8e571145452855575fd916e7b04487aa"},
    {KB_ENCTYPE_CAMELLIA256, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "000004b0",
     "77f421a6f25e138395e837e5d85d385b4c1bfd772e112cd9208ce72a530b15e6"},
    {KB_ENCTYPE_CAMELLIA128, "70617373776f7264",
     "1234567878563412", "00000005",
     "00498fd916bfc1c2b1031c170801b381"},
    {KB_ENCTYPE_CAMELLIA256, "70617373776f7264",
     "1234567878563412", "00000005",
     "11083a00bdfe6a41b2f19716d6202f0afa94289afe8b27a049bd28b1d76c389a"},
    {KB_ENCTYPE_CAMELLIA128, "58585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "706173732070687261736520657175616c7320626c6f636b2073697a65", "000004b0",
     "8bf6c3ef709b981dbb585d086843be05"},
    {KB_ENCTYPE_CAMELLIA256, "58585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "706173732070687261736520657175616c7320626c6f636b2073697a65", "000004b0",
     "119fe2a1cb0b1be010b9067a73db63ed4665b4e53a98d178035dcfe843a6b9b0"},
    {KB_ENCTYPE_CAMELLIA128, "5858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "7061737320706872617365206578636565647320626c6f636b2073697a65", "000004b0",
     "5752ac8d6ad1ccfe8430b312871c2f74"},
    {KB_ENCTYPE_CAMELLIA256, "5858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "7061737320706872617365206578636565647320626c6f636b2073697a65", "000004b0",
     "614d5dfc0ba6d390b412b89ae4d5b088b612b316510994679ddb4383c7126ddf"},
    {KB_ENCTYPE_CAMELLIA128, "f09d849e",
     "4558414d504c452e434f4d7069616e697374", "00000032",
     "cc75c7fd260f1c1658011fcc0d560616"},
    {KB_ENCTYPE_CAMELLIA256, "f09d849e",
     "4558414d504c452e434f4d7069616e697374", "00000032",
     "163b768c6db148b4eec7163df5aed70e206b68cec078bc069ed68a7ed36b1ecc"},
    /* RFC 3962 B and RFC 8009 A, by way of MIT t_str2key.c: 1 to 32768 rounds, salts that are no
     * text, a password of a hash block and one of a byte more, U+1D11E */
    {KB_ENCTYPE_AES128_SHA1, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000001",
     "42263c6e89f4fc28b8df68ee09799f15"},
    {KB_ENCTYPE_AES256_SHA1, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000001",
     "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161"},
    {KB_ENCTYPE_AES128_SHA1, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000002",
     "c651bf29e2300ac27fa469d693bdda13"},
    {KB_ENCTYPE_AES256_SHA1, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "00000002",
     "a2e16d16b36069c135d5e9d2e25f896102685618b95914b467c67622225824ff"},
    {KB_ENCTYPE_AES128_SHA1, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "000004b0",
     "4c01cd46d632d01e6dbe230a01ed642a"},
    {KB_ENCTYPE_AES256_SHA1, "70617373776f7264",
     "415448454e412e4d49542e4544557261656275726e", "000004b0",
     "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a"},
    {KB_ENCTYPE_AES128_SHA1, "70617373776f7264",
     "1234567878563412", "00000005",
     "e9b23d52273747dd5c35cb55be619d8e"},
    {KB_ENCTYPE_AES256_SHA1, "70617373776f7264",
     "1234567878563412", "00000005",
     "97a4e786be20d81a382d5ebc96d5909cabcdadc87ca48f574504159f16c36e31"},
    {KB_ENCTYPE_AES128_SHA1, "58585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "706173732070687261736520657175616c7320626c6f636b2073697a65", "000004b0",
     "59d1bb789a828b1aa54ef9c2883f69ed"},
    {KB_ENCTYPE_AES256_SHA1, "58585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "706173732070687261736520657175616c7320626c6f636b2073697a65", "000004b0",
     "89adee3608db8bc71f1bfbfe459486b05618b70cbae22092534e56c553ba4b34"},
    {KB_ENCTYPE_AES128_SHA1, "5858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "7061737320706872617365206578636565647320626c6f636b2073697a65", "000004b0",
     "cb8005dc5f90179a7f02104c0018751d"},
    {KB_ENCTYPE_AES256_SHA1, "5858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858585858",
     "7061737320706872617365206578636565647320626c6f636b2073697a65", "000004b0",
     "d78c5c9cb872a8c9dad4697f0bb5b2d21496c82beb2caeda2112fceea057401b"},
    {KB_ENCTYPE_AES128_SHA1, "f09d849e",
     "4558414d504c452e434f4d7069616e697374", "00000032",
     "f149c1f2e154a73452d43e7fe62a56e5"},
    {KB_ENCTYPE_AES256_SHA1, "f09d849e",
     "4558414d504c452e434f4d7069616e697374", "00000032",
     "4b6d9839f84406df1f09cc166db4b83c571848b784a3d6bdc346589a3e393f9e"},
    {KB_ENCTYPE_AES128_SHA256, "70617373776f7264",
     "10df9dd783e5bc8acea1730e74355f61415448454e412e4d49542e4544557261656275726e", "00008000",
     "089bca48b105ea6ea77ca5d2f39dc5e7"},
    {KB_ENCTYPE_AES256_SHA384, "70617373776f7264",
     "10df9dd783e5bc8acea1730e74355f61415448454e412e4d49542e4544557261656275726e", "00008000",
     "45bd806dbf6a833a9cffc1c94589a222367a79bc21c413718906e9f578a78467"},
    /* clang-format on */
};

static void vector(const struct row *row)
{
    struct kb_key *key;

    assert_int_equal(kb_string_to_key(row->etype, unhex(row->password), unhex(row->salt),
                                      unhex(row->params), &key),
                     KB_OK);
    assert_bytes(kb_key_bytes(key), unhex(row->key), row->key);
    assert_int_equal(kb_key_enctype(key)->etype, row->etype);
    kb_key_free(key);
}

static void vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        if (!lacks(rows[i].etype)) {
            vector(&rows[i]);
        }
    }
}

/* Without parameters the enctype's own count holds: RFC 3962 4, RFC 6803 4, RFC 8009 4. */
static void default_parameters(void **state)
{
    static const struct {
        int32_t etype;
        const char *params;
    } same[] = {
        {KB_ENCTYPE_AES128_SHA1, "00001000"},   {KB_ENCTYPE_AES256_SHA1, "00001000"},
        {KB_ENCTYPE_AES128_SHA256, "00008000"}, {KB_ENCTYPE_AES256_SHA384, "00008000"},
        {KB_ENCTYPE_CAMELLIA128, "00008000"},   {KB_ENCTYPE_CAMELLIA256, "00008000"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(same); i++) {
        struct kb_key *a, *b;

        if (lacks(same[i].etype)) {
            continue;
        }
        assert_int_equal(kb_string_to_key(same[i].etype, KB_LIT("p"), KB_LIT("s"), KB_NONE, &a),
                         KB_OK);
        assert_int_equal(
            kb_string_to_key(same[i].etype, KB_LIT("p"), KB_LIT("s"), unhex(same[i].params), &b),
            KB_OK);
        assert_true(kb_equal(kb_key_bytes(a), kb_key_bytes(b)));
        kb_key_free(a);
        kb_key_free(b);
    }
}

static void iterations(void **state)
{
    static const struct {
        int32_t etype;
        const char *params;
        enum kb_status status;
        uint64_t count;
    } counts[] = {
        {KB_ENCTYPE_AES256_SHA1, "", KB_OK, 4096},
        {KB_ENCTYPE_AES256_SHA384, "", KB_OK, 32768},
        {KB_ENCTYPE_AES128_SHA1, "00000001", KB_OK, 1},
        {KB_ENCTYPE_AES128_SHA1, "ffffffff", KB_OK, 0xffffffff},
        {KB_ENCTYPE_AES128_SHA1, "00000000", KB_OK, (uint64_t)1 << 32},
        {KB_ENCTYPE_AES128_SHA256, "00000000", KB_OK, (uint64_t)1 << 32},
        {KB_ENCTYPE_AES128_SHA1, "00", KB_BAD_PARAMS, 0},
        {KB_ENCTYPE_AES128_SHA1, "001000", KB_BAD_PARAMS, 0},
        {KB_ENCTYPE_AES128_SHA1, "0000100000", KB_BAD_PARAMS, 0},
    };

    (void)state;
    for (size_t i = 0; i < NUM(counts); i++) {
        const struct kb_enctype *enctype = kb_enctype_find(counts[i].etype);
        struct kb_key *key;
        uint64_t count;

        assert_int_equal(kb_s2k_iterations(enctype, unhex(counts[i].params), &count),
                         counts[i].status);
        if (counts[i].status == KB_OK) {
            assert_true(count == counts[i].count);
        } else {
            assert_int_equal(kb_string_to_key(counts[i].etype, KB_LIT("p"), KB_LIT("s"),
                                              unhex(counts[i].params), &key),
                             KB_BAD_PARAMS);
            assert_null(key);
        }
    }
}

static void empty_and_long_strings(void **state)
{
    uint8_t text[3000];
    struct kb_key *key;

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; kb_enctype_at(i) != NULL; i++) {
        int32_t etype = kb_enctype_at(i)->etype;

        if (kb_enctype_at(i)->old || lacks(etype)) { /* old: test_old_enctypes */
            continue;
        }
        assert_int_equal(kb_string_to_key(etype, KB_NONE, KB_NONE, unhex("00000001"), &key), KB_OK);
        kb_key_free(key);
        assert_int_equal(kb_string_to_key(etype, kb_bytes_of(text, sizeof(text)),
                                          kb_bytes_of(text, sizeof(text)), unhex("00000002"), &key),
                         KB_OK);
        kb_key_free(key);
    }
    assert_int_equal(kb_string_to_key(24, KB_NONE, KB_NONE, KB_NONE, &key), KB_NO_ENCTYPE);
    assert_null(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(default_parameters),
        cmocka_unit_test(iterations),
        cmocka_unit_test(empty_and_long_strings),
    };

    use_mode();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
