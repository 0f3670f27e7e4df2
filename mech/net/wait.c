#include "mech/net/wait.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#include "mech/report/callback.h"

static atomic_uint forks;

int64_t kb_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t after(int64_t from_ms, int64_t timeout_ms)
{
    return timeout_ms > 0 ? from_ms + timeout_ms : INT64_MAX;
}

/* --- a call's beginning and end --- */

void kb_wait_start(struct kb_wait *wait, int64_t timeout_ms, bool absolute)
{
    int64_t now_ms = kb_now_ms();
    int64_t deadline_ms = after(now_ms, timeout_ms);

    *wait = (struct kb_wait){.timeout_ms = timeout_ms,
                             .absolute = absolute,
                             .deadline_ms = deadline_ms,
                             .start_ms = now_ms,
                             .stepped_ms = now_ms,
                             .base_ms = deadline_ms,
                             .turn_ms = INT64_MAX,
                             .forks = atomic_load(&forks)};
}

void kb_wait_attach(struct kb_wait *wait, struct kb_interrupt *interrupt)
{
    int slot = wait->by[0].interrupt != NULL;

    if (interrupt != NULL) {
        wait->by[slot].interrupt = kb_interrupt_ref(interrupt);
        wait->by[slot].since = kb_interrupt_enter(interrupt);
    }
}

void kb_wait_listen(struct kb_wait *wait, struct kb_listener *listener)
{
    int slot = wait->listeners[0] != NULL;

    if (listener != NULL && kb_listener_callbacks(listener)->wait != NULL) {
        wait->listeners[slot] = kb_listener_ref(listener);
        wait->turn_ms = wait->start_ms + KB_WAIT_TURN_MS;
    }
}

void kb_wait_stop(struct kb_wait *wait)
{
    for (int i = 0; i < 2; i++) {
        if (wait->by[i].interrupt != NULL) {
            kb_interrupt_leave(wait->by[i].interrupt, wait->by[i].since);
            kb_interrupt_put(wait->by[i].interrupt);
            wait->by[i].interrupt = NULL;
        }
        kb_listener_put(wait->listeners[i]);
        wait->listeners[i] = NULL;
    }
}

/* --- the deadline --- */

static void stepped(struct kb_wait *wait, int64_t at_ms)
{
    if (!wait->absolute) {
        atomic_store(&wait->stepped_ms, at_ms);
        wait->base_ms = wait->deadline_ms = after(at_ms, wait->timeout_ms);
        wait->late = false;
    }
}

void kb_wait_progress(struct kb_wait *wait)
{
    stepped(wait, kb_now_ms());
}

void kb_wait_follow(struct kb_wait *wait, const struct kb_wait *other)
{
    int64_t at_ms = atomic_load(&other->stepped_ms);

    if (at_ms > atomic_load(&wait->stepped_ms)) {
        stepped(wait, at_ms);
    }
}

bool kb_wait_is_over(const struct kb_wait *wait)
{
    return wait->deadline_ms - kb_now_ms() < KB_WAIT_WORTH_MS;
}

void kb_wait_bytes(struct kb_wait *wait)
{
    int64_t latest_ms, new_ms;

    if (wait->absolute || wait->timeout_ms <= 0) {
        return;
    }
    latest_ms = wait->base_ms + wait->timeout_ms;
    new_ms = kb_now_ms() + wait->timeout_ms;
    wait->deadline_ms = new_ms < latest_ms ? new_ms : latest_ms;
}

/* --- who may end it --- */

bool kb_wait_interrupted(const struct kb_wait *wait)
{
    if (wait->cancelled || wait->forks != atomic_load(&forks)) {
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (wait->by[i].interrupt != NULL &&
            kb_interrupt_fired(wait->by[i].interrupt, wait->by[i].since)) {
            return true;
        }
    }
    return false;
}

const char *kb_wait_cause(const struct kb_wait *wait)
{
    return wait->cancelled ? "Cancelled by the program's wait callback" : "Interrupted";
}

void kb_wait_fork_child(void)
{
    atomic_fetch_add(&forks, 1);
}

static int call_back(struct kb_listener *listener)
{
    const struct kb_callbacks *callbacks = kb_listener_callbacks(listener);
    int place = kb_callback_enter();
    int answer = callbacks->wait(callbacks->arg);

    kb_callback_leave(place);
    return answer;
}

/* Lets the program have its turn, if it is due. */
static void take_turn(struct kb_wait *wait)
{
    if (wait->turn_ms == INT64_MAX || kb_now_ms() < wait->turn_ms) {
        return;
    }
    for (int i = 0; i < 2 && !wait->cancelled; i++) {
        if (wait->listeners[i] != NULL && call_back(wait->listeners[i]) != 0) {
            wait->cancelled = true;
        }
    }
    wait->turn_ms = kb_now_ms() + KB_WAIT_TURN_MS;
}

/* --- waiting --- */

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* What poll(2) is to be told: never less than until `until_ms`, -1 for ever. */
static int poll_timeout(int64_t until_ms, int64_t now_ms)
{
    if (until_ms == INT64_MAX) {
        return -1;
    }
    if (until_ms <= now_ms) {
        return 0;
    }
    return until_ms - now_ms < INT_MAX ? (int)(until_ms - now_ms) : INT_MAX;
}

static nfds_t add_interrupts(const struct kb_wait *wait, struct pollfd *fds)
{
    nfds_t num = 0;

    for (int i = 0; i < 2; i++) {
        if (wait->by[i].interrupt != NULL) {
            fds[num++] =
                (struct pollfd){.fd = kb_interrupt_fd(wait->by[i].interrupt), .events = POLLIN};
        }
    }
    return num;
}

/* Empties the interrupts that woke us and meant others; returns how many. */
static int calm(const struct kb_wait *wait, const struct pollfd *fds, nfds_t num)
{
    int num_ready = 0;

    for (nfds_t i = 0; i < num; i++) {
        if (fds[i].revents != 0) {
            kb_interrupt_calm(wait->by[i].interrupt);
            num_ready++;
        }
    }
    return num_ready;
}

/* Something may always be ready (datagrams that mean nothing), so that alone puts no end off. */
static enum kb_status something_ready(struct kb_wait *wait, int ready, int *out_ready)
{
    if (kb_now_ms() >= wait->deadline_ms) {
        if (wait->late) {
            return KB_TIMED_OUT;
        }
        wait->late = true;
    }
    *out_ready = ready;
    return KB_OK;
}

enum kb_status kb_wait_poll(struct kb_wait *wait, struct pollfd *fds, size_t num, int64_t until_ms,
                            int *out_ready)
{
    nfds_t num_interrupts = add_interrupts(wait, fds + num);
    int64_t end_ms = earlier(until_ms, wait->deadline_ms);

    *out_ready = 0;
    for (;;) {
        int64_t now_ms, wake_ms;
        int ready;

        take_turn(wait);
        if (kb_wait_interrupted(wait)) {
            return KB_INTERRUPTED;
        }
        wake_ms = earlier(end_ms, wait->turn_ms);
        now_ms = wake_ms == INT64_MAX && num_interrupts == 0 ? 0 : kb_now_ms();
        if (num_interrupts > 0) {
            wake_ms = earlier(wake_ms, now_ms + KB_INTERRUPT_SLICE_MS);
        }
        ready = poll(fds, (nfds_t)num + num_interrupts, poll_timeout(wake_ms, now_ms));
        if (ready < 0 && errno != EINTR) {
            return KB_NO_MEMORY; /* EFAULT and EINVAL cannot be */
        }
        if (kb_wait_interrupted(wait)) {
            return KB_INTERRUPTED;
        }
        if (ready > 0) {
            ready -= calm(wait, fds + num, num_interrupts);
        }
        if (ready > 0) {
            return something_ready(wait, ready, out_ready);
        }
        now_ms = end_ms == INT64_MAX ? 0 : kb_now_ms();
        if (now_ms >= wait->deadline_ms) {
            return KB_TIMED_OUT;
        }
        if (now_ms >= end_ms) {
            return KB_OK;
        }
    }
}
