/* openssl.h - the functions of libcrypto that Kerbside uses: one list, private to crypto/.
 *
 * Each becomes a pointer of the very type that OpenSSL's headers give it, so a wrong argument is a
 * compiler's error although nothing is linked. Calls read kb_ssl()->EVP_CipherUpdate(...).
 *
 * Hashes are taken from the low-level SHA functions: their state is a plain struct that is copied
 * by assignment. One HMAC over 166 bytes costs 172 ns with them, 266 ns by EVP_MD_CTX_copy_ex (and
 * two heap blocks), 324 ns by EVP_MAC_init with a kept key; the compression code is the same.
 * OpenSSL calls them deprecated, and its FIPS provider cannot take part: a FIPS mode needs another
 * kb_hmac (crypto/hmac.h). For AES they are no choice (AES_encrypt does not use AES-NI): there it
 * is EVP, with contexts that are kept (crypto/cipher.h). */
#ifndef KB_OPENSSL_H
#define KB_OPENSSL_H

#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <stdatomic.h>

#include "crypto/provider.h"

/* clang-format off */
#define KB_OPENSSL_FUNCTIONS(F) \
    F(ERR_pop_to_mark) \
    F(ERR_set_mark) \
    F(EVP_CIPHER_CTX_free) \
    F(EVP_CIPHER_CTX_new) \
    F(EVP_CIPHER_CTX_set_padding) \
    F(EVP_CIPHER_fetch) \
    F(EVP_CIPHER_free) \
    F(EVP_CipherInit_ex2) \
    F(EVP_CipherUpdate) \
    F(MD5_Final) \
    F(MD5_Init) \
    F(MD5_Update) \
    F(OSSL_LIB_CTX_free) \
    F(OSSL_LIB_CTX_new) \
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
/* clang-format on */

struct kb_ssl {
#define KB_OPENSSL_MEMBER(name) __typeof__(name) *name;
    KB_OPENSSL_FUNCTIONS(KB_OPENSSL_MEMBER)
#undef KB_OPENSSL_MEMBER
    OSSL_LIB_CTX *lib_ctx; /* ours: never the default one */
    EVP_CIPHER *aes128_cbc;
    EVP_CIPHER *aes256_cbc;
};

extern _Atomic(const struct kb_ssl *) kb_ssl_loaded;

/* kb_ssl is the loaded OpenSSL; NULL before a kb_provider_load succeeded. */
static inline const struct kb_ssl *kb_ssl(void)
{
    return atomic_load_explicit(&kb_ssl_loaded, memory_order_acquire);
}

#endif
