/* wire.h - the recordings of tests/wire for tests: hex fields as bytes, and their randomness.
 *
 * A recording is a JSON file (tests/wire/README.md tells its fields). A path names one value in it:
 * members joined by `.`, `[3]` an item of an array, `[name=AS-reply-key]` the first item whose
 * member `name` has that text:
 *
 *     messages[3].hex    messages[type=AS-REP].decrypted[0].plain keys[name=client-long-term].key
 *
 * Paths are printf formats. What is not there, or not of that type, ends the test program with the
 * file's name and the path. All bytes and texts live until wire_free. */
#ifndef WIRE_H
#define WIRE_H

#include "asn1/bytes.h"
#include "crypto/random.h"

struct wire;

/* wire_load reads tests/wire/NAME, as "exchanges/mit-nopreauth.json", from below $KB_SRCDIR. */
struct wire *wire_load(const char *name);
void wire_free(struct wire *wire);
const char *wire_name(const struct wire *wire);

bool wire_has(const struct wire *wire, const char *path, ...)
    KB_PRINTF(2, 3); /* null counts as absent */
kb_bytes wire_hex(struct wire *wire, const char *path, ...) KB_PRINTF(2, 3);
const char *wire_text(const struct wire *wire, const char *path, ...) KB_PRINTF(2, 3);
int64_t wire_int(const struct wire *wire, const char *path, ...) KB_PRINTF(2, 3);
size_t wire_num(const struct wire *wire, const char *path, ...)
    KB_PRINTF(2, 3); /* items; 0: absent */

/* wire_each calls `each` for every recording of a folder of tests/wire ("exchanges", "errors",
 * "gss"), in the order of their names. */
void wire_each(const char *folder, void (*each)(struct wire *wire, void *ctx), void *ctx);

/* wire_file reads any file below $KB_SRCDIR, as "tests/wire/files/mit-one.keytab"; free its ptr. */
kb_bytes wire_file(const char *path);

/* wire_stride is by how much a loop over every bit or byte goes on: 1, or KB_TEST_STRIDE, where a
 * run is slow (valgrind) and the whole loop runs elsewhere. */
size_t wire_stride(void);

/* A kb_rng that gives recorded bytes: the nth draw is the nth string added, which must have the
 * length drawn. `rng.ctx` points to the struct itself, so it stays where wire_rng_init was given
 * it. Added bytes are borrowed. */
struct wire_rng {
    struct kb_rng rng;
    kb_bytes draws[32];
    size_t num, next;
};
void wire_rng_init(struct wire_rng *w);
void wire_rng_add(struct wire_rng *w, kb_bytes draw);
bool wire_rng_spent(const struct wire_rng *w); /* all that was added was drawn */

#endif
