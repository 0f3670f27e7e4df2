/* Comparisons of checksums take no branch, and no address, from what is secret. The way of ctgrind:
 * memcheck is told that received and expected checksums are undefined, and reports whatever depends
 * on them. Every kind of message of every enctype is verified so, once as it was made and altered.
 *
 * The program runs itself below valgrind ("inside"), where kb_equal_secret is wrapped (ld --wrap):
 * the wrapper looks whether undefined bytes came to it, and declares its verdict public, which it
 * is: the caller's answer tells it. As a control the wrapper compares by memcmp instead, at each of
 * the same places: memcheck must notice.
 *
 * OpenSSL's Camellia, DES and RC4 look up tables by key and data. That is theirs (and why nobody
 * should use these ciphers); constant_time.supp leaves lookups in libcrypto out, but no branch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/checksum.h"
#include "crypto/key.h"
#include "mech/protocol/token.h"
#include "mech/protocol/token_v1.h"
#include "tests/support/context.h"

#if defined(__has_include) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define HAVE_MEMCHECK 1
#endif
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#undef HAVE_MEMCHECK
#endif
#endif

#ifdef HAVE_MEMCHECK

/* --- inside --- */

enum { MESSAGE_LEN = 100, ROOM = 512 };

static bool with_memcmp;  /* the control */
static unsigned compared; /* comparisons of undefined bytes */

bool __real_kb_equal_secret(kb_bytes a, kb_bytes b);
bool __wrap_kb_equal_secret(kb_bytes a, kb_bytes b);

static bool undefined(kb_bytes bytes)
{
    uint8_t bits[ROOM], any = 0;

    if (bytes.len > sizeof(bits) || VALGRIND_GET_VBITS(bytes.ptr, bits, bytes.len) != 1) {
        return false;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        any |= bits[i];
    }
    return any != 0;
}

bool __wrap_kb_equal_secret(kb_bytes a, kb_bytes b)
{
    bool verdict;

    if (undefined(a) || undefined(b)) {
        compared++;
    }
    if (with_memcmp) {
        verdict = a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
    } else {
        verdict = __real_kb_equal_secret(a, b);
    }
    VALGRIND_MAKE_MEM_DEFINED(&verdict, sizeof(verdict));
    return verdict;
}

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "test_constant_time: %s\n", what);
        exit(1);
    }
}

/* What a case works on. `sealed` holds what was made by `make`. */
struct bench {
    struct kb_key *key;
    int32_t cksumtype;
    struct kb_ap *sender, *receiver;
    uint8_t message[MESSAGE_LEN], sealed[ROOM], out[ROOM], kept[ROOM];
    size_t sealed_len;
    struct kb_iov iov; /* over `sealed`: header, data, padding, trailer */
    size_t padding_len;
    struct kb_piece pieces[2 + KB_SPARE_PIECES];
};

struct verdict {
    const char *name;
    void (*make)(struct bench *b);
    enum kb_status (*verify)(struct bench *b, kb_bytes sealed);
    bool message_too; /* the message is undefined as well, and so is what is expected */
    bool tag_only;    /* of what is received, only the checksum: the rest is read once verified */
};

static kb_bytes message(struct bench *b)
{
    return kb_bytes_of(b->message, sizeof(b->message));
}

static void make_cipher(struct bench *b)
{
    b->sealed_len = kb_encrypted_len(b->key, MESSAGE_LEN);
    must(kb_encrypt(b->key, KB_USAGE_AP_REP, &kb_rng_system, message(b), b->sealed) == KB_OK,
         "kb_encrypt");
}

static enum kb_status open_cipher(struct bench *b, kb_bytes sealed)
{
    size_t len;

    return kb_decrypt(b->key, KB_USAGE_AP_REP, sealed, b->out, &len);
}

static void make_checksum(struct bench *b)
{
    b->sealed_len = kb_checksum_len(kb_key_enctype(b->key)->cksumtype);
    must(kb_checksum_make(b->key, KB_USAGE_AS_REQ_CHECKSUM, message(b), b->sealed) == KB_OK,
         "kb_checksum_make");
}

static enum kb_status verify_checksum(struct bench *b, kb_bytes sealed)
{
    return kb_checksum_verify(b->key, KB_USAGE_AS_REQ_CHECKSUM, kb_key_enctype(b->key)->cksumtype,
                              message(b), sealed);
}

static void make_by_type(struct bench *b)
{
    b->sealed_len = kb_checksum_len(b->cksumtype);
    must(kb_checksum_by_type(b->cksumtype, b->key, KB_USAGE_AS_REQ_CHECKSUM, message(b),
                             b->sealed) == KB_OK,
         "kb_checksum_by_type");
}

static enum kb_status verify_by_type(struct bench *b, kb_bytes sealed)
{
    return kb_checksum_verify_by_type(b->cksumtype, b->key, KB_USAGE_AS_REQ_CHECKSUM, message(b),
                                      sealed);
}

static void make_wrap(struct bench *b, bool conf)
{
    b->sealed_len = kb_wrap_len(b->sender, conf, MESSAGE_LEN);
    must(kb_wrap(b->sender, &kb_rng_system, conf, message(b), b->sealed) == KB_OK, "kb_wrap");
}

static void make_sealed(struct bench *b)
{
    make_wrap(b, true);
}

static void make_signed(struct bench *b)
{
    make_wrap(b, false);
}

static enum kb_status unwrap(struct bench *b, kb_bytes sealed)
{
    uint32_t suppl;
    size_t len;
    bool conf;

    return kb_unwrap(b->receiver, sealed, b->out, &len, &conf, &suppl);
}

static void make_mic(struct bench *b)
{
    b->sealed_len = kb_mic_len(b->sender);
    must(kb_get_mic(b->sender, message(b), b->sealed) == KB_OK, "kb_get_mic");
}

static enum kb_status verify_mic(struct bench *b, kb_bytes sealed)
{
    uint32_t suppl;

    return kb_verify_mic(b->receiver, message(b), sealed, &suppl);
}

static void lay_out(struct bench *b)
{
    uint8_t *data = b->sealed + b->iov.header.len;

    b->pieces[0] = kb_piece_data(data, MESSAGE_LEN);
    b->pieces[1] = kb_piece_data(data + MESSAGE_LEN, b->padding_len);
    b->iov.header.ptr = b->sealed;
    b->iov.trailer.ptr = b->pieces[1].ptr + b->pieces[1].len;
    b->sealed_len = (size_t)(b->iov.trailer.ptr - b->sealed) + b->iov.trailer.len;
}

static void make_iov(struct bench *b, bool conf)
{
    b->pieces[0] = kb_piece_data(b->sealed, MESSAGE_LEN);
    b->pieces[1] = kb_piece_data(b->sealed, 0);
    b->iov = (struct kb_iov){
        .has_trailer = true, .pieces = b->pieces, .num = 2, .padding = &b->pieces[1]};
    must(kb_wrap_iov_len(b->sender, conf, &b->iov) == KB_OK, "kb_wrap_iov_len");
    b->padding_len = b->pieces[1].len;
    lay_out(b);
    memcpy(b->pieces[0].ptr, b->message, MESSAGE_LEN);
    must(kb_wrap_iov(b->sender, &kb_rng_system, conf, &b->iov) == KB_OK, "kb_wrap_iov");
}

static void make_iov_sealed(struct bench *b)
{
    make_iov(b, true);
}

static void make_iov_signed(struct bench *b)
{
    make_iov(b, false);
}

static enum kb_status unwrap_iov(struct bench *b, kb_bytes sealed)
{
    uint32_t suppl;
    bool conf;

    (void)sealed; /* where the parts lie */
    return kb_unwrap_iov(b->receiver, &b->iov, &conf, &suppl);
}

static enum kb_status unwrap_stream(struct bench *b, kb_bytes sealed)
{
    struct kb_piece pieces[1 + KB_SPARE_PIECES] = {kb_piece_data(b->out, sizeof(b->out))};
    struct kb_iov iov = {.pieces = pieces, .num = 1};
    uint32_t suppl;
    bool conf;

    return kb_unwrap_stream(b->receiver, (uint8_t *)(uintptr_t)sealed.ptr, sealed.len, &iov,
                            &pieces[0], &conf, &suppl);
}

static enum kb_status verify_mic_iov(struct bench *b, kb_bytes sealed)
{
    struct kb_piece pieces[1 + KB_SPARE_PIECES] = {kb_piece_sign(message(b))};
    uint32_t suppl;

    return kb_verify_mic_iov(b->receiver, pieces, 1, sealed, &suppl);
}

/* clang-format off */
static const struct verdict verdicts[] = {
    {"kb_decrypt",               make_cipher,     open_cipher,     false, false},
    {"kb_checksum_verify",       make_checksum,   verify_checksum, true,  false},
    {"kb_unwrap, sealed",        make_sealed,     unwrap,          false, true},
    {"kb_unwrap, signed",        make_signed,     unwrap,          false, true},
    {"kb_unwrap_iov, sealed",    make_iov_sealed, unwrap_iov,      false, true},
    {"kb_unwrap_iov, signed",    make_iov_signed, unwrap_iov,      false, true},
    {"kb_unwrap_stream, sealed", make_sealed,     unwrap_stream,   false, true},
    {"kb_unwrap_stream, signed", make_signed,     unwrap_stream,   false, true},
    {"kb_verify_mic",            make_mic,        verify_mic,      true,  true},
    {"kb_verify_mic_iov",        make_mic,        verify_mic_iov,  true,  true},
};
/* clang-format on */

/* What of a token is marked: its checksum, at its end. In those of RFC 1964 the sequence number,
 * which is read once the token is verified, is encrypted under the checksum, and the last octet
 * says how much padding there is: there the confounder is marked, and so what the checksum should
 * have been, and of a MIC nothing but the message. */
static uint8_t *secret_of(struct bench *b, const struct verdict *v, size_t *len)
{
    const struct kb_v1_algorithm *old = kb_v1_algorithm_of(b->key);

    *len = v->tag_only ? kb_key_enctype(b->key)->mac_len : b->sealed_len;
    if (!v->tag_only || old == NULL) {
        return b->sealed + b->sealed_len - *len;
    }
    *len = v->message_too ? 0 : KB_V1_CONFOUNDER_LEN;
    return b->sealed + b->sealed_len - MESSAGE_LEN - kb_v1_pad_len(old, MESSAGE_LEN) - *len;
}

/* Where an alteration gets as far as the comparison: the end of what is sealed, but the message of
 * an old MIC. */
static uint8_t *place_of(struct bench *b, const struct verdict *v)
{
    return v->tag_only && v->message_too && kb_v1_algorithm_of(b->key) != NULL
               ? b->message
               : b->sealed + b->sealed_len - 1;
}

static const struct verdict by_type = {"a checksum by type", make_by_type, verify_by_type, true,
                                       false};

/* The number of errors: memcheck reports a place once, and counts each time. */
static unsigned verify(struct bench *b, const struct verdict *v, bool altered)
{
    uint8_t *secret, *place = place_of(b, v);
    size_t len;
    unsigned before;
    enum kb_status st;

    context_receives(b->receiver, 0);
    memcpy(b->sealed, b->kept, b->sealed_len);
    if (v->verify == unwrap_iov) {
        lay_out(b);
    }
    *place ^= altered;
    secret = secret_of(b, v, &len);
    VALGRIND_MAKE_MEM_UNDEFINED(secret, len);
    if (v->message_too) {
        VALGRIND_MAKE_MEM_UNDEFINED(b->message, sizeof(b->message));
    }
    before = VALGRIND_COUNT_ERRORS;
    st = v->verify(b, kb_bytes_of(b->sealed, b->sealed_len));
    before = VALGRIND_COUNT_ERRORS - before;
    VALGRIND_MAKE_MEM_DEFINED(b->sealed, sizeof(b->sealed));
    VALGRIND_MAKE_MEM_DEFINED(b->message, sizeof(b->message));
    VALGRIND_MAKE_MEM_DEFINED(b->out, sizeof(b->out));
    if (place == b->message) {
        *place ^= altered;
    }
    must(st == (altered ? KB_BAD_INTEGRITY : KB_OK), "a verdict");
    return before;
}

static void report(const char *enctype, const char *what, unsigned errors, unsigned control)
{
    printf("%s %u %u %u %s\n", enctype, errors, control, compared, what);
    compared = 0;
}

static void one_of(struct bench *b, const struct verdict *v, const char *name)
{
    const struct kb_enctype *enctype = kb_key_enctype(b->key);
    kb_bytes raw = kb_key_bytes(b->key);
    unsigned errors, control;

    b->sender = context_of(enctype->etype, raw, true, false, 0);
    b->receiver = context_of(enctype->etype, raw, false, false, 0);
    v->make(b);
    memcpy(b->kept, b->sealed, b->sealed_len);
    with_memcmp = false;
    errors = verify(b, v, false) + verify(b, v, true);
    with_memcmp = true;
    control = verify(b, v, false);
    with_memcmp = false;
    report(enctype->name, name, errors, control);
    context_free(b->sender);
    context_free(b->receiver);
}

static void all_of(const struct kb_enctype *enctype)
{
    struct bench b = {.sealed_len = 0};

    must(kb_key_random(enctype->etype, &kb_rng_system, &b.key) == KB_OK, "kb_key_random");
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        one_of(&b, &verdicts[i], verdicts[i].name);
    }
    for (b.cksumtype = -140; b.cksumtype < 40; b.cksumtype++) {
        char name[40];

        snprintf(name, sizeof(name), "checksum %d", b.cksumtype);
        if (kb_checksum_len(b.cksumtype) > 0 &&
            kb_checksum_by_type(b.cksumtype, b.key, KB_USAGE_AS_REQ_CHECKSUM, message(&b),
                                b.sealed) == KB_OK) {
            one_of(&b, &by_type, name);
        }
    }
    kb_key_free(b.key);
}

/* The comparison alone: equal, and other at each place. */
static void alone(void)
{
    uint8_t a[24] = {0}, b[24] = {0};
    kb_bytes x = kb_bytes_of(a, sizeof(a)), y = kb_bytes_of(b, sizeof(b));
    unsigned before, errors, control;

    before = VALGRIND_COUNT_ERRORS;
    for (size_t i = 0; i <= sizeof(a); i++) {
        bool same = i == sizeof(a), verdict;

        memset(b, 0, sizeof(b));
        if (!same) {
            b[i] = 0x80;
        }
        VALGRIND_MAKE_MEM_UNDEFINED(a, sizeof(a));
        VALGRIND_MAKE_MEM_UNDEFINED(b, sizeof(b));
        verdict = __wrap_kb_equal_secret(x, y);
        must(verdict == same, "kb_equal_secret");
    }
    errors = VALGRIND_COUNT_ERRORS - before;
    with_memcmp = true;
    must(!__wrap_kb_equal_secret(x, kb_bytes_of(b, sizeof(b) - 1)), "lengths");
    must(__wrap_kb_equal_secret(x, y), "memcmp");
    control = VALGRIND_COUNT_ERRORS - before - errors;
    with_memcmp = false;
    report("any", "kb_equal_secret", errors, control);
}

static int inside(void)
{
    must(RUNNING_ON_VALGRIND, "runs below valgrind");
    alone();
    for (size_t i = 0; kb_enctype_at(i) != NULL; i++) {
        all_of(kb_enctype_at(i));
    }
    return 0;
}

/* --- outside --- */

struct line {
    char enctype[40], what[40];
    unsigned errors, control, compared;
};

static struct line lines[512];
static size_t num_lines;
static char log_path[] = "/tmp/kerbside-constant-time-XXXXXX";

static char *suppressions(void)
{
    static char path[4096];
    const char *srcdir = getenv("KB_SRCDIR");

    snprintf(path, sizeof(path), "--suppressions=%s/tests/unit/constant_time.supp",
             srcdir != NULL ? srcdir : ".");
    return path;
}

static void become_valgrind(int out)
{
    char self[4096], log[sizeof(log_path) + 16];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len < 0) {
        _exit(2);
    }
    self[len] = '\0';
    snprintf(log, sizeof(log), "--log-file=%s", log_path);
    dup2(out, STDOUT_FILENO);
    execlp("valgrind", "valgrind", "--error-limit=no", suppressions(), log, self, "inside",
           (char *)NULL);
    _exit(77);
}

/* What memcheck said, for whoever has to find the place. */
static void tell_log(void)
{
    char text[4096];
    size_t len;
    FILE *in = fopen(log_path, "r");

    while (in != NULL && (len = fread(text, 1, sizeof(text), in)) > 0) {
        fwrite(text, 1, len, stderr);
    }
    if (in != NULL) {
        fclose(in);
    }
}

/* Runs the other half; false where there is no valgrind. */
static bool run_inside(void)
{
    int ends[2], status = 0, log = mkstemp(log_path);
    FILE *in;
    pid_t child;

    must(log >= 0 && pipe(ends) == 0, "a file for the log, and a pipe");
    close(log);
    child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        close(ends[0]);
        become_valgrind(ends[1]);
    }
    close(ends[1]);
    in = fdopen(ends[0], "r");
    must(in != NULL, "fdopen");
    for (struct line *l = lines; num_lines < sizeof(lines) / sizeof(lines[0]); l++, num_lines++) {
        if (fscanf(in, "%39s %u %u %u %39[^\n]", l->enctype, &l->errors, &l->control, &l->compared,
                   l->what) != 5) {
            break;
        }
    }
    fclose(in);
    must(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        return false;
    }
    if (status != 0) {
        tell_log();
        unlink(log_path);
        must(false, "the half below valgrind failed");
    }
    return true;
}

static size_t lines_of(const char *enctype)
{
    size_t found = 0;

    for (const struct line *l = lines; l < lines + num_lines; l++) {
        found += strcmp(l->enctype, enctype) == 0;
    }
    return found;
}

/* With the enctype's own checksum, at least. */
static void every_enctype_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; kb_enctype_at(i) != NULL; i++) {
        assert_true(lines_of(kb_enctype_at(i)->name) > sizeof(verdicts) / sizeof(verdicts[0]));
    }
}

static void secrets_are_compared(void **state)
{
    (void)state;
    for (const struct line *l = lines; l < lines + num_lines; l++) {
        if (l->compared < 3) {
            fail_msg("%s of %s: kb_equal_secret saw %u times what was marked, and was to thrice",
                     l->what, l->enctype, l->compared);
        }
    }
}

static void nothing_depends_on_secrets(void **state)
{
    unsigned bad = 0;

    (void)state;
    for (const struct line *l = lines; l < lines + num_lines; l++) {
        if (l->errors != 0) {
            fprintf(stderr, "%s of %s: %u branches or addresses from secrets\n", l->what,
                    l->enctype, l->errors);
            bad++;
        }
    }
    if (bad > 0) {
        fprintf(stderr, "memcheck said (below __wrap_kb_equal_secret is the control):\n");
        tell_log();
    }
    assert_int_equal(bad, 0);
}

static void memcmp_is_noticed(void **state)
{
    (void)state;
    for (const struct line *l = lines; l < lines + num_lines; l++) {
        if (l->control == 0) {
            fail_msg("%s of %s: memcmp would not be noticed", l->what, l->enctype);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_enctype_is_there),
        cmocka_unit_test(secrets_are_compared),
        cmocka_unit_test(nothing_depends_on_secrets),
        cmocka_unit_test(memcmp_is_noticed),
    };
    int failed;

    if (argc == 2 && strcmp(argv[1], "inside") == 0) {
        return inside();
    }
    if (!run_inside()) {
        fprintf(stderr, "test_constant_time: no valgrind\n");
        unlink(log_path);
        return 77;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(log_path);
    return failed;
}

#else

int main(void)
{
    fprintf(stderr, "test_constant_time: no valgrind/memcheck.h, or a sanitizer\n");
    return 77;
}

#endif
