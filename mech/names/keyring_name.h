/* keyring_name.h - names of credentials caches in the kernel's keyrings, behind "KEYRING:", read as
 * MIT reads them (lib/krb5/ccache/cc_keyring.c, parse_residual):
 *
 *   ANCHOR:COLLECTION:SUBSIDIARY   one cache
 *   ANCHOR:COLLECTION              a collection
 *   COLLECTION                     one of the anchor "legacy"
 *
 * Each part but the anchor may be empty, and so may the whole name. An anchor's case matters.
 * Slices point into the text. Any thread. */
#ifndef KB_KEYRING_NAME_H
#define KB_KEYRING_NAME_H

#include <sys/types.h>

#include "asn1/buf.h"

/* Where a collection hangs. Of LEGACY, the session keyring too. */
enum kb_keyring_anchor {
    KB_KEYRING_PERSISTENT, /* of a user id: the collection's name, empty: the effective one */
    KB_KEYRING_PROCESS,
    KB_KEYRING_THREAD,
    KB_KEYRING_SESSION,
    KB_KEYRING_USER,
    KB_KEYRING_LEGACY,
};

struct kb_keyring_name {
    enum kb_keyring_anchor anchor;
    kb_bytes collection;
    bool is_one;         /* a cache by its name, no collection */
    kb_bytes subsidiary; /* of one */
};

/* kb_keyring_name_parse. KB_MALFORMED: no such anchor, or a name that no cache can have; *out_why
 * (may be NULL) is then a phrase that says so. */
KB_MUST_USE enum kb_status kb_keyring_name_parse(const char *text, struct kb_keyring_name *out,
                                                 const char **out_why);

/* kb_keyring_name_uid is whose persistent keyring is meant. */
uid_t kb_keyring_name_uid(const struct kb_keyring_name *name);

/* kb_keyring_name_first is what the first cache of a collection is called. */
kb_bytes kb_keyring_name_first(const struct kb_keyring_name *name);

/* kb_keyring_index_get reads what the key "krb_ccache:primary" of a collection holds: which cache
 * is the primary one. KB_MALFORMED; KB_WRONG_TYPE: a version that we do not know. */
KB_MUST_USE enum kb_status kb_keyring_index_get(kb_bytes payload, kb_bytes *out_name);
void kb_keyring_index_put(struct kb_buf *out, kb_bytes name);

#endif
