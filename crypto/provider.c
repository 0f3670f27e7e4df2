#include "config.h"

#include "crypto/openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LIBCRYPTO "libcrypto.so.3"

/* DEEPBIND: libcrypto's references to its own functions must not bind to a host's OpenSSL of
 * another version. Sanitizers refuse the flag. */
#ifdef KB_SANITIZED
#define OPEN_FLAGS (RTLD_NOW | RTLD_LOCAL)
#else
#define OPEN_FLAGS (RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND)
#endif

/* The texts that kb_provider_error has lent out stay valid, so they are kept: few are different. */
struct failure {
    struct failure *older;
    char text[200];
};

_Atomic(const struct kb_ssl *) kb_ssl_loaded;

static struct kb_ssl ssl;        /* written under `lock` until kb_ssl_loaded is set */
static struct failure *failures; /* under `lock` */
static _Atomic(const char *) last_error = "";

/* Guards loading. A fork waits until it is done: the child inherits either nothing or all of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void kb_provider_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_provider_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static enum kb_status fail(const char *what, const char *detail)
{
    struct failure *f;
    char text[sizeof(f->text)];

    snprintf(text, sizeof(text), "%s%s%s", what, detail != NULL ? ": " : "",
             detail != NULL ? detail : "");
    for (f = failures; f != NULL; f = f->older) {
        if (strcmp(f->text, text) == 0) {
            break;
        }
    }
    if (f == NULL && (f = malloc(sizeof(*f))) != NULL) {
        memcpy(f->text, text, sizeof(text));
        f->older = failures;
        failures = f;
    }
    atomic_store(&last_error, f != NULL ? f->text : "OpenSSL cannot be loaded (memory is short)");
    return KB_NO_CRYPTO;
}

static const struct {
    char name[40]; /* an array has no relocation at load */
    size_t offset;
} functions[] = {
#define ROW(name) {#name, offsetof(struct kb_ssl, name)},
    KB_OPENSSL_FUNCTIONS(ROW)
#undef ROW
};

/* The handle is never closed: keys and the library's own exit handlers point into it. */
static enum kb_status bind_functions(void)
{
    static void *handle;

    if (handle == NULL) {
        handle = dlopen(LIBCRYPTO, OPEN_FLAGS);
    }
    if (handle == NULL) {
        return fail("OpenSSL 3 cannot be loaded", dlerror());
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(handle, functions[i].name);

        if (function == NULL) {
            return fail("OpenSSL (" LIBCRYPTO ") lacks a function", functions[i].name);
        }
        memcpy((char *)&ssl + functions[i].offset, &function, sizeof(function));
    }
    return KB_OK;
}

/* A provider's name for an algorithm is a list with colons. */
static bool is_named(const OSSL_ALGORITHM *algorithm, const char *name)
{
    const char *names = algorithm->algorithm_names;
    size_t len = strlen(name);

    while (strncmp(names, name, len) != 0 || (names[len] != ':' && names[len] != '\0')) {
        names = strchr(names, ':');
        if (names == NULL) {
            return false;
        }
        names++;
    }
    return true;
}

static bool find_cipher(const OSSL_ALGORITHM *algorithms, const char *name,
                        struct kb_ssl_cipher *out)
{
    while (algorithms->algorithm_names != NULL && !is_named(algorithms, name)) {
        algorithms++;
    }
    if (algorithms->algorithm_names == NULL) {
        return false;
    }
    for (const OSSL_DISPATCH *f = algorithms->implementation; f->function_id != 0; f++) {
        switch (f->function_id) {
            /* clang-format off */
#define CASE(name, NUMBER) \
        case OSSL_FUNC_CIPHER_##NUMBER: \
            out->name = OSSL_FUNC_cipher_##name(f); \
            break;
        KB_CIPHER_FUNCTIONS(CASE)
#undef CASE
            /* clang-format on */
        default:
            break;
        }
    }
#define IS_THERE(name, number) &&out->name != NULL
    return true KB_CIPHER_FUNCTIONS(IS_THERE);
#undef IS_THERE
}

/* The names of what OpenSSL lacks; NULL if nothing. */
static const char *find_ciphers(void)
{
    const char *lacking = NULL;
    const OSSL_ALGORITHM *algorithms;
    int no_cache;

    algorithms = ssl.OSSL_PROVIDER_query_operation(ssl.provider, OSSL_OP_CIPHER, &no_cache);
    if (algorithms == NULL || !find_cipher(algorithms, "AES-128-CBC", &ssl.aes128_cbc)) {
        lacking = "AES-128-CBC";
    } else if (!find_cipher(algorithms, "AES-256-CBC", &ssl.aes256_cbc)) {
        lacking = "AES-256-CBC";
    }
    ssl.OSSL_PROVIDER_unquery_operation(ssl.provider, OSSL_OP_CIPHER, algorithms);
    return lacking;
}

static enum kb_status open_provider(void)
{
    const char *lacking = NULL;

    ssl.ERR_set_mark(); /* the thread's error queue is the host's */
    ssl.lib_ctx = ssl.OSSL_LIB_CTX_new();
    ssl.provider = ssl.lib_ctx != NULL ? ssl.OSSL_PROVIDER_load(ssl.lib_ctx, "default") : NULL;
    if (ssl.provider != NULL) {
        ssl.provider_ctx = ssl.OSSL_PROVIDER_get0_provider_ctx(ssl.provider);
        lacking = find_ciphers();
    } else {
        lacking = "its default provider";
    }
    if (lacking != NULL) {
        if (ssl.provider != NULL) {
            ssl.OSSL_PROVIDER_unload(ssl.provider);
        }
        ssl.OSSL_LIB_CTX_free(ssl.lib_ctx);
    }
    ssl.ERR_pop_to_mark();
    return lacking == NULL ? KB_OK : fail("OpenSSL does not give", lacking);
}

static enum kb_status load_locked(void)
{
    enum kb_status st;

    if (kb_ssl() != NULL) {
        return KB_OK;
    }
    st = bind_functions();
    if (st == KB_OK) {
        st = open_provider();
    }
    if (st == KB_OK) {
        atomic_store(&last_error, "");
        atomic_store_explicit(&kb_ssl_loaded, &ssl, memory_order_release);
    }
    return st;
}

enum kb_status kb_provider_load(void)
{
    enum kb_status st;

    if (kb_ssl() != NULL) {
        return KB_OK;
    }
    pthread_mutex_lock(&lock);
    st = load_locked();
    pthread_mutex_unlock(&lock);
    return st;
}

bool kb_provider_loaded(void)
{
    return kb_ssl() != NULL;
}

const char *kb_provider_version(void)
{
    const struct kb_ssl *loaded = kb_ssl();

    return loaded != NULL ? loaded->OpenSSL_version(OPENSSL_VERSION_STRING) : OPENSSL_VERSION_STR;
}

const char *kb_provider_error(void)
{
    return atomic_load(&last_error);
}
