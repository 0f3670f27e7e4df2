#include "mech/store/cc_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_TRIES 1000 /* to open a file that others replace meanwhile; the wait bounds it too */
#define LOCK_MS 5000   /* for which others may hold the lock without writing */
#define TURN_MS 20     /* the longest between two looks at it */

struct kb_cc_stamp kb_cc_stamp(const struct stat *st)
{
    return (struct kb_cc_stamp){{1, (uint64_t)st->st_dev, (uint64_t)st->st_ino,
                                 (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
                                 (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec,
                                 (uint64_t)st->st_ctim.tv_nsec}};
}

static enum kb_status failed(const struct kb_ccache *cache, const char *what, struct kb_error *err)
{
    return kb_error_set(err, KB_E_CCACHE, "credentials cache %s: %s", cache->shown, what);
}

static enum kb_status failed_errno(const struct kb_ccache *cache, struct kb_error *err)
{
    return kb_error_errno(err, KB_E_CCACHE, errno, "credentials cache %s", cache->shown);
}

static enum kb_status failed_waiting(const struct kb_cc_file *file, enum kb_status st,
                                     struct kb_error *err)
{
    return kb_error_status(err, KB_E_CCACHE, st, "credentials cache %s: waiting for its lock",
                           file->cache->shown);
}

static bool is_trusted(uid_t owner)
{
    return owner == geteuid() || owner == 0;
}

/* Can anybody put a file into the directory that `path` is in? */
static bool is_open_to_all(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir =
        slash == NULL ? strdup(".") : strndup(path, slash > path ? (size_t)(slash - path) : 1);
    struct stat st;
    bool open = dir == NULL || stat(dir, &st) != 0 || (st.st_mode & S_IWOTH) != 0;

    free(dir);
    return open;
}

/* A link of the user's own is as good as its target, but not where others could have put it. */
static enum kb_status follow(struct kb_cc_file *file, struct kb_error *err)
{
    const struct kb_ccache *cache = file->cache;
    struct stat st;

    if (lstat(cache->rest, &st) != 0 || !is_trusted(st.st_uid) || is_open_to_all(cache->rest)) {
        return failed(cache, "it is a symbolic link that somebody else can have made", err);
    }
    free(file->path);
    file->path = realpath(cache->rest, NULL);
    if (file->path == NULL && errno == ENOENT) {
        return failed(cache, "it is a symbolic link that leads nowhere", err);
    }
    return file->path != NULL ? KB_OK : failed_errno(cache, err);
}

static enum kb_status check(const struct kb_cc_file *file, struct kb_error *err)
{
    if (!S_ISREG(file->stat.st_mode)) {
        return failed(file->cache, "not a regular file", err);
    }
    if (!is_trusted(file->stat.st_uid)) {
        return kb_error_set(err, KB_E_CCACHE,
                            "credentials cache %s: it belongs to user id %u, not to this process's "
                            "%u or root",
                            file->cache->shown, (unsigned)file->stat.st_uid, (unsigned)geteuid());
    }
    if (file->stat.st_size > (off_t)KB_CC_MAX) {
        return failed(file->cache, "larger than 64 MiB", err);
    }
    return KB_OK;
}

/* Asks once. KB_NOT_FOUND: somebody else has it. */
static enum kb_status try_lock(int fd, bool alone)
{
    struct flock lock = {.l_type = alone ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            return KB_NOT_FOUND;
        }
        if (errno != EINTR) {
            return KB_OK; /* a file system without locks: nobody can hold one */
        }
    }
    return KB_OK;
}

/* Closing is not enough: the child of a fork(2) meanwhile has the open file too. */
static void unlock(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

static bool has_changed(const struct kb_cc_file *file, struct kb_cc_stamp *stamp)
{
    struct kb_cc_stamp before = *stamp;
    struct stat now;

    if (fstat(file->fd, &now) != 0) {
        return false;
    }
    *stamp = kb_cc_stamp(&now);
    return !kb_cc_same_stamp(&before, stamp);
}

/* Nobody queues for this lock: who looks at the right moment has it, so that many writers can be
 * before us. As long as they write, a writer waits, until its own deadline. */
static enum kb_status lock(const struct kb_cc_file *file, bool alone, struct kb_wait *wait,
                           struct kb_error *err)
{
    int64_t give_up = kb_now_ms() + LOCK_MS, turn_ms = 1;
    struct kb_cc_stamp stamp = {{0}};
    enum kb_status st = try_lock(file->fd, alone);

    while (st == KB_NOT_FOUND && kb_now_ms() < give_up) {
        struct pollfd fds[KB_WAIT_FDS];
        int ready;

        st = kb_wait_poll(wait, fds, 0, kb_now_ms() + turn_ms, &ready);
        turn_ms = turn_ms * 2 < TURN_MS ? turn_ms * 2 : TURN_MS;
        if (st == KB_OK) {
            st = try_lock(file->fd, alone);
        }
        if (st == KB_NOT_FOUND && alone && has_changed(file, &stamp)) {
            give_up = kb_now_ms() + LOCK_MS;
        }
    }
    if (st == KB_NOT_FOUND) {
        return alone ? failed(file->cache, "another program holds its lock", err) : KB_OK;
    }
    return st == KB_OK ? KB_OK : failed_waiting(file, st, err);
}

bool kb_cc_is_still_it(const struct kb_cc_file *file)
{
    struct stat now;

    return lstat(file->path, &now) == 0 && now.st_dev == file->stat.st_dev &&
           now.st_ino == file->stat.st_ino;
}

/* KB_NOT_FOUND: it is a symbolic link. */
static enum kb_status open_path(struct kb_cc_file *file, enum kb_cc_mode mode, struct kb_error *err)
{
    static const int flags[] = {
        [KB_CC_PEEK] = O_RDONLY,
        [KB_CC_READ] = O_RDONLY,
        [KB_CC_APPEND] = O_RDWR | O_APPEND,
        [KB_CC_ERASE] = O_RDWR,
    };

    /* O_NONBLOCK: opening a FIFO must not wait for its other end. */
    file->fd = open(file->path, flags[mode] | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (file->fd >= 0 || errno == ENOENT) {
        return KB_OK;
    }
    return errno == ELOOP ? KB_NOT_FOUND : failed_errno(file->cache, err);
}

/* It is looked at with the lock: it may have grown while we waited. */
static enum kb_status lock_and_check(struct kb_cc_file *file, enum kb_cc_mode mode,
                                     struct kb_wait *wait, struct kb_error *err)
{
    if (mode != KB_CC_PEEK && lock(file, mode != KB_CC_READ, wait, err) != KB_OK) {
        return KB_ERROR;
    }
    return fstat(file->fd, &file->stat) == 0 ? check(file, err) : failed_errno(file->cache, err);
}

static enum kb_status open_once(struct kb_cc_file *file, enum kb_cc_mode mode, struct kb_wait *wait,
                                struct kb_error *err)
{
    enum kb_status st;

    file->path = strdup(file->cache->rest);
    st = file->path != NULL ? open_path(file, mode, err) : failed_errno(file->cache, err);
    if (st == KB_NOT_FOUND) {
        st = follow(file, err);
        if (st == KB_OK) {
            st = open_path(file, mode, err);
        }
    }
    if (st == KB_NOT_FOUND) {
        return failed(file->cache, "others replace it all the time", err);
    }
    return st == KB_OK && file->fd >= 0 ? lock_and_check(file, mode, wait, err) : st;
}

static enum kb_status check_wait(const struct kb_cc_file *file, struct kb_wait *wait,
                                 struct kb_error *err)
{
    struct pollfd fds[KB_WAIT_FDS];
    int ready;
    enum kb_status st = kb_wait_poll(wait, fds, 0, kb_now_ms(), &ready);

    return st == KB_OK ? KB_OK : failed_waiting(file, st, err);
}

enum kb_status kb_cc_open(const struct kb_ccache *cache, enum kb_cc_mode mode, struct kb_wait *wait,
                          struct kb_cc_file *out, struct kb_error *err)
{
    enum kb_status st = KB_OK;

    *out = (struct kb_cc_file){.cache = cache, .fd = -1};
    for (unsigned i = 0; i < MAX_TRIES && st == KB_OK; i++) {
        st = open_once(out, mode, wait, err);
        if (st != KB_OK || out->fd < 0 || mode == KB_CC_PEEK || kb_cc_is_still_it(out)) {
            return st;
        }
        kb_cc_close(out);
        st = check_wait(out, wait, err);
    }
    return st == KB_OK ? failed(cache, "others replace it all the time", err) : st;
}

void kb_cc_close(struct kb_cc_file *file)
{
    if (file->fd >= 0) {
        unlock(file->fd);
        close(file->fd);
    }
    free(file->path);
    file->fd = -1;
    file->path = NULL;
}
