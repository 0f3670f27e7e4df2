/* affinity.h - a number for each thread, so that threads which share several things of a kind begin
 * their search at different ones: what one thread has just used is in its own cache. */
#ifndef KB_AFFINITY_H
#define KB_AFFINITY_H

/* kb_thread_number is the same for all calls of a thread; threads are counted from 0 as they first
 * ask. */
unsigned kb_thread_number(void);

#endif
