#include "mech/options/table.h"

/* The default's column, for each type: its number, and its text. */
#define NUMBER_BOOL(def) (def)
#define NUMBER_INTEGER(def) (def)
#define NUMBER_DURATION(def) (def)
#define NUMBER_WORD(def) (def)
#define NUMBER_STRING(def) 0
#define NUMBER_PATH(def) 0
#define NUMBER_LIST(def) 0
#define NUMBER_ETYPES(def) 0
#define NUMBER_SECRET(def) 0
#define TEXT_BOOL(def) NULL
#define TEXT_INTEGER(def) NULL
#define TEXT_DURATION(def) NULL
#define TEXT_WORD(def) NULL
#define TEXT_STRING(def) (def)
#define TEXT_PATH(def) (def)
#define TEXT_LIST(def) (def)
#define TEXT_ETYPES(def) (def)
#define TEXT_SECRET(def) (def)

const struct kb_option_row kb_option_rows[KB_OPT_NUM] = {
#define KB_OPTION(o_name, o_member, o_type, o_def, o_min, o_max, o_scope, o_flags, o_help)         \
    [KB_OPT_##o_name] = {                                                                          \
        .name = #o_name,                                                                           \
        .type = KB_OPTION_##o_type,                                                                \
        .scope = KB_SCOPE_##o_scope,                                                               \
        .flags = (o_flags),                                                                        \
        .member = offsetof(struct kb_options, o_member),                                           \
        .from = offsetof(struct kb_options, o_member##_from),                                      \
        .def_number = NUMBER_##o_type(o_def),                                                      \
        .min = (o_min),                                                                            \
        .max = (o_max),                                                                            \
        .help = (o_help),                                                                          \
    },
#include "mech/options/options.def"
#undef KB_OPTION
};

const char *kb_option_default(enum kb_option_id id)
{
    switch (id) {
#define KB_OPTION(o_name, o_member, o_type, o_def, o_min, o_max, o_scope, o_flags, o_help)         \
    case KB_OPT_##o_name:                                                                          \
        return TEXT_##o_type(o_def);
#include "mech/options/options.def"
#undef KB_OPTION
    case KB_OPT_NUM:
        break;
    }
    return NULL;
}

static const struct word {
    enum kb_option_id id;
    char text[16];
    int64_t value;
} words[] = {
#define KB_WORD(option, word, value) {KB_OPT_##option, word, value},
#include "mech/options/words.def"
#undef KB_WORD
};

#define NUM_WORDS (sizeof(words) / sizeof(words[0]))

bool kb_word_value(enum kb_option_id id, kb_bytes word, int64_t *out)
{
    for (size_t i = 0; i < NUM_WORDS; i++) {
        if (words[i].id == id && kb_equal_nocase(kb_str(words[i].text), word)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

const char *kb_word_text(enum kb_option_id id, int64_t value)
{
    for (size_t i = 0; i < NUM_WORDS; i++) {
        if (words[i].id == id && words[i].value == value) {
            return words[i].text;
        }
    }
    return NULL;
}

void kb_words_list(enum kb_option_id id, struct kb_buf *out)
{
    const char *text, *next = kb_word_text(id, 0);

    for (int64_t value = 0; (text = next) != NULL; value++) {
        next = kb_word_text(id, value + 1);
        kb_buf_printf(out, "%s%s", value == 0 ? "" : next != NULL ? ", " : " or ", text);
    }
}

const struct kb_option_row *kb_option_find(kb_bytes name)
{
    for (size_t i = 0; i < KB_OPT_NUM; i++) {
        if (kb_equal_nocase(kb_str(kb_option_rows[i].name), name)) {
            return &kb_option_rows[i];
        }
    }
    return NULL;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

#define MAX_WORD 40

/* Edit distance in which two swapped neighbours count one (optimal string alignment), over words of
 * at most MAX_WORD bytes. */
static unsigned distance(kb_bytes a, kb_bytes b)
{
    uint8_t rows[3][MAX_WORD + 1];
    uint8_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b.len; j++) {
        last[j] = (uint8_t)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        uint8_t *spare = before;

        row[0] = (uint8_t)i;
        for (size_t j = 1; j <= b.len; j++) {
            uint8_t x = lower(a.ptr[i - 1]), y = lower(b.ptr[j - 1]);
            uint8_t best = (uint8_t)(last[j - 1] + (x != y));

            best = last[j] + 1 < best ? (uint8_t)(last[j] + 1) : best;
            best = row[j - 1] + 1 < best ? (uint8_t)(row[j - 1] + 1) : best;
            if (i > 1 && j > 1 && x == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == y &&
                before[j - 2] + 1 < best) {
                best = (uint8_t)(before[j - 2] + 1);
            }
            row[j] = best;
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[b.len];
}

static bool starts(kb_bytes text, kb_bytes with)
{
    return with.len >= 3 && text.len >= with.len &&
           kb_equal_nocase(kb_bytes_of(text.ptr, with.len), with);
}

const char *kb_nearest(kb_bytes word, const char *const *names, size_t num)
{
    const char *nearest = NULL;
    unsigned best = MAX_WORD;

    if (word.len > MAX_WORD) {
        return NULL;
    }
    for (size_t i = 0; i < num; i++) {
        kb_bytes name = kb_str(names[i]);
        unsigned edits = name.len <= MAX_WORD ? distance(word, name) : MAX_WORD;

        if (edits < best) {
            best = edits;
            nearest = names[i];
        }
    }
    /* A third of the word wrong is a slip; more is another word, or one cut short or drawn out. */
    if (best <= (word.len + 2) / 3) {
        return nearest;
    }
    for (size_t i = 0; i < num; i++) {
        if (starts(kb_str(names[i]), word) || starts(word, kb_str(names[i]))) {
            return names[i];
        }
    }
    return NULL;
}

/* What people write who know the thing by another name. */
static const struct {
    char word[20];
    enum kb_option_id id;
} meant[] = {
    {"Principal", KB_OPT_User},
    {"Client", KB_OPT_User},
    {"Login", KB_OPT_User},
    {"Account", KB_OPT_User},
    {"Passwd", KB_OPT_Password},
    {"Secret", KB_OPT_Password},
    {"ClientKeytab", KB_OPT_KeytabFile},
    {"CCache", KB_OPT_CredentialsCacheFile},
    {"Cache", KB_OPT_CredentialsCacheFile},
    {"TicketCache", KB_OPT_CredentialsCacheFile},
    {"Server", KB_OPT_KDCHost},
    {"AdminServer", KB_OPT_PrimaryKDC},
    {"MasterKDC", KB_OPT_PrimaryKDC},
    {"Service", KB_OPT_SPN},
    {"Target", KB_OPT_SPN},
    {"Proxy", KB_OPT_FirewallHost},
    {"ProxyHost", KB_OPT_FirewallHost},
    {"ProxyPort", KB_OPT_FirewallPort},
    {"Enctypes", KB_OPT_EncryptionTypes},
    {"PermittedEnctypes", KB_OPT_EncryptionTypes},
    {"Debug", KB_OPT_LogLevel},
    {"Verbose", KB_OPT_LogLevel},
    {"Include", KB_OPT_Config},
    {"Disabled", KB_OPT_Enabled},
    {"BindAddress", KB_OPT_LocalHost},
    {"SourceAddress", KB_OPT_LocalHost},
    {"IPv6", KB_OPT_UseIPv6},
    {"DSCP", KB_OPT_QOSDSCPValue},
    {"rdns", KB_OPT_DNSCanonicalize},
    {"Addresses", KB_OPT_NoAddresses},
    {"Lifetime", KB_OPT_TicketLife},
};

const char *kb_option_nearest(kb_bytes name)
{
    const char *names[KB_OPT_NUM];

    for (size_t i = 0; i < sizeof(meant) / sizeof(meant[0]); i++) {
        if (kb_equal_nocase(kb_str(meant[i].word), name)) {
            return kb_option_rows[meant[i].id].name;
        }
    }
    for (size_t i = 0; i < KB_OPT_NUM; i++) {
        names[i] = kb_option_rows[i].name;
    }
    return kb_nearest(name, names, KB_OPT_NUM);
}
