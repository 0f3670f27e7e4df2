/* errors.c - provokes failures and prints what the Error callback is told: "error NUMBER TEXT".
 *
 *   config NAME=VALUE    of the process
 *   tell                 print log and trail as well
 *   cancel               a wait callback that ends each wait
 *   descriptors          no descriptor is left from here on
 *   fail CALL ERRNO      the kernel answers this system call with this errno from here on (seccomp)
 *   init TARGET          a context's first token
 *   establish TARGET     a whole context, with the platform's acceptor in this process
 *   reply HEX            the acceptor's answer, as these bytes
 *   option NAME=VALUE    of that context
 *   wrap                 a message on that context
 *   short | altered      a message of the acceptor's, cut or changed on the way
 *   export               a call that is not supported
 *
 * Prints "ok" for what went well. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gssapi/gssapi_kerbside.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

static char krb5_bytes[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
static gss_OID_desc krb5 = {9, krb5_bytes};
static gss_ctx_id_t ctx, acceptor;
static OM_uint32 minor, ignored;

static void on_error(void *arg, int number, const char *description)
{
    (void)arg;
    printf("error %d %s\n", number, description);
}

static void on_log(void *arg, int level, const char *message, const char *type)
{
    (void)arg;
    printf("log %d %s %s\n", level, type, message);
}

static void on_trail(void *arg, int direction, const char *message)
{
    (void)arg;
    printf("trail %d %s\n", direction, message);
}

static int on_wait(void *arg)
{
    (void)arg;
    return 1;
}

static void outcome(OM_uint32 major)
{
    printf("%s\n", GSS_ERROR(major) ? "failed" : "ok");
}

static void listen_to(int (*wait)(void *))
{
    struct kerbside_callbacks callbacks = {.error = on_error, .wait = wait};

    if (kerbside_callbacks(&minor, &callbacks) != GSS_S_COMPLETE) {
        printf("no callbacks\n");
        exit(1);
    }
}

static void tell(const char *unused)
{
    struct kerbside_callbacks callbacks = {.log = on_log, .pitrail = on_trail, .error = on_error};

    (void)unused;
    outcome(kerbside_callbacks(&minor, &callbacks));
}

static void cancel(const char *unused)
{
    (void)unused;
    listen_to(on_wait);
}

static void config(const char *option)
{
    outcome(kerbside_configure(&minor, option));
}

static void descriptors(const char *unused)
{
    int lowest = dup(STDOUT_FILENO);
    struct rlimit limit = {(rlim_t)lowest, (rlim_t)lowest};

    (void)unused;
    close(lowest);
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* --- the kernel --- */

static int number_of(const char *call)
{
    static const struct {
        const char *name;
        int number;
    } calls[] = {{"socket", SYS_socket},    {"connect", SYS_connect}, {"bind", SYS_bind},
                 {"sendto", SYS_sendto},    {"sendmsg", SYS_sendmsg}, {"read", SYS_read},
                 {"recvfrom", SYS_recvfrom}};

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, call) == 0) {
            return calls[i].number;
        }
    }
    printf("no call %s\n", call);
    exit(1);
}

static void fail(const char *call, int err)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number_of(call), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        printf("no seccomp\n");
        exit(1);
    }
}

/* --- contexts --- */

static OM_uint32 initiate(const char *target, gss_buffer_t in, gss_buffer_t out)
{
    gss_buffer_desc text = {strlen(target), (void *)(size_t)target};
    gss_name_t name;
    OM_uint32 major;

    gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, &krb5,
                                 GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG, 0, NULL, in, NULL, out,
                                 NULL, NULL);
    gss_release_name(&ignored, &name);
    return major;
}

static void init(const char *target)
{
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;

    outcome(initiate(target, GSS_C_NO_BUFFER, &out));
    gss_release_buffer(&ignored, &out);
}

static void establish(const char *target)
{
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER, reply = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = initiate(target, GSS_C_NO_BUFFER, &out);

    if (!GSS_ERROR(major)) {
        major = gss_accept_sec_context(&minor, &acceptor, GSS_C_NO_CREDENTIAL, &out, NULL, NULL,
                                       NULL, &reply, NULL, NULL, NULL);
    }
    gss_release_buffer(&ignored, &out);
    if (!GSS_ERROR(major)) {
        major = initiate(target, &reply, &out);
    }
    outcome(major);
    gss_release_buffer(&ignored, &reply);
    gss_release_buffer(&ignored, &out);
}

static void reply(const char *hex)
{
    char bytes[256];
    gss_buffer_desc in = {strlen(hex) / 2, bytes}, out = GSS_C_EMPTY_BUFFER;

    for (size_t i = 0; i < in.length && i < sizeof(bytes); i++) {
        unsigned byte = 0;

        sscanf(hex + 2 * i, "%2x", &byte);
        bytes[i] = (char)byte;
    }
    outcome(initiate("HTTP@localhost", &in, &out));
    gss_release_buffer(&ignored, &out);
}

static void option(const char *text)
{
    outcome(kerbside_configure_context(&minor, ctx, text));
}

static void wrap(const char *unused)
{
    gss_buffer_desc in = {5, (char[]){"hello"}}, out = GSS_C_EMPTY_BUFFER;

    (void)unused;
    outcome(gss_wrap(&minor, ctx, 1, GSS_C_QOP_DEFAULT, &in, NULL, &out));
    gss_release_buffer(&ignored, &out);
}

static void unwrap(int cut)
{
    gss_buffer_desc in = {5, (char[]){"hello"}}, token = GSS_C_EMPTY_BUFFER,
                    out = GSS_C_EMPTY_BUFFER;

    gss_wrap(&minor, acceptor, 1, GSS_C_QOP_DEFAULT, &in, NULL, &token);
    if (cut) {
        token.length = 10;
    } else {
        ((char *)token.value)[token.length - 1] ^= 1;
    }
    outcome(gss_unwrap(&minor, ctx, &token, &out, NULL, NULL));
    gss_release_buffer(&ignored, &token);
    gss_release_buffer(&ignored, &out);
}

static void cut_short(const char *unused)
{
    (void)unused;
    unwrap(1);
}

static void altered(const char *unused)
{
    (void)unused;
    unwrap(0);
}

static void export_context(const char *unused)
{
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;

    (void)unused;
    outcome(gss_export_sec_context(&minor, &ctx, &out));
    gss_release_buffer(&ignored, &out);
}

static const struct word {
    const char *name;
    void (*run)(const char *argument);
    int num_arguments;
} words[] = {
    {"config", config, 1},   {"tell", tell, 0},
    {"cancel", cancel, 0},   {"descriptors", descriptors, 0},
    {"init", init, 1},       {"establish", establish, 1},
    {"reply", reply, 1},     {"option", option, 1},
    {"wrap", wrap, 0},       {"short", cut_short, 0},
    {"altered", altered, 0}, {"export", export_context, 0},
};

static char **run(char **args)
{
    if (strcmp(args[0], "fail") == 0 && args[1] != NULL && args[2] != NULL) {
        fail(args[1], atoi(args[2]));
        return args + 3;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].name, args[0]) == 0 &&
            (words[i].num_arguments == 0 || args[1] != NULL)) {
            words[i].run(words[i].num_arguments > 0 ? args[1] : NULL);
            return args + 1 + words[i].num_arguments;
        }
    }
    printf("what is %s?\n", args[0]);
    exit(2);
}

int main(int argc, char **argv)
{
    char **args = argv + 1;

    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    listen_to(NULL);
    while (*args != NULL) {
        args = run(args);
    }
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    gss_delete_sec_context(&ignored, &acceptor, GSS_C_NO_BUFFER);
    return 0;
}
