#!/usr/bin/python3
"""Programs that wait, and whose waiting ends: by Timeout, by Interrupt (a thread, a signal handler),
by a wait callback. Against KDCs that never answer, answer a byte a second or accept and stay silent,
a port that takes no connection, and a resolver that hangs. What was measured is printed."""
import collections
import concurrent.futures
import fcntl
import os
import select
import socket
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                  # noqa: E402
from kdc import program         # noqa: E402
from realm import Realm         # noqa: E402

WAITING = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests", "consumers", "waiting")
TARGET = "HTTP@localhost"
PROMISED, FORGIVEN = 100, 5000  # milliseconds; the second to a busy machine
Said = collections.namedtuple("Said", "who ms code text")


class Stall:
    """Something on the loopback that lets a client wait. `hosts` is what KDCHost says."""

    def __init__(self, kind):
        self.kind, self.files, self.stop = kind, [], threading.Event()
        self.text = {"udp": "udp: no answer in", "tcp": "tcp: no answer in",
                     "bytes": "bytes of an unfinished answer in", "deaf": "tcp: no connection in", "proxy": "",
                     "name": "its name was not resolved in"}[kind]
        getattr(self, "start_" + kind)()

    def keep(self, file):
        self.files.append(file)
        return file

    def listener(self, backlog=20):
        sock = self.keep(socket.create_server(("127.0.0.1", 0), backlog=backlog))
        self.host = "tcp/127.0.0.1:%d" % sock.getsockname()[1]
        return sock

    def start_udp(self):
        sock = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind(("127.0.0.1", 0))
        self.host = "udp/127.0.0.1:%d" % sock.getsockname()[1]

    def start_tcp(self):
        self.listener()         # the system accepts

    def start_bytes(self):
        threading.Thread(target=self.drip, args=(self.listener(),), daemon=True).start()

    def drip(self, listener):
        clients, byte = [], b"\0\0\4\0" + 1020 * b"x"
        while not self.stop.is_set():
            try:
                if select.select([listener], [], [], 1)[0]:
                    clients.append([self.keep(listener.accept()[0]), 0])
                for client in clients:
                    client[0].send(byte[client[1]:client[1] + 1])
                    client[1] += 1
            except (OSError, ValueError):
                return          # somebody has gone

    def start_deaf(self):
        listener = self.listener(backlog=0)
        for _ in range(3):      # its queue is full
            sock = self.keep(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())

    def start_proxy(self):
        """An HTTP proxy that accepts and stays silent."""
        self.listener()
        self.host = "192.0.2.1 UseTCP=True FirewallHost=127.0.0.1 FirewallPort=" \
            + self.host.rpartition(":")[2]

    def start_name(self):
        """A name server that never answers; it is put in /etc/resolv.conf of a mount namespace."""
        sock = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind(("127.77.0.53", 53))
        self.host = "kdc.example.com"

    def close(self):
        self.stop.set()
        for file in self.files:
            file.close()


class Relay:
    """A KDC's UDP port that is silent until it is opened, then hands over to the real one."""

    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.host = "udp/127.0.0.1:%d" % self.sock.getsockname()[1]
        self.port, self.open = port, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            request, client = self.sock.recvfrom(65535)
            if not request:
                return
            if self.open:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
                    there.settimeout(5)
                    there.sendto(request, ("127.0.0.1", self.port))
                    self.sock.sendto(there.recv(65535), client)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()


def can_hang_names():
    if os.getuid() != 0 or not program("unshare"):
        return False
    try:
        Stall("name").close()
    except OSError:
        return False
    return subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode == 0


KINDS = ["udp", "tcp", "bytes", "deaf", "proxy"] + (["name"] if can_hang_names() else [])


class TestWaiting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        # Written once: programs that start at the same time read it.
        cls.env = cls.realm.env(options="LogFile=/dev/null")
        # libgssapi's own, as in valgrind.supp.
        cls.env["LSAN_OPTIONS"] = f"suppressions={HERE}/lsan.supp:print_suppressions=0"
        cls.secret = f"User=alice@{cls.realm.name} Password=file:{cls.realm.password_file()}"
        cls.resolv_conf = cls.realm.path("resolv.conf")
        with open(cls.resolv_conf, "w") as file:
            file.write("nameserver 127.77.0.53\n")

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    # --- running ---

    def start(self, host, *words, more="Timeout=30"):
        argv = [WAITING, *map(str, words), TARGET]
        if host == "kdc.example.com":
            argv = ["unshare", "-m", "sh", "-c",
                    'mount --bind "$0" /etc/resolv.conf && exec "$@"', self.resolv_conf, *argv]
        options = f"{self.secret} KDCHost={host} DNSCanonicalize=False LogFile=/dev/null {more}"
        return subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env={**self.env, "KERBSIDE_OPTIONS": options})

    def said(self, child):
        out, _ = child.communicate(timeout=120)
        self.assertEqual(child.returncode, 0, out)
        return [self.parse(line) for line in out.splitlines()]

    def parse(self, line):
        who, ms, code, text = (line + " ").split(" ", 3)
        return Said(who, int(ms), int(code), text)

    def against(self, kind, *words, **more):
        stall = Stall(kind)
        try:
            return stall, self.said(self.start(stall.host, *words, **more))
        finally:
            stall.close()

    def against_all(self, *words, kinds=KINDS, **more):
        """Against all at once: they do nothing but wait."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(lambda kind: self.against(kind, *words, **more), kinds))

    def measured(self, what, stall, ms):
        print(f"measured: {what}, {stall.kind}: {ms} ms")

    # --- timeouts ---

    def test_timeout(self):
        # A connection starts the clock again, the bytes of an answer once more.
        times = {"udp": 1, "tcp": 2, "bytes": 3, "deaf": 1, "proxy": 2, "name": 1}
        for stall, (said,) in self.against_all("plain", more="Timeout=2"):
            with self.subTest(stall=stall.kind):
                self.measured("Timeout=2", stall, said.ms)
                self.assertEqual(said.code, 10060)
                self.assertIn(stall.text, said.text)
                self.assertIn("No KDC of " + self.realm.name, said.text)
                self.assertGreaterEqual(said.ms, 1999)
                self.assertLess(said.ms, 2000 * times[stall.kind] + FORGIVEN)

    def test_absolute_timeout(self):
        for stall, (said,) in self.against_all("plain", more="Timeout=2 AbsoluteTimeout=True"):
            with self.subTest(stall=stall.kind):
                self.measured("Timeout=2 AbsoluteTimeout=True", stall, said.ms)
                self.assertEqual(said.code, 10060)
                self.assertIn("2 s for the whole login are over", said.text)
                self.assertGreaterEqual(said.ms, 1999)
                self.assertLess(said.ms, 2000 + FORGIVEN)

    def test_no_timeout(self):
        """The KDC has had its repetitions: 1 + 2 + 4 + 8 seconds, and 15 for a connection."""
        for stall, (said,) in self.against_all("plain", kinds=["udp", "tcp", "deaf"],
                                               more="Timeout=0"):
            with self.subTest(stall=stall.kind):
                self.measured("Timeout=0", stall, said.ms)
                self.assertEqual(said.code, 10060)
                self.assertIn(stall.text, said.text)
                self.assertGreaterEqual(said.ms, 14999)
                self.assertLess(said.ms, 15000 + FORGIVEN)

    # --- interrupts ---

    def interrupted(self, stall, said, what):
        self.measured(what, stall, said.ms)
        self.assertEqual(said.code, 10004, said.text)
        self.assertIn("Interrupted after", said.text)
        self.assertLess(said.ms, FORGIVEN)

    def test_by_a_thread(self):
        for stall, (said,) in self.against_all("thread", 400):
            with self.subTest(stall=stall.kind):
                self.interrupted(stall, said, "interrupted by a thread")
                self.assertIn(stall.text, said.text)

    def test_by_a_signal_handler(self):
        for stall, (said,) in self.against_all("signal", 400):
            with self.subTest(stall=stall.kind):
                self.interrupted(stall, said, "interrupted by a signal handler")

    def test_a_crowd(self):
        """One asks the KDC, the others wait for it; all end."""
        stall, said = self.against("udp", "crowd", 400)
        self.assertEqual(len(said), 8)
        for one in said:
            self.interrupted(stall, one, "one of a crowd interrupted")
        self.assertEqual(sum("another thread" in one.text for one in said), 7)

    def test_before_it_began(self):
        (said,) = self.said(self.start(self.realm.kdc_host, "idle"))
        self.assertEqual(said.code, 0, said.text)

    def test_one_credential(self):
        """The other's call, which waited for it, goes on by itself."""
        relay = Relay(self.realm.port)
        try:
            child = self.start(relay.host, "one", 400)
            first = self.parse(child.stdout.readline())
            relay.open = True
            (second,) = self.said(child)
        finally:
            relay.close()
        print(f"measured: one credential's interrupt: {first.ms} ms")
        self.assertEqual((first.who, first.code), ("first", 10004), first.text)
        self.assertLess(first.ms, FORGIVEN)
        self.assertEqual((second.who, second.code), ("second", 0), second.text)

    def test_the_lock_of_a_cache(self):
        """Another program holds it."""
        cache = self.realm.path("locked")
        more = f"CredentialsCacheFile=FILE:{cache} Timeout=30"
        (said,) = self.said(self.start(self.realm.kdc_host, "plain", more=more))
        self.assertEqual(said.code, 0, said.text)
        with open(cache, "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            for word in ("thread", "signal"):
                (said,) = self.said(self.start(self.realm.kdc_host, word, 300, more=more))
                print(f"measured: a cache's lock, interrupted by a {word}: {said.ms} ms")
                self.assertEqual(said.code, 10004, said)
                self.assertGreaterEqual(said.ms, 0)
                self.assertLess(said.ms, FORGIVEN)

    # --- callbacks ---

    def test_the_wait_callback(self):
        for stall, (said, turns) in self.against_all("callback", 10):
            with self.subTest(stall=stall.kind):
                self.measured("longest time between two callbacks", stall, turns.ms)
                self.assertEqual(said.code, 10004)
                self.assertIn("Cancelled by the program's wait callback after", said.text)
                self.assertEqual(turns.code, 10)
                self.assertLess(turns.ms, FORGIVEN)
                self.assertLess(said.ms, 10 * PROMISED + FORGIVEN)

    def test_a_slow_callback(self):
        """It harms its own call alone: who wants the same ticket does not wait for it."""
        relay = Relay(self.realm.port)
        try:
            child = self.start(relay.host, "slow", FORGIVEN + 2000, more="Timeout=30 GUIAvailable=True")
            time.sleep(0.1)
            relay.open = True
            first, second = self.said(child)
        finally:
            relay.close()
        self.assertEqual((first.who, first.code), ("quick", 0), first.text)
        self.assertLess(first.ms, FORGIVEN)
        self.assertEqual((second.who, second.code), ("slow", 0), second.text)

    def test_a_callback_that_logs_in(self):
        """It does not wait for itself; and not endlessly deep."""
        stall, said = self.against("udp", "again")
        busy = [one for one in said if one.who.startswith("busy")]
        self.assertEqual(len(busy), 1, said)
        self.assertIn("that a wait callback began", busy[0].text)
        self.assertEqual(said[-2].code, 10004)
        self.assertLess(said[-2].ms, 10000)

    def test_a_callback_that_forks(self):
        stall, said = self.against("udp", "fork", more="Timeout=1")
        codes = sorted(one.code for one in said if one.who == "call")
        self.assertEqual(codes, [10004, 10060], said)

    def test_a_context_in_its_own_callback(self):
        said = {one.who: one for one in self.said(self.start(self.realm.kdc_host, "leg"))}
        self.assertEqual([said[who].code for who in ("again", "delete")], [950, 950], said)
        self.assertIn("in a call already", said["again"].text)
        self.assertEqual(said["leg"].code, 953)
        self.assertEqual(said["end"].code, 0)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", WAITING, plugin=True)
