#include <stdlib.h>
#include <sys/mman.h>

#include "mech/login/cache.h"
#include "mech/login/identity_own.h"
#include "mech/net/wait.h"
#include "mech/options/layers.h"
#include "mech/options/password.h"

#define CCACHE_LOCK_MS 2000 /* for which reading a cache's principal waits */

/* A password has pages of its own, which stay out of core dumps where the system can. */
static kb_bytes secret_new(kb_bytes from)
{
    void *pages =
        mmap(NULL, from.len + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED) {
        return KB_NONE;
    }
    (void)madvise(pages, from.len + 1, MADV_DONTDUMP);
    if (from.len > 0) {
        memcpy(pages, from.ptr, from.len);
    }
    return kb_bytes_of(pages, from.len);
}

static void secret_free(kb_bytes secret)
{
    if (secret.ptr != NULL) {
        void *pages = (void *)(uintptr_t)secret.ptr;

        kb_wipe(pages, secret.len);
        munmap(pages, secret.len + 1);
    }
}

static void identity_free(struct kb_identity *identity)
{
    kb_realm_clock_put(identity->clock);
    kb_principal_free(identity->client);
    secret_free(identity->password);
    kb_keytab_free(identity->keytab);
    free(identity->where);
    kb_shared_free(identity->shared);
    kb_cache_wipe(identity);
    kb_options_put(identity->options);
    kb_identity_derived_free(identity->derived);
    free(identity->facts);
    kb_free_secret(identity, sizeof(*identity));
}

struct kb_identity *kb_identity_ref(struct kb_identity *identity)
{
    atomic_fetch_add_explicit(&identity->refs, 1, memory_order_relaxed);
    return identity;
}

void kb_identity_put(struct kb_identity *identity)
{
    if (identity != NULL &&
        atomic_fetch_sub_explicit(&identity->refs, 1, memory_order_acq_rel) == 1) {
        identity_free(identity);
    }
}

const struct kb_principal *kb_identity_principal(const struct kb_identity *identity)
{
    return identity->client;
}

bool kb_identity_has_secret(const struct kb_identity *identity)
{
    return identity->keytab != NULL || identity->password.ptr != NULL;
}

struct kb_shared *kb_identity_shared(const struct kb_identity *identity)
{
    return identity->shared;
}

static bool holds_principal(const struct kb_keytab *keytab, const struct kb_principal *principal)
{
    bool found = false;

    for (size_t i = 0; i < keytab->num && !found; i++) {
        found = kb_principal_equal(keytab->entries[i].principal, principal);
    }
    return found;
}

bool kb_identity_keytab_has(const char *path, const struct kb_principal *principal)
{
    struct kb_error ignored = {0};
    struct kb_keytab *keytab;
    bool has = false;

    if (kb_keytab_read(path, &keytab, &ignored) == KB_OK) {
        has = holds_principal(keytab, principal);
        kb_keytab_free(keytab);
    }
    return has;
}

void kb_identity_ccache_principal(const char *name, struct kb_principal **out)
{
    struct kb_error ignored = {0};
    struct kb_ccache *cache;
    struct kb_wait wait;

    *out = NULL;
    if (kb_ccache_new(name, &cache, &ignored) != KB_OK) {
        return;
    }
    kb_wait_start(&wait, CCACHE_LOCK_MS, true);
    if (kb_ccache_owner(cache, &wait, out, &ignored) != KB_OK) {
        *out = NULL;
    }
    kb_wait_stop(&wait);
    kb_ccache_put(cache);
}

/* What is wrong with a keytab, and where it was named. */
static enum kb_status keytab_failed(const struct kb_options *options, struct kb_error *err)
{
    char buf[256];

    kb_error_context(err, "%s", kb_origin_text(&options->keytab_file_from, buf, sizeof(buf)));
    return KB_ERROR;
}

/* The file that the secret is in: NULL if it is in none. */
static const char *source_path(const struct kb_options *options)
{
    const char *path = options->keytab_file;

    if (path != NULL) {
        return strncmp(path, "FILE:", 5) == 0 ? path + 5 : path;
    }
    return options->password != NULL && options->password->kind == KB_SECRET_FILE
               ? options->password->where
               : NULL;
}

struct stat kb_identity_source_now(const struct kb_options *options)
{
    const char *path = source_path(options);
    struct stat now;

    if (path == NULL || stat(path, &now) != 0) {
        memset(&now, 0, sizeof(now));
    }
    return now;
}

static enum kb_status read_keytab(struct kb_identity *identity, const struct kb_options *options,
                                  struct kb_error *err)
{
    const char *path = options->keytab_file;
    struct kb_buf holds, name;

    if (kb_keytab_read(path, &identity->keytab, err) != KB_OK) {
        return keytab_failed(options, err);
    }
    if (identity->keytab->num == 0) {
        (void)kb_error_set(err, KB_E_KEYTAB_NO_KEY, "keytab %s: it is empty", path);
        return keytab_failed(options, err);
    }
    if (options->user == NULL) {
        identity->client = kb_principal_ref(identity->keytab->entries[0].principal);
        return KB_OK;
    }
    if (holds_principal(identity->keytab, options->user)) {
        return KB_OK;
    }
    kb_buf_init(&holds, 600);
    kb_buf_init(&name, 300);
    kb_keytab_describe(identity->keytab, &holds);
    kb_name_print(&options->user->name, options->user->realm, &name);
    (void)kb_error_set(err, KB_E_KEYTAB_NO_KEY, "keytab %s: it has no key of %s; it holds %s", path,
                       kb_buf_str(&name),
                       holds.status == KB_OK ? kb_buf_str(&holds) : "many others");
    kb_buf_wipe(&holds);
    kb_buf_wipe(&name);
    return keytab_failed(options, err);
}

static enum kb_status read_password(struct kb_identity *identity, const struct kb_options *options,
                                    struct kb_error *err)
{
    kb_bytes password;

    if (kb_options_password(options, &password, err) != KB_OK) {
        return KB_ERROR;
    }
    identity->password = secret_new(password);
    kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
    return identity->password.ptr != NULL ? KB_OK : KB_NO_MEMORY;
}

/* Which password was refused: where the option stands, and to what it points. */
static void name_password(const struct kb_options *options, struct kb_buf *out)
{
    static const char *const kinds[] = {
        [KB_SECRET_FILE] = "file:", [KB_SECRET_ENV] = "env:", [KB_SECRET_FD] = "fd:"};
    const struct kb_secret_source *source = options->password;
    char buf[256];

    if (options->password_from.layer >= KB_LAYER_CREDENTIAL) {
        kb_buf_add_str(out, "the password that the program gave");
        return;
    }
    kb_buf_printf(out, "the password of %s",
                  kb_origin_text(&options->password_from, buf, sizeof(buf)));
    if (source->kind != KB_SECRET_INLINE) {
        kb_buf_printf(out, " (%s", kinds[source->kind]);
        kb_buf_add_escaped(out, kb_str(source->where));
        kb_buf_add_str(out, ")");
    }
}

static bool name_source(struct kb_identity *identity, const struct kb_options *options)
{
    struct kb_buf buf;

    kb_buf_init(&buf, 4200);
    if (identity->keytab != NULL) {
        kb_buf_printf(&buf, "keytab %s", options->keytab_file);
    } else if (identity->password.ptr == NULL) {
        kb_buf_printf(&buf, "credentials cache %s", kb_ccache_name(identity->cache));
    } else {
        name_password(options, &buf);
    }
    identity->where = kb_buf_take(&buf, NULL);
    return identity->where != NULL;
}

enum kb_status kb_identity_new(const struct kb_options *options, struct kb_identity **out,
                               struct kb_error *err)
{
    struct kb_identity *identity = calloc(1, sizeof(*identity));
    enum kb_status st = KB_NO_MEMORY;

    if (identity == NULL) {
        goto out;
    }
    atomic_init(&identity->refs, 1);
    identity->euid = options->euid;
    identity->options = kb_options_ref(options);
    identity->checked_ms = kb_now_ms();
    identity->shared = kb_shared_new();
    if (identity->shared == NULL) {
        goto out;
    }
    /* Before it is read: a change in between is then seen by the next check. */
    identity->source = kb_identity_source_now(options);
    st = options->keytab_file != NULL ? read_keytab(identity, options, err)
         : options->password != NULL  ? read_password(identity, options, err)
                                      : KB_OK;
    if (st == KB_OK && identity->client == NULL && options->user != NULL) {
        identity->client = kb_principal_ref(options->user);
    }
    if (st == KB_OK) {
        st = kb_cache_open(identity, options, err);
    }
    if (st == KB_OK) {
        identity->clock = kb_realm_clock_get(identity->client->realm);
        st = identity->clock != NULL && name_source(identity, options) ? KB_OK : KB_NO_MEMORY;
    }
out:
    if (st != KB_OK) {
        if (identity != NULL) {
            identity_free(identity);
        }
        identity = NULL;
        if (st == KB_NO_MEMORY) {
            st = kb_error_set(err, KB_E_NO_MEMORY, "No memory for a login");
        }
    }
    *out = identity;
    return st;
}
