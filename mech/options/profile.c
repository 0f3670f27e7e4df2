#include "mech/options/profile.h"

#include "mech/options/text.h"

#define MAX_LINE 2047 /* bytes */

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

static kb_bytes skip_space(kb_bytes text)
{
    while (text.len > 0 && kb_is_space(text.ptr[0])) {
        text = from(text, 1);
    }
    return text;
}

static kb_bytes cut_end(kb_bytes line)
{
    while (line.len > 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == '\n')) {
        line.len--;
    }
    return line;
}

/* A directive stands in the first column and has white space behind it. What stands behind its
 * argument belongs to that, blanks too. */
static bool take_directive(kb_bytes line, kb_bytes word, kb_bytes *argument)
{
    if (!starts_with(line, word) || line.len == word.len || !kb_is_space(line.ptr[word.len])) {
        return false;
    }
    *argument = cut_end(skip_space(from(line, word.len)));
    return true;
}

/* A line as MIT's parser has it: a C string, and what is longer than its buffer is another line. */
static bool take_line(kb_bytes *rest, kb_bytes *line, bool *whole)
{
    size_t most = rest->len < MAX_LINE ? rest->len : MAX_LINE;
    const uint8_t *end = most > 0 ? memchr(rest->ptr, '\n', most) : NULL;

    *whole = end != NULL;
    *line = kb_bytes_of(rest->ptr, end != NULL ? (size_t)(end - rest->ptr) + 1 : most);
    if (line->len == 0) {
        return false;
    }
    *rest = from(*rest, line->len);
    line->len = strnlen((const char *)line->ptr, line->len);
    return true;
}

static size_t find(kb_bytes text, uint8_t c)
{
    const uint8_t *at = text.len > 0 ? memchr(text.ptr, c, text.len) : NULL;

    return at != NULL ? (size_t)(at - text.ptr) : text.len;
}

static struct kb_relation *append(struct state *s, kb_bytes name)
{
    struct kb_relation *relation = kb_arena_alloc(s->profile->arena, sizeof(*relation));

    if (relation == NULL || (relation->name = kb_arena_text(s->profile->arena, name)) == NULL) {
        return NULL;
    }
    relation->section = s->section;
    relation->sub = s->sub;
    relation->file = s->file;
    relation->line = s->line;
    relation->number = s->profile->number;
    *s->profile->end = relation;
    s->profile->end = &relation->next;
    return relation;
}

/* Says something of the section, or of the subsection that is open; deeper ones are not kept. */
static enum kb_status mark(struct state *s, const char *what, struct kb_error *err)
{
    struct kb_relation *marker;

    if (s->depth > 1) {
        return KB_OK;
    }
    marker = append(s, KB_LIT(KB_PROFILE_MARK));
    if (marker == NULL) {
        return no_memory(err);
    }
    marker->value = what;
    return KB_OK;
}

static enum kb_status parse_section(struct state *s, kb_bytes line, struct kb_error *err)
{
    bool final = false;
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
        final = true;
        behind = from(behind, 1);
    }
    if (kb_trim(behind).len > 0) {
        return bad(err, "something stands behind a section's `]`");
    }
    s->section = kb_arena_text(s->profile->arena, kb_bytes_of(line.ptr + 1, end - 1));
    s->sub = NULL;
    if (s->section == NULL) {
        return no_memory(err);
    }
    return final ? mark(s, KB_PROFILE_FINAL, err) : KB_OK;
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
    relation = append(s, tag);
    if (relation == NULL) {
        return no_memory(err);
    }
    relation->value = ""; /* never NULL for who looks, also after a failure here */
    if (value.ptr[0] == '"') {
        return parse_quoted(s, from(value, 1), &relation->value, err);
    }
    relation->value = kb_arena_text(s->profile->arena, value);
    return relation->value != NULL ? KB_OK : no_memory(err);
}

static enum kb_status open_subsection(struct state *s, kb_bytes tag, bool final,
                                      struct kb_error *err)
{
    s->depth++;
    if (s->depth > 1) {
        return KB_OK;
    }
    s->sub = kb_arena_text(s->profile->arena, tag);
    if (s->sub == NULL) {
        return no_memory(err);
    }
    /* An empty subsection says something too: that there is such a realm. */
    if (mark(s, KB_PROFILE_BEGIN, err) != KB_OK) {
        return KB_ERROR;
    }
    return final ? mark(s, KB_PROFILE_FINAL, err) : KB_OK;
}

static enum kb_status close_subsection(struct state *s, kb_bytes behind, struct kb_error *err)
{
    enum kb_status st = KB_OK;

    if (s->depth == 0) {
        return bad(err, "a `}` without a `{`");
    }
    if (behind.len > 0 && behind.ptr[0] == '*') {
        st = mark(s, KB_PROFILE_FINAL, err);
    }
    s->depth--;
    s->sub = s->depth > 0 ? s->sub : NULL;
    return st;
}

static enum kb_status parse_relation(struct state *s, kb_bytes line, struct kb_error *err)
{
    size_t equals = find(line, '=');
    kb_bytes tag = kb_trim(kb_bytes_of(line.ptr, equals)), name, value, rest;

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
    name = kb_bytes_of(tag.ptr, find(tag, '*'));
    rest = skip_space(from(line, equals + 1));
    value = kb_trim(rest);
    if (value.len > 0 && value.ptr[0] == '"') {
        value = rest; /* where no quote ends it, the line does, with its blanks */
    }
    if (value.len == 0 || (value.len == 1 && value.ptr[0] == '{')) {
        s->wants_brace = value.len == 0;
        return open_subsection(s, name, name.len < tag.len, err);
    }
    return add_relation(s, name, value, err); /* a final relation is like any other */
}

static enum kb_status parse_line(struct state *s, kb_bytes line, struct kb_error *err)
{
    kb_bytes text = cut_end(skip_space(line));

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
        return close_subsection(s, from(text, 1), err);
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

static enum kb_status note_module(struct kb_profile *profile, kb_bytes argument,
                                  struct kb_error *err)
{
    profile->module = kb_arena_text(profile->arena, argument);
    return profile->module != NULL ? KB_OK : no_memory(err);
}

enum kb_status kb_profile_parse(struct kb_profile *profile, kb_bytes text, const char *file,
                                struct kb_error *err)
{
    struct state state = {.profile = profile, .file = kb_arena_text(profile->arena, kb_str(file))};
    kb_bytes line, argument;
    bool whole, begins = true;

    if (state.file == NULL) {
        return no_memory(err);
    }
    while (take_line(&text, &line, &whole)) {
        enum kb_status st;

        state.line += begins;
        begins = whole;
        if (take_directive(line, KB_LIT("include"), &argument)) {
            st = include(profile, argument, false, err);
        } else if (take_directive(line, KB_LIT("includedir"), &argument)) {
            st = include(profile, argument, true, err);
        } else if (!state.started && take_directive(line, KB_LIT("module"), &argument)) {
            /* A library that answers in place of the file: not for us. */
            st = note_module(profile, argument, err);
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
