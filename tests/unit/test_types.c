/* asn1 types and engine: other implementations' messages, primitives by the letter, hostile bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/table.h"
#include "asn1/types.h"
#include "tests/support/wire.h"

#define CEILING (1u << 20)

/* Decodes `in` and encodes it again, into `arena`. */
static enum kb_status recode(struct kb_arena *arena, const struct kb_type *type, kb_bytes in,
                             kb_bytes *out, struct kb_why *why)
{
    void *value = kb_arena_alloc(arena, type->size);
    enum kb_status status = kb_decode(type, in, arena, value, why);

    if (status != KB_OK) {
        return status;
    }
    assert_int_equal(kb_encode(type, arena, value, out), KB_OK);
    return KB_OK;
}

/* Two values come back otherwise than they came: Heimdal's negative nonces, which we do not send,
 * and the tag of an EncKDCRepPart, which is the RFC's. */
static bool same_bytes(const struct kb_type *type, const void *value, kb_bytes in, kb_bytes out)
{
    if (type == &kb_type_enc_kdc_rep_part) {
        in.ptr++, in.len--;
        out.ptr++, out.len--;
        if (((const kb_enc_kdc_rep_part *)value)->nonce >= 0x80000000u) {
            return true;
        }
    }
    if (type == &kb_type_kdc_req_body && ((const kb_kdc_req_body *)value)->nonce >= 0x80000000u) {
        return true;
    }
    return kb_equal(in, out);
}

static void round_trip(const char *where, const struct kb_type *type, kb_bytes in)
{
    struct kb_arena arena;
    struct kb_why why = {""};
    void *value;
    kb_bytes out;

    kb_arena_init(&arena, NULL, 0, CEILING);
    value = kb_arena_alloc(&arena, type->size);
    if (kb_decode(type, in, &arena, value, &why) != KB_OK) {
        fail_msg("%s: %s", where, why.text);
    }
    assert_int_equal(kb_encode(type, &arena, value, &out), KB_OK);
    if (!same_bytes(type, value, in, out)) {
        fail_msg("%s: %s is encoded to other bytes", where, type->name);
    }
    kb_arena_wipe(&arena);
}

/* The type with an application tag that `in` begins with. */
static const struct kb_type *tagged_type(kb_bytes in)
{
    for (size_t i = 0; in.len > 0 && kb_types[i] != NULL; i++) {
        if (kb_types[i]->kind == KB_KIND_APPLICATION &&
            (kb_types[i]->tag == in.ptr[0] || kb_types[i]->other_tag == in.ptr[0])) {
            return kb_types[i];
        }
    }
    return NULL;
}

/* --- recordings ---------------------------------------------------------------------------------
 */

static void parts_round_trip(const char *where, const kb_method_data *padata)
{
    for (size_t i = 0; i < padata->num; i++) {
        const kb_pa_data *pa = &padata->items[i];
        const struct kb_type *type = pa->padata_type == 1    ? &kb_type_ap_req
                                     : pa->padata_type == 2  ? &kb_type_encrypted_data
                                     : pa->padata_type == 11 ? &kb_type_etype_info
                                     : pa->padata_type == 19 ? &kb_type_etype_info2
                                                             : NULL;

        if (type != NULL && pa->padata_value.len > 0) {
            round_trip(where, type, pa->padata_value);
        }
    }
}

static void request_round_trips(const char *where, kb_bytes message)
{
    struct kb_arena arena;
    kb_kdc_req req;

    kb_arena_init(&arena, NULL, 0, CEILING);
    assert_int_equal(message.ptr[0] == 0x6a ? kb_decode_as_req(message, &arena, &req, NULL)
                                            : kb_decode_tgs_req(message, &arena, &req, NULL),
                     KB_OK);
    round_trip(where, &kb_type_kdc_req_body, req.req_body);
    parts_round_trip(where, &req.padata);
    kb_arena_wipe(&arena);
}

static void reply_round_trips(const char *where, kb_bytes message)
{
    struct kb_arena arena;
    kb_kdc_rep rep;

    kb_arena_init(&arena, NULL, 0, CEILING);
    assert_int_equal(message.ptr[0] == 0x6b ? kb_decode_as_rep(message, &arena, &rep, NULL)
                                            : kb_decode_tgs_rep(message, &arena, &rep, NULL),
                     KB_OK);
    round_trip(where, &kb_type_ticket, rep.ticket);
    parts_round_trip(where, &rep.padata);
    kb_arena_wipe(&arena);
}

static void message_round_trips(const char *where, kb_bytes message)
{
    assert_non_null(tagged_type(message));
    round_trip(where, tagged_type(message), message);
    if (message.ptr[0] == 0x6a || message.ptr[0] == 0x6c) {
        request_round_trips(where, message);
    } else if (message.ptr[0] == 0x6b || message.ptr[0] == 0x6d) {
        reply_round_trips(where, message);
    }
}

static size_t num_decrypted;

static void decrypted_round_trips(struct wire *wire, const char *path)
{
    for (size_t i = 0; i < wire_num(wire, "%s", path); i++) {
        kb_bytes plain = KB_NONE;
        const struct kb_type *type;

        if (wire_has(wire, "%s[%zu].plain", path, i)) {
            plain = wire_hex(wire, "%s[%zu].plain", path, i);
        }
        type = tagged_type(plain);
        if (strcmp(wire_text(wire, "%s[%zu].what", path, i), "PA-ENC-TIMESTAMP") == 0 &&
            plain.len > 0) {
            type = &kb_type_pa_enc_ts_enc;
        }
        if (type != NULL) {
            round_trip(wire_name(wire), type, plain);
            num_decrypted++;
        }
    }
}

static void exchange_round_trips(struct wire *wire, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < wire_num(wire, "messages"); i++) {
        char path[64];

        message_round_trips(wire_name(wire), wire_hex(wire, "messages[%zu].hex", i));
        snprintf(path, sizeof(path), "messages[%zu].decrypted", i);
        decrypted_round_trips(wire, path);
    }
}

static void context_round_trips(struct wire *wire, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < wire_num(wire, "context_tokens"); i++) {
        kb_bytes token = wire_hex(wire, "context_tokens[%zu].hex", i);
        size_t offset, len;

        if (wire_has(wire, "context_tokens[%zu].krb5_message_len", i)) {
            offset = (size_t)wire_int(wire, "context_tokens[%zu].krb5_message_hex_offset", i);
            len = (size_t)wire_int(wire, "context_tokens[%zu].krb5_message_len", i);
            assert_true(offset <= token.len && len <= token.len - offset);
            message_round_trips(wire_name(wire), kb_bytes_of(token.ptr + offset, len));
        }
    }
    decrypted_round_trips(wire, "decrypted");
}

static void recorded_messages(void **state)
{
    (void)state;
    wire_each("exchanges", exchange_round_trips, NULL);
    wire_each("errors", exchange_round_trips, NULL);
    wire_each("gss", context_round_trips, NULL);
    assert_true(num_decrypted > 400);
}

/* --- vectors ------------------------------------------------------------------------------------
 */

#define KB_SEQUENCE(type, rfc_name, FIELDS) #type,
#define KB_LIST(type, rfc_name, element) #type,
#define KB_APPLICATION(type, rfc_name, t1, t2, inner) #type,
#define KB_RAW(type, rfc_name, inner) #type,
static const char *const type_names[] = {
#include "asn1/types.def"
};
#undef KB_SEQUENCE
#undef KB_LIST
#undef KB_APPLICATION
#undef KB_RAW

static const struct kb_type *named_type(const char *name)
{
    for (size_t i = 0; kb_types[i] != NULL; i++) {
        if (strcmp(type_names[i], name) == 0) {
            return kb_types[i];
        }
    }
    fail_msg("no type %s", name);
    return NULL;
}

static size_t unhex(const char *hex, uint8_t *out, size_t size)
{
    size_t len = 0;
    unsigned byte;

    for (; sscanf(hex, " %2x", &byte) == 1; hex += strspn(hex, " ") + 2) {
        assert_true(len < size);
        out[len++] = (uint8_t)byte;
    }
    return len;
}

static void vectors_of_mit(void **state)
{
    kb_bytes file = wire_file("tests/vectors/der-mit.txt");
    char *text = kb_strdup(file), *rest = text, *line;
    size_t num = 0;

    (void)state;
    while ((line = strsep(&rest, "\n")) != NULL) {
        uint8_t bytes[1024];
        char *hex = strchr(line, ' ');

        if (hex == NULL || line[0] == '#') {
            continue;
        }
        *hex = '\0';
        round_trip(line, named_type(line),
                   kb_bytes_of(bytes, unhex(hex + 1, bytes, sizeof(bytes))));
        num++;
    }
    assert_int_equal(num, 44);
    free(text);
    free((void *)(uintptr_t)file.ptr);
}

/* A primitive, and what kb_decode says to it; value for integers, flags and times. */
static const struct primitive {
    const struct kb_type *type;
    const char *hex;
    enum kb_status status;
    int64_t value;
    bool other; /* encoded otherwise than it came */
} primitives[] = {
    /* Heimdal lib/asn1/check-der.c: test_integer */
    {&kb_type_int32, "020100", KB_OK, 0, false},
    {&kb_type_int32, "02017f", KB_OK, 127, false},
    {&kb_type_int32, "02020080", KB_OK, 128, false},
    {&kb_type_int32, "02020100", KB_OK, 256, false},
    {&kb_type_int32, "020180", KB_OK, -128, false},
    {&kb_type_int32, "0202ff7f", KB_OK, -129, false},
    {&kb_type_int32, "0201ff", KB_OK, -1, false},
    {&kb_type_int32, "0202ff01", KB_OK, -255, false},
    {&kb_type_int32, "020200ff", KB_OK, 255, false},
    {&kb_type_int32, "0202fe01", KB_OK, -511, false},
    {&kb_type_int32, "02047fffffff", KB_OK, 0x7fffffff, false},
    {&kb_type_int32, "020480000000", KB_OK, INT32_MIN, false},
    {&kb_type_int32, "0202ff76", KB_OK, -138, false}, /* the checksum type of rc4 */
    /* test_unsigned */
    {&kb_type_uint32, "02050080000000", KB_OK, 0x80000000, false},
    {&kb_type_uint32, "0203008000", KB_OK, 32768, false},
    {&kb_type_uint32, "020500ffffffff", KB_OK, 0xffffffff, false},
    /* a nonce of Heimdal's client; -2^31 */
    {&kb_type_uint32, "020485d5d9dc", KB_OK, 0x85d5d9dc, true},
    {&kb_type_uint32, "020480000000", KB_OK, 0x80000000, true},
    {&kb_type_kvno, "0204ff000000", KB_OK, 0xff000000, false}, /* MIT: MSB-set kvno */
    {&kb_type_kvno, "0201ff", KB_OK, 0xffffffff, false},       /* MIT: kvno=-1 */
    {&kb_type_kvno, "020500ff000000", KB_OK, 0xff000000, true},
    /* out of range */
    {&kb_type_int32, "02050080000000", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_int32, "0205ff7fffffff", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_uint32, "02050100000000", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_uint32, "0205ff7fffffff", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_int32, "02087fffffffffffffff", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_int32, "0209010000000000000000", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_usec, "02030f423f", KB_OK, 999999, false},
    {&kb_type_usec, "02030f4240", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_usec, "0201ff", KB_OUT_OF_RANGE, 0, false},
    /* not minimal: integers of every length, positive and negative */
    {&kb_type_int32, "0200", KB_MALFORMED, 0, false},
    {&kb_type_int32, "02020000", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0202007f", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0202ffff", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0202ff80", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0203000100", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0203ffff7f", KB_MALFORMED, 0, false},
    {&kb_type_int32, "020400000001", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0204ff800000", KB_MALFORMED, 0, false},
    {&kb_type_int32, "02050000000001", KB_MALFORMED, 0, false},
    {&kb_type_uint32, "0206000080000000", KB_MALFORMED, 0, false},
    {&kb_type_uint32, "0209000000000000000001", KB_MALFORMED, 0, false},
    /* lengths: not minimal, indefinite, reserved, lying */
    {&kb_type_int32, "02810105", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0282000105", KB_MALFORMED, 0, false},
    {&kb_type_int32, "02840000000105", KB_MALFORMED, 0, false},
    {&kb_type_int32, "028000", KB_MALFORMED, 0, false},
    {&kb_type_int32, "02ff05", KB_CUT_SHORT, 0, false},
    {&kb_type_int32, "0284ffffffff05", KB_CUT_SHORT, 0, false},
    {&kb_type_int32, "0288ffffffffffffffff05", KB_CUT_SHORT, 0, false},
    {&kb_type_int32, "028901ffffffffffffffff05", KB_CUT_SHORT, 0, false},
    {&kb_type_int32, "020205", KB_CUT_SHORT, 0, false},
    {&kb_type_int32, "02", KB_CUT_SHORT, 0, false},
    {&kb_type_int32, "", KB_CUT_SHORT, 0, false},
    {&kb_type_int32, "02010500", KB_MALFORMED, 0, false},
    {&kb_type_int32, "0a0105", KB_WRONG_TYPE, 0, false},
    {&kb_type_int32, "220105", KB_WRONG_TYPE, 0, false},
    {&kb_type_octets, "2404040101", KB_WRONG_TYPE, 0, false}, /* BER's constructed string */
    /* bit strings */
    {&kb_type_flags, "03050040800010", KB_OK, 0x40800010, false},
    {&kb_type_flags, "0306004080001000", KB_OK, 0x40800010, true},
    {&kb_type_flags, "0306014080001002", KB_OK, 0x40800010, true},
    {&kb_type_flags, "030100", KB_OK, 0, true},
    {&kb_type_flags, "03020640", KB_OK, 0x40000000, true}, /* DER's NamedBit form of RFC 1510 */
    {&kb_type_flags, "0300", KB_MALFORMED, 0, false},
    {&kb_type_flags, "030101", KB_MALFORMED, 0, false},
    {&kb_type_flags, "03020841", KB_MALFORMED, 0, false},
    {&kb_type_flags, "03020641", KB_MALFORMED, 0, false},
    {&kb_type_flags, "0305ff40800010", KB_MALFORMED, 0, false},
    /* times */
    {&kb_type_time, "180f31393730303130313030303030305a", KB_OK, 0, false},
    {&kb_type_time, "180f31393934303631303036303331375a", KB_OK, 771228197,
     false}, /* MIT's ktest.c */
    {&kb_type_time, "180f32303030303232393233353935395a", KB_OK, 951868799, false},
    {&kb_type_time, "180f39393939313233313233353935395a", KB_OK, KB_TIME_MAX, false},
    {&kb_type_time, "180f30303030303130313030303030305a", KB_OK, KB_TIME_MIN, false},
    {&kb_type_time, "180f31393030303232393030303030305a", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_time, "180f32303236313333313030303030305a", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_time, "180f32303236303030313030303030305a", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_time, "180f32303236303130303030303030305a", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_time, "180f32303236303130313234303030305a", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_time, "180f32303236303130313030363030305a", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_time, "180f32303136313233313233353936305a", KB_OUT_OF_RANGE, 0, false},
    {&kb_type_time, "180f3230323630313031303030302d315a", KB_MALFORMED, 0, false},
    {&kb_type_time, "180e3230323630313031303030303030", KB_MALFORMED, 0, false},
    {&kb_type_time, "181132303236303130313030303030302e315a", KB_MALFORMED, 0, false},
    {&kb_type_time, "170d3236303130313030303030305a", KB_WRONG_TYPE, 0, false},
    {&kb_type_string, "1b03610062", KB_OK, 0, false},
    {&kb_type_string, "1b00", KB_OK, 0, false},
    {&kb_type_string, "0c0161", KB_WRONG_TYPE, 0, false},
    {&kb_type_octets, "04080123456789abcdef", KB_OK, 0, false}, /* check-der.c */
};

static int64_t value_of(const struct kb_type *type, const void *value)
{
    switch (type->kind) {
    case KB_KIND_INT32:
    case KB_KIND_USEC:
        return *(const int32_t *)value;
    case KB_KIND_TIME:
        return *(const int64_t *)value;
    case KB_KIND_STRING:
    case KB_KIND_OCTETS:
        return 0;
    default:
        return *(const uint32_t *)value;
    }
}

static void primitives_by_the_letter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(primitives) / sizeof(primitives[0]); i++) {
        const struct primitive *row = &primitives[i];
        uint8_t bytes[32];
        kb_bytes in = kb_bytes_of(bytes, unhex(row->hex, bytes, sizeof(bytes))), out;
        uint64_t value[4];
        struct kb_arena arena;
        enum kb_status status;

        kb_arena_init(&arena, NULL, 0, CEILING);
        status = kb_decode(row->type, in, &arena, value, NULL);
        if (status != row->status) {
            fail_msg("%s: %s", row->hex, kb_status_text(status));
        }
        if (status == KB_OK) {
            assert_int_equal(value_of(row->type, value), row->value);
            assert_int_equal(kb_encode(row->type, &arena, value, &out), KB_OK);
            assert_int_equal(kb_equal(in, out), !row->other);
        }
        kb_arena_wipe(&arena);
    }
}

static void every_day_of_ten_thousand_years(void **state)
{
    static const int days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct kb_date want = {.year = 0, .month = 1, .day = 1, .hour = 23, .minute = 59, .second = 58};

    (void)state;
    if (wire_stride() > 1) {
        skip();
    }
    for (int64_t time = KB_TIME_MIN + 86398; time < KB_TIME_MAX; time += 86400) {
        struct kb_date got = kb_date_of(time);
        bool leap = want.year % 4 == 0 && (want.year % 100 != 0 || want.year % 400 == 0);

        assert_memory_equal(&got, &want, sizeof(got));
        assert_true(kb_time_of(&want) == time);
        if (++want.day > days[want.month] + (want.month == 2 && leap)) {
            want.day = 1;
            if (++want.month > 12) {
                want.month = 1;
                want.year++;
            }
        }
    }
    assert_int_equal(want.year, 10000);
}

static void values_that_a_type_cannot_carry(void **state)
{
    kb_pa_enc_ts_enc ts = {.patimestamp = KB_TIME_MAX, .pausec = 999999, .has_pausec = true};
    kb_ap_req req = {.pvno = 5};
    struct kb_arena arena;
    kb_bytes out;

    (void)state;
    kb_arena_init(&arena, NULL, 0, CEILING);
    assert_int_equal(kb_encode_pa_enc_ts_enc(&arena, &ts, &out), KB_OK);
    ts.pausec = 1000000;
    assert_int_equal(kb_encode_pa_enc_ts_enc(&arena, &ts, &out), KB_OUT_OF_RANGE);
    assert_null(out.ptr);
    ts.pausec = -1;
    assert_int_equal(kb_encode_pa_enc_ts_enc(&arena, &ts, &out), KB_OUT_OF_RANGE);
    ts.pausec = 0;
    ts.patimestamp = KB_TIME_MAX + 1;
    assert_int_equal(kb_encode_pa_enc_ts_enc(&arena, &ts, &out), KB_OUT_OF_RANGE);
    assert_int_equal(kb_encode_ap_req(&arena, &req, &out), KB_OUT_OF_RANGE); /* no ticket */
    kb_arena_wipe(&arena);
    kb_arena_init(&arena, NULL, 0, 10);
    ts.patimestamp = 0;
    assert_int_equal(kb_encode_pa_enc_ts_enc(&arena, &ts, &out), KB_TOO_BIG);
    kb_arena_wipe(&arena);
}

/* --- hostile bytes ------------------------------------------------------------------------------
 */

/* What decodes must encode, and what is encoded must decode to the same again. */
static void survives(const struct kb_type *type, kb_bytes in)
{
    struct kb_arena arena;
    kb_bytes once, twice;

    kb_arena_init(&arena, NULL, 0, CEILING);
    if (recode(&arena, type, in, &once, NULL) == KB_OK) {
        assert_int_equal(recode(&arena, type, once, &twice, NULL), KB_OK);
        assert_true(kb_equal(once, twice));
    }
    kb_arena_wipe(&arena);
}

/* The message is copied to a heap block of its own size, so a sanitizer sees every step over it. */
static void batter(const struct kb_type *type, kb_bytes message)
{
    struct kb_arena arena;
    void *value;

    kb_arena_init(&arena, NULL, 0, CEILING);
    value = kb_arena_alloc(&arena, type->size);
    for (size_t len = 0; len < message.len; len += wire_stride()) {
        uint8_t *cut = malloc(len + 1);

        memcpy(cut + 1, message.ptr, len);
        assert_int_not_equal(kb_decode(type, kb_bytes_of(cut + 1, len), &arena, value, NULL),
                             KB_OK);
        free(cut);
        if (len % 64 == 0) {
            kb_arena_wipe(&arena);
            value = kb_arena_alloc(&arena, type->size);
        }
    }
    kb_arena_wipe(&arena);
    for (size_t bit = 0; bit < 8 * message.len; bit += wire_stride()) {
        uint8_t *flipped = malloc(message.len);

        memcpy(flipped, message.ptr, message.len);
        flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        survives(type, kb_bytes_of(flipped, message.len));
        free(flipped);
    }
}

static void recordings_cut_and_flipped(void **state)
{
    static const char *const names[] = {
        "exchanges/mit-aes256-sha1-client-mit.json",
        "exchanges/heimdal-aes128-sha2-client-heimdal.json",
        "errors/samba-disabled-client-mit.json",
        "errors/heimdal-unknown-service-client-mit.json",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct wire *wire = wire_load(names[i]);

        for (size_t j = 0; j < wire_num(wire, "messages"); j++) {
            kb_bytes message = wire_hex(wire, "messages[%zu].hex", j);

            batter(tagged_type(message), message);
        }
        wire_free(wire);
    }
}

static void vectors_cut_and_flipped(void **state)
{
    kb_bytes file = wire_file("tests/vectors/der-mit.txt");
    char *text = kb_strdup(file), *rest = text, *line;

    (void)state;
    while ((line = strsep(&rest, "\n")) != NULL) {
        uint8_t bytes[1024];
        char *hex = strchr(line, ' ');

        if (hex != NULL && line[0] != '#') {
            *hex = '\0';
            batter(named_type(line), kb_bytes_of(bytes, unhex(hex + 1, bytes, sizeof(bytes))));
        }
    }
    free(text);
    free((void *)(uintptr_t)file.ptr);
}

/* Errors name the field. */
static const struct {
    const struct kb_type *type;
    const char *hex;
    enum kb_status status;
    const char *why;
} failures[] = {
    {&kb_type_ticket, "", KB_CUT_SHORT, "Ticket: cut short"},
    {&kb_type_ticket, "6b00", KB_WRONG_TYPE, "Ticket: another type of message"},
    {&kb_type_ticket, "6100", KB_CUT_SHORT, "Ticket: cut short"},
    {&kb_type_ticket, "61023000", KB_MALFORMED, "Ticket.tkt-vno: missing"},
    {&kb_type_ticket, "61023100", KB_MALFORMED, "Ticket: another tag"},
    {&kb_type_ticket, "6109 3007 a005 0203 000005", KB_MALFORMED,
     "Ticket.tkt-vno: integer is not minimal"},
    {&kb_type_ticket, "6109 3007 a005 0201 05 0000", KB_MALFORMED,
     "Ticket.tkt-vno: bytes behind its end"},
    {&kb_type_method_data, "3016 3009 a103 020102 a202 0400 3009 a103 020102 a202 0403",
     KB_CUT_SHORT, "METHOD-DATA[1].padata-value: cut short"},
    {&kb_type_method_data, "3002 3100", KB_MALFORMED, "METHOD-DATA[0]: another tag"},
    {&kb_type_encrypted_data, "300c a003 020112 a102 0400 a203 040100", KB_MALFORMED,
     "EncryptedData.kvno: another tag"},
    {&kb_type_encrypted_data, "3011 a003 020112 a203 040100 a303 020100 0000", KB_MALFORMED,
     "EncryptedData: an unknown or misplaced field"},
    {&kb_type_encrypted_data, "300a a203 040100 a003 020112", KB_MALFORMED,
     "EncryptedData.etype: missing"},
    {&kb_type_encrypted_data, "300f a003 020112 a003 020112 a203 040100", KB_MALFORMED,
     "EncryptedData.cipher: missing"},
    {&kb_type_principal_name, "300b a003 020101 a104 30020400", KB_MALFORMED,
     "PrincipalName.name-string[0]: another tag"},
};

static void errors_name_the_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        uint8_t bytes[64];
        kb_bytes in = kb_bytes_of(bytes, unhex(failures[i].hex, bytes, sizeof(bytes)));
        uint64_t value[64] = {1};
        struct kb_arena arena;
        struct kb_why why;

        kb_arena_init(&arena, NULL, 0, CEILING);
        assert_int_equal(kb_decode(failures[i].type, in, &arena, value, &why), failures[i].status);
        assert_string_equal(why.text, failures[i].why);
        assert_int_equal(value[0], 0);
        kb_arena_wipe(&arena);
    }
}

static void lists_stay_below_the_ceiling(void **state)
{
    const size_t num = 20000;
    uint8_t *der = calloc(1, 4 + 2 * num);
    struct kb_arena arena;
    struct kb_why why;
    kb_string_list list;

    (void)state;
    memcpy(der, "\x30\x82\x9c\x40", 4);
    for (size_t i = 0; i < num; i++) {
        der[4 + 2 * i] = 0x1b;
    }
    kb_arena_init(&arena, NULL, 0, num * sizeof(kb_string));
    assert_int_equal(kb_decode_string_list(kb_bytes_of(der, 4 + 2 * num), &arena, &list, &why),
                     KB_OK);
    assert_int_equal(list.num, num);
    assert_int_equal(kb_decode_string_list(kb_bytes_of(der, 4 + 2 * num), &arena, &list, &why),
                     KB_TOO_BIG);
    assert_string_equal(why.text, "SEQUENCE OF KerberosString: too big");
    assert_int_equal(list.num, 0);
    kb_arena_wipe(&arena);
    free(der);
}

/* Headers in headers: nesting is the tables', so all but the first few are never looked at. */
static void deep_nesting_costs_no_stack(void **state)
{
    enum { DEPTH = 20000 };
    uint8_t *der = malloc(4 * DEPTH);
    struct kb_arena arena;

    (void)state;
    for (size_t i = 0; i < DEPTH; i++) {
        size_t left = 4 * (DEPTH - 1 - i);

        memcpy(der + 4 * i, left > 0xffff ? "\x30\x84" : "\x30\x82", 2);
        der[4 * i + 2] = (uint8_t)(left >> 8);
        der[4 * i + 3] = (uint8_t)left;
    }
    for (size_t i = 0; kb_types[i] != NULL; i++) {
        for (size_t at = 0; at < 4 * DEPTH; at += DEPTH) {
            void *value;

            kb_arena_init(&arena, NULL, 0, CEILING);
            value = kb_arena_alloc(&arena, kb_types[i]->size);
            if (kb_types[i]->kind != KB_KIND_RAW) {
                assert_int_not_equal(kb_decode(kb_types[i], kb_bytes_of(der + at, 4 * DEPTH - at),
                                               &arena, value, NULL),
                                     KB_OK);
            }
            kb_arena_wipe(&arena);
        }
    }
    free(der);
}

/* In each amount of room: the same bytes, and no second copy of a key left behind them. */
static void encoding_fits_where_it_can(void **state)
{
    static const uint8_t key[] = "a key that nobody may find later";
    const kb_encryption_key value = {18, {key, sizeof(key) - 1}};
    kb_bytes want, got;
    struct kb_arena arena, tiny;

    (void)state;
    kb_arena_init(&arena, NULL, 0, CEILING);
    assert_int_equal(kb_encode_encryption_key(&arena, &value, &want), KB_OK);
    for (size_t room = 0; room < 4 * want.len; room++) {
        uint8_t *block = calloc(1, room + 16);
        struct kb_arena small;

        kb_arena_init(&small, block, room, CEILING);
        assert_int_equal(kb_encode_encryption_key(&small, &value, &got), KB_OK);
        assert_true(kb_equal(got, want));
        assert_int_equal(got.ptr == block, room >= want.len);
        for (size_t i = room >= want.len ? want.len : 0; i < room + 16; i++) {
            assert_int_equal(block[i], 0);
        }
        kb_arena_wipe(&small);
        free(block);
    }
    kb_arena_init(&tiny, NULL, 0, want.len - 1);
    assert_int_equal(kb_encode_encryption_key(&tiny, &value, &got), KB_TOO_BIG);
    kb_arena_wipe(&tiny);
    kb_arena_wipe(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_messages),
        cmocka_unit_test(vectors_of_mit),
        cmocka_unit_test(primitives_by_the_letter),
        cmocka_unit_test(every_day_of_ten_thousand_years),
        cmocka_unit_test(values_that_a_type_cannot_carry),
        cmocka_unit_test(recordings_cut_and_flipped),
        cmocka_unit_test(vectors_cut_and_flipped),
        cmocka_unit_test(errors_name_the_field),
        cmocka_unit_test(lists_stay_below_the_ceiling),
        cmocka_unit_test(deep_nesting_costs_no_stack),
        cmocka_unit_test(encoding_fits_where_it_can),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
