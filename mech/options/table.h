/* table.h - options.def as data: find a row by its name, or the nearest name that there is.
 *
 * Rows are constant and live for ever; any thread. Parsing a text by its row is value.h. */
#ifndef KB_OPTIONS_TABLE_H
#define KB_OPTIONS_TABLE_H

#include "mech/options/options.h"

enum kb_option_type {
    KB_OPTION_BOOL,
    KB_OPTION_INTEGER,
    KB_OPTION_DURATION,
    KB_OPTION_WORD,
    KB_OPTION_STRING,
    KB_OPTION_PATH,
    KB_OPTION_LIST,
    KB_OPTION_ETYPES,
    KB_OPTION_SECRET,
};

enum kb_option_scope { KB_SCOPE_PROCESS, KB_SCOPE_CREDENTIAL, KB_SCOPE_CONTEXT };

enum { KB_OPT_MASKED = 1, KB_OPT_IDENTITY = 2, KB_OPT_READ_ONLY = 4 };

/* The number of a row: KB_OPT_User, KB_OPT_Password, … */
enum kb_option_id {
#define KB_OPTION(name, member, type, def, min, max, scope, flags, help) KB_OPT_##name,
#include "mech/options/options.def"
#undef KB_OPTION
    KB_OPT_NUM
};

/* No pointers: each would be relocated in every program that loads us. */
struct kb_option_row {
    char name[24];
    enum kb_option_type type;
    enum kb_option_scope scope;
    unsigned flags;
    size_t member; /* offset of the value in struct kb_options, its kb_origin is at `from` */
    size_t from;
    int64_t def_number; /* BOOL, INTEGER, DURATION, WORD */
    int64_t min, max;
    char help[176];
};

extern const struct kb_option_row kb_option_rows[KB_OPT_NUM];

/* kb_option_default is the default of the other types than those of def_number; NULL: not set. */
const char *kb_option_default(enum kb_option_id id);

/* kb_option_find returns the row of a name, without regard to case; NULL: there is none. */
const struct kb_option_row *kb_option_find(kb_bytes name);

static inline enum kb_option_id kb_option_id(const struct kb_option_row *row)
{
    return (enum kb_option_id)(row - kb_option_rows);
}

/* kb_word_value finds what a word of a WORD option stands for. kb_word_text is the word that is
 * shown for a value; NULL: it has none. kb_words_list appends "a, b or c": the words to choose
 * from. */
bool kb_word_value(enum kb_option_id id, kb_bytes word, int64_t *out);
const char *kb_word_text(enum kb_option_id id, int64_t value);
void kb_words_list(enum kb_option_id id, struct kb_buf *out);

/* kb_nearest returns the one of `num` names that is fewest edits away from `word` (case ignored),
 * if that is near enough to be what was meant; else NULL. */
const char *kb_nearest(kb_bytes word, const char *const *names, size_t num);

/* kb_option_nearest is kb_nearest over the table. */
const char *kb_option_nearest(kb_bytes name);

#endif
