/* cache.h - the credentials cache of an identity (CredentialsCacheFile): what a login reads from it
 * and writes to it. Inside login.
 *
 * What it held when it was last read stays with the identity; whether somebody wrote to it since
 * (kinit, kdestroy, another process) costs one stat(2), not in a tight loop; of a KCM: a question
 * once a second, and before a KDC is asked. With another TGT in it, or none any more, the tickets
 * that the process still had are dropped. A failure to write is told in the log: the ticket stays
 * in memory. Any thread; no lock of ours is held over file access.
 */
#ifndef KB_LOGIN_CACHE_H
#define KB_LOGIN_CACHE_H

#include "mech/login/work.h"

/* kb_cache_open finds the cache of an identity that is being made. Without a secret its owner is
 * read at once, and gives identity->client where there is no User. KB_NOT_FOUND: neither a secret
 * nor a cache; *err then says what is wrong with the platform's default one. */
KB_MUST_USE enum kb_status kb_cache_open(struct kb_identity *identity,
                                         const struct kb_options *options, struct kb_error *err);

/* kb_cache_close undoes kb_cache_open. */
void kb_cache_close(struct kb_identity *identity);

/* kb_cache_read_first reads it if that was not done yet, outside a login; without success it is as
 * if nothing were in it. */
void kb_cache_read_first(struct kb_identity *identity);
void kb_cache_wipe(struct kb_identity *identity);

/* kb_cache_same_place: do two identities keep their tickets in the same place? */
bool kb_cache_same_place(const struct kb_identity *a, const struct kb_identity *b);

/* kb_cache_is_still_default: is the platform's default cache now the one that was opened as it? */
bool kb_cache_is_still_default(const struct kb_identity *identity,
                               const struct kb_options *options);

/* kb_cache_looks_same, for an identity without a secret: is it still the cache that `options` mean,
 * and has nobody written to it? */
bool kb_cache_looks_same(struct kb_identity *identity, const struct kb_options *options);

/* kb_cache_known is what the process has of the cache (NULL: nothing), counted, and how the cache
 * looked then. */
struct kb_cc_contents *kb_cache_known(struct kb_identity *identity, struct kb_cc_stamp *out_stamp);

/* kb_cache_is_current tells whether what the process has is what the cache holds. */
bool kb_cache_is_current(struct kb_identity *identity);

/* kb_cache_refresh reads the cache again if it is not. KB_ERROR: it belongs to another user, or
 * cannot be read while there is no secret. */
KB_MUST_USE enum kb_status kb_cache_refresh(struct kb_work *work, struct kb_error *err);

/* kb_cache_tgt: KB_OK, KB_NOT_FOUND (log in), or KB_ERROR where that needs a secret. */
KB_MUST_USE enum kb_status kb_cache_tgt(struct kb_work *work, struct kb_credential **out,
                                        struct kb_error *err);

/* kb_cache_ticket: KB_OK or KB_NOT_FOUND. `any_realm`: the service's realm is a guess. */
KB_MUST_USE enum kb_status kb_cache_ticket(struct kb_work *work, const struct kb_principal *service,
                                           bool any_realm, struct kb_credential **out);

/* kb_cache_keep writes a ticket under `server`; a TGT begins the cache anew. */
void kb_cache_keep(struct kb_work *work, const struct kb_principal *server,
                   const struct kb_credential *credential, bool is_tgt);

/* kb_cache_refuse: do not take this ticket from the cache again. */
void kb_cache_refuse(struct kb_identity *identity, struct kb_credential *credential);

/* kb_cache_remove takes the tickets of that one's service out of the cache, for the processes to
 * come: on a service's word, so not within KB_DISTRUST_SECONDS of when it was obtained. Waits a
 * second at most; what comes of it is in the cache alone. */
void kb_cache_remove(const struct kb_login *login, const struct kb_credential *credential);

/* kb_cache_lifetime is what the cache's TGT has left, at least 0; -1: there is a secret. */
int64_t kb_cache_lifetime(struct kb_identity *identity);

#endif
