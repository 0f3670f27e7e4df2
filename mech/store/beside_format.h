/* beside_format.h - the bytes of the small file that lies beside a credentials cache: a table of
 * records under names, the one used last first.
 *
 * The file is two slots of KB_BESIDE_SLOT bytes. Each holds a whole table, or rubbish: what makes
 * one whole is its checksum. The newer whole one counts, and a change is written over the other, so
 * that whoever is killed in the middle of it loses that change alone. A slot:
 *
 *     "kerbside"  version (2)  zero (2)  len (4)  sequence number (8)  checksum (8)  records
 *     record:     type (1)  zero (1)  key len (2)  value len (2)  until (8)  key  value
 *
 * Integers are big-endian. `until` is when a record may go (UTC seconds), 0: never. What does not
 * fit goes, the one used longest ago first, but of types from KB_BESIDE_HINTS on before others.
 *
 * A parser of bytes that others may have written: nothing in them is believed but that it is there.
 * Slices point into what was parsed. Any thread. */
#ifndef KB_BESIDE_FORMAT_H
#define KB_BESIDE_FORMAT_H

#include "asn1/bytes.h"
#include "asn1/status.h"

#define KB_BESIDE_SLOT 16384
#define KB_BESIDE_FILE (2 * KB_BESIDE_SLOT)

/* What a record tells; who reads it says how: login/beside_*.c. */
enum kb_beside_type {
    KB_BESIDE_KEY = 1,   /* random bytes, the file's own: beside_file.h */
    KB_BESIDE_BOUND = 2, /* with which secret the cache was begun */
    KB_BESIDE_PAUSE = 3, /* a secret that was refused */
    KB_BESIDE_HINTS = 16,
    KB_BESIDE_HINT = 16,   /* of a principal: enctype, salt, parameters */
    KB_BESIDE_REALM = 17,  /* of a realm: its KDC, whether UDP is too small */
    KB_BESIDE_TARGET = 18, /* of a target: its realm */
};

struct kb_beside_record {
    uint8_t type;
    int64_t until;
    kb_bytes key, value; /* a value without ptr takes the record away (kb_beside_make) */
};

struct kb_beside_table {
    kb_bytes records;
    uint64_t sequence; /* 0: there is no table */
    unsigned slot;     /* 0 or 1: where it was */
};

/* kb_beside_slot_len is how many bytes of a slot count, by its first KB_BESIDE_HEAD; 0: there is no
 * table in it. */
#define KB_BESIDE_HEAD 32
size_t kb_beside_slot_len(kb_bytes slot);

/* kb_beside_pick finds the table of a file, of whose slots it is given the beginnings (at least
 * kb_beside_slot_len, else there is none in them). KB_NOT_FOUND: it holds none, and *out is an
 * empty one. */
KB_MUST_USE enum kb_status kb_beside_pick(const kb_bytes slots[2], struct kb_beside_table *out);

/* kb_beside_next gives the next record behind *position (start with 0); false: the end. */
bool kb_beside_next(const struct kb_beside_table *table, size_t *position,
                    struct kb_beside_record *out);

bool kb_beside_find(const struct kb_beside_table *table, uint8_t type, kb_bytes key,
                    struct kb_beside_record *out);

/* kb_beside_make writes the slot that comes after `old`: `changes` in front, then what was there,
 * but for what ended before `now` or is replaced. Returns its length. A change that alone is too
 * large is left out. */
size_t kb_beside_make(const struct kb_beside_table *old, const struct kb_beside_record *changes,
                      size_t num, int64_t now, uint8_t slot[KB_BESIDE_SLOT]);

#endif
