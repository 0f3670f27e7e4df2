/* realms.h - TGTs of other realms, and the way to them. RFC 4120 1.2, 3.3. Inside login.
 *
 * A realm's KDC gives tickets to whoever brings its TGT, krbtgt/REALM. The user's own KDC is asked
 * for that first: it gives it where the two realms share a key, or that of a realm which is nearer.
 * Where it does neither, it is asked for those on the path (path.h), the farthest first; and so on
 * from there. Not more than KB_REALMS_MAX realms, and none twice.
 *
 * Where [capaths] names the pair, no realm may be on the way that it does not name: a TGT that came
 * by another is not used, be it from the cache, and a KDC that leads elsewhere is not followed
 * (MIT's client follows; its documentation says that "." excludes intermediate realms, and its
 * servers refuse such tickets).
 *
 * Each TGT that was obtained is kept for all threads of the identity, whatever way it came, and in
 * its credentials cache, where MIT's programs and the next process find it, and refreshed ahead
 * (refresh.h) by the call that is on its way. Each step from one
 * realm to the next has a flight of its own (store/shared.h), and no thread waits in one for
 * another. */
#ifndef KB_LOGIN_REALMS_H
#define KB_LOGIN_REALMS_H

#include "mech/login/path.h"
#include "mech/login/work.h"

#define KB_REALMS_MAX 10

/* A TGT that is asked with. */
struct kb_realm_tgt {
    struct kb_credential *credential;
    bool kept; /* from before this call: it may have become useless */
};

/* kb_realms_tgt gives a TGT of `realm` (KB_NONE: the user's own). `hierarchy`: the realm is known
 * by its name, not guessed, so what lies between by the names is tried too. On KB_ERROR
 * kb_realms_drop tells whether a TGT on the way was to blame. */
KB_MUST_USE enum kb_status kb_realms_tgt(struct kb_work *work, kb_bytes realm, bool hierarchy,
                                         struct kb_realm_tgt *out, struct kb_error *err);

/* kb_realms_refused notes that a KDC does not take `tgt`, which `fetch` began with. kb_realms_drop
 * forgets one that was so noted; true: it was from before this call, so that a new one may be
 * tried. */
void kb_realms_refused(struct kb_work *work, const struct kb_fetch *fetch,
                       const struct kb_realm_tgt *tgt);
bool kb_realms_drop(struct kb_work *work);

/* kb_realms_keep_referrals keeps the TGTs that KDCs referred us with on the way to a service. */
void kb_realms_keep_referrals(struct kb_work *work, const struct kb_fetch *fetch);

/* kb_realms_check tells whether the realms that `fetch` led through, beginning with `tgt`, are
 * those that [capaths] allows between the user's and that of `ticket`. */
KB_MUST_USE enum kb_status kb_realms_check(struct kb_work *work, const struct kb_fetch *fetch,
                                           const struct kb_credential *tgt,
                                           const struct kb_credential *ticket,
                                           struct kb_error *err);

/* kb_realms_learned is the realm in which a target was found before, when nobody said where it is;
 * copied into `buf`. KB_NONE: none, or the user's own. kb_realms_learn keeps that of the ticket
 * that came; `was_elsewhere`: another was learned before. */
kb_bytes kb_realms_learned(struct kb_work *work, const struct kb_target *target, char buf[256]);
void kb_realms_learn(struct kb_work *work, const struct kb_target *target,
                     const struct kb_credential *ticket, bool was_elsewhere);

/* kb_realms_suggested is the realm that a host may be in where nobody says so: with
 * dns_lookup_realm what DNS says; else by krb5.conf's realm_try_domains the first of the host's own
 * name and its domains that has KDCs; else its domain, or default_realm where it has none. In upper
 * case (but DNS's), in `buf` or lent. KB_NONE: none. */
kb_bytes kb_realms_suggested(struct kb_work *work, kb_bytes host, char buf[256]);

/* kb_realms_is_no_way: the error says that a service or the way to it is not known. */
static inline bool kb_realms_is_no_way(const struct kb_error *err)
{
    return err->code == KB_E_SERVICE_UNKNOWN || err->code == KB_E_NO_WAY;
}

#endif
