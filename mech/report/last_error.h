/* last_error.h - the sentence behind a minor code, until gss_display_status asks for it. SPI.md 4.
 *
 * GSS hands an error to its program as two numbers; the sentence is asked for later, if at all. It
 * is kept per thread and code; a thread that has none for that code (the program passed the numbers
 * on) gets the last one of the process, else the generic text of error.def. All functions may be
 * called by any thread, also in a forked child. They change no errno. */
#ifndef KB_LAST_ERROR_H
#define KB_LAST_ERROR_H

#include "mech/report/error.h"

/* kb_last_error_put keeps the line of *err for this thread and returns its minor code. Without
 * memory, the generic text stands for it. */
uint32_t kb_last_error_put(const struct kb_error *err);

/* kb_last_error_line appends the line for a minor code; false (and nothing) if it is not one of
 * ours. */
bool kb_last_error_line(uint32_t minor, struct kb_buf *out);

#endif
