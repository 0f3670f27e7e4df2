/* keytab.h - reads keytab files, version 1 (in either byte order) and 2. MIT
 * doc/formats/keytab_file_format.
 *
 * A kb_keytab is immutable, counted, and read by any thread; keys are wiped on release. Holes
 * (negative sizes), a 32-bit kvno behind the entry, trailing zeros and Heimdal's flags are
 * understood; entries of enctypes that we do not have are kept for the listing. Keytabs are never
 * written.
 *
 * The newest of a principal's keys is that of the highest kvno; but a small kvno (below 128) that
 * was written later than a large one (above 240) went round, and is newer, as in MIT's library. */
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

/* kb_keytab_read opens `path` (FILE: or WRFILE: may stand before it), which must be a regular file
 * of at most 16 MiB; *err names the path and what is wrong. */
KB_MUST_USE enum kb_status kb_keytab_read(const char *path, struct kb_keytab **out,
                                          struct kb_error *err);

/* kb_keytab_try is kb_keytab_read that also tells whether the file may be in the hands of whoever
 * writes it, so that what is wrong with it, or missing in it, may be right in a moment: a program
 * has it locked for writing (with `wait_for_writer` that is an error, else it is read all the
 * same), or it was written or removed within the last 2 seconds. */
KB_MUST_USE enum kb_status kb_keytab_try(const char *path, bool wait_for_writer,
                                         struct kb_keytab **out, bool *out_in_motion,
                                         struct kb_error *err);

struct kb_keytab *kb_keytab_ref(struct kb_keytab *keytab);
void kb_keytab_free(struct kb_keytab *keytab); /* NULL is accepted */

/* kb_keytab_find returns the nth entry (0: the newest kvno) of a principal and enctype that has a
 * key, or NULL past the last one. */
const struct kb_keytab_entry *kb_keytab_find(const struct kb_keytab *keytab,
                                             const struct kb_principal *principal, int32_t etype,
                                             unsigned nth);

/* kb_keytab_has: any key of the principal, also one of an enctype that we do not have. */
bool kb_keytab_has(const struct kb_keytab *keytab, const struct kb_principal *principal);

/* kb_keytab_is_newest: is the newest key of this enctype among the principal's newest? Else it is
 * from before the last change. */
bool kb_keytab_is_newest(const struct kb_keytab *keytab, const struct kb_principal *principal,
                         int32_t etype);

/* kb_keytab_same compares, in constant time, the keys that two keytabs have for a principal, or the
 * newest of each enctype. */
bool kb_keytab_same(const struct kb_keytab *a, const struct kb_keytab *b,
                    const struct kb_principal *principal, bool newest_only);

/* kb_keytab_describe appends what it holds, for messages: "alice@R kvno 3 aes256-…, aes128-…". */
void kb_keytab_describe(const struct kb_keytab *keytab, struct kb_buf *out);

/* kb_keytab_describe_keys appends what it holds for one principal, newest first, with the day on
 * which it was written: "kvno 3 (2026-11-30) aes256-…, aes128-…; kvno 2 (…) …". */
void kb_keytab_describe_keys(const struct kb_keytab *keytab, const struct kb_principal *principal,
                             struct kb_buf *out);

/* kb_keytab_describe_others appends the names of its other principals; nothing if there are none.
 */
void kb_keytab_describe_others(const struct kb_keytab *keytab, const struct kb_principal *principal,
                               struct kb_buf *out);

#endif
