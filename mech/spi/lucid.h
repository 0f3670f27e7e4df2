/* lucid.h - a context's inside as a C struct, for kernels that take its messages over (NFS, by
 * rpc.gssd): gss_krb5_export_lucid_sec_context, version 1. The struct is gssapi_krb5.h's.
 *
 * It leaves us by malloc and is freed by the platform's mechanism, to which
 * gss_krb5_free_lucid_sec_context leads (plugin.c passes it on). The keys in it are copies. */
#ifndef KB_LUCID_H
#define KB_LUCID_H

#include <gssapi/gssapi_krb5.h>

#include "mech/protocol/ap.h"

/* kb_lucid_new: of an established context, which ends at `endtime`. NULL: no memory. */
gss_krb5_lucid_context_v1_t *kb_lucid_new(const struct kb_ap *ap, int64_t endtime);
void kb_lucid_free(gss_krb5_lucid_context_v1_t *lucid); /* wipes; NULL is accepted */

#endif
