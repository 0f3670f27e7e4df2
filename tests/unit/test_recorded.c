/* crypto against what MIT, Heimdal and Samba encrypted: the same bytes again, for every usage. */
#include "tests/support/crypto.h"

#include "asn1/types.h"
#include "crypto/checksum.h"
#include "tests/support/remembered.h"
#include "tests/support/wire.h"

static size_t ciphers, passwords, macs, sums; /* how many were compared */

static bool contains(kb_bytes haystack, kb_bytes needle)
{
    return memmem(haystack.ptr, haystack.len, needle.ptr, needle.len) != NULL;
}

/* A ciphertext stands in its message, or within another one's plaintext (FAST, KRB-CRED). */
static bool is_recorded(struct wire *wire, size_t m, kb_bytes cipher)
{
    bool found = contains(wire_hex(wire, "messages[%zu].hex", m), cipher);

    for (size_t d = 0; !found && d < wire_num(wire, "messages[%zu].decrypted", m); d++) {
        found = wire_has(wire, "messages[%zu].decrypted[%zu].plain", m, d) &&
                contains(wire_hex(wire, "messages[%zu].decrypted[%zu].plain", m, d), cipher);
    }
    return found;
}

/* Encrypting confounder and plaintext again gives the recorded bytes. */
static void same_cipher(struct wire *wire, size_t m, struct kb_key *key, uint32_t usage,
                        kb_bytes confounder, kb_bytes plain)
{
    struct kb_rng rng = {fixed_fill, &confounder};
    size_t len = kb_encrypted_len(key, plain.len), out_len;
    uint8_t *cipher = malloc(len);

    assert_non_null(cipher);
    assert_int_equal(kb_encrypt(key, usage, &rng, plain, cipher), KB_OK);
    if (!is_recorded(wire, m, kb_bytes_of(cipher, len))) {
        fail_msg("%s, message %zu, usage %u", wire_name(wire), m, usage);
    }
    assert_int_equal(kb_decrypt(key, usage, kb_bytes_of(cipher, len), cipher, &out_len), KB_OK);
    assert_bytes(kb_bytes_of(cipher, out_len), plain, "plaintext");
    free(cipher);
    ciphers++;
}

/* The checksum of a TGS-REQ's body, RFC 4120 5.5.1: keyed from MIT's clients, with rc4 an unkeyed
 * one from Heimdal's. */
static void body_checksum(struct wire *wire, size_t m, const char *at, struct kb_key *key)
{
    kb_bytes message = wire_hex(wire, "messages[%zu].hex", m), body;
    uint8_t sum[KB_MAX_CHECKSUM_LEN];
    kb_authenticator auth;
    struct kb_arena arena;

    kb_arena_init(&arena, NULL, 0, 1 << 20);
    assert_int_equal(kb_decode_authenticator(wire_hex(wire, "%s.plain", at), &arena, &auth, NULL),
                     KB_OK);
    body = kb_bytes_of(message.ptr + wire_int(wire, "messages[%zu].fields.req_body_offset", m),
                       (size_t)wire_int(wire, "messages[%zu].fields.req_body_len", m));
    assert_true(auth.has_cksum);
    assert_int_equal(kb_checksum_len(auth.cksum.cksumtype), auth.cksum.checksum.len);
    assert_int_equal(
        kb_checksum_by_type(auth.cksum.cksumtype, key, KB_USAGE_TGS_REQ_CHECKSUM, body, sum),
        KB_OK);
    assert_bytes(kb_bytes_of(sum, auth.cksum.checksum.len), auth.cksum.checksum, wire_name(wire));
    assert_int_equal(kb_checksum_verify(key, KB_USAGE_TGS_REQ_CHECKSUM, auth.cksum.cksumtype, body,
                                        auth.cksum.checksum),
                     kb_checksum_is_keyed(auth.cksum.cksumtype) ? KB_OK : KB_NO_ENCTYPE);
    kb_arena_wipe(&arena);
    sums++;
}

static void exchange(struct wire *wire, void *ctx)
{
    (void)ctx;
    for (size_t m = 0; m < wire_num(wire, "messages"); m++) {
        for (size_t d = 0; d < wire_num(wire, "messages[%zu].decrypted", m); d++) {
            char at[80];
            struct kb_key *key;

            snprintf(at, sizeof(at), "messages[%zu].decrypted[%zu]", m, d);
            if (wire_has(wire, "%s.same_as_message", at) ||
                kb_enctype_find((int32_t)wire_int(wire, "%s.etype", at)) == NULL) {
                continue;
            }
            assert_int_equal(kb_key_new((int32_t)wire_int(wire, "%s.etype", at),
                                        wire_hex(wire, "%s.key", at), &key),
                             KB_OK);
            same_cipher(wire, m, key, (uint32_t)wire_int(wire, "%s.usage", at),
                        wire_hex(wire, "%s.confounder", at), wire_hex(wire, "%s.plain", at));
            if (wire_int(wire, "%s.usage", at) == KB_USAGE_TGS_REQ_AUTHENTICATOR &&
                wire_has(wire, "messages[%zu].fields.req_body_offset", m)) {
                body_checksum(wire, m, at, key);
            }
            kb_key_free(key);
        }
    }
}

/* The key of the client's password, with the salt and parameters that the KDC said. */
static void password(struct wire *wire, void *ctx)
{
    kb_bytes params = KB_NONE;
    struct kb_key *key;
    int32_t etype;

    (void)ctx;
    if (!wire_has(wire, "password") || !wire_has(wire, "keys[name=client-long-term].salt")) {
        return;
    }
    etype = (int32_t)wire_int(wire, "keys[name=client-long-term].etype");
    if (kb_enctype_find(etype) == NULL) {
        return;
    }
    if (wire_has(wire, "keys[name=client-long-term].s2kparams")) {
        params = wire_hex(wire, "keys[name=client-long-term].s2kparams");
    }
    assert_int_equal(remembered_key(etype, kb_str(wire_text(wire, "password")),
                                    wire_hex(wire, "keys[name=client-long-term].salt"), params,
                                    &key),
                     KB_OK);
    assert_bytes(kb_key_bytes(key), wire_hex(wire, "keys[name=client-long-term].key"),
                 wire_name(wire));
    kb_key_free(key);
    passwords++;
}

static struct kb_key *key_named(struct wire *wire, const char *name)
{
    struct kb_key *key = NULL;

    return wire_has(wire, "keys.%s.key", name) &&
                   kb_key_new((int32_t)wire_int(wire, "keys.%s.etype", name),
                              wire_hex(wire, "keys.%s.key", name), &key) == KB_OK
               ? key
               : NULL;
}

/* RFC 4121 4.2.4: the checksum of a MIC token is over the message, then its 16 bytes of header. */
static void mic(struct wire *wire, size_t i, struct kb_key *key)
{
    kb_bytes message = wire_hex(wire, "per_message[%zu].message", i);
    kb_bytes token = wire_hex(wire, "per_message[%zu].token", i);
    uint8_t joined[600], sum[KB_MAX_CHECKSUM_LEN];

    assert_true(message.len + 16 <= sizeof(joined));
    if (message.len > 0) {
        memcpy(joined, message.ptr, message.len);
    }
    memcpy(joined + message.len, token.ptr, 16);
    assert_int_equal(kb_checksum_make(key, (uint32_t)wire_int(wire, "per_message[%zu].usage", i),
                                      kb_bytes_of(joined, message.len + 16), sum),
                     KB_OK);
    assert_bytes(kb_bytes_of(sum, kb_key_enctype(key)->mac_len),
                 kb_bytes_of(token.ptr + 16, token.len - 16), wire_name(wire));
    macs++;
}

static void context(struct wire *wire, void *ctx)
{
    (void)ctx;
    for (size_t d = 0; d < wire_num(wire, "decrypted"); d++) {
        struct kb_key *key = key_named(wire, wire_text(wire, "decrypted[%zu].key_name", d));
        bool found = false;

        if (key == NULL || !wire_has(wire, "decrypted[%zu].confounder", d)) {
            kb_key_free(key);
            continue;
        }
        for (size_t t = 0; t < wire_num(wire, "context_tokens") && !found; t++) {
            kb_bytes token = wire_hex(wire, "context_tokens[%zu].hex", t);
            kb_bytes confounder = wire_hex(wire, "decrypted[%zu].confounder", d);
            kb_bytes plain = wire_hex(wire, "decrypted[%zu].plain", d);
            struct kb_rng rng = {fixed_fill, &confounder};
            uint32_t usage = (uint32_t)wire_int(wire, "decrypted[%zu].usage", d);
            uint8_t *cipher = malloc(kb_encrypted_len(key, plain.len));

            assert_non_null(cipher);
            assert_int_equal(kb_encrypt(key, usage, &rng, plain, cipher), KB_OK);
            found = contains(token, kb_bytes_of(cipher, kb_encrypted_len(key, plain.len)));
            free(cipher);
        }
        ciphers += found;
        kb_key_free(key);
    }
    for (size_t i = 0; i < wire_num(wire, "per_message"); i++) {
        struct kb_key *key = key_named(wire, wire_text(wire, "per_message[%zu].key_name", i));

        if (key != NULL && !kb_key_enctype(key)->old &&
            strcmp(wire_text(wire, "per_message[%zu].op", i), "mic") == 0 &&
            wire_int(wire, "per_message[%zu].len", i) < 500) {
            mic(wire, i, key);
        }
        kb_key_free(key);
    }
}

static void exchanges(void **state)
{
    (void)state;
    wire_each("exchanges", exchange, NULL);
    print_message("%zu ciphertexts, %zu checksums of a request\n", ciphers, sums);
    assert_true(ciphers >= 400);
    assert_true(sums >= 50);
}

static void passwords_of_clients(void **state)
{
    (void)state;
    wire_each("exchanges", password, NULL);
    print_message("%zu passwords\n", passwords);
    assert_true(passwords >= 50);
}

static void contexts(void **state)
{
    size_t before = ciphers;

    (void)state;
    wire_each("gss", context, NULL);
    print_message("%zu ciphertexts, %zu MIC tokens\n", ciphers - before, macs);
    assert_true(ciphers - before >= 40);
    assert_true(macs >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges),
        cmocka_unit_test(passwords_of_clients),
        cmocka_unit_test(contexts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
