/* OpenSSL as the system's openssl.cnf has it, or its FIPS provider: UseInternalSecurityAPI=False,
 * UseFIPSCompliantAPI=True.
 *
 * The file is read into our library context. Of its sections only the two that belong to a context
 * are taken: `providers` and `alg_section` (default properties, as "fips=yes"). The others
 * (ssl_conf, engines, oid_section, random) set what is global in libcrypto and libssl: the host's.
 * Algorithms are found as OpenSSL would (EVP_*_fetch, so default properties count) and then called
 * in the provider itself, as in the internal mode. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/openssl.h"

static const struct {
    char name[40];
    size_t offset;
} functions[] = {
#define ROW(name) {#name, offsetof(struct kb_ssl_more, name)},
    KB_OPENSSL_MORE_FUNCTIONS(ROW)
#undef ROW
};

const char *kb_ssl_bind_more(void *handle, struct kb_ssl_more *out)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(handle, functions[i].name);

        if (function == NULL) {
            return functions[i].name;
        }
        memcpy((char *)out + functions[i].offset, &function, sizeof(function));
    }
    return NULL;
}

/* --- the configuration file --- */

#define MAX_FILE (1u << 20)
#define MAX_ADDED 1024 /* bytes of our own section */

/* Reads the file, and leaves room for our section; NULL: it cannot be read. */
static char *read_file(FILE *file, size_t *out_len)
{
    char *text = malloc(MAX_FILE + MAX_ADDED);

    *out_len = text != NULL ? fread(text, 1, MAX_FILE, file) : 0;
    if (text != NULL && (ferror(file) || *out_len == MAX_FILE)) {
        free(text);
        text = NULL;
    }
    return text;
}

static CONF *parse(const struct kb_ssl *ssl, const struct kb_ssl_more *more, const char *text,
                   size_t len)
{
    CONF *conf = more->NCONF_new_ex(ssl->lib_ctx, NULL);
    BIO *bio = more->BIO_new_mem_buf(text, (int)len);

    if (conf != NULL && (bio == NULL || more->NCONF_load_bio(conf, bio, NULL) <= 0)) {
        more->NCONF_free(conf);
        conf = NULL;
    }
    if (bio != NULL) {
        more->BIO_free(bio);
    }
    return conf;
}

/* Appends a section that has only what is for a library context; false: too long. */
static bool add_section(const struct kb_ssl_more *more, const CONF *conf, char *text, size_t *len)
{
    const char *from = more->NCONF_get_string(conf, NULL, "openssl_conf");
    const char *providers = from != NULL ? more->NCONF_get_string(conf, from, "providers") : NULL;
    const char *algorithms =
        from != NULL ? more->NCONF_get_string(conf, from, "alg_section") : NULL;
    int added =
        snprintf(text + *len, MAX_ADDED,
                 "\n[default]\nkerbside_conf = kerbside_sect\n[kerbside_sect]\n%s%s\n%s%s\n",
                 providers != NULL ? "providers = " : "", providers != NULL ? providers : "",
                 algorithms != NULL ? "alg_section = " : "", algorithms != NULL ? algorithms : "");

    *len += added > 0 ? (size_t)added : 0;
    return added > 0 && added < MAX_ADDED;
}

/* A legacy provider that the file activates is opened first: it is linked to libcrypto, and OpenSSL
 * would let it bind to the host's. Where it cannot be opened, OpenSSL cannot either. */
static void open_legacy(const struct kb_ssl_more *more, const CONF *conf)
{
    const char *providers = more->NCONF_get_string(conf, "kerbside_sect", "providers");
    const char *legacy =
        providers != NULL ? more->NCONF_get_string(conf, providers, "legacy") : NULL;
    const char *module = legacy != NULL ? more->NCONF_get_string(conf, legacy, "module") : NULL;
    const char *dir = secure_getenv("OPENSSL_MODULES");

    if (legacy != NULL && more->NCONF_get_string(conf, legacy, "activate") != NULL) {
        (void)kb_ssl_open_module(dir != NULL ? dir : more->OPENSSL_info(OPENSSL_INFO_MODULES_DIR),
                                 module != NULL ? module : "legacy.so");
    }
}

/* Twice: the names of the two sections have to be known for our own, and a CONF takes no second
 * text. */
static bool load_text(const struct kb_ssl *ssl, const struct kb_ssl_more *more, char *text,
                      size_t len)
{
    CONF *conf = parse(ssl, more, text, len);
    bool loaded = conf != NULL && add_section(more, conf, text, &len);

    if (conf != NULL) {
        more->NCONF_free(conf);
    }
    conf = loaded ? parse(ssl, more, text, len) : NULL;
    if (conf != NULL) {
        open_legacy(more, conf);
    }
    loaded = conf != NULL && more->CONF_modules_load(conf, "kerbside_conf", 0) > 0;
    if (conf != NULL) {
        more->NCONF_free(conf);
    }
    return loaded;
}

/* A file that is not there configures nothing, as everywhere in OpenSSL. */
static bool load_configuration(const struct kb_ssl *ssl, const struct kb_ssl_more *more)
{
    char *path = more->CONF_get1_default_config_file();
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    bool loaded = true;

    if (file != NULL) {
        size_t len;
        char *text = read_file(file, &len);

        loaded = text != NULL && load_text(ssl, more, text, len);
        free(text);
        fclose(file);
    }
    more->CRYPTO_free(path, __FILE__, __LINE__);
    return loaded;
}

/* --- the algorithms --- */

/* Which provider has an algorithm: the FIPS one, or the one that OpenSSL takes. What was fetched is
 * kept, since it holds its provider, and given back only where something is lacking. */
struct chosen {
    OSSL_PROVIDER *fips; /* NULL: fetched */
    EVP_CIPHER *aes128, *aes256;
    EVP_MAC *mac;
    EVP_MD *md;
    EVP_KDF *kdf;
    OSSL_PROVIDER *aes128_cbc, *aes256_cbc, *hmac, *sha1, *pbkdf2;
};

/* OpenSSL lends providers as constants; its own functions want them otherwise. */
static OSSL_PROVIDER *lent(const OSSL_PROVIDER *provider)
{
    return (OSSL_PROVIDER *)(uintptr_t)provider;
}

static const char *choose_fetched(const struct kb_ssl *ssl, const struct kb_ssl_more *more,
                                  struct chosen *out)
{
    out->aes128 = more->EVP_CIPHER_fetch(ssl->lib_ctx, "AES-128-CBC", NULL);
    out->aes256 = more->EVP_CIPHER_fetch(ssl->lib_ctx, "AES-256-CBC", NULL);
    out->mac = more->EVP_MAC_fetch(ssl->lib_ctx, "HMAC", NULL);
    out->md = more->EVP_MD_fetch(ssl->lib_ctx, "SHA1", NULL);
    out->kdf = more->EVP_KDF_fetch(ssl->lib_ctx, "PBKDF2", NULL);
    if (out->aes128 == NULL || out->aes256 == NULL) {
        return "AES-CBC";
    }
    if (out->mac == NULL || out->md == NULL || out->kdf == NULL) {
        return out->mac == NULL ? "HMAC" : out->md == NULL ? "SHA-1" : "PBKDF2";
    }
    out->aes128_cbc = lent(more->EVP_CIPHER_get0_provider(out->aes128));
    out->aes256_cbc = lent(more->EVP_CIPHER_get0_provider(out->aes256));
    out->hmac = lent(more->EVP_MAC_get0_provider(out->mac));
    out->sha1 = lent(more->EVP_MD_get0_provider(out->md));
    out->pbkdf2 = lent(more->EVP_KDF_get0_provider(out->kdf));
    return NULL;
}

static const char *choose_fips(const struct kb_ssl *ssl, struct chosen *out)
{
    OSSL_PROVIDER *fips = ssl->OSSL_PROVIDER_load(ssl->lib_ctx, "fips");

    out->fips = out->aes128_cbc = out->aes256_cbc = out->hmac = out->sha1 = out->pbkdf2 = fips;
    return fips != NULL ? NULL
                        : "its FIPS provider (install it, and configure it by openssl fipsinstall)";
}

/* Each of these accepts NULL. */
static void give_back(const struct kb_ssl *ssl, const struct kb_ssl_more *more,
                      const struct chosen *chosen)
{
    if (chosen->fips != NULL) {
        ssl->OSSL_PROVIDER_unload(chosen->fips);
    }
    more->EVP_CIPHER_free(chosen->aes128);
    more->EVP_CIPHER_free(chosen->aes256);
    more->EVP_MAC_free(chosen->mac);
    more->EVP_MD_free(chosen->md);
    more->EVP_KDF_free(chosen->kdf);
}

static const char *find_all(struct kb_ssl *ssl, const struct chosen *chosen)
{
    if (!kb_ssl_find_cipher(ssl, chosen->aes128_cbc, "AES-128-CBC", &ssl->aes128_cbc) ||
        !kb_ssl_find_cipher(ssl, chosen->aes256_cbc, "AES-256-CBC", &ssl->aes256_cbc)) {
        return "AES-CBC";
    }
    if (!kb_ssl_find_mac(ssl, chosen->hmac, "HMAC", &ssl->hmac)) {
        return "HMAC";
    }
    if (!kb_ssl_find_digest(ssl, chosen->sha1, "SHA1", &ssl->sha1)) {
        return "SHA-1";
    }
    return kb_ssl_find_kdf(ssl, chosen->pbkdf2, "PBKDF2", &ssl->pbkdf2) ? NULL : "PBKDF2";
}

const char *kb_ssl_configure(struct kb_ssl *ssl, enum kb_crypto_mode mode)
{
    struct chosen chosen = {0};
    const char *lacking;
    struct kb_ssl_more more;

    lacking = kb_ssl_bind_more(ssl->handle, &more);
    if (lacking != NULL) {
        return lacking;
    }
    if (!load_configuration(ssl, &more)) {
        return "anything: its configuration file (openssl.cnf) cannot be read";
    }
    lacking =
        mode == KB_CRYPTO_FIPS ? choose_fips(ssl, &chosen) : choose_fetched(ssl, &more, &chosen);
    if (lacking == NULL) {
        lacking = find_all(ssl, &chosen);
    }
    ssl->provided = lacking == NULL;
    if (lacking != NULL) {
        give_back(ssl, &more, &chosen);
    }
    return lacking;
}
