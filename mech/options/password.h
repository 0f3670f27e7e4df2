/* password.h - where a password comes from: inline, file:, env:, fd:.
 *
 * A source is part of a snapshot (its arena) and is immutable; the secret itself is read when a
 * login needs it. Any thread. */
#ifndef KB_PASSWORD_H
#define KB_PASSWORD_H

#include "asn1/arena.h"
#include "mech/report/error.h"

#include <sys/types.h>

#define KB_MAX_PASSWORD 65536

enum kb_secret_kind { KB_SECRET_INLINE, KB_SECRET_FILE, KB_SECRET_ENV, KB_SECRET_FD };

struct kb_secret_source {
    enum kb_secret_kind kind;
    const char *where; /* the path, the variable, the descriptor's digits, or the secret itself */
    uid_t euid;
};

/* kb_secret_parse takes the prefix of a Password= apart: *where points into `text`. */
enum kb_secret_kind kb_secret_parse(const char *text, const char **where);

/* kb_secret_read reads it (kb_free_secret). */
KB_MUST_USE enum kb_status kb_secret_read(const struct kb_secret_source *source, kb_bytes *out,
                                          struct kb_error *err);

/* kb_secret_is_descriptor: are these the digits of one? kb_secret_read_descriptor reads it now,
 * without the memory that kb_secret_read has for descriptors of the environment. */
bool kb_secret_is_descriptor(const char *digits);
KB_MUST_USE enum kb_status kb_secret_read_descriptor(const char *digits, kb_bytes *out,
                                                     struct kb_error *err);

/* kb_secret_is_exposed: it is a file that everybody can read. */
bool kb_secret_is_exposed(const struct kb_secret_source *source);

/* kb_secret_forget drops what was read from descriptors: the environment named others. */
void kb_secret_forget(void);

/* Around fork(2). */
void kb_secret_fork_prepare(void);
void kb_secret_fork_done(bool child);

#endif
