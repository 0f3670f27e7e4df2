/* events.c - what happens during a login, told to the program: Log, PITrail, Error.
 *
 *   cc -o events events.c -lgssapi_krb5
 *   ./events HTTP@www.example.com
 *
 * The callbacks run in the thread that logs in, and may call GSS-API themselves. */
#include "example.h"

static void on_log(void *argument, int level, const char *message, const char *type)
{
    (void)argument;
    printf("log %d (%s): %s\n", level, type, message);
}

static void on_pitrail(void *argument, int direction, const char *message)
{
    static const char *const from[] = {"client", "server", "info"};

    ++*(int *)argument;
    printf("trail, %s: %s\n", from[direction], message);
}

static void on_error(void *argument, int code, const char *description)
{
    (void)argument;
    printf("error %d: %s\n", code, description);
}

static void on_release(void *argument)
{
    printf("no more events; %d were in the trail\n", *(int *)argument);
}

int main(int argc, char **argv)
{
    int trail = 0;
    struct kerbside_callbacks callbacks = {
        .argument = &trail,
        .log = on_log,
        .pitrail = on_pitrail,
        .error = on_error,
        .release = on_release,
    };
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    if (argc != 2) {
        fprintf(stderr, "usage: events TARGET\n");
        return 2;
    }
    major = kerbside_callbacks(&minor, &callbacks);
    need("callbacks", major, minor);
    major = kerbside_configure(&minor, "LogLevel=2");
    need("LogLevel", major, minor);

    major = first_token(&minor, GSS_C_NO_CREDENTIAL, argv[1], &context, &token);
    if (GSS_ERROR(major)) {
        complain(argv[1], major, minor);
    }
    gss_release_buffer(&minor, &token);
    gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
    kerbside_callbacks(&minor, NULL);
    return GSS_ERROR(major) ? 1 : 0;
}
