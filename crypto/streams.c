#include "crypto/streams.h"

static struct kb_stream *take_idle(struct kb_streams *streams, bool encrypts)
{
    for (size_t i = 0; i < KB_MAX_IDLE_STREAMS; i++) {
        _Atomic(struct kb_stream *) *place = &streams->idle[encrypts][i];
        struct kb_stream *stream = atomic_load_explicit(place, memory_order_relaxed);

        if (stream != NULL) {
            stream = atomic_exchange_explicit(place, NULL, memory_order_acquire);
        }
        if (stream != NULL) {
            return stream;
        }
    }
    return NULL;
}

enum kb_status kb_streams_take(struct kb_streams *streams, enum kb_primitive which, kb_bytes key,
                               kb_bytes iv, bool encrypts, struct kb_stream **out)
{
    enum kb_status st;

    *out = take_idle(streams, encrypts);
    if (*out == NULL) {
        return kb_stream_new(which, key, iv, encrypts, out);
    }
    st = kb_stream_rekey(*out, streams->one_key ? KB_NONE : key, iv);
    if (st != KB_OK) {
        kb_stream_free(*out);
        *out = NULL;
    }
    return st;
}

void kb_streams_put(struct kb_streams *streams, bool encrypts, struct kb_stream *stream,
                    enum kb_status st)
{
    for (size_t i = 0; st == KB_OK && i < KB_MAX_IDLE_STREAMS; i++) {
        struct kb_stream *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&streams->idle[encrypts][i], &none, stream,
                                                    memory_order_release, memory_order_relaxed)) {
            return;
        }
    }
    kb_stream_free(stream);
}

void kb_streams_wipe(struct kb_streams *streams)
{
    for (size_t i = 0; i < KB_MAX_IDLE_STREAMS; i++) {
        kb_stream_free(atomic_load_explicit(&streams->idle[false][i], memory_order_relaxed));
        kb_stream_free(atomic_load_explicit(&streams->idle[true][i], memory_order_relaxed));
    }
}
