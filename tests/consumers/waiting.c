/* waiting.c WORD [ARG] TARGET - what programs do that wait, each a word on the command line:
 *
 *   plain             one login
 *   thread MS         interrupted by another thread, MS milliseconds after it began
 *   signal MS         by a signal handler
 *   idle              interrupted before it begins: nothing happens
 *   crowd MS          eight threads that want the same ticket, interrupted all at once
 *   one MS            two threads, each with a credential; that of the first is interrupted
 *   callback N        the wait callback cancels at its Nth call
 *   slow MS           a wait callback that takes its time; another thread without one
 *   again             the wait callback logs in to the same target, whose callback logs in, ...
 *   fork              the wait callback forks; in the child the call ends
 *   leg               the Error callback begins and deletes the context that it is told of
 *
 * Each call says a line: what it is, its milliseconds (since the interrupt, where there was one),
 * the reference's number of its error (0: it succeeded) and the sentence. Stacks are of 64 KiB. */
#include "config.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gssapi/gssapi_kerbside.h>

#ifdef KB_SANITIZED
enum { STACK = 4 * 65536 }; /* its frames are larger */
#else
enum { STACK = 65536 };
#endif
enum { CROWD = 8 };

static gss_OID_desc krb5_mech = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
static char *target;

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void must(int done, const char *what)
{
    if (!done) {
        fprintf(stderr, "%s failed\n", what);
        exit(2);
    }
}

/* --- one call --- */

static _Thread_local int error_code; /* of the last failure of this thread */

static void on_error(void *arg, int code, const char *description)
{
    (void)arg;
    (void)description;
    error_code = code;
}

static volatile long long fired_ms;

static void say(const char *who, OM_uint32 major, OM_uint32 minor, long long start_ms)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    long long from_ms = fired_ms != 0 ? fired_ms : start_ms;

    if (GSS_ERROR(major)) {
        gss_display_status(&ignored, minor, GSS_C_MECH_CODE, &krb5_mech, &more, &text);
    }
    printf("%s %lld %d %.*s\n", who, now_ms() - from_ms, GSS_ERROR(major) ? error_code : 0,
           (int)text.length, text.value != NULL ? (char *)text.value : "");
    fflush(stdout);
    gss_release_buffer(&ignored, &text);
}

static OM_uint32 initiate(gss_cred_id_t cred, OM_uint32 *minor)
{
    gss_buffer_desc text = {strlen(target), target}, token = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major, ignored;

    error_code = 0;
    major = gss_import_name(minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    must(major == GSS_S_COMPLETE, "gss_import_name");
    major =
        gss_init_sec_context(minor, cred, &ctx, name, &krb5_mech, GSS_C_MUTUAL_FLAG, 0,
                             GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    gss_release_name(&ignored, &name);
    return major;
}

static bool is_child;

struct call {
    const char *who;
    gss_cred_id_t cred;
    pthread_t thread;
};

static void *call(void *arg)
{
    struct call *mine = arg;
    long long start_ms = now_ms();
    OM_uint32 minor, major = initiate(mine->cred, &minor);

    say(mine->who, major, minor, start_ms);
    if (is_child) {
        _exit(0); /* it has no thread that would wait for this one */
    }
    return NULL;
}

static void begin(struct call *mine)
{
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    must(pthread_create(&mine->thread, &attr, call, mine) == 0, "pthread_create");
    pthread_attr_destroy(&attr);
}

static gss_cred_id_t acquire(void)
{
    gss_OID_set_desc mechs = {1, &krb5_mech};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor, major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_INITIATE,
                                              &cred, NULL, NULL);

    must(major == GSS_S_COMPLETE, "gss_acquire_cred");
    return cred;
}

/* --- interrupts --- */

static struct kerbside_interrupt handed;

static void fire(void)
{
    fired_ms = now_ms();
    handed.interrupt(handed.argument);
}

static void on_alarm(int number)
{
    int kept = errno;

    (void)number;
    errno = ENOTTY;
    fire();
    if (errno != ENOTTY) {
        _exit(3);
    }
    errno = kept;
}

static void by_signal(long ms)
{
    struct itimerval soon = {.it_value = {ms / 1000, ms % 1000 * 1000}};
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
}

static void one_of_two(long ms)
{
    struct call first = {.who = "first", .cred = acquire()};
    struct call second = {.who = "second", .cred = acquire()};
    OM_uint32 minor;

    must(kerbside_interrupt_cred(&minor, first.cred, &handed) == GSS_S_COMPLETE, "interrupt_cred");
    begin(&first);
    usleep(50000); /* the other waits for what this one fetches */
    begin(&second);
    usleep((useconds_t)ms * 1000);
    fire();
    pthread_join(first.thread, NULL);
    pthread_join(second.thread, NULL);
    gss_release_cred(&minor, &first.cred);
    gss_release_cred(&minor, &second.cred);
}

/* --- callbacks --- */

static struct {
    long num, cancel_at, sleep_ms;
    long long last_ms, worst_ms;
    int depth, deepest;
} turns;

static int on_wait(void *arg)
{
    long long now = now_ms();

    (void)arg;
    if (turns.last_ms != 0 && now - turns.last_ms > turns.worst_ms) {
        turns.worst_ms = now - turns.last_ms;
    }
    usleep((useconds_t)turns.sleep_ms * 1000);
    turns.last_ms = now_ms();
    return ++turns.num == turns.cancel_at;
}

static int on_wait_again(void *arg)
{
    OM_uint32 minor;
    char who[16];

    if (++turns.num > 40) {
        return 1;
    }
    turns.depth++;
    turns.deepest = turns.depth > turns.deepest ? turns.depth : turns.deepest;
    (void)initiate(GSS_C_NO_CREDENTIAL, &minor);
    if (error_code == 950) {
        snprintf(who, sizeof(who), "busy%d", turns.depth);
        say(who, GSS_S_FAILURE, minor, now_ms());
        turns.num = 100;
    }
    turns.depth--;
    return arg != NULL;
}

static int on_wait_fork(void *arg)
{
    (void)arg;
    if (turns.num++ == 0) {
        is_child = fork() == 0;
    }
    return 0;
}

static void listen_with(int (*wait)(void *arg))
{
    struct kerbside_callbacks callbacks;
    OM_uint32 minor;

    memset(&callbacks, 0, sizeof(callbacks));
    callbacks.error = on_error;
    callbacks.wait = wait;
    must(kerbside_configure(&minor, "GUIAvailable=True") == GSS_S_COMPLETE, "configure");
    must(kerbside_callbacks(&minor, &callbacks) == GSS_S_COMPLETE, "callbacks");
}

static void slowly(long ms)
{
    struct kerbside_callbacks callbacks;
    struct call first = {.who = "slow", .cred = acquire()}, second = {.who = "quick"};
    OM_uint32 minor;

    memset(&callbacks, 0, sizeof(callbacks));
    callbacks.wait = on_wait;
    turns.sleep_ms = ms;
    must(kerbside_callbacks_cred(&minor, first.cred, &callbacks) == GSS_S_COMPLETE, "callbacks");
    begin(&first);
    usleep(150000); /* it is in its callback */
    begin(&second);
    pthread_join(second.thread, NULL);
    pthread_join(first.thread, NULL);
    gss_release_cred(&minor, &first.cred);
}

/* --- a context's own callback --- */

static gss_ctx_id_t own_ctx = GSS_C_NO_CONTEXT;
static gss_name_t own_name;

static void on_error_delete(void *arg, int code, const char *description)
{
    gss_buffer_desc in = {1, (char *)"x"}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored;
    gss_ctx_id_t ctx = own_ctx;

    (void)arg;
    (void)description;
    error_code = code;
    if (ctx == GSS_C_NO_CONTEXT) {
        return;
    }
    own_ctx = GSS_C_NO_CONTEXT; /* once */
    error_code = 950;
    major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, own_name, &krb5_mech, 0, 0,
                                 GSS_C_NO_CHANNEL_BINDINGS, &in, NULL, &out, NULL, NULL);
    say("again", major, minor, now_ms());
    major = gss_delete_sec_context(&minor, &ctx, GSS_C_NO_BUFFER);
    say("delete", major, minor, now_ms());
    gss_release_buffer(&ignored, &out);
    error_code = code;
}

static void legs(void)
{
    gss_buffer_desc text = {strlen(target), target}, token = GSS_C_EMPTY_BUFFER,
                    in = {4, (char *)"junk"};
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    struct kerbside_callbacks callbacks;
    OM_uint32 major, minor;

    memset(&callbacks, 0, sizeof(callbacks));
    callbacks.error = on_error_delete;
    must(kerbside_callbacks(&minor, &callbacks) == GSS_S_COMPLETE, "callbacks");
    gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &own_name);
    major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, own_name, &krb5_mech,
                                 GSS_C_MUTUAL_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER,
                                 NULL, &token, NULL, NULL);
    must(major == GSS_S_CONTINUE_NEEDED, "the first leg");
    gss_release_buffer(&minor, &token);
    own_ctx = ctx;
    major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, own_name, &krb5_mech,
                                 GSS_C_MUTUAL_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS, &in, NULL, &token,
                                 NULL, NULL);
    say("leg", major, minor, now_ms());
    major = gss_delete_sec_context(&minor, &ctx, GSS_C_NO_BUFFER);
    say("end", major, minor, now_ms());
    gss_release_name(&minor, &own_name);
}

/* --- words --- */

static void crowd(int num, long ms)
{
    struct call calls[CROWD] = {{.who = NULL}};

    for (int i = 0; i < num; i++) {
        calls[i].who = "call";
        begin(&calls[i]);
    }
    if (ms > 0) {
        usleep((useconds_t)ms * 1000);
        fire();
    }
    for (int i = 0; i < num; i++) {
        pthread_join(calls[i].thread, NULL);
    }
}

static void with_turns(int (*wait)(void *arg))
{
    listen_with(wait);
    crowd(1, 0);
    printf("turns %lld %ld %d\n", turns.worst_ms, turns.num, turns.deepest);
}

static int run(const char *word, long number)
{
    if (strcmp(word, "plain") == 0) {
        crowd(1, 0);
    } else if (strcmp(word, "thread") == 0) {
        crowd(1, number);
    } else if (strcmp(word, "crowd") == 0) {
        crowd(CROWD, number);
    } else if (strcmp(word, "signal") == 0) {
        by_signal(number);
        crowd(1, 0);
    } else if (strcmp(word, "idle") == 0) {
        fire();
        fired_ms = 0;
        crowd(1, 0);
    } else if (strcmp(word, "one") == 0) {
        one_of_two(number);
    } else if (strcmp(word, "callback") == 0) {
        turns.cancel_at = number;
        with_turns(on_wait);
    } else if (strcmp(word, "slow") == 0) {
        slowly(number);
    } else if (strcmp(word, "again") == 0) {
        with_turns(on_wait_again);
    } else if (strcmp(word, "fork") == 0) {
        with_turns(on_wait_fork);
        must(wait(NULL) > 0, "wait");
    } else if (strcmp(word, "leg") == 0) {
        legs();
    } else {
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    OM_uint32 minor;

    if (argc < 3) {
        return 2;
    }
    target = argv[argc - 1];
    listen_with(NULL);
    must(kerbside_interrupt(&minor, &handed) == GSS_S_COMPLETE, "interrupt");
    return run(argv[1], argc > 3 ? atol(argv[2]) : 0);
}
