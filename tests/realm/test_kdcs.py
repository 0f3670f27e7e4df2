#!/usr/bin/python3
"""Several KDCs of one realm, of which one is dead, one slow and one lies: logins end right and fast,
and the next one of the process knows whom to ask. Connections that are used again."""
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(TOP, "tests", "hostile"), os.path.join(TOP, "tests", "realm"),
                os.path.join(TOP, "bench")]
import harness                          # noqa: E402
from mock import krb_error              # noqa: E402
from process import Failed, free_port   # noqa: E402
from realm import Realm                 # noqa: E402
from relay import Relay                 # noqa: E402

KERBSIDE = os.path.join(os.environ.get("KB_BUILDDIR", "."), "cli", "kerbside")

TWICE = """
import gssapi, sys, time
for target in sys.argv[1:]:
    start = time.monotonic()
    name = gssapi.Name(target, gssapi.NameType.hostbased_service)
    gssapi.SecurityContext(name=name, usage="initiate").step()
    print(time.monotonic() - start)
"""


class Liar:
    """Answers each request by UDP and TCP with answer(request, is_udp); None: nothing."""

    def __init__(self, answer):
        self.answer, self.seen = answer, []
        self.port = free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        for work in (self.datagrams, self.connections):
            threading.Thread(target=work, daemon=True).start()

    def datagrams(self):
        while True:
            try:
                request, client = self.udp.recvfrom(65536)
            except OSError:
                return
            self.seen.append(request)
            answer = self.answer(request, True)
            if answer is not None:
                self.udp.sendto(answer, client)

    def connections(self):
        while True:
            try:
                client, _ = self.tcp.accept()
            except OSError:
                return
            with client:
                request = client.recv(65536)
                self.seen.append(request[4:])
                answer = self.answer(request[4:], False)
                if answer is not None:
                    client.sendall(struct.pack(">I", len(answer)) + answer)

    def close(self):
        self.udp.close()
        self.tcp.close()


class Several(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.addClassCleanup(cls.realm.close)
        cls.realm.__enter__()
        cls.black_hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)    # never answers
        cls.black_hole.bind(("127.0.0.1", 0))
        cls.addClassCleanup(cls.black_hole.close)
        cls.silent = f"udp/127.0.0.1:{cls.black_hole.getsockname()[1]}"

    def options(self, *kdcs, more=""):
        identity = self.realm.identity().replace(f"KDCHost={self.realm.kdc_host}", "")
        return f'{identity} KDCHost="{" ".join(kdcs)}" Timeout=20 LogFile=stderr LogLevel=2 {more}'

    def login(self, *kdcs, more=""):
        start = time.monotonic()
        done = subprocess.run([KERBSIDE, "token", "HTTP@localhost"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60,
                              env=self.realm.env(self.options(*kdcs, more=more)))
        self.seconds = time.monotonic() - start
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def relay(self, delay):
        relay = Relay(self.realm.port, delay)
        self.addCleanup(relay.close)
        return f"127.0.0.1:{relay.port}"

    def liar(self, answer):
        liar = Liar(answer)
        self.addCleanup(liar.close)
        return liar, f"127.0.0.1:{liar.port}"

    def test_one_dead_one_slow_one_lying(self):
        dead = f"127.0.0.1:{free_port()}"
        slow = self.relay(1.0)
        for what, answer in (
                ("nonsense", lambda request, udp: b"\x30\x82" + os.urandom(40)),
                ("an empty answer", lambda request, udp: b""),
                ("the request itself", lambda request, udp: request),
                ("that it cannot serve", lambda request, udp: krb_error(29).encode()),
                ("that UDP is too small, and nonsense then", lambda request, udp: krb_error(52).encode() if udp else b"x"),
                ("another realm's ticket", lambda request, udp: b"\x6b\x03\x30\x01\x00")):
            with self.subTest(what):
                _, lying = self.liar(answer)
                log = self.login(lying, self.silent, dead, slow, self.realm.kdc_host)
                self.assertRegex(log, self.realm.kdc_host + " (udp|tcp): answered by AS-REP")
                self.assertLess(self.seconds, 5)

    def test_a_proof_is_sent_to_one_only(self):
        """Nobody but the KDC that answered sees one, whoever else is there."""
        liar, lying = self.liar(lambda request, udp: None)
        with self.realm.counting() as seen:
            self.login(lying, self.realm.kdc_host)
        self.assertEqual(seen["AS"], 1)
        pa_enc_timestamp = b"\xa1\x03\x02\x01\x02"
        self.assertFalse([r for r in liar.seen if pa_enc_timestamp in r])

    def test_the_process_remembers(self):
        """The second target of a process costs no silence again."""
        done = subprocess.run(
            ["/usr/bin/python3", "-c", TWICE, "HTTP@localhost", "host@localhost", "other@localhost"],
            capture_output=True, text=True, timeout=60,
            env=self.realm.env(self.options(self.silent, self.realm.kdc_host)))
        self.assertEqual(done.returncode, 0, done.stderr)
        sent = [line for line in done.stderr.splitlines()
                if line.split("] ")[-1].startswith(self.silent.split("/")[1]) and "sent" in line]
        # One request, and its repetitions, before the other one answered.
        self.assertEqual(len([line for line in sent if "again" not in line]), 1, done.stderr)

    def test_a_connection_that_is_left_open(self):
        """By this one, which asks the real one anew each time; MIT's closes it after each answer:
        one connection before the proof, and one for it and all that follows."""
        connections = []

        def serve(client):
            with client:
                while True:
                    prefix = client.recv(4)
                    if len(prefix) < 4:
                        return
                    request = client.recv(struct.unpack(">I", prefix)[0])
                    with socket.create_connection(("127.0.0.1", self.realm.port)) as kdc:
                        kdc.sendall(prefix + request)
                        reply = b""
                        while len(reply) < 4 or len(reply) < 4 + struct.unpack(">I", reply[:4])[0]:
                            reply += kdc.recv(65536)
                    client.sendall(reply)

        def accept(listener):
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                connections.append(client)
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=accept, args=(listener,), daemon=True).start()
            with self.realm.counting() as seen:
                self.login(f"127.0.0.1:{listener.getsockname()[1]}", more="UseTCP=True")
        self.assertGreaterEqual(seen.total, 3)
        self.assertEqual(len(connections), 2)

    def test_connections_that_are_closed(self):
        for kind in ("mit", "heimdal"):
            with self.subTest(kind=kind):
                if kind == "mit":
                    self.login(self.realm.kdc_host, more="UseTCP=True")
                    continue
                try:
                    realm = Realm(kind)
                except Failed as missing:
                    self.skipTest(str(missing))
                with realm:
                    done = subprocess.run(
                        [KERBSIDE, "token", "HTTP@localhost"], stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE, text=True, timeout=60,
                        env=realm.env(realm.identity() + " UseTCP=True LogFile=stderr LogLevel=2"))
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertNotIn("closed", done.stderr)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", modules=("gssapi",), plugin=True)
