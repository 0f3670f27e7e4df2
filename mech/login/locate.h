/* locate.h - where the KDCs of a realm are: KDCHost for the user's own realm, else krb5.conf's kdc
 * lines. Its primary KDC: PrimaryKDC likewise, else, where KDCHost does not stand in for krb5.conf,
 * that one's primary_kdc (master_kdc). (Discovery by DNS is not built yet: the error says what to
 * set.)
 * The strings that it hands out live as long as the kb_locate. One thread at a time. */
#ifndef KB_LOCATE_H
#define KB_LOCATE_H

#include "mech/net/exchange.h"
#include "mech/options/kdc.h"
#include "mech/options/options.h"

struct kb_locate {
    const struct kb_options *options;
    kb_bytes realm;                      /* the user's: KDCHost holds for it alone */
    char hosts[32][KB_KDC_MAX_HOST + 1 + KB_KDC_MAX_PATH + 1]; /* private: hosts and paths */
    unsigned num_hosts;
};

/* kb_locate_kdcs is the kb_locate_fn of a kb_locate. KB_E_OPTION for an entry that is no host. */
size_t kb_locate_kdcs(void *locate, kb_bytes realm, bool primary, struct kb_kdc *out, size_t max,
                      struct kb_error *err);

#endif
