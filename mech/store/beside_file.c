#include "mech/store/beside_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/random.h"
#include "mech/net/fds.h"
#include "mech/net/wait.h"

#define FIRST_LOCK                                                                                 \
    (INT64_C(1) << 30) /* beyond the table; all stay below 2^31, for old file servers */
#define TURN_MS 2
#define NUM_MARKS 256
#define MAX_READS 3     /* of a table that is being written */
#define FIRST_ROOM 1024 /* bytes of a slot; of most tables that is all */

/* --- locks --- */

static struct flock range(short type, off_t start, off_t len)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static bool try_range(int fd, off_t start, off_t len)
{
    struct flock lock = range(F_WRLCK, start, len);

    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            return false;
        }
        if (errno != EINTR) {
            return true; /* a file system without locks: nobody can hold one */
        }
    }
    return true;
}

static void unlock_range(int fd, off_t start, off_t len)
{
    struct flock lock = range(F_UNLCK, start, len);

    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

/* Where it stands who took lock `number`: a few share a place. */
static off_t mark_of(uint32_t number)
{
    size_t place = (number + (number >> 28) * 97) % NUM_MARKS;

    return KB_BESIDE_FILE + (off_t)(place * sizeof(struct kb_beside_holder));
}

bool kb_beside_try(const struct kb_beside_file *file, uint32_t number)
{
    bool locked = try_range(file->fd, FIRST_LOCK + (off_t)number, 1);
    struct kb_beside_holder mark;
    struct timespec now;

    if (locked) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        mark = (struct kb_beside_holder){.when = (uint64_t)now.tv_sec * 1000000000 +
                                                 (uint64_t)now.tv_nsec,
                                         .pid = (uint64_t)getpid()};
        /* Without it, those who wait take us for one who stands still a little sooner. */
        (void)!pwrite(file->fd, &mark, sizeof(mark), mark_of(number));
    }
    return locked;
}

struct kb_beside_holder kb_beside_taken(const struct kb_beside_file *file, uint32_t number)
{
    struct kb_beside_holder mark;

    return pread(file->fd, &mark, sizeof(mark), mark_of(number)) == sizeof(mark)
               ? mark
               : (struct kb_beside_holder){0};
}

/* proc(5): "PID (name) STATE ...", where the name may hold anything. */
bool kb_beside_is_stopped(const struct kb_beside_holder *holder)
{
    char path[48], text[256];
    const char *state;
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)holder->pid);
    fd = holder->pid != 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return false;
    }
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    state = strrchr(text, ')');
    return state != NULL && state[1] == ' ' && (state[2] == 'T' || state[2] == 't');
}

void kb_beside_unlock(const struct kb_beside_file *file, uint32_t number)
{
    unlock_range(file->fd, FIRST_LOCK + (off_t)number, 1);
}

static bool lock_table(int fd)
{
    bool locked = try_range(fd, 0, KB_BESIDE_FILE);
    int64_t give_up_ms = kb_now_ms() + KB_BESIDE_PATIENCE_MS;
    struct kb_wait wait = {0};

    if (locked) {
        return true;
    }
    /* Of its own: it is short, and what is to be written is worth it after an interrupt too. */
    kb_wait_start(&wait, KB_BESIDE_PATIENCE_MS, true);
    while (!locked && kb_now_ms() < give_up_ms) {
        struct pollfd fds[KB_WAIT_FDS];
        int ready;

        if (kb_wait_poll(&wait, fds, 0, kb_now_ms() + TURN_MS, &ready) != KB_OK) {
            break;
        }
        locked = try_range(fd, 0, KB_BESIDE_FILE);
    }
    kb_wait_stop(&wait);
    return locked;
}

/* --- opening --- */

static enum kb_status check(int fd, const char *shown, struct kb_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return kb_error_errno(err, KB_E_CCACHE, errno, "%s", shown);
    }
    if (!S_ISREG(st.st_mode) || st.st_nlink > 1) {
        return kb_error_set(err, KB_E_CCACHE, "%s is not a regular file with one name", shown);
    }
    if (st.st_uid != geteuid()) {
        return kb_error_set(err, KB_E_CCACHE, "%s belongs to user id %u, not to this process's %u",
                            shown, (unsigned)st.st_uid, (unsigned)geteuid());
    }
    if ((st.st_mode & 077) != 0) {
        return kb_error_set(err, KB_E_CCACHE, "%s is open to others (mode %04o)", shown,
                            (unsigned)st.st_mode & 07777);
    }
    return KB_OK;
}

/* O_NONBLOCK: opening a FIFO must not wait for its other end. */
static int open_or_make(const char *path, bool make)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    int fd = open(path, flags);

    if (fd < 0 && errno == ENOENT && make) {
        fd = open(path, flags | O_CREAT | O_EXCL, 0600);
        if (fd < 0 && errno == EEXIST) {
            fd = open(path, flags); /* another process was faster, or it is a link */
        }
    }
    return fd;
}

static void show(const char *path, struct kb_buf *out)
{
    kb_buf_init(out, 1 << 14);
    kb_buf_add_escaped(out, kb_str(path));
}

enum kb_status kb_beside_open(const char *path, bool make, struct kb_beside_file *out,
                              struct kb_error *err)
{
    int fd = kb_fds_add(open_or_make(path, make));
    enum kb_status st = KB_NOT_FOUND;
    struct kb_buf shown;

    out->fd = -1;
    if (fd < 0 && errno == ENOENT && !make) {
        return KB_NOT_FOUND;
    }
    show(path, &shown);
    st = fd >= 0 ? check(fd, kb_buf_str(&shown), err)
                 : kb_error_errno(err, KB_E_CCACHE, errno, "%s", kb_buf_str(&shown));
    kb_buf_wipe(&shown);
    if (st == KB_OK) {
        out->fd = fd;
    } else {
        kb_fds_close(fd);
    }
    return st;
}

/* Closing alone is not enough: a child of a raw clone(2) has the open file too. */
void kb_beside_close(struct kb_beside_file *file)
{
    if (file->fd >= 0) {
        unlock_range(file->fd, 0, 0);
        kb_fds_close(file->fd);
        file->fd = -1;
    }
}

bool kb_beside_is_there(const struct kb_beside_file *file)
{
    struct stat st;

    return fstat(file->fd, &st) == 0 && st.st_nlink > 0;
}

/* --- reading --- */

/* The beginning of a slot, as far as there is room for it. */
static enum kb_status read_slot(int fd, unsigned number, const struct kb_beside_contents *to,
                                kb_bytes *out)
{
    uint8_t *bytes = to->bytes + number * to->room;
    off_t at = (off_t)number * KB_BESIDE_SLOT;
    size_t len = 0;

    while (len < to->room) {
        ssize_t got = pread(fd, bytes + len, to->room - len, at + (off_t)len);

        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            return KB_ERROR;
        }
        len += got > 0 ? (size_t)got : 0;
    }
    *out = kb_bytes_of(bytes, len);
    return KB_OK;
}

static enum kb_status make_room(struct kb_beside_contents *contents, size_t room)
{
    kb_beside_contents_wipe(contents);
    contents->bytes = malloc(2 * room);
    contents->room = contents->bytes != NULL ? room : 0;
    return contents->bytes != NULL ? KB_OK : KB_NO_MEMORY;
}

/* Again with more room where a table is larger; one that grows meanwhile, again. */
static enum kb_status read_once(int fd, struct kb_beside_contents *out)
{
    size_t needed = FIRST_ROOM;
    enum kb_status st = KB_OK;
    kb_bytes slots[2];

    while (st == KB_OK && needed > out->room) {
        st = make_room(out, needed);
        for (unsigned i = 0; i < 2 && st == KB_OK; i++) {
            st = read_slot(fd, i, out, &slots[i]);
        }
        for (unsigned i = 0; i < 2 && st == KB_OK; i++) {
            size_t len = kb_beside_slot_len(slots[i]);

            needed = len > needed ? len : needed;
        }
    }
    return st == KB_OK ? kb_beside_pick(slots, &out->table) : st;
}

enum kb_status kb_beside_load(const struct kb_beside_file *file, struct kb_beside_contents *out)
{
    enum kb_status st = KB_NOT_FOUND;

    *out = (struct kb_beside_contents){0};
    for (unsigned i = 0; i < MAX_READS && st == KB_NOT_FOUND; i++) {
        kb_beside_contents_wipe(out);
        st = read_once(file->fd, out);
    }
    return st;
}

void kb_beside_contents_wipe(struct kb_beside_contents *contents)
{
    kb_free_secret(contents->bytes, 2 * contents->room);
    *contents = (struct kb_beside_contents){0};
}

kb_bytes kb_beside_key(const struct kb_beside_table *table)
{
    struct kb_beside_record record;

    return kb_beside_find(table, KB_BESIDE_KEY, KB_NONE, &record) &&
                   record.value.len == KB_BESIDE_KEY_LEN
               ? record.value
               : KB_NONE;
}

/* --- writing --- */

static bool write_slot(int fd, const uint8_t *slot, size_t len, unsigned number)
{
    off_t at = (off_t)number * KB_BESIDE_SLOT;
    size_t done = 0;

    while (done < len) {
        ssize_t wrote = pwrite(fd, slot + done, len - done, at + (off_t)done);

        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

/* With the lock. A table without a key of its own is none of ours. */
static enum kb_status replace(int fd, struct kb_beside_contents *old,
                              const struct kb_beside_record *changes, size_t num, int64_t now)
{
    struct kb_beside_record all[1 + 8];
    uint8_t key[KB_BESIDE_KEY_LEN], *slot = malloc(KB_BESIDE_SLOT);
    enum kb_status st = slot != NULL ? KB_OK : KB_NO_MEMORY;
    size_t len;

    if (st == KB_OK) {
        st = read_once(fd, old);
        st = st == KB_NOT_FOUND ? KB_OK : st;
    }
    all[0] = (struct kb_beside_record){.type = KB_BESIDE_KEY, .value = kb_beside_key(&old->table)};
    if (st == KB_OK && all[0].value.len == 0) {
        st = kb_random(&kb_rng_system, key, sizeof(key));
        all[0].value = kb_bytes_of(key, sizeof(key));
        old->table.records = KB_NONE;
    }
    for (size_t i = 0; i < num && i < 8; i++) {
        all[1 + i] = changes[i];
    }
    if (st == KB_OK) {
        len = kb_beside_make(&old->table, all, 1 + (num < 8 ? num : 8), now, slot);
        st = write_slot(fd, slot, len, old->table.slot ^ 1) ? KB_OK : KB_ERROR;
    }
    kb_wipe(key, sizeof(key));
    kb_free_secret(slot, slot != NULL ? KB_BESIDE_SLOT : 0);
    return st;
}

enum kb_status kb_beside_change(const struct kb_beside_file *file,
                                const struct kb_beside_record *changes, size_t num, int64_t now,
                                struct kb_error *err)
{
    struct kb_beside_contents old = {0};
    enum kb_status st;

    if (!lock_table(file->fd)) {
        return kb_error_set(err, KB_E_CCACHE,
                            "the file beside the credentials cache is locked by another process "
                            "that stands still");
    }
    st = replace(file->fd, &old, changes, num, now);
    if (st == KB_ERROR) {
        (void)kb_error_errno(err, KB_E_CCACHE, errno,
                             "the file beside the credentials cache cannot be written");
    }
    unlock_range(file->fd, 0, KB_BESIDE_FILE);
    kb_beside_contents_wipe(&old);
    return st == KB_OK || st == KB_ERROR
               ? st
               : kb_error_status(err, KB_E_CCACHE, st, "the file beside the credentials cache");
}
