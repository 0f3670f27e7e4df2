#!/usr/bin/python3
"""Where secrets must not appear: log, trail, raw packets, capture, core files, with everything
switched on that tells something. The keys to look for come from tshark, which opens the capture with
the KDC's keys. And what tshark sees in the capture is what was exchanged."""
import base64
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                              # noqa: E402
from kdc import program, write              # noqa: E402
from peer import GSSFailure, Peer, establish    # noqa: E402
from realm import Realm                     # noqa: E402

PROGRAM = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests/consumers/errors")
TARGET = "HTTP@localhost"
AS_REQ, AS_REP, TGS_REQ, TGS_REP, KRB_ERROR = 10, 11, 12, 13, 30


class Relay(threading.Thread):
    """A KDC's port on UDP, which keeps the answer to the nth request (from 0) until it is let go."""

    def __init__(self, kdc_port, hold):
        super().__init__(daemon=True)
        self.kdc_port, self.hold, self.num = kdc_port, hold, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.host = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.held, self.go = threading.Event(), threading.Event()
        self.start()

    def run(self):
        while True:
            request, client = self.socket.recvfrom(65536)
            if not request:
                return
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to_kdc:
                to_kdc.settimeout(10)
                to_kdc.sendto(request, ("127.0.0.1", self.kdc_port))
                reply = to_kdc.recv(65536)
            if self.num == self.hold:
                self.held.set()
                self.go.wait(30)
            self.num += 1
            self.socket.sendto(reply, client)

    def close(self):
        self.go.set()
        self.socket.sendto(b"", self.socket.getsockname())
        self.join(10)
        self.socket.close()


def forms(secret):
    """The ways in which bytes could be written down."""
    return [secret, secret.hex().encode(), secret.hex().upper().encode(),
            secret.hex(" ").encode(), secret.hex(":").encode(), base64.b64encode(secret)]


def content(path):
    with open(path, "rb") as file:
        return file.read()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.password = cls.realm.passwords["alice"].encode()
        cls.long_term = cls.long_term_keys(cls.realm.path("alice.keytab"))
        cls.keytab = cls.realm.keytab("all.keytab", "alice", "HTTP/localhost",
                                      "krbtgt/" + cls.realm.name)

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    @staticmethod
    def long_term_keys(keytab):
        listed = subprocess.run(["klist", "-k", "-K", keytab], check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        keys = [bytes.fromhex(key) for key in re.findall(r"\(0x([0-9a-f]+)\)", listed)]
        assert keys, listed
        return keys

    def setUp(self):
        self.number = self.id().rsplit(".", 1)[-1]
        self.log, self.trace, self.capture = (self.realm.path(self.number + end)
                                              for end in (".log", ".trace", ".pcapng"))

    def options(self, more=""):
        """All that tells."""
        return f"{self.realm.identity()} LogLevel=3 LogFile={self.log} TraceFile={self.trace} " \
            f"PacketCapture={self.capture} LogKerberosPackets=True {more}"

    def login(self, more="", **env):
        with Peer(self.realm.env(options=self.options(more), **env)) as client, \
                Peer(self.realm.service_env()) as server:
            establish(client, server, TARGET)

    def tshark(self, *arguments):
        return subprocess.run(
            ["tshark", "-r", self.capture, "-d", f"udp.port=={self.realm.port},kerberos",
             "-d", f"tcp.port=={self.realm.port},kerberos", "-o", "kerberos.decrypt:TRUE",
             "-o", "kerberos.file:" + self.keytab, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout

    def keys(self):
        """The session keys of TGT and service ticket, and the subkeys."""
        lines = self.tshark("-Y", "kerberos.keyvalue", "-T", "fields", "-e", "kerberos.keyvalue")
        keys = {bytes.fromhex(k.replace(":", "")) for k in lines.replace(",", " ").split()}
        self.assertGreaterEqual(len(keys), 3, lines)
        return sorted(keys)

    def assert_without(self, secrets, data, where):
        for secret in secrets:
            for form in forms(secret):
                self.assertEqual(data.count(form), 0, f"{form[:12]}... in {where}")


@unittest.skipUnless(program("tshark"), "no tshark")
class TestSinks(Case):
    def test_nothing_secret_is_written(self):
        for more in ("", "UseTCP=True"):
            with self.subTest(more):
                self.login(more)
                for path in (self.log, self.trace, self.capture):
                    data = content(path)
                    self.assertGreater(len(data), 1000, path)
                    self.assert_without([self.password, *self.long_term, *self.keys()], data, path)
                for path in (self.log, self.trace):
                    self.assertIn(b"  raw, ", content(path))
                    os.unlink(path)
                os.unlink(self.capture)

    def test_callbacks_are_told_nothing_secret(self):
        env = self.realm.env(options=self.options(),
                             KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        told = subprocess.run([PROGRAM, "tell", "establish", TARGET], env=env, check=True,
                              stdout=subprocess.PIPE).stdout
        for line in (b"\nlog 1 Info New TGT for alice@", b"\nlog 2 Verbose TGS-REQ for ",
                     b"\nlog 3 Debug client to a KDC of ", b"\ntrail 0 client to a KDC of ",
                     b"\ntrail 1 received from ", b"\ntrail 2 TGS-REQ for ", b"  raw, "):
            self.assertIn(line, told)
        self.assert_without([self.password, *self.long_term, *self.keys()], told, "the callbacks")

    def test_a_wrong_password_is_not_written(self):
        wrong = "certainly not the right one"
        options = self.options().replace(self.realm.path("alice.password"),
                                         self.realm.password_file("wrong", wrong))
        with Peer(self.realm.env(options=options)) as client, self.assertRaises(Exception):
            client.init(ctx="c", target=TARGET)
        for path in (self.log, self.trace, self.capture):
            self.assert_without([wrong.encode()], content(path), path)

    def test_mistakes_do_not_show_the_secret(self):
        """Whatever is wrong with the line that has it, and whoever refuses it."""
        secret = "s3cret-w0rd"
        start = f"LogFile={self.log} LogLevel=3 KDCHost={self.realm.kdc_host} "
        password = start + f"User=alice@{self.realm.name} "
        proxy = self.options("FirewallHost=127.0.0.1 FirewallPort=9 ")
        for options in (
                password + f'Password="{secret}', password + f'Password={secret}"x',
                password + f"Password={secret}", password + f"Pasword={secret}", password + secret,
                password + f'Password="{secret}\\q"', password + f'"Password={secret}"',
                password + f'Password="{secret}"x', password + f"Password= {secret}",
                password + f"Password:{secret}", password + f"Password={secret} Timeout=x",
                password + f"Password={secret} LogLevel=9", start + f"Password={secret}",
                password + f"Password=fd:{secret}", password + f"Password={secret} KeytabFile=/x",
                proxy + f'FirewallData="Proxy-Authorization: Basic {secret}"',
                proxy + f'FirewallData="{secret}"'):
            with self.subTest(options=options), Peer(self.realm.env(options=options)) as client:
                with self.assertRaises(GSSFailure) as failed:
                    client.init(ctx="c", target=TARGET)
                self.assertNotIn(secret, failed.exception.text)
                if os.path.exists(self.log):
                    self.assert_without([secret.encode()], content(self.log), self.log)

    def test_unmasked_keys_come_after_a_warning(self):
        """Also the proof that this test would find what it looks for."""
        self.login("MaskSensitive=False")
        for path in (self.log, self.trace):
            data = content(path)
            warned = data.index(b"MaskSensitive=False")
            shown = [data.find(key.hex().encode()) for key in self.keys()]
            # Those of the TGT and of the ticket; not the subkeys, which we made.
            self.assertGreaterEqual(sum(at >= 0 for at in shown), 2)
            self.assertLess(warned, min(at for at in shown if at >= 0))
            self.assert_without([self.password], data, path)


@unittest.skipUnless(program("tshark"), "no tshark")
class TestCapture(Case):
    def types(self, *fields):
        return self.tshark("-Y", "kerberos", "-T", "fields", "-E", "separator=,",
                           *(a for f in fields for a in ("-e", f))).split()

    SIX = [str(t) for t in (AS_REQ, KRB_ERROR, AS_REQ, AS_REP, TGS_REQ, TGS_REP)]

    def six_messages(self, more=""):
        """A login of six messages. Where the machine was slow, one was sent again: then another."""
        for _ in range(5):
            self.login(more)
            if len(self.types("kerberos.msg_type")) == len(self.SIX):
                break
            os.unlink(self.capture)
        self.assertEqual([t.split(",")[0] for t in self.types("kerberos.msg_type")], self.SIX)

    def test_udp(self):
        self.six_messages()
        port = str(self.realm.port)
        self.assertEqual(self.types("kerberos.msg_type", "udp.dstport")[0:1], [f"{AS_REQ},{port}"])
        self.assertEqual(self.tshark("-Y", "_ws.malformed || udp.checksum.status == 0",
                                     "-o", "udp.check_checksum:TRUE"), "")

    def test_tcp(self):
        self.six_messages("UseTCP=True")
        self.assertEqual(self.tshark("-Y", "tcp.analysis.flags || _ws.malformed || "
                                     "tcp.checksum.status == 0", "-o", "tcp.check_checksum:TRUE"), "")
        streams = self.types("tcp.stream")
        self.assertEqual(streams, ["0", "0", "1", "1", "2", "2"])

    def test_the_bytes_are_those_of_the_trail(self):
        """Each message of the capture stands in the trail's raw bytes, and no other."""
        self.login()
        raw, messages = [], []
        for line in content(self.trace).decode().splitlines():
            if line.startswith("  raw, "):
                raw.append(b"")
            elif raw and line.startswith("  ") and line[2:6].strip() and line.endswith("|") \
                    and line[6] == " ":
                raw[-1] += bytes.fromhex(line[8:56].replace(" ", ""))
        for line in self.tshark("-Y", "udp", "-T", "fields", "-e", "udp.payload").split():
            messages.append(bytes.fromhex(line))
        self.assertEqual(raw[:len(messages)], messages)


@unittest.skipUnless(program("tshark") and program("gcore"), "no tshark or gcore")
class TestCores(Case):
    def core(self, pid, name):
        path = self.realm.path(name)
        subprocess.run(["gcore", "-o", path, str(pid)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        path += f".{pid}"
        self.addCleanup(os.unlink, path)
        data = content(path)
        # The core is whole: what is no secret is there.
        self.assertIn(b"alice", data)
        self.assertIn(self.realm.name.encode(), data)
        return data

    def test_during_and_after_a_login(self):
        """During: the answer to the password's proof is on its way, then that of the TGS."""
        during = []
        for hold in (1, 2):
            relay = Relay(self.realm.port, hold)
            self.addCleanup(relay.close)
            options = self.options("UseConnection=False").replace(self.realm.kdc_host, relay.host)
            with Peer(self.realm.env(options=options)) as client:
                login = threading.Thread(target=client.init, kwargs=dict(ctx="c", target=TARGET))
                login.start()
                self.assertTrue(relay.held.wait(20))
                during.append(self.core(client.process.pid, f"during{hold}"))
                relay.go.set()
                login.join(20)
                during.append(self.core(client.process.pid, f"after{hold}"))
        keys = self.keys_of_relays()
        for number, data in enumerate(during):
            self.assert_without([self.password, *self.long_term, *keys], data, f"core {number}")

    def test_a_password_that_stands_in_the_configuration(self):
        path = write(self.realm.path("inline.conf"),
                     f"User = alice@{self.realm.name}\nPassword = \"{self.realm.passwords['alice']}\"\n"
                     f"KDCHost = {self.realm.kdc_host}\n")
        env = self.realm.env(krb5_conf=self.realm.empty_conf, KERBSIDE_CONFIG=path)
        with Peer(env) as client:
            client.init(ctx="c", target=TARGET)
            data = self.core(client.process.pid, "inline")
        self.assert_without([self.password], data, "the core")

    def keys_of_relays(self):
        decode = [a for line in self.tshark("-T", "fields", "-e", "udp.dstport").split()
                  for a in ("-d", f"udp.port=={line},kerberos")]
        lines = self.tshark(*decode, "-Y", "kerberos.keyvalue", "-T", "fields",
                            "-e", "kerberos.keyvalue")
        keys = {bytes.fromhex(k.replace(":", "")) for k in lines.replace(",", " ").split()}
        self.assertGreaterEqual(len(keys), 6, lines)
        return sorted(keys)

    def test_an_aborted_process(self):
        with open("/proc/sys/kernel/core_pattern") as pattern:
            if pattern.read().strip() not in ("core", "core.%p"):
                self.skipTest("cores do not go to the working directory here")
        where = self.realm.path("cores")
        os.makedirs(where, exist_ok=True)
        before = os.getcwd(), resource.getrlimit(resource.RLIMIT_CORE)
        if before[1][1] == 0:
            self.skipTest("cores are forbidden here")
        env = self.realm.env(options=self.options())
        os.chdir(where)
        resource.setrlimit(resource.RLIMIT_CORE, (before[1][1], before[1][1]))
        try:
            client = Peer(env)
        finally:
            os.chdir(before[0])
            resource.setrlimit(resource.RLIMIT_CORE, before[1])
        client.init(ctx="c", target=TARGET)
        client.process.send_signal(signal.SIGABRT)
        client.process.wait(30)
        client.process.stdin.close()
        client.process.stdout.close()
        cores = [os.path.join(where, name) for name in os.listdir(where)]
        self.assertEqual(len(cores), 1, "no core file")
        data = content(cores[0])
        self.assertIn(self.realm.name.encode(), data)
        self.assert_without([self.password, *self.long_term, *self.keys()], data, "the core")


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "klist", modules=["gssapi"], plugin=True)
