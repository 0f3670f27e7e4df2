/* mech/store: contents that go on where others ended, and a file that is read on from its old end;
 * what is noticed when it was not only appended to; a large cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mech/store/ccache_format.h"
#include "tests/support/wire.h"

#define NOW 1795462400 /* when the recorded tickets are good */

static const int32_t etypes[] = {17, 18, 19, 20};

struct fixture {
    char dir[64], path[128];
    struct kb_wait wait;
    struct kb_error err;
    struct kb_ccache *cache;
    struct kb_credential *tgt;
};

static struct kb_principal *principal(const char *text)
{
    struct kb_principal *made;

    assert_int_equal(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_NONE, &made), KB_OK);
    return made;
}

static struct kb_principal *service(unsigned number)
{
    char text[64];

    snprintf(text, sizeof(text), "service%u/host@MIT.TEST", number);
    return principal(text);
}

static enum kb_status find(const struct kb_cc_contents *contents, const struct kb_principal *server,
                           struct kb_credential **out)
{
    struct kb_cc_wanted wanted = {.server = server, .etypes = etypes, .num_etypes = 4, .now = NOW};

    return kb_cc_find(contents, &wanted, out, NULL);
}

static struct kb_cc_contents *recorded(void)
{
    kb_bytes bytes = wire_file("tests/wire/files/mit-v4.ccache");
    struct kb_cc_contents *contents = kb_cc_contents_new(bytes.len);

    memcpy(contents->image, bytes.ptr, bytes.len);
    assert_int_equal(kb_cc_parse(contents), KB_OK);
    free((void *)(uintptr_t)bytes.ptr);
    return contents;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct kb_cc_contents *contents = recorded();
    struct kb_principal *tgs = principal("krbtgt/MIT.TEST@MIT.TEST");

    assert_int_equal(find(contents, tgs, &f->tgt), KB_OK);
    kb_principal_free(tgs);
    kb_cc_contents_put(contents);
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_ccache_grown.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/cc", f->dir);
    assert_int_equal(kb_ccache_new(f->path, &f->cache, &f->err), KB_OK);
    kb_wait_start(&f->wait, 10000, true);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0);
    kb_wait_stop(&f->wait);
    kb_ccache_put(f->cache);
    kb_credential_free(f->tgt);
    free(f);
    return 0;
}

static struct kb_cc_store ticket_for(const struct fixture *f, const struct kb_principal *server)
{
    return (struct kb_cc_store){
        .owner = f->tgt->client, .server = server, .credential = f->tgt, .now = NOW};
}

/* The cache with the TGT and services 0 to num - 1, written at once. */
static void put_cache(const struct fixture *f, unsigned num)
{
    struct kb_cc_store what = ticket_for(f, f->tgt->server);
    struct kb_buf buf;
    int fd;

    kb_buf_init(&buf, KB_CC_MAX);
    assert_int_equal(kb_cc_put_all(&buf, NULL, &what, NULL, NULL), KB_OK);
    for (unsigned i = 0; i < num; i++) {
        struct kb_principal *server = service(i);

        what.server = server;
        kb_cc_put_entry(&buf, &what);
        kb_principal_free(server);
    }
    assert_int_equal(buf.status, KB_OK);
    fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, buf.data, buf.len), buf.len);
    close(fd);
    kb_buf_wipe(&buf);
}

/* Another process appends `len` bytes of the ticket for a service (0: all). */
static void append(const struct fixture *f, unsigned number, size_t len)
{
    struct kb_principal *server = service(number);
    struct kb_cc_store what = ticket_for(f, server);
    struct kb_buf buf;
    int fd = open(f->path, O_WRONLY | O_APPEND | O_CLOEXEC);

    kb_buf_init(&buf, KB_CC_MAX);
    kb_cc_put_entry(&buf, &what);
    len = len > 0 ? len : buf.len;
    assert_int_equal(write(fd, buf.data, len), len);
    close(fd);
    kb_buf_wipe(&buf);
    kb_principal_free(server);
}

static struct kb_cc_contents *reloaded(struct fixture *f, struct kb_cc_contents *known)
{
    struct kb_cc_contents *contents;

    assert_int_equal(kb_ccache_reload(f->cache, known, &f->wait, &contents, &f->err), KB_OK);
    return contents;
}

static void holds(const struct kb_cc_contents *contents, unsigned number, bool does)
{
    struct kb_principal *server = service(number);
    struct kb_credential *ticket;

    assert_int_equal(find(contents, server, &ticket), does ? KB_OK : KB_NOT_FOUND);
    kb_credential_free(ticket);
    kb_principal_free(server);
}

/* All of 0 to num - 1, each once, in this order behind the TGT; and no other. */
static void holds_all(const struct kb_cc_contents *contents, unsigned num)
{
    assert_int_equal(contents->num, num + 1);
    assert_int_equal(contents->whole, contents->len);
    for (unsigned i = 0; i < num; i++) {
        struct kb_principal *server = service(i);

        holds(contents, i, true);
        assert_true(kb_cc_name_is(contents, &kb_cc_record_at(contents, i + 1)->server, server));
        kb_principal_free(server);
    }
    holds(contents, num, false);
}

/* --- in memory --- */

/* One at a time, by our own hand: what was read before goes on to hold what it held. */
static void added(void **state)
{
    struct fixture *f = *state;
    struct kb_cc_contents *all[200], *contents;
    struct kb_cc_stamp stamp = {{1, 2, 3}};

    put_cache(f, 0);
    all[0] = reloaded(f, NULL);
    for (unsigned i = 0; i + 1 < 200; i++) {
        struct kb_principal *server = service(i);
        struct kb_cc_store what = ticket_for(f, server);

        assert_int_equal(kb_cc_contents_add(all[i], &what, &stamp, &all[i + 1]), KB_OK);
        assert_true(kb_cc_same_stamp(kb_cc_stamp_of(all[i + 1]), &stamp));
        assert_false(all[i + 1]->read_on);
        append(f, i, 0);
        kb_principal_free(server);
    }
    for (unsigned i = 0; i < 200; i += 33) {
        holds_all(all[i], i);
    }
    assert_true(all[199]->num_layers <= 9 && all[199]->num_chunks <= 9);
    /* As it is read. */
    contents = reloaded(f, NULL);
    holds_all(contents, 199);
    assert_int_equal(contents->len, all[199]->len);
    kb_cc_contents_put(contents);
    for (unsigned i = 0; i < 200; i += 2) {
        kb_cc_contents_put(all[i]);
    }
    holds_all(all[199], 199);
    for (unsigned i = 1; i < 200; i += 2) {
        kb_cc_contents_put(all[i]);
    }
}

/* Two that go on from the same: the room behind it is one's, the other has a place of its own. */
static void two_successors(void **state)
{
    struct fixture *f = *state;
    struct kb_principal *a = service(1000), *b = service(2000);
    struct kb_cc_store for_a = ticket_for(f, a), for_b = ticket_for(f, b);
    struct kb_cc_stamp stamp = {{1}};
    struct kb_cc_contents *old, *with_a, *with_b, *with_ab;

    put_cache(f, 3);
    old = reloaded(f, NULL);
    assert_int_equal(kb_cc_contents_add(old, &for_a, &stamp, &with_a), KB_OK);
    assert_int_equal(kb_cc_contents_add(old, &for_b, &stamp, &with_b), KB_OK);
    assert_int_equal(kb_cc_contents_add(with_a, &for_b, &stamp, &with_ab), KB_OK);
    holds(with_a, 1000, true);
    holds(with_a, 2000, false);
    holds(with_b, 1000, false);
    holds(with_b, 2000, true);
    holds(with_ab, 1000, true);
    holds(with_ab, 2000, true);
    holds_all(old, 3);
    kb_cc_contents_put(old);
    kb_cc_contents_put(with_a);
    holds(with_b, 2000, true);
    holds(with_ab, 1000, true);
    kb_cc_contents_put(with_ab);
    kb_cc_contents_put(with_b);
    kb_principal_free(a);
    kb_principal_free(b);
}

struct reader {
    struct kb_cc_contents *contents;
    unsigned num;
};

static void *read_all(void *arg)
{
    struct reader *reader = arg;

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < reader->num; i++) {
            struct kb_principal *server = service(i);
            struct kb_cc_walk walk = kb_cc_walk_to(reader->contents, server);

            if (kb_cc_walk_on(&walk) == NULL) {
                abort();
            }
            kb_principal_free(server);
        }
    }
    kb_cc_contents_put(reader->contents);
    return NULL;
}

/* Readers of the old ones are not disturbed by who adds; each successor is released by another. */
static void read_while_it_grows(void **state)
{
    struct fixture *f = *state;
    struct kb_cc_contents *contents, *next;
    struct kb_cc_stamp stamp = {{1}};
    pthread_t threads[4];
    struct reader readers[4];

    put_cache(f, 20);
    contents = reloaded(f, NULL);
    for (unsigned i = 0; i < 4; i++) {
        readers[i] = (struct reader){kb_cc_contents_ref(contents), 20 + 50 * i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
        for (unsigned j = 0; j < 50; j++) {
            struct kb_principal *server = service(20 + 50 * i + j);
            struct kb_cc_store what = ticket_for(f, server);

            assert_int_equal(kb_cc_contents_add(contents, &what, &stamp, &next), KB_OK);
            kb_cc_contents_put(contents);
            contents = next;
            kb_principal_free(server);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    holds_all(contents, 220);
    kb_cc_contents_put(contents);
}

/* --- a file --- */

#define LARGE 120 /* tickets: more than what is always read whole */

static void appended_by_others(void **state)
{
    struct fixture *f = *state;
    struct kb_cc_contents *known, *now;
    unsigned num = LARGE;

    put_cache(f, num);
    known = reloaded(f, NULL);
    assert_true(known->len > 65536);
    for (unsigned i = 0; i < 50; i++) {
        unsigned more = 1 + i % 3;

        for (unsigned j = 0; j < more; j++) {
            append(f, num++, 0);
        }
        now = reloaded(f, known);
        assert_true(now->read_on);
        assert_int_equal(now->read_len, known->read_len);
        kb_cc_contents_put(known);
        known = now;
    }
    holds_all(known, num);
    /* Unchanged, it need not be read; if it is, nothing is there twice. */
    now = reloaded(f, known);
    holds_all(now, num);
    kb_cc_contents_put(now);
    kb_cc_contents_put(known);
}

/* Half a ticket at the end, then the rest of it. */
static void half_a_ticket(void **state)
{
    struct fixture *f = *state;
    struct kb_cc_contents *known, *half, *now;
    struct stat before, after;

    put_cache(f, LARGE);
    known = reloaded(f, NULL);
    assert_int_equal(stat(f->path, &before), 0);
    append(f, LARGE, 100);
    half = reloaded(f, known);
    assert_true(half->read_on && half->whole == known->whole && half->len == known->len + 100);
    assert_int_equal(half->num, known->num);
    assert_int_equal(truncate(f->path, before.st_size), 0);
    append(f, LARGE, 0);
    append(f, LARGE + 1, 0);
    assert_int_equal(stat(f->path, &after), 0);
    now = reloaded(f, half);
    assert_true(now->read_on);
    holds_all(now, LARGE + 2);
    kb_cc_contents_put(now);
    kb_cc_contents_put(half);
    kb_cc_contents_put(known);
}

/* The same inode, larger, and not what it was: a kinit that truncates, or an edited ticket. */
static void rewritten_in_place(void **state)
{
    struct fixture *f = *state;
    struct kb_cc_contents *known, *now;
    uint8_t byte;
    int fd;

    put_cache(f, LARGE);
    known = reloaded(f, NULL);
    fd = open(f->path, O_RDWR | O_CLOEXEC);
    /* In the first ticket, then in the last. */
    for (int i = 0; i < 2; i++) {
        off_t at = (off_t)(i == 0 ? known->beginning.len - 10 : known->len - 10);

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        append(f, LARGE + (unsigned)i, 0);
        now = reloaded(f, known);
        assert_false(now->read_on);
        holds_all(now, LARGE + 1 + (unsigned)i);
        kb_cc_contents_put(now);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        now = reloaded(f, known);
        assert_true(now->read_on);
        kb_cc_contents_put(now);
    }
    close(fd);
    put_cache(f, LARGE + 40); /* O_TRUNC; the first tickets are the same: nothing is amiss */
    now = reloaded(f, known);
    holds_all(now, LARGE + 40);
    kb_cc_contents_put(now);
    kb_cc_contents_put(known);
}

/* A ticket that somebody removed in place is not seen while it is only read on; but what is
 * written anew is read anew, and so is what has grown by half. */
static void removed_in_place(void **state)
{
    struct fixture *f = *state;
    struct kb_cc_contents *known, *now;
    struct kb_principal *server = service(7);
    struct kb_cc_store what = ticket_for(f, f->tgt->server);
    struct kb_cc_stamp stamp;
    const struct kb_cc_record *record;
    size_t at;
    int fd;

    put_cache(f, LARGE);
    known = reloaded(f, NULL);
    record = kb_cc_record_at(known, 8); /* service 7; its times stand behind the key */
    at = (size_t)(record->key.ptr - known->image) + record->key.len;
    fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, (off_t)at), 4);
    assert_int_equal(pwrite(fd, "\0\0\0", 4, (off_t)at + 8), 4);
    close(fd);
    append(f, LARGE, 0);
    now = reloaded(f, known);
    assert_true(now->read_on);
    holds(now, 7, true);
    what.fresh = true;
    what.known = now;
    what.known_stamp = *kb_cc_stamp_of(now);
    assert_int_equal(kb_ccache_store(f->cache, &what, &f->wait, &stamp, &f->err), KB_OK);
    kb_cc_contents_put(now);
    now = reloaded(f, known);
    holds(now, 7, false);
    holds(now, LARGE, true);
    assert_int_equal(now->num, LARGE + 1);
    kb_cc_contents_put(now);
    kb_cc_contents_put(known);
    kb_principal_free(server);

    put_cache(f, 2 * LARGE);
    known = reloaded(f, NULL);
    for (unsigned i = 0; i < 2 * LARGE; i++) {
        append(f, 2 * LARGE + i, 0);
    }
    now = reloaded(f, known);
    assert_false(now->read_on);
    holds_all(now, 4 * LARGE);
    kb_cc_contents_put(now);
    kb_cc_contents_put(known);
}

/* What was read before is used where a ticket is added, and nothing is lost that came meanwhile. */
static void stored_behind_what_others_wrote(void **state)
{
    struct fixture *f = *state;
    struct kb_principal *server = service(LARGE + 1);
    struct kb_cc_store what = ticket_for(f, server);
    struct kb_cc_stamp stamp;
    struct kb_cc_contents *now, *next;

    put_cache(f, LARGE);
    what.known = reloaded(f, NULL);
    what.known_stamp = *kb_cc_stamp_of(what.known);
    append(f, LARGE, 0);
    assert_int_equal(kb_ccache_store(f->cache, &what, &f->wait, &stamp, &f->err), KB_OK);
    assert_int_equal(stamp.words[0], 0);
    now = reloaded(f, what.known);
    holds_all(now, LARGE + 2);
    kb_cc_contents_put(what.known);
    /* With nobody else there, the stamp says so, and nothing is read. */
    what.known = now;
    what.known_stamp = *kb_cc_stamp_of(now);
    kb_principal_free(server);
    server = service(LARGE + 2);
    what.server = server;
    assert_int_equal(kb_ccache_store(f->cache, &what, &f->wait, &stamp, &f->err), KB_OK);
    assert_int_not_equal(stamp.words[0], 0);
    assert_int_equal(kb_cc_contents_add(now, &what, &stamp, &next), KB_OK);
    holds_all(next, LARGE + 3);
    stamp = kb_ccache_look(f->cache);
    assert_true(kb_cc_same_stamp(&stamp, kb_cc_stamp_of(next)));
    kb_cc_contents_put(next);
    kb_cc_contents_put(now);
    kb_principal_free(server);
}

static void owner_alone(void **state)
{
    struct fixture *f = *state;
    struct kb_principal *owner;

    assert_int_equal(kb_ccache_owner(f->cache, &f->wait, &owner, &f->err), KB_NOT_FOUND);
    put_cache(f, LARGE);
    assert_int_equal(kb_ccache_owner(f->cache, &f->wait, &owner, &f->err), KB_OK);
    assert_true(kb_principal_equal(owner, f->tgt->client));
    kb_principal_free(owner);
    assert_int_equal(truncate(f->path, 30), 0);
    assert_int_equal(kb_ccache_owner(f->cache, &f->wait, &owner, &f->err), KB_ERROR);
    f->err = (struct kb_error){0};
    assert_int_equal(truncate(f->path, 0), 0);
    assert_int_equal(kb_ccache_owner(f->cache, &f->wait, &owner, &f->err), KB_NOT_FOUND);
}

int main(void)
{
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        ON_FILES(added),
        ON_FILES(two_successors),
        ON_FILES(read_while_it_grows),
        ON_FILES(appended_by_others),
        ON_FILES(half_a_ticket),
        ON_FILES(rewritten_in_place),
        ON_FILES(removed_in_place),
        ON_FILES(stored_behind_what_others_wrote),
        ON_FILES(owner_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
