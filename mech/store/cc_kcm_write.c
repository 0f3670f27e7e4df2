/* KCM: caches: tickets are put into one and taken out.
 *
 * The protocol has no locks, so that what others write meanwhile must not be at stake: a new ticket
 * is one STORE, and what it replaces is removed one by one afterwards. A daemon that cannot remove
 * (sssd's) may have dropped the predecessor itself; else it is given the cache anew, in one request
 * if it can (REPLACE), else as MIT's kinit does: INITIALIZE, and STORE for each. */
#include <errno.h>

#include "mech/store/cc_kcm.h"

#define BUSY_TRIES 50 /* Heimdal's daemon does not destroy a cache that it is using itself */
#define BUSY_MS 20

/* A request that gives nothing; the code is left to the caller (KB_NOT_FOUND). */
static enum kb_status request_entry(struct kb_kcm *kcm, const char *name,
                                    const struct kb_cc_store *what)
{
    kb_kcm_ask(kcm, KB_KCM_STORE, name);
    kb_cc_put_entry(&kcm->request, what);
    return kb_kcm_call(kcm);
}

static enum kb_status must(struct kb_kcm *kcm, enum kb_status st, const char *what)
{
    return st == KB_NOT_FOUND ? kb_kcm_refused(kcm, what) : st;
}

static enum kb_status initialize(struct kb_kcm *kcm, const char *name,
                                 const struct kb_principal *owner)
{
    kb_kcm_ask(kcm, KB_KCM_INITIALIZE, name);
    kb_cc_put_principal(&kcm->request, owner);
    return must(kcm, kb_kcm_call(kcm), "begin a cache");
}

/* A daemon that does not keep it has done its best. */
static enum kb_status set_offset(struct kb_kcm *kcm, const char *name, int64_t offset)
{
    enum kb_status st;

    kb_kcm_ask(kcm, KB_KCM_SET_KDC_OFFSET, name);
    kb_kcm_put_seconds(&kcm->request, offset);
    st = kb_kcm_call(kcm);
    return st == KB_NOT_FOUND ? KB_OK : st;
}

static enum kb_status destroy(struct kb_kcm *kcm, const char *name)
{
    enum kb_status st = KB_NOT_FOUND;

    for (unsigned i = 0; i < BUSY_TRIES && st == KB_NOT_FOUND; i++) {
        struct pollfd fds[KB_WAIT_FDS];
        int ready;

        kb_kcm_ask(kcm, KB_KCM_DESTROY, name);
        st = kb_kcm_call(kcm);
        if (st == KB_NOT_FOUND && kb_kcm_is_absent(kcm->answer.code)) {
            return KB_OK;
        }
        if (st == KB_NOT_FOUND && kcm->answer.code != EAGAIN) {
            break;
        }
        if (st == KB_NOT_FOUND &&
            kb_wait_poll(kcm->wait, fds, 0, kb_now_ms() + BUSY_MS, &ready) != KB_OK) {
            break;
        }
    }
    return must(kcm, st, "destroy the cache");
}

/* --- what goes --- */

struct prune {
    const struct kb_cc_store *what;    /* the new ticket; NULL: none */
    const struct kb_principal *server; /* whose tickets go; NULL: what the new one replaces */
};

static bool goes(const struct prune *prune, const struct kb_cc_contents *contents,
                 const struct kb_cc_record *record)
{
    if (prune->server != NULL) {
        return kb_cc_is_for(contents, record, prune->server);
    }
    return !kb_equal(record->ticket, prune->what->credential->ticket) &&
           !kb_cc_is_kept(contents, record, prune->what);
}

/* Both have the same times: a request that means one means the other too. */
static bool is_twin_of_new(const struct prune *prune, const struct kb_cc_record *record)
{
    const struct kb_credential *credential = prune->what != NULL ? prune->what->credential : NULL;

    return credential != NULL && record->authtime == credential->authtime &&
           record->starttime == credential->starttime && record->endtime == credential->endtime &&
           record->renew_till == credential->renew_till;
}

static size_t num_going(const struct prune *prune, const struct kb_cc_contents *contents)
{
    size_t num = 0;

    for (size_t i = 0; i < contents->num; i++) {
        num += goes(prune, contents, kb_cc_record_at(contents, i));
    }
    return num;
}

static enum kb_status replace(struct kb_kcm *kcm, const char *name,
                              const struct kb_cc_contents *contents, const struct prune *prune)
{
    kb_kcm_ask(kcm, KB_KCM_REPLACE, name);
    kb_kcm_put_seconds(&kcm->request, contents->offset);
    kb_cc_put_principal(&kcm->request, contents->owner);
    kb_kcm_put(&kcm->request, (uint32_t)(contents->num - num_going(prune, contents)));
    for (size_t i = 0; i < contents->num; i++) {
        const struct kb_cc_record *record = kb_cc_record_at(contents, i);

        if (!goes(prune, contents, record)) {
            kb_kcm_put(&kcm->request, (uint32_t)record->raw.len);
            kb_buf_add(&kcm->request, record->raw);
        }
    }
    return kb_kcm_call(kcm);
}

/* The newest first: it is the TGT where that is new, and others look for it at once. */
static enum kb_status store_again(struct kb_kcm *kcm, const char *name,
                                  const struct kb_cc_contents *contents, const struct prune *prune)
{
    enum kb_status st = initialize(kcm, name, contents->owner);

    for (size_t i = contents->num; i > 0 && st == KB_OK; i--) {
        const struct kb_cc_record *record = kb_cc_record_at(contents, i - 1);

        if (!goes(prune, contents, record)) {
            kb_kcm_ask(kcm, KB_KCM_STORE, name);
            kb_buf_add(&kcm->request, record->raw);
            st = must(kcm, kb_kcm_call(kcm), "keep the ticket");
        }
    }
    return st == KB_OK ? set_offset(kcm, name, contents->offset) : st;
}

static enum kb_status read_all(struct kb_kcm *kcm, const char *name,
                               const struct kb_principal *owner, struct kb_cc_contents **out)
{
    struct kb_kcm_set set;
    enum kb_status st = kb_kcm_list(kcm, name, &set);

    *out = NULL;
    if (st == KB_OK) {
        st = kb_kcm_read(kcm, name, owner, &set, out);
    }
    kb_kcm_set_free(&set);
    return st;
}

/* What is written is what is there right now; newer sssd's have removed a ticket's predecessor. */
static enum kb_status rewrite(struct kb_kcm *kcm, const char *name,
                              const struct kb_principal *owner, const struct prune *prune)
{
    struct kb_cc_contents *contents;
    enum kb_status st = read_all(kcm, name, owner, &contents);

    if (st == KB_OK && num_going(prune, contents) > 0) {
        st = replace(kcm, name, contents, prune);
        if (st == KB_NOT_FOUND && kb_kcm_is_unknown(kcm->answer.code)) {
            st = store_again(kcm, name, contents, prune);
        }
        st = must(kcm, st, "write the cache anew");
    }
    kb_cc_contents_put(contents);
    return st == KB_NOT_FOUND ? KB_OK : st; /* destroyed meanwhile: nothing is left in it */
}

static enum kb_status prune_tickets(struct kb_kcm *kcm, const char *name,
                                    const struct kb_cc_contents *contents,
                                    const struct prune *prune)
{
    for (size_t i = 0; i < contents->num; i++) {
        const struct kb_cc_record *record = kb_cc_record_at(contents, i);
        enum kb_status st;

        if (!goes(prune, contents, record) || is_twin_of_new(prune, record)) {
            continue;
        }
        kb_kcm_ask(kcm, KB_KCM_REMOVE_CRED, name);
        kb_kcm_put_match(&kcm->request, record);
        st = kb_kcm_call(kcm);
        if (st == KB_NOT_FOUND && kb_kcm_is_unknown(kcm->answer.code)) {
            return rewrite(kcm, name, contents->owner, prune);
        }
        if (st == KB_NOT_FOUND && !kb_kcm_is_absent(kcm->answer.code)) {
            return kb_kcm_refused(kcm, "remove a ticket");
        }
        if (st == KB_ERROR) {
            return st;
        }
    }
    return KB_OK;
}

/* --- storing --- */

static enum kb_status store_first(struct kb_kcm *kcm, const char *name,
                                  const struct kb_cc_store *what)
{
    enum kb_status st = initialize(kcm, name, what->owner);
    struct kb_error *err = kcm->err, ignored = {0};

    if (st != KB_OK) {
        return st;
    }
    st = must(kcm, request_entry(kcm, name, what), "keep the ticket");
    if (st == KB_OK) {
        return set_offset(kcm, name, what->credential->clock_offset);
    }
    /* An empty cache would only be in the way. */
    kcm->err = &ignored;
    (void)!destroy(kcm, name);
    kcm->err = err;
    return st;
}

/* A new TGT, in a cache that has one already. */
static enum kb_status store_fresh(struct kb_kcm *kcm, const char *name,
                                  const struct kb_cc_store *what)
{
    const struct prune prune = {.what = what};
    struct kb_cc_contents *contents;
    enum kb_status st = read_all(kcm, name, what->owner, &contents);

    if (st == KB_OK) {
        st = must(kcm, request_entry(kcm, name, what), "keep the ticket");
        if (st == KB_OK) {
            st = set_offset(kcm, name, what->credential->clock_offset);
        }
        if (st == KB_OK) {
            st = prune_tickets(kcm, name, contents, &prune);
        }
    } else if (st == KB_NOT_FOUND) {
        st = store_first(kcm, name, what);
    }
    kb_cc_contents_put(contents);
    return st;
}

/* A ticket more. The cache is as it was known but for this one, if its list is. */
static enum kb_status store_more(struct kb_kcm *kcm, const char *name,
                                 const struct kb_cc_store *what, struct kb_cc_stamp *out_stamp)
{
    struct kb_kcm_set before = {.num = 0}, now = {.num = 0}, more = {.num = 0};
    enum kb_status st = request_entry(kcm, name, what);

    if (st == KB_NOT_FOUND) {
        return kb_kcm_is_absent(kcm->answer.code) ? st : kb_kcm_refused(kcm, "keep the ticket");
    }
    if (st == KB_OK && what->known != NULL &&
        kb_kcm_known(kcm->cache, &what->known_stamp, &before)) {
        st = kb_kcm_list(kcm, name, &now);
        if (st == KB_OK && kb_kcm_set_more(&before, &now, &more) == KB_OK && more.num == 1) {
            *out_stamp = kb_kcm_remember(kcm->cache, name, &now, NULL);
        }
        st = st == KB_NOT_FOUND ? KB_OK : st;
    }
    kb_kcm_set_free(&before);
    kb_kcm_set_free(&now);
    kb_kcm_set_free(&more);
    return st;
}

static enum kb_status store(struct kb_kcm *kcm, const struct kb_cc_store *what,
                            struct kb_cc_stamp *out_stamp)
{
    struct kb_principal *owner = NULL;
    char name[KB_KCM_NAME_MAX];
    enum kb_status st = kb_kcm_find(kcm, what->owner, name, &owner);

    if (st == KB_OK) {
        st = kb_cc_check_owner(kcm->cache, owner, what->owner, kcm->err);
        if (st == KB_OK) {
            st =
                what->fresh ? store_fresh(kcm, name, what) : store_more(kcm, name, what, out_stamp);
        }
    } else if (st == KB_NOT_FOUND && what->fresh) {
        st = kb_kcm_new_name(kcm, name);
        if (st == KB_OK) {
            st = store_first(kcm, name, what);
        }
    }
    kb_principal_free(owner);
    return st;
}

enum kb_status kb_kcm_store(const struct kb_ccache *cache, const struct kb_cc_store *what,
                            struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                            struct kb_error *err)
{
    struct kb_kcm kcm;
    enum kb_status st;

    kb_kcm_begin(&kcm, cache, wait, err);
    st = store(&kcm, what, out_stamp);
    kb_kcm_end(&kcm);
    if (out_stamp->words[0] == 0) {
        kb_kcm_forget(cache);
    }
    return st;
}

/* --- removing --- */

static size_t count(const struct kb_cc_contents *contents, const struct kb_principal *server)
{
    size_t num = 0;

    for (size_t i = 0; i < contents->num; i++) {
        const struct kb_cc_record *record = kb_cc_record_at(contents, i);

        num +=
            server != NULL ? kb_cc_is_for(contents, record, server) : record->kind == KB_CC_TICKET;
    }
    return num;
}

static enum kb_status remove_from(struct kb_kcm *kcm, const char *name,
                                  const struct kb_principal *owner,
                                  const struct kb_principal *server, size_t *out_num)
{
    const struct prune prune = {.server = server};
    struct kb_cc_contents *contents;
    enum kb_status st = read_all(kcm, name, owner, &contents);

    if (st == KB_OK) {
        *out_num = count(contents, server);
        st = server != NULL ? prune_tickets(kcm, name, contents, &prune) : destroy(kcm, name);
        *out_num = st == KB_OK ? *out_num : 0;
    }
    kb_cc_contents_put(contents);
    return st;
}

enum kb_status kb_kcm_remove(const struct kb_ccache *cache, const struct kb_principal *owner,
                             const struct kb_principal *server, struct kb_wait *wait,
                             size_t *out_num, struct kb_error *err)
{
    struct kb_principal *is = NULL;
    char name[KB_KCM_NAME_MAX];
    struct kb_kcm kcm;
    enum kb_status st;

    kb_kcm_begin(&kcm, cache, wait, err);
    st = kb_kcm_find(&kcm, owner, name, &is);
    if (st == KB_OK) {
        st = kb_cc_check_owner(cache, is, owner, err);
    }
    if (st == KB_OK) {
        st = remove_from(&kcm, name, owner, server, out_num);
    }
    kb_kcm_end(&kcm);
    kb_principal_free(is);
    kb_kcm_forget(cache);
    return st == KB_NOT_FOUND ? KB_OK : st;
}
