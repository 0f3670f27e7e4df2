#include "crypto/provided.h"

#include <openssl/core_names.h>
#include <stdlib.h>

static char *digest_name(enum kb_hash hash)
{
    static char names[][12] = {
        [KB_SHA1] = "SHA1", [KB_SHA256] = "SHA2-256", [KB_SHA384] = "SHA2-384", [KB_MD5] = "MD5"};

    return names[hash];
}

/* Parameters are structs of OpenSSL's that carry no const; providers only read them. */
static OSSL_PARAM text_param(const char *key, char *text)
{
    return (OSSL_PARAM){.key = key,
                        .data_type = OSSL_PARAM_UTF8_STRING,
                        .data = text,
                        .data_size = strlen(text),
                        .return_size = OSSL_PARAM_UNMODIFIED};
}

static OSSL_PARAM number_param(const char *key, unsigned type, void *number, size_t size)
{
    return (OSSL_PARAM){.key = key,
                        .data_type = type,
                        .data = number,
                        .data_size = size,
                        .return_size = OSSL_PARAM_UNMODIFIED};
}

static OSSL_PARAM octets_param(const char *key, kb_bytes octets)
{
    return (OSSL_PARAM){.key = key,
                        .data_type = OSSL_PARAM_OCTET_STRING,
                        .data = (void *)(uintptr_t)octets.ptr,
                        .data_size = octets.len,
                        .return_size = OSSL_PARAM_UNMODIFIED};
}

static const OSSL_PARAM end_param = {0};

/* --- hashes: only SHA-1 is ever hashed plainly (RFC 3961's PRF) --- */

enum kb_status kb_provided_hash(enum kb_hash hash, const kb_bytes *parts, size_t num_parts,
                                uint8_t *out)
{
    const struct kb_ssl_digest *sha1 = &kb_ssl()->sha1;
    void *ctx = hash == KB_SHA1 ? sha1->newctx(sha1->provider_ctx) : NULL;
    size_t len = 0;
    bool done = ctx != NULL && sha1->init(ctx, &end_param) == 1;

    for (size_t i = 0; i < num_parts && done; i++) {
        done = sha1->update(ctx, parts[i].ptr, parts[i].len) == 1;
    }
    done = done && sha1->final(ctx, out, &len, kb_digest_len(hash)) == 1;
    if (ctx != NULL) {
        sha1->freectx(ctx);
    }
    return done ? KB_OK : KB_NO_CRYPTO;
}

/* --- HMAC --- */

void kb_provided_hmac_key(struct kb_hmac_key *key, kb_bytes secret)
{
    key->secret_len = (uint32_t)secret.len;
    if (secret.len > 0 && secret.len <= sizeof(key->secret)) {
        memcpy(key->secret, secret.ptr, secret.len);
    }
}

static void drop(struct kb_hmac *mac)
{
    if (mac->provided.ctx != NULL) {
        kb_ssl()->hmac.freectx(mac->provided.ctx);
        mac->provided.ctx = NULL;
    }
}

void kb_provided_hmac_begin(struct kb_hmac *mac)
{
    const struct kb_ssl_mac *hmac = &kb_ssl()->hmac;
    const struct kb_hmac_key *key = mac->key;
    const OSSL_PARAM params[] = {text_param(OSSL_MAC_PARAM_DIGEST, digest_name(key->hash)),
                                 end_param};

    mac->provided.ctx =
        key->secret_len <= sizeof(key->secret) ? hmac->newctx(hmac->provider_ctx) : NULL;
    if (mac->provided.ctx != NULL &&
        hmac->init(mac->provided.ctx, key->secret, key->secret_len, params) != 1) {
        drop(mac);
    }
}

void kb_provided_hmac_add(struct kb_hmac *mac, const void *data, size_t len)
{
    if (mac->provided.ctx != NULL && kb_ssl()->hmac.update(mac->provided.ctx, data, len) != 1) {
        drop(mac);
    }
}

enum kb_status kb_provided_hmac_end(struct kb_hmac *mac, uint8_t out[KB_MAX_DIGEST_LEN])
{
    size_t digest_len = kb_digest_len(mac->key->hash), len = 0;
    bool done = mac->provided.ctx != NULL &&
                kb_ssl()->hmac.final(mac->provided.ctx, out, &len, digest_len) == 1 &&
                len == digest_len;

    drop(mac);
    kb_wipe(mac, sizeof(*mac));
    if (!done) {
        memset(out, 0, KB_MAX_DIGEST_LEN);
    }
    return done ? KB_OK : KB_NO_CRYPTO;
}

/* --- PBKDF2 --- */

static kb_bytes joined(const kb_bytes *parts, size_t num_parts, uint8_t **out)
{
    size_t len = 0, at = 0;

    for (size_t i = 0; i < num_parts; i++) {
        len += parts[i].len;
    }
    *out = malloc(len + 1);
    for (size_t i = 0; i < num_parts && *out != NULL; i++) {
        if (parts[i].len > 0) {
            memcpy(*out + at, parts[i].ptr, parts[i].len);
        }
        at += parts[i].len;
    }
    return kb_bytes_of(*out, len);
}

/* "pkcs5": without the bounds of SP 800-132, which Kerberos' salts (a realm and a name) need not
 * keep, nor a KDC's number of rounds; MIT asks for the same. */
enum kb_status kb_provided_pbkdf2(enum kb_hash hash, kb_bytes password, const kb_bytes *salt_parts,
                                  size_t num_parts, uint64_t iterations, uint8_t *out,
                                  size_t out_len)
{
    const struct kb_ssl_kdf *pbkdf2 = &kb_ssl()->pbkdf2;
    uint8_t *block;
    kb_bytes salt = joined(salt_parts, num_parts, &block);
    int pkcs5 = 1;
    const OSSL_PARAM params[] = {
        text_param(OSSL_KDF_PARAM_DIGEST, digest_name(hash)),
        octets_param(OSSL_KDF_PARAM_PASSWORD, password),
        octets_param(OSSL_KDF_PARAM_SALT, salt),
        number_param(OSSL_KDF_PARAM_ITER, OSSL_PARAM_UNSIGNED_INTEGER, &iterations,
                     sizeof(iterations)),
        number_param(OSSL_KDF_PARAM_PKCS5, OSSL_PARAM_INTEGER, &pkcs5, sizeof(pkcs5)),
        end_param,
    };
    void *ctx = block != NULL ? pbkdf2->newctx(pbkdf2->provider_ctx) : NULL;
    bool done = ctx != NULL && pbkdf2->derive(ctx, out, out_len, params) == 1;

    if (ctx != NULL) {
        pbkdf2->freectx(ctx);
    }
    free(block);
    if (!done) {
        kb_wipe(out, out_len);
    }
    return done ? KB_OK : block == NULL ? KB_NO_MEMORY : KB_NO_CRYPTO;
}
