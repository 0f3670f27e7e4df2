/* learned.h - what one process learned of a principal, a realm or a target, once a reply had
 * decrypted, kept beside the credentials cache for the next: it then asks right the first time.
 *
 * Of a principal the enctype, salt and parameters of its key, and the realm that knows it; of its
 * realm which KDC answered, and that UDP was too small; of a target the realm that it was found in.
 * No secrets, and hints only: what is read here chooses what is asked first, never what is
 * believed, and is checked as what a KDC says (allowed enctypes, rounds of string-to-key). Kept for
 * a month; which KDC is alive, for a day. Any thread. */
#ifndef KB_LEARNED_H
#define KB_LEARNED_H

#include "mech/login/work.h"

#define KB_LEARNED_REALM_MAX 256

/* kb_learned_load takes over what the file has, once in an identity's life; what the process
 * learned itself stays. The call has the file open. */
void kb_learned_load(struct kb_work *work);

/* kb_learned_keep writes what this call has learned, if it is new. */
void kb_learned_keep(struct kb_work *work);

/* kb_learned_realm copies the realm in which `target` ("HTTP@www", as it was asked for) was found
 * before; its length, 0: not known. It is a guess to start from: where it does not do, ask as if
 * nothing were known. */
size_t kb_learned_realm(struct kb_work *work, kb_bytes target, char out[KB_LEARNED_REALM_MAX]);

/* kb_learned_set_realm keeps it; called once a ticket for the target has decrypted. An empty realm
 * takes it away. */
void kb_learned_set_realm(struct kb_work *work, kb_bytes target, kb_bytes realm);

/* --- the values in the file; for the tests and the fuzzer --- */

/* False: it is none. The hint's slices point into `value`. */
bool kb_learned_get_hint(kb_bytes value, struct kb_key_hint *out);
bool kb_learned_get_kdcs(kb_bytes value, kb_bytes *out_text, int64_t *out_at);

#endif
