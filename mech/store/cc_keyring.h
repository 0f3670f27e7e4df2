/* cc_keyring.h - KEYRING: caches, laid out as MIT's programs have them (lib/krb5/ccache/
 * cc_keyring.c). Private to cc_keyring*.c.
 *
 *   anchor keyring           what the name's first part says: session, user, persistent, ...
 *     _krb_COLLECTION        keyring; of the persistent anchor: _krb
 *       krb_ccache:primary   which one is the primary one
 *       NAME                 keyring: a cache
 *         __krb5_princ__     whose it is
 *         __krb5_time_offsets__   the KDC's clock minus ours
 *         SERVER@REALM       a ticket, or an entry of configuration: a record of ccache_format.h
 *
 * A ticket's key ends with the ticket, a cache's keyring with the last of its tickets. Of the
 * "legacy" anchor, the cache that has its collection's name also hangs in the session keyring
 * itself, where programs older than collections look for it.
 *
 * There are no locks on keyrings. What holds without: a ticket, and a cache that is begun, is made
 * whole where nobody else looks, and put in its place by one call. A ticket of ours never lies in
 * the cache of somebody who began it anew meanwhile: its owner is read again afterwards, and the
 * ticket taken out. Two processes of ours that begin caches at once have one each (Linux 5.3).
 *
 * Who may read keys is decided by what leads to them; so the collections of users and the
 * persistent ones are linked into the process keyring, as MIT does it. */
#ifndef KB_CC_KEYRING_H
#define KB_CC_KEYRING_H

#include "mech/names/keyring_name.h"
#include "mech/store/ccache_ops.h"
#include "mech/store/keyctl.h"

/* Where a cache is. */
struct kb_keyring {
    const struct kb_ccache *cache;
    struct kb_keyring_name name;
    bool by_index;            /* the primary one of a collection is meant */
    kb_key_serial collection; /* 0: there is none */
    kb_key_serial index;      /* the key that names the primary one; 0: none, or not asked */
    kb_key_serial ring;       /* the cache; 0: there is none */
};

/* --- cc_keyring_find.c --- */

/* kb_keyring_find finds the cache that is meant: by its name; in a collection `owner`'s, the
 * primary one first; with no owner the primary one. KB_NOT_FOUND: there is none; what was found on
 * the way is in *out. KB_ERROR. */
KB_MUST_USE enum kb_status kb_keyring_find(const struct kb_ccache *cache,
                                           const struct kb_principal *owner, struct kb_keyring *out,
                                           struct kb_error *err);

/* kb_keyring_primary appends the name of a collection's primary cache. */
KB_MUST_USE enum kb_status kb_keyring_primary(struct kb_keyring *at, struct kb_buf *out,
                                              struct kb_error *err);

/* kb_keyring_named is the cache of that name in the collection. KB_NOT_FOUND: there is none (*out
 * is 0), or one that has ended, or that nobody owns yet (-1). */
KB_MUST_USE enum kb_status kb_keyring_named(const struct kb_keyring *at, const char *name,
                                            kb_key_serial *out, struct kb_error *err);

/* kb_keyring_check_his: is the cache `owner`'s? KB_NOT_FOUND: no. */
KB_MUST_USE enum kb_status kb_keyring_check_his(const struct kb_keyring *at, kb_key_serial ring,
                                                const struct kb_principal *owner,
                                                struct kb_error *err);

/* kb_keyring_make_collection makes the collection where there is none, and names its primary. */
KB_MUST_USE enum kb_status kb_keyring_make_collection(struct kb_keyring *at, struct kb_error *err);

/* kb_keyring_session is the keyring that stands for the session: MIT's session_write_anchor. */
kb_key_serial kb_keyring_session(void);

/* A keyring of this call alone, in which keys are made before they are put in their place. */
KB_MUST_USE enum kb_status kb_keyring_scratch(const struct kb_ccache *cache, kb_key_serial *out,
                                              struct kb_error *err);
void kb_keyring_scratch_close(kb_key_serial scratch);

/* kb_keyring_put_new moves a key from the scratch into `ring`. KB_NOT_FOUND: there is one of that
 * name. */
KB_MUST_USE enum kb_status kb_keyring_put_new(const struct kb_ccache *cache, kb_key_serial key,
                                              kb_key_serial scratch, kb_key_serial ring,
                                              struct kb_error *err);

/* kb_keyring_failed makes a sentence of errno: what failed, why, what to do. */
enum kb_status kb_keyring_failed(const struct kb_ccache *cache, struct kb_error *err);

/* --- cc_keyring_read.c --- */

/* A payload, in memory that is wiped. */
struct kb_key_payload {
    uint8_t *bytes;
    size_t len;
    size_t room; /* private */
};
KB_MUST_USE enum kb_status kb_key_payload_read(kb_key_serial key, struct kb_key_payload *out);
void kb_key_payload_wipe(struct kb_key_payload *payload);
kb_key_serial kb_key_payload_serial(const struct kb_key_payload *list, size_t i);

/* kb_keyring_owner: KB_NOT_FOUND: nobody's yet, or the keyring is not there. */
KB_MUST_USE enum kb_status kb_keyring_owner(kb_key_serial ring, struct kb_principal **out);

/* kb_keyring_record reads a key as a record; slices into `payload`. KB_NOT_FOUND: it is no ticket
 * and no configuration, or gone. */
KB_MUST_USE enum kb_status kb_keyring_record(kb_key_serial key, struct kb_key_payload *payload,
                                             struct kb_cc_record *out);

/* kb_keyring_stamp: the keyring, and the serials in it in no order: who puts a ticket in the place
 * of another gives it another serial, but for MIT's programs that store one for a service whose
 * earlier one is still there. False: it is not there, or not to be read by this thread. */
bool kb_keyring_stamp(const struct kb_keyring *at, struct kb_cc_stamp *out);

/* kb_keyring_stamp_with is the stamp after a key was put in, in the place of `old` (0: of none). */
struct kb_cc_stamp kb_keyring_stamp_with(const struct kb_cc_stamp *before, kb_key_serial old,
                                         kb_key_serial key);
uint64_t kb_keyring_hash(kb_bytes bytes);

KB_MUST_USE enum kb_status kb_keyring_contents(const struct kb_keyring *at,
                                               struct kb_cc_contents **out, struct kb_error *err);

/* --- cc_keyring_write.c --- */

KB_MUST_USE enum kb_status kb_keyring_store(const struct kb_ccache *cache,
                                            const struct kb_cc_store *what, struct kb_wait *wait,
                                            struct kb_cc_stamp *out_stamp, struct kb_error *err);
KB_MUST_USE enum kb_status kb_keyring_remove(const struct kb_ccache *cache,
                                             const struct kb_principal *owner,
                                             const struct kb_principal *server,
                                             struct kb_wait *wait, size_t *out_num,
                                             struct kb_error *err);

#define KB_KEYRING_OWNER "__krb5_princ__"
#define KB_KEYRING_OFFSETS "__krb5_time_offsets__"
#define KB_KEYRING_INDEX "krb_ccache:primary"

#endif
