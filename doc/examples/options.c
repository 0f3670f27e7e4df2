/* options.c - options of the process: set, asked, taken back.
 *
 *   cc -o options options.c -lgssapi_krb5
 *   ./options Timeout=5 KDCHost=kdc.example.com User Timeout KDCHost
 *
 * NAME=VALUE sets, NAME asks. What is set here holds for the credentials and contexts that the
 * process makes afterwards, and wins over files and environment. */
#include "example.h"

int main(int argc, char **argv)
{
    gss_buffer_desc value;
    OM_uint32 major, minor;

    for (int i = 1; i < argc; i++) {
        if (strchr(argv[i], '=') != NULL) {
            major = kerbside_configure(&minor, argv[i]);
            need(argv[i], major, minor);
        } else {
            major = kerbside_query(&minor, argv[i], &value);
            need(argv[i], major, minor);
            printf("%s: %.*s\n", argv[i], (int)value.length, (const char *)value.value);
            gss_release_buffer(&minor, &value);
        }
    }
    major = kerbside_reset(&minor); /* every option back to what files and environment say */
    need("reset", major, minor);
    return 0;
}
