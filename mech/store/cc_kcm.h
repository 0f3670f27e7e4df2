/* cc_kcm.h - the inside of KCM: caches, shared by cc_kcm.c (which cache is meant, what it looks
 * like), cc_kcm_read.c and cc_kcm_write.c.
 *
 * KCM:NAME is the cache of that name with the daemon; KCM: alone is all of the user's, as with
 * MIT's and sssd's: the owner's where one is wanted, else the daemon's default one.
 *
 * What the daemon said last stays with the kb_ccache (its memo): the UUIDs of the tickets tell
 * whether anything changed, so that asking again is a request for a list, and only new tickets are
 * fetched. Any thread; the lock on the memos is not held while anybody is asked. */
#ifndef KB_CC_KCM_H
#define KB_CC_KCM_H

#include "mech/store/ccache_ops.h"
#include "mech/store/kcm_call.h"

/* UUIDs of tickets, as the daemon lists them. */
struct kb_kcm_set {
    uint8_t *uuids; /* heap */
    size_t num;
    bool known; /* else nothing is the same as it */
};

void kb_kcm_set_free(struct kb_kcm_set *set);
bool kb_kcm_set_equal(const struct kb_kcm_set *a, const struct kb_kcm_set *b);

/* kb_kcm_set_more finds what `now` has beyond `before`, in its order. KB_NOT_FOUND: something of
 * `before` is gone. */
KB_MUST_USE enum kb_status kb_kcm_set_more(const struct kb_kcm_set *before,
                                           const struct kb_kcm_set *now, struct kb_kcm_set *out);

/* --- which cache (cc_kcm.c) --- */

/* kb_kcm_find finds the name of the cache that is meant, and whose it is; in a collection `owner`'s
 * (NULL: the default one). KB_NOT_FOUND: there is none yet. */
KB_MUST_USE enum kb_status kb_kcm_find(struct kb_kcm *kcm, const struct kb_principal *owner,
                                       char name[KB_KCM_NAME_MAX], struct kb_principal **out_owner);

/* kb_kcm_new_name is where a new cache goes: to where the default one would be, if nothing is
 * there, as MIT's kinit does; else to a name that the daemon makes. */
KB_MUST_USE enum kb_status kb_kcm_new_name(struct kb_kcm *kcm, char name[KB_KCM_NAME_MAX]);

/* --- what is in it (cc_kcm_read.c) --- */

KB_MUST_USE enum kb_status kb_kcm_list(struct kb_kcm *kcm, const char *name,
                                       struct kb_kcm_set *out);

/* kb_kcm_read reads all of it; *set is how it was listed, and comes out as it was when the tickets
 * were had. kb_kcm_read_more gives `known` with the tickets of `more` behind. */
KB_MUST_USE enum kb_status kb_kcm_read(struct kb_kcm *kcm, const char *name,
                                       const struct kb_principal *owner, struct kb_kcm_set *set,
                                       struct kb_cc_contents **out);
KB_MUST_USE enum kb_status kb_kcm_read_more(struct kb_kcm *kcm, const char *name,
                                            const struct kb_kcm_set *more,
                                            const struct kb_cc_contents *known,
                                            struct kb_cc_contents **out);

/* --- the memo (cc_kcm.c) --- */

/* kb_kcm_remember keeps what was found, and empties *set; `same`: nothing changed since that stamp
 * (NULL: something did), which is nothing new if another thread has found more meanwhile. The stamp
 * that the cache has from now on. */
struct kb_cc_stamp kb_kcm_remember(const struct kb_ccache *cache, const char *name,
                                   struct kb_kcm_set *set, const struct kb_cc_stamp *same);

/* kb_kcm_forget lets the daemon be asked again at once. */
void kb_kcm_forget(const struct kb_ccache *cache);

/* kb_kcm_known copies the set that belongs to a stamp. False: it is not the last one. */
bool kb_kcm_known(const struct kb_ccache *cache, const struct kb_cc_stamp *stamp,
                  struct kb_kcm_set *out);

/* --- writing (cc_kcm_write.c): the operations of kb_ccache_ops --- */

enum kb_status kb_kcm_store(const struct kb_ccache *cache, const struct kb_cc_store *what,
                            struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                            struct kb_error *err);
enum kb_status kb_kcm_remove(const struct kb_ccache *cache, const struct kb_principal *owner,
                             const struct kb_principal *server, struct kb_wait *wait,
                             size_t *out_num, struct kb_error *err);

#endif
