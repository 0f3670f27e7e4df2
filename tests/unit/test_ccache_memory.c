/* mech/store/ccache without memory: each allocation fails once, the call says so or does without,
 * nothing leaks (valgrind, ASan), and no cache on disk is harmed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "mech/store/ccache_format.h"
#include "tests/support/oom.h"
#include "tests/support/wire.h"

#define NOW 1795462400 /* when the recorded tickets are good */
#define MAX_ALLOCATIONS 500

static const int32_t etypes[] = {17, 18, 19, 20};

struct fixture {
    char dir[64], path[128];
    kb_bytes recorded;
    struct kb_wait wait;
    struct kb_principal *server, *other;
};

static struct kb_principal *principal(const char *text)
{
    struct kb_principal *made;

    assert_int_equal(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_NONE, &made), KB_OK);
    return made;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->recorded = wire_file("tests/wire/files/mit-v3.ccache");
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_ccache_memory.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/cc", f->dir);
    kb_wait_start(&f->wait, 10000, true);
    f->server = principal("HTTP/srv.mit.test@MIT.TEST");
    f->other = principal("new/srv.mit.test@MIT.TEST");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free((void *)(uintptr_t)f->recorded.ptr);
    kb_wait_stop(&f->wait);
    kb_principal_free(f->server);
    kb_principal_free(f->other);
    free(f);
    return 0;
}

static void put_recording(const struct fixture *f)
{
    int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, f->recorded.ptr, f->recorded.len), f->recorded.len);
    close(fd);
}

static bool is_as_recorded(const struct fixture *f)
{
    uint8_t bytes[8192];
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, bytes, sizeof(bytes));

    close(fd);
    return len > 0 && kb_equal(kb_bytes_of(bytes, (size_t)len), f->recorded);
}

/* Reads the cache, takes a ticket from it, and files it again under another name. */
static enum kb_status use(struct fixture *f, const char *name, bool fresh, struct kb_error *err)
{
    struct kb_cc_contents *contents = NULL;
    struct kb_credential *credential = NULL;
    struct kb_ccache *cache;
    struct kb_cc_wanted wanted = {
        .server = f->server, .etypes = etypes, .num_etypes = 4, .now = NOW};
    struct kb_cc_store what = {.server = f->other, .fresh = fresh, .now = NOW};
    struct kb_cc_stamp stamp;
    struct kb_cc_ticket ticket;
    size_t position = 0;
    enum kb_status st = kb_ccache_new(name, &cache, err);

    if (st == KB_OK) {
        st = kb_ccache_load(cache, &f->wait, &contents, err);
    }
    if (st == KB_OK) {
        st = kb_cc_next(contents, &position, &ticket);
    }
    if (st == KB_OK) {
        kb_cc_ticket_wipe(&ticket);
        st = kb_cc_find(contents, &wanted, &credential, NULL);
    }
    if (st == KB_OK) {
        what.owner = credential->client;
        what.credential = credential;
        st = kb_ccache_store(cache, &what, &f->wait, &stamp, err);
    }
    kb_credential_free(credential);
    kb_cc_contents_put(contents);
    kb_ccache_put(cache);
    return st;
}

static bool is_without_memory(enum kb_status st, const struct kb_error *err)
{
    return st == KB_NO_MEMORY || (st == KB_ERROR && err->code == KB_E_NO_MEMORY);
}

static void a_file(void **state)
{
    struct fixture *f = *state;

    for (int fresh = 0; fresh < 2; fresh++) {
        enum kb_status st = KB_ERROR;

        for (long num = 0; st != KB_OK; num++) {
            struct kb_error err = {0};

            assert_true(num < MAX_ALLOCATIONS);
            put_recording(f);
            oom_fail_after(num);
            st = use(f, f->path, fresh != 0, &err);
            oom_fail_after(-1);
            if (st != KB_OK) {
                assert_true(is_without_memory(st, &err));
                assert_true(is_as_recorded(f));
            }
        }
        assert_false(is_as_recorded(f));
    }
}

static void in_memory(void **state)
{
    struct fixture *f = *state;
    struct kb_error err = {0};
    struct kb_cc_contents *contents = kb_cc_contents_new(f->recorded.len);
    struct kb_credential *tgt;
    struct kb_ccache *cache;
    struct kb_principal *tgs = principal("krbtgt/MIT.TEST@MIT.TEST");
    struct kb_cc_wanted wanted = {.server = tgs, .etypes = etypes, .num_etypes = 4, .now = NOW};
    struct kb_cc_store what = {.server = f->server, .fresh = true, .now = NOW};
    struct kb_cc_stamp stamp;
    enum kb_status st = KB_ERROR;
    size_t removed;

    memcpy(contents->image, f->recorded.ptr, f->recorded.len);
    assert_int_equal(kb_cc_parse(contents), KB_OK);
    assert_int_equal(kb_cc_find(contents, &wanted, &tgt, NULL), KB_OK);
    what.owner = contents->owner;
    what.credential = tgt;
    assert_int_equal(kb_ccache_new("MEMORY:oom", &cache, &err), KB_OK);
    for (long num = 0; st != KB_OK; num++) {
        assert_true(num < MAX_ALLOCATIONS);
        err = (struct kb_error){0};
        oom_fail_after(num);
        st = kb_ccache_store(cache, &what, &f->wait, &stamp, &err);
        oom_fail_after(-1);
        assert_true(st == KB_OK || is_without_memory(st, &err));
    }
    st = KB_ERROR;
    for (long num = 0; st != KB_OK; num++) {
        assert_true(num < MAX_ALLOCATIONS);
        err = (struct kb_error){0};
        oom_fail_after(num);
        st = use(f, "MEMORY:oom", false, &err);
        oom_fail_after(-1);
        assert_true(st == KB_OK || is_without_memory(st, &err));
    }
    assert_int_equal(kb_ccache_remove(cache, what.owner, NULL, &f->wait, &removed, &err), KB_OK);
    assert_int_equal(removed, 2);
    kb_ccache_put(cache);
    kb_credential_free(tgt);
    kb_cc_contents_put(contents);
    kb_principal_free(tgs);
}

/* A ticket more than what is known: it, or what was known and nothing else. */
static void one_more(void **state)
{
    struct fixture *f = *state;
    struct kb_cc_contents *contents, *grown;
    struct kb_credential *tgt;
    struct kb_principal *tgs = principal("krbtgt/MIT.TEST@MIT.TEST");
    struct kb_cc_wanted wanted = {.server = tgs, .etypes = etypes, .num_etypes = 4, .now = NOW};
    struct kb_cc_store what = {.server = f->other, .now = NOW};
    struct kb_cc_stamp stamp = {{1}};
    kb_bytes bytes = wire_file("tests/wire/files/mit-v4.ccache");
    enum kb_status st = KB_ERROR;

    contents = kb_cc_contents_new(bytes.len);
    memcpy(contents->image, bytes.ptr, bytes.len);
    assert_int_equal(kb_cc_parse(contents), KB_OK);
    assert_int_equal(kb_cc_find(contents, &wanted, &tgt, NULL), KB_OK);
    what.owner = contents->owner;
    what.credential = tgt;
    for (int i = 0; i < 3; i++) {
        size_t num = contents->num;

        st = KB_ERROR;
        for (long left = 0; st != KB_OK; left++) {
            assert_true(left < MAX_ALLOCATIONS);
            oom_fail_after(left);
            st = kb_cc_contents_add(contents, &what, &stamp, &grown);
            oom_fail_after(-1);
            assert_true(st == KB_OK ? grown->num == num + 1 : st == KB_NO_MEMORY && grown == NULL);
            assert_int_equal(contents->num, num);
        }
        kb_cc_contents_put(contents);
        contents = grown;
    }
    kb_cc_contents_put(contents);
    kb_credential_free(tgt);
    kb_principal_free(tgs);
    free((void *)(uintptr_t)bytes.ptr);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_more, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
