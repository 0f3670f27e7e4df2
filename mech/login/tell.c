#include "mech/login/tell.h"

struct kb_events *kb_tell_events(const struct kb_options *options, struct kb_listener *listener)
{
    struct kb_events_config config = {
        .log_level = KB_LOG_INFO, .log_file = "syslog:", .mask_sensitive = true};
    struct kb_events *events;

    if (options != NULL) {
        config = (struct kb_events_config){.log_level = (enum kb_log_level)options->log_level,
                                           .log_file = options->log_file,
                                           .trace_file = options->trace_file,
                                           .mask_sensitive = options->mask_sensitive,
                                           .log_packets = options->log_kerberos_packets,
                                           .packet_capture = options->packet_capture};
    }
    config.listener[0] = kb_listener_process();
    config.listener[1] = listener != config.listener[0] ? listener : NULL;
    events = kb_events_new(&config);
    kb_listener_put(config.listener[0]);
    return events;
}

bool kb_tell_wanted(const struct kb_options *options, struct kb_listener *listener)
{
    struct kb_listener *of_process;

    if (options->trace_file != NULL || options->log_level > KB_LOG_INFO || listener != NULL) {
        return true;
    }
    of_process = kb_listener_process();
    kb_listener_put(of_process);
    return of_process != NULL;
}

void kb_tell_failure(const struct kb_options *options, struct kb_listener *listener,
                     const struct kb_error *err)
{
    struct kb_events *events = kb_tell_events(options, listener);
    struct kb_buf line;

    kb_buf_init(&line, 2000);
    kb_error_line(err, &line);
    kb_event_failed(events, kb_buf_str(&line));
    kb_error_event(events, err);
    kb_buf_wipe(&line);
    kb_events_free(events);
}

void kb_tell_error(struct kb_listener *listener, const struct kb_error *err)
{
    struct kb_events_config config = {.log_level = KB_LOG_NONE};
    struct kb_events *events;

    config.listener[0] = kb_listener_process();
    config.listener[1] = listener != config.listener[0] ? listener : NULL;
    if (config.listener[0] != NULL || config.listener[1] != NULL) {
        events = kb_events_new(&config);
        kb_error_event(events, err);
        kb_events_free(events);
        kb_listener_put(config.listener[0]);
    }
}
