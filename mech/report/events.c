#include "mech/report/events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "asn1/engine.h"
#include "mech/report/sink.h"

#define MAX_SENTENCE 8192
#define MAX_DUMP (400u << 10)
#define SHOWN_OCTETS 64 /* of a message that does not decode */
#define QUIET_SECONDS 60

struct kb_events {
    _Atomic unsigned refs;
    enum kb_log_level level;
    bool show_secrets;
    struct kb_sink log, trace;
    char *capture;
    atomic_flag warned; /* that secrets are shown */
};

struct kb_events *kb_events_new(const struct kb_events_config *config)
{
    struct kb_events *events = calloc(1, sizeof(*events));

    if (events == NULL) {
        return NULL;
    }
    atomic_init(&events->refs, 1);
    atomic_flag_clear(&events->warned);
    events->level = config->log_level;
    events->show_secrets = !config->mask_sensitive;
    if (config->packet_capture != NULL && *config->packet_capture != '\0') {
        events->capture = kb_strdup(kb_str(config->packet_capture));
        if (events->capture == NULL) {
            kb_events_free(events);
            return NULL;
        }
    }
    if (!kb_sink_init(&events->log, config->log_file) ||
        !kb_sink_init(&events->trace, config->trace_file)) {
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
        free(events->capture);
        free(events);
    }
}

bool kb_events_wanted(const struct kb_events *events, enum kb_log_level level)
{
    return events != NULL && level != KB_LOG_NONE && level <= events->level &&
           events->log.kind != KB_SINK_NONE;
}

bool kb_trail_wanted(const struct kb_events *events)
{
    return events != NULL && events->trace.kind != KB_SINK_NONE;
}

const char *kb_events_capture(const struct kb_events *events)
{
    return events != NULL ? events->capture : NULL;
}

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

void kb_log(struct kb_events *events, enum kb_log_level level, const char *format, ...)
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
    if (text.status == KB_OK &&
        (events->log.kind != KB_SINK_SYSLOG || !repeated(kb_buf_bytes(&text)))) {
        kb_sink_write(&events->log, level, kb_buf_bytes(&text));
    }
    kb_buf_wipe(&text);
    errno = saved;
}

/* A message that is none, or broken: what is wrong with it, and how it begins. */
static void add_octets(struct kb_buf *text, const char *why, kb_bytes message)
{
    kb_buf_printf(text, "(%s)", why);
    for (size_t i = 0; i < message.len && i < SHOWN_OCTETS; i++) {
        kb_buf_printf(text, "%s%02x", i == 0 ? " " : "", message.ptr[i]);
    }
    kb_buf_add_str(text, message.len > SHOWN_OCTETS ? "…" : "");
}

void kb_trail(struct kb_events *events, enum kb_direction direction, const char *peer,
              kb_bytes message)
{
    static const char *const words[] = {
        [KB_CLIENT] = "client to", [KB_SERVER] = "received from", [KB_INFO] = "about"};
    int saved = errno;
    struct kb_why why = {""};
    struct kb_buf text;

    if (!kb_trail_wanted(events)) {
        return;
    }
    if (events->show_secrets && !atomic_flag_test_and_set(&events->warned)) {
        kb_sink_write(&events->trace, KB_LOG_INFO,
                      kb_str("MaskSensitive=False: what follows shows keys; keep it to yourself"));
    }
    kb_buf_init(&text, MAX_DUMP);
    kb_buf_printf(&text, "%s ", words[direction]);
    kb_buf_add_escaped(&text, kb_str(peer));
    kb_buf_printf(&text, ", %zu bytes: ", message.len);
    if (kb_print_message(message, events->show_secrets, &text, &why) != KB_OK) {
        add_octets(&text, why.text, message);
    }
    if (text.status == KB_OK) {
        kb_sink_write(&events->trace, KB_LOG_DEBUG, kb_buf_bytes(&text));
    }
    kb_buf_wipe(&text);
    errno = saved;
}
