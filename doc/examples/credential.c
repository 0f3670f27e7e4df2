/* credential.c - two users in one program: options in the cred store, and changed later.
 *
 *   cc -o credential credential.c -lgssapi_krb5
 *   ./credential HTTP@www.example.com alice@EXAMPLE.COM file:alice.pw bob@EXAMPLE.COM file:bob.pw
 *
 * A credential of ours may be given any option as a key of its cred store, and later by
 * kerbside_configure_cred: contexts made afterwards take notice. Tickets of the one user are never
 * used for the other. */
#include "example.h"

static gss_cred_id_t acquire(const char *user, const char *password)
{
    gss_key_value_element_desc elements[] = {{"User", user}, {"Password", password}};
    gss_key_value_set_desc store = {2, elements};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor;

    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                                  GSS_C_INITIATE, &store, &cred, NULL, NULL);
    need(user, major, minor); /* this asks no KDC yet */
    return cred;
}

static void set(gss_cred_id_t cred, const char *name, const char *value)
{
    char setting[1024];
    OM_uint32 major, minor;

    snprintf(setting, sizeof(setting), "%s=%s", name, value);
    major = kerbside_configure_cred(&minor, cred, setting);
    need(name, major, minor);
}

/* Logs in, and says as whom and whence. */
static void log_in(gss_cred_id_t cred, const char *target)
{
    static const char *const asked[] = {"User", "KDCHost", "LocalHost", "LocalPort"};
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, value;
    OM_uint32 major, minor;

    major = first_token(&minor, cred, target, &context, &token);
    need(target, major, minor);
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        major = kerbside_query_cred(&minor, cred, asked[i], &value);
        need(asked[i], major, minor);
        printf("%s %.*s%s", asked[i], (int)value.length, (const char *)value.value,
               i < 3 ? ", " : "\n");
        gss_release_buffer(&minor, &value);
    }
    gss_release_buffer(&minor, &token);
    gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
}

int main(int argc, char **argv)
{
    gss_cred_id_t cred;
    OM_uint32 major, minor;

    if (argc != 6) {
        fprintf(stderr, "usage: credential TARGET USER PASSWORD USER2 PASSWORD2\n");
        return 2;
    }
    cred = acquire(argv[2], argv[3]);
    set(cred, "Timeout", "10");
    log_in(cred, argv[1]);

    set(cred, "User", argv[4]);
    set(cred, "Password", argv[5]);
    log_in(cred, argv[1]);

    major = kerbside_reset_cred(&minor, cred); /* wipes the password */
    need("reset", major, minor);
    gss_release_cred(&minor, &cred);
    return 0;
}
