/* mech/options: layers, one identity, errors, snapshots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/options/krb5conf.h"
#include "mech/options/layers.h"
#include "mech/options/options.h"
#include "mech/options/settings.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

static int open_place(void **state)
{
    (void)state;
    place_open();
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    place_close();
    return 0;
}

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
    assert_int_equal(options->encryption_types.num, 4);
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
               " udp_preference_limit = 1\n permitted_enctypes = aes128-cts rc4\n"
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
    assert_int_equal(kdcs.num, 2);
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

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, open_place, close_place)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(nothing_configured_is_not_ours),
        IN_A_PLACE(the_mechd_line_configures),
        IN_A_PLACE(the_realm_comes_from_krb5_conf),
        IN_A_PLACE(a_repeated_call_gets_the_same_snapshot),
        IN_A_PLACE(a_credential_has_settings_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
