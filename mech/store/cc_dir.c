/* DIR: collections, as MIT and Heimdal have them: a directory with a FILE cache for each principal,
 * named tkt..., and a file `primary` that names the one which is meant where nobody says whose.
 * DIR:/dir is the collection, DIR::/dir/tktNAME one cache in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "mech/store/cc_open.h"

#define NAME_MAX_LEN 62 /* of a name in `primary`, as MIT has it */
#define SETTLED_S 2     /* a directory that changed less long ago may change unseen */
#define LOCK_MS 5000    /* for which we wait until another process has made its cache */
#define TURN_MS 20

/* Guards `chosen` and `chosen_at` of all caches; held for copying them alone. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void kb_cc_dir_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_cc_dir_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}

static enum kb_status failed_errno(const struct kb_ccache *cache, struct kb_error *err)
{
    return kb_error_errno(err, KB_E_CCACHE, errno, "credentials cache %s", cache->shown);
}

static bool is_collection(const char *rest)
{
    return rest[0] != ':';
}

static bool is_name(const char *name)
{
    return strncmp(name, "tkt", 3) == 0 && strchr(name, '/') == NULL && strchr(name, '\\') == NULL;
}

/* --- one cache in it --- */

static struct kb_ccache *file_at(const char *path)
{
    char shown[PATH_MAX + 8];

    snprintf(shown, sizeof(shown), "DIR::%s", path);
    return kb_ccache_make(&kb_cc_file_ops, path, shown);
}

static struct kb_ccache *file_in(const struct kb_ccache *cache, const char *name)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", cache->rest, name);

    return len > 0 && (size_t)len < sizeof(path) ? file_at(path) : NULL;
}

/* DIR::/dir/tktNAME */
static enum kb_status named_file(const struct kb_ccache *cache, struct kb_ccache **out,
                                 struct kb_error *err)
{
    const char *path = cache->rest + 1, *slash = strrchr(path, '/');

    if (slash == NULL || !is_name(slash + 1)) {
        return kb_error_set(err, KB_E_CCACHE,
                            "credentials cache %s: a cache in a directory is named "
                            "DIR::/directory/tkt...",
                            cache->shown);
    }
    *out = file_at(path);
    return *out != NULL ? KB_OK : KB_NO_MEMORY;
}

/* --- the primary one --- */

/* One line. KB_NOT_FOUND: there is no such file. */
static enum kb_status read_primary(const struct kb_ccache *cache, char name[NAME_MAX_LEN + 2],
                                   struct kb_error *err)
{
    char path[PATH_MAX], *end;
    struct stat st;
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "%s/primary", cache->rest);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? KB_NOT_FOUND : failed_errno(cache, err);
    }
    len = read(fd, name, NAME_MAX_LEN + 1);
    if (fstat(fd, &st) != 0 || (st.st_uid != geteuid() && st.st_uid != 0)) {
        len = -1;
    }
    close(fd);
    name[len > 0 ? len : 0] = '\0';
    end = strchr(name, '\n');
    if (end != NULL) {
        *end = '\0';
    }
    return end != NULL && is_name(name)
               ? KB_OK
               : kb_error_set(err, KB_E_CCACHE,
                              "credentials cache %s: the file \"primary\" in it names no cache",
                              cache->shown);
}

static enum kb_status write_primary(const struct kb_ccache *cache, const char *name,
                                    struct kb_error *err)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8], line[NAME_MAX_LEN + 2];
    int len = snprintf(line, sizeof(line), "%s\n", name), fd;
    bool wrote;

    snprintf(path, sizeof(path), "%s/primary", cache->rest);
    snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        return failed_errno(cache, err);
    }
    wrote = write(fd, line, (size_t)len) == len;
    close(fd);
    if (!wrote || rename(temporary, path) != 0) {
        enum kb_status st = failed_errno(cache, err);

        unlink(temporary);
        return st;
    }
    return KB_OK;
}

static enum kb_status primary_file(const struct kb_ccache *cache, struct kb_ccache **out,
                                   struct kb_error *err)
{
    char name[NAME_MAX_LEN + 2] = "tkt"; /* where there is no `primary`, as with MIT */
    enum kb_status st = read_primary(cache, name, err);

    if (st != KB_OK && st != KB_NOT_FOUND) {
        return st;
    }
    *out = file_in(cache, st == KB_OK ? name : "tkt");
    return *out != NULL ? KB_OK : KB_NO_MEMORY;
}

/* --- that of one principal --- */

/* What cannot be read is somebody else's, or nobody's yet. */
static bool is_owners(const struct kb_ccache *file, const struct kb_principal *owner)
{
    struct kb_principal *is = NULL;
    struct kb_error ignored = {0};
    struct kb_cc_file open;
    bool same = false;

    if (kb_cc_open(file, KB_CC_PEEK, NULL, &open, &ignored) == KB_OK && open.fd >= 0 &&
        kb_cc_read_owner(&open, &is, &ignored) == KB_OK) {
        same = kb_principal_equal(is, owner);
    }
    kb_cc_close(&open);
    kb_principal_free(is);
    return same;
}

/* The primary one, if it is his; else the first that is, as krb5_cc_cache_match finds it. */
static enum kb_status owners_file(const struct kb_ccache *cache, const struct kb_principal *owner,
                                  struct kb_ccache **out, struct kb_error *err)
{
    struct kb_error ignored = {0};
    struct kb_ccache *file = NULL;
    struct dirent *entry;
    DIR *dir;

    if (primary_file(cache, &file, &ignored) == KB_OK && is_owners(file, owner)) {
        *out = file;
        return KB_OK;
    }
    kb_ccache_put(file);
    dir = opendir(cache->rest);
    if (dir == NULL) {
        return errno == ENOENT ? KB_NOT_FOUND : failed_errno(cache, err);
    }
    while (*out == NULL && (entry = readdir(dir)) != NULL) {
        file = is_name(entry->d_name) ? file_in(cache, entry->d_name) : NULL;
        if (file != NULL && is_owners(file, owner)) {
            *out = file;
            file = NULL;
        }
        kb_ccache_put(file);
    }
    closedir(dir);
    return *out != NULL ? KB_OK : KB_NOT_FOUND;
}

/* --- which one is meant --- */

/* The files in a directory and its `primary` are the same while it has this stamp; all zero: that
 * cannot be said. */
static struct kb_cc_stamp settled(const struct kb_ccache *cache)
{
    struct timespec now;
    struct stat st;

    clock_gettime(CLOCK_REALTIME, &now);
    return stat(cache->rest, &st) == 0 && now.tv_sec - st.st_mtim.tv_sec >= SETTLED_S
               ? kb_cc_stamp(&st)
               : (struct kb_cc_stamp){{0}};
}

static struct kb_ccache *chosen_before(const struct kb_ccache *cache, const struct kb_cc_stamp *at)
{
    struct kb_ccache *file = NULL;

    pthread_mutex_lock(&lock);
    if (cache->memo->chosen != NULL && at->words[0] != 0 &&
        kb_cc_same_stamp(&cache->memo->chosen_at, at)) {
        file = kb_ccache_ref(cache->memo->chosen);
    }
    pthread_mutex_unlock(&lock);
    return file;
}

/* NULL: none. */
static void remember(const struct kb_ccache *cache, struct kb_ccache *file,
                     const struct kb_cc_stamp *at)
{
    struct kb_ccache *old;

    pthread_mutex_lock(&lock);
    old = cache->memo->chosen;
    cache->memo->chosen = file != NULL ? kb_ccache_ref(file) : NULL;
    cache->memo->chosen_at = *at;
    pthread_mutex_unlock(&lock);
    kb_ccache_put(old);
}

/* KB_NOT_FOUND: there is none. */
static enum kb_status choose(const struct kb_ccache *cache, struct kb_ccache **out,
                             struct kb_error *err)
{
    struct kb_cc_stamp at;
    enum kb_status st;

    *out = NULL;
    if (!is_collection(cache->rest)) {
        st = named_file(cache, out, err);
    } else {
        at = settled(cache);
        *out = chosen_before(cache, &at);
        if (*out != NULL) {
            return KB_OK;
        }
        st = cache->owner != NULL ? owners_file(cache, cache->owner, out, err)
                                  : primary_file(cache, out, err);
        if (st == KB_OK) {
            remember(cache, *out, &at);
        }
    }
    return st == KB_NO_MEMORY ? kb_cc_explain(cache, st, err) : st;
}

/* `owner`'s, whosever is meant. */
static enum kb_status choose_for(const struct kb_ccache *cache, const struct kb_principal *owner,
                                 struct kb_ccache **out, struct kb_error *err)
{
    if (!is_collection(cache->rest) ||
        (cache->owner != NULL && kb_principal_equal(cache->owner, owner))) {
        return choose(cache, out, err);
    }
    *out = NULL;
    return owners_file(cache, owner, out, err);
}

static struct kb_cc_stamp look(const struct kb_ccache *cache)
{
    struct kb_error ignored = {0};
    struct kb_cc_stamp stamp = {{0}};
    struct kb_ccache *file;

    if (choose(cache, &file, &ignored) == KB_OK) {
        stamp = kb_cc_file_ops.look(file);
    }
    kb_ccache_put(file);
    return stamp;
}

static enum kb_status reload(const struct kb_ccache *cache, struct kb_cc_contents *known,
                             struct kb_wait *wait, struct kb_cc_contents **out,
                             struct kb_error *err)
{
    for (bool again = false;; again = true) {
        const struct kb_cc_stamp none = {{0}};
        struct kb_ccache *file;
        enum kb_status st = choose(cache, &file, err);

        if (st == KB_OK) {
            st = kb_cc_file_ops.reload(file, known, wait, out, err);
        }
        kb_ccache_put(file);
        if (st != KB_OK || cache->owner == NULL || again ||
            kb_principal_equal((*out)->owner, cache->owner)) {
            return st;
        }
        /* Somebody else's by now, written into the same file. */
        kb_cc_contents_put(*out);
        *out = NULL;
        remember(cache, NULL, &none);
    }
}

static enum kb_status load(const struct kb_ccache *cache, struct kb_wait *wait,
                           struct kb_cc_contents **out, struct kb_error *err)
{
    return reload(cache, NULL, wait, out, err);
}

static enum kb_status owner(const struct kb_ccache *cache, struct kb_wait *wait,
                            struct kb_principal **out, struct kb_error *err)
{
    struct kb_ccache *file;
    enum kb_status st = choose(cache, &file, err);

    if (st == KB_OK) {
        st = kb_cc_file_ops.owner(file, wait, out, err);
    }
    kb_ccache_put(file);
    return st;
}

/* --- a new one --- */

/* One process at a time makes a cache, so that a principal has one. -1: there is no directory, or
 * no lock, and nothing to wait for. */
static enum kb_status lock_directory(const struct kb_ccache *cache, struct kb_wait *wait,
                                     int *out_fd, struct kb_error *err)
{
    int64_t give_up = kb_now_ms() + LOCK_MS;
    enum kb_status st = KB_OK;

    *out_fd = open(cache->rest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out_fd < 0 && errno == ENOENT && mkdir(cache->rest, 0700) == 0) {
        *out_fd = open(cache->rest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (*out_fd < 0) {
        return failed_errno(cache, err);
    }
    while (st == KB_OK && flock(*out_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK &&
           kb_now_ms() < give_up) {
        struct pollfd fds[KB_WAIT_FDS];
        int ready;

        st = kb_wait_poll(wait, fds, 0, kb_now_ms() + TURN_MS, &ready);
    }
    return st == KB_OK
               ? KB_OK
               : kb_error_status(err, KB_E_CCACHE, st, "credentials cache %s: waiting for its lock",
                                 cache->shown);
}

static enum kb_status random_name(char out[NAME_MAX_LEN + 2])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint8_t bytes[8];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        return KB_ERROR;
    }
    memcpy(out, "tkt", 3);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[3 + i] = letters[bytes[i] % (sizeof(letters) - 1)];
    }
    out[3 + sizeof(bytes)] = '\0';
    return KB_OK;
}

/* Where a new cache goes: to where `primary` points, if nothing is there, as MIT's kinit does; else
 * beside it. */
static enum kb_status new_name(const struct kb_ccache *cache, char name[NAME_MAX_LEN + 2],
                               bool *out_primary, struct kb_error *err)
{
    enum kb_status st = read_primary(cache, name, err);
    char path[PATH_MAX];
    struct stat there;

    *out_primary = st == KB_NOT_FOUND;
    if (st == KB_OK) {
        snprintf(path, sizeof(path), "%s/%s", cache->rest, name);
        if (lstat(path, &there) != 0 && errno == ENOENT) {
            return KB_OK;
        }
    }
    return st == KB_ERROR ? st : random_name(name) == KB_OK ? KB_OK : failed_errno(cache, err);
}

static enum kb_status store_new(const struct kb_ccache *cache, const struct kb_cc_store *what,
                                struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                                struct kb_error *err)
{
    char name[NAME_MAX_LEN + 2];
    struct kb_ccache *file = NULL;
    bool primary = false;
    enum kb_status st;
    int fd;

    st = lock_directory(cache, wait, &fd, err);
    if (st == KB_OK) {
        st = owners_file(cache, what->owner, &file, err); /* another process made it meanwhile */
    }
    if (st == KB_NOT_FOUND) {
        st = new_name(cache, name, &primary, err);
        file = st == KB_OK ? file_in(cache, name) : NULL;
    }
    if (st == KB_OK) {
        st = file != NULL ? kb_cc_file_ops.store(file, what, wait, out_stamp, err)
                          : kb_cc_explain(cache, KB_NO_MEMORY, err);
    }
    if (st == KB_OK && primary) {
        st = write_primary(cache, name, err);
    }
    kb_ccache_put(file);
    if (fd >= 0) {
        (void)flock(fd, LOCK_UN); /* the child of a fork(2) has the open directory too */
        close(fd);
    }
    return st;
}

static enum kb_status store(const struct kb_ccache *cache, const struct kb_cc_store *what,
                            struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                            struct kb_error *err)
{
    struct kb_ccache *file;
    enum kb_status st = choose_for(cache, what->owner, &file, err);

    if (st == KB_OK) {
        st = kb_cc_file_ops.store(file, what, wait, out_stamp, err);
    } else if (st == KB_NOT_FOUND && what->fresh) {
        st = store_new(cache, what, wait, out_stamp, err);
    }
    kb_ccache_put(file);
    return st;
}

static enum kb_status remove_tickets(const struct kb_ccache *cache,
                                     const struct kb_principal *owner,
                                     const struct kb_principal *server, struct kb_wait *wait,
                                     size_t *out_num, struct kb_error *err)
{
    struct kb_ccache *file;
    enum kb_status st = choose_for(cache, owner, &file, err);

    if (st == KB_OK) {
        st = kb_cc_file_ops.remove(file, owner, server, wait, out_num, err);
    }
    kb_ccache_put(file);
    return st == KB_NOT_FOUND ? KB_OK : st;
}

const struct kb_ccache_ops kb_cc_dir_ops = {.type = "DIR",
                                            .look = look,
                                            .load = load,
                                            .store = store,
                                            .remove = remove_tickets,
                                            .reload = reload,
                                            .owner = owner,
                                            .is_collection = is_collection};
