/* fds.h - the descriptors that calls in progress hold, so that a forked child can close them.
 *
 * A thread that forks leaves the others' sockets behind in the child, which has no such threads.
 * The table has room for as many as matter; what finds none stays open there until exec. Lock-free.
 * A call whose callback forked goes on in the child with numbers that are closed and maybe given to
 * others by then: they are not closed once more. */
#ifndef KB_FDS_H
#define KB_FDS_H

/* kb_fds_add notes a new descriptor; negative ones are accepted. Returns it. */
int kb_fds_add(int fd);

/* kb_fds_close forgets a descriptor and closes it; negative ones are accepted. */
void kb_fds_close(int fd);

/* kb_fds_drop closes all that is noted: in a child after fork(2). */
void kb_fds_drop(void);

#endif
