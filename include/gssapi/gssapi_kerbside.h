/* gssapi_kerbside.h - what Kerbside adds to GSS-API.
 *
 * A program needs none of this: Kerbside takes part in the krb5 mechanism, and is configured by
 * files and environment (kerbside(8)). With it a program can address Kerbside itself; where the
 * plugin is not installed, every such call answers GSS_S_BAD_MECH or GSS_S_UNAVAILABLE.
 *
 * An OID is a constant: static gss_OID_desc mech = KERBSIDE_MECH_OID; */
#ifndef GSSAPI_KERBSIDE_H
#define GSSAPI_KERBSIDE_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

/* Kerbside itself, as its line in /etc/gss/mech.d names it: 1.3.6.1.4.1.32473.88.1. (32473 is the
 * enterprise number for examples; this OID is never sent to a peer.) */
#define KERBSIDE_MECH_OID {10, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01"}

#endif
