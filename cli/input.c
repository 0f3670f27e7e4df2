#include "cli/input.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static kb_bytes from(kb_bytes text, size_t at)
{
    return kb_bytes_of(text.ptr + at, text.len - at);
}

static kb_bytes trim(kb_bytes text)
{
    while (text.len > 0 && is_space(text.ptr[0])) {
        text = from(text, 1);
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* Where `word` ends in the text, whatever its case; 0: it is not there. */
static size_t behind(kb_bytes text, const char *word)
{
    kb_bytes wanted = kb_str(word);

    for (size_t i = 0; i + wanted.len <= text.len; i++) {
        if (kb_equal_nocase(kb_bytes_of(text.ptr + i, wanted.len), wanted)) {
            return i + wanted.len;
        }
    }
    return 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* How many characters of a line of xxd, hexdump -C or tcpdump -x are its offset; 0: it is no such
 * line.
 */
static size_t offset_len(kb_bytes line)
{
    size_t digits = line.len > 2 && line.ptr[0] == '0' && line.ptr[1] == 'x' ? 2 : 0;
    size_t first = digits;

    while (digits < line.len && hex_digit(line.ptr[digits]) >= 0) {
        digits++;
    }
    if (digits < first + 4 || digits + 1 >= line.len) {
        return 0;
    }
    if (line.ptr[digits] == ':') {
        return is_space(line.ptr[digits + 1]) ? digits + 1 : 0;
    }
    return line.ptr[digits] == ' ' && line.ptr[digits + 1] == ' ' ? digits : 0;
}

/* The bytes of such a line: two blanks end them, but for those in the middle of hexdump's. */
static kb_bytes hex_columns(kb_bytes line)
{
    line = trim(from(line, offset_len(line)));
    for (size_t i = 0; i + 1 < line.len; i++) {
        bool gap = is_space(line.ptr[i]) && is_space(line.ptr[i + 1]);

        if (gap && (i != 8 * 3 - 1 || i + 2 >= line.len || hex_digit(line.ptr[i + 2]) < 0)) {
            line.len = i;
        }
    }
    return line;
}

static kb_bytes take_line(kb_bytes *text)
{
    const uint8_t *newline = text->len > 0 ? memchr(text->ptr, '\n', text->len) : NULL;
    size_t len = newline != NULL ? (size_t)(newline - text->ptr) : text->len;
    kb_bytes line = kb_bytes_of(text->ptr, len);

    *text = from(*text, newline != NULL ? len + 1 : len);
    return trim(line);
}

/* Adds the digits of a line; *half is the first of a pair that has not ended, or -1. */
static bool hex_line(kb_bytes line, int *half, struct kb_buf *out)
{
    for (size_t i = 0; i < line.len; i++) {
        int digit = hex_digit(line.ptr[i]);
        uint8_t byte;

        if (line.ptr[i] == '0' && i + 1 < line.len && (line.ptr[i + 1] | 0x20) == 'x' &&
            *half < 0) {
            i++;
        } else if (digit >= 0 && *half >= 0) {
            byte = (uint8_t)(*half << 4 | digit);
            kb_buf_add(out, kb_bytes_of(&byte, 1));
            *half = -1;
        } else if (digit >= 0) {
            *half = digit;
        } else if (*half >= 0 || (!is_space(line.ptr[i]) && strchr(":,-", line.ptr[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

static enum kb_status from_hex(kb_bytes text, struct kb_buf *out)
{
    int half = -1;
    bool columns = false;

    while (text.len > 0) {
        kb_bytes line = take_line(&text);

        columns = columns || offset_len(line) > 0;
        if (columns) {
            /* hexdump's last line is an offset alone */
            line = offset_len(line) > 0 ? hex_columns(line) : KB_NONE;
        }
        if (!hex_line(line, &half, out)) {
            return KB_MALFORMED;
        }
    }
    return half < 0 && out->len > 0 ? out->status : KB_MALFORMED;
}

static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static enum kb_status from_base64(kb_bytes text, struct kb_buf *out)
{
    uint32_t bits = 0;
    unsigned num_bits = 0, padding = 0;

    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.ptr[i]);

        if (digit >= 0 && padding == 0) {
            bits = bits << 6 | (uint32_t)digit;
            num_bits += 6;
        } else if (text.ptr[i] == '=' && padding < 2) {
            padding++;
        } else if (!is_space(text.ptr[i])) {
            return KB_MALFORMED;
        }
        if (num_bits >= 8) {
            uint8_t byte = (uint8_t)(bits >> (num_bits - 8));

            num_bits -= 8;
            kb_buf_add(out, kb_bytes_of(&byte, 1));
        }
    }
    /* One digit alone makes no byte; the bits that are left over are zero. */
    if (num_bits >= 6 || (bits & ((1u << num_bits) - 1)) != 0 || out->len == 0) {
        return KB_MALFORMED;
    }
    return out->status;
}

/* What stands behind "Negotiate" (RFC 4559) or "Kerberos", up to the end of its line. */
static kb_bytes without_header(kb_bytes text)
{
    size_t at = behind(text, "negotiate ");

    if (at == 0) {
        at = behind(text, "kerberos ");
    }
    if (at > 0) {
        kb_bytes rest = from(text, at);

        return take_line(&rest);
    }
    return text;
}

enum kb_status kb_input_bytes(kb_bytes text, enum kb_input_form form, struct kb_buf *out,
                              enum kb_input_form *out_form)
{
    static const enum kb_input_form forms[] = {KB_INPUT_HEX, KB_INPUT_BASE64};
    kb_bytes trimmed = trim(text);

    for (size_t i = 0; i < 2; i++) {
        enum kb_status status;

        if (form != forms[i] && form != KB_INPUT_AUTO) {
            continue;
        }
        *out_form = forms[i];
        status = forms[i] == KB_INPUT_HEX ? from_hex(trimmed, out)
                                          : from_base64(without_header(trimmed), out);
        if (status != KB_MALFORMED || form == forms[i]) {
            return status;
        }
        kb_buf_wipe(out);
    }
    *out_form = KB_INPUT_RAW;
    kb_buf_add(out, text);
    return out->status;
}

void kb_base64(kb_bytes bytes, struct kb_buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t num = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = 0;
        char four[4];

        for (size_t j = 0; j < 3; j++) {
            bits = bits << 8 | (j < num ? bytes.ptr[i + j] : 0);
        }
        for (size_t j = 0; j < 4; j++) {
            four[j] = j <= num ? digits[bits >> (18 - 6 * j) & 0x3f] : '=';
        }
        kb_buf_add(out, kb_bytes_of(four, sizeof(four)));
    }
}
