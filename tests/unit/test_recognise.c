/* cli/recognise: recordings are what they are, keys open what they fit and are shown nowhere, and
 * hostile bytes are a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/recognise.h"
#include "tests/support/wire.h"

/* What is shown of the bytes; free. NULL: not recognised, or broken. */
static char *shown(kb_bytes bytes, const struct kb_keytab *keytab, bool json, struct kb_why *why)
{
    struct kb_recogniser r = {.keytab = keytab};
    struct kb_show show;
    struct kb_buf out;
    enum kb_status status;

    kb_buf_init(&out, 16 << 20);
    kb_show_init(&show, &out, json);
    r.show = &show;
    kb_show_open(&show, NULL, KB_SHOW_FIELDS);
    status = kb_recognise(&r, bytes, why);
    kb_show_close(&show);
    assert_int_equal(out.status, KB_OK);
    assert_int_equal(show.depth, 0);
    if (status == KB_OK) {
        return kb_buf_take(&out, NULL);
    }
    assert_true(status == KB_WRONG_TYPE || why->text[0] != '\0');
    kb_buf_wipe(&out);
    return NULL;
}

static char *must_show(kb_bytes bytes, const struct kb_keytab *keytab, const char *where)
{
    struct kb_why why;
    char *text = shown(bytes, keytab, false, &why);

    if (text == NULL) {
        fail_msg("%s: %s", where, why.text);
    }
    return text;
}

static void assert_in(const char *text, const char *word)
{
    if (strstr(text, word) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", word, text);
    }
}

/* --- recordings --- */

static void a_message(struct wire *wire, void *ctx)
{
    size_t *num = ctx;

    for (size_t i = 0; i < wire_num(wire, "messages"); i++) {
        kb_bytes message = wire_hex(wire, "messages[%zu].hex", i);

        /* A recording of nonsense may be nonsense. */
        if (message.len > 0 && wire_has(wire, "messages[%zu].type", i)) {
            char *text = must_show(message, NULL, wire_name(wire));
            char title[80];

            snprintf(title, sizeof(title), "%s:\n", wire_text(wire, "messages[%zu].type", i));
            assert_in(text, title);
            free(text);
            ++*num;
        }
    }
}

static void recorded_exchanges(void **state)
{
    size_t num = 0;

    (void)state;
    wire_each("exchanges", a_message, &num);
    assert_true(num > 100);
}

static void lower_hex(kb_bytes bytes, char *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes.ptr[i]);
    }
}

/* Eight bytes of a key, in hexadecimal, are nowhere in what is shown. */
static void assert_no_key(struct wire *wire, const char *key, const char *text)
{
    char hex[20];

    if (wire_has(wire, "%s", key)) {
        lower_hex(kb_bytes_of(wire_hex(wire, "%s", key).ptr, 8), hex);
        assert_null(strstr(text, hex));
    }
}

/* A keytab with the service's key of a recording; one enctype that we do not have: no key. */
struct one_key {
    struct kb_keytab keytab;
    struct kb_keytab_entry entry;
};

static void one_key(struct wire *wire, struct one_key *out)
{
    struct kb_principal *principal;

    *out = (struct one_key){.keytab = {.entries = &out->entry, .num = 1}};
    assert_int_equal(kb_principal_parse(kb_str(wire_text(wire, "keys.service-long-term.principal")),
                                        KB_NT_PRINCIPAL, KB_NONE, &principal),
                     KB_OK);
    out->entry.principal = principal;
    out->entry.etype = (int32_t)wire_int(wire, "keys.service-long-term.etype");
    out->entry.kvno = (uint32_t)wire_int(wire, "keys.service-long-term.kvno");
    if (kb_key_new(out->entry.etype, wire_hex(wire, "keys.service-long-term.key"),
                   &out->entry.key) != KB_OK) {
        out->entry.key = NULL;
    }
}

static void one_key_wipe(struct one_key *key)
{
    kb_principal_free(key->entry.principal);
    kb_key_free(key->entry.key);
}

static const char *const secrets[] = {
    "keys.service-long-term.key",
    "keys.session.key",
    "keys.initiator-subkey.key",
    "keys.acceptor-subkey.key",
    "context_tokens[0].ap_req.checksum_8003.krb_cred_info.key",
};

static void a_context(struct wire *wire, void *ctx)
{
    size_t *opened = ctx;
    struct one_key key;

    one_key(wire, &key);
    for (size_t i = 0; i < wire_num(wire, "context_tokens"); i++) {
        kb_bytes token = wire_hex(wire, "context_tokens[%zu].hex", i);

        if (token.len == 0) {
            continue;
        }
        for (int json = 0; json < 2; json++) {
            struct kb_why why = {""};
            char *text = shown(token, &key.keytab, json == 1, &why);

            if (text == NULL) {
                fail_msg("%s, token %zu: %s", wire_name(wire), i, why.text);
            }
            for (size_t j = 0; j < sizeof(secrets) / sizeof(secrets[0]); j++) {
                assert_no_key(wire, secrets[j], text);
            }
            *opened += strstr(text, "checksum-8003") != NULL;
            free(text);
        }
    }
    one_key_wipe(&key);
}

static void recorded_contexts(void **state)
{
    size_t opened = 0;

    (void)state;
    wire_each("gss", a_context, &opened);
    assert_true(opened > 40);
}

static void a_token(struct wire *wire, void *ctx)
{
    size_t *num = ctx;

    for (size_t i = 0; i < wire_num(wire, "per_message"); i++) {
        const char *id = wire_text(wire, "per_message[%zu].token_id", i);

        if (strcmp(id, "0404") == 0 || strcmp(id, "0504") == 0) {
            char *text =
                must_show(wire_hex(wire, "per_message[%zu].token", i), NULL, wire_name(wire));
            char seq[60];

            snprintf(seq, sizeof(seq), "seq-number: %lld\n",
                     (long long)wire_int(wire, "per_message[%zu].seq", i));
            assert_in(text, strcmp(id, "0404") == 0 ? "MIC-token:" : "Wrap-token:");
            assert_in(text, seq);
            free(text);
            ++*num;
        }
    }
}

static void recorded_per_message_tokens(void **state)
{
    size_t num = 0;

    (void)state;
    wire_each("gss", a_token, &num);
    assert_true(num > 50);
}

static void what_a_key_opens(void **state)
{
    struct wire *wire = wire_load("gss/heimdal-mit-aes256-sha1-deleg.json");
    kb_bytes token = wire_hex(wire, "context_tokens[0].hex");
    struct one_key key;
    char *text;

    (void)state;
    one_key(wire, &key);
    text = must_show(token, &key.keytab, "deleg");
    assert_in(text, "opened-with: s18/srv.mit.test@MIT.TEST kvno 1\n");
    assert_in(text, "EncTicketPart:");
    assert_in(text, "Authenticator:");
    assert_in(text, "flags-names: deleg, mutual, replay, sequence, conf, integ, trans\n");
    assert_in(text, "EncKrbCredPart:"); /* Heimdal: in clear */
    free(text);
    text = must_show(token, NULL, "deleg");
    assert_null(strstr(text, "EncTicketPart"));
    free(text);
    one_key_wipe(&key);
    wire_free(wire);

    wire = wire_load("gss/mit-mit-aes256-sha1-deleg-spnego.json");
    one_key(wire, &key);
    text = must_show(wire_hex(wire, "context_tokens[0].hex"), &key.keytab, "deleg");
    assert_in(text, "NegTokenInit:");
    assert_in(text, "mech-types: 1.2.840.113554.1.2.2 (krb5)");
    assert_in(text, "EncKrbCredPart:"); /* MIT: under the session key */
    free(text);
    one_key_wipe(&key);
    wire_free(wire);
}

static void keytabs(void **state)
{
    kb_bytes file = wire_file("tests/wire/files/mit-many.keytab");
    char *text = must_show(file, NULL, "keytab");

    (void)state;
    assert_in(text, "keytab:\n  [0]\n    principal: ");
    assert_in(text, "etype: 18 (aes256-cts-hmac-sha1-96)");
    free(text);
    free((void *)(uintptr_t)file.ptr);
}

static void caches(void **state)
{
    static const char *const files[] = {
        "tests/wire/files/heimdal-v1.ccache",    "tests/wire/files/heimdal-v2.ccache",
        "tests/wire/files/heimdal-v3.ccache",    "tests/wire/files/heimdal-v4.ccache",
        "tests/wire/files/mit-v1.ccache",        "tests/wire/files/mit-v2.ccache",
        "tests/wire/files/mit-addresses.ccache", "tests/wire/files/mit-crossrealm.ccache",
        "tests/wire/files/mit-u2u.ccache",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        kb_bytes file = wire_file(files[i]);
        char *text = must_show(file, NULL, files[i]);

        assert_in(text, "ccache:\n  version: ");
        assert_in(text, "\n  tickets:\n    [0]\n      client: ");
        free(text);
        free((void *)(uintptr_t)file.ptr);
    }
}

/* --- made by hand, from the RFC's text --- */

#define KRB_PRIV                                                                                   \
    "\x75\x1f\x30\x1d\xa0\x03\x02\x01\x05\xa1\x03\x02\x01\x15\xa3\x11\x30\x0f\xa0\x03"             \
    "\x02\x01\x12\xa2\x08\x04\x06"                                                                 \
    "cipher"
#define HINTS                                                                                      \
    "\xa0\x2a\x30\x28\xa0\x0d\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\xa3\x17"         \
    "\x30\x15\xa0\x13\x1b\x11"                                                                     \
    "not_defined_in_RF"

static const struct {
    kb_bytes bytes;
    const char *words[3];
} by_hand[] = {
    /* RFC 4178 4.2.2: NegTokenResp { accept-incomplete, krb5 } */
    {KB_LIT("\xa1\x14\x30\x12\xa0\x03\x0a\x01\x01\xa1\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02"
            "\x02"),
     {"NegTokenResp:", "neg-state: 1 (accept-incomplete)",
      "supported-mech: 1.2.840.113554.1.2.2 (krb5)"}},
    /* reject alone, as servers send it */
    {KB_LIT("\xa1\x07\x30\x05\xa0\x03\x0a\x01\x02"), {"neg-state: 2 (reject)"}},
    /* MS-SPNG: what a Windows server says first */
    {KB_LIT(HINTS), {"NegTokenInit2:", "hint-name: \"not_defined_in_RF"}},
    /* RFC 4120 5.7.1, alone and behind a length of TCP */
    {KB_LIT(KRB_PRIV), {"KRB-PRIV:", "etype: 18 (aes256", "cipher: (6 bytes, not shown)"}},
    {KB_LIT("NTLMSSP\0\x01\0\0\0"), {"NTLM:", "type: 1 (NEGOTIATE)", "not Kerberos"}},
    /* METHOD-DATA by itself, as e-data: RFC 4120 5.9.1 */
    {KB_LIT("\x30\x0b\x30\x09\xa1\x03\x02\x01\x02\xa2\x02\x04\x00"),
     {"METHOD-DATA:", "padata-type: 2 (PA-ENC-TIMESTAMP)"}},
};

static void by_the_letter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(by_hand) / sizeof(by_hand[0]); i++) {
        char *text = must_show(by_hand[i].bytes, NULL, by_hand[i].words[0]);

        for (size_t j = 0; j < 3 && by_hand[i].words[j] != NULL; j++) {
            assert_in(text, by_hand[i].words[j]);
        }
        free(text);
    }
}

static void a_tcp_stream(void **state)
{
    struct wire *wire = wire_load("exchanges/mit-aes256-sha1-client-mit.json");
    kb_bytes message = wire_hex(wire, "messages[0].hex");
    uint8_t stream[4096];
    size_t len = 0;
    char *text;

    (void)state;
    for (int i = 0; i < 2; i++) {
        stream[len++] = 0;
        stream[len++] = 0;
        stream[len++] = (uint8_t)(message.len >> 8);
        stream[len++] = (uint8_t)message.len;
        memcpy(stream + len, message.ptr, message.len);
        len += message.len;
    }
    text = must_show(kb_bytes_of(stream, len), NULL, "stream");
    assert_in(text, "[1]\n    length: ");
    assert_in(text, "AS-REQ:");
    free(text);
    wire_free(wire);
}

/* --- hostile --- */

static void try_hostile(kb_bytes bytes, const struct kb_keytab *keytab, uint8_t *copy)
{
    struct kb_why why;

    for (size_t at = 0; at < bytes.len; at += wire_stride()) {
        free(shown(kb_bytes_of(bytes.ptr, at), keytab, false, &why));
        memcpy(copy, bytes.ptr, bytes.len);
        copy[at] ^= (uint8_t)(1 << at % 8);
        free(shown(kb_bytes_of(copy, bytes.len), keytab, at % 2 == 0, &why));
    }
}

/* Cut at every byte, and a bit turned in every byte. */
static void cut_and_flipped(void **state)
{
    struct wire *wire = wire_load("gss/mit-mit-aes256-sha1-deleg-spnego.json");
    kb_bytes keytab_file = wire_file("tests/wire/files/mit-many.keytab");
    kb_bytes cache_file = wire_file("tests/wire/files/mit-v1.ccache");
    uint8_t *copy = malloc(1 << 16);
    struct one_key key;

    (void)state;
    assert_non_null(copy);
    one_key(wire, &key);
    try_hostile(wire_hex(wire, "context_tokens[0].hex"), &key.keytab, copy);
    try_hostile(wire_hex(wire, "context_tokens[1].hex"), &key.keytab, copy);
    try_hostile(keytab_file, NULL, copy);
    try_hostile(cache_file, NULL, copy);
    for (size_t i = 0; i < sizeof(by_hand) / sizeof(by_hand[0]); i++) {
        try_hostile(by_hand[i].bytes, NULL, copy);
    }
    one_key_wipe(&key);
    free(copy);
    free((void *)(uintptr_t)keytab_file.ptr);
    free((void *)(uintptr_t)cache_file.ptr);
    wire_free(wire);
}

/* A token in a token in a token…: mechToken of a NegTokenInit without end. */
static void nested(void **state)
{
    enum { DEPTH = 100, ROOM = 8192 };
    uint8_t *bytes = malloc(ROOM);
    size_t at = ROOM;
    struct kb_why why;
    char *text;

    (void)state;
    assert_non_null(bytes);
    for (int i = 0; i < DEPTH; i++) {
        static const uint8_t mechs[] = {0xa0, 0x02, 0x30, 0x00};
        size_t len = ROOM - at;
        const uint8_t heads[][4] = {
            {0x04, 0x82, 0, 0}, {0xa2, 0x82, 0, 0}, {0x30, 0x82, 0, 0}, {0xa0, 0x82, 0, 0}};

        for (size_t j = 0; j < 4; j++) {
            if (j == 2) {
                at -= sizeof(mechs);
                memcpy(bytes + at, mechs, sizeof(mechs));
                len += sizeof(mechs);
            }
            at -= len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
            bytes[at] = heads[j][0];
            if (len < 0x80) {
                bytes[at + 1] = (uint8_t)len;
            } else if (len < 0x100) {
                bytes[at + 1] = 0x81;
                bytes[at + 2] = (uint8_t)len;
            } else {
                bytes[at + 1] = 0x82;
                bytes[at + 2] = (uint8_t)(len >> 8);
                bytes[at + 3] = (uint8_t)len;
            }
            len = ROOM - at;
        }
    }
    text = shown(kb_bytes_of(bytes + at, ROOM - at), NULL, false, &why);
    assert_non_null(text);
    assert_in(text, "broken: ");
    free(text);
    free(bytes);
}

static void what_it_looks_like(void **state)
{
    (void)state;
    assert_string_equal(kb_looks_like(KB_LIT("hello\n")), "text");
    assert_non_null(strstr(kb_looks_like(KB_LIT("\x0a\x0d\x0d\x0a....")), "pcapng"));
    assert_non_null(strstr(kb_looks_like(KB_LIT("HTTP/1.1 401 Unauthorized")), "HTTP"));
    assert_null(kb_looks_like(KB_LIT("\x01\x02")));
    assert_string_equal(kb_looks_like(KB_NONE), "nothing at all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_exchanges),
        cmocka_unit_test(recorded_contexts),
        cmocka_unit_test(recorded_per_message_tokens),
        cmocka_unit_test(what_a_key_opens),
        cmocka_unit_test(keytabs),
        cmocka_unit_test(caches),
        cmocka_unit_test(by_the_letter),
        cmocka_unit_test(a_tcp_stream),
        cmocka_unit_test(cut_and_flipped),
        cmocka_unit_test(nested),
        cmocka_unit_test(what_it_looks_like),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
