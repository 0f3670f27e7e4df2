#include "mech/report/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TOO_SHORT 119 /* the component reference's "Message too short" */

/* Arrays, not pointers: those would be relocated in every program that loads us, a page or so of
 * its own. */
static const struct row {
    uint32_t major;
    int reference;
    char text[76], hint[124];
} rows[] = {
    [KB_E_NONE] = {0, 0, "no error", ""},
#define KB_ERROR_ROW(code, major, reference, text, hint) [code] = {major, reference, text, hint},
#include "mech/report/error.def"
#undef KB_ERROR_ROW
};

static const struct row *row_of(enum kb_error_code code)
{
    return &rows[(unsigned)code < KB_E_NUM ? code : KB_E_INTERNAL];
}

static void set_text(struct kb_error *err, enum kb_error_code code, const char *format,
                     va_list args) __attribute__((format(printf, 3, 0)));

static void set_text(struct kb_error *err, enum kb_error_code code, const char *format,
                     va_list args)
{
    err->code = code;
    vsnprintf(err->text, sizeof(err->text), format, args);
}

static void append(struct kb_error *err, const char *text)
{
    size_t len = strlen(err->text);

    snprintf(err->text + len, sizeof(err->text) - len, "%s%s", len > 0 ? ": " : "", text);
}

enum kb_status kb_error_set(struct kb_error *err, enum kb_error_code code, const char *format, ...)
{
    va_list args;

    if (err != NULL && err->code == KB_E_NONE) {
        va_start(args, format);
        set_text(err, code, format, args);
        va_end(args);
    }
    return KB_ERROR;
}

enum kb_status kb_error_errno(struct kb_error *err, enum kb_error_code code, int sys_errno,
                              const char *format, ...)
{
    char buf[128];
    va_list args;

    if (err != NULL && err->code == KB_E_NONE) {
        va_start(args, format);
        set_text(err, code, format, args);
        va_end(args);
        err->sys_errno = sys_errno;
        /* The GNU form: returns its text, reads no locale of ours and changes nothing. */
        append(err, strerror_r(sys_errno, buf, sizeof(buf)));
    }
    return KB_ERROR;
}

/* Is it what somebody sent, rather than a file? */
static bool is_message(enum kb_error_code code)
{
    return code == KB_E_TOKEN || code == KB_E_KDC_REPLY || code == KB_E_SERVICE_REPLY;
}

enum kb_status kb_error_status(struct kb_error *err, enum kb_error_code code, enum kb_status status,
                               const char *format, ...)
{
    va_list args;

    if (err == NULL || err->code != KB_E_NONE) {
        return KB_ERROR;
    }
    switch (status) {
    case KB_NO_MEMORY:
        code = KB_E_NO_MEMORY;
        break;
    case KB_NO_CRYPTO:
        code = KB_E_NO_CRYPTO;
        break;
    case KB_INTERRUPTED:
        code = KB_E_INTERRUPTED;
        break;
    case KB_TIMED_OUT:
        code = KB_E_TIMEOUT;
        break;
    default:
        break;
    }
    va_start(args, format);
    set_text(err, code, format, args);
    va_end(args);
    append(err, kb_status_text(status));
    err->number = status == KB_CUT_SHORT && is_message(code) ? TOO_SHORT : 0;
    return KB_ERROR;
}

enum kb_status kb_error_copy(struct kb_error *err, const struct kb_error *from)
{
    if (err != NULL && err->code == KB_E_NONE) {
        *err = *from;
    }
    return KB_ERROR;
}

void kb_error_cause(struct kb_error *err, int sys_errno)
{
    if (err != NULL && err->sys_errno == 0) {
        err->sys_errno = sys_errno;
    }
}

void kb_error_context(struct kb_error *err, const char *format, ...)
{
    char old[sizeof(err->text)];
    va_list args;

    if (err == NULL || err->code == KB_E_NONE) {
        return;
    }
    memcpy(old, err->text, sizeof(old));
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    append(err, old);
}

void kb_error_line(const struct kb_error *err, struct kb_buf *out)
{
    const struct row *row = row_of(err->code);
    const char *text = err->text[0] != '\0' ? err->text : row->text;
    size_t len = strlen(text);

    kb_buf_add_str(out, text);
    if (!err->no_hint && row->hint[0] != '\0') {
        if (len > 0 && strchr(".!?", text[len - 1]) == NULL) {
            kb_buf_add_str(out, ".");
        }
        kb_buf_printf(out, " %s", row->hint);
    }
}

const char *kb_error_text(enum kb_error_code code)
{
    return row_of(code)->text;
}

const char *kb_error_hint(enum kb_error_code code)
{
    return row_of(code)->hint;
}

uint32_t kb_error_major(enum kb_error_code code)
{
    return row_of(code)->major << 16;
}

int kb_error_reference(enum kb_error_code code)
{
    return row_of(code)->reference;
}

uint32_t kb_error_minor(enum kb_error_code code)
{
    return KB_MINOR_BASE + (uint32_t)code;
}

enum kb_error_code kb_error_of_minor(uint32_t minor)
{
    return minor > KB_MINOR_BASE && minor < KB_MINOR_BASE + KB_E_NUM
               ? (enum kb_error_code)(minor - KB_MINOR_BASE)
               : KB_E_NONE;
}
