/* ccache_ops.h - what each type of cache does, for ccache.c alone. The functions are those of
 * ccache.h, which checks and explains; a `rest` is the name behind the type. */
#ifndef KB_CCACHE_OPS_H
#define KB_CCACHE_OPS_H

#include "mech/store/ccache_format.h"

struct kb_ccache {
    const struct kb_ccache_ops *ops;
    const struct kb_principal *owner; /* of a collection: whose is meant; NULL: the primary one */
    struct kb_cc_memo *memo;          /* of a DIR:, KEYRING: or KCM: */
    char *socket;                     /* of a KCM:, the daemon's; NULL */
    _Atomic unsigned refs;
    char *shown; /* for messages: TYPE:REST, nothing in it that a terminal would obey */
    const char *rest;
    char name[];
};

/* Which file in a directory was found to be meant, while the directory looked like this. */
struct kb_cc_memo {
    struct kb_ccache *chosen; /* NULL: none */
    struct kb_cc_stamp chosen_at;
    /* Of a KEYRING:, the keyring that was found, the key that says so, and when; 0: none. */
    _Atomic int32_t ring, index;
    _Atomic int64_t found_ms;
    struct kb_kcm_memo *kcm; /* what a KCM daemon last said; NULL: nothing yet */
};

struct kb_ccache_ops {
    char type[8];
    struct kb_cc_stamp (*look)(const struct kb_ccache *cache);
    enum kb_status (*load)(const struct kb_ccache *cache, struct kb_wait *wait,
                           struct kb_cc_contents **out, struct kb_error *err);
    enum kb_status (*store)(const struct kb_ccache *cache, const struct kb_cc_store *what,
                            struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                            struct kb_error *err);
    enum kb_status (*remove)(const struct kb_ccache *cache, const struct kb_principal *owner,
                             const struct kb_principal *server, struct kb_wait *wait,
                             size_t *out_num, struct kb_error *err);
    /* Where they are NULL, the cache is loaded for it. */
    enum kb_status (*reload)(const struct kb_ccache *cache, struct kb_cc_contents *known,
                             struct kb_wait *wait, struct kb_cc_contents **out,
                             struct kb_error *err);
    enum kb_status (*owner)(const struct kb_ccache *cache, struct kb_wait *wait,
                            struct kb_principal **out, struct kb_error *err);
    bool (*is_collection)(const char *rest);                           /* NULL: never */
    struct kb_cc_stamp (*look_closely)(const struct kb_ccache *cache); /* NULL: as look */
    bool asked; /* a daemon's, and not looked at: kb_ccache_stamp_without */
};

/* The first word of a stamp of what a daemon has: it could not be asked; it is to be asked again.
 */
#define KB_CC_STAMP_LOST 2
#define KB_CC_STAMP_STALE 3

/* kb_ccache_make makes one; `shown` (NULL: TYPE:REST) is what messages call it. NULL: no memory. */
struct kb_ccache *kb_ccache_make(const struct kb_ccache_ops *ops, const char *rest,
                                 const char *shown);

extern const struct kb_ccache_ops kb_cc_dir_ops;
extern const struct kb_ccache_ops kb_cc_file_ops;
extern const struct kb_ccache_ops kb_cc_keyring_ops;
extern const struct kb_ccache_ops kb_cc_kcm_ops;
extern const struct kb_ccache_ops kb_cc_memory_ops;

/* For kb_ccache_fork_prepare. */
void kb_cc_dir_fork_prepare(void);
void kb_cc_dir_fork_done(void);
void kb_cc_kcm_fork_prepare(void);
void kb_cc_kcm_fork_done(void);

void kb_kcm_memo_free(struct kb_kcm_memo *memo); /* NULL is accepted */

/* kb_cc_explain makes a sentence of what kb_cc_parse said. */
enum kb_status kb_cc_explain(const struct kb_ccache *cache, enum kb_status st,
                             struct kb_error *err);

#endif
