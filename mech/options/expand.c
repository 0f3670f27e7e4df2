#include "mech/options/expand.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "mech/options/account.h"
#include "mech/options/text.h"

/* --- what a name stands for: heap text, NULL with *err --- */

static char *number(unsigned long value, struct kb_error *err)
{
    char *text;

    if (asprintf(&text, "%lu", value) < 0) {
        kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
        return NULL;
    }
    return text;
}

static char *expand_uid(uid_t euid, struct kb_error *err)
{
    (void)euid;
    return number(getuid(), err);
}

static char *expand_euid(uid_t euid, struct kb_error *err)
{
    return number(euid, err);
}

static char *expand_username(uid_t euid, struct kb_error *err)
{
    char *name;
    enum kb_status st = kb_user_name(euid, &name);

    if (st == KB_NO_MEMORY) {
        kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    } else if (st != KB_OK) {
        kb_error_set(err, KB_E_OPTION, "%%{username}: the system knows no user %lu",
                     (unsigned long)euid);
    }
    return name;
}

static char *expand_hostname(uid_t euid, struct kb_error *err)
{
    struct utsname host;
    char *name;

    (void)euid;
    name = uname(&host) == 0 ? kb_strdup(kb_str(host.nodename)) : NULL;
    if (name == NULL) {
        kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    return name;
}

static char *expand_credentials(uid_t euid, struct kb_error *err)
{
    const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");
    char *copy;

    (void)euid;
    if (directory == NULL || directory[0] == '\0') {
        kb_error_set(err, KB_E_OPTION,
                     "%%{credentials}: $CREDENTIALS_DIRECTORY is not set; systemd sets it for a "
                     "service with LoadCredential=");
        return NULL;
    }
    copy = kb_strdup(kb_str(directory));
    if (copy == NULL) {
        kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    return copy;
}

static char *expand_home(uid_t euid, struct kb_error *err)
{
    const char *variable = secure_getenv("HOME");
    enum kb_status st = KB_OK;
    char *path = NULL;

    if (variable != NULL && variable[0] != '\0') {
        path = kb_strdup(kb_str(variable));
    } else {
        st = kb_user_home(euid, &path);
    }
    if (st == KB_NOT_FOUND) {
        kb_error_set(err, KB_E_OPTION, "`~`: user %lu has no home directory", (unsigned long)euid);
    } else if (path == NULL) {
        kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    return path;
}

static const struct token {
    const char *name;
    bool personal;
    char *(*expand)(uid_t euid, struct kb_error *err);
} tokens[] = {
    {"%{uid}", true, expand_uid},
    {"%{euid}", true, expand_euid},
    {"%{username}", true, expand_username},
    {"%{hostname}", false, expand_hostname},
    {"%{credentials}", true, expand_credentials},
};
#define NUM_TOKENS (sizeof(tokens) / sizeof(tokens[0]))

static const struct token home = {"~", true, expand_home};

/* --- scanning --- */

/* The token that `at` begins with, NULL if it is none. */
static const struct token *token_at(const char *text, const char *at)
{
    if (at == text && at[0] == '~') {
        return &home;
    }
    for (size_t i = 0; i < NUM_TOKENS; i++) {
        if (strncmp(at, tokens[i].name, strlen(tokens[i].name)) == 0) {
            return &tokens[i];
        }
    }
    return NULL;
}

static enum kb_status unknown(const char *at, struct kb_error *err)
{
    const char *end = strchr(at, '}');
    kb_bytes word = end != NULL ? kb_bytes_of(at, (size_t)(end - at) + 1) : kb_str(at);

    return kb_error_set(
        err, KB_E_OPTION,
        "`%s` is not known; there are %%{uid}, %%{euid}, %%{username}, %%{hostname} and "
        "%%{credentials}",
        kb_show(word).text);
}

enum kb_status kb_expand_check(const char *text, struct kb_error *err)
{
    if (text[0] == '~' && text[1] != '/' && text[1] != '\0') {
        return kb_error_set(err, KB_E_OPTION,
                            "`~` stands for one's own home directory only; write the path");
    }
    for (const char *at = strstr(text, "%{"); at != NULL; at = strstr(at + 1, "%{")) {
        if (token_at(text, at) == NULL) {
            return unknown(at, err);
        }
    }
    return KB_OK;
}

bool kb_expand_is_personal(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        const struct token *token = token_at(text, at);

        if (token != NULL && token->personal) {
            return true;
        }
    }
    return false;
}

static enum kb_status add_token(const struct token *token, uid_t euid, struct kb_buf *out,
                                struct kb_error *err)
{
    char *value = token->expand(euid, err);

    if (value == NULL) {
        return KB_ERROR;
    }
    kb_buf_add_str(out, value);
    free(value);
    return KB_OK;
}

enum kb_status kb_expand(const char *text, uid_t euid, struct kb_arena *arena, const char **out,
                         struct kb_error *err)
{
    enum kb_status st = kb_expand_check(text, err);
    struct kb_buf buf;

    *out = text;
    if (st != KB_OK || (text[0] != '~' && strstr(text, "%{") == NULL)) {
        return st;
    }
    kb_buf_init(&buf, PATH_MAX);
    for (const char *at = text; *at != '\0' && st == KB_OK;) {
        const struct token *token = token_at(text, at);

        if (token != NULL) {
            st = add_token(token, euid, &buf, err);
            at += strlen(token->name);
        } else {
            kb_buf_add(&buf, kb_bytes_of(at++, 1));
        }
    }
    *out = NULL;
    if (st == KB_OK && buf.status == KB_OK) {
        *out = kb_arena_text(arena, kb_buf_bytes(&buf));
    }
    if (st == KB_OK && *out == NULL) {
        st = kb_error_status(err, KB_E_OPTION, buf.status != KB_OK ? buf.status : KB_NO_MEMORY,
                             "expanding `~` and %%{...}");
    }
    kb_buf_wipe(&buf);
    return st;
}

/* src/lib/krb5/os/expand_path.c; MIT's other tokens are also ours, or are folders of programs. */
enum kb_status kb_expand_platforms(const char *text, uid_t euid, struct kb_arena *arena,
                                   const char **out, struct kb_error *err)
{
    const char *temp = strstr(text, "%{TEMP}"), *directory = secure_getenv("TMPDIR"), *mine;
    struct kb_buf buf;

    if (temp == NULL) {
        return kb_expand(text, euid, arena, out, err);
    }
    kb_buf_init(&buf, PATH_MAX);
    kb_buf_add(&buf, kb_bytes_of(text, (size_t)(temp - text)));
    kb_buf_add_str(&buf, directory != NULL ? directory : "/tmp");
    kb_buf_add_str(&buf, temp + 7);
    mine = buf.status == KB_OK ? kb_arena_text(arena, kb_buf_bytes(&buf)) : NULL;
    kb_buf_wipe(&buf);
    return mine != NULL ? kb_expand(mine, euid, arena, out, err)
                        : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}
