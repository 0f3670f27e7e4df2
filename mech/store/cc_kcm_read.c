/* KCM: caches: what is in one. */
#include <stdlib.h>

#include "mech/store/cc_kcm.h"

#define MAX_TRIES 3 /* to have all tickets of a cache that others write to meanwhile */

/* --- UUIDs --- */

void kb_kcm_set_free(struct kb_kcm_set *set)
{
    free(set->uuids);
    *set = (struct kb_kcm_set){.num = 0};
}

bool kb_kcm_set_equal(const struct kb_kcm_set *a, const struct kb_kcm_set *b)
{
    return a->known && b->known && a->num == b->num &&
           memcmp(a->uuids, b->uuids, a->num * KB_KCM_UUID) == 0;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, KB_KCM_UUID);
}

static bool copy_uuids(struct kb_kcm_set *out, const uint8_t *uuids, size_t num)
{
    *out = (struct kb_kcm_set){.uuids = malloc(num * KB_KCM_UUID + 1), .num = num};
    out->known = out->uuids != NULL;
    if (out->known && num > 0) {
        memcpy(out->uuids, uuids, num * KB_KCM_UUID);
    }
    return out->known;
}

/* In any order: what is in `now` alone goes to `out`, which has room for all of it. False:
 * something of `before`, sorted, is gone. */
static bool sift(const struct kb_kcm_set *before, const struct kb_kcm_set *now,
                 struct kb_kcm_set *out)
{
    size_t num_kept = 0;

    out->num = 0;
    for (size_t i = 0; i < now->num; i++) {
        const uint8_t *uuid = now->uuids + i * KB_KCM_UUID;

        if (bsearch(uuid, before->uuids, before->num, KB_KCM_UUID, compare) != NULL) {
            num_kept++;
        } else {
            memcpy(out->uuids + out->num++ * KB_KCM_UUID, uuid, KB_KCM_UUID);
        }
    }
    return num_kept == before->num;
}

enum kb_status kb_kcm_set_more(const struct kb_kcm_set *before, const struct kb_kcm_set *now,
                               struct kb_kcm_set *out)
{
    size_t len = before->num * KB_KCM_UUID, num_more = now->num - before->num;
    struct kb_kcm_set sorted;
    bool none_gone;

    *out = (struct kb_kcm_set){.num = 0};
    if (now->num < before->num) {
        return KB_NOT_FOUND;
    }
    /* Mostly they are behind, or (sssd's) in front of those that were there. */
    if (memcmp(now->uuids, before->uuids, len) == 0) {
        return copy_uuids(out, now->uuids + len, num_more) ? KB_OK : KB_NO_MEMORY;
    }
    if (memcmp(now->uuids + num_more * KB_KCM_UUID, before->uuids, len) == 0) {
        return copy_uuids(out, now->uuids, num_more) ? KB_OK : KB_NO_MEMORY;
    }
    if (!copy_uuids(&sorted, before->uuids, before->num)) {
        return KB_NO_MEMORY;
    }
    if (!copy_uuids(out, now->uuids, now->num)) {
        kb_kcm_set_free(&sorted);
        return KB_NO_MEMORY;
    }
    qsort(sorted.uuids, sorted.num, KB_KCM_UUID, compare);
    none_gone = sift(&sorted, now, out);
    kb_kcm_set_free(&sorted);
    if (!none_gone) {
        kb_kcm_set_free(out);
    }
    return none_gone ? KB_OK : KB_NOT_FOUND;
}

enum kb_status kb_kcm_list(struct kb_kcm *kcm, const char *name, struct kb_kcm_set *out)
{
    size_t num;
    enum kb_status st;

    *out = (struct kb_kcm_set){.num = 0};
    kb_kcm_ask(kcm, KB_KCM_GET_CRED_UUID_LIST, name);
    st = kb_kcm_call(kcm);
    if (st == KB_NOT_FOUND) {
        return kb_kcm_is_absent(kcm->answer.code) ? st : kb_kcm_refused(kcm, "list its tickets");
    }
    if (st != KB_OK) {
        return st;
    }
    st = kb_kcm_get_uuids(kcm->answer.body, &num);
    if (st != KB_OK) {
        return kb_kcm_broken(kcm, st, "a list of tickets");
    }
    return copy_uuids(out, kcm->answer.body.ptr, num) ? KB_OK
                                                      : kb_kcm_broken(kcm, KB_NO_MEMORY, NULL);
}

/* --- tickets --- */

static enum kb_status unreadable(struct kb_kcm *kcm, enum kb_status st)
{
    return kb_kcm_broken(kcm, st, "a ticket");
}

/* One that is gone by now is passed over. */
static enum kb_status read_one_by_one(struct kb_kcm *kcm, const char *name,
                                      const struct kb_kcm_set *set, struct kb_kcm_pile *pile)
{
    for (size_t i = 0; i < set->num; i++) {
        enum kb_status st;

        kb_kcm_ask(kcm, KB_KCM_GET_CRED_BY_UUID, name);
        kb_buf_add(&kcm->request, kb_bytes_of(set->uuids + i * KB_KCM_UUID, KB_KCM_UUID));
        st = kb_kcm_call(kcm);
        if (st == KB_NOT_FOUND && !kb_kcm_is_absent(kcm->answer.code)) {
            return kb_kcm_refused(kcm, "give one of its tickets");
        }
        if (st == KB_ERROR) {
            return st;
        }
        st = st == KB_OK ? kb_kcm_pile_add(pile, kcm->answer.body) : KB_OK;
        if (st != KB_OK) {
            return unreadable(kcm, st);
        }
    }
    return KB_OK;
}

/* All at once, where the daemon can. *out_again: others wrote meanwhile, and *set is new. */
static enum kb_status read_at_once(struct kb_kcm *kcm, const char *name, struct kb_kcm_set *set,
                                   struct kb_kcm_pile *pile, bool *out_again)
{
    struct kb_kcm_set now = {.num = 0};
    enum kb_status st;

    kb_kcm_ask(kcm, KB_KCM_GET_CRED_LIST, name);
    st = kb_kcm_call(kcm);
    if (st == KB_NOT_FOUND) {
        if (kb_kcm_is_unknown(kcm->answer.code)) {
            return read_one_by_one(kcm, name, set, pile);
        }
        return kb_kcm_is_absent(kcm->answer.code) ? st : kb_kcm_refused(kcm, "give its tickets");
    }
    if (st == KB_OK) {
        st = kb_kcm_pile_list(pile, kcm->answer.body);
        st = st == KB_OK ? st : unreadable(kcm, st);
    }
    if (st == KB_OK) {
        st = kb_kcm_list(kcm, name, &now);
    }
    if (st == KB_OK) {
        *out_again = !kb_kcm_set_equal(set, &now);
        kb_kcm_set_free(set);
        *set = now;
    }
    return st;
}

/* The KDC's clock minus ours, in seconds; *out_any false: it does not say. */
static enum kb_status read_offset(struct kb_kcm *kcm, const char *name, int32_t *out, bool *out_any)
{
    enum kb_status st;

    kb_kcm_ask(kcm, KB_KCM_GET_KDC_OFFSET, name);
    st = kb_kcm_call(kcm);
    *out_any = st == KB_OK && kb_kcm_get_seconds(kcm->answer.body, out) == KB_OK &&
               *out != INT32_MAX; /* sssd's "none" */
    return st == KB_ERROR ? st : KB_OK;
}

enum kb_status kb_kcm_read(struct kb_kcm *kcm, const char *name, const struct kb_principal *owner,
                           struct kb_kcm_set *set, struct kb_cc_contents **out)
{
    struct kb_kcm_pile pile;
    int32_t offset = 0;
    bool has_offset = false, again = true;
    enum kb_status st = KB_OK;

    kb_kcm_pile_init(&pile);
    for (unsigned i = 0; i < MAX_TRIES && st == KB_OK && again; i++) {
        kb_kcm_pile_wipe(&pile);
        kb_kcm_pile_init(&pile);
        again = false;
        st = read_at_once(kcm, name, set, &pile, &again);
    }
    set->known = !again;
    if (st == KB_OK) {
        st = read_offset(kcm, name, &offset, &has_offset);
    }
    if (st == KB_OK) {
        st = kb_kcm_contents(&pile, owner, has_offset ? &offset : NULL, out);
        st = st == KB_OK ? st : unreadable(kcm, st);
    }
    kb_kcm_pile_wipe(&pile);
    return st;
}

enum kb_status kb_kcm_read_more(struct kb_kcm *kcm, const char *name, const struct kb_kcm_set *more,
                                const struct kb_cc_contents *known, struct kb_cc_contents **out)
{
    struct kb_kcm_pile pile;
    enum kb_status st;

    kb_kcm_pile_init(&pile);
    st = read_one_by_one(kcm, name, more, &pile);
    if (st == KB_OK) {
        st = kb_kcm_contents_more(&pile, known, out);
        st = st == KB_OK ? st : unreadable(kcm, st);
    }
    kb_kcm_pile_wipe(&pile);
    return st;
}
