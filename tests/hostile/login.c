/* login - a process that logs in, once per line of its input, each time in a child of its own.
 *
 * The line: options, target, mechanism (krb5 or spnego, or krb5+deleg: the TGT is forwarded) and how
 * often, separated by tabs. The child makes contexts with mutual authentication. It writes
 *
 *     token HEX
 *     more                             now it waits for a line of hex, the service's answer
 *     result MAJOR MINOR CLIENT SERVICE LIFETIME FLAGS MIC
 *     text SENTENCES                   of gss_display_status: major, bar, minor
 *     again                            now it waits for a line before the next one
 *
 * and its parent, when the child is gone:
 *
 *     exit STATUS CPU-MICROSECONDS WALL-MILLISECONDS PEAK-KIB
 *
 * With KB_HOSTILE_ONE in the environment there are no children. */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 8

static char line[1 << 18];
static gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};

static int read_line(void)
{
    size_t len;

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 0;
    }
    len = strlen(line);
    if (len > 0 && line[len - 1] == '\n') {
        line[len - 1] = '\0';
    }
    return 1;
}

static void print_hex(const gss_buffer_desc *buf)
{
    for (size_t i = 0; i < buf->length; i++) {
        printf("%02x", ((const unsigned char *)buf->value)[i]);
    }
}

static size_t from_hex(unsigned char *out)
{
    size_t len = strlen(line) / 2;

    for (size_t i = 0; i < len; i++) {
        unsigned int byte = 0;

        (void)sscanf(line + 2 * i, "%2x", &byte);
        out[i] = (unsigned char)byte;
    }
    return len;
}

static void print_name(gss_name_t name)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    if (name == GSS_C_NO_NAME || gss_display_name(&minor, name, &text, NULL) != GSS_S_COMPLETE) {
        printf(" -");
        return;
    }
    printf(" %.*s", (int)text.length, (char *)text.value);
    gss_release_buffer(&minor, &text);
}

static void print_status(OM_uint32 code, int kind)
{
    OM_uint32 more = 0, minor;

    do {
        gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

        if (gss_display_status(&minor, code, kind, (gss_OID)gss_mech_krb5, &more, &text) !=
            GSS_S_COMPLETE) {
            printf("(display failed) ");
            break;
        }
        printf("%.*s ", (int)text.length, (char *)text.value);
        gss_release_buffer(&minor, &text);
    } while (more != 0);
}

static void print_context(gss_ctx_id_t ctx)
{
    gss_buffer_desc message = {5, (void *)"hello"}, mic = GSS_C_EMPTY_BUFFER;
    gss_name_t client = GSS_C_NO_NAME, service = GSS_C_NO_NAME;
    OM_uint32 minor, life = 0, flags = 0;

    gss_inquire_context(&minor, ctx, &client, &service, &life, NULL, &flags, NULL, NULL);
    print_name(client);
    print_name(service);
    printf(" %u %x ", life, flags);
    if (gss_get_mic(&minor, ctx, GSS_C_QOP_DEFAULT, &message, &mic) == GSS_S_COMPLETE) {
        print_hex(&mic);
    }
    gss_release_buffer(&minor, &mic);
    gss_release_name(&minor, &client);
    gss_release_name(&minor, &service);
}

static void log_in(char *target, gss_OID mech, OM_uint32 more_flags)
{
    gss_buffer_desc name_text = {strlen(target), target};
    gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major, minor, ignored;
    int round = 0;

    major = gss_import_name(&minor, &name_text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    while (!GSS_ERROR(major)) {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, mech,
                                     GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG |
                                         GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | more_flags,
                                     0, GSS_C_NO_CHANNEL_BINDINGS, &in, NULL, &out, NULL, NULL);
        free(in.value);
        in = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
        if (out.length > 0) {
            printf("token ");
            print_hex(&out);
            printf("\n");
            fflush(stdout);
        }
        gss_release_buffer(&ignored, &out);
        if (major != GSS_S_CONTINUE_NEEDED || ++round == ROUNDS) {
            break;
        }
        printf("more\n");
        fflush(stdout);
        if (!read_line()) {
            break;
        }
        in.value = malloc(sizeof(line) / 2);
        in.length = from_hex(in.value);
    }
    printf("result %08x %08x", major, minor);
    if (major == GSS_S_COMPLETE) {
        print_context(ctx);
    }
    printf("\ntext ");
    if (GSS_ERROR(major)) {
        print_status(major, GSS_C_GSS_CODE);
        printf("| ");
        print_status(minor, GSS_C_MECH_CODE);
    }
    printf("\n");
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    gss_release_name(&ignored, &name);
}

static void run(void)
{
    char *copy = strdup(line), *target = strchr(copy, '\t'), *mech, *times;

    *target++ = '\0';
    mech = strchr(target, '\t');
    *mech++ = '\0';
    times = strchr(mech, '\t');
    *times++ = '\0';
    setenv("KERBSIDE_OPTIONS", copy, 1);
    for (int left = atoi(times); left > 0; left--) {
        log_in(target, strcmp(mech, "spnego") == 0 ? &spnego : (gss_OID)gss_mech_krb5,
               strcmp(mech, "krb5+deleg") == 0 ? GSS_C_DELEG_FLAG : 0);
        if (left > 1) {
            printf("again\n");
            fflush(stdout);
            (void)read_line();
        }
    }
    free(copy);
    fflush(stdout);
}

int main(void)
{
    /* What one process loads once is loaded, and nothing of ours is read yet. */
    OM_uint32 minor;
    gss_OID_set mechs = GSS_C_NO_OID_SET;

    gss_indicate_mechs(&minor, &mechs);
    gss_release_oid_set(&minor, &mechs);
    while (read_line()) {
        struct timespec begin, end;
        struct rusage use = {0};
        int status = 0;
        pid_t pid;

        clock_gettime(CLOCK_MONOTONIC, &begin);
        if (getenv("KB_HOSTILE_ONE") != NULL) {
            run();
        } else if ((pid = fork()) == 0) {
            run();
            exit(0); /* not _exit: leaks are looked for */
        } else {
            wait4(pid, &status, 0, &use);
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("exit %d %ld %ld %ld\n", status,
               (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000L + use.ru_utime.tv_usec +
                   use.ru_stime.tv_usec,
               (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000,
               use.ru_maxrss);
        fflush(stdout);
    }
    return 0;
}
