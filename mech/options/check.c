#include "mech/options/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "mech/options/checking.h"
#include "mech/options/expand.h"
#include "mech/options/krb5conf.h"
#include "mech/options/match.h"
#include "mech/options/text.h"

#define MAX_ARENA (16 * 1048576)

void kb_check_tell(struct kb_checking *checking, const struct kb_origin *place, bool warning,
                   enum kb_error_code code, const char *format, ...)
{
    struct kb_problem problem = {
        .file = place->file, .line = place->line, .warning = warning, .code = code};
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    problem.text = text;
    checking->found(checking->context, &problem);
}

static void tell_error(void *context, const struct kb_origin *place, struct kb_error *err)
{
    kb_check_tell(context, place, false, err->code, "%s", err->text);
}

/* The Config file that the line names, where the line holds for us. */
static enum kb_status read_config(struct kb_checking *checking, struct kb_error *err)
{
    const struct kb_unit *line = checking->reading.first;
    const struct kb_setting *config = line != NULL ? kb_unit_find(line, KB_OPT_Config) : NULL;
    struct kb_error failed = {0};
    const char *path;
    enum kb_status st;

    if (config == NULL || config->text[0] == '\0') {
        return KB_OK;
    }
    st = kb_expand(config->text, geteuid(), &checking->arena, &path, &failed);
    if (st == KB_OK) {
        st = kb_read_config(&checking->reading, KB_LAYER_CONFIG, path, &failed);
    }
    if (failed.code == KB_E_NO_MEMORY) {
        return kb_error_copy(err, &failed);
    }
    if (st != KB_OK) {
        kb_check_tell(checking, &config->from, kb_expand_is_personal(config->text), failed.code,
                      "Config: %s", failed.text);
    }
    return KB_OK;
}

static enum kb_status read_it(struct kb_checking *checking, kb_bytes text,
                              const struct kb_setting *like, struct kb_error *err)
{
    if (kb_check_is_mechd(text)) {
        return kb_check_mechd(checking, text, like, err) == KB_OK ? read_config(checking, err)
                                                                  : KB_ERROR;
    }
    return kb_read_config(&checking->reading, KB_LAYER_CONFIG, like->from.file, err) == KB_OK
               ? KB_OK
               : KB_ERROR;
}

static enum kb_status open_failed(const char *path, int sys_errno, struct kb_error *err)
{
    char buf[128];

    return sys_errno == ENOMEM
               ? kb_error_set(err, KB_E_NO_MEMORY, "out of memory")
               : kb_error_set(err, KB_E_OPTION, "%s: %s", kb_show(kb_str(path)).text,
                              kb_errno_text(sys_errno, buf, sizeof(buf)));
}

/* A realm may stand in krb5.conf; that this has its own mistakes is worth a word. */
static enum kb_status load_krb5conf(struct kb_checking *checking, struct kb_error *err)
{
    const char *environment[KB_NUM_ENVIRONMENT];
    struct kb_origin place = {.file = "krb5.conf"};
    struct kb_error failed = {0};

    kb_environment(environment);
    if (kb_krb5conf_load(environment[KB_ENV_KRB5], &checking->arena, &checking->watched,
                         &checking->krb5conf, &failed) == KB_OK) {
        return KB_OK;
    }
    if (failed.code == KB_E_NO_MEMORY) {
        return kb_error_copy(err, &failed);
    }
    kb_check_tell(checking, &place, false, failed.code, "%s", failed.text);
    return KB_OK;
}

static enum kb_status check(struct kb_checking *checking, const char *path, struct kb_error *err)
{
    struct kb_setting like = {.from = {.layer = KB_LAYER_MECHD, .file = path}};
    struct kb_buf text;
    enum kb_status st;
    int result;

    kb_buf_init(&text, KB_MAX_CONFIG_FILE);
    result = kb_read_file(path, &text, &like.exposed, &checking->arena, &checking->watched);
    st = result == 0 ? load_krb5conf(checking, err) : open_failed(path, result, err);
    if (st == KB_OK) {
        st = read_it(checking, kb_buf_bytes(&text), &like, err);
    }
    kb_buf_wipe(&text);
    return st == KB_OK ? kb_check_units(checking, err) : st;
}

enum kb_status kb_options_check(const char *path, kb_problem_found *found, void *context,
                                struct kb_error *err)
{
    struct kb_checking checking = {.found = found, .context = context};
    struct kb_findings findings = {tell_error, &checking};
    enum kb_status st;

    kb_arena_init(&checking.arena, NULL, 0, MAX_ARENA);
    kb_reading_init(&checking.reading, &checking.arena, &checking.watched, geteuid());
    checking.reading.findings = &findings;
    st = check(&checking, path, err);
    kb_krb5conf_put(checking.krb5conf);
    kb_arena_wipe(&checking.arena);
    return st;
}
