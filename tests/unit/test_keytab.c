/* mech/store/keytab: keytabs of MIT, Heimdal and Samba, and what is no keytab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "mech/store/keytab.h"
#include "tests/support/wire.h"

static const char *const files[] = {
    "heimdal-ext", "heimdal-holes", "heimdal-several", "mit-holes",
    "mit-many",    "mit-one",       "samba-export",    "v1-little-endian",
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
        cmocka_unit_test(recorded_files),         cmocka_unit_test(the_newest_key_comes_first),
        cmocka_unit_test(a_reference_keeps_it),   cmocka_unit_test(it_says_what_it_holds),
        cmocka_unit_test(broken_files),           cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(flipped_at_every_bit),   cmocka_unit_test(files_are_read),
        cmocka_unit_test(what_is_no_keytab_file),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
