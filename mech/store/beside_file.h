/* beside_file.h - the small file beside a credentials cache, through which processes hear of each
 * other: a table that each may read and change, and locks.
 *
 * It is ours alone: a regular file of the effective user's, mode 0600, with one name, never reached
 * through a symbolic link; another one is left as it is, and an error. What is in it and is no
 * table is overwritten. Each file is made with random bytes of its own (kb_beside_key), under which
 * digests of secrets are kept in it.
 *
 * Behind it, 4 KiB tell when and by whom each lock was taken last.
 *
 * Readers take no lock, and read what counts, mostly less than a page. A change takes fcntl(2)'s
 * over the table, for as long as reading and writing at most 16 KiB takes, and waits for it at most
 * KB_BESIDE_PATIENCE_MS. Beyond the table's bytes,
 * single ones are locks for whatever their users agree on (kb_beside_try). All locks belong to the
 * open file (F_OFD_SETLK): they hold between threads too, and the kernel drops them with their
 * process.
 *
 * A kb_beside_file is one thread's. Not held over fork(2): the descriptor is closed in the child.
 */
#ifndef KB_BESIDE_FILE_H
#define KB_BESIDE_FILE_H

#include "mech/report/error.h"
#include "mech/store/beside_format.h"

#define KB_BESIDE_PATIENCE_MS 300
#define KB_BESIDE_KEY_LEN 64

struct kb_beside_file {
    int fd; /* -1: closed */
};

/* kb_beside_open opens the file, and makes it where it is not there and `make` says so.
 * KB_NOT_FOUND
 * (*err untouched): there is none. KB_ERROR: it is not to be used, cannot be made. */
KB_MUST_USE enum kb_status kb_beside_open(const char *path, bool make, struct kb_beside_file *out,
                                          struct kb_error *err);
void kb_beside_close(struct kb_beside_file *file); /* drops its locks; twice is accepted */

/* kb_beside_is_there: does a path still lead to it? Somebody may have removed it. */
bool kb_beside_is_there(const struct kb_beside_file *file);

/* What the file held at one time; kb_beside_contents_wipe accepts all zero. */
struct kb_beside_contents {
    uint8_t *bytes; /* heap: the beginnings of both slots, */
    size_t room;    /* so much of each */
    struct kb_beside_table table;
};

/* kb_beside_load reads the table. KB_NOT_FOUND: there is none in it. KB_NO_MEMORY, KB_ERROR. */
KB_MUST_USE enum kb_status kb_beside_load(const struct kb_beside_file *file,
                                          struct kb_beside_contents *out);
void kb_beside_contents_wipe(struct kb_beside_contents *contents);

/* kb_beside_key lends the file's own random bytes; empty: there is no table. */
kb_bytes kb_beside_key(const struct kb_beside_table *table);

/* kb_beside_change puts `changes` into the table as it is then, or begins one. KB_ERROR with *err:
 * no space, somebody holds the lock. */
KB_MUST_USE enum kb_status kb_beside_change(const struct kb_beside_file *file,
                                            const struct kb_beside_record *changes, size_t num,
                                            int64_t now, struct kb_error *err);

/* kb_beside_try asks once for lock number `number` (below KB_BESIDE_LOCKS); false: somebody else
 * has it. Where the file system has no locks, everybody gets it. */
#define KB_BESIDE_LOCKS (UINT32_C(1) << 30)
KB_MUST_USE bool kb_beside_try(const struct kb_beside_file *file, uint32_t number);
void kb_beside_unlock(const struct kb_beside_file *file, uint32_t number);

/* kb_beside_taken tells who took it last: while that stays the same, so does who has it. */
struct kb_beside_holder {
    uint64_t when; /* nanoseconds of the monotonic clock; 0: not known */
    uint64_t pid;  /* in its own name space */
};
struct kb_beside_holder kb_beside_taken(const struct kb_beside_file *file, uint32_t number);

/* kb_beside_is_stopped: is that process stopped (SIGSTOP, a debugger)? False where it cannot be
 * seen. */
bool kb_beside_is_stopped(const struct kb_beside_holder *holder);

#endif
