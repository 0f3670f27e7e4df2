/* show.h - writes named values down, as lines for a person or as JSON for a program.
 *
 * Values stand in groups of fields and in lists. As text, each is a line "name: value", indented by
 * its depth; a list of plain values is one line, an item that is a group begins with "[0]". As JSON
 * (RFC 8259) they are objects and arrays under the same names. What a number or flags stand for is
 * told in JSON by a field more: "etype" and "etype-name", "flags" and "flags-names".
 * Foreign text is escaped for both (kb_buf_add_escaped, kb_buf_add_json). Errors are kept in the
 * buffer. One thread at a time. */
#ifndef KB_ASN1_SHOW_H
#define KB_ASN1_SHOW_H

#include "asn1/buf.h"

/* A group deeper than this is left out; its place shows "…". */
#define KB_SHOW_DEPTH 60

enum kb_show_kind {
    KB_SHOW_FIELDS, /* a group of named fields */
    KB_SHOW_ITEMS,  /* a list of groups */
    KB_SHOW_PLAIN,  /* a list of plain values */
};

struct kb_show {
    struct kb_buf *out;
    bool json;
    /* private */
    bool untitled; /* text: the outermost group has no title, its fields no indentation */
    int depth, skipped;
    struct kb_show_level {
        enum kb_show_kind kind;
        size_t num; /* of the values that it has so far */
    } levels[KB_SHOW_DEPTH];
};

void kb_show_init(struct kb_show *show, struct kb_buf *out, bool json);

/* kb_show_full: no deeper group has room. */
static inline bool kb_show_full(const struct kb_show *show)
{
    return show->depth >= KB_SHOW_DEPTH;
}

/* kb_show_open begins a group or list, kb_show_close ends it. `name` is NULL for the item of a
 * list, and for the outermost of all, which as text has then neither title nor indentation. In
 * names, underscores are shown as hyphens. */
void kb_show_open(struct kb_show *show, const char *name, enum kb_show_kind kind);
void kb_show_close(struct kb_show *show);

/* `label` says what the number stands for; NULL: nothing is known. */
void kb_show_number(struct kb_show *show, const char *name, int64_t value, const char *label);
void kb_show_bool(struct kb_show *show, const char *name, bool value);
void kb_show_null(struct kb_show *show, const char *name); /* as text: "-" */

/* kb_show_word is for words of ours, kb_show_text for foreign text, which is quoted; kb_show_name
 * is for foreign text that needs no quotes, as names of principals. */
void kb_show_word(struct kb_show *show, const char *name, const char *word);
void kb_show_text(struct kb_show *show, const char *name, kb_bytes text);
void kb_show_name(struct kb_show *show, const char *name, kb_bytes text);
void kb_show_printf(struct kb_show *show, const char *name, const char *format, ...)
    KB_PRINTF(3, 4);

/* Octets: as text their number and, unless `whole`, the first 32; in JSON all of them in
 * hexadecimal. kb_show_hidden tells of a secret only its length. */
void kb_show_octets(struct kb_show *show, const char *name, kb_bytes octets, bool whole);
void kb_show_hidden(struct kb_show *show, const char *name, size_t len);

/* KerberosFlags with the names of their bits (names.h). */
void kb_show_flags(struct kb_show *show, const char *name, uint32_t flags);

/* An object identifier's contents octets: dotted, and its name. */
void kb_show_oid(struct kb_show *show, const char *name, kb_bytes oid);

/* Seconds of UTC since 1970. */
void kb_show_time(struct kb_show *show, const char *name, int64_t time);

#endif
