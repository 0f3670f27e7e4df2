/* tokens.c - per-message tokens as an initiator meets them: altered, cut, repeated, out of order,
 * somebody else's, forged; and messages of every length both ways.
 *
 *   tokens SERVICE FLAGS SCENARIO
 *
 * As transcript.c, it knows nothing of the plugin and writes majors down: test_tokens.py compares
 * those of our initiator with those of the platform's. The acceptor is the platform's in any case.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/spi/forge.h"
#include "tests/spi/say.h"

static struct loop l;
static size_t mac_len; /* of its checksums */

/* --- what comes of many tokens, in few lines --- */

#define MAX_RUNS 40

static struct {
    OM_uint32 major;
    size_t from, next, runs;
    struct {
        OM_uint32 major;
        size_t num;
    } counts[16];
    uint32_t digest;
} seen;

static void end_run(void)
{
    if (seen.next > seen.from && ++seen.runs <= MAX_RUNS) {
        printf("  %zu-%zu %08x\n", seen.from, seen.next - 1, seen.major);
    }
    seen.from = seen.next;
}

static void note(OM_uint32 major)
{
    size_t i = 0;

    if (seen.next > seen.from && major != seen.major) {
        end_run();
    }
    seen.major = major;
    seen.next++;
    while (i < 15 && seen.counts[i].num > 0 && seen.counts[i].major != major) {
        i++;
    }
    seen.counts[i].major = major;
    seen.counts[i].num++;
    seen.digest = (seen.digest ^ major) * 16777619u + (uint32_t)seen.next;
}

static void end_notes(void)
{
    end_run();
    if (seen.runs > MAX_RUNS) {
        printf("  all %zu: digest %08x,", seen.next, seen.digest);
        for (size_t i = 0; i < 16 && seen.counts[i].num > 0; i++) {
            printf(" %08x %zu times", seen.counts[i].major, seen.counts[i].num);
        }
        printf("\n");
    }
    memset(&seen, 0, sizeof(seen));
}

/* --- tokens made and taken --- */

static const char *const kind_names[] = {"sealed", "signed", "MIC"};

static gss_buffer_desc message_of(size_t len)
{
    static uint8_t bytes[FORGE_MAX];

    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 7 + 1);
    }
    return (gss_buffer_desc){len, bytes};
}

static gss_buffer_desc make(gss_ctx_id_t ctx, enum forge_kind kind, gss_buffer_desc message)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = kind == FORGE_MIC
                          ? gss_get_mic(&minor, ctx, 0, &message, &token)
                          : gss_wrap(&minor, ctx, kind == FORGE_SEAL, 0, &message, NULL, &token);

    if (major != GSS_S_COMPLETE) {
        tell("make", major);
    }
    return token;
}

/* A Wrap token that is not sealed and whose EC is not the length of its checksum: MIT says BAD_SIG
 * or DEFECTIVE_TOKEN in releases up to 1.21, then always the latter, as we do. */
static OM_uint32 unless_releases_differ(enum forge_kind kind, const uint8_t *bytes, size_t len,
                                        OM_uint32 major)
{
    int is_wrap = len >= 16 && kind != FORGE_MIC && bytes[0] == 5 && bytes[1] == 4;

    if (is_wrap && (bytes[2] & 2) == 0 && (bytes[4] << 8 | bytes[5]) != (int)mac_len &&
        (major == GSS_S_BAD_SIG || major == GSS_S_DEFECTIVE_TOKEN)) {
        return GSS_S_DEFECTIVE_TOKEN;
    }
    return major;
}

/* The token comes in memory of exactly its size. Nothing comes out but a message that was verified;
 * the platform's mechanism rotates a token where it lies, which is no line of the comparison. */
static OM_uint32 take(gss_ctx_id_t ctx, enum forge_kind kind, gss_buffer_desc message,
                      const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    gss_buffer_desc token = {len, copy}, plain = {7, &plain};
    gss_qop_t qop = 7;
    int conf = 7;
    OM_uint32 major;

    copy[len] = 0x5a;
    memcpy(copy, bytes, len);
    if (kind == FORGE_MIC) {
        major = gss_verify_mic(&minor, ctx, &message, &token, &qop);
    } else {
        major = gss_unwrap(&minor, ctx, &token, &plain, &conf, &qop);
        if (GSS_ERROR(major) && (plain.length != 0 || plain.value != NULL)) {
            printf("output without a message\n");
        } else if (!GSS_ERROR(major)) {
            if (plain.length != message.length ||
                (plain.length > 0 && memcmp(plain.value, message.value, plain.length) != 0)) {
                printf("another message, of %zu bytes\n", plain.length);
            }
            if (conf != (kind == FORGE_SEAL)) {
                printf("conf %d\n", conf);
            }
            gss_release_buffer(&ignored, &plain);
        }
    }
    if (ctx == l.init && (copy[len] != 0x5a || memcmp(copy, bytes, len) != 0)) {
        printf("    input altered\n");
    }
    free(copy);
    return unless_releases_differ(kind, bytes, len, major);
}

/* Of a MIC token without its header. */
static size_t length_of_macs(void)
{
    gss_buffer_desc token = make(l.accept, FORGE_MIC, message_of(0));
    size_t len = token.length - 16;

    take(l.init, FORGE_MIC, message_of(0), token.value, token.length);
    gss_release_buffer(&ignored, &token);
    return len;
}

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
    printf("%s: %08x\n", what, major);
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

/* --- forged: valid, but for what is told --- */

static gss_krb5_lucid_context_v1_t *acceptor;
static uint64_t first; /* the number that is expected when forging begins */
static uint8_t forged[FORGE_MAX];

static OM_uint32 take_forged(const struct forge *f)
{
    size_t len = forge_make(f, forged);

    return take(l.init, f->kind, f->message, forged, len);
}

static struct forge begin(enum forge_kind kind, size_t len)
{
    gss_buffer_desc message = message_of(len);
    struct forge f;

    forge_begin(&f, kind, acceptor, &message, acceptor->send_seq++);
    f.ec = kind == FORGE_SIGN ? (uint16_t)mac_len : f.ec;
    return f;
}

static void every_rrc(enum forge_kind kind)
{
    struct forge f = begin(kind, 50);
    size_t len;

    printf("%s: every RRC, rotated so\n", kind_names[kind]);
    for (unsigned rrc = 0; rrc < 65536; rrc += rrc < 300 || rrc > 65300 ? 1 : 37) {
        f.rrc = (uint16_t)rrc;
        f.rotate = f.rrc;
        note(take_forged(&f));
    }
    end_notes();
    printf("%s: every RRC, not rotated\n", kind_names[kind]);
    f = begin(kind, 50);
    len = forge_make(&f, forged);
    for (unsigned rrc = 0; rrc < 65536; rrc++) {
        forged[6] = (uint8_t)(rrc >> 8);
        forged[7] = (uint8_t)rrc;
        note(take(l.init, kind, f.message, forged, len));
    }
    end_notes();
}

static void every_ec(enum forge_kind kind)
{
    struct forge f;
    size_t len;

    printf("%s: every EC, altered\n", kind_names[kind]);
    f = begin(kind, 50);
    len = forge_make(&f, forged);
    for (unsigned ec = 0; ec < 65536; ec++) {
        forged[4] = (uint8_t)(ec >> 8);
        forged[5] = (uint8_t)ec;
        note(take(l.init, kind, f.message, forged, len));
    }
    end_notes();
}

/* In brackets, and not compared: in DCE style Windows and Heimdal rotate by EC as well, and we with
 * them; MIT's gss_unwrap does not. */
static void every_filler(void)
{
    int dce = (l.flags & GSS_C_DCE_STYLE) != 0;
    struct forge f;

    printf("sealed: every EC, with a filler of that length, rotated or not\n");
    for (unsigned ec = 0; ec < 65536; ec += ec < 100 ? 1 : 1009) {
        for (unsigned rrc = 0; rrc < (dce ? 1 : 60); rrc += 28) {
            f = begin(FORGE_SEAL, 50);
            f.fill = f.ec = f.inner_ec = (uint16_t)ec;
            f.rotate = f.rrc = (uint16_t)rrc;
            note(take_forged(&f));
        }
    }
    end_notes();
    f = begin(FORGE_SEAL, 50);
    f.fill = f.ec = f.inner_ec = 16;
    f.rrc = 28;
    f.rotate = 28 + 16;
    printf("(rotated by EC too: %08x)\n", take_forged(&f));
    printf("sealed: every EC, more than all data\n");
    for (unsigned ec = 1; ec < 65536; ec += ec < 100 ? 1 : 1009) {
        f = begin(FORGE_SEAL, 0);
        f.ec = f.inner_ec = (uint16_t)ec;
        f.fill = ec - 1;
        note(take_forged(&f));
    }
    end_notes();
}

/* In brackets, and not compared: flags that do not tell the key that there is (RFC 4121 4.2.2), and
 * Sealed in a MIC token, which are all right for MIT. */
static void every_flag(enum forge_kind kind)
{
    int subkey = acceptor->cfx_kd.have_acceptor_subkey;
    struct forge f;

    printf("%s: all flags\n", kind_names[kind]);
    for (unsigned flags = 0; flags < 256; flags++) {
        f = begin(kind, 10);
        if (((flags ^ f.flags) & (2 | 4)) == 0) {
            f.flags = f.inner_flags = (uint8_t)flags;
            note(take_forged(&f));
        }
    }
    end_notes();
    f = begin(kind, 10);
    f.flags = f.inner_flags = f.flags ^ 4;
    printf("(%s, the other key's flag: %08x)\n", kind_names[kind], take_forged(&f));
    f.key = subkey ? &acceptor->cfx_kd.ctx_key : f.key;
    printf("(%s, the initiator's key: %08x)\n", kind_names[kind], take_forged(&f));
    if (kind == FORGE_MIC) {
        f = begin(kind, 10);
        f.flags |= 2;
        printf("(MIC, sealed: %08x)\n", take_forged(&f));
    }
}

/* Numbers on all sides of the one that is expected, far ones too. */
static void numbers(enum forge_kind kind)
{
    static const int64_t steps[] = {5000, 1,   0,          63,         64,        65,
                                    1000, -1,  -63,        -64,        -65,       -66,
                                    500,  -10, 0x7fffffff, 0x80000000, 0xffffffff};
    struct forge f = begin(kind, 10);
    uint64_t number = first + (uint64_t)kind;

    printf("%s: numbers\n", kind_names[kind]);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        number += (uint64_t)steps[i];
        f.seq = f.inner_seq = number;
        note(take_forged(&f));
    }
    for (int shift = 0; shift < 64; shift++) {
        f.seq = f.inner_seq = first + ((uint64_t)1 << shift);
        note(take_forged(&f));
        f.seq = f.inner_seq = first - ((uint64_t)1 << shift);
        note(take_forged(&f));
    }
    end_notes();
}

static void details(enum forge_kind kind)
{
    struct forge f = begin(kind, 10);

    printf("%s: details\n", kind_names[kind]);
    f.filler = f.inner_filler = 0;
    show("filler 0", take_forged(&f));
    for (unsigned usage = 22; usage < 26; usage++) {
        f = begin(kind, 10);
        f.usage = usage;
        show("key usage", take_forged(&f));
    }
    for (unsigned id = 0; id < 0x600; id++) {
        f = begin(kind, 10);
        f.token_id = f.inner_token_id = (uint16_t)id;
        note(take_forged(&f));
    }
    end_notes();
    if (kind == FORGE_SEAL) {
        for (size_t lacks = 1; lacks <= 16; lacks++) {
            f = begin(kind, 0);
            f.lacks = lacks;
            note(take_forged(&f));
        }
        end_notes();
        f = begin(kind, 10);
        f.inner_filler = 0;
        show("inner filler 0", take_forged(&f));
        f = begin(kind, 10);
        f.inner_seq++;
        show("another inner number", take_forged(&f));
        f = begin(kind, 10);
        f.inner_flags ^= 1;
        show("another inner direction", take_forged(&f));
        f = begin(kind, 10);
        f.inner_flags ^= 0x80;
        show("an inner flag", take_forged(&f));
        f = begin(kind, 10);
        f.inner_token_id = 0x0404;
        show("another inner identifier", take_forged(&f));
        f = begin(kind, 10);
        f.inner_rrc = 5;
        show("an inner RRC", take_forged(&f));
        f = begin(kind, 10);
        f.rrc = f.inner_rrc = 5;
        f.rotate = 5;
        show("an inner RRC, the same", take_forged(&f));
        f = begin(kind, 10);
        f.inner_ec = 3;
        show("another inner EC", take_forged(&f));
    } else if (kind == FORGE_MIC) {
        f = begin(kind, 10);
        f.ec = 0xfffe;
        show("an EC", take_forged(&f));
        f = begin(kind, 10);
        f.rrc = 0;
        show("an RRC", take_forged(&f));
    }
}

static void forge_all(void)
{
    void *any = NULL;

    if (!tell("export_lucid", gss_krb5_export_lucid_sec_context(&minor, &l.accept, 1, &any))) {
        return;
    }
    acceptor = any;
    first = acceptor->send_seq;
    for (int i = 0; i < FORGE_KINDS; i++) {
        enum forge_kind kind = (enum forge_kind)i;

        every_flag(kind);
        details(kind);
        numbers(kind);
        every_ec(kind);
        if (kind != FORGE_MIC) {
            every_rrc(kind);
        }
    }
    every_filler();
    gss_krb5_free_lucid_sec_context(&ignored, acceptor);
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
        for (size_t len = 0; len <= 4096; len++) {
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

    for (size_t i = 0; argc == 4 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
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
    fprintf(stderr, "usage: tokens SERVICE FLAGS SCENARIO\n");
    return 2;
}
