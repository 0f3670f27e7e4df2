/* bytes.h - kb_bytes, the slice that every layer passes around, and what secrets need.
 *
 * A kb_bytes borrows: it never owns, is passed by value, and is valid as long as what it points
 * into. As a parameter it is borrowed until the function returns; who keeps it, copies it.
 * All functions here may be called by any thread at any time. */
#ifndef KB_BYTES_H
#define KB_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KB_MUST_USE __attribute__((warn_unused_result))
#define KB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

typedef struct kb_bytes {
    const uint8_t *ptr; /* NULL only when there is nothing */
    size_t len;         /* bytes */
} kb_bytes;

#define KB_NONE ((kb_bytes){NULL, 0})

/* KB_LIT is a slice over a string literal, without its NUL. */
#define KB_LIT(literal) ((kb_bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline kb_bytes kb_bytes_of(const void *ptr, size_t len)
{
    return (kb_bytes){ptr, len};
}

/* kb_str is a slice over a NUL-terminated string, without its NUL; NULL gives KB_NONE. */
static inline kb_bytes kb_str(const char *text)
{
    return text != NULL ? (kb_bytes){(const uint8_t *)text, strlen(text)} : KB_NONE;
}

/* kb_equal compares in time that depends on the contents: for what is no secret. */
bool kb_equal(kb_bytes a, kb_bytes b);

/* kb_equal_nocase compares ASCII text without regard to case. */
bool kb_equal_nocase(kb_bytes a, kb_bytes b);

/* kb_equal_secret compares in time that depends on the lengths only: for MACs and digests. */
bool kb_equal_secret(kb_bytes a, kb_bytes b);

/* kb_wipe overwrites memory in a way that the compiler may not drop. NULL with 0 is accepted. */
void kb_wipe(void *ptr, size_t len);

/* kb_strdup returns a NUL-terminated heap copy (free), NULL when memory is short or when the
 * text holds a NUL: such a name is never silently cut. */
char *kb_strdup(kb_bytes text);

/* kb_free_secret wipes and frees a heap block of `len` bytes; NULL is accepted. */
void kb_free_secret(void *ptr, size_t len);

#endif
