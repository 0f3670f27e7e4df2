/* process.h - layer 5b: what a program sets for its whole process (gssspi_mech_invoke).
 *
 * Holds for every effective user of the process, for credentials and contexts that are made
 * afterwards: snapshots of before stay as they are. It may configure an identity, which makes the
 * process ours. Any thread, at any time. */
#ifndef KB_OPTIONS_PROCESS_H
#define KB_OPTIONS_PROCESS_H

#include "asn1/bytes.h"
#include "asn1/status.h"
#include "mech/report/error.h"

/* kb_options_process_set takes "NAME=VALUE" as the option files write it (Password: file:, env:,
 * fd: or the password itself). Refused in a set-uid process. *err says what is wrong, and that it
 * stands in the process's settings. What can only be seen by looking (a file that is not there) is
 * told by the login that needs it. */
KB_MUST_USE enum kb_status kb_options_process_set(kb_bytes text, struct kb_error *err);

/* kb_options_process_reset forgets them all; secrets are wiped with the last snapshot in use. */
void kb_options_process_reset(void);

#endif
