/* remembered.h - keys of passwords that a program derives once: tests log in with the same few
 * again and again, and below valgrind each takes most of a second. */
#ifndef KB_TEST_REMEMBERED_H
#define KB_TEST_REMEMBERED_H

#include "crypto/key.h"

/* remembered_key is kb_string_to_key, the second time from memory. Any thread at any time. */
KB_MUST_USE enum kb_status remembered_key(int32_t etype, kb_bytes password, kb_bytes salt,
                                          kb_bytes s2kparams, struct kb_key **out);

#endif
