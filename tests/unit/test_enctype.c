/* crypto/enctype: the table and its names. */
#include "tests/support/crypto.h"

#include "crypto/checksum.h"

static void every_row_is_whole(void **state)
{
    (void)state;
    assert_null(kb_enctype_at(1000));
    for (size_t i = 0; kb_enctype_at(i) != NULL; i++) {
        const struct kb_enctype *row = kb_enctype_at(i);

        assert_ptr_equal(kb_enctype_find(row->etype), row);
        assert_ptr_equal(kb_enctype_by_name(kb_str(row->name)), row);
        assert_true(row->key_len <= KB_MAX_KEY_LEN);
        assert_true(row->mac_len <= KB_MAX_CHECKSUM_LEN);
        assert_true(row->confounder_len + row->mac_len <= KB_MAX_OVERHEAD);
        assert_true(row->old || row->default_iterations > 0);
        assert_int_equal(kb_checksum_is_keyed(row->cksumtype), true);
        assert_non_null(row->ops);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(kb_enctype_at(j)->etype, row->etype);
        }
    }
}

static void names(void **state)
{
    /* MIT etypes.c; upper and lower case are the same. */
    static const struct {
        const char *name;
        int32_t etype;
    } rows[] = {
        {"aes128-cts-hmac-sha1-96", 17},
        {"aes128-cts", 17},
        {"aes128-sha1", 17},
        {"aes256-cts-hmac-sha1-96", 18},
        {"aes256-cts", 18},
        {"aes256-sha1", 18},
        {"aes128-cts-hmac-sha256-128", 19},
        {"aes128-sha2", 19},
        {"aes256-cts-hmac-sha384-192", 20},
        {"aes256-sha2", 20},
        {"des3-cbc-sha1", 16},
        {"des3-hmac-sha1", 16},
        {"des3-cbc-sha1-kd", 16},
        {"camellia128-cts-cmac", 25},
        {"camellia128-cts", 25},
        {"camellia256-cts-cmac", 26},
        {"camellia256-cts", 26},
        {"AES256-CTS", 18},
        {"rc4-hmac", 23},
        {"arcfour-hmac", 23},
        {"ArcFour-HMAC-MD5", 23},
        {"des-cbc-crc", 1},
        {"des-cbc-md4", 2},
        {"des-cbc-md5", 3},
        {"Aes128-Cts-Hmac-SHA256-128", 19},
    };
    static const char *const unknown[] = {"",          " ",           "aes",
                                          "aes256",    "aes256-cts ", "aes256-cts aes256-sha1",
                                          "aes256-ct", "rc4",         "des"};

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_enctype *found = kb_enctype_by_name(kb_str(rows[i].name));

        assert_non_null(found);
        assert_int_equal(found->etype, rows[i].etype);
    }
    for (size_t i = 0; i < NUM(unknown); i++) {
        assert_null(kb_enctype_by_name(kb_str(unknown[i])));
    }
}

static void names_for_messages(void **state)
{
    char buf[24];

    (void)state;
    assert_string_equal(kb_enctype_name(18, buf), "aes256-cts-hmac-sha1-96");
    assert_string_equal(kb_enctype_name(23, buf), "rc4-hmac");
    assert_string_equal(kb_enctype_name(3, buf), "des-cbc-md5");
    assert_string_equal(kb_enctype_name(26, buf), "camellia256-cts-cmac");
    assert_string_equal(kb_enctype_name(12345, buf), "etype 12345");
    assert_string_equal(kb_enctype_name(INT32_MIN, buf), "etype -2147483648");
    assert_null(kb_enctype_find(24));
    assert_null(kb_enctype_find(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(names),
        cmocka_unit_test(names_for_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
