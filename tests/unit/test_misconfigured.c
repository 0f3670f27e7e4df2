/* mech/options: what can be written wrongly, and the one line that says so. In the messages DIR is
 * the test's directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/options.h"
#include "mech/options/process.h"
#include "mech/options/settings.h"
#include "mech/report/reference.h"
#include "tests/support/place.h"

#define KNOWN "; there are %{uid}, %{euid}, %{username}, %{hostname} and %{credentials}"
#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

/* The error's sentence with the test's directory shown as DIR. */
static const char *sentence(const struct kb_error *err)
{
    static char text[2048];
    const char *directory = place_path(""), *at = err->text;
    size_t len = strlen(directory) - 1;
    char *to = text;

    while (*at != '\0') {
        if (strncmp(at, directory, len) == 0) {
            to = stpcpy(to, "DIR");
            at += len;
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
    return text;
}

static void assert_error(size_t row, const struct kb_error *err, enum kb_error_code code,
                         const char *text)
{
    if (strcmp(sentence(err), text) != 0 || err->code != code) {
        fail_msg("row %zu (code %d): %s\nwanted: %s", row, err->code, sentence(err), text);
    }
}

static struct kb_error error_of(const char *target, const char *client)
{
    struct kb_options_query query = {.target = kb_str(target), .client = kb_str(client)};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};

    if (kb_options_get(&query, &options, &err) == KB_OK) {
        kb_options_put(options);
    }
    return err;
}

enum places { LINE, BOTH };

static const struct {
    enum places places;
    const char *options;
    enum kb_error_code code;
    const char *text;
} wrong_items[] = {
#define ROW(places, options, code, text) {places, options, code, text},
#include "tests/unit/misconfigured.def"
#undef ROW
};

static void assert_error_at(size_t row, const char *place, const struct kb_error *err,
                            enum kb_error_code code, const char *text)
{
    char expected[1500];

    snprintf(expected, sizeof(expected), "%s: %s", place, text);
    assert_error(row, err, code, expected);
}

/* In our line of the mech.d file, beside an identity that works. */
static void a_wrong_line_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(wrong_items); i++) {
        struct kb_standing standing;
        struct kb_error err;
        char line[500];

        snprintf(line, sizeof(line), "KeytabFile=/good %s", wrong_items[i].options);
        place_line(line);
        place_renew();
        err = error_of(NULL, NULL);
        assert_error_at(i, "DIR/mech:1", &err, wrong_items[i].code, wrong_items[i].text);
        assert_int_equal(kb_options_standing(&standing), KB_OK);
        assert_true(standing.ours); /* nobody else's ticket is used instead */
    }
}

/* In the environment, above an identity that works: it is not used instead. */
static void wrong_items_of_the_environment_are_told(void **state)
{
    (void)state;
    place_line("User=good@R KeytabFile=/good");
    for (size_t i = 0; i < NUM(wrong_items); i++) {
        struct kb_standing standing;
        struct kb_error err;

        if (wrong_items[i].places == LINE) {
            continue;
        }
        place_env("KERBSIDE_OPTIONS", wrong_items[i].options);
        err = error_of(NULL, NULL);
        assert_error_at(i, "KERBSIDE_OPTIONS", &err, wrong_items[i].code, wrong_items[i].text);
        assert_int_equal(kb_options_standing(&standing), KB_OK);
        assert_true(standing.ours);
    }
    place_env("KERBSIDE_OPTIONS", NULL);
}

/* In an option file. */
static void a_wrong_file_is_told(void **state)
{
    static const struct {
        const char *text;
        enum kb_error_code code;
        const char *message;
    } rows[] = {
        {"User alice@R\n", KB_E_OPTION,
         "a word that is no Name=value; a value with a blank is written in quotes"},
        {"User\n", KB_E_OPTION, "no `=` behind a word; options are written Name=value"},
        {"[target HTTP@*\n", KB_E_OPTION, "no `]` at the end of a section's line"},
        {"[]\n", KB_E_OPTION, "an empty condition in a section's brackets"},
        {"[target a,]\n", KB_E_OPTION, "an empty condition in a section's brackets"},
        {"[target]\n", KB_E_OPTION, "no pattern behind `target` in a section's brackets"},
        {"[tarket x]\n", KB_E_OPTION,
         "`tarket` begins no condition of a section (did you mean target?); there are target, "
         "client, "
         "program and user"},
        {"[HTTP@www]\n", KB_E_OPTION,
         "`HTTP@www` begins no condition of a section; there are target, client, program and user"},
        {"[target x] # note\n", KB_E_OPTION, "no `]` at the end of a section's line"},
        {"Timeout = 5 # seconds\n", KB_E_OPTION,
         "Timeout: a comment needs a line of its own; a value with a # is written in quotes"},
        {"User = \"alice@R\" x\n", KB_E_OPTION, "User: something stands behind the closing quote"},
        {"User = \"alice@R\n", KB_E_OPTION,
         "User: the closing quote is missing (in a mech.d line a `]` is written \\x5d)"},
        {"Config = /x\n", KB_E_OPTION, "Config: an option file takes another in by `include PATH`"},
        {"ForUser = x\n", KB_E_OPTION,
         "ForUser stands in a mech.d line only; a section [user NAME] says the same"},
        {"include /nonexistent\n", KB_E_OPTION, "/nonexistent: No such file or directory"},
        {"include %{uid\n", KB_E_OPTION, "`%{uid` is not known" KNOWN},
        {"UseTCP = ja\n", KB_E_OPTION, "UseTCP=ja: it must be True or False"},
        {"[target x]\nUseTCP = ja\n", KB_E_OPTION, "UseTCP=ja: it must be True or False"},
        {"[target x]\nUseFIPSCompliantAPI = True\n", KB_E_OPTION,
         "UseFIPSCompliantAPI=True: it concerns the whole process, so it cannot depend on a target "
         "or client"},
        {"[client x, program y]\nUseInternalSecurityAPI = no\n", KB_E_OPTION,
         "UseInternalSecurityAPI=no: it concerns the whole process, so it cannot depend on a "
         "target or client"},
        {"User = \"a\\qb@R\"\n", KB_E_OPTION,
         "User: a backslash in quotes stands before another \\, a \", n, t, r or xHH"},
        {"= x\n", KB_E_OPTION, "no option's name stands before the `=`"},
        {"[target x, user]\n", KB_E_OPTION, "no pattern behind `user` in a section's brackets"},
        {"[user x,, program y]\n", KB_E_OPTION, "an empty condition in a section's brackets"},
        {"[hots x]\n", KB_E_OPTION,
         "`hots` begins no condition of a section; there are target, client, program and user"},
        {"[targets x]\n", KB_E_OPTION,
         "`targets` begins no condition of a section (did you mean target?); there are target, "
         "client, program and user"},
        {"include ~bob/x\n", KB_E_OPTION,
         "`~` stands for one's own home directory only; write the path"},
        {"include config\n", KB_E_OPTION, NULL},
        {"KDCHost = a b # c\n", KB_E_OPTION,
         "KDCHost: a comment needs a line of its own; a value with a # is written in quotes"},
        {"[user no-such-user]\nTimeot = 1\n", KB_E_OPTION,
         "there is no option `Timeot` (did you mean Timeout?)"},
    };

    (void)state;
    place_line("Config=~/config");
    for (size_t i = 0; i < NUM(rows); i++) {
        char expected[1000];
        struct kb_error err;

        place_file("config", rows[i].text);
        place_renew();
        err = error_of(NULL, NULL);
        if (rows[i].message == NULL) { /* each file on the way is named */
            assert_non_null(strstr(err.text, "files include each other more than 10 deep"));
            continue;
        }
        snprintf(expected, sizeof(expected), "DIR/mech:1: Config: DIR/config:%d: %s",
                 strchr(rows[i].text, '\n')[1] != '\0' ? 2 : 1, rows[i].message);
        assert_error(i, &err, rows[i].code, expected);
    }
}

static void a_wrong_environment_is_told(void **state)
{
    static const struct {
        const char *name, *value;
        enum kb_error_code code;
        const char *text;
    } rows[] = {
        {"KERBSIDE_OPTIONS", "User=", KB_E_USER, "KERBSIDE_OPTIONS: User=: it is empty"},
        {"KERBSIDE_OPTIONS", "Timeout=x", KB_E_OPTION,
         "KERBSIDE_OPTIONS: Timeout=x: it is no number from 0 to 86400"},
        {"KERBSIDE_OPTIONS", "User=alice@R Password=fd:x", KB_E_OPTION,
         "KERBSIDE_OPTIONS: Password: no descriptor's number behind fd:"},
        {"KERBSIDE_OPTIONS", "User=alice@R ForUser=bob", KB_E_OPTION,
         "KERBSIDE_OPTIONS: ForUser stands in a mech.d line only; a section [user NAME] says the "
         "same"},
        {"KERBSIDE_OPTIONS", "Config=/nonexistent", KB_E_OPTION,
         "KERBSIDE_OPTIONS: Config: /nonexistent: No such file or directory"},
        {"KERBSIDE_CONFIG", "/nonexistent", KB_E_OPTION,
         "KERBSIDE_CONFIG: /nonexistent: No such file or directory"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_error err;

        place_env(rows[i].name, rows[i].value);
        err = error_of(NULL, NULL);
        assert_error(i, &err, rows[i].code, rows[i].text);
        place_env(rows[i].name, NULL);
    }
}

static void options_behind_the_type_are_told(void **state)
{
    struct kb_error err;

    (void)state;
    place_file("mech", "kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so <interposer> [User=alice@R]\n");
    err = error_of(NULL, NULL);
    assert_error(
        0, &err, KB_E_OPTION,
        "DIR/mech:1: the options stand behind <interposer>, where libgssapi does not see them; "
        "write them before it");
}

static void a_wrong_krb5_conf_matters_to_identities_only(void **state)
{
    struct kb_standing standing;
    struct kb_error err;

    (void)state;
    place_file("krb5.conf", "[libdefaults]\n default_realm A\n");
    err = error_of(NULL, NULL);
    assert_int_equal(err.code, KB_E_NONE);
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_false(standing.ours);
    place_line("Config=~/config");
    place_file("config", "[target HTTP@www]\nUser = alice@R\nPassword = x\n");
    place_renew();
    err = error_of("HTTP@other", NULL);
    assert_int_equal(err.code, KB_E_NONE);
    err = error_of("HTTP@www", NULL);
    assert_error(0, &err, KB_E_OPTION, "DIR/krb5.conf:2: no `=` in a line");
    place_file("krb5.conf", "[libdefaults]\n permitted_enctypes = rc4-hmac-exp des3-cbc-raw\n");
    place_renew();
    err = error_of("HTTP@www", NULL);
    assert_error(
        1, &err, KB_E_NO_ENCTYPE,
        "DIR/krb5.conf:2: permitted_enctypes (rc4-hmac-exp des3-cbc-raw) has no encryption "
        "type that is supported here; set EncryptionTypes to override it");
}

/* Each with the reason why nothing is left. */
static void lists_of_krb5_conf_that_leave_nothing_are_told(void **state)
{
    static const struct {
        const char *conf, *text;
    } rows[] = {
        {"permitted_enctypes = des-hmac-sha1",
         "permitted_enctypes (des-hmac-sha1) has no encryption type that is supported here"},
        {"permitted_enctypes = -aes",
         "permitted_enctypes (-aes) has no encryption type that is supported here"},
        {"default_tgs_enctypes = des-cbc-md5",
         "default_tgs_enctypes (des-cbc-md5) has no encryption type that is allowed here, since "
         "allow_weak_crypto is not true"},
        {"default_tkt_enctypes = rc4-hmac\n allow_rc4 = 0",
         "default_tkt_enctypes (rc4-hmac) has no encryption type that is allowed here, since "
         "allow_rc4 is false"},
        {"permitted_enctypes = des3\n allow_des3 = 0",
         "permitted_enctypes (des3) has no encryption type that is allowed here, since allow_des3 "
         "is false"},
    };

    (void)state;
    place_line("User=alice@R KeytabFile=/x");
    for (size_t i = 0; i < NUM(rows); i++) {
        char text[400];
        struct kb_error err;

        snprintf(text, sizeof(text), "[libdefaults]\n %s\n", rows[i].conf);
        place_file("krb5.conf", text);
        place_renew();
        err = error_of("HTTP@www", NULL);
        snprintf(text, sizeof(text), "DIR/krb5.conf:2: %s; set EncryptionTypes to override it",
                 rows[i].text);
        assert_error(i, &err, KB_E_NO_ENCTYPE, text);
    }
}

/* Named, they are not passed over. The number is that of an unsupported encryption type. */
static void fips_refuses_what_it_does_not_have(void **state)
{
    static const struct {
        const char *type, *name;
    } rows[] = {
        {"rc4", "rc4-hmac"},
        {"des3", "des3-cbc-sha1"},
        {"des-cbc-crc", "des-cbc-crc"},
        {"des-cbc-md5", "des-cbc-md5"},
        {"camellia256-cts", "camellia256-cts-cmac"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        char line[200], text[400];
        struct kb_error err;

        snprintf(
            line, sizeof(line),
            "User=alice@R KeytabFile=/x UseFIPSCompliantAPI=True EncryptionTypes=aes128-sha2,%s",
            rows[i].type);
        place_line(line);
        place_renew();
        err = error_of(NULL, NULL);
        snprintf(text, sizeof(text),
                 "DIR/mech:1: EncryptionTypes=aes128-cts-hmac-sha256-128,%s is refused by "
                 "UseFIPSCompliantAPI=True: %s is not of FIPS 140's algorithms; the aes types are",
                 rows[i].name, rows[i].name);
        assert_error(i, &err, KB_E_OPTION, text);
        assert_int_equal(kb_error_number(&err), 954);
    }
}

/* A person who has no file of his own is not misconfigured. */
static void a_personal_file_may_be_missing(void **state)
{
    struct kb_standing standing;

    (void)state;
    place_line("Config=~/.kerbside.conf");
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_false(standing.ours);
    place_file(".kerbside.conf", "User = alice@R\nPassword = x\n");
    place_renew();
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.ours);
}

static void inline_passwords_others_can_read_are_refused(void **state)
{
    static const struct {
        const char *file;
        mode_t mode;
        bool refused;
    } rows[] = {
        {"mech", 0600, false}, {"mech", 0640, true},    {"mech", 0604, true},
        {"mech", 0622, false}, {"config", 0600, false}, {"config", 0644, true},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        bool line = strcmp(rows[i].file, "mech") == 0;
        struct kb_error err;

        place_file("config", "\nUser = alice@R\nPassword = \"x\"\n");
        place_line(line ? "User=alice@R Password=x" : "Config=~/config");
        place_mode(rows[i].file, rows[i].mode);
        place_renew();
        err = error_of(NULL, NULL);
        if (!rows[i].refused) {
            assert_int_equal(err.code, KB_E_NONE);
        } else {
            assert_error(
                i, &err, KB_E_PASSWORD_EXPOSED,
                line ? "DIR/mech:1: Password: the password stands in a file that group or others "
                       "can read"
                     : "DIR/config:3: Password: the password stands in a file that group or "
                       "others can read");
        }
    }
    /* Where it comes from elsewhere, the file may be read by all. */
    place_file("secret", "x");
    place_line("User=alice@R Password=file:~/secret");
    place_mode("mech", 0644);
    place_renew();
    assert_int_equal(error_of(NULL, NULL).code, KB_E_NONE);
}

static struct kb_error password_error(const char *options)
{
    struct kb_options_query query = {0};
    const struct kb_options *snapshot;
    struct kb_error err = {0};
    kb_bytes password;

    place_line(options);
    place_renew();
    assert_int_equal(kb_options_get(&query, &snapshot, &err), KB_OK);
    if (kb_options_password(snapshot, &password, &err) == KB_OK) {
        kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
    }
    kb_options_put(snapshot);
    return err;
}

static void a_password_that_cannot_be_read_is_told(void **state)
{
    static const struct {
        const char *text, *message;
    } contents[] = {
        {"", "the password of Password=file:DIR/secret is empty"},
        {"\n", "the password of Password=file:DIR/secret is empty"},
        {"\xef\xbb\xbfx",
         "the password of Password=file:DIR/secret begins with a byte order mark; write it "
         "without"},
    };
    struct kb_error err;
    char expected[300];
    FILE *file;

    (void)state;
    err = password_error("User=alice@R Password=file:~/none");
    assert_error(0, &err, KB_E_PASSWORD_SOURCE,
                 "DIR/mech:1: Password=file:DIR/none: No such file or directory");
    err = password_error("User=alice@R Password=env:KB_TEST_NONE");
    assert_error(1, &err, KB_E_PASSWORD_SOURCE,
                 "DIR/mech:1: Password=env:KB_TEST_NONE: that variable is not set");
    err = password_error("User=alice@R Password=file:/dev/null");
    assert_error(2, &err, KB_E_PASSWORD_SOURCE,
                 "DIR/mech:1: Password=file:/dev/null: not a regular file");
    for (size_t i = 0; i < NUM(contents); i++) {
        place_file("secret", contents[i].text);
        err = password_error("User=alice@R Password=file:~/secret");
        snprintf(expected, sizeof(expected), "DIR/mech:1: %s", contents[i].message);
        assert_error(3 + i, &err, KB_E_PASSWORD_SOURCE, expected);
    }
    file = fopen(place_path("secret"), "w");
    fwrite("a\0b\0", 1, 4, file);
    fclose(file);
    err = password_error("User=alice@R Password=file:~/secret");
    assert_error(
        8, &err, KB_E_PASSWORD_SOURCE,
        "DIR/mech:1: the password of Password=file:DIR/secret has NUL bytes in it (UTF-16?); write "
        "it in UTF-8");
    assert_int_equal(truncate(place_path("secret"), 70000), 0);
    err = password_error("User=alice@R Password=file:~/secret");
    assert_error(9, &err, KB_E_PASSWORD_SOURCE,
                 "DIR/mech:1: Password=file:DIR/secret: larger than 64 KiB");
    if (geteuid() == 0) {
        place_file("secret", "x");
        assert_int_equal(chown(place_path("secret"), 4711, 0), 0);
        err = password_error("User=alice@R Password=file:~/secret");
        assert_error(
            10, &err, KB_E_PASSWORD_SOURCE,
            "DIR/mech:1: Password=file:DIR/secret: it belongs to user 4711, neither to this "
            "process's user 0 nor to root");
    }
}

/* Is it one item without quotes, which a program would set in the same words? */
static bool is_one_plain_item(const char *text)
{
    return strchr(text, '=') != NULL && text[0] != '=' && strpbrk(text, " \"\x1b") == NULL;
}

/* What is wrong about a value is wrong for a program too, at once where it can be seen at once. */
static void wrong_items_of_a_program_are_told(void **state)
{
    struct kb_settings *own = kb_settings_new();

    (void)state;
    place_line("User=good@R KeytabFile=/good");
    for (size_t i = 0; i < NUM(wrong_items); i++) {
        struct kb_options_query query = {.own = own};
        const struct kb_options *options = NULL;
        struct kb_error err = {0};

        if (wrong_items[i].places == LINE || !is_one_plain_item(wrong_items[i].options)) {
            continue;
        }
        if (kb_settings_set_text(own, kb_str(wrong_items[i].options), &err) == KB_OK) {
            assert_int_equal(kb_options_get(&query, &options, &err), KB_ERROR);
        }
        if (strstr(err.text, ": it cannot be set for one credential") == NULL) {
            assert_error_at(i, "the credential", &err, wrong_items[i].code, wrong_items[i].text);
        }
        kb_settings_reset(own);
        err = (struct kb_error){0};
        if (kb_options_process_set(kb_str(wrong_items[i].options), &err) == KB_OK) {
            err = error_of(NULL, NULL);
        }
        assert_error_at(i, "the process's settings", &err, wrong_items[i].code,
                        wrong_items[i].text);
        kb_options_process_reset();
    }
    kb_settings_free(own);
}

/* What a program sets for a credential or for its process. */
static void a_wrong_setting_of_a_program_is_told(void **state)
{
    static const struct {
        const char *text, *message;
        bool for_process; /* fine there */
    } rows[] = {
        {"User", "no `=`; an option is set by NAME=VALUE", false},
        {"Usr=x", "there is no option `Usr` (did you mean User?)", false},
        {"Config=/x", "Config=/x: it cannot be set for one credential", true},
        {"KDCPort=x", "KDCPort=x: it is no number from 1 to 65535", false},
        {"ForUser=x", "ForUser stands in a mech.d line only; a section [user NAME] says the same",
         false},
        {"Password=fd:9999", "Password=fd:9999: Bad file descriptor", false},
        {"Password=fd:x", "Password: no descriptor's number behind fd:", false},
        {"Password=", "Password: it is empty", false},
    };
    struct kb_settings *own = kb_settings_new();

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_error err = {0};
        char expected[300];

        assert_int_equal(kb_settings_set_text(own, kb_str(rows[i].text), &err), KB_ERROR);
        snprintf(expected, sizeof(expected), "the credential: %s", rows[i].message);
        assert_error(i, &err, err.code, expected);
        if (!rows[i].for_process) {
            err = (struct kb_error){0};
            assert_int_equal(kb_options_process_set(kb_str(rows[i].text), &err), KB_ERROR);
            snprintf(expected, sizeof(expected), "the process's settings: %s", rows[i].message);
            assert_error(i, &err, err.code, expected);
        }
    }
    assert_false(kb_settings_has_identity(own));
    kb_settings_free(own);
    assert_string_equal(kb_option_near_miss(KB_LIT("keytab_file")), "KeytabFile");
    assert_null(kb_option_near_miss(KB_LIT("rcache")));
    assert_null(kb_option_near_miss(KB_LIT("keytabfile")));
}

static void no_message_shows_a_password(void **state)
{
    static const char *const lines[] = {
        "User=alice@R Password=\"hunter2",
        "User=alice@R Password=hunter2\"",
        "Password=\"hunter2\"x",
        "Password=hunter2 KDCPort=x",
        "Password=hunter2",
        "User=alice Password=hunter2",
        "Password=fd:hunter2",
    };

    (void)state;
    for (size_t i = 0; i < NUM(lines); i++) {
        struct kb_error err;

        place_line(lines[i]);
        place_renew();
        err = error_of(NULL, NULL);
        assert_true(err.code != KB_E_NONE);
        assert_null(strstr(err.text, "hunter2"));
    }
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_wrong_line_is_told),
        IN_A_PLACE(wrong_items_of_the_environment_are_told),
        IN_A_PLACE(a_wrong_file_is_told),
        IN_A_PLACE(a_wrong_environment_is_told),
        IN_A_PLACE(options_behind_the_type_are_told),
        IN_A_PLACE(a_wrong_krb5_conf_matters_to_identities_only),
        IN_A_PLACE(lists_of_krb5_conf_that_leave_nothing_are_told),
        IN_A_PLACE(fips_refuses_what_it_does_not_have),
        IN_A_PLACE(a_personal_file_may_be_missing),
        IN_A_PLACE(inline_passwords_others_can_read_are_refused),
        IN_A_PLACE(a_password_that_cannot_be_read_is_told),
        IN_A_PLACE(wrong_items_of_a_program_are_told),
        IN_A_PLACE(a_wrong_setting_of_a_program_is_told),
        IN_A_PLACE(no_message_shows_a_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
