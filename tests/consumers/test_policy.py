#!/usr/bin/python3
"""What options ask a KDC for, by what goes over the wire and what a real KDC makes of it: ticket
flags, lifetimes, addresses, names."""
import os
import shutil
import socket
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                          # noqa: E402
from case import RealmCase                              # noqa: E402
from peer import (DELEG, DELEG_POLICY, KRB5, MUTUAL, SPNEGO, GSSFailure, Peer,  # noqa: E402
                  establish)
from realm import Realm                                 # noqa: E402
from tap import (CANONICALIZE, FORWARDABLE, PROXIABLE, RENEWABLE, Tap)  # noqa: E402

HOUR, DAY = 3600, 86400


def outer_address():
    """An IPv4 address of this machine that is not loopback's, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.200", 9))     # sends nothing
            address = s.getsockname()[0]
        except OSError:
            return None
    return None if address.startswith("127.") else address


class WithRealm(RealmCase):
    def tap(self):
        tap = Tap(self.realm.port)
        self.addCleanup(tap.close)
        return tap

    def client(self, more, tap=None, secret="keytab", user="alice", **kw):
        options = self.realm.identity(secret, user)
        if tap:
            options = options.replace("KDCHost=" + self.realm.kdc_host, "KDCHost=" + tap.kdc_host)
        client = Peer(self.realm.env(options=options + " " + more, **kw))
        self.addCleanup(client.close)
        return client


class TestAsked(WithRealm):
    """The AS-REQ, and the lifetime that came of it."""

    def asked(self, more, **kw):
        tap = self.tap()
        client = self.client(more, tap, **kw)
        mine, _ = establish(client, self.server, "HTTP@localhost")
        first = tap.requests[0]
        self.assertEqual(first.kind, "AS")
        return first, mine["lifetime"]

    def test_flags(self):
        for option, bit, default in (("Forwardable", FORWARDABLE, True), ("Proxiable", PROXIABLE, False),
                                     ("Canonicalize", CANONICALIZE, False)):
            for value, expected in (("", default), ("True", True), ("False", False)):
                with self.subTest(option=option, value=value):
                    first, _ = self.asked(f"{option}={value}" if value else "")
                    self.assertEqual(bool(first.options & bit), expected)

    def test_flags_of_krb5_conf(self):
        conf = self.realm.path("flags.conf")
        with open(conf, "w") as out:
            out.write("[libdefaults]\n forwardable = false\n proxiable = true\n canonicalize = true\n"
                      " ticket_lifetime = 2h\n renew_lifetime = 1d\n")
        first, lifetime = self.asked("", krb5_conf=conf)
        self.assertEqual(first.options & (FORWARDABLE | PROXIABLE | CANONICALIZE),
                         PROXIABLE | CANONICALIZE)
        self.assertTrue(2 * HOUR - 60 < lifetime <= 2 * HOUR, lifetime)
        self.assertAlmostEqual(first.rtime - time.time(), DAY, delta=60)
        first, _ = self.asked("Forwardable=True Proxiable=False Canonicalize=False", krb5_conf=conf)
        self.assertEqual(first.options & (FORWARDABLE | PROXIABLE | CANONICALIZE), FORWARDABLE)

    def test_lifetimes(self):
        first, lifetime = self.asked("TicketLife=1h RenewLife=3h")
        self.assertTrue(HOUR - 60 < lifetime <= HOUR, lifetime)
        self.assertAlmostEqual(first.till - time.time(), HOUR, delta=60)
        self.assertAlmostEqual(first.rtime - time.time(), 3 * HOUR, delta=60)
        self.assertTrue(first.options & RENEWABLE)
        first, lifetime = self.asked("RenewLife=0")
        self.assertTrue(DAY - 60 < lifetime <= DAY, lifetime)
        self.assertIsNone(first.rtime)
        self.assertFalse(first.options & RENEWABLE)

    def test_min_lifetime(self):
        """What has less left than that is asked for again: the KDC gives half an hour."""
        self.realm.add_principal("short", "short")
        self.realm.kdc._admin('modprinc -maxlife "30 minutes" short')
        for least, again in ((0, 0), ("20m", 0), ("40m", 2)):
            with self.subTest(least=least):
                client = self.client(f"MinLifetime={least}", user="short")
                establish(client, self.server, "HTTP@localhost")
                with self.realm.counting() as seen:
                    establish(client, self.server, "HTTP@localhost")
                self.assertEqual(seen.total, again, dict(seen))

    def test_no_addresses(self):
        first, _ = self.asked("")
        self.assertIsNone(first.addresses)


class TestNames(WithRealm):
    """NameType=enterprise: the KDC finds the principal, and is told by that name from then on."""

    def test_enterprise(self):
        self.realm.kdc._admin(r"addprinc +requires_preauth -pw secret al\@corp.example")
        path = self.realm.password_file("al", "secret")
        with Tap(self.realm.port) as tap:
            options = f"User=al@corp.example@{self.realm.name} NameType=enterprise " \
                f"Password=file:{path} KDCHost={tap.kdc_host}"
            client = Peer(self.realm.env(options=options))
            self.addCleanup(client.close)
            _, theirs = establish(client, self.server, "HTTP@localhost")
            first = tap.requests[0]
        self.assertEqual((first.cname, first.cname_type), (("al@corp.example",), 10))
        self.assertEqual(first.realm, self.realm.name)
        self.assertTrue(first.options & CANONICALIZE)
        self.assertEqual(client.inquire(ctx="c")["initiator"], theirs["name"])
        client.acquire(cred="d")
        self.assertEqual(client.inquire_cred(cred="d")["name"], theirs["name"])
        self.assertEqual(theirs["name"], r"al\@corp.example@" + self.realm.name)


class TestAddresses(unittest.TestCase):
    def test_bound_to_addresses(self):
        """A TGT of NoAddresses=False is good at this host's addresses, of which loopback is none."""
        outer = outer_address()
        if not outer:
            self.skipTest("this machine has loopback alone")
        realm = Realm()
        realm.addresses = ["127.0.0.1", outer]
        with realm, Peer(realm.service_env()) as server, Tap(realm.port, address=outer) as tap:
            options = realm.identity("keytab").replace("127.0.0.1", "tcp/127.0.0.1")
            inside = options + " NoAddresses=False"
            with Peer(realm.env(options=inside)) as client, self.assertRaises(GSSFailure) as refused:
                establish(client, server, "HTTP@localhost")
            self.assertIn("BADADDR", refused.exception.minor_text)
            with Peer(realm.env(options=inside.replace("NoAddresses=False", ""))) as client:
                establish(client, server, "HTTP@localhost")
            outside = inside.replace("tcp/" + realm.kdc_host, tap.kdc_host)
            with Peer(realm.env(options=outside)) as client:
                establish(client, server, "HTTP@localhost")
            addresses = tap.requests[0].addresses
            self.assertIn((2, socket.inet_aton(outer)), addresses)
            for kind, address in addresses:
                self.assertFalse(kind == 2 and address[0] == 127, addresses)
                self.assertNotEqual((kind, address), (24, bytes(15) + b"\1"))
                self.assertFalse(kind == 24 and address[:2] == b"\xfe\x80", addresses)
            self.assertEqual(len(addresses), len(set(addresses)))


def replica(primary):
    """A KDC with the primary's database as it is now."""
    realm = Realm(standard=False)

    def copied():
        for name in os.listdir(primary.dir):
            if name.startswith(("principal", "stash")):
                shutil.copy(primary.path(name), realm.path(name))
    realm.kdc.create = copied
    return realm


class TestPrimary(unittest.TestCase):
    """A replica that lags behind, and the primary KDC that knows better."""

    @classmethod
    def setUpClass(cls):
        cls.primary = Realm()
        cls.primary.__enter__()
        cls.primary.add_principal("carol", "old")
        cls.replica = replica(cls.primary)
        cls.replica.__enter__()
        cls.primary.kdc.change_password("carol", "new")
        cls.primary.add_principal("dave", "new")
        cls.primary.add_principal("fresh/localhost")
        cls.primary.keytab("service.keytab", "fresh/localhost")
        cls.server = Peer(cls.primary.service_env())

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.replica.close()
        cls.primary.close()

    def setUp(self):
        self.near, self.far = Tap(self.replica.port), Tap(self.primary.port)
        self.addCleanup(self.near.close)
        self.addCleanup(self.far.close)

    def options(self, user="carol", password="new", more=None):
        secret = self.primary.password_file(user, password)
        more = f"PrimaryKDC={self.far.kdc_host}" if more is None else more
        return f"User={user}@{self.primary.name} Password=file:{secret} KDCHost={self.near.kdc_host} " \
            + more

    def login(self, options, target="HTTP@localhost", **kw):
        with Peer(self.primary.env(options=options, **kw)) as client:
            return establish(client, self.server, target)

    def refused(self, options, **kw):
        with self.assertRaises(GSSFailure) as failed:
            self.login(options, **kw)
        return failed.exception.minor_text

    def asked(self, tap):
        return [r.kind + ("+proof" if r.proof else "") for r in tap.requests]

    def test_changed_password(self):
        _, theirs = self.login(self.options())
        self.assertEqual(theirs["name"], "carol@" + self.primary.name)
        self.assertEqual(self.asked(self.near), ["AS", "AS+proof"])
        # The login keeps to the KDC that gave it the TGT.
        self.assertEqual(self.asked(self.far), ["AS", "AS+proof", "TGS"])

    def test_new_user(self):
        self.login(self.options("dave"))
        self.assertEqual(self.asked(self.near), ["AS"])
        self.assertEqual(self.asked(self.far), ["AS", "AS+proof", "TGS"])

    def test_new_service(self):
        self.login(self.options("alice", self.primary.passwords["alice"]), target="fresh@localhost")
        self.assertEqual(self.asked(self.near), ["AS", "AS+proof", "TGS"])
        self.assertEqual(self.asked(self.far), ["TGS"])

    def test_wrong_everywhere(self):
        """Two proofs in all."""
        text = self.refused(self.options(password="wrong"))
        self.assertIn(self.far.kdc_host.partition("/")[2], text)
        self.assertEqual(self.asked(self.near), ["AS", "AS+proof"])
        self.assertEqual(self.asked(self.far), ["AS", "AS+proof"])

    def test_without_primary(self):
        self.assertIn("password", self.refused(self.options(more="")))
        self.assertEqual(self.asked(self.far), [])

    def test_the_primary_itself_is_not_asked_twice(self):
        host = self.near.kdc_host.replace("127.0.0.1", "localhost")
        for more in (f"PrimaryKDC={self.near.kdc_host}", f"PrimaryKDC={host}"):
            del self.near.messages[:]
            self.refused(self.options(more=more))
            self.assertEqual(self.asked(self.near), ["AS", "AS+proof"])

    def test_primary_is_down(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            host = f"udp/127.0.0.1:{taken.getsockname()[1]}"
        text = self.refused(self.options(more=f"PrimaryKDC={host}"))
        self.assertIn(self.near.kdc_host.partition("/")[2], text)
        self.assertIn("password", text)

    def test_no_host(self):
        self.assertIn("PrimaryKDC", self.refused(self.options(more="PrimaryKDC=kdc:99999")))

    def test_of_krb5_conf(self):
        for word in ("primary_kdc", "master_kdc"):
            with self.subTest(word=word):
                conf = self.primary.path("primary.conf")
                with open(conf, "w") as out:
                    out.write(f"[realms]\n {self.primary.name} = {{\n  kdc = {self.near.kdc_host}\n"
                              f"  {word} = {self.far.kdc_host}\n }}\n")
                del self.far.messages[:]
                options = self.options(more="").partition(" KDCHost=")[0]
                self.login(options, krb5_conf=conf)
                self.assertEqual(self.asked(self.far), ["AS", "AS+proof", "TGS"])


class TestPause(WithRealm):
    """BadSecretPause: a program in a loop sends a secret that was refused once."""

    def setUp(self):
        self.kdc = self.tap()
        self.me = "alice@" + self.realm.name
        self.good = self.realm.passwords["alice"]

    def options(self, password, more="", user="alice"):
        path = self.realm.password_file("paused-" + user, password)
        return f"User={user}@{self.realm.name} Password=file:{path} KDCHost={self.kdc.kdc_host} {more}"

    def peer(self, *args, **kw):
        client = Peer(self.realm.env(options=self.options(*args, **kw)))
        self.addCleanup(client.close)
        return client

    def refused(self, client, *words, ctx="c", **kw):
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx=ctx, target="HTTP@localhost", **kw)
        for word in words:
            self.assertIn(word, failed.exception.minor_text)
        return failed.exception.minor_text

    def proofs(self):
        return sum(r.proof for r in self.kdc.requests)

    def test_in_a_loop(self):
        client = self.peer("wrong")
        first = self.refused(client, "refused the password")
        self.assertNotIn("BadSecretPause", first)
        self.assertEqual((self.proofs(), len(self.kdc.messages)), (1, 2))
        for i in range(20):
            text = self.refused(client, "refused the password", "KDC 127.0.0.1", "PREAUTH_FAILED",
                                "15 minutes", "BadSecretPause", ctx=str(i))
            self.assertIn("less than a minute ago", text)
        self.assertEqual((self.proofs(), len(self.kdc.messages)), (1, 2))

    def test_of_new_credentials(self):
        """The secret is what is paused, whoever brings it."""
        client = self.peer(self.good)
        for i in range(5):
            with self.assertRaises(GSSFailure):
                client.acquire_with_password(cred="bad", name=self.me, password="wrong", mechs=[KRB5])
        self.assertEqual(self.proofs(), 1)
        client.acquire_with_password(cred="good", name=self.me, password=self.good, mechs=[KRB5])
        establish(client, self.server, "HTTP@localhost", cred="good")
        establish(client, self.server, "HTTP@localhost")
        proofs = self.proofs()
        with self.assertRaises(GSSFailure):
            client.acquire_with_password(cred="bad", name=self.me, password="wrong", mechs=[KRB5])
        self.assertEqual(self.proofs(), proofs)

    def test_changed_file(self):
        client = self.peer("wrong")
        self.refused(client)
        self.refused(client, "BadSecretPause")
        self.realm.password_file("paused-alice", self.good)
        establish(client, self.server, "HTTP@localhost")
        self.assertEqual(self.proofs(), 2)

    def test_keytab(self):
        self.realm.add_principal("stale", "first")
        keytab = self.realm.keytab("stale.keytab", "stale")
        self.realm.kdc.change_password("stale", "second")
        options = f"User=stale@{self.realm.name} KeytabFile={keytab} KDCHost={self.kdc.kdc_host}"
        client = Peer(self.realm.env(options=options))
        self.addCleanup(client.close)
        self.refused(client, "keytab")
        self.assertEqual(self.proofs(), 1)
        self.refused(client, "keytab", "another key", "BadSecretPause")
        self.assertEqual(self.proofs(), 1)
        os.unlink(keytab)
        self.realm.keytab("stale.keytab", "stale")
        establish(client, self.server, "HTTP@localhost")

    def test_off(self):
        client = self.peer("wrong", "BadSecretPause=0")
        for i in range(3):
            self.assertNotIn("BadSecretPause", self.refused(client))
        self.assertEqual(self.proofs(), 3)

    def test_it_ends(self):
        client = self.peer("wrong", "BadSecretPause=1s")
        self.refused(client)
        self.refused(client, "in less than a minute")
        time.sleep(1.1)
        self.assertNotIn("BadSecretPause", self.refused(client))
        self.assertEqual(self.proofs(), 2)

    def test_locked_and_expired(self):
        for user in ("locked", "expired", "pwexpired"):
            with self.subTest(user=user):
                del self.kdc.messages[:]
                client = self.peer(self.good, user=user)
                self.refused(client)
                asked = len(self.kdc.messages)
                self.refused(client, "in less than a minute", "BadSecretPause")
                self.assertEqual(len(self.kdc.messages), asked)

    def test_tickets_that_are_there(self):
        """The password is changed and then refused; what was obtained before goes on."""
        self.realm.add_principal("grace", "first")
        client = self.peer("first", "TicketLife=1h", user="grace")
        establish(client, self.server, "HTTP@localhost")
        self.realm.kdc.change_password("grace", "second")
        with self.assertRaises(GSSFailure):
            client.acquire_with_password(cred="c", name="grace@" + self.realm.name, password="first",
                                         mechs=[KRB5])
        proofs = self.proofs()
        establish(client, self.server, "HTTP@localhost", ctx="2")
        establish(client, self.server, "other@localhost", ctx="3")
        self.assertEqual(self.proofs(), proofs)

    def test_a_child_goes_on_with_it(self):
        client = self.peer("wrong")
        self.refused(client)
        self.assertIn("BadSecretPause", client.fork_and_init(target="HTTP@localhost")["text"])
        self.assertEqual(self.proofs(), 1)

    def test_threads(self):
        client = self.peer("wrong")
        errors = client.init_in_threads(target="HTTP@localhost", threads=16)["errors"]
        self.assertEqual(len(errors), 16)
        self.assertEqual(self.proofs(), 1)


class TestOfKrb5Conf(WithRealm):
    """What krb5.conf says to all programs and no option of ours."""

    def conf(self, libdefaults="", realm=""):
        path = self.realm.path(self.id().split(".")[-1] + ".conf")
        with open(path, "w") as out:
            out.write(f"[libdefaults]\n {libdefaults}\n[realms]\n {self.realm.name} = {{\n  {realm}\n }}\n")
        return path

    def test_disable_encrypted_timestamp(self):
        conf = self.conf(realm="disable_encrypted_timestamp = true")
        tap = self.tap()
        for secret in "password", "keytab":
            client = self.client("", tap, secret, krb5_conf=conf)
            with self.assertRaises(GSSFailure) as failed:
                client.init(ctx="c", target="HTTP@localhost")
            self.assertIn("disable_encrypted_timestamp", failed.exception.minor_text)
        # Where the KDC wants none, nothing is amiss.
        client = self.client("", tap, user="nopreauth", krb5_conf=conf)
        establish(client, self.server, "HTTP@localhost")
        self.assertFalse([r for r in tap.requests if r.proof])

    def test_enforce_ok_as_delegate(self):
        conf = self.conf("enforce_ok_as_delegate = true")
        for more, granted in (("", 0), ("Delegate=asked", DELEG)):
            client = self.client(more, krb5_conf=conf)
            mine, _ = establish(client, self.server, "HTTP@localhost", flags=MUTUAL | DELEG)
            self.assertEqual(mine["flags"] & DELEG, granted)

    def test_qualify_shortname(self):
        self.realm.add_principal("HTTP/www.corp.example")
        self.realm.keytab("service.keytab", "HTTP/www.corp.example")
        for libdefaults in ("dns_canonicalize_hostname = false", "dns_canonicalize_hostname = fallback"):
            conf = self.conf(f"qualify_shortname = corp.example\n {libdefaults}")
            tap = self.tap()
            client = self.client("", tap, krb5_conf=conf)
            establish(client, self.server, "HTTP@www")
            self.assertEqual(tap.requests[-1].sname, ("HTTP", "www.corp.example"))
            establish(client, self.server, "HTTP@www.corp.example")
        conf = self.conf('qualify_shortname = ""\n dns_canonicalize_hostname = false')
        tap = self.tap()
        with self.assertRaises(GSSFailure):
            self.client("", tap, krb5_conf=conf).init(ctx="c", target="HTTP@www")
        self.assertEqual(tap.requests[-1].sname, ("HTTP", "www"))

    def test_extra_addresses(self):
        conf = self.conf("noaddresses = false\n extra_addresses = 192.0.2.77, nat.example 2001:db8::7")
        log = self.realm.path("addresses.log")
        tap = self.tap()
        client = self.client(f"LogFile={log}", tap, krb5_conf=conf)
        with self.assertRaises(GSSFailure):     # loopback is none of them
            client.init(ctx="c", target="HTTP@localhost")
        addresses = tap.requests[0].addresses
        self.assertIn((2, socket.inet_aton("192.0.2.77")), addresses)
        self.assertIn((24, socket.inet_pton(socket.AF_INET6, "2001:db8::7")), addresses)
        with open(log) as said:
            self.assertIn("extra_addresses: nat.example is no IPv4 or IPv6 address", said.read())

    def test_client_aware_channel_bindings(self):
        """An acceptor that has bindings takes none from who does not know of them, and refuses who does."""
        for libdefaults, taken in (("", True), ("client_aware_channel_bindings = true", False)):
            client = self.client("", krb5_conf=self.conf(libdefaults))
            token = client.init(ctx="c", target="HTTP@localhost")["token"]
            self.server.forget(ctx="c")
            if taken:
                self.server.accept(ctx="c", token=token, bindings=b"tls")
            else:
                with self.assertRaises(GSSFailure) as failed:
                    self.server.accept(ctx="c", token=token, bindings=b"tls")
                self.assertIn("bindings", failed.exception.text)


class TestDelegation(WithRealm):
    """Delegate: what the acceptor got, and whether it can act for the user with it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.me = "alice@" + cls.realm.name
        cls.realm.add_principal("fit/localhost")
        cls.realm.keytab("service.keytab", "fit/localhost")
        cls.realm.kdc._admin("modprinc +ok_as_delegate fit/localhost")
        cls.further = Peer(cls.realm.service_env())

    @classmethod
    def tearDownClass(cls):
        cls.further.close()
        super().tearDownClass()

    def login(self, more="", flags=MUTUAL | DELEG, target="HTTP@localhost", client=None, **kw):
        mine, theirs = establish(client or self.client(more), self.server, target, flags=flags, **kw)
        self.assertEqual(theirs["name"], self.me)
        self.assertEqual(theirs["delegated"], bool(mine["flags"] & DELEG))
        self.assertEqual(bool(theirs["flags"] & DELEG), bool(mine["flags"] & DELEG))
        return mine["flags"] & (DELEG | DELEG_POLICY)

    def test_asked(self):
        client = self.client("")
        with self.realm.counting() as seen:
            self.assertEqual(self.login(client=client), DELEG)
        self.assertEqual(dict(seen), {"AS": 1, "TGS": 2})
        # The service acts for the user: MIT's own libraries log in elsewhere with what came.
        mine, theirs = establish(self.server, self.further, "other@localhost", ctx="on",
                                 cred="delegated")
        self.assertEqual(theirs["name"], self.me)
        with self.realm.counting() as seen:
            self.assertEqual(self.login(client=client), DELEG)
            self.assertEqual(self.login(client=client, mech=SPNEGO), DELEG)
        self.assertEqual(seen.total, 0, dict(seen))

    def test_not_asked(self):
        client = self.client("")
        with self.realm.counting() as seen:
            self.assertEqual(self.login(client=client, flags=MUTUAL), 0)
        self.assertEqual(seen["TGS"], 1)

    def test_a_tgt_that_the_kdc_does_not_take(self):
        """It is replaced, as for a ticket; the service's is kept."""
        client = self.client("")
        self.login(client=client, flags=MUTUAL)
        self.realm.kdc._admin(f"cpw -randkey krbtgt/{self.realm.name}")
        with self.realm.counting() as seen:
            self.assertEqual(self.login(client=client), DELEG)
        self.assertEqual(seen["AS"], 1, dict(seen))

    def test_without_mutual_authentication(self):
        self.assertEqual(self.login(flags=DELEG), DELEG)

    def test_never(self):
        for target in ("HTTP@localhost", "fit@localhost"):
            for flags in (DELEG, DELEG_POLICY, DELEG | DELEG_POLICY):
                self.assertEqual(self.login("Delegate=never", flags, target), 0)

    def test_policy_of_the_kdc(self):
        for more, flags, target, granted in (
                ("", DELEG_POLICY, "HTTP@localhost", 0),
                ("", DELEG_POLICY, "fit@localhost", DELEG | DELEG_POLICY),
                ("", DELEG | DELEG_POLICY, "HTTP@localhost", DELEG),
                ("", DELEG | DELEG_POLICY, "fit@localhost", DELEG | DELEG_POLICY),
                ("Delegate=ok-as-delegate", DELEG, "HTTP@localhost", 0),
                ("Delegate=ok-as-delegate", DELEG, "fit@localhost", DELEG),
                ("Delegate=ok-as-delegate", DELEG_POLICY, "fit@localhost", DELEG | DELEG_POLICY)):
            with self.subTest(more=more, flags=flags, target=target):
                self.assertEqual(self.login(more, flags | MUTUAL, target), granted)

    def test_not_forwardable(self):
        log = self.realm.path("deleg.log")
        self.assertEqual(self.login(f"Forwardable=False LogFile={log}"), 0)
        with open(log) as said:
            self.assertIn("No TGT is forwarded to HTTP/localhost@" + self.realm.name
                          + ": the TGT is not forwardable: Forwardable is False", said.read())
        self.realm.add_principal("bound", "secret")
        self.realm.kdc._admin("modprinc -allow_forwardable bound")
        client = self.client(f"LogFile={log}", user="bound")
        mine, theirs = establish(client, self.server, "HTTP@localhost", flags=MUTUAL | DELEG)
        self.assertFalse(mine["flags"] & DELEG or theirs["delegated"])
        with open(log) as said:
            self.assertIn("the KDC's policy forbids it", said.read())

    def test_one_for_each_service(self):
        """Two services that hold the same one could listen to each other's talk with the KDC."""
        client = self.client("")
        with self.realm.counting() as seen:
            for _ in range(3):
                for target in ("HTTP@localhost", "fit@localhost"):
                    self.assertEqual(self.login(client=client, target=target), DELEG)
        self.assertEqual(dict(seen), {"AS": 1, "TGS": 4})

    def test_a_refusal_is_remembered(self):
        """A program that asks again and again does not cost the KDC a request each time."""
        client = self.client(f"LogFile={self.realm.path('refused.log')}")
        self.login(client=client, flags=MUTUAL)
        krbtgt = "krbtgt/" + self.realm.name
        self.realm.kdc.modify(krbtgt, "-allow_tgs_req")
        try:
            with self.realm.counting() as seen:
                for _ in range(5):
                    self.assertEqual(self.login(client=client), 0)
        finally:
            self.realm.kdc.modify(krbtgt, "+allow_tgs_req")
        self.assertEqual(dict(seen), {"TGS-ERROR": 1})
        with open(self.realm.path("refused.log")) as said:
            self.assertEqual(said.read().count("No TGT is forwarded to HTTP/localhost"), 5)

    def test_kdc_says_no(self):
        """No TGT to forward is no reason not to log in."""
        client = self.client("")
        establish(client, self.server, "HTTP@localhost")
        self.realm.kdc_stop()
        try:
            mine, theirs = establish(client, self.server, "HTTP@localhost", flags=MUTUAL | DELEG,
                                     ctx="d")
        finally:
            self.realm.kdc_start()
        self.assertFalse(mine["flags"] & DELEG or theirs["delegated"])


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", modules=["gssapi"], plugin=True)
