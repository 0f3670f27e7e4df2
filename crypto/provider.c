#include "config.h"

#include "crypto/openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LIBCRYPTO "libcrypto.so.3"

/* The texts that kb_provider_error has lent out stay valid, so they are kept: few are different. */
struct failure {
    struct failure *older;
    char text[300];
};

_Atomic(const struct kb_ssl *) kb_ssl_loaded;

static _Atomic(enum kb_crypto_mode) mode; /* changes under `lock`, until kb_ssl_loaded is set */
static struct kb_ssl ssl;                 /* written under `lock` until kb_ssl_loaded is set */
static struct failure *failures;          /* under `lock` */
static _Atomic(const char *) last_error = "";

/* Guards loading. A fork waits until it is done: the child inherits either nothing or all of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void kb_ssl_lock(void)
{
    pthread_mutex_lock(&lock);
}

void kb_ssl_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_provider_fork_prepare(void)
{
    kb_ssl_lock();
}

void kb_provider_fork_done(void)
{
    kb_ssl_unlock();
}

enum kb_status kb_ssl_fail(const char *what, const char *detail)
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

static enum kb_status bind_functions(void)
{
    if (ssl.handle == NULL) { /* never closed: keys and its own exit handlers point into it */
        ssl.handle = dlopen(LIBCRYPTO, KB_SSL_OPEN_FLAGS);
    }
    if (ssl.handle == NULL) {
        return kb_ssl_fail("OpenSSL 3 cannot be loaded", dlerror());
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(ssl.handle, functions[i].name);

        if (function == NULL) {
            return kb_ssl_fail("OpenSSL (" LIBCRYPTO ") lacks a function", functions[i].name);
        }
        memcpy((char *)&ssl + functions[i].offset, &function, sizeof(function));
    }
    return KB_OK;
}

/* The names of what OpenSSL lacks; NULL if nothing. */
static const char *open_internal(void)
{
    OSSL_PROVIDER *provider = ssl.OSSL_PROVIDER_load(ssl.lib_ctx, "default");
    const char *lacking = NULL;

    if (provider == NULL) {
        return "its default provider";
    }
    if (!kb_ssl_find_cipher(&ssl, provider, "AES-128-CBC", &ssl.aes128_cbc)) {
        lacking = "AES-128-CBC";
    } else if (!kb_ssl_find_cipher(&ssl, provider, "AES-256-CBC", &ssl.aes256_cbc)) {
        lacking = "AES-256-CBC";
    }
    if (lacking != NULL) {
        ssl.OSSL_PROVIDER_unload(provider);
    }
    return lacking;
}

static enum kb_status open_provider(enum kb_crypto_mode chosen)
{
    static const char *const whats[] = {
        [KB_CRYPTO_INTERNAL] = "OpenSSL does not give",
        [KB_CRYPTO_SYSTEM] = "UseInternalSecurityAPI=False, but openssl.cnf does not give",
        [KB_CRYPTO_FIPS] = "UseFIPSCompliantAPI=True, but OpenSSL does not give",
    };
    const char *lacking = "a library context";

    ssl.ERR_set_mark(); /* the thread's error queue is the host's */
    ssl.lib_ctx = ssl.OSSL_LIB_CTX_new();
    if (ssl.lib_ctx != NULL) {
        lacking = chosen == KB_CRYPTO_INTERNAL ? open_internal() : kb_ssl_configure(&ssl, chosen);
        if (lacking != NULL) {
            ssl.OSSL_LIB_CTX_free(ssl.lib_ctx);
        }
    }
    ssl.ERR_pop_to_mark();
    return lacking == NULL ? KB_OK : kb_ssl_fail(whats[chosen], lacking);
}

static enum kb_status load_locked(void)
{
    enum kb_status st;

    if (kb_ssl() != NULL) {
        return KB_OK;
    }
    st = bind_functions();
    if (st == KB_OK) {
        st = open_provider(atomic_load(&mode));
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
    kb_ssl_lock();
    st = load_locked();
    kb_ssl_unlock();
    return st;
}

bool kb_provider_choose(enum kb_crypto_mode chosen)
{
    bool agreed;

    if (atomic_load_explicit(&mode, memory_order_relaxed) == chosen) {
        return true;
    }
    kb_ssl_lock();
    if (kb_ssl() == NULL) {
        atomic_store(&mode, chosen);
    }
    agreed = atomic_load(&mode) == chosen;
    kb_ssl_unlock();
    return agreed;
}

enum kb_crypto_mode kb_provider_mode(void)
{
    return atomic_load(&mode);
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
