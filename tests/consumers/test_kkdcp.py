#!/usr/bin/python3
"""Logins through KDC proxies over HTTPS: the real kdcproxy in front of MIT's KDC, also behind an HTTP
proxy; whose certificates are taken and which are not; and answers that no real one gives."""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "realm"))
import harness                              # noqa: E402
import kdc_proxy                            # noqa: E402
import netns                                # noqa: E402
from ca import Authority                    # noqa: E402
from kdc import program, write              # noqa: E402
from kdc_proxy import Proxy, good           # noqa: E402
from peer import GSSFailure, Peer           # noqa: E402
from process import Child, free_port        # noqa: E402
from realm import Realm                     # noqa: E402

KERBSIDE = os.path.join(os.environ.get("KB_BUILDDIR", "."), "cli", "kerbside")
NAME = "proxy.test"


class Base(unittest.TestCase):
    realm = None

    @classmethod
    def setUpClass(cls):
        if Base.realm is not None:
            return
        Base.realm = Realm()
        unittest.addModuleCleanup(Base.realm.close)
        Base.realm.__enter__()
        Base.ca = Authority(Base.realm.path("ca"))
        Base.certificate = Base.ca.issue("proxy", [f"DNS:{NAME}", "DNS:localhost", "IP:127.0.0.1"])

    def conf(self, *anchors, kdc=None, name="kkdcp.conf"):
        lines = [f"  http_anchors = {anchor}" for anchor in anchors] + ([f"  kdc = {kdc}"] if kdc else [])
        return write(self.realm.path(name), "[libdefaults]\n dns_lookup_kdc = false\n[realms]\n "
                     + self.realm.name + " = {\n" + "\n".join(lines) + "\n }\n")

    def run_login(self, kdc, options="", conf=None, **env):
        """The whole log of one login; its last line is the error, where there is one."""
        identity = self.realm.identity().replace(f"KDCHost={self.realm.kdc_host}", "")
        options = f"{identity} LogFile=stderr LogLevel=2 Timeout=10 {options}" \
            + (f' KDCHost="{kdc}"' if kdc else "")
        start = time.monotonic()
        done = subprocess.run(
            [KERBSIDE, "token", "HTTP@localhost"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, timeout=60,
            env=self.realm.env(options, krb5_conf=conf or self.conf("FILE:" + self.ca.file), **env))
        self.seconds = time.monotonic() - start
        return done.returncode, done.stderr

    def login(self, kdc, *more, **env):
        status, log = self.run_login(kdc, *more, **env)
        self.assertEqual(status, 0, log)
        return log

    def failure(self, kdc, *more, **env):
        status, log = self.run_login(kdc, *more, **env)
        self.assertNotEqual(status, 0, log)
        return log

    def url(self, proxy, host=NAME):
        return f"https://{host}:{proxy.port}/KdcProxy"


class RealProxy(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.port = kdc_proxy.start(cls.realm, cls.certificate)
        except ImportError:
            raise unittest.SkipTest("no python3-kdcproxy")
        cls.kdc = f"https://{NAME}:{cls.port}/KdcProxy"

    def test_a_login(self):
        with self.realm.counting() as seen:
            log = self.login(self.kdc)
        self.assertEqual((seen["AS"], seen["TGS"]), (1, 1))
        self.assertIn(f"{self.kdc} (127.0.0.1)", log)

    def test_krb5_conf_names_it(self):
        log = self.login(None, conf=self.conf("FILE:" + self.ca.file, kdc=self.kdc, name="own.conf"))
        self.assertIn(self.kdc, log)

    def test_behind_tinyproxy(self):
        if not program("tinyproxy"):
            self.skipTest("no tinyproxy")
        port = free_port()
        conf = write(self.realm.path("tinyproxy.conf"),
                     f"Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth alice secret\n"
                     f"ConnectPort {self.port}\nLogLevel Connect\n")
        child = Child([program("tinyproxy"), "-d", "-c", conf], self.realm.path("tinyproxy.out"))
        self.addCleanup(child.stop)
        child.wait_for_tcp(port)
        options = f"FirewallHost=127.0.0.1 FirewallPort={port} "
        log = self.login(self.kdc, options + 'FirewallData="Proxy-Authorization: Basic '
                         'YWxpY2U6c2VjcmV0"')
        self.assertIn(f"{self.kdc} (through FirewallHost 127.0.0.1:{port})", log)
        log = self.failure(self.kdc, options)
        self.assertIn("the proxy refuses the tunnel: 407 Proxy Authentication Required", log)

    def test_a_realm_that_it_does_not_serve(self):
        other = write(self.realm.path("other.password"), "x\n")
        log = self.failure(self.kdc, f"User=bob@OTHER.TEST Password=file:{other}",
                           SSL_CERT_FILE=self.ca.file)
        self.assertIn("503 Service Unavailable", log)

    def test_mit_gets_there_by_the_same_file(self):
        if not os.path.exists("/usr/lib/x86_64-linux-gnu/krb5/plugins/tls/k5tls.so"):
            self.skipTest("no krb5-k5tls")
        conf = self.conf("FILE:" + self.ca.file, kdc=self.kdc, name="mit.conf")
        done = subprocess.run(["kinit", f"alice@{self.realm.name}"], capture_output=True, text=True,
                              input=self.realm.passwords["alice"] + "\n",
                              env=self.realm.env(plugin=False, krb5_conf=conf))
        self.assertEqual(done.returncode, 0, done.stderr)


class Authorities(Base):
    """What a process keeps of them: each of its contexts comes over a connection of its own."""

    def peer(self, proxy, conf=None, **env):
        options = self.realm.identity().replace(self.realm.kdc_host, self.url(proxy))
        client = Peer(self.realm.env(options + " Timeout=10", krb5_conf=conf, **env))
        self.addCleanup(client.close)
        return client

    @staticmethod
    def read_by(client):
        with open(f"/proc/{client.process.pid}/io") as io:
            return int(io.readline().split()[1])

    def test_they_are_read_once(self):
        large = self.realm.path("large.pem")
        with open(self.ca.file) as ca:
            write(large, "a comment, which PEM passes over\n" * 30000 + ca.read())
        for conf, env in ((self.conf("FILE:" + large, name="large.conf"), {}),
                          (None, {"SSL_CERT_FILE": large, "SSL_CERT_DIR": self.realm.path("none")})):
            with self.subTest(env=env), Proxy(self.realm.port, self.certificate, keep=False) as proxy:
                client = self.peer(proxy, conf, **env)
                client.init(ctx="1", target="HTTP@localhost")
                before, connections = self.read_by(client), proxy.connections
                client.init(ctx="2", target="other@localhost")
                self.assertGreater(proxy.connections, connections)
                self.assertLess(self.read_by(client) - before, 500000)
                self.assertEqual(client.fork_and_init(target="host@localhost")["text"], "")

    def test_a_change_is_noticed(self):
        trusted, conf = self.realm.path("trusted.pem"), None
        stranger = Authority(self.realm.path("newcomer"), "Newcomer")

        def trust(authority):
            with open(authority.file) as ca:
                write(trusted + ".new", ca.read())
            os.rename(trusted + ".new", trusted)

        for conf, env in ((self.conf("FILE:" + trusted, name="changed.conf"), {}),
                          (None, {"SSL_CERT_FILE": trusted, "SSL_CERT_DIR": self.realm.path("none")})):
            with self.subTest(env=env), Proxy(self.realm.port, self.certificate, keep=False) as proxy:
                trust(self.ca)
                client = self.peer(proxy, conf, **env)
                client.init(ctx="1", target="HTTP@localhost")
                trust(stranger)
                with self.assertRaises(GSSFailure) as caught:
                    client.init(ctx="2", target="other@localhost")
                self.assertIn("which is not trusted here", caught.exception.text)
                trust(self.ca)
                client.init(ctx="3", target="other@localhost")


class Certificates(Base):
    def refused(self, certificate, *sentence, host=NAME, conf=None, **env):
        with Proxy(self.realm.port, certificate) as proxy:
            log = self.failure(self.url(proxy, host), conf=conf, **env)
            for part in (self.url(proxy, host), *sentence):
                self.assertIn(part, log)
            self.assertEqual(proxy.heads, [])

    def test_taken(self):
        hashed = self.realm.path("hashed")
        os.mkdir(hashed)
        os.symlink(self.ca.file, os.path.join(hashed, "ca.pem"))
        subprocess.run(["openssl", "rehash", hashed], check=True, capture_output=True)
        missing = self.realm.path("empty.conf")
        for host in (NAME, "127.0.0.1"):
            for anchors, env in ((["FILE:" + self.ca.file], {}), ([f"DIR:{hashed}"], {}),
                                 (["ENV:TRUSTED"], {"TRUSTED": "FILE:" + self.ca.file}),
                                 ([], {"SSL_CERT_FILE": self.ca.file, "SSL_CERT_DIR": missing}),
                                 ([], {"SSL_CERT_FILE": missing, "SSL_CERT_DIR": hashed})):
                if host != NAME and env:
                    continue
                with self.subTest(host=host, anchors=anchors), \
                        Proxy(self.realm.port, self.certificate) as proxy:
                    self.login(self.url(proxy, host), conf=self.conf(*anchors), **env)
                    self.assertEqual(set(proxy.names), {None if host == "127.0.0.1" else NAME})
                    self.assertTrue(proxy.heads[0].startswith("POST /KdcProxy HTTP/1.1\r\nHost: "))
                    self.assertIn(self.realm.name.encode(), proxy.realms[0])

    def test_only_a_self_signed_one_that_is_named(self):
        own = self.ca.self_signed("own", NAME, f"subjectAltName=DNS:{NAME}")
        self.refused(own, "its certificate is signed by itself, and not trusted here", "http_anchors")
        with Proxy(self.realm.port, own) as proxy:
            self.login(self.url(proxy), conf=self.conf("FILE:" + own[0]))

    def test_names(self):
        other = self.ca.issue("other", ["DNS:kdc.other.test", "DNS:*.wild.test", "IP:192.0.2.7"])
        self.refused(other, "its certificate is for kdc.other.test, *.wild.test, 192.0.2.7, not for "
                     + NAME)
        self.refused(other, "not for 127.0.0.1", host="127.0.0.1")

    def test_dates(self):
        old = self.ca.issue("old", [f"DNS:{NAME}"], "20200101000000Z", "20210102000000Z")
        self.refused(old, "its certificate expired on 2021-01-02")
        young = self.ca.issue("young", [f"DNS:{NAME}"], "20450101000000Z", "20460102000000Z")
        self.refused(young, "its certificate is not valid before 2045-01-01")

    def test_authorities(self):
        conf = self.conf(name="nothing.conf")
        stranger = Authority(self.realm.path("stranger"), "Somebody Else")
        theirs = stranger.issue("theirs", [f"DNS:{NAME}"])
        self.refused(theirs, 'its certificate comes from "Somebody Else", which is not trusted here')
        self.refused(self.certificate, '"Kerbside Test CA", which is not trusted here', conf=conf)
        # Named anchors are the only ones: the system's do not count beside them.
        self.refused(self.certificate, "which is not trusted here",
                     conf=self.conf("FILE:" + stranger.file), SSL_CERT_FILE=self.ca.file)

    def test_anchors_that_are_none(self):
        missing = self.realm.path("missing.pem")
        for anchor, text in (("FILE:" + missing, f"http_anchors: FILE:{missing} has no certificate"),
                             ("FILE:/dev/null", "http_anchors: FILE:/dev/null has no certificate"),
                             ("ENV:UNSET", "http_anchors: ENV:UNSET is not set"),
                             (self.ca.file, f"http_anchors: `{self.ca.file}` is neither FILE: nor DIR:")):
            with self.subTest(anchor=anchor):
                self.refused(self.certificate, text, conf=self.conf(anchor))

    def test_old_protocols(self):
        import ssl
        with Proxy(self.realm.port, self.certificate, maximum_version=ssl.TLSVersion.TLSv1_2) as proxy:
            self.login(self.url(proxy))
        with Proxy(self.realm.port, self.certificate, minimum_version=ssl.TLSVersion.TLSv1,
                   maximum_version=ssl.TLSVersion.TLSv1_1) as proxy:
            proxy.context.set_ciphers("ALL:@SECLEVEL=0")
            log = self.failure(self.url(proxy))
            self.assertIn(self.url(proxy), log)
            self.assertEqual(proxy.heads, [])


def chunked(body):
    pieces = [body[i:i + 50] for i in range(0, len(body), 50)]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        f"{len(p):x};x=y\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\nX: y\r\n\r\n"


def with_head(head):
    return lambda body: head.encode() + b"\r\n\r\n" + body


class Answers(Base):
    def test_good_ones(self):
        for name, answer in (
                ("a length", good),
                ("chunks", chunked),
                ("the end of the connection", with_head("HTTP/1.0 200 OK")),
                ("100 first", lambda body: b"HTTP/1.1 100 Continue\r\n\r\n" + good(body)),
                ("byte by byte", lambda body: (bytes([b]) for b in good(body)))):
            with self.subTest(name), Proxy(self.realm.port, self.certificate, answer,
                                           keep=answer in (good, chunked)) as proxy:
                self.login(self.url(proxy))
                self.assertTrue(proxy.heads)

    def test_refusals(self):
        for answer, text in (
                ("HTTP/1.1 403 Forbidden", "it answers 403 Forbidden (it does not let us, or"),
                ("HTTP/1.1 404 Not Found", "it answers 404 Not Found (there is no KDC proxy at that"),
                ("HTTP/1.1 500 Internal Server Error", "it answers 500 Internal Server Error"),
                ("HTTP/1.1 503 Service Unavailable", "it answers 503 Service Unavailable (it reaches no"),
                ("HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/",
                 "it answers 302 Found: it refers to https://elsewhere.test/, which is not followed"),
                ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6",
                 "what it answers (text/html) is no KDC proxy's message"),
                ("HTTP/1.1 200 OK\r\nContent-Length: 9999999", "its answer is larger than a mebibyte"),
                ("HTTP/1.1 200 OK\r\nContent-Length: 9999", "the connection was closed within the answer"),
                ("HTTP/1.1 200 OK\r\nContent-Length: x", "its Content-Length is none"),
                ("\x1b[31mred", "what it answers is not HTTP")):
            with self.subTest(answer=answer), \
                    Proxy(self.realm.port, self.certificate, keep=False,
                          answer=lambda body, a=answer: with_head(a)(b"<html>" * 2)) as proxy:
                log = self.failure(self.url(proxy))
                self.assertIn(f"{self.url(proxy)} (127.0.0.1): ", log)
                self.assertIn(text, log)
                self.assertLess(self.seconds, 8)

    def test_what_is_no_tls(self):
        for raw, text in ((b"HTTP/1.1 400 Bad Request\r\n\r\n", "what it answers is not TLS"),
                          (b"", "the connection was closed in the TLS handshake")):
            with self.subTest(raw=raw), Proxy(self.realm.port, self.certificate, raw=raw) as proxy:
                self.assertIn(text, self.failure(self.url(proxy)))

    def test_the_next_kdc(self):
        with Proxy(self.realm.port, self.certificate, with_head("HTTP/1.1 503 No"), keep=False) as bad, \
                Proxy(self.realm.port, self.certificate) as fine:
            self.login(f"{self.url(bad)} {self.url(fine)}")
            self.assertEqual(len(bad.heads), 1)
            self.login(f"{self.url(bad)} {self.realm.kdc_host}")

    def test_header_lines(self):
        with Proxy(self.realm.port, self.certificate) as proxy:
            log = self.login(self.url(proxy), 'FirewallData="Authorization: Basic YTpi"')
            self.assertIn("\r\nAuthorization: Basic YTpi\r\n", proxy.heads[0])
            self.assertNotIn("YTpi", log)

    def test_a_wrong_password_is_tried_once(self):
        wrong = write(self.realm.path("wrong.password"), "wrong\n")
        with Proxy(self.realm.port, self.certificate) as proxy, self.realm.counting() as seen:
            self.failure(self.url(proxy), f"Password=file:{wrong}")
        self.assertLessEqual(seen["PREAUTH_FAILED"], 1)

    def test_the_capture_shows_kerberos(self):
        path = self.realm.path("kkdcp.pcapng")
        with Proxy(self.realm.port, self.certificate) as proxy:
            self.login(self.url(proxy), f"PacketCapture={path}")
        with open(path, "rb") as file:
            capture = file.read()
        self.assertIn(b"\x6a\x81", capture)                 # an AS-REQ
        self.assertIn((88).to_bytes(2, "big"), capture)
        self.assertNotIn(b"POST /", capture)


if __name__ == "__main__":
    try:
        netns.enter(f"127.0.0.1 {NAME}\n")
    except netns.Unavailable as reason:
        print(f"SKIPPED, no network of our own: {reason}")
        sys.exit(harness.SKIPPED)
    harness.main("krb5kdc", "kadmin.local", "openssl", modules=("gssapi",), plugin=True)
