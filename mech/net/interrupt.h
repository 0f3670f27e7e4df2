/* interrupt.h - ends the calls in progress, from any thread or a signal handler.
 *
 * A kb_interrupt belongs to the process (all calls) or to a credential (its calls). It is made when
 * a program asks for one, so that others pay nothing. A call that waits (kb_wait) enters it at its
 * beginning and leaves it at its end; firing it while nobody is in it does nothing, also for later
 * calls. Counted. All but kb_interrupt_fire: any thread, not a signal handler.
 *
 * Whether a call is meant is told by a number alone: fire moves it on, a call compares it with what
 * it found when it entered. The descriptor only wakes who sleeps in poll(2), and whoever finds it
 * readable for nothing empties it; that this may take the wake-up from under somebody else is why
 * no poll sleeps longer than KB_INTERRUPT_SLICE_MS while an interrupt is attached. */
#ifndef KB_INTERRUPT_H
#define KB_INTERRUPT_H

#include "asn1/bytes.h"
#include "asn1/status.h"

#define KB_INTERRUPT_SLICE_MS 40

struct kb_interrupt;

struct kb_interrupt *kb_interrupt_new(void);                           /* NULL: no memory */
struct kb_interrupt *kb_interrupt_ref(struct kb_interrupt *interrupt); /* NULL gives NULL */
void kb_interrupt_put(struct kb_interrupt *interrupt);                 /* NULL is accepted */

/* kb_interrupt_fire is the function that a program is handed, with the kb_interrupt as its
 * argument: atomics and write(2), nothing else; errno is kept. Does not take a reference. */
void kb_interrupt_fire(void *interrupt);

/* kb_interrupt_process is the process's own, lent for ever; with `make` it is made at the first
 * call. NULL: there is none. */
struct kb_interrupt *kb_interrupt_process(bool make);

/* What kb_wait is made of. kb_interrupt_enter begins a call and returns the number that the others
 * want as `since`; kb_interrupt_fired tells whether that call is to end; kb_interrupt_fd is to be
 * polled for reading (-1: there was none to be had); kb_interrupt_calm empties it. */
unsigned kb_interrupt_enter(struct kb_interrupt *interrupt);
void kb_interrupt_leave(struct kb_interrupt *interrupt, unsigned since);
bool kb_interrupt_fired(const struct kb_interrupt *interrupt, unsigned since);
int kb_interrupt_fd(const struct kb_interrupt *interrupt);
void kb_interrupt_calm(struct kb_interrupt *interrupt);

/* For mech/process around fork(2): the child gets descriptors of its own. */
void kb_interrupt_fork_prepare(void);
void kb_interrupt_fork_parent(void);
void kb_interrupt_fork_child(void);

#endif
