/* tell.h - the events of a login, sent where its options say (LogFile, TraceFile, LogLevel) and to
 * the callbacks of the process and of its credential.
 *
 * `listener` is the credential's, NULL: none; the process's is looked up here. Any thread; nothing
 * is kept open between two lines (report/sink.h). */
#ifndef KB_TELL_H
#define KB_TELL_H

#include "mech/options/options.h"
#include "mech/report/events.h"

/* kb_tell_events makes the events that `options` (NULL: the defaults) ask for; release with
 * kb_events_free. NULL when memory is short: nothing is told then. */
struct kb_events *kb_tell_events(const struct kb_options *options, struct kb_listener *listener);

/* kb_tell_wanted: is there more to tell than new TGTs and failures? A call that does neither then
 * needs no events. */
bool kb_tell_wanted(const struct kb_options *options, struct kb_listener *listener);

/* kb_tell_failure leaves the full sentence of a failed call in the log (LogLevel 1), since many
 * programs show their user nothing of it, and calls the Error callbacks: once for a call. */
void kb_tell_failure(const struct kb_options *options, struct kb_listener *listener,
                     const struct kb_error *err);

/* kb_tell_error calls the Error callbacks only: for a call that failed in the program itself, as
 * with a message that does not verify. */
void kb_tell_error(struct kb_listener *listener, const struct kb_error *err);

#endif
