/* rc4-hmac, des3-cbc-sha1 and the three of single DES: messages, checksums, keys of passwords, PRF.
 */
#include "tests/support/crypto.h"

#include <pthread.h>

#include "crypto/checksum.h"
#include "crypto/crc.h"
#include "crypto/family.h"
#include "crypto/primitive.h"
#include "crypto/s2k.h"

/* clang-format off */
static const struct {
    int32_t etype;
    uint32_t usage;
    const char *key, *plain, *cipher;
} decrypt_rows[] = {
    /* MIT krb5-1.17's t_decrypt.c: 0, 1, 9, 13, 30 bytes (1.18 has no DES any more) */
    {KB_ENCTYPE_DES_CBC_CRC, 0, "45e6087cdf138fb5", "",
     "28f6b09a012bccf72fb05122b2839e6e"},
    {KB_ENCTYPE_DES_CBC_CRC, 1, "92a7155810586b2f", "1",
     "b4c871c2f3e7bf7605efd62f2eeec205"},
    {KB_ENCTYPE_DES_CBC_CRC, 2, "a4b9514a61646423", "9 bytesss",
     "5f14c35178d33d7cde0ec169c623cc8321b7b8bd34ea7efe"},
    {KB_ENCTYPE_DES_CBC_CRC, 3, "2f16a2a7fdb05768", "13 bytes byte",
     "0b588e38d971433c9d86d8baebf63e4c1a01666e76d8a54a3293f72679ed88c9"},
    {KB_ENCTYPE_DES_CBC_CRC, 4, "bc8f70fd2097d67c", "30 bytes bytes bytes bytes byt",
     "38d632d2c20a7c2ea250fc8ece42938e92a9f5d302502665c1a33729c1050dc2056298fbfb1682ceeb65e59204fda7df"},
    {KB_ENCTYPE_DES_CBC_MD4, 0, "13ef45d0d6d9a15d", "",
     "1fb202bf07af3047fb7801e588568686ba63d78be3e87dc7"},
    {KB_ENCTYPE_DES_CBC_MD4, 1, "64688654dc269e67", "1",
     "1f6cb9cecb73f755abfdb3d565bd31d5a2e64bfe44c491e20eebe5bd20e4d2a9"},
    {KB_ENCTYPE_DES_CBC_MD4, 2, "6804fb26df8a4c32", "9 bytesss",
     "08a53d62fec3338ad1d218e60dbdd3b212940679d125e0621b3bab4680ce03676a2c420e9be784eb"},
    {KB_ENCTYPE_DES_CBC_MD4, 3, "234a436ec72fa80b", "13 bytes byte",
     "17cd45e14ff06b2840a6036e9aa7a4144e29768144a0c1827d8c4bc7c9906e72cd4dc328f6648c99"},
    {KB_ENCTYPE_DES_CBC_MD4, 4, "1fd5f74334c4fb8c", "30 bytes bytes bytes bytes byt",
     "51134cd8951e9d57c0a36053e04ce03ecb8422488fddc5c074c4d85e60a2ae423c3c701201314f362cb07448091679c6a496c11d7b93c71b"},
    {KB_ENCTYPE_DES_CBC_MD5, 0, "4a545e0bf7a22631", "",
     "784cd81591a034be82556f56dca3224b62d9956fa90b1b93"},
    {KB_ENCTYPE_DES_CBC_MD5, 1, "d5804a269dc4e645", "1",
     "ffa25c7be287596bfe58126e90aaa0f12d9a82a0d86df6d5f9074b6b399e7ff1"},
    {KB_ENCTYPE_DES_CBC_MD5, 2, "c8312f7f83ea4640", "9 bytesss",
     "e7850337f2cc5e3f35ce3d69e2c3298638a7aa44b878031e39851e47c15b5d0ee7e7ac54de111d80"},
    {KB_ENCTYPE_DES_CBC_MD5, 3, "7fda3e62ad8af18c", "13 bytes byte",
     "d7a8032e19994c928777506595fbda9883158a8514548e296e911c29f465c672366000558bfc2e88"},
    {KB_ENCTYPE_DES_CBC_MD5, 4, "d3d6832970a73752", "30 bytes bytes bytes bytes byt",
     "8a48166a4c6feae607a8cf68b381c0755e402b19dbc0f81a7d7ca19a25e05223f6064409bf5a4f50acd826639ffa7673fd324ec19e429502"},
    {KB_ENCTYPE_DES3_CBC_SHA1, 0, "7a25df8992296dceda0e135bc4046e2375b3c14c98fbc162", "",
     "548af4d504f7d723303f12175fe8386b7b5335a967bad61f3bf0b143"},
    {KB_ENCTYPE_DES3_CBC_SHA1, 1, "bc0783891513d5ce57bc138fd3c11ae640452385322962b6", "1",
     "9c3c1dba4747d85af2916e4745f2dce38046796e5104bccdfb669a91d44bc356660945c7"},
    {KB_ENCTYPE_DES3_CBC_SHA1, 2, "2fd0f725ce04100d2fc8a18098831f850b45d9ef850bd920", "9 bytesss",
     "cf9144ebc8697981075a8bad8d74e5d7d591eb7d9770c7ada25ee8c5b3d69444dfec79a5b7a01482d9af74e6"},
    {KB_ENCTYPE_DES3_CBC_SHA1, 3, "0dd52094e0f41ceccb5be510a764b35176e3981332f1e598", "13 bytes byte",
     "839a17081ecbafbcdc91b88c6955dd3c4514023cf177b77bf0d0177a16f705e849cb7781d76a316b193f8d30"},
    {KB_ENCTYPE_DES3_CBC_SHA1, 4, "f11686cbbc9e23ea54fecd2a3dcdfb20b6fe98bf2645c4c4", "30 bytes bytes bytes bytes byt",
     "89433e83fd0ea3666cffcd18d8deebc53b9a34edbeb159d9f667c6c2b9a964401d55e7e9c68d648d65c3aa84ffa3790c14a864da8073a9a95c4ba2bc"},
    {KB_ENCTYPE_RC4_HMAC, 0, "f81fec39255f5784e850c4377c88bd85", "",
     "02c1eb15586144122ec717763dd348bf00434ddc6585954c"},
    {KB_ENCTYPE_RC4_HMAC, 1, "67d1300d281223867f9647ff48721273", "1",
     "6156e0cc04e0a0874f9fda008f498a7adbbc80b70b14dddbc0"},
    {KB_ENCTYPE_RC4_HMAC, 2, "3e40ab6093695281b3ac1a9304224d98", "9 bytesss",
     "0f9ad121d99d4a09448e4f1f718c4f5cbe6096262c66f29df232a87c9f98755d55"},
    {KB_ENCTYPE_RC4_HMAC, 3, "4ba2fbf0379faed87a254d3b353d5a7e", "13 bytes byte",
     "612c57568b17a70352bae8cf26fb9459a6f3353cd35fd439db3107cbec765d326dfc04c1dd"},
    {KB_ENCTYPE_RC4_HMAC, 4, "68f263db3fce15d031c9eab02d67107a", "30 bytes bytes bytes bytes byt",
     "95f9047c3ad75891c2e9b04b16566dc8b6eb9ce4231afb2542ef87a7b5a0f260a99f0460508de0cecc632d07c354124e46c5d2234eb8"},
};

/* impacket's test_krb5_crypto.py: test_RC4 */
static const struct {
    int32_t etype;
    uint32_t usage;
    const char *key, *confounder, *plain, *cipher;
} encrypt_rows[] = {
    {KB_ENCTYPE_RC4_HMAC, 4, "68f263db3fce15d031c9eab02d67107a", "37245e73a45fbf72",
     "30 bytes bytes bytes bytes byt",
     "95f9047c3ad75891c2e9b04b16566dc8b6eb9ce4231afb2542ef87a7b5a0f260a99f0460508de0cecc632d07c354124e46c5d2234eb8"},
};

static const struct {
    int32_t etype;
    const char *password, *salt, *params, *key;
} s2k_rows[] = {
    /* RFC 3961 A.2; MIT's t_str2key.c has them with the type octet */
    {KB_ENCTYPE_DES_CBC_MD5, "password", "ATHENA.MIT.EDUraeburn", "", "cbc22fae235298e3"},
    {KB_ENCTYPE_DES_CBC_MD5, "potatoe", "WHITEHOUSE.GOVdanny", "", "df3d32a74fd92a01"},
    {KB_ENCTYPE_DES_CBC_CRC, "\xf0\x9d\x84\x9e", "EXAMPLE.COMpianist", "00", "4ffb26bab0cd9413"},
    {KB_ENCTYPE_DES_CBC_MD4, "\xc3\x9f", "ATHENA.MIT.EDUJuri\xc5\xa1i\xc4\x87", "00", "62c81a5232b5e69d"},
    {KB_ENCTYPE_DES_CBC_CRC, "11119999", "AAAAAAAA", "", "984054d0f1a73e31"},
    {KB_ENCTYPE_DES_CBC_MD5, "NNNN6666", "FFFFAAAA", "00", "c4bf6b25adf7a4f8"},
    /* Heimdal's string-to-key-test.c, beyond those */
    {KB_ENCTYPE_DES_CBC_MD5, "", "", "", "01010101010101f1"},
    {KB_ENCTYPE_DES_CBC_MD5, "hej", "FOO.SEnisse", "", "fe67bf9e576bfe52"},
    {KB_ENCTYPE_DES_CBC_MD5, "hemligt", "FOO.SEassarliten", "", "5b9bcbf29743c840"},
    {KB_ENCTYPE_DES_CBC_MD5, "penny", "EXAMPLE.COMbuckaroo", "", "9443a2e532fdc4f1"},
    /* RFC 3961 A.4; Heimdal's string-to-key-test.c */
    {KB_ENCTYPE_DES3_CBC_SHA1, "password", "ATHENA.MIT.EDUraeburn", "", "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "potatoe", "WHITEHOUSE.GOVdanny", "", "dfcd233dd0a43204ea6dc437fb15e061b02979c1f74f377a"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "penny", "EXAMPLE.COMbuckaroo", "", "6d2fcdf2d6fbbc3ddcadb5da5710a23489b0d3b69d5d9d4a"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "\xc3\x9f", "ATHENA.MIT.EDUJuri\xc5\xa1i\xc4\x87", "", "16d5a40e1ce3bacb61b9dce00470324c831973a7b952feb0"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "\xf0\x9d\x84\x9e", "EXAMPLE.COMpianist", "", "85763726585dbc1cce6ec43e1f751f07f1c4cbb098f40b19"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "hej", "FOO.SEnisse", "", "0ebc239d6846f2d551985b57c157017904c4e9fec10e13d0"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "hemligt", "FOO.SEassarliten", "", "7f4067b9bcc440fb4373d9d3cd7cc767e67994d0a834df62"},
    /* Heimdal's string-to-key-test.c and aes-test.c, impacket's test_RC4_string_to_key */
    {KB_ENCTYPE_RC4_HMAC, "foo", "MATTERdoesnot", "", "ac8e657f83df82beea5d43bdaf7800cc"},
    {KB_ENCTYPE_RC4_HMAC, "test", "", "", "0cb6948805f797bf2a82807973b89537"},
    /* iconv -t UTF-16LE | openssl dgst -md4: nothing, U+1D11E, u umlaut, the euro and U+10FFFF */
    {KB_ENCTYPE_RC4_HMAC, "", "salt", "", "31d6cfe0d16ae931b73c59d7e0c089c0"},
    {KB_ENCTYPE_RC4_HMAC, "\xf0\x9d\x84\x9e", "", "", "78d54ecb6cc7c823f8b6d7acf67bf657"},
    {KB_ENCTYPE_RC4_HMAC, "g\xc3\xbcnther", "", "", "effed2a99fef765064095580dea328d3"},
    {KB_ENCTYPE_RC4_HMAC, "\xe2\x82\xac\xf4\x8f\xbf\xbf", "", "", "21be82e108fc86e10275b8c4be9534e0"},
};

/* Prf+ of GSS, of no bytes and of 61: MIT krb5-1.17's src/tests/gssapi/t_prf.c */
static const struct {
    int32_t etype;
    const char *key, *in, *out;
} gss_rows[] = {
    {KB_ENCTYPE_DES_CBC_CRC, "e607fe9dabb57ae0", "",
     "803c4121379fc4b87ce413b67707c4632ebed2c6d6b72a55e878836e35e21600d915d590ded5b6d77bb30a1f"},
    {KB_ENCTYPE_DES_CBC_CRC, "54758316b6257a75", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz123456789",
     "279e4105f7adc9bd6ef28abe31d89b442fe0058388ba33264acb5729562dc637950f6bd144b654be7700b2d6"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "70378a19cd64134580c27c0115d6b34a1cf2feecef9886a2", "",
     "9f8d127c520bb826bff3e0fe5ef352389c17e0c073d9ac4a333d644d21ba3ef24f4a886d143f85ac9f6377fb"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "3452a167df1094ba1089e0a20e9e51abef1525922558b69e", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz123456789",
     "6bf24fabc858f8dd9752e4fcd331bb831f238b5be1904eea42e38f7a60c588f075c5c96a67e7f8b7bd0aecf4"},
    {KB_ENCTYPE_RC4_HMAC, "3bb3ae288c12b3b9d06b208a4151b3b6", "",
     "9aea11a3bcf3c53f1f91f5a0ba2132e2501adf5f3c283c8a983ab88757ce865a22132d6100ead63e9e291afa"},
    {KB_ENCTYPE_RC4_HMAC, "6db7b33a01bd2b72f7655cb7b3d5fa0b", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz123456789",
     "cda9a544869fc84873b692663a82afda101c8611498ba46138b01e927c9b95eec953b562807434037837dddf"},
};

static const struct {
    int32_t cksumtype, etype; /* 0: no key */
    uint32_t usage;
    const char *key, *data, *sum;
} sum_rows[] = {
    /* MIT krb5-1.17's t_cksums.c */
    {KB_CKSUM_CRC32, 0, 0, "", "abc", "d09865ca"},
    {KB_CKSUM_RSA_MD4, 0, 0, "", "one", "305dcc2c0fdd5339969552c7b8996348"},
    {KB_CKSUM_RSA_MD5, 0, 0, "", "two three four five", "bab5321551e1084490869635b3c26815"},
    {KB_CKSUM_SHA1_OF_MIT, 0, 0, "", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {KB_CKSUM_SHA1_OLD, 0, 0, "", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {KB_CKSUM_SHA1, 0, 0, "", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {KB_CKSUM_HMAC_SHA1_DES3, KB_ENCTYPE_DES3_CBC_SHA1, 2,
     "7a25df8992296dceda0e135bc4046e2375b3c14c98fbc162", "six seven", "0eefc9c3e049aabc1ba5c401677d9ab699082bb4"},
    {KB_CKSUM_HMAC_SHA1_AES128, KB_ENCTYPE_AES128_SHA1, 3, "9062430c8cda3388922e6d6a509f5b7a",
     "eight nine ten eleven twelve thirteen", "01a4b088d45628f6946614e3"},
    {KB_CKSUM_HMAC_SHA1_AES256, KB_ENCTYPE_AES256_SHA1, 4,
     "b1ae4cd8462aff1677053cc9279aac30b796fb81ce21474dd3ddbcfea4ec76d7", "fourteen", "e08739e3279e2903ec8e3836"},
    {KB_CKSUM_MD5_HMAC, KB_ENCTYPE_RC4_HMAC, 5, "f7d3a155af5e238a0b7a871a96ba2ab2", "fifteen sixteen",
     "9f41df304907de735447001fd2a197b9"},
    {KB_CKSUM_HMAC_MD5, KB_ENCTYPE_RC4_HMAC, 6, "f7d3a155af5e238a0b7a871a96ba2ab2",
     "seventeen eighteen nineteen twenty", "eb38cc97e2230f59da4117dc5859d7ec"},
    /* the same key as one of AES: MIT's krb5_c_make_checksum asks for no enctype with -138 */
    {KB_CKSUM_HMAC_MD5, KB_ENCTYPE_AES128_SHA1, 6, "f7d3a155af5e238a0b7a871a96ba2ab2",
     "seventeen eighteen nineteen twenty", "eb38cc97e2230f59da4117dc5859d7ec"},
};

/* MIT krb5-1.17's crypto_tests/Makefile.in: what t_cksum4 and t_cksum5 verify; they are confounded */
static const struct {
    int32_t cksumtype;
    const char *sum;
} des_sums[] = {
    {KB_CKSUM_RSA_MD4_DES, "e3f76a07f3401e3536b43a3f54226c39422c35682c354835"},
    {KB_CKSUM_RSA_MD5_DES, "e3f76a07f3401e351143ee6f4c09be1edb4264d55015db53"},
};

/* RFC 3961 A.5 */
static const struct {
    const char *in, *out;
} crc_rows[] = {
    {"666f6f", "33bc3273"},
    {"7465737430313233343536373839", "d6883eb8"},
    {"4d41535341434856534554545320494e53544954565445204f4620544543484e4f4c4f4759", "f78041e3"},
    {"8000", "4b98833b"},
    {"0008", "3288db0e"},
    {"0080", "2083b8ed"},
    {"80", "2083b8ed"},
    {"80000000", "3bb659ed"},
    {"00000001", "96300777"},
};
/* clang-format on */

static const int32_t etypes[] = {KB_ENCTYPE_RC4_HMAC, KB_ENCTYPE_DES3_CBC_SHA1,
                                 KB_ENCTYPE_DES_CBC_MD5, KB_ENCTYPE_DES_CBC_MD4,
                                 KB_ENCTYPE_DES_CBC_CRC};

static struct kb_key *some_key(int32_t etype)
{
    switch (etype) {
    case KB_ENCTYPE_RC4_HMAC:
        return new_key(etype, "000102030405060708090a0b0c0d0e0f");
    case KB_ENCTYPE_DES3_CBC_SHA1:
        return new_key(etype, "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e");
    default:
        return new_key(etype, "45e6087cdf138fb5");
    }
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* DES cannot tell its padding from data. */
static void assert_padded(struct kb_key *key, kb_bytes got, kb_bytes wanted, const char *what)
{
    assert_true(got.len >= wanted.len && got.len - wanted.len < kb_key_enctype(key)->pad);
    assert_bytes(kb_bytes_of(got.ptr, wanted.len), wanted, what);
    assert_true(is_zero(got.ptr + wanted.len, got.len - wanted.len));
}

static void decrypt_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(decrypt_rows); i++) {
        struct kb_key *key = new_key(decrypt_rows[i].etype, decrypt_rows[i].key);
        kb_bytes cipher = unhex(decrypt_rows[i].cipher), plain = kb_str(decrypt_rows[i].plain);
        uint8_t out[128];
        size_t out_len;

        assert_int_equal(kb_encrypted_len(key, plain.len), cipher.len);
        assert_int_equal(kb_decrypt(key, decrypt_rows[i].usage, cipher, out, &out_len), KB_OK);
        assert_padded(key, kb_bytes_of(out, out_len), plain, decrypt_rows[i].cipher);
        kb_key_free(key);
    }
}

static void encrypt_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(encrypt_rows); i++) {
        struct kb_key *key = new_key(encrypt_rows[i].etype, encrypt_rows[i].key);
        kb_bytes confounder = unhex(encrypt_rows[i].confounder);
        kb_bytes plain = kb_str(encrypt_rows[i].plain);
        struct kb_rng rng = {fixed_fill, &confounder};
        uint8_t out[128];

        assert_int_equal(kb_encrypt(key, encrypt_rows[i].usage, &rng, plain, out), KB_OK);
        assert_bytes(kb_bytes_of(out, kb_encrypted_len(key, plain.len)),
                     unhex(encrypt_rows[i].cipher), encrypt_rows[i].cipher);
        kb_key_free(key);
    }
}

static void s2k_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(s2k_rows); i++) {
        struct kb_key *key;

        assert_int_equal(kb_string_to_key(s2k_rows[i].etype, kb_str(s2k_rows[i].password),
                                          kb_str(s2k_rows[i].salt), unhex(s2k_rows[i].params),
                                          &key),
                         KB_OK);
        assert_bytes(kb_key_bytes(key), unhex(s2k_rows[i].key), s2k_rows[i].key);
        kb_key_free(key);
    }
}

/* RFC 3961 6.2: no parameters, or DES's type 0; 1 is AFS's way, which is not done. */
static void s2k_parameters(void **state)
{
    static const struct {
        int32_t etype;
        const char *params;
        enum kb_status status;
    } rows[] = {
        {KB_ENCTYPE_DES_CBC_CRC, "", KB_OK},
        {KB_ENCTYPE_DES_CBC_CRC, "00", KB_OK},
        {KB_ENCTYPE_DES_CBC_CRC, "01", KB_BAD_PARAMS},
        {KB_ENCTYPE_DES_CBC_MD5, "0000", KB_BAD_PARAMS},
        {KB_ENCTYPE_DES_CBC_MD5, "00000000", KB_BAD_PARAMS},
        {KB_ENCTYPE_DES3_CBC_SHA1, "", KB_OK},
        {KB_ENCTYPE_DES3_CBC_SHA1, "00", KB_BAD_PARAMS},
        {KB_ENCTYPE_DES3_CBC_SHA1, "00001000", KB_BAD_PARAMS},
        {KB_ENCTYPE_RC4_HMAC, "", KB_OK},
        {KB_ENCTYPE_RC4_HMAC, "00", KB_BAD_PARAMS},
        {KB_ENCTYPE_RC4_HMAC, "00001000", KB_BAD_PARAMS},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        uint64_t rounds = 1;
        struct kb_key *key;

        assert_int_equal(
            kb_s2k_iterations(kb_enctype_find(rows[i].etype), unhex(rows[i].params), &rounds),
            rows[i].status);
        assert_int_equal(rounds, 0);
        assert_int_equal(kb_string_to_key(rows[i].etype, KB_LIT("password"), KB_LIT("salt"),
                                          unhex(rows[i].params), &key),
                         rows[i].status);
        kb_key_free(key);
    }
}

/* RFC 3629: overlong forms, surrogates, what is beyond U+10FFFF, stray and missing bytes. */
static void s2k_no_utf8(void **state)
{
    static const char *const rows[] = {
        "\x80",
        "a\xff",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xc3",
        "\xe2\x82",
        "\xf0\x9d\x84",
        "\xe2\x82z",
        "g\xfcnther",
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_key *key;

        assert_int_equal(
            kb_string_to_key(KB_ENCTYPE_RC4_HMAC, kb_str(rows[i]), KB_NONE, KB_NONE, &key),
            KB_BAD_TEXT);
        assert_null(key);
        /* DES and DES3 take bytes. */
        assert_int_equal(
            kb_string_to_key(KB_ENCTYPE_DES_CBC_MD5, kb_str(rows[i]), KB_NONE, KB_NONE, &key),
            KB_OK);
        kb_key_free(key);
    }
}

static void prf_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(gss_rows); i++) {
        struct kb_key *key = new_key(gss_rows[i].etype, gss_rows[i].key);
        uint8_t out[44];

        assert_int_equal(kb_prf_plus(key, KB_PRF_GSS, kb_str(gss_rows[i].in), out, sizeof(out)),
                         KB_OK);
        assert_bytes(kb_bytes_of(out, sizeof(out)), unhex(gss_rows[i].out), gss_rows[i].out);
        kb_key_free(key);
    }
}

/* MIT's t_cf2.in, t_cf2.expected: KRB-FX-CF2 of two keys whose passwords are "key1" and "key2". */
static void cf2_vector(int32_t etype, size_t len, kb_bytes wanted)
{
    struct kb_key *k1, *k2;
    uint8_t a[32], b[32], key[32];

    assert_int_equal(kb_string_to_key(etype, KB_LIT("key1"), KB_LIT("key1"), KB_NONE, &k1), KB_OK);
    assert_int_equal(kb_string_to_key(etype, KB_LIT("key2"), KB_LIT("key2"), KB_NONE, &k2), KB_OK);
    assert_int_equal(kb_prf_plus(k1, KB_PRF_PLUS, KB_LIT("a"), a, len), KB_OK);
    assert_int_equal(kb_prf_plus(k2, KB_PRF_PLUS, KB_LIT("b"), b, len), KB_OK);
    for (size_t i = 0; i < len; i++) {
        a[i] ^= b[i];
    }
    if (etype == KB_ENCTYPE_DES3_CBC_SHA1) {
        kb_des3_random_to_key(a, key);
    } else {
        memcpy(key, a, len);
    }
    assert_bytes(kb_bytes_of(key, wanted.len), wanted, "cf2");
    kb_key_free(k1);
    kb_key_free(k2);
}

static void cf2_vectors(void **state)
{
    (void)state;
    cf2_vector(KB_ENCTYPE_RC4_HMAC, 16, unhex("24d7f6b6bae4e5c00d2082c5ebab3672"));
    cf2_vector(KB_ENCTYPE_DES3_CBC_SHA1, KB_DES3_SEED_LEN,
               unhex("e58f9eb643862c13ad38e529313462a7f73e62834fe54a01"));
}

/* --- checksums --- */

static void sum_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(sum_rows); i++) {
        int32_t type = sum_rows[i].cksumtype;
        struct kb_key *key =
            sum_rows[i].etype != 0 ? new_key(sum_rows[i].etype, sum_rows[i].key) : NULL;
        kb_bytes data = kb_str(sum_rows[i].data), wanted = unhex(sum_rows[i].sum);
        uint8_t out[KB_MAX_CHECKSUM_LEN];

        assert_int_equal(kb_checksum_len(type), wanted.len);
        assert_int_equal(kb_checksum_is_keyed(type), key != NULL);
        assert_int_equal(kb_checksum_by_type(type, key, sum_rows[i].usage, data, out), KB_OK);
        assert_bytes(kb_bytes_of(out, wanted.len), wanted, sum_rows[i].sum);
        assert_int_equal(kb_checksum_verify_by_type(type, key, sum_rows[i].usage, data, wanted),
                         KB_OK);
        for (size_t bit = 0; bit < wanted.len * 8; bit++) {
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(kb_checksum_verify_by_type(type, key, sum_rows[i].usage, data,
                                                        kb_bytes_of(out, wanted.len)),
                             KB_BAD_INTEGRITY);
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t len = 0; len < wanted.len; len++) {
            assert_int_equal(kb_checksum_verify_by_type(type, key, sum_rows[i].usage, data,
                                                        kb_bytes_of(out, len)),
                             KB_BAD_INTEGRITY);
        }
        kb_key_free(key);
    }
}

static void des_sum_vectors(void **state)
{
    struct kb_key *key = new_key(KB_ENCTYPE_DES_CBC_CRC, "4501496158191a3d");
    kb_bytes data = KB_LIT("this is a test");

    (void)state;
    for (size_t i = 0; i < NUM(des_sums); i++) {
        int32_t type = des_sums[i].cksumtype;
        uint8_t out[24], again[24];
        kb_bytes sum = kb_bytes_of(out, sizeof(out));

        memcpy(out, unhex(des_sums[i].sum).ptr, sizeof(out));
        assert_int_equal(kb_checksum_verify(key, 6, type, data, sum), KB_OK);
        assert_int_equal(kb_checksum_verify_by_type(type, key, 6, data, sum), KB_OK);
        for (size_t bit = 0; bit < 24 * 8; bit++) {
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(kb_checksum_verify(key, 6, type, data, sum), KB_BAD_INTEGRITY);
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t len = 0; len < 24; len++) {
            assert_int_equal(kb_checksum_verify(key, 6, type, data, kb_bytes_of(out, len)),
                             KB_BAD_INTEGRITY);
        }
        assert_int_equal(kb_checksum_by_type(type, key, 6, data, out), KB_OK);
        assert_int_equal(kb_checksum_by_type(type, key, 6, data, again), KB_OK);
        assert_false(kb_equal(sum, kb_bytes_of(again, sizeof(again)))); /* confounded */
        assert_int_equal(kb_checksum_verify(key, 6, type, data, sum), KB_OK);
        assert_int_equal(kb_checksum_verify(key, 6, type, KB_LIT("this is a tesT"), sum),
                         KB_BAD_INTEGRITY);
    }
    kb_key_free(key);
}

/* Where a keyed checksum is wanted, no unkeyed one is taken, and none of another kind of key. */
static void sum_strictness(void **state)
{
    static const int32_t types[] = {1,  2,  3,  7,    8,    9, 10, 12, 14, 15, 16,    17,
                                    18, 19, 20, -137, -138, 0, 4,  5,  6,  13, 0x8003};
    static const struct {
        int32_t etype, takes[2];
    } rows[] = {
        {KB_ENCTYPE_RC4_HMAC, {-138, -138}}, {KB_ENCTYPE_DES_CBC_MD5, {3, 8}},
        {KB_ENCTYPE_DES_CBC_MD4, {3, 8}},    {KB_ENCTYPE_DES_CBC_CRC, {3, 8}},
        {KB_ENCTYPE_AES256_SHA1, {16, 16}},  {KB_ENCTYPE_AES128_SHA256, {19, 19}},
    };
    kb_bytes data = KB_LIT("data");

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        uint8_t raw[KB_MAX_KEY_LEN] = {1, 2, 3}, sum[KB_MAX_CHECKSUM_LEN];
        struct kb_key *key;

        assert_int_equal(kb_key_new(rows[i].etype,
                                    kb_bytes_of(raw, kb_enctype_find(rows[i].etype)->key_len),
                                    &key),
                         KB_OK);
        for (size_t t = 0; t < NUM(types); t++) {
            bool takes = types[t] == rows[i].takes[0] || types[t] == rows[i].takes[1];
            size_t len = kb_checksum_len(types[t]);
            enum kb_status made = kb_checksum_by_type(types[t], key, 6, data, sum);

            assert_true(len != 0 || made == KB_NO_ENCTYPE);
            assert_int_equal(kb_checksum_verify(key, 6, types[t], data, kb_bytes_of(sum, len)),
                             takes ? KB_OK : KB_NO_ENCTYPE);
            if (kb_checksum_is_keyed(types[t])) {
                assert_int_equal(kb_checksum_by_type(types[t], NULL, 6, data, sum), KB_NO_ENCTYPE);
            }
        }
        kb_key_free(key);
    }
}

static void crc_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(crc_rows); i++) {
        kb_bytes in = unhex(crc_rows[i].in), wanted = unhex(crc_rows[i].out);

        for (size_t cut = 0; cut <= in.len; cut++) {
            kb_bytes parts[] = {{in.ptr, cut}, {in.ptr + cut, in.len - cut}};
            uint8_t out[KB_CRC_LEN];

            kb_crc(parts, 2, out);
            assert_bytes(kb_bytes_of(out, sizeof(out)), wanted, crc_rows[i].in);
        }
    }
}

/* --- messages --- */

static void every_length(void **state)
{
    static uint8_t plain[4096], cipher[4200], out[4200];

    (void)state;
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t)(i * 7);
    }
    for (size_t e = 0; e < NUM(etypes); e++) {
        struct kb_key *key = some_key(etypes[e]);

        for (size_t len = 0; len <= sizeof(plain); len = next_len(len)) {
            kb_bytes text = kb_bytes_of(plain, len);
            size_t cipher_len = kb_encrypted_len(key, len), out_len;
            kb_bytes sealed = kb_bytes_of(cipher, cipher_len);

            assert_true(cipher_len <= len + KB_MAX_OVERHEAD);
            cipher[cipher_len] = 0x5a;
            assert_int_equal(kb_encrypt(key, 7, &kb_rng_system, text, cipher), KB_OK);
            assert_int_equal(cipher[cipher_len], 0x5a);
            assert_int_equal(kb_decrypt(key, 7, sealed, out, &out_len), KB_OK);
            assert_padded(key, kb_bytes_of(out, out_len), text, "elsewhere");
            assert_int_equal(kb_decrypt(key, 7, sealed, cipher, &out_len), KB_OK);
            assert_padded(key, kb_bytes_of(cipher, out_len), text, "in place");
            assert_true(is_zero(cipher + out_len, cipher_len - out_len));
        }
        kb_key_free(key);
    }
}

/* Plaintext anywhere in what it is sealed into. */
static void overlapping(void **state)
{
    (void)state;
    for (size_t e = 0; e < NUM(etypes); e++) {
        struct kb_key *key = some_key(etypes[e]);

        for (size_t at = 0; at < 40; at++) {
            uint8_t buf[128];
            size_t out_len;

            memcpy(buf + at, "what is sealed", 14);
            assert_int_equal(kb_encrypt(key, 7, &kb_rng_system, kb_bytes_of(buf + at, 14), buf),
                             KB_OK);
            assert_int_equal(
                kb_decrypt(key, 7, kb_bytes_of(buf, kb_encrypted_len(key, 14)), buf, &out_len),
                KB_OK);
            assert_padded(key, kb_bytes_of(buf, out_len), KB_LIT("what is sealed"), "overlapping");
        }
        kb_key_free(key);
    }
}

static void assert_refused(struct kb_key *key, uint32_t usage, kb_bytes cipher)
{
    uint8_t out[128];
    size_t out_len = 1;

    memset(out, 0xa5, sizeof(out));
    assert_int_equal(kb_decrypt(key, usage, cipher, out, &out_len), KB_BAD_INTEGRITY);
    assert_int_equal(out_len, 0);
    assert_true(is_zero(out, cipher.len));
    assert_int_equal(out[cipher.len], 0xa5);
    if (cipher.len > 0) {
        memcpy(out, cipher.ptr, cipher.len);
    }
    assert_int_equal(kb_decrypt(key, usage, kb_bytes_of(out, cipher.len), out, &out_len),
                     KB_BAD_INTEGRITY);
    assert_true(is_zero(out, cipher.len));
}

/* A CRC is linear and DES-CBC malleable: what changes nothing but the plaintext's last bits can be
 * caught by it all the same, with one exception in 2^32. */
static void tampering(void **state)
{
    (void)state;
    for (size_t e = 0; e < NUM(etypes); e++) {
        struct kb_key *key = some_key(etypes[e]), *other;
        uint8_t cipher[128];
        size_t len = kb_encrypted_len(key, 37);

        assert_int_equal(kb_key_random(etypes[e], &kb_rng_system, &other), KB_OK);
        for (uint32_t usage = 8; usage <= 9; usage++) {
            assert_int_equal(kb_encrypt(key, usage, &kb_rng_system,
                                        KB_LIT("thirty-seven bytes, one less than ten"), cipher),
                             KB_OK);
            for (size_t bit = 0; bit < len * 8; bit++) {
                cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_refused(key, usage, kb_bytes_of(cipher, len));
                cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
            }
            for (size_t cut = 0; cut < len; cut++) {
                assert_refused(key, usage, kb_bytes_of(cipher, cut));
                assert_refused(key, usage, kb_bytes_of(cipher + len - cut, cut));
            }
            assert_refused(other, usage, kb_bytes_of(cipher, len));
        }
        kb_key_free(key);
        kb_key_free(other);
    }
}

/* RFC 4757 numbers usages in its own way: 3 is its 8, 23 its 13. A TGS-REP under the subkey (9) is
 * taken under 8 too, and sealed as 9. */
static void rc4_usages(void **state)
{
    static const struct {
        uint32_t sealed, opened;
        enum kb_status status;
    } rows[] = {
        {3, 8, KB_OK},
        {8, 3, KB_OK},
        {23, 13, KB_OK},
        {13, 23, KB_OK},
        {8, 9, KB_OK},
        {3, 9, KB_OK},
        {9, 8, KB_BAD_INTEGRITY},
        {9, 3, KB_BAD_INTEGRITY},
        {22, 13, KB_BAD_INTEGRITY},
        {24, 13, KB_BAD_INTEGRITY},
        {25, 13, KB_BAD_INTEGRITY},
        {1, 2, KB_BAD_INTEGRITY},
        {8, 11, KB_BAD_INTEGRITY},
    };
    struct kb_key *key = some_key(KB_ENCTYPE_RC4_HMAC);

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        uint8_t cipher[64], out[64];
        kb_bytes sealed = kb_bytes_of(cipher, kb_encrypted_len(key, 5));
        size_t out_len;

        assert_int_equal(kb_encrypt(key, rows[i].sealed, &kb_rng_system, KB_LIT("hello"), cipher),
                         KB_OK);
        assert_int_equal(kb_decrypt(key, rows[i].opened, sealed, out, &out_len), rows[i].status);
        assert_int_equal(kb_decrypt(key, rows[i].opened, sealed, cipher, &out_len), rows[i].status);
        assert_int_equal(out_len, rows[i].status == KB_OK ? 5 : 0);
    }
    kb_key_free(key);
}

/* --- keys --- */

static void des_keys(void **state)
{
    /* FIPS 74's weak and semi-weak keys, some with parity bits that are wrong. */
    static const char *const weak[] = {"0101010101010101", "fefefefefefefefe", "1f1f1f1f0e0e0e0e",
                                       "e0e0e0e0f1f1f1f1", "0000000000000000", "ffffffffffffffff",
                                       "01fe01fe01fe01fe", "fe01fe01fe01fe01", "1fe01fe00ef10ef1",
                                       "e01fe01ff10ef10e", "01e001e001f101f1", "e001e001f101f101",
                                       "1ffe1ffe0efe0efe", "fe1ffe1ffe0efe0e", "011f011f010e010e",
                                       "1f011f010e010e01", "e0fee0fef1fef1fe", "fee0fee0fef1fef1"};
    struct kb_key *key;

    (void)state;
    for (size_t i = 0; i < NUM(weak); i++) {
        kb_bytes drawn = unhex(weak[i]);
        struct kb_rng rng = {fixed_fill, &drawn};

        assert_int_equal(kb_key_new(KB_ENCTYPE_DES_CBC_MD5, drawn, &key), KB_BAD_KEY);
        assert_null(key);
        /* Drawn ones become others. */
        assert_int_equal(kb_key_random(KB_ENCTYPE_DES_CBC_MD5, &rng, &key), KB_OK);
        assert_int_equal(kb_key_bytes(key).ptr[7] >> 1, (unhex(weak[i]).ptr[7] ^ 0xf0) >> 1);
        kb_key_free(key);
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(kb_key_random(KB_ENCTYPE_DES_CBC_CRC, &kb_rng_system, &key), KB_OK);
        for (size_t at = 0; at < 8; at++) {
            assert_int_equal(__builtin_parity(kb_key_bytes(key).ptr[at]), 1);
        }
        kb_key_free(key);
    }
    assert_int_equal(kb_key_new(KB_ENCTYPE_DES_CBC_MD5, KB_LIT("1234567"), &key), KB_BAD_KEY);
    assert_int_equal(kb_key_new(KB_ENCTYPE_RC4_HMAC, KB_LIT("123456789012345"), &key), KB_BAD_KEY);
}

/* RFC 3961 A.3: DR and DK */
static void des3_keys(void **state)
{
    /* clang-format off */
    static const char *const rows[][2] = {
        {"935079d14490a75c3093c4a6e8c3b049c71e6ee705", "925179d04591a79b5d3192c4a7e9c289b049c71f6ee604cd"},
        {"9f58e5a047d894101c469845d67ae3c5249ed812f2", "9e58e5a146d9942a101c469845d67a20e3c4259ed913f207"},
        {"12fff90c773f956d13fc2ca0d0840349dbd39908eb", "13fef80d763e94ec6d13fd2ca1d085070249dad39808eabf"},
        {"f8debf05b097e7dc0603686aca35d91fd9a5516a70", "f8dfbf04b097e6d9dc0702686bcb3489d91fd9a4516b703e"},
        {"2270db565d2a3d64cfbfdc5305d4f778a6de42d9da", "2370da575d2a3da864cebfdc5204d56df779a7df43d9da43"},
        {"348056ec98fcc517171d2b4d7a9493af482d999175", "348057ec98fdc48016161c2a4c7a943e92ae492c989175f7"},
        {"a8818bc367dadacbe9a6c84627fb60c294b01215e5", "a8808ac267dada3dcbe9a7c84626fbc761c294b01315e5c1"},
        {"c813f88b3be2b2f75424ce9175fbc8483b88c8713a", "c813f88a3be3b334f75425ce9175fbe3c8493b89c8703b49"},
        {"f58efc6f83f93e55e695fd252cf8fe59f7d5ba37ec", "f48ffd6e83f83e7354e694fd252cf83bfe58f7d5ba37ec5d"},
        /* three weak keys: FIPS 74, corrected as in RFC 3961 6.2 */
        {"000000000000000000000000000000000000000000", "01010101010101f101010101010101f101010101010101f1"},
    };
    /* clang-format on */
    struct kb_key *key;

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        uint8_t out[24];

        kb_des3_random_to_key(unhex(rows[i][0]).ptr, out);
        assert_bytes(kb_bytes_of(out, sizeof(out)), unhex(rows[i][1]), rows[i][0]);
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(kb_key_random(KB_ENCTYPE_DES3_CBC_SHA1, &kb_rng_system, &key), KB_OK);
        for (size_t at = 0; at < 24; at++) {
            assert_int_equal(__builtin_parity(kb_key_bytes(key).ptr[at]), 1);
        }
        kb_key_free(key);
    }
    assert_int_equal(kb_key_new(KB_ENCTYPE_DES3_CBC_SHA1, unhex("850bb51358548cd0"), &key),
                     KB_BAD_KEY);
}

#define NUM_THREADS 6 /* more than a key keeps contexts */

static void *use_key(void *arg)
{
    struct kb_key *key = arg;
    uintptr_t bad = 0;

    for (int i = 0; i < 300; i++) {
        uint8_t cipher[200], sum[64];
        kb_bytes plain = KB_LIT("one of many messages");
        uint32_t usage = 20 + (uint32_t)i % 5;
        size_t len = kb_encrypted_len(key, plain.len), out_len = 0;

        bad += kb_encrypt(key, usage, &kb_rng_system, plain, cipher) != KB_OK;
        bad += kb_decrypt(key, usage, kb_bytes_of(cipher, len), cipher, &out_len) != KB_OK;
        bad += !kb_equal(plain, kb_bytes_of(cipher, plain.len));
        bad += kb_checksum_make(key, usage, plain, sum) != KB_OK;
        bad += kb_checksum_verify(
                   key, usage, kb_key_enctype(key)->cksumtype, plain,
                   kb_bytes_of(sum, kb_checksum_len(kb_key_enctype(key)->cksumtype))) != KB_OK;
    }
    kb_key_free(key);
    return (void *)bad;
}

static void threads_on_one_key(void **state)
{
    (void)state;
    for (size_t e = 0; e < NUM(etypes); e++) {
        struct kb_key *key = some_key(etypes[e]);
        pthread_t threads[NUM_THREADS];
        void *bad;

        for (size_t i = 0; i < NUM_THREADS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, use_key, kb_key_ref(key)), 0);
        }
        kb_key_free(key);
        for (size_t i = 0; i < NUM_THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], &bad), 0);
            assert_null(bad);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decrypt_vectors), cmocka_unit_test(encrypt_vectors),
        cmocka_unit_test(s2k_vectors),     cmocka_unit_test(s2k_parameters),
        cmocka_unit_test(s2k_no_utf8),     cmocka_unit_test(prf_vectors),
        cmocka_unit_test(cf2_vectors),     cmocka_unit_test(sum_vectors),
        cmocka_unit_test(des_sum_vectors), cmocka_unit_test(sum_strictness),
        cmocka_unit_test(crc_vectors),     cmocka_unit_test(every_length),
        cmocka_unit_test(overlapping),     cmocka_unit_test(tampering),
        cmocka_unit_test(rc4_usages),      cmocka_unit_test(des_keys),
        cmocka_unit_test(des3_keys),       cmocka_unit_test(threads_on_one_key),
    };

    use_mode();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
