/* The functions of one algorithm in a provider's own tables (provider-cipher(7) and its kin). */
#include "crypto/openssl.h"

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

/* The table of `name`; NULL: the provider does not have it. Tables live as long as the provider. */
static const OSSL_DISPATCH *find(const struct kb_ssl *ssl, OSSL_PROVIDER *provider, int operation,
                                 const char *name)
{
    const OSSL_DISPATCH *found = NULL;
    const OSSL_ALGORITHM *all;
    int no_cache;

    all = ssl->OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
    for (const OSSL_ALGORITHM *a = all; a != NULL && a->algorithm_names != NULL && found == NULL;
         a++) {
        found = is_named(a, name) ? a->implementation : NULL;
    }
    ssl->OSSL_PROVIDER_unquery_operation(provider, operation, all);
    return found;
}

/* One function for each kind of algorithm: they differ in names and types only. */
/* clang-format off */
#define MEMBER(name, number) out->name = NULL;
#define IS_THERE(name, number) && out->name != NULL
#define FIND(kind, OPERATION, FUNCTIONS, CASE) \
    bool kb_ssl_find_##kind(const struct kb_ssl *ssl, OSSL_PROVIDER *provider, const char *name, \
                            struct kb_ssl_##kind *out) \
    { \
        const OSSL_DISPATCH *f = find(ssl, provider, OPERATION, name); \
        FUNCTIONS(MEMBER) \
        out->provider_ctx = ssl->OSSL_PROVIDER_get0_provider_ctx(provider); \
        for (; f != NULL && f->function_id != 0; f++) { \
            switch (f->function_id) { \
                FUNCTIONS(CASE) \
            default: \
                break; \
            } \
        } \
        return true FUNCTIONS(IS_THERE); \
    }

#define CIPHER_CASE(name, NUMBER) case OSSL_FUNC_CIPHER_##NUMBER: out->name = OSSL_FUNC_cipher_##name(f); break;
FIND(cipher, OSSL_OP_CIPHER, KB_CIPHER_FUNCTIONS, CIPHER_CASE)

#define MAC_CASE(name, NUMBER) case OSSL_FUNC_MAC_##NUMBER: out->name = OSSL_FUNC_mac_##name(f); break;
FIND(mac, OSSL_OP_MAC, KB_MAC_FUNCTIONS, MAC_CASE)

#define DIGEST_CASE(name, NUMBER) case OSSL_FUNC_DIGEST_##NUMBER: out->name = OSSL_FUNC_digest_##name(f); break;
FIND(digest, OSSL_OP_DIGEST, KB_DIGEST_FUNCTIONS, DIGEST_CASE)

#define KDF_CASE(name, NUMBER) case OSSL_FUNC_KDF_##NUMBER: out->name = OSSL_FUNC_kdf_##name(f); break;
FIND(kdf, OSSL_OP_KDF, KB_KDF_FUNCTIONS, KDF_CASE)
/* clang-format on */
