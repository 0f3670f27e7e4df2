#include "mech/login/identity.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "crypto/s2k.h"
#include "mech/net/wait.h"
#include "mech/options/layers.h"
#include "mech/options/password.h"
#include "mech/store/keytab.h"

#define LOOK_US 100       /* how often a secret's source is looked at: a stat is half a warm call */
#define RECHECK_MS 1000   /* how often it is read again, though it looks the same */
#define MAX_IDENTITIES 64 /* that are shared; beyond it the oldest is forgotten */
#define MAX_DERIVED 8     /* keys kept for one password */

/* A key that string-to-key made: slow to make again. */
struct derived {
    struct derived *next;
    int32_t etype;
    struct kb_key *key;
    size_t salt_len, params_len;
    uint8_t bytes[]; /* salt, parameters */
};

struct kb_identity {
    /* Immutable. */
    uid_t euid;
    const struct kb_principal *client;
    kb_bytes password;        /* in pages of its own; KB_NONE with a keytab */
    struct kb_keytab *keytab; /* NULL with a password */
    char *where;              /* "keytab /etc/…", "the password": for messages */
    struct kb_shared *shared;
    atomic_uint refs;
    _Atomic int64_t clock_offset; /* microseconds */

    /* Guarded by `lock`. */
    struct kb_identity *next;
    const struct kb_options *options; /* the snapshot that was last found to mean this identity */
    struct stat source; /* the keytab's or the password's file then; all zero for neither */
    int64_t checked_ms; /* when the secret was last read from its source */
    int64_t looked_us;  /* when that was last looked at */
    struct derived *derived;
    struct kb_key_hint hint; /* slices over hint_bytes */
    struct kb_hint_buf hint_bytes;
};

/* Guards the list and what is marked so above; not held over file access or string-to-key. Comes
 * before store/shared's in the lock order. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_identity *identities;

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

static void derived_free(struct derived *derived)
{
    for (struct derived *next; derived != NULL; derived = next) {
        next = derived->next;
        kb_key_free(derived->key);
        free(derived);
    }
}

static void identity_free(struct kb_identity *identity)
{
    kb_principal_free(identity->client);
    secret_free(identity->password);
    kb_keytab_free(identity->keytab);
    free(identity->where);
    kb_shared_free(identity->shared);
    kb_options_put(identity->options);
    derived_free(identity->derived);
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

struct kb_shared *kb_identity_shared(const struct kb_identity *identity)
{
    return identity->shared;
}

/* --- making one from options ----------------------------------------------------------------- */

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
    return options->password->kind == KB_SECRET_FILE ? options->password->where : NULL;
}

/* What the file looks like: all zero for no file, and for one that is not there. */
static struct stat source_now(const struct kb_options *options)
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
    } else {
        name_password(options, &buf);
    }
    identity->where = kb_buf_take(&buf, NULL);
    return identity->where != NULL;
}

static enum kb_status identity_new(const struct kb_options *options, struct kb_identity **out,
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
    identity->source = source_now(options);
    st = options->keytab_file != NULL ? read_keytab(identity, options, err)
                                      : read_password(identity, options, err);
    if (st == KB_OK && identity->client == NULL) {
        identity->client = kb_principal_ref(options->user);
    }
    if (st == KB_OK && !name_source(identity, options)) {
        st = KB_NO_MEMORY;
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

/* --- finding the one that is there -------------------------------------------------------------
 */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool same_list(const kb_opt_LIST *a, const kb_opt_LIST *b)
{
    bool same = a->num == b->num;

    for (size_t i = 0; same && i < a->num; i++) {
        same = strcmp(a->items[i], b->items[i]) == 0;
    }
    return same;
}

static bool same_etypes(const kb_opt_ETYPES *a, const kb_opt_ETYPES *b)
{
    return a->num == b->num &&
           (a->num == 0 || memcmp(a->items, b->items, a->num * sizeof(*a->items)) == 0);
}

/* Whether two snapshots use an identity's tickets in the same way. */
static bool same_use(const struct kb_options *a, const struct kb_options *b)
{
    return same_list(&a->kdc_host, &b->kdc_host) && a->kdc_port == b->kdc_port &&
           same_etypes(&a->encryption_types, &b->encryption_types);
}

static bool same_secret(const struct kb_identity *a, const struct kb_identity *b)
{
    if (a->keytab != NULL || b->keytab != NULL) {
        return a->keytab != NULL && b->keytab != NULL && strcmp(a->where, b->where) == 0 &&
               same_file(&a->source, &b->source);
    }
    return strcmp(a->where, b->where) == 0 && kb_equal_secret(a->password, b->password);
}

static bool same_identity(const struct kb_identity *a, const struct kb_identity *b)
{
    return a->euid == b->euid && kb_principal_equal(a->client, b->client) && same_secret(a, b) &&
           same_use(a->options, b->options);
}

/* A changed secret is another identity at once: the old one's tickets are not for it. */
static bool is_unchanged(const struct kb_identity *identity, const struct kb_options *options,
                         const struct stat *before)
{
    struct stat now = source_now(options);
    struct kb_error ignored = {0};
    kb_bytes password;
    bool same = same_file(before, &now);

    if (same && options->keytab_file == NULL && options->password->kind == KB_SECRET_ENV) {
        same = kb_options_password(options, &password, &ignored) == KB_OK;
        if (same) {
            same = kb_equal_secret(password, identity->password);
            kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
        }
    }
    return same;
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The identity that was made of this very snapshot, if its secret was read just now. */
static struct kb_identity *find_fresh(const struct kb_options *options)
{
    int64_t now = now_us();
    struct kb_identity *identity;
    struct stat source;
    bool look = false;

    pthread_mutex_lock(&lock);
    identity = identities;
    while (identity != NULL && identity->options != options) {
        identity = identity->next;
    }
    if (identity != NULL && now / 1000 - identity->checked_ms < RECHECK_MS) {
        kb_identity_ref(identity);
        look = now - identity->looked_us >= LOOK_US;
        identity->looked_us = look ? now : identity->looked_us;
        source = identity->source;
    } else {
        identity = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (look && !is_unchanged(identity, options, &source)) {
        kb_identity_put(identity);
        identity = NULL;
    }
    return identity;
}

/* Takes `made`, and gives back the equal one that is in the list already, or puts `made` there. */
static struct kb_identity *intern(struct kb_identity *made)
{
    struct kb_identity **slot = &identities, *drop = NULL, *found;
    const struct kb_options *old = NULL;
    unsigned num = 0;

    pthread_mutex_lock(&lock);
    while (*slot != NULL && !same_identity(*slot, made)) {
        if ((*slot)->options == made->options || ++num >= MAX_IDENTITIES) {
            /* The same snapshot with another secret: it was changed. Or one too many. */
            drop = *slot;
            break;
        }
        slot = &(*slot)->next;
    }
    if (drop != NULL) {
        *slot = drop->next;
        while (*slot != NULL && !same_identity(*slot, made)) {
            slot = &(*slot)->next;
        }
    }
    found = *slot;
    if (found != NULL) {
        old = found->options;
        found->options = kb_options_ref(made->options);
        found->checked_ms = made->checked_ms;
        found->source = made->source; /* written again, the same secret is in it */
    } else {
        made->next = identities;
        identities = made;
        found = made;
        made = NULL;
    }
    kb_identity_ref(found);
    pthread_mutex_unlock(&lock);
    kb_options_put(old);
    kb_identity_put(drop);
    kb_identity_put(made);
    return found;
}

static enum kb_status no_secret(const struct kb_options *options, struct kb_error *err)
{
    const char *lost = options->lost_secret;
    char buf[256];

    return kb_error_set(err, KB_E_NO_SECRET, "%s: no password, keytab or cache for User=%s%s%s",
                        kb_origin_text(&options->user_name_from, buf, sizeof(buf)),
                        options->user_name != NULL ? options->user_name : "",
                        lost != NULL ? "; " : "", lost != NULL ? lost : "");
}

enum kb_status kb_identity_get(const struct kb_options *options, struct kb_identity **out,
                               struct kb_error *err)
{
    struct kb_identity *made;
    unsigned layer;

    *out = find_fresh(options);
    if (*out != NULL) {
        return KB_OK;
    }
    if (options->keytab_file == NULL && options->password == NULL) {
        return no_secret(options, err);
    }
    if (options->keytab_file == NULL && options->user == NULL) {
        return kb_error_set(err, KB_E_USER, "A password without a user");
    }
    if (identity_new(options, &made, err) != KB_OK) {
        return KB_ERROR;
    }
    layer = options->keytab_file != NULL ? options->keytab_file_from.layer
                                         : options->password_from.layer;
    *out = layer >= KB_LAYER_CREDENTIAL ? made : intern(made);
    return KB_OK;
}

/* --- keys --------------------------------------------------------------------------------------
 */

static struct kb_key *find_derived(struct kb_identity *identity, int32_t etype, kb_bytes salt,
                                   kb_bytes params)
{
    struct kb_key *key = NULL;

    pthread_mutex_lock(&lock);
    for (struct derived *d = identity->derived; d != NULL && key == NULL; d = d->next) {
        if (d->etype == etype && kb_equal(kb_bytes_of(d->bytes, d->salt_len), salt) &&
            kb_equal(kb_bytes_of(d->bytes + d->salt_len, d->params_len), params)) {
            key = kb_key_ref(d->key);
        }
    }
    pthread_mutex_unlock(&lock);
    return key;
}

static void keep_derived(struct kb_identity *identity, int32_t etype, kb_bytes salt,
                         kb_bytes params, struct kb_key *key)
{
    struct derived *d = malloc(sizeof(*d) + salt.len + params.len), **slot;
    unsigned num = 0;

    if (d == NULL) {
        return; /* It is made again, at the cost of its time. */
    }
    *d = (struct derived){
        .etype = etype, .key = kb_key_ref(key), .salt_len = salt.len, .params_len = params.len};
    if (salt.len > 0) {
        memcpy(d->bytes, salt.ptr, salt.len);
    }
    if (params.len > 0) {
        memcpy(d->bytes + salt.len, params.ptr, params.len);
    }
    pthread_mutex_lock(&lock);
    d->next = identity->derived;
    identity->derived = d;
    for (slot = &identity->derived; *slot != NULL && num < MAX_DERIVED; slot = &(*slot)->next) {
        num++;
    }
    d = *slot;
    *slot = NULL;
    pthread_mutex_unlock(&lock);
    derived_free(d);
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

struct kb_key_source kb_identity_keys(struct kb_identity *identity)
{
    bool password = identity->keytab == NULL;

    return (struct kb_key_source){.get = password ? password_key : keytab_key,
                                  .ctx = identity,
                                  .salted = password,
                                  .what = identity->where};
}

enum kb_status kb_identity_etypes(const struct kb_identity *identity, const int32_t *etypes,
                                  size_t num, int32_t *out, size_t *out_num, struct kb_error *err)
{
    struct kb_buf holds, ours;
    char buf[24];

    *out_num = 0;
    for (size_t i = 0; i < num; i++) {
        if (identity->keytab == NULL ||
            kb_keytab_find(identity->keytab, identity->client, etypes[i], 0) != NULL) {
            out[(*out_num)++] = etypes[i];
        }
    }
    if (*out_num > 0) {
        return KB_OK;
    }
    kb_buf_init(&holds, 600);
    kb_buf_init(&ours, 300);
    kb_keytab_describe(identity->keytab, &holds);
    for (size_t i = 0; i < num; i++) {
        kb_buf_printf(&ours, "%s%s", i > 0 ? ", " : "", kb_enctype_name(etypes[i], buf));
    }
    (void)kb_error_set(
        err, KB_E_KEYTAB_NO_KEY,
        "The %s has no key of an allowed encryption type: it holds %s; EncryptionTypes "
        "allows %s",
        identity->where, kb_buf_str(&holds), kb_buf_str(&ours));
    kb_buf_wipe(&holds);
    kb_buf_wipe(&ours);
    return KB_ERROR;
}

/* --- what was learned --------------------------------------------------------------------------
 */

static struct kb_key_hint copy_hint(const struct kb_key_hint *hint, struct kb_hint_buf *buf)
{
    struct kb_key_hint copy = {.etype = hint->etype};

    if (hint->etype == 0 || hint->salt.len + hint->s2kparams.len > sizeof(buf->bytes)) {
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
    return copy;
}

void kb_identity_learn(struct kb_identity *identity, const struct kb_key_hint *hint)
{
    pthread_mutex_lock(&lock);
    identity->hint = copy_hint(hint, &identity->hint_bytes);
    pthread_mutex_unlock(&lock);
}

struct kb_key_hint kb_identity_hint(struct kb_identity *identity, struct kb_hint_buf *buf)
{
    struct kb_key_hint hint;

    pthread_mutex_lock(&lock);
    hint = copy_hint(&identity->hint, buf);
    pthread_mutex_unlock(&lock);
    return hint;
}

void kb_identity_set_clock_offset(struct kb_identity *identity, int64_t microseconds)
{
    atomic_store_explicit(&identity->clock_offset, microseconds, memory_order_relaxed);
}

int64_t kb_identity_clock_offset(const struct kb_identity *identity)
{
    return atomic_load_explicit(&identity->clock_offset, memory_order_relaxed);
}

void kb_identity_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_identity_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_identity_fork_child(void)
{
    pthread_mutex_unlock(&lock);
}
