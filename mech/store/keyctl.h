/* keyctl.h - the kernel's keyrings, keyrings(7): one system call each, without libkeyutils, which
 * would be one more library in every program. Private to KEYRING: caches.
 *
 * A key is known by its serial, a positive number, or one of KEY_SPEC_* of <linux/keyctl.h>. What
 * fails gives -1 and errno, as the manual pages keyctl(2) and add_key(2) have it: ENOSYS or EPERM
 * where the kernel has no keyrings or a container's filter refuses them. A key is usable by who
 * possesses it, that is, whose thread, process or session keyring leads to it: which of them a
 * thread has is the thread's own (a process keyring is shared by the threads that are begun after
 * it). Any thread; nothing here waits. */
#ifndef KB_KEYCTL_H
#define KB_KEYCTL_H

#include <linux/keyctl.h>
#include <stdint.h>
#include <sys/types.h>

#include "asn1/bytes.h"

#ifndef KEYCTL_MOVE /* headers of before Linux 5.3 */
#define KEYCTL_MOVE 30
#define KEYCTL_MOVE_EXCL 1
#endif

typedef int32_t kb_key_serial;

/* kb_key_search finds a key in `ring` and the keyrings in it; `into` (0: none) gets a link to it.
 */
kb_key_serial kb_key_search(kb_key_serial ring, const char *type, const char *name,
                            kb_key_serial into);

/* kb_key_add makes a key in `ring`. One of the same type and name there gets the payload and keeps
 * its serial, but a keyring is replaced. */
kb_key_serial kb_key_add(const char *type, const char *name, kb_bytes payload, kb_key_serial ring);

/* kb_key_read fills `buf` with a key's payload, a keyring's serials. Bytes there are: where they
 * are more than `len`, buf holds nothing of use. */
ssize_t kb_key_read(kb_key_serial key, void *buf, size_t len);

/* kb_key_describe: "type;uid;gid;permissions;name" and a NUL; counts as kb_key_read. */
ssize_t kb_key_describe(kb_key_serial key, char *buf, size_t len);

/* kb_key_link puts a key into `ring`, in the place of one of the same type and name.
 * kb_key_move_new takes it out of `from` too, and fails with EEXIST if there is such a one;
 * EOPNOTSUPP before Linux 5.3. */
int kb_key_link(kb_key_serial key, kb_key_serial ring);
int kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring);
int kb_key_unlink(kb_key_serial key, kb_key_serial ring);
int kb_key_clear(kb_key_serial ring);
int kb_key_set_timeout(kb_key_serial key, uint32_t seconds);

/* kb_key_id is the serial of a KEY_SPEC_* keyring. */
kb_key_serial kb_key_id(kb_key_serial special);

/* kb_key_persistent gives the persistent keyring of a user, linked into `into`. EOPNOTSUPP: this
 * kernel has none. */
kb_key_serial kb_key_persistent(uid_t uid, kb_key_serial into);

#endif
