/* threads.c - one credential, one context, one name, used by many threads at once.
 *
 *   threads USER@REALM THREADS ROUNDS
 *
 * Exits with 0 if every call went as it should; says on stderr what did not. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>

static gss_cred_id_t cred;
static gss_ctx_id_t established;
static gss_name_t target, user;
static unsigned rounds;
static atomic_uint failures;
static pthread_barrier_t start;

static void wrong(const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 more = 0, ignored;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
    fprintf(stderr, "%s: %08x %.*s\n", what, major, (int)text.length, (char *)text.value);
    gss_release_buffer(&ignored, &text);
    atomic_fetch_add(&failures, 1);
}

static gss_name_t name_of(const char *text, gss_OID type)
{
    gss_buffer_desc buf = {strlen(text), (void *)(size_t)text};
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 minor, major = gss_import_name(&minor, &buf, type, &name);

    if (major != GSS_S_COMPLETE) {
        wrong("gss_import_name", major, minor);
    }
    return name;
}

static gss_ctx_id_t initiate(gss_cred_id_t with, OM_uint32 flags)
{
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    OM_uint32 ignored, minor, major;

    major = gss_init_sec_context(&minor, with, &ctx, target, GSS_C_NO_OID, flags, 0, NULL, NULL,
                                 NULL, &out, NULL, NULL);
    if (GSS_ERROR(major)) {
        wrong("gss_init_sec_context", major, minor);
    }
    gss_release_buffer(&ignored, &out);
    return ctx;
}

static void use_contexts(void)
{
    gss_ctx_id_t ctx = initiate(GSS_C_NO_CREDENTIAL, GSS_C_MUTUAL_FLAG);
    OM_uint32 ignored;

    gss_delete_sec_context(&ignored, &ctx, NULL);
    ctx = initiate(cred, 0);
    gss_delete_sec_context(&ignored, &ctx, NULL);
}

static void use_messages(void)
{
    gss_buffer_desc message = {7, (void *)(size_t) "message"}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 ignored, minor, major;

    major = gss_wrap(&minor, established, 1, GSS_C_QOP_DEFAULT, &message, NULL, &out);
    if (major != GSS_S_COMPLETE) {
        wrong("gss_wrap", major, minor);
    }
    gss_release_buffer(&ignored, &out);
    major = gss_get_mic(&minor, established, GSS_C_QOP_DEFAULT, &message, &out);
    if (major != GSS_S_COMPLETE) {
        wrong("gss_get_mic", major, minor);
    }
    gss_release_buffer(&ignored, &out);
}

static void use_questions(void)
{
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 ignored, minor, major, life;
    int equal = 0;

    major = gss_inquire_cred(&minor, cred, &name, &life, NULL, NULL);
    if (major != GSS_S_COMPLETE) {
        wrong("gss_inquire_cred", major, minor);
    }
    major = gss_compare_name(&minor, name, user, &equal);
    if (major != GSS_S_COMPLETE || !equal) {
        wrong("gss_compare_name", major, minor);
    }
    gss_release_name(&ignored, &name);
    major = gss_inquire_context(&minor, established, &name, NULL, NULL, NULL, NULL, NULL, NULL);
    if (major != GSS_S_COMPLETE) {
        wrong("gss_inquire_context", major, minor);
    }
    gss_release_name(&ignored, &name);
}

/* Each thread's error keeps its own text. */
static void use_errors(unsigned number)
{
    char service[64], shown[64];
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER, text = GSS_C_EMPTY_BUFFER;
    OM_uint32 ignored, minor, major, more = 0;
    gss_name_t name;

    snprintf(service, sizeof(service), "nosuch%u@localhost", number);
    snprintf(shown, sizeof(shown), "nosuch%u/localhost", number);
    name = name_of(service, GSS_C_NT_HOSTBASED_SERVICE);
    major = gss_init_sec_context(&minor, cred, &ctx, name, GSS_C_NO_OID, 0, 0, NULL, NULL, NULL,
                                 &out, NULL, NULL);
    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
    if (!GSS_ERROR(major) || text.value == NULL || strstr(text.value, shown) == NULL) {
        wrong("an unknown service", major, minor);
    }
    gss_release_buffer(&ignored, &text);
    gss_release_name(&ignored, &name);
}

static void *run(void *arg)
{
    unsigned number = (unsigned)(size_t)arg;

    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < rounds; i++) {
        use_contexts();
        use_messages();
        use_questions();
    }
    use_errors(number);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned num = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
    pthread_t threads[64];
    OM_uint32 ignored, minor, major;

    if (num == 0 || num > 64) {
        return 2;
    }
    rounds = (unsigned)atoi(argv[3]);
    target = name_of("HTTP@localhost", GSS_C_NT_HOSTBASED_SERVICE);
    user = name_of(argv[1], GSS_C_NT_USER_NAME);
    major = gss_acquire_cred(&minor, user, 0, GSS_C_NO_OID_SET, GSS_C_INITIATE, &cred, NULL, NULL);
    if (major != GSS_S_COMPLETE) {
        wrong("gss_acquire_cred", major, minor);
    }
    established = initiate(cred, 0);
    pthread_barrier_init(&start, NULL, num);
    for (unsigned i = 0; i < num; i++) {
        pthread_create(&threads[i], NULL, run, (void *)(size_t)i);
    }
    for (unsigned i = 0; i < num; i++) {
        pthread_join(threads[i], NULL);
    }
    gss_delete_sec_context(&ignored, &established, NULL);
    gss_release_cred(&ignored, &cred);
    gss_release_name(&ignored, &target);
    gss_release_name(&ignored, &user);
    return failures == 0 ? 0 : 1;
}
