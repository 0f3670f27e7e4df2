/* text.h - the syntax of options: words, quotes, lists. Knows no option's name and reads no file.
 *
 * What is made lives in the arena given, NUL-terminated; what is lent points into the input.
 * Errors are KB_E_OPTION without the place, which the caller puts in front; they show no value,
 * since it may be a password. */
#ifndef KB_OPTIONS_TEXT_H
#define KB_OPTIONS_TEXT_H

#include "asn1/arena.h"
#include "mech/report/error.h"

/* White space as libgssapi's isspace sees it in the C locale. */
static inline bool kb_is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

kb_bytes kb_trim(kb_bytes text);

/* kb_starts_nocase: does `text` begin with `prefix`, without regard to case? */
bool kb_starts_nocase(const char *text, const char *prefix);

/* kb_take_line lends the next line without its end (LF or CR LF); false: there is none. */
bool kb_take_line(kb_bytes *rest, kb_bytes *out);

/* kb_take_word lends the next word of a list whose words stand between white space or commas. */
bool kb_take_word(kb_bytes *rest, kb_bytes *out);

/* kb_take_item reads the next `Name=value` of a mech.d line's brackets or of KERBSIDE_OPTIONS.
 * KB_NOT_FOUND: there are no more. *value is NULL only on failure. */
KB_MUST_USE enum kb_status kb_take_item(kb_bytes *rest, struct kb_arena *arena, kb_bytes *name,
                                        const char **value, struct kb_error *err);

/* kb_split_line reads one `NAME = value` line of an option file, already trimmed. */
KB_MUST_USE enum kb_status kb_split_line(kb_bytes line, struct kb_arena *arena, kb_bytes *name,
                                         const char **value, struct kb_error *err);

/* kb_arena_text copies a text into the arena, NUL-terminated; NULL: no memory. */
char *kb_arena_text(struct kb_arena *arena, kb_bytes text);

/* kb_show is foreign text for a message: escaped, quoted by the caller, cut after some 60 bytes. */
struct kb_shown {
    char text[80];
};
struct kb_shown kb_show(kb_bytes text);

#endif
