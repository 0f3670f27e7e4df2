/* wait.c - a program that stays alive while a login waits for the network, and may give up.
 *
 *   cc -o wait wait.c -lgssapi_krb5
 *   ./wait HTTP@www.example.com 20
 *
 * With GUIAvailable=True the wait callback is called at least every 100 ms: a place to redraw a
 * window, or to count, as here; after as many turns as the second argument says it cancels. */
#include "example.h"

struct patience {
    int turns, most;
};

static int on_wait(void *argument)
{
    struct patience *patience = argument;

    return ++patience->turns >= patience->most; /* not 0: cancel */
}

int main(int argc, char **argv)
{
    struct patience patience = {0, argc == 3 ? atoi(argv[2]) : 0};
    struct kerbside_callbacks callbacks = {.argument = &patience, .wait = on_wait};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored;

    if (argc != 3) {
        fprintf(stderr, "usage: wait TARGET TURNS\n");
        return 2;
    }
    major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                             GSS_C_INITIATE, &cred, NULL, NULL);
    need("credential", major, minor);
    /* For this credential's calls alone; kerbside_callbacks would be for all. */
    major = kerbside_callbacks_cred(&minor, cred, &callbacks);
    need("callbacks", major, minor);
    major = kerbside_configure_cred(&minor, cred, "GUIAvailable=True");
    need("GUIAvailable", major, minor);

    major = first_token(&minor, cred, argv[1], &context, &token);
    printf("%s after %d turns\n", GSS_ERROR(major) ? "ended" : "logged in", patience.turns);
    if (GSS_ERROR(major)) {
        complain(argv[1], major, minor);
    }
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &context, GSS_C_NO_BUFFER);
    gss_release_cred(&ignored, &cred);
    return GSS_ERROR(major) ? 1 : 0;
}
