/* ktname.h - names of keytabs: FILE:PATH, MIT's WRFILE:PATH or a path. Other types are refused,
 * with the reason. Any thread. */
#ifndef KB_KTNAME_H
#define KB_KTNAME_H

#include "mech/report/error.h"

/* kb_ktname_check finds what is wrong with the name as it is written, without asking the system. */
KB_MUST_USE enum kb_status kb_ktname_check(const char *text, struct kb_error *err);

/* kb_ktname_path is the path in a name that kb_ktname_check accepts, not expanded. */
const char *kb_ktname_path(const char *text);

#endif
