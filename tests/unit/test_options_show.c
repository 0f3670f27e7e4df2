/* mech/options/show and build: values as a person reads them, and where they come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/provider.h"
#include "mech/options/build.h"
#include "mech/options/layers.h"
#include "mech/options/settings.h"
#include "mech/options/show.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct kb_options *get(struct kb_settings *own)
{
    struct kb_options_query query = {.own = own, .with_krb5conf = true};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};

    if (kb_options_get(&query, &options, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
    return options;
}

static const char *shown(const struct kb_options *options, enum kb_option_id id)
{
    static char text[2000];
    struct kb_buf buf;

    kb_buf_init(&buf, sizeof(text) - 1);
    kb_options_show(options, id, &buf);
    assert_int_equal(buf.status, KB_OK);
    strcpy(text, kb_buf_str(&buf));
    kb_buf_wipe(&buf);
    return text;
}

static void values_are_shown_as_written(void **state)
{
    static const struct {
        const char *line;
        enum kb_option_id id;
        const char *text;
    } rows[] = {
        {"", KB_OPT_UseTCP, "False"},
        {"UseTCP=1", KB_OPT_UseTCP, "True"},
        {"", KB_OPT_KDCPort, "88"},
        {"KDCPort=0750", KB_OPT_KDCPort, "750"},
        {"", KB_OPT_TicketLife, "1d"},
        {"", KB_OPT_RenewLife, "7d"},
        {"", KB_OPT_MinLifetime, "1m"},
        {"RenewLife=0", KB_OPT_RenewLife, "0"},
        {"RenewLife=90061", KB_OPT_RenewLife, "1d1h1m1s"},
        {"TicketLife=10h", KB_OPT_TicketLife, "10h"},
        {"", KB_OPT_UseIPv6, "auto"},
        {"UseIPv6=off", KB_OPT_UseIPv6, "False"},
        {"QOSTrafficType=3", KB_OPT_QOSTrafficType, "AudioVideo"},
        {"Delegate=OK-AS-DELEGATE", KB_OPT_Delegate, "ok-as-delegate"},
        {"", KB_OPT_User, ""},
        {"User=alice@R", KB_OPT_User, "alice@R"},
        {"User=alice", KB_OPT_User, "alice@DEF"},
        {"User=DEF/alice", KB_OPT_User, "alice@DEF"},
        {"User=a@b.c NameType=enterprise", KB_OPT_User, "a@b.c"},
        {"", KB_OPT_Password, ""},
        {"User=alice@R Password=hunter2", KB_OPT_Password, "********"},
        {"User=alice@R Password=file:~/x", KB_OPT_Password, "file:DIR/x"},
        {"User=alice@R Password=env:X", KB_OPT_Password, "env:X"},
        {"KeytabFile=FILE:/x", KB_OPT_KeytabFile, "/x"},
        {"CredentialsCacheFile=/x", KB_OPT_CredentialsCacheFile, "FILE:/x"},
        {"KDCHost=\"a  tcp/b:1\"", KB_OPT_KDCHost, "a,tcp/b:1"},
        {"EncryptionTypes=aes256-cts,aes128-sha2", KB_OPT_EncryptionTypes,
         "aes256-cts-hmac-sha1-96,aes128-cts-hmac-sha256-128"},
        {"", KB_OPT_LogFile, "syslog:"},
        {"LogFile=~/log", KB_OPT_LogFile, "DIR/log"},
        {"", KB_OPT_TraceFile, ""},
        {"FirewallHost=p FirewallData=\"Proxy-Authorization: Basic aHVudGVyMg==\"",
         KB_OPT_FirewallData, "********"},
        {"", KB_OPT_LicenseInfo, "MIT License. Copyright (c) 2026 The Kerbside authors."},
        {"", KB_OPT_AuthToken, ""},
        {"", KB_OPT_DestinationAddress, ""},
        {"", KB_OPT_DNSCanonicalize, "fallback"},
    };

    (void)state;
    place_file("krb5.conf", "[libdefaults]\ndefault_realm = DEF\n");
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;
        char expected[300];

        place_line(rows[i].line);
        place_renew();
        options = get(NULL);
        snprintf(expected, sizeof(expected), "%s", rows[i].text);
        if (strstr(rows[i].text, "DIR/") != NULL) {
            snprintf(expected, sizeof(expected), "%.*s%s",
                     (int)(strstr(rows[i].text, "DIR/") - rows[i].text), rows[i].text,
                     place_path(strstr(rows[i].text, "DIR/") + 4));
        }
        assert_string_equal(shown(options, rows[i].id), expected);
        kb_options_put(options);
    }
}

/* What is shown can be written again, and says the same. */
static void what_is_shown_can_be_written(void **state)
{
    static const char line[] =
        "User=alice@R KDCHost=k1,tcp/k2:750 KDCPort=750 UseTCP=yes Timeout=0 TicketLife=90m "
        "RenewLife=8d UseIPv6=no QOSTrafficType=2 QOSDSCPValue=46 Delegate=never "
        "DNSCanonicalize=1 EncryptionTypes=aes-sha2 LogFile=stderr SPN=HTTP/www "
        "CredentialsCacheFile="
        "MEMORY:x PrimaryKDC=k1 LocalHost=127.0.0.1 FirewallHost=p MinLifetime=61 "
        "NameType=principal";
    struct kb_settings *own = kb_settings_new();
    const struct kb_options *first, *second;

    (void)state;
    place_line(line);
    place_renew();
    first = get(NULL);
    for (size_t i = 0; i < KB_OPT_NUM; i++) {
        const char *text = shown(first, (enum kb_option_id)i);
        struct kb_error err = {0};

        if (text[0] != '\0' && kb_option_rows[i].scope != KB_SCOPE_PROCESS &&
            (kb_option_rows[i].flags & (KB_OPT_READ_ONLY | KB_OPT_MASKED)) == 0) {
            if (kb_settings_set(own, kb_str(kb_option_rows[i].name), kb_str(text), &err) != KB_OK) {
                fail_msg("%s", err.text);
            }
        }
    }
    place_line("");
    place_renew();
    second = get(own);
    for (size_t i = 0; i < KB_OPT_NUM; i++) {
        char before[2000];

        strcpy(before, shown(first, (enum kb_option_id)i));
        assert_string_equal(shown(second, (enum kb_option_id)i), before);
    }
    kb_options_put(first);
    kb_options_put(second);
    kb_settings_free(own);
}

static void origins_are_told(void **state)
{
    static const struct {
        enum kb_option_id id;
        const char *place; /* NULL: default */
    } rows[] = {
        {KB_OPT_User, "DIR/mech:1"},
        {KB_OPT_Timeout, "DIR/config:2"},
        {KB_OPT_KDCPort, "KERBSIDE_OPTIONS"},
        {KB_OPT_TicketLife, "DIR/krb5.conf:2"},
        {KB_OPT_UseTCP, NULL},
        {KB_OPT_UDPLimit, "the credential"},
        {KB_OPT_RenewLife, "DIR/krb5.conf:5"},
    };
    struct kb_settings *own = kb_settings_new();
    const struct kb_options *options;
    struct kb_error err = {0};

    (void)state;
    place_file("krb5.conf", "[libdefaults]\nticket_lifetime = 2h\nrenew_lifetime = 1d\nR = {\n"
                            "renew_lifetime = 2d\n}\n");
    place_line("User=alice@R KeytabFile=/x Config=~/config");
    place_file("config", "\nTimeout = 5\n");
    place_env("KERBSIDE_OPTIONS", "KDCPort=750");
    assert_int_equal(kb_settings_set_text(own, KB_LIT("UDPLimit=5"), &err), KB_OK);
    place_renew();
    options = get(own);
    for (size_t i = 0; i < NUM(rows); i++) {
        const char *place;
        char buf[300], expected[300];

        assert_int_equal(kb_options_is_default(options, rows[i].id), rows[i].place == NULL);
        if (rows[i].place == NULL) {
            continue;
        }
        place = kb_origin_text(kb_options_origin(options, rows[i].id), buf, sizeof(buf));
        snprintf(expected, sizeof(expected), "%s",
                 strncmp(rows[i].place, "DIR/", 4) == 0 ? place_path(rows[i].place + 4)
                                                        : rows[i].place);
        assert_string_equal(place, expected);
    }
    assert_int_equal(options->ticket_life, 7200);
    assert_int_equal(options->renew_life, 2 * 86400);
    kb_options_put(options);
    kb_settings_free(own);
    place_env("KERBSIDE_OPTIONS", NULL);
}

/* Every name of [libdefaults] that an option stands for, set and out of range. */
static void krb5_conf_gives_defaults(void **state)
{
    static const struct {
        const char *text;
        enum kb_option_id id;
        const char *shown;
    } rows[] = {
        {"forwardable = false", KB_OPT_Forwardable, "False"},
        {"forwardable = nil", KB_OPT_Forwardable, "False"},
        {"forwardable = what", KB_OPT_Forwardable, "True"},
        {"proxiable = y", KB_OPT_Proxiable, "True"},
        {"noaddresses = false", KB_OPT_NoAddresses, "False"},
        {"canonicalize = t", KB_OPT_Canonicalize, "True"},
        {"ticket_lifetime = 10:00:00", KB_OPT_TicketLife, "10h"},
        {"ticket_lifetime = 1d 2h", KB_OPT_TicketLife, "1d2h"},
        {"ticket_lifetime = never", KB_OPT_TicketLife, "1d"},
        {"ticket_lifetime = 30", KB_OPT_TicketLife, "1m"},
        {"renew_lifetime = 0", KB_OPT_RenewLife, "0"},
        {"dns_canonicalize_hostname = true", KB_OPT_DNSCanonicalize, "True"},
        {"dns_canonicalize_hostname = no", KB_OPT_DNSCanonicalize, "False"},
        {"dns_canonicalize_hostname = Fallback", KB_OPT_DNSCanonicalize, "fallback"},
        {"dns_canonicalize_hostname = x", KB_OPT_DNSCanonicalize, "fallback"},
        {"clockskew = 100000", KB_OPT_ClockSkew, "86400"},
        {"udp_preference_limit = 1", KB_OPT_UDPLimit, "1"},
        {"permitted_enctypes = aes128-cts", KB_OPT_EncryptionTypes, "aes128-cts-hmac-sha1-96"},
        {"default_tkt_enctypes = aes128-cts", KB_OPT_EncryptionTypes, "aes128-cts-hmac-sha1-96"},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        const struct kb_options *options;
        char text[200];

        snprintf(text, sizeof(text), "[libdefaults]\n%s\n", rows[i].text);
        place_file("krb5.conf", text);
        place_renew();
        options = get(NULL);
        if (strcmp(shown(options, rows[i].id), rows[i].shown) != 0) {
            fail_msg("%s: %s", rows[i].text, shown(options, rows[i].id));
        }
        kb_options_put(options);
    }
    place_line("Forwardable=True");
    place_file("krb5.conf", "[libdefaults]\nforwardable = false\n");
    place_renew();
    {
        const struct kb_options *options = get(NULL);

        assert_true(options->forwardable); /* something above it says otherwise */
        kb_options_put(options);
    }
}

static void the_build_is_told(void **state)
{
    struct kb_buf text;

    (void)state;
    kb_buf_init(&text, 1000);
    kb_build_info(&text);
    assert_non_null(strstr(kb_buf_str(&text), "kerbside 0."));
    assert_non_null(strstr(kb_buf_str(&text), "OpenSSL 3."));
    assert_non_null(strstr(kb_buf_str(&text), "not loaded yet"));
    kb_buf_wipe(&text);
    assert_int_equal(kb_provider_load(), KB_OK);
    kb_buf_init(&text, 1000);
    kb_build_info(&text);
    assert_non_null(strstr(kb_buf_str(&text), "(loaded)"));
    kb_buf_wipe(&text);
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(values_are_shown_as_written),
        IN_A_PLACE(what_is_shown_can_be_written),
        IN_A_PLACE(origins_are_told),
        IN_A_PLACE(krb5_conf_gives_defaults),
        cmocka_unit_test(the_build_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
