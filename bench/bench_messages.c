/* bench_messages TARGET - messages through gss_* calls like any other program's, between a context
 * of the environment's initiator and one of the platform's acceptor, in this process. messages.py
 * gives it an environment with Kerbside or without.
 *
 * Reads requests, answers each with one line; "-" where the mechanism does not have the call:
 *
 *   time OP SIZE        nanoseconds of one call of the initiator's side (slice.h)
 *   long OP SIZE        the same in a run of 1 MiB, to compare sizes; of wrap and get_mic
 *   threads OP SIZE N   nanoseconds of wall-clock between two calls, N threads on one context
 *   allocations OP SIZE calls of malloc in one call
 *   heap                bytes of heap for a context that waits for the acceptor's answer, and for
 *                       one that is established and has seen no message
 *   enctype             the number of the enctype of the context's key
 *
 * OP: wrap, unwrap, wrap_iov, unwrap_iov, each also with -sign for integrity only; get_mic,
 * verify_mic, get_mic_iov, verify_mic_iov. The iov forms have HEADER, DATA and TRAILER (and PADDING
 * with -p in front of TARGET, for enctypes of blocks) in place.
 *
 * The contexts look for replays and order, as programs want it. So each token is used once: batches
 * of them are made by the acceptor before the clock starts, and what a call puts out is released
 * before it stops. The acceptor has a thread, thus a heap of its own: what it allocates and gives
 * back to the system for a large token would otherwise be paid for by the next call of ours. */
#include <dlfcn.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/slice.h"

enum { HEADER_ROOM = 128, TRAILER_ROOM = 128, HEAP_CONTEXTS = 256, MAX_THREADS = 8 };

/* --- counting of allocations: these names take the place of libc's for all libraries --- */

#define COUNTED __attribute__((visibility("default")))

static _Thread_local unsigned long allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

COUNTED void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

COUNTED void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

COUNTED void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}

/* --- contexts --- */

static char krb5_oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"; /* 1.2.840.113554.1.2.2 */
static gss_OID_desc krb5_mech = {sizeof(krb5_oid) - 1, krb5_oid};

struct message {
    gss_buffer_desc token;      /* by the acceptor; lies in room */
    uint8_t *room;              /* a token, or header, data and trailer */
    gss_iov_buffer_desc iov[4]; /* HEADER or MIC_TOKEN, DATA, TRAILER, PADDING */
};

struct bench {
    gss_name_t target;
    gss_ctx_id_t ours, peer;
    bool padding;
    bool conf; /* of the operation at hand */
    size_t size;
    uint8_t *data; /* what is sent */
    struct message message[KB_MAX_BATCH];
};

static void fail(const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, &krb5_mech, &more, &text);
    fprintf(stderr, "bench_messages: %s: %#x: %.*s\n", what, major, (int)text.length,
            text.value ? (char *)text.value : "");
    exit(1);
}

/* `minor` is where the call writes it: read after the call. */
static void must(OM_uint32 major, const OM_uint32 *minor, const char *what)
{
    if (GSS_ERROR(major)) {
        fail(what, major, *minor);
    }
}

static OM_uint32 initiate(struct bench *b, gss_ctx_id_t *ctx, gss_buffer_t in, gss_buffer_t out)
{
    OM_uint32 minor, major;

    major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, ctx, b->target, &krb5_mech,
                                 GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG |
                                     GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
                                 0, GSS_C_NO_CHANNEL_BINDINGS, in, NULL, out, NULL, NULL);
    must(major, &minor, "gss_init_sec_context");
    return major;
}

static void accept_token(gss_ctx_id_t *ctx, gss_buffer_t in, gss_buffer_t out)
{
    OM_uint32 minor, major;

    major = gss_accept_sec_context(&minor, ctx, GSS_C_NO_CREDENTIAL, in, GSS_C_NO_CHANNEL_BINDINGS,
                                   NULL, NULL, out, NULL, NULL, NULL);
    must(major, &minor, "gss_accept_sec_context");
}

static void establish(struct bench *b)
{
    gss_buffer_desc there = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER, none;
    OM_uint32 minor;

    initiate(b, &b->ours, GSS_C_NO_BUFFER, &there);
    accept_token(&b->peer, &there, &back);
    initiate(b, &b->ours, &back, &none);
    gss_release_buffer(&minor, &there);
    gss_release_buffer(&minor, &back);
}

/* --- operations: `prepare` is not timed, `call` is --- */

static gss_buffer_desc data_of(struct bench *b)
{
    return (gss_buffer_desc){b->size, b->data};
}

static OM_uint32 wrap(struct bench *b, struct message *m)
{
    gss_buffer_desc data = data_of(b), out;
    OM_uint32 minor, major;

    (void)m;
    major = gss_wrap(&minor, b->ours, b->conf, GSS_C_QOP_DEFAULT, &data, NULL, &out);
    gss_release_buffer(&minor, &out);
    return major;
}

static void take(struct message *m, gss_buffer_t from)
{
    OM_uint32 minor;

    m->token = (gss_buffer_desc){from->length, m->room};
    memcpy(m->room, from->value, from->length);
    gss_release_buffer(&minor, from);
}

static void peer_wraps(struct bench *b, struct message *m)
{
    gss_buffer_desc data = data_of(b), out;
    OM_uint32 minor;

    must(gss_wrap(&minor, b->peer, b->conf, GSS_C_QOP_DEFAULT, &data, NULL, &out), &minor,
         "gss_wrap of the acceptor");
    take(m, &out);
}

static OM_uint32 unwrap(struct bench *b, struct message *m)
{
    gss_buffer_desc out;
    OM_uint32 minor, major;

    major = gss_unwrap(&minor, b->ours, &m->token, &out, NULL, NULL);
    gss_release_buffer(&minor, &out);
    return major;
}

static OM_uint32 get_mic(struct bench *b, struct message *m)
{
    gss_buffer_desc data = data_of(b), out;
    OM_uint32 minor, major;

    (void)m;
    major = gss_get_mic(&minor, b->ours, GSS_C_QOP_DEFAULT, &data, &out);
    gss_release_buffer(&minor, &out);
    return major;
}

static void peer_signs(struct bench *b, struct message *m)
{
    gss_buffer_desc data = data_of(b), out;
    OM_uint32 minor;

    must(gss_get_mic(&minor, b->peer, GSS_C_QOP_DEFAULT, &data, &out), &minor,
         "gss_get_mic of the acceptor");
    take(m, &out);
}

static OM_uint32 verify_mic(struct bench *b, struct message *m)
{
    gss_buffer_desc data = data_of(b);
    OM_uint32 minor;

    return gss_verify_mic(&minor, b->ours, &data, &m->token, NULL);
}

static int num_iov(const struct bench *b)
{
    return b->padding ? 4 : 3;
}

/* Buffers as long as they are to be, by the platform; those of both sides have the same lengths. */
static void lay_out(struct bench *b, struct message *m)
{
    OM_uint32 minor;
    uint8_t *at = m->room + HEADER_ROOM;

    m->iov[0] = (gss_iov_buffer_desc){.type = GSS_IOV_BUFFER_TYPE_HEADER};
    m->iov[1] = (gss_iov_buffer_desc){GSS_IOV_BUFFER_TYPE_DATA, {b->size, at}};
    m->iov[2] = (gss_iov_buffer_desc){.type = GSS_IOV_BUFFER_TYPE_TRAILER};
    m->iov[3] = (gss_iov_buffer_desc){.type = GSS_IOV_BUFFER_TYPE_PADDING};
    must(gss_wrap_iov_length(&minor, b->peer, b->conf, GSS_C_QOP_DEFAULT, NULL, m->iov, num_iov(b)),
         &minor, "gss_wrap_iov_length of the acceptor");
    m->iov[0].buffer.value = at - m->iov[0].buffer.length;
    m->iov[3].buffer.value = at + b->size;
    m->iov[2].buffer.value = at + b->size + m->iov[3].buffer.length;
}

static OM_uint32 wrap_iov(struct bench *b, struct message *m)
{
    OM_uint32 minor;

    return gss_wrap_iov(&minor, b->ours, b->conf, GSS_C_QOP_DEFAULT, NULL, m->iov, num_iov(b));
}

static void peer_wraps_iov(struct bench *b, struct message *m)
{
    OM_uint32 minor;

    lay_out(b, m);
    must(gss_wrap_iov(&minor, b->peer, b->conf, GSS_C_QOP_DEFAULT, NULL, m->iov, num_iov(b)),
         &minor, "gss_wrap_iov of the acceptor");
}

static OM_uint32 unwrap_iov(struct bench *b, struct message *m)
{
    OM_uint32 minor;

    return gss_unwrap_iov(&minor, b->ours, NULL, NULL, m->iov, num_iov(b));
}

static void lay_out_mic(struct bench *b, struct message *m)
{
    OM_uint32 minor;

    m->iov[0] = (gss_iov_buffer_desc){.type = GSS_IOV_BUFFER_TYPE_MIC_TOKEN};
    m->iov[1] = (gss_iov_buffer_desc){GSS_IOV_BUFFER_TYPE_DATA, {b->size, m->room + HEADER_ROOM}};
    must(gss_get_mic_iov_length(&minor, b->peer, GSS_C_QOP_DEFAULT, m->iov, 2), &minor,
         "gss_get_mic_iov_length of the acceptor");
    m->iov[0].buffer.value = m->room;
}

static OM_uint32 get_mic_iov(struct bench *b, struct message *m)
{
    OM_uint32 minor;

    return gss_get_mic_iov(&minor, b->ours, GSS_C_QOP_DEFAULT, m->iov, 2);
}

static void peer_signs_iov(struct bench *b, struct message *m)
{
    OM_uint32 minor;

    lay_out_mic(b, m);
    must(gss_get_mic_iov(&minor, b->peer, GSS_C_QOP_DEFAULT, m->iov, 2), &minor,
         "gss_get_mic_iov of the acceptor");
}

static OM_uint32 verify_mic_iov(struct bench *b, struct message *m)
{
    OM_uint32 minor;

    return gss_verify_mic_iov(&minor, b->ours, NULL, m->iov, 2);
}

/* clang-format off */
static const struct op {
    const char *name;
    bool conf;
    void (*prepare)(struct bench *b, struct message *m);
    OM_uint32 (*call)(struct bench *b, struct message *m);
} ops[] = {
    {"wrap",            true,  NULL,           wrap},
    {"unwrap",          true,  peer_wraps,     unwrap},
    {"wrap-sign",       false, NULL,           wrap},
    {"unwrap-sign",     false, peer_wraps,     unwrap},
    {"get_mic",         false, NULL,           get_mic},
    {"verify_mic",      false, peer_signs,     verify_mic},
    {"wrap_iov",        true,  lay_out,        wrap_iov},
    {"unwrap_iov",      true,  peer_wraps_iov, unwrap_iov},
    {"wrap_iov-sign",   false, lay_out,        wrap_iov},
    {"unwrap_iov-sign", false, peer_wraps_iov, unwrap_iov},
    {"get_mic_iov",     false, lay_out_mic,    get_mic_iov},
    {"verify_mic_iov",  false, peer_signs_iov, verify_mic_iov},
};
/* clang-format on */

static const struct op *op_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strcmp(ops[i].name, name) == 0) {
            return &ops[i];
        }
    }
    fprintf(stderr, "bench_messages: which operation is %s?\n", name);
    exit(2);
}

/* --- requests --- */

static struct {
    const struct op *op;
    size_t which; /* message for the acceptor */
    sem_t wanted, there;
} at_hand;

static void *acceptor(void *arg)
{
    struct bench *b = arg;

    for (;;) {
        sem_wait(&at_hand.wanted);
        at_hand.op->prepare(b, &b->message[at_hand.which]);
        sem_post(&at_hand.there);
    }
    return NULL;
}

static void prepare_one(void *ctx, size_t i)
{
    (void)ctx;
    at_hand.which = i;
    sem_post(&at_hand.wanted);
    sem_wait(&at_hand.there);
}

static void call_one(void *ctx, size_t i)
{
    struct bench *b = ctx;
    OM_uint32 major = at_hand.op->call(b, &b->message[i]);

    if (major != GSS_S_COMPLETE) {
        fail(at_hand.op->name, major, 0);
    }
}

/* Takes up an operation; false where the mechanism does not have it. */
static bool begin(struct bench *b, const char *name, size_t size)
{
    OM_uint32 major, none = 0;

    at_hand.op = op_by_name(name);
    b->conf = at_hand.op->conf;
    b->size = size;
    for (size_t i = 0; i < kb_batch(size); i++) {
        b->message[i].room = malloc(HEADER_ROOM + size + TRAILER_ROOM);
        memset(b->message[i].room, 0, HEADER_ROOM + size + TRAILER_ROOM);
    }
    if (at_hand.op->prepare != NULL) {
        prepare_one(b, 0);
    }
    major = at_hand.op->call(b, &b->message[0]);
    if (GSS_ERROR(major) == GSS_S_UNAVAILABLE) {
        return false;
    }
    must(major, &none, name);
    return true;
}

static void end(struct bench *b)
{
    for (size_t i = 0; i < kb_batch(b->size); i++) {
        free(b->message[i].room);
        b->message[i].room = NULL;
    }
}

static void time_it(struct bench *b, const char *name, size_t size)
{
    if (begin(b, name, size)) {
        printf("%.1f\n",
               kb_slice(b, size, at_hand.op->prepare != NULL ? prepare_one : NULL, call_one));
    } else {
        puts("-");
    }
    end(b);
}

/* Only of operations that need no token of the other side. */
static void long_run(struct bench *b, const char *name, size_t size)
{
    if (size == 0 || !begin(b, name, size) || at_hand.op->prepare != NULL) {
        exit(2);
    }
    printf("%.1f\n", kb_long_run(b, size, call_one));
    end(b);
}

struct worker {
    struct bench *bench;
    pthread_barrier_t *start;
    size_t calls;
    uint64_t started, ended;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    pthread_barrier_wait(w->start);
    w->started = kb_clock_ns(CLOCK_MONOTONIC);
    do {
        call_one(w->bench, 0);
        w->calls++;
        w->ended = kb_clock_ns(CLOCK_MONOTONIC);
    } while (w->ended - w->started < KB_SLICE_NS);
    return NULL;
}

/* Only operations that need no token of the other side. */
static void threads(struct bench *b, const char *name, size_t size, unsigned num)
{
    struct worker worker[MAX_THREADS];
    pthread_t thread[MAX_THREADS];
    pthread_barrier_t start;
    uint64_t started = UINT64_MAX, ended = 0;
    size_t calls = 0;

    if (!begin(b, name, size) || at_hand.op->prepare != NULL || num < 1 || num > MAX_THREADS) {
        exit(2);
    }
    pthread_barrier_init(&start, NULL, num);
    for (unsigned i = 0; i < num; i++) {
        worker[i] = (struct worker){.bench = b, .start = &start};
        pthread_create(&thread[i], NULL, work, &worker[i]);
    }
    for (unsigned i = 0; i < num; i++) {
        pthread_join(thread[i], NULL);
        started = worker[i].started < started ? worker[i].started : started;
        ended = worker[i].ended > ended ? worker[i].ended : ended;
        calls += worker[i].calls;
    }
    pthread_barrier_destroy(&start);
    printf("%.1f\n", (double)(ended - started) / (double)calls);
    end(b);
}

/* The second call of a kind: the first may make what is kept. */
static void count_allocations(struct bench *b, const char *name, size_t size)
{
    unsigned long before;

    if (begin(b, name, size)) {
        if (at_hand.op->prepare != NULL) {
            prepare_one(b, 0);
        }
        before = allocations;
        call_one(b, 0);
        printf("%lu\n", allocations - before);
    } else {
        puts("-");
    }
    end(b);
}

static size_t heap_now(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* The platform's acceptor answers each and is gone before the heap is looked at. */
static void heap(struct bench *b)
{
    static gss_ctx_id_t ctx[HEAP_CONTEXTS];
    static gss_buffer_desc there[HEAP_CONTEXTS];
    size_t none, half, whole;
    OM_uint32 minor;

    none = heap_now();
    for (int i = 0; i < HEAP_CONTEXTS; i++) {
        initiate(b, &ctx[i], GSS_C_NO_BUFFER, &there[i]);
    }
    half = heap_now();
    for (int i = 0; i < HEAP_CONTEXTS; i++) {
        half -= malloc_usable_size(there[i].value) + sizeof(size_t);
    }
    for (int i = 0; i < HEAP_CONTEXTS; i++) {
        gss_ctx_id_t peer = GSS_C_NO_CONTEXT;
        gss_buffer_desc back = GSS_C_EMPTY_BUFFER, out;
        accept_token(&peer, &there[i], &back);
        initiate(b, &ctx[i], &back, &out);
        gss_release_buffer(&minor, &there[i]);
        gss_release_buffer(&minor, &back);
        gss_delete_sec_context(&minor, &peer, GSS_C_NO_BUFFER);
    }
    whole = heap_now();
    for (int i = 0; i < HEAP_CONTEXTS; i++) {
        gss_delete_sec_context(&minor, &ctx[i], GSS_C_NO_BUFFER);
    }
    printf("%zu %zu\n", (half - none) / HEAP_CONTEXTS, (whole - none) / HEAP_CONTEXTS);
}

/* The last arc of the OID that comes with the session key. */
static void enctype(struct bench *b)
{
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 minor, major;
    const uint8_t *oid;

    major = gss_inquire_sec_context_by_oid(&minor, b->peer, GSS_C_INQ_SSPI_SESSION_KEY, &set);
    must(major, &minor, "the session key");
    oid = set->elements[1].value;
    printf("%d\n", oid[set->elements[1].length - 1]);
    gss_release_buffer_set(&minor, &set);
}

static void answer(struct bench *b, const char *line)
{
    char op[32];
    unsigned num;
    size_t size;

    if (sscanf(line, "time %31s %zu", op, &size) == 2 && size <= KB_MAX_MESSAGE) {
        time_it(b, op, size);
    } else if (sscanf(line, "long %31s %zu", op, &size) == 2 && size <= KB_MAX_MESSAGE) {
        long_run(b, op, size);
    } else if (sscanf(line, "threads %31s %zu %u", op, &size, &num) == 3 &&
               size <= KB_MAX_MESSAGE) {
        threads(b, op, size, num);
    } else if (sscanf(line, "allocations %31s %zu", op, &size) == 2 && size <= KB_MAX_MESSAGE) {
        count_allocations(b, op, size);
    } else if (strcmp(line, "heap\n") == 0) {
        heap(b);
    } else if (strcmp(line, "enctype\n") == 0) {
        enctype(b);
    } else {
        fprintf(stderr, "bench_messages: what is %s?\n", line);
        exit(2);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct bench b = {.data = calloc(1, KB_MAX_MESSAGE)};
    gss_buffer_desc target;
    pthread_t thread;
    char line[128];
    OM_uint32 minor;

    if (argc > 2 && strcmp(argv[1], "-p") == 0) {
        b.padding = true;
        argv++;
        argc--;
    }
    if (argc != 2 || b.data == NULL) {
        return 2;
    }
    /* What Kerbside opens for itself alone would find libc's malloc, not the one that counts. */
    if (dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL) == NULL) {
        fprintf(stderr, "bench_messages: %s\n", dlerror());
    }
    target = (gss_buffer_desc){strlen(argv[1]), argv[1]};
    must(gss_import_name(&minor, &target, GSS_C_NT_HOSTBASED_SERVICE, &b.target), &minor,
         "gss_import_name");
    establish(&b);
    sem_init(&at_hand.wanted, 0, 0);
    sem_init(&at_hand.there, 0, 0);
    if (pthread_create(&thread, NULL, acceptor, &b) != 0) {
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        answer(&b, line);
    }
    return 0;
}
