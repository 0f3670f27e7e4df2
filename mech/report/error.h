/* error.h - the error object: what failed, with whom, what they said, what to do.
 *
 * Filled by the layer that knows with whom we spoke, passed up by one road, turned into a GSS
 * major, a minor and one line by mech/spi/status. Its kinds are the rows of error.def; a row gives
 * the GSS minor (KB_MINOR_BASE + its number: a bounded set, SPI.md 4), the GSS major, the
 * reference's number for the Error event, a generic text and the hint that ends the line. A
 * kb_error is the caller's memory (its stack), zero-initialised; one thread at a time. */
#ifndef KB_ERROR_H
#define KB_ERROR_H

#include "asn1/buf.h"
#include "asn1/bytes.h"
#include "asn1/status.h"

enum kb_error_code {
    KB_E_NONE = 0,
#define KB_ERROR_ROW(code, major, reference, text, hint) code,
#include "mech/report/error.def"
#undef KB_ERROR_ROW
    KB_E_NUM
};

struct kb_error {
    enum kb_error_code code;
    int32_t kdc_code;  /* of a KRB-ERROR, 0 if none */
    uint32_t ntstatus; /* that AD sent with it, 0 if none */
    int sys_errno;     /* of a system call, 0 if none */
    int gai_error;     /* EAI_* of a name that was not resolved, 0 if none */
    int number;        /* of component-reference.txt where it is another than the row\'s; else 0 */
    bool no_hint;      /* `text` already says what to do */
    char text[960];    /* what failed, with whom, what they said; no hint, no final stop */
};

/* kb_error_set makes *err the given kind with a sentence; a no-op if it holds one already (the
 * first cause stays) or if err is NULL. Foreign text in the arguments must have been escaped
 * (kb_buf_add_escaped). Always returns KB_ERROR, so `return kb_error_set(...)` reads well. */
enum kb_status kb_error_set(struct kb_error *err, enum kb_error_code code, const char *format, ...)
    KB_PRINTF(3, 4);

/* kb_error_errno adds a system call's errno ("…: Permission denied") to the sentence. */
enum kb_status kb_error_errno(struct kb_error *err, enum kb_error_code code, int sys_errno,
                              const char *format, ...) KB_PRINTF(4, 5);

/* kb_error_status makes an error of a plain status: KB_NO_MEMORY, KB_NO_CRYPTO and the like get
 * their own rows, others `code`, with the status's phrase behind the sentence. */
enum kb_status kb_error_status(struct kb_error *err, enum kb_error_code code, enum kb_status status,
                               const char *format, ...) KB_PRINTF(4, 5);

/* kb_error_copy passes an error on that was kept; as kb_error_set, the first cause stays. */
enum kb_status kb_error_copy(struct kb_error *err, const struct kb_error *from);

/* kb_error_cause notes the errno of the system call behind an error whose sentence has it already.
 */
void kb_error_cause(struct kb_error *err, int sys_errno);

/* kb_error_context puts "context: " in front of the sentence. */
void kb_error_context(struct kb_error *err, const char *format, ...) KB_PRINTF(2, 3);

/* kb_error_line is the one line that a person reads: sentence, stop, hint. */
void kb_error_line(const struct kb_error *err, struct kb_buf *out);

/* Columns of error.def. */
const char *kb_error_text(enum kb_error_code code);
const char *kb_error_hint(enum kb_error_code code);
uint32_t kb_error_major(enum kb_error_code code); /* a GSS routine error */
int kb_error_reference(enum kb_error_code code);  /* component-reference.txt; see reference.h */

/* GSS minor codes: KB_MINOR_BASE + kb_error_code. "KB" in ASCII, away from errno, com_err tables
 * and the mechglue's own numbers. */
#define KB_MINOR_BASE 0x4b420000u
uint32_t kb_error_minor(enum kb_error_code code);
enum kb_error_code kb_error_of_minor(uint32_t minor); /* KB_E_NONE: not one of ours */

#endif
