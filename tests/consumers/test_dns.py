#!/usr/bin/python3
"""Discovery: KDCs by DNS, against bind9 and MIT's KDC in a network of the test's own, with an empty
krb5.conf. What was asked is read off the wire."""
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                      # noqa: E402
import kdc_proxy                                    # noqa: E402
import netns                                        # noqa: E402
from ca import Authority                            # noqa: E402
from kdc import write                      # noqa: E402
from named import Named, Silent, available, let_a_second_pass, questions  # noqa: E402
from process import free_port                       # noqa: E402
from realm import Realm                             # noqa: E402

SYSTEM_PYTHON = "/usr/bin/python3"
ZONE = "kerbside.test"
DEAD = "dead"       # a name whose address nobody listens at

# Each word of standard input is a user to log in as; each answer is one line.
LOGINS = """
import gssapi, sys
for line in sys.stdin:
    store, target = line.split()
    name = gssapi.Name(target, gssapi.NameType.hostbased_service)
    try:
        user, secret = store.split(",")
        creds = gssapi.Credentials(usage="initiate", store={"User": user, "Password": secret})
        gssapi.SecurityContext(name=name, creds=creds, usage="initiate").step()
        print("ok", flush=True)
    except gssapi.exceptions.GSSError as error:
        print(" ".join(str(error).split()), flush=True)
"""


class Program:
    """A program that runs on and logs in as often as it is told."""

    def __init__(self, realm, options="", **more):
        self.realm = realm
        env = realm.env(options=f"User=nobody@{realm.name} Password=x LogFile={realm.path('log')} "
                        f"LogLevel=2 {options}", krb5_conf=more.get("krb5_conf"))
        self.process = subprocess.Popen([SYSTEM_PYTHON, "-c", LOGINS], env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def login(self, user="alice", target="HTTP@localhost"):
        secret = "file:" + self.realm.password_file(user)
        self.process.stdin.write(f"{user}@{self.realm.name},{secret} {target}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Base(unittest.TestCase):
    realm = None

    @classmethod
    def setUpClass(cls):
        if Base.realm is None:
            Base.realm = Realm()
            unittest.addModuleCleanup(Base.realm.close)
            Base.realm.__enter__()
            Base.name = Base.realm.name
            Base.dns = Named(Base.realm.path("named"), {ZONE: ""})
            Base.dns.__enter__()
            unittest.addModuleCleanup(Base.dns.__exit__)

    def setUp(self):
        netns.resolver(self.dns.address)
        if os.path.exists(self.realm.path("log")):
            os.remove(self.realm.path("log"))

    @property
    def log(self):
        try:
            with open(self.realm.path("log")) as file:
                return file.read()
        except OSError:
            return ""

    def zone(self, *lines, ttl=3600):
        self.dns.ttl = ttl
        self.dns.zone(ZONE, "kdc IN A 127.0.0.1\nother IN A 127.0.0.1\ndead IN A 127.9.9.9\n"
                      + "\n".join(lines) + "\n")

    def srv(self, host="kdc", port=None, priority=1, weight=1, service="_kerberos", by="udp tcp"):
        return "\n".join(f"{service}._{p} IN SRV {priority} {weight} {port or self.realm.port} {host}"
                         for p in by.split())

    def login(self, options="", user="alice", **more):
        with netns.Sniffer() as wire, Program(self.realm, options, **more) as program_:
            said = program_.login(user)
        self.wire = wire
        return said

    def conf(self, text):
        return write(self.realm.path("other.conf"), text, 0o644)


class TestDiscovery(Base):
    def test_srv(self):
        self.zone(self.srv())
        self.assertEqual(self.login(), "ok", self.log)
        self.assertEqual({q for q in questions(self.wire) if q[1] in ("SRV", "URI")},
                         {("_kerberos." + self.name, "URI"), ("_kerberos._udp." + self.name, "SRV"),
                          ("_kerberos._tcp." + self.name, "SRV")})
        self.assertTrue(self.wire.to(self.realm.port, "udp"))
        self.assertIn("KDC by DNS: kdc." + ZONE, self.log)

    def test_transports(self):
        for by in ("udp", "tcp"):
            self.zone(self.srv(by=by))
            self.assertEqual(self.login(), "ok", self.log)
            self.assertTrue(self.wire.to(self.realm.port, by))
        self.zone(self.srv(DEAD, by="udp"), self.srv(by="tcp"))
        self.assertEqual(self.login("UseTCP=True"), "ok", self.log)
        self.assertNotIn(("_kerberos._udp." + self.name, "SRV"), questions(self.wire))

    def test_priorities(self):
        """The best one is dead: the next is asked, and the worst never."""
        self.zone(self.srv(DEAD, priority=1), self.srv(priority=5),
                  self.srv("other", free_port(), priority=9))
        self.assertEqual(self.login(), "ok", self.log)
        self.assertEqual([p for p in self.log.splitlines() if "other." in p and "sent" in p], [])

    def test_uri(self):
        """URI records win over SRV; unknown schemes and transports are read over."""
        self.zone('_kerberos IN URI 1 1 "krb5srv::carrier-pigeon:dead.kerbside.test"',
                  '_kerberos IN URI 1 1 "http://dead.kerbside.test/"',
                  f'_kerberos IN URI 10 1 "krb5srv:m:udp:kdc.{ZONE}:{self.realm.port}"',
                  f'_kerberos IN URI 20 1 "KRB5SRV::TCP:kdc.{ZONE}:{self.realm.port}"',
                  self.srv(DEAD, 9))
        self.assertEqual(self.login(), "ok", self.log)
        self.assertNotIn(DEAD, self.log)
        self.zone(f'_kerberos IN URI 1 1 "krb5srv:m:udp:{DEAD}.{ZONE}:9"', self.srv())
        conf = self.conf("[libdefaults]\n dns_uri_lookup = false\n")
        self.assertEqual(self.login(krb5_conf=conf), "ok", self.log)
        self.assertNotIn(("_kerberos." + self.name, "URI"), questions(self.wire))

    def test_a_kdc_proxy(self):
        """A URI record leads to one, and krb5.conf says whose certificate is taken for it."""
        host = "proxy." + ZONE
        ca = Authority(self.realm.path("ca"))
        try:
            port = kdc_proxy.start(self.realm, ca.issue("proxy", ["DNS:" + host]))
        except ImportError:
            self.skipTest("no python3-kdcproxy")
        url = f"https://{host}:{port}/KdcProxy"
        self.zone(f'_kerberos IN URI 1 1 "krb5srv:m:kkdcp:{url}"', "proxy IN A 127.0.0.1",
                  self.srv(DEAD))
        conf = self.conf(f"[realms]\n {self.name} = {{\n http_anchors = FILE:{ca.file}\n }}\n")
        with self.realm.counting() as seen:
            self.assertEqual(self.login(krb5_conf=conf), "ok", self.log)
        self.assertEqual((seen["AS"], seen["TGS"]), (1, 1))
        self.assertIn(url, self.log)
        # It asks the KDC; we do not.
        self.assertTrue(self.wire.to(port, "tcp"))
        self.assertEqual(self.wire.to(self.realm.port, "udp"), [])

    def test_many(self):
        """30 records do not fit into a datagram: the resolver asks again by TCP."""
        lines = [self.srv(f"kdc{i}-with-a-long-name-for-a-host", free_port(), priority=9)
                 for i in range(29)]
        lines += [f"kdc{i}-with-a-long-name-for-a-host IN A 127.0.0.1" for i in range(29)]
        self.zone(self.srv(priority=1), *lines)
        self.assertEqual(self.login(), "ok", self.log)
        self.assertTrue(self.wire.to(53, "tcp"))

    def test_primary(self):
        """Who is not known at a replica yet is looked for at the primary."""
        with Realm(name=self.name, standard=False) as primary:
            primary.add_principal("newcomer", "correct horse battery")
            primary.add_principal("HTTP/localhost", preauth=False)
            self.realm.passwords["newcomer"] = "correct horse battery"
            self.zone(self.srv(), self.srv("other", primary.port, service="_kerberos-master"))
            self.assertEqual(self.login(user="newcomer"), "ok", self.log)
            self.assertIn("asking the primary KDC once more", self.log)
            self.zone(f'_kerberos IN URI 1 1 "krb5srv::udp:kdc.{ZONE}:{self.realm.port}"',
                      f'_kerberos IN URI 9 1 "krb5srv:m:udp:other.{ZONE}:{primary.port}"')
            self.assertEqual(self.login(user="newcomer"), "ok", self.log)
        self.zone(self.srv())
        self.assertIn("nobody", self.login(user="newcomer").replace("newcomer", "nobody"))

    def test_nothing(self):
        self.zone()
        said = self.login()
        for part in (f"No KDC is known for the realm {self.name}: none in krb5.conf, nor in DNS: "
                     f"URI _kerberos.{self.name}: no such name",
                     f"SRV _kerberos._udp.{self.name}: no such name",
                     f"SRV _kerberos._tcp.{self.name}: no such name", "Set KDCHost"):
            self.assertIn(part, said)
        self.zone("_kerberos._udp IN SRV 0 0 0 .", "_kerberos._tcp IN SRV 0 0 0 .")
        said = self.login()
        self.assertIn(f"SRV _kerberos._udp.{self.name}: ", said)
        self.assertIn("No KDC is known for the realm", said)

    def test_not_asked(self):
        self.zone(self.srv())
        conf = self.conf("[libdefaults]\n dns_lookup_kdc = false\n")
        said = self.login(krb5_conf=conf)
        self.assertIn("dns_lookup_kdc is false", said)
        self.assertEqual(questions(self.wire), [])
        conf = self.conf(f"[realms]\n {self.name} = {{\n kdc = 127.0.0.1:{self.realm.port}\n }}\n")
        self.assertEqual(self.login(krb5_conf=conf), "ok")
        self.assertEqual(questions(self.wire), [])
        self.assertEqual(self.login(f"KDCHost={self.realm.kdc_host}"), "ok")
        self.assertEqual(questions(self.wire), [])

    def test_silent_server(self):
        with Silent():
            start = time.monotonic()
            said = self.login("Timeout=1 AbsoluteTimeout=True")
            took = time.monotonic() - start
        self.assertIn("Timed out while DNS was asked for the KDCs of " + self.name, said)
        self.assertLess(took, 4)


class TestNames(Base):
    """Names of hosts: the realm that they are in, and what aliases stand for."""

    def test_realm_of_a_host(self):
        """By a TXT record of the host or of its domain, where krb5.conf asks for that."""
        with Realm(name="OTHER.TEST") as other:
            for realm in (self.realm, other):
                realm.add_principal("krbtgt/OTHER.TEST@" + self.name, "shared key")
            other.add_principal("HTTP/www." + ZONE, preauth=False)
            realms = f"[realms]\n OTHER.TEST = {{\n kdc = 127.0.0.1:{other.port}\n }}\n"
            for whose, asked, said in (("_kerberos.www", "true", "ok"), ("_kerberos", "true", "ok"),
                                       ("_kerberos", "false", f"HTTP/www.{ZONE}@{self.name}")):
                self.zone(self.srv(), whose + ' IN TXT "OTHER.TEST"', "www IN A 127.0.0.1")
                conf = self.conf(f"[libdefaults]\n dns_lookup_realm = {asked}\n{realms}")
                with netns.Sniffer() as wire, \
                        Program(self.realm, "DNSCanonicalize=False", krb5_conf=conf) as program_:
                    self.assertIn(said, program_.login(target="HTTP@www." + ZONE), self.log)
                self.assertEqual((f"{whose}.{ZONE}", "TXT") in questions(wire), asked == "true")

    def test_aliases(self):
        """An alias is asked for once in half a minute, whoever logs in; where it leads elsewhere
        then, so does the next context."""
        for host in ("one", "two"):
            self.realm.add_principal(f"HTTP/{host}.{ZONE}", preauth=False)
        hosts = "one IN A 127.0.0.1\ntwo IN A 127.0.0.1\n"
        self.zone(hosts, "www IN CNAME one")
        options = f"DNSCanonicalize=True KDCHost={self.realm.kdc_host}"
        with netns.Sniffer() as wire, Program(self.realm, options) as program_:
            for user in ("alice", "alice", "bob", "alice"):
                self.assertEqual(program_.login(user, "HTTP@www." + ZONE), "ok", self.log)
            asked = [q for q in questions(wire) if q[0].startswith("www.")]
            self.assertEqual(len(asked), len(set(asked)), asked)
            self.zone(hosts, "www IN CNAME two")
            netns.resolver(self.dns.address)        # changed: what is remembered goes
            let_a_second_pass()
            with self.realm.counting() as seen:
                self.assertEqual(program_.login("alice", "HTTP@www." + ZONE), "ok", self.log)
        self.assertEqual(seen["TGS"], 1)
        self.assertIn(f"HTTP/two.{ZONE}", self.realm.log())


class TestRemembered(Base):
    def test_asked_once(self):
        """Three users log in one after the other: the records are asked for once."""
        self.zone(self.srv())
        with netns.Sniffer() as wire, Program(self.realm) as program_:
            self.assertEqual([program_.login(u) for u in ("alice", "bob", "nopreauth")], 3 * ["ok"])
        asked = [q for q in questions(wire) if q[1] in ("SRV", "URI")]
        self.assertEqual(len(asked), len(set(asked)), asked)

    def test_another_network(self):
        """resolv.conf changes: so do the KDCs, although the records would hold for an hour."""
        self.zone(self.srv())
        with Program(self.realm) as program_:
            self.assertEqual(program_.login("alice"), "ok")
            with Named(self.realm.path("named2"), {ZONE: "there IN A 127.0.0.1\n" + self.srv("there")},
                       "127.0.0.55"):
                let_a_second_pass()
                with netns.Sniffer() as wire:
                    self.assertEqual(program_.login("bob"), "ok", self.log)
                self.assertIn(("_kerberos._udp." + self.name, "SRV"), questions(wire))
                self.assertIn("KDC by DNS: there." + ZONE, self.log)

    def test_all_are_gone(self):
        """None of those that are remembered answers: DNS is asked once more."""
        self.zone(self.srv("kdc", free_port()))
        with Program(self.realm) as program_:
            self.assertIn("refused", program_.login("alice"))
            self.zone(self.srv())
            self.assertEqual(program_.login("bob"), "ok", self.log)
            self.assertIn("asking DNS once more for the KDCs", self.log)


if __name__ == "__main__":
    if not available():
        print("SKIPPED, missing: named (bind9)")
        sys.exit(harness.SKIPPED)
    try:
        netns.enter()
    except netns.Unavailable as error:
        print("SKIPPED, no network namespace: " + str(error))
        sys.exit(harness.SKIPPED)
    harness.main("krb5kdc", "ip", modules=("gssapi",), plugin=True)
