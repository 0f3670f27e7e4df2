/* streams.h - contexts of OpenSSL that nobody uses just now, kept for the next message.
 *
 * A thread takes one out of its place, keyed anew, and puts it back into any; where all are in use
 * it makes one more. As many threads as there are places work side by side without the heap. Of one
 * primitive only: whose the pool is knows which. All zero is an empty pool. */
#ifndef KB_STREAMS_H
#define KB_STREAMS_H

#include <stdatomic.h>

#include "crypto/stream.h"

#define KB_MAX_IDLE_STREAMS 4

struct kb_streams {
    bool one_key; /* each is keyed once, for ever: every message has this key and only its own IV */
    _Atomic(struct kb_stream *) idle[2][KB_MAX_IDLE_STREAMS]; /* [encrypts] */
};

/* kb_streams_take gives a context under this key and IV, as kb_stream_new; NULL where it fails. */
KB_MUST_USE enum kb_status kb_streams_take(struct kb_streams *streams, enum kb_primitive which,
                                           kb_bytes key, kb_bytes iv, bool encrypts,
                                           struct kb_stream **out);

/* kb_streams_put takes it back; one that failed (`st`) is freed. */
void kb_streams_put(struct kb_streams *streams, bool encrypts, struct kb_stream *stream,
                    enum kb_status st);

/* kb_streams_wipe frees what is there; nobody uses one any more. */
void kb_streams_wipe(struct kb_streams *streams);

#endif
