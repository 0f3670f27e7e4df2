#include "mech/options/text.h"

kb_bytes kb_trim(kb_bytes text)
{
    while (text.len > 0 && kb_is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && kb_is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

bool kb_starts_nocase(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strlen(text) >= len && kb_equal_nocase(kb_bytes_of(text, len), kb_bytes_of(prefix, len));
}

static void skip(kb_bytes *rest, size_t len)
{
    rest->ptr += len;
    rest->len -= len;
}

bool kb_take_line(kb_bytes *rest, kb_bytes *out)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : rest->len;

    if (rest->len == 0) {
        return false;
    }
    *out = kb_bytes_of(rest->ptr, len);
    if (len > 0 && rest->ptr[len - 1] == '\r') {
        out->len--;
    }
    skip(rest, end != NULL ? len + 1 : len);
    return true;
}

static bool is_separator(uint8_t c)
{
    return kb_is_space(c) || c == ',';
}

bool kb_take_word(kb_bytes *rest, kb_bytes *out)
{
    size_t len = 0;

    while (rest->len > 0 && is_separator(rest->ptr[0])) {
        skip(rest, 1);
    }
    while (len < rest->len && !is_separator(rest->ptr[len])) {
        len++;
    }
    *out = kb_bytes_of(rest->ptr, len);
    if (len > 0) {
        skip(rest, len);
    }
    return len > 0;
}

char *kb_arena_text(struct kb_arena *arena, kb_bytes text)
{
    char *copy = kb_arena_alloc(arena, text.len + 1);

    if (copy != NULL && text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    return copy;
}

struct kb_shown kb_show(kb_bytes text)
{
    struct kb_shown shown = {{0}};
    struct kb_buf buf;

    kb_buf_init(&buf, 4 * 60);
    kb_buf_add_escaped(&buf, kb_bytes_of(text.ptr, text.len < 60 ? text.len : 60));
    strncpy(shown.text, kb_buf_str(&buf), 60);
    if (text.len > 60 || buf.len > 60) {
        strcpy(shown.text + strlen(shown.text), "...");
    }
    kb_buf_wipe(&buf);
    return shown;
}

/* --- quotes --- */

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Reads what stands behind a backslash; returns its value, -1 if it is none. */
static int take_escape(kb_bytes *rest)
{
    uint8_t c = rest->len > 0 ? rest->ptr[0] : 'z';

    if (c == 'x') {
        if (rest->len < 3 || hex(rest->ptr[1]) < 0 || hex(rest->ptr[2]) < 0) {
            return -1;
        }
        c = (uint8_t)(hex(rest->ptr[1]) << 4 | hex(rest->ptr[2]));
        skip(rest, 3);
        return c != 0 ? c : -1; /* values are C strings */
    }
    if (c >= 0x80 || (c >= 'a' && c <= 'z' && c != 'n' && c != 't' && c != 'r') ||
        (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '\0') {
        return -1;
    }
    skip(rest, 1);
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* *rest stands behind the opening quote; leaves it behind the closing one. */
static enum kb_status take_quoted(kb_bytes *rest, struct kb_arena *arena, const char **value,
                                  struct kb_error *err)
{
    char *text = kb_arena_alloc(arena, rest->len + 1);
    size_t len = 0;

    if (text == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    while (rest->len > 0 && rest->ptr[0] != '"') {
        int c = rest->ptr[0];

        skip(rest, 1);
        if (c == '\\') {
            c = take_escape(rest);
        }
        if (c <= 0) {
            return kb_error_set(
                err, KB_E_OPTION,
                "a backslash in quotes stands before another \\, a \", n, t, r or xHH");
        }
        text[len++] = (char)c;
    }
    if (rest->len == 0) {
        return kb_error_set(
            err, KB_E_OPTION,
            "the closing quote is missing (in a mech.d line a `]` is written \\x5d)");
    }
    skip(rest, 1);
    *value = text;
    return KB_OK;
}

/* --- items and lines --- */

static bool is_name(kb_bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return false;
        }
    }
    return name.len > 0;
}

/* Takes the name and the `=`; `where` ends the search for it. */
static enum kb_status take_name(kb_bytes *rest, size_t where, kb_bytes *name, struct kb_error *err)
{
    size_t len = 0;

    while (len < where && rest->ptr[len] != '=') {
        len++;
    }
    *name = kb_trim(kb_bytes_of(rest->ptr, len));
    if (len == where) {
        /* What was meant as a value must not be shown: it may be a password. */
        if (is_name(*name)) {
            return kb_error_set(err, KB_E_OPTION,
                                "no `=` behind a word; options are written Name=value");
        }
        return kb_error_set(
            err, KB_E_OPTION,
            "a word that is no Name=value; a value with a blank is written in quotes");
    }
    if (!is_name(*name)) {
        return kb_error_set(err, KB_E_OPTION, "no option's name stands before the `=`");
    }
    skip(rest, len + 1);
    return KB_OK;
}

static bool has_byte(kb_bytes text, uint8_t c)
{
    return text.len > 0 && memchr(text.ptr, c, text.len) != NULL;
}

static enum kb_status take_plain(kb_bytes text, struct kb_arena *arena, const char **value,
                                 struct kb_error *err)
{
    if (has_byte(text, '\0')) {
        return kb_error_set(err, KB_E_OPTION, "a NUL byte in a value");
    }
    *value = kb_arena_text(arena, text);
    return *value != NULL ? KB_OK : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static size_t word_len(kb_bytes text)
{
    size_t len = 0;

    while (len < text.len && !kb_is_space(text.ptr[len])) {
        len++;
    }
    return len;
}

static enum kb_status take_value(kb_bytes *rest, struct kb_arena *arena, const char **value,
                                 struct kb_error *err)
{
    size_t len;

    if (rest->len > 0 && rest->ptr[0] == '"') {
        skip(rest, 1);
        if (take_quoted(rest, arena, value, err) != KB_OK) {
            return KB_ERROR;
        }
        return rest->len == 0 || kb_is_space(rest->ptr[0])
                   ? KB_OK
                   : kb_error_set(err, KB_E_OPTION, "no blank behind a closing quote");
    }
    len = word_len(*rest);
    if (has_byte(kb_bytes_of(rest->ptr, len), '"')) {
        return kb_error_set(
            err, KB_E_OPTION,
            "a quote inside a value; write the whole value in quotes and \\\" for it");
    }
    if (take_plain(kb_bytes_of(rest->ptr, len), arena, value, err) != KB_OK) {
        return KB_ERROR;
    }
    if (len > 0) {
        skip(rest, len);
    }
    return KB_OK;
}

enum kb_status kb_take_item(kb_bytes *rest, struct kb_arena *arena, kb_bytes *name,
                            const char **value, struct kb_error *err)
{
    *name = KB_NONE;
    *value = NULL;
    while (rest->len > 0 && kb_is_space(rest->ptr[0])) {
        skip(rest, 1);
    }
    if (rest->len == 0) {
        return KB_NOT_FOUND;
    }
    if (take_name(rest, word_len(*rest), name, err) != KB_OK) {
        return KB_ERROR;
    }
    if (take_value(rest, arena, value, err) != KB_OK) {
        kb_error_context(err, "%s", kb_show(*name).text);
        *value = NULL;
        return KB_ERROR;
    }
    return KB_OK;
}

/* An unquoted value goes to the end of the line. */
static enum kb_status rest_of_line(kb_bytes rest, struct kb_arena *arena, const char **value,
                                   struct kb_error *err)
{
    if (rest.len > 0 && rest.ptr[0] == '"') {
        skip(&rest, 1);
        if (take_quoted(&rest, arena, value, err) != KB_OK) {
            return KB_ERROR;
        }
        return rest.len == 0
                   ? KB_OK
                   : kb_error_set(err, KB_E_OPTION, "something stands behind the closing quote");
    }
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.ptr[i] == '#' && kb_is_space(rest.ptr[i - 1])) {
            return kb_error_set(
                err, KB_E_OPTION,
                "a comment needs a line of its own; a value with a # is written in quotes");
        }
    }
    return take_plain(rest, arena, value, err);
}

enum kb_status kb_split_line(kb_bytes line, struct kb_arena *arena, kb_bytes *name,
                             const char **value, struct kb_error *err)
{
    *value = NULL;
    if (take_name(&line, line.len, name, err) != KB_OK) {
        return KB_ERROR;
    }
    if (rest_of_line(kb_trim(line), arena, value, err) != KB_OK) {
        kb_error_context(err, "%s", kb_show(*name).text);
        *value = NULL;
        return KB_ERROR;
    }
    return KB_OK;
}
