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

#include "mech/store/cc_keyring.h"
#include "tests/support/oom.h"
#include "tests/support/wire.h"

#define NOW 1795462400 /* when the recorded tickets are good */
#define MAX_ALLOCATIONS 1000

static const int32_t etypes[] = {17, 18, 19, 20};

struct fixture {
    struct kb_cc_contents *recorded;
    struct kb_credential *tgt;
    const struct kb_principal *owner;
    struct kb_principal *tgs, *server, *other;
    struct kb_wait wait;
    struct kb_ccache *cache;
};

static bool have_keyrings(void)
{
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) > 0;
}

static struct kb_principal *principal(const char *text)
{
    struct kb_principal *made;

    assert_int_equal(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_NONE, &made), KB_OK);
    return made;
}

static struct kb_ccache *cache_named(const char *name)
{
    struct kb_error err = {0};
    struct kb_ccache *cache;

    assert_int_equal(kb_ccache_new(name, &cache, &err), KB_OK);
    return cache;
}

static int set_up(void **state)
{
    kb_bytes bytes = wire_file("tests/wire/files/mit-v4.ccache");
    struct fixture *f = calloc(1, sizeof(*f));
    struct kb_cc_wanted wanted = {.etypes = etypes, .num_etypes = 4, .now = NOW};

    if (!have_keyrings()) {
        print_message("no keyrings here: %s\n", strerror(errno));
        free((void *)(uintptr_t)bytes.ptr);
        free(f);
        return 0; /* each test skips */
    }
    f->recorded = kb_cc_contents_new(bytes.len);
    memcpy(f->recorded->image, bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
    assert_int_equal(kb_cc_parse(f->recorded), KB_OK);
    f->owner = kb_cc_owner(f->recorded);
    f->tgs = principal("krbtgt/MIT.TEST@MIT.TEST");
    f->server = principal("HTTP/srv.mit.test@MIT.TEST");
    f->other = principal("new/srv.mit.test@MIT.TEST");
    wanted.server = f->tgs;
    assert_int_equal(kb_cc_find(f->recorded, &wanted, &f->tgt, NULL), KB_OK);
    kb_wait_start(&f->wait, 10000, true);
    f->cache = cache_named("KEYRING:session:unit");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f != NULL) {
        kb_wait_stop(&f->wait);
        kb_ccache_put(f->cache);
        kb_credential_free(f->tgt);
        kb_cc_contents_put(f->recorded);
        kb_principal_free(f->tgs);
        kb_principal_free(f->server);
        kb_principal_free(f->other);
        free(f);
    }
    return 0;
}

static struct fixture *fixture_of(void **state)
{
    if (*state == NULL) {
        skip();
    }
    return *state;
}

/* Others than root may have 200 keys. */
static struct fixture *with_many_keys(void **state)
{
    if (geteuid() != 0) {
        skip();
    }
    return fixture_of(state);
}

/* --- what is done with a cache --- */

static struct kb_cc_store ticket_for(const struct fixture *f, const struct kb_principal *server)
{
    return (struct kb_cc_store){.owner = f->owner,
                                .server = server,
                                .credential = f->tgt,
                                .fresh = server == f->tgs,
                                .now = NOW};
}

static void store(struct fixture *f, struct kb_ccache *cache, const struct kb_principal *server)
{
    struct kb_cc_store what = ticket_for(f, server);
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;

    if (kb_ccache_store(cache, &what, &f->wait, &stamp, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
}

static struct kb_cc_contents *load(struct fixture *f, struct kb_ccache *cache)
{
    struct kb_cc_contents *contents;
    struct kb_error err = {0};

    if (kb_ccache_load(cache, &f->wait, &contents, &err) != KB_OK) {
        fail_msg("not loaded: %s", err.text);
    }
    return contents;
}

static void assert_holds(struct fixture *f, struct kb_ccache *cache,
                         const struct kb_principal *server, bool holds)
{
    struct kb_cc_contents *contents = load(f, cache);
    struct kb_cc_wanted wanted = {.server = server, .etypes = etypes, .num_etypes = 4, .now = NOW};
    struct kb_credential *found;

    assert_int_equal(kb_cc_find(contents, &wanted, &found, NULL), holds ? KB_OK : KB_NOT_FOUND);
    if (holds) {
        assert_true(kb_equal(found->ticket, f->tgt->ticket));
        assert_int_equal(found->endtime, f->tgt->endtime);
        kb_credential_free(found);
    }
    kb_cc_contents_put(contents);
}

static void assert_fails(struct fixture *f, struct kb_ccache *cache,
                         const struct kb_principal *server, const char *says)
{
    struct kb_cc_store what = ticket_for(f, server);
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;

    assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &stamp, &err), KB_ERROR);
    assert_int_equal(err.code, KB_E_CCACHE);
    if (strstr(err.text, says) == NULL) {
        fail_msg("%s", err.text);
    }
    assert_true(err.no_hint || says[0] == 'k');
}

/* The keyring that the cache is. */
static kb_key_serial ring_of(const char *collection, const char *name)
{
    kb_key_serial ring = kb_key_search(KEY_SPEC_SESSION_KEYRING, "keyring", collection, 0);

    assert_true(ring > 0);
    if (name != NULL) {
        ring = kb_key_search(ring, "keyring", name, 0);
        assert_true(ring > 0);
    }
    return ring;
}

/* --- tests --- */

static void kept_and_removed(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_error err = {0};
    struct kb_cc_contents *contents;
    struct kb_cc_store what = ticket_for(f, f->server);
    struct kb_cc_stamp stamp;
    int64_t offset;
    size_t num;

    /* Nothing begins a cache but a TGT. */
    assert_int_equal(kb_ccache_load(f->cache, &f->wait, &contents, &err), KB_NOT_FOUND);
    assert_int_equal(kb_ccache_store(f->cache, &what, &f->wait, &stamp, &err), KB_NOT_FOUND);
    stamp = kb_ccache_look(f->cache);
    assert_int_equal(stamp.words[0], 0);
    f->tgt->clock_offset = -1500000;
    store(f, f->cache, f->tgs);
    store(f, f->cache, f->server);
    store(f, f->cache, f->other);
    assert_holds(f, f->cache, f->tgs, true);
    assert_holds(f, f->cache, f->server, true);
    contents = load(f, f->cache);
    assert_int_equal(contents->num, 3);
    assert_true(kb_principal_equal(kb_cc_owner(contents), f->owner));
    assert_true(kb_cc_clock_offset(contents, &offset));
    assert_int_equal(offset, -1500000);
    kb_cc_contents_put(contents);
    assert_int_equal(kb_ccache_remove(f->cache, f->owner, f->server, &f->wait, &num, &err), KB_OK);
    assert_int_equal(num, 1);
    assert_holds(f, f->cache, f->server, false);
    assert_holds(f, f->cache, f->other, true);
    assert_int_equal(kb_ccache_remove(f->cache, f->owner, NULL, &f->wait, &num, &err), KB_OK);
    assert_int_equal(num, 2);
    assert_int_equal(kb_ccache_load(f->cache, &f->wait, &contents, &err), KB_NOT_FOUND);
    assert_int_equal(kb_ccache_remove(f->cache, f->owner, NULL, &f->wait, &num, &err), KB_OK);
    assert_int_equal(num, 0);
}

static void stamps(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_ccache *again = cache_named("KEYRING:session:unit"), *his;
    struct kb_cc_stamp before, after, told;
    struct kb_cc_store what = ticket_for(f, f->server);
    struct kb_error err = {0};
    struct kb_cc_contents *contents, *grown;
    size_t num;

    his = kb_ccache_for(again, f->owner);
    store(f, f->cache, f->tgs);
    for (int i = 0; i < 3; i++) {
        struct kb_ccache *cache = i == 0 ? f->cache : i == 1 ? again : his;

        /* What is known beforehand need not be read afterwards, a ticket in the place of another
         * not either. */
        contents = load(f, cache);
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
        store(f, again, f->tgs);
        after = kb_ccache_look(cache);
        assert_false(kb_cc_same_stamp(&before, &after));
        store(f, again, f->other);
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
    struct fixture *f = with_many_keys(state);
    struct kb_cc_contents *contents;
    struct kb_cc_stamp before, after;

    store(f, f->cache, f->tgs);
    for (int i = 0; i < 300; i++) {
        struct kb_principal *server;
        char name[40];

        snprintf(name, sizeof(name), "x/%d@MIT.TEST", i);
        server = principal(name);
        before = kb_ccache_look(f->cache);
        store(f, f->cache, server);
        after = kb_ccache_look(f->cache);
        assert_false(kb_cc_same_stamp(&before, &after));
        kb_principal_free(server);
    }
    contents = load(f, f->cache);
    assert_int_equal(contents->num, 301);
    assert_true(kb_cc_same_stamp(kb_cc_stamp_of(contents), &after));
    kb_cc_contents_put(contents);
}

#define THREADS 6
#define EACH 20

struct worker {
    struct fixture *f;
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
        server = principal(name);
        store(worker->f, worker->f->cache, server);
        stamp = kb_ccache_look(worker->f->cache);
        assert_int_equal(stamp.words[0], 1);
        kb_cc_contents_put(load(worker->f, worker->f->cache));
        kb_principal_free(server);
    }
    return NULL;
}

/* Nothing is lost, in one cache that threads share. */
static void threads(void **state)
{
    struct fixture *f = with_many_keys(state);
    struct worker workers[THREADS];
    struct kb_cc_contents *contents;

    store(f, f->cache, f->tgs);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = f, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, store_some, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    contents = load(f, f->cache);
    assert_int_equal(contents->num, 1 + THREADS * EACH);
    kb_cc_contents_put(contents);
}

/* Which one is the primary one is read each time. */
static void another_primary(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_ccache *one = cache_named("KEYRING:session:unit:one");
    struct kb_cc_stamp before, after;
    struct kb_buf index;

    store(f, f->cache, f->tgs);
    store(f, one, f->tgs);
    store(f, one, f->other);
    before = kb_ccache_look(f->cache);
    kb_buf_init(&index, 100);
    kb_keyring_index_put(&index, KB_LIT("one"));
    assert_true(
        kb_key_add("user", KB_KEYRING_INDEX, kb_buf_bytes(&index), ring_of("_krb_unit", NULL)) > 0);
    kb_buf_wipe(&index);
    after = kb_ccache_look(f->cache);
    assert_false(kb_cc_same_stamp(&before, &after));
    assert_holds(f, f->cache, f->other, true);
    before = kb_ccache_look(f->cache);
    assert_false(kb_cc_same_stamp(&before, &after));
    kb_ccache_put(one);
}

/* What is no ticket is passed over; what says whose it is must. */
static void strange_keys(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_error err = {0};
    struct kb_cc_contents *contents;
    kb_key_serial ring;

    store(f, f->cache, f->tgs);
    ring = ring_of("_krb_unit", "unit");
    assert_true(kb_key_add("user", "short", KB_LIT("x"), ring) > 0);
    assert_true(kb_key_add("keyring", "in it", KB_NONE, ring) > 0);
    store(f, f->cache, f->other);
    assert_holds(f, f->cache, f->other, true);
    contents = load(f, f->cache);
    assert_int_equal(contents->num, 2);
    kb_cc_contents_put(contents);
    assert_true(kb_key_add("user", KB_KEYRING_OWNER, KB_LIT("\0\0\0\1\0\0\0\1\0\0\0\2"), ring) > 0);
    assert_int_equal(kb_ccache_load(f->cache, &f->wait, &contents, &err), KB_ERROR);
    assert_non_null(strstr(err.text, "KEYRING:session:unit"));
    err = (struct kb_error){0};
    assert_true(kb_key_add("user", KB_KEYRING_INDEX, KB_LIT("x"), ring_of("_krb_unit", NULL)) > 0);
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
    struct fixture *f = with_many_keys(state);
    const struct kb_principal *servers[] = {f->tgs, f->tgs, f->server, f->server, NULL};
    struct kb_ccache *his = kb_ccache_for(f->cache, f->owner);

    for (size_t i = 0; i < 5; i++) {
        struct kb_cc_store what = ticket_for(f, servers[i]);
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
                assert_holds(f, f->cache, f->tgs, true);
            }
            if (i > 2) {
                assert_holds(f, f->cache, f->server, true);
            }
        }
    }
    kb_ccache_put(his);
}

/* The kernel without big_key says why; another one keeps it. */
static void large(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_credential parts = *f->tgt, *made;
    uint8_t *ticket = calloc(1, 40000);
    struct kb_cc_store what = ticket_for(f, f->other);
    struct kb_error err = {0};
    struct kb_cc_contents *contents;
    struct kb_cc_stamp stamp;
    enum kb_status st;

    store(f, f->cache, f->tgs);
    parts.ticket = kb_bytes_of(ticket, 40000);
    made = kb_credential_new(&parts);
    what.credential = made;
    st = kb_ccache_store(f->cache, &what, &f->wait, &stamp, &err);
    contents = load(f, f->cache);
    assert_int_equal(contents->num, st == KB_OK ? 2 : 1);
    if (st != KB_OK) {
        assert_non_null(strstr(err.text, "CONFIG_BIG_KEYS"));
    }
    kb_cc_contents_put(contents);
    kb_credential_free(made);
    free(ticket);
}

/* In a child that is another user, who has a small quota. */
static int over_quota(struct fixture *f)
{
    char name[32];
    int i = 0, full = 0;

    if (setresuid(61233, 61233, 61233) != 0 || !have_keyrings()) {
        return 2;
    }
    store(f, f->cache, f->tgs);
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
    assert_holds(f, f->cache, f->tgs, true);
    assert_holds(f, f->cache, f->other, false);
    return 0;
}

static void quota(void **state)
{
    struct fixture *f = fixture_of(state);
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
static int revoked_session(struct fixture *f)
{
    if (!have_keyrings()) {
        return 2;
    }
    store(f, f->cache, f->tgs);
    if (syscall(SYS_keyctl, KEYCTL_REVOKE, KEY_SPEC_SESSION_KEYRING, 0, 0, 0) != 0) {
        return 2;
    }
    assert_fails(f, f->cache, f->tgs, "was revoked");
    return 0;
}

static void revoked(void **state)
{
    struct fixture *f = fixture_of(state);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(revoked_session(f));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- what others do in the middle --- */

static void (*meanwhile)(struct fixture *f);
static struct fixture *meanwhile_f;

static void let_others(void)
{
    void (*what)(struct fixture *) = meanwhile;

    if (what != NULL) {
        meanwhile = NULL; /* once, in a test without threads */
        what(meanwhile_f);
    }
}

int __wrap_kb_key_link(kb_key_serial key, kb_key_serial ring);
int __real_kb_key_link(kb_key_serial key, kb_key_serial ring);
int __wrap_kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring);
int __real_kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring);

int __wrap_kb_key_link(kb_key_serial key, kb_key_serial ring)
{
    let_others();
    return __real_kb_key_link(key, ring);
}

int __wrap_kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring)
{
    let_others();
    return __real_kb_key_move_new(key, from, ring);
}

/* As MIT's kinit does it. */
static void begin_for_another(struct fixture *f)
{
    kb_key_serial ring = ring_of("_krb_unit", "unit");
    struct kb_buf buf;

    assert_int_equal(kb_key_clear(ring), 0);
    kb_buf_init(&buf, 1000);
    kb_cc_put_principal(&buf, f->other);
    assert_true(kb_key_add("user", KB_KEYRING_OWNER, kb_buf_bytes(&buf), ring) > 0);
    kb_buf_wipe(&buf);
}

static void destroy_it(struct fixture *f)
{
    struct kb_error err = {0};
    size_t num;

    assert_int_equal(kb_ccache_remove(f->cache, f->owner, NULL, &f->wait, &num, &err), KB_OK);
}

static void begin_it_too(struct fixture *f)
{
    store(f, f->cache, f->tgs);
    store(f, f->cache, f->other);
}

static void begin_for_another_too(struct fixture *f)
{
    begin_it_too(f);
    begin_for_another(f);
}

static enum kb_status store_while(struct fixture *f, struct kb_ccache *cache,
                                  const struct kb_principal *server,
                                  void (*others)(struct fixture *), struct kb_error *err)
{
    struct kb_cc_store what = ticket_for(f, server);
    struct kb_cc_stamp stamp;

    meanwhile_f = f;
    meanwhile = others;
    return kb_ccache_store(cache, &what, &f->wait, &stamp, err);
}

static size_t num_keys(kb_key_serial ring)
{
    struct kb_key_payload list = {0};
    size_t num;

    assert_int_equal(kb_key_payload_read(ring, &list), KB_OK);
    num = list.len / sizeof(kb_key_serial);
    kb_key_payload_wipe(&list);
    return num;
}

static void another_begins_it_anew(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_ccache *his = kb_ccache_for(f->cache, f->owner);
    struct kb_error err = {0};

    /* It is named: it is another's now. */
    store(f, f->cache, f->tgs);
    assert_int_equal(store_while(f, f->cache, f->server, begin_for_another, &err), KB_NOT_FOUND);
    assert_int_equal(num_keys(ring_of("_krb_unit", "unit")), 1);
    /* His new one goes beside that. */
    assert_int_equal(store_while(f, his, f->tgs, NULL, &err), KB_OK);
    assert_holds(f, his, f->tgs, true);
    assert_int_equal(num_keys(ring_of("_krb_unit", "unit")), 1);
    assert_int_equal(num_keys(ring_of("_krb_unit", NULL)), 3);
    kb_ccache_put(his);
}

static void another_destroys_it(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_error err = {0};

    store(f, f->cache, f->tgs);
    assert_int_equal(store_while(f, f->cache, f->server, destroy_it, &err), KB_NOT_FOUND);
    assert_int_equal(num_keys(ring_of("_krb_unit", NULL)), 1);
    /* A TGT begins it anew. */
    store(f, f->cache, f->tgs);
    assert_int_equal(store_while(f, f->cache, f->tgs, destroy_it, &err), KB_OK);
    assert_holds(f, f->cache, f->tgs, true);
}

static void another_begins_it_too(void **state)
{
    struct fixture *f = fixture_of(state);
    struct kb_ccache *his = kb_ccache_for(f->cache, f->owner);
    struct kb_error err = {0};

    /* The collection and the cache in it: nothing that the other wrote is lost. */
    assert_int_equal(store_while(f, f->cache, f->tgs, begin_it_too, &err), KB_OK);
    assert_holds(f, f->cache, f->other, true);
    assert_int_equal(num_keys(ring_of("_krb_unit", NULL)), 2);
    assert_int_equal(kb_key_clear(ring_of("_krb_unit", NULL)), 0);
    assert_int_equal(store_while(f, f->cache, f->tgs, begin_it_too, &err), KB_OK);
    assert_holds(f, f->cache, f->other, true);
    assert_int_equal(kb_key_clear(ring_of("_krb_unit", NULL)), 0);
    /* Each has one. */
    assert_int_equal(store_while(f, f->cache, f->tgs, begin_for_another_too, &err), KB_OK);
    assert_int_equal(num_keys(ring_of("_krb_unit", "unit")), 1);
    assert_holds(f, his, f->tgs, true);
    assert_int_equal(num_keys(ring_of("_krb_unit", NULL)), 3);
    kb_ccache_put(his);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(kept_and_removed),
        TEST(stamps),
        TEST(many),
        TEST(threads),
        TEST(another_primary),
        TEST(strange_keys),
        TEST(large),
        TEST(quota),
        TEST(revoked),
        TEST(no_memory),
        TEST(another_begins_it_anew),
        TEST(another_destroys_it),
        TEST(another_begins_it_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
