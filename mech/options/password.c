#include "mech/options/password.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mech/options/file.h"
#include "mech/options/text.h"

static const struct {
    const char *prefix;
    enum kb_secret_kind kind;
} prefixes[] = {
    {"file:", KB_SECRET_FILE},
    {"env:", KB_SECRET_ENV},
    {"fd:", KB_SECRET_FD},
};

enum kb_secret_kind kb_secret_parse(const char *text, const char **where)
{
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t len = strlen(prefixes[i].prefix);

        if (strncmp(text, prefixes[i].prefix, len) == 0) {
            *where = text + len;
            return prefixes[i].kind;
        }
    }
    *where = text;
    return KB_SECRET_INLINE;
}

/* --- reading --- */

/* How long a pipe on fd: may keep us waiting for its writer. */
#define FD_WAIT_MS 10000

static int read_some(int fd, struct kb_buf *out, bool *done)
{
    uint8_t chunk[1024];
    ssize_t len = read(fd, chunk, sizeof(chunk));

    if (len > 0) {
        kb_buf_add(out, kb_bytes_of(chunk, (size_t)len));
        kb_wipe(chunk, sizeof(chunk));
    }
    *done = len == 0;
    return len >= 0 || errno == EINTR || errno == EAGAIN ? 0 : errno;
}

static int read_descriptor(int fd, bool wait, struct kb_buf *out)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    bool done = false;
    int result = 0;

    while (!done && result == 0 && out->status == KB_OK) {
        int ready = wait ? poll(&poll_fd, 1, FD_WAIT_MS) : 1;

        if (ready == 0) {
            return ETIMEDOUT;
        }
        if (ready > 0) {
            result = read_some(fd, out, &done);
        } else if (errno != EINTR) {
            result = errno;
        }
    }
    return result != 0                 ? result
           : out->status == KB_TOO_BIG ? EFBIG
           : out->status != KB_OK      ? ENOMEM
                                       : 0;
}

static enum kb_status failed(const char *what, const char *where, int sys_errno,
                             struct kb_error *err)
{
    if (sys_errno == ENOMEM) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    if (sys_errno == EFBIG) {
        return kb_error_set(err, KB_E_PASSWORD_SOURCE, "Password=%s%s: larger than 64 KiB", what,
                            kb_show(kb_str(where)).text);
    }
    return kb_error_errno(err, KB_E_PASSWORD_SOURCE, sys_errno, "Password=%s%s", what,
                          kb_show(kb_str(where)).text);
}

static enum kb_status check_owner(const struct kb_secret_source *source, const struct stat *st,
                                  struct kb_error *err)
{
    const char *path = source->where;

    if (!S_ISREG(st->st_mode)) {
        return kb_error_set(err, KB_E_PASSWORD_SOURCE, "Password=file:%s: not a regular file",
                            kb_show(kb_str(path)).text);
    }
    if (st->st_uid != source->euid && st->st_uid != 0) {
        return kb_error_set(
            err, KB_E_PASSWORD_SOURCE,
            "Password=file:%s: it belongs to user %lu, neither to this process's user "
            "%lu nor to root",
            kb_show(kb_str(path)).text, (unsigned long)st->st_uid, (unsigned long)source->euid);
    }
    return KB_OK;
}

bool kb_secret_is_exposed(const struct kb_secret_source *source)
{
    struct stat info;

    return source->kind == KB_SECRET_FILE && stat(source->where, &info) == 0 &&
           (info.st_mode & S_IROTH) != 0;
}

static enum kb_status read_file(const struct kb_secret_source *source, struct kb_buf *out,
                                struct kb_error *err)
{
    int fd = open(source->where, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    enum kb_status st = KB_OK;
    struct stat info;
    int result;

    if (fd < 0) {
        return failed("file:", source->where, errno, err);
    }
    if (fstat(fd, &info) != 0) {
        st = failed("file:", source->where, errno, err);
    } else {
        st = check_owner(source, &info, err);
    }
    if (st == KB_OK && (result = read_descriptor(fd, false, out)) != 0) {
        st = failed("file:", source->where, result, err);
    }
    close(fd);
    return st;
}

static enum kb_status read_variable(const char *name, struct kb_buf *out, struct kb_error *err)
{
    const char *value = secure_getenv(name);

    if (kb_is_secure_exec()) {
        return kb_error_set(err, KB_E_PASSWORD_SOURCE,
                            "Password=env:%s: a set-uid program does not trust "
                            "its environment",
                            kb_show(kb_str(name)).text);
    }
    if (value == NULL) {
        return kb_error_set(err, KB_E_PASSWORD_SOURCE, "Password=env:%s: that variable is not set",
                            kb_show(kb_str(name)).text);
    }
    kb_buf_add_str(out, value);
    return KB_OK;
}

/* --- fd: is read once in the life of the process, whoever asks first --- */

struct descriptor {
    int fd;
    bool reading;
    int result;
    struct kb_buf bytes;
    struct descriptor *next;
};

/* `lock` guards the list and what hangs on it, except the bytes of one that is being read. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t was_read = PTHREAD_COND_INITIALIZER;
static struct descriptor *descriptors;

static struct descriptor *find_descriptor(int fd)
{
    struct descriptor *d = descriptors;

    while (d != NULL && d->fd != fd) {
        d = d->next;
    }
    return d;
}

static int read_now(int fd, struct kb_buf *out)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return errno;
    }
    /* A terminal or a socket would be somebody else's conversation. */
    return S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) ? read_descriptor(fd, true, out) : ESPIPE;
}

/* Called with the lock held; lets it go while it reads. */
static struct descriptor *read_once(int fd)
{
    struct descriptor *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        return NULL;
    }
    kb_buf_init(&d->bytes, KB_MAX_PASSWORD + 2);
    d->fd = fd;
    d->reading = true;
    d->next = descriptors;
    descriptors = d;
    pthread_mutex_unlock(&lock);
    d->result = read_now(fd, &d->bytes);
    pthread_mutex_lock(&lock);
    d->reading = false;
    pthread_cond_broadcast(&was_read);
    return d;
}

static enum kb_status read_fd(const char *digits, struct kb_buf *out, struct kb_error *err)
{
    int fd = (int)strtol(digits, NULL, 10), result;
    struct descriptor *d;

    if (kb_is_secure_exec()) {
        return kb_error_set(err, KB_E_PASSWORD_SOURCE,
                            "Password=fd:%d: a set-uid program does not trust its descriptors", fd);
    }
    pthread_mutex_lock(&lock);
    while ((d = find_descriptor(fd)) != NULL && d->reading) {
        pthread_cond_wait(&was_read, &lock);
    }
    if (d == NULL) {
        d = read_once(fd);
    }
    result = d != NULL ? d->result : ENOMEM;
    if (result == 0) {
        kb_buf_add(out, kb_buf_bytes(&d->bytes));
    }
    pthread_mutex_unlock(&lock);
    return result == 0 ? KB_OK : failed("fd:", digits, result, err);
}

void kb_secret_forget(void)
{
    struct descriptor *kept = NULL;

    pthread_mutex_lock(&lock);
    while (descriptors != NULL) {
        struct descriptor *next = descriptors->next;

        if (descriptors->reading) {
            descriptors->next = kept;
            kept = descriptors;
        } else {
            kb_buf_wipe(&descriptors->bytes);
            free(descriptors);
        }
        descriptors = next;
    }
    descriptors = kept;
    pthread_mutex_unlock(&lock);
}

void kb_secret_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

/* In the child a read under way has no thread any more: it failed. Its bytes are let go as they
 * are, since they may have been half-way moved. */
void kb_secret_fork_done(bool child)
{
    for (struct descriptor *d = descriptors; child && d != NULL; d = d->next) {
        if (d->reading) {
            d->reading = false;
            d->result = EINTR;
            d->bytes = (struct kb_buf){0};
        }
    }
    if (child) {
        was_read = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    }
    pthread_mutex_unlock(&lock);
}

/* --- checks --- */

static size_t without_newline(const struct kb_buf *buf)
{
    size_t len = buf->len;

    if (len > 0 && buf->data[len - 1] == '\n') {
        len--;
        len -= len > 0 && buf->data[len - 1] == '\r';
    }
    return len;
}

static enum kb_status check_secret(const struct kb_secret_source *source, kb_bytes secret,
                                   struct kb_error *err)
{
    static const char *const kinds[] = {"", "file:", "env:", "fd:"};
    const char *where = source->kind != KB_SECRET_INLINE ? source->where : "";
    const char *what = NULL;

    if (secret.len == 0) {
        what = "is empty";
    } else if (secret.len > KB_MAX_PASSWORD) {
        what = "is larger than 64 KiB";
    } else if (memchr(secret.ptr, 0, secret.len) != NULL) {
        what = "has NUL bytes in it (UTF-16?); write it in UTF-8";
    } else if (secret.len >= 3 && memcmp(secret.ptr, "\xef\xbb\xbf", 3) == 0) {
        what = "begins with a byte order mark; write it without";
    }
    return what == NULL
               ? KB_OK
               : kb_error_set(err, KB_E_PASSWORD_SOURCE, "the password of Password=%s%s %s",
                              kinds[source->kind], kb_show(kb_str(where)).text, what);
}

static enum kb_status read_source(const struct kb_secret_source *source, struct kb_buf *out,
                                  struct kb_error *err)
{
    switch (source->kind) {
    case KB_SECRET_FILE:
        return read_file(source, out, err);
    case KB_SECRET_ENV:
        return read_variable(source->where, out, err);
    case KB_SECRET_FD:
        return read_fd(source->where, out, err);
    case KB_SECRET_INLINE:
        break;
    }
    kb_buf_add_str(out, source->where);
    return KB_OK;
}

/* Checks what was read, and makes it the caller's. */
static enum kb_status give(const struct kb_secret_source *source, const struct kb_buf *buf,
                           kb_bytes *out, struct kb_error *err)
{
    bool has_newline = source->kind == KB_SECRET_FILE || source->kind == KB_SECRET_FD;
    size_t len = has_newline ? without_newline(buf) : buf->len;
    uint8_t *copy;

    if (buf->status != KB_OK) {
        return kb_error_status(err, KB_E_PASSWORD_SOURCE, buf->status, "Password");
    }
    if (check_secret(source, kb_bytes_of(buf->data, len), err) != KB_OK) {
        return KB_ERROR;
    }
    copy = malloc(len);
    if (copy == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    memcpy(copy, buf->data, len);
    *out = kb_bytes_of(copy, len);
    return KB_OK;
}

enum kb_status kb_secret_read(const struct kb_secret_source *source, kb_bytes *out,
                              struct kb_error *err)
{
    struct kb_buf buf;
    enum kb_status st;

    *out = KB_NONE;
    kb_buf_init(&buf, KB_MAX_PASSWORD + 2);
    st = read_source(source, &buf, err);
    if (st == KB_OK) {
        st = give(source, &buf, out, err);
    }
    kb_buf_wipe(&buf);
    return st;
}

bool kb_secret_is_descriptor(const char *digits)
{
    size_t len = strspn(digits, "0123456789");

    return len > 0 && len < 10 && digits[len] == '\0';
}

enum kb_status kb_secret_read_descriptor(const char *digits, kb_bytes *out, struct kb_error *err)
{
    struct kb_secret_source source = {.kind = KB_SECRET_FD, .where = digits};
    struct kb_buf buf;
    enum kb_status st;
    int result;

    *out = KB_NONE;
    kb_buf_init(&buf, KB_MAX_PASSWORD + 2);
    result = kb_is_secure_exec() ? EPERM : read_now((int)strtol(digits, NULL, 10), &buf);
    st = result == 0 ? give(&source, &buf, out, err) : failed("fd:", digits, result, err);
    kb_buf_wipe(&buf);
    return st;
}
