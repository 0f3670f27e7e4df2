/* mech/store/keytab: keytabs of MIT, Heimdal and Samba, and what is no keytab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/store/keytab.h"
#include "tests/support/wire.h"

static const char *const files[] = {
    "heimdal-ext", "heimdal-holes", "heimdal-several", "mit-holes",     "mit-many",
    "mit-one",     "samba-export",  "samba-rotated",   "v1-big-endian", "v1-little-endian",
};
#define NUM_FILES (sizeof(files) / sizeof(files[0]))

static kb_bytes keytab_bytes(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "tests/wire/files/%s.keytab", name);
    return wire_file(path);
}

static void free_bytes(kb_bytes bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

static void check_entry(struct wire *wire, size_t i, const struct kb_keytab_entry *entry)
{
    const kb_string_list *parts = &entry->principal->name.name_string;

    assert_true(
        kb_equal(entry->principal->realm, kb_str(wire_text(wire, "entries[%zu].realm", i))));
    assert_int_equal(parts->num, wire_num(wire, "entries[%zu].components", i));
    for (size_t j = 0; j < parts->num; j++) {
        assert_true(kb_equal(parts->items[j],
                             kb_str(wire_text(wire, "entries[%zu].components[%zu]", i, j))));
    }
    if (wire_has(wire, "entries[%zu].name_type", i)) {
        assert_int_equal(entry->principal->name.name_type,
                         wire_int(wire, "entries[%zu].name_type", i));
    }
    assert_int_equal(entry->timestamp, wire_int(wire, "entries[%zu].timestamp", i));
    assert_int_equal(entry->kvno, wire_int(wire, "entries[%zu].kvno", i));
    assert_int_equal(entry->etype, wire_int(wire, "entries[%zu].etype", i));
    if (entry->key != NULL) {
        assert_true(kb_equal(kb_key_bytes(entry->key), wire_hex(wire, "entries[%zu].key", i)));
    }
    assert_true((entry->key != NULL) == (kb_enctype_find(entry->etype) != NULL));
}

static void recorded_files(void **state)
{
    (void)state;
    for (size_t f = 0; f < NUM_FILES; f++) {
        kb_bytes bytes = keytab_bytes(files[f]);
        char name[128];
        struct kb_keytab *keytab;
        struct wire *wire;
        size_t num = 0;

        snprintf(name, sizeof(name), "files/%s.keytab.json", files[f]);
        wire = wire_load(name);
        assert_int_equal(kb_keytab_parse(bytes, &keytab), KB_OK);
        for (size_t i = 0; i < wire_num(wire, "entries"); i++) {
            if (!wire_has(wire, "entries[%zu].hole", i)) {
                assert_true(num < keytab->num);
                check_entry(wire, i, &keytab->entries[num++]);
            }
        }
        assert_int_equal(num, keytab->num);
        kb_keytab_free(keytab);
        wire_free(wire);
        free_bytes(bytes);
    }
}

static void the_newest_key_comes_first(void **state)
{
    static const uint32_t kvnos[] = {65537, 300, 256, 255, 2, 1};
    kb_bytes bytes = keytab_bytes("mit-many");
    struct kb_keytab *keytab;
    const struct kb_principal *alice, *bob;
    const struct kb_keytab_entry *entry;

    (void)state;
    assert_int_equal(kb_keytab_parse(bytes, &keytab), KB_OK);
    free_bytes(bytes);
    alice = keytab->entries[0].principal;
    for (unsigned i = 0; i < 6; i++) {
        entry = kb_keytab_find(keytab, alice, KB_ENCTYPE_AES256_SHA1, i);
        assert_non_null(entry);
        assert_int_equal(entry->kvno, kvnos[i]);
    }
    assert_null(kb_keytab_find(keytab, alice, KB_ENCTYPE_AES256_SHA1, 6));
    entry = kb_keytab_find(keytab, alice, KB_ENCTYPE_AES128_SHA256, 0);
    assert_non_null(entry);
    assert_int_equal(entry->kvno, 2);
    assert_null(kb_keytab_find(keytab, alice, KB_ENCTYPE_AES128_SHA256, 1));
    bob = kb_principal_service(KB_LIT("bob"), KB_NONE, KB_LIT("MIT.TEST"));
    assert_null(kb_keytab_find(keytab, bob, KB_ENCTYPE_AES256_SHA1, 0));
    kb_principal_free(bob);
    kb_keytab_free(keytab);
}

/* --- keytabs made here, entry by entry --- */

struct made {
    const char *name;
    uint8_t kvno8;
    uint32_t kvno32; /* 0: none is written */
    int32_t etype;
    uint32_t timestamp;
    uint8_t fill; /* of the key */
};

static void add_data(struct kb_buf *out, const char *text)
{
    uint8_t len[2] = {0, (uint8_t)strlen(text)};

    kb_buf_add(out, kb_bytes_of(len, 2));
    kb_buf_add_str(out, text);
}

static void add_number(struct kb_buf *out, uint32_t number, size_t len)
{
    for (size_t i = len; i > 0; i--) {
        uint8_t byte = (uint8_t)(number >> (8 * (i - 1)));

        kb_buf_add(out, kb_bytes_of(&byte, 1));
    }
}

static void add_made(struct kb_buf *out, const struct made *made)
{
    size_t key_len = made->etype == KB_ENCTYPE_AES128_SHA1 ? 16 : 32;
    struct kb_buf entry;

    kb_buf_init(&entry, 1000);
    add_number(&entry, 1, 2);
    add_data(&entry, "R");
    add_data(&entry, made->name);
    add_number(&entry, KB_NT_PRINCIPAL, 4);
    add_number(&entry, made->timestamp, 4);
    add_number(&entry, made->kvno8, 1);
    add_number(&entry, (uint32_t)made->etype, 2);
    add_number(&entry, (uint32_t)key_len, 2);
    for (size_t i = 0; i < key_len; i++) {
        add_number(&entry, made->fill, 1);
    }
    if (made->kvno32 != 0) {
        add_number(&entry, made->kvno32, 4);
    }
    add_number(out, (uint32_t)entry.len, 4);
    kb_buf_add(out, kb_buf_bytes(&entry));
    kb_buf_wipe(&entry);
}

static struct kb_keytab *make(const struct made *made, size_t num)
{
    struct kb_keytab *keytab;
    struct kb_buf bytes;

    kb_buf_init(&bytes, 10000);
    kb_buf_add_str(&bytes, "\5\2");
    for (size_t i = 0; i < num; i++) {
        add_made(&bytes, &made[i]);
    }
    assert_int_equal(kb_keytab_parse(kb_buf_bytes(&bytes), &keytab), KB_OK);
    assert_int_equal(keytab->num, num);
    kb_buf_wipe(&bytes);
    return keytab;
}

#define SHA1_256 KB_ENCTYPE_AES256_SHA1
#define SHA1_128 KB_ENCTYPE_AES128_SHA1
#define SHA2_256 KB_ENCTYPE_AES256_SHA384

/* MIT src/lib/krb5/keytab/kt_file.c, more_recent: a small one that was written later than a large
 * one has wrapped. Here it must have been written later, not in the same second. */
static void a_kvno_that_went_round(void **state)
{
    static const struct {
        struct made entries[3];
        uint32_t kvnos[3]; /* newest first */
    } rows[] = {
        {{{"a", 254, 0, SHA1_256, 10, 1},
          {"a", 255, 0, SHA1_256, 20, 2},
          {"a", 1, 0, SHA1_256, 30, 3}},
         {1, 255, 254}},
        {{{"a", 0, 65535, SHA1_256, 10, 1},
          {"a", 1, 1, SHA1_256, 20, 2},
          {"a", 2, 2, SHA1_256, 30, 3}},
         {2, 1, 65535}},
        {{{"a", 1, 0, SHA1_256, 10, 1},
          {"a", 2, 0, SHA1_256, 20, 2},
          {"a", 255, 0, SHA1_256, 30, 3}},
         {255, 2, 1}},
        {{{"a", 1, 0, SHA1_256, 10, 1},
          {"a", 255, 0, SHA1_256, 10, 2},
          {"a", 2, 0, SHA1_256, 10, 3}},
         {255, 2, 1}},
        {{{"a", 200, 0, SHA1_256, 10, 1},
          {"a", 1, 0, SHA1_256, 20, 2},
          {"b", 255, 0, SHA1_256, 5, 3}},
         {200, 1, 0}},
    };

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct kb_keytab *keytab = make(rows[r].entries, 3);

        for (unsigned i = 0; i < 3; i++) {
            const struct kb_keytab_entry *entry =
                kb_keytab_find(keytab, keytab->entries[0].principal, SHA1_256, i);

            if (rows[r].kvnos[i] != 0) {
                assert_non_null(entry);
                assert_int_equal(entry->kvno, rows[r].kvnos[i]);
            } else {
                assert_null(entry);
            }
        }
        kb_keytab_free(keytab);
    }
}

/* An enctype that the last change left out has an old key alone. */
static void keys_of_the_last_change(void **state)
{
    static const struct made entries[] = {
        {"a", 1, 0, SHA2_256, 10, 1}, {"a", 1, 0, SHA1_256, 10, 2}, {"b", 9, 0, SHA1_128, 10, 3},
        {"a", 2, 0, SHA1_256, 20, 4}, {"a", 3, 0, 9999, 30, 5},
    };
    struct kb_keytab *keytab = make(entries, 5);
    const struct kb_principal *a = keytab->entries[0].principal;
    const struct kb_principal *b = keytab->entries[2].principal;

    (void)state;
    assert_true(kb_keytab_is_newest(keytab, a, SHA1_256)); /* 9999 is nothing that we have */
    assert_false(kb_keytab_is_newest(keytab, a, SHA2_256));
    assert_false(kb_keytab_is_newest(keytab, a, SHA1_128));
    assert_true(kb_keytab_is_newest(keytab, b, SHA1_128));
    assert_true(kb_keytab_has(keytab, b));
    kb_keytab_free(keytab);
}

static void keytabs_are_compared(void **state)
{
    static const struct made one[] = {{"a", 1, 0, SHA1_256, 10, 1}, {"a", 2, 0, SHA1_256, 20, 2}};
    static const struct {
        struct made entries[3];
        size_t num;
        bool same, same_newest;
    } rows[] = {
        {{{"a", 2, 0, SHA1_256, 99, 2}, {"a", 1, 0, SHA1_256, 99, 1}}, 2, true, true},
        {{{"a", 1, 0, SHA1_256, 1, 1}, {"b", 7, 0, SHA1_256, 1, 9}, {"a", 2, 2, SHA1_256, 1, 2}},
         3,
         true,
         true},
        {{{"a", 2, 0, SHA1_256, 1, 2}}, 1, false, true},
        {{{"a", 1, 0, SHA1_256, 1, 1}, {"a", 2, 0, SHA1_256, 1, 3}}, 2, false, false},
        {{{"a", 1, 0, SHA1_256, 1, 1}, {"a", 3, 0, SHA1_256, 1, 2}}, 2, false, false},
        {{{"a", 1, 0, SHA1_256, 1, 1}, {"a", 2, 0, SHA1_256, 1, 2}, {"a", 2, 0, SHA1_128, 1, 2}},
         3,
         false,
         false},
        {{{"b", 1, 0, SHA1_256, 1, 1}}, 1, false, false},
    };
    struct kb_keytab *keytab = make(one, 2);
    const struct kb_principal *a = keytab->entries[0].principal;

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct kb_keytab *other = make(rows[r].entries, rows[r].num);

        assert_int_equal(kb_keytab_same(keytab, other, a, false), rows[r].same);
        assert_int_equal(kb_keytab_same(other, keytab, a, false), rows[r].same);
        assert_int_equal(kb_keytab_same(keytab, other, a, true), rows[r].same_newest);
        assert_int_equal(kb_keytab_same(other, keytab, a, true), rows[r].same_newest);
        kb_keytab_free(other);
    }
    kb_keytab_free(keytab);
}

static void it_says_what_it_has_for_one(void **state)
{
    static const struct made entries[] = {
        {"a", 1, 0, SHA1_256, 0, 1},          {"b", 9, 0, SHA1_256, 86400, 2},
        {"a", 2, 0, SHA1_256, 86399, 3},      {"c", 1, 0, SHA1_256, 86400, 4},
        {"a", 2, 0, SHA1_128, 86399, 5},      {"b", 8, 0, SHA1_256, 86400, 6},
        {"a", 3, 0, SHA2_256, 1795462330, 7}, {"a", 4, 0, 9999, 1795462330, 8},
    };
    struct kb_keytab *keytab = make(entries, 7);
    const struct kb_principal *a = keytab->entries[0].principal;
    const struct kb_principal *d = kb_principal_service(KB_LIT("d"), KB_NONE, KB_LIT("R"));
    struct kb_buf text;

    (void)state;
    kb_buf_init(&text, 1000);
    kb_keytab_describe_keys(keytab, a, &text);
    assert_string_equal(kb_buf_str(&text),
                        "kvno 3 (2026-11-23) aes256-cts-hmac-sha384-192; kvno 2 (1970-01-01) "
                        "aes256-cts-hmac-sha1-96, aes128-cts-hmac-sha1-96; kvno 1 "
                        "aes256-cts-hmac-sha1-96");
    kb_buf_wipe(&text);
    kb_keytab_describe_keys(keytab, d, &text);
    kb_keytab_describe_others(keytab, a, &text);
    assert_string_equal(kb_buf_str(&text), "no keyb@R, c@R");
    kb_buf_wipe(&text);
    kb_keytab_free(keytab);
    keytab = make(entries, 8);
    kb_keytab_describe_keys(keytab, keytab->entries[0].principal, &text);
    assert_non_null(strstr(kb_buf_str(&text), "kvno 4 (2026-11-23) etype 9999; kvno 3 "));
    assert_non_null(strstr(kb_buf_str(&text), "; and older ones"));
    kb_buf_wipe(&text);
    kb_keytab_free(keytab);
    kb_principal_free(d);
}

/* samba-tool exports into a file that has older keys by writing the new ones at its beginning. */
static void sambas_newest_key(void **state)
{
    kb_bytes bytes = keytab_bytes("samba-rotated");
    const struct kb_keytab_entry *entry;
    struct kb_keytab *keytab;

    (void)state;
    assert_int_equal(kb_keytab_parse(bytes, &keytab), KB_OK);
    entry = kb_keytab_find(keytab, keytab->entries[0].principal, KB_ENCTYPE_AES256_SHA1, 0);
    assert_int_equal(entry->kvno, 4);
    entry = kb_keytab_find(keytab, keytab->entries[0].principal, KB_ENCTYPE_AES256_SHA1, 1);
    assert_int_equal(entry->kvno, 3);
    kb_keytab_free(keytab);
    free_bytes(bytes);
}

static void a_reference_keeps_it(void **state)
{
    kb_bytes bytes = keytab_bytes("mit-one");
    struct kb_keytab *keytab, *again;

    (void)state;
    assert_int_equal(kb_keytab_parse(bytes, &keytab), KB_OK);
    again = kb_keytab_ref(keytab);
    kb_keytab_free(keytab);
    assert_int_equal(again->num, 1);
    kb_keytab_free(again);
    kb_keytab_free(NULL);
    free_bytes(bytes);
}

static void it_says_what_it_holds(void **state)
{
    kb_bytes bytes = keytab_bytes("heimdal-several");
    struct kb_keytab *keytab;
    struct kb_buf text;

    (void)state;
    kb_buf_init(&text, 10000);
    assert_int_equal(kb_keytab_parse(bytes, &keytab), KB_OK);
    kb_keytab_describe(keytab, &text);
    assert_string_equal(kb_buf_str(&text), "alice@MIT.TEST kvno 1 aes256-cts-hmac-sha1-96; "
                                           "alice@MIT.TEST kvno 2 aes256-cts-hmac-sha1-96; "
                                           "alice@MIT.TEST kvno 300 aes128-cts-hmac-sha1-96; "
                                           "HTTP/srv.mit.test@MIT.TEST kvno 7 rc4-hmac; "
                                           "alice@MIT.TEST kvno 3 aes256-cts-hmac-sha384-192");
    kb_keytab_free(keytab);
    free_bytes(bytes);
    bytes = keytab_bytes("mit-many");
    kb_buf_wipe(&text);
    assert_int_equal(kb_keytab_parse(bytes, &keytab), KB_OK);
    kb_keytab_describe(keytab, &text);
    assert_non_null(
        strstr(kb_buf_str(&text), "alice@MIT.TEST kvno 1 aes256-cts-hmac-sha1-96, aes128-"));
    assert_non_null(strstr(kb_buf_str(&text), " more"));
    kb_keytab_free(keytab);
    kb_buf_wipe(&text);
    free_bytes(bytes);
}

#define ROW(status, literal)                                                                       \
    {                                                                                              \
        status, literal, sizeof(literal) - 1                                                       \
    }

static const struct {
    enum kb_status status;
    const char *bytes;
    size_t len;
} broken[] = {
    ROW(KB_CUT_SHORT, ""),
    ROW(KB_CUT_SHORT, "\5"),
    ROW(KB_WRONG_TYPE, "\5\3"),
    ROW(KB_WRONG_TYPE, "\5\0"),
    ROW(KB_WRONG_TYPE, "\4\2"),
    ROW(KB_WRONG_TYPE, "#!/bin/sh"),
    ROW(KB_OK, "\5\1"), /* MIT src/tests/fuzzing/fuzz_keytab_seed_corpus: version_0x501 */
    ROW(KB_OK, "\5\2"), /* version_only */
    ROW(KB_OK, "\5\2\0\0\0\0rest"),
    /* big_size */
    ROW(KB_CUT_SHORT, "\5\1\xff\xff\xff\x7f\2\0\1\0\xff\1\0\x20\xff\x20\x20\xff\x20\xff\x20\1\0\x20"
                      "\xff\x20\xff\x20"),
    /* gokrb5 keytab/keytab_test.go: TestBadKeytabs */
    ROW(KB_CUT_SHORT, "\5\2"
                      "000000"),
    ROW(KB_MALFORMED, "\5\2\0\0\0\x30\0\1\0\x0a"
                      "0000000000\0\x20"
                      "00000000000000000000000000000000"
                      "00"),
    ROW(KB_CUT_SHORT, "\5\2\x80\0\0\0"),
    /* an entry of one byte; no components; more components than bytes */
    ROW(KB_MALFORMED, "\5\2\0\0\0\1x"),
    ROW(KB_MALFORMED, "\5\2\0\0\0\5\0\0\0\1R"),
    ROW(KB_MALFORMED, "\5\2\0\0\0\5\xff\xff\0\1R"),
    ROW(KB_CUT_SHORT, "\5\2\0\0\0"),
};

static void broken_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct kb_keytab *keytab;
        enum kb_status status =
            kb_keytab_parse(kb_bytes_of(broken[i].bytes, broken[i].len), &keytab);

        if (status != broken[i].status) {
            fail_msg("row %zu: %s", i, kb_status_text(status));
        }
        assert_true((keytab != NULL) == (status == KB_OK));
        kb_keytab_free(keytab);
    }
}

/* A cut between two records cannot be seen. */
static void cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t f = 0; f < NUM_FILES; f++) {
        kb_bytes bytes = keytab_bytes(files[f]);
        struct kb_keytab *whole, *keytab;

        assert_int_equal(kb_keytab_parse(bytes, &whole), KB_OK);
        for (size_t len = 0; len < bytes.len; len++) {
            uint8_t *cut = malloc(len + 1);

            memcpy(cut + 1, bytes.ptr, len);
            if (kb_keytab_parse(kb_bytes_of(cut + 1, len), &keytab) == KB_OK) {
                assert_true(keytab->num <= whole->num);
            }
            kb_keytab_free(keytab);
            free(cut);
        }
        kb_keytab_free(whole);
        free_bytes(bytes);
    }
}

static void flipped_at_every_bit(void **state)
{
    kb_bytes bytes = keytab_bytes("mit-holes");
    uint8_t *flipped = malloc(bytes.len);

    (void)state;
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        struct kb_keytab *keytab;

        memcpy(flipped, bytes.ptr, bytes.len);
        flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (kb_keytab_parse(kb_bytes_of(flipped, bytes.len), &keytab) == KB_OK) {
            kb_keytab_free(keytab);
        }
    }
    free(flipped);
    free_bytes(bytes);
}

/* --- files --- */

static char dir[] = "test_keytab.XXXXXX";

static const char *write_file(const char *name, const void *bytes, size_t len)
{
    static char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void refused(const char *path, const char *text)
{
    struct kb_keytab *keytab;
    struct kb_error err = {0};

    assert_int_equal(kb_keytab_read(path, &keytab, &err), KB_ERROR);
    assert_null(keytab);
    assert_int_equal(err.code, KB_E_KEYTAB);
    assert_non_null(strstr(err.text, path));
    if (strstr(err.text, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    }
}

static void files_are_read(void **state)
{
    kb_bytes bytes = keytab_bytes("mit-one");
    const char *path = write_file("good", bytes.ptr, bytes.len);
    char name[160];
    struct kb_keytab *keytab;
    struct kb_error err = {0};

    (void)state;
    assert_int_equal(kb_keytab_read(path, &keytab, &err), KB_OK);
    assert_int_equal(keytab->num, 1);
    kb_keytab_free(keytab);
    snprintf(name, sizeof(name), "FILE:%s", path);
    assert_int_equal(kb_keytab_read(name, &keytab, &err), KB_OK);
    kb_keytab_free(keytab);
    snprintf(name, sizeof(name), "WRFILE:%s", path);
    assert_int_equal(kb_keytab_read(name, &keytab, &err), KB_OK);
    kb_keytab_free(keytab);
    assert_int_equal(err.code, KB_E_NONE);
    refused(write_file("cut", bytes.ptr, bytes.len - 5),
            "the file is cut short: record 1, at byte 2,");
    unlink(path);
    free_bytes(bytes);
}

static void what_is_no_keytab_file(void **state)
{
    char path[128];

    (void)state;
    refused("/nonexistent/x.keytab", "No such file or directory");
    refused(dir, "not a regular file");
    refused("/dev/null", "not a regular file");
    refused("MEMORY:x", "belong to libkrb5");
    refused("KCM:x", "only FILE:");
    refused(write_file("empty", "", 0), "the file is empty");
    refused(write_file("text", "User=alice\n", 11), "this is no keytab file");
    refused(write_file("garbage", "\5\2\0\0\0\1x", 7), "record 1, at byte 2: malformed");
    snprintf(path, sizeof(path), "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(path, "not a regular file");
    refused(write_file("big", "", 0), "empty");
    snprintf(path, sizeof(path), "%s/big", dir);
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    refused(path, "larger than 16 MiB");
}

static void in_the_hands_of_its_writer(void **state)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    kb_bytes bytes = keytab_bytes("mit-one");
    const char *path = write_file("good", bytes.ptr, bytes.len);
    struct kb_error err = {0};
    struct kb_keytab *keytab;
    bool in_motion;
    int fd;

    (void)state;
    assert_int_equal(kb_keytab_try(path, true, &keytab, &in_motion, &err), KB_OK);
    assert_true(in_motion); /* it was written a moment ago */
    kb_keytab_free(keytab);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    assert_int_equal(kb_keytab_try(path, true, &keytab, &in_motion, &err), KB_ERROR);
    assert_true(in_motion);
    assert_null(keytab);
    assert_non_null(strstr(err.text, "another program is writing to it"));
    err = (struct kb_error){0};
    assert_int_equal(kb_keytab_try(path, false, &keytab, &in_motion, &err), KB_OK);
    assert_true(in_motion);
    kb_keytab_free(keytab);
    close(fd);
    unlink(path);
    assert_int_equal(kb_keytab_try(path, true, &keytab, &in_motion, &err), KB_ERROR);
    assert_true(in_motion); /* it was there a moment ago */
    assert_int_equal(err.sys_errno, ENOENT);
    err = (struct kb_error){0};
    assert_int_equal(kb_keytab_try("/nonexistent/x", true, &keytab, &in_motion, &err), KB_ERROR);
    assert_false(in_motion);
    err = (struct kb_error){0};
    assert_int_equal(kb_keytab_try("/bin/sh", true, &keytab, &in_motion, &err), KB_ERROR);
    assert_false(in_motion);
    free_bytes(bytes);
}

/* As somebody who may not read it, where who runs the tests can become that: 0, or what is wrong.
 */
static int read_as_nobody(const char *path)
{
    struct kb_error err = {0};
    struct kb_keytab *keytab;
    bool in_motion;

    if (seteuid(65534) != 0 || access(".", X_OK) != 0 ||
        faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) != 0) {
        return 0;
    }
    return kb_keytab_try(path, true, &keytab, &in_motion, &err) != KB_ERROR ? 1
           : err.sys_errno != EACCES                                        ? 2
                                                                            : !in_motion;
}

static void not_yet_given_to_its_reader(void **state)
{
    kb_bytes bytes = keytab_bytes("mit-one");
    const char *path = write_file("good", bytes.ptr, bytes.len);
    int status;
    pid_t pid;

    (void)state;
    free_bytes(bytes);
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(chmod(path, 0600), 0);
    pid = fork();
    if (pid == 0) {
        _exit(read_as_nobody(path));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    unlink(path);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"good", "cut", "empty", "text", "garbage", "fifo", "big"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_files),
        cmocka_unit_test(the_newest_key_comes_first),
        cmocka_unit_test(a_reference_keeps_it),
        cmocka_unit_test(it_says_what_it_holds),
        cmocka_unit_test(broken_files),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(flipped_at_every_bit),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(what_is_no_keytab_file),
        cmocka_unit_test(a_kvno_that_went_round),
        cmocka_unit_test(keys_of_the_last_change),
        cmocka_unit_test(keytabs_are_compared),
        cmocka_unit_test(it_says_what_it_has_for_one),
        cmocka_unit_test(in_the_hands_of_its_writer),
        cmocka_unit_test(not_yet_given_to_its_reader),
        cmocka_unit_test(sambas_newest_key),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
