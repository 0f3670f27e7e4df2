/* mech/options: what User, Password, KeytabFile and CredentialsCacheFile of different places make
 * of each other, and how a User is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/layers.h"
#include "mech/options/options.h"
#include "mech/options/process.h"
#include "mech/options/settings.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

static const char *cache_of_bob = "bob@R";

static bool bob_is_to_come;
static unsigned keytab_looks;

static bool fake_keytab(const char *path, const struct kb_principal *principal)
{
    struct kb_buf name;
    bool has;

    kb_buf_init(&name, 1000);
    kb_principal_unparse(principal, &name);
    keytab_looks++;
    has =
        strcmp(path, "/kt-bob") == 0 && !bob_is_to_come && strcmp(kb_buf_str(&name), "bob@R") == 0;
    has = has || (strcmp(path, "/kt-http") == 0 && strcmp(kb_buf_str(&name), "HTTP/www@R") == 0);
    kb_buf_wipe(&name);
    return has;
}

static void fake_cache(const char *name, const char *kcm_socket, struct kb_principal **out)
{
    (void)kcm_socket;
    *out = NULL;
    if (strcmp(name, "FILE:/cc-bob") == 0) {
        assert_int_equal(kb_principal_parse(kb_str(cache_of_bob), KB_NT_PRINCIPAL, KB_NONE, out),
                         KB_OK);
    } else if (strcmp(name, "FILE:/cc-http") == 0) {
        assert_int_equal(kb_principal_parse(KB_LIT("HTTP/www@R"), KB_NT_PRINCIPAL, KB_NONE, out),
                         KB_OK);
    }
}

static int open_place(void **state)
{
    static const struct kb_options_hooks hooks = {.keytab_has = fake_keytab,
                                                  .ccache_principal = fake_cache};

    (void)state;
    place_open();
    kb_options_set_hooks(&hooks);
    return 0;
}

static int close_place(void **state)
{
    static const struct kb_options_hooks none = {0};

    (void)state;
    kb_options_process_reset();
    kb_options_set_hooks(&none);
    place_close();
    return 0;
}

/* "user secret cache" of a snapshot, `-` where there is none. */
static const char *summary(const struct kb_options *options)
{
    static char text[512];
    struct kb_buf user;

    kb_buf_init(&user, 256);
    if (options->user != NULL) {
        kb_principal_unparse(options->user, &user);
    }
    snprintf(text, sizeof(text), "%s %s %s", user.len > 0 ? kb_buf_str(&user) : "-",
             options->keytab_file != NULL ? options->keytab_file
             : options->password != NULL  ? "password"
                                          : "-",
             options->ccache != NULL ? options->ccache : "-");
    kb_buf_wipe(&user);
    return text;
}

static void assert_summary(size_t row, const char *client, struct kb_settings *own,
                           const char *expected)
{
    struct kb_options_query query = {.client = kb_str(client), .own = own};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};
    const char *got = err.text;

    if (kb_options_get(&query, &options, &err) == KB_OK) {
        got = summary(options);
    }
    if (strstr(got, expected) != got) {
        fail_msg("row %zu: %s\nwanted: %s", row, got, expected);
    }
    kb_options_put(options);
}

static void set_each(const char *words, struct kb_settings *own)
{
    char text[300], *save = NULL;

    snprintf(text, sizeof(text), "%s", words);
    for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        struct kb_error err = {0};
        enum kb_status st = own != NULL ? kb_settings_set_text(own, kb_str(word), &err)
                                        : kb_options_process_set(kb_str(word), &err);

        if (st != KB_OK) {
            fail_msg("%s", err.text);
        }
    }
}

static const struct {
    const char *below, *above, *expected;
} unions[] = {
    /* a cache is an identity of its own */
    {"CredentialsCacheFile=/cc", "", "- - FILE:/cc"},
    {"CredentialsCacheFile=FILE:/cc User=alice@R", "", "alice@R - FILE:/cc"},
    {"User=alice@R Password=x", "CredentialsCacheFile=/cc", "- - FILE:/cc"},
    {"User=alice@R KeytabFile=/k", "CredentialsCacheFile=/cc", "- - FILE:/cc"},
    {"CredentialsCacheFile=/cc", "User=alice@R Password=x", "alice@R password -"},
    {"CredentialsCacheFile=/cc", "KeytabFile=/k", "- /k -"},
    {"CredentialsCacheFile=/cc", "CredentialsCacheFile=/cd", "- - FILE:/cd"},
    /* the same user's is kept */
    {"User=alice@R Password=x", "User=alice@R CredentialsCacheFile=/cc",
     "alice@R password FILE:/cc"},
    {"User=alice@R CredentialsCacheFile=/cc", "User=alice@R Password=x",
     "alice@R password FILE:/cc"},
    {"User=alice@R CredentialsCacheFile=/cc", "User=alice@R", "alice@R - FILE:/cc"},
    {"User=alice@R CredentialsCacheFile=/cc", "User=bob@R", "bob@R - -"},
    {"User=alice@R CredentialsCacheFile=/cc-bob", "User=bob@R", "bob@R - FILE:/cc-bob"},
    {"CredentialsCacheFile=/cc-bob", "User=bob@R", "bob@R - FILE:/cc-bob"},
    {"CredentialsCacheFile=/cc-bob", "User=alice@R", "alice@R - -"},
    {"KeytabFile=/kt-bob CredentialsCacheFile=/cc", "User=bob@R", "bob@R /kt-bob -"},
    {"KeytabFile=/kt-bob CredentialsCacheFile=/cc-bob", "User=bob@R", "bob@R /kt-bob FILE:/cc-bob"},
    /* a place is none: nothing is configured, nothing unset */
    {"CredentialsCacheFile=MEMORY:x", "", "- - MEMORY:x"},
    {"User=alice@R Password=x", "CredentialsCacheFile=MEMORY:x", "alice@R password MEMORY:x"},
    {"CredentialsCacheFile=MEMORY:x", "User=alice@R Password=x", "alice@R password MEMORY:x"},
    {"User=alice@R Password=x CredentialsCacheFile=/cc", "CredentialsCacheFile=MEMORY:x",
     "alice@R password MEMORY:x"},
    {"User=alice@R Password=x CredentialsCacheFile=MEMORY:x",
     "User=alice@R CredentialsCacheFile=/cc", "alice@R password FILE:/cc"},
    {"User=alice@R CredentialsCacheFile=/cc", "CredentialsCacheFile=MEMORY:x",
     "alice@R - FILE:/cc"},
    {"User=alice@R Password=x CredentialsCacheFile=MEMORY:x", "User=bob@R Password=y",
     "bob@R password MEMORY:x"},
};

/* The rows in two neighbouring layers, in each of them. */
static void a_cache_is_one_of_the_identity(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(unions); i++) {
        struct kb_settings *own = kb_settings_new();

        place_line(unions[i].below);
        place_env("KERBSIDE_OPTIONS", unions[i].above);
        place_renew();
        assert_summary(i, NULL, NULL, unions[i].expected);
        place_line("");
        place_env("KERBSIDE_OPTIONS", unions[i].below);
        set_each(unions[i].above, NULL);
        assert_summary(i, NULL, NULL, unions[i].expected);
        kb_options_process_reset();
        place_env("KERBSIDE_OPTIONS", NULL);
        set_each(unions[i].below, NULL);
        set_each(unions[i].above, own);
        assert_summary(i, NULL, own, unions[i].expected);
        kb_options_process_reset();
        kb_settings_free(own);
    }
}

static void a_place_makes_no_process_ours(void **state)
{
    static const struct {
        const char *line;
        bool ours;
    } rows[] = {
        {"CredentialsCacheFile=/cc", true},
        {"CredentialsCacheFile=FILE:~/cc", true},
        {"CredentialsCacheFile=MEMORY:x", false},
        {"CredentialsCacheFile=memory:x Timeout=5", false},
        {"User=alice@R CredentialsCacheFile=MEMORY:x", true},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_options_query query = {0};
        const struct kb_options *options;
        struct kb_standing standing;

        place_line(rows[i].line);
        place_renew();
        assert_int_equal(kb_options_standing(&standing), KB_OK);
        assert_int_equal(standing.ours, rows[i].ours);
        assert_int_equal(standing.any_identity, rows[i].ours);
        assert_int_equal(kb_options_get(&query, &options, NULL), KB_OK);
        assert_int_equal(options->has_identity, rows[i].ours);
        kb_options_put(options);
    }
}

static bool covers(const char *name)
{
    struct kb_principal *client;
    bool covered;

    assert_int_equal(kb_options_client(kb_str(name), KB_NT_PRINCIPAL, &client), KB_OK);
    covered = kb_options_covers(client);
    kb_principal_free(client);
    return covered;
}

static void a_cache_covers_its_principal(void **state)
{
    (void)state;
    place_line("CredentialsCacheFile=/cc-bob");
    assert_true(covers("bob@R"));
    assert_false(covers("alice@R"));
    assert_summary(0, "bob@R", NULL, "bob@R - FILE:/cc-bob");
    assert_summary(1, "alice@R", NULL, "- - FILE:/cc-bob");
    cache_of_bob = "alice@R"; /* kinit alice */
    assert_true(covers("alice@R"));
    assert_false(covers("bob@R"));
    cache_of_bob = "bob@R";
    place_line("Config=~/config");
    place_file("config", "[client c@R]\nCredentialsCacheFile = /cc\n");
    place_renew();
    assert_true(covers("c@R"));
    assert_false(covers("d@R"));
    assert_summary(2, "c@R", NULL, "c@R - FILE:/cc");
}

static void a_user_is_read_in_several_ways(void **state)
{
    static const char none[] = "", def[] = "[libdefaults]\ndefault_realm = R\n",
                      corp[] = "[libdefaults]\ndefault_realm = R\n[realms]\nCORP = {\n}\n";
    static const struct {
        const char *krb5conf, *line, *user, *note;
    } rows[] = {
        {def, "User=alice Password=x", "alice@R", NULL},
        {none, "User=alice@S Password=x", "alice@S", NULL},
        {corp, "User=CORP/alice Password=x", "alice@CORP",
         "User=CORP/alice is read as alice@CORP: the part before the slash is a realm"},
        {def, "User=CORP/alice Password=x", "CORP/alice@R",
         "User=CORP/alice is read as CORP/alice@R: no realm of that name is known"},
        {corp, "User=CORP/alice@CORP Password=x", "CORP/alice@CORP", NULL},
        {none, "User=CORP.EXAMPLE/alice Password=x", "alice@CORP.EXAMPLE",
         "User=CORP.EXAMPLE/alice is read as alice@CORP.EXAMPLE: the part before the slash is a "
         "realm"},
        {def, "User=HTTP/www KeytabFile=/kt-http", "HTTP/www@R",
         "User=HTTP/www is read as HTTP/www@R: the keytab or cache holds that"},
        {def, "User=HTTP/www CredentialsCacheFile=/cc-http", "HTTP/www@R",
         "User=HTTP/www is read as HTTP/www@R: the keytab or cache holds that"},
        {def, "User=a@corp.example Password=x NameType=enterprise", "a\\@corp.example@R", NULL},
        {def, "User=a Password=x NameType=enterprise", "a@R", NULL},
        {def, "User=a/b@c Password=x NameType=enterprise", "a\\/b\\@c@R", NULL},
        {none, "User=a@corp.example@S Password=x NameType=enterprise", "a\\@corp.example@S", NULL},
        {none, "User=a@corp.example Password=x NameType=enterprise",
         "a\\@corp.example@CORP.EXAMPLE",
         "User=a@corp.example is read as a\\@corp.example@CORP.EXAMPLE: no default realm is known, "
         "so its suffix is asked"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_options_query query = {0};
        const struct kb_options *options;
        struct kb_error err = {0};
        struct kb_buf user;

        place_file("krb5.conf", rows[i].krb5conf);
        place_line(rows[i].line);
        place_renew();
        if (kb_options_get(&query, &options, &err) != KB_OK) {
            fail_msg("row %zu: %s", i, err.text);
        }
        kb_buf_init(&user, 256);
        kb_principal_unparse(options->user, &user);
        assert_string_equal(kb_buf_str(&user), rows[i].user);
        assert_int_equal(options->user->name.name_type, strstr(rows[i].line, "NameType") != NULL
                                                            ? KB_NT_ENTERPRISE
                                                            : KB_NT_PRINCIPAL);
        assert_string_equal(options->user_note != NULL ? options->user_note : "",
                            rows[i].note != NULL ? rows[i].note : "");
        kb_buf_wipe(&user);
        kb_options_put(options);
    }
}

/* NameType of one layer holds for the User of another. */
/* Who is not in a keytab may be in it tomorrow, without any file of options changing. */
static void a_keytab_gets_the_user(void **state)
{
    unsigned looks;

    (void)state;
    place_line("KeytabFile=/kt-bob");
    place_env("KERBSIDE_OPTIONS", "User=bob@R");
    place_renew();
    bob_is_to_come = true;
    assert_summary(0, NULL, NULL, "bob@R - -");
    assert_summary(1, NULL, NULL, "bob@R - -");
    bob_is_to_come = false;
    assert_summary(2, NULL, NULL, "bob@R /kt-bob -");
    /* Now it is kept; and so is a choice that does without the keytab. */
    looks = keytab_looks;
    assert_summary(3, NULL, NULL, "bob@R /kt-bob -");
    assert_int_equal(keytab_looks, looks);
    place_env("KERBSIDE_OPTIONS", "User=alice@R Password=x");
    place_renew();
    assert_summary(4, NULL, NULL, "alice@R password -");
    looks = keytab_looks;
    assert_summary(5, NULL, NULL, "alice@R password -");
    assert_int_equal(keytab_looks, looks);
    place_env("KERBSIDE_OPTIONS", NULL);
}

static void name_types_hold_for_every_user(void **state)
{
    (void)state;
    place_file("krb5.conf", "[libdefaults]\ndefault_realm = R\n");
    place_line("User=a@corp.example Password=x");
    place_env("KERBSIDE_OPTIONS", "NameType=Enterprise");
    place_renew();
    assert_summary(0, NULL, NULL, "a\\@corp.example@R password -");
    place_env("KERBSIDE_OPTIONS", "NameType=enterprise User=a@corp.example@R");
    place_renew();
    assert_summary(1, NULL, NULL, "a\\@corp.example@R password -");
    place_env("KERBSIDE_OPTIONS", NULL);
}

static void the_platforms_cache_has_a_name(void **state)
{
    static const struct {
        const char *variable, *krb5conf, *name;
    } rows[] = {
        {"/x/cc", "", "FILE:/x/cc"},
        {"KCM:1", "default_ccache_name = /y", "KCM:1"},
        {"", "default_ccache_name = /y/%{uid}", "FILE:/y/"},
        {NULL, "default_ccache_name = DIR:/y", "DIR:/y"},
        {NULL, "default_ccache_name = FILE:%{TEMP}/y", "FILE:/tmp/y"},
        {NULL, "", "FILE:/tmp/krb5cc_"},
    };

    (void)state;
    place_env("TMPDIR", NULL);
    place_line("User=alice@R");
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_options_query query = {0};
        const struct kb_options *options;
        struct kb_error err = {0};
        char text[200], expected[200];
        struct kb_buf name;

        snprintf(text, sizeof(text), "[libdefaults]\n%s\n", rows[i].krb5conf);
        place_file("krb5.conf", text);
        place_env("KRB5CCNAME", rows[i].variable);
        place_renew();
        kb_buf_init(&name, 1000);
        assert_int_equal(kb_options_get(&query, &options, &err), KB_OK);
        assert_int_equal(kb_options_default_ccache(options, &name, &err), KB_OK);
        if (strchr("/_", rows[i].name[strlen(rows[i].name) - 1]) != NULL) {
            snprintf(expected, sizeof(expected), "%s%lu", rows[i].name, (unsigned long)getuid());
        } else {
            snprintf(expected, sizeof(expected), "%s", rows[i].name);
        }
        assert_string_equal(kb_buf_str(&name), expected);
        kb_buf_wipe(&name);
        kb_options_put(options);
    }
    place_env("KRB5CCNAME", NULL);
}

static void the_platforms_client_keytab_has_a_name(void **state)
{
    static const struct {
        const char *variable, *krb5conf;
        enum kb_status status;
        const char *path; /* %lu: the user's number */
    } rows[] = {
        {"/x/kt", "default_client_keytab_name = /y", KB_OK, "/x/kt"},
        {"FILE:/x/%{uid}", "", KB_OK, "/x/%lu"},
        {"WRFILE:/x/kt", "", KB_OK, "/x/kt"},
        {"MEMORY:x", "default_client_keytab_name = /y", KB_NOT_FOUND, ""},
        {"", "default_client_keytab_name = FILE:/y/%{euid}", KB_OK, "/y/%lu"},
        {NULL, "default_client_keytab_name = FILE:%{TEMP}/y", KB_OK, "/tmp/y"},
        {NULL, "default_client_keytab_name = KDB:", KB_NOT_FOUND, ""},
        {NULL, "default_client_keytab_name = /y/%{nobody}", KB_ERROR, ""},
    };

    (void)state;
    place_env("TMPDIR", NULL);
    place_line("User=alice@R");
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_options_query query = {0};
        const struct kb_options *options;
        struct kb_error err = {0};
        char text[200], expected[200];
        struct kb_buf path;

        snprintf(text, sizeof(text), "[libdefaults]\n%s\n", rows[i].krb5conf);
        place_file("krb5.conf", text);
        place_env("KRB5_CLIENT_KTNAME", rows[i].variable);
        place_renew();
        kb_buf_init(&path, 1000);
        assert_int_equal(kb_options_get(&query, &options, &err), KB_OK);
        assert_int_equal(kb_options_client_keytab(options, &path, &err), rows[i].status);
        if (strstr(rows[i].path, "%lu") != NULL) {
            snprintf(expected, sizeof(expected), "%.3s%lu", rows[i].path, (unsigned long)getuid());
        } else {
            snprintf(expected, sizeof(expected), "%s", rows[i].path);
        }
        assert_string_equal(kb_buf_str(&path), expected);
        assert_true((rows[i].status == KB_ERROR) ==
                    (strstr(err.text, "krb5.conf: default_client_keytab_name") != NULL));
        kb_buf_wipe(&path);
        kb_options_put(options);
    }
    place_env("KRB5_CLIENT_KTNAME", NULL);
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, open_place, close_place)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_cache_is_one_of_the_identity),
        IN_A_PLACE(a_place_makes_no_process_ours),
        IN_A_PLACE(a_cache_covers_its_principal),
        IN_A_PLACE(a_user_is_read_in_several_ways),
        IN_A_PLACE(name_types_hold_for_every_user),
        IN_A_PLACE(the_platforms_cache_has_a_name),
        IN_A_PLACE(the_platforms_client_keytab_has_a_name),
        IN_A_PLACE(a_keytab_gets_the_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
