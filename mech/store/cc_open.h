/* cc_open.h - a cache's file, opened and locked so that MIT's and Heimdal's programs respect it
 * (cc_open.c), and read (cc_read.c). Private to FILE: and DIR: caches.
 *
 * The lock is fcntl(2)'s over the whole file, as theirs, owned by the open file (F_OFD_SETLK), so
 * it also holds between threads and is nobody else's to lose. It is asked for in turns, through the
 * call's kb_wait. Where the file system has no locks, there is none. */
#ifndef KB_CC_OPEN_H
#define KB_CC_OPEN_H

#include <sys/stat.h>

#include "mech/store/ccache_ops.h"

struct kb_cc_file {
    const struct kb_ccache *cache;
    char *path; /* the file itself, behind a symbolic link */
    int fd;     /* -1: there is no such file */
    struct stat stat;
};

enum kb_cc_mode { KB_CC_PEEK, KB_CC_READ, KB_CC_APPEND, KB_CC_ERASE };

/* kb_cc_open opens and locks, to read shared, else alone; to peek not at all (no `wait`). What it
 * opens is a regular file of the user's or of root's, and still is the cache once the lock is had.
 * No file: KB_OK with fd -1. A reader that waits long for somebody's lock reads without it, as
 * Heimdal does always: what is being written then is not whole yet. kb_cc_close follows in any
 * case. */
KB_MUST_USE enum kb_status kb_cc_open(const struct kb_ccache *cache, enum kb_cc_mode mode,
                                      struct kb_wait *wait, struct kb_cc_file *out,
                                      struct kb_error *err);
void kb_cc_close(struct kb_cc_file *file);

/* kb_cc_is_still_it: does the path lead to the file that is open? */
bool kb_cc_is_still_it(const struct kb_cc_file *file);

struct kb_cc_stamp kb_cc_stamp(const struct stat *st);

/* kb_cc_read reads all of a file that is open. kb_cc_read_on reads only what came behind `known`
 * (NULL: nothing is), where the file only grew since. KB_NOT_FOUND: there is nothing in it yet. */
KB_MUST_USE enum kb_status kb_cc_read(const struct kb_cc_file *file, struct kb_cc_contents **out,
                                      struct kb_error *err);
KB_MUST_USE enum kb_status kb_cc_read_on(const struct kb_cc_file *file,
                                         struct kb_cc_contents *known, struct kb_cc_contents **out,
                                         struct kb_error *err);

/* kb_cc_read_owner reads its beginning: *out is the caller's. */
KB_MUST_USE enum kb_status kb_cc_read_owner(const struct kb_cc_file *file,
                                            struct kb_principal **out, struct kb_error *err);

#endif
