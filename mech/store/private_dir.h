/* private_dir.h - a directory for one user's files inside one that others may write to.
 *
 * Any thread. */
#ifndef KB_PRIVATE_DIR_H
#define KB_PRIVATE_DIR_H

#include "asn1/buf.h"
#include "mech/report/error.h"

/* kb_private_dir makes base/name where it is not there, and appends its path to `out` if it may be
 * used: a real directory (no link) of the effective user's, mode 0700, in one where nobody else can
 * put another in its place: of the user's or root's, and writable by others only if sticky. `mine`:
 * base itself has to be the user's alone. KB_ERROR with *err: it may not be used. */
KB_MUST_USE enum kb_status kb_private_dir(const char *base, const char *name, bool mine,
                                          struct kb_buf *out, struct kb_error *err);

#endif
