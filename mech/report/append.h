/* append.h - inside report: one write to the end of a file or to a descriptor, as a guest may.
 *
 * Nothing is kept open; a symbolic link is not followed; no signal of the write (SIGPIPE, SIGXFSZ)
 * reaches the host; no call waits for a full pipe. Any thread; errno is not kept. */
#ifndef KB_APPEND_H
#define KB_APPEND_H

#include "asn1/bytes.h"

/* kb_append writes `bytes` to the end of the file `path`, which is made with mode 0600 if need be.
 * With a `header` the file is one that begins so: it comes first where the file is empty (two
 * writers at that moment may both write it), and a file that begins otherwise is left alone. NULL,
 * or why it failed: a phrase that lives for ever. */
const char *kb_append(const char *path, kb_bytes header, kb_bytes bytes);

/* kb_append_fd does so for a descriptor that is open. */
const char *kb_append_fd(int fd, kb_bytes bytes);

#endif
