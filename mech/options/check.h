/* check.h - judges a file of options: every mistake in it, not only the first, which is all that a
 * login tells.
 *
 * It reads the file as the calling user, with the syntax and the rules of the real thing, and looks
 * at the files that it names. Not part of a login; may ask nsswitch. */
#ifndef KB_CHECK_H
#define KB_CHECK_H

#include "mech/report/error.h"

struct kb_problem {
    const char *file; /* also one that was included, or that Config= names */
    unsigned line;    /* 0: the file as a whole */
    bool warning;     /* it is read, but does not do what it looks like, or not here and now */
    enum kb_error_code code; /* KB_E_OPTION, KB_E_USER, ...; of a warning too */
    const char *text;        /* one sentence without place and final stop; escaped */
};

typedef void kb_problem_found(void *context, const struct kb_problem *problem);

/* kb_options_check tells every problem of `path`, in the order of its lines within each step: what
 * does not parse, then what does not hold together. A file in which a mechanism's line with
 * kerbside in it stands is judged as one of /etc/gss/mech.d (together with the Config file that the
 * line names), another as an option file.
 * KB_ERROR: it cannot be read at all, or memory is short; *err says so. */
KB_MUST_USE enum kb_status kb_options_check(const char *path, kb_problem_found *found,
                                            void *context, struct kb_error *err);

#endif
