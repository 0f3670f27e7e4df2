"""Daemons that keep credentials caches: Heimdal's kcm, in a /run of the test's own (its socket's
path is built in), sssd's, in a /run and /var/lib of its own, and one of ours, which speaks as MIT's
test server, Heimdal's and sssd's do, and can be made to answer wrongly.

The protocol: MIT src/include/kcm.h and src/tests/kcmserver.py, Heimdal kcm/protocol.c, SSSD
src/responder/kcm/kcmsrv_ops.c."""
import os
import shutil
import socket
import struct
import tempfile
import threading
import time

import netns
from kdc import peers, write
from process import Child

PATH = "/var/run/.heim_org.h5l.kcm-socket"      # where clients look by default
GEN_NEW, INITIALIZE, DESTROY, STORE, RETRIEVE, GET_PRINCIPAL, GET_CRED_UUID_LIST = range(3, 10)
GET_CRED_BY_UUID, REMOVE_CRED = 10, 11
GET_CACHE_UUID_LIST, GET_CACHE_BY_UUID, GET_DEFAULT_CACHE, SET_DEFAULT_CACHE = range(18, 22)
GET_KDC_OFFSET, SET_KDC_OFFSET = 22, 23
GET_CRED_LIST, REPLACE = 13001, 13002
NOTFOUND, END, IO, PERM, NOFILE, INTERNAL, NOSUPP, BADNAME = (
    -1765328243, -1765328242, -1765328191, -1765328190, -1765328189, -1765328188, -1765328137,
    -1765328245)


def heimdal():
    """The path of Heimdal's daemon; None: it is not there."""
    path = os.path.join(peers() or "", "heimdal", "usr", "sbin", "kcm")
    return path if os.path.exists(path) else None


def sssd():
    path = os.path.join(peers() or "", "sssd", "usr", "libexec", "sssd", "sssd_kcm")
    return path if os.path.exists(path) and shutil.which("unshare") else None


def libraries(peer="heimdal"):
    """LD_LIBRARY_PATH for its programs."""
    return ":".join(f for part in ("usr/lib", "lib")
                    for f, _, names in os.walk(os.path.join(peers(), peer, part))
                    if any(name.startswith("lib") for name in names))


def answers(path):
    """Its socket is there before anybody listens on it."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


class Heimdal:
    """Its daemon. This process, and what it starts, get a /run of their own with the socket in it;
    Unavailable where the system does not let us."""

    def __init__(self, realm):
        run = tempfile.mkdtemp(prefix="run-", dir=realm.dir)
        os.chmod(run, 0o755)
        netns.own_directory(run, "/run")
        if not os.path.samefile("/var/run", run):
            raise netns.Unavailable("/var/run is not /run")
        self.path = PATH
        conf = realm.path("kcm.conf")
        with open(conf, "w") as file:
            file.write(f"[logging]\n  kcm = 0-/FILE:{realm.path('kcm.log')}\n")
        self.child = Child([heimdal(), "-c", conf], realm.path("kcm.out"),
                           env=dict(os.environ, KRB5_CONFIG=conf, LD_LIBRARY_PATH=libraries()))
        self.child.wait_until(lambda: answers(PATH), "its socket")

    def close(self):
        self.child.stop()


class SSSD:
    """sssd's. Its database is made anew, with `options` in sssd.conf's [kcm]."""

    def __init__(self, realm, options=""):
        home = tempfile.mkdtemp(prefix="sssd-", dir=realm.dir)
        os.chmod(home, 0o755)
        self.path = os.path.join(home, "socket")
        conf = write(os.path.join(home, "sssd.conf"),
                     f"[sssd]\nservices =\n[kcm]\nsocket_path = {self.path}\n{options}")
        for folder in ("run", "lib/sss/db", "lib/sss/mc", "lib/sss/pubconf", "lib/sss/secrets",
                       "lib/sss/pipes/private"):
            os.makedirs(os.path.join(home, folder))
        root = os.path.join(peers(), "sssd", "usr")
        modules = next(f for f, _, names in os.walk(root) if "tdb.so" in names)
        # It complains that no domain is configured, when it has made the database.
        script = "set -e; mount --make-rprivate /; mount --bind $0/run /run; " \
            "mount --bind $0/lib /var/lib; $1 --genconf -c $2 --logger=stderr || " \
            "test -s /var/lib/sss/db/config.ldb; " \
            "exec $3 --uid 0 --gid 0 --logger=stderr -d 2"
        self.child = Child(["unshare", "-m" if os.geteuid() == 0 else "-mr", "sh", "-c", script, home,
                            os.path.join(root, "sbin", "sssd"), conf, sssd()],
                           realm.path("sssd-kcm.out"),
                           env=dict(os.environ, LD_LIBRARY_PATH=libraries("sssd"),
                                    LDB_MODULES_PATH=modules, KRB5_CONFIG=realm.empty_conf))
        self.child.wait_until(lambda: answers(self.path), "its socket")

    def close(self):
        self.child.stop()


class Cache:
    def __init__(self, name, principal):
        self.name, self.principal = name, principal
        self.uuid, self.tickets, self.offset = os.urandom(16), [], 0       # of (UUID, ticket)


def principal_end(data, at=0):
    components, realm = struct.unpack_from("!LL", data, at + 4)
    at += 12 + realm
    for _ in range(components):
        at += 4 + struct.unpack_from("!L", data, at)[0]
    return at


def server_of(ticket):
    client = principal_end(ticket)
    return ticket[client + 4:principal_end(ticket, client)]


class Mock:
    """dialect: "mit" (has all, but cannot remove), "heimdal" (cannot list or replace, as 7.8 with
    our means), "sssd" (can neither retrieve, remove nor replace; the newest first; a quota).
    `fault` is called with each request's opcode and answer (code, body), and may give bytes to send
    in its place, and the end of the connection (None: silence), or the answer again."""

    def __init__(self, path, dialect="mit"):
        self.path, self.dialect = path, dialect
        self.caches, self.default, self.seen = {}, None, []
        self.fault = None
        self.quota = None
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.clients = []
        self.closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for client in self.clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        os.unlink(self.path)

    # --- the socket ---

    def _accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _read(client, size):
        data = b""
        while len(data) < size:
            more = client.recv(size - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data

    def _serve(self, client):
        with client:
            try:
                while True:
                    request = self._read(client, struct.unpack("!L", self._read(client, 4))[0])
                    assert request[:2] == b"\x02\x00", request[:2]
                    op, = struct.unpack_from("!H", request, 2)
                    with self.lock:
                        self.seen.append(op)
                        answer = self.answer(op, request[4:])
                        if self.fault:
                            answer = self.fault(op, *answer)
                    if answer is None:
                        time.sleep(3600)
                    if isinstance(answer, tuple):
                        code, body = answer
                        body = struct.pack("!l", code) + body
                        answer = struct.pack("!LL", len(body), 0) + body
                        client.sendall(answer)
                        continue
                    client.sendall(answer)
                    return
            except OSError:
                pass

    # --- what it does ---

    def has(self, op):
        lacks = {"mit": (REMOVE_CRED,), "heimdal": (GET_CRED_LIST, REPLACE),
                 "sssd": (RETRIEVE, REMOVE_CRED, REPLACE)}[self.dialect]
        return op not in lacks

    def answer(self, op, data):
        if not self.has(op):
            return (INTERNAL if self.dialect != "mit" else NOSUPP), b""
        if op == GEN_NEW:
            return 0, b"%d:%s\0" % (os.getuid(), os.urandom(3).hex().encode())
        if op == GET_CACHE_UUID_LIST:
            return 0, b"".join(cache.uuid for cache in self.caches.values())
        if op == GET_CACHE_BY_UUID:
            names = [c.name for c in self.caches.values() if c.uuid == data]
            return (0, names[0] + b"\0") if names else (END, b"")
        if op == GET_DEFAULT_CACHE:
            if self.default not in self.caches:
                self.default = next(iter(self.caches), None)
            return 0, (self.default or b"%d" % os.getuid()) + b"\0"
        name, _, rest = data.partition(b"\0")
        if op == SET_DEFAULT_CACHE:
            self.default = name
            return 0, b""
        if op == INITIALIZE:
            if self.quota is not None and len(self.caches) >= self.quota:
                return INTERNAL, b""
            if not name.split(b":")[0].isdigit():
                return BADNAME, b""
            self.caches[name] = Cache(name, rest)
            return 0, b""
        if op == REPLACE:
            return self.replace(name, rest)
        cache = self.caches.get(name)
        if cache is None:
            return NOFILE, b""
        return self.with_cache(op, cache, rest)

    def replace(self, name, data):
        end = principal_end(data, 4)
        cache = Cache(name, data[4:end])
        cache.offset, = struct.unpack_from("!l", data)
        count, = struct.unpack_from("!L", data, end)
        end += 4
        for _ in range(count):
            size, = struct.unpack_from("!L", data, end)
            cache.tickets.append((os.urandom(16), data[end + 4:end + 4 + size]))
            end += 4 + size
        assert end == len(data)
        self.caches[name] = cache
        return 0, b""

    def with_cache(self, op, cache, data):
        if op == DESTROY:
            del self.caches[cache.name]
            return 0, b""
        if op == STORE:
            at = 0 if self.dialect == "sssd" else len(cache.tickets)
            cache.tickets.insert(at, (os.urandom(16), data))
            return 0, b""
        if op == GET_PRINCIPAL:
            return 0, cache.principal + (b"\0" if self.dialect == "mit" else b"")
        if op == GET_CRED_UUID_LIST:
            return 0, b"".join(uuid for uuid, _ in cache.tickets)
        if op == GET_CRED_BY_UUID:
            found = [ticket for uuid, ticket in cache.tickets if uuid == data]
            return (0, found[0]) if found else (END, b"")
        if op == GET_CRED_LIST:
            return 0, struct.pack("!L", len(cache.tickets)) + b"".join(
                struct.pack("!L", len(ticket)) + ticket for _, ticket in cache.tickets)
        if op == GET_KDC_OFFSET:
            return 0, struct.pack("!l", cache.offset)
        if op == SET_KDC_OFFSET:
            cache.offset, = struct.unpack("!l", data)
            return 0, b""
        if op == RETRIEVE:
            wanted = server_of(data[8:])
            found = [t for _, t in cache.tickets if server_of(t) == wanted]
            return (0, found[0]) if found else (NOTFOUND, b"")
        if op == REMOVE_CRED:
            return self.remove(cache, data)
        return INTERNAL, b""

    @staticmethod
    def remove(cache, data):
        """By client, server and times, as Heimdal's; also its bug, to pass over the one behind."""
        flags, fields = struct.unpack_from("!LL", data)
        assert (flags, fields) == (1 << 26, 3), (flags, fields)
        names = principal_end(data, principal_end(data, 8))
        times, gone, skip, kept = data[names:names + 16], 0, False, []
        for uuid, ticket in cache.tickets:
            end = principal_end(ticket, principal_end(ticket))
            key, = struct.unpack_from("!L", ticket, end + 2)
            same = server_of(ticket) == server_of(data[8:]) and \
                ticket[end + 6 + key:][:16] == times
            if same and not skip:
                gone, skip = gone + 1, True
            else:
                skip = False
                kept.append((uuid, ticket))
        cache.tickets = kept
        return (0 if gone else NOTFOUND), b""
