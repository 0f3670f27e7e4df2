/* Reads krb5.conf and what it includes. */
#include "mech/options/krb5conf_own.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mech/options/account.h"
#include "mech/options/layers.h"
#include "mech/options/text.h"

#define DEFAULT_PATH "/etc/krb5.conf"
#define MAX_DEPTH 10

struct loader {
    struct kb_krb5conf *conf;
    struct kb_arena *arena; /* of the watch list */
    struct kb_watch **watched;
    unsigned depth;
};

static enum kb_status load_file(struct loader *loader, const char *path, bool must_exist,
                                struct kb_error *err);

static enum kb_status file_failed(const char *path, int sys_errno, struct kb_error *err)
{
    char buf[128];

    if (sys_errno == ENOMEM) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    (void)kb_error_set(err, KB_E_OPTION, "%s: %s", kb_show(kb_str(path)).text,
                       kb_errno_text(sys_errno, buf, sizeof(buf)));
    kb_error_cause(err, sys_errno);
    return KB_ERROR;
}

/* MIT's rule for includedir: *.conf, or nothing but letters, digits, `-` and `_`; no dot files. */
static int is_included(const struct dirent *entry)
{
    const char *name = entry->d_name;
    size_t len = strlen(name);

    if (name[0] == '.') {
        return 0;
    }
    if (len >= 5 && strcmp(name + len - 5, ".conf") == 0) {
        return 1;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum kb_status load_entry(struct loader *loader, const char *directory, const char *name,
                                 struct kb_error *err)
{
    enum kb_status st;
    char *path;

    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    st = load_file(loader, path, true, err);
    free(path);
    return st;
}

static enum kb_status load_directory(struct loader *loader, const char *path, struct kb_error *err)
{
    enum kb_status st = KB_OK;
    struct dirent **entries;
    int num;

    if (!kb_watch_path(path, loader->arena, loader->watched)) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    num = scandir(path, &entries, is_included, by_name);
    if (num < 0) {
        return file_failed(path, errno, err);
    }
    for (int i = 0; i < num; i++) {
        if (st == KB_OK) {
            st = load_entry(loader, path, entries[i]->d_name, err);
        }
        free(entries[i]);
    }
    free(entries);
    return st;
}

static enum kb_status include(void *context, const char *path, bool directory, struct kb_error *err)
{
    struct loader *loader = context;
    enum kb_status st;

    if (loader->depth >= MAX_DEPTH) {
        return kb_error_set(err, KB_E_OPTION, "files include each other more than %d deep",
                            MAX_DEPTH);
    }
    loader->depth++;
    st = directory ? load_directory(loader, path, err) : load_file(loader, path, true, err);
    loader->depth--;
    return st;
}

static bool is_missing(int sys_errno)
{
    return sys_errno == ENOENT || sys_errno == ENOTDIR || sys_errno == EACCES;
}

static enum kb_status load_file(struct loader *loader, const char *path, bool must_exist,
                                struct kb_error *err)
{
    enum kb_status st = KB_OK;
    struct kb_buf buf;
    bool exposed;
    int result;

    kb_buf_init(&buf, KB_MAX_CONFIG_FILE);
    result = kb_read_file(path, &buf, &exposed, loader->arena, loader->watched);
    if (result == EISDIR && !must_exist) {
        st = load_directory(loader, path, err);
    } else if (result == EISDIR) {
        st = KB_OK; /* what is included must be a file; MIT reads nothing from a directory */
    } else if (result != 0 && (must_exist || !is_missing(result))) {
        st = file_failed(path, result, err);
    } else if (result == 0) {
        st = kb_profile_parse(&loader->conf->profile, kb_buf_bytes(&buf), path, err);
    }
    kb_buf_wipe(&buf);
    return st;
}

/* As MIT has it: `~/` in front of a file that KRB5_CONFIG names, $HOME's or else the account's. On
 * KB_OK the caller frees *out. */
static enum kb_status at_home(const char *path, char **out)
{
    const char *variable = secure_getenv("HOME");
    char *home = NULL;
    enum kb_status st = KB_OK;

    *out = NULL;
    if (strncmp(path, "~/", 2) != 0) {
        *out = strdup(path);
        return *out != NULL ? KB_OK : KB_NO_MEMORY;
    }
    if (variable == NULL) {
        st = kb_user_home(getuid(), &home);
        variable = st == KB_OK ? home : "~";
    }
    if (st != KB_NO_MEMORY) {
        st = asprintf(out, "%s%s", variable, path + 1) >= 0 ? KB_OK : KB_NO_MEMORY;
    }
    free(home);
    return st;
}

static enum kb_status load_named(struct loader *loader, const char *name, struct kb_error *err)
{
    char *path;
    enum kb_status st = at_home(name, &path);

    if (st != KB_OK) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    st = load_file(loader, path, false, err);
    free(path);
    return st;
}

static enum kb_status load_paths(struct loader *loader, const char *paths, struct kb_error *err)
{
    enum kb_status st = KB_OK;
    char *list = strdup(paths), *rest = list, *path;

    if (list == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    /* As MIT has it, an empty entry ends the list. */
    while (st == KB_OK && (path = strsep(&rest, ":")) != NULL && path[0] != '\0') {
        st = load_named(loader, path, err);
        loader->conf->profile.number++;
    }
    free(list);
    return st;
}

enum kb_status kb_krb5conf_load(const char *paths, struct kb_arena *arena,
                                struct kb_watch **watched, const struct kb_krb5conf **out,
                                struct kb_error *err)
{
    struct loader loader = {.conf = kb_krb5conf_new(err), .arena = arena, .watched = watched};

    *out = NULL;
    if (loader.conf == NULL) {
        return KB_ERROR;
    }
    loader.conf->profile.include = include;
    loader.conf->profile.context = &loader;
    return kb_krb5conf_finish(
        loader.conf, load_paths(&loader, paths != NULL ? paths : DEFAULT_PATH, err), out, err);
}
