#include "mech/report/append.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_HEADER 256

/* A phrase without the locale's help, which lives for ever. */
static const char *phrase(int err)
{
    const char *text = strerrordesc_np(err);

    return text != NULL ? text : "unknown error";
}

static void take_back(int number)
{
    const struct timespec now = {0, 0};
    sigset_t ours;

    sigemptyset(&ours);
    sigaddset(&ours, number);
    while (sigtimedwait(&ours, NULL, &now) < 0 && errno == EINTR) {
    }
}

/* A broken pipe and a file over its limit answer by signals, which would end the host: both are
 * blocked for this thread, and taken back if they came from us. Returns what writev(2) does, and 0
 * or its errno. */
static ssize_t write_quietly(int fd, const struct iovec *parts, int num, int *out_errno)
{
    sigset_t ours, old, pending;
    ssize_t written;

    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);
    sigaddset(&ours, SIGXFSZ);
    *out_errno = pthread_sigmask(SIG_BLOCK, &ours, &old);
    if (*out_errno != 0) {
        return -1;
    }
    sigpending(&pending);
    written = writev(fd, parts, num);
    *out_errno = written < 0 ? errno : 0;
    if (*out_errno == EPIPE || *out_errno == EFBIG) {
        int number = *out_errno == EPIPE ? SIGPIPE : SIGXFSZ;

        if (!sigismember(&pending, number)) {
            take_back(number);
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return written;
}

const char *kb_append_fd(int fd, kb_bytes bytes)
{
    struct iovec part = {(void *)(uintptr_t)bytes.ptr, bytes.len};
    int err;
    ssize_t written = write_quietly(fd, &part, 1, &err);

    if (written < 0) {
        return phrase(err);
    }
    return (size_t)written == bytes.len ? NULL : "there is no room for all of it";
}

/* Takes half a write back, if nobody wrote behind it: what comes later could not be read. */
static void cut_off(int fd, ssize_t written)
{
    off_t end = lseek(fd, 0, SEEK_CUR);
    struct stat st;

    if (end >= written && fstat(fd, &st) == 0 && st.st_size == end) {
        (void)!ftruncate(fd, end - written);
    }
}

/* Does the file begin with `header`, or is it empty? */
static bool begins_with(int fd, kb_bytes header, off_t size)
{
    uint8_t begin[MAX_HEADER];

    return size == 0 ||
           (header.len <= sizeof(begin) && pread(fd, begin, header.len, 0) == (ssize_t)header.len &&
            kb_equal(kb_bytes_of(begin, header.len), header));
}

static const char *append_with_header(int fd, kb_bytes header, kb_bytes bytes, off_t size)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)header.ptr, size == 0 ? header.len : 0},
                             {(void *)(uintptr_t)bytes.ptr, bytes.len}};
    size_t len = parts[0].iov_len + parts[1].iov_len;
    ssize_t written;
    int err;

    if (!begins_with(fd, header, size)) {
        return "it is a file of another kind";
    }
    written = write_quietly(fd, parts, 2, &err);
    if (written < 0) {
        return phrase(err);
    }
    if ((size_t)written < len) {
        cut_off(fd, written);
        return "there is no room for all of it";
    }
    return NULL;
}

static const char *append_open(int fd, kb_bytes header, kb_bytes bytes)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return phrase(errno);
    }
    if (header.len > 0) {
        return S_ISREG(st.st_mode) ? append_with_header(fd, header, bytes, st.st_size)
                                   : "it is no regular file";
    }
    return S_ISREG(st.st_mode) || S_ISCHR(st.st_mode) ? kb_append_fd(fd, bytes)
                                                      : "it is no regular file";
}

const char *kb_append(const char *path, kb_bytes header, kb_bytes bytes)
{
    int access = header.len > 0 ? O_RDWR : O_WRONLY;
    int fd =
        openat(AT_FDCWD, path,
               access | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    const char *why;

    if (fd < 0) {
        return errno == ELOOP   ? "it is a symbolic link"
               : errno == ENXIO ? "it is no regular file"
                                : phrase(errno);
    }
    why = append_open(fd, header, bytes);
    close(fd);
    return why;
}
