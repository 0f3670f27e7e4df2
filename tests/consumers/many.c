/* many.c [time] THREADS ROUNDS TARGET... - a program with many threads that all log in at once.
 *
 * Each thread initiates to every target, beginning at another one, ROUNDS times, from a cold start
 * and with stacks of 64 KiB. It says what failed and exits 1; with `time`, how many milliseconds
 * passed from when all could begin until the last had its token, and how many of CPU. Built with
 * the sanitizers that the plugin is built with, it shows what a real program's threads do to it. */
#include "config.h"
#include <gssapi/gssapi_ext.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STACK = 65536, MAX_THREADS = 1024 };

static char krb5_oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"; /* 1.2.840.113554.1.2.2 */
static gss_OID_desc krb5_mech = {sizeof(krb5_oid) - 1, krb5_oid};
static pthread_barrier_t all_there;
static double ends[MAX_THREADS], cpu[MAX_THREADS];
static unsigned rounds;
static char **targets;
static unsigned num_targets;

static int complain(const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, &krb5_mech, &more, &text);
    fprintf(stderr, "%s: %#x: %.*s\n", what, major, (int)text.length,
            text.value ? (char *)text.value : "");
    gss_release_buffer(&ignored, &text);
    return 1;
}

static int initiate(char *target)
{
    OM_uint32 major, minor, ignored;
    gss_name_t name = GSS_C_NO_NAME;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, text = {strlen(target), target};
    int failed = 0;
    major = gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    if (!GSS_ERROR(major)) {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, &krb5_mech,
                                     GSS_C_MUTUAL_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS,
                                     GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
    }
    if (GSS_ERROR(major)) {
        failed = complain(target, major, minor);
    } else if (token.length == 0) {
        fprintf(stderr, "%s: no token\n", target);
        failed = 1;
    }
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    gss_release_name(&ignored, &name);
    return failed;
}

static double ms_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

/* What a new thread costs the C library and the kernel, its arena and the pages of its stack, is no
 * part of what is measured. */
static void touch_memory(void)
{
    volatile char pages[STACK / 2];
    for (size_t i = 0; i < sizeof(pages); i += 1024) {
        pages[i] = 0;
    }
    free(malloc(16384));
}

static void *thread(void *arg)
{
    unsigned first = *(unsigned *)arg;
    int failures = 0;
    touch_memory();
    pthread_barrier_wait(&all_there);
    pthread_barrier_wait(&all_there);
    cpu[first] = ms_of(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned i = 0; i < rounds * num_targets; i++) {
        failures += initiate(targets[(first + i) % num_targets]);
    }
    *(unsigned *)arg = (unsigned)failures;
    ends[first] = ms_of(CLOCK_MONOTONIC);
    cpu[first] = ms_of(CLOCK_THREAD_CPUTIME_ID) - cpu[first];
    pthread_barrier_wait(&all_there); /* nor is the end of a thread */
    return NULL;
}

int main(int argc, char **argv)
{
    static pthread_t threads[MAX_THREADS];
    static unsigned numbers[MAX_THREADS];
    unsigned failures = 0;
    double start, end = 0, all_cpu = 0;
    int timed = argc > 1 && strcmp(argv[1], "time") == 0;
    pthread_attr_t attr;
    argc -= timed;
    argv += timed;
    unsigned num_threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (argc < 4 || num_threads < 1 || num_threads > MAX_THREADS) {
        fputs("usage: many [time] THREADS ROUNDS TARGET...\n", stderr);
        return 2;
    }
    rounds = (unsigned)strtoul(argv[2], NULL, 10);
    targets = argv + 3;
    num_targets = (unsigned)(argc - 3);
    pthread_barrier_init(&all_there, NULL, num_threads + 1);
    pthread_attr_init(&attr);
#ifndef KB_SANITIZED
    pthread_attr_setstacksize(&attr, STACK); /* sanitizers need more for themselves */
#endif
    for (unsigned i = 0; i < num_threads; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], &attr, thread, &numbers[i]) != 0) {
            perror("pthread_create");
            return 2;
        }
    }
    pthread_barrier_wait(&all_there);
    usleep(timed ? 100000 : 0); /* they come from the one to the other */
    start = ms_of(CLOCK_MONOTONIC);
    pthread_barrier_wait(&all_there);
    pthread_barrier_wait(&all_there);
    for (unsigned i = 0; i < num_threads; i++) {
        pthread_join(threads[i], NULL);
        failures += numbers[i];
        end = ends[i] > end ? ends[i] : end;
        all_cpu += cpu[i];
    }
    if (timed) {
        printf("%.1f ms, %.1f ms of CPU\n", end - start, all_cpu);
    }
    pthread_attr_destroy(&attr);
    pthread_barrier_destroy(&all_there);
    return failures != 0;
}
