/* calls.c - the calls of gssapi_kerbside.h, one after another as the arguments say.
 *
 *   process N=V | ask N | reset | callbacks | quiet | interrupt       for the process
 *   acquire | acquire-krb5 | acquire-name NAME | release              one credential
 *   store N=V | acquire-store                     … with a cred store of all these
 *   cred N=V | cred-ask N | cred-reset | cred-callbacks NAME | cred-quiet | cred-interrupt
 *   cred-callbacks-late NAME NAME2                the first half of a call, another's, its second
 * half cred-later MS                                 its interrupt, by a thread cred-enctypes
 * N,N,...                         gss_krb5_set_allowable_enctypes; 0: all again krb5 TARGET |
 * spnego TARGET | once TARGET     a context, established with an acceptor in this process; `once`
 * without mutual authentication first TARGET                                  its first token alone
 *   ctx N=V | ctx-ask N | token | session         that context; the enctype of its session key
 *   process-password | cred-password              Password=, from a line of the standard input
 *   search DROWSSAP                               for a password in memory, given backwards
 *   export | odd                                  what else has to go well
 *   threads NUMBER ROUNDS USER USER2              that credential, changed and used by many
 *
 * A line for each; callbacks print theirs. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gssapi/gssapi_kerbside.h>
#include <gssapi/gssapi_krb5.h>

#include "tests/spi/say.h"

static gss_cred_id_t cred;
static gss_ctx_id_t ctx;
static gss_buffer_desc first; /* the context's first token, as it went out */

static void outcome(const char *what, const char *argument, OM_uint32 major)
{
    OM_uint32 saved = minor, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

    printf("%s%s%s: ", what, argument[0] != '\0' ? " " : "", argument);
    if (major == GSS_S_COMPLETE) {
        printf("ok\n");
        return;
    }
    if (saved != 0 && GSS_ERROR(major)) {
        gss_display_status(&ignored, saved, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
    }
    printf("%08x %.*s\n", major, (int)text.length, (char *)text.value);
    gss_release_buffer(&ignored, &text);
}

static void answer(const char *what, const char *name, OM_uint32 major, gss_buffer_t value)
{
    if (major == GSS_S_COMPLETE) {
        printf("%s %s: [%.*s]\n", what, name, (int)value->length, (char *)value->value);
    } else {
        outcome(what, name, major);
    }
    gss_release_buffer(&ignored, value);
}

/* --- callbacks --- */

static void on_log(void *arg, int level, const char *message, const char *type)
{
    printf("  log %s %d %s: %s\n", (char *)arg, level, type, message);
}

static void on_trail(void *arg, int direction, const char *message)
{
    printf("  trail %s %d: %.40s\n", (char *)arg, direction, message);
}

static void on_error(void *arg, int code, const char *description)
{
    printf("  error %s %d: %s\n", (char *)arg, code, description);
}

static void on_release(void *arg)
{
    printf("  released %s\n", (char *)arg);
}

static struct kerbside_callbacks callbacks_of(const char *name)
{
    return (struct kerbside_callbacks){.argument = (void *)name,
                                       .log = on_log,
                                       .pitrail = on_trail,
                                       .error = on_error,
                                       .release = on_release};
}

/* --- the process --- */

static void do_process(char **args)
{
    outcome("process", args[0], kerbside_configure(&minor, args[0]));
}

static void do_ask(char **args)
{
    gss_buffer_desc value;
    OM_uint32 major = kerbside_query(&minor, args[0], &value);

    answer("ask", args[0], major, &value);
}

static void do_reset(char **args)
{
    (void)args;
    outcome("reset", "", kerbside_reset(&minor));
}

static void do_callbacks(char **args)
{
    struct kerbside_callbacks callbacks = callbacks_of("process");

    (void)args;
    outcome("callbacks", "", kerbside_callbacks(&minor, &callbacks));
}

static void do_quiet(char **args)
{
    (void)args;
    outcome("quiet", "", kerbside_callbacks(&minor, NULL));
}

/* With nothing under way it does nothing, also to later calls. */
static void fire(const char *what, OM_uint32 major, const struct kerbside_interrupt *interrupt)
{
    outcome(what, "", major);
    if (major == GSS_S_COMPLETE) {
        interrupt->interrupt(interrupt->argument);
    }
}

static void do_interrupt(char **args)
{
    struct kerbside_interrupt interrupt;
    OM_uint32 major = kerbside_interrupt(&minor, &interrupt);

    (void)args;
    fire("interrupt", major, &interrupt);
}

/* --- a credential --- */

static pthread_t firer;
static int firing;

/* An interrupt is good as long as its credential: no longer may it be called. */
static void join_later(void)
{
    if (firing) {
        pthread_join(firer, NULL);
    }
    firing = 0;
}

static gss_cred_id_t former; /* kept: what is done to it must not concern the next */

static void keep_former(void)
{
    if (former != GSS_C_NO_CREDENTIAL) {
        join_later();
    }
    gss_release_cred(&ignored, &former);
    former = cred;
    cred = GSS_C_NO_CREDENTIAL;
}

static void do_acquire(char **args)
{
    (void)args;
    keep_former();
    outcome("acquire", "",
            gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                             GSS_C_INITIATE, &cred, NULL, NULL));
}

static void do_acquire_krb5(char **args)
{
    (void)args;
    keep_former();
    outcome("acquire", "krb5",
            gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &krb5_set, GSS_C_INITIATE,
                             &cred, NULL, NULL));
}

static void do_acquire_name(char **args)
{
    gss_buffer_desc text = {strlen(args[0]), args[0]};
    gss_name_t name = GSS_C_NO_NAME;

    keep_former();
    gss_import_name(&minor, &text, GSS_C_NT_USER_NAME, &name);
    outcome("acquire", args[0],
            gss_acquire_cred(&minor, name, GSS_C_INDEFINITE, GSS_C_NO_OID_SET, GSS_C_INITIATE,
                             &cred, NULL, NULL));
    gss_release_name(&ignored, &name);
}

static gss_key_value_element_desc elements[16];
static gss_key_value_set_desc stored = {0, elements};

static void do_store(char **args)
{
    char *equals = strchr(args[0], '=');

    *equals = '\0';
    if (stored.count < 16) {
        elements[stored.count++] = (gss_key_value_element_desc){args[0], equals + 1};
    }
}

static void do_acquire_store(char **args)
{
    (void)args;
    keep_former();
    outcome("acquire", "store",
            gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                                  GSS_C_INITIATE, &stored, &cred, NULL, NULL));
    stored.count = 0;
}

static void do_release(char **args)
{
    (void)args;
    outcome("release", "", gss_release_cred(&minor, &cred));
}

static void do_cred(char **args)
{
    outcome("cred", args[0], kerbside_configure_cred(&minor, cred, args[0]));
}

static void do_cred_ask(char **args)
{
    gss_buffer_desc value;
    OM_uint32 major = kerbside_query_cred(&minor, cred, args[0], &value);

    answer("cred-ask", args[0], major, &value);
}

static void do_cred_enctypes(char **args)
{
    krb5_enctype list[16];
    OM_uint32 num = 0;

    for (const char *at = args[0]; *at != '\0' && num < 16; at += strspn(at, ",")) {
        list[num++] = (krb5_enctype)strtol(at, (char **)&at, 10);
    }
    outcome("cred-enctypes", args[0],
            gss_krb5_set_allowable_enctypes(&minor, cred, num, list[0] != 0 ? list : NULL));
}

static void do_cred_reset(char **args)
{
    (void)args;
    outcome("cred-reset", "", kerbside_reset_cred(&minor, cred));
}

static void do_cred_callbacks(char **args)
{
    struct kerbside_callbacks callbacks = callbacks_of(args[0]);

    outcome("cred-callbacks", args[0], kerbside_callbacks_cred(&minor, cred, &callbacks));
}

/* Between the two halves of a call (for krb5 and below SPNEGO) another thread's comes: what the
 * first half registered is released, and the second has its struct as the first left it. */
static void do_cred_callbacks_late(char **args)
{
    gss_OID_desc object = KERBSIDE_CALLBACKS_OID;
    struct kerbside_callbacks callbacks = callbacks_of(args[0]), others = callbacks_of(args[1]);

    callbacks.size = sizeof(callbacks);
    outcome("cred-callbacks", args[0],
            kerbside_set_cred(&minor, cred, object, &callbacks, sizeof(callbacks)));
    outcome("cred-callbacks", args[1], kerbside_callbacks_cred(&minor, cred, &others));
    outcome("cred-callbacks-late", args[0],
            kerbside_set_cred(&minor, cred, object, &callbacks, sizeof(callbacks)));
}

static void do_cred_quiet(char **args)
{
    (void)args;
    outcome("cred-quiet", "", kerbside_callbacks_cred(&minor, cred, NULL));
}

static void do_cred_interrupt(char **args)
{
    struct kerbside_interrupt interrupt;
    OM_uint32 major = kerbside_interrupt_cred(&minor, cred, &interrupt);

    (void)args;
    fire("cred-interrupt", major, &interrupt);
}

struct later {
    struct kerbside_interrupt interrupt;
    struct timespec after;
};

static void *fire_later(void *arg)
{
    struct later *later = arg;

    nanosleep(&later->after, NULL);
    later->interrupt.interrupt(later->interrupt.argument);
    free(later);
    return NULL;
}

static void do_cred_later(char **args)
{
    struct later *later = calloc(1, sizeof(*later));
    long ms = atol(args[0]);

    later->after = (struct timespec){ms / 1000, ms % 1000 * 1000000};
    outcome("cred-later", args[0], kerbside_interrupt_cred(&minor, cred, &later->interrupt));
    join_later();
    firing = pthread_create(&firer, NULL, fire_later, later) == 0;
}

/* --- a context --- */

static void forget_context(void)
{
    gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    gss_release_buffer(&ignored, &first);
}

static OM_uint32 initiate(const char *text, gss_OID mech, OM_uint32 flags, gss_buffer_t in,
                          gss_buffer_t out)
{
    gss_buffer_desc buffer = {strlen(text), (void *)text};
    gss_name_t target = GSS_C_NO_NAME;
    OM_uint32 major;

    gss_import_name(&minor, &buffer, GSS_C_NT_HOSTBASED_SERVICE, &target);
    major = gss_init_sec_context(&minor, cred, &ctx, target, mech, flags, 0, NULL, in, NULL, out,
                                 NULL, NULL);
    gss_release_name(&ignored, &target);
    return major;
}

static void print_source(const char *what, const char *argument, gss_name_t source)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

    gss_display_name(&ignored, source, &text, NULL);
    printf("%s %s: as %.*s\n", what, argument, (int)text.length, (char *)text.value);
    gss_release_buffer(&ignored, &text);
}

static void establish(const char *what, const char *target, gss_OID mech, OM_uint32 flags)
{
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t acceptor = GSS_C_NO_CONTEXT;
    gss_name_t source = GSS_C_NO_NAME;
    OM_uint32 major, theirs = GSS_S_CONTINUE_NEEDED;

    forget_context();
    major = initiate(target, mech, flags, NULL, &out);
    first = out;
    while (!GSS_ERROR(major) && out.length > 0) {
        gss_release_name(&ignored, &source);
        gss_release_buffer(&ignored, &back);
        theirs = gss_accept_sec_context(&minor, &acceptor, GSS_C_NO_CREDENTIAL, &out, NULL, &source,
                                        NULL, &back, NULL, NULL, NULL);
        if (out.value != first.value) {
            gss_release_buffer(&ignored, &out);
        }
        out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(theirs)) {
            major = theirs;
        } else if (major == GSS_S_CONTINUE_NEEDED) {
            major = initiate(target, mech, flags, &back, &out);
        }
    }
    if (major == GSS_S_COMPLETE && theirs == GSS_S_COMPLETE) {
        print_source(what, target, source);
    } else {
        outcome(what, target, major);
    }
    gss_release_name(&ignored, &source);
    gss_release_buffer(&ignored, &back);
    gss_delete_sec_context(&ignored, &acceptor, GSS_C_NO_BUFFER);
}

static void do_krb5(char **args)
{
    establish("krb5", args[0], &krb5_oid, GSS_C_MUTUAL_FLAG);
}

static void do_spnego(char **args)
{
    establish("spnego", args[0], &spnego_oid, GSS_C_MUTUAL_FLAG);
}

static void do_once(char **args)
{
    establish("once", args[0], &krb5_oid, 0);
}

static void do_first(char **args)
{
    OM_uint32 major;

    forget_context();
    major = initiate(args[0], &krb5_oid, GSS_C_MUTUAL_FLAG, NULL, &first);
    outcome("first", args[0], major == GSS_S_CONTINUE_NEEDED ? GSS_S_COMPLETE : major);
}

static void do_ctx(char **args)
{
    outcome("ctx", args[0], kerbside_configure_context(&minor, ctx, args[0]));
}

static void do_ctx_ask(char **args)
{
    gss_buffer_desc value;
    OM_uint32 major = kerbside_query_context(&minor, ctx, args[0], &value);

    answer("ctx-ask", args[0], major, &value);
}

/* AuthToken is the end of what went out, an AP-REQ (RFC 4120 5.5.1: APPLICATION 14). */
static void do_token(char **args)
{
    gss_buffer_desc value;
    OM_uint32 major = kerbside_query_context(&minor, ctx, "AuthToken", &value);
    const unsigned char *sent = first.value, *bare;
    int ends = 0;

    (void)args;
    if (major != GSS_S_COMPLETE) {
        outcome("token", "", major);
        return;
    }
    bare = value.value;
    /* SPNEGO may have put something behind it. */
    for (size_t i = 0; i + value.length <= first.length && !ends; i++) {
        ends = memcmp(sent + i, bare, value.length) == 0;
    }
    printf("token: %s, %s the token that went out, tag %02x\n",
           value.length < first.length ? "smaller" : "not smaller", ends ? "in" : "not in",
           value.length > 0 ? bare[0] : 0);
    gss_release_buffer(&ignored, &value);
}

/* Byte by byte, into memory that is wiped: no copy of it is ours. */
static void password(const char *what, int of_process)
{
    char setting[128] = "Password=";
    size_t len = strlen(setting);

    while (len + 1 < sizeof(setting) && read(0, setting + len, 1) == 1 && setting[len] != '\n') {
        len++;
    }
    setting[len] = '\0';
    outcome(what, "",
            of_process ? kerbside_configure(&minor, setting)
                       : kerbside_configure_cred(&minor, cred, setting));
    explicit_bzero(setting, sizeof(setting));
}

static void do_process_password(char **args)
{
    (void)args;
    password("process-password", 1);
}

static void do_cred_password(char **args)
{
    (void)args;
    password("cred-password", 0);
}

static unsigned count(const unsigned char *bytes, size_t len, const char *backwards)
{
    size_t word = strlen(backwards);
    unsigned found = 0;

    for (size_t i = 0; i + word <= len; i++) {
        size_t same = 0;

        while (same < word && bytes[i + same] == (unsigned char)backwards[word - 1 - same]) {
            same++;
        }
        found += same == word;
    }
    return found;
}

static void do_search(char **args)
{
    static unsigned char page[65536];
    FILE *maps = fopen("/proc/self/maps", "r"), *memory = fopen("/proc/self/mem", "rb");
    unsigned long begin, end;
    unsigned found = 0;
    char line[512], mode[8];

    setvbuf(memory, NULL, _IONBF, 0);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, mode) != 3 || mode[1] != 'w') {
            continue;
        }
        for (unsigned long at = begin; at < end; at += sizeof(page)) {
            size_t len = end - at < sizeof(page) ? end - at : sizeof(page);

            /* Not what was read itself. */
            if (at < (unsigned long)(page + sizeof(page)) && at + len > (unsigned long)page) {
                continue;
            }
            fseek(memory, (long)at, SEEK_SET);
            found += count(page, fread(page, 1, len, memory), args[0]);
            explicit_bzero(page, sizeof(page));
        }
    }
    fclose(maps);
    fclose(memory);
    printf("search: %s\n", found > 0 ? "found" : "not found");
}

static void do_export(char **args)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;

    (void)args;
    outcome("export", "", gss_export_cred(&minor, cred, &token));
    gss_release_buffer(&ignored, &token);
}

/* Calls that no helper makes. */
static void odd_call(const char *what, gss_OID_desc object, void *value, size_t len)
{
    gss_OID_desc mech = KERBSIDE_MECH_OID;
    gss_buffer_desc buffer = {len, value};

    outcome(what, "process", gssspi_mech_invoke(&minor, &mech, &object, &buffer));
    outcome(what, "cred", gss_set_cred_option(&minor, &cred, &object, &buffer));
    outcome(what, "ctx", gss_set_sec_context_option(&minor, &ctx, &object, &buffer));
}

static void do_odd(char **args)
{
    static unsigned char unknown[] = "\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x09";
    gss_OID_desc mech = KERBSIDE_MECH_OID, configure = KERBSIDE_CONFIGURE_OID;
    gss_OID_desc query = KERBSIDE_QUERY_OID, interrupt = KERBSIDE_INTERRUPT_OID;
    gss_OID_desc callbacks = KERBSIDE_CALLBACKS_OID, nothing = {11, unknown};
    struct kerbside_query small = {.size = 8, .name = "User"};
    struct kerbside_callbacks none = callbacks_of("odd");
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;

    (void)args;
    none.size = sizeof(none) - 1;
    odd_call("empty", configure, NULL, 0);
    odd_call("query", query, &small, sizeof(small));
    odd_call("interrupt", interrupt, NULL, 0);
    odd_call("callbacks", callbacks, &none, sizeof(none));
    odd_call("unknown", nothing, NULL, 0);
    outcome("no object", "process", gssspi_mech_invoke(&minor, &mech, GSS_C_NO_OID, NULL));
    outcome("no value", "process", gssspi_mech_invoke(&minor, &mech, &configure, NULL));
    outcome("no name", "cred", gss_inquire_cred_by_oid(&minor, cred, &query, &set));
    gss_release_buffer_set(&ignored, &set);
}

/* GSS_C_INQ_SSPI_SESSION_KEY: the key, and an OID whose last number is its enctype. */
static void do_session(char **args)
{
    static unsigned char session_key[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05";
    gss_OID_desc oid = {11, session_key};
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 major = gss_inquire_sec_context_by_oid(&minor, ctx, &oid, &set);

    (void)args;
    if (major == GSS_S_COMPLETE && set != NULL && set->count == 2) {
        const unsigned char *of = set->elements[1].value;

        printf("session: %d\n", of[set->elements[1].length - 1]);
    } else {
        outcome("session", "", major);
    }
    gss_release_buffer_set(&ignored, &set);
}

/* --- many threads --- */

static atomic_uint wrong;
static unsigned rounds;
static char *users[2];

static void expect(OM_uint32 major, OM_uint32 code, const char *what)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 more = 0, unused;

    if (major != GSS_S_COMPLETE && atomic_fetch_add(&wrong, 1) < 5) {
        gss_display_status(&unused, code, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
        printf("%s: %08x %.*s\n", what, major, (int)text.length, (char *)text.value);
        gss_release_buffer(&unused, &text);
    }
}

/* Without mutual authentication a context is there at once, and says whose it is. */
static void use(void)
{
    gss_buffer_desc target = {14, (void *)(size_t) "HTTP@localhost"}, out = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER, value;
    gss_name_t name = GSS_C_NO_NAME, source = GSS_C_NO_NAME;
    gss_ctx_id_t own = GSS_C_NO_CONTEXT;
    OM_uint32 major, code, unused;

    gss_import_name(&unused, &target, GSS_C_NT_HOSTBASED_SERVICE, &name);
    major = gss_init_sec_context(&code, cred, &own, name, &krb5_oid, 0, 0, NULL, NULL, NULL, &out,
                                 NULL, NULL);
    expect(major, code, "init");
    if (major == GSS_S_COMPLETE) {
        expect(kerbside_configure_context(&code, own, "EncodeAuthToken=Yes"), code, "context");
        expect(kerbside_query_context(&code, own, "AuthToken", &value), code, "token");
        gss_release_buffer(&unused, &value);
        gss_inquire_context(&unused, own, &source, NULL, NULL, NULL, NULL, NULL, NULL);
        gss_display_name(&unused, source, &text, NULL);
        if (strcmp(text.value, users[0]) != 0 && strcmp(text.value, users[1]) != 0) {
            expect(GSS_S_FAILURE, 0, text.value);
        }
    }
    gss_release_buffer(&unused, &text);
    gss_release_buffer(&unused, &out);
    gss_release_name(&unused, &name);
    gss_release_name(&unused, &source);
    gss_delete_sec_context(&unused, &own, GSS_C_NO_BUFFER);
}

static void count_release(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static atomic_uint released, registered;

static void change(unsigned number)
{
    struct kerbside_callbacks callbacks = {.argument = &released, .release = count_release};
    struct kerbside_interrupt interrupt;
    gss_buffer_desc value;
    char setting[256];
    OM_uint32 code, unused;

    snprintf(setting, sizeof(setting), "User=%s", users[number % 2]);
    expect(kerbside_configure_cred(&code, cred, setting), code, setting);
    expect(kerbside_configure_cred(&code, cred, number % 3 != 0 ? "Timeout=9" : "Timeout=8"), code,
           "Timeout");
    expect(kerbside_query_cred(&code, cred, "User", &value), code, "User");
    gss_release_buffer(&unused, &value);
    expect(kerbside_interrupt_cred(&code, cred, &interrupt), code, "interrupt");
    expect(kerbside_callbacks_cred(&code, cred, &callbacks), code, "callbacks");
    atomic_fetch_add(&registered, 1);
    expect(kerbside_configure(&code, number % 2 != 0 ? "ClockSkew=299" : "ClockSkew=298"), code,
           "process");
    expect(kerbside_query(&code, "ClockSkew", &value), code, "ClockSkew");
    gss_release_buffer(&unused, &value);
    callbacks.argument = &released;
    expect(kerbside_callbacks(&code, &callbacks), code, "callbacks");
    atomic_fetch_add(&registered, 1);
}

static void *run(void *arg)
{
    unsigned number = (unsigned)(size_t)arg;

    for (unsigned i = 0; i < rounds; i++) {
        use();
        if (number % 4 == 0) {
            change(number / 4 + i);
        }
    }
    return NULL;
}

static void do_threads(char **args)
{
    unsigned num = (unsigned)atoi(args[0]);
    pthread_t threads[64];
    OM_uint32 unused;

    rounds = (unsigned)atoi(args[1]);
    users[0] = args[2];
    users[1] = args[3];
    for (unsigned i = 0; i < num && i < 64; i++) {
        pthread_create(&threads[i], NULL, run, (void *)(size_t)i);
    }
    for (unsigned i = 0; i < num && i < 64; i++) {
        pthread_join(threads[i], NULL);
    }
    kerbside_callbacks(&unused, NULL);
    kerbside_reset_cred(&unused, cred);
    kerbside_reset(&unused);
    gss_release_cred(&unused, &cred);
    printf("threads: %u wrong, released %s\n", wrong,
           released == registered  ? "as often as registered"
           : released < registered ? "too few"
                                   : "too many");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(char **args);
        int num_args;
    } calls[] = {
        {"process", do_process, 1},
        {"ask", do_ask, 1},
        {"reset", do_reset, 0},
        {"callbacks", do_callbacks, 0},
        {"quiet", do_quiet, 0},
        {"interrupt", do_interrupt, 0},
        {"acquire", do_acquire, 0},
        {"acquire-krb5", do_acquire_krb5, 0},
        {"acquire-name", do_acquire_name, 1},
        {"store", do_store, 1},
        {"acquire-store", do_acquire_store, 0},
        {"release", do_release, 0},
        {"cred", do_cred, 1},
        {"cred-ask", do_cred_ask, 1},
        {"cred-enctypes", do_cred_enctypes, 1},
        {"cred-reset", do_cred_reset, 0},
        {"cred-callbacks", do_cred_callbacks, 1},
        {"cred-callbacks-late", do_cred_callbacks_late, 2},
        {"cred-quiet", do_cred_quiet, 0},
        {"cred-interrupt", do_cred_interrupt, 0},
        {"cred-later", do_cred_later, 1},
        {"krb5", do_krb5, 1},
        {"spnego", do_spnego, 1},
        {"once", do_once, 1},
        {"first", do_first, 1},
        {"ctx", do_ctx, 1},
        {"ctx-ask", do_ctx_ask, 1},
        {"session", do_session, 0},
        {"token", do_token, 0},
        {"process-password", do_process_password, 0},
        {"cred-password", do_cred_password, 0},
        {"search", do_search, 1},
        {"export", do_export, 0},
        {"odd", do_odd, 0},
        {"threads", do_threads, 4},
    };
    size_t num = sizeof(calls) / sizeof(calls[0]);

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int at = 1; at < argc;) {
        size_t i = 0;

        while (i < num && strcmp(calls[i].name, argv[at]) != 0) {
            i++;
        }
        if (i == num || at + calls[i].num_args >= argc) {
            fprintf(stderr, "calls: %s?\n", argv[at]);
            return 2;
        }
        calls[i].run(argv + at + 1);
        at += 1 + calls[i].num_args;
    }
    forget_context();
    join_later();
    gss_release_cred(&ignored, &cred);
    gss_release_cred(&ignored, &former);
    return 0;
}
