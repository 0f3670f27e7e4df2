#include "mech/store/private_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum kb_status failed(const char *path, const char *what, struct kb_error *err)
{
    struct kb_buf shown;

    kb_buf_init(&shown, 1 << 14);
    kb_buf_add_escaped(&shown, kb_str(path));
    if (what != NULL) {
        (void)kb_error_set(err, KB_E_CCACHE, "the directory %s %s", kb_buf_str(&shown), what);
    } else {
        (void)kb_error_errno(err, KB_E_CCACHE, errno, "the directory %s", kb_buf_str(&shown));
    }
    kb_buf_wipe(&shown);
    return KB_ERROR;
}

static enum kb_status check_base(int fd, const char *base, bool mine, struct kb_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return failed(base, NULL, err);
    }
    if (st.st_uid != geteuid() && (mine || st.st_uid != 0)) {
        return failed(base, "belongs to another user", err);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (mine || (st.st_mode & S_ISVTX) == 0)) {
        return failed(base, "can be changed by others", err);
    }
    return KB_OK;
}

static enum kb_status check_own(int fd, const char *path, struct kb_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return failed(path, NULL, err);
    }
    if (st.st_uid != geteuid()) {
        return failed(path, "belongs to another user", err);
    }
    if ((st.st_mode & 0777) != 0700) {
        return failed(path, "is not of mode 0700", err);
    }
    return KB_OK;
}

static enum kb_status enter(int base, const char *name, const char *path, struct kb_error *err)
{
    enum kb_status st;
    int fd;

    if (mkdirat(base, name, 0700) != 0 && errno != EEXIST) {
        return failed(path, NULL, err);
    }
    fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return failed(path, NULL, err);
    }
    st = check_own(fd, path, err);
    close(fd);
    return st;
}

enum kb_status kb_private_dir(const char *base, const char *name, bool mine, struct kb_buf *out,
                              struct kb_error *err)
{
    enum kb_status st;
    int fd;

    kb_buf_printf(out, "%s/%s", base, name);
    if (out->status != KB_OK) {
        return kb_error_status(err, KB_E_CCACHE, out->status, "the path of a directory");
    }
    if (base[0] != '/') {
        return failed(base, "is not an absolute path", err);
    }
    fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return failed(base, NULL, err);
    }
    st = check_base(fd, base, mine, err);
    if (st == KB_OK) {
        st = enter(fd, name, kb_buf_str(out), err);
    }
    close(fd);
    return st;
}
