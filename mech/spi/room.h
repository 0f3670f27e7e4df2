/* room.h - memory for a message that the program gets and releases. */
#ifndef KB_ROOM_H
#define KB_ROOM_H

#include "asn1/bytes.h"

/* kb_room is a heap block of `len` bytes and one more, so that an empty message has an address too.
 * NULL: no memory. */
uint8_t *kb_room(size_t len);

#endif
