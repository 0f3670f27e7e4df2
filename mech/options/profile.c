#include "mech/options/profile.h"

#include "mech/options/text.h"

/* Where the parser is. Included files start anew, as in MIT's. */
struct state {
    struct kb_profile *profile;
    bool started;     /* a section was seen; before that, all but directives is comment */
    bool wants_brace; /* behind `name =` */
    unsigned depth;   /* 0: in the section itself */
    const char *section, *sub;
    const char *file;
    unsigned line;
};

static enum kb_status bad(struct kb_error *err, const char *what)
{
    return kb_error_set(err, KB_E_OPTION, "%s", what);
}

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static bool starts_with(kb_bytes text, kb_bytes word)
{
    return text.len >= word.len && memcmp(text.ptr, word.ptr, word.len) == 0;
}

static kb_bytes from(kb_bytes text, size_t pos)
{
    return kb_bytes_of(text.ptr + pos, text.len - pos);
}

/* A directive stands in the first column and has white space behind it. */
static bool take_directive(kb_bytes line, kb_bytes word, kb_bytes *argument)
{
    if (!starts_with(line, word) || line.len == word.len || !kb_is_space(line.ptr[word.len])) {
        return false;
    }
    *argument = kb_trim(from(line, word.len));
    return true;
}

static size_t find(kb_bytes text, uint8_t c)
{
    const uint8_t *at = text.len > 0 ? memchr(text.ptr, c, text.len) : NULL;

    return at != NULL ? (size_t)(at - text.ptr) : text.len;
}

static enum kb_status parse_section(struct state *s, kb_bytes line, struct kb_error *err)
{
    size_t end = find(line, ']');
    kb_bytes behind;

    if (s->depth > 0) {
        return bad(err, "a section begins before the `}` of the subsection before it");
    }
    if (end == line.len) {
        return bad(err, "no `]` behind a section's name");
    }
    behind = from(line, end + 1);
    if (behind.len > 0 && behind.ptr[0] == '*') {
        behind = from(behind, 1);
    }
    if (kb_trim(behind).len > 0) {
        return bad(err, "something stands behind a section's `]`");
    }
    s->section = kb_arena_text(s->profile->arena, kb_bytes_of(line.ptr + 1, end - 1));
    s->sub = NULL;
    return s->section != NULL ? KB_OK : no_memory(err);
}

static enum kb_status parse_quoted(struct state *s, kb_bytes text, const char **out,
                                   struct kb_error *err)
{
    char *value = kb_arena_alloc(s->profile->arena, text.len + 1);
    size_t len = 0;

    if (value == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < text.len && text.ptr[i] != '"'; i++) {
        uint8_t c = text.ptr[i];

        if (c == '\\' && i + 1 < text.len) {
            c = text.ptr[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'b' ? '\b' : c;
        }
        value[len++] = (char)c;
    }
    *out = value;
    return KB_OK;
}

static enum kb_status add_relation(struct state *s, kb_bytes tag, kb_bytes value,
                                   struct kb_error *err)
{
    struct kb_relation *relation;

    if (s->depth > 1) {
        return KB_OK;
    }
    relation = kb_arena_alloc(s->profile->arena, sizeof(*relation));
    if (relation == NULL) {
        return no_memory(err);
    }
    relation->section = s->section;
    relation->sub = s->sub;
    relation->file = s->file;
    relation->line = s->line;
    relation->name = kb_arena_text(s->profile->arena, tag);
    if (value.ptr[0] == '"') {
        if (parse_quoted(s, from(value, 1), &relation->value, err) != KB_OK) {
            return KB_ERROR;
        }
    } else {
        relation->value = kb_arena_text(s->profile->arena, value);
    }
    if (relation->name == NULL || relation->value == NULL) {
        return no_memory(err);
    }
    *s->profile->end = relation;
    s->profile->end = &relation->next;
    return KB_OK;
}

static enum kb_status open_subsection(struct state *s, kb_bytes tag, struct kb_error *err)
{
    s->depth++;
    if (s->depth == 1) {
        s->sub = kb_arena_text(s->profile->arena, tag);
    }
    if (s->depth == 1 && s->sub == NULL) {
        return no_memory(err);
    }
    /* An empty subsection says something too: that there is such a realm. */
    return s->depth == 1 ? add_relation(s, KB_NONE, KB_LIT("{"), err) : KB_OK;
}

static enum kb_status parse_relation(struct state *s, kb_bytes line, struct kb_error *err)
{
    size_t equals = find(line, '=');
    kb_bytes tag = kb_trim(kb_bytes_of(line.ptr, equals)), value;

    if (equals == line.len) {
        return bad(err, "no `=` in a line");
    }
    for (size_t i = 0; i < tag.len; i++) {
        if (kb_is_space(tag.ptr[i])) {
            return bad(err, "a blank in the name before a `=`");
        }
    }
    if (equals == 0) {
        return bad(err, "no name before a `=`");
    }
    tag.len = find(tag, '*');
    value = kb_trim(from(line, equals + 1));
    if (value.len == 0 || (value.len == 1 && value.ptr[0] == '{')) {
        s->wants_brace = value.len == 0;
        return open_subsection(s, tag, err);
    }
    return add_relation(s, tag, value, err);
}

static enum kb_status parse_line(struct state *s, kb_bytes line, struct kb_error *err)
{
    kb_bytes text = kb_trim(line);

    if (s->wants_brace) {
        s->wants_brace = false;
        return text.len > 0 && text.ptr[0] == '{'
                   ? KB_OK
                   : bad(err, "neither a value nor a `{` behind a `=`");
    }
    if (!s->started) {
        s->started = line.len > 0 && line.ptr[0] == '[';
    }
    if (!s->started || text.len == 0 || text.ptr[0] == '#' || text.ptr[0] == ';') {
        return KB_OK;
    }
    if (text.ptr[0] == '[') {
        return parse_section(s, text, err);
    }
    if (text.ptr[0] == '}') {
        if (s->depth == 0) {
            return bad(err, "a `}` without a `{`");
        }
        s->depth--;
        s->sub = s->depth > 0 ? s->sub : NULL;
        return KB_OK;
    }
    return parse_relation(s, text, err);
}

static enum kb_status include(struct kb_profile *profile, kb_bytes path, bool directory,
                              struct kb_error *err)
{
    const char *text = kb_arena_text(profile->arena, path);

    if (text == NULL) {
        return no_memory(err);
    }
    return profile->include != NULL ? profile->include(profile->context, text, directory, err)
                                    : KB_OK;
}

enum kb_status kb_profile_parse(struct kb_profile *profile, kb_bytes text, const char *file,
                                struct kb_error *err)
{
    struct state state = {.profile = profile, .file = kb_arena_text(profile->arena, kb_str(file))};
    kb_bytes line, argument;

    if (state.file == NULL) {
        return no_memory(err);
    }
    while (kb_take_line(&text, &line)) {
        enum kb_status st;

        state.line++;
        line.len = strnlen((const char *)line.ptr, line.len); /* MIT's lines are C strings */
        if (take_directive(line, KB_LIT("include"), &argument)) {
            st = include(profile, argument, false, err);
        } else if (take_directive(line, KB_LIT("includedir"), &argument)) {
            st = include(profile, argument, true, err);
        } else if (!state.started && take_directive(line, KB_LIT("module"), &argument)) {
            st = KB_OK; /* a library that answers instead of the file: not for us */
        } else {
            st = parse_line(&state, line, err);
        }
        if (st != KB_OK) {
            kb_error_context(err, "%s:%u", file, state.line);
            return KB_ERROR;
        }
    }
    return KB_OK;
}
