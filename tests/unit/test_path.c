/* mech/login/path: from realm to realm by krb5.conf and by the realms' names. The hierarchies are
 * those of MIT's src/lib/krb5/krb/t_walk_rtree (its cases in src/lib/krb5/krb/Makefile.in), where
 * both realms have an end in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mech/login/path.h"

#define NUM(list) (sizeof(list) / sizeof((list)[0]))

static void print(const struct kb_path *path, struct kb_buf *out)
{
    kb_buf_init(out, 2000);
    for (size_t i = 0; i < path->num; i++) {
        kb_buf_printf(out, "%s%.*s", i > 0 ? " " : "", (int)path->realms[i].len,
                      (const char *)path->realms[i].ptr);
    }
}

static void assert_path(const struct kb_krb5conf *conf, const char *client, const char *service,
                        bool hierarchy, const char *wanted)
{
    struct kb_path path;
    struct kb_buf text;

    kb_path_find(&path, conf, kb_str(client), kb_str(service), hierarchy);
    print(&path, &text);
    assert_string_equal(kb_buf_str(&text), wanted);
    kb_buf_wipe(&text);
}

static void the_hierarchy_leads_up_and_down(void **state)
{
    static const struct {
        const char *client, *service, *path;
    } rows[] = {
        {"A.EXAMPLE", "B.EXAMPLE", "A.EXAMPLE EXAMPLE B.EXAMPLE"},
        {"ATHENA.MIT.EDU", "HACK.EDU", "ATHENA.MIT.EDU MIT.EDU EDU HACK.EDU"},
        {"ATHENA.MIT.EDU", "CSAIL.MIT.EDU", "ATHENA.MIT.EDU MIT.EDU CSAIL.MIT.EDU"},
        {"ATHENA.MIT.EDU", "MIT.EDU", "ATHENA.MIT.EDU MIT.EDU"},
        {"MIT.EDU", "ATHENA.MIT.EDU", "MIT.EDU ATHENA.MIT.EDU"},
        {"EXAMPLE", "X.Y.EXAMPLE", "EXAMPLE Y.EXAMPLE X.Y.EXAMPLE"},
        {"X.Y.EXAMPLE", "EXAMPLE", "X.Y.EXAMPLE Y.EXAMPLE EXAMPLE"},
        {"ABC.EXAMPLE.COM", "BC.EXAMPLE.COM", "ABC.EXAMPLE.COM EXAMPLE.COM BC.EXAMPLE.COM"},
        {"A", "B", "A B"},
        {"A.COM", "B.ORG", "A.COM B.ORG"},
        {"A.EXAMPLE", "b.example", "A.EXAMPLE b.example"},
        {"A.", "B.", "A. B."},
        {"A..X", "B.X", "A..X .X X B.X"},
        {"A.B.C.D.E.F.G.H.I.J.K.L.M", "Z.M", "A.B.C.D.E.F.G.H.I.J.K.L.M Z.M"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        assert_path(NULL, rows[i].client, rows[i].service, true, rows[i].path);
    }
    assert_path(NULL, "A.EXAMPLE", "B.EXAMPLE", false, "A.EXAMPLE B.EXAMPLE");
}

static void capaths_go_before_it(void **state)
{
    static const char text[] = "[capaths]\n A.EXAMPLE = {\n  B.EXAMPLE = X\n  B.EXAMPLE = Y Z\n"
                               "  C.EXAMPLE = .\n }\n";
    const struct kb_krb5conf *conf;
    struct kb_error err = {0};
    struct kb_path path;

    (void)state;
    assert_int_equal(kb_krb5conf_parse(kb_str(text), &conf, &err), KB_OK);
    assert_path(conf, "A.EXAMPLE", "B.EXAMPLE", true, "A.EXAMPLE X Y B.EXAMPLE");
    assert_path(conf, "A.EXAMPLE", "B.EXAMPLE", false, "A.EXAMPLE X Y B.EXAMPLE");
    assert_path(conf, "A.EXAMPLE", "C.EXAMPLE", true, "A.EXAMPLE C.EXAMPLE");
    assert_path(conf, "B.EXAMPLE", "A.EXAMPLE", true, "B.EXAMPLE EXAMPLE A.EXAMPLE");
    kb_path_find(&path, conf, KB_LIT("A.EXAMPLE"), KB_LIT("C.EXAMPLE"), true);
    assert_true(path.configured);
    kb_path_find(&path, conf, KB_LIT("A.EXAMPLE"), KB_LIT("B.EXAMPLE"), true);
    assert_true(path.configured);
    assert_int_equal(kb_path_position(&path, 0, KB_LIT("Y")), 2);
    assert_int_equal(kb_path_position(&path, 2, KB_LIT("Y")), 0);
    assert_int_equal(kb_path_position(&path, 0, KB_LIT("A.EXAMPLE")), 0);
    kb_path_find(&path, conf, KB_LIT("A.EXAMPLE"), KB_LIT("D.EXAMPLE"), true);
    assert_false(path.configured);
    kb_krb5conf_put(conf);
}

static void hosts_suggest_realms(void **state)
{
    static const struct {
        const char *host, *realm;
    } rows[] = {
        {"www.b.example", "B.EXAMPLE"},
        {"WWW.b.Example.", "B.EXAMPLE"},
        {"b.example", "EXAMPLE"},
        {"localhost", ""},
        {"127.0.0.1", ""},
        {"2001:db8::1.2", ""},
        {"", ""},
        {".", ""},
        {"www.", ""},
    };
    char buf[256];

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        kb_bytes realm = kb_path_of_host(kb_str(rows[i].host), buf);

        assert_int_equal(realm.len, strlen(rows[i].realm));
        assert_true(realm.len == 0 || kb_equal(realm, kb_str(rows[i].realm)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hierarchy_leads_up_and_down),
        cmocka_unit_test(capaths_go_before_it),
        cmocka_unit_test(hosts_suggest_realms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
