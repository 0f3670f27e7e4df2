#include "asn1/buf.h"

#include <stdio.h>
#include <stdlib.h>

void kb_buf_init(struct kb_buf *buf, size_t ceiling)
{
    *buf = (struct kb_buf){.ceiling = ceiling};
}

/* Makes room for `more` bytes and a NUL. realloc would leave a copy behind, unwiped. */
static bool reserve(struct kb_buf *buf, size_t more)
{
    size_t size = buf->size > 0 ? buf->size : 64;
    uint8_t *data;

    if (buf->status != KB_OK) {
        return false;
    }
    if (more > buf->ceiling - buf->len) {
        buf->status = KB_TOO_BIG;
        return false;
    }
    if (buf->len + more < buf->size) {
        return true;
    }
    while (size <= buf->len + more) {
        size *= 2;
    }
    data = malloc(size);
    if (data == NULL) {
        buf->status = KB_NO_MEMORY;
        return false;
    }
    if (buf->data != NULL) {
        memcpy(data, buf->data, buf->len);
        kb_free_secret(buf->data, buf->size);
    }
    buf->data = data;
    buf->size = size;
    return true;
}

void kb_buf_add(struct kb_buf *buf, kb_bytes bytes)
{
    if (reserve(buf, bytes.len)) {
        if (bytes.len > 0) {
            memcpy(buf->data + buf->len, bytes.ptr, bytes.len);
        }
        buf->len += bytes.len;
        buf->data[buf->len] = '\0';
    }
}

void kb_buf_add_str(struct kb_buf *buf, const char *text)
{
    kb_buf_add(buf, kb_str(text));
}

void kb_buf_vprintf(struct kb_buf *buf, const char *format, va_list args)
{
    va_list again;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0) {
        buf->status = buf->status != KB_OK ? buf->status : KB_MALFORMED;
        return;
    }
    if (reserve(buf, (size_t)len)) {
        vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, args);
        buf->len += (size_t)len;
    }
}

void kb_buf_printf(struct kb_buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    kb_buf_vprintf(buf, format, args);
    va_end(args);
}

/* Characters that show nothing and change how the rest is shown: directions, joiners, separators of
 * lines, tags. A foreign text could turn a sentence round with them (Trojan Source,
 * CVE-2021-42574). */
static bool is_invisible(uint32_t c)
{
    return c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

static uint32_t code_point(const uint8_t *p, size_t len)
{
    uint32_t c = p[0] & (0xffu >> (len + 1));

    for (size_t i = 1; i < len; i++) {
        c = (c << 6) | (p[i] & 0x3f);
    }
    return c;
}

/* Length of the valid UTF-8 sequence of more than one byte at the front of `text`, else 0.
 * Overlong forms, surrogates, C1 controls, invisible characters and what lies beyond U+10FFFF are
 * not valid here. */
static size_t utf8_len(kb_bytes text)
{
    uint8_t c = text.ptr[0];
    size_t len = c >= 0xf0 && c <= 0xf4  ? 4
                 : c >= 0xe0 && c < 0xf0 ? 3
                 : c >= 0xc2 && c < 0xe0 ? 2
                                         : 0;

    if (len == 0 || len > text.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((text.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((c == 0xc2 && text.ptr[1] < 0xa0) || (c == 0xe0 && text.ptr[1] < 0xa0) ||
        (c == 0xed && text.ptr[1] > 0x9f) || (c == 0xf0 && text.ptr[1] < 0x90) ||
        (c == 0xf4 && text.ptr[1] > 0x8f)) {
        return 0;
    }
    return is_invisible(code_point(text.ptr, len)) ? 0 : len;
}

/* Appends `text`: each byte of `special` and each that is not printable by `put`, the rest as it
 * is. */
static void add_foreign(struct kb_buf *buf, kb_bytes text, const char *special,
                        void (*put)(struct kb_buf *, uint8_t))
{
    while (text.len > 0) {
        uint8_t c = text.ptr[0];
        size_t len = c >= 0x20 && c < 0x7f && strchr(special, c) == NULL ? 1 : utf8_len(text);

        if (len > 0) {
            kb_buf_add(buf, kb_bytes_of(text.ptr, len));
        } else {
            len = 1;
            put(buf, c);
        }
        text.ptr += len;
        text.len -= len;
    }
}

static void put_escaped(struct kb_buf *buf, uint8_t c)
{
    kb_buf_printf(buf, "\\x%02x", c);
}

void kb_buf_add_escaped(struct kb_buf *buf, kb_bytes text)
{
    add_foreign(buf, text, "\\", put_escaped);
}

/* RFC 8259 7. */
static void put_json(struct kb_buf *buf, uint8_t c)
{
    if (c == '"' || c == '\\') {
        kb_buf_printf(buf, "\\%c", c);
    } else if (c < 0x80) {
        kb_buf_printf(buf, "\\u%04x", c);
    } else {
        kb_buf_printf(buf, "\\\\x%02x", c);
    }
}

void kb_buf_add_json(struct kb_buf *buf, kb_bytes text)
{
    kb_buf_add_str(buf, "\"");
    add_foreign(buf, text, "\"\\", put_json);
    kb_buf_add_str(buf, "\"");
}

const char *kb_buf_str(const struct kb_buf *buf)
{
    return buf->status == KB_OK && buf->data != NULL ? (const char *)buf->data : "";
}

char *kb_buf_take(struct kb_buf *buf, size_t *out_len)
{
    char *taken = NULL;

    if (reserve(buf, 0)) {
        buf->data[buf->len] = '\0';
        taken = (char *)buf->data;
        if (out_len != NULL) {
            *out_len = buf->len;
        }
        buf->data = NULL;
    }
    kb_buf_wipe(buf);
    return taken;
}

void kb_buf_wipe(struct kb_buf *buf)
{
    kb_free_secret(buf->data, buf->size);
    *buf = (struct kb_buf){.ceiling = buf->ceiling};
}
