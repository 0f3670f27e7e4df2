/* kerbside doctor --http: asks for the page with curl, as a person would: once without a login, to
 * see what the server wants, once with one. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/doctor.h"

extern char **environ;

#define MAX_OUTPUT (1u << 18)

bool kb_doctor_host_of(const char *url, struct kb_buf *out)
{
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : NULL;
    size_t len;

    if (host == NULL) {
        return false;
    }
    len = strcspn(host, "/?#");
    for (size_t i = 0; i < len; i++) { /* user:password@ */
        if (host[i] == '@') {
            host += i + 1;
            len -= i + 1;
            break;
        }
    }
    len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    for (size_t i = 0; i < len && host[i] != '\0'; i++) {
        char c = host[i];

        kb_buf_printf(out, "%c", c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    return len > 0;
}

/* --- curl --- */

static bool read_all(int fd, struct kb_buf *out)
{
    char block[4096];
    ssize_t got;

    while ((got = read(fd, block, sizeof(block))) > 0 || (got < 0 && errno == EINTR)) {
        kb_buf_add(out, kb_bytes_of(block, got > 0 ? (size_t)got : 0));
    }
    return got == 0;
}

/* Runs curl and takes what it writes: the header lines of all answers, and what went wrong. -1: it
 * cannot be run; else its exit code. */
static int run_curl(const char *const *arguments, struct kb_buf *out)
{
    posix_spawn_file_actions_t actions;
    int fds[2], status = -1, error;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    error =
        posix_spawnp(&pid, "curl", &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (error == 0) {
        (void)read_all(fds[0], out);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(fds[0]);
    return error == 0 && WIFEXITED(status) && WEXITSTATUS(status) != 127 ? WEXITSTATUS(status) : -1;
}

/* The status of the last answer in a dump of header lines; 0: none. */
static int last_status(const char *headers)
{
    int status = 0;

    for (const char *at = headers; at != NULL; at = strchr(at, '\n')) {
        at += at != headers;
        if (strncmp(at, "HTTP/", 5) == 0) {
            const char *blank = strchr(at, ' ');

            status = blank != NULL ? atoi(blank) : status;
        }
    }
    return status;
}

/* Is there a header line of this name whose value begins so? Case is ignored. */
static bool has_header(const char *headers, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);

    for (const char *at = headers; at != NULL; at = strchr(at, '\n')) {
        at += at != headers;
        if (strncasecmp(at, name, name_len) == 0 && at[name_len] == ':') {
            const char *start = at + name_len + 1;

            start += strspn(start, " \t");
            if (strncasecmp(start, value, value_len) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* The last line, for what curl says of an error. */
static const char *last_line(struct kb_buf *out)
{
    char *text = (char *)(uintptr_t)kb_buf_str(out);
    size_t len = strlen(text);
    char *start;

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        text[--len] = '\0';
    }
    start = strrchr(text, '\n');
    return start != NULL ? start + 1 : text;
}

/* True: go on with a login. */
static bool see_without(struct kb_doctor *doctor)
{
    const char *const arguments[] = {"curl",      "-sS", "-o",         "/dev/null",
                                     "-D",        "-",   "--max-time", "20",
                                     "--globoff", "--",  doctor->http, NULL};
    struct kb_buf out;
    int code, status;
    bool on = false;

    kb_buf_init(&out, MAX_OUTPUT);
    code = run_curl(arguments, &out);
    status = last_status(kb_buf_str(&out));
    if (code == -1) {
        kb_doctor_warned(doctor, "http", "Install curl.",
                         "curl cannot be run: the page is not tried");
    } else if (code != 0) {
        kb_doctor_failed(doctor, KB_EXIT_FAILED, "http",
                         "Check the URL, and that the server runs there.", "%s: %s", doctor->http,
                         last_line(&out));
    } else if (status == 401 && has_header(kb_buf_str(&out), "WWW-Authenticate", "Negotiate")) {
        kb_doctor_saw(doctor, KB_SEEN_OK, "http", "%s asks for a login with Negotiate",
                      doctor->http);
        on = true;
    } else if (status == 401) {
        kb_doctor_failed(doctor, KB_EXIT_FAILED, "http",
                         "Switch it on at the server (Apache: mod_auth_gssapi, AuthType GSSAPI).",
                         "%s asks for a login, but does not offer Negotiate", doctor->http);
    } else {
        kb_doctor_warned(doctor, "http", "Protect the page if a login is wanted.",
                         "%s answers %d without any login", doctor->http, status);
    }
    kb_buf_wipe(&out);
    return on;
}

static void see_with(struct kb_doctor *doctor)
{
    const char *const arguments[] = {"curl", "-sS",         "-o", "/dev/null",  "-D",
                                     "-",    "--negotiate", "-u", ":",          "--max-time",
                                     "90",   "--globoff",   "--", doctor->http, NULL};
    struct kb_buf out;
    int code, status;

    kb_buf_init(&out, MAX_OUTPUT);
    code = run_curl(arguments, &out);
    status = last_status(kb_buf_str(&out));
    if (code != 0) {
        kb_doctor_failed(doctor, KB_EXIT_FAILED, "http", NULL, "%s: %s", doctor->http,
                         last_line(&out));
    } else if (status == 401) {
        kb_doctor_failed(
            doctor, KB_EXIT_FAILED, "http",
            doctor->has_ticket
                ? "The server's log says more; its keytab may be older than its key at "
                  "the KDC, or it wants another service name (SPN)."
                : "Cure what is wrong above first.",
            "%s does not let us in: it answers 401 to the login", doctor->http);
    } else if (status >= 400) {
        kb_doctor_failed(doctor, KB_EXIT_FAILED, "http",
                         status == 403
                             ? "The login worked; this user may not see the page: ask the "
                               "server's administrator."
                             : "The login worked; the server's log says more.",
                         "%s answers %d after the login", doctor->http, status);
    } else {
        kb_doctor_saw(doctor, KB_SEEN_OK, "http", "%s answers %d after the login", doctor->http,
                      status);
    }
    kb_buf_wipe(&out);
}

void kb_doctor_http(struct kb_doctor *doctor)
{
    if (see_without(doctor)) {
        see_with(doctor);
    }
}
