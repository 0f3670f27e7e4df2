"""A network of the test's own: its loopback alone, so that any port is free, the MTU is ours to set
and nothing else is on the wire; and an /etc/hosts of its own, where names have the addresses that a
test wants. As root, or in a user namespace where the system allows it."""
import ctypes
import os
import socket
import struct
import subprocess
import tempfile
import threading

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
ETH_P_ALL, PACKET_OUTGOING = 3, 4
PIDFD_OPEN, PIDFD_GETFD = 434, 438

_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    pass


def _unshare(flags):
    if _libc.unshare(flags) != 0:
        raise Unavailable("unshare: " + os.strerror(ctypes.get_errno()))


def enter(more_hosts=""):
    """Moves this process, and what it starts, into a network of its own. more_hosts: lines for its
    /etc/hosts."""
    spaces = CLONE_NEWNET | CLONE_NEWNS
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _unshare(spaces)
    else:
        _unshare(CLONE_NEWUSER | spaces)
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open("/proc/self/" + file, "w") as out:
                out.write(text)
    try:
        _mount(b"none", b"/", MS_REC | MS_PRIVATE)
        hosts("127.0.0.1 localhost both.test four.test\n::1 localhost both.test\n2001:db8::6 six.test\n"
              + more_hosts)
        ip("link", "set", "lo", "up")
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(str(error))


def own_directory(directory, where):
    """This process, and what it starts, find `directory` at `where`, and nobody else does."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _unshare(CLONE_NEWNS)
    else:
        _unshare(CLONE_NEWUSER | CLONE_NEWNS)
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"),
                           ("gid_map", f"{gid} {gid} 1")):
            with open("/proc/self/" + file, "w") as out:
                out.write(text)
    _mount(b"none", b"/", MS_REC | MS_PRIVATE)
    _mount(directory.encode(), where.encode(), MS_BIND)


def _mount(what, where, flags):
    if _libc.mount(what, where, None, flags, None) != 0:
        raise Unavailable("mount: " + os.strerror(ctypes.get_errno()))


_ours = set()


def _put(path, text):
    """A file of our own in the place of the system's; written into, once it is there."""
    if path in _ours:
        with open(path, "w") as file:
            file.write(text)
        return
    _ours.add(path)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        os.chmod(file.name, 0o644)
        _mount(file.name.encode(), path, MS_BIND)


def hosts(text):
    _put(b"/etc/hosts", text)


def resolver(address, options="timeout:1 attempts:2"):
    """Names are looked up in /etc/hosts, then asked for there, by the C library alone."""
    try:
        _put(b"/etc/resolv.conf", f"nameserver {address}\noptions {options}\n")
        if os.path.exists("/etc/nsswitch.conf"):
            _put(b"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    except OSError as error:
        raise Unavailable(str(error))


def mtu(size):
    """Of the loopback. Below 1280 it has no IPv6."""
    ip("link", "set", "lo", "mtu", str(size))
    if size >= 1280:
        ip("link", "set", "lo", "down")
        ip("link", "set", "lo", "up")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Packet:
    """One IP packet. proto: "udp", "tcp" or the number; of a fragment behind the first, no ports."""

    def __init__(self, raw):
        self.version, self.length = raw[0] >> 4, len(raw)
        if self.version == 4:
            header = (raw[0] & 15) * 4
            tos, (fragment,), number = raw[1], struct.unpack_from("!H", raw, 6), raw[9]
            self.dont_fragment, self.fragment = bool(fragment & 0x4000), bool(fragment & 0x3fff)
            offset = fragment & 0x1fff
            addresses = raw[12:16], raw[16:20]
        else:
            header, tos, number = 40, (raw[0] & 15) << 4 | raw[1] >> 4, raw[6]
            self.dont_fragment, self.fragment, offset = False, number == 44, 0
            addresses = raw[8:24], raw[24:40]
            if self.fragment:
                header, number, offset = 48, raw[40], struct.unpack_from("!H", raw, 42)[0] >> 3
        family = socket.AF_INET if self.version == 4 else socket.AF_INET6
        self.src, self.dst = (socket.inet_ntop(family, a) for a in addresses)
        self.dscp = tos >> 2
        self.proto = {6: "tcp", 17: "udp"}.get(number, number)
        self.sport = self.dport = self.flags = None
        self.payload = b""
        if self.proto in ("tcp", "udp") and offset == 0:
            self.sport, self.dport = struct.unpack_from("!HH", raw, header)
            skip = 8
            if self.proto == "tcp":
                skip, self.flags = (raw[header + 12] >> 4) * 4, raw[header + 13]
            self.payload = raw[header + skip:]

    @property
    def syn(self):
        return self.proto == "tcp" and self.flags & 0x12 == 2

    @property
    def reset(self):
        return self.proto == "tcp" and bool(self.flags & 4)

    def __repr__(self):
        return f"<{self.proto} {self.src}:{self.sport} > {self.dst}:{self.dport} {self.length}>"


class Sniffer:
    """with Sniffer() as wire: ...; wire.packets, in their order, each once."""

    def __enter__(self):
        self.packets, self.socket = [], socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                                      socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(("lo", ETH_P_ALL))
        self.socket.settimeout(0.02)
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self):
        while True:
            try:
                raw, (_, proto, kind, *_) = self.socket.recvfrom(65600)
            except socket.timeout:
                if self.ended:
                    return
                continue
            if kind == PACKET_OUTGOING and proto in (0x0800, 0x86dd):
                self.packets.append(Packet(raw))

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        self.socket.close()

    def to(self, port, proto=None):
        """What was sent to a port."""
        return [p for p in self.packets if p.dport == port and proto in (None, p.proto)]


def sockets_of(pid):
    """Duplicates of another process's internet sockets: what getsockopt says of them."""
    pidfd = _libc.syscall(PIDFD_OPEN, pid, 0)
    found = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    continue
            except OSError:
                continue
            fd = _libc.syscall(PIDFD_GETFD, pidfd, int(name), 0)
            if fd < 0:
                continue
            copy = socket.socket(fileno=fd)
            if copy.family in (socket.AF_INET, socket.AF_INET6):
                found.append(copy)
            else:
                copy.close()
    finally:
        os.close(pidfd)
    return found
