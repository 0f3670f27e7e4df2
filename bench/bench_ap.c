/* bench_ap WHAT [ETYPE [SIZE [COUNT]]]: CPU of one step of the engine alone, without libgssapi.
 *
 * WHAT is `new` (a context and its AP-REQ from a ticket at hand), `wrap`, `seal`, `unwrap`,
 * `unseal`, `mic` or `verify`; ETYPE a name as aes256-cts. The least of ten rounds counts. For
 * instructions:
 *
 *     valgrind --tool=callgrind ./bench_ap new aes256-cts 0 COUNT
 *
 * with two COUNTs, whose difference has no start in it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/random.h"
#include "mech/protocol/context.h"
#include "mech/protocol/token.h"
#include "tests/support/context.h"

#define ROUNDS 10

struct bench {
    const struct kb_enctype *enctype;
    struct kb_credential credential;
    struct kb_env env;
    struct kb_ap *client, *server;
    kb_bytes message, sealed, plain, mic;
    uint8_t *out;
};

static struct kb_timestamp next_now(void *ctx)
{
    static int32_t usec;

    (void)ctx;
    usec = (usec + 1) % 1000000;
    return (struct kb_timestamp){1900000000, usec};
}

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench_ap: %s\n", what);
        exit(1);
    }
}

/* --- one call of each kind --- */

static void make_context(struct bench *b)
{
    struct kb_ap_request request = {
        .credential = &b->credential,
        .flags = KB_GSS_MUTUAL | KB_GSS_CONF | KB_GSS_INTEG | KB_GSS_REPLAY | KB_GSS_SEQUENCE,
        .etypes = &b->enctype->etype,
        .num_etypes = 1,
    };
    uint64_t block[384];
    struct kb_arena arena;
    struct kb_ap *ap;
    kb_bytes req;

    kb_arena_init(&arena, block, sizeof(block), 1 << 20);
    must(kb_ap_new(&b->env, &request, &arena, &ap, &req) == KB_OK, "kb_ap_new");
    kb_frame(KB_LIT("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"), KB_TOK_AP_REQ, req, b->out);
    kb_arena_wipe(&arena);
    kb_ap_free(ap);
}

static void wrap(struct bench *b)
{
    must(kb_wrap(b->client, &b->env.rng, false, b->message, b->out) == KB_OK, "wrap");
}

static void seal(struct bench *b)
{
    must(kb_wrap(b->client, &b->env.rng, true, b->message, b->out) == KB_OK, "seal");
}

static void unwrap(struct bench *b)
{
    uint32_t suppl;
    size_t len;
    bool conf;

    must(kb_unwrap(b->server, b->plain, b->out, &len, &conf, &suppl) == KB_OK, "unwrap");
}

static void unseal(struct bench *b)
{
    uint32_t suppl;
    size_t len;
    bool conf;

    must(kb_unwrap(b->server, b->sealed, b->out, &len, &conf, &suppl) == KB_OK, "unseal");
}

static void mic(struct bench *b)
{
    must(kb_get_mic(b->client, b->message, b->out) == KB_OK, "mic");
}

static void verify(struct bench *b)
{
    uint32_t suppl;

    must(kb_verify_mic(b->server, b->message, b->mic, &suppl) == KB_OK, "verify");
}

static const struct {
    const char *name;
    void (*call)(struct bench *b);
} kinds[] = {
    {"new", make_context}, {"wrap", wrap}, {"seal", seal},     {"unwrap", unwrap},
    {"unseal", unseal},    {"mic", mic},   {"verify", verify},
};

/* --- the measurement --- */

static kb_bytes token(struct bench *b, bool sealed)
{
    size_t len = kb_wrap_len(b->client, sealed, b->message.len);
    uint8_t *bytes = malloc(len);

    must(bytes != NULL && kb_wrap(b->client, &b->env.rng, sealed, b->message, bytes) == KB_OK,
         "token");
    return kb_bytes_of(bytes, len);
}

static void prepare(struct bench *b, size_t size)
{
    static const uint8_t key[KB_MAX_KEY_LEN] = "an example of a key";
    static uint8_t ticket[900] = {0x61, 0x82, 0x03, 0x80}; /* of a usual size; only passed on */
    kb_bytes raw = {key, b->enctype->key_len};
    struct kb_principal *client, *server;
    uint8_t *bytes;

    must(kb_principal_parse(KB_LIT("alice@EXAMPLE.ORG"), KB_NT_PRINCIPAL, KB_NONE, &client) ==
                 KB_OK &&
             kb_principal_parse(KB_LIT("HTTP/www.example.org@EXAMPLE.ORG"), KB_NT_SRV_HST, KB_NONE,
                                &server) == KB_OK,
         "names");
    b->credential = (struct kb_credential){.client = client,
                                           .server = server,
                                           .ticket = kb_bytes_of(ticket, sizeof(ticket)),
                                           .endtime = 2000000000};
    must(kb_key_new(b->enctype->etype, raw, &b->credential.session_key) == KB_OK, "key");
    b->env = (struct kb_env){.rng = kb_rng_system, .now = next_now};
    b->client = context_of(b->enctype->etype, raw, false, true, 0);
    b->server = context_of(b->enctype->etype, raw, true, true, 0);
    bytes = calloc(1, size + 1);
    b->out = malloc(size + 4096);
    must(bytes != NULL && b->out != NULL, "memory");
    b->message = kb_bytes_of(bytes, size);
    b->sealed = token(b, true);
    b->plain = token(b, false);
    bytes = malloc(kb_mic_len(b->client));
    must(bytes != NULL && kb_get_mic(b->client, b->message, bytes) == KB_OK, "mic");
    b->mic = kb_bytes_of(bytes, kb_mic_len(b->client));
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double least(struct bench *b, void (*call)(struct bench *b), long count)
{
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start = cpu_seconds(), spent;

        for (long i = 0; i < count; i++) {
            call(b);
        }
        spent = (cpu_seconds() - start) / (double)count;
        best = spent < best ? spent : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "new";
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 1024;
    long count = argc > 4 ? strtol(argv[4], NULL, 10) : 20000;
    struct bench b = {.enctype = kb_enctype_by_name(kb_str(argc > 2 ? argv[2] : "aes256-cts"))};

    must(b.enctype != NULL, "no such enctype");
    must(count > 0, "COUNT is a positive number");
    prepare(&b, size);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, what) == 0) {
            double seconds = least(&b, kinds[i].call, count);

            printf("%s %s %zu bytes: %.0f ns, %.0f MB/s\n", what, b.enctype->name, size,
                   seconds * 1e9, (double)size / seconds / 1e6);
            return 0;
        }
    }
    must(false, "what is to be measured?");
    return 1;
}
