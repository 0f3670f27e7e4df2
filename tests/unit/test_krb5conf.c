/* mech/options/krb5conf and profile: what krb5.conf says to clients. The syntax rows follow MIT's
 * src/util/profile/prof_parse.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "mech/options/krb5conf.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct kb_krb5conf *parse(const char *text)
{
    const struct kb_krb5conf *conf;
    struct kb_error err = {0};

    if (kb_krb5conf_parse(kb_str(text), &conf, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
    return conf;
}

static void assert_bytes(kb_bytes got, const char *wanted)
{
    if (wanted == NULL) {
        assert_int_equal(got.len, 0);
    } else {
        assert_true(kb_equal(got, kb_str(wanted)));
    }
}

static void default_realm_is_read(void **state)
{
    static const struct {
        const char *text, *realm;
    } rows[] = {
        {"[libdefaults]\n\tdefault_realm = ATHENA.MIT.EDU\n", "ATHENA.MIT.EDU"},
        {"[libdefaults]\r\ndefault_realm=A\r\n", "A"},
        {"[libdefaults]\n default_realm = A", "A"},
        {"[libdefaults]\n default_realm = \"A B\"  \n", "A B"},
        {"[libdefaults]\n default_realm = \"A\\\"\\n\" junk\n", "A\"\n"},
        {"[libdefaults]\n default_realm = A   \n default_realm = B\n", "A"},
        {"[libdefaults]\n# default_realm = X\n; default_realm = Y\n default_realm = A\n", "A"},
        {"[libdefaults]*\n default_realm* = A\n", "A"},
        {"[libdefaults] \n default_realm = A # not a comment\n", "A # not a comment"},
        {"[appdefaults]\n default_realm = X\n[libdefaults]\n default_realm = A\n", "A"},
        {"[libdefaults]\n pam = {\n default_realm = X\n }\n default_realm = A\n", "A"},
        {"[libdefaults]\n pam =\n {\n default_realm = X\n }* \n default_realm = A\n", "A"},
        {"[libdefaults]\n a = {\n b = {\n c = {\n default_realm = X\n}\n}\n}\n default_realm = A\n",
         "A"},
        {"[libdefaults]\n[realms]\n[libdefaults]\n default_realm = A\n", "A"},
        {"default_realm = X\nall of this is comment [\n", NULL},
        {"  [libdefaults]\n default_realm = X\n",
         NULL}, /* MIT: `[` in the first column begins it */
        {"module /x/y.so:z\n[libdefaults]\n default_realm = A\n", "A"},
        {"[libdefaults]\n default_realm = {\n }\n", NULL},
        {"[libdefaults]\n DEFAULT_REALM = X\n", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_krb5conf *conf = parse(rows[i].text);

        assert_bytes(kb_krb5conf_default_realm(conf), rows[i].realm);
        kb_krb5conf_put(conf);
    }
    assert_int_equal(kb_krb5conf_default_realm(NULL).len, 0);
}

static void errors_name_the_line(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"[libdefaults\n", "krb5.conf:1: no `]` behind a section's name"},
        {"[libdefaults] x\n", "krb5.conf:1: something stands behind a section's `]`"},
        {"[a]\n x = {\n[b]\n",
         "krb5.conf:3: a section begins before the `}` of the subsection before it"},
        {"[a]\n}\n", "krb5.conf:2: a `}` without a `{`"},
        {"[a]\nx = {\n}\n}\n", "krb5.conf:4: a `}` without a `{`"},
        {"[a]\n\n word\n", "krb5.conf:3: no `=` in a line"},
        {"[a]\n a b = c\n", "krb5.conf:2: a blank in the name before a `=`"},
        {"[a]\n = c\n", "krb5.conf:2: no name before a `=`"},
        {"[a]\n x =\n y = z\n", "krb5.conf:3: neither a value nor a `{` behind a `=`"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_krb5conf *conf;
        struct kb_error err = {0};

        assert_int_equal(kb_krb5conf_parse(kb_str(rows[i].text), &conf, &err), KB_ERROR);
        assert_string_equal(err.text, rows[i].message);
        assert_null(conf);
    }
}

static const char realms[] =
    "[realms]\n"
    " A.TEST = {\n  kdc = k1:88\n  kdc = tcp/k2\n  kdc = https://p/KdcProxy\n"
    "  kdc = HTTP://p/KdcProxy\n  kdc = [2001:db8::1]:750\n  kdc = k3 comment\n"
    "  admin_server = a\n  auth_to_local_names = {\n   kdc = no\n  }\n }\n"
    " B.TEST = {\n }\n"
    " A.TEST = {\n  kdc = \"k4\"\n }\n";

static void kdcs_are_listed_in_order(void **state)
{
    static const char *const wanted[] = {
        "k1:88", "tcp/k2", "https://p/KdcProxy", "[2001:db8::1]:750", "k3", "k4"};
    const struct kb_krb5conf *conf = parse(realms);
    kb_opt_LIST kdcs = kb_krb5conf_kdcs(conf, KB_LIT("A.TEST"));

    (void)state;
    assert_int_equal(kdcs.num, NUM(wanted));
    for (size_t i = 0; i < kdcs.num; i++) {
        assert_string_equal(kdcs.items[i], wanted[i]);
    }
    assert_int_equal(kb_krb5conf_kdcs(conf, KB_LIT("B.TEST")).num, 0);
    assert_int_equal(kb_krb5conf_kdcs(conf, KB_LIT("a.test")).num, 0);
    assert_int_equal(kb_krb5conf_kdcs(NULL, KB_LIT("A.TEST")).num, 0);
    assert_true(kb_krb5conf_knows_realm(conf, KB_LIT("A.TEST")));
    assert_true(kb_krb5conf_knows_realm(conf, KB_LIT("B.TEST")));
    assert_false(kb_krb5conf_knows_realm(conf, KB_LIT("b.test")));
    assert_false(kb_krb5conf_knows_realm(conf, KB_NONE));
    kb_krb5conf_put(conf);
}

static void domains_lead_to_realms(void **state)
{
    static const char text[] =
        "[domain_realm]\n"
        " www.example.org = WWW\n .example.org = SUB\n example.org = SAME\n"
        " .org = ORG\n com = COM\n .mit.edu=\"ATHENA.MIT.EDU\"\n 10.0.0.1 = NO\n";
    static const struct {
        const char *host, *realm;
    } rows[] = {
        {"www.example.org", "WWW"},
        {"WWW.Example.ORG", "WWW"},
        {"www.example.org.", "WWW"},
        {"ftp.example.org", "SUB"},
        {"a.b.example.org", "SUB"},
        {"example.org", "SAME"},
        {"other.org", "ORG"},
        {"org", NULL},
        {"x.com", "COM"},
        {"com", "COM"},
        {"x.mit.edu", "ATHENA.MIT.EDU"},
        {"mit.edu", NULL},
        {"10.0.0.1", NULL},
        {"::1", NULL},
        {"", NULL},
        {".", NULL},
        {"x.net", NULL},
        {"a..org", "ORG"},
    };
    const struct kb_krb5conf *conf = parse(text);
    char long_host[300];

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        assert_bytes(kb_krb5conf_realm_of_host(conf, kb_str(rows[i].host)), rows[i].realm);
    }
    memset(long_host, 'a', sizeof(long_host));
    assert_bytes(kb_krb5conf_realm_of_host(conf, kb_bytes_of(long_host, sizeof(long_host))), NULL);
    assert_bytes(kb_krb5conf_realm_of_host(NULL, KB_LIT("x.com")), NULL);
    kb_krb5conf_put(conf);
}

static void values_have_types(void **state)
{
    const struct kb_krb5conf *conf =
        parse("[libdefaults]\n a = yes\n b = 0\n c = T\n d = nil\n e = perhaps\n clockskew = 120\n"
              " ticket_lifetime = 1d\n renew_lifetime = 1h30m\n bad = 1x\n"
              " R = {\n a = no\n clockskew = 60\n }\n");

    (void)state;
    assert_true(kb_krb5conf_bool(conf, KB_NONE, "a", false));
    assert_false(kb_krb5conf_bool(conf, KB_LIT("R"), "a", true));
    assert_true(kb_krb5conf_bool(conf, KB_LIT("S"), "a", false));
    assert_false(kb_krb5conf_bool(conf, KB_NONE, "b", true));
    assert_true(kb_krb5conf_bool(conf, KB_NONE, "c", false));
    assert_false(kb_krb5conf_bool(conf, KB_NONE, "d", true));
    assert_true(kb_krb5conf_bool(conf, KB_NONE, "e", true));
    assert_false(kb_krb5conf_bool(conf, KB_NONE, "e", false));
    assert_int_equal(kb_krb5conf_seconds(conf, KB_NONE, "clockskew", 5), 120);
    assert_int_equal(kb_krb5conf_seconds(conf, KB_LIT("R"), "clockskew", 5), 60);
    assert_int_equal(kb_krb5conf_seconds(conf, KB_NONE, "ticket_lifetime", 5), 86400);
    assert_int_equal(kb_krb5conf_seconds(conf, KB_NONE, "renew_lifetime", 5), 5400);
    assert_int_equal(kb_krb5conf_seconds(conf, KB_NONE, "bad", 5), 5);
    assert_int_equal(kb_krb5conf_seconds(NULL, KB_NONE, "clockskew", 5), 5);
    kb_krb5conf_put(conf);
}

/* --- files --- */

struct loaded {
    const struct kb_krb5conf *conf;
    struct kb_error err;
    struct kb_arena arena;
    struct kb_watch *watched;
};

static struct loaded load(const char *paths)
{
    struct loaded loaded = {0};

    kb_arena_init(&loaded.arena, NULL, 0, 1048576);
    if (kb_krb5conf_load(paths, &loaded.arena, &loaded.watched, &loaded.conf, &loaded.err) !=
        KB_OK) {
        assert_null(loaded.conf);
        assert_true(loaded.err.code != KB_E_NONE);
    }
    return loaded;
}

static void unload(struct loaded *loaded)
{
    kb_krb5conf_put(loaded->conf);
    kb_arena_wipe(&loaded->arena);
}

static void several_files_are_one(void **state)
{
    struct loaded loaded;
    char paths[1000];

    (void)state;
    place_open();
    place_file("a", "[libdefaults]\n x = 1\n");
    place_file("b", "[libdefaults]\n x = 2\n default_realm = B\n[realms]\n R = {\n kdc = b\n}\n");
    place_file("c", "[realms]\n R = {\n kdc = c\n}\n");
    snprintf(paths, sizeof(paths), "%s:%s:%s:%s", place_path("a"), place_path("missing"),
             place_path("b"), place_path("c"));
    loaded = load(paths);
    assert_string_equal(kb_krb5conf_text(loaded.conf, "libdefaults", NULL, "x"), "1");
    assert_bytes(kb_krb5conf_default_realm(loaded.conf), "B");
    assert_int_equal(kb_krb5conf_kdcs(loaded.conf, KB_LIT("R")).num, 2);
    unload(&loaded);
    loaded = load(place_path("missing"));
    assert_non_null(loaded.conf);
    assert_bytes(kb_krb5conf_default_realm(loaded.conf), NULL);
    unload(&loaded);
    place_close();
}

/* `~/` in front of a name in KRB5_CONFIG, and nowhere else. */
static void files_at_home(void **state)
{
    char paths[1000], home[1000];
    struct loaded loaded;

    (void)state;
    place_open();
    place_file("krb5.conf", "[libdefaults]\n x = mine\n");
    snprintf(home, sizeof(home), "%s", place_path("krb5.conf"));
    *strrchr(home, '/') = '\0';
    assert_int_equal(setenv("HOME", home, 1), 0);
    snprintf(paths, sizeof(paths), "%s:~/krb5.conf", place_path("missing"));
    loaded = load(paths);
    assert_string_equal(kb_krb5conf_text(loaded.conf, "libdefaults", NULL, "x"), "mine");
    unload(&loaded);
    loaded = load("~krb5.conf:~:~/missing");
    assert_null(kb_krb5conf_text(loaded.conf, "libdefaults", NULL, "x"));
    unload(&loaded);
    assert_int_equal(unsetenv("HOME"), 0);
    loaded = load("~/no such file of this account");
    assert_non_null(loaded.conf);
    unload(&loaded);
    place_close();
}

static void includes_are_followed(void **state)
{
    static const char *const names[] = {"10-a",      "b.conf", "c_d",    ".hidden.conf",
                                        "e.rpmsave", "f~",     "g.confx"};
    struct loaded loaded;

    (void)state;
    place_open();
    mkdir(place_path("dir"), 0700);
    for (size_t i = 0; i < NUM(names); i++) {
        char name[64], text[64];

        snprintf(name, sizeof(name), "dir/%s", names[i]);
        snprintf(text, sizeof(text), "[seen]\n %c = yes\n", 'a' + (int)i);
        place_file(name, text);
    }
    place_file("more", "[libdefaults]\n default_realm = A\n");
    place_file("k",
               "include %s/more\nincludedir %s/dir\n[x]\n y = z\n includedir = no directive\n");
    loaded = load(place_path("k"));
    assert_bytes(kb_krb5conf_default_realm(loaded.conf), "A");
    for (size_t i = 0; i < NUM(names); i++) {
        char tag[2] = {(char)('a' + (int)i), '\0'};

        assert_int_equal(kb_krb5conf_text(loaded.conf, "seen", NULL, tag) != NULL, i < 3);
    }
    assert_string_equal(kb_krb5conf_text(loaded.conf, "x", NULL, "y"), "z");
    assert_false(kb_watch_changed(loaded.watched));
    place_file("dir/new.conf", "");
    assert_true(kb_watch_changed(loaded.watched));
    unload(&loaded);
    loaded = load(place_path("dir")); /* a directory as KRB5_CONFIG */
    assert_non_null(kb_krb5conf_text(loaded.conf, "seen", NULL, "b"));
    unload(&loaded);
    place_close();
}

static void bad_includes_are_errors(void **state)
{
    struct loaded loaded;

    (void)state;
    place_open();
    place_file("loop", "include %s/loop\n");
    loaded = load(place_path("loop"));
    assert_non_null(strstr(loaded.err.text, "files include each other more than 10 deep"));
    unload(&loaded);
    place_file("k", "\ninclude %s/missing\n");
    loaded = load(place_path("k"));
    assert_non_null(strstr(loaded.err.text, "k:2: "));
    assert_non_null(strstr(loaded.err.text, "missing: No such file or directory"));
    unload(&loaded);
    place_file("k", "includedir %s/missing\n");
    loaded = load(place_path("k"));
    assert_null(loaded.conf);
    unload(&loaded);
    place_close();
}

static void cut_and_flipped_files_are_no_trouble(void **state)
{
    const struct kb_krb5conf *conf;

    (void)state;
    for (size_t len = 0; len <= sizeof(realms) - 1; len++) {
        uint8_t *copy = malloc(len > 0 ? len : 1);
        struct kb_error err = {0};

        memcpy(copy, realms, len);
        if (len > 0) {
            copy[len - 1] = (uint8_t)(len % 7 == 0 ? copy[len - 1] ^ 0x1d : copy[len - 1]);
        }
        if (kb_krb5conf_parse(kb_bytes_of(copy, len), &conf, &err) == KB_OK) {
            kb_krb5conf_kdcs(conf, KB_LIT("A.TEST"));
        }
        kb_krb5conf_put(conf);
        free(copy);
    }
}

/* MIT src/lib/krb5/krb/t_deltat.c, but for negative times. -1: refused. */
static void times_are_mits(void **state)
{
    enum { DAY = 86400, HOUR = 3600, MIN = 60 };
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"3d", 3 * DAY},
        {"3h", 3 * HOUR},
        {"3m", 3 * MIN},
        {"3s", 3},
        {"3dd", -1},
        {"3d4m    42s", 3 * DAY + 4 * MIN + 42},
        {"3d4h5m6s", 3 * DAY + 4 * HOUR + 5 * MIN + 6},
        {"3d4m5h", -1},
        {"12345s", 12345},
        {"1m 12345s", MIN + 12345},
        {"1m12345s", MIN + 12345},
        {"3d 0m", 3 * DAY},
        {"3d 0m  ", 3 * DAY},
        {"3d \n\t 0m  ", 3 * DAY},
        {"42-13:42:47", 42 * DAY + 13 * HOUR + 42 * MIN + 47},
        {"3: 4", -1},
        {"13:0003", -1},
        {"12:34", 12 * HOUR + 34 * MIN},
        {"1:02:03", 1 * HOUR + 2 * MIN + 3},
        {"3:-4", -1},
        {"3:4", 3 * HOUR + 4 * MIN},
        {"42", 42},
        {"1-2", -1},
        {"2147483647s", 2147483647},
        {"2147483648s", -1},
        {"24855d", 24855 * (int64_t)DAY},
        {"24856d", -1},
        {"24855d 100000000h", -1},
        {"24855d 3h", 24855 * (int64_t)DAY + 3 * HOUR},
        {"24855d 4h", -1},
        {"24855d 11648s", -1},
        {"24855d 19500000000m", -1},
        {"24855d 3h 14m 7s", 24855 * (int64_t)DAY + 3 * HOUR + 14 * MIN + 7},
        {"24855d 3h 14m 8s", -1},
        {"596524h", -1},
        {"35791394m7s", 35791394 * (int64_t)MIN + 7},
        {"", -1},
        {"4 2", -1},
        {"1:", -1},
        {":1", -1},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        int64_t seconds = -1;

        if (!kb_krb5conf_parse_seconds(kb_str(rows[i].text), &seconds)) {
            seconds = -1;
        }
        if (seconds != rows[i].seconds) {
            fail_msg("%s: %lld", rows[i].text, (long long)seconds);
        }
    }
}

static void primary_kdcs_have_two_names(void **state)
{
    const struct kb_krb5conf *conf =
        parse("[realms]\n A = {\n  master_kdc = old\n  primary_kdc = k1:750\n  kdc = k2\n"
              "  primary_kdc = k3\n }\n B = {\n  master_kdc = k4\n }\n");

    (void)state;
    assert_int_equal(kb_krb5conf_primary_kdcs(conf, KB_LIT("A")).num, 2);
    assert_string_equal(kb_krb5conf_primary_kdcs(conf, KB_LIT("A")).items[0], "k1:750");
    assert_string_equal(kb_krb5conf_primary_kdcs(conf, KB_LIT("B")).items[0], "k4");
    assert_int_equal(kb_krb5conf_primary_kdcs(conf, KB_LIT("C")).num, 0);
    kb_krb5conf_put(conf);
}

static void lists_of_realms(void **state)
{
    static const char text[] =
        "[capaths]\n A = {\n  B = M1\n  B = M2\n  C = .\n  D = M1\n }\n E = {\n }\n"
        "[realms]\n A = {\n  http_anchors = FILE:/a\n  http_anchors = DIR:/b\n"
        "  disable_encrypted_timestamp = yes\n }\n";
    const struct kb_krb5conf *conf = parse(text);
    kb_bytes way[2];
    size_t num;

    (void)state;
    assert_int_equal(kb_krb5conf_capath(conf, KB_LIT("A"), KB_LIT("B"), way, 2, &num), KB_OK);
    assert_int_equal(num, 2);
    assert_bytes(way[0], "M1");
    assert_bytes(way[1], "M2");
    assert_int_equal(kb_krb5conf_capath(conf, KB_LIT("A"), KB_LIT("B"), way, 1, &num), KB_TOO_BIG);
    assert_int_equal(kb_krb5conf_capath(conf, KB_LIT("A"), KB_LIT("C"), way, 2, &num), KB_OK);
    assert_int_equal(num, 0);
    assert_int_equal(kb_krb5conf_capath(conf, KB_LIT("E"), KB_LIT("B"), way, 2, &num),
                     KB_NOT_FOUND);
    assert_int_equal(kb_krb5conf_capath(NULL, KB_LIT("A"), KB_LIT("B"), way, 2, &num),
                     KB_NOT_FOUND);
    assert_string_equal(kb_krb5conf_http_anchor(conf, KB_LIT("A"), 1), "DIR:/b");
    assert_null(kb_krb5conf_http_anchor(conf, KB_LIT("A"), 2));
    assert_true(kb_krb5conf_realm_bool(conf, KB_LIT("A"), "disable_encrypted_timestamp", false));
    assert_false(kb_krb5conf_realm_bool(conf, KB_LIT("E"), "disable_encrypted_timestamp", false));
    kb_krb5conf_put(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_realm_is_read),
        cmocka_unit_test(errors_name_the_line),
        cmocka_unit_test(kdcs_are_listed_in_order),
        cmocka_unit_test(domains_lead_to_realms),
        cmocka_unit_test(values_have_types),
        cmocka_unit_test(times_are_mits),
        cmocka_unit_test(primary_kdcs_have_two_names),
        cmocka_unit_test(lists_of_realms),
        cmocka_unit_test(several_files_are_one),
        cmocka_unit_test(files_at_home),
        cmocka_unit_test(includes_are_followed),
        cmocka_unit_test(bad_includes_are_errors),
        cmocka_unit_test(cut_and_flipped_files_are_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
