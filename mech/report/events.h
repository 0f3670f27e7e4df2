/* events.h - what Kerbside tells of its work: the log (4 levels) and the trail of messages.
 *
 * Lower layers hold a `struct kb_events *` (NULL: nobody listens) and call these; where it ends (a
 * file, stderr, syslog) is decided by the sink behind it (sink.h), which never runs with a lock of
 * ours held, never touches stdout, and writes each event with one write(2). Neither changes errno.
 * A kb_events is constant and counted: any thread. */
#ifndef KB_EVENTS_H
#define KB_EVENTS_H

#include "asn1/bytes.h"
#include "mech/report/listener.h"

struct kb_events;

enum kb_log_level { KB_LOG_NONE = 0, KB_LOG_INFO = 1, KB_LOG_VERBOSE = 2, KB_LOG_DEBUG = 3 };
enum kb_direction { KB_CLIENT = 0, KB_SERVER = 1, KB_INFO = 2 };

/* What is told, and where: the options of these names. Targets are sink.h's; NULL: nowhere. */
struct kb_events_config {
    enum kb_log_level log_level;
    const char *log_file;
    const char *trace_file;
    bool mask_sensitive; /* false: keys are shown in the trail, after a line that warns of it */
    bool log_packets;    /* LogKerberosPackets: the raw bytes too, where messages are shown */
    const char *packet_capture;      /* a pcapng file; NULL: none */
    struct kb_listener *listener[2]; /* the process's and the credential's callbacks; NULL: none */
};

/* kb_events_new copies `config`; NULL when memory is short. It opens nothing. */
struct kb_events *kb_events_new(const struct kb_events_config *config);
struct kb_events *kb_events_ref(struct kb_events *events); /* NULL gives NULL */
void kb_events_free(struct kb_events *events);             /* NULL is accepted */

/* kb_events_wanted lets a caller skip the making of an expensive text. */
bool kb_events_wanted(const struct kb_events *events, enum kb_log_level level);
bool kb_trail_wanted(const struct kb_events *events);

/* kb_events_capture is the file of PacketCapture, for capture.h; NULL: none. */
const char *kb_events_capture(const struct kb_events *events);

/* kb_log tells one sentence. The system log gets the same one at most once a minute. Foreign text
 * in the arguments must have been escaped (kb_buf_add_escaped). */
void kb_log(struct kb_events *events, enum kb_log_level level, const char *format, ...)
    KB_PRINTF(3, 4);

/* kb_trail shows one bare Kerberos message, sent to or received from `peer`, printed from the ASN.1
 * tables with secrets masked. */
void kb_trail(struct kb_events *events, enum kb_direction direction, const char *peer,
              kb_bytes message);

#endif
