/* identity.h - who logs in, with which secret, and what was obtained and learned with it.
 *
 * An identity is effective user + principal + where its secret comes from + the secret itself + the
 * KDCs and enctypes that it is used with. Only equal ones share tickets, so a ticket can never make
 * a wrong password succeed. One whose secret the program itself handed over (layer 6) is shared
 * with nobody and lives with its credential. The secret is kept, in wiped memory, to be compared in
 * constant time and for the next login; its file or variable is looked at for change at every login
 * (but not in a tight loop), and a changed secret is another identity; a keytab that was written
 * again with the client's keys as they were is not. One without a secret has a
 * credentials cache, whose tickets it uses until they end.
 *
 * Counted; any thread. kb_identity_get may read the secret's file (no network, no string-to-key); a
 * keytab that somebody is writing is waited for, a second at most.
 */
#ifndef KB_IDENTITY_H
#define KB_IDENTITY_H

#include "mech/options/options.h"
#include "mech/protocol/fetch.h"
#include "mech/store/shared.h"

struct kb_identity;

/* kb_identity_get returns the identity that `options` configure. Errors: no user, no secret, an
 * unreadable file, a keytab without the user. */
KB_MUST_USE enum kb_status kb_identity_get(const struct kb_options *options,
                                           struct kb_identity **out, struct kb_error *err);
struct kb_identity *kb_identity_ref(struct kb_identity *identity);
void kb_identity_put(struct kb_identity *identity); /* NULL is accepted */

/* kb_identity_same: do two mean the same user, secret, KDCs and enctypes, so that the tickets of
 * one are good for the other? */
bool kb_identity_same(const struct kb_identity *a, const struct kb_identity *b);

/* kb_identity_is_stale: has the file that the secret is in changed since it was read? Not looked at
 * in a tight loop. kb_identity_take_source: what is in the file that `made` was made of is the same
 * as before, so `identity` stands for it. */
bool kb_identity_is_stale(struct kb_identity *identity);
void kb_identity_take_source(struct kb_identity *identity, const struct kb_identity *made);

/* kb_identity_rekeyed looks, for `patience_ms`, whether the keytab has other keys to log in with
 * than those of `identity`, which a KDC refused, or whether the password is another one: a
 * reference to the identity of the same client with it. NULL: it is not. (Who changes a key changes
 * it at the KDC first, and the file after that.) */
struct kb_identity *kb_identity_rekeyed(struct kb_identity *identity,
                                        const struct kb_options *options, struct kb_wait *wait,
                                        int64_t patience_ms);

/* kb_identity_add_others appends who else is in the keytab; nothing without one. */
void kb_identity_add_others(const struct kb_identity *identity, struct kb_buf *out);

/* kb_identity_forget_process forgets identities whose secret the program set for its process: its
 * Reset. Their tickets go with them. */
void kb_identity_forget_process(void);

/* kb_identity_principal lends the client's name. */
const struct kb_principal *kb_identity_principal(const struct kb_identity *identity);

/* kb_identity_has_secret: a password or keytab; else all it has is a credentials cache. */
bool kb_identity_has_secret(const struct kb_identity *identity);

/* kb_identity_keytab is the path of its keytab, which may be the platform's; NULL without one. */
const char *kb_identity_keytab(const struct kb_identity *identity);

struct kb_shared *kb_identity_shared(const struct kb_identity *identity);

/* kb_identity_keys is the key source for kb_fetch; valid while the identity is referenced. */
struct kb_key_source kb_identity_keys(struct kb_identity *identity);

/* kb_identity_etypes narrows `etypes` to those that the identity has keys for (a keytab, those of
 * its newest kvno first; a password has all); *err (KB_E_KEYTAB_NO_KEY) shows both sides where none
 * is left. `out` has room for num.
 */
KB_MUST_USE enum kb_status kb_identity_etypes(const struct kb_identity *identity,
                                              const int32_t *etypes, size_t num, int32_t *out,
                                              size_t *out_num, struct kb_error *err);

/* What was learned, kept only after a reply that decrypted. kb_identity_hint copies salt and
 * parameters into `buf`; the result's slices point there. etype 0: nothing is known. */
struct kb_hint_buf {
    uint8_t bytes[1024];
};
void kb_identity_learn(struct kb_identity *identity, const struct kb_key_hint *hint);
struct kb_key_hint kb_identity_hint(struct kb_identity *identity, struct kb_hint_buf *buf);

/* kb_identity_digest is what the secret is known by in this process where it must not be kept:
 * HMAC-SHA256, under a random key, over what string-to-key makes of the password, or over the
 * keytab's keys. Costs a string-to-key the first time. */
#define KB_IDENTITY_DIGEST_LEN 32
KB_MUST_USE enum kb_status kb_identity_digest(struct kb_identity *identity,
                                              uint8_t out[KB_IDENTITY_DIGEST_LEN]);

/* kb_identity_digest_under is the same under a key that is given: that of a file beside a cache. */
KB_MUST_USE enum kb_status kb_identity_digest_under(struct kb_identity *identity, kb_bytes key,
                                                    uint8_t out[KB_IDENTITY_DIGEST_LEN]);

/* The clock of the identity's realm minus ours, in microseconds; 0 until it is known (clock.h). */
int64_t kb_identity_clock_offset(const struct kb_identity *identity);

/* kb_identity_now is UTC seconds by that clock, as tickets have their times. */
int64_t kb_identity_now(const struct kb_identity *identity);

/* kb_identity_keytab_has is what options asks about keytabs: does `path` hold a key of `principal`?
 * False where it cannot be read: whoever uses it gets the error. */
bool kb_identity_keytab_has(const char *path, const struct kb_principal *principal);

/* kb_identity_ccache_principal is what options asks about caches: whose tickets does `name` hold?
 * NULL where it cannot be read. */
void kb_identity_ccache_principal(const char *name, const char *kcm_socket,
                                  struct kb_principal **out);

/* For mech/process around fork(2). */
void kb_identity_fork_prepare(void);
void kb_identity_fork_parent(void);
void kb_identity_fork_child(void);

#endif
