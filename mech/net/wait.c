#include "mech/net/wait.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

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

void kb_wait_start(struct kb_wait *wait, int64_t timeout_ms, bool absolute, int interrupt_fd)
{
    int64_t deadline_ms = after(kb_now_ms(), timeout_ms);

    *wait = (struct kb_wait){.timeout_ms = timeout_ms,
                             .absolute = absolute,
                             .deadline_ms = deadline_ms,
                             .base_ms = deadline_ms,
                             .interrupt_fd = interrupt_fd};
}

void kb_wait_progress(struct kb_wait *wait)
{
    if (!wait->absolute) {
        wait->base_ms = wait->deadline_ms = after(kb_now_ms(), wait->timeout_ms);
    }
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

enum kb_status kb_wait_poll(struct kb_wait *wait, struct pollfd *fds, size_t num, int64_t until_ms,
                            int *out_ready)
{
    nfds_t num_polled = (nfds_t)num;
    int64_t end_ms = until_ms < wait->deadline_ms ? until_ms : wait->deadline_ms;

    *out_ready = 0;
    if (wait->interrupt_fd >= 0) {
        fds[num_polled++] = (struct pollfd){.fd = wait->interrupt_fd, .events = POLLIN};
    }
    for (;;) {
        int64_t now_ms = end_ms == INT64_MAX ? 0 : kb_now_ms();
        int ready = poll(fds, num_polled, poll_timeout(end_ms, now_ms));

        if (ready < 0 && errno != EINTR) {
            return KB_NO_MEMORY; /* EFAULT and EINVAL cannot be */
        }
        if (ready > 0 && num_polled > num && fds[num].revents != 0) {
            return KB_INTERRUPTED;
        }
        if (ready > 0) {
            *out_ready = ready;
            return KB_OK;
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
