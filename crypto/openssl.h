/* openssl.h - what of libcrypto Kerbside uses: one list, private to crypto/.
 *
 * Each function becomes a pointer of the very type that OpenSSL's headers give it, so a wrong
 * argument is a compiler's error although nothing is linked: kb_ssl()->SHA1_Update(...).
 *
 * Ciphers are called in the provider itself (provider-cipher(7)), found by
 * OSSL_PROVIDER_query_operation, not through EVP. EVP_CIPHER_fetch builds a store of all ciphers
 * (1.8 ms, 250 KiB), the first EVP_CipherInit_ex2 looks for engines and for that loads openssl.cnf
 * into the default library context (0.7 ms, and not ours to touch); here it is 0.1 ms and 8 KiB.
 * A context is ready in 0.1 us instead of 0.3.
 *
 * Hashes are taken from the low-level SHA functions: their state is a plain struct that is copied
 * by assignment. One HMAC over 166 bytes costs 172 ns with them, 266 ns by EVP_MD_CTX_copy_ex (and
 * two heap blocks), 324 ns by EVP_MAC_init with a kept key; the compression code is the same.
 * EVP's own way there (and so EVP_MAC's and EVP_KDF's) asks for engines like the ciphers': PBKDF2
 * is therefore built on them too, in a third of EVP_KDF's time. OpenSSL calls them deprecated, and
 * neither the system's configuration nor its FIPS provider has a part in them: where these are
 * asked for (kb_provider_choose), HMAC, PBKDF2 and SHA-1 are the provider's too
 * (crypto/provided.h). For AES they are no choice: AES_encrypt does not use AES-NI. */
#ifndef KB_OPENSSL_H
#define KB_OPENSSL_H

#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/md5.h>
#include <openssl/provider.h>
#include <openssl/sha.h>

#include <stdatomic.h>

#include "crypto/primitive.h"
#include "crypto/provider.h"

/* clang-format off */
#define KB_OPENSSL_FUNCTIONS(F) \
    F(ERR_pop_to_mark) \
    F(ERR_set_mark) \
    F(MD5_Final) \
    F(MD5_Init) \
    F(MD5_Update) \
    F(OSSL_LIB_CTX_free) \
    F(OSSL_LIB_CTX_new) \
    F(OSSL_PROVIDER_get0_provider_ctx) \
    F(OSSL_PROVIDER_load) \
    F(OSSL_PROVIDER_query_operation) \
    F(OSSL_PROVIDER_unload) \
    F(OSSL_PROVIDER_unquery_operation) \
    F(OpenSSL_version) \
    F(SHA1_Final) \
    F(SHA1_Init) \
    F(SHA1_Transform) \
    F(SHA1_Update) \
    F(SHA256_Final) \
    F(SHA256_Init) \
    F(SHA256_Transform) \
    F(SHA256_Update) \
    F(SHA384_Final) \
    F(SHA384_Init) \
    F(SHA384_Update) \
    F(SHA512_Transform)

/* What is used only where the system's configuration or FIPS is asked for, or a primitive beyond AES
 * and SHA (crypto/primitive.h). */
#define KB_OPENSSL_MORE_FUNCTIONS(F) \
    F(BIO_free) \
    F(BIO_new_mem_buf) \
    F(CONF_get1_default_config_file) \
    F(CONF_modules_load) \
    F(CRYPTO_free) \
    F(EVP_CIPHER_fetch) \
    F(EVP_CIPHER_free) \
    F(EVP_CIPHER_get0_provider) \
    F(EVP_KDF_fetch) \
    F(EVP_KDF_free) \
    F(EVP_KDF_get0_provider) \
    F(EVP_MAC_fetch) \
    F(EVP_MAC_free) \
    F(EVP_MAC_get0_provider) \
    F(EVP_MD_fetch) \
    F(EVP_MD_free) \
    F(EVP_MD_get0_provider) \
    F(NCONF_free) \
    F(NCONF_get_string) \
    F(NCONF_load_bio) \
    F(NCONF_new_ex) \
    F(OPENSSL_info) \
    F(OSSL_PROVIDER_set_default_search_path)

/* Of a cipher: our member, the provider's number, its type and accessor. */
#define KB_CIPHER_FUNCTIONS(F) \
    F(newctx,       NEWCTX) \
    F(freectx,      FREECTX) \
    F(encrypt_init, ENCRYPT_INIT) \
    F(decrypt_init, DECRYPT_INIT) \
    F(cipher,       CIPHER)

#define KB_MAC_FUNCTIONS(F) \
    F(newctx,  NEWCTX) \
    F(freectx, FREECTX) \
    F(init,    INIT) \
    F(update,  UPDATE) \
    F(final,   FINAL)

#define KB_DIGEST_FUNCTIONS(F) \
    F(newctx,  NEWCTX) \
    F(freectx, FREECTX) \
    F(init,    INIT) \
    F(update,  UPDATE) \
    F(final,   FINAL)

#define KB_KDF_FUNCTIONS(F) \
    F(newctx,  NEWCTX) \
    F(freectx, FREECTX) \
    F(derive,  DERIVE)
/* clang-format on */

struct kb_ssl_cipher {
#define KB_MEMBER(name, number) OSSL_FUNC_cipher_##name##_fn *name;
    KB_CIPHER_FUNCTIONS(KB_MEMBER)
#undef KB_MEMBER
    void *provider_ctx;
};

struct kb_ssl_mac {
#define KB_MEMBER(name, number) OSSL_FUNC_mac_##name##_fn *name;
    KB_MAC_FUNCTIONS(KB_MEMBER)
#undef KB_MEMBER
    void *provider_ctx;
};

struct kb_ssl_digest {
#define KB_MEMBER(name, number) OSSL_FUNC_digest_##name##_fn *name;
    KB_DIGEST_FUNCTIONS(KB_MEMBER)
#undef KB_MEMBER
    void *provider_ctx;
};

struct kb_ssl_kdf {
#define KB_MEMBER(name, number) OSSL_FUNC_kdf_##name##_fn *name;
    KB_KDF_FUNCTIONS(KB_MEMBER)
#undef KB_MEMBER
    void *provider_ctx;
};

struct kb_ssl {
#define KB_OPENSSL_MEMBER(name) __typeof__(name) *name;
    KB_OPENSSL_FUNCTIONS(KB_OPENSSL_MEMBER)
#undef KB_OPENSSL_MEMBER
    void *handle;          /* dlopen's, of libcrypto */
    OSSL_LIB_CTX *lib_ctx; /* ours: the default one is never touched */
    struct kb_ssl_cipher aes128_cbc, aes256_cbc;
    bool provided; /* HMAC, SHA-1 and PBKDF2 are these too, not the low-level functions */
    struct kb_ssl_mac hmac;
    struct kb_ssl_digest sha1;
    struct kb_ssl_kdf pbkdf2;
};

struct kb_ssl_more {
#define KB_OPENSSL_MEMBER(name) __typeof__(name) *name;
    KB_OPENSSL_MORE_FUNCTIONS(KB_OPENSSL_MEMBER)
#undef KB_OPENSSL_MEMBER
};

/* configured.c: the functions that are seldom used; NULL, or the name of one that is missing. */
const char *kb_ssl_bind_more(void *handle, struct kb_ssl_more *out);

/* configured.c: fills the members behind `lib_ctx` as the system's openssl.cnf has it, or with what
 * the FIPS provider has. NULL, or what could not be had. */
const char *kb_ssl_configure(struct kb_ssl *ssl, enum kb_crypto_mode mode);

/* provider.c: the lock that guards loading and finding; a fork waits for it. */
void kb_ssl_lock(void);
void kb_ssl_unlock(void);

/* provider.c: makes "what: detail" (of which either may be NULL) what kb_provider_error says, and
 * returns KB_NO_CRYPTO. Under the lock. */
KB_MUST_USE enum kb_status kb_ssl_fail(const char *what, const char *detail);

/* How every module of OpenSSL's is opened. DEEPBIND: libcrypto's references to its own functions
 * must not bind to a host's OpenSSL of another version. Sanitizers refuse the flag. */
#ifdef KB_SANITIZED
#define KB_SSL_OPEN_FLAGS (RTLD_NOW | RTLD_LOCAL)
#else
#define KB_SSL_OPEN_FLAGS (RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND)
#endif

/* primitive.c: opens a module of OpenSSL's for good, before OpenSSL does it without DEEPBIND:
 * `file` in `dir`, or by itself where it has a whole path. NULL, or why it cannot be opened. */
const char *kb_ssl_open_module(const char *dir, const char *file);

/* primitive.c: the functions of one that kb_primitive_need has found. */
const struct kb_ssl_cipher *kb_ssl_primitive_cipher(enum kb_primitive which);

/* dispatch.c: the functions that `provider` has for an algorithm; false: not all of them. */
bool kb_ssl_find_cipher(const struct kb_ssl *ssl, OSSL_PROVIDER *provider, const char *name,
                        struct kb_ssl_cipher *out);
bool kb_ssl_find_mac(const struct kb_ssl *ssl, OSSL_PROVIDER *provider, const char *name,
                     struct kb_ssl_mac *out);
bool kb_ssl_find_digest(const struct kb_ssl *ssl, OSSL_PROVIDER *provider, const char *name,
                        struct kb_ssl_digest *out);
bool kb_ssl_find_kdf(const struct kb_ssl *ssl, OSSL_PROVIDER *provider, const char *name,
                     struct kb_ssl_kdf *out);

extern _Atomic(const struct kb_ssl *) kb_ssl_loaded;

/* kb_ssl is the loaded OpenSSL; NULL before a kb_provider_load succeeded. */
static inline const struct kb_ssl *kb_ssl(void)
{
    return atomic_load_explicit(&kb_ssl_loaded, memory_order_acquire);
}

#endif
