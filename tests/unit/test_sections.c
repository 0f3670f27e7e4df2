/* mech/options: sections of an option file, whose conditions hold, which of them wins, and what
 * they may do to the identity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/account.h"
#include "mech/options/krb5conf.h"
#include "mech/options/layers.h"
#include "mech/options/match.h"
#include "mech/options/options.h"
#include "mech/options/settings.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

/* Makes `text` the Config= file of our line. */
static void configure(const char *line, const char *text)
{
    char options[1000];

    snprintf(options, sizeof(options), "%s Config=~/config", line);
    place_file("config", text);
    place_line(options);
    place_renew();
}

static const struct kb_options *get(const char *target, const char *client)
{
    struct kb_options_query query = {.target = kb_str(target), .client = kb_str(client)};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};

    if (kb_options_get(&query, &options, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
    return options;
}

static struct kb_error get_error(const char *target, const char *client)
{
    struct kb_options_query query = {.target = kb_str(target), .client = kb_str(client)};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};

    assert_int_equal(kb_options_get(&query, &options, &err), KB_ERROR);
    assert_null(options);
    return err;
}

static int64_t timeout_for(const char *target, const char *client)
{
    const struct kb_options *options = get(target, client);
    int64_t timeout = options->timeout;

    kb_options_put(options);
    return timeout;
}

static void assert_identity(const char *target, const char *client, const char *user,
                            const char *secret)
{
    const struct kb_options *options = get(target, client);
    struct kb_buf buf;

    kb_buf_init(&buf, 1000);
    if (options->user != NULL) {
        kb_principal_unparse(options->user, &buf);
    }
    assert_string_equal(kb_buf_str(&buf), user);
    kb_buf_wipe(&buf);
    if (options->password != NULL) {
        kb_bytes password;
        struct kb_error err = {0};

        assert_int_equal(kb_options_password(options, &password, &err), KB_OK);
        assert_true(kb_equal(password, kb_str(secret)));
        kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
    } else {
        assert_string_equal(options->keytab_file != NULL ? options->keytab_file : "", secret);
    }
    kb_options_put(options);
}

static void patterns_are_those_of_fnmatch(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"abc", "abc", true},
        {"abc", "ab", false},
        {"abc", "abcd", false},
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "a/b/c", true},
        {"a*c", "abbc", true},
        {"a*c", "abb", false},
        {"*b*", "abc", true},
        {"a*b*c*d", "a1b2c3d", true},
        {"?", "a", true},
        {"?", "", false},
        {"??", "a", false},
        {"[ab]c", "bc", true},
        {"[ab]c", "cc", false},
        {"[!ab]c", "cc", true},
        {"[^ab]c", "ac", false},
        {"[a-c]", "b", true},
        {"[a-c]", "d", false},
        {"[]a]", "]", true},
        {"[]a]", "a", true},
        {"[a", "[a", true},
        {"[", "[", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"[a-]", "-", true},
        {"*.corp.example", "www.corp.example", true},
        {"*/curl", "/usr/bin/curl", true},
        {"/usr/*", "/usr/bin/curl", true},
        {".x", ".x", true},
        {"*x", ".x", true},
        {"**a", "bba", true},
        {"A", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        if (kb_glob(kb_str(rows[i].pattern), kb_str(rows[i].text), false) != rows[i].matches) {
            fail_msg("%s against %s", rows[i].pattern, rows[i].text);
        }
    }
    assert_true(kb_glob(KB_LIT("HTTP@*.Corp"), KB_LIT("http@WWW.corp"), true));
    assert_true(kb_glob(KB_LIT("[A-C]"), KB_LIT("b"), true));
}

/* Exponential time would be a way to hang every login. */
static void patterns_take_no_exponential_time(void **state)
{
    char pattern[200] = "", text[2000];

    (void)state;
    for (int i = 0; i < 60; i++) {
        strcat(pattern, "*a");
    }
    strcat(pattern, "b");
    memset(text, 'a', sizeof(text));
    assert_false(kb_glob(kb_str(pattern), kb_bytes_of(text, sizeof(text)), false));
}

static void targets_match_in_every_form(void **state)
{
    static const struct {
        const char *pattern, *target;
        bool matches;
    } rows[] = {
        {"HTTP@*.corp.example", "HTTP@www.corp.example", true},
        {"HTTP@*.corp.example", "HTTP/www.corp.example@CORP", true},
        {"HTTP@*.corp.example", "HTTP/www.corp.example", true},
        {"HTTP/*.corp.example", "HTTP@www.corp.example", true},
        {"HTTP@*.corp.example", "HTTP@WWW.CORP.EXAMPLE", true},
        {"HTTP@*.corp.example", "HTTP@www.corp.example.evil", false},
        {"host@db1", "host@db1", true},
        {"host@db1", "host@db10", false},
        {"host@db1", "HTTP@db1", false},
        {"*@CORP", "HTTP/www@CORP", true},
        {"*@CORP", "HTTP/www@OTHER", false},
        {"*@MAPPED", "HTTP@www.mapped.org", true}, /* krb5.conf's [domain_realm] */
        {"HTTP/www.mapped.org@MAPPED", "HTTP@www.mapped.org", true},
        {"*", "x", true},
        {"*", "", false}, /* no target is known: no [target] section holds */
    };
    const struct kb_krb5conf *conf;

    (void)state;
    assert_int_equal(
        kb_krb5conf_parse(KB_LIT("[domain_realm]\n.mapped.org = MAPPED\n"), &conf, NULL), KB_OK);
    for (size_t i = 0; i < NUM(rows); i++) {
        if (kb_match_target(rows[i].pattern, kb_str(rows[i].target), conf) != rows[i].matches) {
            fail_msg("%s against %s", rows[i].pattern, rows[i].target);
        }
    }
    kb_krb5conf_put(conf);
}

static void the_most_specific_wins(void **state)
{
    (void)state;
    configure("Timeout=1",
              "Timeout = 2\n"
              "[target HTTP@www.corp.example]\nTimeout = 6\n" /* more literal characters */
              "[target HTTP@*.corp.example]\nTimeout = 5\n"
              "[target HTTP@*]\nTimeout = 4\n"
              "[target *]\nTimeout = 3\n"
              "[target *, client *]\nTimeout = 7\n"
              "[target host@a?]\nTimeout = 8\n"
              "[target host@?b]\nTimeout = 9\n"); /* equal: the later one */
    assert_int_equal(timeout_for(NULL, NULL), 2);
    assert_int_equal(timeout_for("ldap@x", NULL), 3);
    assert_int_equal(timeout_for("HTTP@x", NULL), 4);
    assert_int_equal(timeout_for("HTTP@x.corp.example", NULL), 5);
    assert_int_equal(timeout_for("HTTP@www.corp.example", NULL), 6);
    assert_int_equal(timeout_for("HTTP@www.corp.example", "alice@R"), 7);
    assert_int_equal(timeout_for("host@ab", NULL), 9);
    assert_int_equal(timeout_for("host@ac", NULL), 8);
}

static void a_higher_layer_wins_over_a_section(void **state)
{
    (void)state;
    place_env("KERBSIDE_OPTIONS", "Timeout=9");
    configure("", "[target HTTP@www]\nTimeout = 5\n[client *]\nTimeout = 6\n");
    assert_int_equal(timeout_for("HTTP@www", "alice@R"), 9);
    place_file("more", "[target HTTP@www]\nTimeout = 7\n");
    place_env("KERBSIDE_CONFIG", place_path("more"));
    assert_int_equal(timeout_for("HTTP@www", NULL), 7);
    assert_int_equal(timeout_for("HTTP@other", NULL), 9);
    place_env("KERBSIDE_OPTIONS", NULL);
}

static void programs_and_users_are_conditions(void **state)
{
    char text[2000], exe[1000] = "", *name;

    (void)state;
    assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    assert_int_equal(kb_user_name(geteuid(), &name), KB_OK);
    snprintf(
        text, sizeof(text),
        "[program %s]\nTimeout = 2\n[program */nothing]\nTimeout = 3\n"
        "[program *]\nTimeout = 4\nKDCPort = 5\n"
        "[user %s]\nMaxPacketSize = 2000\n[user %lu]\nUDPLimit = 2\n[user "
        "nobody-of-that-name]\nUDPLimit = 3\n"
        "[program */test_*, user %s]\nClockSkew = 7\n[program */test_*, user 4711]\nClockSkew = 8\n"
        "[user %%%lu]\nLogLevel = 3\n[user %%no-such-group]\nLogLevel = 0\n",
        exe, name, (unsigned long)geteuid(), name, (unsigned long)getegid());
    free(name);
    configure("", text);
    {
        const struct kb_options *options = get(NULL, NULL);

        assert_int_equal(options->timeout, 2);
        assert_int_equal(options->kdc_port, 5);
        assert_int_equal(options->max_packet_size, 2000);
        assert_int_equal(options->udp_limit, 2);
        assert_int_equal(options->clock_skew, 7);
        assert_int_equal(options->log_level, 3);
        kb_options_put(options);
    }
}

static void for_user_restricts_a_line(void **state)
{
    struct kb_standing standing;
    char options[200];

    (void)state;
    place_line("User=alice@R Password=x ForUser=nobody-of-that-name");
    place_renew();
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_false(standing.ours);
    snprintf(options, sizeof(options), "User=alice@R foruser=%lu Password=x",
             (unsigned long)geteuid());
    place_line(options);
    place_renew();
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.ours);
    assert_identity(NULL, NULL, "alice@R", "x");
}

static void targets_may_have_identities(void **state)
{
    struct kb_standing standing;

    (void)state;
    configure("", "[target HTTP@one]\nUser = a@R\nPassword = pa\n"
                  "[target HTTP@two]\nUser = b@R\nKeytabFile = /b\n");
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.ours && standing.any_identity);
    assert_identity("HTTP@one", NULL, "a@R", "pa");
    assert_identity("HTTP@two", NULL, "b@R", "/b");
    assert_identity("HTTP@one", NULL, "a@R", "pa");
    {
        const struct kb_options *options = get("HTTP@three", NULL);

        assert_false(options->has_identity);
        kb_options_put(options);
    }
}

static void enabled_and_platform_hold_without_a_target(void **state)
{
    struct kb_standing standing;

    (void)state;
    configure("Enabled=False", "[target *]\nUsePlatformKerberosAPI = True\n");
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.disabled && !standing.platform && !standing.ours);
    configure("", "[program *]\nUsePlatformKerberosAPI = yes\n[target x]\nEnabled = no\n");
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(!standing.disabled && standing.platform);
}

static void a_client_section_serves_a_named_client_only(void **state)
{
    (void)state;
    configure("User=alice@R Password=pa", "[client *@R]\nTimeout = 5\n[client bob@R]\nPassword = "
                                          "pb\n[client alice@R]\nPassword = other\n"
                                          "Timeout = 6\n");
    assert_identity(NULL, NULL, "alice@R", "pa"); /* unnamed: no change of identity */
    assert_int_equal(timeout_for(NULL, NULL), 6); /* but of everything else */
    assert_identity(NULL, "alice@R", "alice@R", "other");
    assert_identity(NULL, "bob@R", "bob@R", "pb");
    assert_int_equal(timeout_for(NULL, "bob@R"), 5);
    assert_identity(NULL, "carol@S", "alice@R", "pa"); /* not covered: see below */
}

static bool covers(const char *name, int32_t type)
{
    struct kb_principal *client;
    bool covered;

    assert_int_equal(kb_options_client(kb_str(name), type, &client), KB_OK);
    covered = kb_options_covers(client);
    kb_principal_free(client);
    return covered;
}

static bool fake_keytab(const char *path, const struct kb_principal *principal)
{
    struct kb_buf buf;
    bool has;

    kb_buf_init(&buf, 1000);
    kb_principal_unparse(principal, &buf);
    has = strcmp(path, "/has-bob") == 0 && strcmp(kb_buf_str(&buf), "bob@R") == 0;
    has = has || (strcmp(path, "/has-http") == 0 && strcmp(kb_buf_str(&buf), "HTTP/www@R") == 0);
    kb_buf_wipe(&buf);
    return has;
}

static void names_are_covered(void **state)
{
    static const struct kb_options_hooks hooks = {.keytab_has = fake_keytab};
    static const struct kb_options_hooks no_hooks = {0};

    (void)state;
    assert_false(covers("alice@R", KB_NT_PRINCIPAL)); /* nothing is configured */
    configure("User=alice@R Password=pa",
              "[client svc-*@R]\nKeytabFile = /x\n[client x@R]\nTimeout = 5\n");
    assert_true(covers("alice@R", KB_NT_PRINCIPAL));
    assert_true(covers("alice", KB_NT_PRINCIPAL)); /* the default realm is User's */
    assert_true(covers("svc-a@R", KB_NT_PRINCIPAL));
    assert_false(covers("bob@R", KB_NT_PRINCIPAL));
    assert_false(covers("alice@S", KB_NT_PRINCIPAL));
    assert_false(covers("x@R", KB_NT_PRINCIPAL));
    configure("User=HTTP/www@R KeytabFile=/y", "");
    assert_true(covers("HTTP@www", KB_NT_SRV_HST));
    assert_true(covers("HTTP/www@R", KB_NT_PRINCIPAL));
    assert_false(covers("HTTP@other", KB_NT_SRV_HST));
    kb_options_set_hooks(&hooks);
    configure("KeytabFile=FILE:/has-bob", "");
    assert_true(covers("bob@R", KB_NT_PRINCIPAL));
    assert_false(covers("alice@R", KB_NT_PRINCIPAL));
    assert_identity(NULL, NULL, "", "/has-bob"); /* its first principal is the store's to say */
    assert_identity(NULL, "bob@R", "bob@R", "/has-bob");
    kb_options_set_hooks(&no_hooks);
    configure("Bogus=1", "");
    assert_true(
        covers("anybody@R", KB_NT_PRINCIPAL)); /* fails with that error, not with a ticket */
}

static void one_identity(void **state)
{
    static const struct kb_options_hooks hooks = {.keytab_has = fake_keytab};
    static const struct kb_options_hooks no_hooks = {0};
    static const struct {
        const char *line, *above, *user, *secret;
    } rows[] = {
        {"User=alice@R Password=pa", "Timeout=5", "alice@R", "pa"},
        {"User=alice@R Password=pa", "User=alice@R", "alice@R", "pa"},
        {"User=alice Password=pa", "User=alice@DEF", "alice@DEF", "pa"},
        {"User=alice@R Password=pa", "User=bob@R", "bob@R", ""},
        {"User=alice@R Password=pa", "User=bob@R Password=pb", "bob@R", "pb"},
        {"User=alice@R Password=pa", "User=alice@R Password=pb", "alice@R", "pb"},
        {"User=alice@R Password=pa", "User=alice@R KeytabFile=/k", "alice@R", "/k"},
        {"User=alice@R Password=pa", "KeytabFile=/k", "", "/k"},
        {"User=alice@R KeytabFile=/k", "User=bob@R", "bob@R", ""},
        {"KeytabFile=/has-bob", "User=bob@R", "bob@R", "/has-bob"},
        {"User=alice@R KeytabFile=/has-bob", "User=bob@R", "bob@R", "/has-bob"},
        {"User=alice@R KeytabFile=/has-bob", "User=carol@R", "carol@R", ""},
        {"KeytabFile=/k", "User=alice@R Password=pa", "alice@R", "pa"},
    };

    (void)state;
    kb_options_set_hooks(&hooks);
    place_file("krb5.conf", "[libdefaults]\ndefault_realm = DEF\n");
    for (size_t i = 0; i < NUM(rows); i++) {
        place_line(rows[i].line);
        place_env("KERBSIDE_OPTIONS", rows[i].above);
        place_renew();
        assert_identity(NULL, NULL, rows[i].user, rows[i].secret);
        /* the same in a file above the line */
        place_env("KERBSIDE_OPTIONS", NULL);
    }
    kb_options_set_hooks(&no_hooks);
}

static void a_left_out_secret_is_told(void **state)
{
    const struct kb_options *options;

    (void)state;
    place_line("User=alice@R Password=pa");
    place_env("KERBSIDE_OPTIONS", "User=bob@R");
    options = get(NULL, NULL);
    assert_non_null(options->lost_secret);
    assert_non_null(strstr(options->lost_secret, "mech:1 belongs to another user"));
    kb_options_put(options);
    place_env("KERBSIDE_OPTIONS", "Password=pb");
    {
        struct kb_error err = get_error(NULL, NULL);

        assert_int_equal(err.code, KB_E_USER);
        assert_non_null(strstr(err.text,
                               "KERBSIDE_OPTIONS: Password is set without User; it does not go "
                               "with User=alice@R of "));
        assert_non_null(strstr(err.text, "mech:1, which is another layer's"));
    }
    place_env("KERBSIDE_OPTIONS", NULL);
}

static void included_lines_belong_to_the_section_around_them(void **state)
{
    (void)state;
    mkdir(place_path("d"), 0700);
    place_file("d/one", "Timeout = 5\n[target b]\nTimeout = 6\n");
    configure("", "[target a]\ninclude d/one\nKDCPort = 7\n[target c]\ninclude %s/d/two\n");
    place_file("d/two", "include one\n");
    place_renew();
    assert_int_equal(timeout_for("a", NULL), 5);
    assert_int_equal(timeout_for("b", NULL), 6);
    assert_int_equal(timeout_for("c", NULL), 5);
    assert_int_equal(timeout_for("d", NULL), 60);
    {
        const struct kb_options *options = get("a", NULL);

        assert_int_equal(options->kdc_port, 7);
        assert_int_equal(options->kdc_port_from.line, 3);
        assert_string_equal(options->timeout_from.file, place_path("d/one"));
        kb_options_put(options);
    }
}

static void domain_and_user(void **state)
{
    static const struct kb_options_hooks hooks = {.keytab_has = fake_keytab};
    static const struct kb_options_hooks no_hooks = {0};
    static const struct {
        const char *krb5conf, *line, *user;
    } rows[] = {
        {"[realms]\nCORP = {\n}\n", "User=CORP/alice Password=x", "alice@CORP"},
        {"[libdefaults]\ndefault_realm=R\n[realms]\nCORP = {\n}\n", "User=CORP/alice Password=x",
         "alice@CORP"},
        {"[libdefaults]\ndefault_realm=CORP\n", "User=CORP/alice Password=x", "alice@CORP"},
        {"[libdefaults]\ndefault_realm=R\n", "User=HTTP/www Password=x", "HTTP/www@R"},
        {"[libdefaults]\ndefault_realm=R\n[realms]\nHTTP = {\n}\n",
         "User=HTTP/www KeytabFile=/has-http", "HTTP/www@R"},
        {"[libdefaults]\ndefault_realm=R\n[realms]\nHTTP = {\n}\n",
         "User=HTTP/www KeytabFile=/other", "www@HTTP"},
        {"[realms]\nCORP = {\n}\n", "User=CORP/alice@X Password=x", "CORP/alice@X"},
        {"[libdefaults]\ndefault_realm=R\n", "User=a/b/c Password=x", "a/b/c@R"},
        {"[libdefaults]\ndefault_realm=R\n", "User=a\\/b Password=x", "a\\/b@R"},
    };

    (void)state;
    kb_options_set_hooks(&hooks);
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;
        struct kb_buf buf;

        place_file("krb5.conf", rows[i].krb5conf);
        place_line(rows[i].line);
        place_renew();
        options = get(NULL, NULL);
        kb_buf_init(&buf, 1000);
        kb_principal_unparse(options->user, &buf);
        assert_string_equal(kb_buf_str(&buf), rows[i].user);
        kb_buf_wipe(&buf);
        kb_options_put(options);
    }
    kb_options_set_hooks(&no_hooks);
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_those_of_fnmatch),
        cmocka_unit_test(patterns_take_no_exponential_time),
        cmocka_unit_test(targets_match_in_every_form),
        IN_A_PLACE(the_most_specific_wins),
        IN_A_PLACE(a_higher_layer_wins_over_a_section),
        IN_A_PLACE(programs_and_users_are_conditions),
        IN_A_PLACE(for_user_restricts_a_line),
        IN_A_PLACE(targets_may_have_identities),
        IN_A_PLACE(enabled_and_platform_hold_without_a_target),
        IN_A_PLACE(a_client_section_serves_a_named_client_only),
        IN_A_PLACE(names_are_covered),
        IN_A_PLACE(one_identity),
        IN_A_PLACE(a_left_out_secret_is_told),
        IN_A_PLACE(included_lines_belong_to_the_section_around_them),
        IN_A_PLACE(domain_and_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
