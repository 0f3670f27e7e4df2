/* mech/options/mechd: our own line, by libgssapi's rules. The rows marked SPI are what a real
 * libgssapi_krb5 1.20.1 was seen to do with such a line; the others follow its source
 * (MIT src/lib/gssapi/mechglue/g_initialize.c, generic/oid_ops.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/options/mechd.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))
#define OID "1.3.6.1.4.1.32473.88.1"

static struct kb_mechd_line scan(kb_bytes text, kb_bytes oid)
{
    struct kb_mechd_line line = {0};

    kb_mechd_scan(text, oid, &line);
    return line;
}

static void lines_are_split_as_libgssapi_does(void **state)
{
    static const struct {
        const char *text;
        const char *options; /* NULL: the line is not ours, or dropped */
        unsigned line;
        bool lost;
    } rows[] = {
        {"kerbside " OID " kerbside.so [User=a@R] <interposer>\n", "User=a@R", 1, false},
        /* SPI: these load */
        {"kerbside\t" OID "\tkerbside.so\t[User=a]\t<interposer>\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so [User=a] <interposer>\r\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so [User=a] <interposer>", "User=a", 1, false},
        {"kerbside " OID " kerbside.so - [User=a] <interposer>\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so [] <interposer>\n", "", 1, false},
        {"kerbside {" OID "} kerbside.so [User=a] <interposer>\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so [User=a]<interposer>\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so <interposer>\n", "", 1, false},
        /* SPI: the options are lost */
        {"kerbside " OID " kerbside.so <interposer> [User=a]\n", "", 1, true},
        /* SPI: a line that begins with white space is dropped */
        {" kerbside " OID " kerbside.so [User=a] <interposer>\n", NULL, 0, false},
        /* SPI: # is a comment in the first column only */
        {"#kerbside " OID " kerbside.so [User=a] <interposer>\n", NULL, 0, false},
        {"# x\n\nkerbside " OID " kerbside.so [User=a] <interposer>\n", "User=a", 3, false},
        {" # x\nkerbside " OID " kerbside.so [User=a] <interposer>\n", "User=a", 2, false},
        /* SPI: the first ] ends the options, in quotes too */
        {"kerbside " OID " kerbside.so [Password=\"a]b\"] <interposer>\n", "Password=\"a", 1,
         false},
        /* SPI: no continuation lines */
        {"kerbside " OID " kerbside.so [User=a\\\n Timeout=5] <interposer>\n", "User=a\\\n", 1,
         false},
        /* SPI: other types load as plain mechanisms; the options are still these */
        {"kerbside " OID " kerbside.so [User=a] <Interposer>\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so [User=a] ] <interposer>\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so [User=a\n", "User=a\n", 1, false},
        /* SPI: a later line with the same OID replaces library and options */
        {"kerbside " OID " kerbside.so [User=a] <interposer>\n"
         "x " OID " kerbside.so [User=b] <interposer>\n",
         "User=b", 2, false},
        {"kerbside " OID " kerbside.so [User=a] <interposer>\n" OID "\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so [User=a] <interposer>\nx " OID " y.so\n", "", 2, false},
        /* by the OID, not by the name */
        {"other " OID " other.so [User=a] <interposer>\n", "User=a", 1, false},
        {"kerbside 1.2.3 kerbside.so [User=a] <interposer>\n", NULL, 0, false},
        {"kerbside 1.3.6.1.4.1.32473.88 kerbside.so [User=a]\n", NULL, 0, false},
        {"kerbside 1.3.6.1.4.1.32473.88.1.1 kerbside.so [User=a]\n", NULL, 0, false},
        /* fields that are missing */
        {"kerbside " OID "\n", NULL, 0, false},
        {"kerbside\n", NULL, 0, false},
        {"", NULL, 0, false},
        {"\n\n", NULL, 0, false},
        /* a word in front of the brackets is the kernel module, two are not */
        {"kerbside " OID " kerbside.so module [User=a] <interposer>\n", "User=a", 1, false},
        {"kerbside " OID " kerbside.so module x [User=a] <interposer>\n", "", 1, false},
        {"kerbside " OID " kerbside.so\v[User=a]\f<interposer>\n", "User=a", 1, false},
        {"kerbside " OID "junk kerbside.so [User=a]\n", "User=a", 1, false},
        {"kerbside " OID ". kerbside.so [User=a]\n", "User=a", 1, false},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_mechd_line line = scan(kb_str(rows[i].text), KB_OWN_OID);

        if (line.found != (rows[i].options != NULL) ||
            (line.found && !kb_equal(line.options, kb_str(rows[i].options)))) {
            fail_msg("row %zu: %s", i, rows[i].text);
        }
        assert_int_equal(line.line, rows[i].line);
        assert_int_equal(line.lost, rows[i].lost);
    }
}

static void without_an_oid_the_label_serves(void **state)
{
    (void)state;
    assert_true(scan(KB_LIT("kerbside 1.2.3 k.so [User=a]\n"), KB_NONE).found);
    assert_true(scan(KB_LIT("x " OID " k.so [User=a]\n"), KB_NONE).found);
    assert_false(scan(KB_LIT("x 1.2.3 k.so [User=a]\n"), KB_NONE).found);
    assert_false(scan(KB_LIT("kerbside x k.so [User=a]\n"), KB_NONE).found);
    assert_true(scan(KB_LIT("x 1.2.3 k.so [User=a]\n"), KB_LIT("\x2a\x03")).found);
    assert_false(scan(KB_LIT("x " OID " k.so [User=a]\n"), KB_LIT("\x2a\x03")).found);
}

/* SPI: 8191 characters and a newline are one line; the rest of a longer one is another. */
static void long_lines_are_cut_where_libgssapi_cuts_them(void **state)
{
    static const char start[] = "kerbside " OID " kerbside.so [SPN=";
    static const char end[] = "] <interposer>";
    char *text = malloc(20000);
    size_t len = sizeof(start) - 1;

    (void)state;
    for (size_t total = 8189; total <= 8194; total++) {
        struct kb_mechd_line line;
        size_t fill = total - (sizeof(start) - 1) - (sizeof(end) - 1);

        memcpy(text, start, len);
        memset(text + len, 'x', fill);
        strcpy(text + len + fill, end);
        strcat(text, "\n");
        line = scan(kb_str(text), KB_OWN_OID);
        assert_true(line.found);
        assert_int_equal(line.options.len, 4 + fill);
    }
    /* The cut-off part begins a line of its own, and may be one of ours. */
    memset(text, 'x', 8191);
    strcpy(text + 8191, "kerbside " OID " kerbside.so [User=a]\n");
    assert_true(scan(kb_str(text), KB_OWN_OID).found);
    text[8190] = '\n';
    assert_int_equal(scan(kb_str(text), KB_OWN_OID).line, 2);
    memcpy(text, start, len);
    memset(text + len, 'x', 9000);
    strcpy(text + len + 9000, end);
    assert_int_equal(scan(kb_str(text), KB_OWN_OID).options.len, 8191 - len + 4);
    free(text);
}

static void a_nul_ends_a_line(void **state)
{
    static const char text[] = "kerbside " OID " k.so [User=a\0b] <interposer>\n";

    (void)state;
    assert_true(
        kb_equal(scan(kb_bytes_of(text, sizeof(text) - 1), KB_OWN_OID).options, KB_LIT("User=a")));
}

static void oids_are_read_as_libgssapi_does(void **state)
{
    static const struct {
        const char *text, *der;
        size_t len;
    } rows[] = {
        {OID, "\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01", 10},
        {"{1 3 6 1}", "\x2b\x06\x01", 3},
        {"{1.3.6.1", NULL, 0},
        {"{1.3.6.1}x", "\x2b\x06\x01", 3},
        {"  1.2.840", "\x2a\x86\x48", 3},
        {"1..2", "\x2a", 1},
        {"2.999.3", "\x88\x37\x03", 3},
        {"1.40", NULL, 0},
        {"3.1", NULL, 0},
        {"1", NULL, 0},
        {"1.2.x", "\x2a", 1},
        {"x", NULL, 0},
        {"", NULL, 0},
        {"1.2.0.128", "\x2a\x00\x81\x00", 4},
        {"1.2.99999999999999999999999", NULL, 1},
    };
    uint8_t der[KB_MAX_OID];

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        size_t len = kb_mechd_oid(kb_str(rows[i].text), der);

        if (rows[i].der != NULL || rows[i].len == 0) {
            assert_int_equal(len, rows[i].len);
        }
        if (rows[i].der != NULL) {
            assert_memory_equal(der, rows[i].der, len);
        }
    }
    /* Longer than any that we could have: not ours. */
    assert_int_equal(
        kb_mechd_oid(KB_LIT("1.2.99999999.99999999.99999999.99999999.99999999.99999999."
                            "99999999.99999999.99999999.99999999.99999999.99999999."
                            "99999999.99999999.99999999.99999999.99999999"),
                     der),
        0);
}

static void cut_files_are_no_trouble(void **state)
{
    static const char text[] =
        "# x\nkerbside {" OID "} k.so - [User=a@R Password=\"x\\x5d\"] <interposer>\r\n";

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        uint8_t *copy = malloc(len > 0 ? len : 1);

        memcpy(copy, text, len);
        scan(kb_bytes_of(copy, len), KB_OWN_OID);
        for (size_t i = 0; i < len; i++) {
            copy[i] ^= 0x20;
            scan(kb_bytes_of(copy, len), KB_OWN_OID);
            copy[i] ^= 0x20;
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_split_as_libgssapi_does),
        cmocka_unit_test(without_an_oid_the_label_serves),
        cmocka_unit_test(long_lines_are_cut_where_libgssapi_cuts_them),
        cmocka_unit_test(a_nul_ends_a_line),
        cmocka_unit_test(oids_are_read_as_libgssapi_does),
        cmocka_unit_test(cut_files_are_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
