#include "config.h"

#include "crypto/primitive.h"

#include <dlfcn.h>
#include <stdio.h>

#include "crypto/openssl.h"

enum kind { CIPHER, DIGEST };

static const struct {
    char name[12];      /* for a person; arrays have no relocation at load */
    char algorithm[20]; /* OpenSSL's */
    enum kind kind;
    bool legacy; /* in the legacy provider, not the default one */
} rows[KB_NUM_PRIMITIVES] = {
    /* clang-format off */
    [KB_CAMELLIA128_CBC] = {"Camellia", "CAMELLIA-128-CBC", CIPHER, false},
    [KB_CAMELLIA256_CBC] = {"Camellia", "CAMELLIA-256-CBC", CIPHER, false},
    [KB_DES3_CBC] =        {"DES3",     "DES-EDE3-CBC",     CIPHER, false},
    [KB_DES_CBC] =         {"DES",      "DES-CBC",          CIPHER, true},
    [KB_RC4] =             {"RC4",      "RC4",              CIPHER, true},
    [KB_MD4] =             {"MD4",      "MD4",              DIGEST, true},
    /* clang-format on */
};

static struct {
    _Atomic(bool) there; /* the rest is constant once it is set */
    struct kb_ssl_cipher cipher;
    struct kb_ssl_digest digest;
} found[KB_NUM_PRIMITIVES]; /* written under the provider's lock */

static bool find_in(const struct kb_ssl *ssl, OSSL_PROVIDER *provider, enum kb_primitive which)
{
    const char *name = rows[which].algorithm;

    return rows[which].kind == CIPHER
               ? kb_ssl_find_cipher(ssl, provider, name, &found[which].cipher)
               : kb_ssl_find_digest(ssl, provider, name, &found[which].digest);
}

static enum kb_status missing(enum kb_primitive which, const char *before, const char *behind,
                              const char *why)
{
    char text[80];

    snprintf(text, sizeof(text), "%s %s%s", before, rows[which].name, behind);
    return kb_ssl_fail(text, why);
}

/* --- the internal mode --- */

const char *kb_ssl_open_module(const char *dir, const char *file)
{
    const char *why;
    char path[4096];
    int len = file[0] == '/' ? snprintf(path, sizeof(path), "%s", file)
                             : snprintf(path, sizeof(path), "%s/%s", dir, file);

    if (len >= (int)sizeof(path)) {
        return "its path is too long";
    }
    if (dlopen(path, KB_SSL_OPEN_FLAGS) != NULL) { /* never closed */
        return NULL;
    }
    why = dlerror();
    return why != NULL ? why : file;
}

/* The module is opened twice: OpenSSL opens it without DEEPBIND, and finds it opened. For that both
 * must mean the same file, so OpenSSL is told the directory too: else it would look at
 * OPENSSL_MODULES (not in a set-uid program), which means the host's OpenSSL as likely as ours.
 * NULL, or why it cannot be had. */
static const char *open_legacy(const struct kb_ssl *ssl, const struct kb_ssl_more *more)
{
    const char *dir = more->OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    const char *why = kb_ssl_open_module(dir != NULL ? dir : "", "legacy.so");

    if (why == NULL && more->OSSL_PROVIDER_set_default_search_path(ssl->lib_ctx, dir) != 1) {
        why = "memory is short";
    }
    return why;
}

/* Loading it anew, where another primitive did already, costs a reference to it. */
static enum kb_status find_internal(const struct kb_ssl *ssl, enum kb_primitive which)
{
    bool legacy = rows[which].legacy;
    const char *lacking = NULL;
    OSSL_PROVIDER *provider;
    struct kb_ssl_more more;
    char why[200];

    if (legacy) {
        lacking = kb_ssl_bind_more(ssl->handle, &more);
        lacking = lacking == NULL ? open_legacy(ssl, &more) : lacking;
    }
    provider = lacking == NULL
                   ? ssl->OSSL_PROVIDER_load(ssl->lib_ctx, legacy ? "legacy" : "default")
                   : NULL;
    if (provider == NULL) {
        snprintf(why, sizeof(why), "its %s provider cannot be loaded%s%s%s",
                 legacy ? "legacy" : "default", lacking != NULL ? " (" : "",
                 lacking != NULL ? lacking : "", lacking != NULL ? ")" : "");
        return missing(which, "OpenSSL has no", "", why);
    }
    return find_in(ssl, provider, which)
               ? KB_OK
               : missing(which, "OpenSSL has no", "", "it was built without");
}

/* --- as openssl.cnf has it, and FIPS --- */

/* What was fetched is kept, since it holds its provider. */
static OSSL_PROVIDER *fetch(const struct kb_ssl *ssl, enum kb_primitive which)
{
    const OSSL_PROVIDER *provider = NULL;
    struct kb_ssl_more more;

    if (kb_ssl_bind_more(ssl->handle, &more) != NULL) {
        return NULL;
    }
    if (rows[which].kind == CIPHER) {
        EVP_CIPHER *cipher = more.EVP_CIPHER_fetch(ssl->lib_ctx, rows[which].algorithm, NULL);

        provider = cipher != NULL ? more.EVP_CIPHER_get0_provider(cipher) : NULL;
    } else {
        EVP_MD *digest = more.EVP_MD_fetch(ssl->lib_ctx, rows[which].algorithm, NULL);

        provider = digest != NULL ? more.EVP_MD_get0_provider(digest) : NULL;
    }
    return (OSSL_PROVIDER *)(uintptr_t)provider; /* lent as a constant, wanted otherwise */
}

static enum kb_status find_system(const struct kb_ssl *ssl, enum kb_primitive which)
{
    OSSL_PROVIDER *provider = fetch(ssl, which);

    if (provider != NULL && find_in(ssl, provider, which)) {
        return KB_OK;
    }
    return missing(which, "UseInternalSecurityAPI=False, but openssl.cnf does not give", "",
                   rows[which].legacy ? "activate the legacy provider there" : NULL);
}

static enum kb_status find_fips(const struct kb_ssl *ssl, enum kb_primitive which)
{
    OSSL_PROVIDER *provider = ssl->OSSL_PROVIDER_load(ssl->lib_ctx, "fips");

    if (provider != NULL && find_in(ssl, provider, which)) {
        return KB_OK;
    }
    return missing(which, "UseFIPSCompliantAPI=True, and", " is not in OpenSSL's FIPS provider",
                   NULL);
}

/* --- --- */

/* Under the lock. */
static enum kb_status find(enum kb_primitive which)
{
    const struct kb_ssl *ssl = kb_ssl();
    enum kb_status st;

    if (atomic_load(&found[which].there)) {
        return KB_OK;
    }
    ssl->ERR_set_mark(); /* the thread's error queue is the host's */
    switch (kb_provider_mode()) {
    case KB_CRYPTO_SYSTEM:
        st = find_system(ssl, which);
        break;
    case KB_CRYPTO_FIPS:
        st = find_fips(ssl, which);
        break;
    default: /* KB_CRYPTO_INTERNAL */
        st = find_internal(ssl, which);
        break;
    }
    ssl->ERR_pop_to_mark();
    if (st == KB_OK) {
        atomic_store_explicit(&found[which].there, true, memory_order_release);
    }
    return st;
}

enum kb_status kb_primitive_need(enum kb_primitive which)
{
    enum kb_status st;

    if (atomic_load_explicit(&found[which].there, memory_order_acquire)) {
        return KB_OK;
    }
    st = kb_provider_load();
    if (st == KB_OK) {
        kb_ssl_lock();
        st = find(which);
        kb_ssl_unlock();
    }
    return st;
}

const struct kb_ssl_cipher *kb_ssl_primitive_cipher(enum kb_primitive which)
{
    return &found[which].cipher;
}

enum kb_status kb_primitive_hash(enum kb_primitive which, const kb_bytes *parts, size_t num_parts,
                                 uint8_t *out)
{
    const struct kb_ssl_digest *f = &found[which].digest;
    enum kb_status st = kb_primitive_need(which);
    static const OSSL_PARAM no_params = {0};
    size_t len = 0;
    void *ctx;
    bool done;

    if (st != KB_OK) {
        return st;
    }
    ctx = f->newctx(f->provider_ctx);
    done = ctx != NULL && f->init(ctx, &no_params) == 1;
    for (size_t i = 0; i < num_parts && done; i++) {
        done = parts[i].len == 0 || f->update(ctx, parts[i].ptr, parts[i].len) == 1;
    }
    done = done && f->final(ctx, out, &len, EVP_MAX_MD_SIZE) == 1;
    if (ctx != NULL) {
        f->freectx(ctx);
    }
    return done ? KB_OK : ctx == NULL ? KB_NO_MEMORY : KB_NO_CRYPTO;
}
