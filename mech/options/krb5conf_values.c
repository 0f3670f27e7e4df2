/* Booleans and times, as MIT's library reads them. */
#include "mech/options/krb5conf.h"

#include "mech/options/text.h"
#include "mech/options/value.h"

/* The words that MIT's profile library takes beside those of kb_parse_bool. */
bool kb_krb5conf_parse_bool(kb_bytes text, bool *out)
{
    if (kb_equal_nocase(text, KB_LIT("y")) || kb_equal_nocase(text, KB_LIT("t"))) {
        *out = true;
        return true;
    }
    if (kb_equal_nocase(text, KB_LIT("n")) || kb_equal_nocase(text, KB_LIT("f")) ||
        kb_equal_nocase(text, KB_LIT("nil"))) {
        *out = false;
        return true;
    }
    return kb_parse_bool(text, out);
}

/* At most two digits, but in front, as MIT's grammar has it. */
static bool take_number(kb_bytes *text, size_t max_digits, int64_t *out)
{
    size_t len = 0;

    while (len < text->len && text->ptr[len] >= '0' && text->ptr[len] <= '9') {
        len++;
    }
    if (len == 0 || len > max_digits || !kb_parse_integer(kb_bytes_of(text->ptr, len), out)) {
        return false;
    }
    *text = kb_bytes_of(text->ptr + len, text->len - len);
    return true;
}

/* "10:30", "10:30:00", "7-10:30:00": hours and minutes, seconds, days. */
static bool parse_clock(kb_bytes text, int64_t *out)
{
    int64_t part[4] = {0};
    char marks[4] = {0};
    size_t num = 0;

    while (num < 4 && take_number(&text, num == 0 ? 10 : 2, &part[num])) {
        num++;
        if (text.len == 0) {
            break;
        }
        marks[num - 1] = (char)text.ptr[0];
        text = kb_bytes_of(text.ptr + 1, text.len - 1);
    }
    if (text.len > 0) {
        return false;
    }
    if (num == 4 && strcmp(marks, "-::") == 0) {
        *out = part[0] * 86400 + part[1] * 3600 + part[2] * 60 + part[3];
    } else if ((num == 3 && strcmp(marks, "::") == 0) || (num == 2 && strcmp(marks, ":") == 0)) {
        *out = part[0] * 3600 + part[1] * 60 + part[2];
    } else {
        return false;
    }
    return *out <= INT32_MAX;
}

bool kb_krb5conf_parse_seconds(kb_bytes text, int64_t *out)
{
    uint8_t squeezed[64];
    size_t len = 0;

    text = kb_trim(text);
    if (text.len == 0 || text.len > sizeof(squeezed)) {
        return false;
    }
    if (memchr(text.ptr, ':', text.len) != NULL) {
        return parse_clock(text, out);
    }
    for (size_t i = 0; i < text.len; i++) {
        bool between_digits = kb_is_space(text.ptr[i]) && len > 0 && squeezed[len - 1] >= '0' &&
                              squeezed[len - 1] <= '9' && i + 1 < text.len &&
                              text.ptr[i + 1] >= '0' && text.ptr[i + 1] <= '9';

        if (between_digits) {
            return false;
        }
        if (!kb_is_space(text.ptr[i])) {
            squeezed[len++] = text.ptr[i];
        }
    }
    return kb_parse_duration(kb_bytes_of(squeezed, len), out);
}

bool kb_krb5conf_bool(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                      bool otherwise)
{
    const char *text = kb_krb5conf_default(conf, realm, name, NULL);
    bool value;

    return text != NULL && kb_krb5conf_parse_bool(kb_str(text), &value) ? value : otherwise;
}

int64_t kb_krb5conf_seconds(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                            int64_t otherwise)
{
    const char *text = kb_krb5conf_default(conf, realm, name, NULL);
    int64_t value;

    return text != NULL && kb_krb5conf_parse_seconds(kb_str(text), &value) ? value : otherwise;
}
