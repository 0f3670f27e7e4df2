#include "mech/report/listener.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct kb_listener {
    _Atomic unsigned refs;
    struct kb_callbacks callbacks;
};

static atomic_uint num_listeners;

/* Guards the taking of a reference to the process's listener against its replacement. Held for
 * moments, never over a callback. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Changed under the lock; read without it only to see that nobody listens. */
static struct kb_listener *_Atomic of_process;

struct kb_listener *kb_listener_new(const struct kb_callbacks *callbacks)
{
    struct kb_listener *listener = malloc(sizeof(*listener));

    if (listener != NULL) {
        atomic_init(&listener->refs, 1);
        listener->callbacks = *callbacks;
        atomic_fetch_add(&num_listeners, 1);
    }
    return listener;
}

struct kb_listener *kb_listener_ref(struct kb_listener *listener)
{
    if (listener != NULL) {
        atomic_fetch_add_explicit(&listener->refs, 1, memory_order_relaxed);
    }
    return listener;
}

void kb_listener_put(struct kb_listener *listener)
{
    if (listener == NULL ||
        atomic_fetch_sub_explicit(&listener->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (listener->callbacks.release != NULL) {
        listener->callbacks.release(listener->callbacks.arg);
    }
    atomic_fetch_sub(&num_listeners, 1);
    free(listener);
}

bool kb_listener_any(void)
{
    return atomic_load(&num_listeners) > 0;
}

const struct kb_callbacks *kb_listener_callbacks(const struct kb_listener *listener)
{
    return &listener->callbacks;
}

void kb_listener_set_process(struct kb_listener *listener)
{
    struct kb_listener *old;

    pthread_mutex_lock(&lock);
    old = atomic_exchange(&of_process, listener);
    pthread_mutex_unlock(&lock);
    kb_listener_put(old);
}

struct kb_listener *kb_listener_process(void)
{
    struct kb_listener *listener;

    if (atomic_load_explicit(&of_process, memory_order_relaxed) == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    listener = kb_listener_ref(atomic_load(&of_process));
    pthread_mutex_unlock(&lock);
    return listener;
}

void kb_listener_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_listener_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}
