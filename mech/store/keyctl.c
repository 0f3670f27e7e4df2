#include "mech/store/keyctl.h"

#include <sys/syscall.h>
#include <unistd.h>

static long keyctl(int operation, unsigned long a, unsigned long b, unsigned long c,
                   unsigned long d)
{
    return syscall(SYS_keyctl, (unsigned long)operation, a, b, c, d);
}

/* A serial as the kernel takes it: KEY_SPEC_* are negative. */
static unsigned long id(kb_key_serial key)
{
    return (unsigned long)(long)key;
}

kb_key_serial kb_key_search(kb_key_serial ring, const char *type, const char *name,
                            kb_key_serial into)
{
    return (kb_key_serial)keyctl(KEYCTL_SEARCH, id(ring), (unsigned long)type, (unsigned long)name,
                                 id(into));
}

kb_key_serial kb_key_add(const char *type, const char *name, kb_bytes payload, kb_key_serial ring)
{
    return (kb_key_serial)syscall(SYS_add_key, type, name, payload.ptr, payload.len, id(ring));
}

ssize_t kb_key_read(kb_key_serial key, void *buf, size_t len)
{
    return keyctl(KEYCTL_READ, id(key), (unsigned long)buf, len, 0);
}

ssize_t kb_key_describe(kb_key_serial key, char *buf, size_t len)
{
    return keyctl(KEYCTL_DESCRIBE, id(key), (unsigned long)buf, len, 0);
}

int kb_key_link(kb_key_serial key, kb_key_serial ring)
{
    return (int)keyctl(KEYCTL_LINK, id(key), id(ring), 0, 0);
}

int kb_key_move_new(kb_key_serial key, kb_key_serial from, kb_key_serial ring)
{
    return (int)keyctl(KEYCTL_MOVE, id(key), id(from), id(ring), KEYCTL_MOVE_EXCL);
}

int kb_key_unlink(kb_key_serial key, kb_key_serial ring)
{
    return (int)keyctl(KEYCTL_UNLINK, id(key), id(ring), 0, 0);
}

int kb_key_clear(kb_key_serial ring)
{
    return (int)keyctl(KEYCTL_CLEAR, id(ring), 0, 0, 0);
}

int kb_key_set_timeout(kb_key_serial key, uint32_t seconds)
{
    return (int)keyctl(KEYCTL_SET_TIMEOUT, id(key), seconds, 0, 0);
}

kb_key_serial kb_key_id(kb_key_serial special)
{
    return (kb_key_serial)keyctl(KEYCTL_GET_KEYRING_ID, id(special), 0, 0, 0);
}

kb_key_serial kb_key_persistent(uid_t uid, kb_key_serial into)
{
    return (kb_key_serial)keyctl(KEYCTL_GET_PERSISTENT, uid, id(into), 0, 0);
}
