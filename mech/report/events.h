/* events.h - what Kerbside tells of its work: the log (4 levels) and the trail of messages.
 *
 * Lower layers hold a `struct kb_events *` (NULL: nobody listens) and call these; where it ends (a
 * file, stderr, syslog) is decided by the sink behind it (sink.h), which never runs with a lock of
 * ours held, never touches stdout, and writes each line with one write(2). Any thread. */
#ifndef KB_EVENTS_H
#define KB_EVENTS_H

#include "asn1/bytes.h"

struct kb_events;

enum kb_log_level { KB_LOG_NONE = 0, KB_LOG_INFO = 1, KB_LOG_VERBOSE = 2, KB_LOG_DEBUG = 3 };
enum kb_direction { KB_CLIENT = 0, KB_SERVER = 1, KB_INFO = 2 };

/* kb_events_wanted lets a caller skip the making of an expensive text. */
bool kb_events_wanted(const struct kb_events *events, enum kb_log_level level);
bool kb_trail_wanted(const struct kb_events *events);

void kb_log(struct kb_events *events, enum kb_log_level level, const char *format, ...) KB_PRINTF(3, 4);

/* kb_trail shows one bare Kerberos message, sent to or received from `peer`, printed from the ASN.1
 * tables with secrets masked. */
void kb_trail(struct kb_events *events, enum kb_direction direction, const char *peer, kb_bytes message);

#endif
