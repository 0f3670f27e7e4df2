/* ccache.h - credential caches: files and memory where tickets stay, shared with MIT's and
 * Heimdal's programs.
 *
 * A kb_ccache is a cache by its name ("FILE:/tmp/krb5cc_1000"); that it exists is not said by it. A
 * name can mean a collection ("DIR:/run/user/1000/cc", "KCM:"): then a kb_ccache is the primary one
 * in it, or that of one principal. A kb_cc_contents is what a cache held at one time. Both are
 * immutable, counted and read by any thread; contents live in pages that stay out of core dumps and
 * are wiped. Each type of cache is one file with its operations (ccache_ops.h): cc_file.c,
 * cc_memory.c, ...
 *
 * Whose a cache is: it has one principal, and is never written for another one. What may wait (for
 * a lock that another program holds) waits through the call's kb_wait. No lock of ours is held over
 * file access. Times are UTC seconds by the KDC's clock. */
#ifndef KB_CCACHE_H
#define KB_CCACHE_H

#include "mech/net/wait.h"
#include "mech/protocol/credential.h"
#include "mech/report/error.h"

struct kb_ccache;
struct kb_cc_contents;

/* kb_ccache_new reads a name: TYPE:REST, or a path. KB_ERROR: a type that there is not. */
KB_MUST_USE enum kb_status kb_ccache_new(const char *name, struct kb_ccache **out,
                                         struct kb_error *err);

/* kb_ccache_set_kcm_socket is for who made a cache, before others have it: where its KCM daemon
 * listens (NULL: where it does by default; "-": nowhere). No-op for other types. False: no
 * memory. */
#define KB_KCM_SOCKET "/var/run/.heim_org.h5l.kcm-socket"
KB_MUST_USE bool kb_ccache_set_kcm_socket(struct kb_ccache *cache, const char *path);

/* kb_ccache_is_shared: is the cache of that name one that we and libkrb5 can both read? */
bool kb_ccache_is_shared(const char *name);

/* kb_ccache_for gives, of a collection, `owner`'s cache, which need not be there yet; of a single
 * cache that itself, whosever it is. A reference, or NULL: no memory. */
struct kb_ccache *kb_ccache_for(struct kb_ccache *cache, const struct kb_principal *owner);

struct kb_ccache *kb_ccache_ref(struct kb_ccache *cache);
void kb_ccache_put(struct kb_ccache *cache);               /* NULL is accepted */
const char *kb_ccache_name(const struct kb_ccache *cache); /* with its type, for messages */
bool kb_ccache_same(const struct kb_ccache *a, const struct kb_ccache *b);
bool kb_ccache_is_named(const struct kb_ccache *cache, const char *name); /* TYPE:REST */

/* kb_ccache_beside appends the path of the small file beside a cache (beside_file.h): PATH.kerbside
 * for a FILE:, DIRECTORY/kerbside for all of a DIR:. False: it is of a type that has none. */
#define KB_BESIDE_SUFFIX ".kerbside"
bool kb_ccache_beside(const struct kb_ccache *cache, struct kb_buf *out);

/* What a cache looks like from outside: equal stamps mean that nobody wrote to it in between. All
 * zero: it is not there. */
struct kb_cc_stamp {
    uint64_t words[8];
};

/* kb_ccache_look costs a system call at most (of a KEYRING: two where the primary one is meant, and
 * a few once a second). A KCM daemon cannot be looked at: what it said counts for
 * KB_KCM_TRUSTED_MS, then the stamp is another one until it is asked again. */
#define KB_KCM_TRUSTED_MS 1000
struct kb_cc_stamp kb_ccache_look(const struct kb_ccache *cache);

/* kb_ccache_look_closely is for who would else ask a KDC: what a KCM daemon said counts for
 * KB_KCM_FRESH_MS only, so that a ticket which another program put there is seen. */
#define KB_KCM_FRESH_MS 20
struct kb_cc_stamp kb_ccache_look_closely(const struct kb_ccache *cache);

/* kb_ccache_stamp_without is the stamp of a cache that could not be loaded: `st` is what
 * kb_ccache_load said, `before` what it looked like before. */
struct kb_cc_stamp kb_ccache_stamp_without(const struct kb_ccache *cache, enum kb_status st,
                                           const struct kb_cc_stamp *before);
bool kb_cc_same_stamp(const struct kb_cc_stamp *a, const struct kb_cc_stamp *b);

/* kb_ccache_load reads it. KB_NOT_FOUND (*err untouched): there is none, or an empty one. Other
 * failures have *err: it is no cache, belongs to another user, cannot be read; it says too what
 * ended the wait for a lock. */
KB_MUST_USE enum kb_status kb_ccache_load(const struct kb_ccache *cache, struct kb_wait *wait,
                                          struct kb_cc_contents **out, struct kb_error *err);

/* kb_ccache_reload reads it again; where it only grew since `known` (NULL: nothing) was read, only
 * what is new. */
KB_MUST_USE enum kb_status kb_ccache_reload(const struct kb_ccache *cache,
                                            struct kb_cc_contents *known, struct kb_wait *wait,
                                            struct kb_cc_contents **out, struct kb_error *err);

/* kb_ccache_owner reads no more of it than whose it is: *out is the caller's. Fails as
 * kb_ccache_load. */
KB_MUST_USE enum kb_status kb_ccache_owner(const struct kb_ccache *cache, struct kb_wait *wait,
                                           struct kb_principal **out, struct kb_error *err);

struct kb_cc_contents *kb_cc_contents_ref(struct kb_cc_contents *contents);
void kb_cc_contents_put(struct kb_cc_contents *contents); /* NULL is accepted */

const struct kb_principal *kb_cc_owner(const struct kb_cc_contents *contents);
const struct kb_cc_stamp *kb_cc_stamp_of(const struct kb_cc_contents *contents);

/* kb_cc_check_owner: is it `owner`'s, if it is that of `is`? KB_ERROR with both names. */
KB_MUST_USE enum kb_status kb_cc_check_owner(const struct kb_ccache *cache,
                                             const struct kb_principal *is,
                                             const struct kb_principal *owner,
                                             struct kb_error *err);

/* kb_cc_clock_offset: microseconds, the KDC's clock minus ours; false: the cache does not say. */
bool kb_cc_clock_offset(const struct kb_cc_contents *contents, int64_t *out);

/* One ticket in it, as it is written there. Slices point into the contents. */
struct kb_cc_ticket {
    const struct kb_principal *client, *server; /* of kb_cc_next: kb_cc_ticket_wipe */
    int32_t etype;                              /* of the session key */
    int32_t ticket_etype;                       /* 0: it is no ticket that can be read */
    uint32_t flags;
    int64_t authtime, starttime, endtime, renew_till;
    bool user_to_user;
    size_t ticket_len;
};

/* kb_cc_next fills *out with the next ticket behind *position (start with 0); configuration entries
 * and removed tickets are passed over. KB_NOT_FOUND: the end. */
KB_MUST_USE enum kb_status kb_cc_next(const struct kb_cc_contents *contents, size_t *position,
                                      struct kb_cc_ticket *out);
void kb_cc_ticket_wipe(struct kb_cc_ticket *ticket);

/* kb_cc_endtime is when the last of the tickets for `server`, in whatever realm, ends; 0: none. */
int64_t kb_cc_endtime(const struct kb_cc_contents *contents, const struct kb_principal *server);

/* What is looked for in a cache. */
struct kb_cc_wanted {
    const struct kb_principal *server;
    bool any_realm;        /* server's realm is a guess: one of another realm will do */
    const int32_t *etypes; /* allowed ones of the session key */
    size_t num_etypes;
    int64_t now, min_life; /* local clock; seconds that it must have left */
};

/* kb_cc_find makes a credential of the owner's best ticket: its realm over an empty one (found by
 * referral, as MIT files it) over any other, then the newest. Its `server` is what the ticket
 * itself names. KB_NOT_FOUND; *out_expired (may be NULL) is then the latest endtime among those
 * that would have fitted, 0 for none. */
KB_MUST_USE enum kb_status kb_cc_find(const struct kb_cc_contents *contents,
                                      const struct kb_cc_wanted *wanted, struct kb_credential **out,
                                      int64_t *out_expired);

/* What is written: one ticket, under `server` (its realm empty where it was found by referral). */
struct kb_cc_store {
    const struct kb_principal *owner;
    const struct kb_principal *server;
    const struct kb_credential *credential;
    bool fresh;  /* a new TGT: the cache is begun anew with it; what is still good in it stays */
    int64_t now; /* local clock; what has expired is dropped where the cache is rewritten */
    struct kb_cc_contents *known;   /* what was read before, NULL: nothing. It is not read again */
    struct kb_cc_stamp known_stamp; /* if the cache still has this stamp */
};

/* kb_ccache_store adds a ticket; a fresh TGT makes the cache where there is none. Nothing that
 * others wrote is lost, and nothing is half-written. *out_stamp is the stamp afterwards if the
 * cache is as `known` (NULL: as none) but for this ticket, else all zero. KB_NOT_FOUND: there is no
 * cache, and this is no fresh TGT. KB_ERROR: see *err; the cache is as it was. */
KB_MUST_USE enum kb_status kb_ccache_store(const struct kb_ccache *cache,
                                           const struct kb_cc_store *what, struct kb_wait *wait,
                                           struct kb_cc_stamp *out_stamp, struct kb_error *err);

/* kb_cc_contents_add gives contents that hold what `known` does and the ticket behind it, with
 * the stamp that kb_ccache_store gave: nothing is read. KB_NOT_FOUND: read the cache instead. */
KB_MUST_USE enum kb_status kb_cc_contents_add(const struct kb_cc_contents *known,
                                              const struct kb_cc_store *what,
                                              const struct kb_cc_stamp *stamp,
                                              struct kb_cc_contents **out);

/* kb_ccache_remove takes `owner`'s tickets for `server` out (NULL: destroys the whole cache), and
 * counts them. A cache that is not there holds none. */
KB_MUST_USE enum kb_status kb_ccache_remove(const struct kb_ccache *cache,
                                            const struct kb_principal *owner,
                                            const struct kb_principal *server, struct kb_wait *wait,
                                            size_t *out_num, struct kb_error *err);

/* For mech/process around fork(2): caches in memory. */
void kb_ccache_fork_prepare(void);
void kb_ccache_fork_done(void); /* in parent and child */

#endif
