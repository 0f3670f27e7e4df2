/* locate.h - where the KDCs of a realm are: KDCHost for the user's own realm, else krb5.conf's kdc
 * lines, else DNS (discover.h) unless dns_lookup_kdc is false. Its primary KDC: PrimaryKDC
 * likewise, else, where KDCHost does not stand in for krb5.conf, that one's primary_kdc
 * (master_kdc); DNS is asked for it where DNS said where the others are. The strings that it hands
 * out live as long as the kb_locate. One thread at a time. */
#ifndef KB_LOCATE_H
#define KB_LOCATE_H

#include "mech/net/exchange.h"
#include "mech/options/kdc.h"
#include "mech/options/options.h"

struct kb_locate {
    const struct kb_options *options;
    kb_bytes realm;           /* the user's: KDCHost holds for it alone */
    struct kb_wait *wait;     /* for DNS; NULL: it is not asked */
    struct kb_events *events; /* NULL: nobody is told */
    struct kb_arena arena;    /* private */
};

/* kb_locate_init; kb_locate_wipe ends it, and accepts what is all zero. */
void kb_locate_init(struct kb_locate *locate, const struct kb_options *options, kb_bytes realm,
                    struct kb_wait *wait, struct kb_events *events);
void kb_locate_wipe(struct kb_locate *locate);

/* kb_locate_kdcs is the kb_locate_fn of a kb_locate. KB_E_OPTION for an entry that is no host. */
size_t kb_locate_kdcs(void *locate, kb_bytes realm, bool primary, struct kb_kdc *out, size_t max,
                      struct kb_error *err);

/* kb_locate_again is its kb_relocate_fn. */
bool kb_locate_again(void *locate, kb_bytes realm);

#endif
