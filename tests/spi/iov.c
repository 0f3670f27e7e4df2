/* iov.c - messages in several buffers and with associated data, both ways between the two ends of a
 * context in one process.
 *
 *   iov edges SERVICE      what comes of odd lists, written down
 *   iov messages SERVICE   every length from 0 to 4096 in every shape; says what went wrong
 *   iov memory SERVICE     each allocation of the plugin fails once (failing_malloc.c is preloaded)
 *
 * The initiator is ours where the plugin is at work, the acceptor always the platform's. */
#include "tests/spi/iov.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LEN ((size_t)4096)
#define TYPE(name) GSS_IOV_BUFFER_TYPE_##name
#define MAKE(name) (GSS_IOV_BUFFER_TYPE_##name | GSS_IOV_BUFFER_FLAG_ALLOCATE)

static char message[MAX_LEN];
static unsigned long num_good;

__attribute__((format(printf, 2, 3))) static void check(int holds, const char *format, ...)
{
    va_list args;

    if (!holds) {
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("\n");
        exit(1);
    }
    num_good++;
}

#define GOOD(call, ...)                                                                            \
    do {                                                                                           \
        OM_uint32 major_ = (call);                                                                 \
        if (major_ != GSS_S_COMPLETE) {                                                            \
            tell(#call, major_);                                                                   \
        }                                                                                          \
        check(major_ == GSS_S_COMPLETE, __VA_ARGS__);                                              \
    } while (0)

/* One of the two directions of a context. */
struct way {
    gss_ctx_id_t from, to;
    const char *name;
    int ours_takes, dce;
    int old; /* the block of the cipher where tokens are those of RFC 1964: they have PADDING */
};

static int old_block(const char *service)
{
    return strncmp(service, "arcfour", 7) == 0 ? 1 : strncmp(service, "des3", 4) == 0 ? 8 : 0;
}

/* Who makes the buffers, and where the trailer goes. */
enum shape { MADE, MADE_NO_TRAILER, MEASURED, MEASURED_NO_TRAILER, NUM_SHAPES };

#define NUM_DATA 3
#define NUM_BUFFERS (5 + NUM_DATA)

struct parts {
    gss_iov_buffer_desc iov[NUM_BUFFERS];
    char data[MAX_LEN], header[512], trailer[512], padding[64];
};

#define ASSOC_LEN 10

/* Whether MIT has a whole token with associated data. None in DCE style; and its lengths of an old
 * one count that data into the frame, so that where the frame's length takes an octet more for it,
 * there is a hole in the token. */
static int has_aead(const struct way *way, size_t len)
{
    size_t block = (size_t)way->old, framed = 0;

    if (block == 0) {
        return !way->dce || way->ours_takes;
    }
    framed = (block == 1 ? 43 : 55) + len / block * block + block;
    for (size_t limit = 128; limit <= 65536; limit = limit == 128 ? 256 : limit * 256) {
        if (way->ours_takes && framed < limit && framed + ASSOC_LEN >= limit) {
            return 0;
        }
    }
    return !way->dce;
}

static int is_made(enum shape shape)
{
    return shape == MADE || shape == MADE_NO_TRAILER;
}

/* HEADER | SIGN_ONLY | DATA, cut into three | SIGN_ONLY | PADDING | TRAILER */
static void parts_init(struct parts *p, enum shape shape, size_t len, int with_signed)
{
    static char before[] = "in front of it", after[] = "behind it";
    OM_uint32 flag = is_made(shape) ? GSS_IOV_BUFFER_FLAG_ALLOCATE : 0;
    int trailer = shape == MADE || shape == MEASURED;
    gss_iov_buffer_desc *iov = p->iov;
    size_t at = 0;

    memcpy(p->data, message, len);
    memset(iov, 0, sizeof(p->iov));
    iov[0].type = TYPE(HEADER) | flag;
    iov[1] = (gss_iov_buffer_desc){TYPE(SIGN_ONLY), {with_signed ? strlen(before) : 0, before}};
    for (size_t i = 0; i < NUM_DATA; i++) {
        size_t end = len * (i + 1) / NUM_DATA;

        iov[2 + i] = (gss_iov_buffer_desc){TYPE(DATA), {end - at, p->data + at}};
        at = end;
    }
    iov[2 + NUM_DATA] =
        (gss_iov_buffer_desc){TYPE(SIGN_ONLY), {with_signed ? strlen(after) : 0, after}};
    iov[3 + NUM_DATA].type = TYPE(PADDING) | flag;
    iov[4 + NUM_DATA].type = trailer ? TYPE(TRAILER) | flag : (OM_uint32)TYPE(EMPTY);
}

static void wrap_parts(const struct way *way, enum shape shape, int conf, size_t len,
                       struct parts *p)
{
    gss_iov_buffer_desc *iov = p->iov;
    int state = 7;

    if (!is_made(shape)) {
        GOOD(gss_wrap_iov_length(&minor, way->from, conf, 0, &state, iov, NUM_BUFFERS),
             "%s: lengths for %zu", way->name, len);
        check(iov[0].buffer.length <= sizeof(p->header) &&
                  iov[4 + NUM_DATA].buffer.length <= sizeof(p->trailer),
              "%s: the lengths for %zu", way->name, len);
        iov[0].buffer.value = p->header;
        iov[3 + NUM_DATA].buffer.value = p->padding;
        iov[4 + NUM_DATA].buffer.value = p->trailer;
    }
    GOOD(gss_wrap_iov(&minor, way->from, conf, 0, &state, iov, NUM_BUFFERS),
         "%s: wrap_iov of %zu, shape %d, conf %d", way->name, len, (int)shape, conf);
    check(state == conf, "%s: conf %d became %d", way->name, conf, state);
    check(!conf || len < 8 || memcmp(p->data, message, len) != 0, "%s: %zu bytes are in clear",
          way->name, len);
}

static void one_iov(const struct way *way, enum shape shape, int conf, size_t len)
{
    struct parts p;
    int state = 7;

    parts_init(&p, shape, len, 1);
    wrap_parts(way, shape, conf, len, &p);
    GOOD(gss_unwrap_iov(&minor, way->to, &state, NULL, p.iov, NUM_BUFFERS),
         "%s: unwrap_iov of %zu, shape %d, conf %d", way->name, len, (int)shape, conf);
    check(state == conf && memcmp(p.data, message, len) == 0, "%s: %zu bytes, shape %d, conf %d",
          way->name, len, (int)shape, conf);
    gss_release_iov_buffer(&ignored, p.iov, NUM_BUFFERS);
}

/* The parts one behind the other are a token to gss_unwrap. MIT's takes none in DCE style that is
 * rotated, and an old one does not say there how much data it has. */
static void one_joined(const struct way *way, enum shape shape, int conf, size_t len)
{
    static char token[MAX_LEN + 1024];
    gss_buffer_desc whole = {0, token}, plain = GSS_C_EMPTY_BUFFER;
    struct parts p;
    int state = 7;

    if (way->dce && (way->old || (!way->ours_takes &&
                                  (shape == MADE_NO_TRAILER || shape == MEASURED_NO_TRAILER)))) {
        return;
    }
    parts_init(&p, shape, len, 0);
    wrap_parts(way, shape, conf, len, &p);
    for (int i = 0; i < NUM_BUFFERS; i++) {
        if (p.iov[i].buffer.length > 0) {
            memcpy(token + whole.length, p.iov[i].buffer.value, p.iov[i].buffer.length);
            whole.length += p.iov[i].buffer.length;
        }
    }
    GOOD(gss_unwrap(&minor, way->to, &whole, &plain, &state, NULL),
         "%s: unwrap of %zu, shape %d, conf %d", way->name, len, (int)shape, conf);
    check(state == conf && plain.length == len &&
              (len == 0 || memcmp(plain.value, message, len) == 0),
          "%s: %zu bytes, joined, shape %d, conf %d", way->name, len, (int)shape, conf);
    gss_release_buffer(&ignored, &plain);
    gss_release_iov_buffer(&ignored, p.iov, NUM_BUFFERS);
}

static void one_aead(const struct way *way, int conf, size_t len)
{
    gss_buffer_desc assoc = {ASSOC_LEN, (void *)"associated"}, data = {len, message};
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, plain = GSS_C_EMPTY_BUFFER;
    char *copy;
    int state = 7;

    if (!has_aead(way, len)) {
        return;
    }
    GOOD(gss_wrap_aead(&minor, way->from, conf, 0, &assoc, &data, &state, &token),
         "%s: wrap_aead of %zu", way->name, len);
    check(state == conf, "%s: conf %d became %d", way->name, conf, state);
    copy = malloc(token.length);
    memcpy(copy, token.value, token.length);
    GOOD(gss_unwrap_aead(&minor, way->to, &token, &assoc, &plain, &state, NULL),
         "%s: unwrap_aead of %zu", way->name, len);
    check(state == conf && plain.length == len &&
              (len == 0 || memcmp(plain.value, message, len) == 0),
          "%s: %zu bytes as aead, conf %d", way->name, len, conf);
    check(!way->ours_takes || memcmp(copy, token.value, token.length) == 0,
          "%s: unwrap_aead wrote into its input of %zu", way->name, len);
    free(copy);
    gss_release_buffer(&ignored, &token);
    free(plain.value);
}

/* In place, within the token, between bytes that are only signed. */
static void one_stream(const struct way *way, int conf, size_t len)
{
    gss_buffer_desc assoc = {ASSOC_LEN, (void *)"associated"}, data = {len, message};
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    gss_iov_buffer_desc iov[3] = {{TYPE(STREAM), {0, NULL}},
                                  {TYPE(SIGN_ONLY), {ASSOC_LEN, (void *)"associated"}},
                                  {TYPE(DATA), {0, NULL}}};
    int state = 7;

    if (!has_aead(way, len)) {
        return;
    }
    GOOD(gss_wrap_aead(&minor, way->from, conf, 0, &assoc, &data, &state, &token),
         "%s: wrap_aead of %zu", way->name, len);
    iov[0].buffer = token;
    GOOD(gss_unwrap_iov(&minor, way->to, &state, NULL, iov, 3), "%s: a stream of %zu", way->name,
         len);
    check(state == conf && iov[2].buffer.length == len &&
              (len == 0 || memcmp(iov[2].buffer.value, message, len) == 0),
          "%s: %zu bytes as a stream, conf %d", way->name, len, conf);
    gss_release_buffer(&ignored, &token);
}

static void one_flat(const struct way *way, int conf, size_t len)
{
    gss_buffer_desc data = {len, message}, token = GSS_C_EMPTY_BUFFER, plain = GSS_C_EMPTY_BUFFER;
    char *copy;
    int state = 7;

    GOOD(gss_wrap(&minor, way->from, conf, 0, &data, &state, &token), "%s: wrap of %zu", way->name,
         len);
    copy = malloc(token.length);
    memcpy(copy, token.value, token.length);
    GOOD(gss_unwrap(&minor, way->to, &token, &plain, &state, NULL), "%s: unwrap of %zu", way->name,
         len);
    check(state == conf && plain.length == len &&
              (len == 0 || memcmp(plain.value, message, len) == 0),
          "%s: %zu bytes, conf %d", way->name, len, conf);
    check(!way->ours_takes || memcmp(copy, token.value, token.length) == 0,
          "%s: unwrap wrote into its input of %zu", way->name, len);
    free(copy);
    gss_release_buffer(&ignored, &token);
    gss_release_buffer(&ignored, &plain);
}

static void one_mic(const struct way *way, size_t len)
{
    gss_buffer_desc flat = {len, message}, token = GSS_C_EMPTY_BUFFER;
    gss_iov_buffer_desc iov[4] = {{TYPE(DATA), {len / 2, message}},
                                  {MAKE(MIC_TOKEN), {0, NULL}},
                                  {TYPE(SIGN_ONLY), {len - len / 2, message + len / 2}},
                                  {TYPE(EMPTY), {0, NULL}}};

    GOOD(gss_get_mic_iov(&minor, way->from, 0, iov, 4), "%s: get_mic_iov of %zu", way->name, len);
    GOOD(gss_verify_mic_iov(&minor, way->to, NULL, iov, 4), "%s: verify_mic_iov of %zu", way->name,
         len);
    gss_release_iov_buffer(&ignored, iov, 4);
    /* A list and one buffer are the same. */
    iov[1].type = MAKE(MIC_TOKEN);
    GOOD(gss_get_mic_iov(&minor, way->from, 0, iov, 4), "%s: get_mic_iov of %zu", way->name, len);
    GOOD(gss_verify_mic(&minor, way->to, &flat, &iov[1].buffer, NULL), "%s: verify_mic of %zu",
         way->name, len);
    gss_release_iov_buffer(&ignored, iov, 4);
    GOOD(gss_get_mic(&minor, way->from, 0, &flat, &token), "%s: get_mic of %zu", way->name, len);
    iov[1] = (gss_iov_buffer_desc){TYPE(MIC_TOKEN), token};
    GOOD(gss_verify_mic_iov(&minor, way->to, NULL, iov, 4), "%s: verify_mic_iov of %zu", way->name,
         len);
    gss_release_buffer(&ignored, &token);
}

static void one_length(const struct way *way, size_t len)
{
    for (int conf = 0; conf <= 1; conf++) {
        for (int shape = 0; shape < NUM_SHAPES; shape++) {
            one_iov(way, (enum shape)shape, conf, len);
        }
        one_joined(way, (enum shape)(len % NUM_SHAPES), conf, len);
        one_aead(way, conf, len);
        one_stream(way, conf, len);
        one_flat(way, conf, len);
    }
    one_mic(way, len);
}

/* More buffers than a list has room for without the heap. */
static void long_lists(const struct way *way)
{
    for (int num = 1; num <= 70; num++) {
        gss_iov_buffer_desc iov[73] = {{MAKE(HEADER), {0, NULL}}};
        char data[72] = {0};
        int state = 7;

        for (int i = 1; i <= num; i++) {
            data[i] = (char)i;
            iov[i].type = i % 4 == 3 ? TYPE(SIGN_ONLY) : TYPE(DATA);
            iov[i].buffer = (gss_buffer_desc){1, data + i};
        }
        iov[num + 1].type = MAKE(TRAILER);
        iov[num + 2].type = way->old || num % 2 == 1 ? MAKE(PADDING) : (OM_uint32)TYPE(EMPTY);
        GOOD(gss_wrap_iov(&minor, way->from, 1, 0, &state, iov, num + 3), "%s: a list of %d",
             way->name, num);
        GOOD(gss_unwrap_iov(&minor, way->to, &state, NULL, iov, num + 3), "%s: a list of %d",
             way->name, num);
        for (int i = 1; i <= num; i++) {
            check(data[i] == (char)i, "%s: byte %d of a list of %d", way->name, i, num);
        }
        gss_release_iov_buffer(&ignored, iov, num + 3);
        iov[0].type = MAKE(MIC_TOKEN);
        GOOD(gss_get_mic_iov(&minor, way->from, 0, iov, num + 1), "%s: a MIC over %d", way->name,
             num);
        GOOD(gss_verify_mic_iov(&minor, way->to, NULL, iov, num + 1), "%s: a MIC over %d",
             way->name, num);
        gss_release_iov_buffer(&ignored, iov, num + 3);
    }
}

static void do_messages(const char *service, OM_uint32 flags)
{
    struct loop l = {.mech = &krb5_oid, .flags = flags, .service = service};
    struct way ways[2] = {{.name = "to the acceptor"}, {.name = "to us", .ours_takes = 1}};

    check(run_loop(&l), "no context");
    ways[0].from = ways[1].to = l.init;
    ways[0].to = ways[1].from = l.accept;
    for (int i = 0; i < 2; i++) {
        ways[i].dce = (flags & GSS_C_DCE_STYLE) != 0;
        ways[i].old = old_block(service);
        for (size_t len = 0; len <= MAX_LEN; len += len < 70 ? 1 : 61) {
            /* There the caller has padded the data. */
            one_length(&ways[i], ways[i].old && ways[i].dce ? len / 8 * 8 : len);
        }
        if (!ways[i].old || !ways[i].dce) {
            long_lists(&ways[i]);
        }
    }
    end_loop(&l);
}

static void all_messages(char **args)
{
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (char)(i * 7 + i / 256);
    }
    do_messages(args[0], GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG);
    do_messages(args[0],
                GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_DCE_STYLE);
    printf("%lu checks\n", num_good);
}

/* --- short memory --- */

static void (*fail_malloc)(long n);
static int (*was_reached)(void);

/* Runs `each` until none of its allocations is left that has not failed once. Returns how many it
 * makes. */
static long each_fails(const struct way *way, const char *what,
                       OM_uint32 (*each)(const struct way *way))
{
    for (long n = 1; n < 20; n++) {
        OM_uint32 major;
        int reached;

        fail_malloc(n);
        major = each(way);
        reached = was_reached();
        fail_malloc(0);
        check(GSS_ERROR(major) == (reached ? GSS_S_FAILURE : GSS_S_COMPLETE),
              "%s: %s: %08x where allocation %ld fails", way->name, what, major, n);
        if (!reached) {
            return n - 1;
        }
    }
    check(0, "%s: too many allocations", what);
    return 0;
}

static OM_uint32 in_parts(const struct way *way, enum shape shape)
{
    struct parts p;
    OM_uint32 major;

    parts_init(&p, shape, 100, 1);
    p.iov[0].buffer = (gss_buffer_desc){sizeof(p.header), p.header};
    p.iov[3 + NUM_DATA].buffer = (gss_buffer_desc){sizeof(p.padding), p.padding};
    p.iov[4 + NUM_DATA].buffer = (gss_buffer_desc){sizeof(p.trailer), p.trailer};
    major = gss_wrap_iov(&minor, way->from, 1, 0, NULL, p.iov, NUM_BUFFERS);
    if (GSS_ERROR(major)) {
        check(memcmp(p.data, message, 100) == 0, "a failed wrap_iov changed its data");
        check((p.iov[0].type & GSS_IOV_BUFFER_FLAG_ALLOCATED) == 0,
              "a failed wrap_iov left a header");
    } else {
        GOOD(gss_unwrap_iov(&minor, way->to, NULL, NULL, p.iov, NUM_BUFFERS), "unwrap_iov");
        check(memcmp(p.data, message, 100) == 0, "unwrap_iov after a failure");
    }
    gss_release_iov_buffer(&ignored, p.iov, NUM_BUFFERS);
    return major;
}

static OM_uint32 made_parts(const struct way *way)
{
    return in_parts(way, MADE);
}

static OM_uint32 given_parts(const struct way *way)
{
    return in_parts(way, MEASURED);
}

static OM_uint32 wrap_aead(const struct way *way)
{
    gss_buffer_desc assoc = {ASSOC_LEN, (void *)"associated"}, data = {100, message};
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_wrap_aead(&minor, way->from, 1, 0, &assoc, &data, NULL, &token);

    gss_release_buffer(&ignored, &token);
    return major;
}

static gss_buffer_desc sealed;

static OM_uint32 unwrap_aead(const struct way *way)
{
    gss_buffer_desc assoc = {ASSOC_LEN, (void *)"associated"}, plain = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_unwrap_aead(&minor, way->from, &sealed, &assoc, &plain, NULL, NULL);

    check(!GSS_ERROR(major) == (plain.length == 100), "%zu bytes of plaintext", plain.length);
    gss_release_buffer(&ignored, &plain);
    return GSS_ERROR(major);
}

static OM_uint32 long_list(const struct way *way)
{
    gss_iov_buffer_desc iov[32] = {{TYPE(HEADER), {0, NULL}}};
    char header[256], data[32] = {0};

    iov[0].buffer = (gss_buffer_desc){sizeof(header), header};
    for (int i = 1; i < 32; i++) {
        iov[i].type = TYPE(DATA);
        iov[i].buffer = (gss_buffer_desc){1, data + i};
    }
    return gss_wrap_iov(&minor, way->from, 1, 0, NULL, iov, 32);
}

static OM_uint32 get_mic(const struct way *way)
{
    char mic[64];
    gss_iov_buffer_desc iov[2] = {{TYPE(DATA), {100, message}}, {TYPE(MIC_TOKEN), {64, mic}}};
    OM_uint32 major = gss_get_mic_iov(&minor, way->from, 0, iov, 2);

    return major;
}

static void memory(char **args)
{
    struct loop l = {.mech = &krb5_oid, .flags = GSS_C_MUTUAL_FLAG, .service = args[0]};
    gss_buffer_desc assoc = {ASSOC_LEN, (void *)"associated"}, data = {100, message};
    struct way way = {.name = "ours"};

    *(void **)&fail_malloc = dlsym(RTLD_DEFAULT, "kb_fail_malloc");
    *(void **)&was_reached = dlsym(RTLD_DEFAULT, "kb_fail_malloc_reached");
    check(fail_malloc != NULL && was_reached != NULL, "failing_malloc.so is not preloaded");
    check(run_loop(&l), "no context");
    way.from = l.init;
    way.to = l.accept;
    GOOD(gss_wrap_aead(&minor, l.accept, 1, 0, &assoc, &data, NULL, &sealed), "wrap_aead");
    (void)each_fails(&way, "the first wrap_iov", given_parts);
    (void)each_fails(&way, "the first unwrap_aead", unwrap_aead);
    (void)each_fails(&way, "the first get_mic_iov", get_mic);
    /* From now on the keys are derived, and the ciphers there. */
    printf("wrap_iov: %ld\n", each_fails(&way, "wrap_iov", given_parts));
    printf("wrap_iov, made: %ld\n", each_fails(&way, "wrap_iov, made", made_parts));
    printf("wrap_iov, long: %ld\n", each_fails(&way, "wrap_iov, long", long_list));
    printf("get_mic_iov: %ld\n", each_fails(&way, "get_mic_iov", get_mic));
    printf("wrap_aead: %ld\n", each_fails(&way, "wrap_aead", wrap_aead));
    printf("unwrap_aead: %ld\n", each_fails(&way, "unwrap_aead", unwrap_aead));
    gss_release_buffer(&ignored, &sealed);
    end_loop(&l);
}

static void all_edges(char **args)
{
    static const OM_uint32 flags[] = {GSS_C_MUTUAL_FLAG,
                                      GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
                                      GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct loop l = {.mech = &krb5_oid, .flags = flags[i], .service = args[0]};
        int dce = (flags[i] & GSS_C_DCE_STYLE) != 0;

        printf("--- flags %x\n", flags[i]);
        if (run_loop(&l)) {
            edges(l.init, l.accept, dce);
            edges(l.accept, l.init, dce);
        }
        end_loop(&l);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(char **args);
        int num_args;
    } scenarios[] = {{"edges", all_edges, 1}, {"memory", memory, 1}, {"messages", all_messages, 1}};

    for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(argv[1], scenarios[i].name) == 0 && argc == 2 + scenarios[i].num_args) {
            scenarios[i].run(argv + 2);
            return 0;
        }
    }
    fprintf(stderr, "usage: iov SCENARIO [ARGUMENT]...\n");
    return 2;
}
