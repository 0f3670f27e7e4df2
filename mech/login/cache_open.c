/* Which cache an identity has. */
#include <limits.h>
#include <stdlib.h>

#include "mech/login/auto.h"
#include "mech/login/cache.h"
#include "mech/login/identity_own.h"
#include "mech/options/layers.h"

#define READ_MS 2000 /* for which a question about its lifetime waits for a lock */

static bool is_programs_secret(const struct kb_options *options)
{
    return (options->keytab_file != NULL &&
            options->keytab_file_from.layer >= KB_LAYER_CREDENTIAL) ||
           (options->keytab_file == NULL && options->password != NULL &&
            options->password_from.layer >= KB_LAYER_CREDENTIAL);
}

static enum kb_status default_name(const struct kb_options *options, struct kb_buf *out,
                                   struct kb_error *err)
{
    if (kb_options_default_ccache(options, out, err) != KB_OK) {
        return KB_ERROR;
    }
    if (out->status != KB_OK) {
        return kb_error_status(err, KB_E_CCACHE, out->status, "the default credentials cache");
    }
    /* libkrb5's own memory cannot be seen from here. */
    return strncmp(kb_buf_str(out), "MEMORY:", 7) != 0
               ? KB_OK
               : kb_error_set(err, KB_E_CCACHE,
                              "the default credentials cache is of a type that cannot be read");
}

/* In a collection, the user's own. */
static enum kb_status open_cache(struct kb_identity *identity, const struct kb_options *options,
                                 const char *name, struct kb_error *err)
{
    struct kb_ccache *cache;
    enum kb_status st = kb_ccache_new(name, &cache, err);

    if (st == KB_OK && !kb_ccache_set_kcm_socket(cache, kb_options_kcm_socket(options->krb5conf))) {
        kb_ccache_put(cache);
        return KB_NO_MEMORY;
    }
    if (st == KB_OK && identity->client != NULL) {
        identity->cache = kb_ccache_for(cache, identity->client);
        kb_ccache_put(cache);
        return identity->cache != NULL ? KB_OK : KB_NO_MEMORY;
    }
    identity->cache = cache;
    return st;
}

/* `User` alone: the platform's default cache, while it is his. */
static enum kb_status open_default(struct kb_identity *identity, const struct kb_options *options,
                                   struct kb_error *err)
{
    struct kb_buf name;
    enum kb_status st;

    kb_buf_init(&name, 4200);
    st = default_name(options, &name, err);
    if (st == KB_OK) {
        st = open_cache(identity, options, kb_buf_str(&name), err);
    }
    identity->cache_is_default = true;
    kb_buf_wipe(&name);
    return st;
}

/* A secret that the program itself handed over shares nothing with what files configure; with a
 * cache of its own, that is only written. */
static enum kb_status open_named(struct kb_identity *identity, const struct kb_options *options,
                                 struct kb_error *err)
{
    if (is_programs_secret(options)) {
        if (options->ccache_from.layer < KB_LAYER_CREDENTIAL) {
            return KB_OK;
        }
        identity->cache_write_only = true;
    }
    return open_cache(identity, options, options->ccache, err);
}

/* `auto` is for a secret that files or the environment configure; another has nothing on disk. One
 * that cannot be had is told by the first login. */
static enum kb_status open_auto(struct kb_identity *identity, const struct kb_options *options,
                                struct kb_error *err)
{
    struct kb_error why = {0};

    if (is_programs_secret(options)) {
        return KB_OK;
    }
    if (kb_auto_open(identity, options, &identity->cache, &why) == KB_OK) {
        identity->cache_is_auto = true;
        return KB_OK;
    }
    identity->auto_lost = kb_strdup(kb_str(why.text));
    return identity->auto_lost != NULL && why.code != KB_E_NO_MEMORY
               ? KB_OK
               : kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
}

/* The file through which processes hear of each other. Not beside the platform's own cache: that
 * is not our place. */
static enum kb_status find_beside(struct kb_identity *identity, struct kb_error *err)
{
    struct kb_buf path;
    bool has_one;

    if (identity->cache == NULL || identity->cache_is_default || identity->cache_write_only) {
        return KB_OK;
    }
    kb_buf_init(&path, PATH_MAX);
    has_one = kb_ccache_beside(identity->cache, &path);
    identity->beside = has_one ? kb_buf_take(&path, NULL) : NULL;
    kb_buf_wipe(&path);
    return has_one && identity->beside == NULL
               ? kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login")
               : KB_OK;
}

/* Whose a cache is that is all there is. The tickets in it are read when one is wanted. */
static enum kb_status read_owner(struct kb_identity *identity, const struct kb_options *options,
                                 struct kb_error *err)
{
    const struct kb_login login = {.options = options};
    struct kb_principal *owner;
    struct kb_wait wait;
    enum kb_status st;

    kb_login_start_waiting(&login, &wait);
    st = kb_ccache_owner(identity->cache, &wait, &owner, err);
    kb_wait_stop(&wait);
    if (st == KB_NOT_FOUND) {
        return kb_error_set(err, KB_E_CCACHE,
                            "credentials cache %s: there is none, and no password or keytab to log "
                            "in with",
                            kb_ccache_name(identity->cache));
    }
    if (st != KB_OK) {
        return st;
    }
    if (identity->client == NULL) {
        identity->client = owner;
        return KB_OK;
    }
    st = kb_cc_check_owner(identity->cache, owner, identity->client, err);
    kb_principal_free(owner);
    return st;
}

enum kb_status kb_cache_open(struct kb_identity *identity, const struct kb_options *options,
                             struct kb_error *err)
{
    bool has_secret = kb_identity_has_secret(identity);
    enum kb_status st = KB_OK;
    char buf[256];

    if (kb_auto_is(options) && has_secret) {
        st = open_auto(identity, options, err);
    } else if (options->ccache != NULL && !kb_auto_is(options)) {
        st = open_named(identity, options, err);
    } else if (!has_secret) {
        st = identity->client != NULL ? open_default(identity, options, err) : KB_NOT_FOUND;
    }
    if (st == KB_OK) {
        st = find_beside(identity, err);
    }
    if (st == KB_OK && !has_secret) {
        st = read_owner(identity, options, err);
    }
    if (st == KB_OK || st == KB_NOT_FOUND || st == KB_NO_MEMORY || err->code == KB_E_NO_MEMORY ||
        err->code == KB_E_INTERRUPTED) {
        return st;
    }
    if (options->ccache == NULL || kb_auto_is(options)) {
        return KB_NOT_FOUND;
    }
    kb_error_context(err, "%s", kb_origin_text(&options->ccache_from, buf, sizeof(buf)));
    return KB_ERROR;
}

void kb_cache_read_first(struct kb_identity *identity)
{
    struct kb_error ignored = {0};
    struct kb_cc_contents *contents;
    struct kb_wait wait;
    int64_t offset;
    bool known;

    kb_identity_lock();
    known = identity->cache_known;
    kb_identity_unlock();
    if (known) {
        return;
    }
    kb_wait_start(&wait, READ_MS, true);
    if (kb_ccache_load(identity->cache, &wait, &contents, &ignored) == KB_OK &&
        kb_cc_check_owner(identity->cache, kb_cc_owner(contents), identity->client, &ignored) ==
            KB_OK) {
        if (kb_cc_clock_offset(contents, &offset)) {
            kb_realm_clock_set(identity->clock, offset, false);
        }
        kb_identity_lock();
        if (!identity->cache_known) {
            identity->cache_stamp = *kb_cc_stamp_of(contents);
            identity->cached = contents;
            identity->cache_known = true;
            contents = NULL;
        }
        kb_identity_unlock();
    }
    kb_wait_stop(&wait);
    kb_cc_contents_put(contents);
}

void kb_cache_close(struct kb_identity *identity)
{
    kb_ccache_put(identity->cache);
    identity->cache = NULL;
    identity->cache_is_default = false;
    kb_cc_contents_put(identity->cached);
    identity->cached = NULL;
    identity->cache_known = false;
    free(identity->auto_lost);
    identity->auto_lost = NULL;
    free(identity->beside);
    identity->beside = NULL;
}

void kb_cache_wipe(struct kb_identity *identity)
{
    kb_cache_close(identity);
    for (size_t i = 0; i < KB_CACHE_REFUSED; i++) {
        kb_credential_free(identity->refused[i]);
    }
}

bool kb_cache_same_place(const struct kb_identity *a, const struct kb_identity *b)
{
    if (a->cache == NULL || b->cache == NULL) {
        return a->cache == b->cache;
    }
    return a->cache_write_only == b->cache_write_only && kb_ccache_same(a->cache, b->cache);
}

bool kb_cache_is_still_default(const struct kb_identity *identity, const struct kb_options *options)
{
    struct kb_error ignored = {0};
    struct kb_buf name;
    bool same;

    kb_buf_init(&name, 4200);
    same = default_name(options, &name, &ignored) == KB_OK &&
           kb_ccache_is_named(identity->cache, kb_buf_str(&name));
    kb_buf_wipe(&name);
    return same;
}
