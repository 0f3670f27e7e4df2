/* expiry.h - what the KDC says of passwords and accounts that end soon: last-req and key-expiration
 * of an AS-REP. RFC 4120 5.4.2.
 *
 * Heimdal's KDC says both apart (lr-type 6 and 7), MIT's the earlier of both as key-expiration
 * (get_key_exp, kdc/kdc_util.c). Times are UTC seconds by the KDC's clock. Any thread. */
#ifndef KB_EXPIRY_H
#define KB_EXPIRY_H

#include "asn1/types.h"
#include "mech/protocol/keys.h"
#include "mech/report/events.h"

#define KB_EXPIRY_SOON (7 * 86400) /* seconds: from then on it is a warning */

/* kb_expiry_tell tells of what ends, and what to do, where that is soon; else of the key at
 * LogLevel 2. `client` is for people. */
void kb_expiry_tell(struct kb_events *events, const char *client, const struct kb_key_source *keys,
                    const kb_enc_kdc_rep_part *part);

#endif
