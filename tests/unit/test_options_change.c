/* mech/options: what changes while a process runs: its own settings, files, the effective user, all
 * of it under threads and forks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/layers.h"
#include "mech/options/mechd.h"
#include "mech/options/options.h"
#include "mech/options/process.h"
#include "mech/options/settings.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct kb_options *get(const char *target, const char *client, struct kb_settings *own)
{
    struct kb_options_query query = {
        .target = kb_str(target), .client = kb_str(client), .own = own};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};

    if (kb_options_get(&query, &options, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
    assert_non_null(options);
    return options;
}

static void assert_user(const struct kb_options *options, const char *name)
{
    struct kb_buf buf;

    assert_non_null(options->user);
    kb_buf_init(&buf, 1000);
    kb_principal_unparse(options->user, &buf);
    assert_string_equal(kb_buf_str(&buf), name);
    kb_buf_wipe(&buf);
}

/* --- the process's own --- */

static void set_process(const char *text)
{
    struct kb_error err = {0};

    if (kb_options_process_set(kb_str(text), &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
}

static void a_process_configures_itself(void **state)
{
    const struct kb_options *before, *after;
    struct kb_principal *bob;
    struct kb_standing standing;

    (void)state;
    assert_int_equal(kb_principal_parse(KB_LIT("bob@R"), KB_NT_PRINCIPAL, KB_NONE, &bob), KB_OK);
    before = get("HTTP@www", NULL, NULL);
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_false(standing.ours || kb_options_covers(bob));
    set_process("User=bob@R");
    set_process("password = file:~/secret ");
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.ours && standing.any_identity && !standing.broken);
    assert_true(kb_options_covers(bob));
    after = get("HTTP@www", NULL, NULL);
    assert_user(after, "bob@R");
    assert_int_equal(after->user_name_from.layer, KB_LAYER_PROCESS);
    assert_null(before->user);
    kb_options_put(before);
    kb_options_process_reset();
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_false(standing.ours || kb_options_covers(bob));
    assert_user(after, "bob@R"); /* what began with it keeps it */
    kb_options_put(after);
    kb_principal_free(bob);
}

/* An option file of its own, and one identity with the layers below. */
static void a_process_is_a_layer_as_others(void **state)
{
    const struct kb_options *options;

    (void)state;
    place_line("User=alice@R Password=x Timeout=5 KDCPort=5");
    place_file("config", "Timeout = 6\nUDPLimit = 6\n[target HTTP@*]\nClockSkew = 6\n");
    place_env("KERBSIDE_OPTIONS", "KDCPort=7");
    set_process("Config=~/config");
    set_process("KDCPort=8");
    set_process("KDCPort=9");
    options = get("HTTP@www", NULL, NULL);
    assert_user(options, "alice@R");
    assert_int_equal(options->timeout, 6);
    assert_int_equal(options->udp_limit, 6);
    assert_int_equal(options->clock_skew, 6);
    assert_int_equal(options->kdc_port, 9);
    assert_int_equal(options->kdc_port_from.layer, KB_LAYER_PROCESS);
    kb_options_put(options);
    set_process("User=bob@R");
    options = get("HTTP@www", NULL, NULL);
    assert_user(options, "bob@R");
    assert_null(options->password);
    assert_non_null(options->lost_secret);
    kb_options_put(options);
    kb_options_process_reset();
    place_env("KERBSIDE_OPTIONS", NULL);
}

/* --- looking again --- */

static void changed_files_are_noticed_within_a_second_or_two(void **state)
{
    struct kb_standing standing;

    (void)state;
    place_line("User=alice@R Password=x");
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.ours);
    place_line("Timeout=5");
    for (int i = 0; i < 30 && standing.ours; i++) {
        usleep(100000);
        assert_int_equal(kb_options_standing(&standing), KB_OK);
    }
    assert_false(standing.ours);
    place_remove("mech");
    place_env("KERBSIDE_OPTIONS", "User=bob@R KeytabFile=/x"); /* at once */
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_true(standing.ours);
    place_env("KERBSIDE_OPTIONS", NULL);
    assert_int_equal(kb_options_standing(&standing), KB_OK);
    assert_false(standing.ours);
}

static void another_user_has_other_options(void **state)
{
    const struct kb_options *mine, *theirs, *again;

    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    chmod(place_path(""), 0755);
    place_line("User=u%{euid}@R KeytabFile=/x");
    place_mode("mech", 0644);
    mine = get(NULL, NULL, NULL);
    assert_user(mine, "u0@R");
    assert_int_equal(seteuid(4711), 0);
    theirs = get(NULL, NULL, NULL);
    assert_user(theirs, "u4711@R");
    assert_int_equal(theirs->euid, 4711);
    assert_int_equal(seteuid(0), 0);
    again = get(NULL, NULL, NULL);
    assert_ptr_equal(again, mine);
    kb_options_put(mine);
    kb_options_put(theirs);
    kb_options_put(again);
}

static void only_so_many_snapshots_are_kept(void **state)
{
    const struct kb_options *first, *last = NULL;
    char client[32];

    (void)state;
    place_line("User=alice@R Password=x");
    first = get(NULL, "first@R", NULL);
    for (int i = 0; i < 200; i++) {
        kb_options_put(last);
        snprintf(client, sizeof(client), "c%d@R", i);
        last = get(NULL, client, NULL);
    }
    assert_string_equal(first->user_name, "alice@R"); /* still ours to read */
    kb_options_put(first);
    kb_options_put(last);
}

static void *ask_again_and_again(void *stop)
{
    struct kb_settings *own = kb_settings_new();
    struct kb_error err = {0};
    unsigned number = 0;

    while (!atomic_load((atomic_bool *)stop)) {
        char text[32];
        struct kb_options_query query = {.target = KB_LIT("HTTP@www"),
                                         .own = number++ % 3 == 0 ? own : NULL};
        const struct kb_options *options = NULL;
        struct kb_standing standing;

        if (kb_options_get(&query, &options, &err) != KB_OK ||
            kb_options_standing(&standing) != KB_OK ||
            (options->user == NULL && options->keytab_file == NULL)) {
            abort();
        }
        snprintf(text, sizeof(text), "Timeout=%u", number % 100);
        if (number % 50 == 0 && kb_settings_set_text(own, kb_str(text), &err) != KB_OK) {
            abort();
        }
        if (number % 70 == 0 && kb_options_process_set(kb_str(text), &err) != KB_OK) {
            abort();
        }
        kb_options_put(options);
    }
    kb_settings_free(own);
    return NULL;
}

/* Each change is one whole configuration or the other, for every thread and for a child. */
static void threads_and_children_ask_while_it_changes(void **state)
{
    atomic_bool stop = false;
    pthread_t threads[4];

    (void)state;
    place_file("a", "User = alice@R\nPassword = x\n[target HTTP@*]\nTimeout = 5\n");
    place_file("b", "KeytabFile = /x\n[target ldap@*]\nTimeout = 5\n");
    place_line("Config=~/a");
    for (size_t i = 0; i < NUM(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_again_and_again, &stop), 0);
    }
    for (int i = 0; i < 20; i++) {
        pid_t child;
        int status = 0;

        place_line(i % 2 == 0 ? "Config=~/b" : "Config=~/a");
        kb_options_set_oid(KB_OWN_OID);
        usleep(20000);
        kb_options_fork_prepare();
        child = fork();
        if (child == 0) {
            struct kb_standing standing;

            kb_options_fork_child();
            /* The other threads' memory is lost here, which valgrind would tell at an exit. */
            execl("/bin/sh", "sh", "-c",
                  kb_options_standing(&standing) == KB_OK && standing.ours ? "exit 0" : "exit 1",
                  (char *)NULL);
            abort();
        }
        kb_options_fork_parent();
        assert_true(child > 0 && waitpid(child, &status, 0) == child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < NUM(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    kb_options_process_reset();
    kb_options_set_oid(KB_NONE);
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_process_configures_itself),
        IN_A_PLACE(a_process_is_a_layer_as_others),
        IN_A_PLACE(changed_files_are_noticed_within_a_second_or_two),
        IN_A_PLACE(another_user_has_other_options),
        IN_A_PLACE(only_so_many_snapshots_are_kept),
        IN_A_PLACE(threads_and_children_ask_while_it_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
