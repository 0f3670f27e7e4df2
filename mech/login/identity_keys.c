#include <stdlib.h>

#include "crypto/s2k.h"
#include "mech/login/identity_own.h"

#define MAX_DERIVED 8 /* keys kept for one password */

void kb_identity_derived_free(struct kb_derived *derived)
{
    for (struct kb_derived *next; derived != NULL; derived = next) {
        next = derived->next;
        kb_key_free(derived->key);
        free(derived);
    }
}

static struct kb_key *find_derived(struct kb_identity *identity, int32_t etype, kb_bytes salt,
                                   kb_bytes params)
{
    struct kb_key *key = NULL;

    kb_identity_lock();
    for (struct kb_derived *d = identity->derived; d != NULL && key == NULL; d = d->next) {
        if (d->etype == etype && kb_equal(kb_bytes_of(d->bytes, d->salt_len), salt) &&
            kb_equal(kb_bytes_of(d->bytes + d->salt_len, d->params_len), params)) {
            key = kb_key_ref(d->key);
        }
    }
    kb_identity_unlock();
    return key;
}

static void keep_derived(struct kb_identity *identity, int32_t etype, kb_bytes salt,
                         kb_bytes params, struct kb_key *key)
{
    struct kb_derived *d = malloc(sizeof(*d) + salt.len + params.len), **slot;
    unsigned num = 0;

    if (d == NULL) {
        return; /* It is made again, at the cost of its time. */
    }
    *d = (struct kb_derived){
        .etype = etype, .key = kb_key_ref(key), .salt_len = salt.len, .params_len = params.len};
    if (salt.len > 0) {
        memcpy(d->bytes, salt.ptr, salt.len);
    }
    if (params.len > 0) {
        memcpy(d->bytes + salt.len, params.ptr, params.len);
    }
    kb_identity_lock();
    d->next = identity->derived;
    identity->derived = d;
    for (slot = &identity->derived; *slot != NULL && num < MAX_DERIVED; slot = &(*slot)->next) {
        num++;
    }
    d = *slot;
    *slot = NULL;
    kb_identity_unlock();
    kb_identity_derived_free(d);
}

static enum kb_status password_key(void *ctx, int32_t etype, kb_bytes salt, kb_bytes s2kparams,
                                   unsigned nth, struct kb_key **out)
{
    struct kb_identity *identity = ctx;
    enum kb_status st;

    *out = NULL;
    if (nth > 0) {
        return KB_NOT_FOUND;
    }
    *out = find_derived(identity, etype, salt, s2kparams);
    if (*out != NULL) {
        return KB_OK;
    }
    st = kb_string_to_key(etype, identity->password, salt, s2kparams, out);
    if (st == KB_OK) {
        keep_derived(identity, etype, salt, s2kparams, *out);
    }
    return st;
}

static enum kb_status keytab_key(void *ctx, int32_t etype, kb_bytes salt, kb_bytes s2kparams,
                                 unsigned nth, struct kb_key **out)
{
    struct kb_identity *identity = ctx;
    const struct kb_keytab_entry *entry =
        kb_keytab_find(identity->keytab, identity->client, etype, nth);

    (void)salt;
    (void)s2kparams;
    *out = entry != NULL ? kb_key_ref(entry->key) : NULL;
    return entry != NULL ? KB_OK : KB_NOT_FOUND;
}

static void describe_keytab(void *ctx, struct kb_buf *out)
{
    const struct kb_identity *identity = ctx;

    kb_keytab_describe_keys(identity->keytab, identity->client, out);
}

/* A cache has tickets, no keys. */
static enum kb_status no_key(void *ctx, int32_t etype, kb_bytes salt, kb_bytes s2kparams,
                             unsigned nth, struct kb_key **out)
{
    (void)ctx;
    (void)etype;
    (void)salt;
    (void)s2kparams;
    (void)nth;
    *out = NULL;
    return KB_NOT_FOUND;
}

struct kb_key_source kb_identity_keys(struct kb_identity *identity)
{
    bool password = identity->password.ptr != NULL;

    return (struct kb_key_source){.get = password                   ? password_key
                                         : identity->keytab != NULL ? keytab_key
                                                                    : no_key,
                                  .describe = identity->keytab != NULL ? describe_keytab : NULL,
                                  .ctx = identity,
                                  .salted = password,
                                  .what = identity->where};
}

/* Adds those of the newest keys, or those of which the keytab has older ones alone. */
static void add_etypes(const struct kb_identity *identity, const int32_t *etypes, size_t num,
                       bool newest, int32_t *out, size_t *out_num)
{
    for (size_t i = 0; i < num; i++) {
        if (kb_keytab_find(identity->keytab, identity->client, etypes[i], 0) != NULL &&
            kb_keytab_is_newest(identity->keytab, identity->client, etypes[i]) == newest) {
            out[(*out_num)++] = etypes[i];
        }
    }
}

static enum kb_status no_etype(const struct kb_identity *identity, const int32_t *etypes,
                               size_t num, struct kb_error *err)
{
    struct kb_buf name, holds, ours;
    char buf[24];

    kb_buf_init(&name, 300);
    kb_buf_init(&holds, 600);
    kb_buf_init(&ours, 300);
    kb_name_print(&identity->client->name, identity->client->realm, &name);
    kb_keytab_describe_keys(identity->keytab, identity->client, &holds);
    for (size_t i = 0; i < num; i++) {
        kb_buf_printf(&ours, "%s%s", i > 0 ? ", " : "", kb_enctype_name(etypes[i], buf));
    }
    (void)kb_error_set(
        err, KB_E_KEYTAB_NO_KEY,
        "The %s has no key of an allowed encryption type for %s: it has %s; EncryptionTypes "
        "allows %s",
        identity->where, kb_buf_str(&name), kb_buf_str(&holds), kb_buf_str(&ours));
    kb_buf_wipe(&name);
    kb_buf_wipe(&holds);
    kb_buf_wipe(&ours);
    return KB_ERROR;
}

/* A KDC takes the first that it has a key of: better one of the keys that were made last. */
enum kb_status kb_identity_etypes(const struct kb_identity *identity, const int32_t *etypes,
                                  size_t num, int32_t *out, size_t *out_num, struct kb_error *err)
{
    *out_num = 0;
    if (identity->keytab == NULL) {
        memcpy(out, etypes, num * sizeof(*out));
        *out_num = num;
        return KB_OK;
    }
    add_etypes(identity, etypes, num, true, out, out_num);
    add_etypes(identity, etypes, num, false, out, out_num);
    return *out_num > 0 ? KB_OK : no_etype(identity, etypes, num, err);
}

/* --- what was learned --- */

static struct kb_key_hint copy_hint(const struct kb_key_hint *hint, struct kb_hint_buf *buf)
{
    struct kb_key_hint copy = {.etype = hint->etype};
    size_t realm_at = hint->salt.len + hint->s2kparams.len;

    if (hint->etype == 0 || realm_at + hint->realm.len > sizeof(buf->bytes)) {
        return (struct kb_key_hint){0};
    }
    if (hint->salt.len > 0) {
        memcpy(buf->bytes, hint->salt.ptr, hint->salt.len);
    }
    if (hint->s2kparams.len > 0) {
        memcpy(buf->bytes + hint->salt.len, hint->s2kparams.ptr, hint->s2kparams.len);
    }
    copy.salt = kb_bytes_of(buf->bytes, hint->salt.len);
    copy.s2kparams = kb_bytes_of(buf->bytes + hint->salt.len, hint->s2kparams.len);
    if (hint->realm.len > 0) {
        memcpy(buf->bytes + realm_at, hint->realm.ptr, hint->realm.len);
        copy.realm = kb_bytes_of(buf->bytes + realm_at, hint->realm.len);
    }
    return copy;
}

void kb_identity_learn(struct kb_identity *identity, const struct kb_key_hint *hint)
{
    kb_identity_lock();
    identity->hint = copy_hint(hint, &identity->hint_bytes);
    kb_identity_unlock();
}

struct kb_key_hint kb_identity_hint(struct kb_identity *identity, struct kb_hint_buf *buf)
{
    struct kb_key_hint hint;

    kb_identity_lock();
    hint = copy_hint(&identity->hint, buf);
    kb_identity_unlock();
    /* Learned with a key of which the keytab has only an old one by now. */
    if (identity->keytab != NULL && hint.etype != 0 &&
        !kb_keytab_is_newest(identity->keytab, identity->client, hint.etype)) {
        hint = (struct kb_key_hint){0};
    }
    return hint;
}

int64_t kb_identity_clock_offset(const struct kb_identity *identity)
{
    return identity->own_clock ? 0 : kb_realm_clock_ahead(identity->clock);
}

int64_t kb_identity_now(const struct kb_identity *identity)
{
    return kb_clock_now() + kb_identity_clock_offset(identity) / 1000000;
}
