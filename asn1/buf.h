/* buf.h - a growing buffer with a ceiling, for texts, files and messages of unknown length.
 *
 * Keeps its first error: after one, appending does nothing and the contents are not to be used;
 * check `status` once at the end. Owns its memory and wipes it whenever it moves or is released.
 * One thread at a time. */
#ifndef KB_BUF_H
#define KB_BUF_H

#include <stdarg.h>

#include "asn1/bytes.h"
#include "asn1/status.h"

struct kb_buf {
    uint8_t *data; /* heap; NUL-terminated behind len whenever it is not NULL */
    size_t len;
    size_t ceiling; /* of len */
    enum kb_status status;
    /* private */
    size_t size;
};

void kb_buf_init(struct kb_buf *buf, size_t ceiling);
void kb_buf_add(struct kb_buf *buf, kb_bytes bytes);
void kb_buf_add_str(struct kb_buf *buf, const char *text);
void kb_buf_printf(struct kb_buf *buf, const char *format, ...) KB_PRINTF(2, 3);
void kb_buf_vprintf(struct kb_buf *buf, const char *format, va_list args) KB_PRINTF(2, 0);

/* kb_buf_add_escaped appends foreign text for a person: printable ASCII and valid UTF-8 as they
 * are, every other byte and each backslash as \xNN, so no control character reaches a terminal or
 * a log. */
void kb_buf_add_escaped(struct kb_buf *buf, kb_bytes text);

/* kb_buf_add_json appends it as a JSON string, in quotes. Text that is UTF-8 comes back exactly;
 * JSON has no other bytes: those are told as \\xNN in it. */
void kb_buf_add_json(struct kb_buf *buf, kb_bytes text);

/* kb_buf_str is the contents as a C string: never NULL, "" after an error. */
const char *kb_buf_str(const struct kb_buf *buf);

static inline kb_bytes kb_buf_bytes(const struct kb_buf *buf)
{
    return kb_bytes_of(buf->data, buf->len);
}

/* kb_buf_take gives the heap block away (free; NUL-terminated; NULL after an error) and leaves the
 * buffer empty. */
char *kb_buf_take(struct kb_buf *buf, size_t *out_len);

void kb_buf_wipe(struct kb_buf *buf);

#endif
