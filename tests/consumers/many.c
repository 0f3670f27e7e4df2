/* many.c THREADS ROUNDS TARGET... - a program with many threads that all log in at once.
 *
 * Each thread initiates to every target, beginning at another one, ROUNDS times, from a cold start
 * and with stacks of 64 KiB. It says what failed and exits 1. Built with the sanitizers that the
 * plugin is built with, it shows what a real program's threads do to it. */
#include <gssapi/gssapi_ext.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK = 65536, MAX_THREADS = 64 };

static char krb5_oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"; /* 1.2.840.113554.1.2.2 */
static gss_OID_desc krb5_mech = {sizeof(krb5_oid) - 1, krb5_oid};
static pthread_barrier_t start;
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

static void *thread(void *arg)
{
    unsigned first = *(unsigned *)arg;
    int failures = 0;
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < rounds * num_targets; i++) {
        failures += initiate(targets[(first + i) % num_targets]);
    }
    *(unsigned *)arg = (unsigned)failures;
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[MAX_THREADS];
    unsigned numbers[MAX_THREADS], failures = 0;
    pthread_attr_t attr;
    unsigned num_threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (argc < 4 || num_threads < 1 || num_threads > MAX_THREADS) {
        fputs("usage: many THREADS ROUNDS TARGET...\n", stderr);
        return 2;
    }
    rounds = (unsigned)strtoul(argv[2], NULL, 10);
    targets = argv + 3;
    num_targets = (unsigned)(argc - 3);
    pthread_barrier_init(&start, NULL, num_threads);
    pthread_attr_init(&attr);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    pthread_attr_setstacksize(&attr, STACK); /* sanitizers need more for themselves */
#endif
    for (unsigned i = 0; i < num_threads; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], &attr, thread, &numbers[i]) != 0) {
            perror("pthread_create");
            return 2;
        }
    }
    for (unsigned i = 0; i < num_threads; i++) {
        pthread_join(threads[i], NULL);
        failures += numbers[i];
    }
    pthread_attr_destroy(&attr);
    pthread_barrier_destroy(&start);
    return failures != 0;
}
