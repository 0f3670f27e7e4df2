/* oom.h - lets one allocation of our code fail, and counts them.
 *
 * For a program linked with $(oom_flags) of Makefile.am, which turns its own calls of malloc,
 * calloc and realloc here; what shared libraries allocate is not seen. Threads may
 * allocate at once, but not while one is to fail. */
#ifndef TEST_OOM_H
#define TEST_OOM_H

/* oom_fail_after: `num` allocations succeed, the next one fails, then all succeed again; a negative
 * number: none fails. */
void oom_fail_after(long num);

/* oom_count is the number of allocations so far. */
unsigned long oom_count(void);

#endif
