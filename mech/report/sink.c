#include "mech/report/sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "asn1/date.h"
#include "mech/report/append.h"

#define MAX_TEXT (5u << 18) /* of one event, escaped */
#define MAX_PROGRAM 64      /* bytes of a program's name */
#define AUTHPRIV (10 << 3)  /* syslog's facility; <syslog.h> has macros that we do not want */
#define MAX_DATAGRAM 7000   /* journald and rsyslog take 8 KiB */

/* An array: a pointer would be relocated in every program that loads us. */
static char system_log[108] = "/dev/log";

bool kb_sink_init(struct kb_sink *sink, const char *target)
{
    *sink = (struct kb_sink){.kind = KB_SINK_NONE};
    if (target == NULL || *target == '\0') {
        return true;
    }
    if (strcmp(target, "stderr") == 0) {
        sink->kind = KB_SINK_STDERR;
        return true;
    }
    sink->kind = KB_SINK_FILE;
    if (strncmp(target, "syslog:", 7) == 0) {
        sink->kind = KB_SINK_SYSLOG;
        target = target[7] != '\0' ? target + 7 : system_log;
    }
    sink->path = kb_strdup(kb_str(target));
    if (sink->path == NULL) {
        sink->kind = KB_SINK_NONE;
    }
    return sink->path != NULL;
}

void kb_sink_wipe(struct kb_sink *sink)
{
    free(sink->path);
    *sink = (struct kb_sink){.kind = KB_SINK_NONE};
}

bool kb_sink_equal(const struct kb_sink *a, const struct kb_sink *b)
{
    return a->kind == b->kind && kb_equal(kb_str(a->path), kb_str(b->path));
}

/* What a terminal or a log reader would act on: C0 and DEL, and C1 in UTF-8. Backslashes stay,
 * since foreign text was escaped where it came in; this is the second lock on that door. */
static void add_clean(struct kb_buf *out, kb_bytes text)
{
    size_t start = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool c1 =
            c == 0xc2 && i + 1 < text.len && text.ptr[i + 1] >= 0x80 && text.ptr[i + 1] < 0xa0;

        if ((c < 0x20 && c != '\n') || c == 0x7f || c1) {
            kb_buf_add(out, kb_bytes_of(text.ptr + start, i - start));
            kb_buf_printf(out, "\\x%02x", c);
            start = i + 1;
        }
    }
    kb_buf_add(out, kb_bytes_of(text.ptr + start, text.len - start));
}

static void add_program(struct kb_buf *out)
{
    kb_bytes name = kb_str(program_invocation_short_name);

    if (name.len > MAX_PROGRAM) {
        name.len = MAX_PROGRAM;
    }
    kb_buf_add_escaped(out, name);
}

/* "2026-11-24T19:22:42Z curl[4711] text" */
static const char *write_stamped(const struct kb_sink *sink, kb_bytes text)
{
    struct timespec now = {0, 0};
    const char *why = "there is no memory for it";
    struct kb_date date;
    struct kb_buf line;

    clock_gettime(CLOCK_REALTIME, &now);
    date = kb_date_of(now.tv_sec);
    kb_buf_init(&line, MAX_TEXT);
    kb_buf_printf(&line, "%04d-%02d-%02dT%02d:%02d:%02dZ ", date.year, date.month, date.day,
                  date.hour, date.minute, date.second);
    add_program(&line);
    kb_buf_printf(&line, "[%ld] ", (long)getpid());
    add_clean(&line, text);
    kb_buf_add_str(&line, "\n");
    if (line.status == KB_OK) {
        why = sink->kind == KB_SINK_STDERR ? kb_append_fd(STDERR_FILENO, kb_buf_bytes(&line))
                                           : kb_append(sink->path, KB_NONE, kb_buf_bytes(&line));
    }
    kb_buf_wipe(&line);
    return why;
}

/* "<85>kerbside[4711]: curl: text": no time of ours, since the log stamps what it gets, in the time
 * zone that it keeps. */
static void send_line(int fd, const struct sockaddr_un *to, enum kb_log_level level, kb_bytes text)
{
    int severity = level == KB_LOG_INFO ? 5 : level == KB_LOG_VERBOSE ? 6 : 7;
    struct kb_buf line;

    kb_buf_init(&line, MAX_TEXT);
    kb_buf_printf(&line, "<%d>kerbside[%ld]: ", AUTHPRIV | severity, (long)getpid());
    add_program(&line);
    kb_buf_add_str(&line, ": ");
    add_clean(&line, text);
    if (line.status == KB_OK) {
        size_t len = line.len < MAX_DATAGRAM ? line.len : MAX_DATAGRAM;

        (void)!sendto(fd, line.data, len, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)to,
                      sizeof(*to));
    }
    kb_buf_wipe(&line);
}

static void write_syslog(const char *path, enum kb_log_level level, kb_bytes text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(to.sun_path)) {
        return;
    }
    memcpy(to.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return;
    }
    while (text.len > 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;

        if (len > 0) {
            send_line(fd, &to, level, kb_bytes_of(text.ptr, len));
        }
        len += end != NULL;
        text.ptr += len;
        text.len -= len;
    }
    close(fd);
}

const char *kb_sink_write(const struct kb_sink *sink, enum kb_log_level level, kb_bytes text)
{
    const char *why = NULL;
    int saved = errno;

    switch (sink->kind) {
    case KB_SINK_NONE:
        break;
    case KB_SINK_FILE:
    case KB_SINK_STDERR:
        why = write_stamped(sink, text);
        break;
    case KB_SINK_SYSLOG:
        write_syslog(sink->path, level, text);
        break;
    }
    errno = saved;
    return why;
}

void kb_sink_system_log(enum kb_log_level level, kb_bytes text)
{
    int saved = errno;

    write_syslog(system_log, level, text);
    errno = saved;
}

void kb_sink_system_log_at(const char *path)
{
    snprintf(system_log, sizeof(system_log), "%s", path);
}
