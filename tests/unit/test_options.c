/* mech/options: layers, one identity, errors, snapshots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/krb5conf.h"
#include "mech/options/layers.h"
#include "mech/options/options.h"
#include "mech/options/settings.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct kb_options *get(const char *target, const char *client, struct kb_settings *own)
{
    struct kb_options_query query = {
        .target = kb_str(target), .client = kb_str(client), .own = own};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};

    if (kb_options_get(&query, &options, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
    assert_non_null(options);
    return options;
}

static void assert_user(const struct kb_options *options, const char *name)
{
    struct kb_buf buf;

    assert_non_null(options->user);
    kb_buf_init(&buf, 1000);
    kb_principal_unparse(options->user, &buf);
    assert_string_equal(kb_buf_str(&buf), name);
    kb_buf_wipe(&buf);
}

static void nothing_configured_is_not_ours(void **state)
{
    struct kb_standing standing;
    const struct kb_options *options;

    (void)state;
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_false(standing.ours || standing.broken || standing.disabled || standing.platform ||
                 standing.any_identity);
    options = get("HTTP@www", NULL, NULL);
    assert_false(options->has_identity);
    assert_null(options->user);
    assert_int_equal(options->kdc_port, 88);
    assert_true(options->enabled);
    assert_string_equal(options->log_file, "syslog:");
    assert_int_equal(options->encryption_types.num, 6);
    assert_int_equal(options->encryption_types.items[0], 20);
    kb_options_put(options);
}

static void the_mechd_line_configures(void **state)
{
    struct kb_standing standing;
    const struct kb_options *options;
    struct kb_error err = {0};
    kb_bytes password;

    (void)state;
    place_file("password", "s3cret\n");
    place_line("user=alice@EXAMPLE.ORG Password=file:~/password KDCHost=\"kdc1 "
               "tcp/kdc2:750,[::1\\x5d:88\" "
               "usetcp=yes Timeout=5 EncryptionTypes=aes-sha2,aes256-cts");
    place_renew();
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.ours && standing.any_identity && !standing.broken);
    options = get("HTTP@www", NULL, NULL);
    assert_true(options->has_identity);
    assert_user(options, "alice@EXAMPLE.ORG");
    assert_int_equal(options->kdc_host.num, 3);
    assert_string_equal(options->kdc_host.items[1], "tcp/kdc2:750");
    assert_true(options->use_tcp);
    assert_int_equal(options->timeout, 5);
    assert_int_equal(options->encryption_types.num, 3);
    assert_int_equal(options->encryption_types.items[2], 18);
    assert_int_equal(options->user_name_from.line, 1);
    assert_string_equal(options->user_name_from.file, place_path("mech"));
    assert_int_equal(kb_options_password(options, &password, &err), KB_OK);
    assert_true(kb_equal(password, KB_LIT("s3cret")));
    kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
    kb_options_put(options);
}

static void the_realm_comes_from_krb5_conf(void **state)
{
    const struct kb_options *options;
    kb_opt_LIST kdcs;

    (void)state;
    place_file("krb5.conf",
               "[libdefaults]\n default_realm = A.TEST\n clockskew = 120\n"
               " udp_preference_limit = 1\n permitted_enctypes = aes128-cts rc4-hmac-exp\n"
               "[realms]\n A.TEST = {\n  kdc = k1.a.test:750\n  kdc = https://x/KdcProxy\n"
               "  kdc = tcp/k2.a.test\n }\n");
    place_line("User=alice KeytabFile=FILE:/etc/x.keytab");
    place_renew();
    options = get(NULL, NULL, NULL);
    assert_user(options, "alice@A.TEST");
    assert_string_equal(options->keytab_file, "/etc/x.keytab");
    assert_int_equal(options->clock_skew, 120);
    assert_int_equal(options->udp_limit, 1);
    assert_int_equal(options->encryption_types.num, 1);
    kdcs = kb_krb5conf_kdcs(options->krb5conf, options->user->realm);
    assert_int_equal(kdcs.num, 3);
    assert_string_equal(kdcs.items[0], "k1.a.test:750");
    kb_options_put(options);
}

static void a_repeated_call_gets_the_same_snapshot(void **state)
{
    const struct kb_options *a, *b;

    (void)state;
    place_line("User=alice@R Password=x");
    place_renew();
    a = get("HTTP@one", NULL, NULL);
    b = get("HTTP@two", NULL, NULL);
    assert_ptr_equal(a, b);
    kb_options_put(a);
    kb_options_put(b);
}

static void a_credential_has_settings_of_its_own(void **state)
{
    struct kb_settings *own = kb_settings_new();
    const struct kb_options *options, *again;
    struct kb_error err = {0};
    kb_bytes password;

    (void)state;
    place_line("User=alice@R Password=x");
    place_renew();
    assert_int_equal(kb_settings_set(own, KB_LIT("USER"), KB_LIT("bob@R"), &err), KB_OK);
    assert_int_equal(kb_settings_set_password(own, KB_LIT("file:not a path"), &err), KB_OK);
    assert_int_equal(kb_settings_set_text(own, KB_LIT("KDCPort=750"), &err), KB_OK);
    assert_int_equal(kb_settings_set_text(own, KB_LIT("KDCPort=99999"), &err), KB_ERROR);
    assert_true(kb_settings_has_secret(own));
    options = get("HTTP@one", NULL, own);
    again = get("HTTP@one", NULL, own);
    assert_ptr_equal(options, again);
    assert_user(options, "bob@R");
    assert_int_equal(options->kdc_port, 750);
    assert_int_equal(options->password_from.layer, KB_LAYER_CREDENTIAL);
    assert_int_equal(kb_options_password(options, &password, &err), KB_OK);
    assert_true(kb_equal(password, KB_LIT("file:not a path")));
    kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
    kb_options_put(options);
    kb_options_put(again);
    kb_settings_reset(own);
    options = get("HTTP@one", NULL, own);
    assert_user(options, "alice@R");
    kb_options_put(options);
    kb_settings_free(own);
}

/* --- texts --- */

static void values_are_read_by_their_type(void **state)
{
    static const struct {
        const char *line;
        int64_t timeout;
        bool use_tcp, mask;
    } rows[] = {
        {"", 60, false, true},
        {"timeout=0 USETCP=TRUE MaskSensitive=no", 0, true, false},
        {"Timeout=\"5\" UseTCP=1 MaskSensitive=0", 5, true, false},
        {"Timeout=5 Timeout=6", 6, false, true},
        {"Timeout=007", 7, false, true},
        {"  \t UseTCP=On  ", 60, true, true},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;

        place_line(rows[i].line);
        place_renew();
        options = get(NULL, NULL, NULL);
        assert_int_equal(options->timeout, rows[i].timeout);
        assert_int_equal(options->use_tcp, rows[i].use_tcp);
        assert_int_equal(options->mask_sensitive, rows[i].mask);
        kb_options_put(options);
    }
}

static void assert_password(const struct kb_options *options, const char *wanted)
{
    struct kb_error err = {0};
    kb_bytes password;

    if (kb_options_password(options, &password, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(kb_equal(password, kb_str(wanted)));
    kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
}

static void passwords_are_read_as_written(void **state)
{
    static const struct {
        const char *option, *content, *password;
    } rows[] = {
        {"Password=x", NULL, "x"},
        {"Password=a=b\\c", NULL, "a=b\\c"},
        {"Password=\"a b\\\"c\\\\d\\x5de\"", NULL, "a b\"c\\d]e"},
        {"Password=\"\\xc3\\xa9\"", NULL, "\xc3\xa9"},
        {"Password=m\xc3\xbcller", NULL, "m\xc3\xbcller"},
        {"Password=FILE:x", NULL, "FILE:x"},
        {"Password=~x", NULL, "~x"},
        {"Password=%{uid}", NULL, "%{uid}"},
        {"Password=file:~/secret", "s3cret", "s3cret"},
        {"Password=file:~/secret", "s3cret\n", "s3cret"},
        {"Password=file:~/secret", "s3cret\r\n", "s3cret"},
        {"Password=file:~/secret", "s3cret\n\n", "s3cret\n"},
        {"Password=file:~/secret", " s3cret ", " s3cret "},
        {"Password=env:KB_TEST_PASSWORD", NULL, "from env\n"},
    };

    (void)state;
    place_env("KB_TEST_PASSWORD", "from env\n");
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;
        char line[200];

        snprintf(line, sizeof(line), "User=alice@R %s", rows[i].option);
        place_line(line);
        if (rows[i].content != NULL) {
            place_file("secret", rows[i].content);
        }
        place_renew();
        options = get(NULL, NULL, NULL);
        assert_password(options, rows[i].password);
        assert_false(kb_options_password_exposed(options));
        if (rows[i].content != NULL) {
            place_mode("secret", 0644);
            assert_true(kb_options_password_exposed(options));
        }
        kb_options_put(options);
    }
    place_env("KB_TEST_PASSWORD", NULL);
}

static void names_are_expanded(void **state)
{
    const struct kb_options *options;
    char expected[300], host[256];

    (void)state;
    assert_int_equal(gethostname(host, sizeof(host)), 0);
    place_env("CREDENTIALS_DIRECTORY", "/run/credentials/x");
    place_line(
        "User=host/%{hostname}@R KeytabFile=FILE:%{credentials}/keytab LogFile=~/log.%{euid} "
        "TraceFile=stderr SPN=HTTP/%{uid}");
    options = get(NULL, NULL, NULL);
    snprintf(expected, sizeof(expected), "host/%s@R", host);
    assert_user(options, expected);
    assert_string_equal(options->keytab_file, "/run/credentials/x/keytab");
    snprintf(expected, sizeof(expected), "log.%lu", (unsigned long)geteuid());
    assert_string_equal(options->log_file, place_path(expected));
    assert_string_equal(options->trace_file, "stderr");
    snprintf(expected, sizeof(expected), "HTTP/%lu", (unsigned long)getuid());
    assert_string_equal(options->spn, expected);
    kb_options_put(options);
    place_env("CREDENTIALS_DIRECTORY", NULL);
}

static void assert_etypes(const char *what, const kb_opt_ETYPES *types, const int32_t expected[12])
{
    size_t num = 0;
    bool same = true;

    for (size_t i = 0; i < 12 && expected[i] != 0; i++) {
        same = same && num < types->num && types->items[num] == expected[i];
        num++;
    }
    if (!same || types->num != num) {
        fail_msg("%s: %zu enctypes, not the %zu expected", what, types->num, num);
    }
}

static void enctype_lists_are_mits(void **state)
{
    /* MIT src/lib/krb5/krb/t_etypes.c, and what of it is ours: DEFAULT */
    static const struct {
        const char *list;
        int32_t etypes[12];
    } rows[] = {
        {"aes256-cts-hmac-sha1-96", {18}},
        {"aes256-cts", {18}},
        {"AES256-SHA1", {18}},
        {"aes128-sha2,aes256-sha2", {19, 20}},
        {"aes", {18, 17, 20, 19}},
        {"aes-sha2", {20, 19}},
        {"aes-sha1", {18, 17}},
        {"DEFAULT", {20, 19, 18, 17, 26, 25}},
        {"default -aes128-cts", {20, 19, 18, 26, 25}},
        {"DEFAULT -aes -camellia +aes128-cts", {17}},
        {"aes256-cts aes256-cts aes128-cts", {18, 17}},
        {"-aes256-cts DEFAULT", {20, 19, 18, 17, 26, 25}},
        {"DEFAULT -rc4 -des3", {20, 19, 18, 17, 26, 25}},
        {"DEFAULT -des-hmac-sha1 -rc4-hmac-exp", {20, 19, 18, 17, 26, 25}},
        {"aes des3-cbc-sha1-kd", {18, 17, 20, 19, 16}},
        {"camellia -camellia256-cts-cmac", {25}},
        {"Camellia", {26, 25}},
        {"camellia128-cts camellia256-cts", {25, 26}},
        {"DEFAULT +rc4 -arcfour-hmac-md5", {20, 19, 18, 17, 26, 25}},
        {"DEFAULT -des3 rc4-hmac", {20, 19, 18, 17, 26, 25, 23}},
        {"des3 +DEFAULT", {16, 20, 19, 18, 17, 26, 25}},
        {"aes +rc4 -DEFaulT des3-hmac-sha1", {23, 16}},
        {"RC4", {23}},
        {"arcfour-hmac, ARCFOUR-HMAC-MD5", {23}},
        {"des", {1, 3, 2}},
        {"DES -des-cbc-md4", {1, 3}},
        {"des-cbc-md5\tdes-cbc-crc,", {3, 1}},
        {"rc4 des3 des -des aes-sha1", {23, 16, 18, 17}},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;
        char line[200];

        snprintf(line, sizeof(line), "EncryptionTypes=\"%s\"", rows[i].list);
        place_line(line);
        place_renew();
        options = get(NULL, NULL, NULL);
        assert_etypes(rows[i].list, &options->encryption_types, rows[i].etypes);
        assert_etypes(rows[i].list, &options->ticket_types, rows[i].etypes);
        kb_options_put(options);
    }
}

/* krb5.conf(5), MIT 1.18 and later: which list is for what, and which switch takes out what. */
static void krb5_conf_lists_enctypes(void **state)
{
    static const struct {
        const char *conf;
        int32_t as[12], tickets[12];
    } rows[] = {
        {"permitted_enctypes = aes128-cts", {17}, {17}},
        {"default_tkt_enctypes = aes128-cts", {17}, {20, 19, 18, 17, 26, 25}},
        {"default_tgs_enctypes = aes128-cts", {20, 19, 18, 17, 26, 25}, {17}},
        {"default_tkt_enctypes = aes128-cts\npermitted_enctypes = aes256-cts", {17}, {18}},
        {"default_tgs_enctypes = aes128-cts\npermitted_enctypes = aes256-cts", {18}, {17}},
        {"default_tkt_enctypes = aes256-cts\ndefault_tgs_enctypes = aes128-cts\n"
         "permitted_enctypes = aes-sha2",
         {18},
         {17}},
        /* Fedora's crypto-policies, DEFAULT and LEGACY */
        {"permitted_enctypes = aes256-cts-hmac-sha1-96 aes256-cts-hmac-sha384-192 "
         "aes128-cts-hmac-sha256-128 aes128-cts-hmac-sha1-96",
         {18, 20, 19, 17},
         {18, 20, 19, 17}},
        {"permitted_enctypes = aes256-cts-hmac-sha1-96 camellia256-cts-cmac "
         "aes128-cts-hmac-sha1-96 camellia128-cts-cmac arcfour-hmac-md5",
         {18, 26, 17, 25, 23},
         {18, 26, 17, 25, 23}},
        /* named is enough, but not for single DES */
        {"permitted_enctypes = aes128-cts rc4 des3", {17, 23, 16}, {17, 23, 16}},
        {"permitted_enctypes = aes128-cts des des-cbc-md5", {17}, {17}},
        {"permitted_enctypes = aes128-cts des-cbc-md5\nallow_weak_crypto = true", {17, 3}, {17, 3}},
        {"permitted_enctypes = rc4 des-cbc-crc\nallow_weak_crypto = no", {23}, {23}},
        {"permitted_enctypes = rc4 des3 aes128-cts\nallow_rc4 = false", {16, 17}, {16, 17}},
        {"permitted_enctypes = rc4 des3 aes128-cts\nallow_des3 = false", {23, 17}, {23, 17}},
        {"permitted_enctypes = rc4 des3\nallow_des3 = true\nallow_rc4 = t", {23, 16}, {23, 16}},
        /* what nobody names stays out */
        {"allow_weak_crypto = true\nallow_rc4 = true\nallow_des3 = true",
         {20, 19, 18, 17, 26, 25},
         {20, 19, 18, 17, 26, 25}},
        {"permitted_enctypes = DEFAULT\nallow_weak_crypto = true",
         {20, 19, 18, 17, 26, 25},
         {20, 19, 18, 17, 26, 25}},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;
        char text[400];

        snprintf(text, sizeof(text), "[libdefaults]\n%s\n", rows[i].conf);
        place_file("krb5.conf", text);
        place_line("User=alice@R KeytabFile=/x");
        place_renew();
        options = get(NULL, NULL, NULL);
        assert_etypes(rows[i].conf, &options->encryption_types, rows[i].as);
        assert_etypes(rows[i].conf, &options->ticket_types, rows[i].tickets);
        kb_options_put(options);
        place_line("User=alice@R KeytabFile=/x EncryptionTypes=aes256-sha2");
        place_renew();
        options = get(NULL, NULL, NULL);
        assert_etypes(rows[i].conf, &options->encryption_types, (int32_t[12]){20});
        assert_etypes(rows[i].conf, &options->ticket_types, (int32_t[12]){20});
        kb_options_put(options);
    }
}

/* What was not written for us is done without; who names what FIPS 140 does not have is told
 * (test_misconfigured). */
static void fips_lists_have_aes_only(void **state)
{
    static const struct {
        const char *conf;
        int32_t types[12];
    } rows[] = {
        {"", {20, 19, 18, 17}},
        {"permitted_enctypes = aes128-cts rc4 camellia des3", {17}},
        {"permitted_enctypes = DEFAULT", {20, 19, 18, 17}},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;
        char text[200];

        snprintf(text, sizeof(text), "[libdefaults]\n%s\n", rows[i].conf);
        place_file("krb5.conf", text);
        place_line("User=alice@R KeytabFile=/x UseFIPSCompliantAPI=True");
        place_renew();
        options = get(NULL, NULL, NULL);
        assert_etypes(rows[i].conf, &options->encryption_types, rows[i].types);
        assert_etypes(rows[i].conf, &options->ticket_types, rows[i].types);
        kb_options_put(options);
    }
}

/* --- the table --- */

static void every_row_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < KB_OPT_NUM; i++) {
        const struct kb_option_row *row = &kb_option_rows[i];

        assert_true(row->help[0] != '\0' && row->help[strlen(row->help) - 1] == '.');
        assert_ptr_equal(kb_option_find(kb_str(row->name)), row);
        assert_string_equal(kb_option_nearest(kb_str(row->name)), row->name);
        if (row->type == KB_OPTION_INTEGER || row->type == KB_OPTION_DURATION) {
            assert_true(row->min <= row->def_number && row->def_number <= row->max);
        }
        assert_true(row->type != KB_OPTION_SECRET || (row->flags & KB_OPT_MASKED) != 0);
    }
}

/* --- layers --- */

static void later_layers_win(void **state)
{
    struct kb_settings *own = kb_settings_new();
    const struct kb_options *options;
    struct kb_error err = {0};

    (void)state;
    place_file("krb5.conf", "[libdefaults]\nclockskew = 2\n");
    place_line("User=alice@R Password=x");
    place_renew();
    options = get(NULL, NULL, NULL);
    assert_int_equal(options->clock_skew, 2);
    assert_int_equal(options->clock_skew_from.layer, KB_LAYER_KRB5CONF);
    kb_options_put(options);
    place_line("User=alice@R Password=x ClockSkew=3 Config=~/config");
    place_file("config", "");
    place_renew();
    options = get(NULL, NULL, NULL);
    assert_int_equal(options->clock_skew, 3);
    kb_options_put(options);
    place_file("config", "ClockSkew=4\n");
    place_renew();
    options = get(NULL, NULL, NULL);
    assert_int_equal(options->clock_skew, 4);
    assert_int_equal(options->clock_skew_from.layer, KB_LAYER_CONFIG);
    kb_options_put(options);
    place_env("KERBSIDE_OPTIONS", "ClockSkew=5");
    options = get(NULL, NULL, NULL);
    assert_int_equal(options->clock_skew, 5);
    kb_options_put(options);
    place_file("env-config", "clockskew = 6\n");
    place_env("KERBSIDE_CONFIG", place_path("env-config"));
    options = get(NULL, NULL, NULL);
    assert_int_equal(options->clock_skew, 6);
    assert_int_equal(options->clock_skew_from.layer, KB_LAYER_ENVIRONMENT);
    kb_options_put(options);
    assert_int_equal(kb_settings_set_text(own, KB_LIT("ClockSkew=7"), &err), KB_OK);
    options = get(NULL, NULL, own);
    assert_int_equal(options->clock_skew, 7);
    assert_int_equal(options->clock_skew_from.layer, KB_LAYER_CREDENTIAL);
    kb_options_put(options);
    kb_settings_free(own);
    place_env("KERBSIDE_CONFIG", NULL);
    /* A Config= in the environment takes the place of the line's. */
    place_env("KERBSIDE_OPTIONS", "Config=~/env-config");
    options = get(NULL, NULL, NULL);
    assert_int_equal(options->clock_skew, 6);
    assert_int_equal(options->clock_skew_from.layer, KB_LAYER_CONFIG);
    kb_options_put(options);
    place_env("KERBSIDE_OPTIONS", NULL);
}

static void a_descriptor_is_read_once(void **state)
{
    struct kb_settings *own = kb_settings_new();
    const struct kb_options *options;
    struct kb_error err = {0};
    char text[64];
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one\n", 4), 4);
    close(ends[1]);
    snprintf(text, sizeof(text), "User=alice@R Password=fd:%d", ends[0]);
    place_env("KERBSIDE_OPTIONS", text);
    options = get(NULL, NULL, NULL);
    assert_password(options, "one");
    assert_password(options, "one");
    kb_options_put(options);
    close(ends[0]);
    options = get(NULL, NULL, NULL);
    assert_password(options, "one");
    kb_options_put(options);
    /* of a credential: at once, whatever the number stood for before */
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "two", 3), 3);
    close(ends[1]);
    snprintf(text, sizeof(text), "Password=fd:%d", ends[0]);
    assert_int_equal(kb_settings_set_text(own, KB_LIT("User=bob@R"), &err), KB_OK);
    assert_int_equal(kb_settings_set_text(own, kb_str(text), &err), KB_OK);
    close(ends[0]);
    options = get(NULL, NULL, own);
    assert_password(options, "two");
    kb_options_put(options);
    kb_settings_free(own);
    place_env("KERBSIDE_OPTIONS", NULL);
}

static void a_copy_of_settings_is_independent(void **state)
{
    struct kb_settings *own = kb_settings_new(), *copy;
    struct kb_error err = {0};

    (void)state;
    assert_int_equal(kb_settings_set_text(own, KB_LIT("User=bob@R"), &err), KB_OK);
    copy = kb_settings_copy(own);
    kb_settings_reset(own);
    assert_false(kb_settings_has_identity(own));
    assert_true(kb_settings_has_identity(copy));
    assert_false(kb_settings_has_secret(copy));
    kb_settings_free(own);
    kb_settings_free(copy);
    kb_settings_free(NULL);
}

/* gss_krb5_set_allowable_enctypes: tickets only, in the program's order, of what is allowed. */
static void a_program_restricts_enctypes(void **state)
{
    static const int32_t some[] = {17, 999, 20, 17}, others[] = {19}, nothing[] = {999, 0};
    struct kb_options_query query = {0};
    const struct kb_options *options;
    struct kb_settings *own = kb_settings_new(), *copy;
    struct kb_error err = {0};

    (void)state;
    place_line("User=alice@R KeytabFile=/x EncryptionTypes=aes256-sha2,aes-sha1");
    place_renew();
    assert_int_equal(kb_settings_allow(own, some, NUM(some), &err), KB_OK);
    assert_int_equal(kb_settings_set_text(own, KB_LIT("Timeout=5"), &err), KB_OK);
    copy = kb_settings_copy(own);
    options = get(NULL, NULL, copy);
    assert_etypes("AS", &options->encryption_types, (int32_t[12]){20, 18, 17});
    assert_etypes("tickets", &options->ticket_types, (int32_t[12]){17, 20});
    assert_int_equal(options->timeout, 5);
    kb_options_put(options);
    assert_int_equal(kb_settings_allow(own, NULL, 0, &err), KB_OK);
    options = get(NULL, NULL, own);
    assert_etypes("all", &options->ticket_types, (int32_t[12]){20, 18, 17});
    assert_int_equal(options->timeout, 5);
    kb_options_put(options);
    assert_int_equal(kb_settings_allow(own, nothing, NUM(nothing), &err), KB_ERROR);
    assert_int_equal(err.code, KB_E_NO_ENCTYPE);
    err = (struct kb_error){0};
    assert_int_equal(kb_settings_allow(own, others, NUM(others), &err), KB_OK);
    query.own = own;
    assert_int_equal(kb_options_get(&query, &options, &err), KB_ERROR);
    assert_int_equal(err.code, KB_E_NO_ENCTYPE);
    kb_settings_free(own);
    kb_settings_free(copy);
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(nothing_configured_is_not_ours),
        IN_A_PLACE(the_mechd_line_configures),
        IN_A_PLACE(the_realm_comes_from_krb5_conf),
        IN_A_PLACE(a_repeated_call_gets_the_same_snapshot),
        IN_A_PLACE(a_credential_has_settings_of_its_own),
        IN_A_PLACE(values_are_read_by_their_type),
        IN_A_PLACE(passwords_are_read_as_written),
        IN_A_PLACE(names_are_expanded),
        IN_A_PLACE(enctype_lists_are_mits),
        IN_A_PLACE(krb5_conf_lists_enctypes),
        IN_A_PLACE(fips_lists_have_aes_only),
        cmocka_unit_test(every_row_is_whole),
        IN_A_PLACE(later_layers_win),
        IN_A_PLACE(a_descriptor_is_read_once),
        IN_A_PLACE(a_copy_of_settings_is_independent),
        IN_A_PLACE(a_program_restricts_enctypes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
