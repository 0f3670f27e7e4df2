#include "config.h"

#include "crypto/libssl.h"

#include <dlfcn.h>

#define LIBSSL "libssl.so.3"

static struct kb_libssl libssl; /* written under the provider's lock, until `loaded` is set */
static atomic_bool loaded;

static const struct {
    char name[40]; /* an array has no relocation at load */
    size_t offset;
    bool of_libssl;
} functions[] = {
#define ROW(name) {#name, offsetof(struct kb_libssl, name), true},
    KB_LIBSSL_FUNCTIONS(ROW)
#undef ROW
#define ROW(name) {#name, offsetof(struct kb_libssl, name), false},
        KB_X509_FUNCTIONS(ROW)
#undef ROW
};

static enum kb_status bind_functions(void)
{
    if (libssl.handle == NULL) { /* never closed: its own exit handlers point into it */
        libssl.handle = dlopen(LIBSSL, KB_SSL_OPEN_FLAGS);
    }
    if (libssl.handle == NULL) {
        return kb_ssl_fail("OpenSSL's libssl cannot be loaded", dlerror());
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function =
            dlsym(functions[i].of_libssl ? libssl.handle : kb_ssl()->handle, functions[i].name);

        if (function == NULL) {
            return kb_ssl_fail("OpenSSL (" LIBSSL ") lacks a function", functions[i].name);
        }
        memcpy((char *)&libssl + functions[i].offset, &function, sizeof(function));
    }
    return KB_OK;
}

/* What libssl needs beside algorithms is the decoding of keys: of a FIPS provider's contexts, that
 * is in the base provider (OSSL_PROVIDER-base(7)). */
static enum kb_status complete(void)
{
    if (kb_provider_mode() == KB_CRYPTO_FIPS &&
        kb_ssl()->OSSL_PROVIDER_load(kb_ssl()->lib_ctx, "base") == NULL) {
        return kb_ssl_fail("OpenSSL does not give its base provider", NULL);
    }
    return KB_OK;
}

enum kb_status kb_libssl_load(const struct kb_libssl **out)
{
    enum kb_status st;

    *out = &libssl;
    if (atomic_load_explicit(&loaded, memory_order_acquire)) {
        return KB_OK;
    }
    st = kb_provider_load();
    if (st != KB_OK) {
        return st;
    }
    kb_ssl_lock();
    if (!atomic_load(&loaded)) {
        kb_ssl()->ERR_set_mark(); /* the thread's error queue is the host's */
        st = bind_functions();
        if (st == KB_OK) {
            st = complete();
        }
        kb_ssl()->ERR_pop_to_mark();
        if (st == KB_OK) {
            atomic_store_explicit(&loaded, true, memory_order_release);
        }
    }
    kb_ssl_unlock();
    return st;
}
