/* FILE: caches. A ticket is appended in one write under the lock; all else is a new file put in the
 * old one's place, so that nobody ever sees half of one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mech/store/cc_open.h"

#define MAX_TRIES 100 /* to get hold of a file that others replace; the wait bounds it too */

static enum kb_status failed_errno(const struct kb_ccache *cache, struct kb_error *err)
{
    return kb_error_errno(err, KB_E_CCACHE, errno, "credentials cache %s", cache->shown);
}

static struct kb_cc_stamp look(const struct kb_ccache *cache)
{
    struct stat st;

    return stat(cache->rest, &st) == 0 ? kb_cc_stamp(&st) : (struct kb_cc_stamp){{0}};
}

static enum kb_status reload(const struct kb_ccache *cache, struct kb_cc_contents *known,
                             struct kb_wait *wait, struct kb_cc_contents **out,
                             struct kb_error *err)
{
    struct kb_cc_file file;
    enum kb_status st = kb_cc_open(cache, KB_CC_READ, wait, &file, err);

    if (st == KB_OK) {
        st = file.fd >= 0 ? kb_cc_read_on(&file, known, out, err) : KB_NOT_FOUND;
    }
    kb_cc_close(&file);
    return st;
}

static enum kb_status load(const struct kb_ccache *cache, struct kb_wait *wait,
                           struct kb_cc_contents **out, struct kb_error *err)
{
    return reload(cache, NULL, wait, out, err);
}

static enum kb_status owner(const struct kb_ccache *cache, struct kb_wait *wait,
                            struct kb_principal **out, struct kb_error *err)
{
    struct kb_cc_file file;
    enum kb_status st = kb_cc_open(cache, KB_CC_READ, wait, &file, err);

    if (st == KB_OK) {
        st = file.fd >= 0 ? kb_cc_read_owner(&file, out, err) : KB_NOT_FOUND;
    }
    kb_cc_close(&file);
    return st;
}

/* --- writing --- */

/* Beyond RLIMIT_FSIZE a write fails, but the signal that comes with it would end the program. */
static bool is_within_limit(size_t at, size_t len)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           at + len <= limit.rlim_cur;
}

static enum kb_status write_all(int fd, size_t at, kb_bytes bytes)
{
    if (!is_within_limit(at, bytes.len)) {
        errno = EFBIG;
        return KB_ERROR;
    }
    while (bytes.len > 0) {
        ssize_t wrote = write(fd, bytes.ptr, bytes.len);

        if (wrote < 0 && errno != EINTR) {
            return KB_ERROR;
        }
        bytes.ptr += wrote > 0 ? wrote : 0;
        bytes.len -= wrote > 0 ? (size_t)wrote : 0;
    }
    return KB_OK;
}

/* In one write, or not at all: what did not go in whole is cut off again. */
static enum kb_status append(struct kb_cc_file *file, kb_bytes bytes, struct kb_error *err)
{
    if (write_all(file->fd, (size_t)file->stat.st_size, bytes) != KB_OK) {
        enum kb_status st = failed_errno(file->cache, err);

        if (ftruncate(file->fd, file->stat.st_size) != 0) {
            kb_error_context(err, "What was written in part could not be taken back");
        }
        return st;
    }
    return fstat(file->fd, &file->stat) == 0 ? KB_OK : failed_errno(file->cache, err);
}

/* Puts `temporary` where the cache is, unless that is no more what we read. KB_NOT_FOUND: it is
 * not, look again. */
static enum kb_status put_in_place(const struct kb_cc_file *file, const char *temporary,
                                   struct kb_error *err)
{
    if (file->fd >= 0) {
        if (!kb_cc_is_still_it(file)) {
            return KB_NOT_FOUND;
        }
        return rename(temporary, file->path) == 0 ? KB_OK : failed_errno(file->cache, err);
    }
    if (link(temporary, file->path) == 0) {
        return KB_OK;
    }
    if (errno == EEXIST) {
        return KB_NOT_FOUND;
    }
    /* A file system without links. */
    return rename(temporary, file->path) == 0 ? KB_OK : failed_errno(file->cache, err);
}

static enum kb_status replace(struct kb_cc_file *file, kb_bytes bytes, struct kb_error *err)
{
    size_t len = strlen(file->path);
    char *temporary = malloc(len + sizeof(".XXXXXX"));
    enum kb_status st = KB_OK;
    int fd;

    if (temporary == NULL) {
        return kb_cc_explain(file->cache, KB_NO_MEMORY, err);
    }
    memcpy(temporary, file->path, len);
    memcpy(temporary + len, ".XXXXXX", sizeof(".XXXXXX"));
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        st = failed_errno(file->cache, err);
        free(temporary);
        return st;
    }
    if (write_all(fd, 0, bytes) != KB_OK) {
        st = failed_errno(file->cache, err);
    }
    if (st == KB_OK) {
        st = put_in_place(file, temporary, err);
    }
    if (st == KB_OK && (unlink(temporary), fstat(fd, &file->stat)) != 0) {
        st = failed_errno(file->cache, err);
    } else if (st != KB_OK) {
        unlink(temporary);
    }
    close(fd);
    free(temporary);
    return st;
}

static bool can_append(const struct kb_cc_contents *old, const struct kb_cc_store *what)
{
    return old != NULL && !what->fresh && old->version == 4 && old->whole == old->len;
}

/* With the lock. */
static enum kb_status write_ticket(struct kb_cc_file *file, const struct kb_cc_contents *old,
                                   const struct kb_cc_store *what, struct kb_error *err)
{
    struct kb_buf buf;
    enum kb_status st;

    kb_buf_init(&buf, KB_CC_MAX);
    if (can_append(old, what)) {
        kb_cc_put_entry(&buf, what);
        st = buf.status;
    } else {
        st = kb_cc_put_all(&buf, old, what, NULL, NULL);
    }
    if (st != KB_OK) {
        st = kb_cc_explain(file->cache, st, err);
    } else {
        st = can_append(old, what) ? append(file, kb_buf_bytes(&buf), err)
                                   : replace(file, kb_buf_bytes(&buf), err);
    }
    kb_buf_wipe(&buf);
    return st;
}

static enum kb_status check_writable(const struct kb_cc_file *file,
                                     const struct kb_cc_contents *old,
                                     const struct kb_cc_store *what, struct kb_error *err)
{
    if (file->fd >= 0 && file->stat.st_uid != geteuid()) {
        return kb_error_set(err, KB_E_CCACHE,
                            "credentials cache %s: it belongs to root and is not written",
                            file->cache->shown);
    }
    if (old == NULL) {
        return what->fresh ? KB_OK : KB_NOT_FOUND;
    }
    return kb_cc_check_owner(file->cache, old->owner, what->owner, err);
}

/* The contents of the locked file: those that are known, if nobody wrote to it, or with what came
 * behind them. For a cache that is written anew all of it is read, if that is not known as it is.
 */
static enum kb_status contents_of(const struct kb_cc_file *file, const struct kb_cc_store *what,
                                  struct kb_cc_contents **out, struct kb_error *err)
{
    struct kb_cc_contents *known = what != NULL && !what->fresh ? what->known : NULL;
    struct kb_cc_stamp now = kb_cc_stamp(&file->stat);
    enum kb_status st = KB_OK;

    *out = NULL;
    if (file->fd < 0) {
        return KB_OK;
    }
    if (known != NULL && kb_cc_same_stamp(&what->known_stamp, &now)) {
        *out = kb_cc_contents_ref(known);
    } else {
        st = kb_cc_read_on(file, known, out, err);
    }
    if (*out != NULL && (*out)->read_on && !can_append(*out, what)) {
        kb_cc_contents_put(*out);
        *out = NULL;
        st = kb_cc_read(file, out, err);
    }
    return st == KB_NOT_FOUND ? KB_OK : st;
}

static enum kb_status store_once(struct kb_cc_file *file, const struct kb_cc_store *what,
                                 struct kb_cc_stamp *out_stamp, bool *out_again,
                                 struct kb_error *err)
{
    struct kb_cc_contents *old;
    enum kb_status st = contents_of(file, what, &old, err);

    if (st != KB_OK) {
        return st;
    }
    st = check_writable(file, old, what, err);
    if (st == KB_OK) {
        st = write_ticket(file, old, what, err);
        *out_again = st == KB_NOT_FOUND;
    }
    if (st == KB_OK && old == what->known && can_append(old, what)) {
        *out_stamp = kb_cc_stamp(&file->stat);
    }
    kb_cc_contents_put(old);
    return st;
}

static enum kb_status store(const struct kb_ccache *cache, const struct kb_cc_store *what,
                            struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                            struct kb_error *err)
{
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        struct kb_cc_file file;
        enum kb_status st = kb_cc_open(cache, KB_CC_APPEND, wait, &file, err);
        bool again = false;

        if (st == KB_OK) {
            st = store_once(&file, what, out_stamp, &again, err);
        }
        kb_cc_close(&file);
        if (!again) {
            return st;
        }
    }
    return kb_error_set(err, KB_E_CCACHE, "credentials cache %s: others replace it all the time",
                        cache->shown);
}

/* --- removing --- */

/* As kdestroy: the keys are overwritten, unless the file has another name too. */
static void scrub(const struct kb_cc_file *file)
{
    static const uint8_t zeros[4096];
    struct stat st;

    if (fstat(file->fd, &st) != 0 || st.st_nlink != 0) {
        return;
    }
    for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(zeros)) {
        size_t len = (size_t)(st.st_size - at);

        if (pwrite(file->fd, zeros, len < sizeof(zeros) ? len : sizeof(zeros), at) < 0) {
            return;
        }
    }
}

static enum kb_status destroy(const struct kb_cc_file *file, const struct kb_cc_contents *old,
                              size_t *out_num, struct kb_error *err)
{
    for (size_t i = 0; i < old->num; i++) {
        *out_num += kb_cc_record_at(old, i)->kind == KB_CC_TICKET;
    }
    if (unlink(file->path) != 0) {
        *out_num = 0;
        return failed_errno(file->cache, err);
    }
    scrub(file);
    return KB_OK;
}

static enum kb_status remove_from(struct kb_cc_file *file, const struct kb_cc_contents *old,
                                  const struct kb_principal *server, size_t *out_num,
                                  struct kb_error *err)
{
    struct kb_buf buf;
    enum kb_status st;

    kb_buf_init(&buf, KB_CC_MAX);
    st = kb_cc_put_all(&buf, old, NULL, server, out_num);
    if (st != KB_OK) {
        st = kb_cc_explain(file->cache, st, err);
    } else if (*out_num > 0) {
        st = replace(file, kb_buf_bytes(&buf), err);
    }
    kb_buf_wipe(&buf);
    if (st != KB_OK) {
        *out_num = 0;
    }
    return st != KB_NOT_FOUND
               ? st
               : kb_error_set(err, KB_E_CCACHE,
                              "credentials cache %s: another program replaced it meanwhile",
                              file->cache->shown);
}

static enum kb_status remove_tickets(const struct kb_ccache *cache,
                                     const struct kb_principal *owner,
                                     const struct kb_principal *server, struct kb_wait *wait,
                                     size_t *out_num, struct kb_error *err)
{
    struct kb_cc_contents *old = NULL;
    struct kb_cc_file file;
    enum kb_status st = kb_cc_open(cache, KB_CC_ERASE, wait, &file, err);

    if (st == KB_OK) {
        st = contents_of(&file, NULL, &old, err);
    }
    if (st == KB_OK && old != NULL) {
        st = kb_cc_check_owner(cache, old->owner, owner, err);
        if (st == KB_OK) {
            st = server != NULL ? remove_from(&file, old, server, out_num, err)
                                : destroy(&file, old, out_num, err);
        }
    }
    kb_cc_contents_put(old);
    kb_cc_close(&file);
    return st;
}

const struct kb_ccache_ops kb_cc_file_ops = {.type = "FILE",
                                             .look = look,
                                             .load = load,
                                             .store = store,
                                             .remove = remove_tickets,
                                             .reload = reload,
                                             .owner = owner};
