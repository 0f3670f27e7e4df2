/* path.h - which realms lead from a user's realm to a service's. RFC 4120 1.2.
 *
 * [capaths] of krb5.conf says it where it names the pair. Else, if it is asked for and both names
 * have an end in common, the hierarchy: from the user's realm up to the one that both are in and
 * down again (EU.CORP.EXAMPLE, CORP.EXAMPLE, EXAMPLE, LAB.EXAMPLE). Else the two stand alone: they
 * share a key, or their KDCs know the way.
 * Slices of what was given; any thread. */
#ifndef KB_LOGIN_PATH_H
#define KB_LOGIN_PATH_H

#include "mech/options/krb5conf.h"

#define KB_PATH_MAX 12

struct kb_path {
    kb_bytes realms[KB_PATH_MAX]; /* from the user's to the service's */
    size_t num;                   /* at least 2 */
    bool configured;              /* by [capaths]: no other realm may be on the way */
};

/* kb_path_find fills *out for two different realms. */
void kb_path_find(struct kb_path *out, const struct kb_krb5conf *conf, kb_bytes client,
                  kb_bytes service, bool hierarchy);

/* kb_path_position is where `realm` stands behind the realm at `after`; 0: it does not. */
size_t kb_path_position(const struct kb_path *path, size_t after, kb_bytes realm);

/* kb_path_of_host makes the realm that a host's name suggests where nobody says it: what stands
 * behind its first dot, in upper case (MIT's last resort). KB_NONE: no dot, or an IP address. */
kb_bytes kb_path_of_host(kb_bytes host, char buf[256]);

#endif
