#include "mech/options/checking.h"

#include <stdio.h>

#include "mech/options/mechd.h"
#include "mech/options/text.h"

#define MAX_LINE (BUFSIZ - 2) /* with its newline it must fit into libgssapi's buffer */

static bool contains(kb_bytes text, const char *word)
{
    return text.len > 0 && memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

/* Meant as our line, whether libgssapi takes it or not. */
static bool is_meant(kb_bytes line)
{
    kb_bytes text = kb_trim(line);

    return text.len > 0 && text.ptr[0] != '#' && text.ptr[0] != '[' &&
           (contains(text, "kerbside.so") || contains(text, "<interposer>") ||
            contains(text, "1.3.6.1.4.1.32473.88.1"));
}

bool kb_check_is_mechd(kb_bytes file)
{
    kb_bytes line;

    while (kb_take_line(&file, &line)) {
        if (is_meant(line)) {
            return true;
        }
    }
    return false;
}

static kb_bytes take_field(kb_bytes *rest)
{
    size_t len = 0;
    kb_bytes field;

    while (len < rest->len && !kb_is_space(rest->ptr[len])) {
        len++;
    }
    field = kb_bytes_of(rest->ptr, len);
    *rest = kb_trim(kb_bytes_of(rest->ptr + len, rest->len - len));
    return field;
}

static size_t find(kb_bytes text, const char *word)
{
    const uint8_t *at = text.len > 0 ? memmem(text.ptr, text.len, word, strlen(word)) : NULL;

    return at != NULL ? (size_t)(at - text.ptr) : text.len;
}

static const char *cut_by_bracket(kb_bytes options, kb_bytes behind)
{
    size_t quotes = 0;

    for (size_t i = 0; i < options.len; i++) {
        quotes += options.ptr[i] == '"' && (i == 0 || options.ptr[i - 1] != '\\');
    }
    return quotes % 2 == 1 || find(behind, "]") < behind.len
               ? "a `]` inside of the options ends them for libgssapi; write \\x5d for it in a "
                 "quoted value"
               : NULL;
}

/* What stands behind the library's name; NULL: nothing is wrong with it. */
static const char *rest_is_wrong(kb_bytes rest)
{
    size_t open = find(rest, "["), close = find(rest, "]");
    kb_bytes options, behind;
    const char *cut;

    if (open == rest.len) {
        return find(rest, "=") < rest.len ? "the options must stand in brackets, [Name=value ...]"
               : kb_equal(rest, KB_LIT("<interposer>"))
                   ? NULL
                   : "the line does not end with <interposer>, so it is no plugin for existing "
                     "mechanisms";
    }
    if (find(rest, "<") < open) {
        return "the options stand behind <interposer>, where libgssapi does not see them; write "
               "them before it";
    }
    if (close < open || close == rest.len) {
        return "no `]` ends the options";
    }
    options = kb_bytes_of(rest.ptr + open + 1, close - open - 1);
    behind = kb_trim(kb_bytes_of(rest.ptr + close + 1, rest.len - close - 1));
    cut = cut_by_bracket(options, behind);
    if (cut != NULL) {
        return cut;
    }
    return kb_equal(behind, KB_LIT("<interposer>"))
               ? NULL
               : "the line does not end with <interposer>, exactly so, behind the options";
}

static void check_line(struct kb_checking *checking, kb_bytes line, const struct kb_origin *place)
{
    uint8_t der[KB_MAX_OID];
    kb_bytes rest = kb_trim(line), oid;
    const char *wrong;

    if (kb_is_space(line.ptr[0])) {
        kb_check_tell(checking, place, false, KB_E_OPTION,
                      "a blank before the line: libgssapi does not take it then");
    }
    if (line.len > MAX_LINE) {
        kb_check_tell(checking, place, false, KB_E_OPTION,
                      "the line has more than %d characters, which libgssapi cuts it at; use "
                      "Config=FILE",
                      MAX_LINE);
    }
    take_field(&rest);
    oid = take_field(&rest);
    if (kb_mechd_oid(oid, der) == 0) {
        kb_check_tell(checking, place, false, KB_E_OPTION,
                      "`%s` is no object identifier; it is 1.3.6.1.4.1.32473.88.1",
                      kb_show(oid).text);
    }
    if (take_field(&rest).len == 0) {
        kb_check_tell(checking, place, false, KB_E_OPTION,
                      "the library's name, kerbside.so, is missing");
        return;
    }
    wrong = rest_is_wrong(rest);
    if (wrong != NULL) {
        kb_check_tell(checking, place, false, KB_E_OPTION, "%s", wrong);
    }
}

static size_t oid_of(kb_bytes line, uint8_t out[KB_MAX_OID])
{
    kb_bytes rest = kb_trim(line);

    take_field(&rest);
    return kb_mechd_oid(take_field(&rest), out);
}

/* Does a line behind this one have the same object identifier? 0, or how many lines further. */
static unsigned find_same(kb_bytes rest, kb_bytes line)
{
    uint8_t ours[KB_MAX_OID], theirs[KB_MAX_OID];
    size_t len = oid_of(line, ours);
    unsigned distance = 0;
    kb_bytes other;

    while (len > 0 && kb_take_line(&rest, &other)) {
        distance++;
        if (is_meant(other) && oid_of(other, theirs) == len && memcmp(ours, theirs, len) == 0) {
            return distance;
        }
    }
    return 0;
}

/* Looks at each line that is meant as ours. */
static void check_lines(struct kb_checking *checking, kb_bytes file, const struct kb_origin *like)
{
    struct kb_origin place = *like;
    unsigned distance;
    kb_bytes line;

    while (kb_take_line(&file, &line)) {
        place.line++;
        if (!is_meant(line)) {
            continue;
        }
        check_line(checking, line, &place);
        distance = find_same(file, line);
        if (distance > 0) {
            kb_check_tell(checking, &place, true, KB_E_OPTION,
                          "line %u has the same object identifier and takes the place of this one",
                          place.line + distance);
        }
    }
}

enum kb_status kb_check_mechd(struct kb_checking *checking, kb_bytes file,
                              const struct kb_setting *like, struct kb_error *err)
{
    struct kb_mechd_line line = {0};
    struct kb_setting at_line = *like;

    check_lines(checking, file, &like->from);
    kb_mechd_scan(file, KB_NONE, &line);
    at_line.from.line = line.line;
    return line.found
               ? kb_read_items(&checking->reading, KB_LAYER_MECHD, line.options, &at_line, err)
               : KB_OK;
}
