#!/usr/bin/python3
"""The kernel's keyrings for tests: a place apart from the host's, and one that refuses.

Run as a program, keyrings.py ERRNO WHAT... -- COMMAND runs a command for which system calls fail
(seccomp): WHAT is add_key, keyctl or keyctl:OPERATION. keyrings.py session -- COMMAND runs it in a
session keyring of its own, "apart-from-us"."""
import ctypes
import errno
import os
import platform
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {"x86_64": {"add_key": 248, "keyctl": 250},
           "aarch64": {"add_key": 217, "keyctl": 219}}.get(platform.machine())
JOIN_SESSION, REVOKE, SET_PERMISSIONS, DESCRIBE, UNLINK, SEARCH, READ, SET_TIMEOUT = \
    1, 3, 5, 6, 9, 10, 11, 15
GET_PERSISTENT, MOVE = 22, 30
SESSION, USER = -3, -4
CLONE_NEWUSER = 0x10000000


def call(name, *arguments):
    result = LIBC.syscall(ctypes.c_long(NUMBERS[name]),
                          *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def keyctl(operation, *arguments):
    return call("keyctl", operation, *arguments)


def search(ring, kind, name):
    """The serial; None: there is none."""
    try:
        return keyctl(SEARCH, ring, kind.encode(), name.encode(), 0)
    except OSError as failed:
        if failed.errno in (errno.ENOKEY, errno.EKEYREVOKED, errno.EKEYEXPIRED):
            return None
        raise


def read(key):
    buffer = ctypes.create_string_buffer(1 << 16)
    length = keyctl(READ, key, buffer, len(buffer))
    return buffer.raw[:length]


def serials(ring):
    bytes_ = read(ring)
    return struct.unpack(f"{len(bytes_) // 4}i", bytes_)


def describe(key):
    """(type, name)"""
    buffer = ctypes.create_string_buffer(8192)
    length = keyctl(DESCRIBE, key, buffer, len(buffer))
    parts = buffer.raw[:length - 1].decode().split(";", 4)
    return parts[0], parts[4]


def names(ring):
    return sorted(describe(key)[1] for key in serials(ring))


def all_keys():
    """(serial, line) of /proc/keys."""
    with open("/proc/keys") as keys:
        return [(int(line.split()[0], 16), line) for line in keys]


def timeout(key):
    """Seconds that a key has left, as /proc/keys rounds them; None: it does not end."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    left = dict(all_keys())[key].split()[3]
    return None if left == "perm" else int(left[:-1]) * units[left[-1]]


def permissions(key):
    return dict(all_keys())[key].split()[4]


def timeout_is_over(key):
    try:
        describe(key)
    except OSError as failed:
        return failed.errno in (errno.EKEYEXPIRED, errno.ENOKEY)
    return False


def apart():
    """This process and its children get a session keyring of their own and, where the system lets
    them have a user namespace, users' keyrings and persistent ones too: whether they have. Raises
    OSError where there are no keyrings. To be called before there is a second thread."""
    uid, gid = os.geteuid(), os.getegid()
    own = LIBC.unshare(CLONE_NEWUSER) == 0
    if own:
        with open("/proc/self/setgroups", "w") as file:
            file.write("deny")
        for name, number in (("uid", uid), ("gid", gid)):
            with open(f"/proc/self/{name}_map", "w") as file:
                file.write(f"{number} {number} 1\n")
    if NUMBERS is None:
        raise OSError(errno.ENOSYS, "no numbers of system calls for this machine")
    keyctl(JOIN_SESSION, None)
    return own


# --- refusing ---

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7fff0000, 0x00050000


def refuse(error, rules):
    """A filter of system calls (seccomp(2)) for this process and its children."""
    program = []
    for rule in rules:
        name, _, operation = rule.partition(":")
        block = [(LOAD, 0, 0, 0), (EQUAL, 0, 3 if operation else 1, NUMBERS[name])]
        if operation:
            block += [(LOAD, 0, 0, 16), (EQUAL, 0, 1, int(operation))]
        program += block + [(RETURN, 0, 0, FAIL | error)]
    program.append((RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    head = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    if LIBC.prctl(38, 1, 0, 0, 0) != 0 or LIBC.prctl(22, 2, head, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def refusing(error, *rules):
    """A command line that runs what follows it so."""
    return [sys.executable, "-B", os.path.abspath(__file__), str(error), *rules, "--"]


if __name__ == "__main__":
    end = sys.argv.index("--")
    if sys.argv[1] == "session":
        keyctl(SET_PERMISSIONS, keyctl(JOIN_SESSION, b"apart-from-us"), 0x3f3f0000)
    else:
        refuse(int(sys.argv[1]), sys.argv[2:end])
    os.execvp(sys.argv[end + 1], sys.argv[end + 1:])
