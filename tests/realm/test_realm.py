#!/usr/bin/python3
"""The fixture itself, by the platform's own kinit and kvno: what the other tests lean on."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness                          # noqa: E402
from kdc import ENCTYPES, peers         # noqa: E402
from process import Failed              # noqa: E402
from realm import Realm                 # noqa: E402


def kinit(realm, user, *options):
    with open(realm.password_file(user)) as secret:
        return subprocess.run(["kinit", *options, user], stdin=secret, env=realm.env(plugin=False),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Both:
    kind = None

    @classmethod
    def setUpClass(cls):
        if cls.kind == "heimdal" and not peers():
            raise unittest.SkipTest("no Heimdal (make peers)")
        cls.realm = Realm(cls.kind)
        cls.realm.__enter__()

    @classmethod
    def tearDownClass(cls):
        directory = cls.realm.dir
        cls.realm.close()
        assert not os.path.exists(directory)

    def test_password_and_service_ticket(self):
        with self.realm.counting() as seen:
            self.assertEqual(kinit(self.realm, "alice").returncode, 0)
            subprocess.run(["kvno", "-q", "HTTP/localhost"], env=self.realm.env(plugin=False), check=True)
        self.assertEqual(seen, {"AS-ERROR": 1, "AS": 1, "TGS": 1})

    def test_keytab(self):
        done = subprocess.run(["kinit", "-kt", self.realm.path("alice.keytab"), "alice"],
                              env=self.realm.env(plugin=False))
        self.assertEqual(done.returncode, 0)

    def test_traits(self):
        for user, good in (("nopreauth", True), ("salted", True), ("locked", False),
                           ("expired", False), ("pwexpired", False)):
            with self.subTest(user=user):
                self.assertEqual(kinit(self.realm, user).returncode == 0, good)

    def test_enctypes(self):
        for enctype in ENCTYPES:
            with self.subTest(enctype=enctype):
                self.assertEqual(kinit(self.realm, "user-" + enctype).returncode, 0)
                with self.realm.counting() as seen:
                    subprocess.run(["kvno", "-q", enctype + "/localhost"],
                                   env=self.realm.env(plugin=False), check=True)
                self.assertEqual(seen["TGS"], 1)


class TestMIT(Both, unittest.TestCase):
    kind = "mit"

    def test_kdc_stops_and_starts(self):
        self.realm.kdc_stop()
        self.assertNotEqual(kinit(self.realm, "alice").returncode, 0)
        self.realm.kdc_start()
        self.assertEqual(kinit(self.realm, "alice").returncode, 0)


class TestHeimdal(Both, unittest.TestCase):
    kind = "heimdal"


class TestOptions(unittest.TestCase):
    def test_tcp_only(self):
        with Realm(udp=False) as realm:
            self.assertEqual(kinit(realm, "alice").returncode, 0)

    def test_small_replies_over_udp(self):
        with Realm(max_udp_reply=400) as realm, realm.counting() as seen:
            self.assertEqual(kinit(realm, "alice").returncode, 0)
        self.assertGreaterEqual(seen["AS"], 1)

    def test_kdc_ahead(self):
        if not peers():
            self.skipTest("no libfaketime (make peers)")
        with Realm(clock_offset=600) as realm:
            self.assertEqual(kinit(realm, "alice").returncode, 0)
            listing = subprocess.run(["klist"], env=realm.env(plugin=False), text=True,
                                     stdout=subprocess.PIPE).stdout
            self.assertIn("krbtgt/", listing)

    def test_ipv6(self):
        with Realm(ipv6=True) as realm:
            with open(realm.krb5_conf) as conf:
                text = conf.read().replace("127.0.0.1", "[::1]")
            with open(realm.krb5_conf, "w") as conf:
                conf.write(text)
            self.assertEqual(kinit(realm, "alice").returncode, 0)

    def test_nothing_stays_after_a_failure(self):
        realm = Realm()
        with self.assertRaises(Failed), realm:
            directory = realm.dir
            realm.add_principal("alice", "twice")
        self.assertFalse(os.path.exists(directory))


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", "kvno")
