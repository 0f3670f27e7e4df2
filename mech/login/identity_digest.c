/* What a secret is known by where it must not be kept: pause.h. */
#include "crypto/hmac.h"
#include "crypto/provider.h"
#include "crypto/s2k.h"
#include "crypto/secret.h"
#include "mech/login/identity_own.h"

#define HMAC_KEY_LEN 64

/* The process's own; NULL until it is needed. Guarded by kb_identity_lock. A child of fork(2) has
 * its parent's: it goes on with the parent's pauses. */
static uint8_t *hmac_key;

static enum kb_status init_hmac(struct kb_hmac_key *out)
{
    enum kb_status st = KB_OK;
    uint8_t *made;

    kb_identity_lock();
    if (hmac_key == NULL) {
        made = kb_secret_new(KB_SECRET_64);
        st = made != NULL ? kb_random(&kb_rng_system, made, HMAC_KEY_LEN) : KB_NO_MEMORY;
        if (st == KB_OK) {
            hmac_key = made;
        } else {
            kb_secret_free(KB_SECRET_64, made);
        }
    }
    if (st == KB_OK) {
        kb_hmac_key_init(out, KB_SHA256, kb_bytes_of(hmac_key, HMAC_KEY_LEN));
    }
    kb_identity_unlock();
    return st;
}

/* The cheapest string-to-key that there is, over a salt that is no KDC's: it makes no key of
 * anybody. The identity keeps it with its other keys. */
static enum kb_status add_password(struct kb_hmac *mac, struct kb_identity *identity)
{
    struct kb_key_source keys = kb_identity_keys(identity);
    struct kb_buf salt;
    struct kb_key *key;
    enum kb_status st;

    kb_buf_init(&salt, 65536);
    kb_buf_add_str(&salt, "pause ");
    kb_principal_unparse(identity->client, &salt);
    st = salt.status == KB_OK
             ? keys.get(keys.ctx, KB_ENCTYPE_AES128_SHA1, kb_buf_bytes(&salt), KB_NONE, 0, &key)
             : salt.status;
    if (st == KB_OK) {
        kb_hmac_add(mac, kb_key_bytes(key).ptr, kb_key_bytes(key).len);
        kb_key_free(key);
    }
    kb_buf_wipe(&salt);
    return st;
}

/* The keys that would be used: the newest of each enctype. */
static void add_keytab(struct kb_hmac *mac, const struct kb_identity *identity)
{
    const struct kb_enctype *enctype;

    for (size_t i = 0; (enctype = kb_enctype_at(i)) != NULL; i++) {
        const struct kb_keytab_entry *entry =
            kb_keytab_find(identity->keytab, identity->client, enctype->etype, 0);

        if (entry != NULL) {
            kb_hmac_add(mac, &enctype->etype, sizeof(enctype->etype));
            kb_hmac_add(mac, kb_key_bytes(entry->key).ptr, kb_key_bytes(entry->key).len);
        }
    }
}

static enum kb_status make_digest(struct kb_identity *identity, const struct kb_hmac_key *key,
                                  uint8_t out[KB_IDENTITY_DIGEST_LEN])
{
    uint8_t digest[KB_MAX_DIGEST_LEN];
    struct kb_hmac mac;
    enum kb_status st = KB_OK, ended;

    kb_hmac_begin(&mac, key);
    if (identity->keytab != NULL) {
        add_keytab(&mac, identity);
    } else {
        st = add_password(&mac, identity);
    }
    ended = kb_hmac_end(&mac, digest);
    memcpy(out, digest, KB_IDENTITY_DIGEST_LEN);
    return st != KB_OK ? st : ended;
}

enum kb_status kb_identity_digest_under(struct kb_identity *identity, kb_bytes secret,
                                        uint8_t out[KB_IDENTITY_DIGEST_LEN])
{
    enum kb_status st = secret.len > 0 ? kb_provider_load() : KB_NOT_FOUND;
    struct kb_hmac_key key;

    if (st == KB_OK) {
        kb_hmac_key_init(&key, KB_SHA256, secret);
        st = make_digest(identity, &key, out);
        kb_wipe(&key, sizeof(key));
    }
    return st;
}

static enum kb_status make_own(struct kb_identity *identity, uint8_t out[KB_IDENTITY_DIGEST_LEN])
{
    enum kb_status st = kb_provider_load();
    struct kb_hmac_key key;

    if (st == KB_OK) {
        st = init_hmac(&key);
    }
    if (st == KB_OK) {
        st = make_digest(identity, &key, out);
        kb_wipe(&key, sizeof(key));
    }
    return st;
}

enum kb_status kb_identity_digest(struct kb_identity *identity, uint8_t out[KB_IDENTITY_DIGEST_LEN])
{
    enum kb_status st;
    bool known;

    kb_identity_lock();
    known = identity->has_digest;
    memcpy(out, identity->digest, KB_IDENTITY_DIGEST_LEN);
    kb_identity_unlock();
    if (known) {
        return KB_OK;
    }
    st = make_own(identity, out);
    if (st == KB_OK) {
        kb_identity_lock();
        memcpy(identity->digest, out, KB_IDENTITY_DIGEST_LEN);
        identity->has_digest = true;
        kb_identity_unlock();
    }
    return st;
}
