/* mech/store: a writer that is killed at each of its system calls, before it, behind it, and in the
 * middle of a write. Afterwards MIT's klist, if it is there, and we read every ticket that was
 * there before, and the next writer goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/store/ccache_format.h"
#include "tests/support/wire.h"

#define NOW 1795462400 /* when the recorded tickets are good */

/* --- the calls (the linker's --wrap sends them here) --- */

static long calls_left = -1; /* until the process is killed, in units of a half; -1: never */

static void die(void)
{
    kill(getpid(), SIGKILL);
}

/* At the beginning and at the end of each call. */
static void count(void)
{
    if (calls_left >= 0 && calls_left-- == 0) {
        die();
    }
}

#define WRAP(type, name, params, args)                                                             \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        type result;                                                                               \
                                                                                                   \
        count();                                                                                   \
        result = __real_##name args;                                                               \
        count();                                                                                   \
        return result;                                                                             \
    }

WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, link, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))
WRAP(int, ftruncate, (int fd, off_t len), (fd, len))
WRAP(int, mkostemp, (char *name, int flags), (name, flags))
WRAP(int, close, (int fd), (fd))
WRAP(ssize_t, pwrite, (int fd, const void *bytes, size_t len, off_t at), (fd, bytes, len, at))

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    ssize_t wrote;

    count();
    if (calls_left == 0) { /* in the middle */
        if (__real_write(fd, bytes, len / 2) > 0) {
            die();
        }
    }
    count();
    wrote = __real_write(fd, bytes, len);
    count();
    return wrote;
}

/* --- the cache --- */

struct fixture {
    char dir[64], path[128];
    struct kb_credential *tgt, *ticket;
    struct kb_ccache *cache;
    bool klist;
};

static struct kb_principal *principal(const char *text)
{
    struct kb_principal *made;

    assert_int_equal(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_NONE, &made), KB_OK);
    return made;
}

static struct kb_credential *find(const struct kb_cc_contents *contents, const char *name)
{
    static const int32_t etypes[] = {17, 18, 19, 20};
    struct kb_principal *server = principal(name);
    struct kb_cc_wanted wanted = {.server = server, .etypes = etypes, .num_etypes = 4, .now = NOW};
    struct kb_credential *found = NULL;

    (void)!kb_cc_find(contents, &wanted, &found, NULL);
    kb_principal_free(server);
    return found;
}

static bool holds(const struct kb_cc_contents *contents, const char *name)
{
    struct kb_credential *found = find(contents, name);

    kb_credential_free(found);
    return found != NULL;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    kb_bytes bytes = wire_file("tests/wire/files/mit-v4.ccache");
    struct kb_cc_contents *contents = kb_cc_contents_new(bytes.len);
    struct kb_error err = {0};

    memcpy(contents->image, bytes.ptr, bytes.len);
    assert_int_equal(kb_cc_parse(contents), KB_OK);
    f->tgt = find(contents, "krbtgt/MIT.TEST@MIT.TEST");
    f->ticket = find(contents, "HTTP/srv.mit.test@MIT.TEST");
    assert_true(f->tgt != NULL && f->ticket != NULL);
    kb_cc_contents_put(contents);
    free((void *)(uintptr_t)bytes.ptr);
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_ccache_killed.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/cc", f->dir);
    assert_int_equal(kb_ccache_new(f->path, &f->cache, &err), KB_OK);
    f->klist = system("klist -V >/dev/null 2>&1") == 0;
    *state = f;
    return 0;
}

static void remove_all(const struct fixture *f)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    remove_all(f);
    kb_ccache_put(f->cache);
    kb_credential_free(f->tgt);
    kb_credential_free(f->ticket);
    free(f);
    return 0;
}

/* A ticket under `name`, or a fresh TGT. */
static enum kb_status store(const struct fixture *f, const char *name, bool fresh)
{
    struct kb_principal *server = principal(name);
    struct kb_cc_store what = {.owner = f->tgt->client,
                               .server = server,
                               .credential = fresh ? f->tgt : f->ticket,
                               .fresh = fresh,
                               .now = NOW};
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;
    struct kb_wait wait;
    enum kb_status st;

    kb_wait_start(&wait, 10000, true);
    st = kb_ccache_store(f->cache, &what, &wait, &stamp, &err);
    kb_wait_stop(&wait);
    kb_principal_free(server);
    return st;
}

static void put_cache(const struct fixture *f)
{
    remove_all(f);
    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_int_equal(store(f, "krbtgt/MIT.TEST@MIT.TEST", true), KB_OK);
    for (unsigned i = 0; i < 3; i++) {
        char name[64];

        snprintf(name, sizeof(name), "before%u/host@MIT.TEST", i);
        assert_int_equal(store(f, name, false), KB_OK);
    }
}

static struct kb_cc_contents *loaded(const struct fixture *f)
{
    struct kb_cc_contents *contents = NULL;
    struct kb_error err = {0};
    struct kb_wait wait;

    kb_wait_start(&wait, 10000, true);
    (void)!kb_ccache_load(f->cache, &wait, &contents, &err);
    kb_wait_stop(&wait);
    assert_int_equal(err.code, KB_E_NONE);
    return contents;
}

/* How many lines of klist's have this word; -1: there is no klist. */
static int klist_sees(const struct fixture *f, const char *word)
{
    char command[512], line[32] = "";
    FILE *out;

    if (!f->klist) {
        return -1;
    }
    snprintf(command, sizeof(command),
             "KRB5_CONFIG=/dev/null klist -c %.100s >%.60s/out && grep -c '%.60s' %.60s/out",
             f->path, f->dir, word, f->dir);
    out = popen(command, "re");
    assert_non_null(out);
    assert_non_null(fgets(line, sizeof(line), out));
    assert_int_equal(pclose(out), 0);
    return atoi(line);
}

static void holds_what_was_there(const struct fixture *f, bool look)
{
    struct kb_cc_contents *contents = loaded(f);

    assert_non_null(contents);
    assert_true(holds(contents, "krbtgt/MIT.TEST@MIT.TEST"));
    for (unsigned i = 0; i < 3; i++) {
        char name[64];

        snprintf(name, sizeof(name), "before%u/host@MIT.TEST", i);
        assert_true(holds(contents, name));
    }
    assert_true(!look || !f->klist || klist_sees(f, "before./host") == 3);
    kb_cc_contents_put(contents);
}

/* --- what is done, killed everywhere --- */

static enum kb_status append(const struct fixture *f)
{
    return store(f, "new/host@MIT.TEST", false);
}

static enum kb_status begin_anew(const struct fixture *f)
{
    return store(f, "krbtgt/MIT.TEST@MIT.TEST", true);
}

static enum kb_status remove_one(const struct fixture *f)
{
    struct kb_principal *server = principal("other/host@MIT.TEST");
    struct kb_error err = {0};
    struct kb_wait wait;
    enum kb_status st;
    size_t num;

    kb_wait_start(&wait, 10000, true);
    st = kb_ccache_remove(f->cache, f->tgt->client, server, &wait, &num, &err);
    kb_wait_stop(&wait);
    kb_principal_free(server);
    return st;
}

/* Tells whether it came through. */
static bool survives(const struct fixture *f, enum kb_status (*act)(const struct fixture *),
                     long calls)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        calls_left = calls;
        (void)!act(f);
        calls_left = -1;
        execl("/bin/true", "true", (char *)NULL); /* no leaks to be looked for */
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
                (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return WIFEXITED(status);
}

static void killed_while(const struct fixture *f, enum kb_status (*act)(const struct fixture *))
{
    long calls = 0;

    do {
        put_cache(f);
        assert_int_equal(store(f, "other/host@MIT.TEST", false), KB_OK);
        assert_true(calls < 100);
        if (survives(f, act, calls)) {
            break;
        }
        holds_what_was_there(f, true);
        /* Whoever comes next goes on. */
        assert_int_equal(store(f, "next/host@MIT.TEST", false), KB_OK);
        holds_what_was_there(f, false);
        assert_true(!f->klist || klist_sees(f, "next/host") == 1);
        assert_int_equal(begin_anew(f), KB_OK);
        holds_what_was_there(f, false);
    } while (++calls > 0);
    assert_true(calls >= 5); /* before, in and behind a write; around a close */
}

static void while_it_appends(void **state)
{
    killed_while(*state, append);
}

static void while_it_begins_anew(void **state)
{
    killed_while(*state, begin_anew);
}

static void while_it_removes(void **state)
{
    killed_while(*state, remove_one);
}

/* There is none yet: then there is none, or a whole one. */
static void while_it_makes_one(void **state)
{
    struct fixture *f = *state;
    bool survived = false;

    for (long calls = 0; !survived; calls++) {
        struct kb_cc_contents *contents;

        remove_all(f);
        assert_int_equal(mkdir(f->dir, 0700), 0);
        assert_true(calls < 100);
        survived = survives(f, begin_anew, calls);
        contents = loaded(f);
        assert_true(contents == NULL || holds(contents, "krbtgt/MIT.TEST@MIT.TEST"));
        assert_true(contents != NULL || !survived);
        kb_cc_contents_put(contents);
        assert_int_equal(begin_anew(f), KB_OK);
    }
}

int main(void)
{
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        ON_FILES(while_it_appends),
        ON_FILES(while_it_begins_anew),
        ON_FILES(while_it_removes),
        ON_FILES(while_it_makes_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
