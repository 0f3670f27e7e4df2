/* mech/protocol/krberror: what the KDCs of MIT, Heimdal and Samba answered to 80 mistakes, as a
 * person reads it; the forms of e-data; texts that are out to harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/krberror.h"
#include "tests/support/wire.h"

#define PEER "192.0.2.1:88 (udp)"

/* --- recorded errors --- */

struct told {
    struct kb_error err;
    struct kb_krberror error;
    struct kb_arena arena;
};

static struct kb_principal *service_of(struct wire *wire, size_t n, struct kb_arena *arena)
{
    kb_kdc_req req;
    kb_kdc_req_body body;

    assert_int_equal(kb_decode_tgs_req(wire_hex(wire, "messages[%zu].hex", n), arena, &req, NULL),
                     KB_OK);
    assert_int_equal(kb_decode_kdc_req_body(req.req_body, arena, &body, NULL), KB_OK);
    return kb_principal_new(body.realm, &body.sname);
}

static bool has_proof(struct wire *wire, size_t n, struct kb_arena *arena)
{
    kb_kdc_req req;

    assert_int_equal(kb_decode_as_req(wire_hex(wire, "messages[%zu].hex", n), arena, &req, NULL),
                     KB_OK);
    for (size_t i = 0; i < req.padata.num; i++) {
        if (req.padata.items[i].padata_type == 2) {
            return true;
        }
    }
    return false;
}

/* Explains the recording's last message, which answers the one before. */
static void tell(struct wire *wire, struct told *out)
{
    size_t n = wire_num(wire, "messages") - 1;
    bool in_tgs = strcmp(wire_text(wire, "messages[%zu].type", n - 1), "TGS-REQ") == 0;
    struct kb_principal *client, *service = NULL;
    static const int32_t etypes[] = {18, 17};
    struct kb_krberror_about about = {.peer = PEER, .etypes = etypes, .num_etypes = 2};

    memset(out, 0, sizeof(*out));
    kb_arena_init(&out->arena, NULL, 0, 1 << 20);
    assert_int_equal(kb_principal_parse(kb_str(wire_text(wire, "client_principal")),
                                        KB_NT_PRINCIPAL, kb_str(wire_text(wire, "realm")), &client),
                     KB_OK);
    if (in_tgs) {
        service = service_of(wire, n - 1, &out->arena);
    } else if (has_proof(wire, n - 1, &out->arena)) {
        about.secret = "the password of /etc/pw";
    }
    assert_int_equal(
        kb_krberror_decode(wire_hex(wire, "messages[%zu].hex", n), &out->arena, &out->error),
        KB_OK);
    about.client = client;
    about.service = service;
    about.now = out->error.stime;
    kb_krberror_explain(&out->err, &out->error, &about);
    kb_principal_free(client);
    kb_principal_free(service);
}

/* clang-format off */
static const struct {
    const char *name; /* of the recording; of any KDC if it begins with - */
    enum kb_error_code kind;
    const char *text;
} rows[] = {
    {"-account-expired-client-mit",          KB_E_CLIENT_EXPIRED,   "the account has expired"},
    {"-as-msgtype-handmade",                 KB_E_KDC_ERROR,        "KRB_ERR_GENERIC (60): \"VALIDATE_MESSAGE_TYPE\""},
    {"-clock-skew-as-handmade",              KB_E_CLOCK,            "whose clock is 0 seconds"},
    {"-clock-skew-tgs-handmade",             KB_E_CLOCK,            "whose clock is 0 seconds"},
    {"samba-disabled-client-mit",            KB_E_CLIENT_REVOKED,   "the account is disabled"},
    {"samba-disabled-client-mit",            KB_E_CLIENT_REVOKED,   "STATUS_ACCOUNT_DISABLED (0xc0000072)"},
    {"samba-account-expired-client-mit",     KB_E_CLIENT_EXPIRED,   "STATUS_ACCOUNT_EXPIRED (0xc0000193)"},
    {"samba-expired-password-client-mit",    KB_E_PASSWORD_EXPIRED, "must be changed"},
    {"-expired-password-client-mit",         KB_E_PASSWORD_EXPIRED, "expired@"},
    {"mit-must-change-client-mit",           KB_E_PASSWORD_EXPIRED, "\"REQUIRED PWCHANGE\""},
    {"heimdal-locked-client-mit",            KB_E_POLICY,           "or the account is locked"},
    {"mit-locked-client-mit",                KB_E_CLIENT_REVOKED,   "\"CLIENT LOCKED OUT\""},
    {"-lockout-client-mit",                  KB_E_CLIENT_REVOKED,   "the account is locked or disabled"},
    {"-no-common-enctype-as-handmade",       KB_E_NO_ENCTYPE,       "KDC_ERR_ETYPE_NOSUPP (14)"},
    {"-no-common-enctype-client-mit",        KB_E_NO_ENCTYPE,       "KDC_ERR_ETYPE_NOSUPP (14)"},
    {"-no-common-enctype-tgs-handmade",      KB_E_NO_ENCTYPE,       "asked for was aes256-cts-hmac-sha1-96, aes128"},
    {"mit-no-svr-client-mit",                KB_E_POLICY,           "\"SERVER NOT ALLOWED\""},
    {"mit-svc-policy-client-mit",            KB_E_POLICY,           "\"TGT BASED NOT ALLOWED\""},
    {"-renew-not-renewable-client-mit",      KB_E_POLICY,           "KDC_ERR_BADOPTION (13)"},
    {"-response-too-big-handmade",           KB_E_KDC_ERROR,        "KRB_ERR_RESPONSE_TOO_BIG (52)"},
    {"-tgs-bad-authenticator-handmade",      KB_E_KDC_ERROR,        "KRB_AP_ERR_BAD_INTEGRITY (31)"},
    {"-tgs-bad-checksum-handmade",           KB_E_KDC_ERROR,        "KRB_AP_ERR_BAD_INTEGRITY (31)"},
    {"-tgs-bad-ticket-handmade",             KB_E_KDC_ERROR,        "KRB_AP_ERR_BAD_INTEGRITY (31)"},
    {"-tgs-no-checksum-handmade",            KB_E_KDC_ERROR,        "KRB_AP_ERR_INAPP_CKSUM (50)"},
    {"-tgs-till-past-handmade",              KB_E_POLICY,           "no ticket for the times asked for"},
    {"-tgs-validate-not-invalid-handmade",   KB_E_POLICY,           "KDC_ERR_BADOPTION (13)"},
    {"-unknown-client-client-heimdal",       KB_E_CLIENT_UNKNOWN,   "nosuchuser@"},
    {"-unknown-client-client-mit",           KB_E_CLIENT_UNKNOWN,   "the KDC does not know this user"},
    {"-unknown-service-client-mit",          KB_E_SERVICE_UNKNOWN,  "nosuch/srv."},
    {"samba-user-to-user",                   KB_E_SERVICE_UNKNOWN,  "alice@SAMBA.TEST for alice@SAMBA.TEST"},
    {"-wrong-password-client-heimdal",       KB_E_WRONG_PASSWORD,   "the KDC refused the password of /etc/pw"},
    {"-wrong-password-client-mit",           KB_E_WRONG_PASSWORD,   "KDC_ERR_PREAUTH_FAILED (24)"},
    {"-wrong-realm-as-handmade",             KB_E_CLIENT_UNKNOWN,   "alice@"},
    {"mit-wrong-realm-tgs-handmade",         KB_E_KDC_ERROR,        "\"GET_LOCAL_TGT\""},
    {"-wrong-realm-tgs-handmade",            KB_E_SERVICE_UNKNOWN,  "host/x.nope.test@NOPE.TEST"},
};
/* clang-format on */

/* The first row that fits the kind has to fit the text; other rows of the same name too. */
static bool fits(const char *row, const char *name)
{
    char want[128];

    snprintf(want, sizeof(want), "%s%s.json", row[0] == '-' ? "" : "/", row);
    return strstr(name, want) != NULL;
}

static void check_one(struct wire *wire, void *ctx)
{
    size_t n = wire_num(wire, "messages") - 1;
    const char *specific = NULL;
    unsigned *num = ctx;
    struct told told;

    if (strcmp(wire_text(wire, "messages[%zu].type", n), "KRB-ERROR") != 0) {
        return; /* nonsense that the KDC accepted */
    }
    tell(wire, &told);
    assert_non_null(strstr(told.err.text, PEER));
    assert_int_equal(told.err.kdc_code, wire_int(wire, "messages[%zu].fields.error_code", n));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!fits(rows[i].name, wire_name(wire)) || (specific != NULL && rows[i].name[0] == '-')) {
            continue;
        }
        specific = rows[i].name[0] != '-' ? rows[i].name : specific;
        if (told.err.code != rows[i].kind || strstr(told.err.text, rows[i].text) == NULL) {
            fail_msg("%s: %d: %s", wire_name(wire), told.err.code, told.err.text);
        }
        ++*num;
    }
    kb_arena_wipe(&told.arena);
}

static void recorded_errors_are_explained(void **state)
{
    unsigned num = 0;

    (void)state;
    wire_each("errors", check_one, &num);
    assert_true(num >= 74);
}

/* --- forms of e-data --- */

static kb_bytes error_with(struct kb_arena *arena, int32_t code, kb_bytes e_data, kb_bytes e_text)
{
    kb_krb_error error = {
        .pvno = 5,
        .msg_type = 30,
        .stime = 1795435200,
        .error_code = code,
        .has_e_text = true,
        .e_text = e_text,
        .has_e_data = e_data.len > 0,
        .e_data = e_data,
    };
    kb_bytes out;

    assert_int_equal(kb_encode_krb_error(arena, &error, &out), KB_OK);
    return out;
}

static const uint8_t wrong_password[12] = {0x6a, 0, 0, 0xc0, 0, 0, 0, 0, 1, 0, 0, 0};

static void ntstatus_in_any_form(void **state)
{
    kb_pa_data pa[] = {{19, KB_LIT("x")}, {3, {wrong_password, 12}}};
    kb_typed_data_entry typed[] = {{3, true, {wrong_password, 12}}};
    const kb_method_data method_data = {pa, 2};
    const kb_typed_data typed_data = {typed, 1};
    struct kb_krberror error;
    struct kb_arena arena;
    kb_bytes forms[3];

    (void)state;
    kb_arena_init(&arena, NULL, 0, 1 << 16);
    assert_int_equal(kb_encode_method_data(&arena, &method_data, &forms[0]), KB_OK);
    assert_int_equal(kb_encode_typed_data(&arena, &typed_data, &forms[1]), KB_OK);
    assert_int_equal(kb_encode_pa_data(&arena, &pa[1], &forms[2]), KB_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            kb_krberror_decode(error_with(&arena, 24, forms[i], KB_NONE), &arena, &error), KB_OK);
        assert_int_equal(error.ntstatus, 0xc000006au);
        assert_int_equal(error.padata.num, i == 0 ? 1 : 0);
        /* In PREAUTH_REQUIRED it is a salt. */
        assert_int_equal(
            kb_krberror_decode(error_with(&arena, 25, forms[i], KB_NONE), &arena, &error), KB_OK);
        assert_int_equal(error.ntstatus, 0);
        assert_int_equal(error.padata.num, i == 0 ? 2 : 1);
    }
    kb_arena_wipe(&arena);
}

static void e_data_of_no_form_is_absent(void **state)
{
    struct kb_krberror error;
    struct kb_arena arena;

    (void)state;
    kb_arena_init(&arena, NULL, 0, 1 << 16);
    assert_int_equal(
        kb_krberror_decode(error_with(&arena, 24, KB_LIT("no DER"), KB_NONE), &arena, &error),
        KB_OK);
    assert_int_equal(error.padata.num, 0);
    kb_arena_wipe(&arena);
}

static void other_messages_are_none(void **state)
{
    kb_krb_error error = {.pvno = 5, .msg_type = 11};
    struct kb_krberror out;
    struct kb_arena arena;
    kb_bytes der;

    (void)state;
    kb_arena_init(&arena, NULL, 0, 1 << 16);
    assert_int_equal(kb_encode_krb_error(&arena, &error, &der), KB_OK);
    assert_int_equal(kb_krberror_decode(der, &arena, &out), KB_WRONG_TYPE);
    assert_int_not_equal(kb_krberror_decode(KB_NONE, &arena, &out), KB_OK);
    kb_arena_wipe(&arena);
}

/* --- texts --- */

static void hostile_text_is_escaped_and_cut(void **state)
{
    char longest[20000];
    const kb_bytes texts[] = {KB_LIT("\x1b[2Jcls\n\r\x07"), {(const uint8_t *)longest, 20000}};
    struct kb_krberror_about about = {.peer = PEER, .secret = "the password of /etc/pw"};
    struct kb_principal *client;
    struct kb_arena arena;

    (void)state;
    memset(longest, 0xc3, sizeof(longest));
    kb_arena_init(&arena, NULL, 0, 1 << 20);
    assert_int_equal(kb_principal_parse(KB_LIT("alice@TEST"), KB_NT_PRINCIPAL, KB_NONE, &client),
                     KB_OK);
    about.client = client;
    for (size_t i = 0; i < 2; i++) {
        struct kb_krberror error;
        struct kb_error err = {0};

        assert_int_equal(
            kb_krberror_decode(error_with(&arena, 24, KB_NONE, texts[i]), &arena, &error), KB_OK);
        kb_krberror_explain(&err, &error, &about);
        assert_int_equal(err.code, KB_E_WRONG_PASSWORD);
        assert_true(strlen(err.text) < 500);
        for (const char *c = err.text; *c != '\0'; c++) {
            assert_true(*c >= 0x20 && *c < 0x7f);
        }
    }
    kb_principal_free(client);
    kb_arena_wipe(&arena);
}

/* A keytab is never called a password. */
static void keytabs_are_refused_as_keytabs(void **state)
{
    struct kb_krberror_about about = {.peer = "", .secret = "keytab /etc/k", .keytab = true};
    struct kb_krberror error = {.code = 24};
    struct kb_error err = {0};
    struct kb_principal *client;

    (void)state;
    assert_int_equal(kb_principal_parse(KB_LIT("alice@TEST"), KB_NT_PRINCIPAL, KB_NONE, &client),
                     KB_OK);
    about.client = client;
    kb_krberror_explain(&err, &error, &about);
    assert_int_equal(err.code, KB_E_KEY_REFUSED);
    assert_string_equal(err.text, "alice@TEST: the KDC refused keytab /etc/k: KDC answered "
                                  "KDC_ERR_PREAUTH_FAILED (24)");
    kb_principal_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_errors_are_explained),
        cmocka_unit_test(ntstatus_in_any_form),
        cmocka_unit_test(e_data_of_no_form_is_absent),
        cmocka_unit_test(other_messages_are_none),
        cmocka_unit_test(hostile_text_is_escaped_and_cut),
        cmocka_unit_test(keytabs_are_refused_as_keytabs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
