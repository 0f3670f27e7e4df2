/* process.h - what Kerbside does once in a process: the fork handlers over all of its locks, and
 * what the upper layers lend to the lower ones.
 *
 * A child of fork(2) works and shares nothing half-done with its parent: the handlers take the
 * locks in the one order there is, and in the child drop flights, sockets and drawn randomness.
 * They are registered at the first use, not at load, so a process that never logs in through us is
 * left alone. Any thread. */
#ifndef KB_PROCESS_H
#define KB_PROCESS_H

/* kb_process_start does it; every call but the first costs a load. Called before the
 * first lock of ours can be taken: by spi, when it first finds that a call may be ours. */
void kb_process_start(void);

#endif
