/* mech/store/cc_keyring while others write too, as there are no locks on keyrings: what another
 * process does between two system calls of ours; and what is left of one that is killed there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/keyring.h"

/* --- what others do in the middle --- */

static void (*meanwhile)(struct keyring_fixture *f);
static struct keyring_fixture *meanwhile_f;

static void let_others(void)
{
    void (*what)(struct keyring_fixture *) = meanwhile;

    if (what != NULL) {
        meanwhile = NULL; /* once, in a test without threads */
        what(meanwhile_f);
    }
}

int __wrap_kb_key_link(kb_key_serial key, kb_key_serial ring);
int __real_kb_key_link(kb_key_serial key, kb_key_serial ring);
int __wrap_kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring);
int __real_kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring);

kb_key_serial __wrap_kb_key_add(const char *type, const char *name, kb_bytes payload,
                                kb_key_serial ring);
kb_key_serial __real_kb_key_add(const char *type, const char *name, kb_bytes payload,
                                kb_key_serial ring);
int __wrap_kb_key_clear(kb_key_serial ring);
int __real_kb_key_clear(kb_key_serial ring);
int __wrap_kb_key_set_timeout(kb_key_serial key, uint32_t seconds);
int __real_kb_key_set_timeout(kb_key_serial key, uint32_t seconds);
int __wrap_kb_key_unlink(kb_key_serial key, kb_key_serial ring);
int __real_kb_key_unlink(kb_key_serial key, kb_key_serial ring);

/* The process is killed before so many changes more; negative: it is not. */
static _Atomic int changes_left = -1;

#define KILLED 9

static void die_if_due(void)
{
    if (changes_left >= 0 && changes_left-- == 0) {
        _exit(KILLED);
    }
}

kb_key_serial __wrap_kb_key_add(const char *type, const char *name, kb_bytes payload,
                                kb_key_serial ring)
{
    die_if_due();
    return __real_kb_key_add(type, name, payload, ring);
}

int __wrap_kb_key_clear(kb_key_serial ring)
{
    die_if_due();
    return __real_kb_key_clear(ring);
}

int __wrap_kb_key_set_timeout(kb_key_serial key, uint32_t seconds)
{
    die_if_due();
    return __real_kb_key_set_timeout(key, seconds);
}

int __wrap_kb_key_unlink(kb_key_serial key, kb_key_serial ring)
{
    die_if_due();
    return __real_kb_key_unlink(key, ring);
}

int __wrap_kb_key_link(kb_key_serial key, kb_key_serial ring)
{
    die_if_due();
    let_others();
    return __real_kb_key_link(key, ring);
}

int __wrap_kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring)
{
    die_if_due();
    let_others();
    return __real_kb_key_move_new(key, from, ring);
}

/* As MIT's kinit does it. */
static void begin_for_another(struct keyring_fixture *f)
{
    kb_key_serial ring = keyring_ring_of("_krb_unit", "unit");
    struct kb_buf buf;

    assert_int_equal(kb_key_clear(ring), 0);
    kb_buf_init(&buf, 1000);
    kb_cc_put_principal(&buf, f->other);
    assert_true(kb_key_add("user", KB_KEYRING_OWNER, kb_buf_bytes(&buf), ring) > 0);
    kb_buf_wipe(&buf);
}

static void destroy_it(struct keyring_fixture *f)
{
    struct kb_error err = {0};
    size_t num;

    assert_int_equal(kb_ccache_remove(f->cache, f->owner, NULL, &f->wait, &num, &err), KB_OK);
}

static void begin_it_too(struct keyring_fixture *f)
{
    keyring_store(f, f->cache, f->tgs);
    keyring_store(f, f->cache, f->other);
}

static void begin_for_another_too(struct keyring_fixture *f)
{
    begin_it_too(f);
    begin_for_another(f);
}

static enum kb_status store_while(struct keyring_fixture *f, struct kb_ccache *cache,
                                  const struct kb_principal *server,
                                  void (*others)(struct keyring_fixture *), struct kb_error *err)
{
    struct kb_cc_store what = keyring_ticket_for(f, server);
    struct kb_cc_stamp stamp;

    meanwhile_f = f;
    meanwhile = others;
    return kb_ccache_store(cache, &what, &f->wait, &stamp, err);
}

static void another_begins_it_anew(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_ccache *his = kb_ccache_for(f->cache, f->owner);
    struct kb_error err = {0};

    /* It is named: it is another's now. */
    keyring_store(f, f->cache, f->tgs);
    assert_int_equal(store_while(f, f->cache, f->server, begin_for_another, &err), KB_NOT_FOUND);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", "unit")), 1);
    /* His new one goes beside that. */
    assert_int_equal(store_while(f, his, f->tgs, NULL, &err), KB_OK);
    keyring_assert_holds(f, his, f->tgs, true);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", "unit")), 1);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", NULL)), 3);
    kb_ccache_put(his);
}

static void another_destroys_it(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_error err = {0};

    keyring_store(f, f->cache, f->tgs);
    assert_int_equal(store_while(f, f->cache, f->server, destroy_it, &err), KB_NOT_FOUND);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", NULL)), 1);
    /* A TGT begins it anew. */
    keyring_store(f, f->cache, f->tgs);
    assert_int_equal(store_while(f, f->cache, f->tgs, destroy_it, &err), KB_OK);
    keyring_assert_holds(f, f->cache, f->tgs, true);
}

static void another_begins_it_too(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_ccache *his = kb_ccache_for(f->cache, f->owner);
    struct kb_error err = {0};

    /* The collection and the cache in it: nothing that the other wrote is lost. */
    assert_int_equal(store_while(f, f->cache, f->tgs, begin_it_too, &err), KB_OK);
    keyring_assert_holds(f, f->cache, f->other, true);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", NULL)), 2);
    assert_int_equal(kb_key_clear(keyring_ring_of("_krb_unit", NULL)), 0);
    assert_int_equal(store_while(f, f->cache, f->tgs, begin_it_too, &err), KB_OK);
    keyring_assert_holds(f, f->cache, f->other, true);
    assert_int_equal(kb_key_clear(keyring_ring_of("_krb_unit", NULL)), 0);
    /* Each has one. */
    assert_int_equal(store_while(f, f->cache, f->tgs, begin_for_another_too, &err), KB_OK);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", "unit")), 1);
    keyring_assert_holds(f, his, f->tgs, true);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", NULL)), 3);
    kb_ccache_put(his);
}

/* --- killed --- */

static void begin_it(struct keyring_fixture *f)
{
    keyring_store(f, f->cache, f->tgs);
}

static void add_to_it(struct keyring_fixture *f)
{
    keyring_store(f, f->cache, f->server);
}

/* Does it in a child that is killed before its change number `at`. False: it comes to its end. */
static bool killed_in(struct keyring_fixture *f, void (*what)(struct keyring_fixture *), int at)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        changes_left = at;
        what(f);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED));
    return WEXITSTATUS(status) == KILLED;
}

/* There is none, or a whole one; and the next one logs in as if nothing had been. */
static void killed_at_its_beginning(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_cc_contents *contents;
    struct kb_error err = {0};
    bool killed = true;

    for (int at = 0; killed; at++) {
        enum kb_status st;

        killed = killed_in(f, begin_it, at);
        st = kb_ccache_load(f->cache, &f->wait, &contents, &err);
        assert_true(st == KB_NOT_FOUND || st == KB_OK);
        assert_true(killed || st == KB_OK);
        if (st == KB_OK) {
            assert_int_equal(contents->num, 1);
            kb_cc_contents_put(contents);
        }
        begin_it(f);
        keyring_assert_holds(f, f->cache, f->tgs, true);
        assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", NULL)), 2);
        destroy_it(f);
    }
}

/* What was there stays there. */
static void killed_later(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    void (*const what[])(struct keyring_fixture *) = {begin_it, add_to_it};

    begin_it(f);
    keyring_store(f, f->cache, f->other);
    for (size_t i = 0; i < 2; i++) {
        for (int at = 0; killed_in(f, what[i], at); at++) {
            keyring_assert_holds(f, f->cache, f->tgs, true);
            keyring_assert_holds(f, f->cache, f->other, true);
        }
    }
    keyring_assert_holds(f, f->cache, f->server, true);
}

/* It is there, or not any more. */
static void killed_at_its_end(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);

    begin_it(f);
    for (int at = 0; killed_in(f, destroy_it, at); at++) {
        begin_it(f);
        keyring_assert_holds(f, f->cache, f->tgs, true);
    }
    begin_it(f);
    assert_int_equal(keyring_num_keys(keyring_ring_of("_krb_unit", NULL)), 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        KEYRING_TEST(another_begins_it_anew), KEYRING_TEST(another_destroys_it),
        KEYRING_TEST(another_begins_it_too),  KEYRING_TEST(killed_at_its_beginning),
        KEYRING_TEST(killed_later),           KEYRING_TEST(killed_at_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
