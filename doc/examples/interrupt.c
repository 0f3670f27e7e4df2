/* interrupt.c - a login that a signal, or another thread, ends.
 *
 *   cc -pthread -o interrupt interrupt.c -lgssapi_krb5
 *   ./interrupt signal HTTP@www.example.com     (ctrl-C, or SIGALRM after a second)
 *   ./interrupt thread HTTP@www.example.com     (a thread, after a second)
 *
 * Asked for beforehand, the function ends what is under way within 100 ms, and may be called where
 * hardly anything else may: in a signal handler. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "example.h"

static struct kerbside_interrupt interruption;

static void on_signal(int number)
{
    (void)number;
    interruption.interrupt(interruption.argument);
}

static void *after_a_second(void *unused)
{
    sleep(1);
    interruption.interrupt(interruption.argument);
    return unused;
}

int main(int argc, char **argv)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored;
    pthread_t thread;

    if (argc != 3) {
        fprintf(stderr, "usage: interrupt signal|thread TARGET\n");
        return 2;
    }
    major = kerbside_interrupt(&minor, &interruption);
    need("interrupt", major, minor);
    if (strcmp(argv[1], "signal") == 0) {
        signal(SIGINT, on_signal);
        signal(SIGALRM, on_signal);
        alarm(1);
    } else if (pthread_create(&thread, NULL, after_a_second, NULL) != 0) {
        return 1;
    }
    major = first_token(&minor, GSS_C_NO_CREDENTIAL, argv[2], &context, &token);
    if (strcmp(argv[1], "signal") != 0) {
        pthread_join(thread, NULL);
    }
    if (GSS_ERROR(major)) {
        complain(argv[2], major, minor);
    } else {
        printf("logged in\n");
    }
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &context, GSS_C_NO_BUFFER);
    return GSS_ERROR(major) ? 1 : 0;
}
