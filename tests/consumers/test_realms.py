#!/usr/bin/python3
"""Services of other realms: four real KDCs that share keys in a row, A.EXAMPLE - EXAMPLE - B.EXAMPLE -
LAB.TEST, and MIT's own client beside ours. By the realms' names, by [capaths], by referrals; what is
kept; who is asked how often; KDCs that are dead, slow or lie; what a KDC says against krb5.conf."""
import os
import re
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
from forest import Forest                                   # noqa: E402
from kdc import peers                                       # noqa: E402
from process import free_port                               # noqa: E402
from peer import DELEG_POLICY, MUTUAL, GSSFailure, Peer, establish  # noqa: E402
from realm import Principal                                 # noqa: E402
from tap import Tap                                         # noqa: E402

A, TOP, B, LAB = "A.EXAMPLE", "EXAMPLE", "B.EXAMPLE", "LAB.TEST"
ROW = [(A, TOP), (TOP, A), (TOP, B), (B, TOP), (B, LAB)]

# What the KDCs know. They find the nearest realm by names themselves, but for A of LAB.TEST; A and
# EXAMPLE know where the hosts are whose clients are told nothing.
REFERRALS = "[domain_realm]\n  .b.example = B.EXAMPLE\n  .lab.test = LAB.TEST\n"
# Each of these two says of the hosts of ring.test that the other knows them.
RING = "  .ring.test = {}\n"
TO_LAB = f"  {A} = {{\n    {LAB} = {TOP}\n    {LAB} = {B}\n  }}\n"
DIRECT = f"  {A} = {{\n    {B} = .\n  }}\n"


def setUpModule():
    global FOREST
    FOREST = Forest({A: {"more_conf": REFERRALS + RING.format(TOP) + "[capaths]\n" + TO_LAB},
                     TOP: {"more_conf": REFERRALS + RING.format(A)},
                     B: {"more_conf": ""},
                     LAB: {"more_conf": "[capaths]\n" + TO_LAB}}, ROW)
    unittest.addModuleCleanup(FOREST.__exit__)
    FOREST.__enter__()
    FOREST[A].add(Principal("alice", "correct horse battery"), Principal("host/www.a.example"))
    FOREST[TOP].add(Principal("host/www.example"))
    FOREST[B].add(Principal("host/www.b.example"), Principal("host/ftp.b.example"),
                  Principal("host/unmapped.b.example"))
    FOREST[LAB].add(Principal("host/www.lab.test"), Principal("host/ftp.lab.test"),
                    Principal("host/mail.lab.test"))


class Realms(unittest.TestCase):
    def setUp(self):
        self.me = FOREST[A]
        name = self.id().rsplit(".", 1)[1]
        self.cache, self.log = self.me.path("cc." + name), self.me.path("log." + name)
        self.num_confs = 0

    def conf(self, hosts=(), capaths="", libdefaults=""):
        self.num_confs += 1
        return FOREST.krb5_conf(f"{self.id()}.{self.num_confs}", hosts, capaths, libdefaults)

    def client(self, conf=None, more="", cache=True):
        options = (f"User=alice@{A} Password=file:{self.me.password_file()} LogFile={self.log} "
                   f"LogLevel=2 Timeout=10 {more}")
        if cache:
            options += f" CredentialsCacheFile={self.cache}"
        client = Peer(self.me.env(options=options, krb5_conf=conf or self.conf()))
        self.addCleanup(client.close)
        return client

    def asked(self, client, target, **more):
        """Which KDCs are asked how often for a ticket."""
        client.forget(ctx="c")
        with FOREST.counting() as seen:
            client.init(ctx="c", target=target, **more)
        return seen

    def refused(self, client, target, *says):
        client.forget(ctx="c")
        with FOREST.counting() as seen, self.assertRaises(GSSFailure) as failed:
            client.init(ctx="c", target=target)
        for text in says:
            self.assertIn(text, failed.exception.text)
        return seen

    def logged(self):
        with open(self.log) as log:
            return log.read()

    def tool(self, *argv, conf, cache=None, stdin=""):
        """One of MIT's programs, without our plugin."""
        env = self.me.env(plugin=False, krb5_conf=conf, KRB5CCNAME=cache or self.cache)
        done = subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def mits(self, service, host, conf):
        """The tickets that MIT's kvno leaves in a cache of its own, and whom it asked."""
        cache = self.cache + ".mit"
        self.tool("kinit", f"alice@{A}", conf=conf, cache=cache, stdin=self.me.passwords["alice"] + "\n")
        with FOREST.counting() as seen:
            self.tool("kvno", "-S", service, host, conf=conf, cache=cache)
        return self.listed(conf, cache), seen

    def listed(self, conf, cache=None):
        """(service, service in the ticket where klist tells another)."""
        text = self.tool("klist", conf=conf, cache=cache)
        return re.findall(r"^[\d/]+ [\d:]+  [\d/]+ [\d:]+  (\S+)$"
                          r"(?:\n\trenew until .*$)?(?:\n\tTicket server: (\S+)$)?",
                          text, re.M)


class TestHierarchy(Realms):
    HOSTS = [(".b.example", B)]

    def test_up_and_down(self):
        """As MIT's client: the same KDCs, as often, and the same tickets in the cache."""
        conf = self.conf(self.HOSTS)
        client = self.client(conf)
        self.assertEqual(self.asked(client, "host@www.b.example"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS": 1}, B: {"TGS": 1}})
        theirs, asked = self.mits("host", "www.b.example", conf)
        self.assertEqual(asked, {A: {"TGS": 1}, TOP: {"TGS": 1}, B: {"TGS": 1}})
        # MIT's client keeps no TGT of a realm that it did not think of itself.
        self.assertEqual(set(self.listed(conf)) - set(theirs),
                         {(f"krbtgt/{TOP}@{A}", ""), (f"krbtgt/{B}@{TOP}", "")})
        self.assertEqual(set(theirs) - set(self.listed(conf)), set())
        # The way is kept: for this process, for the next one, and for MIT's programs.
        self.assertEqual(self.asked(client, "host@ftp.b.example"), {B: {"TGS": 1}})
        os.remove(self.log)
        self.assertEqual(self.asked(self.client(conf), "host@unmapped.b.example"), {B: {"TGS": 1}})
        with FOREST.counting() as seen:
            self.tool("kvno", "-S", "host", "unmapped.b.example", conf=conf)
        self.assertEqual(seen, {})

    def test_the_service_takes_it(self):
        service = Peer(FOREST[B].env(plugin=False, KRB5_KTNAME="FILE:" + FOREST[B].keytab(
            "b.keytab", "host/www.b.example")))
        self.addCleanup(service.close)
        client = self.client(self.conf(self.HOSTS))
        self.assertEqual(establish(client, service, "host@www.b.example")[1]["name"], f"alice@{A}")
        self.assertIn("has checked the realms on the way to it (TRANSITED-POLICY-CHECKED)",
                      self.logged())

    def test_what_theirs_leaves_is_used(self):
        conf = self.conf(self.HOSTS, capaths=f"  {A} = {{\n    {B} = {TOP}\n  }}\n")
        self.tool("kinit", f"alice@{A}", conf=conf, stdin=self.me.passwords["alice"] + "\n")
        self.tool("kvno", "-S", "host", "www.b.example", conf=conf)
        self.assertEqual(self.asked(self.client(conf), "host@ftp.b.example"), {B: {"TGS": 1}})

    def test_by_the_name_alone(self):
        """krb5.conf knows no host, the target its realm; and the TGT itself is a target."""
        client = self.client(cache=False)
        self.assertEqual(self.asked(client, f"host/www.b.example@{B}", target_type="kerberos_principal"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS": 1}, B: {"TGS": 1}})
        self.assertEqual(self.asked(client, f"krbtgt/{B}@{A}", target_type="kerberos_principal"), {})
        self.assertEqual(self.asked(client, f"host/www.example@{TOP}", target_type="kerberos_principal"),
                         {TOP: {"TGS": 1}})

    def test_names_that_the_kdc_does_not_go_by(self):
        """LAB.TEST has nothing in common with A.EXAMPLE: its KDC is told the way, we are not."""
        client = self.client(self.conf([("www.lab.test", LAB)]))
        self.refused(client, "host@www.lab.test", "On the way to host/www.lab.test@LAB.TEST",
                     f"The KDC of realm {TOP} knows no way to realm {LAB}")

    def test_threads_share_the_way(self):
        client = self.client(self.conf(self.HOSTS), cache=False)
        with FOREST.counting() as seen:
            said = client.init_in_threads(target="host@www.b.example", threads=20)
        self.assertEqual(said["errors"], [])
        self.assertEqual(seen, {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS": 1},
                                B: {"TGS": 1}})


class TestCapaths(Realms):
    def test_named_realms(self):
        client = self.client(self.conf([(".lab.test", LAB)], capaths=TO_LAB))
        self.assertEqual(self.asked(client, "host@www.lab.test"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS-ERROR": 1, "TGS": 1},
                          B: {"TGS": 1}, LAB: {"TGS": 1}})
        self.assertEqual(self.asked(client, "host@www.lab.test"), {})

    def test_a_kdc_that_leads_elsewhere(self):
        """They share a key, krb5.conf says; its KDC leads through EXAMPLE. MIT's client goes there."""
        conf = self.conf([(".b.example", B)], capaths=DIRECT)
        self.assertEqual(self.refused(
            self.client(conf), "host@www.b.example", "On the way to host/www.b.example@B.EXAMPLE",
            f"The KDC of realm {A} leads to realm {TOP}, which [capaths] does not have")[A]["TGS"], 1)
        self.assertEqual(len(self.mits("host", "www.b.example", conf)[0]), 2)

    def test_a_referral_that_leads_elsewhere(self):
        self.refused(self.client(self.conf(capaths=DIRECT)), "host@www.b.example",
                     "host/www.b.example@B.EXAMPLE", f"through realm {TOP}, which [capaths]")


    def test_a_cached_way_that_leads_elsewhere(self):
        """MIT's client came by EXAMPLE and left its TGTs in the cache: whoever has forbidden that
        does not get the use of them."""
        by_top = self.conf([(".lab.test", LAB)], capaths=TO_LAB)
        self.tool("kinit", f"alice@{A}", conf=by_top, stdin=self.me.passwords["alice"] + "\n")
        self.tool("kvno", "-S", "host", "www.lab.test", conf=by_top)
        self.assertEqual(self.asked(self.client(by_top), "host@ftp.lab.test"), {LAB: {"TGS": 1}})
        not_by_top = self.conf([(".lab.test", LAB)], capaths=f"  {A} = {{\n    {LAB} = {B}\n  }}\n")
        seen = self.refused(self.client(not_by_top), "host@mail.lab.test",
                            f"The KDC of realm {A} leads to realm {TOP}, which [capaths] does not have")
        self.assertNotIn(LAB, seen)


class TestReferrals(Realms):
    def test_nothing_is_configured(self):
        conf = self.conf()
        client = self.client(conf)
        self.assertEqual(self.asked(client, "host@www.b.example"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS": 1}, B: {"TGS": 1}})
        theirs, asked = self.mits("host", "www.b.example", conf)
        self.assertEqual(asked, {A: {"TGS": 1}, TOP: {"TGS": 1}, B: {"TGS": 1}})
        self.assertIn(("host/www.b.example@", "host/www.b.example@B.EXAMPLE"), theirs)
        self.assertEqual(set(theirs) - set(self.listed(conf)), set())
        self.assertEqual(set(self.listed(conf)) - set(theirs),
                         {(f"krbtgt/{TOP}@{A}", ""), (f"krbtgt/{B}@{TOP}", "")})
        # Found both ways: as it was asked for, and by its realm.
        self.assertEqual(self.asked(self.client(conf), "host@www.b.example"), {})
        self.assertEqual(self.asked(self.client(self.conf([(".b.example", B)])),
                                    "host@www.b.example"), {})
        with FOREST.counting() as seen:
            self.tool("kvno", "-S", "host", "www.b.example", conf=conf)
        self.assertEqual(seen, {})

    def test_the_user_s_own_realm(self):
        self.assertEqual(self.asked(self.client(), "host@www.a.example"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}})

    def test_the_domain_suggests_a_realm(self):
        """No KDC knows the host, whose domain in upper case is a realm: EXAMPLE. As MIT's client."""
        conf = self.conf()
        self.assertEqual(self.asked(self.client(conf), "host@www.example"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS-ERROR": 1, "TGS": 1}, TOP: {"TGS": 1}})
        theirs, asked = self.mits("host", "www.example", conf)
        self.assertEqual(asked, {A: {"TGS-ERROR": 1, "TGS": 1}, TOP: {"TGS": 1}})
        self.assertEqual(set(theirs), set(self.listed(conf)))

    def test_nobody_knows_it(self):
        client = self.client()
        self.assertEqual(self.refused(client, "host@nowhere.b.example",
                                      f"host/nowhere.b.example@{B}", "not know this service")[B], {"TGS-ERROR": 1})
        self.assertEqual(self.refused(client, "host@nowhere.b.example", "not know"), {})
        self.refused(client, "host@www.elsewhere.test", f"host/www.elsewhere.test@{A}")


class TestLearned(Realms):
    def test_another_process_found_it(self):
        FOREST[B].add(Principal("host/brief.b.example"))
        FOREST[B].kdc._admin('modprinc -maxlife "1 hour" host/brief.b.example')
        for expected in ({A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS": 1}, B: {"TGS": 1}},
                         {B: {"TGS": 1}}):
            client = self.client(more="MinLifetime=1h")
            self.assertEqual(self.asked(client, "host@brief.b.example"), expected)

    def test_where_it_was_found(self):
        """A ticket that was found by referral ends: its realm is asked for the next one."""
        FOREST[B].add(Principal("host/short.b.example"))
        FOREST[B].kdc._admin('modprinc -maxlife "1 hour" host/short.b.example')
        client = self.client(more="MinLifetime=1h", cache=False)
        self.assertEqual(self.asked(client, "host@short.b.example"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS": 1}, B: {"TGS": 1}})
        self.assertEqual(self.asked(client, "host@short.b.example"), {B: {"TGS": 1}})
        # It has moved: there it is unknown, and those who know are asked again.
        FOREST[B].kdc._admin("delprinc -force host/short.b.example")
        self.assertEqual(self.refused(client, "host@short.b.example", "not know this service"),
                         {A: {"TGS": 1}, TOP: {"TGS": 1}, B: {"TGS-ERROR": 2}})


class TestTrouble(Realms):
    HOSTS = [(".b.example", B)]

    def test_one_kdc_is_silent(self):
        """Which one, and on the way to what."""
        for conf in (self.conf(self.HOSTS), self.conf()):
            client = self.client(conf, cache=False)
            with FOREST.silent(TOP):
                self.refused(client, "host@www.b.example", "On the way to host/www.b.example",
                             f"No KDC of {TOP} answered", FOREST[TOP].kdc_host)
            with FOREST.silent(B):
                self.refused(client, "host@www.b.example", "On the way to host/www.b.example",
                             f"No KDC of {B} answered", FOREST[B].kdc_host)
            self.assertIn(B, self.asked(client, "host@www.b.example"))

    def conf_of(self, **kdcs):
        """Realms by their first letters."""
        names = {realm[0]: realm for realm in (A, TOP, B)}
        return FOREST.krb5_conf(self.id(), self.HOSTS,
                                kdcs={names[letter]: hosts for letter, hosts in kdcs.items()})

    def tap(self, realm, **how):
        tap = Tap(FOREST[realm].port, **how)
        self.addCleanup(tap.close)
        return tap, tap.kdc_host.partition("/")[2]

    def service(self):
        service = Peer(FOREST[B].env(plugin=False, KRB5_KTNAME="FILE:" + FOREST[B].keytab(
            "trouble.keytab", "host/www.b.example")))
        self.addCleanup(service.close)
        return service

    def test_dead_slow_and_lying(self):
        """Beside each on the way there is one that is as it should be, or it comes at last."""
        dead = f"127.0.0.1:{free_port()}"
        slow_tap, slow = self.tap(TOP, before=lambda _: time.sleep(1.5))
        liar_tap, liar = self.tap(B, edit=lambda reply: b"\x6d" + reply[1:-7])
        client = self.client(self.conf_of(A=[dead, FOREST[A].kdc_host], E=[slow],
                                          B=[liar, FOREST[B].kdc_host]))
        self.assertEqual(establish(client, self.service(), "host@www.b.example")[1]["name"],
                         f"alice@{A}")
        self.assertTrue(slow_tap.messages and liar_tap.messages)
        # What was slow is not asked again: its ticket is kept.
        asked = len(slow_tap.messages)
        client.forget(ctx="c")
        client.init(ctx="c", target="host@ftp.b.example")
        self.assertEqual(len(slow_tap.messages), asked)

    def test_lies(self):
        """A reply of the wrong key, to another question, of another realm, or altered, is none; the
        next realm is not asked, and nothing of it is kept."""
        old = []
        self.asked(self.client(self.conf_of(E=[self.tap(
            TOP, edit=lambda reply: old.append(reply) or reply)[1]]), cache=False),
            "host@www.b.example")
        for says, where, edit in (
                ("it does not decrypt", TOP, lambda reply: old[0]),
                (f"The KDC of realm {TOP} knows no way to realm {B}", LAB, None),
                ("it does not decrypt", TOP, lambda reply: reply[:-1] + bytes([reply[-1] ^ 1])),
                ("the service's name in its ticket is not the one in its encrypted part", TOP,
                 lambda reply: reply.replace(b"B.EXAMPLE", b"C.EXAMPLE"))):
            with self.subTest(says):
                conf = self.conf_of(E=[self.tap(where, edit=edit)[1]])
                seen = self.refused(self.client(conf), "host@www.b.example",
                                    "On the way to host/www.b.example", says)
                self.assertNotIn(B, seen)
                self.assertNotIn((f"krbtgt/{B}@{TOP}", ""), self.listed(conf))

    def test_in_a_circle(self):
        """Two real KDCs, each of which says that the other knows the host."""
        self.assertEqual(self.refused(self.client(), "host@www.ring.test", f"host/www.ring.test@{A}",
                                      f"of {TOP} refers to a realm that sent us there"),
                         {A: {"AS-ERROR": 1, "AS": 1, "TGS": 1}, TOP: {"TGS": 1}})

    def test_a_key_was_changed(self):
        """A TGT that is kept is refused: the way is walked once more, without a new login."""
        client = self.client(self.conf(self.HOSTS))
        self.asked(client, "host@www.b.example")
        FOREST.share_key(TOP, B, "a key that they have now", again=True)
        self.assertEqual(self.asked(client, "host@ftp.b.example"),
                         {A: {"TGS": 1}, TOP: {"TGS": 1}, B: {"TGS-ERROR": 1, "TGS": 1}})


class TestDelegation(Realms):
    def test_ok_as_delegate(self):
        """A service of another realm may have the user's tickets if all realms on the way say so."""
        trusted = f"krbtgt/{TOP}@{A}", f"krbtgt/{B}@{TOP}"
        FOREST[B].kdc._admin("modprinc +ok_as_delegate host/www.b.example")
        service = Peer(FOREST[B].env(plugin=False, KRB5_KTNAME="FILE:" + FOREST[B].keytab(
            "delegation.keytab", "host/www.b.example")))
        self.addCleanup(service.close)
        flags = MUTUAL | DELEG_POLICY
        for num_trusted, wanted in ((0, False), (1, False), (2, True)):
            for tgs, realm in list(zip(trusted, (A, TOP)))[:num_trusted]:
                FOREST[realm].kdc._admin(f"modprinc +ok_as_delegate {tgs}")
            client = self.client(self.conf([(".b.example", B)]), cache=False)
            theirs = establish(client, service, "host@www.b.example", flags=flags)[1]
            self.assertEqual(theirs["delegated"], wanted, f"{num_trusted} of 2 realms trust it")


class TestHeimdal(unittest.TestCase):
    """A realm of Heimdal's, which knows its users and services by other names too, beside one of
    MIT's."""

    @classmethod
    def setUpClass(cls):
        if not peers():
            raise unittest.SkipTest("no Heimdal (make peers)")
        cls.forest = Forest({"H.TEST": {"kind": "heimdal", "more_conf":
                                        "[domain_realm]\n  .m.test = M.TEST\n"},
                             "M.TEST": {"more_conf": "[domain_realm]\n  .h.test = H.TEST\n"}},
                            [("H.TEST", "M.TEST"), ("M.TEST", "H.TEST")])
        cls.addClassCleanup(cls.forest.__exit__)
        cls.forest.__enter__()
        for name, host in (("H.TEST", "www.h.test"), ("M.TEST", "www.m.test")):
            cls.forest[name].add(Principal("alice", "correct horse battery"), Principal("host/" + host))
        cls.forest["H.TEST"].kdc._admin(
            "modify --alias=nick@H.TEST --alias=a.liddell@corp.example alice",
            "modify --alias=host/short@H.TEST host/www.h.test")
        cls.conf = cls.forest.krb5_conf("h")

    def client(self, realm, user=None, more=""):
        home = self.forest[realm]
        self.log = home.path("log." + self.id().rsplit(".", 1)[1])
        options = (f"User={user or 'alice@' + realm} Password=file:{home.password_file('alice')} "
                   f"LogFile={self.log} LogLevel=2 {more}")
        client = Peer(home.env(options=options, krb5_conf=self.conf))
        self.addCleanup(client.close)
        return client

    def service(self, realm, name):
        home = self.forest[realm]
        keytab = home.keytab(name.replace("/", "_") + ".keytab", name)
        service = Peer(home.env(plugin=False, krb5_conf=self.conf, KRB5_KTNAME="FILE:" + keytab))
        self.addCleanup(service.close)
        return service

    def test_referrals_of_both(self):
        for home, other in (("H.TEST", "M.TEST"), ("M.TEST", "H.TEST")):
            host = "www." + other.lower()
            with self.forest.counting() as seen:
                _, theirs = establish(self.client(home), self.service(other, "host/" + host),
                                      "host@" + host)
            self.assertEqual(theirs["name"], "alice@" + home)
            self.assertEqual((seen[home]["TGS"], seen[other]), (1, {"TGS": 1}))

    def test_other_names_of_a_user(self):
        service = self.service("H.TEST", "host/www.h.test")
        for user, more in (("nick@H.TEST", "Canonicalize=True"),
                           ("a.liddell@corp.example@H.TEST", "NameType=enterprise")):
            client = self.client("H.TEST", user, more)
            _, theirs = establish(client, service, "host@www.h.test")
            self.assertEqual(theirs["name"], "alice@H.TEST")
            self.assertEqual(client.inquire(ctx="c")["initiator"], "alice@H.TEST")
            # Who that is by its true name, the KDC of the other realm is told.
            host = self.service("M.TEST", "host/www.m.test")
            self.assertEqual(establish(client, host, "host@www.m.test")[1]["name"], "alice@H.TEST")
        with self.assertRaises(GSSFailure):
            self.client("H.TEST", "nick@H.TEST").init(ctx="c", target="host@www.h.test")

    def test_another_name_of_a_service(self):
        client = self.client("H.TEST")
        _, theirs = establish(client, self.service("H.TEST", "host/www.h.test"), "host@short")
        self.assertEqual(theirs["name"], "alice@H.TEST")


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", "klist", "kvno", modules=["gssapi"], plugin=True)
