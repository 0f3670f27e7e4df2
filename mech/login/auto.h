/* auto.h - CredentialsCacheFile=auto: a private cache on disk for one identity, so that short-lived
 * programs share their tickets.
 *
 * It lies in $XDG_RUNTIME_DIR/kerbside, or where there is no such directory of the user's own in
 * kerbside-UID of the temporary directory ($TMPDIR, /tmp); only where that is private_dir.h's. Its
 * name tells whose it is, and is made of what the identity is: the principal, where the secret
 * comes from, the KDCs and what is asked of them; of the secret itself nothing.
 *
 * With which secret it was begun stands in the file beside it, as what its source looked like (so
 * that a file that nobody touched costs nothing) and as HMAC-SHA256 under that file's random key
 * over what string-to-key makes of it. With another secret the cache is as if it were not there,
 * and once that secret has logged in, is begun anew: a wrong password never finds tickets. Any
 * thread.
 */
#ifndef KB_AUTO_H
#define KB_AUTO_H

#include "mech/login/identity.h"
#include "mech/store/ccache.h"

/* kb_auto_is: do the options say `auto`? */
bool kb_auto_is(const struct kb_options *options);

/* kb_auto_open finds the place of the cache. KB_ERROR with *err: it cannot be had, and tickets stay
 * in memory. */
KB_MUST_USE enum kb_status kb_auto_open(const struct kb_identity *identity,
                                        const struct kb_options *options, struct kb_ccache **out,
                                        struct kb_error *err);

/* kb_auto_cache gives a reference to an identity's cache; NULL: it has none, and *out_why is why
 * `auto` could not be had (NULL: it was not asked for, or not for this secret). */
struct kb_ccache *kb_auto_cache(const struct kb_identity *identity, const char **out_why);

/* kb_auto_is_bound: is what is in the cache this secret's? Asked after it was read: whoever begins
 * it anew says so before. May cost a string-to-key. */
bool kb_auto_is_bound(struct kb_identity *identity);

/* kb_auto_bind makes the cache this secret's, which has just logged in: removes another one's.
 * KB_ERROR: nothing is to be written to it. */
KB_MUST_USE enum kb_status kb_auto_bind(struct kb_identity *identity, struct kb_error *err);

#endif
