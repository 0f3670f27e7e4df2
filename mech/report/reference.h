/* reference.h - the numbers of the component reference's errors, which the Error event carries.
 *
 * One table (reference.def) leads both ways: from an error object, an errno or a resolver's code to
 * a number, and from a number to its text and to what it is here. Constant data, any thread. */
#ifndef KB_REFERENCE_H
#define KB_REFERENCE_H

#include "mech/report/error.h"

/* kb_error_number is the number for the Error event. What a system call or the resolver said goes
 * first, if it has a number; then what a KDC said is 952; then the row of error.def holds. Never 0.
 */
int kb_error_number(const struct kb_error *err);

/* kb_reference_of_errno and kb_reference_of_resolver are 0 where there is no number. */
int kb_reference_of_errno(int sys_errno);
int kb_reference_of_resolver(int gai_error);

/* kb_reference_of_option is the number for an option that is set on a context which exists, and can
 * act there no more: 106 to 117, else 950. The name's case is ignored. */
int kb_reference_of_option(const char *option);

/* kb_reference_of_zero is the number for an option that must not be zero: 116 for KDCPort, else 0.
 */
int kb_reference_of_zero(const char *option);

/* kb_reference_text is the reference's own text, NULL for a number that is not in it. */
const char *kb_reference_text(int number);

/* What a number is here; all 0 (KB_E_NONE) where it cannot occur otherwise than by an option. */
struct kb_reference {
    int sys_errno, gai_error;
    enum kb_error_code code;
    bool can_occur; /* on Linux */
};
bool kb_reference_find(int number, struct kb_reference *out); /* false: not in the reference */

#endif
