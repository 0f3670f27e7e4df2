/* mech/options in a set-uid program (AT_SECURE): the environment and the files of others do not
 * exist. Run as root, it makes a set-uid copy of itself and looks at the world from there. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/file.h"
#include "mech/options/options.h"
#include "mech/options/password.h"
#include "mech/options/process.h"
#include "mech/options/settings.h"
#include "tests/support/place.h"

#define SOMEBODY 4711

/* Exit codes of the copy: 0 for right, else the number of what was wrong. */
static int look(const char *theirs, const char *roots)
{
    struct kb_secret_source variable = {KB_SECRET_ENV, "KERBSIDE_OPTIONS", geteuid()};
    const char *environment[KB_NUM_ENVIRONMENT];
    struct kb_settings *own = kb_settings_new();
    struct kb_standing standing;
    struct kb_watch *watched = NULL;
    struct kb_error err = {0};
    struct kb_arena arena;
    struct kb_buf buf;
    kb_bytes secret;
    bool exposed;

    if (!kb_is_secure_exec()) {
        return 77; /* a file system that knows no set-uid */
    }
    kb_environment(environment);
    for (size_t i = 0; i < KB_NUM_ENVIRONMENT; i++) {
        if (environment[i] != NULL) {
            return 1;
        }
    }
    kb_arena_init(&arena, NULL, 0, 65536);
    kb_buf_init(&buf, 1000);
    if (kb_read_file(theirs, &buf, &exposed, &arena, &watched) != EPERM || buf.len > 0) {
        return 2;
    }
    if (kb_read_file(roots, &buf, &exposed, &arena, &watched) != 0 || buf.len == 0) {
        return 3;
    }
    if (kb_secret_read(&variable, &secret, &err) != KB_ERROR ||
        kb_secret_read_descriptor("0", &secret, &err) != KB_ERROR) {
        return 4;
    }
    /* KERBSIDE_OPTIONS would make it ours. */
    if (kb_options_standing(&standing) != KB_OK || standing.ours) {
        return 5;
    }
    err = (struct kb_error){0};
    if (kb_options_process_set(KB_LIT("User=alice@R"), &err) != KB_ERROR ||
        strstr(err.text, "set-uid") == NULL || kb_options_standing(&standing) != KB_OK ||
        standing.ours) {
        return 6;
    }
    kb_settings_free(own);
    kb_buf_wipe(&buf);
    kb_arena_wipe(&arena);
    return 0;
}

static bool copy_self(const char *path)
{
    FILE *from = fopen("/proc/self/exe", "r"), *to = fopen(path, "w");
    char buffer[4096];
    size_t len;

    assert_non_null(from);
    assert_non_null(to);
    while ((len = fread(buffer, 1, sizeof(buffer), from)) > 0) {
        assert_int_equal(fwrite(buffer, 1, len, to), len);
    }
    fclose(from);
    fclose(to);
    return chown(path, SOMEBODY, (gid_t)-1) == 0 && chmod(path, 04755) == 0;
}

static void the_caller_is_not_trusted(void **state)
{
    const char *program, *theirs, *roots;
    int status;
    pid_t child;

    (void)state;
    if (geteuid() != 0) {
        skip();
    }
#ifdef KB_SANITIZED
    skip(); /* LeakSanitizer ends a set-uid program, which it may not trace */
#endif
    chmod(place_path(""), 0755);
    place_file("theirs", "text");
    place_file("roots", "text");
    place_mode("roots", 0644);
    place_mode("theirs", 0666);
    program = place_path("program");
    theirs = place_path("theirs");
    roots = place_path("roots");
    assert_true(copy_self(program));
    place_env("KERBSIDE_OPTIONS", "User=alice@R Password=x");
    child = fork();
    if (child == 0) {
        execl(program, program, theirs, roots, (char *)NULL);
        _exit(99);
    }
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    place_env("KERBSIDE_OPTIONS", NULL);
    if (WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_caller_is_not_trusted, place_set_up, place_tear_down),
    };

    return argc == 3 ? look(argv[1], argv[2]) : cmocka_run_group_tests(tests, NULL, NULL);
}
