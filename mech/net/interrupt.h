/* interrupt.h - ends the calls in progress, from any thread or a signal handler.
 *
 * A kb_interrupt belongs to the process (all calls) or to a credential (its calls). It is made when
 * a program asks for one, so that others pay nothing. A call that waits (kb_wait) enters it at its
 * beginning and leaves it at its end; firing it while nobody is in it does nothing, also for later
 * calls. Counted. All but kb_interrupt_fire: any thread, not a signal handler. */
#ifndef KB_INTERRUPT_H
#define KB_INTERRUPT_H

#include "asn1/bytes.h"
#include "asn1/status.h"

struct kb_interrupt;

struct kb_interrupt *kb_interrupt_new(void); /* NULL: no memory or no descriptor */
struct kb_interrupt *kb_interrupt_ref(struct kb_interrupt *interrupt); /* NULL gives NULL */
void kb_interrupt_put(struct kb_interrupt *interrupt);                 /* NULL is accepted */

/* kb_interrupt_fire is the function that a program is handed, with the kb_interrupt as its
 * argument: atomics and write(2), nothing else; errno is kept. Does not take a reference. */
void kb_interrupt_fire(void *interrupt);

/* kb_interrupt_process is the process's own, lent for ever; with `make` it is made at the first
 * call. NULL: there is none. */
struct kb_interrupt *kb_interrupt_process(bool make);

/* For mech/process around fork(2): the child gets descriptors of its own, and nobody is in a call.
 */
void kb_interrupt_fork_prepare(void);
void kb_interrupt_fork_parent(void);
void kb_interrupt_fork_child(void);

#endif
