/* local.h - a stream to a daemon of this machine, on a UNIX socket.
 *
 * Nothing here blocks but through the call's kb_wait: its deadline and interrupt hold, and
 * `until_ms` (kb_now_ms) bounds the silence of the other side besides. KB_TIMED_OUT is either;
 * KB_ERROR: see sys_errno, 0 where the daemon closed the stream. The socket is close-on-exec,
 * raises no SIGPIPE, and is closed in a forked child. One thread at a time. */
#ifndef KB_LOCAL_H
#define KB_LOCAL_H

#include <sys/types.h>

#include "mech/net/wait.h"

struct kb_local {
    int fd; /* -1: closed */
    int sys_errno;
    uid_t peer; /* who listens there, as the kernel says: who called listen(2) */
};

/* kb_local_connect is followed by kb_local_close in any case. */
KB_MUST_USE enum kb_status kb_local_connect(struct kb_local *local, const char *path,
                                            struct kb_wait *wait, int64_t until_ms);
KB_MUST_USE enum kb_status kb_local_send(struct kb_local *local, kb_bytes bytes,
                                         struct kb_wait *wait, int64_t until_ms);

/* kb_local_receive fills all of `to`. */
KB_MUST_USE enum kb_status kb_local_receive(struct kb_local *local, uint8_t *to, size_t len,
                                            struct kb_wait *wait, int64_t until_ms);
void kb_local_close(struct kb_local *local);

#endif
