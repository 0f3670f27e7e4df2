/* keytab_own.h - the inside of keytabs, shared by keytab.c (bytes), keytab_file.c (files) and
 * keytab_find.c (keys). */
#ifndef KB_KEYTAB_OWN_H
#define KB_KEYTAB_OWN_H

#include "mech/store/keytab.h"

#define KB_KEYTAB_MAX_FILE (16u << 20)

/* Where a file cannot be read on: its nth record (from 1; 0: it is no keytab file at all), and the
 * byte at which that begins. */
struct kb_keytab_place {
    size_t record, at;
};

/* kb_keytab_parse_at is kb_keytab_parse that also tells where it failed. */
KB_MUST_USE enum kb_status kb_keytab_parse_at(kb_bytes bytes, struct kb_keytab **out,
                                              struct kb_keytab_place *place);

#endif
