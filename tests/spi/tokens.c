/* tokens.c - per-message tokens as an initiator meets them: altered, cut, repeated, out of order,
 * somebody else's, forged; and messages of every length both ways.
 *
 *   tokens SERVICE FLAGS SCENARIO flat|coarse|stream|allocated|parts
 *
 * As transcript.c, it knows nothing of the plugin and writes majors down: test_tokens.py compares
 * those of our initiator with those of the platform's. The acceptor is the platform's in any case.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/spi/take.h"

/* --- altered --- */

static void altered_one(enum forge_kind kind, size_t message_len)
{
    gss_buffer_desc message = message_of(message_len), token = make(l.accept, kind, message);
    size_t len = token.length;
    uint8_t bytes[512] = {0};

    memcpy(bytes, token.value, len);
    gss_release_buffer(&ignored, &token);
    printf("%s, %zu bytes, token of %zu\n bits flipped\n", kind_names[kind], message_len, len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        note(take(l.init, kind, message, bytes, len));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    end_notes();
    printf(" cut\n");
    for (size_t cut = 0; cut < len; cut++) {
        note(take(l.init, kind, message, bytes, cut));
    }
    end_notes();
    printf(
        " without its beginning\n"); /* what lies behind the first zeros of the number is random */
    for (size_t cut = 1; cut < 12; cut++) {
        note(take(l.init, kind, message, bytes + cut, len - cut));
    }
    end_notes();
    printf(" with more behind it\n");
    for (size_t more = 1; more < 64; more++) {
        note(take(l.init, kind, message, bytes, len + more));
    }
    end_notes();
    printf(" as it is\n");
    note(take(l.init, kind, message, bytes, len));
    note(take(l.init, kind, message, bytes, len));
    end_notes();
}

static void altered(void)
{
    static const size_t lens[] = {0, 1, 15, 16, 61, 100};

    for (int kind = 0; kind < FORGE_KINDS; kind++) {
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            altered_one((enum forge_kind)kind, lens[i]);
        }
    }
}

/* --- order --- */

#define NUM_TOKENS 300

static void order(void)
{
    /* From, to, step: negative steps go backwards. */
    static const int walks[][3] = {{0, 1, 1},      {0, 3, 1},   {2, 3, 1},     {10, 5, -1},
                                   {5, 12, 1},     {20, 60, 3}, {20, 60, 1},   {100, 30, -1},
                                   {101, 37, -1},  {36, 38, 1}, {299, 298, 1}, {150, 299, 1},
                                   {299, 200, -1}, {0, 300, 1}, {0, 300, 7}};
    static gss_buffer_desc tokens[NUM_TOKENS];
    gss_buffer_desc message = message_of(20);

    for (int i = 0; i < NUM_TOKENS; i++) {
        tokens[i] = make(l.accept, (enum forge_kind)(i % FORGE_KINDS), message);
    }
    for (size_t w = 0; w < sizeof(walks) / sizeof(walks[0]); w++) {
        const int *walk = walks[w];

        printf("tokens %d to %d by %d\n", walk[0], walk[1], walk[2]);
        for (int i = walk[0]; walk[2] > 0 ? i < walk[1] : i >= walk[1]; i += walk[2]) {
            note(take(l.init, (enum forge_kind)(i % FORGE_KINDS), message, tokens[i].value,
                      tokens[i].length));
        }
        end_notes();
    }
    for (int i = 0; i < NUM_TOKENS; i++) {
        gss_release_buffer(&ignored, &tokens[i]);
    }
}

/* --- somebody else's --- */

static void show(const char *what, OM_uint32 major)
{
    printf("%s:\n", what);
    note(major);
    end_notes();
}

/* A token of RFC 1964 3: framed, an identifier, algorithms, and noise. */
static size_t old_token(uint8_t *out, uint8_t id, size_t rest)
{
    uint8_t *p = out;

    *p++ = 0x60;
    *p++ = (uint8_t)(2 + krb5_oid.length + 2 + 6 + rest);
    *p++ = 0x06;
    *p++ = (uint8_t)krb5_oid.length;
    memcpy(p, krb5_oid.elements, krb5_oid.length);
    p += krb5_oid.length;
    *p++ = id;
    *p++ = 0x01;
    memcpy(p, "\x11\x00\x10\x00\xff\xff", 6); /* HMAC-MD5, RC4 */
    p += 6;
    memset(p, 0x77, rest);
    return (size_t)(p - out) + rest;
}

static void foreign_one(enum forge_kind kind, struct loop *other)
{
    gss_buffer_desc message = message_of(33), longer = message_of(34);
    gss_buffer_desc own = make(l.init, kind, message), others = make(other->accept, kind, message);
    gss_buffer_desc right = make(l.accept, kind, message);
    uint8_t bytes[256];
    size_t len;

    printf("%s\n", kind_names[kind]);
    show("one that it made itself", take(l.init, kind, message, own.value, own.length));
    show("of another context", take(l.init, kind, message, others.value, others.length));
    for (int as = 0; as < FORGE_KINDS; as++) {
        if (as != (int)kind && (as == FORGE_MIC || kind == FORGE_MIC)) {
            show(kind_names[as],
                 take(l.init, (enum forge_kind)as, message, right.value, right.length));
        }
    }
    if (kind == FORGE_MIC) {
        show("of another message", take(l.init, kind, longer, right.value, right.length));
        message.length--;
        show("of another message", take(l.init, kind, message, right.value, right.length));
        message.length++;
    }
    for (int id = 0; id < 4; id++) {
        for (size_t rest = 0; rest < 80; rest++) {
            len = old_token(bytes, (uint8_t)id, rest);
            note(take(l.init, kind, message, bytes, len));
        }
        end_notes();
    }
    for (int byte = 0; byte < 256; byte++) {
        if (byte ==
            4) { /* a MIC token the wrong way: whether it is one or where from, comes first */
            continue;
        }
        memset(bytes, byte, sizeof(bytes));
        note(take(l.init, kind, message, bytes, sizeof(bytes)));
        note(take(l.init, kind, message, bytes, 1));
    }
    end_notes();
    show("after all of that", take(l.init, kind, message, right.value, right.length));
    gss_release_buffer(&ignored, &own);
    gss_release_buffer(&ignored, &others);
    gss_release_buffer(&ignored, &right);
}

static void foreign(void)
{
    struct loop other = {.mech = l.mech, .flags = l.flags, .service = l.service};

    if (run_loop(&other)) {
        for (int kind = 0; kind < FORGE_KINDS; kind++) {
            foreign_one((enum forge_kind)kind, &other);
        }
    }
    end_loop(&other);
}

/* --- every length --- */

static void both_ways(size_t len, enum forge_kind kind)
{
    gss_buffer_desc message = message_of(len), there = make(l.init, kind, message);
    gss_buffer_desc back = make(l.accept, kind, message);

    note(take(l.accept, kind, message, there.value, there.length));
    note(take(l.init, kind, message, back.value, back.length));
    if (there.length != back.length) {
        printf("%s, %zu bytes: tokens of %zu and %zu\n", kind_names[kind], len, there.length,
               back.length);
    }
    gss_release_buffer(&ignored, &there);
    gss_release_buffer(&ignored, &back);
}

static void lengths(void)
{
    for (int kind = 0; kind < FORGE_KINDS; kind++) {
        printf("%s\n", kind_names[kind]);
        for (unsigned len = 0; len <= 4096; len = next_of(4096, len)) {
            both_ways(len, (enum forge_kind)kind);
        }
        both_ways(65000, (enum forge_kind)kind);
        end_notes();
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } scenarios[] = {
        {"altered", altered}, {"foreign", foreign}, {"forged", forge_all},
        {"lengths", lengths}, {"order", order},
    };

    static const char *const vias[] = {"flat", "coarse", "stream", "allocated", "parts"};

    for (int i = 0; argc == 5 && i < 5; i++) {
        via = strcmp(argv[4], vias[i]) == 0 ? (enum via)i : via;
    }
    for (size_t i = 0; argc == 5 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(argv[3], scenarios[i].name) == 0) {
            l.mech = &krb5_oid;
            l.service = argv[1];
            l.flags = (OM_uint32)strtoul(argv[2], NULL, 16);
            if (run_loop(&l)) {
                mac_len = length_of_macs();
                scenarios[i].run();
            }
            end_loop(&l);
            return 0;
        }
    }
    fprintf(stderr, "usage: tokens SERVICE FLAGS SCENARIO flat|coarse|stream|allocated|parts\n");
    return 2;
}
