#include "mech/options/checking.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/enctype.h"
#include "mech/options/account.h"
#include "mech/options/conflicts.h"
#include "mech/options/krb5conf.h"
#include "mech/options/match.h"
#include "mech/options/password.h"
#include "mech/options/text.h"
#include "mech/options/user.h"
#include "mech/options/value.h"
#include "mech/report/old.h"

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static bool is_lost(const struct kb_unit *unit)
{
    for (const struct kb_condition *c = unit->conditions; c != NULL; c = c->next) {
        if (c == &kb_never) {
            return true;
        }
    }
    return false;
}

static bool has_wildcard(const char *pattern)
{
    return strpbrk(pattern, "*?[") != NULL;
}

/* The place of a section: its first setting's. */
static struct kb_origin place_of(const struct kb_unit *unit)
{
    return unit->settings != NULL ? unit->settings->from : (struct kb_origin){0};
}

/* --- conditions that never hold --- */

static enum kb_status check_user_pattern(struct kb_checking *checking,
                                         const struct kb_origin *place, const char *pattern,
                                         struct kb_error *err)
{
    enum kb_status st = KB_OK;
    gid_t gid;

    if (pattern[0] == '%') {
        st = kb_group_id(pattern + 1, &gid);
    } else if (!has_wildcard(pattern) && strspn(pattern, "0123456789") != strlen(pattern)) {
        st = kb_user_exists(pattern);
    }
    if (st == KB_NO_MEMORY) {
        return no_memory(err);
    }
    if (st != KB_OK) {
        kb_check_tell(checking, place, true, KB_E_OPTION, "this system has no %s `%s`",
                      pattern[0] == '%' ? "group" : "user",
                      kb_show(kb_str(pattern + (pattern[0] == '%'))).text);
    }
    return KB_OK;
}

static enum kb_status check_condition(struct kb_checking *checking, const struct kb_origin *place,
                                      const struct kb_condition *condition, struct kb_error *err)
{
    const char *pattern = condition->pattern, *never = NULL;

    switch (condition->kind) {
    case KB_IF_USER:
        return check_user_pattern(checking, place, pattern, err);
    case KB_IF_PROGRAM:
        never = pattern[0] != '/' && !has_wildcard(pattern)
                    ? "no program has that path; write the whole path, or */NAME"
                    : NULL;
        break;
    case KB_IF_TARGET:
        never = strpbrk(pattern, "@/") == NULL && !has_wildcard(pattern)
                    ? "no target has that name; write service@host, or *@host"
                    : NULL;
        break;
    case KB_IF_CLIENT:
        never = strchr(pattern, '@') == NULL && !has_wildcard(pattern)
                    ? "no client has that name; write name@REALM, or name@*"
                    : NULL;
        break;
    }
    if (never != NULL) {
        kb_check_tell(checking, place, true, KB_E_OPTION, "the section's `%s`: %s",
                      kb_show(kb_str(pattern)).text, never);
    }
    return KB_OK;
}

/* --- one setting --- */

static void check_repetition(struct kb_checking *checking, const struct kb_setting *setting)
{
    for (const struct kb_setting *s = setting->next; s != NULL; s = s->next) {
        if (s->row == setting->row) {
            kb_check_tell(checking, &setting->from, true, KB_E_OPTION,
                          "%s is set once more in line %u, which wins", setting->row->name,
                          s->from.line);
            return;
        }
    }
}

/* A file that must be there when it is needed: is it? */
static bool check_file(struct kb_checking *checking, const struct kb_setting *setting,
                       const char *path)
{
    struct stat info;
    char buf[128];
    const char *why = NULL;

    if (stat(path, &info) != 0) {
        why = kb_errno_text(errno, buf, sizeof(buf));
    } else if (!S_ISREG(info.st_mode)) {
        why = "not a regular file";
    }
    if (why != NULL) {
        kb_check_tell(checking, &setting->from, true, KB_E_OPTION, "%s: %s: %s", setting->row->name,
                      kb_show(kb_str(path)).text, why);
    }
    return why == NULL;
}

/* A file that is written: its directory must be there. */
static void check_written(struct kb_checking *checking, const struct kb_setting *setting,
                          const char *path)
{
    const char *slash = strrchr(path, '/');
    kb_bytes directory = slash == path ? KB_LIT("/") : kb_bytes_of(path, (size_t)(slash - path));
    const char *why = NULL;
    struct stat info;
    char buf[128];
    char *text = kb_strdup(directory);

    if (text == NULL) {
        checking->no_memory = true;
        return;
    }
    if (stat(text, &info) != 0) {
        why = kb_errno_text(errno, buf, sizeof(buf));
    } else if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        why = "it is a directory";
    }
    if (why != NULL) {
        kb_check_tell(checking, &setting->from, true, KB_E_OPTION, "%s: %s: %s", setting->row->name,
                      kb_show(kb_str(path)).text, why);
    }
    free(text);
}

static void check_files(struct kb_checking *checking, const struct kb_setting *setting,
                        const struct kb_options *options)
{
    const char *path = NULL;

    switch (kb_option_id(setting->row)) {
    case KB_OPT_Password:
        if (options->password->kind == KB_SECRET_FILE &&
            check_file(checking, setting, options->password->where) &&
            kb_secret_is_exposed(options->password)) {
            kb_check_tell(checking, &setting->from, true, KB_E_PASSWORD_EXPOSED,
                          "Password: everybody can read %s",
                          kb_show(kb_str(options->password->where)).text);
        }
        break;
    case KB_OPT_KeytabFile:
        check_file(checking, setting, options->keytab_file);
        break;
    case KB_OPT_LogFile:
        path = options->log_file;
        break;
    case KB_OPT_TraceFile:
        path = options->trace_file;
        break;
    case KB_OPT_PacketCapture:
        path = options->packet_capture;
        break;
    default:
        break;
    }
    if (path != NULL && strchr(path, '/') != NULL && !kb_starts_nocase(path, "syslog:")) {
        check_written(checking, setting, path);
    }
}

/* Named, an old one is used: right for an old KDC, else a list that was forgotten. */
static void check_etypes(struct kb_checking *checking, const struct kb_setting *setting,
                         const struct kb_options *options)
{
    const kb_opt_ETYPES *types = &options->encryption_types;
    char buf[24];

    for (size_t i = 0; i < types->num && setting->row->type == KB_OPTION_ETYPES; i++) {
        if (kb_old_is(types->items[i])) {
            kb_check_tell(checking, &setting->from, true, KB_E_NO_ENCTYPE,
                          "%s: %s is old and weak (%s); take it out once the KDC has AES keys for "
                          "the user and the services",
                          setting->row->name, kb_enctype_name(types->items[i], buf),
                          kb_old_rfc(types->items[i]));
        }
    }
}

static enum kb_status check_user(struct kb_checking *checking, const struct kb_unit *unit,
                                 const struct kb_setting *setting, const struct kb_options *options,
                                 struct kb_error *err)
{
    const struct kb_setting *type = kb_unit_find(unit, KB_OPT_NameType);
    struct kb_user_reader reader = {
        .krb5conf = checking->krb5conf,
        .enterprise = type != NULL && kb_equal_nocase(kb_str(type->text), KB_LIT("enterprise"))};
    struct kb_principal *user;
    struct kb_error failed = {0};

    if (kb_user_parse(&reader, kb_str(options->user_name), &checking->arena, &user, NULL,
                      &failed) != KB_OK &&
        failed.code != KB_E_NO_MEMORY) {
        kb_check_tell(checking, &setting->from, false, failed.code, "%s", failed.text);
    }
    kb_principal_free(user);
    return failed.code != KB_E_NO_MEMORY ? KB_OK : kb_error_copy(err, &failed);
}

/* %{credentials} is a service's alone: who checks its file seldom has it. */
static bool is_a_services(const struct kb_setting *setting)
{
    return strstr(setting->text, "%{credentials}") != NULL;
}

static enum kb_status check_setting(struct kb_checking *checking, const struct kb_unit *unit,
                                    const struct kb_setting *setting, struct kb_options *options,
                                    struct kb_error *err)
{
    struct kb_error failed = {0};

    check_repetition(checking, setting);
    if (is_a_services(setting)) {
        return KB_OK;
    }
    if (kb_value_set(options, &checking->arena, setting, &failed) != KB_OK) {
        if (failed.code == KB_E_NO_MEMORY) {
            return kb_error_copy(err, &failed);
        }
        kb_check_tell(checking, &setting->from, false, failed.code, "%s: %s", setting->row->name,
                      failed.text);
        return KB_OK;
    }
    check_files(checking, setting, options);
    check_etypes(checking, setting, options);
    return kb_option_id(setting->row) == KB_OPT_User
               ? check_user(checking, unit, setting, options, err)
               : KB_OK;
}

/* --- one section --- */

static void check_identity(struct kb_checking *checking, const struct kb_unit *unit)
{
    const struct kb_setting *password = kb_unit_find(unit, KB_OPT_Password);

    if (password != NULL && kb_unit_find(unit, KB_OPT_User) == NULL &&
        !kb_unit_has(unit, KB_IF_CLIENT)) {
        kb_check_tell(checking, &password->from, false, KB_E_USER,
                      "Password is set, but no User in the same place");
    }
    if (password != NULL && kb_unit_find(unit, KB_OPT_KeytabFile) != NULL) {
        kb_check_tell(checking, &password->from, true, KB_E_OPTION,
                      "Password is not used, since KeytabFile is set in the same place");
    }
}

static enum kb_status check_unit(struct kb_checking *checking, const struct kb_unit *unit,
                                 struct kb_options *options, struct kb_error *err)
{
    struct kb_origin place = place_of(unit);
    enum kb_status st = KB_OK;

    for (const struct kb_condition *c = unit->conditions; c != NULL && st == KB_OK; c = c->next) {
        st = check_condition(checking, &place, c, err);
    }
    for (const struct kb_setting *s = unit->settings; s != NULL && st == KB_OK; s = s->next) {
        st = check_setting(checking, unit, s, options, err);
    }
    if (st == KB_OK) {
        check_identity(checking, unit);
    }
    return st;
}

/* What goes not together with what stands outside of sections is told once, where it stands. */
static bool check_conflicts(struct kb_checking *checking, const struct kb_options *options,
                            const struct kb_unit *unit, struct kb_error *err)
{
    struct kb_error failed = {0};
    struct kb_origin place;
    bool is_here = false;

    if (kb_conflicts_find(options, &place, &failed) == KB_OK) {
        return true;
    }
    if (failed.code == KB_E_NO_MEMORY) {
        (void)kb_error_copy(err, &failed);
        return false;
    }
    for (const struct kb_setting *s = unit->settings; s != NULL; s = s->next) {
        is_here = is_here || (s->from.line == place.line && s->from.file == place.file);
    }
    if (is_here || unit->conditions == NULL) {
        kb_check_tell(checking, &place, false, failed.code, "%s", failed.text);
    }
    return true;
}

static enum kb_status check_sections(struct kb_checking *checking, struct kb_options *base,
                                     struct kb_error *err)
{
    enum kb_status st = KB_OK;

    for (const struct kb_unit *u = checking->reading.first; u != NULL && st == KB_OK; u = u->next) {
        struct kb_options with = *base;

        if (u->conditions != NULL && !is_lost(u)) {
            st = check_unit(checking, u, &with, err);
            if (st == KB_OK && !check_conflicts(checking, &with, u, err)) {
                st = KB_ERROR;
            }
        }
    }
    return st;
}

/* Sections stand on what is outside of them, so that is judged first. */
enum kb_status kb_check_units(struct kb_checking *checking, struct kb_error *err)
{
    struct kb_options *base = kb_arena_alloc(&checking->arena, sizeof(*base));
    const struct kb_unit *last = NULL;
    enum kb_status st = KB_OK;

    if (base == NULL || !kb_value_defaults(base, &checking->arena)) {
        return no_memory(err);
    }
    base->euid = geteuid();
    for (const struct kb_unit *u = checking->reading.first; u != NULL && st == KB_OK; u = u->next) {
        if (u->conditions == NULL && u->settings != NULL) {
            st = check_unit(checking, u, base, err);
            last = u;
        }
    }
    if (st == KB_OK && last != NULL && !check_conflicts(checking, base, last, err)) {
        st = KB_ERROR;
    }
    if (st == KB_OK) {
        st = check_sections(checking, base, err);
    }
    return st == KB_OK && checking->no_memory ? no_memory(err) : st;
}
