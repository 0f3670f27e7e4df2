/* file.h - reads small files for the options, and notices when they change.
 *
 * Nothing blocks: FIFOs and devices are read as far as they go at once. Under AT_SECURE a file must
 * belong to root and be writable by nobody else. Any thread. */
#ifndef KB_FILE_H
#define KB_FILE_H

#include <sys/stat.h>

#include "asn1/arena.h"
#include "mech/report/error.h"

#define KB_MAX_CONFIG_FILE 1048576

/* What tells one version of a file from another. */
struct kb_stamp {
    bool exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct kb_watch {
    const char *path;
    struct kb_stamp stamp;
    struct kb_watch *next;
};

/* The environment variables that the options look at. */
enum kb_variable {
    KB_ENV_OPTIONS,  /* KERBSIDE_OPTIONS */
    KB_ENV_CONFIG,   /* KERBSIDE_CONFIG */
    KB_ENV_GSS_MECH, /* GSS_MECH_CONFIG */
    KB_ENV_KRB5,     /* KRB5_CONFIG */
    KB_NUM_ENVIRONMENT
};

/* kb_environment finds them in one pass over the environment; NULL: not set, or AT_SECURE. The
 * texts are the environment's own. */
void kb_environment(const char *out[KB_NUM_ENVIRONMENT]);

/* kb_is_secure_exec: the program is set-uid or the like, and its caller is not to be trusted. */
bool kb_is_secure_exec(void);

/* kb_read_file appends a file to `out` (whose ceiling bounds it) and watches it, also one that does
 * not exist. `exposed`: group or others can read it. Returns 0 or an errno; EPERM under AT_SECURE
 * for a file that others may have written; EFBIG, ENOMEM. */
int kb_read_file(const char *path, struct kb_buf *out, bool *exposed, struct kb_arena *arena,
                 struct kb_watch **watched);

/* kb_watch_path watches a file or directory that is not read by kb_read_file. false: no memory. */
bool kb_watch_path(const char *path, struct kb_arena *arena, struct kb_watch **watched);
bool kb_watch_changed(const struct kb_watch *watched);

/* kb_errno_text is strerror without locale or static buffer. */
const char *kb_errno_text(int sys_errno, char *buf, size_t len);

#endif
