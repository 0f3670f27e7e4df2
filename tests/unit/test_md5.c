/* crypto/md5: RFC 1321 A.5. */
#include "tests/support/crypto.h"

#include "crypto/md5.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
