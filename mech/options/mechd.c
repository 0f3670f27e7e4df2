#include "mech/options/mechd.h"

#include <limits.h>
#include <stdio.h>

#include "mech/options/text.h"

/* libgssapi reads by fgets into char[BUFSIZ]: the rest of a longer line is a line of its own. */
#define MAX_CHUNK (BUFSIZ - 1)

/* --- OIDs, as generic_gss_str_to_oid reads them --- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void skip_spaces(kb_bytes *text)
{
    while (text->len > 0 && kb_is_space(text->ptr[0])) {
        text->ptr++;
        text->len--;
    }
}

static bool take_arc(kb_bytes *text, unsigned long *out)
{
    kb_bytes rest = *text;
    unsigned long arc = 0;

    if (rest.len == 0 || !is_digit(rest.ptr[0])) {
        return false;
    }
    for (; rest.len > 0 && is_digit(rest.ptr[0]); rest.ptr++, rest.len--) {
        unsigned long next = arc * 10 + (unsigned long)(rest.ptr[0] - '0');

        if (next < arc) {
            return false;
        }
        arc = next;
    }
    while (rest.len > 0 && (kb_is_space(rest.ptr[0]) || rest.ptr[0] == '.')) {
        rest.ptr++;
        rest.len--;
    }
    *text = rest;
    *out = arc;
    return true;
}

static bool put_arc(uint8_t out[KB_MAX_OID], size_t *len, unsigned long arc)
{
    size_t num = 1;

    for (unsigned long rest = arc >> 7; rest > 0; rest >>= 7) {
        num++;
    }
    if (num > KB_MAX_OID - *len) {
        return false;
    }
    for (size_t i = num; i > 0; i--) {
        out[*len + i - 1] = (uint8_t)((arc & 0x7f) | (i < num ? 0x80 : 0));
        arc >>= 7;
    }
    *len += num;
    return true;
}

size_t kb_mechd_oid(kb_bytes text, uint8_t out[KB_MAX_OID])
{
    unsigned long first, second, arc;
    bool brace, fits;
    size_t len = 0;

    skip_spaces(&text);
    brace = text.len > 0 && text.ptr[0] == '{';
    if (brace) {
        text.ptr++;
        text.len--;
    }
    skip_spaces(&text);
    if (!take_arc(&text, &first) || !take_arc(&text, &second) || first > 2 ||
        (first < 2 && second > 39) || second > ULONG_MAX - 80) {
        return 0;
    }
    fits = put_arc(out, &len, first * 40 + second);
    while (fits && take_arc(&text, &arc)) {
        fits = put_arc(out, &len, arc);
    }
    return fits && (!brace || (text.len > 0 && text.ptr[0] == '}')) ? len : 0;
}

/* --- lines --- */

/* Cuts the field in front of white space off, as delimit_ws. */
static kb_bytes take_field(kb_bytes *rest)
{
    size_t len = 0;
    kb_bytes field;

    while (len < rest->len && !kb_is_space(rest->ptr[len])) {
        len++;
    }
    field = kb_bytes_of(rest->ptr, len);
    *rest = kb_bytes_of(rest->ptr + len, rest->len - len);
    skip_spaces(rest);
    return field;
}

/* Cuts what stands between one byte and the first `end` off, as delimit. */
static kb_bytes take_bracketed(kb_bytes *rest, uint8_t end)
{
    size_t len = 1;
    kb_bytes inside;

    while (len < rest->len && rest->ptr[len] != end) {
        len++;
    }
    inside = kb_bytes_of(rest->ptr + 1, len - 1);
    if (len < rest->len) {
        len++;
    }
    *rest = kb_bytes_of(rest->ptr + len, rest->len - len);
    skip_spaces(rest);
    return inside;
}

static bool starts_with(kb_bytes text, uint8_t c)
{
    return text.len > 0 && text.ptr[0] == c;
}

static bool is_ours(kb_bytes name, kb_bytes oid_text, kb_bytes oid)
{
    uint8_t der[KB_MAX_OID];
    kb_bytes found = kb_bytes_of(der, kb_mechd_oid(oid_text, der));

    if (found.len == 0) {
        return false;
    }
    return oid.len > 0 ? kb_equal(found, oid)
                       : kb_equal(found, KB_OWN_OID) || kb_equal(name, KB_LIT("kerbside"));
}

static void scan_chunk(kb_bytes rest, unsigned number, kb_bytes oid, struct kb_mechd_line *line)
{
    kb_bytes name, oid_text, library;
    struct kb_mechd_line found = {.found = true, .line = number};

    if (starts_with(rest, '#')) {
        return;
    }
    /* A line that starts with white space has an empty name here, as in libgssapi, whose next field
     * is then the name: it never fits. */
    name = take_field(&rest);
    oid_text = take_field(&rest);
    library = take_field(&rest);
    if (library.len == 0 || !is_ours(name, oid_text, oid)) {
        return;
    }
    if (rest.len > 0 && !starts_with(rest, '[') && !starts_with(rest, '<')) {
        take_field(&rest); /* the kernel module's name */
    }
    if (starts_with(rest, '[')) {
        found.options = take_bracketed(&rest, ']');
    }
    if (starts_with(rest, '<')) {
        take_bracketed(&rest, '>');
    }
    found.lost = starts_with(rest, '[');
    *line = found;
}

void kb_mechd_scan(kb_bytes file, kb_bytes oid, struct kb_mechd_line *line)
{
    unsigned number = 0;

    while (file.len > 0) {
        const uint8_t *newline = memchr(file.ptr, '\n', file.len);
        size_t len = newline != NULL ? (size_t)(newline - file.ptr) + 1 : file.len;

        number++;
        for (size_t from = 0; from < len; from += MAX_CHUNK) {
            kb_bytes chunk =
                kb_bytes_of(file.ptr + from, len - from < MAX_CHUNK ? len - from : MAX_CHUNK);

            /* fgets' string functions see no more than up to a NUL. */
            scan_chunk(kb_bytes_of(chunk.ptr, strnlen((const char *)chunk.ptr, chunk.len)), number,
                       oid, line);
        }
        file.ptr += len;
        file.len -= len;
    }
}
