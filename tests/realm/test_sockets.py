#!/usr/bin/python3
"""The options of sockets, in whole logins: what they do is read off the wire, or off the sockets by
getsockopt from outside, never asked of the plugin."""
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness                          # noqa: E402
import netns                            # noqa: E402
from kdc import program                 # noqa: E402
from process import Child, free_port    # noqa: E402
from realm import Realm                 # noqa: E402

IP_MTU_DISCOVER, IP_RECVERR, IP_PKTINFO, SO_PRIORITY = 10, 11, 8, 12
PMTUDISC_DONT, PMTUDISC_DO = 0, 2
SYSTEM_PYTHON = "/usr/bin/python3"

LOGIN = """
import gssapi, sys
name = gssapi.Name("HTTP@localhost", gssapi.NameType.hostbased_service)
try:
    gssapi.SecurityContext(name=name, usage="initiate").step()
except gssapi.exceptions.GSSError as error:
    sys.exit(str(error))
"""


class Login:
    """One login in a process of its own. text: what a person reads where it failed, else ""."""

    def __init__(self, realm, options, kdc=None, user="alice"):
        identity = realm.identity().replace(f"KDCHost={realm.kdc_host}", "")
        identity = identity.replace("User=alice@", f"User={user}@")
        options = f"{identity} KDCHost=\"{kdc or realm.kdc_host}\" Timeout=20 LogFile=stderr " \
            f"LogLevel=2 {options}"
        self.start = time.monotonic()
        self.process = subprocess.Popen([SYSTEM_PYTHON, "-c", LOGIN], env=realm.env(options),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        _, self.log = self.process.communicate(timeout=60)
        self.seconds = time.monotonic() - self.start
        self.text = self.log.splitlines()[-1] if self.process.returncode else ""
        return self

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Base(unittest.TestCase):
    realm = None

    @classmethod
    def setUpClass(cls):
        if Base.realm is None:
            Base.realm = Realm(ipv6=True)
            unittest.addModuleCleanup(Base.realm.close)
            Base.realm.__enter__()
            Base.port = Base.realm.port

    def login(self, options="", kdc=None, **more):
        """A login that succeeds, and what went over the wire."""
        with netns.Sniffer() as wire:
            done = Login(self.realm, options, kdc, **more).end()
        self.assertEqual(done.text, "", done.log)
        self.log = done.log
        return wire

    def failure(self, options="", kdc=None, **more):
        done = Login(self.realm, options, kdc, **more).end()
        self.assertNotEqual(done.text, "", done.log)
        self.log, self.seconds = done.log, done.seconds
        return done.text

    @contextlib.contextmanager
    def waiting(self, options, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
        """The sockets of a login that waits for a KDC which never answers."""
        with socket.socket(family, kind) as kdc:
            kdc.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
            port = kdc.getsockname()[1]
            if kind == socket.SOCK_STREAM:
                kdc.listen()
            kdc.settimeout(20)
            host = "127.0.0.1" if family == socket.AF_INET else "[::1]"
            login = Login(self.realm, options, f"{host}:{port}")
            try:
                what, peer = kdc.recvfrom(2000) if kind == socket.SOCK_DGRAM else kdc.accept()
                if kind == socket.SOCK_STREAM:
                    self.addCleanup(what.close)
                found = [s for s in netns.sockets_of(login.process.pid)
                         if s.type == kind and s.getsockname()[1] == peer[1]]
                self.assertEqual(len(found), 1)
                with found[0]:
                    yield found[0], kdc, peer
            finally:
                login.kill()


class Defaults(Base):
    def test_udp_from_a_new_port_each(self):
        wire = self.login()
        sent = wire.to(self.port)
        self.assertEqual([p.proto for p in sent], ["udp"] * 3)
        self.assertEqual(len({p.sport for p in sent}), 3)
        self.assertEqual({(p.version, p.dscp, p.dont_fragment) for p in sent}, {(4, 0, False)})

    def test_unconnected_and_connected(self):
        for option, connected in (("", False), ("UseConnection=True", True)):
            for family in (socket.AF_INET, socket.AF_INET6):
                with self.subTest(option=option, family=family), \
                        self.waiting(option, family) as (found, _, _):
                    if connected:
                        self.assertNotEqual(found.getpeername()[1], 0)
                    else:
                        with self.assertRaises(OSError):
                            found.getpeername()

    def test_strangers_datagrams_are_dropped(self):
        """A KDC whose answers come from another port and another address is not heard."""
        for option in ("", "UseConnection=True"):
            with self.subTest(option=option), self.waiting(option) as (found, kdc, peer):
                for address in ("127.0.0.1", "127.0.0.2"):
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                        other.bind((address, 0 if address == "127.0.0.1" else kdc.getsockname()[1]))
                        other.sendto(b"\x7e\x00", peer)
                again, _ = kdc.recvfrom(2000)   # it still asks, and the same
                self.assertEqual(again[0], 0x6a)

    def test_icmp_errors_move_on_at_once(self):
        dead = free_port((socket.AF_INET, socket.AF_INET6))
        for option in ("", "UseConnection=True"):
            for host in ("127.0.0.1", "[::1]"):
                with self.subTest(option=option, host=host):
                    self.login(option, f"udp/{host}:{dead} {self.realm.kdc_host}")
                    self.assertIn("Connection refused", self.log)
                    start = time.monotonic()
                    self.failure(option, f"{host}:{dead}")
                    self.assertLess(time.monotonic() - start, 5)


class Local(Base):
    def test_address(self):
        for options, proto in (("", "udp"), ("UseTCP=True", "tcp")):
            with self.subTest(proto=proto):
                wire = self.login("LocalHost=127.0.0.7 " + options)
                self.assertEqual({(p.src, p.proto) for p in wire.to(self.port)},
                                 {("127.0.0.7", proto)})

    def test_address_by_name(self):
        for host, address in ((f"127.0.0.1:{self.port}", "127.0.0.1"), (f"[::1]:{self.port}", "::1")):
            wire = self.login("LocalHost=both.test", host)
            self.assertEqual({p.src for p in wire.to(self.port)}, {address})

    def test_ipv6_address(self):
        netns.ip("address", "replace", "2001:db8::7/128", "dev", "lo")
        wire = self.login("LocalHost=2001:db8::7 LocalPort=757", f"[::1]:{self.port}")
        self.assertEqual({(p.src, p.sport) for p in wire.to(self.port)}, {("2001:db8::7", 757)})

    def test_port(self):
        """One for all requests, over UDP and TCP, and again at once in the next process."""
        for options, proto in (("", "udp"), ("UseTCP=True", "tcp")):
            for host in (f"127.0.0.1:{self.port}", f"[::1]:{self.port}"):
                for attempt in range(3):
                    with self.subTest(proto=proto, host=host, attempt=attempt):
                        wire = self.login("LocalPort=757 " + options, host)
                        self.assertEqual({(p.sport, p.proto) for p in wire.to(self.port)},
                                         {(757, proto)})

    def test_port_when_the_client_closes_first(self):
        """A KDC that leaves connections open: nothing stays in TIME_WAIT at our end."""
        with Relay(self.port) as relay:
            wire = self.login("LocalPort=757 UseTCP=True", relay.host)
        self.assertEqual([p.sport for p in wire.to(relay.port) if p.syn], [757] * 3)
        self.assertTrue(all(any(p.reset for p in wire.to(relay.port)) for _ in range(3)))

    def test_several_kdcs_from_one_port(self):
        """The second is asked beside the first, which is silent: answers find their sockets."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            port = silent.getsockname()[1]
            wire = self.login("LocalPort=757", f"udp/127.0.0.1:{port} udp/{self.realm.kdc_host}")
            self.assertEqual({p.sport for p in wire.to(port)}, {757})
            self.assertEqual({p.sport for p in wire.to(self.port)}, {757})

    def test_port_in_use(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", 757))
            text = self.failure("LocalPort=757", f"udp/{self.realm.kdc_host}")
            self.assertIn("KERBSIDE_OPTIONS: No KDC of", text)
            self.assertIn(f"{self.realm.kdc_host} udp: LocalPort 757 is in use", text)
            # Also where the other one would share it.
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.assertIn("LocalPort 757 is in use",
                          self.failure("LocalPort=757", f"udp/{self.realm.kdc_host}"))

    def test_two_logins_with_one_port(self):
        with self.waiting("LocalPort=757") as _:
            self.assertIn("LocalPort 757 is in use",
                          self.failure("LocalPort=757", f"udp/{self.realm.kdc_host}"))
        with self.waiting("LocalPort=757 ShareLocalPort=True") as _:
            wire = self.login("LocalPort=757 ShareLocalPort=True")
            self.assertEqual({p.sport for p in wire.to(self.port)}, {757})

    def test_shared_port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("0.0.0.0", 757))
            wire = self.login("LocalPort=757 ShareLocalPort=True")
            self.assertEqual({(p.sport, p.proto) for p in wire.to(self.port)}, {(757, "udp")})
            self.failure("LocalPort=757", f"udp/{self.realm.kdc_host}")

    def test_what_cannot_be(self):
        for options, kdc, text in (
                ("LocalHost=192.0.2.1", None, "LocalHost 192.0.2.1 is no address of this host"),
                ("LocalHost=nowhere.invalid", None, "LocalHost nowhere.invalid: "),
                ("LocalHost=six.test UseIPv6=False", None, "LocalHost six.test: "),
                ("LocalHost=127.0.0.1", "six.test",
                 "LocalHost 127.0.0.1 is IPv4, this address IPv6"),
                ("LocalHost=six.test", None, "LocalHost six.test is IPv6, this address IPv4")):
            with self.subTest(options=options):
                told = self.failure(options, kdc)
                self.assertIn("KERBSIDE_OPTIONS: ", told)
                self.assertIn(text, told)
                self.assertLess(self.seconds, 5)


class Family(Base):
    def test_family(self):
        both = f"127.0.0.1:{self.port} [::1]:{self.port}"
        for value, version in (("False", 4), ("True", 6)):
            for order in (both, " ".join(reversed(both.split()))):
                with self.subTest(value=value, order=order):
                    wire = self.login("UseIPv6=" + value, order)
                    self.assertEqual({p.version for p in wire.packets}, {version})

    def test_names(self):
        for value, version in (("False", 4), ("True", 6)):
            with self.subTest(value=value):
                wire = self.login("UseIPv6=" + value, f"both.test:{self.port}")
                self.assertEqual({p.version for p in wire.packets}, {version})
        self.assertIn("six.test: ", self.failure("UseIPv6=False", "six.test"))
        self.assertIn("four.test: ", self.failure("UseIPv6=True", "four.test"))

    def test_auto_takes_what_answers(self):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
            silent.bind(("::1", 0))
            other = silent.getsockname()[1]
            wire = self.login("", f"[::1]:{other} 127.0.0.1:{self.port}")
            self.assertEqual({p.version for p in wire.to(other)}, {6})
            self.assertEqual({p.version for p in wire.to(self.port)}, {4})


class Traffic(Base):
    TYPES = {"Background": (8, 2), "ExcellentEffort": (40, 4), "AudioVideo": (40, 6),
             "Voice": (56, 6), "5": (56, 6), "BestEffort": (0, 0)}

    def test_code_point(self):
        for host in (f"127.0.0.1:{self.port}", f"[::1]:{self.port}"):
            for options, proto in (("", "udp"), ("UseTCP=True", "tcp")):
                with self.subTest(host=host, proto=proto):
                    wire = self.login("QOSDSCPValue=46 " + options, host)
                    sent = wire.to(self.port)
                    self.assertEqual({(p.dscp, p.proto) for p in sent}, {(46, proto)})
                    self.assertTrue(proto == "udp" or sent[0].syn)

    def test_traffic_types(self):
        for name, (dscp, _) in self.TYPES.items():
            for host in (f"127.0.0.1:{self.port}", f"[::1]:{self.port}"):
                with self.subTest(name=name, host=host):
                    wire = self.login("QOSTrafficType=" + name, host)
                    self.assertEqual({p.dscp for p in wire.to(self.port)}, {dscp})

    def test_priorities(self):
        for name, (_, priority) in self.TYPES.items():
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                options = "QOSTrafficType=" + name
                options += " UseTCP=True" if kind == socket.SOCK_STREAM else ""
                with self.subTest(name=name, kind=kind), \
                        self.waiting(options, kind=kind) as (found, _, _):
                    self.assertEqual(found.getsockopt(socket.SOL_SOCKET, SO_PRIORITY), priority)

    def test_a_code_point_wins_over_a_type(self):
        wire = self.login("QOSTrafficType=Voice QOSDSCPValue=10")
        self.assertEqual({p.dscp for p in wire.to(self.port)}, {10})


class Sizes(Base):
    def tearDown(self):
        netns.mtu(65536)

    def test_dont_fragment(self):
        wire = self.login("DontFragment=True")
        self.assertEqual({(p.dont_fragment, p.proto) for p in wire.to(self.port)}, {(True, "udp")})
        with self.waiting("DontFragment=True") as (found, _, _):
            self.assertEqual(found.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER), PMTUDISC_DO)

    def test_large_requests_go_over_tcp_at_once(self):
        """The TGS-REQ does not fit: in fragments, or unfragmented over TCP."""
        netns.mtu(600)
        wire = self.login()
        self.assertTrue(any(p.fragment for p in wire.packets))
        self.assertEqual(wire.to(self.port, "tcp"), [])
        with netns.Sniffer() as wire:
            done = Login(self.realm, "DontFragment=True").end()
        self.assertEqual(done.text, "")
        sent = [p.proto for p in wire.to(self.port) if p.payload]
        self.assertEqual((sent[:2], set(sent[2:])), (["udp", "udp"], {"tcp"}))
        self.assertFalse(any(p.fragment for p in wire.packets if p.dport == self.port))
        self.assertIn("the request is too large for a datagram, asking over TCP", done.log)
        self.assertLess(done.seconds, 5)

    def test_ipv6_large_requests(self):
        netns.mtu(1280)
        long = "a" * 1200
        port = free_port((socket.AF_INET6,))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as kdc:
            kdc.bind(("::1", port))
            for options, fragments, connects in (("", True, False), ("DontFragment=True", False, True)):
                with self.subTest(options=options), netns.Sniffer() as wire:
                    login = Login(self.realm, options + " UDPLimit=65535", f"[::1]:{port}", user=long)
                    time.sleep(0.7)     # before the other transport has its turn, a second on
                    login.kill()
                self.assertEqual(any(p.fragment for p in wire.packets), fragments)
                self.assertEqual(any(p.syn for p in wire.to(port)), connects)

    def test_no_way_without_fragments(self):
        netns.mtu(600)
        text = self.failure("DontFragment=True", f"udp/{self.realm.kdc_host}")
        self.assertIn("the request is too large for a datagram (DontFragment)", text)

    def test_max_packet_size(self):
        """A datagram larger than that is not cut short: the answer comes over TCP."""
        with Relay(self.port, udp_answer=b"\x7e" + bytes(1500)) as relay:
            wire = self.login("MaxPacketSize=1024", relay.host)
            self.assertEqual([p.proto for p in wire.to(relay.port) if p.payload][:2], ["udp", "tcp"])
            text = self.failure("MaxPacketSize=1024", "udp/" + relay.host)
            self.assertIn("its answer is larger than MaxPacketSize", text)
            self.assertIn("Raise MaxPacketSize", text)
            # A datagram that fits is looked at, whatever is in it.
            self.assertNotIn("MaxPacketSize", self.failure("Timeout=2", "udp/" + relay.host))

    def test_requests_larger_than_that(self):
        text = self.failure("MaxPacketSize=1024", "udp/" + self.realm.kdc_host, user="a" * 1100)
        self.assertIn("is longer than MaxPacketSize=1024", text)
        self.assertIn("KERBSIDE_OPTIONS: ", text)

    def test_buffers(self):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            options = "InBufferSize=30000 OutBufferSize=20000"
            options += " UseTCP=True" if kind == socket.SOCK_STREAM else ""
            with self.subTest(kind=kind), self.waiting(options, kind=kind) as (found, _, _):
                # Linux gives twice what is asked for (socket(7)).
                self.assertEqual(found.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 60000)
                self.assertEqual(found.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), 40000)

    def test_buffers_beyond_the_limit(self):
        self.login("InBufferSize=1000000000")
        self.assertIn("InBufferSize=1000000000: the system gives no more than", self.log)


class Relay:
    """Passes TCP on to the real KDC and keeps the client's connection open after the answer.
    udp_answer: what datagrams are answered with; None: they are refused. unix: a path to listen on
    instead."""

    def __init__(self, port, udp_answer=None, unix=None):
        self.to, self.udp_answer = ("127.0.0.1", port), udp_answer
        self.listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.port = None if unix else free_port()
        self.listener.bind(unix or ("127.0.0.1", self.port))
        self.host = f"unix:{unix}" if unix else f"127.0.0.1:{self.port}"
        self.listener.listen()
        self.udp = None
        if udp_answer is not None:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", self.port))
        self.served = 0

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        if self.udp:
            threading.Thread(target=self._answer, daemon=True).start()
        return self

    def __exit__(self, *_):
        for each in (self.listener, self.udp):
            if each:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def _answer(self):
        with contextlib.suppress(OSError):
            while True:
                _, peer = self.udp.recvfrom(65535)
                if peer:    # else it was shut down
                    self.udp.sendto(self.udp_answer, peer)

    def serve(self, client):
        self.served += 1
        with contextlib.suppress(OSError), client, socket.create_connection(self.to) as kdc:
            kdc.sendall(frame_from(client))
            client.sendall(frame_from(kdc))
            client.recv(1)


def exactly(stream, length):
    got = b""
    while len(got) < length:
        part = stream.recv(length - len(got))
        if not part:
            raise OSError("closed")
        got += part
    return got


def frame_from(stream):
    prefix = exactly(stream, 4)
    return prefix + exactly(stream, int.from_bytes(prefix, "big"))


class Unix(Base):
    def test_a_kdc_on_a_unix_socket(self):
        path = self.realm.path("kdc.sock")
        with Relay(self.port, unix=path) as relay:
            wire = self.login("", "unix:" + path)
            self.assertEqual(relay.served, 3)
            self.assertIn(f"from unix:{path}", self.log)
        self.assertEqual({p.src for p in wire.packets if p.dport == self.port}, {"127.0.0.1"})
        self.assertEqual(wire.to(self.port, "udp"), [])     # only the relay's own connections
        self.assertIn(f"unix:{path}: Connection refused", self.failure("", "unix:" + path))
        os.unlink(path)
        self.assertIn(f"unix:{path}: No such file", self.failure("", "unix:" + path))


class Proxy(Relay):
    """An HTTP proxy. answer(head): what it says to CONNECT; None: it does as it was asked. pace: the
    seconds between the bytes of an answer."""

    def __init__(self, port, answer=None, pace=0, password=None):
        super().__init__(port)
        self.answer, self.pace, self.heads, self.password = answer, pace, [], password

    def serve(self, client):
        with contextlib.suppress(OSError), client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += exactly(client, 1)
            self.heads.append(head)
            if self.answer is not None:
                for byte in self.answer:
                    client.sendall(bytes([byte]) if self.pace else self.answer)
                    if not self.pace:
                        break
                    time.sleep(self.pace)
                client.recv(1)
                return
            if self.password and self.password not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                               b"Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
                client.recv(1)
                return
            client.sendall(b"HTTP/1.1 200 OK\r\nVia: test\r\n\r\n")
            super().serve(client)

    @property
    def options(self):
        return f"FirewallHost=127.0.0.1 FirewallPort={self.port}"


class Firewall(Base):
    def test_all_goes_through_the_proxy(self):
        with Proxy(self.port) as proxy:
            # The name is the proxy's to resolve: nobody else can.
            wire = self.login(proxy.options, "kdc.only-the-proxy-knows.invalid:750")
        self.assertEqual(proxy.heads, [b"CONNECT kdc.only-the-proxy-knows.invalid:750 HTTP/1.1\r\n"
                                       b"Host: kdc.only-the-proxy-knows.invalid:750\r\n\r\n"] * 3)
        self.assertEqual([p for p in wire.packets if p.proto == "udp"], [])
        self.assertIn("kdc.only-the-proxy-knows.invalid:750 (tcp through 127.0.0.1:"
                      f"{proxy.port})", self.log)

    def test_addresses(self):
        for host, authority in ((f"127.0.0.1:{self.port}", f"127.0.0.1:{self.port}"),
                                ("2001:db8::88", "[2001:db8::88]:88"),
                                ("tcp/[2001:db8::88]:750", "[2001:db8::88]:750")):
            with self.subTest(host=host), Proxy(self.port) as proxy:
                self.login(proxy.options, host)
                self.assertEqual(proxy.heads[0].split()[1].decode(), authority)

    def test_header_lines(self):
        with Proxy(self.port, password=b"Proxy-Authorization: Basic YTpi\r\n") as proxy:
            wire = self.login(proxy.options
                              + r' FirewallData="Proxy-Authorization: Basic YTpi\r\nX-More: yes"')
            self.assertTrue(all(b"\r\nProxy-Authorization: Basic YTpi\r\nX-More: yes\r\n\r\n" in h
                                for h in proxy.heads))
            # What stands there is no business of a log.
            self.assertNotIn("YTpi", self.log)
            self.assertTrue(any(b"YTpi" in p.payload for p in wire.to(proxy.port)))
            text = self.failure(proxy.options)
            self.assertIn("the proxy refuses the tunnel: 407 Proxy Authentication Required", text)
            self.assertIn("FirewallData", text)
            self.assertIn(f"through FirewallHost 127.0.0.1:{proxy.port}", text)

    def test_options_of_sockets_hold_there_too(self):
        with Proxy(self.port) as proxy:
            wire = self.login(proxy.options + " LocalHost=127.0.0.7 LocalPort=757 QOSDSCPValue=46")
        self.assertEqual({(p.src, p.sport, p.dscp) for p in wire.to(proxy.port)},
                         {("127.0.0.7", 757, 46)})

    def test_hostile_proxies(self):
        for answer, text in (
                (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "refuses the tunnel: 502 Bad Gateway."),
                (b"HTTP/1.1 403 \x1b[31mred\r\n\r\n", "answers to CONNECT is not HTTP"),
                (b"HTTP/1.1 403 r\xe9d\r\n\r\n", "refuses the tunnel: 403 r?d."),
                (b"SSH-2.0-x\r\n", "answers to CONNECT is not HTTP"),
                (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 20000, "has no end within 16 KiB"),
                (b"HTTP/1.1 200 OK\r\n\r\n\x00\x00\x00\x05hello", "sent more than its answer"),
                (b"", "")):
            with self.subTest(answer=answer[:40]), Proxy(self.port, answer=answer) as proxy:
                told = self.failure(proxy.options + " Timeout=2")
                self.assertIn(text, told)
                self.assertLess(self.seconds, 6)

    def test_a_slow_proxy_ends(self):
        with Proxy(self.port, answer=b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 100, pace=0.1) as proxy:
            told = self.failure(proxy.options + " Timeout=2")
            self.assertLess(self.seconds, 6)
            self.assertIn("no connection in", told)

    def test_no_proxy(self):
        dead = free_port()
        told = self.failure(f"FirewallHost=127.0.0.1 FirewallPort={dead}")
        self.assertIn(f"through FirewallHost 127.0.0.1:{dead}: Connection refused", told)
        told = self.failure("FirewallHost=nowhere.invalid", "kdc.example.com")
        self.assertIn("FirewallHost nowhere.invalid: ", told)

    def test_port_3128_by_default(self):
        with netns.Sniffer() as wire:
            Login(self.realm, "FirewallHost=127.0.0.1").end()
        self.assertTrue(wire.to(3128, "tcp"))

    def test_two_kdcs_behind_one_proxy(self):
        with Proxy(self.port) as proxy:
            first = threading.Lock()
            serve = proxy.serve

            def refuse_the_first(client):
                with first:
                    if not proxy.heads:
                        proxy.answer = b"HTTP/1.1 504 No\r\n\r\n"
                        serve(client)
                        proxy.answer = None
                        return
                serve(client)
            proxy.serve = refuse_the_first
            self.login(proxy.options, "one.invalid two.invalid")
            self.assertEqual(proxy.heads[0].split()[1], b"one.invalid:88")
            self.assertEqual({h.split()[1] for h in proxy.heads[1:]}, {b"two.invalid:88"})

    def test_tinyproxy(self):
        if not program("tinyproxy"):
            self.skipTest("no tinyproxy")
        port = free_port()
        with open(self.realm.path("tinyproxy.conf"), "w") as conf:
            conf.write(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth alice secret\n"
                       f"ConnectPort {self.port}\nLogLevel Connect\n")
        child = Child([program("tinyproxy"), "-d", "-c", conf.name], self.realm.path("tinyproxy.out"))
        self.addCleanup(child.stop)
        child.wait_for_tcp(port)
        options = f"FirewallHost=127.0.0.1 FirewallPort={port}"
        wire = self.login(options + ' FirewallData="Proxy-Authorization: Basic YWxpY2U6c2VjcmV0"')
        self.assertEqual([p for p in wire.packets if p.proto == "udp"], [])
        self.assertTrue(wire.to(port, "tcp"))
        self.assertIn("407 Proxy Authentication Required", self.failure(options))


if __name__ == "__main__":
    try:
        netns.enter()
    except netns.Unavailable as reason:
        print(f"SKIPPED, no network of our own: {reason}")
        sys.exit(harness.SKIPPED)
    harness.main("krb5kdc", "kadmin.local", "ip", modules=("gssapi",), plugin=True)
