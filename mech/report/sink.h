/* sink.h - where lines end: a file, the standard error, the system log.
 *
 * No descriptor is kept: a line is opened for, written with one write(2) and closed. So a program
 * that closes or counts its descriptors, changes its root or user, forks or executes finds nothing
 * of ours, and a rotated file is followed at once; the lines are few. A line that cannot be written
 * is lost, and the caller hears why; errno and signals stay as they were, no call waits for a full
 * pipe. A kb_sink is constant between init and wipe: any thread. */
#ifndef KB_SINK_H
#define KB_SINK_H

#include "asn1/buf.h"
#include "asn1/bytes.h"
#include "mech/report/events.h"

struct kb_sink {
    enum kb_sink_kind { KB_SINK_NONE, KB_SINK_FILE, KB_SINK_STDERR, KB_SINK_SYSLOG } kind;
    char *path; /* of the file, or of syslog's socket */
};

/* kb_sink_init understands "stderr", "syslog:" (/dev/log; another socket may stand behind the
 * colon) and the path of a file; NULL and "" are no sink. False when memory is short. */
KB_MUST_USE bool kb_sink_init(struct kb_sink *sink, const char *target);
void kb_sink_wipe(struct kb_sink *sink);

/* kb_sink_equal: do both end at one place? No sink equals none. */
bool kb_sink_equal(const struct kb_sink *a, const struct kb_sink *b);

/* kb_sink_write writes `text`: to a file or stderr behind time, program and process, made if need
 * be with mode 0600 and never through a symbolic link; to the system log under authpriv, a datagram
 * a line. Control characters of `text` other than its newlines are escaped. NULL, or why it is lost
 * (append.h); what the system log does not take is nobody's fault here. */
const char *kb_sink_write(const struct kb_sink *sink, enum kb_log_level level, kb_bytes text);

/* kb_sink_system_log writes to the system's own log, whatever the options say. Tests put another
 * socket in its place. */
void kb_sink_system_log(enum kb_log_level level, kb_bytes text);
void kb_sink_system_log_at(const char *path);

#endif
