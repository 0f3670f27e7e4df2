/* asn1/print: dumps that a person can read, with nothing in them that must stay secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/names.h"
#include "asn1/table.h"
#include "asn1/types.h"
#include "tests/support/wire.h"

static char *dump(const struct kb_type *type, kb_bytes der, bool show_secrets)
{
    struct kb_arena arena;
    struct kb_buf buf;
    void *value;

    kb_arena_init(&arena, NULL, 0, 1 << 20);
    kb_buf_init(&buf, 1 << 20);
    value = kb_arena_alloc(&arena, type->size);
    assert_int_equal(kb_decode(type, der, &arena, value, NULL), KB_OK);
    kb_print(type, value, show_secrets, &buf);
    kb_arena_wipe(&arena);
    return kb_buf_take(&buf, NULL);
}

static void a_dump_reads_well(void **state)
{
    struct wire *wire = wire_load("errors/heimdal-unknown-service-client-mit.json");
    char *text;

    (void)state;
    text = dump(&kb_type_krb_error, wire_hex(wire, "messages[3].hex"), false);
    assert_string_equal(text, "KRB-ERROR:\n"
                              "  pvno: 5\n"
                              "  msg-type: 30 (KRB-ERROR)\n"
                              "  ctime: 2026-11-23 19:25:50 UTC\n"
                              "  cusec: 892104\n"
                              "  stime: 2026-11-23 19:25:50 UTC\n"
                              "  susec: 894104\n"
                              "  error-code: 7 (KDC_ERR_S_PRINCIPAL_UNKNOWN)\n"
                              "  realm: \"<unspecified realm>\"\n"
                              "  sname:\n"
                              "    name-type: 0 (NT-UNKNOWN)\n"
                              "    name-string: (none)\n");
    free(text);
    wire_free(wire);
    wire = wire_load("exchanges/heimdal-aes256-sha1-client-mit.json");
    text = dump(&kb_type_krb_error, wire_hex(wire, "messages[1].hex"), false);
    assert_non_null(strstr(text, "  e-data:\n"
                                 "    [0]\n"
                                 "      padata-type: 16 (PA-PK-AS-REQ)\n"
                                 "      padata-value: (0 bytes)\n"));
    assert_non_null(strstr(text, "      padata-type: 19 (PA-ETYPE-INFO2)\n"
                                 "      padata-value:\n"
                                 "        [0]\n"
                                 "          etype: 18 (aes256-cts-hmac-sha1-96)\n"));
    free(text);
    wire_free(wire);
}

static void lower_hex(kb_bytes bytes, char *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes.ptr[i]);
    }
}

/* No key that a recording tells may be in the dump of anything that was encrypted. */
static void secrets_are_masked(struct wire *wire, void *ctx)
{
    size_t *num = ctx;

    for (size_t i = 0; i < wire_num(wire, "messages"); i++) {
        for (size_t j = 0; j < wire_num(wire, "messages[%zu].decrypted", i); j++) {
            kb_enc_kdc_rep_part part;
            struct kb_arena arena;
            kb_bytes plain = KB_NONE;
            char key[80], *text;

            if (wire_has(wire, "messages[%zu].decrypted[%zu].plain", i, j)) {
                plain = wire_hex(wire, "messages[%zu].decrypted[%zu].plain", i, j);
            }
            kb_arena_init(&arena, NULL, 0, 1 << 20);
            if (kb_decode_enc_kdc_rep_part(plain, &arena, &part, NULL) == KB_OK) {
                lower_hex(kb_bytes_of(part.key.keyvalue.ptr, 8), key);
                text = dump(&kb_type_enc_kdc_rep_part, plain, false);
                assert_null(strstr(text, key));
                assert_non_null(strstr(text, " bytes, not shown)"));
                free(text);
                text = dump(&kb_type_enc_kdc_rep_part, plain, true);
                assert_non_null(strstr(text, key));
                free(text);
                ++*num;
            }
            kb_arena_wipe(&arena);
        }
    }
}

static void secrets_of_all_recordings_are_masked(void **state)
{
    size_t num = 0;

    (void)state;
    wire_each("exchanges", secrets_are_masked, &num);
    assert_true(num > 100);
}

/* Heimdal's KRB-CRED is not encrypted: etype 0, the keys in clear in `cipher`. */
static void a_clear_cipher_is_masked(void **state)
{
    struct wire *wire = wire_load("gss/heimdal-mit-aes256-sha1-deleg.json");
    kb_bytes cred = wire_hex(wire, "context_tokens[0].ap_req.checksum_8003.krb_cred");
    char *text = dump(&kb_type_krb_cred, cred, false);

    (void)state;
    assert_non_null(strstr(text, "enc-part:\n    etype: 0\n    cipher: ("));
    assert_null(
        strstr(text, wire_text(wire, "context_tokens[0].ap_req.checksum_8003.krb_cred_info.key")));
    free(text);
    wire_free(wire);
}

static void foreign_text_is_escaped(void **state)
{
    kb_string part = KB_LIT("a\x1b[2J\"\n");
    kb_principal_name name = {.name_type = 1, .name_string = {&part, 1}};
    struct kb_buf buf;

    (void)state;
    kb_buf_init(&buf, 1000);
    kb_print(&kb_type_principal_name, &name, false, &buf);
    assert_string_equal(kb_buf_str(&buf), "PrincipalName:\n  name-type: 1 (NT-PRINCIPAL)\n"
                                          "  name-string: \"a\\x1b[2J\"\\x0a\"\n");
    kb_buf_wipe(&buf);
}

static void flags_and_numbers_have_names(void **state)
{
    struct kb_buf buf;

    (void)state;
    kb_buf_init(&buf, 1000);
    kb_flags_print("flags", 0x40800001, &buf);
    assert_string_equal(kb_buf_str(&buf), "forwardable, renewable, bit 31");
    assert_string_equal(kb_number_name("error_code", 6), "KDC_ERR_C_PRINCIPAL_UNKNOWN");
    assert_string_equal(kb_number_name("keytype", 18), "aes256-cts-hmac-sha1-96");
    assert_string_equal(kb_number_name("cksumtype", -138), "hmac-md5");
    assert_null(kb_number_name("error_code", 9999));
    assert_null(kb_number_name("pvno", 5));
    kb_buf_wipe(&buf);
}

/* AD-IF-RELEVANT in AD-IF-RELEVANT in …: the dump stops, the stack does not. */
static void nesting_in_octets_is_bounded(void **state)
{
    struct kb_arena arena;
    struct kb_buf buf;
    kb_authorization_data_entry entry = {.ad_type = 1};
    kb_authorization_data list = {&entry, 1};

    (void)state;
    kb_arena_init(&arena, NULL, 0, 4 << 20);
    kb_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(kb_encode_authorization_data(&arena, &list, &entry.ad_data), KB_OK);
    }
    kb_print(&kb_type_authorization_data, &list, false, &buf);
    assert_int_equal(buf.status, KB_OK);
    assert_true(buf.len < 20000);
    kb_buf_wipe(&buf);
    kb_arena_wipe(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dump_reads_well),
        cmocka_unit_test(secrets_of_all_recordings_are_masked),
        cmocka_unit_test(a_clear_cipher_is_masked),
        cmocka_unit_test(foreign_text_is_escaped),
        cmocka_unit_test(flags_and_numbers_have_names),
        cmocka_unit_test(nesting_in_octets_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
