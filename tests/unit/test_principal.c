/* mech/names/principal: the text form, both ways, and comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/names/principal.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

static const char default_realm[] = "ATHENA.MIT.EDU";

static struct kb_principal *parse(const char *text, int32_t name_type, const char *realm)
{
    struct kb_principal *principal = NULL;

    assert_int_equal(kb_principal_parse(kb_str(text), name_type, kb_str(realm), &principal), KB_OK);
    assert_non_null(principal);
    return principal;
}

static void assert_text(const struct kb_principal *principal, const char *text)
{
    struct kb_buf buf;

    kb_buf_init(&buf, 4096);
    kb_principal_unparse(principal, &buf);
    assert_string_equal(kb_buf_str(&buf), text);
    kb_buf_wipe(&buf);
}

/* MIT src/lib/krb5/krb/t_ref_kerb.out, and t_princ.c; NULL: unparses to what was parsed. */
static const struct {
    const char *text;
    int32_t name_type;
    const char *unparsed;
    size_t num;
    int32_t type;
} good[] = {
    {"tytso", KB_NT_PRINCIPAL, "tytso@ATHENA.MIT.EDU", 1, 1},
    {"tytso@SHAZAAM", KB_NT_PRINCIPAL, NULL, 1, 1},
    {"tytso/root@VEGGIE.COM", KB_NT_PRINCIPAL, NULL, 2, 1},
    {"tytso/tuber/carrot@VEGGIE.COM", KB_NT_PRINCIPAL, NULL, 3, 1},
    {"tytso/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t", KB_NT_PRINCIPAL,
     "tytso/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t@ATHENA.MIT.EDU", 21, 1},
    {"tytso/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t@FOO", KB_NT_PRINCIPAL, NULL, 21, 1},
    {"tytso\\\\0/\\0@B\\n\\t\\\\GAG", KB_NT_PRINCIPAL, NULL, 2, 1},
    {"tytso/\\n/\\b\\t@B\\0hacky-test", KB_NT_PRINCIPAL, NULL, 3, 1},
    {"\\/slash/\\@atsign/octa\\/thorpe@\\/slash\\@at\\/sign", KB_NT_PRINCIPAL, NULL, 3, 1},
    {"host/www.krb5.test@KRB5.TEST", KB_NT_PRINCIPAL, NULL, 2, 1},
    {"krbtg/KRB5.TEST@KRB5.TEST", KB_NT_PRINCIPAL, NULL, 2, 1},
    {"krbtgt/KRB5.TEST@KRB5.TEST", KB_NT_PRINCIPAL, NULL, 2, 2},
    {"WELLKNOWN/ANONYMOUS@KRB5.TEST", KB_NT_PRINCIPAL, NULL, 2, 11},
    {"test\\/principal@SU.SE", KB_NT_PRINCIPAL, NULL, 1, 1},
    {"lha\\@su.se@WIN.SU.SE", KB_NT_PRINCIPAL, NULL, 1, 1},
    {"lha@su.se@WIN.SU.SE", KB_NT_ENTERPRISE, "lha\\@su.se@WIN.SU.SE", 1, 10},
    {"lha\\@su.se@WIN.SU.SE", KB_NT_ENTERPRISE, "lha\\@su.se\\@WIN.SU.SE@ATHENA.MIT.EDU", 1, 10},
    {"lha@su.se", KB_NT_ENTERPRISE, "lha\\@su.se@ATHENA.MIT.EDU", 1, 10},
    {"a/b@su.se", KB_NT_ENTERPRISE, "a\\/b\\@su.se@ATHENA.MIT.EDU", 1, 10},
    /* MIT's krb5_parse_name (src/lib/krb5/krb/parse.c), read, not run */
    {"alice@", KB_NT_PRINCIPAL, "alice", 1, 1}, /* the referral realm */
    {"HTTP/@R", KB_NT_PRINCIPAL, NULL, 2, 1},
    {"a\\xb@R", KB_NT_PRINCIPAL, "axb@R", 1, 1},
    {"host/h", KB_NT_SRV_HST, "host/h@ATHENA.MIT.EDU", 2, 3},
    {"m\xc3\xbcller@R", KB_NT_PRINCIPAL, NULL, 1, 1},
};

static void text_is_read_as_mit_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(good); i++) {
        struct kb_principal *p = parse(good[i].text, good[i].name_type, default_realm);
        const char *unparsed = good[i].unparsed != NULL ? good[i].unparsed : good[i].text;
        struct kb_principal *again;

        assert_text(p, unparsed);
        assert_int_equal(p->name.name_string.num, good[i].num);
        assert_int_equal(p->name.name_type, good[i].type);
        if (p->realm.len > 0) {
            again = parse(unparsed, KB_NT_PRINCIPAL, "OTHER");
            assert_true(kb_principal_equal(p, again));
            kb_principal_free(again);
        }
        kb_principal_free(p);
    }
}

static void malformed_text_is_refused(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        {"", 0},     {"@R", 2},    {"a@R@S", 5}, {"a@R/S", 5}, {"a\\", 2}, {"a@R\\", 4},
        {"a\0b", 3}, {"a\\\0", 3}, {"@", 1},     {"a@b@", 4},  {"\\", 1},  {"a@R\0", 4},
    };
    struct kb_principal *p;

    (void)state;
    for (size_t i = 0; i < NUM(bad); i++) {
        assert_int_equal(kb_principal_parse(kb_bytes_of(bad[i].text, bad[i].len), KB_NT_PRINCIPAL,
                                            kb_str(default_realm), &p),
                         KB_MALFORMED);
        assert_null(p);
    }
    assert_int_equal(kb_principal_parse(KB_LIT("a@b@c@d"), KB_NT_ENTERPRISE, KB_NONE, &p),
                     KB_MALFORMED);
}

static void no_default_realm_leaves_it_empty(void **state)
{
    struct kb_principal *p = parse("alice", KB_NT_PRINCIPAL, NULL);

    (void)state;
    assert_int_equal(p->realm.len, 0);
    assert_text(p, "alice");
    kb_principal_free(p);
}

static void quoted_characters_are_the_bytes_they_mean(void **state)
{
    struct kb_principal *p = parse("a\\0b/\\n\\t\\b@R\\0", KB_NT_PRINCIPAL, NULL);
    const kb_string *parts = p->name.name_string.items;

    (void)state;
    assert_true(kb_equal(parts[0], kb_bytes_of("a\0b", 3)));
    assert_true(kb_equal(parts[1], KB_LIT("\n\t\b")));
    assert_true(kb_equal(p->realm, kb_bytes_of("R\0", 2)));
    kb_principal_free(p);
}

static void principals_are_made_from_parts(void **state)
{
    struct kb_principal *tgs = kb_principal_tgs(KB_LIT("B.TEST"), KB_LIT("A.TEST"));
    struct kb_principal *http = kb_principal_service(KB_LIT("HTTP"), KB_LIT("www"), KB_LIT("R"));
    struct kb_principal *bare = kb_principal_service(KB_LIT("kadmin"), KB_NONE, KB_NONE);
    struct kb_principal *copy = kb_principal_new(http->realm, &http->name);
    kb_bytes realm;

    (void)state;
    assert_text(tgs, "krbtgt/B.TEST@A.TEST");
    assert_int_equal(tgs->name.name_type, KB_NT_SRV_INST);
    assert_true(kb_name_is_tgs(&tgs->name, &realm));
    assert_true(kb_equal(realm, KB_LIT("B.TEST")));
    assert_text(http, "HTTP/www@R");
    assert_int_equal(http->name.name_type, KB_NT_SRV_HST);
    assert_false(kb_name_is_tgs(&http->name, &realm));
    assert_text(bare, "kadmin");
    assert_int_equal(bare->name.name_string.num, 1);
    kb_principal_free(http);
    assert_text(copy, "HTTP/www@R");
    assert_ptr_equal(kb_principal_ref(copy), copy);
    kb_principal_free(copy);
    assert_text(copy, "HTTP/www@R");
    kb_principal_free(copy);
    kb_principal_free(bare);
    kb_principal_free(tgs);
    kb_principal_free(NULL);
    assert_null(kb_principal_ref(NULL));
}

static void comparison_ignores_the_name_type_only(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"a@R", "a@R", true},        {"a@R", "A@R", false},       {"a@R", "a@r", false},
        {"a/b@R", "a\\/b@R", false}, {"a/@R", "a@R", false},      {"a/b@R", "a/b@R", true},
        {"a/b@R", "a/b/c@R", false}, {"ab/c@R", "a/bc@R", false}, {"a@R", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_principal *a = parse(rows[i].a, KB_NT_PRINCIPAL, NULL);
        struct kb_principal *b = parse(rows[i].b, KB_NT_SRV_HST, NULL);

        assert_int_equal(kb_principal_equal(a, b), rows[i].equal);
        kb_principal_free(a);
        kb_principal_free(b);
    }
}

static void printing_lets_no_control_character_through(void **state)
{
    struct kb_principal *p =
        parse("a\x1b[0m\\n\xff/m\xc3\xbcller\\@x@R\x07", KB_NT_PRINCIPAL, NULL);
    struct kb_buf buf;

    (void)state;
    kb_buf_init(&buf, 200);
    kb_name_print(&p->name, p->realm, &buf);
    assert_string_equal(kb_buf_str(&buf), "a\\x1b[0m\\n\\xff/m\xc3\xbcller\\@x@R\\x07");
    kb_buf_wipe(&buf);
    kb_principal_free(p);
}

/* Every text of the table cut at every byte: refused, or read and printed without loss. */
static void cut_text_is_no_trouble(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(good); i++) {
        for (size_t len = 0; len < strlen(good[i].text); len++) {
            char *cut = kb_strdup(kb_bytes_of(good[i].text, len));
            struct kb_principal *p, *again = NULL;
            struct kb_buf buf;

            if (kb_principal_parse(kb_str(cut), good[i].name_type, kb_str("R"), &p) == KB_OK) {
                kb_buf_init(&buf, 4096);
                kb_principal_unparse(p, &buf);
                assert_int_equal(
                    kb_principal_parse(kb_buf_bytes(&buf), KB_NT_PRINCIPAL, KB_NONE, &again),
                    KB_OK);
                assert_true(kb_principal_equal(p, again));
                kb_buf_wipe(&buf);
            }
            kb_principal_free(p);
            kb_principal_free(again);
            free(cut);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_read_as_mit_reads_it),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(no_default_realm_leaves_it_empty),
        cmocka_unit_test(quoted_characters_are_the_bytes_they_mean),
        cmocka_unit_test(principals_are_made_from_parts),
        cmocka_unit_test(comparison_ignores_the_name_type_only),
        cmocka_unit_test(printing_lets_no_control_character_through),
        cmocka_unit_test(cut_text_is_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
