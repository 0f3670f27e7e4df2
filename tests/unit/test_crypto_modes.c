/* crypto/provider: OpenSSL as the system has configured it, and its FIPS provider. The programs
 * with the vectors run in each mode; here is what is refused, and how it is said. */
#include "config.h"

#include "tests/support/crypto.h"

#include <sys/wait.h>
#include <unistd.h>

#include "crypto/provider.h"
#include "crypto/s2k.h"

static const char *build_dir(void)
{
    const char *dir = getenv("KB_BUILDDIR");

    return dir != NULL ? dir : ".";
}

/* Where the provider of tests/support/fips.c lies, as fips.so. */
static void use_modules(void)
{
    char path[4096];

    assert_true(snprintf(path, sizeof(path), "%s/tests/support", build_dir()) < (int)sizeof(path));
    assert_int_equal(setenv("OPENSSL_MODULES", path, 1), 0);
}

static void write_configuration(char path[32], const char *text)
{
    int fd;

    strcpy(path, "/tmp/kerbside-cnf-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(setenv("OPENSSL_CONF", path, 1), 0);
}

static void finish(pid_t pid)
{
    int status;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* In a child: the mode holds for a whole process. */
static void expect_failure(enum kb_crypto_mode mode, const char *text, const char *text2)
{
    pid_t pid = fork();

    if (pid == 0) {
        assert_true(kb_provider_choose(mode));
        assert_int_equal(kb_provider_load(), KB_NO_CRYPTO);
        if (strstr(kb_provider_error(), text) == NULL ||
            strstr(kb_provider_error(), text2) == NULL) {
            print_error("%s\n", kb_provider_error());
            _exit(1);
        }
        _exit(0);
    }
    finish(pid);
}

static const char *const with_vectors[] = {"key", "s2k", "prf"};

static void run(const char *test, const char *mode)
{
    char path[4096];
    pid_t pid;

    if (below_valgrind()) {
        return; /* it does not follow into programs */
    }
    assert_true(snprintf(path, sizeof(path), "%s/tests/unit/test_%s", build_dir(), test) <
                (int)sizeof(path));
    pid = fork();
    if (pid == 0) {
        setenv("KB_TEST_CRYPTO_MODE", mode, 1);
        setenv("KB_TEST_STRIDE", "23", 1); /* the vectors are in question, not every length */
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    finish(pid);
}

static void run_vectors(const char *mode)
{
    for (size_t i = 0; i < NUM(with_vectors); i++) {
        run(with_vectors[i], mode);
    }
}

static void vectors_in_every_mode(void **state)
{
    (void)state;
    use_modules();
    run_vectors("system");
#ifndef KB_SANITIZED /* the module is linked to libcrypto, and not made for sanitizers */
    run_vectors("fips");
#endif
}

static void no_fips_provider(void **state)
{
    (void)state;
    setenv("OPENSSL_MODULES", "/nonexistent", 1);
    expect_failure(KB_CRYPTO_FIPS, "UseFIPSCompliantAPI", "FIPS provider");
}

static void a_primitive_is_missing(void **state)
{
    static const char *const rows[][2] = {
        {"CIPHER", "AES-CBC"}, {"MAC", "HMAC"}, {"DIGEST", "SHA-1"}, {"KDF", "PBKDF2"}};

    (void)state;
#ifdef KB_SANITIZED
    skip();
#endif
    use_modules();
    for (size_t i = 0; i < NUM(rows); i++) {
        setenv("FIPS_LACKS", rows[i][0], 1);
        expect_failure(KB_CRYPTO_FIPS, "UseFIPSCompliantAPI", rows[i][1]);
    }
    unsetenv("FIPS_LACKS");
}

/* Default properties of openssl.cnf count: here nothing fulfils them. The other sections, which set
 * what is global, are left alone: an unknown one among them would make the file unusable. */
static void the_configuration_is_heeded(void **state)
{
    char path[32];

    (void)state;
    write_configuration(path,
                        "openssl_conf = main\n[main]\nalg_section = algs\nno_such_module = x\n"
                        "[algs]\ndefault_properties = provider=nobody\n");
    expect_failure(KB_CRYPTO_SYSTEM, "UseInternalSecurityAPI=False", "AES-CBC");
    unlink(path);
    write_configuration(path, "openssl_conf = main\n[main]\nproviders = all\n[all]\ndefault = it\n"
                              "[it]\nactivate = 1\n");
    run_vectors("system");
    unlink(path);
    write_configuration(path, "[this is no configuration\n");
    expect_failure(KB_CRYPTO_SYSTEM, "UseInternalSecurityAPI=False", "openssl.cnf");
    unlink(path);
    setenv("OPENSSL_CONF", "/nonexistent", 1);
    run_vectors("system");
    unsetenv("OPENSSL_CONF");
}

/* A configuration that would stop everything else does not reach the internal mode. */
static void the_internal_one_ignores_it(void **state)
{
    char path[32];
    pid_t pid;

    (void)state;
    write_configuration(path, "[this is no configuration\n");
    pid = fork();
    if (pid == 0) {
        assert_int_equal(kb_provider_load(), KB_OK);
        _exit(kb_provider_mode() == KB_CRYPTO_INTERNAL ? 0 : 1);
    }
    finish(pid);
    unlink(path);
    unsetenv("OPENSSL_CONF");
}

static void it_holds_for_the_process(void **state)
{
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0) {
        assert_true(kb_provider_choose(KB_CRYPTO_SYSTEM));
        assert_true(kb_provider_choose(KB_CRYPTO_INTERNAL)); /* nothing is loaded yet */
        assert_int_equal(kb_provider_load(), KB_OK);
        assert_true(kb_provider_choose(KB_CRYPTO_INTERNAL));
        assert_false(kb_provider_choose(KB_CRYPTO_SYSTEM));
        assert_false(kb_provider_choose(KB_CRYPTO_FIPS));
        _exit(kb_provider_mode() == KB_CRYPTO_INTERNAL ? 0 : 1);
    }
    finish(pid);
}

/* What every use of a key comes to where its cipher is not to be had. */
static void expect_none(enum kb_crypto_mode mode, const char *text)
{
    static const struct {
        int32_t etype;
        const char *key, *name;
        const char *of_password; /* a password's rc4 key needs MD4 only */
        bool legacy;             /* in OpenSSL's legacy provider, else in the default one */
    } rows[] = {
        {KB_ENCTYPE_RC4_HMAC, "000102030405060708090a0b0c0d0e0f", " RC4", " MD4", true},
        {KB_ENCTYPE_DES_CBC_MD5, "45e6087cdf138fb5", " DES", " DES", true},
        {KB_ENCTYPE_DES3_CBC_SHA1, "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e", " DES3",
         " DES3", false},
        {KB_ENCTYPE_CAMELLIA128, "000102030405060708090a0b0c0d0e0f", " Camellia", " Camellia",
         false},
    };
    pid_t pid = fork();

    if (pid != 0) {
        finish(pid);
        return;
    }
    assert_true(kb_provider_choose(mode));
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_key *key = new_key(rows[i].etype, rows[i].key);
        uint8_t cipher[64] = {0}, out[64];
        size_t len = kb_encrypted_len(key, 4), out_len;

        if (!rows[i].legacy && mode != KB_CRYPTO_FIPS) {
            assert_int_equal(kb_encrypt(key, 1, &kb_rng_system, KB_LIT("text"), cipher), KB_OK);
            kb_key_free(key);
            continue;
        }
        for (int use = 0; use < 5; use++) {
            enum kb_status st =
                use == 0   ? kb_encrypt(key, 1, &kb_rng_system, KB_LIT("text"), cipher)
                : use == 1 ? kb_decrypt(key, 1, kb_bytes_of(cipher, len), out, &out_len)
                : use == 2 ? kb_checksum_make(key, 1, KB_LIT("text"), out)
                : use == 3 ? kb_prf(key, KB_LIT("text"), out)
                           : kb_checksum_verify(key, 1, kb_key_enctype(key)->cksumtype,
                                                KB_LIT("text"), kb_bytes_of(cipher, 24));

            assert_int_equal(st, KB_NO_CRYPTO);
            if (strstr(kb_provider_error(), text) == NULL ||
                strstr(kb_provider_error(), rows[i].name) == NULL) {
                print_error("%s\n", kb_provider_error());
                _exit(1);
            }
        }
        kb_key_free(key);
        assert_int_equal(kb_string_to_key(rows[i].etype, KB_LIT("p"), KB_LIT("s"), KB_NONE, &key),
                         KB_NO_CRYPTO);
        assert_non_null(strstr(kb_provider_error(), rows[i].of_password));
    }
    _exit(0);
}

/* RC4, DES and MD4 are the legacy provider's, which openssl.cnf has to activate; FIPS has none,
 * and neither Camellia. */
static void what_is_not_there(void **state)
{
    char path[32];

    (void)state;
    unsetenv("OPENSSL_MODULES");
    write_configuration(path, "openssl_conf = main\n[main]\nproviders = all\n[all]\ndefault = it\n"
                              "legacy = it\n[it]\nactivate = 1\n");
    run("old_enctypes", "system");
    unlink(path);
    setenv("OPENSSL_CONF", "/nonexistent", 1);
    expect_none(KB_CRYPTO_SYSTEM, "UseInternalSecurityAPI=False");
#ifndef KB_SANITIZED
    use_modules();
    expect_none(KB_CRYPTO_FIPS, "UseFIPSCompliantAPI=True");
#endif
    unsetenv("OPENSSL_CONF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_in_every_mode),
        cmocka_unit_test(no_fips_provider),
        cmocka_unit_test(a_primitive_is_missing),
        cmocka_unit_test(the_configuration_is_heeded),
        cmocka_unit_test(the_internal_one_ignores_it),
        cmocka_unit_test(it_holds_for_the_process),
        cmocka_unit_test(what_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
