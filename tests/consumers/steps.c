/* steps.c - a service whose clock moves in steps, and a client of it, in one process.
 *
 * Reads lines "TARGET COUNT STEP" from standard input. For each it moves the clock on by STEP
 * seconds (of every program that reads $STEPS_CLOCK, libfaketime's file) and makes a context with
 * TARGET, and so COUNT times. The platform's mechanism accepts each. What fails is told as a line
 * "failed AT: ..."; the line "done FAILURES LEAST LONGEST" ends what was asked: the shortest time
 * in seconds that a context's ticket had left, and the milliseconds of the slowest call, by a clock
 * that nobody moves. With $STEPS_DELEGATE set each context forwards a TGT, whose time counts too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <gssapi/gssapi_ext.h>

static char krb5_oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"; /* 1.2.840.113554.1.2.2 */
static gss_OID_desc krb5_mech = {sizeof(krb5_oid) - 1, krb5_oid};
static long offset;

/* Past libfaketime. */
static double real_ms(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

static void read_clock(void)
{
    FILE *file = fopen(getenv("STEPS_CLOCK"), "re");

    if (file == NULL || fscanf(file, "%ld", &offset) != 1) {
        fputs("STEPS_CLOCK cannot be read\n", stderr);
        exit(2);
    }
    fclose(file);
}

static void move_clock(long step)
{
    const char *path = getenv("STEPS_CLOCK");
    char next[4096];
    FILE *file;

    offset += step;
    snprintf(next, sizeof(next), "%s.next", path);
    file = fopen(next, "we");
    if (file == NULL || fprintf(file, "+%lds\n", offset) < 0 || fclose(file) != 0 ||
        rename(next, path) != 0) {
        perror(next);
        exit(2);
    }
}

static int complain(const char *what, OM_uint32 major, OM_uint32 minor)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 ignored, more = 0;

    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, &krb5_mech, &more, &text);
    printf("failed %ld: %s: %#x: %.*s\n", offset, what, major, (int)text.length,
           text.value != NULL ? (char *)text.value : "");
    gss_release_buffer(&ignored, &text);
    return 1;
}

static int accept_it(gss_buffer_t token, OM_uint32 *out_left)
{
    gss_cred_id_t forwarded = GSS_C_NO_CREDENTIAL;
    gss_buffer_desc answer = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    OM_uint32 major, minor, ignored;
    int failed = 0;

    major =
        gss_accept_sec_context(&minor, &ctx, GSS_C_NO_CREDENTIAL, token, GSS_C_NO_CHANNEL_BINDINGS,
                               NULL, NULL, &answer, NULL, NULL, &forwarded);
    if (major != GSS_S_COMPLETE) {
        failed = complain("accepting", major, minor);
    }
    if (getenv("STEPS_DELEGATE") != NULL && forwarded == GSS_C_NO_CREDENTIAL) {
        failed = complain("no TGT was forwarded", major, minor);
    }
    if (forwarded != GSS_C_NO_CREDENTIAL) {
        OM_uint32 left = 0;

        gss_inquire_cred(&minor, forwarded, NULL, &left, NULL, NULL);
        *out_left = left < *out_left ? left : *out_left;
        gss_release_cred(&ignored, &forwarded);
    }
    gss_release_buffer(&ignored, &answer);
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    return failed;
}

static int make_context(char *target, OM_uint32 *out_left, double *out_ms)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, text = {strlen(target), target};
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 flags = GSS_C_MUTUAL_FLAG | (getenv("STEPS_DELEGATE") != NULL ? GSS_C_DELEG_FLAG : 0);
    OM_uint32 major, minor, ignored;
    double start = real_ms();
    int failed;

    *out_left = 0;
    major = gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    if (!GSS_ERROR(major)) {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, &krb5_mech, flags, 0,
                                     GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL, &token, NULL,
                                     out_left);
    }
    *out_ms = real_ms() - start;
    failed = GSS_ERROR(major) ? complain(target, major, minor) : accept_it(&token, out_left);
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    gss_release_name(&ignored, &name);
    return failed;
}

int main(void)
{
    char target[256];
    long count, step;

    while (scanf("%255s %ld %ld", target, &count, &step) == 3) {
        OM_uint32 least = GSS_C_INDEFINITE, left;
        double longest = 0, ms;
        long failures = 0;

        read_clock(); /* another of these may have moved it */
        for (long i = 0; i < count; i++) {
            move_clock(step);
            failures += make_context(target, &left, &ms);
            least = left < least ? left : least;
            longest = ms > longest ? ms : longest;
        }
        printf("done %ld %lu %.0f\n", failures, (unsigned long)least, longest);
        fflush(stdout);
    }
    return 0;
}
