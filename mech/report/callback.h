/* callback.h - which threads are inside a callback of the program's.
 *
 * A callback may take its time or call GSS-API again. Nobody but its own call shall suffer from
 * that, so who waits for what another thread is doing (store/shared) asks here whether that thread
 * still does it. Whoever calls back says so. Lock-free, any thread; errno is kept. */
#ifndef KB_CALLBACK_H
#define KB_CALLBACK_H

#include <pthread.h>

#include "asn1/bytes.h"

/* kb_callback_enter and _leave stand around each call of a callback; what the first returns is for
 * the second. Callbacks may nest. */
int kb_callback_enter(void);
void kb_callback_leave(int place);

/* kb_callback_since tells since when (milliseconds, monotonic) a thread is in a callback that began
 * at `after_ms` or later; the outermost such. -1: it is in none. */
int64_t kb_callback_since(pthread_t thread, int64_t after_ms);

/* kb_callback_depth tells how many callbacks deep this thread is. */
unsigned kb_callback_depth(void);

/* For the child of fork(2): the other threads are gone. */
void kb_callback_fork_child(void);

#endif
