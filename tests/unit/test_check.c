/* mech/options/check: every mistake of a file is told, with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/check.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))
#define LINE(options) "kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so [" options "] <interposer>\n"

static int open_place(void **state)
{
    (void)state;
    place_open();
    place_file("secret", "x");
    place_file("keytab", "x");
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    place_close();
    return 0;
}

/* What was told, a line each: "file:line: [warning: ]text". */
static struct kb_buf told;

static void add(void *context, const struct kb_problem *problem)
{
    const char *name = strrchr(problem->file, '/');

    assert_ptr_equal(context, &told);
    assert_true(problem->code != KB_E_NONE && problem->text[0] != '\0');
    assert_null(strpbrk(problem->text, "\n\x1b"));
    kb_buf_printf(&told, "%s:%u: %s%s\n", name != NULL ? name + 1 : problem->file, problem->line,
                  problem->warning ? "warning: " : "", problem->text);
}

static void assert_told(size_t row, const char *name, const char *expected)
{
    struct kb_error err = {0};

    kb_buf_init(&told, 1 << 20);
    if (kb_options_check(place_path(name), add, &told, &err) != KB_OK) {
        fail_msg("row %zu: %s", row, err.text);
    }
    if (strcmp(kb_buf_str(&told), expected) != 0) {
        fail_msg("row %zu:\n%s\nwanted:\n%s", row, kb_buf_str(&told), expected);
    }
    kb_buf_wipe(&told);
}

static void option_files_are_judged(void **state)
{
    static const struct {
        const char *text, *problems;
    } rows[] = {
        {"", ""},
        {"User = alice@R\nPassword = file:~/secret\n[target HTTP@*]\nTimeout = 5\n", ""},
        {"[target a@b]\nUser = x@R\nKeytabFile = ~/keytab\n[client svc@R]\nPassword = x\n", ""},
        /* all of them, not only the first */
        {"Usr = x\nTimeout = soon\nKDCPort = 0\n[tarket x]\nUseTCP = maybe\n[target a@b]\nX = 1\n",
         "config:1: there is no option `Usr` (did you mean User?)\n"
         "config:2: Timeout=soon: it is no number from 0 to 86400\n"
         "config:3: KDCPort=0: it must be from 1 to 65535\n"
         "config:4: `tarket` begins no condition of a section (did you mean target?); there are "
         "target, client, program and user\n"
         "config:5: UseTCP=maybe: it must be True or False\n"
         "config:7: there is no option `X`\n"},
        /* what stands in a broken section holds nowhere */
        {"[target\nFirewallPort = 5\n", "config:1: no `]` at the end of a section's line\n"},
        {"include none\nTimeout = x\n", "config:1: DIR/none: No such file or directory\n"
                                        "config:2: Timeout=x: it is no number from 0 to 86400\n"},
        {"include other\nTimeout = x\n", "other:1: there is no option `Bogus`\n"
                                         "other:3: KDCPort=x: it is no number from 1 to 65535\n"
                                         "config:2: Timeout=x: it is no number from 0 to 86400\n"},
        /* what does not hold together */
        {"User = alice\nPassword = x\n", "config:1: no realm is known for user alice\n"},
        {"User = @R\n", "config:1: User=@R is no principal's name\n"},
        {"Password = x\n", "config:1: Password is set, but no User in the same place\n"},
        {"User = alice@R\n[target a@b]\nPassword = x\n",
         "config:3: Password is set, but no User in the same place\n"},
        {"FirewallPort = 8080\n",
         "config:1: FirewallPort=8080 does nothing without FirewallHost\n"},
        {"FirewallPort = 8080\n[target a@b]\nTimeout = 5\n[target c@d]\nTimeout = 5\n",
         "config:1: FirewallPort=8080 does nothing without FirewallHost\n"},
        {"FirewallHost = proxy\n[target a@b]\nFirewallPort = 8080\nKDCHost = udp/k\n",
         "config:4: KDCHost=udp/k asks over UDP, which does not go through FirewallHost=proxy "
         "(DIR/config:1)\n"},
        /* warnings */
        {"Timeout = 5\nKDCPort = 5\nTimeout = 6\n",
         "config:1: warning: Timeout is set once more in line 3, which wins\n"},
        {"[target www]\nTimeout = 5\n[target www*]\nTimeout = 5\n",
         "config:2: warning: the section's `www`: no target has that name; write service@host, or "
         "*@host\n"},
        {"[client alice]\nTimeout = 5\n",
         "config:2: warning: the section's `alice`: no client has that name; write name@REALM, or "
         "name@*\n"},
        {"[program curl]\nTimeout = 5\n[program */curl]\nTimeout = 5\n",
         "config:2: warning: the section's `curl`: no program has that path; write the whole path, "
         "or */NAME\n"},
        {"[user no-such-user]\nTimeout = 5\n[user root]\nTimeout = 5\n[user %no-such-group]\n"
         "Timeout = 5\n[user 4711]\nTimeout = 5\n",
         "config:2: warning: this system has no user `no-such-user`\n"
         "config:6: warning: this system has no group `no-such-group`\n"},
        {"User = a@R\nPassword = file:~/none\n",
         "config:2: warning: Password: DIR/none: No such file or directory\n"},
        {"User = a@R\nPassword = file:/\n", "config:2: warning: Password: /: not a regular file\n"},
        {"User = a@R\nPassword = file:%{credentials}/x\n", ""},
        {"KeytabFile = /none\n", "config:1: warning: KeytabFile: /none: No such file or "
                                 "directory\n"},
        {"User = a@R\nKeytabFile = ~/keytab\nPassword = x\n",
         "config:3: warning: Password is not used, since KeytabFile is set in the same place\n"},
        {"LogFile = ~/none/log\nTraceFile = ~\nPacketCapture = ~/ok\n",
         "config:1: warning: LogFile: DIR/none/log: No such file or directory\n"
         "config:2: warning: TraceFile: DIR: it is a directory\n"},
        {"EncryptionTypes = DEFAULT rc4 des-cbc-md5\n",
         "config:1: warning: EncryptionTypes: rc4-hmac is old and weak (RFC 8429); take it out "
         "once "
         "the KDC has AES keys for the user and the services\n"
         "config:1: warning: EncryptionTypes: des-cbc-md5 is old and weak (RFC 6649); take it out "
         "once the KDC has AES keys for the user and the services\n"},
        {"EncryptionTypes = camellia aes\n", ""},
        {"UseFIPSCompliantAPI = True\nEncryptionTypes = camellia128-cts\n",
         "config:2: EncryptionTypes=camellia128-cts-cmac is refused by UseFIPSCompliantAPI=True "
         "(DIR/config:1): camellia128-cts-cmac is not of FIPS 140's algorithms; the aes types "
         "are\n"},
    };

    (void)state;
    place_file("other", "Bogus = 1\n\nKDCPort = x\n");
    for (size_t i = 0; i < NUM(rows); i++) {
        char expected[2000] = "", *to = expected;

        for (const char *at = rows[i].problems; *at != '\0';) {
            if (strncmp(at, "DIR", 3) == 0) {
                to += sprintf(to, "%.*s", (int)strlen(place_path("")) - 1, place_path(""));
                at += 3;
            } else {
                *to++ = *at++;
            }
        }
        *to = '\0';
        place_file("config", rows[i].text);
        assert_told(i, "config", expected);
    }
}

static void lines_of_mechanisms_are_judged(void **state)
{
#define NO_TYPE "the line does not end with <interposer>, exactly so, behind the options\n"
    static const struct {
        const char *text, *problems;
    } rows[] = {
        {LINE("User=a@R Password=file:~/secret"), ""},
        {"# comment\nother 1.2.3 other.so\n" LINE(""), ""},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so <interposer>\n", ""},
        {LINE("Usr=a@R Timeout=x \"a\" KDCPort=5"),
         "mech:1: there is no option `Usr` (did you mean User?)\n"
         "mech:1: Timeout=x: it is no number from 0 to 86400\n"
         "mech:1: a word that is no Name=value; a value with a blank is written in quotes\n"},
        {" " LINE(""), "mech:1: a blank before the line: libgssapi does not take it then\n"},
        {"kerbside kerbside.so [User=a@R] <interposer>\n",
         "mech:1: `kerbside.so` is no object identifier; it is 1.3.6.1.4.1.32473.88.1\n"},
        {"kerbside 1.3.6.1.4.1.32473.88.1\n",
         "mech:1: the library's name, kerbside.so, is missing\n"},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so [User=a@R]\n", "mech:1: " NO_TYPE},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so [User=a@R] <Interposer>\n",
         "mech:1: " NO_TYPE},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so [User=a@R] <interposer> # mine\n",
         "mech:1: " NO_TYPE},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so\n",
         "mech:1: the line does not end with <interposer>, so it is no plugin for existing "
         "mechanisms\n"},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so User=a@R <interposer>\n",
         "mech:1: the options must stand in brackets, [Name=value ...]\n"},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so <interposer> [User=a@R]\n",
         "mech:1: the options stand behind <interposer>, where libgssapi does not see them; write "
         "them before it\n"},
        {"kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so [User=a@R <interposer>\n",
         "mech:1: no `]` ends the options\n"
         "mech:1: a word that is no Name=value; a value with a blank is written in quotes\n"},
        {LINE("User=a@R Password=\"x]y\""),
         "mech:1: a `]` inside of the options ends them for libgssapi; write \\x5d for it in a "
         "quoted value\n"
         "mech:1: Password: the closing quote is missing (in a mech.d line a `]` is written "
         "\\x5d)\n"},
        {LINE("KDCHost=[::1]:88"),
         "mech:1: a `]` inside of the options ends them for libgssapi; write \\x5d for it in a "
         "quoted value\n"
         "mech:1: KDCHost=[::1: no `]` behind an address\n"},
        {LINE("Timeout=1") LINE("Timeout=2"), "mech:1: warning: line 2 has the same object "
                                              "identifier and takes the place of this one\n"},
        {"other 1.3.6.1.4.1.32473.88.2 /usr/lib/other.so <interposer>\r\n" LINE("Timeout=2"), ""},
        {LINE("Config=~/config"), "config:1: there is no option `Bogus`\n"
                                  "config:2: Timeout=x: it is no number from 0 to 86400\n"},
        {LINE("Config=/none"), "mech:1: Config: /none: No such file or directory\n"},
    };

    (void)state;
    place_file("config", "Bogus = 1\nTimeout = x\n");
    for (size_t i = 0; i < NUM(rows); i++) {
        place_file("mech", rows[i].text);
        assert_told(i, "mech", rows[i].problems);
    }
    {
        char *line = malloc(9000);

        snprintf(line, 9000, "kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so [%8200s] <interposer>\n",
                 "Timeout=5");
        place_file("mech", line);
        free(line);
        kb_buf_init(&told, 1 << 20);
        assert_int_equal(kb_options_check(place_path("mech"), add, &told, NULL), KB_OK);
        assert_non_null(strstr(kb_buf_str(&told), "more than 8190 characters"));
        kb_buf_wipe(&told);
    }
}

static void an_exposed_password_is_told(void **state)
{
    (void)state;
    place_file("config", "User = a@R\nPassword = x\n");
    place_mode("config", 0644);
    assert_told(0, "config",
                "config:2: Password: the password stands in a file that group or others can "
                "read\n");
    place_file("mech", LINE("User=a@R Password=file:~/secret"));
    place_mode("mech", 0644);
    assert_told(1, "mech", "");
    place_mode("secret", 0644);
    kb_buf_init(&told, 1 << 20);
    assert_int_equal(kb_options_check(place_path("mech"), add, &told, NULL), KB_OK);
    assert_non_null(strstr(kb_buf_str(&told), "mech:1: warning: Password: everybody can read "));
    kb_buf_wipe(&told);
}

static void a_realm_may_stand_in_krb5_conf(void **state)
{
    (void)state;
    place_file("krb5.conf", "[libdefaults]\ndefault_realm = R\n");
    place_file("config", "User = alice\nPassword = x\n");
    assert_told(0, "config", "");
    place_file("krb5.conf", "[libdefaults]\ndefault_realm R\n");
    kb_buf_init(&told, 1 << 20);
    assert_int_equal(kb_options_check(place_path("config"), add, &told, NULL), KB_OK);
    assert_non_null(strstr(kb_buf_str(&told), "krb5.conf:2: no `=` in a line"));
    kb_buf_wipe(&told);
}

static void a_file_that_is_not_there_is_no_judgement(void **state)
{
    struct kb_error err = {0};

    (void)state;
    assert_int_equal(kb_options_check("/none", add, &told, &err), KB_ERROR);
    assert_string_equal(err.text, "/none: No such file or directory");
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, open_place, close_place)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(option_files_are_judged),
        IN_A_PLACE(lines_of_mechanisms_are_judged),
        IN_A_PLACE(an_exposed_password_is_told),
        IN_A_PLACE(a_realm_may_stand_in_krb5_conf),
        IN_A_PLACE(a_file_that_is_not_there_is_no_judgement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
