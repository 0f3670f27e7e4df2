/* mechd.h - finds our own line in the mechanism configuration, by libgssapi's rules.
 *
 * libgssapi does not export what it parsed (SPI.md 1), so its reader is followed here to the letter
 * (MIT src/lib/gssapi/mechglue/g_initialize.c, loadConfigFile): a difference would mean to act on
 * other options than the line that loaded us. Bytes in, slices out; no files. */
#ifndef KB_MECHD_H
#define KB_MECHD_H

#include "asn1/bytes.h"

/* The plugin's own OID, contents of its DER form: 1.3.6.1.4.1.32473.88.1 */
#define KB_OWN_OID KB_LIT("\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01")
#define KB_MAX_OID 64

struct kb_mechd_line {
    bool found;
    unsigned line;
    kb_bytes options; /* between the brackets; empty if there are none */
    bool lost;        /* brackets behind the type: libgssapi does not see them */
};

/* kb_mechd_scan looks for lines whose second field is `oid` (DER contents), or if `oid` is empty,
 * for those named `kerbside` or of KB_OWN_OID; the last one wins and replaces *line. */
void kb_mechd_scan(kb_bytes file, kb_bytes oid, struct kb_mechd_line *line);

/* kb_mechd_oid reads a dotted OID as libgssapi does ({1.2 3} and trailing garbage are taken).
 * Returns the length of its DER contents, 0 if it is none or longer than KB_MAX_OID. */
size_t kb_mechd_oid(kb_bytes text, uint8_t out[KB_MAX_OID]);

#endif
