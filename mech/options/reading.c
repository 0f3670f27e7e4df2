#include "mech/options/reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "mech/options/expand.h"
#include "mech/options/text.h"
#include "mech/options/value.h"

#define MAX_DEPTH 10
#define MAX_UNITS 4096

void kb_reading_init(struct kb_reading *reading, struct kb_arena *arena, struct kb_watch **watched,
                     uid_t euid)
{
    *reading = (struct kb_reading){.arena = arena, .watched = watched, .euid = euid};
    reading->end = &reading->first;
}

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static struct kb_unit *unit_new(struct kb_reading *reading, enum kb_layer layer,
                                const struct kb_condition *conditions, struct kb_error *err)
{
    struct kb_unit *unit = NULL;

    if (reading->num >= MAX_UNITS) {
        kb_error_set(err, KB_E_OPTION, "more than %d sections", MAX_UNITS);
        return NULL;
    }
    unit = kb_arena_alloc(reading->arena, sizeof(*unit));
    if (unit == NULL) {
        no_memory(err);
        return NULL;
    }
    unit->layer = layer;
    unit->order = reading->num++;
    unit->conditions = conditions;
    *reading->end = unit;
    reading->end = &unit->next;
    return unit;
}

bool kb_reading_add(struct kb_reading *reading, const struct kb_unit *unit)
{
    struct kb_unit *copy = unit_new(reading, unit->layer, unit->conditions, NULL);

    if (copy != NULL) {
        copy->settings = unit->settings;
        copy->last = unit->last;
    }
    return copy != NULL;
}

static struct kb_condition *condition_new(struct kb_reading *reading, enum kb_condition_kind kind,
                                          kb_bytes pattern, const struct kb_condition *next)
{
    struct kb_condition *condition = kb_arena_alloc(reading->arena, sizeof(*condition));

    if (condition != NULL) {
        condition->kind = kind;
        condition->pattern = kb_arena_text(reading->arena, pattern);
        condition->next = next;
    }
    return condition != NULL && condition->pattern != NULL ? condition : NULL;
}

/* Is a mistake told, so that reading goes on? */
static bool goes_on(const struct kb_reading *reading, const struct kb_origin *place,
                    struct kb_error *err)
{
    if (reading->findings == NULL || err == NULL || err->code == KB_E_NO_MEMORY) {
        return false;
    }
    reading->findings->found(reading->findings->context, place, err);
    *err = (struct kb_error){0};
    return true;
}

/* --- lines of items --- */

static enum kb_status add_for_user(struct kb_reading *reading, struct kb_unit *unit,
                                   const char *value, struct kb_error *err)
{
    if (value[0] == '\0') {
        return kb_error_set(err, KB_E_OPTION, "ForUser: it is empty");
    }
    unit->conditions = condition_new(reading, KB_IF_USER, kb_str(value), unit->conditions);
    return unit->conditions != NULL ? KB_OK : no_memory(err);
}

static enum kb_status read_item(struct kb_reading *reading, struct kb_unit *unit, kb_bytes *text,
                                const struct kb_setting *like, struct kb_error *err)
{
    const char *value;
    kb_bytes name;
    enum kb_status st = kb_take_item(text, reading->arena, &name, &value, err);

    if (st != KB_OK) {
        return st;
    }
    return unit->layer == KB_LAYER_MECHD && kb_equal_nocase(name, KB_LIT("ForUser"))
               ? add_for_user(reading, unit, value, err)
               : kb_unit_add(unit, reading->arena, name, value, like, err);
}

/* Where an item could not even be taken, the next one begins behind a blank. */
static kb_bytes behind_word(kb_bytes text)
{
    kb_bytes word;

    text = kb_trim(text);
    kb_take_word(&text, &word);
    return text;
}

enum kb_status kb_read_items(struct kb_reading *reading, enum kb_layer layer, kb_bytes text,
                             const struct kb_setting *like, struct kb_error *err)
{
    struct kb_unit *unit = unit_new(reading, layer, NULL, err);
    enum kb_status st = unit != NULL ? KB_OK : KB_ERROR;
    char buf[256];

    while (st == KB_OK) {
        kb_bytes before = kb_trim(text);

        st = read_item(reading, unit, &text, like, err);
        if (st != KB_OK && st != KB_NOT_FOUND && goes_on(reading, &like->from, err)) {
            text = kb_trim(text).ptr == before.ptr ? behind_word(text) : text;
            st = KB_OK;
        }
    }
    if (st == KB_NOT_FOUND) {
        return KB_OK;
    }
    kb_error_context(err, "%s", kb_origin_text(&like->from, buf, sizeof(buf)));
    return KB_ERROR;
}

/* --- sections --- */

static const char *const kind_names[] = {
    [KB_IF_USER] = "user",
    [KB_IF_PROGRAM] = "program",
    [KB_IF_TARGET] = "target",
    [KB_IF_CLIENT] = "client",
};
#define NUM_KINDS (sizeof(kind_names) / sizeof(kind_names[0]))

static enum kb_status unknown_kind(kb_bytes word, struct kb_error *err)
{
    const char *nearest = kb_nearest(word, kind_names, NUM_KINDS);

    return kb_error_set(err, KB_E_OPTION,
                        "`%s` begins no condition of a section%s%s%s; there are target, client, "
                        "program and user",
                        kb_show(word).text, nearest != NULL ? " (did you mean " : "",
                        nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
}

static enum kb_status add_condition(struct kb_reading *reading, kb_bytes text,
                                    const struct kb_condition **conditions, struct kb_error *err)
{
    kb_bytes rest = kb_trim(text), word, pattern;
    size_t kind = 0;

    if (!kb_take_word(&rest, &word)) {
        return kb_error_set(err, KB_E_OPTION, "an empty condition in a section's brackets");
    }
    while (kind < NUM_KINDS && !kb_equal_nocase(word, kb_str(kind_names[kind]))) {
        kind++;
    }
    if (kind == NUM_KINDS) {
        return unknown_kind(word, err);
    }
    pattern = kb_trim(rest);
    if (pattern.len == 0) {
        return kb_error_set(err, KB_E_OPTION, "no pattern behind `%s` in a section's brackets",
                            kind_names[kind]);
    }
    if (memchr(pattern.ptr, 0, pattern.len) != NULL) {
        return kb_error_set(err, KB_E_OPTION, "a NUL byte in a section's brackets");
    }
    *conditions = condition_new(reading, (enum kb_condition_kind)kind, pattern, *conditions);
    return *conditions != NULL ? KB_OK : no_memory(err);
}

/* `[target A, program B]`: a comma parts two conditions, except inside a pattern's own brackets. */
static enum kb_status parse_section(struct kb_reading *reading, kb_bytes line,
                                    const struct kb_condition **conditions, struct kb_error *err)
{
    enum kb_status st = KB_OK;
    bool in_brackets = false;
    size_t from = 0;
    kb_bytes inside;

    *conditions = NULL;
    if (line.ptr[line.len - 1] != ']') {
        return kb_error_set(err, KB_E_OPTION, "no `]` at the end of a section's line");
    }
    inside = kb_bytes_of(line.ptr + 1, line.len - 2);
    for (size_t i = 0; i <= inside.len && st == KB_OK; i++) {
        uint8_t c = i < inside.len ? inside.ptr[i] : ',';

        in_brackets = i < inside.len && (c == '[' || (in_brackets && c != ']'));
        if (c == ',' && !in_brackets) {
            st = add_condition(reading, kb_bytes_of(inside.ptr + from, i - from), conditions, err);
            from = i + 1;
        }
    }
    return st;
}

const struct kb_condition kb_never = {.kind = KB_IF_TARGET, .pattern = ""};

/* --- files --- */

struct file {
    struct kb_reading *reading;
    enum kb_layer layer;
    struct kb_setting like; /* place and exposure of what is read */
    const struct kb_condition *conditions;
    struct kb_unit *unit; /* of the present section; NULL: made with its first line */
    unsigned depth;
};

static enum kb_status read_file(struct file *outer, const char *path, struct kb_error *err);

/* A relative path is one beside the file that includes it. */
static enum kb_status include(struct file *file, kb_bytes path, struct kb_error *err)
{
    const char *slash = strrchr(file->like.from.file, '/');
    size_t dir_len = slash != NULL ? (size_t)(slash - file->like.from.file) + 1 : 0;
    const char *text = kb_arena_text(file->reading->arena, path);
    enum kb_status st;
    char *full;

    if (text == NULL) {
        return no_memory(err);
    }
    if (path.len == 0) {
        return kb_error_set(err, KB_E_OPTION, "no path behind include");
    }
    if (kb_expand(text, file->reading->euid, file->reading->arena, &text, err) != KB_OK) {
        return KB_ERROR;
    }
    if (text[0] == '/') {
        dir_len = 0;
    }
    full = kb_arena_alloc(file->reading->arena, dir_len + strlen(text) + 1);
    if (full == NULL) {
        return no_memory(err);
    }
    memcpy(full, file->like.from.file, dir_len);
    strcpy(full + dir_len, text);
    st = read_file(file, full, err);
    return st == KB_NOT_FOUND ? KB_ERROR : st;
}

static enum kb_status read_setting(struct file *file, kb_bytes line, struct kb_error *err)
{
    const char *value;
    kb_bytes name;

    if (kb_split_line(line, file->reading->arena, &name, &value, err) != KB_OK) {
        return KB_ERROR;
    }
    if (kb_equal_nocase(name, KB_LIT("Config"))) {
        return kb_error_set(err, KB_E_OPTION,
                            "Config: an option file takes another in by `include PATH`");
    }
    if (file->unit == NULL) {
        file->unit = unit_new(file->reading, file->layer, file->conditions, err);
    }
    return file->unit != NULL
               ? kb_unit_add(file->unit, file->reading->arena, name, value, &file->like, err)
               : KB_ERROR;
}

static enum kb_status read_line(struct file *file, kb_bytes line, struct kb_error *err)
{
    kb_bytes rest = line, word;

    if (line.len == 0 || line.ptr[0] == '#') {
        return KB_OK;
    }
    if (line.ptr[0] == '[') {
        file->unit = NULL;
        if (parse_section(file->reading, line, &file->conditions, err) != KB_OK) {
            file->conditions = &kb_never; /* what follows is not to hold everywhere instead */
            return KB_ERROR;
        }
        return KB_OK;
    }
    if (kb_take_word(&rest, &word) && kb_equal_nocase(word, KB_LIT("include")) &&
        kb_trim(rest).len > 0 && kb_trim(rest).ptr[0] != '=') {
        return include(file, kb_trim(rest), err);
    }
    return read_setting(file, line, err);
}

static enum kb_status read_text(struct file *file, kb_bytes text, struct kb_error *err)
{
    char buf[256];
    kb_bytes line;

    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0) {
        text = kb_bytes_of(text.ptr + 3, text.len - 3); /* as Windows' editors begin a file */
    }
    while (kb_take_line(&text, &line)) {
        file->like.from.line++;
        if (read_line(file, kb_trim(line), err) != KB_OK &&
            !goes_on(file->reading, &file->like.from, err)) {
            kb_error_context(err, "%s", kb_origin_text(&file->like.from, buf, sizeof(buf)));
            return KB_ERROR;
        }
    }
    return KB_OK;
}

static enum kb_status open_failed(const char *path, int sys_errno, struct kb_error *err)
{
    char buf[128];

    if (sys_errno == ENOMEM) {
        return no_memory(err);
    }
    kb_error_set(err, KB_E_OPTION, "%s: %s", kb_show(kb_str(path)).text,
                 kb_errno_text(sys_errno, buf, sizeof(buf)));
    kb_error_cause(err, sys_errno);
    return sys_errno == ENOENT || sys_errno == ENOTDIR ? KB_NOT_FOUND : KB_ERROR;
}

/* What stands before the first section of an included file belongs to the section around it. */
static enum kb_status read_file(struct file *outer, const char *path, struct kb_error *err)
{
    struct file file = {.reading = outer->reading,
                        .layer = outer->layer,
                        .conditions = outer->conditions,
                        .like = {.from = {.layer = outer->layer, .file = path}},
                        .depth = outer->depth + 1};
    enum kb_status st;
    struct kb_buf buf;
    int result;

    if (file.depth > MAX_DEPTH || file.reading->watched == NULL) {
        return kb_error_set(err, KB_E_OPTION, "files include each other more than %d deep",
                            MAX_DEPTH);
    }
    kb_buf_init(&buf, KB_MAX_CONFIG_FILE);
    result =
        kb_read_file(path, &buf, &file.like.exposed, file.reading->arena, file.reading->watched);
    st = result == 0 ? read_text(&file, kb_buf_bytes(&buf), err) : open_failed(path, result, err);
    kb_buf_wipe(&buf);
    return st;
}

enum kb_status kb_read_config(struct kb_reading *reading, enum kb_layer layer, const char *path,
                              struct kb_error *err)
{
    struct file outermost = {.reading = reading, .layer = layer};

    return read_file(&outermost, path, err);
}

enum kb_status kb_read_config_text(struct kb_reading *reading, enum kb_layer layer, kb_bytes text,
                                   const char *name, bool exposed, struct kb_error *err)
{
    struct file file = {.reading = reading,
                        .layer = layer,
                        .like = {.from = {.layer = layer, .file = name}, .exposed = exposed},
                        .depth = MAX_DEPTH};

    return read_text(&file, text, err);
}
