#include "mech/options/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "mech/options/text.h"

bool kb_is_secure_exec(void)
{
    static _Atomic signed char secure =
        -1; /* it never changes; getauxval takes a hundred instructions */

    if (secure < 0) {
        secure = getauxval(AT_SECURE) != 0;
    }
    return secure != 0;
}

static void take_variable(const char *out[KB_NUM_ENVIRONMENT], const char *entry)
{
    static const struct {
        const char *name;
        size_t len;
    } names[KB_NUM_ENVIRONMENT] = {
        [KB_ENV_OPTIONS] = {"KERBSIDE_OPTIONS=", 17},
        [KB_ENV_CONFIG] = {"KERBSIDE_CONFIG=", 16},
        [KB_ENV_GSS_MECH] = {"GSS_MECH_CONFIG=", 16},
        [KB_ENV_KRB5] = {"KRB5_CONFIG=", 12},
    };

    for (size_t i = 0; i < KB_NUM_ENVIRONMENT; i++) {
        if (out[i] == NULL && strncmp(entry, names[i].name, names[i].len) == 0) {
            out[i] = entry + names[i].len;
        }
    }
}

/* Every call of a warm login comes here: a look at two letters of each variable is all it costs. */
void kb_environment(const char *out[KB_NUM_ENVIRONMENT])
{
    memset(out, 0, KB_NUM_ENVIRONMENT * sizeof(*out));
    if (environ == NULL || kb_is_secure_exec()) {
        return;
    }
    for (char **entry = environ; *entry != NULL; entry++) {
        char first = (*entry)[0], second = first != '\0' ? (*entry)[1] : '\0';

        if ((first == 'K' && (second == 'E' || second == 'R')) || (first == 'G' && second == 'S')) {
            take_variable(out, *entry);
        }
    }
}

static struct kb_stamp stamp_of(const struct stat *st)
{
    return (struct kb_stamp){
        .exists = true,
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = st->st_size,
        .mtime = st->st_mtim,
        .ctime = st->st_ctim,
    };
}

static struct kb_stamp stamp_at(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? stamp_of(&st) : (struct kb_stamp){0};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct kb_stamp *a, const struct kb_stamp *b)
{
    return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime);
}

static bool watch(const char *path, struct kb_stamp stamp, struct kb_arena *arena,
                  struct kb_watch **watched)
{
    struct kb_watch *entry = kb_arena_alloc(arena, sizeof(*entry));

    if (entry == NULL || (entry->path = kb_arena_text(arena, kb_str(path))) == NULL) {
        return false;
    }
    entry->stamp = stamp;
    entry->next = *watched;
    *watched = entry;
    return true;
}

bool kb_watch_path(const char *path, struct kb_arena *arena, struct kb_watch **watched)
{
    return watch(path, stamp_at(path), arena, watched);
}

bool kb_watch_changed(const struct kb_watch *watched)
{
    for (; watched != NULL; watched = watched->next) {
        struct kb_stamp now = stamp_at(watched->path);

        if (!same_stamp(&watched->stamp, &now)) {
            return true;
        }
    }
    return false;
}

static int read_all(int fd, struct kb_buf *out)
{
    uint8_t chunk[2048];
    ssize_t len;

    while ((len = read(fd, chunk, sizeof(chunk))) != 0) {
        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len < 0) {
            break;
        }
        kb_buf_add(out, kb_bytes_of(chunk, (size_t)len));
        if (out->status != KB_OK) {
            break;
        }
    }
    kb_wipe(chunk, sizeof(chunk));
    return out->status == KB_TOO_BIG ? EFBIG : out->status != KB_OK ? ENOMEM : len < 0 ? errno : 0;
}

static int read_open(int fd, const struct stat *st, struct kb_buf *out)
{
    if (S_ISDIR(st->st_mode)) {
        return EISDIR;
    }
    if (kb_is_secure_exec() && (st->st_uid != 0 || (st->st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
        return EPERM;
    }
    return read_all(fd, out);
}

int kb_read_file(const char *path, struct kb_buf *out, bool *exposed, struct kb_arena *arena,
                 struct kb_watch **watched)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int result;

    if (fd < 0) {
        result = errno;
        return kb_watch_path(path, arena, watched) ? result : ENOMEM;
    }
    if (fstat(fd, &st) != 0) {
        result = errno;
    } else if (!watch(path, stamp_of(&st), arena, watched)) {
        result = ENOMEM;
    } else {
        *exposed = (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
        result = read_open(fd, &st, out);
    }
    close(fd);
    return result;
}

const char *kb_errno_text(int sys_errno, char *buf, size_t len)
{
    return sys_errno == EPERM && kb_is_secure_exec()
               ? "in a set-uid program it must belong to root and be writable by nobody else"
               : strerror_r(sys_errno, buf, len);
}
