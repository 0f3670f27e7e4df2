/* A provider that calls itself fips, for tests of UseFIPSCompliantAPI where the system has none:
 * its algorithms are those of the default provider, and only those that the real one has. What is
 * in FIPS_LACKS (CIPHER, MAC, DIGEST, KDF) it does not have. It shows that we call the FIPS
 * provider and nothing else; it proves nothing about the cryptography. */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>

static OSSL_LIB_CTX *lib_ctx;
static OSSL_PROVIDER *real;

static const struct {
    int operation;
    const char *name;
} operations[] = {{OSSL_OP_CIPHER, "CIPHER"},
                  {OSSL_OP_MAC, "MAC"},
                  {OSSL_OP_DIGEST, "DIGEST"},
                  {OSSL_OP_KDF, "KDF"}};

#define MAX_CIPHERS 200

/* Those of the default provider without what no FIPS provider has. */
static const OSSL_ALGORITHM *approved(const OSSL_ALGORITHM *all)
{
    static OSSL_ALGORITHM kept[MAX_CIPHERS + 1];
    size_t num = 0;

    for (; all != NULL && all->algorithm_names != NULL && num < MAX_CIPHERS; all++) {
        if (strncmp(all->algorithm_names, "AES-", 4) == 0) {
            kept[num++] = *all;
        }
    }
    kept[num] = (OSSL_ALGORITHM){0};
    return kept;
}

static const OSSL_ALGORITHM *query(void *ctx, int operation, int *no_cache)
{
    const char *lacks = getenv("FIPS_LACKS");

    (void)ctx;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (operations[i].operation == operation &&
            (lacks == NULL || strcmp(lacks, operations[i].name) != 0)) {
            const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(real, operation, no_cache);

            return operation == OSSL_OP_CIPHER ? approved(all) : all;
        }
    }
    return NULL;
}

static void teardown(void *ctx)
{
    (void)ctx;
    OSSL_PROVIDER_unload(real);
    OSSL_LIB_CTX_free(lib_ctx);
}

__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **ctx)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
        {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
        {0, NULL}};

    (void)handle;
    (void)in;
    lib_ctx = OSSL_LIB_CTX_new();
    real = OSSL_PROVIDER_load(lib_ctx, "default");
    if (real == NULL) {
        return 0;
    }
    *ctx = OSSL_PROVIDER_get0_provider_ctx(real);
    *out = functions;
    return 1;
}
