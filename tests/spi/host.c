/* host.c - a host as Java is one: libgssapi opened RTLD_LOCAL, calls from a thread with a stack of
 * 64 KiB, a fork in between, and dlclose before the end.
 *
 *   host [TARGET]... - initiates to each; prints "ok" or the sentence of the failure. Exits with 0.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gssapi/gssapi.h>

static __typeof__(gss_import_name) *import_name;
static __typeof__(gss_init_sec_context) *init_sec_context;
static __typeof__(gss_delete_sec_context) *delete_sec_context;
static __typeof__(gss_display_status) *display_status;
static __typeof__(gss_release_buffer) *release_buffer;
static __typeof__(gss_release_name) *release_name;

static gss_OID_desc host_based = {10, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"};

static void *initiate(void *arg)
{
    gss_buffer_desc text = {strlen(arg), arg}, out = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 minor, ignored, more = 0;

    import_name(&minor, &text, &host_based, &name);
    if (GSS_ERROR(init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, GSS_C_NO_OID,
                                   GSS_C_MUTUAL_FLAG, 0, NULL, NULL, NULL, &out, NULL, NULL))) {
        display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
        printf("%.*s\n", (int)text.length, (char *)text.value);
        release_buffer(&ignored, &text);
    } else {
        printf("ok\n");
        delete_sec_context(&minor, &ctx, GSS_C_NO_BUFFER);
    }
    release_buffer(&ignored, &out);
    release_name(&ignored, &name);
    return NULL;
}

static void in_small_thread(char *target)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    pthread_create(&thread, &attr, initiate, target);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    void *library = dlopen("libgssapi_krb5.so.2", RTLD_NOW | RTLD_LOCAL);
    int status = 0;

    if (library == NULL) {
        return 2;
    }
    *(void **)&import_name = dlsym(library, "gss_import_name");
    *(void **)&init_sec_context = dlsym(library, "gss_init_sec_context");
    *(void **)&delete_sec_context = dlsym(library, "gss_delete_sec_context");
    *(void **)&display_status = dlsym(library, "gss_display_status");
    *(void **)&release_buffer = dlsym(library, "gss_release_buffer");
    *(void **)&release_name = dlsym(library, "gss_release_name");
    for (int i = 1; i < argc; i++) {
        in_small_thread(argv[i]);
        if (fork() == 0) {
            in_small_thread(argv[i]);
            return 0;
        }
        wait(&status);
        if (status != 0) {
            return 3;
        }
    }
    dlclose(library);
    return 0;
}
