#!/usr/bin/python3
"""Each number of the component reference that can occur on Linux, provoked and told to the Error
callback: once for each call that failed, with the whole sentence. Most of them as they come about;
what needs a broken network (a router, an interface that is down) by a kernel that says so."""
import errno
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                              # noqa: E402
from process import free_port               # noqa: E402
from realm import Realm                     # noqa: E402

PROGRAM = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests/consumers/errors")
TARGET = "HTTP@localhost"


class Server(threading.Thread):
    """A socket that answers as `act(socket, data or connection)` does."""

    def __init__(self, kind, act=None):
        super().__init__(daemon=True)
        self.act, self.socket = act, socket.socket(socket.AF_INET, kind)
        self.socket.bind(("127.0.0.1", 0))
        self.kind, self.port = kind, self.socket.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            self.socket.listen(8)
        if act:
            self.start()

    def run(self):
        try:
            while True:
                if self.kind == socket.SOCK_DGRAM:
                    data, client = self.socket.recvfrom(65536)
                    self.act(self.socket, client)
                else:
                    self.act(self.socket.accept()[0], None)
        except OSError:
            pass

    def close(self):
        self.socket.close()


class TestErrors(unittest.TestCase):
    told = set()

    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.me = "alice@" + cls.realm.name

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def run_it(self, options, *words):
        env = self.realm.env(options=options, KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        done = subprocess.run([PROGRAM, *words], env=env, text=True, timeout=60,
                              stdout=subprocess.PIPE)
        return done.stdout.splitlines()

    def expect(self, number, options, *words, says=""):
        """The last of the words fails, and the callback is told once, with this number."""
        lines = self.run_it(options, *(words or ("init", TARGET)))
        errors = [line for line in lines if line.startswith("error ")]
        self.assertEqual(len(errors), 1, lines)
        self.assertEqual(lines[-1], "failed", lines)
        self.assertTrue(errors[0].startswith(f"error {number} "), errors[0])
        self.assertIn(says, errors[0])
        self.assertGreater(len(errors[0]), 40)
        TestErrors.told.add(number)

    def identity(self, more="", password=None, user="alice", kdc=None):
        file = self.realm.password_file("other", password) if password \
            else self.realm.password_file()
        return f"User={user}@{self.realm.name} Password=file:{file} " \
            f"KDCHost={kdc or self.realm.kdc_host} {more}"

    # --- Kerberos ---

    def test_951(self):
        for user in ("@", '""', "alice@", "/alice"):
            with self.subTest(user=user):
                self.expect(951, self.identity().replace(f"User={self.me}", f"User={user}"))
        self.expect(951, f"User={self.me} KDCHost={self.realm.kdc_host}")

    def test_952(self):
        self.expect(952, self.identity(password="wrong"), says="24")
        self.expect(952, self.identity(user="nobody"), says="6")
        self.expect(952, self.identity(user="locked"), says="18")
        self.expect(952, self.identity(), "init", "nosuch@localhost", says="7")

    def test_953(self):
        """A reply that does not decrypt; a message that was altered."""
        self.expect(953, self.identity(user="nopreauth", password="wrong"))
        self.expect(953, self.identity(), "establish", TARGET, "altered")

    def test_954(self):
        self.expect(954, self.identity("EncryptionTypes=aes128-cts-hmac-sha1-96",
                                       user="user-aes256-cts-hmac-sha384-192"))

    # --- what the reference calls UDP ---

    def test_options_of_a_context(self):
        for number, option in ((106, "LocalPort=5"), (107, "LocalHost=127.0.0.1"),
                               (112, "MaxPacketSize=2000"), (113, "ShareLocalPort=True"),
                               (114, "KDCHost=x"), (115, "KDCPort=89"),
                               (117, "UseConnection=True"), (950, "Timeout=5")):
            with self.subTest(option=option):
                self.expect(number, self.identity(), "init", TARGET, "option", option)

    def test_109(self):
        self.expect(109, self.identity(), "init", TARGET, "wrap")

    def test_116(self):
        self.expect(116, self.identity("KDCPort=0"))
        self.expect(116, self.identity(), "config", "KDCPort=0")

    def test_118(self):
        large = Server(socket.SOCK_DGRAM, lambda s, client: s.sendto(b"x" * 5000, client))
        self.addCleanup(large.close)
        self.expect(118, self.identity("MaxPacketSize=1024 Timeout=5",
                                       kdc=f"udp/127.0.0.1:{large.port}"), says="MaxPacketSize")

    def test_119(self):
        self.expect(119, self.identity(), "establish", TARGET, "short")

    # --- what comes about by itself ---

    def test_10004(self):
        silent = Server(socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        self.expect(10004, self.identity("GUIAvailable=True", kdc=f"127.0.0.1:{silent.port}"),
                    "cancel", "init", TARGET)

    def test_10009(self):
        self.expect(10009, f"User={self.me} Password=fd:99 KDCHost={self.realm.kdc_host}")

    def test_10013(self):
        self.expect(10013, self.identity(kdc="udp/127.255.255.255:88"))     # a broadcast

    def test_10022(self):
        self.expect(10022, self.identity("LogLevel=9"))
        self.expect(10022, self.identity("Pasword=x"))
        self.expect(10022, self.identity(), "config", "Timeout=soon")

    def test_10024(self):
        self.expect(10024, self.identity(), "descriptors", "init", TARGET)

    def test_10035(self):
        path = self.realm.path("full.socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(0)
        clients = []
        try:
            for _ in range(3):
                clients.append(socket.socket(socket.AF_UNIX))
                clients[-1].setblocking(False)
                clients[-1].connect(path)
        except BlockingIOError:
            pass
        self.expect(10035, self.identity("Timeout=5", kdc="unix:" + path))
        for each in (listener, *clients):
            each.close()

    def test_10041(self):
        path = self.realm.path("datagrams.socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(path)
            self.expect(10041, self.identity(kdc="unix:" + path))

    def test_10045(self):
        self.expect(10045, self.identity(), "establish", TARGET, "export")

    def test_10048(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            port = free_port()
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
            self.expect(10048, self.identity(f"LocalHost=127.0.0.1 LocalPort={port}"))

    def test_10049(self):
        self.expect(10049, self.identity("LocalHost=192.0.2.77"))

    def test_10054(self):
        def reset(connection, _):
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        server = Server(socket.SOCK_STREAM, reset)
        self.addCleanup(server.close)
        self.expect(10054, self.identity(kdc=f"tcp/127.0.0.1:{server.port}"))

    def test_10060(self):
        silent = Server(socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        self.expect(10060, self.identity("Timeout=1", kdc=f"udp/127.0.0.1:{silent.port}"))

    def test_10061(self):
        for kind in ("", "udp/", "tcp/"):
            self.expect(10061, self.identity(kdc=f"{kind}127.0.0.1:{free_port()}"))

    def test_10062(self):
        path = self.realm.path("loop")
        os.symlink(path, path)
        for option in (f"Password=file:{path}", f"KeytabFile={path}"):
            self.expect(10062, f"User={self.me} {option} KDCHost={self.realm.kdc_host}")
        self.expect(10062, self.identity(f"Config={path}"))

    def test_10063(self):
        path = "/" + "x" * 300
        for option in (f"Password=file:{path}", f"KeytabFile={path}"):
            self.expect(10063, f"User={self.me} {option} KDCHost={self.realm.kdc_host}")

    def test_names_that_lead_nowhere(self):
        """Without a name server as with one: it does not exist, or nobody could say."""
        lines = self.run_it(self.identity("Timeout=5", kdc="no-such-host.invalid"), "init", TARGET)
        self.assertRegex(lines[0], r"^error (11001|11002|11003) .*no-such-host\.invalid")
        TestErrors.told.add(int(lines[0].split()[1]))

    # --- a kernel that says so ---

    def test_what_the_kernel_says(self):
        over_tcp = self.identity("UseTCP=True")
        datagrams = self.identity(kdc="udp/" + self.realm.kdc_host)
        for number, name, options, call in (
                (10013, "EPERM", datagrams, "sendto"), (10024, "ENFILE", over_tcp, "socket"),
                (10040, "EMSGSIZE", datagrams, "sendto"), (10047, "EAFNOSUPPORT", over_tcp, "socket"),
                (10050, "ENETDOWN", over_tcp, "connect"), (10051, "ENETUNREACH", over_tcp, "connect"),
                (10055, "ENOBUFS", over_tcp, "socket"), (10058, "EPIPE", over_tcp, "sendto"),
                (10060, "ETIMEDOUT", over_tcp, "connect"), (10064, "EHOSTDOWN", over_tcp, "connect"),
                (10065, "EHOSTUNREACH", over_tcp, "connect"), (10070, "ESTALE", over_tcp, "read")):
            for each in (call, "sendmsg") if call == "sendto" else (call,):
                with self.subTest(name=name, call=each):
                    lines = self.run_it(options, "fail", each, str(getattr(errno, name)),
                                        "init", TARGET)
                    if lines == ["ok"] and call == "sendto":
                        continue        # the other of the two is used
                    self.assertTrue(lines[0].startswith(f"error {number} "), lines)
                    TestErrors.told.add(number)

    def test_nothing_is_told_of_what_goes_well(self):
        self.assertEqual(self.run_it(self.identity(), "establish", TARGET, "wrap"), ["ok", "ok"])

    def test_zz_all_were_told(self):
        """Each row of the table that can occur; those of the resolver are test_reference's."""
        table = os.path.join(HERE, "..", "..", "mech", "report", "reference.def")
        with open(table) as rows:
            can = {int(n) for n in re.findall(r"KB_REFERENCE\((\d+), CAN,", rows.read())}
        missing = sorted(n for n in can - TestErrors.told if n < 11000)
        self.assertEqual(missing, [])


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", plugin=True)
