/* checking.h - the parts of a check: the mech.d line, the sections. Private to options. */
#ifndef KB_CHECKING_H
#define KB_CHECKING_H

#include "mech/options/check.h"
#include "mech/options/reading.h"

struct kb_checking {
    kb_problem_found *found;
    void *context;
    struct kb_arena arena;
    struct kb_watch *watched; /* what kb_read_file wants */
    struct kb_reading reading;
    const struct kb_krb5conf *krb5conf;
    bool no_memory;
};

/* kb_check_tell tells one problem. */
void kb_check_tell(struct kb_checking *checking, const struct kb_origin *place, bool warning,
                   enum kb_error_code code, const char *format, ...) KB_PRINTF(5, 6);

/* kb_check_is_mechd: does a line with `kerbside` in it stand in the file? kb_check_mechd judges how
 * such lines are written (libgssapi says nothing of what it does not understand), and reads the
 * options of the one that counts. */
bool kb_check_is_mechd(kb_bytes file);
KB_MUST_USE enum kb_status kb_check_mechd(struct kb_checking *checking, kb_bytes file,
                                          const struct kb_setting *like, struct kb_error *err);

/* kb_check_units judges what was read: values against the system, sections as a whole. */
KB_MUST_USE enum kb_status kb_check_units(struct kb_checking *checking, struct kb_error *err);

#endif
