/* bench_init.c - the program that bench.py measures: it logs in through gss_* calls like any other,
 * and the environment decides by whose code. Times are nanoseconds, one result a line.
 *
 *   bench_init warm TARGET     reads "COUNT THREADS" lines; per line the CPU of one call, at best,
 *                              and the wall-clock between two calls
 *   bench_init count TARGET N  N calls with the ticket at hand, for valgrind to count
 *   bench_init cold TARGET [USER [PASSWORD-FILE]]
 *                              one first login: wall-clock and the process's CPU
 *   bench_init together TARGET THREADS [USER [PASSWORD-FILE]]
 *                              the same by threads that start at once: until the last is there;
 *                              and how many failed. With USER each acquires a credential of its own
 *   bench_init targets N       N targets (service0@localhost ...), one after the other, twice: per
 *                              target wall-clock and CPU of the first time, then of the second;
 *                              third the CPU of the first and of the second half of the first time
 *   bench_init load            the first call that loads mechanisms, and no login: time, memory
 *
 * Options in front: -s through SPNEGO; -c one credential for all calls, acquired before; -u USER
 * the same by that name.
 *
 * bench_peer is the same program with the library that BENCH_GSSAPI names, Heimdal's. */
#include <gssapi/gssapi_ext.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef BENCH_PEER
#include "bench/peer.h"
#endif

enum { BATCH = 25, MAX_THREADS = 1024, STACK = 262144 };

static char krb5_oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"; /* 1.2.840.113554.1.2.2 */
static gss_OID_desc krb5_mech = {sizeof(krb5_oid) - 1, krb5_oid};
static char spnego_oid[] = "\x2b\x06\x01\x05\x05\x02"; /* 1.3.6.1.5.5.2 */
static gss_OID_desc spnego_mech = {sizeof(spnego_oid) - 1, spnego_oid};
static char host_based_oid[] =
    "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"; /* GSS_C_NT_HOSTBASED_SERVICE */
static gss_OID_desc host_based = {sizeof(host_based_oid) - 1, host_based_oid};
static char user_name_oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01"; /* GSS_C_NT_USER_NAME */
static gss_OID_desc user_name = {sizeof(user_name_oid) - 1, user_name_oid};
static gss_OID mech = &krb5_mech;
static gss_cred_id_t kept; /* GSS_C_NO_CREDENTIAL without -c */

static uint64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void complain(const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, &krb5_mech, &more, &text);
    fprintf(stderr, "bench_init: %s: %#x: %.*s\n", what, major, (int)text.length,
            text.value ? (char *)text.value : "");
}

static void fail(const char *what, OM_uint32 major, OM_uint32 minor)
{
    complain(what, major, minor);
    exit(1);
}

static gss_name_t import(const char *text, gss_OID type)
{
    OM_uint32 major, minor;
    gss_name_t name;
    gss_buffer_desc buffer = {strlen(text), (void *)(uintptr_t)text};
    major = gss_import_name(&minor, &buffer, type, &name);
    if (GSS_ERROR(major))
        fail("gss_import_name", major, minor);
    return name;
}

/* What an initiator does until it has something to send, and the end of it. */
static int try_to_initiate(gss_name_t target, gss_cred_id_t cred)
{
    OM_uint32 major, minor, ignored;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    int there;
    major =
        gss_init_sec_context(&minor, cred, &ctx, target, mech, GSS_C_MUTUAL_FLAG, 0,
                             GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
    there = !GSS_ERROR(major) && token.length > 0;
    if (!there)
        complain("gss_init_sec_context", major, minor);
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    return there;
}

static void initiate(gss_name_t target, gss_cred_id_t cred)
{
    if (!try_to_initiate(target, cred))
        exit(1);
}

struct work {
    gss_name_t target;
    unsigned count;
    uint64_t best, started, ended;
    pthread_barrier_t *start;
};

/* The least CPU of a batch: other programs can only add to it. */
static void *measure(void *arg)
{
    struct work *w = arg;
    w->best = UINT64_MAX;
    pthread_barrier_wait(w->start);
    w->started = now(CLOCK_MONOTONIC);
    const unsigned batch = w->count < BATCH ? w->count : BATCH;
    for (unsigned done = 0; done < w->count; done += batch) {
        uint64_t start = now(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned i = 0; i < batch; i++)
            initiate(w->target, kept);
        uint64_t took = (now(CLOCK_THREAD_CPUTIME_ID) - start) / batch;
        if (took < w->best)
            w->best = took;
    }
    w->ended = now(CLOCK_MONOTONIC);
    return NULL;
}

static void warm(const char *target)
{
    char line[64];
    gss_name_t name = import(target, &host_based);
    initiate(name, kept);
    while (fgets(line, sizeof(line), stdin)) {
        unsigned count, threads;
        struct work work[MAX_THREADS];
        pthread_t thread[MAX_THREADS];
        pthread_barrier_t start;
        uint64_t worst = 0, started = UINT64_MAX, ended = 0;
        if (sscanf(line, "%u %u", &count, &threads) != 2 || threads < 1 || threads > MAX_THREADS)
            exit(2);
        pthread_barrier_init(&start, NULL, threads);
        for (unsigned i = 0; i < threads; i++) {
            work[i] = (struct work){.target = name, .count = count, .start = &start};
            pthread_create(&thread[i], NULL, measure, &work[i]);
        }
        for (unsigned i = 0; i < threads; i++) {
            pthread_join(thread[i], NULL);
            if (work[i].best > worst)
                worst = work[i].best;
            if (work[i].started < started)
                started = work[i].started;
            if (work[i].ended > ended)
                ended = work[i].ended;
        }
        pthread_barrier_destroy(&start);
        printf("%llu %llu\n", (unsigned long long)worst,
               (unsigned long long)((ended - started) / (count * threads)));
        fflush(stdout);
    }
}

static void count(const char *target, unsigned calls)
{
    gss_name_t name = import(target, &host_based);
    for (unsigned i = 0; i < calls; i++)
        initiate(name, kept);
}

/* A credential by name: with the password of a file, or as the library finds one. NULL: none. */
static gss_cred_id_t acquire(const char *user, const char *file)
{
    OM_uint32 major, minor;
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc mechs = {1, mech};
    gss_name_t name = import(user, &user_name);
    if (file) {
        char secret[256] = "";
        FILE *in = fopen(file, "r");
        if (!in || !fgets(secret, sizeof(secret), in))
            exit(2);
        fclose(in);
        gss_buffer_desc password = {strcspn(secret, "\n"), secret};
        major = gss_acquire_cred_with_password(&minor, name, &password, 0, &mechs, GSS_C_INITIATE,
                                               &cred, NULL, NULL);
    } else {
        major = gss_acquire_cred(&minor, name, 0, &mechs, GSS_C_INITIATE, &cred, NULL, NULL);
    }
    if (GSS_ERROR(major)) {
        complain("acquiring a credential", major, minor);
        return GSS_C_NO_CREDENTIAL;
    }
    return cred;
}

static void cold(const char *target, const char *user, const char *file)
{
    uint64_t wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    gss_cred_id_t cred = user ? acquire(user, file) : GSS_C_NO_CREDENTIAL;
    if (user && !cred)
        exit(1);
    initiate(import(target, &host_based), cred);
    printf("%llu %llu\n", (unsigned long long)(now(CLOCK_MONOTONIC) - wall),
           (unsigned long long)(now(CLOCK_PROCESS_CPUTIME_ID) - cpu));
}

struct once {
    gss_name_t target;
    const char *user, *file;
    pthread_barrier_t start;
    _Atomic unsigned failures;
};

static void *initiate_once(void *arg)
{
    struct once *once = arg;
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    int there;
    pthread_barrier_wait(&once->start);
    if (once->user)
        cred = acquire(once->user, once->file);
    there = (!once->user || cred) && try_to_initiate(once->target, cred);
    once->failures += !there;
    return NULL;
}

static void together(const char *target, unsigned threads, const char *user, const char *file)
{
    static struct once once;
    pthread_t thread[MAX_THREADS];
    pthread_attr_t attr;
    uint64_t wall, cpu;
    if (threads < 1 || threads > MAX_THREADS)
        exit(2);
    once.target = import(target, &host_based);
    once.user = user;
    once.file = file;
    pthread_barrier_init(&once.start, NULL, threads + 1);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&thread[i], &attr, initiate_once, &once) != 0)
            exit(2);
    wall = now(CLOCK_MONOTONIC);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    pthread_barrier_wait(&once.start);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("%llu %llu %u\n", (unsigned long long)(now(CLOCK_MONOTONIC) - wall),
           (unsigned long long)(now(CLOCK_PROCESS_CPUTIME_ID) - cpu), once.failures);
}

static void targets(unsigned count)
{
    gss_name_t *name = calloc(count, sizeof(*name));
    if (!name || count == 0)
        exit(2);
    for (unsigned i = 0; i < count; i++) {
        char text[64];
        snprintf(text, sizeof(text), "service%u@localhost", i);
        name[i] = import(text, &host_based);
    }
    uint64_t half = 0, first = 0;
    for (int round = 0; round < 2; round++) {
        uint64_t wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        for (unsigned i = 0; i < count; i++) {
            if (round == 0 && i == count / 2)
                half = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
            initiate(name[i], GSS_C_NO_CREDENTIAL);
        }
        wall = now(CLOCK_MONOTONIC) - wall;
        cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        first = round == 0 ? cpu : first;
        printf("%llu %llu\n", (unsigned long long)(wall / count),
               (unsigned long long)(cpu / count));
    }
    printf("%llu %llu\n", (unsigned long long)half, (unsigned long long)(first - half));
}

static void keep_credential(const char *user)
{
    OM_uint32 minor, major;
    gss_OID_set_desc mechs = {1, mech};
    if (user) {
        kept = acquire(user, NULL);
        if (!kept)
            exit(1);
        return;
    }
    major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_INITIATE, &kept, NULL, NULL);
    if (GSS_ERROR(major))
        fail("gss_acquire_cred", major, minor);
}

static long kib(const char *key)
{
    char line[128];
    long value = -1;
    FILE *in = fopen("/proc/self/smaps_rollup", "r");
    while (in && fgets(line, sizeof(line), in))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key), NULL, 10);
    if (in)
        fclose(in);
    return value;
}

static void load(void)
{
    OM_uint32 minor;
    gss_OID_set mechs;
    uint64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    gss_indicate_mechs(&minor, &mechs);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%llu %ld %ld\n", (unsigned long long)cpu, kib("Rss:"), kib("Anonymous:"));
}

int main(int argc, char **argv)
{
    const char *what, *user = NULL;
    int keep = 0;
#ifdef BENCH_PEER
    peer_load();
#endif
    while (argc > 1 && argv[1][0] == '-') {
        if (strcmp(argv[1], "-s") == 0)
            mech = &spnego_mech;
        else if (strcmp(argv[1], "-c") == 0)
            keep = 1;
        else if (strcmp(argv[1], "-u") == 0 && argc > 2) {
            keep = 1;
            user = argv[2];
            argc--;
            argv++;
        } else
            return 2;
        argc--;
        argv++;
    }
    what = argc > 1 ? argv[1] : "";
    if (keep)
        keep_credential(user);
    if (strcmp(what, "warm") == 0 && argc == 3)
        warm(argv[2]);
    else if (strcmp(what, "count") == 0 && argc == 4)
        count(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    else if (strcmp(what, "cold") == 0 && (argc >= 3 && argc <= 5))
        cold(argv[2], argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL);
    else if (strcmp(what, "together") == 0 && argc >= 4 && argc <= 6)
        together(argv[2], (unsigned)strtoul(argv[3], NULL, 10), argc > 4 ? argv[4] : NULL,
                 argc > 5 ? argv[5] : NULL);
    else if (strcmp(what, "targets") == 0 && argc == 3)
        targets((unsigned)strtoul(argv[2], NULL, 10));
    else if (strcmp(what, "load") == 0)
        load();
    else
        return 2;
    return 0;
}
