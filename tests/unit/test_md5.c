/* crypto/md5: RFC 1321 A.5; HMAC-MD5 of crypto/hmac: RFC 2202 2. */
#include "tests/support/crypto.h"

#include "crypto/hmac.h"
#include "crypto/md5.h"
#include "crypto/provider.h"

static void vectors(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        kb_bytes in = kb_str(rows[i].in);

        for (size_t cut = 0; cut <= in.len; cut++) {
            kb_bytes pieces[] = {{in.ptr, cut}, {in.ptr + cut, in.len - cut}, KB_NONE};
            uint8_t out[KB_MD5_LEN];

            assert_int_equal(kb_md5(pieces, NUM(pieces), out), KB_OK);
            assert_bytes(kb_bytes_of(out, sizeof(out)), unhex(rows[i].out), rows[i].in);
        }
    }
}

#define TWENTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define EIGHTY TWENTY TWENTY TWENTY TWENTY

static void hmac(void **state)
{
    static const struct {
        const char *key, *data, *out;
    } rows[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "9294727a3638bb1c13f48ef8158bfc9d"},
        {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "750c783e6ab0b503eaa86e310a5db738"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
         "ddd"
         "dddddddd",
         "56be34521d144c88dbb8c733f0e8b3f6"},
        {"0102030405060708090a0b0c0d0e0f10111213141516171819",
         "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
         "dcd"
         "cdcdcdcd",
         "697eaf0aca3a3aea3a75164746ffaa79"},
        {"0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "546573742057697468205472756e636174696f6e",
         "56461ef2342edc00f9bab995690efd4c"},
        {EIGHTY,
         "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20486173682"
         "04b"
         "6579204669727374",
         "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
        {EIGHTY,
         "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920616e64204c617"
         "267"
         "6572205468616e204f6e6520426c6f636b2d53697a652044617461",
         "6f630fad67cda0ee1fb1f562db3aa53e"},
    };

    (void)state;
    assert_int_equal(kb_provider_load(), KB_OK);
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_hmac_key key;
        kb_bytes in = unhex(rows[i].data), wanted = unhex(rows[i].out);

        kb_hmac_key_init(&key, KB_MD5, unhex(rows[i].key));
        for (size_t cut = 0; cut <= in.len; cut++) {
            kb_bytes pieces[] = {{in.ptr, cut}, {in.ptr + cut, in.len - cut}};
            uint8_t out[KB_MAX_DIGEST_LEN];

            assert_int_equal(kb_hmac_parts(&key, pieces, NUM(pieces), out), KB_OK);
            assert_bytes(kb_bytes_of(out, KB_MD5_LEN), wanted, rows[i].data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(hmac)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
