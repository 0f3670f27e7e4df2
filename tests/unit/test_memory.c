/* asn1, store/keytab and report without memory: each allocation fails once, and all that comes of
 * it is the status that says so. What would leak is seen by the sanitizers and valgrind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <unistd.h>

#include "asn1/types.h"
#include "mech/report/capture.h"
#include "mech/report/events.h"
#include "mech/report/last_error.h"
#include "mech/store/keytab.h"
#include "tests/support/oom.h"
#include "tests/support/wire.h"

/* Runs `work` with each of its allocations failing in turn, until it has none left to fail; then it
 * must be whole. Returns their number. */
static long starve(bool (*work)(void *ctx), void *ctx)
{
    for (long num = 0;; num++) {
        unsigned long before = oom_count();
        bool whole;

        oom_fail_after(num);
        whole = work(ctx);
        oom_fail_after(-1);
        if (oom_count() - before <= (unsigned long)num) {
            assert_true(whole);
            return num;
        }
    }
}

static bool recode(void *ctx)
{
    struct kb_arena arena;
    kb_kdc_rep rep;
    kb_bytes out;
    enum kb_status status;

    kb_arena_init(&arena, NULL, 0, 1 << 20);
    status = kb_decode_as_rep(*(kb_bytes *)ctx, &arena, &rep, NULL);
    if (status == KB_OK) {
        status = kb_encode_as_rep(&arena, &rep, &out);
    }
    assert_true(status == KB_OK || status == KB_NO_MEMORY);
    kb_arena_wipe(&arena);
    return status == KB_OK;
}

/* A dump says nothing of memory; its buffer does. */
static bool print(void *ctx)
{
    struct kb_buf text;
    enum kb_status status;

    kb_buf_init(&text, 1 << 20);
    status = kb_print_message(*(kb_bytes *)ctx, false, &text, NULL);
    assert_true(status == KB_OK || status == KB_NO_MEMORY);
    assert_true(text.status == KB_OK || text.status == KB_NO_MEMORY);
    kb_buf_wipe(&text);
    return status == KB_OK;
}

static void messages(void **state)
{
    struct wire *wire = wire_load("exchanges/samba-bigpac.json");
    kb_bytes message = wire_hex(wire, "messages[type=AS-REP].hex");

    (void)state;
    assert_in_range(starve(recode, &message), 1, 50);
    assert_in_range(starve(print, &message), 1, 200);
    wire_free(wire);
}

static bool parse(void *ctx)
{
    struct kb_keytab *keytab;
    enum kb_status status = kb_keytab_parse(*(kb_bytes *)ctx, &keytab);

    assert_true(status == KB_OK || status == KB_NO_MEMORY);
    assert_true((keytab != NULL) == (status == KB_OK));
    kb_keytab_free(keytab);
    return status == KB_OK;
}

static bool read_path(void *ctx)
{
    struct kb_keytab *keytab;
    struct kb_error err = {0};
    enum kb_status status = kb_keytab_read(ctx, &keytab, &err);

    assert_true(status == KB_OK || err.code == KB_E_NO_MEMORY);
    kb_keytab_free(keytab);
    return status == KB_OK;
}

static void keytabs(void **state)
{
    kb_bytes bytes = wire_file("tests/wire/files/mit-many.keytab");
    const char *srcdir = getenv("KB_SRCDIR");
    char path[1024];

    (void)state;
    assert_in_range(starve(parse, &bytes), 40, 500);
    snprintf(path, sizeof(path), "%s/tests/wire/files/mit-one.keytab",
             srcdir != NULL ? srcdir : ".");
    assert_in_range(starve(read_path, path), 3, 50);
    free((void *)(uintptr_t)bytes.ptr);
}

/* Whatever cannot be kept, there is a line, and it is not an older one. */
static bool put_error(void *ctx)
{
    struct kb_error older = {0}, err = {0};
    struct kb_buf line;
    uint32_t minor;
    bool whole;

    (void)ctx;
    kb_error_set(&older, KB_E_POLICY, "an older one");
    kb_last_error_put(&older);
    kb_error_set(&err, KB_E_POLICY, "no luck");
    minor = kb_last_error_put(&err);
    kb_buf_init(&line, 4096);
    assert_true(kb_last_error_line(minor, &line));
    whole = strstr(kb_buf_str(&line), "no luck") != NULL;
    assert_null(strstr(kb_buf_str(&line), "older"));
    kb_buf_wipe(&line);
    return whole;
}

static bool tell(void *ctx)
{
    const struct kb_events_config config = {.log_level = KB_LOG_DEBUG,
                                            .log_file = "/dev/null",
                                            .trace_file = "/dev/full",
                                            .packet_capture = "test_memory.pcapng",
                                            .mask_sensitive = true};
    struct kb_events *events = kb_events_new(&config);
    bool whole = events != NULL;

    kb_log(events, KB_LOG_INFO, "a sentence");
    kb_trail(events, KB_CLIENT, "peer", *(kb_bytes *)ctx);
    kb_capture(events, NULL, NULL, true, true, *(kb_bytes *)ctx);
    kb_events_free(events);
    return whole;
}

static void reports(void **state)
{
    struct wire *wire = wire_load("exchanges/samba-bigpac.json");
    kb_bytes message = wire_hex(wire, "messages[type=AS-REP].hex");

    (void)state;
    assert_in_range(starve(put_error, NULL), 4, 50);
    assert_in_range(starve(tell, &message), 1, 500);
    unlink("test_memory.pcapng");
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(keytabs),
        cmocka_unit_test(reports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
