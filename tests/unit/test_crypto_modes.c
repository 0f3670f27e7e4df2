/* crypto/provider: OpenSSL as the system has configured it, and its FIPS provider. The programs
 * with the vectors run in each mode; here is what is refused, and how it is said. */
#include "config.h"

#include "tests/support/crypto.h"

#include <sys/wait.h>
#include <unistd.h>

#include "crypto/provider.h"

static const char *build_dir(void)
{
    const char *dir = getenv("KB_BUILDDIR");

    return dir != NULL ? dir : ".";
}

/* Where the provider of tests/support/fips.c lies, as fips.so. */
static void use_modules(void)
{
    char path[4096];

    assert_true(snprintf(path, sizeof(path), "%s/tests/support/.libs", build_dir()) <
                (int)sizeof(path));
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

static void run_vectors(const char *mode)
{
    for (size_t i = 0; i < NUM(with_vectors); i++) {
        char path[4096];
        pid_t pid;

        assert_true(snprintf(path, sizeof(path), "%s/tests/unit/test_%s", build_dir(),
                             with_vectors[i]) < (int)sizeof(path));
        pid = fork();
        if (pid == 0) {
            setenv("KB_TEST_CRYPTO_MODE", mode, 1);
            execl(path, path, (char *)NULL);
            _exit(127);
        }
        finish(pid);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_in_every_mode),
        cmocka_unit_test(no_fips_provider),
        cmocka_unit_test(a_primitive_is_missing),
        cmocka_unit_test(the_configuration_is_heeded),
        cmocka_unit_test(the_internal_one_ignores_it),
        cmocka_unit_test(it_holds_for_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
