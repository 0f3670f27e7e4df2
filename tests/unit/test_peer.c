/* Our contexts against MIT's acceptor in this process (libgssapi_krb5 without us in it): the AP
 * exchange and messages of every length, both directions, in each enctype that it has. The tickets
 * are made here, with a key that is in its keytab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "asn1/reader.h"
#include "asn1/types.h"
#include "mech/protocol/context.h"
#include "mech/protocol/token.h"
#include "mech/protocol/token_format.h"
#include "tests/support/place.h"
#include "tests/support/wire.h"

#define MAX_LEN 4096
#define MAX_TOKEN (MAX_LEN + 256)

static const struct row {
    int32_t etype, upgraded; /* what the acceptor makes of it, if it is asked; 0: the same */
} rows[] = {
    {KB_ENCTYPE_RC4_HMAC, 0},      {KB_ENCTYPE_RC4_HMAC, KB_ENCTYPE_AES256_SHA1},
    {KB_ENCTYPE_DES3_CBC_SHA1, 0}, {KB_ENCTYPE_AES128_SHA1, 0},
    {KB_ENCTYPE_AES256_SHA1, 0},   {KB_ENCTYPE_AES128_SHA256, 0},
    {KB_ENCTYPE_AES256_SHA384, 0}, {KB_ENCTYPE_CAMELLIA128, 0},
    {KB_ENCTYPE_CAMELLIA256, 0},
};
#define NUM_ROWS (sizeof(rows) / sizeof(rows[0]))

/* --- a ticket for svc/host.test@TEST, and the keytab that opens it --- */

static const uint8_t service_key[16] = "sixteen octets..";

static kb_principal_name name_of(int32_t type, kb_bytes *parts, size_t num)
{
    return (kb_principal_name){.name_type = type, .name_string = {parts, num}};
}

static kb_bytes parts_alice[] = {{(const uint8_t *)"alice", 5}};
static kb_bytes parts_service[] = {{(const uint8_t *)"svc", 3}, {(const uint8_t *)"host.test", 9}};

static uint8_t *put_text(uint8_t *p, kb_bytes text)
{
    kb_put_u16be(p, (uint16_t)text.len);
    memcpy(p + 2, text.ptr, text.len);
    return p + 2 + text.len;
}

/* One entry of format 2: kvno 1. */
static void write_keytab(const char *path)
{
    uint8_t bytes[128] = {5, 2}, *p = bytes + 6;
    FILE *file = fopen(path, "w");

    kb_put_u16be(p, 2);
    p = put_text(put_text(put_text(p + 2, KB_LIT("TEST")), parts_service[0]), parts_service[1]);
    kb_put_u32be(p, 1);
    kb_put_u32be(p + 4, 0);
    p[8] = 1;
    kb_put_u16be(p + 9, KB_ENCTYPE_AES128_SHA1);
    p = put_text(p + 11, kb_bytes_of(service_key, sizeof(service_key)));
    kb_put_u32be(bytes + 2, (uint32_t)(p - bytes - 6));
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, (size_t)(p - bytes), 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static kb_bytes make_ticket(struct kb_arena *arena, struct kb_key *session_key, int64_t now)
{
    kb_enc_ticket_part part = {
        .key = {kb_key_enctype(session_key)->etype, kb_key_bytes(session_key)},
        .crealm = KB_LIT("TEST"),
        .cname = name_of(1, parts_alice, 1),
        .authtime = now - 60,
        .endtime = now + 3600,
    };
    kb_ticket ticket = {
        .tkt_vno = 5,
        .realm = KB_LIT("TEST"),
        .sname = name_of(3, parts_service, 2),
        .enc_part = {.etype = KB_ENCTYPE_AES128_SHA1, .has_kvno = true, .kvno = 1},
    };
    struct kb_key *key;
    kb_bytes plain, out;
    uint8_t *cipher;
    size_t len;

    assert_int_equal(kb_encode_enc_ticket_part(arena, &part, &plain), KB_OK);
    assert_int_equal(
        kb_key_new(KB_ENCTYPE_AES128_SHA1, kb_bytes_of(service_key, sizeof(service_key)), &key),
        KB_OK);
    len = kb_encrypted_len(key, plain.len);
    cipher = kb_arena_alloc(arena, len);
    assert_int_equal(kb_encrypt(key, KB_USAGE_TICKET, &kb_rng_system, plain, cipher), KB_OK);
    ticket.enc_part.cipher = kb_bytes_of(cipher, len);
    assert_int_equal(kb_encode_ticket(arena, &ticket, &out), KB_OK);
    kb_key_free(key);
    return out;
}

static int set_up(void **state)
{
    place_set_up(state);
    place_file("krb5.conf", "[libdefaults]\ndefault_realm = TEST\nallow_weak_crypto = true\n"
                            "dns_canonicalize_hostname = false\nrdns = false\n"
                            "permitted_enctypes = aes256-sha1 aes128-sha1 aes256-sha2 aes128-sha2 "
                            "camellia256-cts camellia128-cts des3 rc4\n");
    place_env("KRB5_CONFIG", place_path("krb5.conf"));
    write_keytab(place_path("keytab"));
    place_env("KRB5_KTNAME", place_path("keytab"));
    place_env("KRB5RCACHENAME", "none:");
    return 0;
}

/* --- contexts --- */

struct pair {
    struct kb_ap *ours;
    gss_ctx_id_t theirs;
};

static struct kb_timestamp now_of(void *ctx)
{
    static struct kb_timestamp last;
    struct timespec ts;

    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &ts);
    last.usec++;
    if (last.sec != ts.tv_sec) {
        last = (struct kb_timestamp){ts.tv_sec, 0};
    }
    return last;
}

static void assert_major(OM_uint32 major, OM_uint32 minor, const char *what)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 more = 0, ignored;

    if (GSS_ERROR(major)) {
        gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
        fail_msg("%s: %08x: %.*s", what, major, (int)text.length, (char *)text.value);
    }
}

static kb_bytes mech_of(void)
{
    return kb_bytes_of(gss_mech_krb5->elements, gss_mech_krb5->length);
}

/* To the acceptor, framed unless it is in DCE style; its answer without the frame. */
static kb_bytes accept_token(struct pair *pair, struct kb_arena *arena, bool dce, kb_bytes message)
{
    size_t len = dce ? message.len : kb_frame_len(mech_of(), message.len);
    uint8_t *framed = kb_arena_alloc(arena, len), *copy;
    gss_buffer_desc in = {len, framed}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major;
    kb_bytes answer, mech;
    uint16_t id;

    if (dce) {
        memcpy(framed, message.ptr, len);
    } else {
        kb_frame(mech_of(), KB_TOK_AP_REQ, message, framed);
    }
    major = gss_accept_sec_context(&minor, &pair->theirs, GSS_C_NO_CREDENTIAL, &in,
                                   GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &out, NULL, NULL, NULL);
    assert_major(major, minor, "gss_accept_sec_context");
    if (out.length == 0) {
        return KB_NONE;
    }
    copy = kb_arena_alloc(arena, out.length);
    memcpy(copy, out.value, out.length);
    answer = kb_bytes_of(copy, out.length);
    gss_release_buffer(&minor, &out);
    if (!dce) {
        assert_int_equal(kb_unframe(answer, &mech, &id, &answer), KB_OK);
        assert_int_equal(id, KB_TOK_AP_REP);
    }
    return answer;
}

static void pair_open(struct pair *pair, const struct row *row, uint32_t flags)
{
    struct kb_env env = {.rng = kb_rng_system, .now = now_of};
    int32_t etypes[2] = {row->upgraded, row->etype};
    struct kb_ap_request request = {
        .flags = flags | KB_GSS_CONF | KB_GSS_INTEG | KB_GSS_REPLAY | KB_GSS_SEQUENCE,
        .etypes = row->upgraded != 0 ? etypes : etypes + 1,
        .num_etypes = row->upgraded != 0 ? 2 : 1,
    };
    bool dce = (flags & KB_GSS_DCE_STYLE) != 0;
    kb_principal_name alice = name_of(1, parts_alice, 1), service = name_of(3, parts_service, 2);
    int64_t now = time(NULL);
    struct kb_credential credential = {.authtime = now - 60, .endtime = now + 3600};
    struct kb_error err = {0};
    struct kb_arena arena;
    kb_bytes token;

    *pair = (struct pair){NULL, GSS_C_NO_CONTEXT};
    kb_arena_init(&arena, NULL, 0, 1 << 20);
    assert_int_equal(kb_key_random(row->etype, &env.rng, &credential.session_key), KB_OK);
    credential.client = kb_principal_new(KB_LIT("TEST"), &alice);
    credential.server = kb_principal_new(KB_LIT("TEST"), &service);
    credential.ticket = make_ticket(&arena, credential.session_key, now);
    request.credential = &credential;
    assert_int_equal(kb_ap_new(&env, &request, &arena, &pair->ours, &token), KB_OK);
    token = accept_token(pair, &arena, dce, token);
    if (token.len > 0) {
        assert_int_equal(kb_ap_reply(pair->ours, &env, token, &arena, &token, &err), KB_OK);
        assert_int_equal(token.len > 0, dce);
        if (dce) {
            assert_int_equal(accept_token(pair, &arena, dce, token).len, 0);
        }
    }
    assert_true(kb_ap_established(pair->ours));
    if (row->upgraded != 0 && flags != 0) {
        assert_int_equal(kb_key_enctype(pair->ours->message_key)->etype, row->upgraded);
        assert_ptr_equal(pair->ours->format, &kb_token_cfx);
    } else {
        assert_int_equal(kb_key_enctype(pair->ours->message_key)->etype, row->etype);
    }
    kb_key_free(credential.session_key);
    kb_principal_free(credential.client);
    kb_principal_free(credential.server);
    kb_arena_wipe(&arena);
}

static void pair_close(struct pair *pair)
{
    OM_uint32 minor;

    kb_ap_free(pair->ours);
    gss_delete_sec_context(&minor, &pair->theirs, GSS_C_NO_BUFFER);
}

/* --- messages --- */

static uint8_t pattern[MAX_LEN + 1];

static void ours_to_them(const struct pair *pair, bool conf, size_t len)
{
    uint8_t token[MAX_TOKEN];
    gss_buffer_desc in = {kb_wrap_len(pair->ours, conf, len), token}, out = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc message = {len, pattern};
    OM_uint32 major, minor;
    int sealed = -1;

    assert_true(in.length <= MAX_TOKEN);
    assert_int_equal(kb_wrap(pair->ours, &kb_rng_system, conf, kb_bytes_of(pattern, len), token),
                     KB_OK);
    major = gss_unwrap(&minor, pair->theirs, &in, &out, &sealed, NULL);
    assert_major(major, minor, "gss_unwrap");
    assert_int_equal(major, GSS_S_COMPLETE);
    assert_int_equal(sealed, conf);
    assert_true(kb_equal(kb_bytes_of(out.value, out.length), kb_bytes_of(pattern, len)));
    if (out.length == 0) {
        free(out.value); /* MIT's: its gss_release_buffer leaves an empty buffer alone */
    } else {
        gss_release_buffer(&minor, &out);
    }

    assert_int_equal(kb_get_mic(pair->ours, kb_bytes_of(pattern, len), token), KB_OK);
    in.length = kb_mic_len(pair->ours);
    major = gss_verify_mic(&minor, pair->theirs, &message, &in, NULL);
    assert_major(major, minor, "gss_verify_mic");
    assert_int_equal(major, GSS_S_COMPLETE);
}

static void theirs_to_us(const struct pair *pair, bool conf, size_t len)
{
    uint8_t out[MAX_TOKEN];
    gss_buffer_desc message = {len, pattern}, token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;
    uint32_t suppl;
    size_t out_len;
    bool sealed;

    major = gss_wrap(&minor, pair->theirs, conf, GSS_C_QOP_DEFAULT, &message, NULL, &token);
    assert_major(major, minor, "gss_wrap");
    assert_int_equal(token.length, kb_wrap_len(pair->ours, conf, len));
    assert_int_equal(kb_unwrap(pair->ours, kb_bytes_of(token.value, token.length), out, &out_len,
                               &sealed, &suppl),
                     KB_OK);
    assert_int_equal(sealed, conf);
    assert_int_equal(suppl, 0);
    assert_true(kb_equal(kb_bytes_of(out, out_len), kb_bytes_of(pattern, len)));
    gss_release_buffer(&minor, &token);

    major = gss_get_mic(&minor, pair->theirs, GSS_C_QOP_DEFAULT, &message, &token);
    assert_major(major, minor, "gss_get_mic");
    assert_int_equal(token.length, kb_mic_len(pair->ours));
    assert_int_equal(kb_verify_mic(pair->ours, kb_bytes_of(pattern, len),
                                   kb_bytes_of(token.value, token.length), &suppl),
                     KB_OK);
    assert_int_equal(suppl, 0);
    gss_release_buffer(&minor, &token);
}

static void every_length_both_ways(void **state)
{
    size_t stride = wire_stride();

    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(7 * i + (i >> 8));
    }
    for (size_t i = 0; i < NUM_ROWS; i++) {
        struct pair pair;

        pair_open(&pair, &rows[i], KB_GSS_MUTUAL);
        for (size_t len = 0; len <= MAX_LEN; len += len < 64 ? 1 : stride) {
            for (int conf = 0; conf <= 1; conf++) {
                ours_to_them(&pair, conf, len);
                theirs_to_us(&pair, conf, len);
            }
        }
        pair_close(&pair);
    }
}

static void some_lengths(uint32_t flags)
{
    static const size_t lens[] = {0, 1, 7, 8, 9, 15, 16, 17, 100, 128, 1000, MAX_LEN};

    for (size_t i = 0; i < NUM_ROWS; i++) {
        struct pair pair;

        pair_open(&pair, &rows[i], flags);
        for (size_t n = 0; n < sizeof(lens) / sizeof(lens[0]); n++) {
            for (int conf = 0; conf <= 1; conf++) {
                ours_to_them(&pair, conf, lens[n]);
                theirs_to_us(&pair, conf, lens[n]);
            }
        }
        pair_close(&pair);
    }
}

static void without_mutual_authentication(void **state)
{
    (void)state;
    some_lengths(0);
}

static void in_dce_style(void **state)
{
    (void)state;
    some_lengths(KB_GSS_DCE_STYLE);
}

/* --- lists of buffers --- */

/* DATA that is padded where that is the caller's business, and something that is signed. */
struct buffers {
    uint8_t header[256], data[MAX_LEN], padding[16], trailer[64];
};

static void list_to_them(const struct pair *pair, bool conf, size_t len)
{
    struct buffers b;
    struct kb_piece pieces[3 + KB_SPARE_PIECES] = {
        kb_piece_sign(KB_LIT("before")),
        kb_piece_data(b.data, len),
        kb_piece_data(b.padding, 0),
    };
    struct kb_iov iov = {
        .header = {b.header, 0},
        .trailer = {b.trailer, 0},
        .has_trailer = true,
        .pieces = pieces,
        .num = 3,
        .padding = &pieces[2],
    };
    gss_iov_buffer_desc theirs[] = {
        {GSS_IOV_BUFFER_TYPE_HEADER, {0, b.header}},
        {GSS_IOV_BUFFER_TYPE_SIGN_ONLY, {6, (void *)(uintptr_t) "before"}},
        {GSS_IOV_BUFFER_TYPE_DATA, {len, b.data}},
        {GSS_IOV_BUFFER_TYPE_PADDING, {0, b.padding}},
        {GSS_IOV_BUFFER_TYPE_TRAILER, {0, b.trailer}},
    };
    OM_uint32 major, minor;
    int sealed = -1;

    memcpy(b.data, pattern, len);
    assert_int_equal(kb_wrap_iov_len(pair->ours, conf, &iov), KB_OK);
    assert_int_equal(kb_wrap_iov(pair->ours, &kb_rng_system, conf, &iov), KB_OK);
    theirs[0].buffer.length = iov.header.len;
    theirs[3].buffer.length = pieces[2].len;
    theirs[4].buffer.length = iov.trailer.len;
    major = gss_unwrap_iov(&minor, pair->theirs, &sealed, NULL, theirs, 5);
    assert_major(major, minor, "gss_unwrap_iov");
    assert_int_equal(sealed, conf);
    assert_memory_equal(b.data, pattern, len);
}

static void list_to_us(const struct pair *pair, bool conf, size_t len)
{
    struct buffers b;
    gss_iov_buffer_desc theirs[] = {
        {GSS_IOV_BUFFER_TYPE_HEADER, {sizeof(b.header), b.header}},
        {GSS_IOV_BUFFER_TYPE_SIGN_ONLY, {6, (void *)(uintptr_t) "before"}},
        {GSS_IOV_BUFFER_TYPE_DATA, {len, b.data}},
        {GSS_IOV_BUFFER_TYPE_PADDING, {sizeof(b.padding), b.padding}},
        {GSS_IOV_BUFFER_TYPE_TRAILER, {sizeof(b.trailer), b.trailer}},
    };
    struct kb_piece pieces[3 + KB_SPARE_PIECES] = {
        kb_piece_sign(KB_LIT("before")),
        kb_piece_data(b.data, len),
        kb_piece_data(b.padding, 0),
    };
    struct kb_iov iov = {
        .header = {b.header, 0},
        .trailer = {b.trailer, 0},
        .has_trailer = true,
        .pieces = pieces,
        .num = 3,
        .padding = &pieces[2],
    };
    OM_uint32 major, minor;
    uint32_t suppl;
    bool sealed;

    memcpy(b.data, pattern, len);
    major = gss_wrap_iov(&minor, pair->theirs, conf, GSS_C_QOP_DEFAULT, NULL, theirs, 5);
    assert_major(major, minor, "gss_wrap_iov");
    iov.header.len = theirs[0].buffer.length;
    pieces[2].len = theirs[3].buffer.length;
    iov.trailer.len = theirs[4].buffer.length;
    assert_int_equal(kb_unwrap_iov(pair->ours, &iov, &sealed, &suppl), KB_OK);
    assert_int_equal(sealed, conf);
    assert_int_equal(suppl, 0);
    assert_memory_equal(b.data, pattern, len);
    assert_int_equal(pieces[1].len, len);
}

/* In DCE style the caller has padded to the cipher's block. */
static void lists(uint32_t flags)
{
    size_t step = (flags & KB_GSS_DCE_STYLE) != 0 ? 16 : 1;

    for (size_t i = 0; i < NUM_ROWS; i++) {
        struct pair pair;

        pair_open(&pair, &rows[i], flags);
        for (size_t len = 0; len <= MAX_LEN; len += len < 64 ? step : 16 * 13 + step) {
            for (int conf = 0; conf <= 1; conf++) {
                list_to_them(&pair, conf, len);
                list_to_us(&pair, conf, len);
            }
        }
        pair_close(&pair);
    }
}

static void lists_of_buffers(void **state)
{
    (void)state;
    lists(KB_GSS_MUTUAL);
}

static void lists_of_buffers_in_dce_style(void **state)
{
    (void)state;
    lists(KB_GSS_DCE_STYLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_length_both_ways, set_up, place_tear_down),
        cmocka_unit_test_setup_teardown(without_mutual_authentication, set_up, place_tear_down),
        cmocka_unit_test_setup_teardown(in_dce_style, set_up, place_tear_down),
        cmocka_unit_test_setup_teardown(lists_of_buffers, set_up, place_tear_down),
        cmocka_unit_test_setup_teardown(lists_of_buffers_in_dce_style, set_up, place_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
