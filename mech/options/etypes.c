#include "mech/options/etypes.h"

#include "crypto/enctype.h"
#include "mech/options/table.h"
#include "mech/options/text.h"

/* clang-format off */
static const struct family {
    const char *name;
    int32_t items[7]; /* ended by 0; what the enctype table lacks is passed over */
} families[] = {
    {"default",  {KB_ENCTYPE_AES256_SHA384, KB_ENCTYPE_AES128_SHA256,
                  KB_ENCTYPE_AES256_SHA1, KB_ENCTYPE_AES128_SHA1,
                  KB_ENCTYPE_CAMELLIA256, KB_ENCTYPE_CAMELLIA128}},
    /* aes in MIT's order, which puts the earlier ones first */
    {"aes",      {KB_ENCTYPE_AES256_SHA1, KB_ENCTYPE_AES128_SHA1,
                  KB_ENCTYPE_AES256_SHA384, KB_ENCTYPE_AES128_SHA256}},
    {"aes-sha1", {KB_ENCTYPE_AES256_SHA1, KB_ENCTYPE_AES128_SHA1}},
    {"aes-sha2", {KB_ENCTYPE_AES256_SHA384, KB_ENCTYPE_AES128_SHA256}},
    {"camellia", {KB_ENCTYPE_CAMELLIA256, KB_ENCTYPE_CAMELLIA128}},
    {"rc4",      {KB_ENCTYPE_RC4_HMAC}},
    {"des3",     {KB_ENCTYPE_DES3_CBC_SHA1}},
    {"des",      {KB_ENCTYPE_DES_CBC_CRC, KB_ENCTYPE_DES_CBC_MD5, KB_ENCTYPE_DES_CBC_MD4}}, /* until MIT 1.17 */
};
/* clang-format on */

/* What MIT knows, or knew, and the enctype table may lack. */
static const char *const others[] = {
    "arcfour-hmac",
    "arcfour-hmac-exp",
    "arcfour-hmac-md5",
    "arcfour-hmac-md5-exp",
    "camellia",
    "camellia128-cts",
    "camellia128-cts-cmac",
    "camellia256-cts",
    "camellia256-cts-cmac",
    "des",
    "des-cbc-crc",
    "des-cbc-md4",
    "des-cbc-md5",
    "des-cbc-raw",
    "des-hmac-sha1",
    "des3",
    "des3-cbc-raw",
    "des3-cbc-sha1",
    "des3-cbc-sha1-kd",
    "des3-hmac-sha1",
    "rc4",
    "rc4-hmac",
    "rc4-hmac-exp",
};

#define NUM(array) (sizeof(array) / sizeof((array)[0]))

void kb_etypes_add(struct kb_etype_list *list, int32_t etype)
{
    if (kb_enctype_find(etype) == NULL) {
        return;
    }
    for (size_t i = 0; i < list->num; i++) {
        if (list->items[i] == etype) {
            return;
        }
    }
    if (list->num < KB_MAX_ETYPES) {
        list->items[list->num++] = etype;
    }
}

static void take_away(struct kb_etype_list *list, int32_t etype)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->num; i++) {
        if (list->items[i] != etype) {
            list->items[kept++] = list->items[i];
        }
    }
    list->num = kept;
}

static const struct family *family_of(kb_bytes word)
{
    for (size_t i = 0; i < NUM(families); i++) {
        if (kb_equal_nocase(kb_str(families[i].name), word)) {
            return &families[i];
        }
    }
    return NULL;
}

/* Adds or takes away what a word stands for; false: we have no such thing. */
static bool apply(struct kb_etype_list *list, kb_bytes word, bool adds)
{
    const struct family *family = family_of(word);
    const struct kb_enctype *enctype = family == NULL ? kb_enctype_by_name(word) : NULL;
    int32_t single[2] = {enctype != NULL ? enctype->etype : 0, 0};
    const int32_t *items = family != NULL ? family->items : single;
    bool known = false;

    for (size_t i = 0; items[i] != 0; i++) {
        if (kb_enctype_find(items[i]) == NULL) {
            continue;
        }
        known = true;
        if (adds) {
            kb_etypes_add(list, items[i]);
        } else {
            take_away(list, items[i]);
        }
    }
    return known;
}

void kb_etypes_default(struct kb_etype_list *out)
{
    out->num = 0;
    (void)apply(out, KB_LIT("default"), true);
}

void kb_etypes_keep(struct kb_etype_list *list, bool (*keeps)(void *ctx, int32_t etype), void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->num; i++) {
        if (keeps(ctx, list->items[i])) {
            list->items[kept++] = list->items[i];
        }
    }
    list->num = kept;
}

bool kb_etype_is_approved(int32_t etype)
{
    return etype >= KB_ENCTYPE_AES128_SHA1 && etype <= KB_ENCTYPE_AES256_SHA384;
}

static bool is_other(kb_bytes word)
{
    for (size_t i = 0; i < NUM(others); i++) {
        if (kb_equal_nocase(kb_str(others[i]), word)) {
            return true;
        }
    }
    return false;
}

static const char *nearest_enctype(kb_bytes word)
{
    const char *names[KB_MAX_ETYPES + NUM(families)];
    const struct kb_enctype *row;
    size_t num = 0;

    for (size_t i = 0; i < KB_MAX_ETYPES && (row = kb_enctype_at(i)) != NULL; i++) {
        names[num++] = row->name;
    }
    for (size_t i = 0; i < NUM(families); i++) {
        names[num++] = families[i].name;
    }
    return kb_nearest(word, names, num);
}

static enum kb_status refuse(kb_bytes word, struct kb_error *err)
{
    const char *nearest;

    if (is_other(word)) {
        return kb_error_set(err, KB_E_OPTION, "encryption type %s is not supported",
                            kb_show(word).text);
    }
    nearest = nearest_enctype(word);
    return kb_error_set(err, KB_E_OPTION, "there is no encryption type `%s`%s%s%s",
                        kb_show(word).text, nearest != NULL ? " (did you mean " : "",
                        nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
}

enum kb_status kb_etypes_parse(kb_bytes text, struct kb_etype_list *out, struct kb_error *err)
{
    kb_bytes word;

    out->num = 0;
    while (kb_take_word(&text, &word)) {
        bool adds = word.ptr[0] != '-';

        if (word.ptr[0] == '-' || word.ptr[0] == '+') {
            word = kb_bytes_of(word.ptr + 1, word.len - 1);
        }
        /* To take away what we do not have is done already. */
        if (!apply(out, word, adds) && err != NULL && (adds || !is_other(word))) {
            return refuse(word, err);
        }
    }
    return out->num > 0 || err == NULL
               ? KB_OK
               : kb_error_set(err, KB_E_OPTION, "no encryption type is left in the list");
}
