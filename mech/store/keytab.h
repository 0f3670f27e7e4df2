/* keytab.h - reads keytab files, version 1 and 2. MIT doc/formats/keytab_file_format.
 *
 * A kb_keytab is immutable, counted, and read by any thread; keys are wiped on release. Holes
 * (negative sizes), a 32-bit kvno behind the entry, trailing zeros and Heimdal's flags are
 * understood; entries of enctypes that we do not have are kept for the listing. */
#ifndef KB_KEYTAB_H
#define KB_KEYTAB_H

#include "crypto/key.h"
#include "mech/names/principal.h"
#include "mech/report/error.h"

struct kb_keytab_entry {
    const struct kb_principal *principal;
    uint32_t kvno;
    int32_t etype;
    int64_t timestamp;  /* UTC seconds */
    struct kb_key *key; /* NULL: an enctype that we do not have */
};

struct kb_keytab {
    const struct kb_keytab_entry *entries; /* in the file's order */
    size_t num;
    /* private */
    _Atomic unsigned refs;
};

/* kb_keytab_parse reads the bytes of a file. KB_MALFORMED, KB_CUT_SHORT, KB_TOO_BIG, KB_NO_MEMORY.
 */
KB_MUST_USE enum kb_status kb_keytab_parse(kb_bytes bytes, struct kb_keytab **out);

/* kb_keytab_read opens `path` (FILE: may stand before it), which must be a regular file of at most
 * 16 MiB; *err names the path and what is wrong. */
KB_MUST_USE enum kb_status kb_keytab_read(const char *path, struct kb_keytab **out,
                                          struct kb_error *err);
struct kb_keytab *kb_keytab_ref(struct kb_keytab *keytab);
void kb_keytab_free(struct kb_keytab *keytab); /* NULL is accepted */

/* kb_keytab_find returns the nth entry (0: the newest kvno) of a principal and enctype that has a
 * key, or NULL past the last one. */
const struct kb_keytab_entry *kb_keytab_find(const struct kb_keytab *keytab,
                                             const struct kb_principal *principal, int32_t etype,
                                             unsigned nth);

/* kb_keytab_describe appends what it holds, for messages: "alice@R kvno 3 aes256-…, aes128-…". */
void kb_keytab_describe(const struct kb_keytab *keytab, struct kb_buf *out);

#endif
