/* secret.h - small blocks of memory for keys: wiped on release, kept out of core dumps.
 *
 * Blocks are cut from regions of 64 KiB with MADV_DONTDUMP, which are never given back: as many
 * keys as were once alive. No lock: any thread at any time, also in a child of fork.
 * A build with the address sanitizer takes each block from the heap, so that leaks and overruns
 * show. */
#ifndef KB_SECRET_H
#define KB_SECRET_H

#include "asn1/bytes.h"

enum kb_secret_size { KB_SECRET_64, KB_SECRET_256, KB_SECRET_512 };

/* kb_secret_new gives zeroed memory of 64, 256 or 512 bytes; NULL when memory is short. */
void *kb_secret_new(enum kb_secret_size size);

/* kb_secret_free wipes and releases. NULL is accepted. */
void kb_secret_free(enum kb_secret_size size, void *block);

#endif
