/* The file beside a credentials cache (mech/store/beside_*, mech/login/beside_*): what survives a
 * write that was cut short, what is no such file, who waits for whom, refused secrets of other
 * processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asn1/reader.h"
#include "mech/login/beside.h"
#include "mech/login/beside_pause.h"
#include "mech/login/clock.h"
#include "mech/login/pause.h"
#include "mech/net/wait.h"
#include "mech/process.h"
#include "mech/protocol/krberror.h"
#include "mech/store/beside_file.h"
#include "tests/support/identity.h"
#include "tests/support/place.h"

#define NOW INT64_C(1795462400)

static int set_up(void **state)
{
    kb_process_start();
    return place_set_up(state);
}

/* --- the table --- */

static struct kb_beside_record record_of(uint8_t type, const char *key, const char *value)
{
    return (struct kb_beside_record){.type = type, .key = kb_str(key), .value = kb_str(value)};
}

static const char *value_of(const struct kb_beside_table *table, uint8_t type, const char *key)
{
    static char text[64];
    struct kb_beside_record record;

    if (!kb_beside_find(table, type, kb_str(key), &record)) {
        return NULL;
    }
    snprintf(text, sizeof(text), "%.*s", (int)record.value.len, (const char *)record.value.ptr);
    return text;
}

/* The table of a file's image. */
static enum kb_status pick(const uint8_t *image, size_t len, struct kb_beside_table *out)
{
    size_t first = len < KB_BESIDE_SLOT ? len : KB_BESIDE_SLOT;
    const kb_bytes slots[2] = {kb_bytes_of(image, first), kb_bytes_of(image + first, len - first)};

    return kb_beside_pick(slots, out);
}

/* The image of a file after `changes` were made one after the other. */
static size_t write_image(uint8_t image[KB_BESIDE_FILE], const struct kb_beside_record *changes,
                          size_t num)
{
    static uint8_t slot[KB_BESIDE_SLOT];

    memset(image, 0, KB_BESIDE_FILE);
    for (size_t i = 0; i < num; i++) {
        struct kb_beside_table table;
        size_t len;

        (void)!pick(image, KB_BESIDE_FILE, &table);
        len = kb_beside_make(&table, &changes[i], 1, NOW, slot);
        memcpy(image + (table.slot ^ 1) * KB_BESIDE_SLOT, slot, len);
    }
    return KB_BESIDE_FILE;
}

static void changes_are_found(void **state)
{
    static uint8_t image[KB_BESIDE_FILE];
    const struct kb_beside_record changes[] = {
        record_of(KB_BESIDE_HINT, "alice", "one"),
        record_of(KB_BESIDE_REALM, "alice", "realm"),
        record_of(KB_BESIDE_PAUSE, "alice", "pause"),
        record_of(KB_BESIDE_HINT, "alice", "two"),
        {.type = KB_BESIDE_PAUSE, .key = KB_LIT("alice")},
    };
    struct kb_beside_table table;
    struct kb_beside_record record;
    size_t position = 0, num = 0;

    (void)state;
    for (size_t i = 0; i <= 5; i++) {
        size_t len = write_image(image, changes, i);

        assert_int_equal(pick(image, len, &table), i > 0 ? KB_OK : KB_NOT_FOUND);
        assert_int_equal(table.sequence, i);
        if (i >= 1) {
            assert_string_equal(value_of(&table, KB_BESIDE_HINT, "alice"), i < 4 ? "one" : "two");
        }
        assert_int_equal(value_of(&table, KB_BESIDE_PAUSE, "alice") != NULL, i == 3 || i == 4);
    }
    while (kb_beside_next(&table, &position, &record)) {
        num++;
    }
    assert_int_equal(num, 2);
}

/* Whoever is killed while he writes loses that change alone: at every byte. */
static void half_a_write_is_none(void **state)
{
    static uint8_t image[KB_BESIDE_FILE], after[KB_BESIDE_FILE], cut[KB_BESIDE_FILE];
    const struct kb_beside_record changes[] = {
        record_of(KB_BESIDE_PAUSE, "alice", "refused"),
        record_of(KB_BESIDE_HINT, "alice", "aes"),
        record_of(KB_BESIDE_HINT, "alice", "camellia"),
        record_of(KB_BESIDE_REALM, "TEST", "kdc"),
    };
    struct kb_beside_table table;

    (void)state;
    for (size_t num = 1; num <= 4; num++) {
        write_image(image, changes, num - 1);
        write_image(after, changes, num);
        for (size_t at = 0; at < 300; at++) {
            size_t slot = (num - 1) % 2 * KB_BESIDE_SLOT;

            memcpy(cut, image, sizeof(cut));
            memcpy(cut + slot, after + slot, at);
            (void)!pick(cut, sizeof(cut), &table);
            /* Whole as it was, or (once the last byte is there) as it became. */
            assert_true(table.sequence == num - 1 || table.sequence == num);
            if (num > 1) {
                assert_string_equal(value_of(&table, KB_BESIDE_PAUSE, "alice"), "refused");
            }
        }
    }
}

static void a_flipped_bit_is_noticed(void **state)
{
    static uint8_t image[KB_BESIDE_FILE];
    const struct kb_beside_record change = record_of(KB_BESIDE_PAUSE, "alice", "refused");
    struct kb_beside_table table;
    size_t len = 46 + 5 + 7; /* a head of 32 bytes, one record's of 14 */

    (void)state;
    write_image(image, &change, 1);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        image[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(pick(image, sizeof(image), &table), KB_NOT_FOUND);
        assert_int_equal(table.records.len, 0);
        image[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(pick(image, cut, &table), KB_NOT_FOUND);
    }
    assert_int_equal(pick(image, len, &table), KB_OK);
}

/* What does not fit: hints go before pauses, the oldest first; what has ended goes at once. */
static void it_is_bounded(void **state)
{
    static uint8_t slots[2][KB_BESIDE_SLOT];
    static char big[4000];
    struct kb_beside_table table = {.slot = 1};
    struct kb_beside_record change;
    char key[16];

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "%u", i);
        change = record_of(i % 10 == 0 ? KB_BESIDE_PAUSE : KB_BESIDE_HINT, key,
                           i % 10 == 0 ? "pause" : big);
        change.until = i == 10 ? NOW + 5 : 0;
        assert_in_range(kb_beside_make(&table, &change, 1, NOW + i, slots[i % 2]), 32,
                        KB_BESIDE_SLOT);
        assert_int_equal(pick(slots[i % 2], KB_BESIDE_SLOT, &table), KB_OK);
        table.slot = i % 2;
    }
    assert_non_null(value_of(&table, KB_BESIDE_PAUSE, "0"));
    assert_null(value_of(&table, KB_BESIDE_PAUSE, "10"));
    assert_non_null(value_of(&table, KB_BESIDE_PAUSE, "20"));
    assert_non_null(value_of(&table, KB_BESIDE_PAUSE, "30"));
    assert_non_null(value_of(&table, KB_BESIDE_HINT, "39"));
    assert_non_null(value_of(&table, KB_BESIDE_HINT, "36"));
    assert_null(value_of(&table, KB_BESIDE_HINT, "35"));
}

/* --- the file --- */

static struct kb_beside_file opened(const char *name)
{
    struct kb_beside_file file;
    struct kb_error err = {0};

    assert_int_equal(kb_beside_open(place_path(name), true, &file, &err), KB_OK);
    return file;
}

static void change(const struct kb_beside_file *file, uint8_t type, const char *key,
                   const char *value)
{
    struct kb_beside_record record = record_of(type, key, value);
    struct kb_error err = {0};

    assert_int_equal(kb_beside_change(file, &record, 1, NOW, &err), KB_OK);
}

static void the_file_is_made(void **state)
{
    struct kb_beside_contents contents, again;
    struct kb_beside_file file;
    struct kb_error err = {0};
    struct stat st;

    (void)state;
    assert_int_equal(kb_beside_open(place_path("b"), false, &file, &err), KB_NOT_FOUND);
    assert_int_equal(err.code, KB_E_NONE);
    file = opened("b");
    assert_int_equal(stat(place_path("b"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true((fcntl(file.fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(kb_beside_load(&file, &contents), KB_NOT_FOUND);
    assert_int_equal(kb_beside_key(&contents.table).len, 0);
    kb_beside_contents_wipe(&contents);

    change(&file, KB_BESIDE_HINT, "alice", "one");
    assert_int_equal(kb_beside_load(&file, &contents), KB_OK);
    assert_string_equal(value_of(&contents.table, KB_BESIDE_HINT, "alice"), "one");
    assert_int_equal(kb_beside_key(&contents.table).len, KB_BESIDE_KEY_LEN);
    for (unsigned i = 0; i < 5; i++) {
        change(&file, KB_BESIDE_HINT, "alice", "two");
    }
    assert_int_equal(kb_beside_load(&file, &again), KB_OK);
    assert_string_equal(value_of(&again.table, KB_BESIDE_HINT, "alice"), "two");
    assert_true(kb_equal(kb_beside_key(&contents.table), kb_beside_key(&again.table)));
    kb_beside_contents_wipe(&contents);
    kb_beside_contents_wipe(&again);
    assert_true(kb_beside_is_there(&file));
    place_remove("b");
    assert_false(kb_beside_is_there(&file));
    kb_beside_close(&file);
    kb_beside_close(&file);
}

static void rubbish_is_written_over(void **state)
{
    struct kb_beside_contents contents;
    struct kb_beside_file file;

    (void)state;
    place_file("b", "this is no table at all, but somebody's shopping list\n");
    file = opened("b");
    change(&file, KB_BESIDE_HINT, "alice", "one");
    assert_int_equal(kb_beside_load(&file, &contents), KB_OK);
    assert_string_equal(value_of(&contents.table, KB_BESIDE_HINT, "alice"), "one");
    kb_beside_contents_wipe(&contents);
    kb_beside_close(&file);
}

static void assert_refused(const char *name, const char *says)
{
    struct kb_beside_file file;
    struct kb_error err = {0};

    assert_int_equal(kb_beside_open(place_path(name), true, &file, &err), KB_ERROR);
    assert_int_equal(file.fd, -1);
    if (strstr(err.text, says) == NULL) {
        fail_msg("%s: %s", name, err.text);
    }
}

static void only_a_file_of_ours_is_used(void **state)
{
    struct stat st;

    (void)state;
    place_file("target", "precious");
    assert_int_equal(symlink("target", place_path("link")), 0);
    assert_refused("link", "symbolic links");
    assert_int_equal(symlink("nowhere", place_path("dangling")), 0);
    assert_refused("dangling", "symbolic links");
    assert_int_equal(lstat(place_path("nowhere"), &st), -1);
    assert_int_equal(link(place_path("target"), place_path("second")), 0);
    assert_refused("second", "one name");
    place_remove("second");
    assert_int_equal(mkfifo(place_path("fifo"), 0600), 0);
    assert_refused("fifo", "regular file");
    assert_int_equal(mkdir(place_path("dir"), 0700), 0);
    assert_refused("dir", "irectory");
    place_file("open", "");
    place_mode("open", 0640);
    assert_refused("open", "open to others (mode 0640)");
    assert_refused("no/such/place", "No such file");
    if (geteuid() == 0) {
        place_file("theirs", "");
        assert_int_equal(chown(place_path("theirs"), 1, 1), 0);
        assert_refused("theirs", "belongs to user id 1");
    }
    assert_int_equal(stat(place_path("target"), &st), 0);
    assert_int_equal(st.st_size, 8);
}

/* --- locks --- */

static void locks_exclude(void **state)
{
    struct kb_beside_file a = opened("b"), b = opened("b");
    struct kb_beside_holder taken;

    (void)state;
    assert_true(kb_beside_try(&a, 7));
    assert_false(kb_beside_try(&b, 7));
    assert_true(kb_beside_try(&b, 8));
    assert_true(kb_beside_try(&b, KB_BESIDE_LOCKS - 1));
    assert_false(kb_beside_try(&a, 8));
    change(&b, KB_BESIDE_HINT, "alice", "one"); /* is not hindered by it */
    taken = kb_beside_taken(&b, 7);
    assert_true(taken.when > 0 && taken.when == kb_beside_taken(&a, 7).when);
    assert_int_equal(taken.pid, getpid());
    assert_false(kb_beside_is_stopped(&taken));
    kb_beside_unlock(&a, 7);
    assert_true(kb_beside_try(&b, 7));
    assert_true(taken.when != kb_beside_taken(&a, 7).when); /* it went to another hand */
    kb_beside_close(&b);
    assert_true(kb_beside_try(&a, 7));
    assert_true(kb_beside_try(&a, 8));
    kb_beside_close(&a);
}

/* A child of ours that holds `lock`, or the table's, until it is killed. */
static pid_t hold(const char *name, int64_t lock)
{
    int ready[2];
    char c;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct kb_beside_file file = opened(name);
        struct flock whole = {.l_type = F_WRLCK, .l_len = KB_BESIDE_FILE};
        bool held = lock >= 0 ? kb_beside_try(&file, (uint32_t)lock)
                              : fcntl(file.fd, F_OFD_SETLK, &whole) == 0;

        if (held && write(ready[1], "!", 1) == 1) {
            pause();
        }
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return pid;
}

static void the_kernel_frees_those_of_the_dead(void **state)
{
    struct kb_beside_file file = opened("b");
    pid_t pid = hold("b", 7);
    struct kb_beside_holder holder = kb_beside_taken(&file, 7);

    (void)state;
    assert_false(kb_beside_try(&file, 7));
    assert_int_equal(holder.pid, pid);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    assert_true(kb_beside_is_stopped(&holder));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_true(kb_beside_try(&file, 7));
    kb_beside_close(&file);
}

/* Who stands still with the table's lock: it is read as it is, and not written. */
static void nobody_waits_long_for_the_table(void **state)
{
    struct kb_beside_file file = opened("b");
    struct kb_beside_record record = record_of(KB_BESIDE_HINT, "alice", "two");
    struct kb_beside_contents contents;
    struct kb_error err = {0};
    int64_t start_ms;
    pid_t pid;

    (void)state;
    change(&file, KB_BESIDE_HINT, "alice", "one");
    pid = hold("b", -1);
    start_ms = kb_now_ms();
    assert_int_equal(kb_beside_change(&file, &record, 1, NOW, &err), KB_ERROR);
    assert_in_range(kb_now_ms() - start_ms, KB_BESIDE_PATIENCE_MS, 20 * KB_BESIDE_PATIENCE_MS);
    assert_non_null(strstr(err.text, "locked by another process"));
    assert_int_equal(kb_beside_load(&file, &contents), KB_OK);
    assert_string_equal(value_of(&contents.table, KB_BESIDE_HINT, "alice"), "one");
    kb_beside_contents_wipe(&contents);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    kb_beside_close(&file);
}

/* Two processes that change it at once lose nothing of each other's. */
static void nothing_is_lost_between_two(void **state)
{
    struct kb_beside_contents contents;
    struct kb_beside_file file = opened("b");
    char key[16];
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        file = opened("b");
    }
    for (unsigned i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "%s%u", pid == 0 ? "child" : "parent", i);
        change(&file, KB_BESIDE_HINT, key, "x");
    }
    if (pid == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(kb_beside_load(&file, &contents), KB_OK);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "child%u", i);
        assert_non_null(value_of(&contents.table, KB_BESIDE_HINT, key));
        snprintf(key, sizeof(key), "parent%u", i);
        assert_non_null(value_of(&contents.table, KB_BESIDE_HINT, key));
    }
    kb_beside_contents_wipe(&contents);
    kb_beside_close(&file);
}

/* --- refused secrets --- */

#define PAUSE 900

/* With a cache, which the file is beside. */
static struct kb_identity *cached_identity(const char *user, const char *password)
{
    char more[256];

    assert_true(snprintf(more, sizeof(more), "CredentialsCacheFile=%s", place_path("cc")) <
                (int)sizeof(more));
    return identity_of(user, password, more);
}

static bool is_paused_for(const char *user, const char *password, int64_t seconds,
                          struct kb_error *err)
{
    struct kb_identity *identity = cached_identity(user, password);
    enum kb_status st = kb_pause_check(identity, seconds, kb_now_ms(), err);

    kb_identity_put(identity);
    return st != KB_OK;
}

static bool is_paused(const char *user, const char *password)
{
    struct kb_error err = {0};

    return is_paused_for(user, password, PAUSE, &err);
}

static void refuse(const char *user, const char *password, enum kb_error_code code,
                   int32_t kdc_code)
{
    struct kb_identity *identity = cached_identity(user, password);
    struct kb_error err = {0};

    (void)kb_error_set(&err, code, "%s@TEST: KDC 192.0.2.1 refused", user);
    err.kdc_code = kdc_code;
    kb_pause_after(identity, PAUSE, kb_now_ms(), &err);
    kb_identity_put(identity);
}

/* Runs in a process that knows nothing of its parent's memory but what fork(2) copied: which is
 * none of it, as everything went into the file. */
static bool in_a_child(bool (*does)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(does() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

static bool refuse_alice(void)
{
    refuse("alice", "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED);
    return true;
}

static bool log_in_as_alice(void)
{
    struct kb_identity *identity = cached_identity("alice", "bad");

    kb_pause_end(identity);
    kb_identity_put(identity);
    return true;
}

static void a_refused_secret_is_refused_everywhere(void **state)
{
    struct kb_error err = {0};
    struct stat st;

    (void)state;
    assert_false(is_paused("alice", "bad"));
    assert_int_equal(stat(place_path("cc.kerbside"), &st), -1); /* who only asks makes none */
    assert_true(in_a_child(refuse_alice));
    assert_true(is_paused_for("alice", "bad", PAUSE, &err));
    assert_int_equal(err.code, KB_E_WRONG_PASSWORD);
    assert_int_equal(err.kdc_code, KB_KDC_PREAUTH_FAILED);
    assert_non_null(strstr(err.text, "alice@TEST: KDC 192.0.2.1 refused. That was less than a "
                                     "minute ago; the KDC is asked again in 15 minutes"));
    assert_false(is_paused("alice", "good"));
    assert_false(is_paused("bob", "bad"));
    assert_false(is_paused_for("alice", "bad", 0, &err));
    assert_true(in_a_child(log_in_as_alice));
    assert_false(is_paused("alice", "bad"));
}

static void the_secret_is_not_in_the_file(void **state)
{
    struct kb_beside_contents contents;
    struct kb_beside_file file;

    (void)state;
    refuse("alice", "correct-horse-battery", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED);
    file = opened("cc.kerbside");
    assert_int_equal(kb_beside_load(&file, &contents), KB_OK);
    assert_non_null(
        memmem(contents.table.records.ptr, contents.table.records.len, "alice@TEST", 10));
    assert_null(memmem(contents.table.records.ptr, contents.table.records.len, "horse", 5));
    kb_beside_contents_wipe(&contents);
    kb_beside_close(&file);
}

static bool revoke_alice(void)
{
    refuse("alice", "good", KB_E_CLIENT_REVOKED, 18);
    return true;
}

static struct kb_beside_pause pause_of(const char *user, const char *password)
{
    struct kb_identity *identity = cached_identity(user, password);
    struct kb_beside_pause pause;

    assert_int_equal(kb_beside_pause_find(identity, kb_clock_now(), &pause), KB_OK);
    kb_identity_put(identity);
    return pause;
}

static void short_pauses_double_between_processes(void **state)
{
    static const int64_t lengths[] = {30, 60, 120, 240, 480, 900, 900};

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        assert_true(in_a_child(revoke_alice));
        assert_int_equal(pause_of("alice", "good").length, lengths[i]);
    }
}

/* A pause that a clock far ahead began ends no later than BadSecretPause from now; one behind has
 * ended. */
static void a_clock_that_jumps_lengthens_nothing(void **state)
{
    struct kb_identity *identity = cached_identity("alice", "bad");
    int64_t now = kb_clock_now(), day = 86400;
    struct kb_beside_pause pause = {.at = now + day, .until = now + day + PAUSE, .length = PAUSE};
    struct kb_error err = {0};

    (void)state;
    (void)kb_error_set(&pause.error, KB_E_WRONG_PASSWORD, "refused");
    assert_true(kb_beside_pause_put(identity, &pause));
    assert_true(is_paused_for("alice", "bad", PAUSE, &err));
    assert_non_null(strstr(err.text, "less than a minute ago"));
    assert_non_null(strstr(err.text, "in 15 minutes"));
    assert_in_range(pause_of("alice", "bad").until, now + PAUSE, now + PAUSE + 60);
    memset(&err, 0, sizeof(err));
    assert_true(is_paused_for("alice", "bad", 120, &err)); /* this process's option is shorter */
    assert_non_null(strstr(err.text, "in 2 minutes"));

    pause.at = now - day;
    pause.until = now - day + PAUSE;
    assert_true(kb_beside_pause_put(identity, &pause));
    assert_false(is_paused("alice", "bad"));
    kb_identity_put(identity);
}

/* Where the file cannot be had, the process remembers by itself. */
static void without_the_file_the_process_remembers(void **state)
{
    (void)state;
    assert_int_equal(mkdir(place_path("cc.kerbside"), 0700), 0);
    refuse("carol", "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED);
    assert_true(is_paused("carol", "bad"));
    assert_false(is_paused("carol", "good"));
    assert_int_equal(rmdir(place_path("cc.kerbside")), 0);
}

static void pauses_are_forgotten(void **state)
{
    struct kb_ccache *cache;
    struct kb_error err = {0};
    size_t num;

    (void)state;
    assert_int_equal(kb_ccache_new(place_path("cc"), &cache, &err), KB_OK);
    assert_int_equal(kb_beside_forget(cache, &num, &err), KB_OK);
    assert_int_equal(num, 0);
    refuse("alice", "bad", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED);
    refuse("alice", "worse", KB_E_WRONG_PASSWORD, KB_KDC_PREAUTH_FAILED);
    assert_true(is_paused("alice", "bad"));
    assert_int_equal(kb_beside_forget(cache, &num, &err), KB_OK);
    assert_int_equal(num, 2);
    assert_false(is_paused("alice", "bad"));
    assert_false(is_paused("alice", "worse"));
    kb_ccache_put(cache);
}

static void odd_pauses_are_none(void **state)
{
    static const uint8_t zeros[40];
    struct kb_beside_pause pause;
    uint8_t value[40] = {0};

    (void)state;
    assert_true(kb_beside_get_pause(kb_bytes_of(zeros, 35), &pause));
    for (size_t len = 0; len < 35; len++) {
        assert_false(kb_beside_get_pause(kb_bytes_of(zeros, len), &pause));
    }
    assert_false(kb_beside_get_pause(kb_bytes_of(zeros, 36), &pause)); /* more than its text */
    value[24] = 5;                                                     /* no such kind */
    assert_false(kb_beside_get_pause(kb_bytes_of(value, 35), &pause));
    for (size_t at = 0; at < 24; at += 8) { /* times before 1970 */
        memset(value, 0, sizeof(value));
        value[at] = 0x80;
        assert_false(kb_beside_get_pause(kb_bytes_of(value, 35), &pause));
    }
}

int main(void)
{
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_found),
        cmocka_unit_test(half_a_write_is_none),
        cmocka_unit_test(a_flipped_bit_is_noticed),
        cmocka_unit_test(it_is_bounded),
        IN_PLACE(the_file_is_made),
        IN_PLACE(rubbish_is_written_over),
        IN_PLACE(only_a_file_of_ours_is_used),
        IN_PLACE(locks_exclude),
        IN_PLACE(the_kernel_frees_those_of_the_dead),
        IN_PLACE(nobody_waits_long_for_the_table),
        IN_PLACE(nothing_is_lost_between_two),
        IN_PLACE(a_refused_secret_is_refused_everywhere),
        IN_PLACE(the_secret_is_not_in_the_file),
        IN_PLACE(short_pauses_double_between_processes),
        IN_PLACE(a_clock_that_jumps_lengthens_nothing),
        IN_PLACE(without_the_file_the_process_remembers),
        IN_PLACE(pauses_are_forgotten),
        cmocka_unit_test(odd_pauses_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
