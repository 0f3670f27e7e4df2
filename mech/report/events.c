#include "mech/report/events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "asn1/engine.h"
#include "mech/report/callback.h"
#include "mech/report/reference.h"
#include "mech/report/sink.h"

#define MAX_SENTENCE 8192
#define MAX_DUMP (1u << 20)
#define SHOWN_OCTETS 64        /* of a message that does not decode */
#define SHOWN_RAW (128u << 10) /* of a raw message: a line of 16 bytes takes some 75 */
#define QUIET_SECONDS 60
#define KRB_CRED_TAG 0x76
#define LEVEL(flags) ((enum kb_log_level)((flags)&0xfu))

struct kb_events {
    _Atomic unsigned refs;
    enum kb_log_level level;
    bool show_secrets, log_packets;
    bool one_sink; /* log and trail go to the same place, which shows each event once */
    struct kb_sink log, trace;
    char *capture;
    struct kb_listener *listener[2];
    atomic_flag warned;         /* that secrets are shown */
    _Atomic unsigned told_lost; /* a bit for each enum kb_lost */
};

/* Is this thread in a callback of a listener? */
static __thread bool in_callback;

static bool copy_config(struct kb_events *events, const struct kb_events_config *config)
{
    events->level = config->log_level;
    events->show_secrets = !config->mask_sensitive;
    events->log_packets = config->log_packets;
    for (int i = 0; i < 2; i++) {
        events->listener[i] = kb_listener_ref(config->listener[i]);
    }
    if (config->packet_capture != NULL && *config->packet_capture != '\0') {
        events->capture = kb_strdup(kb_str(config->packet_capture));
        if (events->capture == NULL) {
            return false;
        }
    }
    if (!kb_sink_init(&events->log, config->log_file) ||
        !kb_sink_init(&events->trace, config->trace_file)) {
        return false;
    }
    events->one_sink = kb_sink_equal(&events->log, &events->trace);
    return true;
}

struct kb_events *kb_events_new(const struct kb_events_config *config)
{
    struct kb_events *events = calloc(1, sizeof(*events));

    if (events == NULL) {
        return NULL;
    }
    atomic_init(&events->refs, 1);
    atomic_flag_clear(&events->warned);
    if (!copy_config(events, config)) {
        kb_events_free(events);
        return NULL;
    }
    return events;
}

struct kb_events *kb_events_ref(struct kb_events *events)
{
    if (events != NULL) {
        atomic_fetch_add_explicit(&events->refs, 1, memory_order_relaxed);
    }
    return events;
}

void kb_events_free(struct kb_events *events)
{
    if (events != NULL && atomic_fetch_sub_explicit(&events->refs, 1, memory_order_acq_rel) == 1) {
        kb_sink_wipe(&events->log);
        kb_sink_wipe(&events->trace);
        kb_listener_put(events->listener[0]);
        kb_listener_put(events->listener[1]);
        free(events->capture);
        free(events);
    }
}

/* --- who wants what --- */

static const struct kb_callbacks *callbacks(const struct kb_events *events, int i)
{
    static const struct kb_callbacks none;

    return events->listener[i] != NULL ? kb_listener_callbacks(events->listener[i]) : &none;
}

static bool log_wanted(const struct kb_events *events, enum kb_log_level level)
{
    return level != KB_LOG_NONE && level <= events->level &&
           (events->log.kind != KB_SINK_NONE || callbacks(events, 0)->log != NULL ||
            callbacks(events, 1)->log != NULL);
}

static bool trail_wanted(const struct kb_events *events)
{
    return events->trace.kind != KB_SINK_NONE || callbacks(events, 0)->trail != NULL ||
           callbacks(events, 1)->trail != NULL;
}

bool kb_events_wanted(const struct kb_events *events, unsigned level)
{
    return events != NULL && (log_wanted(events, LEVEL(level)) || (level & KB_EVENT_SYSTEM) != 0 ||
                              ((level & KB_EVENT_TRAIL) != 0 && trail_wanted(events)));
}

bool kb_trail_wanted(const struct kb_events *events)
{
    return kb_events_wanted(events, KB_LOG_DEBUG | KB_EVENT_TRAIL);
}

const char *kb_events_capture(const struct kb_events *events)
{
    return events != NULL ? events->capture : NULL;
}

/* --- telling --- */

/* Whether the process said this within the last minute. Each slot holds half a hash and the second
 * of the last time; a collision lets one line too many through. No lock: a fork may come at any
 * time. */
static bool repeated(kb_bytes text)
{
    static _Atomic uint64_t slots[64];
    struct timespec now = {0, 0};
    uint64_t hash = 0xcbf29ce484222325u, seen, entry; /* FNV-1a */
    _Atomic uint64_t *slot;

    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ text.ptr[i]) * 0x100000001b3u;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    slot = &slots[hash % 64];
    entry = (hash & 0xffffffff00000000u) | (uint32_t)(now.tv_sec + 1);
    seen = atomic_load(slot);
    if (seen >> 32 == entry >> 32 && (uint32_t)entry - (uint32_t)seen < QUIET_SECONDS) {
        return true;
    }
    return !atomic_compare_exchange_strong(slot, &seen, entry) && seen >> 32 == entry >> 32;
}

static int enter_callback(void)
{
    in_callback = true;
    return kb_callback_enter();
}

static void leave_callback(int place)
{
    kb_callback_leave(place);
    in_callback = false;
}

static void call_log(const struct kb_events *events, enum kb_log_level level, const char *text)
{
    static const char types[][8] = {"", "Info", "Verbose", "Debug"};

    for (int i = 0; i < 2 && !in_callback; i++) {
        const struct kb_callbacks *to = callbacks(events, i);

        if (to->log != NULL) {
            int place = enter_callback();

            to->log(to->arg, (int)level, text, types[level]);
            leave_callback(place);
        }
    }
}

static void call_trail(const struct kb_events *events, enum kb_direction direction,
                       const char *text)
{
    for (int i = 0; i < 2 && !in_callback; i++) {
        const struct kb_callbacks *to = callbacks(events, i);

        if (to->trail != NULL) {
            int place = enter_callback();

            to->trail(to->arg, (int)direction, text);
            leave_callback(place);
        }
    }
}

static void write_to(struct kb_events *events, enum kb_lost which, unsigned level, kb_bytes text)
{
    const struct kb_sink *sink = which == KB_LOST_LOG ? &events->log : &events->trace;
    const char *why;

    if (which == KB_LOST_LOG && sink->kind == KB_SINK_SYSLOG && repeated(text)) {
        return;
    }
    why = kb_sink_write(sink, LEVEL(level), text);
    if (why != NULL && (level & KB_EVENT_SYSTEM) == 0) {
        kb_events_lost(events, which, why);
    }
}

/* To the log and, as the level's flags say, into the trail and to the system log. */
static void tell(struct kb_events *events, unsigned level, enum kb_direction direction,
                 const struct kb_buf *text)
{
    bool in_log = log_wanted(events, LEVEL(level));

    if (in_log) {
        write_to(events, KB_LOST_LOG, level, kb_buf_bytes(text));
        call_log(events, LEVEL(level), kb_buf_str(text));
    }
    if ((level & KB_EVENT_TRAIL) != 0 && trail_wanted(events)) {
        if (!in_log || !events->one_sink) {
            write_to(events, KB_LOST_TRACE, level, kb_buf_bytes(text));
        }
        call_trail(events, direction, kb_buf_str(text));
    }
    if ((level & KB_EVENT_SYSTEM) != 0 && !(in_log && events->log.kind == KB_SINK_SYSLOG) &&
        !repeated(kb_buf_bytes(text))) {
        kb_sink_system_log(LEVEL(level), kb_buf_bytes(text));
    }
}

void kb_events_lost(struct kb_events *events, enum kb_lost what, const char *why)
{
    static const char options[][16] = {"LogFile", "TraceFile", "PacketCapture"};
    const char *target = what == KB_LOST_CAPTURE ? events->capture
                         : what == KB_LOST_LOG   ? events->log.path
                                                 : events->trace.path;
    struct kb_buf shown;

    if ((atomic_fetch_or(&events->told_lost, 1u << what) & 1u << what) != 0) {
        return;
    }
    kb_buf_init(&shown, MAX_SENTENCE);
    kb_buf_add_escaped(&shown, kb_str(target != NULL ? target : "stderr"));
    kb_event_lost(events, options[what], kb_buf_str(&shown), why);
    kb_buf_wipe(&shown);
}

void kb_log(struct kb_events *events, unsigned level, const char *format, ...)
{
    int saved = errno;
    struct kb_buf text;
    va_list args;

    if (!kb_events_wanted(events, level)) {
        return;
    }
    kb_buf_init(&text, MAX_SENTENCE);
    va_start(args, format);
    kb_buf_vprintf(&text, format, args);
    va_end(args);
    if (text.status == KB_OK) {
        tell(events, level, KB_INFO, &text);
    }
    kb_buf_wipe(&text);
    errno = saved;
}

void kb_error_event(struct kb_events *events, const struct kb_error *err)
{
    int saved = errno;
    struct kb_buf line;

    if (events == NULL ||
        (callbacks(events, 0)->error == NULL && callbacks(events, 1)->error == NULL)) {
        return;
    }
    kb_buf_init(&line, MAX_SENTENCE);
    kb_error_line(err, &line);
    for (int i = 0; i < 2 && !in_callback; i++) {
        const struct kb_callbacks *to = callbacks(events, i);

        if (to->error != NULL) {
            int place = enter_callback();

            to->error(to->arg, kb_error_number(err), kb_buf_str(&line));
            leave_callback(place);
        }
    }
    kb_buf_wipe(&line);
    errno = saved;
}

/* --- messages --- */

/* A message that is none, or broken: what is wrong with it, and how it begins. */
static void add_octets(struct kb_buf *text, const char *why, kb_bytes message)
{
    kb_buf_printf(text, "(%s)", why);
    for (size_t i = 0; i < message.len && i < SHOWN_OCTETS; i++) {
        kb_buf_printf(text, "%s%02x", i == 0 ? " " : "", message.ptr[i]);
    }
    kb_buf_add_str(text, message.len > SHOWN_OCTETS ? "…" : "");
}

/* Sixteen bytes a line: offset, hexadecimal, and the characters beside it. */
static void add_raw_line(struct kb_buf *text, kb_bytes message, size_t at)
{
    size_t num = message.len - at < 16 ? message.len - at : 16;

    kb_buf_printf(text, "\n  %04zx ", at);
    for (size_t i = 0; i < 16; i++) {
        if (i < num) {
            kb_buf_printf(text, "%s%02x", i == 8 ? "  " : " ", message.ptr[at + i]);
        } else {
            kb_buf_printf(text, "%*s", i == 8 ? 4 : 3, "");
        }
    }
    kb_buf_add_str(text, "  |");
    for (size_t i = 0; i < num; i++) {
        uint8_t c = message.ptr[at + i];

        kb_buf_printf(text, "%c", c >= 0x20 && c < 0x7f ? c : '.');
    }
    kb_buf_add_str(text, "|");
}

/* What is encrypted shows nothing here. A KRB-CRED by itself may not be: with secrets masked its
 * bytes are not shown. */
static void add_raw(struct kb_buf *text, kb_bytes message, bool show_secrets)
{
    if (!show_secrets && message.len > 0 && message.ptr[0] == KRB_CRED_TAG) {
        kb_buf_add_str(text, "  (raw bytes not shown: MaskSensitive)\n");
        return;
    }
    kb_buf_printf(text, "  raw, %zu bytes:", message.len);
    for (size_t at = 0; at < message.len && at < SHOWN_RAW; at += 16) {
        add_raw_line(text, message, at);
    }
    kb_buf_add_str(text, message.len > SHOWN_RAW ? "\n  …\n" : "\n");
}

static void add_message(struct kb_buf *text, const struct kb_events *events, kb_bytes message)
{
    struct kb_why why = {""};

    if (kb_print_message(message, events->show_secrets, text, &why) != KB_OK) {
        add_octets(text, why.text, message);
        kb_buf_add_str(text, events->log_packets ? "\n" : "");
    }
    if (events->log_packets) {
        add_raw(text, message, events->show_secrets);
    }
}

static void add_heading(struct kb_buf *text, enum kb_direction direction, const char *peer,
                        kb_bytes message)
{
    static const char *const words[] = {
        [KB_CLIENT] = "client to", [KB_SERVER] = "received from", [KB_INFO] = "about"};

    kb_buf_printf(text, "%s ", words[direction]);
    kb_buf_add_escaped(text, kb_str(peer));
    kb_buf_printf(text, ", %zu bytes: ", message.len);
}

static void warn_of_secrets(struct kb_events *events)
{
    if (events->show_secrets && !atomic_flag_test_and_set(&events->warned)) {
        kb_event_secrets_shown(events);
    }
}

void kb_trail_part(struct kb_events *events, const char *peer, const struct kb_type *type,
                   const void *value)
{
    int saved = errno;
    struct kb_buf text;

    if (!kb_trail_wanted(events)) {
        return;
    }
    warn_of_secrets(events);
    kb_buf_init(&text, MAX_DUMP);
    kb_buf_add_str(&text, "decrypted from ");
    kb_buf_add_escaped(&text, kb_str(peer));
    kb_buf_add_str(&text, ": ");
    kb_print(type, value, events->show_secrets, &text);
    if (text.status == KB_OK) {
        tell(events, KB_LOG_DEBUG | KB_EVENT_TRAIL, KB_INFO, &text);
    }
    kb_buf_wipe(&text);
    errno = saved;
}

void kb_trail(struct kb_events *events, enum kb_direction direction, const char *peer,
              kb_bytes message)
{
    int saved = errno;
    struct kb_buf text;

    if (!kb_trail_wanted(events)) {
        return;
    }
    warn_of_secrets(events);
    kb_buf_init(&text, MAX_DUMP);
    add_heading(&text, direction, peer, message);
    add_message(&text, events, message);
    if (text.status == KB_TOO_BIG) {
        kb_buf_wipe(&text);
        kb_buf_init(&text, MAX_SENTENCE);
        add_heading(&text, direction, peer, message);
        add_octets(&text, "too much to print", message);
    }
    if (text.status == KB_OK) {
        tell(events, KB_LOG_DEBUG | KB_EVENT_TRAIL, direction, &text);
    }
    kb_buf_wipe(&text);
    errno = saved;
}
