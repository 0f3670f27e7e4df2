/* crypto/provider: nothing of OpenSSL before the first key is used, and then OpenSSL's own.
 *
 * This program is linked with -rdynamic and defines functions of OpenSSL's, as a host with an
 * OpenSSL of its own does (node exports 1,700 of them): none of these may ever be called. */
#include "config.h"

#include "tests/support/crypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/provider.h"
#include "crypto/s2k.h"
#include "crypto/stream.h"

/* Some that Kerbside calls, and some that libcrypto calls itself on the way. Sanitizer builds load
 * without RTLD_DEEPBIND, so there is nothing to show there. */
#ifndef KB_SANITIZED
#define BOGUS(name)                                                                                \
    void name(void);                                                                               \
    __attribute__((visibility("default"))) void name(void)                                         \
    {                                                                                              \
        static const char text[] = "the host's " #name " was called\n";                            \
                                                                                                   \
        (void)!write(2, text, sizeof(text) - 1);                                                   \
        _exit(99);                                                                                 \
    }
BOGUS(ASN1_TYPE_new)
BOGUS(CRYPTO_free)
BOGUS(CRYPTO_malloc)
BOGUS(CRYPTO_zalloc)
BOGUS(ERR_set_mark)
BOGUS(DES_set_key_unchecked)
BOGUS(ERR_new)
BOGUS(EVP_CIPHER_CTX_new)
BOGUS(EVP_CIPHER_fetch)
BOGUS(EVP_CipherInit_ex2)
BOGUS(EVP_CipherUpdate)
BOGUS(EVP_MD_fetch)
BOGUS(MD4_Init)
BOGUS(MD4_Update)
BOGUS(OPENSSL_LH_insert)
BOGUS(OPENSSL_LH_retrieve)
BOGUS(OPENSSL_cleanse)
BOGUS(OPENSSL_init_crypto)
BOGUS(OSSL_LIB_CTX_new)
BOGUS(OSSL_LIB_CTX_new_child)
BOGUS(OSSL_PARAM_locate)
BOGUS(OSSL_PARAM_locate_const)
BOGUS(SHA1_Init)
BOGUS(SHA1_Update)
#endif

#define SOME_KEY "00000000000000000000000000000000000000000000000000000000000000ff"

static bool mapped(const char *library)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    char line[1000];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        found = found || strstr(line, library) != NULL;
    }
    fclose(maps);
    return found;
}

/* Runs first. */
static void nothing_before_the_first_use(void **state)
{
    struct kb_key *key, *random;
    uint8_t buf[40];

    (void)state;
    key = new_key(KB_ENCTYPE_AES256_SHA1, SOME_KEY);
    assert_int_equal(kb_key_random(KB_ENCTYPE_AES128_SHA256, &kb_rng_system, &random), KB_OK);
    assert_int_equal(kb_random(&kb_rng_system, buf, sizeof(buf)), KB_OK);
    assert_non_null(kb_enctype_by_name(KB_LIT("aes256-cts")));
    assert_false(kb_provider_loaded());
    assert_string_equal(kb_provider_error(), "");
    assert_false(mapped("libcrypto"));
    assert_false(mapped("libssl"));
    kb_key_free(key);
    kb_key_free(random);
    assert_false(mapped("libcrypto"));
}

static void limit_memory(rlim_t soft)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = soft;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static rlim_t mapped_now(void)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    unsigned long pages;

    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* OpenSSL cannot be mapped; later it can. In a child, for the other tests to begin afresh. */
static void failure_is_said_and_tried_again(void **state)
{
    int status;
    pid_t pid;

    (void)state;
#ifdef KB_SANITIZED
    skip(); /* a sanitizer needs all the address space */
#endif
    pid = fork();
    if (pid == 0) {
        struct kb_key *key = new_key(KB_ENCTYPE_AES128_SHA1, "00000000000000000000000000000000"),
                      *other;
        const char *first;
        uint8_t out[64];

        assert_int_equal(kb_random(&kb_rng_system, out, 16), KB_OK);
        limit_memory(mapped_now() + 0x100000);
        assert_int_equal(kb_provider_load(), KB_NO_CRYPTO);
        first = kb_provider_error();
        assert_non_null(strstr(first, "OpenSSL"));
        assert_non_null(strstr(first, "libcrypto.so.3"));
        assert_false(kb_provider_loaded());
        assert_int_equal(kb_encrypt(key, 1, &kb_rng_system, KB_NONE, out), KB_NO_CRYPTO);
        assert_int_equal(kb_prf(key, KB_NONE, out), KB_NO_CRYPTO);
        assert_int_equal(kb_checksum_make(key, 1, KB_NONE, out), KB_NO_CRYPTO);
        assert_int_equal(
            kb_string_to_key(KB_ENCTYPE_AES128_SHA1, KB_NONE, KB_NONE, KB_NONE, &other),
            KB_NO_CRYPTO);
        assert_ptr_equal(kb_provider_error(), first); /* not one more text for each failure */
        limit_memory(RLIM_INFINITY);
        assert_int_equal(kb_encrypt(key, 1, &kb_rng_system, KB_NONE, out), KB_OK);
        assert_string_equal(kb_provider_error(), "");
        kb_key_free(key);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void *load(void *arg)
{
    (void)arg;
    return kb_provider_load() == KB_OK ? NULL : (void *)1;
}

/* Not by _exit: there TSan misses the parent's threads in the child. */
static void leave(int status)
{
    syscall(SYS_exit_group, status);
}

/* A child that went well ends by SIGKILL: else valgrind misses what OpenSSL keeps for a thread that
 * the fork left behind. */
static void vanish(bool well)
{
    if (well) {
        kill(getpid(), SIGKILL);
    }
    leave(1);
}

/* Children forked while other threads load: each finds nothing or all of it, and none hangs. */
static void threads_and_forks(void **state)
{
    pthread_attr_t attr;
    pthread_t threads[4];
    pid_t children[8];

    (void)state;
    assert_int_equal(pthread_attr_init(&attr), 0);
#ifndef KB_SANITIZED
    assert_int_equal(pthread_attr_setstacksize(&attr, 65536), 0); /* Java and musl have such */
#endif
    for (size_t i = 0; i < NUM(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], &attr, load, NULL), 0);
    }
    for (size_t i = 0; i < NUM(children); i++) {
        children[i] = fork();
        if (children[i] == 0) {
            alarm(20);
            vanish(kb_provider_load() == KB_OK);
        }
    }
    for (size_t i = 0; i < NUM(children); i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL); /* SIGALRM: it hung */
    }
    for (size_t i = 0; i < NUM(threads); i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    pthread_attr_destroy(&attr);
    assert_true(kb_provider_loaded());
    assert_true(mapped("libcrypto.so.3"));
    assert_string_equal(kb_provider_error(), "");
}

/* With everything of the host's in the way: RFC 3962 B and a message. */
static void the_right_functions(void **state)
{
    uint8_t cipher[64];
    struct kb_key *key;
    size_t len;

    (void)state;
    assert_int_equal(kb_string_to_key(KB_ENCTYPE_AES128_SHA1, KB_LIT("password"),
                                      KB_LIT("ATHENA.MIT.EDUraeburn"), unhex("000004b0"), &key),
                     KB_OK);
    assert_bytes(kb_key_bytes(key), unhex("4c01cd46d632d01e6dbe230a01ed642a"), "RFC 3962 B");
    assert_int_equal(kb_encrypt(key, 1, &kb_rng_system, KB_LIT("text"), cipher), KB_OK);
    assert_int_equal(
        kb_decrypt(key, 1, kb_bytes_of(cipher, kb_encrypted_len(key, 4)), cipher, &len), KB_OK);
    assert_memory_equal(cipher, "text", 4);
    kb_key_free(key);
}

/* RFC 6229 2 and RFC 1320 A.5: what the legacy provider has, a module that is linked to libcrypto.
 */
static bool legacy_works(void)
{
    static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    static const uint8_t rc4[] = {0x9a, 0xc7, 0xcc, 0x9a}, md4[] = {0xa4, 0x48, 0x01, 0x7a};
    struct kb_stream *stream = NULL;
    kb_bytes abc = KB_LIT("abc");
    uint8_t out[16] = {0};
    bool ok = kb_stream_new(KB_RC4, kb_bytes_of(key, 16), KB_NONE, true, &stream) == KB_OK;

    ok = ok && kb_stream_cipher(stream, out, out, sizeof(rc4)) == KB_OK;
    ok = ok && memcmp(out, rc4, sizeof(rc4)) == 0;
    ok = ok && kb_primitive_hash(KB_MD4, &abc, 1, out) == KB_OK;
    ok = ok && memcmp(out, md4, sizeof(md4)) == 0;
    kb_stream_free(stream);
    return ok;
}

static void the_right_functions_of_modules(void **state)
{
    char path[] = "/tmp/kerbside-cnf-XXXXXX";
    static const char conf[] = "openssl_conf = main\n[main]\nproviders = all\n[all]\n"
                               "default = it\nlegacy = it\n[it]\nactivate = 1\n";
    int fd = mkstemp(path), status;
    pid_t pid;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, conf, strlen(conf)), strlen(conf));
    close(fd);
    for (int mode = 0; mode < 2; mode++) {
        pid = fork();
        if (pid == 0) {
            setenv("OPENSSL_CONF", path, 1);
            leave(kb_provider_choose(mode == 0 ? KB_CRYPTO_INTERNAL : KB_CRYPTO_SYSTEM) &&
                          legacy_works()
                      ? 0
                      : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    unlink(path);
}

/* A host's exit handlers may run OpenSSL's clean-up before they release their GSS objects. */
static void after_the_clean_up(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0) {
        static const uint8_t raw[32];
        void *handle = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD);
        struct kb_key *old = new_key(KB_ENCTYPE_AES256_SHA1, SOME_KEY), *fresh = NULL;
        uint8_t out[64];
        void (*clean_up)(void);
        bool ok;

        assert_non_null(handle);
        *(void **)&clean_up = dlsym(handle, "OPENSSL_cleanup");
        assert_int_equal(kb_encrypt(old, 1, &kb_rng_system, KB_NONE, out), KB_OK);
        clean_up();
        ok = kb_encrypt(old, 1, &kb_rng_system, KB_NONE, out) == KB_OK;
        ok = ok && kb_key_new(KB_ENCTYPE_AES256_SHA384, kb_bytes_of(raw, 32), &fresh) == KB_OK;
        ok = ok && kb_encrypt(fresh, 1, &kb_rng_system, KB_NONE, out) == KB_OK;
        kb_key_free(old);
        kb_key_free(fresh);
        leave(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    int no_handlers =
        pthread_atfork(kb_provider_fork_prepare, kb_provider_fork_done, kb_provider_fork_done);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_the_first_use),
        cmocka_unit_test(failure_is_said_and_tried_again),
        cmocka_unit_test(the_right_functions_of_modules),
        cmocka_unit_test(threads_and_forks),
        cmocka_unit_test(the_right_functions),
        cmocka_unit_test(after_the_clean_up),
    };

    if (no_handlers) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
