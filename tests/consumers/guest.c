/* guest.c - what hosts do that a plugin must bear, each a word on the command line:
 *
 *   plain           one login
 *   threads         logins on stacks of 64 KiB
 *   descriptors     a login with 3000 descriptors open
 *   closed          a login with stdin, stdout and stderr closed; then nothing of ours is on them
 *   exhausted       a login, then one to a new target with no descriptor left
 *   fork            logins before a fork, in the child and after it
 *   forkfirst       the first login is in a child
 *   exit            a login in an atexit handler that was registered before the first login
 *   destructor      a login in a destructor, after OpenSSL has cleaned up
 *   daemon          a login, daemon(3), and one to a new target
 *   chroot DIR      a login, chroot, the same target and a new one
 *   euid            logins as root, as nobody, as root
 *   alarms          logins under a storm of signals
 *   untouched       signal handlers, mask, locale, umask and directory are after a login as before
 *
 * Says "ok" or the sentence of the failure for each login. It knows libgssapi only. */
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gssapi/gssapi.h>

enum { STACK = 65536, NOBODY = 65534 };

static int out = STDOUT_FILENO;
static int at_end;
static char krb5_oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
static gss_OID_desc krb5 = {sizeof(krb5_oid) - 1, krb5_oid};

static void say(const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    char line[2048];

    if (GSS_ERROR(major)) {
        gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
        snprintf(line, sizeof(line), "%s: %.*s\n", what, (int)text.length, (char *)text.value);
        gss_release_buffer(&ignored, &text);
    } else {
        snprintf(line, sizeof(line), "%s: ok\n", what);
    }
    if (write(out, line, strlen(line)) < 0) {
        _exit(3);
    }
}

static void initiate(const char *what, const char *target)
{
    gss_buffer_desc text = {strlen(target), (void *)(size_t)target}, token = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major, minor, ignored;

    gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, &krb5, GSS_C_MUTUAL_FLAG,
                                 0, NULL, NULL, NULL, &token, NULL, NULL);
    if (what != NULL) {
        say(what, major, minor);
    }
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &ctx, NULL);
    gss_release_name(&ignored, &name);
}

static void one(const char *what)
{
    initiate(what, "HTTP@localhost");
}

static void *one_thread(void *what)
{
    one(what);
    return what;
}

static void start(pthread_t *thread, void *(*run)(void *), const char *what)
{
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    if (pthread_attr_setstacksize(&attr, STACK) != 0 ||
        pthread_create(thread, &attr, run, (void *)(size_t)what) != 0) {
        _exit(3);
    }
    pthread_attr_destroy(&attr);
}

static void threads(void)
{
    pthread_t thread[4];

    for (int i = 0; i < 4; i++) {
        start(&thread[i], one_thread, "thread");
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
    }
}

static void descriptors(void)
{
    struct rlimit limit = {4000, 4000};

    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 3000; i++) {
        if (dup(out) < 0) {
            _exit(77);
        }
    }
    one("descriptors");
}

static void closed(void)
{
    out = fcntl(STDOUT_FILENO, F_DUPFD, 50);
    for (int fd = 0; fd < 3; fd++) {
        close(fd);
    }
    one("closed");
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            say("a descriptor of ours stayed on 0, 1 or 2", 0, 0);
        }
    }
}

static void exhausted(void)
{
    one("before");
    while (dup(out) >= 0) {
    }
    one("same");
    initiate("new", "other@localhost");
}

static void forks(void)
{
    pid_t child;

    one("before");
    child = fork();
    if (child == 0) {
        one("child, same");
        initiate("child, new", "other@localhost");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    initiate("after", "other@localhost");
}

static void fork_first(void)
{
    pid_t child = fork();

    if (child == 0) {
        one("child");
        exit(0);
    }
    waitpid(child, NULL, 0);
}

static void last_one(void)
{
    one("at exit");
}

static void become_daemon(void)
{
    one("before");
    out = fcntl(STDOUT_FILENO, F_DUPFD, 50);
    if (daemon(0, 0) != 0) {
        _exit(3);
    }
    initiate("daemon", "other@localhost");
}

static void change_root(const char *dir)
{
    one("before");
    if (chroot(dir) != 0 || chdir("/") != 0) {
        _exit(77);
    }
    one("same");
    initiate("new", "other@localhost");
}

static void change_euid(void)
{
    one("root");
    if (seteuid(NOBODY) != 0) {
        _exit(77);
    }
    one("nobody");
    if (seteuid(0) != 0) {
        _exit(77);
    }
    one("root again");
}

static void on_alarm(int number)
{
    (void)number;
}

static void alarms(void)
{
    struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    one("alarms");
    initiate("alarms", "other@localhost");
    setitimer(ITIMER_REAL, &never, NULL);
}

static void untouched(void)
{
    struct sigaction action;
    sigset_t mask;
    char dir[4096];

    setlocale(LC_ALL, "C");
    umask(027);
    if (chdir("/") != 0) {
        _exit(3);
    }
    one("untouched");
    for (int i = 1; i < 32; i++) {
        /* A shell starts what is in the background with some ignored. */
        if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
            action.sa_handler != SIG_IGN) {
            say("a handler of ours stayed", 0, 0);
        }
    }
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!sigisemptyset(&mask) || umask(0) != 027 || strcmp(setlocale(LC_ALL, NULL), "C") != 0 ||
        getcwd(dir, sizeof(dir)) == NULL || strcmp(dir, "/") != 0) {
        say("something of the host's was changed", 0, 0);
    }
}

static void destructor(void) __attribute__((destructor));
static void destructor(void)
{
    if (at_end) {
        one("destructor");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        void (*run)(void);
    } words[] = {
        {"threads", threads},  {"descriptors", descriptors},
        {"closed", closed},    {"exhausted", exhausted},
        {"fork", forks},       {"forkfirst", fork_first},
        {"euid", change_euid}, {"daemon", become_daemon},
        {"alarms", alarms},    {"untouched", untouched},
    };
    const char *word = argc > 1 ? argv[1] : "plain";

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i].word) == 0) {
            words[i].run();
            return 0;
        }
    }
    if (strcmp(word, "chroot") == 0 && argc > 2) {
        change_root(argv[2]);
        return 0;
    }
    if (strcmp(word, "exit") == 0) {
        atexit(last_one);
    }
    at_end = strcmp(word, "destructor") == 0;
    one(word);
    return 0;
}
