/* events.h - what Kerbside tells of its work: the log (4 levels), the trail of messages, errors.
 *
 * Lower layers hold a `struct kb_events *` (NULL: nobody listens) and call the kb_event_NAME of
 * events.def, which has every sentence, or kb_trail for a message. Where it ends is decided here:
 * in the sinks of LogFile and TraceFile (sink.h), which write each event with one write(2) and
 * never touch stdout, and in the callbacks of listeners (listener.h). All run in the caller's
 * thread, with no lock of ours held. Events of a GSS-API call that a callback makes go to the sinks
 * only, else a callback whose call fails would never come to an end. Nothing changes errno. A
 * kb_events is constant and counted: any thread. */
#ifndef KB_EVENTS_H
#define KB_EVENTS_H

#include "asn1/bytes.h"
#include "mech/report/listener.h"

struct kb_events;
struct kb_error;
struct kb_type;

enum kb_log_level { KB_LOG_NONE = 0, KB_LOG_INFO = 1, KB_LOG_VERBOSE = 2, KB_LOG_DEBUG = 3 };

/* Beside a level: whether it goes into the trail as well, and to the system log in any case. */
enum { KB_EVENT_LOG = 0, KB_EVENT_TRAIL = 0x10, KB_EVENT_SYSTEM = 0x20 };

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

/* kb_events_wanted lets a caller skip the making of an expensive text, of an enum kb_log_level and
 * KB_EVENT_*. */
bool kb_events_wanted(const struct kb_events *events, unsigned level);
bool kb_trail_wanted(const struct kb_events *events);

/* kb_events_capture is the file of PacketCapture, for capture.h; NULL: none. */
const char *kb_events_capture(const struct kb_events *events);

/* kb_events_lost tells, once for these events, that what an option asks for cannot be written. */
enum kb_lost { KB_LOST_LOG, KB_LOST_TRACE, KB_LOST_CAPTURE };
void kb_events_lost(struct kb_events *events, enum kb_lost what, const char *why);

/* kb_log tells one sentence, of an enum kb_log_level and KB_EVENT_*. The system log gets the same
 * one at most once a minute. Foreign text in the arguments must have been escaped
 * (kb_buf_add_escaped). Called by the rows of events.def. */
void kb_log(struct kb_events *events, unsigned level, const char *format, ...) KB_PRINTF(3, 4);

/* kb_trail shows one bare Kerberos message, sent to or received from `peer`, printed from the ASN.1
 * tables with secrets masked. With KB_LOG_DEBUG the log shows it too. */
void kb_trail(struct kb_events *events, enum kb_direction direction, const char *peer,
              kb_bytes message);

/* kb_trail_part shows, between the messages, the part of `peer`'s message that was decrypted: a
 * value of `type` (asn1/types.h), keys masked. */
void kb_trail_part(struct kb_events *events, const char *peer, const struct kb_type *type,
                   const void *value);

/* kb_error_event calls the Error callbacks with the component reference's number of *err and the
 * whole line: once for each call that failed, by who ends it. */
void kb_error_event(struct kb_events *events, const struct kb_error *err);

#define KB_EVENT_PARAMETERS(...) __VA_ARGS__
#define KB_EVENT(name, level, place, format, parameters, ...)                                      \
    static inline void kb_event_##name(struct kb_events *events, KB_EVENT_PARAMETERS parameters)   \
    {                                                                                              \
        kb_log(events, KB_LOG_##level | KB_EVENT_##place, format, __VA_ARGS__);                    \
    }
#define KB_EVENT_PLAIN(name, level, place, text)                                                   \
    static inline void kb_event_##name(struct kb_events *events)                                   \
    {                                                                                              \
        kb_log(events, KB_LOG_##level | KB_EVENT_##place, text);                                   \
    }
#include "mech/report/events.def"
#undef KB_EVENT
#undef KB_EVENT_PLAIN

#endif
