/* token.c - the bare KRB_AP_REQ, for a protocol that carries it without GSS-API around it.
 *
 *   cc -o token token.c -lgssapi_krb5
 *   ./token HTTP@www.example.com
 *
 * Prints AuthToken in Base64. An option of one context can be set once it has made its first token;
 * what has acted by then (where the KDC is, say) cannot be changed any more. */
#include "example.h"

int main(int argc, char **argv)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, value;
    OM_uint32 major, minor;

    if (argc != 2) {
        fprintf(stderr, "usage: token TARGET\n");
        return 2;
    }
    major = first_token(&minor, GSS_C_NO_CREDENTIAL, argv[1], &context, &token);
    need(argv[1], major, minor);

    major = kerbside_configure_context(&minor, context, "EncodeAuthToken=True");
    need("EncodeAuthToken", major, minor);
    major = kerbside_query_context(&minor, context, "AuthToken", &value);
    need("AuthToken", major, minor);
    printf("%.*s\n", (int)value.length, (const char *)value.value);
    gss_release_buffer(&minor, &value);

    major = kerbside_configure_context(&minor, context, "LocalPort=1024");
    if (GSS_ERROR(major)) {
        complain("LocalPort", major, minor);
    }
    gss_release_buffer(&minor, &token);
    gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
    return 0;
}
