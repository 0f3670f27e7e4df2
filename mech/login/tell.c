#include "mech/login/tell.h"

struct kb_events *kb_tell_events(const struct kb_options *options)
{
    struct kb_events_config config = {
        .log_level = KB_LOG_INFO, .log_file = "syslog:", .mask_sensitive = true};

    if (options != NULL) {
        config = (struct kb_events_config){.log_level = (enum kb_log_level)options->log_level,
                                           .log_file = options->log_file,
                                           .trace_file = options->trace_file,
                                           .mask_sensitive = options->mask_sensitive};
    }
    return kb_events_new(&config);
}

void kb_tell_failure(const struct kb_options *options, const struct kb_error *err)
{
    struct kb_events *events = kb_tell_events(options);
    struct kb_buf line;

    kb_buf_init(&line, 2000);
    kb_error_line(err, &line);
    kb_log(events, KB_LOG_INFO, "%s", kb_buf_str(&line));
    kb_buf_wipe(&line);
    kb_events_free(events);
}
