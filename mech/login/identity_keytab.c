/* Keytabs as secrets: read while somebody may be writing them, and looked at again. */
#include <errno.h>
#include <stdlib.h>

#include "mech/login/cache.h"
#include "mech/login/identity_own.h"
#include "mech/net/wait.h"
#include "mech/options/layers.h"

#define SETTLE_MS 1000 /* for which a file that is being written is waited for */
#define TURN_MS 10

/* --- reading --- */

/* One that was begun anew a moment ago may have the user's keys in another. */
static bool is_complete(const struct kb_keytab *keytab, const struct kb_principal *user)
{
    return keytab->num > 0 && (user == NULL || kb_keytab_has(keytab, user));
}

/* Reads it; where it cannot be read, or lacks the user, while its writer may be at work, it is read
 * again until `wait` ends or it is no longer new. What was last wrong with it is the error. */
static enum kb_status read_settled(const char *path, const struct kb_principal *user,
                                   struct kb_wait *wait, struct kb_keytab **out,
                                   struct kb_error *err)
{
    int64_t start_ms = kb_now_ms();
    enum kb_status st, waited = KB_OK;
    struct kb_error why;
    bool in_motion;
    int ready;

    for (;;) {
        struct pollfd fds[KB_WAIT_FDS];

        why = (struct kb_error){0};
        st = kb_keytab_try(path, waited == KB_OK, out, &in_motion, &why);
        if (waited != KB_OK || !in_motion || (st == KB_OK && is_complete(*out, user))) {
            return st == KB_OK ? KB_OK : kb_error_copy(err, &why);
        }
        waited = kb_wait_poll(wait, fds, 0, kb_now_ms() + TURN_MS, &ready);
        if (waited == KB_INTERRUPTED) {
            kb_keytab_free(*out);
            *out = NULL;
            return kb_work_gave_up(wait, waited, start_ms, "for a keytab that is being written",
                                   err);
        }
        kb_keytab_free(*out);
    }
}

bool kb_identity_keytab_has(const char *path, const struct kb_principal *principal)
{
    struct kb_error ignored = {0};
    struct kb_keytab *keytab;
    struct kb_wait wait;
    bool has = false;

    kb_wait_start(&wait, SETTLE_MS, true);
    if (read_settled(path, principal, &wait, &keytab, &ignored) == KB_OK) {
        has = kb_keytab_has(keytab, principal);
        kb_keytab_free(keytab);
    }
    kb_wait_stop(&wait);
    return has;
}

/* What is wrong with a keytab, and where it was named. */
static enum kb_status failed(const struct kb_options *options, struct kb_error *err)
{
    char buf[256];

    kb_error_context(err, "%s", kb_origin_text(&options->keytab_file_from, buf, sizeof(buf)));
    return KB_ERROR;
}

static enum kb_status not_in_it(const struct kb_identity *identity,
                                const struct kb_options *options, struct kb_error *err)
{
    struct kb_buf holds, name;

    kb_buf_init(&holds, 600);
    kb_buf_init(&name, 300);
    kb_keytab_describe(identity->keytab, &holds);
    kb_name_print(&options->user->name, options->user->realm, &name);
    (void)kb_error_set(err, KB_E_KEYTAB_NO_KEY, "keytab %s: it has no key of %s; it holds %s",
                       options->keytab_file, kb_buf_str(&name),
                       holds.status == KB_OK ? kb_buf_str(&holds) : "many others");
    kb_buf_wipe(&holds);
    kb_buf_wipe(&name);
    return failed(options, err);
}

enum kb_status kb_identity_read_keytab(struct kb_identity *identity,
                                       const struct kb_options *options, struct kb_error *err)
{
    const struct kb_login login = {.options = options};
    struct kb_wait wait;
    enum kb_status st;

    kb_login_start_waiting_for(&login, SETTLE_MS, &wait);
    st = read_settled(options->keytab_file, options->user, &wait, &identity->keytab, err);
    kb_wait_stop(&wait);
    if (st != KB_OK) {
        return failed(options, err);
    }
    if (identity->keytab->num == 0) {
        (void)kb_error_set(err, KB_E_KEYTAB_NO_KEY, "keytab %s: it is empty", options->keytab_file);
        return failed(options, err);
    }
    if (options->user == NULL) {
        identity->client = kb_principal_ref(identity->keytab->entries[0].principal);
        return KB_OK;
    }
    return kb_keytab_has(identity->keytab, options->user) ? KB_OK
                                                          : not_in_it(identity, options, err);
}

/* --- the platform's --- */

/* What it looks like before it is read: a change in between is then seen by the next check. */
static enum kb_status name_source(struct kb_identity *identity, struct kb_buf *path)
{
    identity->source_path = kb_buf_take(path, NULL);
    if (identity->source_path == NULL) {
        return KB_NO_MEMORY;
    }
    identity->source = kb_identity_source_now(identity);
    return KB_OK;
}

/* It is nobody's business here that it cannot be read, unless it is all there is. */
enum kb_status kb_identity_client_keytab(struct kb_identity *identity,
                                         const struct kb_options *options, struct kb_error *err)
{
    struct kb_keytab *keytab = NULL;
    struct kb_error why = {0};
    struct kb_buf path;
    enum kb_status st;

    kb_buf_init(&path, 4200);
    st = kb_options_client_keytab(options, &path, err);
    if (st == KB_OK) {
        st = name_source(identity, &path);
    }
    if (st == KB_OK && kb_keytab_read(identity->source_path, &keytab, &why) != KB_OK) {
        st = why.sys_errno == ENOENT ? KB_NOT_FOUND : kb_error_copy(err, &why);
    }
    if (st == KB_OK && (!kb_keytab_has(keytab, identity->client) ||
                        (identity->cache != NULL && kb_cache_lifetime(identity) > 0))) {
        kb_keytab_free(keytab);
        st = KB_NOT_FOUND;
    }
    if (st == KB_OK) {
        identity->keytab = keytab;
    } else {
        free(identity->source_path);
        identity->source_path = NULL;
        memset(&identity->source, 0, sizeof(identity->source));
    }
    kb_buf_wipe(&path);
    return st;
}

/* --- after a refusal --- */

/* Whether `b` is the same client with something else to log in with. */
static bool has_another(const struct kb_identity *a, const struct kb_identity *b)
{
    if (!kb_principal_equal(a->client, b->client)) {
        return false;
    }
    if (a->keytab != NULL && b->keytab != NULL) {
        return !kb_keytab_same(a->keytab, b->keytab, a->client, true);
    }
    return a->password.ptr != NULL && b->password.ptr != NULL &&
           !kb_equal_secret(a->password, b->password);
}

struct kb_identity *kb_identity_rekeyed(struct kb_identity *identity,
                                        const struct kb_options *options, struct kb_wait *wait,
                                        int64_t patience_ms)
{
    int64_t end_ms = kb_now_ms() + patience_ms;
    enum kb_status waited = KB_OK;

    for (;;) {
        struct pollfd fds[KB_WAIT_FDS];
        struct kb_error ignored = {0};
        struct kb_identity *now;
        int ready;

        kb_identity_distrust(options);
        if (kb_identity_get(options, &now, &ignored) == KB_OK) {
            if (has_another(identity, now)) {
                return now;
            }
            kb_identity_put(now);
        }
        if (waited != KB_OK || kb_now_ms() >= end_ms) {
            return NULL;
        }
        waited = kb_wait_poll(wait, fds, 0, kb_now_ms() + TURN_MS, &ready);
    }
}

void kb_identity_add_others(const struct kb_identity *identity, struct kb_buf *out)
{
    if (identity->keytab != NULL) {
        kb_keytab_describe_others(identity->keytab, identity->client, out);
    }
}
