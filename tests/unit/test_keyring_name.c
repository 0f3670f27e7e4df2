/* mech/names/keyring_name: names of KEYRING: caches as MIT's parse_residual reads them, and the
 * index of a collection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "mech/names/keyring_name.h"

#define ONE true
#define ALL false

static const struct {
    const char *text;
    enum kb_keyring_anchor anchor;
    bool is_one;
    const char *collection, *subsidiary;
} names[] = {
    /* The three forms of cc_keyring.c's head comment. */
    {"session:work:krb_ccache_a1B2c3D", KB_KEYRING_SESSION, ONE, "work", "krb_ccache_a1B2c3D"},
    {"session:work", KB_KEYRING_SESSION, ALL, "work", ""},
    {"work", KB_KEYRING_LEGACY, ALL, "work", ""},
    {"persistent:1000", KB_KEYRING_PERSISTENT, ALL, "1000", ""},
    {"persistent:1000:1000", KB_KEYRING_PERSISTENT, ONE, "1000", "1000"},
    {"persistent:4294967294", KB_KEYRING_PERSISTENT, ALL, "4294967294", ""},
    {"process:x", KB_KEYRING_PROCESS, ALL, "x", ""},
    {"thread:x", KB_KEYRING_THREAD, ALL, "x", ""},
    {"user:x", KB_KEYRING_USER, ALL, "x", ""},
    {"legacy:x:x", KB_KEYRING_LEGACY, ONE, "x", "x"},
    /* Empty parts; an anchor's name without a colon is a collection's. */
    {"", KB_KEYRING_LEGACY, ALL, "", ""},
    {"session:", KB_KEYRING_SESSION, ALL, "", ""},
    {"persistent:", KB_KEYRING_PERSISTENT, ALL, "", ""},
    {"legacy::tkt", KB_KEYRING_LEGACY, ONE, "", "tkt"},
    {"user", KB_KEYRING_LEGACY, ALL, "user", ""},
    {"with space/and slash", KB_KEYRING_LEGACY, ALL, "with space/and slash", ""},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct kb_keyring_name name;
        const char *why;

        assert_int_equal(kb_keyring_name_parse(names[i].text, &name, &why), KB_OK);
        assert_null(why);
        assert_int_equal(name.anchor, names[i].anchor);
        assert_int_equal(name.is_one, names[i].is_one);
        assert_true(kb_equal(name.collection, kb_str(names[i].collection)));
        assert_true(kb_equal(name.subsidiary, kb_str(names[i].subsidiary)));
    }
}

static const struct {
    const char *text, *why;
} wrong[] = {
    {":x", "there is no such anchor"},
    {"Session:x", "there is no such anchor"}, /* strcmp(3), in MIT */
    {"sessions:x", "there is no such anchor"},
    {"sess:x", "there is no such anchor"},
    {"1000:persistent", "there is no such anchor"},
    {"persistent:alice", "named by a user id"},
    {"persistent:1000x", "named by a user id"},
    {"persistent:+5", "named by a user id"},
    {"persistent: 5", "named by a user id"},
    {"persistent:-1", "named by a user id"},
    {"persistent:4294967295", "named by a user id"},
    {"persistent:18446744073709551616", "named by a user id"},
    {"session:x:", "no name of a cache"},
    {"session::", "no name of a cache"},
    {"session:x:a:b", "has no colon"},
    {"session:x:.a", "begin with a dot"},
    {".x", "begin with a dot"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct kb_keyring_name name;
        const char *why;

        assert_int_equal(kb_keyring_name_parse(wrong[i].text, &name, &why), KB_MALFORMED);
        assert_non_null(strstr(why, wrong[i].why));
        assert_int_equal(kb_keyring_name_parse(wrong[i].text, &name, NULL), KB_MALFORMED);
    }
}

static struct kb_keyring_name parsed(const char *text)
{
    struct kb_keyring_name name;

    assert_int_equal(kb_keyring_name_parse(text, &name, NULL), KB_OK);
    return name;
}

static void test_of_the_name(void **state)
{
    struct kb_keyring_name name;

    (void)state;
    name = parsed("persistent:1234");
    assert_int_equal(kb_keyring_name_uid(&name), 1234);
    assert_true(kb_equal(kb_keyring_name_first(&name), KB_LIT("1234")));
    name = parsed("persistent:");
    assert_int_equal(kb_keyring_name_uid(&name), geteuid());
    assert_true(kb_equal(kb_keyring_name_first(&name), KB_LIT("tkt")));
    name = parsed("session:x");
    assert_true(kb_equal(kb_keyring_name_first(&name), KB_LIT("x")));
}

/* What `kinit -c KEYRING:session:x` of MIT 1.20.1 put into krb_ccache:primary, and keyctl pipe
 * gave. */
#define PRIMARY KB_LIT("\0\0\0\1\0\0\0\1x")

static void test_index(void **state)
{
    static const struct {
        kb_bytes payload;
        enum kb_status st;
    } bad[] = {
        {{NULL, 0}, KB_MALFORMED},
        {KB_LIT("\0\0\0\1\0\0\0"), KB_MALFORMED},
        {KB_LIT("\0\0\0\1\0\0\0\2x"), KB_MALFORMED},
        {KB_LIT("\0\0\0\1\0\0\0\0"), KB_MALFORMED},
        {KB_LIT("\0\0\0\1\0\0\0\2x\0"), KB_MALFORMED},
        {KB_LIT("\0\0\0\1\xff\xff\xff\xffx"), KB_MALFORMED},
        {KB_LIT("\0\0\0\2\0\0\0\1x"), KB_WRONG_TYPE},
    };
    struct kb_buf buf;
    kb_bytes name;

    (void)state;
    assert_int_equal(kb_keyring_index_get(PRIMARY, &name), KB_OK);
    assert_true(kb_equal(name, KB_LIT("x")));
    kb_buf_init(&buf, 100);
    kb_keyring_index_put(&buf, KB_LIT("x"));
    assert_true(kb_equal(kb_buf_bytes(&buf), PRIMARY));
    kb_buf_wipe(&buf);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(kb_keyring_index_get(bad[i].payload, &name), bad[i].st);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_of_the_name),
        cmocka_unit_test(test_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
