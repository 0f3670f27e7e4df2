#include "mech/login/auto.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "asn1/reader.h"
#include "mech/login/beside.h"
#include "mech/login/clock.h"
#include "mech/login/identity_own.h"
#include "mech/options/layers.h"
#include "mech/options/password.h"
#include "mech/options/show.h"
#include "mech/store/private_dir.h"

#define SHOWN_NAME 64
#define TEXT_CEILING 65536
#define NUM_WORDS 7
#define VALUE_LEN (NUM_WORDS * 8 + KB_IDENTITY_DIGEST_LEN)
#define YOUNG 2 /* seconds: a file that was just written may be written again and look the same */

bool kb_auto_is(const struct kb_options *options)
{
    return options->ccache != NULL && strcmp(options->ccache, "auto") == 0;
}

/* --- its name --- */

static void add_list(struct kb_buf *out, const char *name, const kb_opt_LIST *list)
{
    kb_buf_add_str(out, name);
    for (size_t i = 0; i < list->num; i++) {
        kb_buf_printf(out, " %zu:%s", strlen(list->items[i]), list->items[i]);
    }
}

static void add_etypes(struct kb_buf *out, const char *name, const kb_opt_ETYPES *list)
{
    kb_buf_add_str(out, name);
    for (size_t i = 0; i < list->num; i++) {
        kb_buf_printf(out, " %d", (int)list->items[i]);
    }
}

/* Of an inline password only where it stands. */
static void add_source(struct kb_buf *out, const struct kb_identity *identity,
                       const struct kb_options *options)
{
    char buf[256];

    if (identity->keytab != NULL) {
        kb_buf_printf(out, "\nkeytab %s", identity->source_path);
    } else if (options->password->kind == KB_SECRET_INLINE) {
        kb_buf_printf(out, "\ninline %s",
                      kb_origin_text(&options->password_from, buf, sizeof(buf)));
    } else {
        kb_buf_printf(out, "\npassword %d %s", (int)options->password->kind,
                      options->password->where);
    }
}

/* All that kb_identity_same compares, but the secret itself. */
static void describe(const struct kb_identity *identity, const struct kb_options *options,
                     struct kb_buf *out)
{
    const char *krb5_config = secure_getenv("KRB5_CONFIG");

    kb_principal_unparse(identity->client, out);
    add_source(out, identity, options);
    kb_buf_printf(out, "\nkrb5.conf %s", krb5_config != NULL ? krb5_config : "");
    add_list(out, "\nKDCHost", &options->kdc_host);
    add_list(out, "\nPrimaryKDC", &options->primary_kdc);
    add_etypes(out, "\nEncryptionTypes", &options->encryption_types);
    add_etypes(out, "\ntickets", &options->ticket_types);
    kb_buf_printf(out, "\n%lld %d %d %d %lld %lld %d %lld %lld", (long long)options->kdc_port,
                  options->forwardable, options->proxiable, options->no_addresses,
                  (long long)options->ticket_life, (long long)options->renew_life,
                  options->canonicalize, (long long)options->name_type,
                  (long long)options->dns_canonicalize);
}

/* FNV-1a of 64 bits: who comes to the same name by accident finds another principal or another
 * secret there, and nothing that is his. */
static uint64_t hash_of(kb_bytes text)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ text.ptr[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* "alice@EXAMPLE.COM-0123456789abcdef": for a person, and for us. */
static void add_name(const struct kb_identity *identity, uint64_t hash, struct kb_buf *out)
{
    struct kb_buf name;
    char c[2] = {0};

    kb_buf_init(&name, TEXT_CEILING);
    kb_principal_unparse(identity->client, &name);
    for (size_t i = 0; i < name.len && i < SHOWN_NAME; i++) {
        c[0] = (char)name.data[i];
        kb_buf_add_str(out, (isascii(c[0]) && isalnum(c[0])) || strchr("@.-", c[0]) ? c : "_");
    }
    kb_buf_printf(out, "-%016llx", (unsigned long long)hash);
    kb_buf_wipe(&name);
}

/* --- its place --- */

/* Another user's (su, sudo) is as if there were none. */
static bool in_runtime_dir(struct kb_buf *out)
{
    const char *base = secure_getenv("XDG_RUNTIME_DIR");
    struct kb_error ignored = {0};
    bool found = base != NULL && base[0] == '/' &&
                 kb_private_dir(base, "kerbside", true, out, &ignored) == KB_OK;

    if (!found) {
        kb_buf_wipe(out);
        kb_buf_init(out, PATH_MAX);
    }
    return found;
}

static enum kb_status find_dir(struct kb_buf *out, struct kb_error *err)
{
    const char *base = secure_getenv("TMPDIR");
    char name[40];

    if (in_runtime_dir(out)) {
        return KB_OK;
    }
    snprintf(name, sizeof(name), "kerbside-%u", (unsigned)geteuid());
    return kb_private_dir(base != NULL && base[0] == '/' ? base : "/tmp", name, false, out, err);
}

enum kb_status kb_auto_open(const struct kb_identity *identity, const struct kb_options *options,
                            struct kb_ccache **out, struct kb_error *err)
{
    struct kb_buf text, path;
    enum kb_status st;

    kb_buf_init(&text, TEXT_CEILING);
    kb_buf_init(&path, PATH_MAX);
    describe(identity, options, &text);
    st = text.status != KB_OK
             ? kb_error_status(err, KB_E_CCACHE, text.status, "what identifies the cache")
             : find_dir(&path, err);
    if (st == KB_OK) {
        kb_buf_add_str(&path, "/");
        add_name(identity, hash_of(kb_buf_bytes(&text)), &path);
        st = path.status == KB_OK
                 ? kb_ccache_new(kb_buf_str(&path), out, err)
                 : kb_error_status(err, KB_E_CCACHE, path.status, "the cache's path");
    }
    kb_buf_wipe(&text);
    kb_buf_wipe(&path);
    return st;
}

struct kb_ccache *kb_auto_cache(const struct kb_identity *identity, const char **out_why)
{
    *out_why = identity->auto_lost;
    return identity->cache != NULL ? kb_ccache_ref(identity->cache) : NULL;
}

/* --- whose it is: the source's stamp (7 * 8), the digest --- */

static bool make_stamp(struct kb_identity *identity, uint8_t out[NUM_WORDS * 8])
{
    struct stat st;
    uint64_t words[NUM_WORDS];

    kb_identity_lock();
    st = identity->source;
    kb_identity_unlock();
    words[0] = (uint64_t)st.st_dev;
    words[1] = (uint64_t)st.st_ino;
    words[2] = (uint64_t)st.st_size;
    words[3] = (uint64_t)st.st_mtim.tv_sec;
    words[4] = (uint64_t)st.st_mtim.tv_nsec;
    words[5] = (uint64_t)st.st_ctim.tv_sec;
    words[6] = (uint64_t)st.st_ctim.tv_nsec;
    for (size_t i = 0; i < NUM_WORDS; i++) {
        kb_put_u64be(out + 8 * i, words[i]);
    }
    return st.st_ino != 0 && st.st_ctim.tv_sec + YOUNG < kb_clock_now();
}

static enum kb_status write_bound(struct kb_identity *identity, const uint8_t *digest,
                                  struct kb_error *err)
{
    uint8_t value[VALUE_LEN];
    struct kb_beside_record change = {.type = KB_BESIDE_BOUND,
                                      .value = kb_bytes_of(value, sizeof(value))};

    if (!make_stamp(identity, value)) {
        memset(value, 0, NUM_WORDS * sizeof(uint64_t));
    }
    memcpy(value + NUM_WORDS * 8, digest, KB_IDENTITY_DIGEST_LEN);
    return kb_beside_write(identity, &change, 1, err);
}

static bool is_bound(struct kb_identity *identity, const struct kb_beside_table *table)
{
    uint8_t stamp[NUM_WORDS * 8], digest[KB_IDENTITY_DIGEST_LEN];
    bool settled = make_stamp(identity, stamp);
    struct kb_beside_record record;
    struct kb_error ignored = {0};

    if (!kb_beside_find(table, KB_BESIDE_BOUND, KB_NONE, &record) ||
        record.value.len != VALUE_LEN) {
        return false;
    }
    if (settled && memcmp(record.value.ptr, stamp, sizeof(stamp)) == 0) {
        return true;
    }
    if (kb_identity_digest_under(identity, kb_beside_key(table), digest) != KB_OK ||
        !kb_equal_secret(kb_bytes_of(digest, sizeof(digest)),
                         kb_bytes_of(record.value.ptr + sizeof(stamp), sizeof(digest)))) {
        return false;
    }
    if (settled) { /* else it costs the next process as much */
        (void)!write_bound(identity, digest, &ignored);
    }
    return true;
}

bool kb_auto_is_bound(struct kb_identity *identity)
{
    struct kb_beside_contents contents;
    struct kb_error ignored = {0};
    bool bound = kb_beside_read(identity, &contents, &ignored) == KB_OK &&
                 is_bound(identity, &contents.table);

    kb_beside_contents_wipe(&contents);
    return bound;
}

/* Another secret's tickets, or rubbish. */
static enum kb_status begin_anew(const struct kb_identity *identity, struct kb_error *err)
{
    size_t len = strlen(identity->beside) - strlen(KB_BESIDE_SUFFIX);
    char *path = kb_strdup(kb_bytes_of(identity->beside, len));
    enum kb_status st = KB_OK;

    if (path == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a credentials cache");
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        st = kb_error_errno(err, KB_E_CCACHE, errno, "credentials cache %s",
                            kb_ccache_name(identity->cache));
    }
    free(path);
    return st;
}

enum kb_status kb_auto_bind(struct kb_identity *identity, struct kb_error *err)
{
    struct kb_beside_contents contents;
    uint8_t digest[KB_IDENTITY_DIGEST_LEN];
    enum kb_status st = kb_beside_read(identity, &contents, err);

    if (st == KB_OK && is_bound(identity, &contents.table)) {
        kb_beside_contents_wipe(&contents);
        return KB_OK;
    }
    if (st != KB_ERROR) {
        st = begin_anew(identity, err);
    }
    if (st == KB_OK && kb_beside_key(&contents.table).len == 0) {
        kb_beside_contents_wipe(&contents);
        st = kb_beside_write(identity, NULL, 0, err);
        st = st == KB_OK ? kb_beside_read(identity, &contents, err) : st;
    }
    if (st == KB_OK) {
        st = kb_identity_digest_under(identity, kb_beside_key(&contents.table), digest);
        st = st == KB_OK ? write_bound(identity, digest, err)
                         : kb_error_status(err, KB_E_CCACHE, st, "the file beside the cache");
    }
    kb_beside_contents_wipe(&contents);
    return st == KB_NOT_FOUND ? kb_error_set(err, KB_E_CCACHE, "the file beside the cache is gone")
                              : st;
}
