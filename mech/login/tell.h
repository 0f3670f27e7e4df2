/* tell.h - the events of a login, sent where its options say: LogFile, TraceFile, LogLevel.
 *
 * Any thread; nothing is kept open between two lines (report/sink.h). */
#ifndef KB_TELL_H
#define KB_TELL_H

#include "mech/options/options.h"
#include "mech/report/events.h"

/* kb_tell_events makes the events that `options` (NULL: the defaults) ask for; release with
 * kb_events_free. NULL when memory is short: nothing is told then. */
struct kb_events *kb_tell_events(const struct kb_options *options);

/* kb_tell_failure leaves the full sentence of a failed login in the log (LogLevel 1): many programs
 * show their user nothing of it. */
void kb_tell_failure(const struct kb_options *options, const struct kb_error *err);

#endif
