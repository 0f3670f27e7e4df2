/* mech/store/cc_keyring: KEYRING: caches in a session keyring of this process alone. What is stored
 * is found again, and the stamp tells of each change; what others left there; no memory, no quota;
 * a ticket that is too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/keyring.h"
#include "tests/support/oom.h"

#define MAX_ALLOCATIONS 1000

static void assert_fails(struct keyring_fixture *f, struct kb_ccache *cache,
                         const struct kb_principal *server, const char *says)
{
    struct kb_cc_store what = keyring_ticket_for(f, server);
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;

    assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &stamp, &err), KB_ERROR);
    assert_int_equal(err.code, KB_E_CCACHE);
    if (strstr(err.text, says) == NULL) {
        fail_msg("%s", err.text);
    }
    assert_true(err.no_hint); /* it says itself what to do */
}

static void kept_and_removed(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_error err = {0};
    struct kb_cc_contents *contents;
    struct kb_cc_store what = keyring_ticket_for(f, f->server);
    struct kb_cc_stamp stamp;
    int64_t offset;
    size_t num;

    /* Nothing begins a cache but a TGT. */
    assert_int_equal(kb_ccache_load(f->cache, &f->wait, &contents, &err), KB_NOT_FOUND);
    assert_int_equal(kb_ccache_store(f->cache, &what, &f->wait, &stamp, &err), KB_NOT_FOUND);
    stamp = kb_ccache_look(f->cache);
    assert_int_equal(stamp.words[0], 0);
    f->tgt->clock_offset = -1500000;
    keyring_store(f, f->cache, f->tgs);
    keyring_store(f, f->cache, f->server);
    keyring_store(f, f->cache, f->other);
    keyring_assert_holds(f, f->cache, f->tgs, true);
    keyring_assert_holds(f, f->cache, f->server, true);
    contents = keyring_load(f, f->cache);
    assert_int_equal(contents->num, 3);
    assert_true(kb_principal_equal(kb_cc_owner(contents), f->owner));
    assert_true(kb_cc_clock_offset(contents, &offset));
    assert_int_equal(offset, -1500000);
    kb_cc_contents_put(contents);
    assert_int_equal(kb_ccache_remove(f->cache, f->owner, f->server, &f->wait, &num, &err), KB_OK);
    assert_int_equal(num, 1);
    keyring_assert_holds(f, f->cache, f->server, false);
    keyring_assert_holds(f, f->cache, f->other, true);
    assert_int_equal(kb_ccache_remove(f->cache, f->owner, NULL, &f->wait, &num, &err), KB_OK);
    assert_int_equal(num, 2);
    assert_int_equal(kb_ccache_load(f->cache, &f->wait, &contents, &err), KB_NOT_FOUND);
    assert_int_equal(kb_ccache_remove(f->cache, f->owner, NULL, &f->wait, &num, &err), KB_OK);
    assert_int_equal(num, 0);
}

static void stamps(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_ccache *again = keyring_cache("KEYRING:session:unit"), *his;
    struct kb_cc_stamp before, after, told;
    struct kb_cc_store what = keyring_ticket_for(f, f->server);
    struct kb_error err = {0};
    struct kb_cc_contents *contents, *grown;
    size_t num;

    his = kb_ccache_for(again, f->owner);
    keyring_store(f, f->cache, f->tgs);
    for (int i = 0; i < 3; i++) {
        struct kb_ccache *cache = i == 0 ? f->cache : i == 1 ? again : his;

        /* What is known beforehand need not be read afterwards, a ticket in the place of another
         * not either. */
        contents = keyring_load(f, cache);
        before = kb_ccache_look(cache);
        assert_true(kb_cc_same_stamp(kb_cc_stamp_of(contents), &before));
        what.known = contents;
        what.known_stamp = before;
        assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &told, &err), KB_OK);
        after = kb_ccache_look(cache);
        assert_int_equal(told.words[0], 1);
        assert_true(kb_cc_same_stamp(&told, &after));
        assert_false(kb_cc_same_stamp(&before, &after));
        assert_int_equal(kb_cc_contents_add(contents, &what, &told, &grown), KB_OK);
        kb_cc_contents_put(grown);
        /* Not if it was another by then. */
        assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &told, &err), KB_OK);
        assert_int_equal(told.words[0], 0);
        kb_cc_contents_put(contents);
        what.known = NULL;
        /* A TGT in the place of another, and a ticket less. */
        before = kb_ccache_look(cache);
        keyring_store(f, again, f->tgs);
        after = kb_ccache_look(cache);
        assert_false(kb_cc_same_stamp(&before, &after));
        keyring_store(f, again, f->other);
        before = kb_ccache_look(cache);
        assert_int_equal(kb_ccache_remove(again, f->owner, f->other, &f->wait, &num, &err), KB_OK);
        after = kb_ccache_look(cache);
        assert_false(kb_cc_same_stamp(&before, &after));
    }
    kb_ccache_put(again);
    kb_ccache_put(his);
}

/* More keys than a look has room for on its stack. */
static void many(void **state)
{
    struct keyring_fixture *f = keyring_with_many_keys(state);
    struct kb_cc_contents *contents;
    struct kb_cc_stamp before, after;

    keyring_store(f, f->cache, f->tgs);
    for (int i = 0; i < 300; i++) {
        struct kb_principal *server;
        char name[40];

        snprintf(name, sizeof(name), "x/%d@MIT.TEST", i);
        server = keyring_principal(name);
        before = kb_ccache_look(f->cache);
        keyring_store(f, f->cache, server);
        after = kb_ccache_look(f->cache);
        assert_false(kb_cc_same_stamp(&before, &after));
        kb_principal_free(server);
    }
    contents = keyring_load(f, f->cache);
    assert_int_equal(contents->num, 301);
    assert_true(kb_cc_same_stamp(kb_cc_stamp_of(contents), &after));
    kb_cc_contents_put(contents);
}

#define THREADS 6
#define EACH 20

struct worker {
    struct keyring_fixture *f;
    int number;
    pthread_t thread;
};

static void *store_some(void *arg)
{
    const struct worker *worker = arg;

    for (int i = 0; i < EACH; i++) {
        struct kb_cc_stamp stamp;
        struct kb_principal *server;
        char name[40];

        snprintf(name, sizeof(name), "x/%d-%d@MIT.TEST", worker->number, i);
        server = keyring_principal(name);
        keyring_store(worker->f, worker->f->cache, server);
        stamp = kb_ccache_look(worker->f->cache);
        assert_int_equal(stamp.words[0], 1);
        kb_cc_contents_put(keyring_load(worker->f, worker->f->cache));
        kb_principal_free(server);
    }
    return NULL;
}

/* Nothing is lost, in one cache that threads share. */
static void threads(void **state)
{
    struct keyring_fixture *f = keyring_with_many_keys(state);
    struct worker workers[THREADS];
    struct kb_cc_contents *contents;

    keyring_store(f, f->cache, f->tgs);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = f, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, store_some, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    contents = keyring_load(f, f->cache);
    assert_int_equal(contents->num, 1 + THREADS * EACH);
    kb_cc_contents_put(contents);
}

/* Which one is the primary one is read each time. */
static void another_primary(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_ccache *one = keyring_cache("KEYRING:session:unit:one");
    struct kb_cc_stamp before, after;
    struct kb_buf index;

    keyring_store(f, f->cache, f->tgs);
    keyring_store(f, one, f->tgs);
    keyring_store(f, one, f->other);
    before = kb_ccache_look(f->cache);
    kb_buf_init(&index, 100);
    kb_keyring_index_put(&index, KB_LIT("one"));
    assert_true(kb_key_add("user", KB_KEYRING_INDEX, kb_buf_bytes(&index),
                           keyring_ring_of("_krb_unit", NULL)) > 0);
    kb_buf_wipe(&index);
    after = kb_ccache_look(f->cache);
    assert_false(kb_cc_same_stamp(&before, &after));
    keyring_assert_holds(f, f->cache, f->other, true);
    before = kb_ccache_look(f->cache);
    assert_false(kb_cc_same_stamp(&before, &after));
    kb_ccache_put(one);
}

/* What is no ticket is passed over; what says whose it is must. */
static void strange_keys(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_error err = {0};
    struct kb_cc_contents *contents;
    kb_key_serial ring;

    keyring_store(f, f->cache, f->tgs);
    ring = keyring_ring_of("_krb_unit", "unit");
    assert_true(kb_key_add("user", "short", KB_LIT("x"), ring) > 0);
    assert_true(kb_key_add("keyring", "in it", KB_NONE, ring) > 0);
    keyring_store(f, f->cache, f->other);
    keyring_assert_holds(f, f->cache, f->other, true);
    contents = keyring_load(f, f->cache);
    assert_int_equal(contents->num, 2);
    kb_cc_contents_put(contents);
    assert_true(kb_key_add("user", KB_KEYRING_OWNER, KB_LIT("\0\0\0\1\0\0\0\1\0\0\0\2"), ring) > 0);
    assert_int_equal(kb_ccache_load(f->cache, &f->wait, &contents, &err), KB_ERROR);
    assert_non_null(strstr(err.text, "KEYRING:session:unit"));
    err = (struct kb_error){0};
    assert_true(
        kb_key_add("user", KB_KEYRING_INDEX, KB_LIT("x"), keyring_ring_of("_krb_unit", NULL)) > 0);
    assert_int_equal(kb_ccache_load(f->cache, &f->wait, &contents, &err), KB_ERROR);
    assert_non_null(strstr(err.text, "kswitch"));
}

static bool is_without_memory(enum kb_status st, const struct kb_error *err)
{
    return st == KB_NO_MEMORY || (st == KB_ERROR && err->code == KB_E_NO_MEMORY);
}

/* Each allocation fails once. What was there stays there; a cache is begun whole or not at all. */
static void no_memory(void **state)
{
    struct keyring_fixture *f = keyring_with_many_keys(state);
    const struct kb_principal *servers[] = {f->tgs, f->tgs, f->server, f->server, NULL};
    struct kb_ccache *his = kb_ccache_for(f->cache, f->owner);

    for (size_t i = 0; i < 5; i++) {
        struct kb_cc_store what = keyring_ticket_for(f, servers[i]);
        enum kb_status st = KB_ERROR;

        for (long num = 0; st != KB_OK; num++) {
            struct kb_ccache *cache = num % 2 == 0 ? f->cache : his;
            struct kb_error err = {0};
            struct kb_cc_contents *contents = NULL;
            struct kb_cc_stamp stamp;

            assert_true(num < MAX_ALLOCATIONS);
            oom_fail_after(num / 2);
            st = servers[i] != NULL ? kb_ccache_store(cache, &what, &f->wait, &stamp, &err)
                                    : kb_ccache_load(cache, &f->wait, &contents, &err);
            oom_fail_after(-1);
            kb_cc_contents_put(contents);
            assert_true(st == KB_OK || is_without_memory(st, &err));
            if (i > 0) {
                keyring_assert_holds(f, f->cache, f->tgs, true);
            }
            if (i > 2) {
                keyring_assert_holds(f, f->cache, f->server, true);
            }
        }
    }
    kb_ccache_put(his);
}

/* The kernel without big_key says why; another one keeps it. */
static void large(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    struct kb_credential parts = *f->tgt, *made;
    uint8_t *ticket = calloc(1, 40000);
    struct kb_cc_store what = keyring_ticket_for(f, f->other);
    struct kb_error err = {0};
    struct kb_cc_contents *contents;
    struct kb_cc_stamp stamp;
    enum kb_status st;

    keyring_store(f, f->cache, f->tgs);
    parts.ticket = kb_bytes_of(ticket, 40000);
    made = kb_credential_new(&parts);
    what.credential = made;
    st = kb_ccache_store(f->cache, &what, &f->wait, &stamp, &err);
    contents = keyring_load(f, f->cache);
    assert_int_equal(contents->num, st == KB_OK ? 2 : 1);
    if (st != KB_OK) {
        assert_non_null(strstr(err.text, "CONFIG_BIG_KEYS"));
    }
    kb_cc_contents_put(contents);
    kb_credential_free(made);
    free(ticket);
}

/* In a child that is another user, who has a small quota. */
static int over_quota(struct keyring_fixture *f)
{
    char name[32];
    int i = 0, full = 0;

    if (setresuid(61233, 61233, 61233) != 0 || !keyring_have_keyrings()) {
        return 2;
    }
    keyring_store(f, f->cache, f->tgs);
    /* What was removed counts for a moment more. */
    while (full < 10) {
        snprintf(name, sizeof(name), "%d", i++);
        if (kb_key_add("user", name, KB_LIT("x"), KEY_SPEC_SESSION_KEYRING) > 0) {
            full = 0;
        } else if (errno == EDQUOT) {
            full++;
            usleep(20000);
        } else {
            return 2;
        }
    }
    assert_fails(f, f->cache, f->other, "quota of keys is used up");
    keyring_assert_holds(f, f->cache, f->tgs, true);
    keyring_assert_holds(f, f->cache, f->other, false);
    return 0;
}

static void quota(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    int status;
    pid_t pid;

    if (geteuid() != 0) {
        skip();
    }
    pid = fork();
    if (pid == 0) {
        _exit(over_quota(f));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a child whose session ends. */
static int revoked_session(struct keyring_fixture *f)
{
    if (!keyring_have_keyrings()) {
        return 2;
    }
    keyring_store(f, f->cache, f->tgs);
    if (syscall(SYS_keyctl, KEYCTL_REVOKE, KEY_SPEC_SESSION_KEYRING, 0, 0, 0) != 0) {
        return 2;
    }
    assert_fails(f, f->cache, f->tgs, "was revoked");
    return 0;
}

static void revoked(void **state)
{
    struct keyring_fixture *f = keyring_fixture_of(state);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(revoked_session(f));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        KEYRING_TEST(kept_and_removed),
        KEYRING_TEST(stamps),
        KEYRING_TEST(many),
        KEYRING_TEST(threads),
        KEYRING_TEST(another_primary),
        KEYRING_TEST(strange_keys),
        KEYRING_TEST(large),
        KEYRING_TEST(quota),
        KEYRING_TEST(revoked),
        KEYRING_TEST(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
