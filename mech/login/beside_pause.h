/* beside_pause.h - refused secrets in the file beside a credentials cache: what pause.c keeps where
 * an identity has such a file, so that no process sends one again.
 *
 * A pause is found by the principal and HMAC-SHA256, under the file's own random key, over what
 * string-to-key makes of the password (or over the keytab's keys). Times are UTC seconds; a clock
 * that was set back lengthens no pause. Any thread. */
#ifndef KB_BESIDE_PAUSE_H
#define KB_BESIDE_PAUSE_H

#include "mech/login/identity.h"
#include "mech/store/beside_format.h"

struct kb_beside_pause {
    int64_t at, until;
    int64_t length; /* seconds */
    struct kb_error error;
};

/* kb_beside_pause_find tells whether this identity's secret was refused, however long ago.
 * KB_NOT_FOUND: it was not. KB_ERROR: there is no such file, or it cannot be used. Costs a
 * string-to-key only where something was refused to the same principal. */
KB_MUST_USE enum kb_status kb_beside_pause_find(struct kb_identity *identity, int64_t now,
                                                struct kb_beside_pause *out);

/* kb_beside_pause_put keeps one, in place of what was there; false: it could not. */
KB_MUST_USE bool kb_beside_pause_put(struct kb_identity *identity,
                                     const struct kb_beside_pause *pause);

/* kb_beside_pause_end takes it away. */
void kb_beside_pause_end(struct kb_identity *identity);

/* kb_beside_pauses counts those that have not ended. */
size_t kb_beside_pauses(const struct kb_beside_table *table, int64_t now);

/* kb_beside_get_pause reads a record's value. False: it is none. For the fuzzer too. */
bool kb_beside_get_pause(kb_bytes value, struct kb_beside_pause *out);

#endif
