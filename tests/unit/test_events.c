/* mech/report events and sinks: what is written, where, and what the host notices of it: nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mech/report/error.h"
#include "mech/report/events.h"
#include "mech/report/sink.h"
#include "tests/support/wire.h"

static char dir[] = "test_events.XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static char *contents(const char *name)
{
    FILE *file = fopen(in_dir(name), "r");
    char *text = calloc(1, 1 << 20);

    assert_non_null(file);
    (void)!fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    unlink(in_dir(name));
    return text;
}

static struct kb_events *events_to(enum kb_log_level level, const char *log, const char *trace)
{
    char log_path[128], trace_path[128];
    struct kb_events_config config = {.log_level = level, .mask_sensitive = true};

    if (log != NULL) {
        snprintf(log_path, sizeof(log_path), "%s", in_dir(log));
        config.log_file = log_path;
    }
    if (trace != NULL) {
        snprintf(trace_path, sizeof(trace_path), "%s", in_dir(trace));
        config.trace_file = trace_path;
    }
    return kb_events_new(&config);
}

static void nobody_listens(void **state)
{
    struct kb_events *events = events_to(KB_LOG_DEBUG, NULL, NULL);

    (void)state;
    assert_false(kb_events_wanted(NULL, KB_LOG_INFO));
    assert_false(kb_trail_wanted(NULL));
    kb_log(NULL, KB_LOG_INFO, "x");
    kb_trail(NULL, KB_CLIENT, "x", KB_NONE);
    assert_null(kb_events_ref(NULL));
    kb_events_free(NULL);
    assert_false(kb_events_wanted(events, KB_LOG_INFO));
    assert_false(kb_trail_wanted(events));
    kb_log(events, KB_LOG_INFO, "x");
    kb_events_free(events);
}

static void levels_are_kept(void **state)
{
    struct kb_events *events = events_to(KB_LOG_VERBOSE, "log", NULL);
    char *text, expect[200];
    struct stat st;

    (void)state;
    assert_true(kb_events_wanted(events, KB_LOG_VERBOSE));
    assert_false(kb_events_wanted(events, KB_LOG_DEBUG));
    assert_false(kb_events_wanted(events, KB_LOG_NONE));
    errno = 42;
    kb_log(events, KB_LOG_INFO, "first of %d", 2);
    kb_log(events, KB_LOG_DEBUG, "not this");
    kb_log(events, KB_LOG_VERBOSE, "second\x1b[31m\x7f\tm\xc3\xbcller \xc2\x9b");
    assert_int_equal(errno, 42);
    assert_int_equal(stat(in_dir("log"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    text = contents("log");
    snprintf(expect, sizeof(expect), "%s[%ld] first of 2\n", program_invocation_short_name,
             (long)getpid());
    assert_int_equal(text[4], '-');
    assert_int_equal(text[19], 'Z');
    assert_memory_equal(text + 21, expect, strlen(expect));
    assert_non_null(strstr(text, "second\\x1b[31m\\x7f\\x09m\xc3\xbcller \\xc2"));
    assert_null(strstr(text, "not this"));
    free(text);
    kb_events_free(kb_events_ref(events));
    kb_events_free(events);
}

static void links_and_fifos_are_not_followed(void **state)
{
    struct kb_events *events = events_to(KB_LOG_INFO, "link", NULL);

    (void)state;
    assert_int_equal(symlink("target", in_dir("link")), 0);
    kb_log(events, KB_LOG_INFO, "x");
    assert_int_not_equal(access(in_dir("target"), F_OK), 0);
    kb_events_free(events);
    unlink(in_dir("link"));
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    events = events_to(KB_LOG_INFO, "fifo", NULL);
    kb_log(events, KB_LOG_INFO, "x"); /* nobody reads: must not wait */
    kb_events_free(events);
    unlink(in_dir("fifo"));
}

static size_t num_descriptors(void)
{
    DIR *fds = opendir("/proc/self/fd");
    size_t num = 0;

    assert_non_null(fds);
    while (readdir(fds) != NULL) {
        num++;
    }
    closedir(fds);
    return num;
}

static void no_descriptor_is_kept(void **state)
{
    struct kb_events *events = events_to(KB_LOG_INFO, "log", "trace");
    size_t before = num_descriptors();

    (void)state;
    kb_log(events, KB_LOG_INFO, "x");
    kb_trail(events, KB_INFO, "x", KB_LIT("x"));
    assert_int_equal(num_descriptors(), before);
    kb_events_free(events);
    free(contents("log"));
    free(contents("trace"));
}

static volatile sig_atomic_t num_signals;

static void count_signal(int number)
{
    (void)number;
    num_signals++;
}

static void signals_of_a_write_stay_with_us(void **state)
{
    struct kb_events_config config = {
        .log_level = KB_LOG_INFO, .log_file = "stderr", .mask_sensitive = true};
    struct kb_events *events = kb_events_new(&config);
    struct rlimit old, low = {0, 0};
    int fds[2], saved = dup(STDERR_FILENO);
    sigset_t pending;

    (void)state;
    signal(SIGPIPE, count_signal);
    signal(SIGXFSZ, count_signal);
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    dup2(fds[1], STDERR_FILENO);
    kb_log(events, KB_LOG_INFO, "into a broken pipe");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    kb_events_free(events);

    events = events_to(KB_LOG_INFO, "log", NULL);
    getrlimit(RLIMIT_FSIZE, &old);
    low.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &low);
    kb_log(events, KB_LOG_INFO, "over the limit");
    setrlimit(RLIMIT_FSIZE, &old);
    kb_events_free(events);
    assert_int_equal(sigpending(&pending), 0);
    assert_false(sigismember(&pending, SIGPIPE));
    assert_false(sigismember(&pending, SIGXFSZ));
    assert_int_equal(num_signals, 0);
    free(contents("log"));
}

static void the_system_log(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char target[160], got[9000] = "", expect[200];
    struct kb_events_config config = {.log_level = KB_LOG_DEBUG,
                                      .log_file = target,
                                      .trace_file = target,
                                      .mask_sensitive = true};
    struct kb_events *events;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    (void)state;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/devlog", dir);
    snprintf(target, sizeof(target), "syslog:%s", in_dir("devlog"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    events = kb_events_new(&config);
    kb_log(events, KB_LOG_INFO, "alice: the password is wrong\r");
    assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
    snprintf(expect, sizeof(expect), "<85>kerbside[%ld]: %s: alice: the password is wrong\\x0d",
             (long)getpid(), program_invocation_short_name);
    assert_string_equal(got, expect);
    kb_log(events, KB_LOG_INFO, "alice: the password is wrong\r"); /* the same within a minute */
    assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
    kb_log(events, KB_LOG_DEBUG, "another\nof two lines");
    assert_true(recv(fd, got, sizeof(got), 0) > 0);
    assert_memory_equal(got, "<87>kerbside[", 13);
    assert_true(recv(fd, got, sizeof(got), 0) > 0);
    close(fd);
    kb_log(events, KB_LOG_INFO, "nobody reads the socket");
    unlink(in_dir("devlog"));
    kb_log(events, KB_LOG_INFO, "there is no socket");
    kb_events_free(events);
}

/* What cannot be written is told once to the system log, to the callbacks, and in the other place.
 */
static void what_is_lost_is_told(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char got[1000] = "", expect[300], log[128], trace[128];
    struct kb_events_config config = {
        .log_level = KB_LOG_INFO, .log_file = log, .trace_file = trace, .mask_sensitive = true};
    struct kb_events *events;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    char *text;

    (void)state;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/devlog", dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    kb_sink_system_log_at(address.sun_path);
    snprintf(log, sizeof(log), "%s", in_dir("log"));
    snprintf(trace, sizeof(trace), "%s", in_dir("none/trace"));
    events = kb_events_new(&config);
    kb_trail(events, KB_CLIENT, "x", KB_LIT("a"));
    kb_trail(events, KB_CLIENT, "x", KB_LIT("b"));
    snprintf(expect, sizeof(expect), "TraceFile %s cannot be written: No such file or directory",
             in_dir("none/trace"));
    text = contents("log");
    assert_non_null(strstr(text, expect));
    assert_null(strstr(strstr(text, expect) + 1, "TraceFile"));
    free(text);
    assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
    assert_non_null(strstr(got, expect));
    kb_events_free(events);

    assert_int_equal(symlink("target", in_dir("log")), 0);
    config.log_level = KB_LOG_VERBOSE;
    config.trace_file = NULL;
    events = kb_events_new(&config);
    kb_log(events, KB_LOG_VERBOSE, "lost");
    kb_log(events, KB_LOG_VERBOSE, "lost as well");
    memset(got, 0, sizeof(got));
    assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
    snprintf(expect, sizeof(expect), "LogFile %s cannot be written: it is a symbolic link",
             in_dir("log"));
    assert_non_null(strstr(got, expect));
    assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
    kb_events_free(events);
    close(fd);
    unlink(in_dir("log"));
    unlink(in_dir("devlog"));
}

static void the_trail_is_readable(void **state)
{
    struct wire *wire = wire_load("exchanges/mit-aes256-sha1-client-mit.json");
    struct kb_events *events = events_to(KB_LOG_NONE, NULL, "trace");
    char *text;

    (void)state;
    assert_true(kb_trail_wanted(events));
    kb_trail(events, KB_CLIENT, "udp/127.0.0.1:88", wire_hex(wire, "messages[0].hex"));
    kb_trail(events, KB_SERVER, "udp/127.0.0.1:88\n", wire_hex(wire, "messages[1].hex"));
    kb_trail(events, KB_SERVER, "x", KB_LIT("garbage"));
    kb_trail(events, KB_SERVER, "x", KB_LIT("\x7e\x81"));
    kb_trail(events, KB_SERVER, "x", KB_NONE);
    text = contents("trace");
    assert_non_null(strstr(text, "] client to udp/127.0.0.1:88, 171 bytes: AS-REQ:\n  pvno: 5\n"));
    assert_non_null(strstr(text, "] received from udp/127.0.0.1:88\\x0a, 217 bytes: KRB-ERROR:\n"));
    assert_non_null(strstr(text, "  error-code: 25 (KDC_ERR_PREAUTH_REQUIRED)\n"));
    assert_non_null(strstr(text, "7 bytes: (no Kerberos message) 67617262616765\n"));
    assert_non_null(strstr(text, "2 bytes: (KRB-ERROR: cut short) 7e81\n"));
    assert_non_null(strstr(text, "0 bytes: (no Kerberos message)\n"));
    free(text);
    kb_events_free(events);
    wire_free(wire);
}

static void showing_secrets_warns_first(void **state)
{
    char path[128];
    struct kb_events_config config = {.trace_file = path};
    struct wire *wire = wire_load("gss/heimdal-mit-aes256-sha1-deleg.json");
    kb_bytes cred = wire_hex(wire, "context_tokens[0].ap_req.checksum_8003.krb_cred");
    const char *key = wire_text(wire, "context_tokens[0].ap_req.checksum_8003.krb_cred_info.key");
    struct kb_events *events;
    char *text;

    (void)state;
    snprintf(path, sizeof(path), "%s", in_dir("trace"));
    events = kb_events_new(&config);
    kb_trail(events, KB_CLIENT, "x", cred);
    kb_trail(events, KB_CLIENT, "x", cred);
    text = contents("trace");
    assert_non_null(strstr(text, key));
    assert_true(strstr(text, "MaskSensitive=False: ") < strstr(text, key));
    assert_null(strstr(strstr(text, key), "MaskSensitive"));
    free(text);
    kb_events_free(events);
    config.mask_sensitive = true;
    events = kb_events_new(&config);
    kb_trail(events, KB_CLIENT, "x", cred);
    text = contents("trace");
    assert_null(strstr(text, key));
    free(text);
    kb_events_free(events);
    wire_free(wire);
}

/* --- listeners --- */

static struct heard {
    char log[4][200], types[4][8], trail[4][400], error[400];
    int levels[4], directions[4], code;
    unsigned num_logs, num_trails, num_errors, num_released;
    struct kb_events *again; /* told from within a callback */
} heard;

static void hear_log(void *arg, int level, const char *message, const char *type)
{
    struct heard *to = arg;

    if (to->num_logs < 4) {
        snprintf(to->log[to->num_logs], sizeof(to->log[0]), "%s", message);
        snprintf(to->types[to->num_logs], sizeof(to->types[0]), "%s", type);
        to->levels[to->num_logs] = level;
    }
    to->num_logs++;
    errno = 7;
    kb_log(to->again, KB_LOG_INFO, "from within");
}

static void hear_trail(void *arg, int direction, const char *message)
{
    struct heard *to = arg;

    if (to->num_trails < 4) {
        snprintf(to->trail[to->num_trails], sizeof(to->trail[0]), "%s", message);
        to->directions[to->num_trails] = direction;
    }
    to->num_trails++;
}

static void hear_error(void *arg, int code, const char *description)
{
    struct heard *to = arg;

    to->code = code;
    snprintf(to->error, sizeof(to->error), "%s", description);
    to->num_errors++;
}

static void hear_release(void *arg)
{
    ((struct heard *)arg)->num_released++;
}

static struct kb_listener *ear_new(void)
{
    const struct kb_callbacks callbacks = {.log = hear_log,
                                           .trail = hear_trail,
                                           .error = hear_error,
                                           .release = hear_release,
                                           .arg = &heard};

    heard = (struct heard){.again = NULL};
    return kb_listener_new(&callbacks);
}

static void listeners_are_told_up_to_the_level(void **state)
{
    struct kb_listener *ear = ear_new();
    struct kb_events_config config = {.log_level = KB_LOG_VERBOSE, .listener = {NULL, ear}};
    struct kb_events *events = kb_events_new(&config);

    (void)state;
    assert_true(kb_events_wanted(events, KB_LOG_VERBOSE));
    assert_false(kb_events_wanted(events, KB_LOG_DEBUG));
    assert_true(kb_trail_wanted(events));
    errno = 42;
    kb_event_alias(events, "a", "b");
    kb_event_tgs_req(events, "HTTP/www", false);
    kb_log(events, KB_LOG_DEBUG, "not this");
    assert_int_equal(errno, 42);
    assert_int_equal(heard.num_logs, 2);
    assert_string_equal(heard.log[0], "The KDC knows a as b");
    assert_string_equal(heard.types[0], "Info");
    assert_int_equal(heard.levels[0], KB_LOG_INFO);
    assert_string_equal(heard.log[1], "TGS-REQ for HTTP/www, as named");
    assert_string_equal(heard.types[1], "Verbose");
    assert_int_equal(heard.num_trails, 2); /* what belongs between the messages */
    assert_int_equal(heard.directions[1], KB_INFO);
    assert_string_equal(heard.trail[1], heard.log[1]);
    kb_listener_put(ear);
    assert_int_equal(heard.num_released, 0);
    kb_events_free(events);
    assert_int_equal(heard.num_released, 1);
}

static void both_listeners_hear_messages(void **state)
{
    struct wire *wire = wire_load("exchanges/mit-aes256-sha1-client-mit.json");
    struct kb_listener *ear = ear_new();
    struct kb_events_config config = {
        .log_level = KB_LOG_DEBUG, .mask_sensitive = true, .listener = {ear, ear}};
    struct kb_events *events = kb_events_new(&config);

    (void)state;
    kb_trail(events, KB_CLIENT, "udp/127.0.0.1:88", wire_hex(wire, "messages[0].hex"));
    assert_int_equal(heard.num_trails, 2);
    assert_int_equal(heard.directions[0], KB_CLIENT);
    assert_memory_equal(heard.trail[1], "client to udp/127.0.0.1:88, 171 bytes: AS-REQ:\n", 47);
    assert_int_equal(heard.num_logs, 2); /* at Debug the log has the messages too */
    assert_string_equal(heard.types[0], "Debug");
    assert_memory_equal(heard.log[0], heard.trail[0], 47);
    kb_events_free(events);
    kb_listener_put(ear);
    wire_free(wire);
}

static void a_callback_that_tells_ends(void **state)
{
    struct kb_listener *ear = ear_new();
    struct kb_events_config config = {.log_level = KB_LOG_INFO, .listener = {ear, NULL}};
    struct kb_events *events = kb_events_new(&config);

    (void)state;
    heard.again = events;
    kb_log(events, KB_LOG_INFO, "once");
    assert_int_equal(heard.num_logs, 1);
    kb_log(events, KB_LOG_INFO, "twice");
    assert_int_equal(heard.num_logs, 2);
    kb_events_free(events);
    kb_listener_put(ear);
}

static void errors_come_with_number_and_line(void **state)
{
    struct kb_listener *ear = ear_new();
    struct kb_events_config config = {.log_level = KB_LOG_NONE, .listener = {ear, NULL}};
    struct kb_events *events = kb_events_new(&config);
    struct kb_error err = {0};

    (void)state;
    (void)!kb_error_set(&err, KB_E_USER, "User=@: no name");
    kb_error_event(NULL, &err);
    kb_error_event(events, &err);
    assert_int_equal(heard.num_errors, 1);
    assert_int_equal(heard.code, 951);
    assert_string_equal(heard.error, "User=@: no name. Set User=name@REALM.");
    assert_int_equal(heard.num_logs, 0);
    kb_events_free(events);
    kb_listener_put(ear);
}

/* --- the table --- */

struct row {
    const char *name, *level, *format;
};

static const struct row rows[] = {
#define KB_EVENT(name, level, place, format, ...) {#name, #level, format},
#define KB_EVENT_PLAIN(name, level, place, text) {#name, #level, text},
#include "mech/report/events.def"
#undef KB_EVENT
#undef KB_EVENT_PLAIN
};

static void each_row_is_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].format);

        assert_true(len > 1 && rows[i].format[len - 1] != '.' && rows[i].format[len - 1] != '\n');
        assert_true(rows[i].format[0] == '%' ||
                    (rows[i].format[0] >= 'A' && rows[i].format[0] <= 'Z'));
    }
}

/* --- raw bytes --- */

static void raw_packets_are_shown_in_hexadecimal(void **state)
{
    char path[128];
    struct kb_events_config config = {
        .trace_file = path, .log_packets = true, .mask_sensitive = true};
    struct wire *wire = wire_load("exchanges/mit-aes256-sha1-client-mit.json");
    kb_bytes message = wire_hex(wire, "messages[0].hex");
    struct kb_events *events;
    char *text;

    (void)state;
    snprintf(path, sizeof(path), "%s", in_dir("trace"));
    events = kb_events_new(&config);
    kb_trail(events, KB_CLIENT, "x", message);
    kb_trail(events, KB_CLIENT, "x", KB_LIT("17 bytes of text\n"));
    text = contents("trace");
    assert_non_null(strstr(text, "AS-REQ:\n  pvno: 5\n"));
    assert_non_null(
        strstr(text, "\n  raw, 171 bytes:\n  0000  6a 81 a8 30 81 a5 a1 03  02 01 05 "));
    assert_non_null(strstr(text, "\n  00a0  "));
    assert_non_null(strstr(
        text, "(no Kerberos message) 3137206279746573206f6620746578740a\n  raw, 17 bytes:\n"
              "  0000  31 37 20 62 79 74 65 73  20 6f 66 20 74 65 78 74  |17 bytes of text|\n"
              "  0010  0a                                                |.|\n"));
    free(text);
    kb_events_free(events);
    wire_free(wire);
}

/* A KRB-CRED may be clear inside; its bytes are what MaskSensitive is about. */
static void raw_packets_are_masked_where_they_are_clear(void **state)
{
    char path[128];
    struct kb_events_config config = {
        .trace_file = path, .log_packets = true, .mask_sensitive = true};
    struct wire *wire = wire_load("gss/heimdal-mit-aes256-sha1-deleg.json");
    kb_bytes cred = wire_hex(wire, "context_tokens[0].ap_req.checksum_8003.krb_cred");
    struct kb_events *events;
    char *text;

    (void)state;
    snprintf(path, sizeof(path), "%s", in_dir("trace"));
    events = kb_events_new(&config);
    kb_trail(events, KB_CLIENT, "x", cred);
    text = contents("trace");
    assert_non_null(strstr(text, "(raw bytes not shown: MaskSensitive)\n"));
    assert_null(strstr(text, "  0000  "));
    free(text);
    kb_events_free(events);
    wire_free(wire);
}

/* LogFile and TraceFile may be one file: then it has each event once. */
static void one_file_has_each_event_once(void **state)
{
    char path[128];
    struct kb_events_config config = {
        .log_level = KB_LOG_DEBUG, .log_file = path, .trace_file = path, .mask_sensitive = true};
    struct kb_events *events;
    char *text;

    (void)state;
    snprintf(path, sizeof(path), "%s", in_dir("both"));
    events = kb_events_new(&config);
    kb_event_sent(events, "peer", "AS-REQ", 5);
    text = contents("both");
    assert_non_null(strstr(text, "AS-REQ of 5 bytes sent\n"));
    assert_null(strstr(strstr(text, "AS-REQ") + 1, "AS-REQ"));
    free(text);
    kb_events_free(events);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(levels_are_kept),
        cmocka_unit_test(links_and_fifos_are_not_followed),
        cmocka_unit_test(no_descriptor_is_kept),
        cmocka_unit_test(signals_of_a_write_stay_with_us),
        cmocka_unit_test(the_system_log),
        cmocka_unit_test(what_is_lost_is_told),
        cmocka_unit_test(the_trail_is_readable),
        cmocka_unit_test(showing_secrets_warns_first),
        cmocka_unit_test(listeners_are_told_up_to_the_level),
        cmocka_unit_test(both_listeners_hear_messages),
        cmocka_unit_test(a_callback_that_tells_ends),
        cmocka_unit_test(errors_come_with_number_and_line),
        cmocka_unit_test(each_row_is_a_sentence),
        cmocka_unit_test(raw_packets_are_shown_in_hexadecimal),
        cmocka_unit_test(raw_packets_are_masked_where_they_are_clear),
        cmocka_unit_test(one_file_has_each_event_once),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
