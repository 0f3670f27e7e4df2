/* Where keytabs lie. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mech/store/keytab_own.h"

#define RECENT_SECONDS 2
#define MAX_READS 3 /* of a file that is written to meanwhile */

/* One file being read. */
struct reading {
    const char *shown; /* its name, for messages */
    uint8_t *bytes;
    size_t len, block_len;
    bool in_motion;
};

/* "FILE:" and MIT's "WRFILE:" are dropped; other types of keytab are not files. */
static const char *file_name(const char *name, const char *shown, struct kb_error *err)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    if (len < 2 || name[len] != ':') {
        return name;
    }
    if (strncmp(name, "FILE:", 5) == 0 || strncmp(name, "WRFILE:", 7) == 0) {
        return name + len + 1;
    }
    if (strncmp(name, "MEMORY:", 7) == 0) {
        kb_error_set(err, KB_E_KEYTAB,
                     "keytab %s: MEMORY: keytabs belong to libkrb5 and cannot be seen from here",
                     shown);
    } else {
        kb_error_set(err, KB_E_KEYTAB,
                     "keytab %s: keytabs of this type cannot be read, only FILE:", shown);
    }
    return NULL;
}

/* --- whether its writer is at work --- */

static bool is_recent(const struct stat *st)
{
    const struct timespec *last =
        st->st_mtim.tv_sec > st->st_ctim.tv_sec ? &st->st_mtim : &st->st_ctim;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - last->tv_sec <= RECENT_SECONDS &&
           last->tv_sec - now.tv_sec <= RECENT_SECONDS;
}

/* A file that was removed a moment ago leaves its directory changed. */
static bool was_removed_just_now(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash != NULL && slash > path
                          ? kb_strdup(kb_bytes_of(path, (size_t)(slash - path)))
                          : kb_strdup(kb_str(slash != NULL ? "/" : "."));
    struct stat st;
    bool was = directory != NULL && stat(directory, &st) == 0 && is_recent(&st);

    free(directory);
    return was;
}

/* Some are made first, and given to their reader then. */
static bool was_made_just_now(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && is_recent(&st);
}

/* MIT's and Heimdal's libraries write under a lock. One that cannot be had for another reason (a
 * file system without locks) keeps nobody from reading. */
static bool is_locked_by_writer(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EINTR) {
            return errno == EAGAIN || errno == EACCES;
        }
    }
    return false;
}

/* Closing is not enough: the child of a fork(2) meanwhile has the open file too. */
static void unlock(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

/* --- its bytes --- */

static void reading_wipe(struct reading *reading)
{
    kb_free_secret(reading->bytes, reading->block_len);
    reading->bytes = NULL;
    reading->len = reading->block_len = 0;
}

static bool same_state(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum kb_status check_kind(const struct reading *reading, const struct stat *st,
                                 struct kb_error *err)
{
    if (!S_ISREG(st->st_mode)) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: not a regular file", reading->shown);
    }
    return st->st_size <= (off_t)KB_KEYTAB_MAX_FILE
               ? KB_OK
               : kb_error_set(err, KB_E_KEYTAB, "keytab %s: larger than 16 MiB", reading->shown);
}

static enum kb_status read_bytes(int fd, struct reading *reading, struct kb_error *err)
{
    while (reading->len < reading->block_len) {
        ssize_t got = pread(fd, reading->bytes + reading->len, reading->block_len - reading->len,
                            (off_t)reading->len);

        if (got < 0 && errno != EINTR) {
            return kb_error_errno(err, KB_E_KEYTAB, errno, "keytab %s", reading->shown);
        }
        if (got == 0) {
            return KB_OK; /* it shrank meanwhile */
        }
        reading->len += got > 0 ? (size_t)got : 0;
    }
    return KB_OK;
}

/* Reads an open file. Only a regular one has an end that is known beforehand. *out_same: nobody
 * wrote to it meanwhile. */
static enum kb_status read_once(int fd, struct reading *reading, bool *out_same,
                                struct kb_error *err)
{
    struct stat before, after;
    enum kb_status status;

    if (fstat(fd, &before) != 0) {
        return kb_error_errno(err, KB_E_KEYTAB, errno, "keytab %s", reading->shown);
    }
    if (check_kind(reading, &before, err) != KB_OK) {
        return KB_ERROR;
    }
    reading->block_len = (size_t)before.st_size;
    reading->bytes = malloc(reading->block_len + 1);
    if (reading->bytes == NULL) {
        reading->block_len = 0;
        return kb_error_status(err, KB_E_KEYTAB, KB_NO_MEMORY, "keytab %s", reading->shown);
    }
    status = read_bytes(fd, reading, err);
    *out_same = fstat(fd, &after) != 0 || same_state(&before, &after);
    reading->in_motion = reading->in_motion || !*out_same || is_recent(&before);
    return status;
}

static enum kb_status read_all(int fd, struct reading *reading, struct kb_error *err)
{
    enum kb_status status = KB_OK;
    bool same = false;

    for (unsigned i = 0; i < MAX_READS && status == KB_OK && !same; i++) {
        reading_wipe(reading);
        status = read_once(fd, reading, &same, err);
    }
    return status;
}

static enum kb_status explain(enum kb_status status, const struct kb_keytab_place *place,
                              const struct reading *reading, struct kb_error *err)
{
    const char *shown = reading->shown;

    if (reading->len == 0) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: the file is empty", shown);
    }
    if (status == KB_WRONG_TYPE || (status == KB_CUT_SHORT && place->record == 0)) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: this is no keytab file", shown);
    }
    if (status == KB_CUT_SHORT) {
        return kb_error_set(err, KB_E_KEYTAB,
                            "keytab %s: the file is cut short: record %zu, at byte %zu, is longer "
                            "than what is left of %zu bytes",
                            shown, place->record, place->at, reading->len);
    }
    return kb_error_status(err, KB_E_KEYTAB, status, "keytab %s: record %zu, at byte %zu", shown,
                           place->record, place->at);
}

static enum kb_status read_open(int fd, struct reading *reading, bool wait_for_writer,
                                struct kb_keytab **out, struct kb_error *err)
{
    struct kb_keytab_place place;
    enum kb_status status;

    reading->in_motion = is_locked_by_writer(fd);
    if (reading->in_motion && wait_for_writer) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: another program is writing to it",
                            reading->shown);
    }
    status = read_all(fd, reading, err);
    unlock(fd);
    if (status == KB_OK) {
        status = kb_keytab_parse_at(kb_bytes_of(reading->bytes, reading->len), out, &place);
        status = status == KB_OK ? KB_OK : explain(status, &place, reading, err);
    }
    return status;
}

static enum kb_status read_file(const char *path, struct reading *reading, bool wait_for_writer,
                                struct kb_keytab **out, struct kb_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum kb_status status;

    if (fd < 0) {
        status = kb_error_errno(err, KB_E_KEYTAB, errno, "keytab %s", reading->shown);
        reading->in_motion = (err->sys_errno == ENOENT && was_removed_just_now(path)) ||
                             (err->sys_errno == EACCES && was_made_just_now(path));
        return status;
    }
    status = read_open(fd, reading, wait_for_writer, out, err);
    close(fd);
    reading_wipe(reading);
    return status;
}

enum kb_status kb_keytab_try(const char *path, bool wait_for_writer, struct kb_keytab **out,
                             bool *out_in_motion, struct kb_error *err)
{
    struct reading reading = {0};
    struct kb_buf shown;
    enum kb_status status = KB_ERROR;

    *out = NULL;
    kb_buf_init(&shown, 4096);
    kb_buf_add_escaped(&shown, kb_str(path));
    reading.shown = kb_buf_str(&shown);
    path = file_name(path, reading.shown, err);
    if (path != NULL) {
        status = read_file(path, &reading, wait_for_writer, out, err);
    }
    kb_buf_wipe(&shown);
    *out_in_motion = reading.in_motion;
    return status;
}

enum kb_status kb_keytab_read(const char *path, struct kb_keytab **out, struct kb_error *err)
{
    bool ignored;

    return kb_keytab_try(path, false, out, &ignored, err);
}
