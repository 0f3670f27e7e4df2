#include "mech/net/interrupt.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Near its end, so that its wrapping is what happens every day. */
#define FIRST_GENERATION (UINT_MAX - 2)

struct kb_interrupt {
    struct kb_interrupt *next, *prev; /* in `all` */
    atomic_uint refs;
    atomic_uint inside;     /* calls; in a child of fork(2) also those that did not come along */
    atomic_uint generation; /* how often it was fired */
    atomic_int fd;          /* eventfd; -1: none could be had, the slices do alone */
};

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler may use them");

/* Guards `all` and its links. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_interrupt *all; /* for the child of a fork */

static _Atomic(struct kb_interrupt *) process_interrupt;

static struct kb_interrupt *make(void)
{
    struct kb_interrupt *interrupt = calloc(1, sizeof(*interrupt));

    if (interrupt == NULL) {
        return NULL;
    }
    atomic_init(&interrupt->refs, 1);
    atomic_init(&interrupt->generation, FIRST_GENERATION);
    atomic_init(&interrupt->fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    interrupt->next = all;
    if (all != NULL) {
        all->prev = interrupt;
    }
    all = interrupt;
    return interrupt;
}

struct kb_interrupt *kb_interrupt_new(void)
{
    struct kb_interrupt *interrupt;

    pthread_mutex_lock(&lock);
    interrupt = make();
    pthread_mutex_unlock(&lock);
    return interrupt;
}

struct kb_interrupt *kb_interrupt_ref(struct kb_interrupt *interrupt)
{
    if (interrupt != NULL) {
        atomic_fetch_add(&interrupt->refs, 1);
    }
    return interrupt;
}

void kb_interrupt_put(struct kb_interrupt *interrupt)
{
    if (interrupt == NULL || atomic_fetch_sub(&interrupt->refs, 1) > 1) {
        return;
    }
    /* The descriptor too under the lock: a child must not find a number that is somebody else's. */
    pthread_mutex_lock(&lock);
    *(interrupt->prev != NULL ? &interrupt->prev->next : &all) = interrupt->next;
    if (interrupt->next != NULL) {
        interrupt->next->prev = interrupt->prev;
    }
    if (interrupt->fd >= 0) {
        close(interrupt->fd);
    }
    pthread_mutex_unlock(&lock);
    free(interrupt);
}

struct kb_interrupt *kb_interrupt_process(bool make_one)
{
    struct kb_interrupt *interrupt = atomic_load(&process_interrupt);

    if (interrupt == NULL && make_one) {
        pthread_mutex_lock(&lock);
        interrupt = atomic_load(&process_interrupt);
        if (interrupt == NULL) {
            interrupt = make();
            atomic_store(&process_interrupt, interrupt);
        }
        pthread_mutex_unlock(&lock);
    }
    return interrupt;
}

void kb_interrupt_fire(void *argument)
{
    struct kb_interrupt *interrupt = argument;
    const uint64_t one = 1;
    int kept = errno;

    if (interrupt == NULL || atomic_load(&interrupt->inside) == 0) {
        return;
    }
    atomic_fetch_add(&interrupt->generation, 1);
    /* EAGAIN: it is full, thus readable. EBADF: there is none. */
    (void)!write(atomic_load(&interrupt->fd), &one, sizeof(one));
    errno = kept;
}

/* --- a call --- */

unsigned kb_interrupt_enter(struct kb_interrupt *interrupt)
{
    atomic_fetch_add(&interrupt->inside, 1);
    return atomic_load(&interrupt->generation);
}

bool kb_interrupt_fired(const struct kb_interrupt *interrupt, unsigned since)
{
    return atomic_load(&interrupt->generation) != since;
}

int kb_interrupt_fd(const struct kb_interrupt *interrupt)
{
    return atomic_load(&interrupt->fd);
}

void kb_interrupt_calm(struct kb_interrupt *interrupt)
{
    uint64_t count;

    (void)!read(atomic_load(&interrupt->fd), &count, sizeof(count));
}

void kb_interrupt_leave(struct kb_interrupt *interrupt, unsigned since)
{
    /* Where it was not fired since we came, there is nothing in the descriptor either that who left
     * before us would not have taken out. */
    if (atomic_fetch_sub(&interrupt->inside, 1) == 1 && kb_interrupt_fired(interrupt, since)) {
        kb_interrupt_calm(interrupt);
    }
}

/* --- fork --- */

void kb_interrupt_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_interrupt_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_interrupt_fork_child(void)
{
    for (struct kb_interrupt *interrupt = all; interrupt != NULL; interrupt = interrupt->next) {
        /* In this order: a signal handler of the child may fire it in between. */
        int old = atomic_exchange(&interrupt->fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

        if (old >= 0) {
            close(old);
        }
    }
    pthread_mutex_unlock(&lock);
}
